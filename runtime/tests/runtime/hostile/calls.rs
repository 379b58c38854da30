//! Makes calls from small numbers. Only this file and [`super::ceremonies`] know the arguments of the calls.

use codec::{Decode, Encode};
use epione_primitives::{
    AnnouncementId, Hash, HospitalId, Moment, QueryId, RecordPointer, Signature, UserId, Word,
    access::{Action, Purpose, RelationshipKind, SectionClass},
    approval::RejectReason,
    credential::AttributeId,
    hospital::Duty,
    limits::{DAY_MILLIS, SLOT_MILLIS},
    naming::{NamedAccount, Naming},
    opening::{OpeningId, WRAP_BYTES, WrapsBytes},
    profile::Role,
    query::QueriedRecords,
    release::{EmergencyReason, Release, ReleasedRecord, Request, ReviewId, Right, SectionSet},
    sharing::{Consent, KindSet, RecordedPeriod, SlotId, Term},
};
use epione_runtime::{
    Grandpa, LiteBlocks, Profiles, Queries, RolePolicies, Runtime, RuntimeCall, SessionKeys,
    Sharing, System, Timestamp,
};
use frame_support::{BoundedVec, weights::Weight};
use pallet_collective::Instance1;
use pallet_sharing::PlacedRecords;
use sp_core::{Pair, sr25519};

use super::{
    ceremonies,
    oracle::{HOSTILE_HOSPITAL, ORACLE_BYTE},
};
use crate::{
    chain::{
        self, A, B, PATIENT, SEALING_KEY, account, announcement, apply, body_hash, consent, key,
        register, sign_request, user_seed,
    },
    equivocation::report_call,
};

/// What a transaction does.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    Announce,
    AnnounceMisshapen,
    Withdraw,
    Approve,
    Reject,
    Register,
    Update,
    SuspendUser,
    ReinstateUser,
    EndRegistration,
    RotateKeys,
    ProposeRecovery,
    ObjectToRecovery,
    CompleteRecovery,
    Relate,
    Unrelate,
    GiveConsent,
    WithdrawConsent,
    PlaceSections,
    RemoveSections,
    PlaceByKind,
    Ask,
    AcceptQuery,
    RefuseQuery,
    WithdrawQuery,
    Transfer,
    PublishWraps,
    AskForOpening,
    HandOut,
    Appoint,
    Dismiss,
    Authorize,
    Revoke,
    SetPolicies,
    IssueCredential,
    RevokeCredential,
    Record,
    Refuse,
    Note,
    Judge,
    Propose,
    Vote,
    Close,
    Execute,
    RotateAccounts,
    SetEndpoint,
    SetSealingKey,
    SetSessionKeys,
    PurgeSessionKeys,
    Batch,
    Derive,
    ActOnHospital,
    ActAsRoot,
    Upgrade,
    SetTime,
    ReportEquivocation,
    BeginCeremony,
    Enrol,
    Deal,
    JudgeDealings,
    AnswerComplaint,
    ConfirmCeremony,
    RefreshKey,
    RenewKey,
    ChooseSeats,
    ChangeSchedule,
}

impl Deed {
    pub const ALL: &'static [Self] = &[
        Self::Announce,
        Self::AnnounceMisshapen,
        Self::Withdraw,
        Self::Approve,
        Self::Reject,
        Self::Register,
        Self::Update,
        Self::SuspendUser,
        Self::ReinstateUser,
        Self::EndRegistration,
        Self::RotateKeys,
        Self::ProposeRecovery,
        Self::ObjectToRecovery,
        Self::CompleteRecovery,
        Self::Relate,
        Self::Unrelate,
        Self::GiveConsent,
        Self::WithdrawConsent,
        Self::PlaceSections,
        Self::RemoveSections,
        Self::PlaceByKind,
        Self::Ask,
        Self::AcceptQuery,
        Self::RefuseQuery,
        Self::WithdrawQuery,
        Self::Transfer,
        Self::PublishWraps,
        Self::AskForOpening,
        Self::HandOut,
        Self::Appoint,
        Self::Dismiss,
        Self::Authorize,
        Self::Revoke,
        Self::SetPolicies,
        Self::IssueCredential,
        Self::RevokeCredential,
        Self::Record,
        Self::Refuse,
        Self::Note,
        Self::Judge,
        Self::Propose,
        Self::Vote,
        Self::Close,
        Self::Execute,
        Self::RotateAccounts,
        Self::SetEndpoint,
        Self::SetSealingKey,
        Self::SetSessionKeys,
        Self::PurgeSessionKeys,
        Self::Batch,
        Self::Derive,
        Self::ActOnHospital,
        Self::ActAsRoot,
        Self::Upgrade,
        Self::SetTime,
        Self::ReportEquivocation,
        Self::BeginCeremony,
        Self::Enrol,
        Self::Deal,
        Self::JudgeDealings,
        Self::AnswerComplaint,
        Self::ConfirmCeremony,
        Self::RefreshKey,
        Self::RenewKey,
        Self::ChooseSeats,
        Self::ChangeSchedule,
    ];
}

