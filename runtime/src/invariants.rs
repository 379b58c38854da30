//! What the states of the pallets must say about each other.
//!
//! No pallet reads another pallet's storage, so each checks only its own state (`try_state`). The checks here compare
//! the states: tests run them after every block, and `try-runtime` after a block that it executes.

use alloc::{collections::BTreeSet, vec::Vec};
use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, AnnouncementId, BlockNumber, Hash, HospitalId, UserId,
    approval::{Ballot, BallotOutcome},
    block::{AnnouncedHeader, Announcement, Stage},
    hospital::HospitalStatus,
    limits::BALLOT_BLOCKS,
    opening::{Opening, OpeningId},
    ports::{Hospitals as _, Records as _},
    profile::{Profile, Role},
    query::{Acceptance, Answer, Query},
    release::{Review, ReviewSubject},
};
use frame_support::ensure;
use pallet_collective::Instance1;
use sp_runtime::TryRuntimeError;

use crate::{
    Approvals, ConsortiumKey, Credentials, Custody, Hospitals, IndexLinks, LiteBlocks, Mandates,
    Openings, Profiles, Queries, Quotas, Releases, RolePolicies, Runtime, Session, Sharing,
};

/// The invariants of Epione's pallets, of each alone and of all together.
pub fn check() -> Result<(), TryRuntimeError> {
    check_each()?;
    check_together()
}

/// The invariants of each of Epione's pallets.
fn check_each() -> Result<(), TryRuntimeError> {
    Hospitals::check_state()?;
    Profiles::check_state()?;
    Credentials::check_state()?;
    RolePolicies::check_state()?;
    LiteBlocks::check_state()?;
    Approvals::check_state()?;
    IndexLinks::check_state()?;
    Releases::check_state()?;
    Sharing::check_state()?;
    Mandates::check_state()?;
    Queries::check_state()?;
    ConsortiumKey::check_state()?;
    Custody::check_state()?;
    Openings::check_state()?;
    Quotas::check_state()
}

/// Invariants:
/// - the council consists of the governance accounts of the active hospitals, and only members' votes count in its
///   motions;
/// - the next validators are the hospitals that pallet-hospitals seated last; the current validators are hospitals,
///   and Aura has a key of each;
/// - no account belongs to both a hospital and a user;
/// - each announcement has exactly one ballot, which its announcer opened among admitted hospitals, and which ended as
///   the announcement did; the ballot's subject is the hash of what was announced, unless that was discarded; only
///   active hospitals have open ones;
/// - the patient of each committed record is or was registered at the hospital that announced it, and the index links
///   lead to no other patients;
/// - credentials are of known users, and issued by hospitals;
/// - relationships are between patients and professionals, at a hospital where the patient is or was registered; only
///   hospitals have policies;
/// - a receipt is about records of its patient, which its hospital announced, or a removed hospital whose custodian it
///   was, for a known requester, who asked this hospital, and by a version of the policies that exists;
/// - consents are of patients, and sections in slots are of records that the patient's hospitals announced;
/// - a query is of a requester who is or was registered at its hospital, about records of its patient, with terms for a
///   key that the patient has or had; its mailbox is a hospital, and it was accepted by the patient, or by somebody
///   whom the patient appointed, for an account and a sealing key that the requester has or had at the same time;
/// - an opening is of a requester who is or was registered at its hospital, about records of its patient, for an account
///   and a sealing key that the requester has or had at the same time; those who handed out its parts are hospitals; in
///   an emergency it is of a doctor, and has one review, which agrees with it;
/// - mandates are of patients, for known users and for hospitals at which the patient is or was registered; keys are
///   entrusted by patients at such hospitals;
/// - keys are kept of patients, and claimed of those who are or were registered at the custodian; those who handed out
///   parts of claims are hospitals;
/// - members of epochs, seats and dealers of the newest ceremony, and the committee are hospitals.
pub fn check_together() -> Result<(), TryRuntimeError> {
    check_council()?;
    check_motions()?;
    check_validators()?;
    check_accounts()?;
    check_announcements()?;
    check_records()?;
    check_credentials()?;
    check_relationships()?;
    check_receipts()?;
    check_refusals()?;
    check_notes()?;
    check_mandates()?;
    check_consents()?;
    check_queries()?;
    check_openings()?;
    check_custody()?;
    check_reviews()?;
    check_consortium()
}

/// Whether the governance account of a hospital with this status has a seat in the council.
fn has_seat(status: HospitalStatus) -> bool {
    status == HospitalStatus::Active
}

