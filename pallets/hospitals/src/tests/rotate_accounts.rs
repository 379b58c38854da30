use epione_primitives::{
    AccountId, HospitalId, hospital::Duty, naming::NamedAccount, ports::Hospitals as _,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, mock::*};

fn governor(number: u16) -> RuntimeOrigin {
    RuntimeOrigin::signed(governance(number))
}

/// Account `number`, which consents to a duty at hospital 0.
fn next(number: u16, duty: Duty) -> NamedAccount {
    named(number, 0, duty)
}

/// An account whose key's holder consents to nothing.
fn mute(account: AccountId) -> NamedAccount {
    NamedAccount { account, ..next(0, Duty::Agent) }
}

fn sorted(mut members: Vec<AccountId>) -> Vec<AccountId> {
    members.sort();
    members
}

#[test]
fn a_hospital_rotates_both_accounts() {
    chain(2, || {
        let (governance_consent, agent_consent) = (next(0, Duty::Governance), next(1, Duty::Agent));
        let next_governance = governance_consent.account.clone();
        let next_agent = agent_consent.account.clone();
        assert_ok!(Hospitals::rotate_accounts(
            governor(0),
            Some(governance_consent),
            Some(agent_consent)
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
        assert_eq!(council_members(), sorted(vec![governance(1), next_governance]));
    });
}

#[test]
fn a_single_account_can_be_rotated() {
    chain(2, || {
        let agent = next(1, Duty::Agent).account;
        assert_ok!(Hospitals::rotate_accounts(governor(0), None, Some(next(1, Duty::Agent))));
        System::assert_last_event(
            Event::AccountsRotated {
                hospital: HospitalId(0),
                governance: governance(0),
                agent: agent.clone(),
            }
            .into(),
        );
        assert_eq!(council_members(), vec![governance(0), governance(1)]);

        assert_ok!(Hospitals::rotate_accounts(governor(0), Some(next(0, Duty::Governance)), None));
        System::assert_last_event(
            Event::AccountsRotated { hospital: HospitalId(0), governance: stranger(0), agent }
                .into(),
        );
    });
}

#[test]
fn an_old_account_keeps_its_reference_and_cannot_be_reused() {
    chain(2, || {
        assert_ok!(Hospitals::rotate_accounts(governor(0), None, Some(next(0, Duty::Agent))));

        assert_eq!(System::providers(&agent(0)), 1);
        assert_noop!(
            Hospitals::rotate_accounts(governor(0), None, Some(mute(agent(0)))),
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
                Hospitals::rotate_accounts(governor(0), None, Some(mute(taken.clone()))),
                Error::<Test>::AccountInUse
            );
            assert_noop!(
                Hospitals::rotate_accounts(governor(0), Some(mute(taken)), None),
                Error::<Test>::AccountInUse
            );
        }
        let agent = next(1, Duty::Agent);
        assert_noop!(
            Hospitals::rotate_accounts(governor(0), Some(agent.clone()), Some(agent)),
            Error::<Test>::AccountInUse
        );
    });
}

#[test]
fn a_hospital_cannot_take_an_account_whose_key_holder_does_not_consent() {
    chain(2, || {
        let forged = [
            NamedAccount { account: stranger(1), ..next(0, Duty::Agent) },
            next(0, Duty::Governance),
            named(0, 1, Duty::Agent),
        ];
        for agent in forged {
            assert_noop!(
                Hospitals::rotate_accounts(governor(0), None, Some(agent)),
                Error::<Test>::InvalidConsent
            );
        }
    });
}

#[test]
fn a_consent_expires() {
    chain(2, || {
        let agent = next(0, Duty::Agent);
        System::set_block_number(u64::from(agent.until) + 1);
        assert_noop!(
            Hospitals::rotate_accounts(governor(0), None, Some(agent)),
            Error::<Test>::ConsentExpired
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
            Hospitals::rotate_accounts(RuntimeOrigin::root(), None, Some(next(0, Duty::Agent))),
            BadOrigin
        );
        assert_noop!(
            Hospitals::rotate_accounts(RuntimeOrigin::none(), None, Some(next(0, Duty::Agent))),
            BadOrigin
        );
        for signer in [agent(0), stranger(1)] {
            assert_noop!(
                Hospitals::rotate_accounts(
                    RuntimeOrigin::signed(signer),
                    None,
                    Some(next(0, Duty::Agent))
                ),
                Error::<Test>::NotGovernance
            );
        }
        assert_ok!(Hospitals::suspend(council(), HospitalId(1)));
        assert_noop!(
            Hospitals::rotate_accounts(governor(1), None, Some(next(0, Duty::Agent))),
            Error::<Test>::NotActive
        );
    });
}