/// Registers a patient and a doctor at hospitals A and B and at the hostile one, and relates those of A.
pub fn settle() {
    for (agent, patient, doctor) in
        [("Alice//agent", 7, 8), ("Bob//agent", 30, 31), ("Dave//agent", 40, 41)]
    {
        register(agent, chain::user(patient), Role::Patient);
        register(agent, chain::user(doctor), Role::Doctor);
    }
    apply("Alice//agent", relate(0, 1, 0)).unwrap().unwrap();
}

/// The call of a deed, with arguments chosen by three numbers.
pub fn make(deed: Deed, signer: &str, numbers: [u8; 3]) -> RuntimeCall {
    let [a, b, c] = numbers;
    match deed {
        Deed::Announce => visit(hospital(a), &patients(b), c % 8),
        Deed::AnnounceMisshapen => misshapen(a, b, c),
        Deed::Withdraw => pallet_lite_blocks::Call::withdraw { id: recent(a) }.into(),
        Deed::Approve if b.is_multiple_of(4) => approve_another(recent(a), c),
        Deed::Approve => approve(recent(a)),
        Deed::Reject => reject(recent(a), b, c),
        Deed::Register => registration(a, b, c),
        Deed::Update => update(a, b, c),
        Deed::SuspendUser => pallet_profiles::Call::suspend { user: user(a) }.into(),
        Deed::ReinstateUser => pallet_profiles::Call::reinstate { user: user(a) }.into(),
        Deed::EndRegistration => pallet_profiles::Call::end_registration { user: user(a) }.into(),
        Deed::RotateKeys => rotate_keys(signer, a, b),
        Deed::ProposeRecovery => propose_recovery(a, b, c),
        Deed::ObjectToRecovery => pallet_profiles::Call::object { user: user(a) }.into(),
        Deed::CompleteRecovery => complete_recovery(a, b),
        Deed::Relate => relate(a, b, c),
        Deed::Unrelate => unrelate(a, b, c),
        Deed::GiveConsent => give(signer, a, b, c),
        Deed::WithdrawConsent => pallet_sharing::Call::withdraw { slot: slot(a) }.into(),
        Deed::PlaceSections => {
            pallet_sharing::Call::place { slot: slot(a), records: placed(a, b, c) }.into()
        }
        Deed::RemoveSections => {
            pallet_sharing::Call::remove { slot: slot(a), records: placed(a, b, c) }.into()
        }
        Deed::PlaceByKind => pallet_sharing::Call::place_by_kind {
            patient: user(b),
            slot: slot(a),
            version: u32::from(c % 3),
            records: placed(a, b, c),
        }
        .into(),
        Deed::Ask => ask(a, b, c),
        Deed::AcceptQuery => accept_query(a, b, c),
        Deed::RefuseQuery => pallet_queries::Call::refuse { query: query(a) }.into(),
        Deed::WithdrawQuery => pallet_queries::Call::withdraw { query: query(a) }.into(),
        Deed::Transfer => pallet_queries::Call::transfer { query: query(a) }.into(),
        Deed::PublishWraps => publish_wraps(a, b, c),
        Deed::AskForOpening => ask_for_opening(a, b, c),
        Deed::HandOut => pallet_openings::Call::hand_out { opening: opening(a) }.into(),
        Deed::Appoint => {
            let (representative, until) = (user(a), end(b));
            pallet_mandates::Call::appoint { representative, until }.into()
        }
        Deed::Dismiss => {
            let (patient, representative) = (user(a), user(b));
            pallet_mandates::Call::dismiss { patient, representative }.into()
        }
        Deed::Authorize => {
            let (hospital, until) = (hospital(a), end(b));
            pallet_mandates::Call::authorize { hospital, until }.into()
        }
        Deed::Revoke => pallet_mandates::Call::revoke { hospital: hospital(a) }.into(),
        Deed::Record => record(a, b, c),
        Deed::Refuse => refuse(a, b, c),
        Deed::Note => {
            let read = ReleasedRecord { pointer: pointer(a, b), sections: SectionSet(c.into()) };
            let records = vec![read].try_into().unwrap_or_default();
            pallet_releases::Call::note { records }.into()
        }
        Deed::Batch => batch(signer, a, b, c),
        Deed::Derive => RuntimeCall::Utility(pallet_utility::Call::as_derivative {
            index: a.into(),
            call: Box::new(visit(hospital(a), &patients(b), c % 8)),
        }),
        Deed::ReportEquivocation => report(a, b, c),
        Deed::SetTime => {
            let now = Timestamp::get().saturating_add(u64::from(a) * DAY_MILLIS);
            RuntimeCall::Timestamp(pallet_timestamp::Call::set { now })
        }
        Deed::BeginCeremony
        | Deed::Enrol
        | Deed::Deal
        | Deed::JudgeDealings
        | Deed::AnswerComplaint
        | Deed::ConfirmCeremony
        | Deed::RefreshKey
        | Deed::RenewKey
        | Deed::ChooseSeats
        | Deed::ChangeSchedule => ceremonies::make(deed, signer, numbers),
        _ => governing(deed, signer, numbers),
    }
}