fn check_council() -> Result<(), TryRuntimeError> {
    let mut seats: Vec<AccountId> = Hospitals::hospitals()
        .into_iter()
        .filter(|(_, hospital)| has_seat(hospital.status))
        .map(|(_, hospital)| hospital.governance)
        .collect();
    seats.sort();
    ensure!(
        pallet_collective::Members::<Runtime, Instance1>::get() == seats,
        "the council differs from the governance accounts of the active hospitals"
    );
    Ok(())
}

fn check_motions() -> Result<(), TryRuntimeError> {
    /// Index, threshold, ayes, nays and end: the fields of pallet-collective's votes, which are private.
    type Votes = (u32, u32, Vec<AccountId>, Vec<AccountId>, BlockNumber);

    let members = pallet_collective::Members::<Runtime, Instance1>::get();
    let motions = pallet_collective::Proposals::<Runtime, Instance1>::get();
    for motion in &motions {
        ensure!(
            pallet_collective::ProposalOf::<Runtime, Instance1>::contains_key(motion),
            "a motion has no proposal"
        );
        let votes = pallet_collective::Voting::<Runtime, Instance1>::get(motion)
            .ok_or("a motion has no votes")?;
        let (_, _, ayes, nays, _) = Votes::decode(&mut &votes.encode()[..])
            .map_err(|_| "the votes about a motion have another form")?;
        ensure!(
            ayes.iter().chain(&nays).all(|voter| members.contains(voter)),
            "the vote of an account that is not a member counts in a motion"
        );
    }
    let stored = [
        pallet_collective::ProposalOf::<Runtime, Instance1>::iter_keys().count(),
        pallet_collective::Voting::<Runtime, Instance1>::iter_keys().count(),
    ];
    ensure!(
        stored.iter().all(|count| *count == motions.len()),
        "a proposal or votes are stored without a motion"
    );
    Ok(())
}

fn check_validators() -> Result<(), TryRuntimeError> {
    let next: Vec<HospitalId> = pallet_session::QueuedKeys::<Runtime>::get()
        .into_iter()
        .map(|(hospital, _)| hospital)
        .collect();
    ensure!(
        next == pallet_hospitals::Seated::<Runtime>::get().into_inner(),
        "the next validators differ from the hospitals that were seated last"
    );
    let current = pallet_session::Validators::<Runtime>::get();
    ensure!(
        current.iter().all(|hospital| Hospitals::exists(*hospital)),
        "a validator is not a hospital"
    );
    ensure!(
        pallet_aura::Authorities::<Runtime>::get().len() == current.len(),
        "Aura has more or fewer keys than there are validators"
    );
    ensure!(
        Session::disabled_validators().iter().all(|index| (*index as usize) < current.len()),
        "a validator is disabled that does not exist"
    );
    Ok(())
}

fn check_accounts() -> Result<(), TryRuntimeError> {
    for account in pallet_profiles::Accounts::<Runtime>::iter_keys() {
        ensure!(
            !pallet_hospitals::Accounts::<Runtime>::contains_key(&account),
            "an account belongs to both a hospital and a user"
        );
    }
    Ok(())
}

fn check_announcements() -> Result<(), TryRuntimeError> {
    let (active, mut announcements) = (Hospitals::active(), 0_usize);
    for (id, announcement) in pallet_lite_blocks::Announcements::<Runtime>::iter() {
        ensure!(Hospitals::exists(announcement.announcer), "an announcer is not a hospital");
        ensure!(
            announcement.stage != Stage::Announced || active.contains(&announcement.announcer),
            "a hospital that is not active has an open announcement"
        );
        check_ballot(id, &announcement)?;
        announcements = announcements.saturating_add(1);
    }
    ensure!(
        pallet_approvals::Ballots::<Runtime>::iter_keys().count() == announcements,
        "a ballot is about an announcement that does not exist"
    );
    Ok(())
}

