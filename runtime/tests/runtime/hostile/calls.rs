//! Makes calls from small numbers. Only this module and [`super::ceremonies`] know the arguments of the calls.

mod council;
mod custody;
mod openings;
mod profiles;
mod reading;

use codec::Encode;
use epione_primitives::{
    AnnouncementId, Hash, HospitalId, Moment, RecordPointer, Signature, UserId, Word,
    access::{Purpose, RelationshipKind},
    approval::RejectReason,
    credential::AttributeId,
    hospital::Duty,
    limits::{DAY_MILLIS, SLOT_MILLIS},
    naming::{NamedAccount, Naming},
    profile::Role,
    release::{ReleasedRecord, ReviewId, SectionSet},
    sharing::{Consent, KindSet, RecordedPeriod, SlotId, Term},
};
use epione_runtime::{
    Grandpa, LiteBlocks, Profiles, RolePolicies, Runtime, RuntimeCall, SessionKeys, Sharing,
    System, Timestamp,
};
use frame_support::BoundedVec;
use pallet_sharing::PlacedRecords;
use sp_core::{Pair, sr25519};

use super::{
    ceremonies,
    oracle::{HOSTILE_HOSPITAL, ORACLE_BYTE},
};
use crate::{
    chain::{self, A, B, account, announcement, apply, body_hash, consent, key, register},
    equivocation::report_call,
};
use council::{act_as_root, act_on_hospital, motion};
pub use council::{motion_index, propose_suspension};
use openings::{ask_for_opening, opening, publish_wraps};
use profiles::{complete_recovery, propose_recovery, registration, rotate_keys, update};
use reading::{accept_query, ask, query, record, refuse};

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
    Entrust,
    EndCustody,
    KeepKey,
    ClaimKeys,
    HandOutKeys,
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
    SayReady,
    Leave,
    CompleteReplacement,
    ObjectToReplacement,
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
        Self::Entrust,
        Self::EndCustody,
        Self::KeepKey,
        Self::ClaimKeys,
        Self::HandOutKeys,
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
        Self::SayReady,
        Self::Leave,
        Self::CompleteReplacement,
        Self::ObjectToReplacement,
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
        Deed::Entrust | Deed::EndCustody | Deed::KeepKey | Deed::ClaimKeys | Deed::HandOutKeys => {
            custody::make(deed, signer, numbers)
        }
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
        Deed::SayReady => pallet_hospitals::Call::ready {}.into(),
        Deed::Leave => pallet_hospitals::Call::leave {}.into(),
        Deed::CompleteReplacement => {
            pallet_hospitals::Call::complete_replacement { hospital: hospital(a) }.into()
        }
        Deed::ObjectToReplacement => pallet_hospitals::Call::object_to_replacement {}.into(),
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

/// A vote whose subject may belong to another announcement.
fn approve_another(id: AnnouncementId, number: u8) -> RuntimeCall {
    pallet_approvals::Call::approve { id, subject: another_subject(number) }.into()
}

fn reject(id: AnnouncementId, b: u8, c: u8) -> RuntimeCall {
    let reason = pick(&[RejectReason::MalformedBody, RejectReason::SegmentMissing], b);
    let subject = if c.is_multiple_of(4) { another_subject(c) } else { chain::subject(id) };
    pallet_approvals::Call::reject { id, subject, reason }.into()
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
