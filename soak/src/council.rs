//! Motions of the council, as a tool of the operators sends them. Only this file knows the numbers of these calls.
//!
//! A call within another call is encoded with the number of its pallet and its own number, which the runtime pins.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use codec::{Compact, Encode, Output};
use epione_client::{
    chain::{Call, Chain, SubmitError},
    signer::Account,
};
use epione_devnet::HospitalState;
use epione_primitives::{BlockNumber, Hash, HospitalId};
use serde_json::json;
use sp_runtime::traits::{BlakeTwo256, Hash as _};
use tokio::time::sleep;

use crate::{
    node::Node,
    patience::patiently,
    storage,
    transaction::{self, Birth},
};

/// The weight that is declared for a motion's call: computation in picoseconds, and bytes of its proof. Nodes refuse
/// more than a fifth of a block.
const MOTION_WEIGHT: (Compact<u64>, Compact<u64>) = (Compact(300_000_000_000), Compact(4 << 20));

/// Storage prefix of `Council::Voting`.
const COUNCIL_VOTING: &str = "aebd463ed9925c488c112434d61debc071cd3068e6118bfb392b798317f63a89";

/// The numbers of the pallet Council, and of its calls `propose`, `vote` and `close`.
const COUNCIL: u8 = 9;
const PROPOSE: u8 = 2;
const VOTE: u8 = 3;
const CLOSE: u8 = 6;

/// How long one step of a motion may take, also if attackers fill the pools.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a transaction may wait for a block.
const INCLUSION: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(500);
/// So many blocks before the best one, a block stays on the best branch, also while none becomes final.
const DEPTH: BlockNumber = 8;

/// A call within another call.
#[derive(Clone)]
pub struct Nested(Vec<u8>);

impl Nested {
    pub fn new(pallet: u8, call: u8, arguments: impl Encode) -> Self {
        Self((pallet, call, arguments).encode())
    }

    /// The hash by which the council knows it.
    pub fn hash(&self) -> Hash {
        BlakeTwo256::hash(&self.0)
    }

    fn length(&self) -> Compact<u32> {
        Compact(u32::try_from(self.0.len()).unwrap_or(u32::MAX))
    }
}

impl Encode for Nested {
    fn size_hint(&self) -> usize {
        self.0.len()
    }

    fn encode_to<T: Output + ?Sized>(&self, to: &mut T) {
        to.write(&self.0);
    }
}

/// `system.remark`, which changes nothing.
pub fn remark(number: u64) -> Nested {
    Nested::new(0, 0, number.encode())
}

/// `hospitals.suspend`.
pub fn suspend(hospital: HospitalId) -> Nested {
    Nested::new(6, 1, hospital)
}

/// `hospitals.reinstate`.
pub fn reinstate(hospital: HospitalId) -> Nested {
    Nested::new(6, 2, hospital)
}

/// `hospitals.remove`.
pub fn remove(hospital: HospitalId) -> Nested {
    Nested::new(6, 3, hospital)
}

/// `councilRoot.dispatch(grandpa.note_stalled)`: the next session's authorities take over by force, `delay` blocks
/// after its first block. `finalized` is the newest block that is final at the living hospitals.
pub fn note_stalled(delay: BlockNumber, finalized: BlockNumber) -> Nested {
    Nested::new(16, 0, Nested::new(8, 2, (delay, finalized)))
}

/// `councilRoot.dispatch(system.authorize_upgrade)`: the code with this hash may become the chain's runtime.
pub fn authorize_upgrade(code: Hash) -> Nested {
    Nested::new(16, 0, Nested::new(0, 9, code))
}

/// `councilRoot.dispatch(custody.appoint)`: the custodian of a removed hospital's patient keys.
pub fn appoint(departed: HospitalId, custodian: HospitalId) -> Nested {
    Nested::new(16, 0, Nested::new(25, 1, (departed, custodian)))
}

/// The votes of more than half of this many members.
pub fn more_than_half(members: usize) -> usize {
    members / 2 + 1
}

/// The votes of at least two thirds of this many members, which a call as root needs.
pub fn two_thirds(members: usize) -> usize {
    (2 * members).div_ceil(3)
}

pub fn propose(threshold: u32, proposal: &Nested) -> Call {
    Call::new("Council", "propose", (Compact(threshold), proposal, proposal.length()))
}

pub fn vote(motion: Hash, index: u32, approve: bool) -> Call {
    Call::new("Council", "vote", (motion, Compact(index), approve))
}

pub fn close(proposal: &Nested, index: u32) -> Call {
    let arguments = (proposal.hash(), Compact(index), MOTION_WEIGHT, proposal.length());
    Call::new("Council", "close", arguments)
}

/// The storage key of the votes about a motion, in hexadecimal. The votes begin with the motion's index, a `u32`.
pub fn votes_key(motion: Hash) -> String {
    format!("0x{COUNCIL_VOTING}{}", hex::encode(motion))
}

/// Passes a motion by the votes of these hospitals: each must vote. Returns when the last step is final.
pub async fn pass(voters: &[HospitalState], motion: &Nested) -> anyhow::Result<()> {
    let first = voters.first().context("nobody votes for the motion")?;
    let threshold = u32::try_from(voters.len())?;
    submit(first, &propose(threshold, motion)).await.context("no motion was proposed")?;
    let votes = votes_key(motion.hash());
    let index = Node::new(&first.node_url)?.stored_number(&votes).await?;
    let index = index.context("there is no motion")?;
    for member in voters {
        submit(member, &vote(motion.hash(), index, true))
            .await
            .with_context(|| format!("{} could not vote", member.name))?;
    }
    submit(first, &close(motion, index)).await.context("the motion was not closed")
}

