//! The invariants that compare the pallets: each check finds a state that breaks it.

use epione_primitives::{
    AnnouncementId, Hash, HospitalId, QueryId, RecordPointer, UserId,
    access::{Purpose, Relationship, RelationshipKind},
    approval::BallotOutcome,
    consortium::{Ceremony, CeremonyId, CommitmentList, Epoch, EpochId, KeyId, SeatSet, Seats},
    credential::{AttributeId, Credential},
    custody::{Claim, ClaimId, ClaimedPatients, Kept},
    hospital::Duty,
    mandate::Mandate,
    opening::{HandedOut, Opening, OpeningId, WRAP_BYTES},
    profile::Role,
    query::{Acceptance, Answer, QueriedRecords, Query},
    release::{
        EmergencyReason, ReleasedRecord, Review, ReviewId, ReviewStatus, ReviewSubject,
        ReviewedEmergency, SectionSet,
    },
    sharing::{ConsentVersion, SlotId, SlotSet, Term},
};
use epione_runtime::{Runtime, RuntimeCall, invariants};
use pallet_collective::Instance1;
use pallet_quotas::{Holder, Lane, Used};
use sp_runtime::DispatchError;

use crate::{
    chain::{
        A, B, Chain, PATIENT, SEALING_KEY, account, announcement, apply, approve, key, local,
        register, user,
    },
    sharing,
};

const STRANGER: UserId = UserId([9; 32]);
/// No hospital has this id.
const NOWHERE: HospitalId = HospitalId(40);

/// A committed record of the patient at hospital A, and an open announcement of another one.
fn committed(chain: &mut Chain) {
    register("Alice//agent", *PATIENT, Role::Patient);
    apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
    chain.next_block();
    approve("Bob//agent", 0);
    approve("Charlie//agent", 0);
    apply("Alice//agent", announcement(A, &[*PATIENT], 2)).unwrap().unwrap();
    assert_eq!(invariants::check(), Ok(()));
}

/// Runs a test that breaks the state, and expects this finding.
fn finds(expected: &'static str, breaks: impl FnOnce()) {
    local(|chain| {
        committed(chain);
        breaks();
        assert_eq!(invariants::check_together(), Err(DispatchError::Other(expected)));
    });
}

#[test]
fn a_hospital_without_a_seat_is_found() {
    finds("the council differs from the governance accounts of the active hospitals", || {
        pallet_collective::Members::<Runtime, Instance1>::mutate(|members| {
            members.pop();
        });
    });
}

#[test]
fn a_proposal_without_a_motion_is_found() {
    finds("a proposal or votes are stored without a motion", || {
        let remark = frame_system::Call::remark { remark: vec![] };
        pallet_collective::ProposalOf::<Runtime, Instance1>::insert(
            Hash::zero(),
            RuntimeCall::System(remark),
        );
    });
}

#[test]
fn a_next_validator_that_was_not_seated_is_found() {
    finds("the next validators differ from the hospitals that were seated last", || {
        pallet_hospitals::Seated::<Runtime>::mutate(|seated| {
            seated.pop();
        });
    });
}

#[test]
fn a_validator_that_is_not_a_hospital_is_found() {
    finds("a validator is not a hospital", || {
        pallet_session::Validators::<Runtime>::mutate(|validators| validators.push(NOWHERE));
    });
}

#[test]
fn an_account_with_two_owners_is_found() {
    finds("an account belongs to both a hospital and a user", || {
        pallet_profiles::Accounts::<Runtime>::insert(account(&key("Bob")), *PATIENT);
    });
}

#[test]
fn an_open_announcement_of_a_hospital_that_is_not_active_is_found() {
    finds("a hospital that is not active has an open announcement", || {
        pallet_hospitals::Active::<Runtime>::mutate(|active| active.retain(|id| *id != A));
    });
}

#[test]
fn a_ballot_of_another_hospital_is_found() {
    finds("a ballot was not opened by the announcer of its block", || {
        pallet_approvals::Ballots::<Runtime>::mutate(AnnouncementId(1), |ballot| {
            ballot.as_mut().unwrap().opener = B;
        });
    });
}