fn check_ballot(id: AnnouncementId, announcement: &Announcement) -> Result<(), TryRuntimeError> {
    let ballot: Ballot = Approvals::ballot(id).ok_or("an announcement has no ballot")?;
    ensure!(
        ballot.opener == announcement.announcer,
        "a ballot was not opened by the announcer of its block"
    );
    ensure!(
        subject(id, announcement).is_none_or(|subject| subject == ballot.subject),
        "the hospitals vote on another subject than was announced"
    );
    ensure!(
        ballot.approvals.iter().all(|approval| approval.block >= announcement.announced_at),
        "a hospital approved an announcement before it was made"
    );
    ensure!(
        ballot.electorate.iter().all(|elector| Hospitals::exists(*elector)),
        "an elector is not a hospital"
    );
    ensure!(
        ballot.deadline == announcement.announced_at.saturating_add(BALLOT_BLOCKS),
        "the deadline of a ballot does not follow from its announcement"
    );
    let expected = match announcement.stage {
        Stage::Announced => None,
        Stage::Committed { .. } => Some(BallotOutcome::Approved),
        Stage::Rejected => Some(BallotOutcome::Rejected),
        Stage::Expired => Some(BallotOutcome::Expired),
        Stage::Withdrawn => Some(BallotOutcome::Withdrawn),
    };
    ensure!(ballot.outcome == expected, "an announcement did not end as its ballot did");
    Ok(())
}

/// What the hospitals verify and vote on, unless the entries were discarded.
fn subject(id: AnnouncementId, announcement: &Announcement) -> Option<Hash> {
    let (_, entries) = LiteBlocks::announcement(id)?;
    let Announcement { announcer, segments, body_hash, .. } = *announcement;
    let header = AnnouncedHeader { announcer, segments };
    (!entries.is_empty()).then(|| header.subject(&entries, body_hash))
}

fn check_records() -> Result<(), TryRuntimeError> {
    let mut patients = BTreeSet::<UserId>::new();
    for (height, entries) in pallet_lite_blocks::Entries::<Runtime>::iter() {
        let header =
            pallet_lite_blocks::Headers::<Runtime>::get(height).ok_or("a block has no header")?;
        for entry in &entries {
            ensure!(
                was_registered(entry.patient, header.announcer),
                "the patient of a record was never registered at its hospital"
            );
            patients.insert(entry.patient);
        }
    }
    ensure!(
        pallet_index_links::Latest::<Runtime>::iter_keys().count() == patients.len(),
        "a patient without records has an index link"
    );
    Ok(())
}

fn check_credentials() -> Result<(), TryRuntimeError> {
    for (user, _, issuer) in pallet_credentials::Credentials::<Runtime>::iter_keys() {
        ensure!(role(user).is_some(), "a credential is of an unknown user");
        ensure!(Hospitals::exists(issuer), "a credential was issued by no hospital");
    }
    Ok(())
}

fn check_relationships() -> Result<(), TryRuntimeError> {
    for ((patient, professional, hospital), _) in
        pallet_role_policies::Relationships::<Runtime>::iter()
    {
        ensure!(
            role(patient) == Some(Role::Patient)
                && matches!(
                    role(professional),
                    Some(Role::Doctor | Role::Nurse | Role::Pharmacist | Role::AlliedProfessional)
                ),
            "a relationship is not between a patient and a professional"
        );
        ensure!(
            was_registered(patient, hospital),
            "a relationship is at a hospital where the patient was never registered"
        );
    }
    ensure!(
        pallet_role_policies::LatestVersion::<Runtime>::iter_keys().all(Hospitals::exists),
        "policies belong to no hospital"
    );
    Ok(())
}

fn check_receipts() -> Result<(), TryRuntimeError> {
    for (patient, _, receipt) in pallet_releases::Receipts::<Runtime>::iter() {
        let departed = pallet_releases::OfDeparted::<Runtime>::get(receipt.release.grant);
        let is_own = |pointer| {
            LiteBlocks::owner(pointer).is_some_and(|(owner, announcer)| {
                owner == patient && (announcer == receipt.hospital || departed.contains(&announcer))
            })
        };
        ensure!(
            receipt.release.records.iter().all(|record| is_own(record.pointer)),
            "a receipt is about a record of another patient or another hospital"
        );
        ensure!(
            departed.iter().all(|hospital| Hospitals::is_removed(*hospital)),
            "a receipt of a custodian is about a record of a hospital that is not removed"
        );
        let request = &receipt.release.request;
        ensure!(role(request.requester).is_some(), "a receipt has an unknown requester");
        ensure!(
            (request.patient, request.hospital) == (patient, receipt.hospital),
            "a receipt answers a request about another patient or to another hospital"
        );
        ensure!(
            receipt.version
                <= pallet_role_policies::LatestVersion::<Runtime>::get(receipt.hospital),
            "a receipt refers to a version of policies that does not exist"
        );
    }
    Ok(())
}

fn check_refusals() -> Result<(), TryRuntimeError> {
    for (patient, _, refused) in pallet_releases::Refusals::<Runtime>::iter() {
        ensure!(
            role(patient).is_some() && role(refused.requester).is_some(),
            "a refusal is about an unknown user"
        );
        ensure!(Hospitals::exists(refused.hospital), "a refusal is by no hospital");
    }
    Ok(())
}

