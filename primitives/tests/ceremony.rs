//! The thresholds of the consortium key, and when the phases of a ceremony end.

use epione_primitives::{
    BlockNumber, HospitalId,
    consortium::{
        Ceremony, CeremonyId, CommitmentList, DealerContext, Epoch, EpochId, Failure, KeyId, Phase,
        Schedule, SeatSet, Seats, are_enough_seats, confirmed_before_erasure, faulty,
        has_joined_lately, most_accused, threshold, threshold_of_enrolled,
    },
    limits::{
        DAY_BLOCKS, MAX_FAULTY_SEATS, MAX_PHASE_BLOCKS, MAX_REFRESH_BLOCKS, MAX_SEATS,
        MAX_THRESHOLD, MIN_PHASE_BLOCKS, PHASES_BETWEEN_OWN_REASONS,
    },
};
use proptest::{collection::vec, prelude::*};
use sp_core::H256;

/// The longest phase of the ceremonies here, and the last block of their first phase.
const PHASE: BlockNumber = 10;
const FIRST: BlockNumber = 100;

fn hospitals(ids: impl IntoIterator<Item = u16>) -> Seats {
    Seats::truncate_from(ids.into_iter().map(HospitalId).collect())
}

fn set(seats: &[usize]) -> SeatSet {
    seats.iter().copied().collect()
}

/// A ceremony that generates a key for so many hospitals.
fn generation(seats: u16) -> Ceremony {
    Ceremony::begin(CeremonyId(0), None, hospitals(0..seats), hospitals(0..seats), FIRST)
}

fn epoch(members: Seats) -> Epoch {
    let threshold = threshold(members.len());
    Epoch {
        id: EpochId(4),
        key: KeyId(0),
        ceremony: CeremonyId(5),
        threshold: threshold.try_into().expect("a threshold is small"),
        faulty: faulty(members.len()).try_into().expect("fewer than a third may be faulty"),
        members,
        commitments: CommitmentList::default(),
        mixing: H256::zero(),
        link: None,
        since: 1,
        confirmed: SeatSet::default(),
    }
}

/// A ceremony in which these hospitals make new shares for those.
fn resharing(dealers: &[u16], seats: &[u16]) -> Ceremony {
    let (dealers, seats) = (hospitals(dealers.iter().copied()), hospitals(seats.iter().copied()));
    Ceremony::begin(CeremonyId(6), Some(&epoch(dealers.clone())), seats, dealers, FIRST)
}

/// A ceremony of four hospitals in which all enrolled and these dealt, at block 2.
fn dealt(dealers: &[usize]) -> Ceremony {
    let mut ceremony = generation(4);
    ceremony.enrolled = SeatSet::first(4);
    ceremony.advance(1, PHASE);
    assert_eq!((ceremony.phase, ceremony.deadline), (Phase::Deal, 1 + PHASE));
    ceremony.dealt = set(dealers);
    ceremony.advance(2, PHASE);
    ceremony
}

/// A ceremony of four in which all dealt, and all judged: for each dealer, the seats that complained.
fn judged(complaints: [&[usize]; 4]) -> Ceremony {
    let mut ceremony = dealt(&[0, 1, 2, 3]);
    assert_eq!((ceremony.phase, ceremony.deadline), (Phase::Judge, 2 + PHASE));
    for (of_dealer, seats) in ceremony.complaints.iter_mut().zip(complaints) {
        *of_dealer = set(seats);
    }
    ceremony.judged = SeatSet::first(4);
    ceremony.advance(3, PHASE);
    ceremony
}

#[test]
fn the_threshold_is_the_quorum_of_finality_and_two_for_two_or_three() {
    let expected = [
        2, 2, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 13, 13, 14, 15, 15, 16, 17, 17, 18, 19,
        19, 20, 21, 21,
    ];
    let thresholds: Vec<_> = (2..=MAX_SEATS as usize).map(threshold).collect();
    assert_eq!(thresholds, expected);
    for seats in 4..=MAX_SEATS as usize {
        assert!(3 * faulty(seats) < seats);
        assert_eq!(threshold(seats) + faulty(seats), seats);
        assert!(threshold(seats) > 2 * faulty(seats), "the honest ones are a majority of them");
    }
    assert_eq!((faulty(2), faulty(3), faulty(4)), (0, 0, 1));
    assert_eq!(faulty(MAX_SEATS as usize), MAX_FAULTY_SEATS as usize);
    assert_eq!(threshold(MAX_SEATS as usize), MAX_THRESHOLD as usize);
}

