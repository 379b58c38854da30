//! The patient keys that this hospital has opened as the custodian of removed hospitals, each sealed to this hospital's
//! own sealing key.

use epione_primitives::{Hash, HospitalId, UserId, custody::ClaimId};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A patient's key at a removed hospital.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedKey {
    pub departed: HospitalId,
    pub patient: UserId,
    /// The hash of the profile body whose newest patient key it is.
    pub profile: Hash,
    /// How many versions that body has.
    pub versions: u32,
    pub claim: ClaimId,
    /// SCALE of the account that sealed it, and of a wrap.
    pub sealed: Vec<u8>,
}

/// Stores a key, in place of the one before.
pub fn keep(tx: &Connection, key: &InheritedKey) -> rusqlite::Result<()> {
    let InheritedKey { departed, patient, profile, versions, claim, sealed } = key;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO inherited_keys (hospital, patient, profile, versions, claim, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![departed.0, patient.0, profile.0, versions, claim.0, sealed])
    .map(drop)
}

/// A patient's key at a removed hospital.
pub fn find(
    connection: &Connection,
    departed: HospitalId,
    patient: UserId,
) -> rusqlite::Result<Option<InheritedKey>> {
    connection
        .prepare_cached(
            "SELECT hospital, patient, profile, versions, claim, sealed FROM inherited_keys
             WHERE hospital = ?1 AND patient = ?2",
        )?
        .query_row(params![departed.0, patient.0], inherited)
        .optional()
}

/// All of them, by hospital and patient.
pub fn all(connection: &Connection) -> rusqlite::Result<Vec<InheritedKey>> {
    connection
        .prepare_cached(
            "SELECT hospital, patient, profile, versions, claim, sealed FROM inherited_keys
             ORDER BY hospital, patient",
        )?
        .query_map([], inherited)?
        .collect()
}

fn inherited(row: &Row<'_>) -> rusqlite::Result<InheritedKey> {
    Ok(InheritedKey {
        departed: HospitalId(row.get(0)?),
        patient: UserId(row.get(1)?),
        profile: Hash::from(row.get::<_, [u8; 32]>(2)?),
        versions: row.get(3)?,
        claim: ClaimId(row.get(4)?),
        sealed: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    #[tokio::test]
    async fn a_later_key_of_a_patient_replaces_the_earlier_one() {
        let journal = Journal::in_memory().await.unwrap();
        let key = |hospital, patient, versions| InheritedKey {
            departed: HospitalId(hospital),
            patient: UserId([patient; 32]),
            profile: Hash::repeat_byte(patient),
            versions,
            claim: ClaimId(versions),
            sealed: vec![patient; 40],
        };
        for kept in [key(2, 1, 1), key(1, 9, 1), key(1, 9, 4)] {
            journal.write(move |tx| keep(tx, &kept)).await.unwrap();
        }
        assert_eq!(journal.read(all).await.unwrap(), [key(1, 9, 4), key(2, 1, 1)]);
        let of = |hospital, patient| {
            journal.read(move |it| find(it, HospitalId(hospital), UserId([patient; 32])))
        };
        assert_eq!(of(2, 1).await.unwrap(), Some(key(2, 1, 1)));
        assert_eq!(of(2, 9).await.unwrap(), None);
    }
}
