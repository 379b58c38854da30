//! The node's errors for transactions that the chain rejects.

use epione_primitives::{AnnouncementId, Hash, UserId, limits::MAX_BATCH_CALLS, refusal::Refusal};
use epione_runtime::{Runtime, RuntimeCall};

use crate::{
    process::{Node, development},
    rpc::{AGENT, Rpc, refusal},
};

/// A vote in a ballot that does not exist: it is included in a block, and fails there.
pub fn approve() -> RuntimeCall {
    let (id, subject) = (AnnouncementId(0), Hash::zero());
    pallet_approvals::Call::<Runtime>::approve { id, subject }.into()
}

/// How the node reports a refusal.
pub fn custom(refusal: Refusal) -> (i32, String) {
    (1010, format!("Invalid Transaction: \"Custom error: {}\"", refusal.code()))
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_transactions_have_a_code_for_the_reason() {
    let node = Node::start(development());
    let rpc = Rpc::connect(&node.rpc_url).await;
    let stranger = rpc.finalize("//Eve", approve()).await;
    assert_eq!(refusal(stranger), custom(Refusal::UnknownAccount));

    let wrong_role = rpc.finalize("//Alice", approve()).await;
    assert_eq!(refusal(wrong_role), custom(Refusal::CallNotForRole));

    let (user, previous, body) = (UserId([1; 32]), Default::default(), vec![1]);
    let update = pallet_profiles::Call::<Runtime>::update { user, previous, body };
    let batch = pallet_utility::Call::<Runtime>::batch { calls: vec![approve(), update.into()] };
    let batched = rpc.finalize(AGENT, batch).await;
    assert_eq!(refusal(batched), custom(Refusal::CallNotForBatch));

    let calls = vec![approve(); MAX_BATCH_CALLS as usize + 1];
    let long = rpc.finalize(AGENT, pallet_utility::Call::<Runtime>::batch { calls }).await;
    assert_eq!(refusal(long), custom(Refusal::BatchTooLong));
}