#[test]
fn seats_that_do_not_enrol_lower_the_threshold_and_never_below_one_honest_member() {
    for seats in 2..=MAX_SEATS as usize {
        assert_eq!(threshold_of_enrolled(seats, seats), threshold(seats), "{seats}");
        for enrolled in seats - faulty(seats)..=seats {
            let lowered = threshold_of_enrolled(seats, enrolled);
            assert!(lowered >= 2 && lowered > faulty(seats), "{enrolled} of {seats}");
            assert!(lowered <= threshold(seats) && lowered <= enrolled);
            // As many as may be faulty are silent, and the others still open.
            assert!(seats < 4 || lowered + faulty(seats) <= enrolled, "{enrolled} of {seats}");
        }
    }
    assert_eq!(threshold_of_enrolled(4, 3), 2);
    assert_eq!(threshold_of_enrolled(3, 3), 2);
    assert_eq!(threshold_of_enrolled(31, 21), 11);
}

#[test]
fn seats_are_enough_if_all_hospitals_that_may_be_malicious_do_not_open_together() {
    let least = |active: usize| (1..=MAX_SEATS as usize).find(|it| are_enough_seats(*it, active));
    let expected = [
        (4, Some(2)),
        (6, Some(2)),
        (7, Some(4)),
        (9, Some(4)),
        (10, Some(5)),
        (16, Some(8)),
        (31, Some(15)),
        (63, Some(30)),
        (64, Some(31)),
        (1_000, Some(31)),
    ];
    for (active, seats) in expected {
        assert_eq!(least(active), seats, "{active}");
    }
    assert!(!are_enough_seats(30, 64));
    for all in 2..=MAX_SEATS as u16 {
        let active = usize::from(all);
        assert!(are_enough_seats(active, active), "{active}: all have seats");
        // Absent seats do not lower the threshold so far either.
        for seats in (2..=all).filter(|seats| are_enough_seats(usize::from(*seats), active)) {
            let committee = generation(seats).among(active);
            assert!(usize::from(committee.least) > faulty(active), "{seats} of {active}");
        }
    }
}

#[test]
fn a_seat_accuses_as_many_as_may_be_faulty_and_one_where_none_may_be() {
    let most = [2, 3, 4, 6, 7, 31].map(|seats| most_accused(seats, seats));
    assert_eq!(most, [1, 1, 1, 1, 2, 10]);
    // More dealers than seats, and more seats than dealers.
    assert_eq!((most_accused(4, 7), most_accused(7, 4)), (2, 2));
}

/// Of 16 active hospitals, five may be faulty, and all of them may have seats.
#[test]
fn seats_that_do_not_enrol_leave_the_threshold_above_all_hospitals_that_may_be_faulty() {
    let thresholds = |active: usize| {
        let mut committee = generation(7).among(active);
        committee.enrolled = SeatSet::first(5);
        committee.advance(FIRST + 1, PHASE);
        assert_eq!(committee.phase, Phase::Deal);
        (committee.least, committee.threshold)
    };
    assert_eq!(generation(7).least, 3);
    assert_eq!(thresholds(7), (3, 3));
    assert_eq!(thresholds(10), (4, 4));
    assert_eq!(thresholds(13), (5, 5));
    // Of so many hospitals, no ceremony with seven seats begins.
    assert_eq!(thresholds(16), (5, 5));
    assert_eq!(thresholds(200), (5, 5));
}

#[test]
fn earlier_shares_are_erased_when_the_members_do_without_the_faulty() {
    let erased = confirmed_before_erasure;
    assert_eq!((erased(4, 3, 1), erased(3, 2, 0), erased(31, 21, 10)), (4, 2, 31));
    assert_eq!(erased(2, 2, 0), 2);
    // Of seven seats, five enrolled.
    assert_eq!(erased(5, 3, 2), 5);
    let mut absences = epoch(hospitals(0..5));
    (absences.threshold, absences.faulty, absences.confirmed) = (3, 2, SeatSet::first(4));
    assert!(!absences.replaces_earlier_shares(), "two of the four may have lied");
    let mut epoch = epoch(hospitals(0..4));
    epoch.confirmed = SeatSet::first(3);
    assert!(!epoch.replaces_earlier_shares());
    epoch.confirmed = SeatSet::first(4);
    assert!(epoch.replaces_earlier_shares());
}

