//! The validators change if and only if the hospitals, their keys or their readiness change.

use codec::Encode;
use epione_primitives::{HospitalId, hospital::Duty};
use epione_runtime::{
    Grandpa, Historical, Hospitals, Runtime, Session, SessionKeys, configs::SESSION_BLOCKS,
    invariants,
};
use sp_runtime::traits::OpaqueKeys;

use crate::{
    chain::{B, account, apply, council, key, local},
    possession::{NEXT, admit, named},
};

const ALL: [HospitalId; 4] = [HospitalId(0), HospitalId(1), HospitalId(2), HospitalId(3)];

const WITHOUT_B: [HospitalId; 3] = [HospitalId(0), HospitalId(2), HospitalId(3)];
/// A hospital that has not made the first block, unlike Bob's.
const C: HospitalId = HospitalId(2);
const WITHOUT_C: [HospitalId; 3] = [HospitalId(0), HospitalId(1), HospitalId(3)];

fn validators() -> Vec<HospitalId> {
    pallet_session::Validators::<Runtime>::get()
}

fn ready(agent: &str) {
    apply(agent, pallet_hospitals::Call::<Runtime>::ready {}).unwrap().unwrap();
}

fn seats() -> usize {
    pallet_collective::Members::<Runtime, pallet_collective::Instance1>::get().len()
}

#[test]
fn sessions_without_a_change_keep_the_authority_set() {
    local(|chain| {
        chain.reach(3 * SESSION_BLOCKS + 1);
        assert_eq!(Session::current_index(), 3);
        assert_eq!(validators(), ALL);
        assert_eq!(Grandpa::current_set_id(), 0);
        assert!(Historical::historical_root(3).is_some());
    });
}

#[test]
fn a_suspended_hospital_stops_validating_two_sessions_later() {
    local(|chain| {
        Hospitals::suspend(council(), B).unwrap();
        assert_eq!(Session::disabled_validators(), [1], "it makes no more blocks");
        chain.reach(SESSION_BLOCKS + 1);
        assert_eq!(validators(), ALL);
        assert_eq!(Session::disabled_validators(), [1]);
        chain.reach(2 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), [HospitalId(0), HospitalId(2), HospitalId(3)]);
        assert_eq!(Grandpa::grandpa_authorities().len(), 3);
        assert_eq!(Grandpa::current_set_id(), 1);
        chain.reach(4 * SESSION_BLOCKS + 1);
        assert_eq!(Grandpa::current_set_id(), 1);
    });
}

#[test]
fn a_change_of_the_set_does_not_enable_a_suspended_hospital() {
    local(|chain| {
        Hospitals::suspend(council(), HospitalId(2)).unwrap();
        chain.reach(SESSION_BLOCKS + 1);
        Hospitals::suspend(council(), B).unwrap();
        chain.reach(2 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), [HospitalId(0), B, HospitalId(3)]);
        assert_eq!(Session::disabled_validators(), [1]);
    });
}

#[test]
fn a_hospital_that_is_reinstated_within_the_session_makes_blocks_again() {
    local(|chain| {
        Hospitals::suspend(council(), B).unwrap();
        chain.next_block();
        Hospitals::reinstate(council(), B).unwrap();
        assert!(Session::disabled_validators().is_empty());
        ready("Bob//agent");
        chain.reach(2 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), ALL);
        assert_eq!(Grandpa::current_set_id(), 0);
    });
}

#[test]
fn one_validator_makes_all_blocks_while_the_others_are_suspended() {
    local(|chain| {
        for number in 1..4 {
            Hospitals::suspend(council(), HospitalId(number)).unwrap();
        }
        assert_eq!(Session::disabled_validators(), [1, 2, 3]);
        chain.next_block();
    });
}

#[test]
fn a_removed_hospital_keeps_no_session_keys() {
    local(|chain| {
        let keys = pallet_session::NextKeys::<Runtime>::get(B).unwrap();
        Hospitals::remove(council(), B).unwrap();
        assert!(!pallet_session::NextKeys::<Runtime>::contains_key(B));
        for id in SessionKeys::key_ids() {
            assert_eq!(Session::key_owner(*id, keys.get_raw(*id)), None);
        }
        chain.reach(2 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), [HospitalId(0), HospitalId(2), HospitalId(3)]);
    });
}

#[test]
fn a_rotated_key_is_provable_in_its_session() {
    local(|chain| {
        let bob = key("Bob");
        let owner = account(&bob).encode();
        let generated = SessionKeys::generate(&owner, None);
        let call = pallet_session::Call::<Runtime>::set_keys {
            keys: generated.keys.clone(),
            proof: generated.proof.encode(),
        };
        apply("Bob", call).unwrap().unwrap();

        let before = Historical::historical_root(0).unwrap();
        chain.reach(2 * SESSION_BLOCKS + 1);
        let authorities = Grandpa::grandpa_authorities();
        assert!(authorities.iter().any(|(id, _)| *id == generated.keys.grandpa));
        assert_eq!(validators(), ALL);
        assert_ne!(Historical::historical_root(2).unwrap(), before);
    });
}

