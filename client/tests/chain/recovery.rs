//! New keys that a hospital proposes for a user, as clients read them with and without proofs.

use epione_client::{chain::calls::profiles, naming};
use epione_primitives::{
    HospitalId, UserId,
    naming::{NamedAccount, Naming},
    profile::{Objection, Role},
};

use crate::{account, agent, node::Node, register, sealing_key_hash, user, verified::verifying};

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_proposed_read_by_proofs_and_objected_to() {
    let node = Node::shared();
    let chain = node.connect().await;
    register(&chain, Role::Patient, "//Patient").await;
    let (user, next) = (user("//Patient"), account("//Patient//2"));
    let sealing_key_hash = sealing_key_hash("//Patient//2");
    let (hospital, version, until) = (HospitalId(0), 1, 1_000);
    let naming = Naming::Recovery { hospital, user, sealing_key_hash, version, until };
    let consent = naming::sign(&next, chain.genesis_hash(), naming);
    let named = NamedAccount { account: next.id(), until, consent };
    let propose = profiles::propose_recovery(user, &named, sealing_key_hash);
    let verifying = verifying(&node, &chain).await;
    verifying.submit(&propose, &agent()).await.unwrap();
    for objection in [None, Some(Objection::User)] {
        if objection.is_some() {
            let object = profiles::object(user);
            verifying.submit(&object, &account("//Patient")).await.unwrap();
        }
        let head = verifying.finalized_head().await.unwrap().hash;
        for state in [chain.at(head), verifying.at(head)] {
            let recovery = state.recovery(user).await.unwrap().unwrap();
            assert_eq!((recovery.hospital, &recovery.account), (HospitalId(0), &next.id()));
            assert_eq!(recovery.sealing_key_hash, sealing_key_hash);
            assert_eq!((recovery.version, recovery.objection), (1, objection));
            let all = state.recoveries(None, 64).await.unwrap();
            assert_eq!(all, [(user, recovery)]);
            assert!(state.recoveries(Some(user), 64).await.unwrap().is_empty());
            assert_eq!(state.recovery(UserId([9; 32])).await.unwrap(), None);
        }
    }
    let complete = profiles::complete_recovery(user, None);
    let error = chain.submit(&complete, &agent()).await.unwrap_err();
    let failure = error.dispatch().unwrap_or_else(|| panic!("{error}"));
    assert!(failure.is("Profiles", "RecoveryObjected"), "{failure}");
}
