//! Users, and their earlier accounts.

use epione_client::{chain::calls::profiles, consent};
use epione_primitives::{UserId, consent::Naming, profile::Role};

use crate::{account, node::Node, register};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_earlier_signatures_are_verified_with_the_earlier_account() {
    let node = Node::start();
    let chain = node.connect().await;
    let user = UserId([5; 32]);
    let (first, second) = (account("//Doctor"), account("//Doctor//2"));
    let registered = register(&chain, user, Role::Doctor, &first).await.block;

    let naming = Naming::Rotation { user, version: 1 };
    let consent = consent::sign(&second, chain.genesis_hash(), naming);
    let rotate = profiles::rotate_keys(Some((&second.id(), &consent)), None);
    let rotated = chain.submit(&rotate, &first).await.unwrap().block;

    let at = |block: u32| chain.accounts_at(user, block);
    assert!(at(registered.number - 1).await.unwrap().is_empty());
    assert_eq!(at(registered.number).await.unwrap(), [first.id()]);
    assert_eq!(at(rotated.number).await.unwrap(), [second.id(), first.id()]);
    let state = chain.finalized().await.unwrap();
    assert_eq!(state.user_of(&second.id()).await.unwrap(), Some(user));
    assert_eq!(state.user_of(&first.id()).await.unwrap(), None);
}
