//! What pallet-profiles answers about new keys for users who lost theirs.

use codec::DecodeAll;
use epione_primitives::{UserId, limits::MAX_PAGE, profile::Recovery};
use epione_proofs::StateError;

use super::{BLAKE2_128, ChainError, VerifiedState, after_hash, keys};

impl VerifiedState {
    pub(in crate::chain) async fn recovery(
        &self,
        user: UserId,
    ) -> Result<Option<Recovery>, ChainError> {
        self.value(keys::recovery(user)).await
    }

    pub(in crate::chain) async fn recoveries(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Recovery)>, ChainError> {
        let (prefix, after) = (keys::recoveries(), after.map(keys::recovery));
        let page = self.entries(&prefix, after.as_ref(), limit.min(MAX_PAGE)).await?;
        let mut recoveries = Vec::new();
        for (key, value) in page {
            let user: Result<UserId, _> = after_hash(&prefix, BLAKE2_128, &key);
            let user = user.map_err(|error| self.chain().doubt(error))?;
            let Ok(recovery) = Recovery::decode_all(&mut value.as_slice()) else {
                return Err(self.chain().doubt(StateError::OtherType { key: prefix }));
            };
            recoveries.push((user, recovery));
        }
        Ok(recoveries)
    }
}
