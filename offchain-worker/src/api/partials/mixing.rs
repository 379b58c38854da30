//! The mixing secrets of earlier epochs of the consortium key. Each epoch has that of the one before, encrypted under
//! its own, back to the first epoch of the key. A worker that follows these links keeps what it finds in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use epione_primitives::consortium::{Epoch, EpochId};
use epione_threshold::MixingSecret;

use super::making::MakingError;
use crate::{
    api::ApiError,
    chain::{FinalState, ViewError},
};

/// Secrets that are kept, at most, each with 32 bytes. Those of the newest epochs are kept: hospitals wrap again what
/// they wrapped long ago.
const MOST: usize = 4_096;
/// Epochs that are read together.
const PAGE: u32 = 64;

/// The mixing secrets that this worker has found by links. Each is the one whose hash is on the chain, where an epoch
/// never changes. They are erased when the value is dropped.
#[derive(Default)]
pub(in crate::api) struct FollowedSecrets(Mutex<BTreeMap<EpochId, MixingSecret>>);

impl FollowedSecrets {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<EpochId, MixingSecret>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, epoch: EpochId) -> Option<MixingSecret> {
        self.lock().get(&epoch).cloned()
    }

    fn keep(&self, epoch: EpochId, secret: MixingSecret) {
        let mut known = self.lock();
        known.insert(epoch, secret);
        while known.len() > MOST {
            known.pop_first();
        }
    }
}

/// The mixing secrets of these epochs of one key, which are not later than the newest one.
pub(super) async fn mixing_secrets(
    known: &FollowedSecrets,
    finalized: &dyn FinalState,
    newest: &Epoch,
    secret: &MixingSecret,
    wanted: &BTreeSet<EpochId>,
) -> Result<BTreeMap<EpochId, MixingSecret>, ApiError> {
    let (mut at, mut secret, mut found) = (newest.id, secret.clone(), BTreeMap::new());
    let mut pages = Pages { finalized, read: BTreeMap::new() };
    loop {
        if wanted.contains(&at) {
            found.insert(at, secret.clone());
        }
        if found.len() == wanted.len() {
            return Ok(found);
        }
        let earlier = at.0.checked_sub(1).map(EpochId).ok_or(MakingError::Link(at))?;
        secret = match known.get(earlier) {
            Some(secret) => secret,
            None => {
                let followed = pages.follow(at, earlier, &secret).await?;
                known.keep(earlier, followed.clone());
                followed
            }
        };
        at = earlier;
    }
}

/// The chain's epochs, of which the last page that was read is at hand.
struct Pages<'a> {
    finalized: &'a dyn FinalState,
    read: BTreeMap<EpochId, Epoch>,
}

impl Pages<'_> {
    /// The mixing secret of the epoch before, if it is the one whose hash is on the chain. The first epoch of a key has
    /// no link.
    async fn follow(
        &mut self,
        at: EpochId,
        earlier: EpochId,
        secret: &MixingSecret,
    ) -> Result<MixingSecret, ApiError> {
        let link = self.get(at).await?.and_then(|epoch| epoch.link);
        let hash = self.get(earlier).await?.map(|epoch| epoch.mixing.0);
        let followed = link.and_then(|link| secret.follow(&link));
        let followed = followed.filter(|followed| Some(followed.hash()) == hash);
        Ok(followed.ok_or(MakingError::Link(at))?)
    }

    async fn get(&mut self, id: EpochId) -> Result<Option<&Epoch>, ViewError> {
        if !self.read.contains_key(&id) {
            let first = id.0.saturating_sub(PAGE - 1);
            let ids: Vec<_> = (first..=id.0).map(EpochId).collect();
            let epochs = self.finalized.epochs(&ids).await?;
            let each = ids.into_iter().zip(epochs);
            self.read = each.filter_map(|(id, epoch)| Some((id, epoch?))).collect();
        }
        Ok(self.read.get(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_of_the_newest_epochs_are_kept_up_to_a_bound() {
        let followed = FollowedSecrets::default();
        let secret = |id: u32| MixingSecret::from_bytes([id as u8; 32]);
        let most = MOST as u32;
        for id in (0..most + 2).rev() {
            followed.keep(EpochId(id), secret(id));
        }
        assert_eq!(followed.lock().len(), MOST);
        assert!(followed.get(EpochId(1)).is_none());
        for id in [2, most + 1] {
            assert_eq!(followed.get(EpochId(id)).unwrap().hash(), secret(id).hash());
        }
    }
}