#[test]
fn a_hospital_joins_on_its_own_once_in_the_time_of_144_phases() {
    let joins = [(HospitalId(3), 50), (HospitalId(4), 90)];
    let pause = PHASES_BETWEEN_OWN_REASONS * PHASE;
    let lately = |hospital, now| has_joined_lately(&joins, HospitalId(hospital), now, PHASE);
    assert!(lately(3, 50) && lately(3, 50 + pause - 1) && !lately(3, 50 + pause));
    assert!(lately(4, 50 + pause) && !lately(5, 60));
    // However long the phases are, a day is enough.
    let lately = |now| has_joined_lately(&joins, HospitalId(3), now, MAX_PHASE_BLOCKS);
    assert!(lately(50 + DAY_BLOCKS - 1) && !lately(50 + DAY_BLOCKS));
}

#[test]
fn a_hospital_without_a_confirmed_share_may_begin_a_phase_after_the_epoch_began() {
    let mut epoch = epoch(hospitals(0..4));
    (epoch.since, epoch.confirmed) = (100, set(&[0, 1, 2]));
    let lacks = |hospital, now| epoch.lacks_share(HospitalId(hospital), now, PHASE);
    assert!(!lacks(3, 100 + PHASE - 1) && lacks(3, 100 + PHASE));
    assert!(!lacks(2, 100 + PHASE) && lacks(4, 100));
}

#[test]
fn a_set_has_seats_below_the_limit_only() {
    let all = SeatSet::first(MAX_SEATS as usize);
    assert_eq!(all.len(), MAX_SEATS as usize);
    let mut more = all;
    more.insert(MAX_SEATS as usize);
    more.insert(usize::MAX);
    assert_eq!(more, all);
    assert!(!SeatSet(u32::MAX).contains(MAX_SEATS as usize));
    let some = set(&[0, 30, 7]);
    assert_eq!(some.iter().collect::<Vec<_>>(), [0, 7, 30]);
    assert!(all.contains_all(some) && !some.contains_all(all));
    assert!(some.contains_all(SeatSet::default()) && SeatSet::default().is_empty());
}

#[test]
fn a_ceremony_needs_all_but_the_faulty_or_the_earlier_threshold() {
    let generation = generation(7);
    assert_eq!((generation.threshold, generation.needed), (5, 5));
    let three = Ceremony::begin(CeremonyId(0), None, hospitals(0..3), hospitals(0..3), FIRST);
    assert_eq!((three.threshold, three.needed), (2, 3));
    let resharing = resharing(&[0, 1, 2, 3], &[0, 1, 2, 4, 5, 6, 7]);
    assert_eq!((resharing.threshold, resharing.needed), (5, 3));
    assert_eq!(resharing.reshares, Some(EpochId(4)));
}

#[test]
fn enrolment_ends_early_when_all_enrolled_and_late_if_a_third_is_missing() {
    let mut ceremony = generation(4);
    ceremony.enrolled = set(&[0, 1, 3]);
    ceremony.advance(FIRST, PHASE);
    assert_eq!((ceremony.phase, ceremony.deadline), (Phase::Enrol, FIRST), "one may still come");

    let mut late = ceremony.clone();
    late.advance(FIRST + 1, PHASE);
    assert_eq!((late.phase, late.deadline), (Phase::Deal, FIRST + PHASE));
    assert_eq!((ceremony.threshold, late.threshold, late.needed), (3, 2, 3));

    ceremony.enrolled.insert(2);
    ceremony.advance(50, PHASE);
    assert_eq!((ceremony.phase, ceremony.deadline), (Phase::Deal, 50 + PHASE));
    assert_eq!(ceremony.threshold, 3);

    let mut few = generation(4);
    few.enrolled = set(&[0, 1]);
    few.advance(FIRST + 1, PHASE);
    assert_eq!(few.phase, Phase::Failed(Failure::TooFewSeats));
    assert!(!few.is_running());
}

