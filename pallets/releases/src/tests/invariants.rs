//! Every broken invariant is detected.

use epione_primitives::{
    Hash, HospitalId,
    limits::MAX_EMERGENCIES_PER_DAY,
    opening::OpeningId,
    release::{
        OwnRead, Receipt, Request, Review, ReviewId, ReviewStatus, ReviewSubject, SectionSet,
        Usage, Visitors,
    },
};
use frame_support::{BoundedVec, assert_err, assert_ok, traits::Hooks};

use crate::{
    ByGrant, ByRequest, Emergencies, EmergencyCount, ExpiryCursor, NextReview, OfDeparted,
    OpeningTallies, OwnReadCount, OwnReads, ReceiptCount, Receipts, RefusalCount, Refusals,
    Reviews, Tallies, Unjustified, Usages, VisitorsFrom, mock::*, requests::Answer,
};

/// A reading (receipt 0), three emergencies (receipts 1 to 3), a refusal and a note. The first review has
/// expired, the second one is closed, the third is open with one verdict.
fn populated() {
    assert_ok!(record(agent(HOME), reading(0)));
    emergencies(1, 1);
    System::set_block_number(2);
    emergencies(2, 1);
    System::set_block_number(3);
    emergencies(3, 1);
    for (review, hospital) in [(1, AWAY), (1, NORTH), (2, AWAY)] {
        assert_ok!(judge(governance(hospital), review, true));
    }
    assert_ok!(refuse(HOME, NURSE, PATIENT));
    assert_ok!(note(user(PATIENT), &[part(FIRST)]));
    let after = review(0).deadline + 1;
    System::set_block_number(after);
    Releases::on_initialize(after);
    assert_eq!(ExpiryCursor::<Test>::get(), ReviewId(1));
    Releases::check_state().unwrap();
}

#[track_caller]
fn detected(message: &'static str, damage: fn()) {
    externalities().execute_with(|| {
        populated();
        damage();
        assert_err!(Releases::check_state(), message);
    });
}

fn edit_receipt(number: u32, change: fn(&mut Receipt)) {
    Receipts::<Test>::mutate(PATIENT, number, |receipt| change(receipt.as_mut().unwrap()));
}

/// Changes the request of a receipt. Its answer stays.
fn edit_request(number: u32, change: fn(&mut Request)) {
    let mut receipt = Receipts::<Test>::get(PATIENT, number).unwrap();
    let answer = ByRequest::<Test>::take(receipt.release.request.hash()).unwrap();
    change(&mut receipt.release.request);
    ByRequest::<Test>::insert(receipt.release.request.hash(), answer);
    Receipts::<Test>::insert(PATIENT, number, receipt);
}

fn edit_review(id: u32, change: fn(&mut Review)) {
    Reviews::<Test>::mutate(ReviewId(id), |review| change(review.as_mut().unwrap()));
}

#[test]
fn missing_and_extra_receipts_are_found() {
    detected("a receipt is missing", || ReceiptCount::<Test>::insert(PATIENT, 5));
    detected("a receipt is missing", || Receipts::<Test>::remove(PATIENT, 0));
    detected("a receipt is not counted", || {
        Receipts::<Test>::insert(PATIENT, 9, Receipts::<Test>::get(PATIENT, 0).unwrap());
    });
    detected("a receipt is not found by its grant", || ByGrant::<Test>::remove(grant(0)));
    detected("a receipt is not found by its grant", || {
        ByGrant::<Test>::insert(grant(0), (PATIENT, 1));
    });
    detected("a grant leads to no receipt", || {
        ByGrant::<Test>::insert(Hash::repeat_byte(99), (PATIENT, 0));
    });
}

#[test]
fn changed_receipts_are_found() {
    detected("a receipt is stored under another patient", || {
        edit_receipt(0, |receipt| receipt.release.request.patient = OTHER_PATIENT);
    });
    detected("a receipt has a release that no grant can make", || {
        edit_receipt(0, |receipt| receipt.release.records.clear());
    });
    detected("a receipt answers a request to another hospital", || {
        edit_request(0, |request| request.hospital = AWAY);
    });
    let more = "a receipt releases what was not requested";
    detected(more, || {
        edit_receipt(0, |receipt| receipt.release.records[0].sections = SectionSet::ALL);
    });
    detected(more, || {
        edit_request(0, |request| request.records.truncate(1));
    });
    detected("a receipt does not name a policy for each right", || {
        edit_receipt(0, |receipt| receipt.policies.truncate(1));
    });
    detected("an emergency has no review", || edit_receipt(1, |receipt| receipt.review = None));
    detected("an emergency has no review", || {
        edit_receipt(1, |receipt| receipt.review = Some(ReviewId(1)));
    });
}

