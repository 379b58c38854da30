//! Which account a user had when something was signed: what is signed names a chain block, and the state after this
//! block decides. So a key that was replaced signs nothing new, and what it signed before stays valid.

use epione_primitives::{AccountId, UserId, block::SignedAt};

use super::{BlockRef, Chain, ChainError};

/// What is signed now names the newest finalized block.
impl From<BlockRef> for SignedAt {
    fn from(BlockRef { hash, number }: BlockRef) -> Self {
        Self { number, hash }
    }
}

impl Chain {
    /// Whether this is a finalized block of the chain.
    pub async fn is_final(&self, block: SignedAt) -> Result<bool, ChainError> {
        Ok(self.block_hash(block.number).await? == Some(block.hash))
    }

    /// The account with which a user signs at this block. None if the chain did not know the user then, or if this is
    /// not a finalized block of the chain.
    pub async fn account_at(
        &self,
        user: UserId,
        signed_at: SignedAt,
    ) -> Result<Option<AccountId>, ChainError> {
        if !self.is_final(signed_at).await? {
            return Ok(None);
        }
        let profile = self.at(signed_at.hash).profile(user).await?;
        Ok(profile.map(|profile| profile.account))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use codec::Encode;
    use epione_primitives::{
        Hash,
        profile::{Profile, Role},
    };
    use serde_json::{Value, json};
    use sp_core::Bytes;

    use super::*;
    use crate::chain::fake::FakeNode;

    const USER: UserId = UserId([5; 32]);

    fn account(byte: u8) -> AccountId {
        AccountId::new([byte; 32])
    }

    fn block(number: u32) -> Hash {
        Hash::repeat_byte(number as u8)
    }

    /// A node whose newest finalized block is 8. At block 4 the user has account 1, from block 6 on account 2.
    fn node() -> FakeNode {
        let scale = |profile: Option<Profile>| json!(Bytes(profile.encode()));
        FakeNode::new(move |method, params: &[Value]| match method {
            "chain_getFinalizedHead" => json!(block(8)),
            "chain_getHeader" => json!({ "number": "0x8" }),
            "chain_getBlockHash" => json!(block(params[0].as_u64().unwrap() as u32)),
            "ProfilesApi_profile" => {
                let at: Hash = serde_json::from_value(params[2].clone()).unwrap();
                let number = at.as_bytes()[0];
                scale((number >= 4).then(|| Profile {
                    role: Role::Doctor,
                    account: account(if number >= 6 { 2 } else { 1 }),
                    sealing_key_hash: Hash::zero(),
                    version: 1,
                    since: 0,
                }))
            }
            other => panic!("{other}"),
        })
    }

    #[tokio::test]
    async fn a_user_signs_with_the_account_of_the_named_block_only() {
        let chain = node().connect().await;
        let at =
            async |number, hash| chain.account_at(USER, SignedAt { number, hash }).await.unwrap();
        assert_eq!(at(3, block(3)).await, None, "not registered yet");
        assert_eq!(at(5, block(5)).await, Some(account(1)));
        assert_eq!(at(6, block(6)).await, Some(account(2)));
    }

    #[tokio::test]
    async fn a_block_of_a_fork_or_of_the_future_gives_no_account() {
        let node = node();
        let chain = node.connect().await;
        for (number, hash) in [(5, block(6)), (9, block(9)), (u32::MAX, block(5))] {
            let found = chain.account_at(USER, SignedAt { number, hash }).await.unwrap();
            assert_eq!(found, None, "{number}");
        }
        assert!(!node.requests().contains(&"ProfilesApi_profile".to_owned()));
    }
}
