use epione_primitives::{HospitalId, ports::Hospitals as _};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, mock::*};

fn governor(number: u16) -> RuntimeOrigin {
    RuntimeOrigin::signed(governance(number))
}

#[test]
fn a_hospital_rotates_both_accounts() {
    chain(2, || {
        let (next_governance, next_agent) = (stranger(0), stranger(1));
        assert_ok!(Hospitals::rotate_accounts(
            governor(0),
            Some(next_governance.clone()),
            Some(next_agent.clone())
        ));

        System::assert_last_event(
            Event::AccountsRotated {
                hospital: HospitalId(0),
                governance: next_governance.clone(),
                agent: next_agent.clone(),
            }
            .into(),
        );
        assert_eq!(Hospitals::active_by_governance(&next_governance), Some(HospitalId(0)));
        assert_eq!(Hospitals::active_by_agent(&next_agent), Some(HospitalId(0)));
        assert_eq!(Hospitals::hospital_of(governance(0)), None);
        assert_eq!(Hospitals::hospital_of(agent(0)), None);
        assert_eq!(council_members(), vec![governance(1), next_governance]);
    });
}

#[test]
fn a_single_account_can_be_rotated() {
    chain(2, || {
        assert_ok!(Hospitals::rotate_accounts(governor(0), None, Some(stranger(1))));
        System::assert_last_event(
            Event::AccountsRotated {
                hospital: HospitalId(0),
                governance: governance(0),
                agent: stranger(1),
            }
            .into(),
        );
        assert_eq!(council_members(), vec![governance(0), governance(1)]);

        assert_ok!(Hospitals::rotate_accounts(governor(0), Some(stranger(0)), None));
        System::assert_last_event(
            Event::AccountsRotated {
                hospital: HospitalId(0),
                governance: stranger(0),
                agent: stranger(1),
            }
            .into(),
        );
    });
}

#[test]
fn an_old_account_keeps_its_reference_and_cannot_be_reused() {
    chain(2, || {
        assert_ok!(Hospitals::rotate_accounts(governor(0), None, Some(stranger(0))));

        assert_eq!(System::providers(&agent(0)), 1);
        assert_noop!(
            Hospitals::rotate_accounts(governor(0), None, Some(agent(0))),
            Error::<Test>::AccountInUse
        );
    });
}

#[test]
fn an_account_in_use_is_refused() {
    chain(2, || {
        System::inc_sufficients(&stranger(0));
        for taken in [agent(1), governance(1), agent(0), governance(0), stranger(0)] {
            assert_noop!(
                Hospitals::rotate_accounts(governor(0), None, Some(taken.clone())),
                Error::<Test>::AccountInUse
            );
            assert_noop!(
                Hospitals::rotate_accounts(governor(0), Some(taken), None),
                Error::<Test>::AccountInUse
            );
        }
        assert_noop!(
            Hospitals::rotate_accounts(governor(0), Some(stranger(1)), Some(stranger(1))),
            Error::<Test>::AccountInUse
        );
    });
}

#[test]
fn a_rotation_without_accounts_is_refused() {
    chain(2, || {
        assert_noop!(
            Hospitals::rotate_accounts(governor(0), None, None),
            Error::<Test>::NothingToRotate
        );
    });
}

#[test]
fn only_an_active_hospitals_governance_rotates() {
    chain(2, || {
        assert_noop!(
            Hospitals::rotate_accounts(RuntimeOrigin::root(), None, Some(stranger(0))),
            BadOrigin
        );
        assert_noop!(
            Hospitals::rotate_accounts(RuntimeOrigin::none(), None, Some(stranger(0))),
            BadOrigin
        );
        for signer in [agent(0), stranger(1)] {
            assert_noop!(
                Hospitals::rotate_accounts(RuntimeOrigin::signed(signer), None, Some(stranger(0))),
                Error::<Test>::NotGovernance
            );
        }
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_noop!(
            Hospitals::rotate_accounts(governor(1), None, Some(stranger(0))),
            Error::<Test>::NotActive
        );
    });
}
