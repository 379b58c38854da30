//! A hospital's limits for all requesters together.

use epione_primitives::{HospitalId, UserId, limits::DAY_BLOCKS, profile::Role, release::Release};
use frame_support::{assert_noop, assert_ok};

use crate::{Error, Usages, VisitorsFrom, mock::*};

const BEGIN: u32 = 50;

/// A doctor whom [`HOME`] has just invented. The policies allow the doctor everything.
fn invented(seed: u8) -> UserId {
    let doctor = visiting(seed);
    register(HOME, doctor, 0);
    doctor
}

/// A doctor who is registered nowhere.
fn visiting(seed: u8) -> UserId {
    let doctor = UserId([100 + seed; 32]);
    add_user(doctor, Role::Doctor);
    doctor
}

/// An emergency at [`HOME`] of a doctor whom another hospital has invented.
fn visit(seed: u8, home: HospitalId) -> Release {
    let requester = visiting(seed);
    register(home, requester, 0);
    asking(emergency(seed), |request| request.requester = requester)
}

/// As many requesters as receipts, so that no requester's own limit is reached.
fn fabricated(seed: u8, release: Release) -> Release {
    asking(release, |request| request.requester = invented(seed))
}

fn receipts(hospital: HospitalId) -> u32 {
    Usages::<Test>::get(hospital).receipts
}

#[test]
fn a_hospital_cannot_fabricate_receipts_beyond_its_daily_limit() {
    run(|| {
        MaxReceipts::set(3);
        Generous::set(vec![HOME, AWAY]);
        System::set_block_number(BEGIN);
        for seed in 0..3 {
            assert_ok!(record(agent(HOME), fabricated(seed, reading(seed))));
        }
        let fourth = fabricated(3, reading(3));
        assert_noop!(record(agent(HOME), fourth.clone()), Error::<Test>::TooManyHospitalReceipts);
        // Other hospitals are not affected.
        let elsewhere = asking(releasing(reading(5), &[part(ELSEWHERE)]), |request| {
            request.hospital = AWAY;
        });
        assert_ok!(record(agent(AWAY), elsewhere));

        System::set_block_number(BEGIN + DAY_BLOCKS - 1);
        assert_noop!(record(agent(HOME), fourth.clone()), Error::<Test>::TooManyHospitalReceipts);
        System::set_block_number(BEGIN + DAY_BLOCKS);
        assert_ok!(record(agent(HOME), fourth));
        assert_eq!((receipts(HOME), receipts(AWAY)), (1, 1));
    });
}

#[test]
fn a_hospital_cannot_fabricate_emergencies_beyond_its_daily_limit() {
    run(|| {
        MaxEmergencies::set(2);
        Generous::set(vec![HOME]);
        for seed in 0..2 {
            assert_ok!(record(agent(HOME), fabricated(seed, emergency(seed))));
        }
        assert_noop!(
            record(agent(HOME), fabricated(2, emergency(2))),
            Error::<Test>::TooManyHospitalEmergencies
        );
        // Ordinary reading is not affected, and a refused emergency is not counted.
        assert_ok!(record(agent(HOME), reading(3)));
        assert_eq!(receipts(HOME), 3);
    });
}

#[test]
fn a_hospital_cannot_fabricate_refusals_beyond_its_daily_limit() {
    run(|| {
        MaxRefusals::set(3);
        System::set_block_number(BEGIN);
        // The policies allow an invented doctor nothing, and each has a limit of their own.
        let doctors: Vec<_> = (0..5).map(invented).collect();
        for doctor in &doctors[..3] {
            assert_ok!(refuse(HOME, *doctor, PATIENT));
        }
        let over = Error::<Test>::TooManyHospitalRefusals;
        assert_noop!(refuse(HOME, doctors[3], PATIENT), over);
        // Receipts and other hospitals are not affected.
        assert_ok!(record(agent(HOME), reading(1)));
        assert_ok!(refuse(AWAY, doctors[3], PATIENT));

        System::set_block_number(BEGIN + DAY_BLOCKS - 1);
        let over = Error::<Test>::TooManyHospitalRefusals;
        assert_noop!(refuse(HOME, doctors[4], PATIENT), over);
        System::set_block_number(BEGIN + DAY_BLOCKS);
        assert_ok!(refuse(HOME, doctors[4], PATIENT));
        let usage = Usages::<Test>::get(HOME);
        assert_eq!((usage.refusals, usage.receipts), (1, 0));
    });
}