/// Submits a call of a hospital's governance account, and repeats what fails.
async fn submit(hospital: &HospitalState, call: &Call) -> anyhow::Result<()> {
    let governance = Account::development(&hospital.governance)?;
    patiently(PATIENCE, async || {
        // The node may be in another network namespace of this machine.
        let chain = Chain::connect_unprotected(&hospital.node_url).await?;
        match chain.submit(call, &governance).await {
            // An earlier attempt succeeded, although its outcome was not seen in time.
            Err(SubmitError::Dispatch(failure))
                if ["DuplicateProposal", "DuplicateVote", "ProposalMissing"]
                    .contains(&failure.error.as_str()) =>
            {
                Ok(())
            }
            outcome => Ok(outcome.map(drop)?),
        }
    })
    .await
}

/// As [`pass`], while no block becomes final: the lifetime of each transaction begins at the best block of this node,
/// and each step ends when the node's best block has it.
pub async fn pass_at_best(
    node: &Node,
    voters: &[HospitalState],
    motion: &Nested,
) -> anyhow::Result<()> {
    let first = Account::development(&voters.first().context("nobody votes")?.governance)?;
    let threshold = u32::try_from(voters.len())?;
    let votes = votes_key(motion.hash());
    include(node, &first, PROPOSE, &propose(threshold, motion)).await?;
    let index = node.stored_number(&votes).await?.context("the motion was not proposed")?;
    for voter in voters {
        let account = Account::development(&voter.governance)?;
        include(node, &account, VOTE, &vote(motion.hash(), index, true)).await?;
    }
    include(node, &first, CLOSE, &close(motion, index)).await?;
    ensure!(node.stored(&votes).await?.is_none(), "the motion is still open after `close`");
    Ok(())
}

/// Sends a call of the council by its number, and waits until a best block includes it. The call may have failed.
async fn include(node: &Node, signer: &Account, index: u8, call: &Call) -> anyhow::Result<()> {
    let bytes = [&[COUNCIL, index][..], &call.arguments].concat();
    let nonce = node.next_nonce(signer).await?;
    let genesis = node.hash(0).await?.context("the node has no first block")?;
    // Another block can take the place of one of the newest.
    let number = node.number(None).await?.saturating_sub(DEPTH);
    let hash = node.hash(number).await?.context("the node's best block changed")?;
    let birth = Birth { genesis, hash, number };
    let sent = transaction::signed(&bytes, signer, birth, nonce);
    let sent = format!("0x{}", hex::encode(sent));
    node.call("author_submitExtrinsic", json!([sent]))
        .await
        .with_context(|| format!("the node refused {call:?}"))?;
    // The nonce is the first field of what the chain stores about an account.
    let account = storage::blake2_128_entry("System", "Account", &signer.id());
    let begun = Instant::now();
    while node.stored_number(&account).await?.unwrap_or(0) <= nonce {
        ensure!(begun.elapsed() < INCLUSION, "no block includes {call:?}");
        sleep(POLL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use codec::Decode;
    use epione_runtime::RuntimeCall;

    use super::*;

    #[test]
    fn a_nested_call_is_its_indices_and_its_arguments() {
        assert_eq!(suspend(HospitalId(3)).0, [6, 1, 3, 0]);
        let motion = propose(3, &suspend(HospitalId(3)));
        assert_eq!(motion.arguments, [3 << 2, 6, 1, 3, 0, 4 << 2]);
        assert_eq!(remark(1).0[..3], [0, 0, 8 << 2]);
    }

    /// What the runtime calls it: pallet and call, and for a call as root those of the inner call, too.
    fn named(bytes: &[u8]) -> String {
        let call = RuntimeCall::decode(&mut &*bytes).unwrap();
        assert_eq!(call.encode(), bytes);
        format!("{call:?}")
    }

    #[test]
    fn the_runtime_knows_these_calls_by_these_numbers() {
        let hospital = HospitalId(3);
        for (motion, words) in [
            (suspend(hospital), "suspend"),
            (reinstate(hospital), "reinstate"),
            (remove(hospital), "remove"),
            (note_stalled(40, 7), "note_stalled"),
            (appoint(hospital, HospitalId(1)), "appoint"),
            (authorize_upgrade(Hash::repeat_byte(1)), "authorize_upgrade"),
        ] {
            assert!(named(&motion.0).contains(words), "{words}");
        }
        let motion = suspend(hospital);
        for (number, call) in [
            (PROPOSE, propose(3, &motion)),
            (VOTE, vote(motion.hash(), 0, true)),
            (CLOSE, close(&motion, 0)),
        ] {
            let bytes = [&[COUNCIL, number][..], &call.arguments].concat();
            assert!(named(&bytes).contains(call.name), "{}", call.name);
        }
    }

    #[test]
    fn votes_are_counted_as_the_runtime_counts_them() {
        assert_eq!([4, 5, 7].map(more_than_half), [3, 3, 4]);
        assert_eq!([3, 4, 7].map(two_thirds), [2, 3, 5]);
    }
}
