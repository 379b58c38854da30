//! The validators change if and only if the hospitals or their keys change.

use codec::Encode;
use epione_primitives::HospitalId;
use epione_runtime::{
    Grandpa, Historical, Hospitals, Runtime, RuntimeOrigin, Session, SessionKeys,
    configs::SESSION_BLOCKS,
};

use crate::chain::{B, account, apply, key, local};

const ALL: [HospitalId; 4] = [HospitalId(0), HospitalId(1), HospitalId(2), HospitalId(3)];

fn validators() -> Vec<HospitalId> {
    pallet_session::Validators::<Runtime>::get()
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
        let council = RuntimeOrigin::from(pallet_collective::RawOrigin::Members(3, 4));
        Hospitals::suspend(council, B).unwrap();
        chain.reach(SESSION_BLOCKS + 1);
        assert_eq!(validators(), ALL);
        chain.reach(2 * SESSION_BLOCKS + 1);
        assert_eq!(validators(), [HospitalId(0), HospitalId(2), HospitalId(3)]);
        assert_eq!(Grandpa::grandpa_authorities().len(), 3);
        assert_eq!(Grandpa::current_set_id(), 1);
        chain.reach(4 * SESSION_BLOCKS + 1);
        assert_eq!(Grandpa::current_set_id(), 1);
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
