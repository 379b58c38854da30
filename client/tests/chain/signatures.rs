//! The signatures of a block's transactions, and what becomes of them if the transactions are altered.

use epione_client::chain::{
    Call, Chain, Included, Pinned, SignedCall, Trust,
    calls::{lite_blocks, profiles},
};
use epione_primitives::{AnnouncementId, profile::Role};

use crate::{
    account, agent,
    node::Node,
    records::{announce, announcing, patient, ready, record},
    register, user,
};

/// The transactions with a call, among these extrinsics of the block with another one.
async fn found(
    chain: &Chain,
    call: &Call,
    included: &Included,
    extrinsics: &[Vec<u8>],
) -> Vec<SignedCall> {
    chain.signed_calls(call, included.block.number, extrinsics).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_missing_or_foreign_announcement_is_not_the_hospitals() {
    let node = Node::start();
    let chain = ready(&node).await;
    let call = announcing(&[record(&chain, "all well", "//Doctor").await]);
    let (_, included) = announce(&chain, &call).await;
    let extrinsics = chain.extrinsics(included.block.hash).await.unwrap();
    let own = found(&chain, &call, &included, &extrinsics).await;
    let [own] = &own[..] else { panic!("{own:?}") };
    assert!(own.signer == agent().id() && own.is_authentic());
    // Longer payloads are hashed.
    assert_eq!(own.payload.len(), 32);

    // Before the call: the signature's type and bytes, the lifetime in two bytes, and the nonce in one.
    let transaction = included.extrinsic as usize;
    let start = extrinsics[transaction].len() - call.arguments.len() - 2;
    for (place, what) in [(start - 1, "nonce"), (start - 40, "signature")] {
        let mut altered = extrinsics.clone();
        altered[transaction][place] ^= 0b100;
        let altered = found(&chain, &call, &included, &altered).await;
        let is_own = |it: &SignedCall| it.signer == agent().id() && it.is_authentic();
        assert!(!altered.iter().any(is_own), "{what}");
    }

    let mut foreign = extrinsics.clone();
    let bob: [u8; 32] = account("//Bob//agent").id().into();
    let signer = start - 3 - 65 - 32;
    foreign[transaction][signer..signer + 32].copy_from_slice(&bob);
    let foreign = found(&chain, &call, &included, &foreign).await;
    assert!(foreign[0].signer == account("//Bob//agent").id() && !foreign[0].is_authentic());

    let mut another = extrinsics.clone();
    *another[transaction].last_mut().unwrap() ^= 1;
    assert_eq!(found(&chain, &call, &included, &another).await, []);
    assert_eq!(found(&chain, &call, &included, &[]).await, []);
    assert_eq!(found(&chain, &call, &included, &[vec![0x84; 400], vec![]]).await, []);
    let withdraw = lite_blocks::withdraw(AnnouncementId(0));
    assert_eq!(found(&chain, &withdraw, &included, &extrinsics).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_a_batch_is_signed_with_the_batch() {
    let node = Node::start();
    let chain = ready(&node).await;
    register(&chain, Role::Nurse, "//Nurse").await;
    let suspend = profiles::suspend(patient());
    let alone = chain.submit(&suspend, &agent()).await.unwrap();
    let extrinsics = chain.extrinsics(alone.block.hash).await.unwrap();
    let own = found(&chain, &suspend, &alone, &extrinsics).await;
    assert!(own.len() == 1 && own[0].is_authentic());
    // A short payload is not hashed: call, lifetime, nonce, versions, and two hashes.
    assert_eq!(own[0].payload.len(), 34 + 3 + 8 + 64);

    let transaction = &extrinsics[alone.extrinsic as usize];
    let encoded = &transaction[transaction.len() - suspend.arguments.len() - 2..];
    let nurse = [&encoded[..2], &user("//Nurse").0[..]].concat();
    // Two calls, in SCALE.
    let arguments = [&[8_u8][..], encoded, &nurse[..]].concat();
    let batch = Call { pallet: "Utility", name: "force_batch", arguments };
    let together = chain.submit(&batch, &agent()).await.unwrap();
    let extrinsics = chain.extrinsics(together.block.hash).await.unwrap();
    // A handle that verifies knows the numbers of batches.
    let trust = Trust::Verified(Pinned::new(chain.genesis_hash()));
    let verified = node.connect().await.trusting(trust).await.unwrap();
    for call in [suspend, profiles::suspend(user("//Nurse"))] {
        for chain in [&chain, &verified] {
            let own = found(chain, &call, &together, &extrinsics).await;
            assert!(own.len() == 1 && own[0].signer == agent().id() && own[0].is_authentic());
        }
    }
    let doctor = profiles::suspend(user("//Doctor"));
    assert_eq!(found(&chain, &doctor, &together, &extrinsics).await, []);
}
