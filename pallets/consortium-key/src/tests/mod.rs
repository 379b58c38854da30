//! Each file is about one step of a ceremony, or about what holds between ceremonies.

mod beginning;
mod complaints;
mod confirmation;
mod council;
mod dealing;
mod enrolment;
mod epochs;
mod invariants;
mod ports;
mod seats;

use epione_primitives::{
    Hash,
    consortium::{CeremonyId, CeremonyResult, CommitmentList, SeatSet},
};
use frame_support::{
    assert_noop,
    traits::{GetStorageVersion as _, StorageVersion},
};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Call, Error, SealedSharesBytes, WeightInfo as _, mock::*};

/// A result of another ceremony.
const ELSEWHERE: CeremonyResult = CeremonyResult { mixing: Hash::repeat_byte(9), link: None };

/// The calls of agents.
fn calls_of_agents() -> [Call<Test>; 6] {
    let ceremony = CeremonyId(0);
    let (commitments, shares) =
        (CommitmentList::default(), SealedSharesBytes::truncate_from(vec![1]));
    let (proof, part) = ([0; 64], Hash::zero());
    [
        Call::begin { key: sealing_key(0) },
        Call::enrol { ceremony, key: sealing_key(0) },
        Call::deal { ceremony, commitments, proof, part, shares },
        Call::judge { ceremony, complaints: SeatSet::default() },
        Call::answer { ceremony, seat: 0, share: [0; 32], part: [0; 32] },
        Call::confirm { ceremony, result: ELSEWHERE },
    ]
}

fn calls_of_the_council() -> [Call<Test>; 3] {
    [Call::renew {}, Call::seat { committee: None }, Call::schedule { schedule: SCHEDULE }]
}

#[test]
fn every_call_of_a_hospital_needs_its_signature() {
    run(|| {
        for call in calls_of_agents().into_iter().chain([Call::refresh {}]) {
            for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
                let result = dispatch(call.clone(), origin);
                assert_eq!(result, Err(BadOrigin), "{call:?}");
            }
        }
        assert_eq!(ConsortiumKey::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn only_an_agent_of_an_active_hospital_takes_part() {
    run(|| {
        set_active(epione_primitives::HospitalId(3), false);
        for call in calls_of_agents() {
            for origin in [governance(0), agent(3), agent(9)] {
                assert_noop!(dispatch(call.clone(), origin), Error::<Test>::NotAgent);
            }
        }
    });
}

#[test]
fn the_council_alone_makes_its_calls() {
    run(|| {
        for call in calls_of_the_council() {
            for origin in [agent(0), governance(0), RuntimeOrigin::none()] {
                assert_noop!(dispatch(call.clone(), origin), BadOrigin);
            }
        }
    });
}

#[test]
fn each_call_pays_its_own_weight() {
    run(|| {
        let calls = calls_of_agents().into_iter().chain([Call::refresh {}]);
        let paid: Vec<_> =
            calls.chain(calls_of_the_council()).map(|call| declared(&call)).collect();
        let weights = [
            <()>::begin(),
            <()>::enrol(),
            <()>::deal(),
            <()>::judge(),
            <()>::answer(),
            // Every confirmation may be the deciding one.
            <()>::activate(),
            <()>::refresh(),
            <()>::renew(),
            <()>::seat(),
            <()>::schedule(),
        ];
        assert_eq!(paid, weights);
    });
}

#[test]
fn a_body_that_is_not_at_the_end_of_its_extrinsic_is_refused() {
    use epione_primitives::ports::BODY_NOT_AT_TAIL;
    run(|| {
        BodyAtTail::set(false);
        assert_noop!(begin(0), BODY_NOT_AT_TAIL);
        BodyAtTail::set(true);
        begin(0).unwrap();
        BodyAtTail::set(false);
        assert_noop!(enrol(1), BODY_NOT_AT_TAIL);
        BodyAtTail::set(true);
        enrol_others();
        BodyAtTail::set(false);
        assert_noop!(Members::default().deal(0), BODY_NOT_AT_TAIL);
        BodyAtTail::set(true);
    });
}

#[test]
fn an_empty_body_is_refused() {
    run(|| {
        let empty = Call::begin { key: Default::default() };
        assert_noop!(dispatch(empty, agent(0)), Error::<Test>::EmptyBody);
        begin(0).unwrap();
        let ceremony = newest().id;
        let empty = Call::enrol { ceremony, key: Default::default() };
        assert_noop!(dispatch(empty, agent(1)), Error::<Test>::EmptyBody);
        enrol_others();
        let mut empty = dealing_call(ceremony, &Members::default().dealing(0));
        if let Call::deal { shares, .. } = &mut empty {
            *shares = SealedSharesBytes::default();
        }
        assert_noop!(dispatch(empty, agent(0)), Error::<Test>::EmptyBody);
    });
}

/// Whoever sends the number of an earlier ceremony does nothing in this one.
#[test]
fn a_call_for_another_ceremony_is_refused() {
    run(|| {
        for call in calls_of_agents().into_iter().skip(1) {
            assert_noop!(dispatch(call, agent(0)), Error::<Test>::AnotherCeremony);
        }
        begin(0).unwrap();
        pass(PHASE + 1);
        pass(PHASE);
        begin(0).unwrap();
        assert_eq!(newest().id, CeremonyId(1));
        for call in calls_of_agents().into_iter().skip(1) {
            assert_noop!(dispatch(call, agent(0)), Error::<Test>::AnotherCeremony);
        }
    });
}
