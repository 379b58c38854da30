//! Placing and removing sections.

use epione_mocks::{agent_account, user_account};
use epione_primitives::{
    AccountId,
    limits::MAX_SLOTS,
    release::{ReleasedRecord, SectionSet},
    sharing::{Change, SlotId},
};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::{DispatchResult, GetDispatchInfo},
};
use sp_runtime::{BoundedVec, DispatchError::BadOrigin};

use crate::{Error, Placed, PlacedIn, WeightInfo, mock::*};

type Act = fn(RuntimeOrigin, SlotId, &[ReleasedRecord]) -> DispatchResult;

const ACTS: [Act; 2] = [place, remove];

#[test]
fn sections_are_placed_and_removed_with_or_without_a_consent() {
    run(|| {
        let steps: [(Act, &[u16], &[u16]); 5] = [
            (place, &[0, 63], &[0, 63]),
            (place, &[1, 0], &[0, 1, 63]),
            (remove, &[0, 5], &[1, 63]),
            (place, &[0], &[0, 1, 63]),
            (remove, &[0, 1, 63], &[]),
        ];
        for (act, named, expected) in steps {
            assert_ok!(act(user(PATIENT), SLOT, &[part(FIRST, named)]));
            assert_eq!(placed(FIRST, &[SLOT.0]), sections(expected));
            let change = Change::Placed { pointer: FIRST, sections: sections(expected) };
            assert_eq!(changes().pop(), Some((PATIENT, SLOT, change)));
        }
        assert!(!Placed::<Test>::contains_key(FIRST));
        assert!(!PlacedIn::<Test>::contains_key((PATIENT, SLOT, FIRST)));
    });
}

#[test]
fn what_is_placed_already_leaves_no_change() {
    run(|| {
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[0, 1])]));
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[1])]));
        let other = [part(FIRST, &[2])];
        assert_noop!(remove(user(PATIENT), SLOT, &other), Error::<Test>::NotPlaced);
        assert_eq!(changes().len(), 1);
    });
}

#[test]
fn the_slots_of_a_record_are_independent_and_ascend() {
    run(|| {
        for number in [9, 0, MAX_SLOTS - 1, 4] {
            assert_ok!(place(user(PATIENT), SlotId(number), &[part(FIRST, &[number.into()])]));
        }
        assert_ok!(remove(user(PATIENT), SlotId(4), &[part(FIRST, &[4])]));
        let placements = Placed::<Test>::get(FIRST);
        let numbers: Vec<_> = placements.iter().map(|placement| placement.slot.0).collect();
        assert_eq!(numbers, [0, 9, 15]);
        assert_eq!(placed(FIRST, &[0, 4, 9]), sections(&[0, 9]));
        assert!(placed(FIRST, &[]).is_empty());
        for number in 0..MAX_SLOTS {
            let whole = ReleasedRecord { pointer: FIRST, sections: SectionSet::ALL };
            assert_ok!(place(user(PATIENT), SlotId(number), &[whole]));
        }
        assert_eq!(Placed::<Test>::get(FIRST).len(), usize::from(MAX_SLOTS));
    });
}

#[test]
fn a_stranger_neither_places_nor_removes() {
    run(|| {
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[0])]));
        for act in ACTS {
            for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
                assert_noop!(act(origin, SLOT, &[part(FIRST, &[0])]), BadOrigin);
            }
            for stranger in [user_account(DOCTOR), agent_account(HOME.0), AccountId::new([9; 32])] {
                let origin = RuntimeOrigin::signed(stranger);
                let act = act(origin, SLOT, &[part(FIRST, &[0])]);
                assert_eq!(act, Err(Error::<Test>::NotPatient.into()));
            }
        }
        // Another patient.
        let records = [part(FIRST, &[1])];
        let another = Error::<Test>::RecordOfAnotherPatient;
        assert_noop!(place(user(OTHER_PATIENT), SLOT, &records), another);
        assert_noop!(remove(user(OTHER_PATIENT), SLOT, &records), Error::<Test>::NotPlaced);
        assert_eq!(placed(FIRST, &[SLOT.0]), sections(&[0]));
    });
}

#[test]
fn one_record_of_another_patient_among_the_own_refuses_the_whole_call() {
    run(|| {
        let records = [part(FIRST, &[0]), part(OTHERS, &[0])];
        let another = Error::<Test>::RecordOfAnotherPatient;
        assert_noop!(place(user(PATIENT), SLOT, &records), another);
        let records = [part(FIRST, &[0]), part(UNCOMMITTED, &[0])];
        assert_noop!(place(user(PATIENT), SLOT, &records), Error::<Test>::UnknownRecord);
    });
}

#[test]
fn records_are_named_in_order_and_with_sections() {
    run(|| {
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[0]), part(SECOND, &[0])]));
        let invalid: [&[ReleasedRecord]; 4] = [
            &[],
            &[part(FIRST, &[])],
            &[part(SECOND, &[0]), part(FIRST, &[0])],
            &[part(FIRST, &[0]), part(FIRST, &[1])],
        ];
        for records in invalid {
            for act in ACTS {
                let error = Error::<Test>::InvalidRecords;
                assert_noop!(act(user(PATIENT), SLOT, records), error);
            }
        }
    });
}

#[test]
fn what_is_in_another_slot_only_cannot_be_removed() {
    run(|| {
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[0])]));
        let both = [part(FIRST, &[0]), part(SECOND, &[0])];
        assert_noop!(remove(user(PATIENT), SLOT, &both), Error::<Test>::NotPlaced);
        let first = [part(FIRST, &[0])];
        assert_noop!(remove(user(PATIENT), SlotId(0), &first), Error::<Test>::NotPlaced);
        assert!(Sharing::can_remove(PATIENT, SLOT, &first));
        assert!(!Sharing::can_remove(PATIENT, SLOT, &both));
        assert!(!Sharing::can_remove(PATIENT, SLOT, &[]));
        assert!(!Sharing::can_remove(OTHER_PATIENT, SLOT, &first));
    });
}

#[test]
fn each_call_pays_its_own_weight() {
    let weight = |call: crate::Call<Test>| RuntimeCall::from(call).get_dispatch_info().call_weight;
    let (slot, records) = (SLOT, BoundedVec::truncate_from(vec![part(FIRST, &[0]); 3]));
    let place = weight(crate::Call::place { slot, records: records.clone() });
    assert_eq!(place, <() as WeightInfo>::place(3));
    let remove = weight(crate::Call::remove { slot, records: records.clone() });
    assert_eq!(remove, <() as WeightInfo>::remove(3));
    let by_kind = crate::Call::place_by_kind { patient: PATIENT, slot, version: 1, records };
    assert_eq!(weight(by_kind), <() as WeightInfo>::place_by_kind(3));
    assert_eq!(weight(crate::Call::withdraw { slot }), <() as WeightInfo>::withdraw());
    let give = crate::Call::give { slot, consent: consent(&[]), seen: 0 };
    assert_eq!(weight(give), <() as WeightInfo>::give());
}
