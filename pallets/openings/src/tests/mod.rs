//! Each file is about one call, or about what holds between calls.

mod ask;
mod emergency;
mod hand_out;
mod invariants;
mod reading;
mod wrap;

use epione_primitives::opening::OpeningId;
use frame_support::{
    assert_noop,
    dispatch::{DispatchResultWithPostInfo, GetDispatchInfo as _, Pays},
    traits::{GetStorageVersion as _, StorageVersion},
};
use sp_runtime::{DispatchError::BadOrigin, traits::Dispatchable as _};

use crate::{WeightInfo as _, mock::*};

fn calls() -> [crate::Call<Test>; 4] {
    [
        publication(&label(0), 0b11, wraps_like(&label(0), 0b11)),
        question(&[(FIRST, 0b11)]),
        emergency(),
        crate::Call::hand_out { opening: OpeningId(0) },
    ]
}

#[test]
fn every_call_needs_a_signature() {
    run(|| {
        opened();
        for call in calls() {
            for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
                assert_noop!(dispatch(call.clone(), origin), BadOrigin);
            }
        }
        assert_eq!(Openings::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn each_call_pays_its_own_weight() {
    run(|| {
        let paid = calls().map(|call| RuntimeCall::from(call).get_dispatch_info().call_weight);
        assert_eq!(paid, [<()>::wrap(2), <()>::ask(1), <()>::ask_emergency(1), <()>::hand_out(16)]);
        let opening = opened();
        let call: RuntimeCall = crate::Call::<Test>::hand_out { opening }.into();
        let done: DispatchResultWithPostInfo = call.dispatch(agent(HOME));
        let spent = done.map(|info| (info.actual_weight, info.pays_fee)).unwrap();
        assert_eq!(spent, (Some(<()>::hand_out(1)), Pays::Yes), "the rest is refunded");
    });
}

/// From the first wrap to the last part: the requester opens what the patient placed.
#[test]
fn a_requester_opens_sections_while_the_patient_and_the_records_hospital_are_away() {
    run(|| {
        let opening = opened();
        // Two of three members are enough, and the hospital of the record is not one of them.
        for hospital in [AWAY, THIRD] {
            assert_eq!(hand_out(hospital, opening), Ok(()));
        }
        let handed: Vec<_> =
            Openings::handed_out(opening).into_iter().map(|(hospital, _)| hospital).collect();
        assert_eq!(handed, [AWAY, THIRD]);
    });
}