/// The calls of governance accounts and of the council.
fn governing(deed: Deed, signer: &str, [a, b, c]: [u8; 3]) -> RuntimeCall {
    match deed {
        Deed::SetPolicies => set_policies(a),
        Deed::IssueCredential => issue_credential(a, b, c),
        Deed::RevokeCredential => {
            let (user, attribute) = (user(a), AttributeId(u16::from(b % 8)));
            pallet_credentials::Call::revoke { user, attribute }.into()
        }
        Deed::Judge => {
            let review = ReviewId(u32::from(a % 4));
            pallet_releases::Call::judge { review, justified: b.is_multiple_of(2) }.into()
        }
        Deed::RotateAccounts => {
            let governance = (!a.is_multiple_of(3)).then(|| named(b, Duty::Governance));
            let agent = (!a.is_multiple_of(2)).then(|| named(c, Duty::Agent));
            pallet_hospitals::Call::rotate_accounts { governance, agent }.into()
        }
        Deed::SetEndpoint => {
            let worker_url = body(a).try_into().unwrap_or_default();
            let storage_origin =
                (c.is_multiple_of(2)).then(|| body(c).try_into().unwrap_or_default());
            pallet_hospitals::Call::set_endpoint { worker_url, tls_key: [b; 32], storage_origin }
                .into()
        }
        Deed::SetSealingKey => {
            let sealing_key = body(a).try_into().unwrap_or_default();
            pallet_hospitals::Call::set_sealing_key { sealing_key }.into()
        }
        Deed::SetSessionKeys => set_session_keys(signer, a),
        Deed::PurgeSessionKeys => RuntimeCall::Session(pallet_session::Call::purge_keys {}),
        Deed::ActOnHospital => act_on_hospital(a, b),
        Deed::ActAsRoot => act_as_root(a, b),
        Deed::Upgrade => {
            let code = vec![a; usize::from(b) * 64];
            RuntimeCall::System(frame_system::Call::apply_authorized_upgrade { code })
        }
        _ => motion(deed, a, b, c),
    }
}

/// A block with one record for each of these patients, whose bytes are all `byte`.
pub fn visit(announcer: HospitalId, patients: &[UserId], byte: u8) -> RuntimeCall {
    announcement(announcer, patients, byte).into()
}

/// The open or committed announcement of this hospital's [`visit`].
pub fn announced(announcer: HospitalId, patients: &[UserId], byte: u8) -> Option<AnnouncementId> {
    let pallet_lite_blocks::Call::announce { body, .. } = announcement(announcer, patients, byte)
    else {
        unreachable!("an announcement announces")
    };
    LiteBlocks::announcement_of(announcer, body_hash(&body))
}

pub fn approve(id: AnnouncementId) -> RuntimeCall {
    chain::vote(id).into()
}

/// The subject of another ballot, or of none.
fn another_subject(number: u8) -> Hash {
    pick(&[chain::subject(recent(number)), Hash::repeat_byte(number)], number)
}

