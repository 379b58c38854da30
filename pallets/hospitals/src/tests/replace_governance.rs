use epione_primitives::{
    AccountId, HospitalId,
    hospital::{Duty, Replacement},
    limits::{MAX_CONSENT_BLOCKS, REPLACEMENT_BLOCKS, REPLACEMENT_COMPLETION_BLOCKS},
    ports::Hospitals as _,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, ReplacementDelay, Replacements, mock::*};

const B: HospitalId = HospitalId(1);
const NEXT: u16 = 9;

fn governor(number: u16) -> RuntimeOrigin {
    RuntimeOrigin::signed(governance(number))
}

/// The council decides that account [`NEXT`] governs hospital B, after 20 blocks. Returns the account.
fn decided() -> AccountId {
    ReplacementDelay::<Test>::put(20);
    let next = named(NEXT, 1, Duty::Governance);
    assert_ok!(Hospitals::replace_governance(RuntimeOrigin::root(), B, next.clone()));
    next.account
}

fn after_the_delay() {
    System::set_block_number(System::block_number() + 20);
}

fn sorted(mut members: Vec<AccountId>) -> Vec<AccountId> {
    members.sort();
    members
}

#[test]
fn the_delay_is_a_day_unless_the_genesis_says_otherwise() {
    chain(2, || assert_eq!(ReplacementDelay::<Test>::get(), REPLACEMENT_BLOCKS));
}

#[test]
fn the_council_replaces_the_governance_account_of_an_active_hospital() {
    chain(3, || {
        let next = decided();
        let from = 1 + 20;
        System::assert_last_event(
            Event::ReplacementProposed { hospital: B, governance: next.clone(), from }.into(),
        );
        assert_eq!(
            Replacements::<Test>::get(B),
            Some(Replacement { governance: next.clone(), from })
        );
        assert_eq!(Hospitals::active_by_governance(&governance(1)), Some(B), "until then");
        after_the_delay();
        assert_ok!(Hospitals::complete_replacement(governor(0), B));

        System::assert_last_event(
            Event::AccountsRotated { hospital: B, governance: next.clone(), agent: agent(1) }
                .into(),
        );
        assert_eq!(Hospitals::active_by_governance(&next), Some(B));
        assert_eq!(Hospitals::hospital_of(governance(1)), None);
        assert_eq!(council_members(), sorted(vec![governance(0), next, governance(2)]));
        assert_eq!(Replacements::<Test>::get(B), None);
    });
}

#[test]
fn a_replacement_is_not_completed_early_or_twice() {
    chain(3, || {
        decided();
        System::set_block_number(System::block_number() + 19);
        let early = Error::<Test>::ReplacementTooEarly;
        assert_noop!(Hospitals::complete_replacement(governor(0), B), early);
        System::set_block_number(System::block_number() + 1);
        assert_ok!(Hospitals::complete_replacement(governor(0), B));
        let again = Error::<Test>::NoReplacement;
        assert_noop!(Hospitals::complete_replacement(governor(0), B), again);
    });
}

#[test]
fn the_present_account_objects_while_its_hospital_is_active() {
    chain(3, || {
        decided();
        assert_ok!(Hospitals::object_to_replacement(governor(1)));
        System::assert_last_event(Event::ReplacementWithdrawn { hospital: B }.into());
        after_the_delay();
        let none = Error::<Test>::NoReplacement;
        assert_noop!(Hospitals::complete_replacement(governor(0), B), none);
        assert_noop!(Hospitals::object_to_replacement(governor(1)), Error::<Test>::NoReplacement);
    });
}

#[test]
fn a_thief_cannot_object_after_the_suspension_and_cannot_rotate_the_replacement_away() {
    chain(3, || {
        let next = decided();
        let stolen = named(8, 1, Duty::Governance);
        let thief = RuntimeOrigin::signed(stolen.account.clone());
        assert_ok!(Hospitals::rotate_accounts(governor(1), Some(stolen), None));
        assert_ok!(Hospitals::suspend(council(), B));
        assert_noop!(Hospitals::object_to_replacement(thief.clone()), Error::<Test>::NotActive);
        after_the_delay();
        assert_ok!(Hospitals::complete_replacement(governor(0), B));
        assert_eq!(council_members(), vec![governance(0), governance(2)], "it has no seat yet");

        assert_ok!(Hospitals::reinstate(council(), B));
        assert_eq!(Hospitals::active_by_governance(&next), Some(B));
        assert_noop!(Hospitals::leave(thief), Error::<Test>::NotGovernance);
    });
}

#[test]
fn a_leaving_hospital_cannot_object() {
    chain(3, || {
        decided();
        assert_ok!(Hospitals::leave(governor(1)));
        assert_noop!(Hospitals::object_to_replacement(governor(1)), Error::<Test>::NotActive);
    });
}

