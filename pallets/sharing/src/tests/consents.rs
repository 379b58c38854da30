//! Giving and withdrawing consents.

use epione_mocks::{agent_account, governance_account, user_account};
use epione_primitives::{
    AccountId,
    access::Purpose,
    limits::{MAX_AUDIENCE_DEPTH, MAX_AUDIENCE_LEAVES, MAX_SHARING_MILLIS, MAX_SLOTS},
    sharing::{Change, Consent, SlotId, Term},
};
use frame_support::{
    BoundedVec, assert_noop, assert_ok,
    traits::{GetStorageVersion as _, StorageVersion},
};
use sp_runtime::{
    DispatchError::{self, BadOrigin},
    traits::{BlakeTwo256, Hash as _},
};

use crate::{Error, Event, mock::*};

const INSURED: [Term; 1] = [Term::User(INSURER)];

fn refused(consent: Consent, error: Error<Test>) {
    assert_noop!(give(user(PATIENT), SLOT, consent), error);
}

#[test]
fn a_consent_is_in_force_from_the_moment_at_which_its_patient_gives_it_until_its_end() {
    run(|| {
        assert!(!is_admitted(INSURER));
        assert_ok!(give(user(PATIENT), SLOT, consent(&INSURED)));
        assert!(is_admitted(INSURER));
        pass(999);
        assert!(is_admitted(INSURER));
        pass(1);
        assert!(!is_admitted(INSURER), "it has ended by itself");
        assert_eq!(Sharing::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn nobody_but_a_patient_gives_or_withdraws() {
    run(|| {
        assert_ok!(give(user(PATIENT), SLOT, consent(&INSURED)));
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(give(origin.clone(), SLOT, consent(&INSURED)), BadOrigin);
            assert_noop!(withdraw(origin, SLOT), BadOrigin);
        }
        let strangers = [
            user_account(DOCTOR),
            user_account(INSURER),
            agent_account(HOME.0),
            governance_account(HOME.0),
            AccountId::new([9; 32]),
        ];
        for stranger in strangers {
            let origin = RuntimeOrigin::signed(stranger);
            let not_patient = Error::<Test>::NotPatient;
            assert_noop!(give(origin.clone(), SLOT, consent(&INSURED)), not_patient);
            assert_noop!(withdraw(origin, SLOT), Error::<Test>::NotPatient);
        }
        // Another patient changes their own slot only.
        assert_noop!(withdraw(user(OTHER_PATIENT), SLOT), Error::<Test>::NotInForce);
        assert_ok!(give(user(OTHER_PATIENT), SLOT, consent(&[Term::User(DOCTOR)])));
        assert!(is_admitted(INSURER) && !is_admitted(DOCTOR));
    });
}

#[test]
fn the_thief_of_a_retired_account_neither_gives_nor_withdraws() {
    run(|| {
        assert_ok!(give(user(PATIENT), SLOT, consent(&INSURED)));
        Users::set_account(PATIENT, AccountId::new([8; 32]));
        assert_noop!(give(user(PATIENT), SLOT, consent(&[])), Error::<Test>::NotPatient);
        assert_noop!(withdraw(user(PATIENT), SLOT), Error::<Test>::NotPatient);
        assert_ok!(withdraw(RuntimeOrigin::signed(AccountId::new([8; 32])), SLOT));
    });
}

#[test]
fn there_is_no_slot_16() {
    run(|| {
        let unknown = DispatchError::from(Error::<Test>::UnknownSlot);
        for number in [MAX_SLOTS, u8::MAX] {
            let slot = SlotId(number);
            assert_noop!(give(user(PATIENT), slot, consent(&INSURED)), unknown);
            assert_noop!(withdraw(user(PATIENT), slot), unknown);
            assert_noop!(place(user(PATIENT), slot, &[part(FIRST, &[0])]), unknown);
            assert_noop!(remove(user(PATIENT), slot, &[part(FIRST, &[0])]), unknown);
            let (patient, records) = (PATIENT, BoundedVec::truncate_from(vec![part(FIRST, &[0])]));
            let by_kind = crate::Call::place_by_kind { patient, slot, version: 1, records };
            assert_noop!(dispatch(by_kind, agent(HOME)), unknown);
        }
        assert_ok!(give(user(PATIENT), SlotId(MAX_SLOTS - 1), consent(&INSURED)));
    });
}

#[test]
fn an_audience_that_is_no_formula_is_refused() {
    run(|| {
        let of = |met, of| Term::AtLeast { met, of };
        let [leaf] = INSURED;
        let malformed: [&[Term]; 8] = [
            &[],
            &[of(1, 1)],
            &[leaf, of(1, 2)],
            &[leaf, of(0, 1)],
            &[leaf, of(2, 1)],
            &[leaf, of(0, 0)],
            &[leaf, leaf],
            &[leaf, leaf, leaf, of(1, 2)],
        ];
        for terms in malformed {
            refused(consent(terms), Error::<Test>::MalformedAudience);
        }
    });
}

#[test]
fn an_audience_beyond_the_limits_is_refused() {
    run(|| {
        let [leaf] = INSURED;
        let wide = |leaves: u32| {
            let mut terms = vec![leaf; leaves as usize];
            terms.push(Term::AtLeast { met: 1, of: leaves as u8 });
            consent(&terms)
        };
        let deep = |depth: u32| {
            let mut terms = vec![leaf];
            terms.extend((0..depth).map(|_| Term::AtLeast { met: 1, of: 1 }));
            consent(&terms)
        };
        refused(wide(MAX_AUDIENCE_LEAVES + 1), Error::<Test>::AudienceTooLarge);
        refused(deep(MAX_AUDIENCE_DEPTH + 1), Error::<Test>::AudienceTooLarge);
        assert_ok!(give(user(PATIENT), SLOT, wide(MAX_AUDIENCE_LEAVES)));
        assert_ok!(give(user(PATIENT), SLOT, deep(MAX_AUDIENCE_DEPTH)));
        assert!(is_admitted(INSURER));
    });
}

#[test]
fn a_consent_has_a_purpose_and_none_twice() {
    run(|| {
        let with = |purposes: &[Purpose]| Consent {
            purposes: BoundedVec::truncate_from(purposes.to_vec()),
            ..consent(&INSURED)
        };
        let (research, audit) = (Purpose::Research, Purpose::Audit);
        refused(with(&[]), Error::<Test>::InvalidPurposes);
        refused(with(&[research, audit, research]), Error::<Test>::InvalidPurposes);
        assert_ok!(give(user(PATIENT), SLOT, with(&[research, audit])));
    });
}

#[test]
fn a_consent_for_emergencies_stands_and_has_no_other_purpose() {
    run(|| {
        let with = |purposes: &[Purpose], standing| Consent {
            purposes: BoundedVec::truncate_from(purposes.to_vec()),
            standing,
            ..consent(&INSURED)
        };
        let (research, emergency) = (Purpose::Research, Purpose::Emergency);
        for purposes in [&[research, emergency][..], &[emergency, research]] {
            for standing in [false, true] {
                refused(with(purposes, standing), Error::<Test>::PurposeIsEmergency);
            }
        }
        refused(with(&[emergency, emergency], true), Error::<Test>::InvalidPurposes);
        refused(with(&[emergency], false), Error::<Test>::PurposeIsEmergency);
        assert_ok!(give(user(PATIENT), SLOT, with(&[emergency], true)));
    });
}

#[test]
fn a_consent_ends_in_the_future_and_within_366_days() {
    run(|| {
        let until = |until| Consent { until, ..consent(&INSURED) };
        let latest = START + MAX_SHARING_MILLIS;
        refused(until(0), Error::<Test>::EndHasPassed);
        refused(until(START), Error::<Test>::EndHasPassed);
        refused(until(latest + 1), Error::<Test>::EndTooLate);
        refused(until(u64::MAX), Error::<Test>::EndTooLate);
        assert_ok!(give(user(PATIENT), SLOT, until(START + 1)));
        assert_ok!(give(user(PATIENT), SLOT, until(latest)));
    });
}

#[test]
fn a_new_version_changes_a_right_for_all_records_at_once() {
    run(|| {
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[0]), part(SECOND, &[1, 2])]));
        assert_ok!(give(user(PATIENT), SLOT, consent(&INSURED)));
        let placements = Sharing::placements(vec![FIRST, SECOND]);
        pass(10);
        assert_ok!(give(user(PATIENT), SLOT, consent(&[Term::User(DOCTOR)])));
        assert!(!is_admitted(INSURER) && is_admitted(DOCTOR));
        assert_eq!(Sharing::placements(vec![FIRST, SECOND]), placements);

        let earlier = Sharing::earlier_consents(PATIENT, SLOT, None, 9);
        let earlier: Vec<_> = earlier.iter().map(|it| (it.version, it.ended)).collect();
        assert_eq!(earlier, [(1, Some(START + 10))]);
        let consents = Sharing::consents(PATIENT);
        assert_eq!(consents.len(), 1);
        let (slot, newest) = &consents[0];
        assert_eq!((*slot, newest.version, newest.ended), (SLOT, 2, None));
        assert_eq!((newest.since, newest.block), (START + 10, 1));
    });
}