fn check_notes() -> Result<(), TryRuntimeError> {
    for (patient, _) in pallet_releases::OwnReadCount::<Runtime>::iter() {
        ensure!(role(patient) == Some(Role::Patient), "a note is of no patient");
    }
    Ok(())
}

fn check_mandates() -> Result<(), TryRuntimeError> {
    for (patient, representative, _) in pallet_mandates::Representatives::<Runtime>::iter() {
        ensure!(
            role(patient) == Some(Role::Patient) && role(representative).is_some(),
            "a mandate is not from a patient to a known user"
        );
    }
    for (patient, hospital, _) in pallet_mandates::Authorizations::<Runtime>::iter() {
        ensure!(
            role(patient) == Some(Role::Patient) && was_registered(patient, hospital),
            "a mandate is not from a patient to a hospital of the patient"
        );
    }
    for (hospital, patient, _) in pallet_mandates::Custodies::<Runtime>::iter() {
        ensure!(
            role(patient) == Some(Role::Patient) && was_registered(patient, hospital),
            "a key is not entrusted by a patient at a hospital of the patient"
        );
    }
    Ok(())
}

fn check_custody() -> Result<(), TryRuntimeError> {
    for (_, patient, _) in pallet_custody::KeptKeys::<Runtime>::iter() {
        ensure!(role(patient) == Some(Role::Patient), "a key is kept of no patient");
    }
    for (_, claim) in pallet_custody::Claims::<Runtime>::iter() {
        ensure!(
            claim.patients.iter().all(|patient| was_registered(*patient, claim.custodian)),
            "a claim is about somebody who was never registered at the custodian"
        );
    }
    for (_, hospital, _) in pallet_custody::HandedOutBy::<Runtime>::iter() {
        ensure!(Hospitals::exists(hospital), "a part of a claim was handed out by no hospital");
    }
    Ok(())
}

fn check_consents() -> Result<(), TryRuntimeError> {
    for (patient, ..) in pallet_sharing::Consents::<Runtime>::iter() {
        ensure!(role(patient) == Some(Role::Patient), "a consent is not of a patient");
    }
    for (patient, _, pointer) in pallet_sharing::PlacedIn::<Runtime>::iter_keys() {
        let is_own = LiteBlocks::owner(pointer).is_some_and(|(owner, announcer)| {
            owner == patient && was_registered(patient, announcer)
        });
        ensure!(is_own, "a section in a slot is of a record of another patient or hospital");
    }
    Ok(())
}

fn check_queries() -> Result<(), TryRuntimeError> {
    for (_, query) in pallet_queries::Queries::<Runtime>::iter() {
        let Query { requester, hospital, patient, patient_key, records, answer, .. } = query;
        ensure!(
            was_registered(requester, hospital),
            "a query is of a requester who was never registered at its hospital"
        );
        ensure!(role(patient) == Some(Role::Patient), "a query does not ask a patient");
        ensure!(
            had_keys(patient, |profile| profile.sealing_key_hash == patient_key),
            "the terms of a query are for a key that its patient never had"
        );
        let is_own =
            |pointer| LiteBlocks::owner(pointer).is_some_and(|(owner, _)| owner == patient);
        ensure!(
            records.iter().all(|record| is_own(record.pointer)),
            "a query is about a record of another patient"
        );
        if let Some(Answer::Refused { by, .. } | Answer::Withdrawn { by, .. }) = answer {
            ensure!(
                by == requester || may_have_answered(by, patient),
                "a query was ended by somebody whom its patient never appointed"
            );
        }
        if let Some(
            Answer::Accepted(acceptance) | Answer::Withdrawn { acceptance: Some(acceptance), .. },
        ) = answer
        {
            check_acceptance(requester, patient, &acceptance)?;
        }
    }
    Ok(())
}

/// Whether a user is the patient, or represents or represented the patient.
fn may_have_answered(user: UserId, patient: UserId) -> bool {
    user == patient || pallet_mandates::Representatives::<Runtime>::contains_key(patient, user)
}

fn check_acceptance(
    requester: UserId,
    patient: UserId,
    acceptance: &Acceptance,
) -> Result<(), TryRuntimeError> {
    ensure!(
        may_have_answered(acceptance.by, patient),
        "a query was accepted by somebody whom its patient never appointed"
    );
    ensure!(Hospitals::exists(acceptance.mailbox), "the mailbox of a query is no hospital");
    let is_audience = |profile: &Profile| {
        profile.account == acceptance.audience && profile.sealing_key_hash == acceptance.sealing_key
    };
    ensure!(
        had_keys(requester, is_audience),
        "a query was accepted for keys that its requester never had together"
    );
    Ok(())
}