#[test]
fn nobody_objects_for_another_hospital() {
    chain(3, || {
        decided();
        let none = Error::<Test>::NoReplacement;
        assert_noop!(Hospitals::object_to_replacement(governor(0)), none);
        for account in [agent(1), stranger(NEXT)] {
            let origin = RuntimeOrigin::signed(account);
            assert_noop!(Hospitals::object_to_replacement(origin), Error::<Test>::NotGovernance);
        }
    });
}

#[test]
fn only_root_decides() {
    chain(3, || {
        for origin in [RuntimeOrigin::none(), council(), governor(0), governor(1)] {
            let next = named(NEXT, 1, Duty::Governance);
            assert_noop!(Hospitals::replace_governance(origin, B, next), BadOrigin);
        }
    });
}

#[test]
fn only_the_governance_of_an_active_hospital_completes() {
    chain(3, || {
        decided();
        after_the_delay();
        assert_ok!(Hospitals::leave(governor(2)));
        let not_active = Error::<Test>::NotActive;
        assert_noop!(Hospitals::complete_replacement(governor(2), B), not_active);
        for account in [agent(0), stranger(NEXT)] {
            let origin = RuntimeOrigin::signed(account);
            assert_noop!(Hospitals::complete_replacement(origin, B), Error::<Test>::NotGovernance);
        }
        assert_noop!(Hospitals::complete_replacement(RuntimeOrigin::root(), B), BadOrigin);
    });
}

#[test]
fn the_next_account_is_new_and_consents_to_this_hospital() {
    chain(3, || {
        let replace =
            |hospital, next| Hospitals::replace_governance(RuntimeOrigin::root(), hospital, next);
        let mut taken = named(NEXT, 1, Duty::Governance);
        taken.account = agent(2);
        assert_noop!(replace(B, taken), Error::<Test>::AccountInUse);
        for mut elsewhere in [named(NEXT, 0, Duty::Governance), named(NEXT, 1, Duty::Agent)] {
            elsewhere.account = stranger(NEXT);
            assert_noop!(replace(B, elsewhere), Error::<Test>::InvalidConsent);
        }
        let mut late = named(NEXT, 1, Duty::Governance);
        late.until = 1 + MAX_CONSENT_BLOCKS + 1;
        assert_noop!(replace(B, late), Error::<Test>::ConsentExpired);
        let unknown = named(NEXT, 3, Duty::Governance);
        assert_noop!(replace(HospitalId(3), unknown), Error::<Test>::UnknownHospital);
        assert_ok!(Hospitals::remove(council(), B));
        let next = named(NEXT, 1, Duty::Governance);
        assert_noop!(replace(B, next), Error::<Test>::AlreadyRemoved);
    });
}

#[test]
fn an_account_that_became_somebodys_since_does_not_replace() {
    chain(3, || {
        decided();
        let elsewhere = named(NEXT, 0, Duty::Governance);
        assert_ok!(Hospitals::rotate_accounts(governor(0), Some(elsewhere), None));
        after_the_delay();
        let in_use = Error::<Test>::AccountInUse;
        assert_noop!(Hospitals::complete_replacement(governor(2), B), in_use);
        assert_eq!(Hospitals::active_by_governance(&governance(1)), Some(B));
    });
}

#[test]
fn a_later_decision_takes_the_place_of_an_earlier_one() {
    chain(3, || {
        decided();
        let later = named(7, 1, Duty::Governance);
        let account = later.account.clone();
        assert_ok!(Hospitals::replace_governance(RuntimeOrigin::root(), B, later));
        after_the_delay();
        assert_ok!(Hospitals::complete_replacement(governor(0), B));
        assert_eq!(Hospitals::active_by_governance(&account), Some(B));
        assert_eq!(System::providers(&stranger(NEXT)), 0, "the first account stays free");
    });
}

#[test]
fn a_forgotten_decision_has_no_effect() {
    chain(3, || {
        decided();
        let last = u64::from(1 + 20 + REPLACEMENT_COMPLETION_BLOCKS);
        System::set_block_number(last + 1);
        let lapsed = Error::<Test>::NoReplacement;
        assert_noop!(Hospitals::complete_replacement(governor(0), B), lapsed);
        System::set_block_number(last);
        assert_ok!(Hospitals::complete_replacement(governor(0), B));
    });
}

#[test]
fn a_removal_withdraws_the_replacement() {
    chain(3, || {
        decided();
        assert_ok!(Hospitals::remove(council(), B));
        assert_eq!(Replacements::<Test>::get(B), None);
    });
}
