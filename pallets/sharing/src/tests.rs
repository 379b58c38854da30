use epione_mocks::{Users, agent_account, governance_account, user_account};
use epione_primitives::{
    AccountId, RecordPointer, limits::MAX_RELEASED_RECORDS, release::SectionSet,
};
use frame_support::{
    assert_err, assert_noop, assert_ok,
    dispatch::{DispatchResult, GetDispatchInfo},
    traits::{GetStorageVersion as _, StorageVersion},
};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, Shared, WeightInfo, mock::*};

type Change = fn(RuntimeOrigin, RecordPointer, SectionSet) -> DispatchResult;

/// The two calls. Both have the same rules.
const CHANGES: [Change; 2] = [share, unshare];

#[test]
fn every_section_is_private_until_its_patient_shares_it() {
    run(|| {
        assert!(shared(FIRST).is_empty());
        assert_ok!(share(user(PATIENT), FIRST, sections(&[0, 2])));
        assert_eq!(shared(FIRST), sections(&[0, 2]));
        assert!(shared(SECOND).is_empty());
        assert!(shared(OTHERS).is_empty());
        assert_eq!(Sharing::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn sections_are_added_and_taken_away_and_each_event_lists_all_that_are_shared() {
    run(|| {
        let changes: [(Change, &[u16], &[u16]); 5] = [
            (share, &[0, 63], &[0, 63]),
            (share, &[1, 0], &[0, 1, 63]),
            (unshare, &[0, 5], &[1, 63]),
            (unshare, &[1, 63], &[]),
            (unshare, &[1], &[]),
        ];
        for (change, named, expected) in changes {
            assert_ok!(change(user(PATIENT), FIRST, sections(named)));
            assert_eq!(shared(FIRST), sections(expected));
            let event = Event::<Test>::Shared {
                patient: PATIENT,
                pointer: FIRST,
                sections: sections(expected),
            };
            System::assert_last_event(event.into());
        }
        assert!(!Shared::<Test>::contains_key(FIRST));
    });
}

#[test]
fn nobody_but_the_patient_of_the_record_shares_or_unshares() {
    run(|| {
        assert_ok!(share(user(PATIENT), FIRST, sections(&[0])));
        let strangers = [
            user_account(DOCTOR),
            user_account(OTHER_PATIENT),
            agent_account(HOME.0),
            governance_account(HOME.0),
            AccountId::new([9; 32]),
        ];
        for change in CHANGES {
            for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
                assert_noop!(change(origin, FIRST, sections(&[0])), BadOrigin);
            }
            for stranger in strangers.clone() {
                let origin = RuntimeOrigin::signed(stranger);
                assert_noop!(change(origin, FIRST, sections(&[0])), Error::<Test>::NotPatient);
            }
            // The records of two patients may be in one lite block.
            let other = change(user(PATIENT), OTHERS, sections(&[0]));
            assert_eq!(other, Err(Error::<Test>::NotPatient.into()));
        }
        assert_eq!(shared(FIRST), sections(&[0]));
    });
}

#[test]
fn the_thief_of_a_retired_account_cannot_share() {
    run(|| {
        let stolen = user_account(PATIENT);
        Users::set_account(PATIENT, AccountId::new([8; 32]));
        for change in CHANGES {
            let origin = RuntimeOrigin::signed(stolen.clone());
            assert_noop!(change(origin, FIRST, sections(&[0])), Error::<Test>::NotPatient);
        }
        let origin = RuntimeOrigin::signed(AccountId::new([8; 32]));
        assert_ok!(share(origin, FIRST, sections(&[0])));
    });
}

#[test]
fn a_record_must_be_committed_before_it_is_shared() {
    run(|| {
        for change in CHANGES {
            let unknown = Error::<Test>::UnknownRecord;
            assert_noop!(change(user(PATIENT), UNCOMMITTED, sections(&[0])), unknown);
        }
    });
}

#[test]
fn a_call_without_sections_is_refused() {
    run(|| {
        for change in CHANGES {
            let none = SectionSet::default();
            assert_noop!(change(user(PATIENT), FIRST, none), Error::<Test>::NoSections);
        }
    });
}

#[test]
fn a_bounded_number_of_records_is_read_in_order() {
    run(|| {
        assert_ok!(share(user(PATIENT), FIRST, sections(&[0])));
        assert_ok!(share(user(OTHER_PATIENT), OTHERS, SectionSet::ALL));
        let read = Sharing::shared(vec![OTHERS, UNCOMMITTED, FIRST, SECOND]);
        let none = SectionSet::default();
        assert_eq!(read, [SectionSet::ALL, none, sections(&[0]), none]);
        let longest = MAX_RELEASED_RECORDS as usize;
        assert_eq!(Sharing::shared(vec![FIRST; longest + 1]).len(), longest);
        assert!(Sharing::shared(vec![]).is_empty());
    });
}

#[test]
fn each_call_pays_its_own_weight() {
    let (pointer, sections) = (FIRST, SectionSet::ALL);
    let weight = |call: crate::Call<Test>| RuntimeCall::from(call).get_dispatch_info().call_weight;
    let shares = weight(crate::Call::share { pointer, sections });
    assert_eq!(shares, <() as WeightInfo>::share());
    let unshares = weight(crate::Call::unshare { pointer, sections });
    assert_eq!(unshares, <() as WeightInfo>::unshare());
}

#[test]
fn broken_invariants_are_detected() {
    let broken = [
        (FIRST, SectionSet::default(), "a record is listed without shared sections"),
        (UNCOMMITTED, SectionSet::ALL, "sections are shared of a record that is not committed"),
    ];
    for (pointer, sections, message) in broken {
        externalities().execute_with(|| {
            Shared::<Test>::insert(pointer, sections);
            assert_err!(Sharing::check_state(), message);
        });
    }
}
