//! Which accounts a user had when something was signed. A user can rotate accounts; earlier signatures by the old
//! account stay valid.

use epione_primitives::{AccountId, BlockNumber, Hash, UserId, profile::Profile};

use super::{Chain, ChainError, error::unknown_number};

/// How many versions of a profile are searched for an earlier account. A rotation of the sealing key alone also makes a
/// version.
const MAX_VERSIONS_BACK: usize = 8;

impl Chain {
    /// The accounts that may have signed, for a user, what was announced in the finalized chain block `announced_at`:
    /// the account that the user had then, and the one before it, since the user may have rotated it between signing
    /// and announcing. Newest first; empty if the chain did not know the user then.
    pub async fn accounts_at(
        &self,
        user: UserId,
        announced_at: BlockNumber,
    ) -> Result<Vec<AccountId>, ChainError> {
        let mut before = announced_at;
        let Some(mut profile) = self.profile_at(user, before).await? else {
            return Ok(Vec::new());
        };
        let current = profile.account.clone();
        for _ in 0..MAX_VERSIONS_BACK {
            let Some((block, earlier)) = self.version_before(user, &profile, before).await? else {
                break;
            };
            if earlier.account != current {
                return Ok(vec![current, earlier.account]);
            }
            (before, profile) = (block, earlier);
        }
        Ok(vec![current])
    }

    /// The last block at which a user's profile had a lower version than it has at block `high`.
    async fn version_before(
        &self,
        user: UserId,
        newer: &Profile,
        mut high: BlockNumber,
    ) -> Result<Option<(BlockNumber, Profile)>, ChainError> {
        if newer.version <= 1 {
            return Ok(None);
        }
        let (mut low, mut found) = (0, None);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match self.profile_at(user, middle).await? {
                Some(profile) if profile.version >= newer.version => high = middle,
                earlier => {
                    low = middle;
                    found = earlier;
                }
            }
        }
        Ok(found.map(|profile| (low, profile)))
    }

    async fn profile_at(
        &self,
        user: UserId,
        number: BlockNumber,
    ) -> Result<Option<Profile>, ChainError> {
        let hash: Option<Hash> = self.canonical_hash(number).await?;
        self.at(hash.ok_or_else(|| unknown_number(number))?).profile(user).await
    }
}