#[test]
fn a_ballot_about_another_subject_is_found() {
    for id in [0, 1] {
        finds("the hospitals vote on another subject than was announced", || {
            pallet_approvals::Ballots::<Runtime>::mutate(AnnouncementId(id), |ballot| {
                ballot.as_mut().unwrap().subject = Hash::zero();
            });
        });
    }
}

#[test]
fn an_approval_before_its_announcement_is_found() {
    finds("a hospital approved an announcement before it was made", || {
        pallet_approvals::Ballots::<Runtime>::mutate(AnnouncementId(0), |ballot| {
            ballot.as_mut().unwrap().approvals[0].block = 0;
        });
    });
}

#[test]
fn an_announcement_that_did_not_end_with_its_ballot_is_found() {
    finds("an announcement did not end as its ballot did", || {
        pallet_approvals::Ballots::<Runtime>::mutate(AnnouncementId(1), |ballot| {
            ballot.as_mut().unwrap().outcome = Some(BallotOutcome::Expired);
        });
    });
}

#[test]
fn a_ballot_about_nothing_is_found() {
    finds("a ballot is about an announcement that does not exist", || {
        let ballot = pallet_approvals::Ballots::<Runtime>::get(AnnouncementId(1)).unwrap();
        pallet_approvals::Ballots::<Runtime>::insert(AnnouncementId(7), ballot);
    });
}

#[test]
fn a_record_of_a_patient_of_another_hospital_is_found() {
    finds("the patient of a record was never registered at its hospital", || {
        pallet_lite_blocks::Headers::<Runtime>::mutate(1, |header| {
            header.as_mut().unwrap().announcer = B;
        });
    });
}

#[test]
fn an_index_link_of_a_patient_without_records_is_found() {
    finds("a patient without records has an index link", || {
        let nowhere = RecordPointer { height: 9, index: 0 };
        pallet_index_links::Latest::<Runtime>::insert(STRANGER, nowhere);
    });
}

#[test]
fn a_relationship_of_an_unknown_user_is_found() {
    finds("a relationship is not between a patient and a professional", || {
        let kind = RelationshipKind::Treating;
        let treating = Relationship { kind, hospital: A, since: 0, expires: None, closed: None };
        pallet_role_policies::Relationships::<Runtime>::insert(
            (*PATIENT, STRANGER, A),
            pallet_role_policies::RelationshipsOf::try_from(vec![treating]).unwrap(),
        );
    });
}

#[test]
fn mandates_that_refer_to_nothing_are_found() {
    use pallet_mandates::{Authorizations, Custodies, Representatives};

    let mandate = Mandate { since: 1, until: 2, ended: None };
    let unknown = "a mandate is not from a patient to a known user";
    for (patient, representative) in [(STRANGER, *PATIENT), (*PATIENT, STRANGER)] {
        finds(unknown, || Representatives::<Runtime>::insert(patient, representative, mandate));
    }
    let elsewhere = "a mandate is not from a patient to a hospital of the patient";
    for (patient, hospital) in [(STRANGER, A), (*PATIENT, B), (*PATIENT, NOWHERE)] {
        finds(elsewhere, || Authorizations::<Runtime>::insert(patient, hospital, mandate));
        finds("a key is not entrusted by a patient at a hospital of the patient", || {
            Custodies::<Runtime>::insert(hospital, patient, mandate);
        });
    }
}

#[test]
fn consents_and_sections_of_nobody_are_found() {
    finds("a consent is not of a patient", || {
        let consent = sharing::consent(&[Term::User(STRANGER)]);
        let given = ConsentVersion { version: 1, consent, since: 0, block: 1, ended: None };
        pallet_sharing::Consents::<Runtime>::insert(STRANGER, SlotId(0), given);
    });
    finds("a section in a slot is of a record of another patient or hospital", || {
        let pointer = RecordPointer { height: 1, index: 0 };
        pallet_sharing::PlacedIn::<Runtime>::insert((STRANGER, SlotId(0), pointer), SectionSet(1));
    });
}

