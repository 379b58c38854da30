use epione_primitives::{
    Hash, HospitalId,
    consortium::{CeremonyId, CommitmentList, EpochId, Failure, Phase, SeatSet},
    ports::HashedBody,
};
use epione_threshold::Share;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchResult;

use crate::{Call, Dealings, Error, Event, member::Deal, mock::*};

/// A ceremony that generates a key, in which all have enrolled.
fn enrolled_generation() -> Members {
    assert_ok!(begin(0));
    enrol_others();
    Members::default()
}

/// Sends a dealing that somebody changed.
fn deal_changed(hospital: u16, mut deal: Deal, change: impl FnOnce(&mut Deal)) -> DispatchResult {
    change(&mut deal);
    dispatch(dealing_call(newest().id, &deal), agent(hospital))
}

#[test]
fn a_dealing_is_stored_without_its_shares() {
    run(|| {
        let members = enrolled_generation();
        assert_ok!(members.deal(2));
        let stored = Dealings::<Test>::get(newest().id, 2).unwrap();
        let deal = members.dealing(2);
        let body = HashedBody::new(&[9; 5_000]).hash();
        assert_eq!(stored.commitments, deal.commitments);
        assert_eq!((stored.part, stored.body), (deal.part_hash(), body));
        assert_eq!(stored.agent, agent_account(2));
        assert_eq!(newest().dealt, set(&[2]));
        let (ceremony, hospital) = (newest().id, HospitalId(2));
        System::assert_last_event(Event::<Test>::Dealt { ceremony, hospital, body }.into());
        assert_eq!(Kept::get().last().unwrap().0, vec![9; 5_000]);
        assert_noop!(members.deal(2), Error::<Test>::AlreadyDealt);
    });
}

/// The sealed shares are signed by the account that dealt, whichever the hospital has later.
#[test]
fn a_hospital_that_rotates_its_agent_account_goes_on() {
    run(|| {
        let mut members = enrolled_generation();
        members.deal_all();
        let (ceremony, rotated) = (newest().id, agent_account(77));
        set_agent(HospitalId(2), rotated.clone());
        assert_noop!(judge(2, &[]), Error::<Test>::NotAgent);
        let rotated = || RuntimeOrigin::signed(rotated.clone());
        let complaints = SeatSet::default();
        assert_ok!(dispatch(Call::judge { ceremony, complaints }, rotated()));
        for hospital in [0, 1, 3] {
            assert_ok!(judge(hospital, &[]));
        }
        assert_eq!(Dealings::<Test>::get(ceremony, 2).unwrap().agent, agent_account(2));
        let result = members.result();
        assert_ok!(dispatch(Call::confirm { ceremony, result }, rotated()));
        for hospital in [0, 1] {
            assert_ok!(confirm(hospital, result));
        }
        members.learn();
        assert_eq!(current().confirmed, set(&[0, 1, 2]));
    });
}

#[test]
fn a_polynomial_of_another_degree_is_refused() {
    run(|| {
        enrolled_generation();
        for threshold in [1, 2, 4, 21] {
            let deal = Deal::of_degree(genesis(), &newest(), HospitalId(1), None, threshold);
            let result = deal_changed(1, deal, |_| ());
            assert_noop!(result, Error::<Test>::WrongDegree);
        }
        let none = deal_changed(1, Members::default().dealing(1), |deal| {
            deal.commitments = CommitmentList::default();
        });
        assert_noop!(none, Error::<Test>::WrongDegree);
    });
}

#[test]
fn commitments_that_are_no_points_are_refused() {
    run(|| {
        let members = enrolled_generation();
        // The identity, no canonical encoding, and no encoding of a point.
        for bytes in [[0; 32], [0xff; 32], [1; 32]] {
            for place in 0..3 {
                let result = deal_changed(1, members.dealing(1), |deal| {
                    deal.commitments[place] = bytes;
                });
                assert_noop!(result, Error::<Test>::WrongCommitments);
            }
        }
    });
}

#[test]
fn copied_commitments_are_refused() {
    run(|| {
        let members = enrolled_generation();
        let victim = members.dealing(0);
        assert_ok!(members.deal(0));
        // The whole dealing, and the commitments with the copier's own proof.
        let result = dispatch(dealing_call(newest().id, &victim), agent(1));
        assert_noop!(result, Error::<Test>::WrongProof);
        let result = deal_changed(1, members.dealing(1), |deal| {
            deal.commitments = victim.commitments.clone();
        });
        assert_noop!(result, Error::<Test>::WrongProof);
        let result = deal_changed(1, members.dealing(1), |deal| {
            deal.commitments[0] = victim.commitments[0];
        });
        assert_noop!(result, Error::<Test>::WrongProof);
    });
}

