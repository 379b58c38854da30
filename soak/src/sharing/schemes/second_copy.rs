//! **Rebuilt for the comparison only.** Beside the record there is a sealed copy of its shared sections under a key of
//! its own, which is sealed to each user. Every change of what is shared, or of whom it is for to fewer, makes another
//! copy.

use anyhow::Context;
use codec::Encode;
use epione_envelope::{
    keys::{PatientKey, PatientKeys},
    record::Record,
    sealing_keys::{Wrap, WrapSubject},
};

use super::{Fetched, Scheme, Stored, packed, packed_bytes, unwrapped, wrap_bytes, wrapped};
use crate::sharing::parties::{Parties, Person};

/// The version of a copy's key: each copy has a new key.
const VERSION: u32 = 1;

pub(in crate::sharing) struct SecondCopy {
    record: Record,
    /// The same sections with the same signature, sealed again.
    copy: Record,
    /// The key of the copy, for each user.
    wraps: Vec<Wrap>,
}

impl SecondCopy {
    /// Bytes of the copy, and of all keys for users.
    pub fn copy_bytes(&self) -> anyhow::Result<u64> {
        Ok(packed_bytes(&packed([&self.copy])?) + self.key_bytes())
    }

    /// Bytes of all keys for users.
    pub fn key_bytes(&self) -> u64 {
        wrap_bytes(&self.wraps)
    }
}

impl Scheme for SecondCopy {
    const NAME: &'static str = "rebuilt: second copy";

    fn share(parties: &Parties, texts: &[String], users: &[Person]) -> anyhow::Result<Self> {
        let signed = parties.signed(texts)?;
        let record = parties.sealed(signed.clone(), texts, &parties.patient_keys)?;
        let keys = PatientKeys::generate();
        let copy = parties.sealed(signed, texts, &keys)?;
        let (_, key) = keys.newest();
        let wraps = wrapped(parties, &subject(), key.as_bytes(), users)?;
        Ok(Self { record, copy, wraps })
    }

    fn stored(&self) -> anyhow::Result<Stored> {
        let record = packed([&self.record])?;
        let copy = packed([&self.copy])?;
        let index_entries = (record.entries.len() + copy.entries.len()) as u64;
        let bytes = packed_bytes(&record) + self.copy_bytes()?;
        Ok(Stored { index_entries, wrapped_keys: self.wraps.len() as u64, bytes })
    }

    fn fetched(&self) -> anyhow::Result<Fetched> {
        let wrap = self.wraps.first().context("there are no users")?;
        let bytes = (self.copy.encoded_size() + wrap.encoded_size()) as u64;
        Ok(Fetched { requests: 1, bytes })
    }

    fn opened(
        &self,
        parties: &Parties,
        place: usize,
        user: &Person,
    ) -> anyhow::Result<Vec<String>> {
        let wrap = self.wraps.get(place).context("there is no such user")?;
        let key = PatientKey::from_bytes(unwrapped(parties, &subject(), wrap, user)?);
        let keys = PatientKeys::from_keys(vec![key])?;
        let mut content_keys = Vec::new();
        for (section, _) in (0..).zip(self.copy.sections()) {
            content_keys.push(self.copy.content_key(parties.genesis, section, &keys)?);
        }
        parties.opened(&self.copy, &content_keys)
    }
}

fn subject() -> WrapSubject {
    WrapSubject::PatientKey { version: VERSION }
}