#[test]
fn a_version_that_ended_by_itself_keeps_its_end() {
    run(|| {
        assert_ok!(give(user(PATIENT), SLOT, consent(&INSURED)));
        pass(5_000);
        assert_ok!(give(user(PATIENT), SLOT, consent(&INSURED)));
        assert_eq!(Sharing::earlier_consents(PATIENT, SLOT, None, 9)[0].ended, None);
        assert_ok!(withdraw(user(PATIENT), SLOT));
        pass(5_000);
        assert_ok!(give(user(PATIENT), SLOT, consent(&INSURED)));
        let ended = Sharing::earlier_consents(PATIENT, SLOT, None, 9)[0].ended;
        assert_eq!(ended, Some(START + 5_000), "when it was withdrawn");
    });
}

#[test]
fn a_withdrawn_consent_ends_at_once_and_only_once() {
    run(|| {
        assert_noop!(withdraw(user(PATIENT), SLOT), Error::<Test>::NotInForce);
        assert_ok!(give(user(PATIENT), SLOT, consent(&INSURED)));
        assert_ok!(give(user(PATIENT), SlotId(4), consent(&INSURED)));
        assert!(Sharing::can_withdraw(PATIENT, SLOT));
        assert_ok!(withdraw(user(PATIENT), SLOT));
        assert!(!is_admitted(INSURER));
        assert_eq!(admitting(INSURER), slots(&[4]), "the other slot is as before");
        assert!(!Sharing::can_withdraw(PATIENT, SLOT));
        assert_noop!(withdraw(user(PATIENT), SLOT), Error::<Test>::NotInForce);
        pass(5_000);
        assert_noop!(withdraw(user(PATIENT), SlotId(4)), Error::<Test>::NotInForce);
    });
}