#[test]
fn a_dealing_of_another_ceremony_or_chain_is_refused() {
    run(|| {
        let members = enrolled_generation();
        let earlier = members.dealing(1);
        pass(6 * PHASE);
        assert_ok!(begin(0));
        enrol_others();
        assert_eq!(newest().id, CeremonyId(1));
        let replayed = dispatch(dealing_call(CeremonyId(0), &earlier), agent(1));
        assert_noop!(replayed, Error::<Test>::AnotherCeremony);
        let replayed = dispatch(dealing_call(CeremonyId(1), &earlier), agent(1));
        assert_noop!(replayed, Error::<Test>::WrongProof);
        let elsewhere = Deal::new(Hash::repeat_byte(4), &newest(), HospitalId(1), None);
        let replayed = dispatch(dealing_call(CeremonyId(1), &elsewhere), agent(1));
        assert_noop!(replayed, Error::<Test>::WrongProof);
        assert_ok!(members.deal(1));
    });
}

#[test]
fn a_proof_with_any_other_byte_is_refused() {
    run(|| {
        let members = enrolled_generation();
        for place in [0, 31, 32, 63] {
            let result = deal_changed(1, members.dealing(1), |deal| deal.proof[place] ^= 1);
            assert_noop!(result, Error::<Test>::WrongProof);
        }
    });
}

#[test]
fn late_dealings_are_refused_and_too_few_end_the_ceremony() {
    run(|| {
        let members = enrolled_generation();
        for hospital in [0, 1] {
            assert_ok!(members.deal(hospital));
        }
        pass_phase();
        assert_noop!(members.deal(2), Error::<Test>::WrongPhase);
        assert_eq!(newest().phase, Phase::Failed(Failure::TooFewDealers));
    });
}

#[test]
fn a_silent_dealer_does_not_stop_the_others() {
    run(|| {
        let mut members = enrolled_generation();
        for hospital in [0, 1, 3] {
            assert_ok!(members.deal(hospital));
        }
        assert_eq!(newest().phase, Phase::Deal);
        pass_phase();
        assert_noop!(members.deal(2), Error::<Test>::WrongPhase);
        judge_all();
        members.confirm_all();
        members.learn();
        assert_eq!(current().members, hospitals(0..4), "the silent one has a share");
        assert_eq!(members.recovered(&[1, 2, 3]), current().public_key());
    });
}

#[test]
fn who_was_no_active_member_does_not_deal_new_shares() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(PHASE);
        admit([HospitalId(4)]);
        assert_ok!(begin(4));
        enrol_others();
        let deal = Deal::new(genesis(), &newest(), HospitalId(4), None);
        let result = dispatch(dealing_call(newest().id, &deal), agent(4));
        assert_noop!(result, Error::<Test>::NotDealer);
    });
}

#[test]
fn a_member_deals_its_own_share_and_nothing_else() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        pass(REFRESH);
        assert_ok!(begin(0));
        enrol_others();
        assert_eq!(newest().reshares, Some(EpochId(0)));
        let one = Share::decode(&{
            let mut one = [0; 32];
            one[0] = 1;
            one
        })
        .unwrap();
        for other in [Some(&members.shares[&2]), Some(&one), None] {
            let deal = Deal::new(genesis(), &newest(), HospitalId(1), other);
            let result = dispatch(dealing_call(newest().id, &deal), agent(1));
            assert_noop!(result, Error::<Test>::WrongConstant);
        }
        let another = members.dealing(2);
        let call = dealing_call(newest().id, &another);
        assert_noop!(dispatch(call, agent(1)), Error::<Test>::WrongConstant);
        assert_ok!(members.deal(1));
    });
}

#[test]
fn fewer_dealers_than_the_earlier_threshold_leave_the_epoch_as_it_is() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        let before = current();
        pass(REFRESH);
        assert_ok!(begin(0));
        enrol_others();
        for hospital in [0, 3] {
            assert_ok!(members.deal(hospital));
        }
        pass_phase();
        assert_eq!(newest().phase, Phase::Failed(Failure::TooFewDealers));
        assert_noop!(judge(0, &[]), Error::<Test>::WrongPhase);
        assert_eq!(current(), before);
        // The next attempt succeeds.
        members.hold(1);
        assert_eq!((current().id, current().public_key()), (EpochId(1), before.public_key()));
    });
}
