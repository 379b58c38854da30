//! Ways to share sections of a record with users: that of Epione, and two that are **rebuilt here for the comparison
//! only**, with the same ciphers, signatures and formats. Nothing else in this project uses the two.
//!
//! | scheme | the sections | the keys of a user |
//! | --- | --- | --- |
//! | [`OneRecord`] | in one record | one grant, sealed when the user reads |
//! | [`SeparateObjects`] | each is an object of its own | one wrap for each section, sealed when it is shared |
//! | [`SecondCopy`] | in the record, and again in a copy of the shared ones | one wrap for each copy |

mod one_record;
mod second_copy;
mod separate_objects;

pub(super) use one_record::{OneRecord, PURPOSE, SLOT, UNTIL, consented, first, placed};
pub(super) use second_copy::SecondCopy;
pub(super) use separate_objects::SeparateObjects;

use codec::Encode;
use epione_envelope::{
    body::{BodyBuilder, Packed},
    record::Record,
    sealing_keys::{Wrap, WrapContext, WrapSubject},
};

use super::parties::{HOSPITAL, Parties, Person};

/// A way to share all sections of a record.
pub(super) trait Scheme: Sized {
    const NAME: &'static str;

    /// Seals the sections, and their keys for these users.
    fn share(parties: &Parties, texts: &[String], users: &[Person]) -> anyhow::Result<Self>;

    /// What is stored while the sections are shared.
    fn stored(&self) -> anyhow::Result<Stored>;

    /// What one user requests and fetches to read all shared sections.
    fn fetched(&self) -> anyhow::Result<Fetched>;

    /// All sections, as the user at this place in the list of users opens them.
    fn opened(&self, parties: &Parties, place: usize, user: &Person)
    -> anyhow::Result<Vec<String>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Entries by which records, objects and copies are found, and by which it is known what is shared.
    pub index_entries: u64,
    /// Keys that are stored for users.
    pub wrapped_keys: u64,
    /// Of all sealed data, index entries and keys for users, in SCALE.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub requests: u64,
    /// Of sealed data and keys, in SCALE.
    pub bytes: u64,
}

/// Records as a lite block has them.
fn packed<'r>(records: impl IntoIterator<Item = &'r Record>) -> anyhow::Result<Packed> {
    let mut block = BodyBuilder::new(HOSPITAL);
    for record in records {
        block.push(record)?;
    }
    Ok(block.finish()?)
}

/// Bytes of body and entries.
fn packed_bytes(packed: &Packed) -> u64 {
    let entries: usize = packed.entries.iter().map(Encode::encoded_size).sum();
    (packed.body.len() + entries) as u64
}

/// A key, sealed to each of these users by the hospital's agent.
fn wrapped(
    parties: &Parties,
    subject: &WrapSubject,
    key: &[u8; 32],
    users: &[Person],
) -> anyhow::Result<Vec<Wrap>> {
    let wrap = |user: &Person| {
        let context = context(parties, subject, user);
        anyhow::Ok(Wrap::seal(user.sealing.public(), &context, key, &parties.agent.account)?)
    };
    users.iter().map(wrap).collect()
}

/// The key in a user's wrap.
fn unwrapped(
    parties: &Parties,
    subject: &WrapSubject,
    wrap: &Wrap,
    user: &Person,
) -> anyhow::Result<[u8; 32]> {
    let context = context(parties, subject, user);
    let key = wrap.open(&user.sealing, &context, &parties.agent.account.id())?;
    Ok(key.as_slice().try_into()?)
}

fn context(parties: &Parties, subject: &WrapSubject, user: &Person) -> WrapContext {
    WrapContext {
        genesis: parties.genesis,
        hospital: HOSPITAL,
        user: parties.patient.id,
        subject: subject.clone(),
        recipient: user.account.id(),
    }
}

fn wrap_bytes(wraps: &[Wrap]) -> u64 {
    wraps.iter().map(Encode::encoded_size).sum::<usize>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::parties::texts;

    const SECTIONS: u64 = 3;
    const USERS: u64 = 2;

    fn shared<S: Scheme>() -> (Parties, Vec<Person>, Vec<String>, S) {
        let parties = Parties::new().unwrap();
        let users = ["//One", "//Two"].map(|uri| Person::of(uri).unwrap()).to_vec();
        let texts = texts("shared", SECTIONS as u16).unwrap();
        let shared = S::share(&parties, &texts, &users).unwrap();
        (parties, users, texts, shared)
    }

    /// Every user opens all sections, with their own keys only.
    fn opens<S: Scheme>() {
        let (parties, users, texts, shared) = shared::<S>();
        for (place, user) in users.iter().enumerate() {
            assert_eq!(shared.opened(&parties, place, user).unwrap(), texts);
        }
        let stranger = Person::of("//Stranger").unwrap();
        for (place, user) in [(0, &users[1]), (1, &users[0]), (0, &stranger), (9, &users[0])] {
            assert!(shared.opened(&parties, place, user).is_err());
        }
    }

    #[test]
    fn the_users_open_what_epione_shares() {
        opens::<OneRecord>();
    }

    #[test]
    fn the_users_open_separate_objects() {
        opens::<SeparateObjects>();
    }

    #[test]
    fn the_users_open_a_second_copy() {
        opens::<SecondCopy>();
    }

    #[test]
    fn only_the_rebuilt_schemes_store_keys_for_users() {
        let [one, separate, copy] = [
            shared::<OneRecord>().3.stored().unwrap(),
            shared::<SeparateObjects>().3.stored().unwrap(),
            shared::<SecondCopy>().3.stored().unwrap(),
        ];
        assert_eq!((one.wrapped_keys, one.index_entries), (0, 3));
        let each = (separate.wrapped_keys, separate.index_entries);
        assert_eq!(each, (SECTIONS * USERS, SECTIONS));
        assert_eq!((copy.wrapped_keys, copy.index_entries), (USERS, 2));
        assert!(one.bytes < separate.bytes && one.bytes < copy.bytes, "{one:?}");
    }

    #[test]
    fn only_separate_objects_need_a_request_for_each_section() {
        let requests = [
            shared::<OneRecord>().3.fetched().unwrap().requests,
            shared::<SeparateObjects>().3.fetched().unwrap().requests,
            shared::<SecondCopy>().3.fetched().unwrap().requests,
        ];
        assert_eq!(requests, [1, SECTIONS, 1]);
    }
}