/// A new profile body, which may replace another body than the hostile hospital's current one.
fn update(a: u8, b: u8, c: u8) -> RuntimeCall {
    let current = Profiles::registration(HOSTILE_HOSPITAL, user(a)).map(|it| it.body_hash);
    let previous = current.filter(|_| !c.is_multiple_of(4)).unwrap_or_default();
    pallet_profiles::Call::update { user: user(a), previous, body: body(b) }.into()
}

/// A vote whose subject may belong to another announcement.
fn approve_another(id: AnnouncementId, number: u8) -> RuntimeCall {
    pallet_approvals::Call::approve { id, subject: another_subject(number) }.into()
}

fn reject(id: AnnouncementId, b: u8, c: u8) -> RuntimeCall {
    let reason = pick(&[RejectReason::MalformedBody, RejectReason::SegmentMissing], b);
    let subject = if c.is_multiple_of(4) { another_subject(c) } else { chain::subject(id) };
    pallet_approvals::Call::reject { id, subject, reason }.into()
}

/// A motion to suspend a hospital.
pub fn propose_suspension(hospital: HospitalId, threshold: u32) -> RuntimeCall {
    let suspend: RuntimeCall = pallet_hospitals::Call::suspend { hospital }.into();
    let length_bound = suspend.encoded_size() as u32;
    let proposal = Box::new(suspend);
    RuntimeCall::Council(pallet_collective::Call::propose { threshold, proposal, length_bound })
}

/// The index of a motion; 0 if there is none. The field of pallet-collective's votes is private.
pub fn motion_index(motion: Hash) -> u32 {
    pallet_collective::Voting::<Runtime, Instance1>::get(motion)
        .and_then(|votes| u32::decode(&mut &votes.encode()[..]).ok())
        .unwrap_or_default()
}

fn pick<Item: Copy>(items: &[Item], number: u8) -> Item {
    items[usize::from(number) % items.len()]
}

/// The four hospitals, and one that does not exist.
fn hospital(number: u8) -> HospitalId {
    pick(&[A, B, HospitalId(2), HOSTILE_HOSPITAL, HospitalId(99)], number)
}

/// The users who were registered first, then some whom nobody or anybody may have registered.
fn user(number: u8) -> UserId {
    chain::user(pick(&[7, 8, 30, 31, 40, 41, 50, 51, 52], number))
}

fn patients(number: u8) -> Vec<UserId> {
    (0..=number % 3).map(|index| user(number.wrapping_add(index))).collect()
}

/// One of the newest announcements, or the next one.
fn recent(number: u8) -> AnnouncementId {
    let next = pallet_lite_blocks::NextId::<Runtime>::get().0;
    AnnouncementId(next.saturating_sub(u64::from(number % 5)))
}

/// One of a few slots, or one that does not exist.
fn slot(number: u8) -> SlotId {
    pick(&[SlotId(0), SlotId(1), SlotId(15), SlotId(16)], number)
}

/// No record, one, or one twice; some without sections.
fn placed(a: u8, b: u8, c: u8) -> PlacedRecords {
    let record = ReleasedRecord { pointer: pointer(a, b), sections: SectionSet(c.into()) };
    PlacedRecords::truncate_from(vec![record; pick(&[1_usize, 1, 1, 0, 2], a)])
}

/// A consent for a user, a hospital or nobody, which may have ended before it begins.
fn give(signer: &str, a: u8, b: u8, c: u8) -> RuntimeCall {
    let terms = pick(
        &[
            [Term::User(user(b)), Term::AtLeast { met: 1, of: 1 }],
            [Term::Hospital(hospital(b)), Term::AtLeast { met: 1, of: 1 }],
            [Term::User(user(b)), Term::AtLeast { met: 1, of: 2 }],
        ],
        c,
    );
    let now = Timestamp::get();
    let consent = Consent {
        audience: BoundedVec::truncate_from(terms.to_vec()),
        purposes: BoundedVec::truncate_from(vec![pick(Purpose::ALL, c)]),
        kinds: KindSet(u32::from(a % 2)),
        recorded: RecordedPeriod::default(),
        until: pick(&[now.saturating_add(DAY_MILLIS), now, Moment::MAX], b),
        standing: c.is_multiple_of(4),
    };
    let patient = Profiles::user_of(account(&key(signer))).unwrap_or(user(b));
    let seen = if c.is_multiple_of(8) { 0 } else { Sharing::slot_height(patient, slot(a)) };
    pallet_sharing::Call::give { slot: slot(a), consent, seen }.into()
}

