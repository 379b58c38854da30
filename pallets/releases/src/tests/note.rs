use epione_primitives::{
    RecordPointer,
    limits::MAX_PAGE,
    release::{OwnRead, ReleasedRecord, SectionSet},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{BoundedVec, DispatchError::BadOrigin};

use crate::{Error, Event, mock::*};

#[test]
fn a_note_names_own_records_of_any_hospital() {
    run(|| {
        System::set_block_number(5);
        let parts = [part(FIRST), part(SECOND), part(ELSEWHERE)];
        assert_ok!(note(user(PATIENT), &parts));
        pass(3_000);
        let whole = ReleasedRecord { sections: SectionSet::ALL, ..part(FIRST) };
        assert_ok!(note(user(PATIENT), &[whole]));

        let event = |note| Event::Noted { patient: PATIENT, note };
        assert_eq!(events(), vec![event(0), event(1)]);
        let read = |parts: &[ReleasedRecord], at| OwnRead {
            records: BoundedVec::truncate_from(parts.to_vec()),
            block: 5,
            at,
        };
        let expected = vec![(1, read(&[whole], START + 3_000)), (0, read(&parts, START))];
        assert_eq!(Releases::own_reads(PATIENT, None, 9), expected);
        assert_eq!(Releases::own_reads(OTHER_PATIENT, None, 9), vec![]);
    });
}

#[test]
fn nobody_notes_records_of_another_patient() {
    run(|| {
        let others = Error::<Test>::RecordOfAnotherPatient;
        assert_noop!(note(user(PATIENT), &[part(FIRST), part(OTHERS)]), others);
        assert_noop!(
            note(user(OTHER_PATIENT), &[part(FIRST)]),
            Error::<Test>::RecordOfAnotherPatient
        );
        let nowhere = part(RecordPointer { height: 9, index: 9 });
        assert_noop!(note(user(PATIENT), &[nowhere]), Error::<Test>::UnknownRecord);
    });
}

#[test]
fn only_a_patient_notes() {
    run(|| {
        for other in [user(DOCTOR), user(STRANGER), agent(HOME), governance(HOME)] {
            assert_noop!(note(other, &[part(FIRST)]), Error::<Test>::NotPatient);
        }
        for origin in unsigned() {
            assert_noop!(note(origin, &[part(FIRST)]), BadOrigin);
        }
    });
}

#[test]
fn a_note_has_records_in_order_with_sections() {
    run(|| {
        let none = ReleasedRecord { sections: SectionSet(0), ..part(FIRST) };
        assert_noop!(note(user(PATIENT), &[]), Error::<Test>::NoRecords);
        assert_noop!(note(user(PATIENT), &[none]), Error::<Test>::NoSections);
        for parts in [[part(SECOND), part(FIRST)], [part(FIRST), part(FIRST)]] {
            assert_noop!(note(user(PATIENT), &parts), Error::<Test>::RecordsOutOfOrder);
        }
    });
}

#[test]
fn notes_are_listed_newest_first_a_page_at_a_time() {
    run(|| {
        for _ in 0..=MAX_PAGE {
            assert_ok!(note(user(PATIENT), &[part(FIRST)]));
        }
        let page = |before, limit| -> Vec<u32> {
            let notes = Releases::own_reads(PATIENT, before, limit);
            notes.into_iter().map(|(number, _)| number).collect()
        };
        assert_eq!(page(None, 2), vec![MAX_PAGE, MAX_PAGE - 1]);
        assert_eq!(page(Some(1), 2), vec![0]);
        assert_eq!(page(None, u32::MAX).len(), MAX_PAGE as usize);
    });
}