/// An accepted query of a researcher to the patient about the committed record, with hospital A as the mailbox.
fn query() -> Query {
    let named = ReleasedRecord {
        pointer: RecordPointer { height: 1, index: 0 },
        sections: SectionSet::ALL,
    };
    let records = QueriedRecords::truncate_from(vec![named]);
    let acceptance = Acceptance {
        by: *PATIENT,
        records: records.clone(),
        grant: Hash::zero(),
        until: 2,
        audience: account(&key("user-8")),
        sealing_key: SEALING_KEY,
        mailbox: A,
        block: 1,
        at: 1,
    };
    Query {
        requester: user(8),
        hospital: A,
        patient: *PATIENT,
        patient_key: SEALING_KEY,
        records,
        purpose: Purpose::Research,
        terms: Hash::zero(),
        expires: 2,
        block: 1,
        at: 1,
        answer: Some(Answer::Accepted(acceptance)),
    }
}

#[test]
fn credentials_that_refer_to_nothing_are_found() {
    let issue = |user: UserId, issuer: HospitalId| {
        let credential = Credential { since: 0, until: 1, revoked: None };
        let key = (user, AttributeId(0), issuer);
        pallet_credentials::Credentials::<Runtime>::insert(key, credential);
    };
    finds("a credential is of an unknown user", || issue(STRANGER, A));
    finds("a credential was issued by no hospital", || issue(*PATIENT, NOWHERE));
}

/// Stores a query with this change.
fn ask(change: impl FnOnce(&mut Query)) {
    register("Alice//agent", user(8), Role::Researcher);
    register("Alice//agent", user(9), Role::Patient);
    let mut query = query();
    change(&mut query);
    pallet_queries::Queries::<Runtime>::insert(QueryId(0), query);
}

#[test]
fn queries_that_refer_to_nothing_are_found() {
    local(|chain| {
        committed(chain);
        ask(|_| ());
        assert_eq!(invariants::check_together(), Ok(()));
    });
    let elsewhere = "a query is of a requester who was never registered at its hospital";
    finds(elsewhere, || ask(|query| query.requester = STRANGER));
    finds(elsewhere, || ask(|query| query.hospital = B));
    let no_patient = "a query does not ask a patient";
    finds(no_patient, || ask(|query| query.patient = STRANGER));
    finds(no_patient, || ask(|query| query.patient = user(8)));
    let terms = "the terms of a query are for a key that its patient never had";
    finds(terms, || ask(|query| query.patient_key = Hash::zero()));
    finds("a query is about a record of another patient", || ask(|query| query.patient = user(9)));
    finds("a query was accepted by somebody whom its patient never appointed", || {
        ask(|query| {
            if let Some(Answer::Accepted(acceptance)) = &mut query.answer {
                acceptance.by = user(9);
            }
        });
    });
    let by_stranger = "a query was ended by somebody whom its patient never appointed";
    let (by, block, at) = (user(9), 1, 1);
    finds(by_stranger, || ask(|query| query.answer = Some(Answer::Refused { by, block, at })));
    finds(by_stranger, || {
        ask(|query| {
            let acceptance = query.acceptance().cloned();
            query.answer = Some(Answer::Withdrawn { by, block, at, acceptance });
        });
    });
    let nowhere = "the mailbox of a query is no hospital";
    let move_mailbox = |query: &mut Query| {
        if let Some(Answer::Accepted(acceptance)) = &mut query.answer {
            acceptance.mailbox = NOWHERE;
        }
    };
    finds(nowhere, || ask(move_mailbox));
    finds(nowhere, || {
        ask(|query| {
            move_mailbox(query);
            let acceptance = query.acceptance().cloned();
            query.answer = Some(Answer::Withdrawn { by: *PATIENT, block: 1, at: 1, acceptance });
        });
    });
}