#[test]
fn wrong_removed_hospitals_of_a_grant_are_found() {
    fn departed(grant: Hash, hospitals: &[HospitalId]) {
        OfDeparted::<Test>::insert(grant, BoundedVec::truncate_from(hospitals.to_vec()));
    }
    let order = "the removed hospitals of a grant do not ascend, or there is none";
    detected(order, || departed(grant(0), &[]));
    detected(order, || departed(grant(0), &[NORTH, AWAY]));
    detected(order, || departed(grant(0), &[AWAY, AWAY]));
    let receipt = "the grant of a custodian has no receipt of another hospital";
    detected(receipt, || departed(grant(0), &[HOME]));
    detected(receipt, || departed(Hash::repeat_byte(99), &[AWAY]));
}

fn edit_note(change: fn(&mut OwnRead)) {
    OwnReads::<Test>::mutate(PATIENT, 0, |read| change(read.as_mut().unwrap()));
}

#[test]
fn missing_extra_and_changed_notes_are_found() {
    detected("a note is missing", || OwnReadCount::<Test>::insert(PATIENT, 2));
    detected("a note is missing", || OwnReads::<Test>::remove(PATIENT, 0));
    detected("a note is not counted", || {
        OwnReads::<Test>::insert(PATIENT, 9, OwnReads::<Test>::get(PATIENT, 0).unwrap());
    });
    detected("a note cannot be made so", || edit_note(|read| read.records.clear()));
    detected("a note names a record that is not the patient's", || {
        edit_note(|read| read.records[0] = part(OTHERS));
    });
}

#[test]
fn answers_that_disagree_are_found() {
    let receipt = "a receipt is not the answer to its request";
    detected(receipt, || {
        edit_receipt(0, |receipt| receipt.release.request.nonce = [0; 16]);
    });
    detected(receipt, || {
        ByRequest::<Test>::insert(
            Receipts::<Test>::get(PATIENT, 0).unwrap().release.request.hash(),
            Answer::Refused,
        );
    });
    detected("a refusal is not the answer to its request", || {
        Refusals::<Test>::mutate(PATIENT, 0, |refused| {
            refused.as_mut().unwrap().request = Hash::repeat_byte(9);
        });
    });
    let stray = "a request is refused twice, or its answer is neither a receipt nor a refusal";
    detected(stray, || ByRequest::<Test>::insert(Hash::repeat_byte(9), Answer::Refused));
    detected(stray, || {
        Refusals::<Test>::insert(PATIENT, 1, Refusals::<Test>::get(PATIENT, 0).unwrap());
        RefusalCount::<Test>::insert(PATIENT, 2);
    });
}

#[test]
fn broken_refusals_and_tallies_are_found() {
    detected("a refusal is missing", || RefusalCount::<Test>::insert(PATIENT, 2));
    detected("a refusal is not counted", || RefusalCount::<Test>::remove(PATIENT));
    detected("a refusal is stored under another patient", || {
        Refusals::<Test>::mutate(PATIENT, 0, |refused| {
            refused.as_mut().unwrap().patient = OTHER_PATIENT;
        });
    });
    let excess = "a tally exceeds the daily limits, or has a future day";
    detected(excess, || Tallies::<Test>::mutate(HOME, NURSE, |tally| tally.refusals = 99));
    detected(excess, || Tallies::<Test>::mutate(HOME, DOCTOR, |tally| tally.emergencies = 99));
    detected(excess, || Tallies::<Test>::mutate(HOME, DOCTOR, |tally| tally.day += 1));
    detected("a tally belongs to no hospital", || {
        let tally = Tallies::<Test>::get(HOME, DOCTOR);
        Tallies::<Test>::insert(epione_primitives::HospitalId(99), DOCTOR, tally);
    });
}

#[test]
fn visitors_beyond_their_share_are_found() {
    fn insert(home: HospitalId, emergencies: u32) {
        let since = Usages::<Test>::get(HOME).since;
        VisitorsFrom::<Test>::insert(HOME, home, Visitors { since, emergencies });
    }
    let expected = "visitors exceed their hospital's share, or are not counted";
    detected(expected, || insert(AWAY, 1));
    detected(expected, || {
        insert(AWAY, MaxEmergencies::get());
        Usages::<Test>::mutate(HOME, |usage| usage.since += 1);
    });
    detected("visitors are of no hospital", || insert(HospitalId(99), 0));
}

#[test]
fn missing_and_extra_reviews_are_found() {
    detected("a review is missing", || NextReview::<Test>::put(ReviewId(4)));
    detected("a review has an id that was not assigned yet", || {
        Reviews::<Test>::insert(ReviewId(9), review(2));
    });
    detected("a review has no receipt", || {
        edit_request(3, |request| request.emergency = None);
        edit_receipt(3, |receipt| receipt.review = None);
        edit_receipt(3, |receipt| receipt.release.rights[0] = READ_TEXT);
        edit_review(2, |review| review.subject = ReviewSubject::Receipt(9));
    });
}

