use epione_primitives::HospitalId;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, SealingKey, mock::*};

fn key(bytes: &[u8]) -> SealingKey {
    bytes.to_vec().try_into().unwrap()
}

#[test]
fn a_hospital_sets_its_sealing_key() {
    chain(2, || {
        assert_ok!(Hospitals::set_sealing_key(
            RuntimeOrigin::signed(governance(1)),
            key(&[2; 1217])
        ));

        System::assert_last_event(Event::SealingKeySet { hospital: HospitalId(1) }.into());
        assert_eq!(entry(1).sealing_key, key(&[2; 1217]));
    });
}

#[test]
fn a_suite_without_a_key_is_refused() {
    chain(2, || {
        for bytes in [[].as_slice(), &[1]] {
            assert_noop!(
                Hospitals::set_sealing_key(RuntimeOrigin::signed(governance(1)), key(bytes)),
                Error::<Test>::InvalidSealingKey
            );
        }
    });
}

#[test]
fn only_an_active_hospitals_governance_sets_the_sealing_key() {
    chain(2, || {
        let set = |origin| Hospitals::set_sealing_key(origin, key(&[1, 2]));
        assert_noop!(set(RuntimeOrigin::root()), BadOrigin);
        assert_noop!(set(RuntimeOrigin::none()), BadOrigin);
        assert_noop!(set(RuntimeOrigin::signed(agent(1))), Error::<Test>::NotGovernance);
        assert_noop!(set(RuntimeOrigin::signed(stranger(0))), Error::<Test>::NotGovernance);
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_noop!(set(RuntimeOrigin::signed(governance(1))), Error::<Test>::NotActive);
    });
}