/// Account and sealing key must belong to one version of the profile, but not to the present one.
#[test]
fn an_acceptance_for_keys_that_the_requester_never_had_together_is_found() {
    let next_key = Hash::repeat_byte(9);
    let accept_for = |audience: &str, sealing_key: Hash| {
        ask(|query| {
            if let Some(Answer::Accepted(acceptance)) = &mut query.answer {
                acceptance.audience = account(&key(audience));
                acceptance.sealing_key = sealing_key;
            }
        });
    };
    let rotated = |sealing_key: Hash| {
        pallet_profiles::Profiles::<Runtime>::mutate(user(8), |profile| {
            let profile = profile.as_mut().unwrap();
            let earlier = profile.clone();
            pallet_profiles::ProfileHistory::<Runtime>::insert(user(8), earlier.version, earlier);
            profile.version += 1;
            profile.account = account(&key("user-8//next"));
            profile.sealing_key_hash = sealing_key;
        });
    };
    let valid = [("user-8", SEALING_KEY), ("user-8//next", next_key)];
    for (audience, sealing_key) in valid {
        local(|chain| {
            committed(chain);
            accept_for(audience, sealing_key);
            rotated(next_key);
            assert_eq!(invariants::check_together(), Ok(()));
        });
    }
    let never = "a query was accepted for keys that its requester never had together";
    for (audience, sealing_key) in
        [("user-8", next_key), ("user-8//next", SEALING_KEY), ("Bob", SEALING_KEY)]
    {
        finds(never, || {
            accept_for(audience, sealing_key);
            rotated(next_key);
        });
    }
}

/// Stores an opening of a researcher's with this change, and the part of a hospital.
fn open(hospital: HospitalId, change: impl FnOnce(&mut Opening)) {
    register("Alice//agent", user(8), Role::Researcher);
    register("Alice//agent", user(9), Role::Patient);
    let Query { requester, patient, records, purpose, block, at, .. } = query();
    let mut opening = Opening {
        requester,
        hospital: A,
        patient,
        records,
        purpose,
        emergency: None,
        slots: SlotSet(1),
        audience: account(&key("user-8")),
        sealing_key: SEALING_KEY,
        block,
        at,
    };
    change(&mut opening);
    pallet_openings::Openings::<Runtime>::insert(OpeningId(0), opening);
    let handed = HandedOut { epoch: EpochId(0), block, at };
    pallet_openings::HandedOutBy::<Runtime>::insert(OpeningId(0), hospital, handed);
}

#[test]
fn openings_that_refer_to_nothing_are_found() {
    local(|chain| {
        committed(chain);
        open(B, |_| ());
        assert_eq!(invariants::check_together(), Ok(()));
    });
    let elsewhere = "an opening is of a requester who was never registered at its hospital";
    finds(elsewhere, || open(B, |opening| opening.requester = STRANGER));
    finds(elsewhere, || open(B, |opening| opening.hospital = B));
    let no_patient = "an opening is of no patient";
    finds(no_patient, || open(B, |opening| opening.patient = STRANGER));
    finds(no_patient, || open(B, |opening| opening.patient = user(8)));
    let foreign = "an opening is about a record of another patient";
    finds(foreign, || open(B, |opening| opening.patient = user(9)));
    let never = "an opening is for keys that its requester never had together";
    finds(never, || open(B, |opening| opening.sealing_key = Hash::repeat_byte(9)));
    finds(never, || open(B, |opening| opening.audience = account(&key("Bob"))));
    finds("a part of an opening was handed out by no hospital", || open(NOWHERE, |_| ()));
}

#[test]
fn openings_in_emergencies_and_their_reviews_agree() {
    let in_emergency = |requester| {
        move |opening: &mut Opening| {
            let reason = EmergencyReason::PublicHealth;
            opening.requester = requester;
            opening.emergency = Some(ReviewedEmergency { reason, review: ReviewId(0) });
        }
    };
    finds("an opening in an emergency is by somebody who is no doctor", || {
        open(B, in_emergency(user(8)));
    });
    finds("an opening disagrees with its review", || {
        register("Alice//agent", user(10), Role::Doctor);
        open(B, in_emergency(user(10)));
    });
    finds("a review is about an opening that does not name it", || {
        open(B, |_| ());
        let review = Review {
            requester: user(8),
            patient: *PATIENT,
            hospital: A,
            subject: ReviewSubject::Opening(OpeningId(0)),
            reason: EmergencyReason::PublicHealth,
            opened: 0,
            deadline: 9,
            verdicts: Default::default(),
            status: ReviewStatus::Open,
        };
        pallet_releases::Reviews::<Runtime>::insert(ReviewId(0), review);
    });
}

