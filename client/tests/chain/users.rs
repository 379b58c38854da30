//! Users, and which account they had when something was signed.

use epione_client::{
    chain::{BlockRef, PastUsers, calls::profiles},
    naming,
};
use epione_envelope::record::{Authorship, Extraction};
use epione_primitives::{HospitalId, RecordId, block::SignedAt, naming::Naming, profile::Role};

use crate::{account, node::Node, register, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_verified_with_the_account_of_the_block_that_it_names() {
    let node = Node::shared();
    let chain = node.connect().await;
    let (user, first, second) = (user("//Doctor"), account("//Doctor"), account("//Doctor//2"));
    let registered = register(&chain, Role::Doctor, "//Doctor").await.block;

    let naming = Naming::Rotation { user, version: 1 };
    let consent = naming::sign(&second, chain.genesis_hash(), naming);
    let rotate = profiles::rotate_keys(Some((&second.id(), &consent)), None);
    let rotated = chain.submit(&rotate, &first).await.unwrap().block;

    let authorship = |signed_at| Authorship {
        record: RecordId([1; 16]),
        patient: user,
        hospital: HospitalId(0),
        author: user,
        nurse: None,
        signed_at,
        extraction: Extraction::default(),
    };
    // None for a block that is not on the chain; otherwise the author's account if there is one.
    let at = async |block: SignedAt| {
        let signers = PastUsers::of(&chain).signers(&authorship(block)).await.unwrap();
        signers.map(|it| it.author.map(|author| author.account))
    };
    let before = registered.number - 1;
    let before =
        BlockRef { hash: chain.block_hash(before).await.unwrap().unwrap(), number: before };
    assert_eq!(at(before.into()).await, Some(None));
    assert_eq!(at(registered.into()).await, Some(Some(first.id())));
    assert_eq!(at(rotated.into()).await, Some(Some(second.id())));
    // The replaced account does not sign at the new block, nor at a block that is not on the chain.
    let forged = SignedAt { hash: registered.hash, number: rotated.number };
    assert_eq!(at(forged).await, None);
    assert!(!chain.is_final(SignedAt { number: u32::MAX, ..forged }).await.unwrap());

    let state = chain.finalized().await.unwrap();
    assert_eq!(state.user_of(&second.id()).await.unwrap(), Some(user));
    assert_eq!(state.user_of(&first.id()).await.unwrap(), None);
}
