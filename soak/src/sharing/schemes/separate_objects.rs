//! **Rebuilt for the comparison only.** Each shared section is an object of its own, which the doctor signs by itself.
//! Its key is sealed to each user when it is shared.

use anyhow::Context;
use codec::Encode;
use epione_envelope::{
    keys::ContentKey,
    record::Record,
    sealing_keys::{Wrap, WrapSubject},
};

use super::{Fetched, Scheme, Stored, packed, packed_bytes, unwrapped, wrap_bytes, wrapped};
use crate::sharing::parties::{Parties, Person};

pub(in crate::sharing) struct SeparateObjects(Vec<Object>);

struct Object {
    /// With one section.
    record: Record,
    /// The section's key, for each user.
    wraps: Vec<Wrap>,
}

impl SeparateObjects {
    /// Bytes of all keys for users.
    pub fn key_bytes(&self) -> u64 {
        self.0.iter().map(|object| wrap_bytes(&object.wraps)).sum()
    }
}

impl Scheme for SeparateObjects {
    const NAME: &'static str = "rebuilt: separate objects";

    fn share(parties: &Parties, texts: &[String], users: &[Person]) -> anyhow::Result<Self> {
        let object = |text: &String| {
            let record = parties.record(std::slice::from_ref(text))?;
            let key = record.content_key(parties.genesis, 0, &parties.patient_keys)?;
            let wraps = wrapped(parties, &subject(&record), key.as_bytes(), users)?;
            anyhow::Ok(Object { record, wraps })
        };
        Ok(Self(texts.iter().map(object).collect::<anyhow::Result<_>>()?))
    }

    fn stored(&self) -> anyhow::Result<Stored> {
        let packed = packed(self.0.iter().map(|object| &object.record))?;
        let wrapped_keys = self.0.iter().map(|object| object.wraps.len() as u64).sum();
        let bytes = packed_bytes(&packed) + self.key_bytes();
        Ok(Stored { index_entries: packed.entries.len() as u64, wrapped_keys, bytes })
    }

    fn fetched(&self) -> anyhow::Result<Fetched> {
        let mut bytes = 0;
        for Object { record, wraps } in &self.0 {
            let wrap = wraps.first().context("there are no users")?;
            bytes += (record.encoded_size() + wrap.encoded_size()) as u64;
        }
        Ok(Fetched { requests: self.0.len() as u64, bytes })
    }

    fn opened(
        &self,
        parties: &Parties,
        place: usize,
        user: &Person,
    ) -> anyhow::Result<Vec<String>> {
        let mut texts = Vec::new();
        for Object { record, wraps } in &self.0 {
            let wrap = wraps.get(place).context("there is no such user")?;
            let key = ContentKey::from_bytes(unwrapped(parties, &subject(record), wrap, user)?);
            texts.extend(parties.opened(record, &[key])?);
        }
        Ok(texts)
    }
}

fn subject(record: &Record) -> WrapSubject {
    WrapSubject::ContentKey { record: record.id(), section: 0 }
}
