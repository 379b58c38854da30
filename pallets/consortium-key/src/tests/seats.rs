//! Who gets the seats of the next ceremony while some active hospitals are not ready.

use epione_primitives::{HospitalId, consortium::EpochId};
use frame_support::{assert_noop, assert_ok};

use crate::{Call, Error, mock::*};

/// The council admits hospitals, which are not ready.
fn admit_newcomers(ids: core::ops::Range<u16>) {
    for hospital in ids.map(HospitalId) {
        admit([hospital]);
        set_ready(hospital, false);
    }
}

/// If they had seats, three of seven would be absent, and every ceremony would fail.
#[test]
fn newcomers_that_are_not_ready_stop_no_ceremony() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        admit_newcomers(4..7);
        pass(REFRESH);
        assert_noop!(begin(4), Error::<Test>::NotSeat);
        assert_ok!(begin(0));
        assert_eq!(newest().seats, hospitals(0..4));
        members.complete();
        assert_eq!((current().members, current().threshold), (hospitals(0..4), 3));

        // A newcomer joins as soon as it is ready.
        pass(PHASE);
        assert_noop!(begin(5), Error::<Test>::NotSeat);
        set_ready(HospitalId(5), true);
        assert_ok!(begin(5));
        assert_eq!(members.complete(), EpochId(2));
        assert_eq!(current().members, hospitals([0, 1, 2, 3, 5]));
    });
}

/// Otherwise every failure of a machine would cost two ceremonies, and who cuts hospitals off the network would take
/// their shares away.
#[test]
fn a_member_that_made_no_block_in_a_session_keeps_its_seat() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        set_ready(HospitalId(2), false);
        pass(PHASE);
        for hospital in 0..4 {
            assert_noop!(begin(hospital), Error::<Test>::NothingToDo);
        }
        pass(REFRESH);
        assert_ok!(begin(2));
        assert_eq!(newest().seats, hospitals(0..4));
        members.complete();

        // Also when the council decides about a new key.
        assert_ok!(dispatch(Call::renew {}, RuntimeOrigin::root()));
        pass(PHASE);
        assert_ok!(begin(2));
        assert_eq!(newest().seats, hospitals(0..4));
        members.complete();
    });
}

#[test]
fn the_first_key_is_made_by_the_hospitals_that_are_ready() {
    run(|| {
        set_ready(HospitalId(3), false);
        assert_noop!(begin(3), Error::<Test>::NotSeat);
        let mut members = Members::default();
        members.hold(0);
        assert_eq!(current().members, hospitals(0..3));
    });
}

/// Of ten active hospitals, three may be malicious, and they could be members already. They must not get a threshold
/// of three because the others are not ready.
#[test]
fn hospitals_that_are_not_ready_count_among_those_of_which_a_third_may_be_malicious() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        admit_newcomers(4..10);
        pass(REFRESH);
        assert_noop!(begin(0), Error::<Test>::WrongCommittee);
        for hospital in [4, 5] {
            set_ready(HospitalId(hospital), true);
        }
        assert_ok!(begin(0));
        members.complete();
        assert_eq!((current().members, current().threshold), (hospitals(0..6), 5));
    });
}

#[test]
fn a_newcomer_of_the_committee_gets_its_seat_when_it_is_ready() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        admit_newcomers(4..5);
        let committee = Some(hospitals([0, 1, 2, 4]));
        assert_ok!(dispatch(Call::seat { committee }, RuntimeOrigin::root()));
        members.hold(0);
        assert_eq!(current().members, hospitals(0..3));
        set_ready(HospitalId(4), true);
        members.hold(4);
        assert_eq!(current().members, hospitals([0, 1, 2, 4]));
    });
}
