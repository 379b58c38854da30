//! The council of one hospital, whose motions are dispatched when they are proposed; and transactions from the newest
//! block.

use epione_client::{
    chain::{Birth, Call, ChainError, Doubt, MotionOutcome, SubmitError, calls::council},
    council::{Proposal, needed},
};
use epione_primitives::{Hash, HospitalId, quota::Limits};

use crate::{account, node::Node, verified::verifying};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_verifies_knows_what_a_motion_came_to() {
    let node = Node::shared();
    let trusting = node.connect().await;
    let chain = verifying(&node, &trusting).await;
    let governance = account("//Alice");
    let state = chain.finalized().await.unwrap();
    assert_eq!(state.council_members().await.unwrap(), [governance.id()]);
    assert!(state.motions().await.unwrap().is_empty());
    assert_eq!(state.authorized_upgrade().await.unwrap(), None);
    assert_eq!(state.quota_limits().await.unwrap(), Limits::USUAL);

    let decide = async |proposal: &Proposal| {
        let call = proposal.encode();
        let propose = council::propose(needed(&call, 1), &call);
        let sent = chain.submit(&propose, &governance).await.unwrap();
        assert_eq!(sent.proposed_motion(), None);
        (chain.motion_outcome(&sent).await.unwrap(), sent.block)
    };
    let code_hash = Hash::repeat_byte(7);
    let upgrade = Proposal::AuthorizeUpgrade { code_hash, checks: true };
    let (outcome, block) = decide(&upgrade).await;
    assert_eq!(outcome, MotionOutcome::Executed);
    let authorized = chain.at(block.hash).authorized_upgrade().await.unwrap().unwrap();
    assert_eq!((authorized.code_hash, authorized.checks), (code_hash, true));
    assert!(authorized.first.unwrap() > block.number);

    let mut limits = Limits::USUAL;
    limits.records.account.bytes += 1;
    let (outcome, block) = decide(&Proposal::SetLimits(Box::new(limits))).await;
    assert_eq!(outcome, MotionOutcome::Executed);
    assert_eq!(chain.at(block.hash).quota_limits().await.unwrap(), limits);

    // What root dispatches fails, and what the council itself dispatches.
    for (proposal, pallet, error) in [
        (Proposal::DismissCustodian { departed: HospitalId(0) }, "Custody", "NoCustodian"),
        (Proposal::Reinstate { hospital: HospitalId(0) }, "Hospitals", "NotSuspended"),
    ] {
        let (MotionOutcome::Failed(failure), _) = decide(&proposal).await else {
            panic!("{proposal:?}")
        };
        assert!(failure.is(pallet, error) && !failure.docs.is_empty(), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_from_the_newest_block_waits_for_no_finality() {
    let node = Node::shared();
    let chain = node.connect().await;
    let call = Proposal::Remark { text: b"hello".to_vec() }.encode();
    let propose = council::propose(1, &call);
    let sent = chain.submit_from(Birth::Best, &propose, &account("//Alice")).await.unwrap();
    assert_eq!(chain.motion_outcome(&sent).await.unwrap(), MotionOutcome::Executed);
    assert!(chain.best_head().await.unwrap().number >= sent.block.number);

    // The node's metadata does not decide which call is signed: one whose numbers the client does not know is not.
    let unknown = Call::new("System", "remark", b"hello".to_vec());
    let error = chain.submit_from(Birth::Best, &unknown, &account("//Alice")).await.unwrap_err();
    let SubmitError::Chain(ChainError::Unproven { doubt, .. }) = &error else { panic!("{error}") };
    assert!(matches!(**doubt, Doubt::UnknownCall { .. }), "{error}");

    // Nothing proves it.
    let verifying = verifying(&node, &chain).await;
    let error = verifying.best_head().await.unwrap_err();
    let ChainError::Unproven { doubt, .. } = &error else { panic!("{error}") };
    assert!(matches!(**doubt, Doubt::NoProof { .. }), "{error}");
    verifying.submit_from(Birth::Best, &propose, &account("//Alice")).await.unwrap_err();
}
