use epione_primitives::HospitalId;
use frame_support::{
    assert_noop, assert_ok,
    traits::{KeyOwnerProofSystem, UnfilteredDispatchable},
};
use pallet_session::SessionInterface;
use sp_runtime::{key_types::DUMMY, testing::UintAuthorityId, traits::Convert};

use crate::{Benched, HospitalSet, Seated, ValidatorIdOf, mock::*};

/// Admits hospital `number`, without session keys.
fn admit(number: u16) {
    assert_ok!(admission(number).dispatch_bypass_filter(council()));
}

fn set_keys(number: u16) {
    let governance = entry(number).governance;
    assert_ok!(<Session as SessionInterface>::set_keys(&governance, keys(number)));
}

fn plan() -> Option<Vec<HospitalId>> {
    <Hospitals as pallet_session::SessionManager<HospitalId>>::new_session(9)
}

#[test]
fn an_unchanged_set_of_hospitals_plans_no_new_validators() {
    chain(4, || {
        assert_eq!(plan(), None);
        next_session();
        next_session();
        assert_eq!(plan(), None);
        assert_eq!(validators(), vec![0, 1, 2, 3]);
    });
}

#[test]
fn an_admitted_hospital_validates_two_sessions_after_it_set_its_keys() {
    chain(2, || {
        admit(2);
        assert_ok!(Hospitals::ready(RuntimeOrigin::signed(entry(2).agent)));
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 1]);

        set_keys(2);
        next_session();
        assert_eq!(validators(), vec![0, 1]);
        next_session();
        assert_eq!(validators(), vec![0, 1, 2]);
    });
}

#[test]
fn a_suspended_hospital_leaves_and_a_reinstated_one_returns() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 2]);

        assert_ok!(Hospitals::reinstate(council(), HospitalId(1)));
        assert_ok!(Hospitals::ready(RuntimeOrigin::signed(agent(1))));
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 1, 2]);
    });
}

#[test]
fn the_validators_stay_if_no_active_hospital_may_validate() {
    chain(2, || {
        admit(2);
        Benched::<Test>::put(HospitalSet::truncate_from(vec![HospitalId(0), HospitalId(1)]));

        assert_eq!(plan(), None);
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 1]);
        assert_eq!(Seated::<Test>::get().into_inner(), vec![HospitalId(0), HospitalId(1)]);
    });
}

#[test]
fn only_a_governance_account_sets_session_keys() {
    chain(2, || {
        assert_eq!(ValidatorIdOf::<Test>::convert(governance(1)), Some(HospitalId(1)));
        assert_eq!(ValidatorIdOf::<Test>::convert(agent(1)), None);
        assert_eq!(ValidatorIdOf::<Test>::convert(stranger(0)), None);
        assert_noop!(
            <Session as SessionInterface>::set_keys(&agent(1), keys(9)),
            pallet_session::Error::<Test>::NoAssociatedValidatorId
        );
    });
}

#[test]
fn the_keys_of_every_session_are_provable() {
    chain(3, || {
        let key = codec::Encode::encode(&UintAuthorityId(1));
        let proof = Historical::prove((DUMMY, &key[..])).unwrap();
        assert_eq!(proof.session, 0);
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 2]);
        assert_eq!(Historical::check_proof((DUMMY, &key[..]), proof), Some((HospitalId(1), ())));
    });
}