#[test]
fn each_change_is_an_event_and_a_link_of_the_chain_of_changes() {
    run(|| {
        let given = consent(&INSURED);
        let hash = BlakeTwo256::hash_of(&given);
        assert_ok!(give(user(PATIENT), SLOT, given));
        assert_ok!(withdraw(user(PATIENT), SLOT));
        let expected =
            [Change::Given { version: 1, consent: hash }, Change::Withdrawn { version: 1 }];
        assert_eq!(changes(), expected.clone().map(|change| (PATIENT, SLOT, change)));
        let events = System::read_events_for_pallet::<Event<Test>>();
        let event = |(height, change)| Event::<Test>::Changed {
            height,
            patient: PATIENT,
            slot: SLOT,
            change,
        };
        assert_eq!(events, (1..).zip(expected).map(event).collect::<Vec<_>>());
    });
}

/// A hospital places what the patient has not seen, and the patient's new version would share it with others.
#[test]
fn a_patient_gives_no_consent_for_a_slot_that_has_changed_meanwhile() {
    run(|| {
        let given = |seen| {
            let consent = Consent { until: START + 10_000, ..consent(&INSURED) };
            dispatch(crate::Call::give { slot: SLOT, consent, seen }, user(PATIENT))
        };
        let changed = DispatchError::from(Error::<Test>::SlotChanged);
        for seen in [1, u64::MAX] {
            assert_noop!(given(seen), changed);
        }
        assert_ok!(given(0));
        pass(2_000);
        let seen = Sharing::slot_height(PATIENT, SLOT);
        assert_ok!(place_by_kind(agent(HOME), 1, &[part(SECOND, &[0])]));
        for seen in [0, seen, seen + 2] {
            assert_noop!(given(seen), changed);
        }
        // What happens in other slots, or to other patients, does not matter.
        assert_ok!(place(user(PATIENT), SlotId(4), &[part(FIRST, &[0])]));
        assert_ok!(place(user(OTHER_PATIENT), SLOT, &[part(OTHERS, &[0])]));
        assert_ok!(given(seen + 1));
        assert_eq!(Sharing::slot_height(PATIENT, SLOT), Sharing::head().0);
        assert_eq!(Sharing::slot_height(PATIENT, SlotId(9)), 0);
    });
}
