//! How many bytes are written when a patient changes what is shared, or with whom: by Epione, transaction and state,
//! and by the two rebuilt schemes, sealed data and keys.

use anyhow::ensure;
use epione_client::chain::calls::{Call, sharing};
use epione_primitives::{
    RecordPointer,
    release::{ReleasedRecord, SectionSet},
    sharing::ConsentVersion,
};
use serde::Serialize;

use super::{
    parties::{Parties, Person, ids, texts},
    schemes::{SLOT, Scheme, SecondCopy, SeparateObjects, UNTIL, consented, first, placed},
    state,
    wire::transaction,
};

/// The records of the patient, all with the same shared sections.
pub(super) const RECORDS: u64 = 10;
const POINTER: RecordPointer = RecordPointer { height: 1, index: 0 };

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// One more section of one record is shared with all users.
    SectionShared,
    /// One more user may read the shared sections of all records.
    UserAdmitted,
    /// One of the users may not read them any more.
    UserRemoved,
}

/// Bytes that a change writes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Update {
    pub what: What,
    /// Shared sections of each record, before the change.
    pub sections: u16,
    /// Users after the change.
    pub users: u16,
    /// The signed transaction.
    pub transaction_bytes: u64,
    /// What it writes into the chain's state, in SCALE.
    pub state_bytes: u64,
    pub separate_objects_bytes: u64,
    pub second_copy_bytes: u64,
}

/// All changes, with so many sections and users.
pub(super) fn measure(
    parties: &Parties,
    sections: u16,
    users: &[Person],
) -> anyhow::Result<Vec<Update>> {
    Ok(vec![
        section_shared(parties, sections, users)?,
        user_admitted(parties, sections, users)?,
        user_removed(parties, sections, users)?,
    ])
}

fn section_shared(parties: &Parties, sections: u16, users: &[Person]) -> anyhow::Result<Update> {
    let mut added = SectionSet::default();
    ensure!(added.insert(sections), "a record has no section {sections}");
    let call = sharing::place(SLOT, &[ReleasedRecord { pointer: POINTER, sections: added }]);
    let place = (parties.patient.id, SLOT);
    let (placements, now) = (placed(sections + 1)?, first(sections + 1)?);
    let state = state::placed(place, POINTER, &placements, now) + state::head();
    let texts = texts("updating", sections + 1)?;
    let new = texts.last().map(std::slice::from_ref).unwrap_or_default();
    Ok(Update {
        what: What::SectionShared,
        sections,
        users: u16::try_from(users.len())?,
        transaction_bytes: sent(parties, &call),
        state_bytes: state as u64,
        // The section is an object already: it needs no more than its key for every user.
        separate_objects_bytes: SeparateObjects::share(parties, new, users)?.key_bytes(),
        second_copy_bytes: SecondCopy::share(parties, &texts, users)?.copy_bytes()?,
    })
}

fn user_admitted(parties: &Parties, sections: u16, users: &[Person]) -> anyhow::Result<Update> {
    let texts = texts("updating", sections)?;
    let admitted = users.get(..1).unwrap_or_default();
    let keys = SeparateObjects::share(parties, &texts, admitted)?.key_bytes();
    let key = SecondCopy::share(parties, &texts, admitted)?.key_bytes();
    given(parties, What::UserAdmitted, sections, users, [keys * RECORDS, key * RECORDS])
}

fn user_removed(parties: &Parties, sections: u16, users: &[Person]) -> anyhow::Result<Update> {
    let texts = texts("updating", sections)?;
    // The user who is removed knows the keys.
    let objects = SeparateObjects::share(parties, &texts, users)?.stored()?.bytes;
    let copy = SecondCopy::share(parties, &texts, users)?.copy_bytes()?;
    given(parties, What::UserRemoved, sections, users, [objects * RECORDS, copy * RECORDS])
}

/// A new version of the consent: one transaction for all records.
fn given(
    parties: &Parties,
    what: What,
    sections: u16,
    users: &[Person],
    [separate_objects_bytes, second_copy_bytes]: [u64; 2],
) -> anyhow::Result<Update> {
    let consent = consented(&ids(users), UNTIL)?;
    let call = sharing::give(SLOT, &consent, 1);
    let place = (parties.patient.id, SLOT);
    let now = ConsentVersion { version: 2, consent, since: 1, block: 1, ended: None };
    // The chain keeps the former version, which names about as many users.
    let former = ConsentVersion { version: 1, ended: Some(1), ..now.clone() };
    let state = state::given(place, &now) + state::replaced(place, &former) + state::head();
    Ok(Update {
        what,
        sections,
        users: u16::try_from(users.len())?,
        transaction_bytes: sent(parties, &call),
        state_bytes: state as u64,
        separate_objects_bytes,
        second_copy_bytes,
    })
}

/// Bytes of the patient's transaction.
fn sent(parties: &Parties, call: &Call) -> u64 {
    transaction(call, &parties.patient.account, parties.genesis).len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(count: u16) -> Vec<Person> {
        (0..count).map(|number| Person::of(&format!("//User-{number}")).unwrap()).collect()
    }

    fn measured(sections: u16, count: u16) -> [Update; 3] {
        let parties = Parties::new().unwrap();
        measure(&parties, sections, &users(count)).unwrap().try_into().unwrap()
    }

    fn written(update: &Update) -> u64 {
        update.transaction_bytes + update.state_bytes
    }

    #[test]
    fn what_epione_writes_does_not_grow_with_the_sections() {
        let (few, many) = (measured(1, 2), measured(5, 2));
        for (few, many) in few.iter().zip(&many) {
            assert_eq!(written(few), written(many), "{few:?} {many:?}");
            assert!(few.transaction_bytes > 100 && few.state_bytes > 40, "{few:?}");
        }
    }

    #[test]
    fn keys_grow_with_sections_and_users_in_the_rebuilt_schemes() {
        let [shared, admitted, removed] = measured(2, 1);
        let [shared_3, _, removed_3] = measured(2, 3);
        let [_, admitted_4, _] = measured(4, 1);
        assert_eq!(shared_3.separate_objects_bytes, 3 * shared.separate_objects_bytes);
        assert_eq!(admitted_4.separate_objects_bytes, 2 * admitted.separate_objects_bytes);
        assert_eq!(admitted_4.second_copy_bytes, admitted.second_copy_bytes);
        assert!(shared_3.second_copy_bytes > shared.second_copy_bytes);
        assert!(removed_3.separate_objects_bytes > removed.separate_objects_bytes);
        // All records are sealed again, and not only their keys.
        assert!(removed.second_copy_bytes > RECORDS * 2 * 1_000, "{removed:?}");
    }

    #[test]
    fn a_section_that_no_record_can_have_is_refused() {
        let parties = Parties::new().unwrap();
        assert!(measure(&parties, 64, &users(1)).is_err());
    }
}
