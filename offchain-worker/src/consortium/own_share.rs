//! This hospital's share of the consortium key, for the parts of the worker that use it.

use epione_primitives::consortium::Epoch;
use epione_threshold::{MixingSecret, Share};

use crate::journal::{Journal, JournalError, consortium};

/// What a member of the consortium key has in an epoch. Both are zeroized when they are dropped.
pub struct OwnShare {
    pub share: Share,
    /// The same at all members.
    pub mixing: MixingSecret,
}

/// The hospital's share of an epoch; none if the hospital is no member of it, or if the worker has not got its share
/// yet, or has lost or erased it.
pub async fn of_epoch(journal: &Journal, epoch: &Epoch) -> Result<Option<OwnShare>, JournalError> {
    let secrets = journal.read(|connection| consortium::secrets(connection, None, None));
    let held = secrets.await?.shares.remove(&epoch.ceremony);
    Ok(held.and_then(|held| {
        let share = Share::decode(&held.share)?;
        Some(OwnShare { share, mixing: MixingSecret::from_bytes(*held.mixing) })
    }))
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        Hash,
        consortium::{CeremonyId, EpochId, KeyId, SeatSet},
    };
    use epione_threshold::{Index, Polynomial};

    use super::*;
    use crate::consortium::{HeldShare, Secret};

    fn epoch(ceremony: u32) -> Epoch {
        Epoch {
            id: EpochId(0),
            key: KeyId(0),
            ceremony: CeremonyId(ceremony),
            members: Default::default(),
            threshold: 2,
            faulty: 0,
            commitments: Default::default(),
            mixing: Hash::zero(),
            link: None,
            since: 1,
            confirmed: SeatSet::default(),
        }
    }

    #[tokio::test]
    async fn the_journal_has_the_share_of_the_ceremony_that_made_the_epoch() {
        let journal = Journal::in_memory().await.unwrap();
        let polynomial = Polynomial::generate(&[1; 32], 2).unwrap();
        let share = polynomial.share(Index::of_hospital(3));
        let held = HeldShare { share: share.encode(), mixing: Secret::new([2; 32]) };
        let kept = journal.write(move |tx| consortium::keep_share(tx, CeremonyId(4), &held));
        kept.await.unwrap();
        let own = of_epoch(&journal, &epoch(4)).await.unwrap().unwrap();
        assert!(own.share == share);
        assert_eq!(own.mixing.encode().as_slice(), [2; 32]);
        for other in [3, 5] {
            assert!(of_epoch(&journal, &epoch(other)).await.unwrap().is_none());
        }
    }
}
