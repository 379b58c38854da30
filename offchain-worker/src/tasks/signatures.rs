//! Whether a record was signed by those who must have signed it, and whether they were permitted to.
//!
//! A part of what `verification` checks before a hospital approves or announces a block.

use std::collections::{HashMap, HashSet};

use epione_client::chain::{Chain, Snapshot};
use epione_envelope::record::Record;
use epione_primitives::{AccountId, BlockNumber, Hash, HospitalId, UserId, profile::Role};

use super::TaskError;

/// The signers of some records of one hospital, as the chain knew them in one block.
pub struct Signers {
    genesis: Hash,
    /// The authors who may submit records at the hospital.
    authors: HashSet<UserId>,
    /// The accounts with which each author, and each patient with a co-signature, may have signed.
    accounts: HashMap<UserId, Vec<AccountId>>,
}

impl Signers {
    /// Reads the signers of these records at a finalized block.
    pub async fn of(
        chain: &Chain,
        hospital: HospitalId,
        block: BlockNumber,
        records: &[Record],
    ) -> Result<Self, TaskError> {
        let hash = chain
            .block_hash(block)
            .await?
            .ok_or(TaskError::Inconsistent("records are checked at a block that is not final"))?;
        let then = chain.at(hash);
        let mut authors = HashSet::new();
        for author in records.iter().map(Record::author).collect::<HashSet<_>>() {
            if may_submit(&then, hospital, author).await? {
                authors.insert(author);
            }
        }
        let mut accounts = HashMap::new();
        for signer in records.iter().flat_map(signers).collect::<HashSet<_>>() {
            accounts.insert(signer, chain.accounts_at(signer, block).await?);
        }
        Ok(Self { genesis: chain.genesis_hash(), authors, accounts })
    }

    /// Whether a record's author was permitted to sign it and did, and so did the patient if there is a co-signature.
    pub fn signed(&self, record: &Record) -> bool {
        let of = |user| self.accounts.get(&user).map_or(&[][..], Vec::as_slice);
        let by_author =
            || of(record.author()).iter().any(|it| record.verify(self.genesis, it).is_ok());
        let by_patient = || {
            record.patient_signature().is_none()
                || of(record.patient())
                    .iter()
                    .any(|it| record.verify_cosignature(self.genesis, it).is_ok())
        };
        self.authors.contains(&record.author()) && by_author() && by_patient()
    }
}

/// The users who must have signed a record.
fn signers(record: &Record) -> impl Iterator<Item = UserId> {
    let cosigner = record.patient_signature().map(|_| record.patient());
    [record.author()].into_iter().chain(cosigner)
}

/// Whether a user is a doctor or nurse whose registration at the hospital is in force.
async fn may_submit(
    then: &Snapshot,
    hospital: HospitalId,
    author: UserId,
) -> Result<bool, TaskError> {
    let Some(profile) = then.profile(author).await? else {
        return Ok(false);
    };
    if !matches!(profile.role, Role::Doctor | Role::Nurse) {
        return Ok(false);
    }
    let registration = then.registration(hospital, author).await?;
    let moment = then.time().await?;
    Ok(registration.is_some_and(|registration| registration.in_force(moment)))
}