/// A record in one of the first blocks, which may not exist.
fn pointer(a: u8, b: u8) -> RecordPointer {
    RecordPointer { height: 1 + u32::from(a % 3), index: u16::from(b % 2) }
}

/// Bytes of a few lengths, among them none.
fn body(number: u8) -> Vec<u8> {
    vec![number; usize::from(number % 5) * 30]
}

/// A key to which the hostile hospital would like to rotate: its own, a future user's, another hospital's, or a user's.
fn successor(number: u8) -> sr25519::Pair {
    const SUCCESSORS: [&str; 8] = [
        "Dave//next",
        "Dave//next//agent",
        "Dave//third",
        "Dave//third//agent",
        "Dave//fourth",
        "user-52",
        "Bob",
        "user-7",
    ];
    key(pick(&SUCCESSORS, number))
}

/// A successor's account, with the consent of its key: valid, expired or for too long.
fn named(number: u8, duty: Duty) -> NamedAccount {
    let pair = successor(number);
    let until = System::block_number() + pick(&[100, 0, u32::MAX / 2], number / 8);
    let naming = Naming::Hospital { hospital: HOSTILE_HOSPITAL, duty, until };
    NamedAccount { account: account(&pair), until, consent: consent(&pair, naming) }
}

/// A signature about something else.
fn other_signature(number: u8) -> Signature {
    Signature::Sr25519(key("Mallory").sign(&[number]))
}

fn misshapen(a: u8, b: u8, c: u8) -> RuntimeCall {
    let mut call = announcement(hospital(a), &patients(b), c % ORACLE_BYTE);
    if let pallet_lite_blocks::Call::announce { header, entries, body } = &mut call {
        match c % 5 {
            0 => header.segments.count = u32::from(b),
            1 => body.truncate(usize::from(b)),
            2 => *entries = Default::default(),
            // A record twice, or one that an earlier block contains.
            3 => entries.iter_mut().for_each(|entry| entry.record = chain::record(b % 8, 0)),
            _ => header.segments.bytes = u64::MAX,
        }
    }
    call.into()
}

fn registration(a: u8, b: u8, c: u8) -> RuntimeCall {
    let pair = match c % 4 {
        0 => successor(b),
        _ => key(&user_seed(user(a))),
    };
    // The id of a new user follows from the keys. The hostile hospital would like to take another one.
    let user = match c % 8 {
        4 => UserId::of(&account(&pair), SEALING_KEY),
        _ => user(a),
    };
    let naming =
        Naming::Registration { hospital: HOSTILE_HOSPITAL, user, version: u32::from(a % 2) };
    pallet_profiles::Call::register {
        user,
        role: pick(Role::ALL, b),
        account: account(&pair),
        sealing_key_hash: SEALING_KEY,
        consent: if c.is_multiple_of(3) { other_signature(c) } else { consent(&pair, naming) },
        body: body(b),
    }
    .into()
}

fn rotate_keys(signer: &str, a: u8, b: u8) -> RuntimeCall {
    let next = key(&format!("{signer}//next"));
    let owner = Profiles::user_of(account(&key(signer))).unwrap_or(user(a));
    let version = Profiles::profile(owner).map_or(0, |profile| profile.version);
    let proof = match b % 3 {
        0 => other_signature(b),
        _ => consent(&next, Naming::Rotation { user: owner, version }),
    };
    pallet_profiles::Call::rotate_keys {
        account: (a.is_multiple_of(2)).then(|| (account(&next), proof)),
        sealing_key_hash: (b.is_multiple_of(2)).then(|| Hash::repeat_byte(a)),
    }
    .into()
}

/// New keys of the hostile hospital for a user, or another signature.
fn propose_recovery(a: u8, b: u8, c: u8) -> RuntimeCall {
    let (user, next, sealing_key_hash) = (user(a), successor(b), Hash::repeat_byte(c));
    let version = Profiles::profile(user).map_or(0, |profile| profile.version);
    let (hospital, until) = (HOSTILE_HOSPITAL, System::block_number() + 100);
    let naming = Naming::Recovery { hospital, user, sealing_key_hash, version, until };
    let consent = if c.is_multiple_of(4) { other_signature(c) } else { consent(&next, naming) };
    let next = NamedAccount { account: account(&next), until, consent };
    pallet_profiles::Call::propose_recovery { user, next, sealing_key_hash }.into()
}