#[test]
fn changed_reviews_are_found() {
    detected("deadlines do not ascend", || edit_review(2, |review| review.deadline = 0));
    let changes: [fn(&mut Review); 3] = [
        |review| review.hospital = AWAY,
        |review| review.requester = NURSE,
        |review| review.opened += 1,
    ];
    for change in changes {
        externalities().execute_with(|| {
            populated();
            edit_review(0, change);
            assert_err!(Releases::check_state(), "a review disagrees with its receipt");
        });
    }
    detected("an emergency has no review", || {
        edit_review(2, |review| review.subject = ReviewSubject::Opening(OpeningId(0)));
    });
    detected("a hospital has given two verdicts", || {
        edit_review(2, |review| review.verdicts.try_push((AWAY, false)).unwrap());
    });
    detected("a hospital has judged its own emergency although there are other hospitals", || {
        edit_review(2, |review| review.verdicts.try_push((HOME, true)).unwrap());
    });
}

#[test]
fn a_misplaced_cursor_is_found() {
    let misplaced = "the cursor is after an open review, or not after an expired review";
    detected(misplaced, ExpiryCursor::<Test>::kill);
    detected(misplaced, || ExpiryCursor::<Test>::put(ReviewId(3)));
    detected(misplaced, || edit_review(1, |review| review.status = ReviewStatus::Expired));
    detected("the cursor is beyond the last review", || {
        ExpiryCursor::<Test>::put(ReviewId(4));
    });
}

#[test]
fn broken_lists_of_emergencies_are_found() {
    detected("an emergency is missing", || Emergencies::<Test>::remove(PATIENT, 1));
    detected("an emergency is not counted", || EmergencyCount::<Test>::insert(PATIENT, 2));
    detected("a review is not among its patient's emergencies", || {
        EmergencyCount::<Test>::insert(PATIENT, 2);
        Emergencies::<Test>::remove(PATIENT, 2);
    });
    detected("a patient's emergencies do not ascend", || {
        Emergencies::<Test>::insert(PATIENT, 1, ReviewId(0));
    });
    detected("an emergency leads to no review of the patient", || {
        Emergencies::<Test>::insert(PATIENT, 2, ReviewId(9));
    });
}

/// A usage at the limit.
fn full() -> Usage {
    Usage {
        since: 1,
        receipts: MaxReceipts::get(),
        refusals: MaxRefusals::get(),
        ..Usage::default()
    }
}

#[test]
fn broken_usages_are_found() {
    let exceeds = "a usage exceeds the hospital's limits, or begins in the future";
    detected(exceeds, || {
        Usages::<Test>::insert(HOME, Usage { receipts: full().receipts + 1, ..full() });
    });
    detected(exceeds, || {
        Usages::<Test>::insert(HOME, Usage { emergencies: MaxEmergencies::get() + 1, ..full() });
    });
    detected(exceeds, || {
        Usages::<Test>::insert(HOME, Usage { receipts: 1, emergencies: 2, ..full() });
    });
    detected(exceeds, || {
        Usages::<Test>::insert(HOME, Usage { refusals: MaxRefusals::get() + 1, ..full() });
    });
    detected(exceeds, || {
        Usages::<Test>::insert(HOME, Usage { emergencies: 1, visitors: 2, ..full() });
    });
    detected(exceeds, || {
        Usages::<Test>::insert(HOME, Usage { emergencies: 1, openings: 2, ..full() });
    });
    detected(exceeds, || {
        let (emergencies, openings) = (MaxEmergencies::get(), MaxEmergencies::get() / 2 + 1);
        Usages::<Test>::insert(HOME, Usage { emergencies, openings, ..full() });
    });
    detected(exceeds, || Usages::<Test>::insert(HOME, Usage { since: u32::MAX, ..full() }));
    detected("a usage belongs to no hospital", || Usages::<Test>::insert(HospitalId(9), full()));
}

#[test]
fn broken_tallies_of_openings_and_verdicts_without_a_review_are_found() {
    let exceeds = "a tally of openings exceeds the daily limit, or has a future day";
    detected(exceeds, || {
        OpeningTallies::<Test>::mutate(DOCTOR, |tally| {
            tally.emergencies = MAX_EMERGENCIES_PER_DAY + 1;
        });
    });
    detected(exceeds, || OpeningTallies::<Test>::mutate(DOCTOR, |tally| tally.refusals = 1));
    detected(exceeds, || OpeningTallies::<Test>::mutate(DOCTOR, |tally| tally.day = u32::MAX));
    let unknown = "no emergency of a requester was found unjustified at that moment";
    detected(unknown, || Unjustified::<Test>::insert(DOCTOR, START + 1));
}
