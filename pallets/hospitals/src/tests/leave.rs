use epione_mocks::Now;
use epione_primitives::{
    HospitalId,
    hospital::{Duty, HospitalStatus},
    ports::Hospitals as _,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, mock::*};

const B: HospitalId = HospitalId(1);

fn governor(number: u16) -> RuntimeOrigin {
    RuntimeOrigin::signed(governance(number))
}

#[test]
fn a_hospital_that_leaves_takes_part_in_nothing_and_serves() {
    chain(3, || {
        assert_ok!(Hospitals::leave(governor(1)));

        System::assert_last_event(Event::Leaving { hospital: B }.into());
        assert_eq!(entry(1).status, HospitalStatus::Leaving);
        assert_eq!(Hospitals::active(), vec![HospitalId(0), HospitalId(2)]);
        assert_eq!(Hospitals::serving(), vec![HospitalId(0), B, HospitalId(2)]);
        assert_eq!(Hospitals::active_by_agent(&agent(1)), None);
        assert_eq!(Hospitals::serving_by_agent(&agent(1)), Some(B));
        assert_eq!(Hospitals::serving_by_agent(&governance(1)), None);
        assert_eq!(Hospitals::active_by_governance(&governance(1)), None);
        assert_eq!(Hospitals::serving_by_governance(&governance(1)), Some(B));
        assert_eq!(Hospitals::recipient(B), None);
        assert_eq!(council_members(), vec![governance(0), governance(2)]);
        assert_eq!(Inactive::get(), vec![B]);
        assert_eq!(disabled(), vec![1]);
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 2]);
    });
}

#[test]
fn a_leaving_hospital_served_until_it_is_suspended_or_removed() {
    for removed in [false, true] {
        chain(3, || {
            Now::set(10);
            assert_ok!(Hospitals::leave(governor(1)));
            Now::set(20);
            if removed {
                assert_ok!(Hospitals::remove(council(), B));
            } else {
                assert_ok!(Hospitals::suspend(council(), B));
            }
            let served = |at| Hospitals::served_at(B, at);
            assert_eq!([0, 10, 19, 20].map(served), [true, true, true, false]);
            assert_eq!(Hospitals::serving_by_agent(&agent(1)), None);
            assert_eq!(Inactive::get(), vec![B], "once");
        });
    }
}

#[test]
fn a_leaving_hospital_is_active_again_after_suspension_and_reinstatement_only() {
    chain(3, || {
        assert_ok!(Hospitals::leave(governor(1)));
        assert_noop!(Hospitals::reinstate(council(), B), Error::<Test>::NotSuspended);
        assert_ok!(Hospitals::suspend(council(), B));
        assert_ok!(Hospitals::reinstate(council(), B));
        assert_eq!(entry(1).status, HospitalStatus::Active);
        assert_eq!(council_members().len(), 3);
        assert_eq!(Hospitals::unready(), vec![B]);
    });
}

#[test]
fn a_leaving_hospital_rotates_its_accounts_without_a_seat() {
    chain(3, || {
        assert_ok!(Hospitals::leave(governor(1)));
        let next = named(9, 1, Duty::Governance);
        let account = next.account.clone();
        assert_ok!(Hospitals::rotate_accounts(governor(1), Some(next), None));
        assert_eq!(Hospitals::serving_by_governance(&account), Some(B));
        assert_eq!(council_members(), vec![governance(0), governance(2)]);
    });
}

#[test]
fn each_hospital_leaves_by_itself_and_once() {
    chain(3, || {
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none(), council()] {
            assert_noop!(Hospitals::leave(origin), BadOrigin);
        }
        for account in [agent(1), stranger(0)] {
            let origin = RuntimeOrigin::signed(account);
            assert_noop!(Hospitals::leave(origin), Error::<Test>::NotGovernance);
        }
        assert_ok!(Hospitals::leave(governor(1)));
        assert_noop!(Hospitals::leave(governor(1)), Error::<Test>::NotActive);
        assert_ok!(Hospitals::suspend(council(), HospitalId(2)));
        assert_noop!(Hospitals::leave(governor(2)), Error::<Test>::NotActive);
    });
}

#[test]
fn the_last_active_hospital_does_not_leave() {
    chain(3, || {
        for number in [0, 1] {
            assert_ok!(Hospitals::leave(governor(number)));
        }
        assert_noop!(Hospitals::leave(governor(2)), Error::<Test>::LastActive);
        assert_eq!(council_members(), vec![governance(2)]);
    });
}

#[test]
fn a_benched_hospital_that_leaves_is_benched_no_longer() {
    chain(4, || {
        crate::Benched::<Test>::put(crate::HospitalSet::truncate_from(vec![B]));
        assert_ok!(Hospitals::leave(governor(1)));
        assert_eq!(Hospitals::benched(), vec![]);
        assert_noop!(Hospitals::reinstate(council(), B), Error::<Test>::NotSuspended);
    });
}