#[test]
fn dealing_waits_for_those_who_enrolled_and_for_those_without_a_seat() {
    let mut ceremony = resharing(&[0, 1, 2, 3], &[0, 1, 2, 5]);
    ceremony.enrolled = set(&[0, 1, 3]);
    ceremony.advance(FIRST + 1, PHASE);
    assert_eq!(ceremony.phase, Phase::Deal);
    ceremony.dealt = set(&[0, 1]);
    ceremony.advance(FIRST + 2, PHASE);
    assert_eq!(ceremony.phase, Phase::Deal, "hospital 3 has no seat and may deal");
    ceremony.dealt.insert(3);
    ceremony.advance(FIRST + 2, PHASE);
    assert_eq!((ceremony.phase, ceremony.deadline), (Phase::Judge, FIRST + 2 + PHASE));
}

/// Two of three needed dealers enrolled. The third, which did not, may still deal.
#[test]
fn dealing_does_not_end_early_while_too_few_have_dealt() {
    let mut ceremony = resharing(&[0, 1, 2, 3], &[0, 1, 2, 3, 4, 5, 6]);
    ceremony.enrolled = set(&[0, 1, 4, 5, 6]);
    ceremony.advance(FIRST + 1, PHASE);
    ceremony.dealt = set(&[0, 1]);
    ceremony.advance(FIRST + 2, PHASE);
    assert_eq!((ceremony.phase, ceremony.needed), (Phase::Deal, 3));
    assert_eq!(ceremony.awaited().collect::<Vec<_>>(), [2, 3].map(HospitalId));
    let mut silent = ceremony.clone();
    silent.advance(FIRST + 1 + PHASE, PHASE);
    assert_eq!(silent.phase, Phase::Failed(Failure::TooFewDealers));
    ceremony.dealt.insert(3);
    ceremony.advance(FIRST + 3, PHASE);
    assert_eq!((ceremony.phase, ceremony.deadline), (Phase::Judge, FIRST + 3 + PHASE));
}

#[test]
fn too_few_dealers_end_a_ceremony_at_the_deadline() {
    let mut two = dealt(&[0, 3]);
    assert_eq!(two.phase, Phase::Deal);
    two.advance(1 + PHASE, PHASE);
    assert_eq!(two.phase, Phase::Deal);
    two.advance(2 + PHASE, PHASE);
    assert_eq!(two.phase, Phase::Failed(Failure::TooFewDealers));

    let mut three = dealt(&[0, 1, 3]);
    three.advance(2 + PHASE, PHASE);
    assert_eq!((three.phase, three.deadline), (Phase::Judge, 1 + 2 * PHASE));
}

#[test]
fn a_ceremony_without_complaints_needs_no_answers() {
    let ceremony = judged([&[], &[], &[], &[]]);
    assert_eq!((ceremony.phase, ceremony.deadline), (Phase::Confirm, 3 + PHASE));
    assert_eq!(ceremony.counted(), SeatSet::first(4));
}

#[test]
fn a_seat_that_does_not_judge_is_not_awaited_for_ever() {
    let mut ceremony = dealt(&[0, 1, 2, 3]);
    ceremony.judged = set(&[0, 1, 2]);
    ceremony.advance(2 + PHASE, PHASE);
    assert_eq!(ceremony.phase, Phase::Judge);
    ceremony.advance(3 + PHASE, PHASE);
    assert_eq!((ceremony.phase, ceremony.deadline), (Phase::Confirm, 2 + 2 * PHASE));
}

#[test]
fn a_dealer_that_answers_stays_and_a_silent_one_is_out() {
    let mut ceremony = judged([&[1], &[], &[3], &[]]);
    assert_eq!(ceremony.phase, Phase::Answer);
    assert_eq!(ceremony.valid(), set(&[1, 3]), "not before they have answered");
    ceremony.answered[0] = set(&[1]);
    ceremony.advance(4, PHASE);
    assert_eq!(ceremony.phase, Phase::Answer);

    let mut silent = ceremony.clone();
    silent.advance(4 + PHASE, PHASE);
    assert_eq!((silent.phase, silent.deadline), (Phase::Confirm, 3 + 2 * PHASE));
    assert_eq!(silent.counted(), set(&[0, 1, 3]));

    ceremony.answered[2] = set(&[3]);
    ceremony.advance(4, PHASE);
    assert_eq!((ceremony.phase, ceremony.deadline), (Phase::Confirm, 4 + PHASE));
    assert_eq!(ceremony.counted(), SeatSet::first(4));
}

