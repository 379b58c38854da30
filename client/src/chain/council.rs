//! The council: its members and motions, what became of a motion that was closed, and an upgrade that it authorized.
//!
//! The runtime API does not answer about them. A client reads the chain's storage, with storage proofs, also if it
//! believes which state a block has.

use codec::{Decode, DecodeAll};
use epione_primitives::{AccountId, BlockNumber, Hash, HospitalId, quota::Limits};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use super::{Chain, ChainError, ChainEvent, DispatchFailure, Included, Snapshot};

/// A motion on which the council votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Motion {
    /// Blake2-256 of the call.
    pub hash: Hash,
    /// In the order of the proposals, from 0.
    pub number: u32,
    /// The votes that it needs.
    pub threshold: u32,
    pub ayes: Vec<AccountId>,
    pub nays: Vec<AccountId>,
    /// From this block on, it can be closed without enough votes.
    pub end: BlockNumber,
    /// The account that proposed it, which may have been rotated since, and its hospital.
    pub proposer: Option<(AccountId, HospitalId)>,
    /// SCALE of the call that it dispatches.
    pub call: Vec<u8>,
}

impl Motion {
    /// Whether the hash, which votes name, is that of the call, which members read.
    pub(super) fn is_bound(&self) -> bool {
        BlakeTwo256::hash(&self.call) == self.hash
    }
}

/// An upgrade that the council authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorizedUpgrade {
    /// Blake2-256 of the code.
    pub code_hash: Hash,
    /// Whether the chain compares name and version of the code with the present runtime's.
    pub checks: bool,
    /// The first block that may apply it; none if the council never authorized one by a motion.
    pub first: Option<BlockNumber>,
}

/// What became of a motion that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    pub ayes: u32,
    /// Includes the members who did not vote, if the motion was closed at its end.
    pub nays: u32,
    pub outcome: MotionOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MotionOutcome {
    /// It had too few votes, and dispatched nothing.
    Disapproved,
    /// The call took effect.
    Executed,
    /// It had enough votes, but its call failed, and changed nothing.
    Failed(DispatchFailure),
}

impl Snapshot {
    /// The council's members: governance accounts, ascending.
    pub async fn council_members(&self) -> Result<Vec<AccountId>, ChainError> {
        self.proving().await?.council_members().await
    }

    /// The live motions, oldest first.
    pub async fn motions(&self) -> Result<Vec<Motion>, ChainError> {
        self.proving().await?.motions().await
    }

    /// The upgrade that the council authorized last, unless it was applied.
    pub async fn authorized_upgrade(&self) -> Result<Option<AuthorizedUpgrade>, ChainError> {
        self.proving().await?.authorized_upgrade().await
    }

    /// The quotas in force.
    pub async fn quota_limits(&self) -> Result<Limits, ChainError> {
        self.proving().await?.quota_limits().await
    }
}

impl Included {
    /// The number of the motion that a call proposed, if it did.
    pub fn proposed_motion(&self) -> Option<u32> {
        let fields = self.fields_of("Council", "Proposed")?;
        let (_, number, ..) = <(AccountId, u32, Hash, u32)>::decode_all(&mut &*fields).ok()?;
        Some(number)
    }

    /// Whether a call replaced the runtime.
    pub fn has_upgraded(&self) -> bool {
        self.fields_of("System", "CodeUpdated").is_some()
    }

    /// The fields of the first event with this name that this version gives no type of its own.
    fn fields_of(&self, pallet: &str, name: &str) -> Option<&[u8]> {
        self.events.iter().find_map(|event| match event {
            ChainEvent::Other { pallet: found, name: named, fields }
                if found == pallet && named == name =>
            {
                Some(fields.as_slice())
            }
            _ => None,
        })
    }
}

impl Chain {
    /// What became of the motion that a call closed.
    pub async fn closing(&self, closed: &Included) -> Result<Closing, ChainError> {
        let counted = closed.fields_of("Council", "Closed").unwrap_or_default();
        let (_, ayes, nays) = <(Hash, u32, u32)>::decode_all(&mut &*counted)
            .map_err(|error| ChainError::malformed("Council.Closed", error))?;
        Ok(Closing { ayes, nays, outcome: self.motion_outcome(closed).await? })
    }

