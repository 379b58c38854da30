//! For whom a ceremony of the consortium key waits, in each phase.

#![allow(clippy::unwrap_used)]

use epione_primitives::{
    HospitalId,
    consortium::{
        Ceremony, CeremonyId, Epoch, EpochId, Failure, KeyId, Phase, SeatSet, Seats, threshold,
    },
};

fn hospitals(ids: &[u16]) -> Seats {
    Seats::truncate_from(ids.iter().copied().map(HospitalId).collect())
}

fn awaited(ceremony: &Ceremony) -> Vec<u16> {
    ceremony.awaited().map(|hospital| hospital.0).collect()
}

fn seats(positions: &[usize]) -> SeatSet {
    positions.iter().copied().collect()
}

#[test]
fn each_phase_waits_for_those_who_have_not_acted() {
    let all = hospitals(&[2, 3, 5, 8]);
    let mut ceremony = Ceremony::begin(CeremonyId(0), None, all.clone(), all, 20);
    ceremony.enrolled = seats(&[0, 2]);
    assert_eq!(awaited(&ceremony), [3, 8]);

    // Hospital 8 did not enrol, so nobody waits for its dealing.
    ceremony.enrolled = seats(&[0, 1, 2]);
    ceremony.phase = Phase::Deal;
    ceremony.dealt = seats(&[1]);
    assert_eq!(awaited(&ceremony), [2, 5]);

    ceremony.dealt = seats(&[0, 1, 2]);
    ceremony.phase = Phase::Judge;
    ceremony.judged = seats(&[2]);
    assert_eq!(awaited(&ceremony), [2, 3]);

    // One complaint about the first dealer, which has answered it, one about the second, two about the third: of four
    // seats only one may be malicious, so the third is out.
    ceremony.phase = Phase::Answer;
    ceremony.complaints[0] = seats(&[1]);
    ceremony.answered[0] = seats(&[1]);
    ceremony.complaints[1] = seats(&[0]);
    ceremony.complaints[2] = seats(&[0, 1]);
    assert_eq!(awaited(&ceremony), [3]);

    ceremony.phase = Phase::Confirm;
    assert_eq!(awaited(&ceremony), [2, 3, 5]);
    for over in [Phase::Activated, Phase::Failed(Failure::TooFewDealers)] {
        ceremony.phase = over;
        assert_eq!(awaited(&ceremony), [] as [u16; 0]);
    }
}

#[test]
fn a_dealer_without_a_seat_is_awaited_and_one_that_did_not_enrol_is_not() {
    let members = hospitals(&[0, 1, 2, 3]);
    let epoch = Epoch {
        id: EpochId(4),
        key: KeyId(0),
        ceremony: CeremonyId(6),
        threshold: u8::try_from(threshold(members.len())).unwrap(),
        faulty: 1,
        members: members.clone(),
        commitments: Default::default(),
        mixing: Default::default(),
        link: None,
        since: 1,
        confirmed: SeatSet::first(4),
    };
    // Hospital 3 leaves, and hospital 7 comes.
    let mut ceremony =
        Ceremony::begin(CeremonyId(7), Some(&epoch), hospitals(&[0, 1, 2, 7]), members, 20);
    ceremony.phase = Phase::Deal;
    ceremony.enrolled = seats(&[0, 2, 3]);
    assert_eq!(awaited(&ceremony), [0, 2, 3]);
}