#[test]
fn more_complaints_than_there_may_be_liars_prove_a_bad_dealer() {
    let ceremony = judged([&[1, 2], &[], &[], &[]]);
    assert_eq!(ceremony.phase, Phase::Confirm, "no answer can help");
    let mut answered = ceremony.clone();
    answered.answered[0] = set(&[1, 2]);
    assert_eq!(answered.valid(), set(&[1, 2, 3]));
}

#[test]
fn a_ceremony_whose_dealers_are_out_is_never_confirmed() {
    let ceremony = judged([&[2, 3], &[2, 3], &[], &[]]);
    assert_eq!(ceremony.phase, Phase::Failed(Failure::TooFewDealers));

    let mut silent = judged([&[2], &[3], &[], &[]]);
    silent.advance(4 + PHASE, PHASE);
    assert_eq!(silent.phase, Phase::Failed(Failure::TooFewDealers));
}

#[test]
fn a_ceremony_that_nobody_confirms_fails() {
    let mut ceremony = judged([&[], &[], &[], &[]]);
    ceremony.advance(3 + PHASE, PHASE);
    assert_eq!(ceremony.phase, Phase::Confirm);
    ceremony.advance(4 + PHASE, PHASE);
    assert_eq!(ceremony.phase, Phase::Failed(Failure::TooFewConfirmed));
}

#[test]
fn what_has_ended_stays_as_it_is() {
    let mut ceremony = judged([&[], &[], &[], &[]]);
    ceremony.phase = Phase::Activated;
    let ended = ceremony.clone();
    ceremony.advance(BlockNumber::MAX, PHASE);
    assert_eq!(ceremony, ended);
}

#[test]
fn new_shares_come_from_the_first_valid_dealers_only() {
    let mut ceremony = resharing(&[0, 1, 2, 3, 4], &[0, 1, 2, 3]);
    ceremony.dealt = SeatSet::first(5);
    assert_eq!((ceremony.needed, ceremony.counted()), (4, SeatSet::first(4)));
    ceremony.complaints[1] = set(&[0, 2]);
    assert_eq!(ceremony.counted(), set(&[0, 2, 3, 4]));
}

/// The dealers all sit and did not enrol. They may deal all the same, until the phase is over, whoever looks at it
/// later.
#[test]
fn dealers_that_did_not_enrol_are_awaited_if_nobody_else_deals() {
    let seats: Vec<u16> = (0..31).collect();
    let mut ceremony = resharing(&[0, 1, 2], &seats);
    ceremony.enrolled = (10..31).collect();
    ceremony.advance(FIRST + PHASE, PHASE);
    assert_eq!((ceremony.phase, ceremony.awaited().count()), (Phase::Deal, 3));
    ceremony.advance(5_000, PHASE);
    assert_eq!(ceremony.phase, Phase::Failed(Failure::TooFewDealers));
    assert_eq!(ceremony.deadline, FIRST + 2 * PHASE);
}

#[test]
fn a_schedule_has_bounds() {
    assert!(Schedule::default().is_valid());
    let schedule = |phase, refresh| Schedule { phase, refresh };
    for valid in [
        schedule(MIN_PHASE_BLOCKS, 10 * MIN_PHASE_BLOCKS),
        schedule(MAX_PHASE_BLOCKS, MAX_REFRESH_BLOCKS),
    ] {
        assert!(valid.is_valid(), "{valid:?}");
    }
    for invalid in [
        schedule(MIN_PHASE_BLOCKS - 1, 1_000),
        schedule(MAX_PHASE_BLOCKS + 1, MAX_REFRESH_BLOCKS),
        schedule(100, 999),
        schedule(100, MAX_REFRESH_BLOCKS + 1),
        schedule(u32::MAX, u32::MAX),
    ] {
        assert!(!invalid.is_valid(), "{invalid:?}");
    }
}