    /// What became of the motion's call that a call dispatched, if it did.
    pub async fn motion_outcome(&self, closed: &Included) -> Result<MotionOutcome, ChainError> {
        let Some(mut executed) = closed.fields_of("Council", "Executed") else {
            return Ok(MotionOutcome::Disapproved);
        };
        Hash::decode(&mut executed)
            .map_err(|error| ChainError::malformed("Council.Executed", error))?;
        // What root dispatched may fail although the motion did not.
        let dispatched = closed.fields_of("CouncilRoot", "Dispatched");
        for result in [Some(executed), dispatched].into_iter().flatten() {
            if let Some(failure) = self.failure_of(closed.block.hash, result).await? {
                return Ok(MotionOutcome::Failed(failure));
            }
        }
        Ok(MotionOutcome::Executed)
    }

    /// The failure in an encoded `DispatchResult`, in the words of the block's metadata.
    async fn failure_of(
        &self,
        block: Hash,
        result: &[u8],
    ) -> Result<Option<DispatchFailure>, ChainError> {
        match result {
            [0] => Ok(None),
            [1, error @ ..] => {
                let at = self.within_limit(self.client_at(block)).await?;
                DispatchFailure::read(error, at.metadata_ref()).map(Some)
            }
            _ => Err(ChainError::malformed("the result of a motion", "it is no result")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use codec::Encode;
    use serde_json::json;

    use super::*;
    use crate::chain::{BlockRef, fake::FakeNode};

    const MOTION: Hash = Hash::repeat_byte(7);

    fn event(pallet: &str, name: &str, fields: &impl Encode) -> ChainEvent {
        let (pallet, name) = (pallet.to_owned(), name.to_owned());
        ChainEvent::Other { pallet, name, fields: fields.encode() }
    }

    fn included(events: Vec<ChainEvent>) -> Included {
        Included { block: BlockRef { hash: Hash::zero(), number: 9 }, extrinsic: 1, events }
    }

    async fn closing(events: Vec<ChainEvent>) -> Result<Closing, ChainError> {
        let chain = FakeNode::new(|_, _| json!(null)).connect().await;
        chain.closing(&included(events)).await
    }

    #[tokio::test]
    async fn a_motion_without_enough_votes_dispatches_nothing() {
        let closed = event("Council", "Closed", &(MOTION, 1_u32, 3_u32));
        let disapproved = event("Council", "Disapproved", &MOTION);
        let closing = closing(vec![closed, disapproved]).await.unwrap();
        assert_eq!(closing.outcome, MotionOutcome::Disapproved);
        assert_eq!((closing.ayes, closing.nays), (1, 3));
    }

    #[tokio::test]
    async fn a_motion_is_executed_if_neither_it_nor_what_root_dispatched_failed() {
        let ok: Result<(), u8> = Ok(());
        let closed = event("Council", "Closed", &(MOTION, 3_u32, 0_u32));
        let dispatched = event("CouncilRoot", "Dispatched", &ok);
        let executed = event("Council", "Executed", &(MOTION, ok));
        let closing = closing(vec![closed, dispatched, executed]).await.unwrap();
        assert_eq!(closing.outcome, MotionOutcome::Executed);
    }

    #[tokio::test]
    async fn an_outcome_that_cannot_be_read_is_an_error() {
        closing(Vec::new()).await.unwrap_err();
        let closed = || event("Council", "Closed", &(MOTION, 3_u32, 0_u32));
        for executed in [Vec::new(), MOTION.encode(), (MOTION, 2_u8).encode()] {
            let executed = ChainEvent::Other {
                pallet: "Council".into(),
                name: "Executed".into(),
                fields: executed,
            };
            closing(vec![closed(), executed]).await.unwrap_err();
        }
    }

    #[test]
    fn a_proposal_has_the_number_of_its_motion() {
        let proposed = (AccountId::new([1; 32]), 5_u32, MOTION, 3_u32);
        let events = vec![event("Council", "Proposed", &proposed)];
        assert_eq!(included(events).proposed_motion(), Some(5));
        assert_eq!(included(Vec::new()).proposed_motion(), None);
    }
}