fn check_openings() -> Result<(), TryRuntimeError> {
    for (id, opening) in pallet_openings::Openings::<Runtime>::iter() {
        check_emergency(id, &opening)?;
        let Opening { requester, hospital, patient, records, audience, sealing_key, .. } = opening;
        ensure!(
            was_registered(requester, hospital),
            "an opening is of a requester who was never registered at its hospital"
        );
        ensure!(role(patient) == Some(Role::Patient), "an opening is of no patient");
        let is_own =
            |pointer| LiteBlocks::owner(pointer).is_some_and(|(owner, _)| owner == patient);
        ensure!(
            records.iter().all(|record| is_own(record.pointer)),
            "an opening is about a record of another patient"
        );
        let is_audience = |profile: &Profile| {
            profile.account == audience && profile.sealing_key_hash == sealing_key
        };
        ensure!(
            had_keys(requester, is_audience),
            "an opening is for keys that its requester never had together"
        );
    }
    for (_, hospital, _) in pallet_openings::HandedOutBy::<Runtime>::iter() {
        ensure!(Hospitals::exists(hospital), "a part of an opening was handed out by no hospital");
    }
    Ok(())
}

/// Checks that an opening in an emergency is by a doctor, and agrees with its review.
fn check_emergency(id: OpeningId, opening: &Opening) -> Result<(), TryRuntimeError> {
    let Some(emergency) = opening.emergency else { return Ok(()) };
    let by_doctor = role(opening.requester) == Some(Role::Doctor);
    ensure!(by_doctor, "an opening in an emergency is by somebody who is no doctor");
    let agrees = |review: Review| {
        review.subject == ReviewSubject::Opening(id)
            && (review.requester, review.patient) == (opening.requester, opening.patient)
            && (review.hospital, review.opened) == (opening.hospital, opening.at)
            && review.reason == emergency.reason
    };
    let review = pallet_releases::Reviews::<Runtime>::get(emergency.review);
    ensure!(review.is_some_and(agrees), "an opening disagrees with its review");
    Ok(())
}

/// Checks that each review about an opening is the one that the opening names.
fn check_reviews() -> Result<(), TryRuntimeError> {
    for (id, review) in pallet_releases::Reviews::<Runtime>::iter() {
        let ReviewSubject::Opening(opening) = review.subject else { continue };
        let emergency = pallet_openings::Openings::<Runtime>::get(opening).map(|it| it.emergency);
        let is_its = emergency.flatten().is_some_and(|emergency| emergency.review == id);
        ensure!(is_its, "a review is about an opening that does not name it");
    }
    Ok(())
}

/// Whether the present or an earlier version of a user's profile is like this.
fn had_keys(user: UserId, is: impl Fn(&Profile) -> bool) -> bool {
    let earlier = pallet_profiles::ProfileHistory::<Runtime>::iter_prefix_values(user);
    Profiles::profile(user).into_iter().chain(earlier).any(|profile| is(&profile))
}

fn role(user: UserId) -> Option<Role> {
    pallet_profiles::Profiles::<Runtime>::get(user).map(|profile| profile.role)
}

/// Whether a user is or was ever registered at a hospital.
fn was_registered(user: UserId, hospital: HospitalId) -> bool {
    pallet_profiles::Registrations::<Runtime>::contains_key(user, hospital)
}

fn check_consortium() -> Result<(), TryRuntimeError> {
    for (_, epoch) in pallet_consortium_key::Epochs::<Runtime>::iter() {
        ensure!(
            epoch.members.iter().all(|member| Hospitals::exists(*member)),
            "a member of an epoch is not a hospital"
        );
    }
    let newest = pallet_consortium_key::Ceremony::<Runtime>::get();
    for ceremony in newest.into_iter().chain(pallet_consortium_key::Kept::<Runtime>::get()) {
        let mut hospitals = ceremony.seats.iter().chain(&ceremony.dealers);
        ensure!(
            hospitals.all(|hospital| Hospitals::exists(*hospital)),
            "a seat or a dealer is not a hospital"
        );
    }
    let committee = pallet_consortium_key::Committee::<Runtime>::get();
    ensure!(
        committee.unwrap_or_default().iter().all(|hospital| Hospitals::exists(*hospital)),
        "a hospital of the committee does not exist"
    );
    Ok(())
}