#[test]
fn keys_without_a_proof_of_possession_are_refused() {
    local(|_| {
        let keys = pallet_session::NextKeys::<Runtime>::get(HospitalId(0)).unwrap();
        let proof = SessionKeys::generate(b"somebody else", None).proof.encode();
        let call = pallet_session::Call::<Runtime>::set_keys { keys, proof };
        assert_eq!(
            apply("Bob", call),
            Ok(Err(pallet_session::Error::<Runtime>::InvalidProof.into()))
        );
    });
}

/// Sets session keys that the account's own node generated.
fn set_keys(seed: &str) {
    let generated = SessionKeys::generate(&account(&key(seed)).encode(), None);
    let (keys, proof) = (generated.keys, generated.proof.encode());
    apply(seed, pallet_session::Call::<Runtime>::set_keys { keys, proof }).unwrap().unwrap();
}

#[test]
fn an_admitted_hospital_validates_two_sessions_after_its_worker_is_ready() {
    local(|chain| {
        admit(named("Eve", NEXT, Duty::Governance), named("Eve//agent", NEXT, Duty::Agent))
            .unwrap();
        set_keys("Eve");
        assert_eq!(seats(), 5, "it votes in the council at once");
        chain.reach(3 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), ALL);
        assert_eq!(Grandpa::current_set_id(), 0);

        ready("Eve//agent");
        chain.reach(5 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), [ALL.to_vec(), vec![NEXT]].concat());
        assert_eq!(Grandpa::current_set_id(), 1);
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn a_silent_validator_is_unseated_and_seated_again_after_its_worker_is_ready() {
    local(|chain| {
        chain.silent = vec![C];
        chain.reach(SESSION_BLOCKS + 1);
        assert_eq!(Hospitals::unready(), [C]);
        assert_eq!(validators(), ALL);
        chain.reach(2 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), WITHOUT_C);
        assert_eq!(Grandpa::grandpa_authorities().len(), 3);
        assert_eq!((Grandpa::current_set_id(), seats()), (1, 4));
        chain.reach(3 * SESSION_BLOCKS + 1);
        assert_eq!(Grandpa::current_set_id(), 1, "the set changes once");
        assert_eq!(invariants::check(), Ok(()));

        chain.silent.clear();
        ready("Charlie//agent");
        chain.reach(5 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), ALL);
        assert_eq!(Grandpa::current_set_id(), 2);
        assert_eq!(Hospitals::unready(), []);
        assert_eq!(invariants::check(), Ok(()));
    });
}

/// With a set of three that includes one of them, the return of the other would not be enough.
#[test]
fn of_two_silent_validators_of_four_neither_is_unseated() {
    local(|chain| {
        chain.silent = vec![C, HospitalId(3)];
        chain.reach(4 * SESSION_BLOCKS + 1);
        assert_eq!(Hospitals::unready(), []);
        assert_eq!(validators(), ALL);
        assert_eq!(Grandpa::current_set_id(), 0);
    });
}

/// A hospital that says that it is ready and makes no blocks changes the set at most twice in three sessions.
#[test]
fn a_hospital_that_is_ready_in_words_only_is_unseated_again_and_benches_nobody() {
    local(|chain| {
        chain.silent = vec![C];
        for session in 1..=6 {
            chain.reach(session * SESSION_BLOCKS + 1);
            if Hospitals::unready() == [C] {
                ready("Charlie//agent");
            }
        }
        assert!(Grandpa::current_set_id() <= 4, "{}", Grandpa::current_set_id());
        assert_eq!((Hospitals::benched(), seats()), (vec![], 4));
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn an_equivocation_of_an_unready_hospital_still_counts() {
    local(|chain| {
        chain.silent = vec![C];
        chain.reach(SESSION_BLOCKS + 1);
        assert_eq!(Hospitals::unready(), [C]);
        assert!(Hospitals::answers_for(C, 0));
    });
}

#[test]
fn a_leaving_hospital_makes_no_more_blocks_and_stops_validating() {
    local(|chain| {
        apply("Bob", pallet_hospitals::Call::<Runtime>::leave {}).unwrap().unwrap();
        assert_eq!(Session::disabled_validators(), [1], "it makes no more blocks");
        chain.reach(2 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), WITHOUT_B);
        assert_eq!((Grandpa::current_set_id(), seats()), (1, 3));
        assert_eq!(Hospitals::unready(), []);
        assert_eq!(invariants::check(), Ok(()));
    });
}