/// Completes the recovery of a user; names it, or something else, or nothing.
fn complete_recovery(a: u8, b: u8) -> RuntimeCall {
    let user = user(a);
    let standing = Profiles::recovery(user).map(|recovery| recovery.decision());
    let decision = if b.is_multiple_of(3) { Some(Hash::repeat_byte(b)) } else { standing };
    pallet_profiles::Call::complete_recovery { user, decision }.into()
}

fn relate(a: u8, b: u8, c: u8) -> RuntimeCall {
    let now: Moment = Timestamp::get();
    pallet_role_policies::Call::relate {
        patient: user(a),
        professional: user(b),
        hospital: hospital(c),
        kind: pick(RelationshipKind::ALL, c),
        expires: pick(&[None, Some(0), Some(now.saturating_add(DAY_MILLIS))], a),
    }
    .into()
}

fn unrelate(a: u8, b: u8, c: u8) -> RuntimeCall {
    pallet_role_policies::Call::unrelate {
        patient: user(a),
        professional: user(b),
        hospital: hospital(c),
        kind: pick(RelationshipKind::ALL, c),
    }
    .into()
}

/// The end of a mandate: possible, passed, or later than any can be.
fn end(number: u8) -> Moment {
    let now = Timestamp::get();
    pick(&[now.saturating_add(DAY_MILLIS), now.saturating_add(1), now, Moment::MAX], number)
}

/// The default policies, or none.
fn set_policies(number: u8) -> RuntimeCall {
    let policies = RolePolicies::policies(A, Some(0))
        .filter(|_| !number.is_multiple_of(4))
        .map(|(_, set)| set.policies)
        .unwrap_or_default();
    pallet_role_policies::Call::set_policies { policies }.into()
}

/// A credential of an attribute that may not exist, which ends soon, later than allowed or at once.
fn issue_credential(a: u8, b: u8, c: u8) -> RuntimeCall {
    let now: Moment = Timestamp::get();
    pallet_credentials::Call::issue {
        user: user(a),
        attribute: AttributeId(u16::from(b % 8)),
        until: now.saturating_add(pick(&[SLOT_MILLIS, DAY_MILLIS, 0, u64::MAX], c)),
    }
    .into()
}

/// One of the newest queries, or the next one.
fn query(number: u8) -> QueryId {
    let next = pallet_queries::QueryCount::<Runtime>::get();
    QueryId(next.saturating_sub(u32::from(number % 6)))
}

/// Records in the first blocks, in order or not, which may not exist or belong to another patient.
fn queried(a: u8, b: u8) -> QueriedRecords {
    let record = |number: u8| {
        let (pointer, sections) = (pointer(number, a), SectionSet(u64::from(b)));
        ReleasedRecord { pointer, sections }
    };
    (0..a % 3).map(record).collect::<Vec<_>>().try_into().unwrap_or_default()
}

/// A query that ends soon, later than allowed or at once.
fn ask(a: u8, b: u8, c: u8) -> RuntimeCall {
    let block = System::block_number();
    pallet_queries::Call::ask {
        hospital: pick(&[A, B, hospital(b), HOSTILE_HOSPITAL], b),
        patient_key: if c.is_multiple_of(16) { Hash::zero() } else { SEALING_KEY },
        patient: if c.is_multiple_of(3) { user(a) } else { *PATIENT },
        records: queried(a, b),
        purpose: pick(Purpose::ALL, c),
        expires: block.saturating_add(pick(&[1, 3, 100, 0, u32::MAX], a)),
        terms: body(b).try_into().unwrap_or_default(),
    }
    .into()
}

/// One of the newest openings, or the next one.
fn opening(number: u8) -> OpeningId {
    let next = pallet_openings::OpeningCount::<Runtime>::get();
    OpeningId(next.saturating_sub(u32::from(number % 4)))
}

/// Bytes that are no wraps, mostly of the right length.
fn publish_wraps(a: u8, b: u8, c: u8) -> RuntimeCall {
    let sections = SectionSet(c.into());
    let wraps = sections.0.count_ones() as usize + usize::from(a.is_multiple_of(5));
    pallet_openings::Call::wrap {
        patient: if c.is_multiple_of(3) { user(a) } else { *PATIENT },
        slot: slot(a),
        pointer: pointer(a, b),
        sections,
        wraps: WrapsBytes::truncate_from(vec![b; wraps * WRAP_BYTES]),
    }
    .into()
}