/// Stores a patient's kept key, a claim of hospital A about somebody's key, and the part of a hospital.
fn claim(kept: UserId, claimed: UserId, hospital: HospitalId) {
    register("Alice//agent", user(8), Role::Researcher);
    let (key, epoch, block, at) = (KeyId(0), EpochId(0), 1, 1);
    let (profile, wrap) = (Hash::zero(), [0; WRAP_BYTES]);
    let stored = Kept { profile, key, epoch, wrap, block };
    pallet_custody::KeptKeys::<Runtime>::insert(B, kept, stored);
    let claim = Claim {
        departed: B,
        custodian: A,
        patients: ClaimedPatients::truncate_from(vec![claimed]),
        audience: account(&self::key("Alice//agent")),
        sealing_key: SEALING_KEY,
        block,
        at,
    };
    pallet_custody::Claims::<Runtime>::insert(ClaimId(0), claim);
    let handed = HandedOut { epoch, block, at };
    pallet_custody::HandedOutBy::<Runtime>::insert(ClaimId(0), hospital, handed);
}

#[test]
fn kept_keys_and_claims_that_refer_to_nothing_are_found() {
    local(|chain| {
        committed(chain);
        claim(*PATIENT, *PATIENT, B);
        assert_eq!(invariants::check_together(), Ok(()));
    });
    for nobody in [STRANGER, user(8)] {
        finds("a key is kept of no patient", || claim(nobody, *PATIENT, B));
    }
    let never = "a claim is about somebody who was never registered at the custodian";
    finds(never, || claim(*PATIENT, STRANGER, B));
    finds("a part of a claim was handed out by no hospital", || {
        claim(*PATIENT, *PATIENT, NOWHERE);
    });
}

#[test]
fn a_consortium_with_a_hospital_that_does_not_exist_is_found() {
    let everybody = || Seats::truncate_from(vec![A, B, NOWHERE]);
    finds("a member of an epoch is not a hospital", || {
        let epoch = Epoch {
            id: EpochId(0),
            key: KeyId(0),
            ceremony: CeremonyId(0),
            members: everybody(),
            threshold: 2,
            faulty: 0,
            commitments: CommitmentList::default(),
            mixing: Hash::zero(),
            link: None,
            since: 0,
            confirmed: SeatSet::default(),
        };
        pallet_consortium_key::Epochs::<Runtime>::insert(EpochId(0), epoch);
    });
    let both = || Seats::truncate_from(vec![A, B]);
    for (seats, dealers) in [(everybody(), both()), (both(), everybody())] {
        finds("a seat or a dealer is not a hospital", || {
            let ceremony = Ceremony::begin(CeremonyId(0), None, seats, dealers, 100);
            pallet_consortium_key::Ceremony::<Runtime>::put(ceremony);
        });
    }
    finds("a hospital of the committee does not exist", || {
        pallet_consortium_key::Committee::<Runtime>::put(everybody());
    });
}

#[test]
fn a_quota_that_was_used_in_the_future_is_found() {
    local(|chain| {
        committed(chain);
        let holder = Holder::Duty(A, Duty::Agent);
        Used::<Runtime>::mutate(holder, Lane::Record, |usage| usage.byte_window += 1);
        let expected = "something was used in a window that has not begun";
        assert_eq!(invariants::check(), Err(DispatchError::Other(expected)));
    });
}

#[test]
fn the_hospitals_that_joined_at_the_start_keep_every_invariant() {
    local(|chain| {
        assert_eq!(invariants::check(), Ok(()));
        chain.next_block();
        assert_eq!(invariants::check(), Ok(()));
    });
}