#[test]
fn receipts_do_not_prolong_the_window_that_a_refusal_began() {
    run(|| {
        System::set_block_number(BEGIN);
        assert_ok!(refuse(HOME, invented(0), PATIENT));
        System::set_block_number(BEGIN + 5);
        assert_ok!(record(agent(HOME), reading(1)));
        let usage = Usages::<Test>::get(HOME);
        assert_eq!((usage.since, usage.refusals, usage.receipts), (BEGIN, 1, 1));
    });
}

#[test]
fn fabricated_receipts_cannot_stop_an_emergency() {
    run(|| {
        MaxReceipts::set(1);
        Generous::set(vec![HOME]);
        assert_ok!(record(agent(HOME), fabricated(0, reading(0))));
        let more = fabricated(1, reading(1));
        assert_noop!(record(agent(HOME), more.clone()), Error::<Test>::TooManyHospitalReceipts);
        assert_ok!(record(agent(HOME), fabricated(2, emergency(2))));
        // Nor do emergencies use up the places of other receipts.
        MaxReceipts::set(2);
        assert_ok!(record(agent(HOME), more));
        Releases::check_state().unwrap();
    });
}

#[test]
fn another_hospitals_requesters_cannot_use_up_the_emergencies() {
    run(|| {
        MaxEmergencies::set(4);
        Generous::set(vec![HOME]);
        for (seed, home) in [(0, AWAY), (1, NORTH)] {
            assert_ok!(record(agent(HOME), visit(seed, home)));
        }
        let third = visit(2, SOUTH);
        assert_noop!(record(agent(HOME), third), Error::<Test>::TooManyHospitalEmergencies);
        for seed in 3..5 {
            assert_ok!(record(agent(HOME), fabricated(seed, emergency(seed))));
        }
        assert_noop!(
            record(agent(HOME), fabricated(5, emergency(5))),
            Error::<Test>::TooManyHospitalEmergencies
        );
    });
}

#[test]
fn one_hospitals_requesters_cannot_use_up_the_emergencies_of_all_visitors() {
    run(|| {
        MaxEmergencies::set(16);
        Generous::set(vec![HOME]);
        System::set_block_number(BEGIN);
        for seed in 0..2 {
            assert_ok!(record(agent(HOME), visit(seed, AWAY)));
        }
        let third = visit(2, AWAY);
        let over = Error::<Test>::TooManyHospitalEmergencies;
        assert_noop!(record(agent(HOME), third.clone()), over);
        assert_ok!(record(agent(HOME), visit(3, NORTH)));
        // A doctor of two hospitals counts for the one that has a place.
        register(NORTH, third.request.requester, 0);
        assert_ok!(record(agent(HOME), third));

        let unknown = |seed| asking(emergency(seed), |request| request.requester = visiting(seed));
        for seed in 4..6 {
            assert_ok!(record(agent(HOME), unknown(seed)));
        }
        let over = Error::<Test>::TooManyHospitalEmergencies;
        assert_noop!(record(agent(HOME), unknown(6)), over);
        Releases::check_state().unwrap();

        System::set_block_number(BEGIN + DAY_BLOCKS);
        assert_ok!(record(agent(HOME), visit(7, AWAY)));
        assert_eq!(VisitorsFrom::<Test>::get(HOME, AWAY).emergencies, 1);
    });
}