/// A question for an opening, for any purpose.
fn ask_for_opening(a: u8, b: u8, c: u8) -> RuntimeCall {
    pallet_openings::Call::ask {
        hospital: pick(&[A, B, hospital(b), HOSTILE_HOSPITAL], b),
        patient: if c.is_multiple_of(3) { user(a) } else { *PATIENT },
        records: queried(a, b),
        purpose: pick(Purpose::ALL, c),
    }
    .into()
}

/// An acceptance of what was asked, or of something else.
fn accept_query(a: u8, b: u8, c: u8) -> RuntimeCall {
    let asked = Queries::query(query(a));
    let considered = asked.as_ref().and_then(|asked| {
        let profile = Profiles::profile(asked.requester)?;
        Some(asked.considered(query(a), &profile.account, profile.sealing_key_hash))
    });
    let asked = asked.map(|query| query.records);
    let now: Moment = Timestamp::get();
    pallet_queries::Call::accept {
        query: query(a),
        considered: considered.filter(|_| !c.is_multiple_of(8)).unwrap_or_default(),
        records: asked.filter(|_| !c.is_multiple_of(4)).unwrap_or_else(|| queried(a, b)),
        grant: Hash::repeat_byte(b),
        until: now.saturating_add(pick(&[DAY_MILLIS, SLOT_MILLIS, 0, u64::MAX], b)),
        mailbox: hospital(c),
    }
    .into()
}

/// A request, signed by its requester's first account or by somebody else.
fn request(a: u8, b: u8, c: u8) -> (Request, Signature) {
    let records = (1..=1 + u32::from(c % 3))
        .map(|height| RecordPointer { height, index: u16::from(c % 2) })
        .map(|pointer| ReleasedRecord { pointer, sections: SectionSet(u64::from(b)) });
    let emergency = c.is_multiple_of(5);
    let request = Request {
        requester: user(a),
        patient: if c.is_multiple_of(2) { *PATIENT } else { user(b) },
        hospital: if a.is_multiple_of(2) { A } else { hospital(b) },
        records: records.collect::<Vec<_>>().try_into().unwrap_or_default(),
        purpose: if emergency { Purpose::Emergency } else { pick(Purpose::ALL, c) },
        emergency: emergency.then_some(EmergencyReason::LifeThreatening),
        at: Timestamp::get().saturating_sub(pick(&[0, 0, DAY_MILLIS, u64::MAX], b)),
        nonce: [c; 16],
    };
    let signature = match a % 5 {
        4 => other_signature(a),
        _ => sign_request(&key(&user_seed(request.requester)), &request),
    };
    (request, signature)
}

/// The sections of the request, or one that may not be among them.
fn record(a: u8, b: u8, c: u8) -> RuntimeCall {
    let (request, signature) = request(a, b, c);
    let action = if request.emergency.is_some() { Action::BreakGlass } else { Action::ReadText };
    let mut records = request.records.clone();
    if a.is_multiple_of(7) {
        records.iter_mut().for_each(|record| record.sections = SectionSet(2));
    }
    let release = Release {
        request,
        signature,
        records,
        rights: vec![Right { action, class: pick(SectionClass::ALL, a) }]
            .try_into()
            .unwrap_or_default(),
        grant: Hash::repeat_byte(b),
    };
    pallet_releases::Call::record { release }.into()
}

fn refuse(a: u8, b: u8, c: u8) -> RuntimeCall {
    let (request, signature) = request(a, b, c);
    pallet_releases::Call::refuse { request, signature }.into()
}

/// Calls of the council. Motions are about what the honest members would not do, and about suspensions, so that they
/// are in the way of an honest motion.
fn motion(deed: Deed, a: u8, b: u8, c: u8) -> RuntimeCall {
    let motions = pallet_collective::Proposals::<Runtime, Instance1>::get();
    let motion = motions.get(usize::from(a) % motions.len().max(1)).copied().unwrap_or_default();
    RuntimeCall::Council(match deed {
        Deed::Vote => pallet_collective::Call::vote {
            proposal: motion,
            index: motion_index(motion),
            approve: b.is_multiple_of(2),
        },
        Deed::Close => pallet_collective::Call::close {
            proposal_hash: motion,
            index: motion_index(motion),
            proposal_weight_bound: Weight::from_parts(u64::from(b) << 32, u64::from(b) << 32),
            length_bound: u32::from(c) * 100,
        },
        Deed::Execute => pallet_collective::Call::execute {
            proposal: Box::new(act_on_hospital(b, c)),
            length_bound: 10_000,
        },
        _ => pallet_collective::Call::propose {
            threshold: u32::from(a % 6) * u32::from(1 + b % 30),
            proposal: Box::new(if b.is_multiple_of(2) {
                act_on_hospital(b, c)
            } else {
                act_as_root(b, c)
            }),
            length_bound: 10_000,
        },
    })
}