#[test]
fn the_context_of_a_dealer_encodes_as_its_parts() {
    let (genesis, ceremony, dealer) = (H256::repeat_byte(7), CeremonyId(3), HospitalId(258));
    let mut expected = vec![7; 32];
    expected.extend([3, 0, 0, 0, 2, 1]);
    assert_eq!(codec::Encode::encode(&DealerContext { genesis, ceremony, dealer }), expected);
}

fn rank(phase: Phase) -> u8 {
    match phase {
        Phase::Enrol => 0,
        Phase::Deal => 1,
        Phase::Judge => 2,
        Phase::Answer => 3,
        Phase::Confirm => 4,
        Phase::Activated | Phase::Failed(_) => 5,
    }
}

/// What a member does at a time, in any phase: two numbers choose the seat and the dealer.
fn act(ceremony: &mut Ceremony, seat: usize, dealer: usize, complains: bool) {
    let (seat, dealer) = (seat % ceremony.seats.len(), dealer % ceremony.dealers.len());
    match ceremony.phase {
        Phase::Enrol => ceremony.enrolled.insert(seat),
        Phase::Deal => ceremony.dealt.insert(dealer),
        Phase::Judge if ceremony.enrolled.contains(seat) => {
            if complains && ceremony.dealt.contains(dealer) && !ceremony.judged.contains(seat) {
                ceremony.complaints[dealer].insert(seat);
            }
            ceremony.judged.insert(seat);
        }
        Phase::Answer if ceremony.complaints[dealer].contains(seat) => {
            ceremony.answered[dealer].insert(seat);
        }
        _ => {}
    }
}

fn any_ceremony() -> impl Strategy<Value = Ceremony> {
    let seats = (2..=8_u16, 0..4_u16);
    (seats, any::<bool>()).prop_map(|((seats, moved), reshares)| {
        let (dealers, seats) = (hospitals(0..seats), hospitals(moved..moved + seats));
        let earlier = epoch(dealers.clone());
        if reshares {
            Ceremony::begin(CeremonyId(1), Some(&earlier), seats, dealers, FIRST)
        } else {
            Ceremony::begin(CeremonyId(1), None, dealers.clone(), dealers, FIRST)
        }
    })
}

proptest! {
    #[test]
    fn a_phase_never_goes_back_and_only_valid_dealings_count(
        mut ceremony in any_ceremony(),
        steps in vec((any::<usize>(), any::<usize>(), any::<bool>(), 0..4_u32), 0..80),
    ) {
        let mut now = FIRST - 20;
        for (seat, dealer, complains, pause) in steps {
            let earlier = ceremony.clone();
            // Who looks in between changes nothing.
            let mut looked = ceremony.clone();
            looked.advance(now + pause / 2, PHASE);
            looked.advance(now + pause, PHASE);
            now += pause;
            ceremony.advance(now, PHASE);
            prop_assert_eq!(&looked, &ceremony);

            act(&mut ceremony, seat, dealer, complains);
            ceremony.advance(now, PHASE);
            prop_assert!(rank(ceremony.phase) >= rank(earlier.phase));
            prop_assert!(!ceremony.is_running() || now <= ceremony.deadline);
            let (valid, counted) = (ceremony.valid(), ceremony.counted());
            prop_assert!(ceremony.dealt.contains_all(valid));
            prop_assert!(valid.contains_all(counted));
            if ceremony.phase == Phase::Confirm {
                prop_assert!(counted.len() >= usize::from(ceremony.needed));
            }
            for (dealer, complaints) in ceremony.complaints.iter().enumerate() {
                let refuted = ceremony.answered[dealer].contains_all(*complaints);
                let few = complaints.len() <= faulty(ceremony.seats.len());
                prop_assert_eq!(
                    valid.contains(dealer),
                    ceremony.dealt.contains(dealer) && refuted && few
                );
            }
        }
        // Without anybody, a ceremony is over after its phases.
        ceremony.advance(now + FIRST + 5 * PHASE, PHASE);
        prop_assert!(!ceremony.is_running());
    }
}