fn set_session_keys(signer: &str, number: u8) -> RuntimeCall {
    let generated = SessionKeys::generate(&account(&key(signer)).encode(), None);
    let another = pallet_session::NextKeys::<Runtime>::get(HospitalId(u16::from(number % 4)));
    RuntimeCall::Session(pallet_session::Call::set_keys {
        keys: another.filter(|_| number.is_multiple_of(2)).unwrap_or(generated.keys),
        proof: generated.proof.encode(),
    })
}

/// A report of an equivocation: of the hostile hospital itself, or forged in the name of another one.
fn report(a: u8, b: u8, c: u8) -> RuntimeCall {
    let voter = pick(&["Dave", "Alice", "Bob", "Charlie"], a);
    let set = Grandpa::current_set_id().saturating_sub(u64::from(b % 2));
    let targets = [Hash::zero(), Hash::repeat_byte(c % 4)];
    // If the hospital's first key votes no more, the report is about an honest one, whose keys stay.
    report_call([voter, "Dave"], set, u64::from(c), targets)
        .or_else(|| report_call(["Alice", "Dave"], set, u64::from(c), targets))
        .expect("honest hospitals keep their keys")
}

/// A batch of calls of different roles, some of which may not be in a batch.
fn batch(signer: &str, a: u8, b: u8, c: u8) -> RuntimeCall {
    const INNER: [Deed; 6] = [
        Deed::Approve,
        Deed::Relate,
        Deed::Announce,
        Deed::RotateKeys,
        Deed::SetPolicies,
        Deed::ActAsRoot,
    ];
    let calls = (0..=a % 4)
        .map(|index| make(pick(&INNER, b.wrapping_add(index)), signer, [b, c, index]))
        .collect();
    RuntimeCall::Utility(match c % 3 {
        0 => pallet_utility::Call::batch { calls },
        1 => pallet_utility::Call::batch_all { calls },
        _ => pallet_utility::Call::force_batch { calls },
    })
}

/// What only the council may do to a hospital.
fn act_on_hospital(a: u8, b: u8) -> RuntimeCall {
    let hospital = hospital(b);
    let call: pallet_hospitals::Call<Runtime> = match a % 4 {
        0 => pallet_hospitals::Call::suspend { hospital },
        1 => pallet_hospitals::Call::reinstate { hospital },
        2 => pallet_hospitals::Call::remove { hospital },
        _ => pallet_hospitals::Call::admit {
            name: b"Sybil".to_vec().try_into().unwrap_or_default(),
            governance: named(0, Duty::Governance),
            agent: named(1, Duty::Agent),
            worker_url: b"https://sybil.example".to_vec().try_into().unwrap_or_default(),
            sealing_key: vec![1; 33].try_into().unwrap_or_default(),
            tls_key: [b; 32],
        },
    };
    call.into()
}

/// What only root may do, as root or by the signer.
fn act_as_root(a: u8, b: u8) -> RuntimeCall {
    let call: RuntimeCall = match a % 7 {
        0 => frame_system::Call::set_code { code: vec![b; 100] }.into(),
        1 => frame_system::Call::kill_prefix { prefix: vec![b % 2; 1], subkeys: 1_000 }.into(),
        2 => frame_system::Call::authorize_upgrade { code_hash: Hash::repeat_byte(b) }.into(),
        3 => {
            let name = vec![b'a' + b % 26].try_into().unwrap_or_default();
            RuntimeCall::Credentials(pallet_credentials::Call::name_attribute { name })
        }
        4 => complete_recovery(b, b),
        5 => pallet_consortium_key::Call::renew {}.into(),
        _ => frame_system::Call::remark { remark: vec![b; 1_000] }.into(),
    };
    if b.is_multiple_of(2) {
        epione_runtime::council_root::Call::<Runtime>::dispatch { call: Box::new(call) }.into()
    } else {
        call
    }
}
