//! Access grants: content keys and links to read committed records of this hospital, or of a removed one whose
//! custodian it is, for requesters whom its policies allow to.
//!
//! The worker decides about the request that the requester signed by the last finalized block, seals the grant, and has
//! the chain record the release. The chain decides once more. The worker sends the grant only when the chain's receipt
//! is finalized.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use codec::Encode;
use epione_client::{
    api::{GrantReply, GrantRequest, MAX_JSON_BYTES, Problem, SegmentLink},
    chain::{DispatchFailure, calls::releases},
};
use epione_envelope::{
    grant::{AccessGrant, GrantTerms, GrantedSection},
    keys::{ContentKey, PatientKeys},
    record::{Payload, Record, Section},
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{
    Hash, RecordPointer,
    access::{Denial, SectionClass},
    limits::{MAX_EMERGENCIES_PER_DAY, MAX_SEGMENTS},
    release::{Release, ReleasedRecord, Right, SectionSet},
    sharing::Placements,
};

use super::{
    ApiError, AppState, answered,
    asked::{self, Asked},
    caller::{Caller, signed},
    deliverable::{self, Needed},
    issued::Question,
    limits::within,
    recipient, refusals,
    rights::{Decided, Rights},
};
use crate::chain::{CallError, Identity};

/// Grants keys and temporary links to read committed records of one patient, as far as the hospital's policies allow.
/// Responds when the chain's receipt is finalized.
#[utoipa::path(
    post,
    path = "/v1/grants",
    operation_id = "grantAccess",
    tag = "records",
    security(("signed" = [])),
    request_body = GrantRequest,
    responses(
        (status = 200, description = "A sealed grant, and links", body = GrantReply),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn grant(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<GrantReply>, ApiError> {
    let state = &state;
    let work = signed(state, request, MAX_JSON_BYTES, |caller, received| async move {
        let asked = Asked::read(caller, &received)?;
        let prepared = prepare(state, &asked).await?;
        Ok((asked, prepared))
    });
    let (asked, prepared) = work.await?;
    match prepared {
        Prepared::New(sealed) => {
            record(state, &asked, &sealed).await?;
            note_emergency(state, &asked);
            let grant = Arc::clone(&sealed.grant);
            state.shared.issued.keep(sealed.question, grant, crate::now());
            hand_out(state, &sealed).map(Json)
        }
        Prepared::Known(sealed) => hand_out(state, &sealed).map(Json),
        Prepared::Denied(denial) => Err(refuse(state, &asked, denial).await),
    }
}

/// Counts a new grant, before the storage and other hospitals are asked for its segments. Emergencies have a rate of
/// their own, so that looks do not use it up; the chain limits how many have a receipt.
fn check_rate(state: &AppState, asked: &Asked) -> Result<(), ApiError> {
    let is_emergency = asked.request.emergency.is_some();
    let rates = if is_emergency { &state.shared.emergencies } else { &state.shared.rates };
    rates.count(asked.request.requester, Instant::now()).map_err(too_often)
}

/// Records that the policies do not allow the request; returns the response.
async fn refuse(state: &AppState, asked: &Asked, denial: Denial) -> ApiError {
    refusals::record(state, asked.refusal()).await;
    ApiError::denied(denial)
}

/// What the worker has prepared before the chain records anything.
enum Prepared {
    /// To be recorded as a release.
    New(Box<Sealed>),
    /// Recorded for an earlier request of the same requester.
    Known(Box<Sealed>),
    /// To be recorded as a refusal.
    Denied(Denial),
}

/// A grant, and what the chain records about it.
struct Sealed {
    question: Question,
    grant: Arc<AccessGrant>,
    release: Release,
    segments: Vec<[u8; 32]>,
}

async fn prepare(state: &AppState, asked: &Asked) -> Result<Prepared, ApiError> {
    let caller = &asked.caller;
    let rights = match asked.decide(caller.state.as_ref()).await? {
        Decided::Allowed(rights) => rights,
        Decided::Denied(denial) => return Ok(Prepared::Denied(denial)),
    };
    let shared = shared_sections(asked).await?;
    // Everybody may read what is shared with them. So those with whom nothing is shared are refused as before, before
    // a patient or a record is looked up.
    if !rights.open_private() && shared.iter().all(|sections| sections.is_empty()) {
        return Ok(Prepared::Denied(rights.into_denial()));
    }
    let granted = collect(state, asked, &rights, &shared).await?;
    if granted.keys.is_empty() {
        return Ok(Prepared::Denied(rights.into_denial()));
    }
    let recipient = recipient::sealing_key(state, caller, asked.request.requester).await?;
    if let Some(sealed) = recorded(state, asked, &granted, &recipient).await? {
        return Ok(Prepared::Known(sealed));
    }
    check_unanswered(asked).await?;
    check_rate(state, asked)?;
    let granted = only_deliverable(state, asked, granted).await?;
    // What is left of an emergency may have been granted before.
    if let Some(sealed) = recorded(state, asked, &granted, &recipient).await? {
        return Ok(Prepared::Known(sealed));
    }
    check_emergencies(asked).await?;
    let (question, mut release) = described(asked, &granted, &recipient)?;
    let segments = granted.segments();
    let terms = terms(state, asked);
    let grant = Arc::new(state.hospital_keys.seal_grant(terms, granted.keys, recipient).await?);
    release.grant = grant.hash();
    Ok(Prepared::New(Box::new(Sealed { question, grant, release, segments })))
}

/// What the chain is to record, without the grant's hash, and the question that it answers.
fn described(
    asked: &Asked,
    granted: &Granted,
    recipient: &SealingPublicKey,
) -> Result<(Question, Release), ApiError> {
    let release = release(asked, granted.records.clone(), granted.rights.clone())?;
    let question = Question::of(&release, &asked.caller.request.account, recipient.hash());
    Ok((question, release))
}

/// What the chain has recorded for the same question, if it is still in force.
async fn recorded(
    state: &AppState,
    asked: &Asked,
    granted: &Granted,
    recipient: &SealingPublicKey,
) -> Result<Option<Box<Sealed>>, ApiError> {
    let (question, mut release) = described(asked, granted, recipient)?;
    let Some(grant) = known(state, &asked.caller, question).await? else { return Ok(None) };
    release.grant = grant.hash();
    let segments = granted.segments();
    Ok(Some(Box::new(Sealed { question, grant, release, segments })))
}

/// The same grant, if all its segments can be handed out. In an emergency, the sections whose segments cannot are left
/// out, if others remain.
async fn only_deliverable(
    state: &AppState,
    asked: &Asked,
    mut granted: Granted,
) -> Result<Granted, ApiError> {
    let missing = deliverable::missing(state, &granted.needed).await;
    let Some(first) = granted.needed.iter().find(|needed| missing.contains(&needed.segment)) else {
        return Ok(granted);
    };
    let refused = deliverable::unavailable(first);
    if asked.request.emergency.is_none() {
        return Err(refused);
    }
    granted.leave_out(&missing);
    if granted.keys.is_empty() { Err(refused) } else { Ok(granted) }
}

/// The unexpired grant that answers the same question, if the chain still allows what it gave.
async fn known(
    state: &AppState,
    caller: &Caller,
    question: Question,
) -> Result<Option<Arc<AccessGrant>>, ApiError> {
    // Shortly before it expires, it would be of little use.
    let margin = crate::millis(state.limits.grant_lifetime / 4);
    let until = crate::now().saturating_add(margin);
    let Some(grant) = state.shared.issued.find(question, until) else { return Ok(None) };
    Ok(caller.state.is_in_force(grant.hash()).await?.then_some(grant))
}

/// Rejects a request that the chain has answered already.
async fn check_unanswered(asked: &Asked) -> Result<(), ApiError> {
    match asked.caller.state.answer(asked.request.hash()).await? {
        None => Ok(()),
        Some(_) => Err(already_answered()),
    }
}

fn already_answered() -> ApiError {
    ApiError::conflict(
        "already-answered",
        "This request was answered before",
        "The chain records one answer to a request. Sign a new request, with another nonce.",
    )
}

/// Rejects an emergency that the chain would reject.
async fn check_emergencies(asked: &Asked) -> Result<(), ApiError> {
    if asked.request.emergency.is_none() {
        return Ok(());
    }
    let Caller { state, identity, .. } = &asked.caller;
    let tally = state.tally(identity.hospital, asked.request.requester).await?;
    if tally.emergencies < MAX_EMERGENCIES_PER_DAY {
        Ok(())
    } else {
        Err(ApiError::too_many_emergencies())
    }
}

/// The content of a grant.
#[derive(Default)]
struct Granted {
    keys: Vec<(GrantedSection, ContentKey)>,
    needed: Vec<Needed>,
    records: Vec<ReleasedRecord>,
    /// The rights that the grant uses.
    rights: Vec<Right>,
    /// Whether one of the granted sections is not shared with the requester.
    some_are_private: bool,
}

/// With which keys a record is opened, and as far as which rights allow.
struct Grounds<'a> {
    identity: Identity,
    rights: &'a Rights,
    patient_keys: &'a PatientKeys,
}

/// What the rights allow of the requested records, in one release.
///
/// The chain does not see which sections are text and which are media. So it records rights to shared sections only if
/// every released section is shared ([`Right::open`]). A grant with private sections therefore leaves out the kinds
/// that the requester may read only because they are shared. The requester asks for those sections alone.
async fn collect(
    state: &AppState,
    asked: &Asked,
    rights: &Rights,
    shared: &[SectionSet],
) -> Result<Granted, ApiError> {
    let granted = collect_by(state, asked, rights, shared).await?;
    if granted.keys.is_empty() || Right::open(&granted.rights, granted.some_are_private) {
        return Ok(granted);
    }
    collect_by(state, asked, &rights.to_private_only(), shared).await
}

/// What the rights allow of the requested records, each section by itself.
async fn collect_by(
    state: &AppState,
    asked: &Asked,
    rights: &Rights,
    shared: &[SectionSet],
) -> Result<Granted, ApiError> {
    let Asked { caller, request, .. } = asked;
    let (mut granted, mut opened) = (Granted::default(), HashMap::new());
    for (requested, &shared) in request.records.iter().zip(shared) {
        let pointer = requested.pointer;
        let record = answered::committed(state, caller, request.patient, pointer).await?;
        let patient_keys = match opened.entry(record.hospital()) {
            Entry::Occupied(keys) => keys.into_mut(),
            Entry::Vacant(new) => {
                new.insert(answered::patient_keys(state, caller, pointer, &record).await?)
            }
        };
        let grounds = Grounds { identity: caller.identity, rights, patient_keys };
        granted.add(requested, shared, &record, &grounds)?;
    }
    Ok(granted)
}

/// The requested sections of each record that a consent of the patient shares with the requester for the purpose of the
/// request. All others are private.
async fn shared_sections(asked: &Asked) -> Result<Vec<SectionSet>, ApiError> {
    let (state, request) = (&asked.caller.state, &asked.request);
    let slots = state.admitting(request.patient, request.requester, request.purpose).await?;
    if slots.is_empty() {
        return Ok(vec![SectionSet::default(); request.records.len()]);
    }
    let pointers: Vec<_> = request.records.iter().map(|requested| requested.pointer).collect();
    let mut placements = state.placements(&pointers).await?;
    placements.resize(pointers.len(), Placements::default());
    let shared = |(requested, placements): (&ReleasedRecord, &Placements)| {
        let of_slots = placements.iter().filter(|placement| slots.contains(placement.slot));
        let placed = of_slots.fold(SectionSet::default(), |all, it| all.union(it.sections));
        requested.sections.intersection(placed)
    };
    Ok(request.records.iter().zip(&placements).map(shared).collect())
}

impl Granted {
    fn segments(&self) -> Vec<[u8; 32]> {
        self.needed.iter().map(|needed| needed.segment).collect()
    }

    /// Leaves out the sections of which a segment is missing.
    fn leave_out(&mut self, missing: &HashSet<[u8; 32]>) {
        let mut lost: HashMap<RecordPointer, SectionSet> = HashMap::new();
        for needed in self.needed.iter().filter(|needed| missing.contains(&needed.segment)) {
            lost.entry(needed.pointer).or_default().insert(needed.section);
        }
        let is_lost = |pointer: RecordPointer, section: u16| {
            lost.get(&pointer).is_some_and(|sections| sections.contains(section))
        };
        self.keys.retain(|(place, _)| !is_lost(place.pointer, place.section));
        self.needed.retain(|needed| !is_lost(needed.pointer, needed.section));
        for record in &mut self.records {
            let lost = lost.get(&record.pointer).copied().unwrap_or_default();
            record.sections = record.sections.without(lost);
        }
        self.records.retain(|record| !record.sections.is_empty());
    }

    fn add(
        &mut self,
        requested: &ReleasedRecord,
        shared: SectionSet,
        record: &Record,
        grounds: &Grounds<'_>,
    ) -> Result<(), ApiError> {
        let pointer = requested.pointer;
        let Grounds { identity: Identity { genesis, hospital }, rights, patient_keys } = *grounds;
        check_sections(requested, record)?;
        answered::check_version(hospital, pointer, record, patient_keys)?;
        let mut sections = SectionSet::default();
        let all = (0..).zip(record.sections());
        for (index, section) in all.filter(|(index, _)| requested.sections.contains(*index)) {
            let class = class_of(index, shared);
            let Some(right) = right_to(section, class, rights) else { continue };
            let key = record
                .content_key(genesis, index, patient_keys)
                .map_err(|error| ApiError::internal(&error))?;
            let place = GrantedSection { pointer, record: record.id(), section: index };
            self.keys.push((place, key));
            let segments = section.segments().iter();
            self.needed.extend(segments.map(|segment| Needed {
                pointer,
                section: index,
                segment: segment.hash,
            }));
            sections.insert(index);
            self.some_are_private |= class == SectionClass::Private;
            if !self.rights.contains(&right) {
                self.rights.push(right);
            }
        }
        if !sections.is_empty() {
            self.records.push(ReleasedRecord { pointer, sections });
        }
        if self.needed.len() > MAX_SEGMENTS as usize {
            return Err(ApiError::too_large(
                "The records have too many segments together: request fewer records at a time.",
            ));
        }
        Ok(())
    }
}

/// Checks that a record has all sections that are named. The number of sections is public on the chain.
fn check_sections(requested: &ReleasedRecord, record: &Record) -> Result<(), ApiError> {
    let (ReleasedRecord { pointer, sections }, count) = (requested, record.sections().len());
    if *sections == SectionSet::ALL {
        return Ok(());
    }
    match sections.iter().find(|index| usize::from(*index) >= count) {
        None => Ok(()),
        Some(index) => Err(ApiError::not_found(format!(
            "Record {pointer} has no section {index}: it has {count} sections, counted from 0."
        ))),
    }
}

/// The class of a section of a record of which these sections are shared with the requester.
fn class_of(section: u16, shared: SectionSet) -> SectionClass {
    if shared.contains(section) { SectionClass::Shared } else { SectionClass::Private }
}

fn right_to(section: &Section, class: SectionClass, rights: &Rights) -> Option<Right> {
    match section.payload {
        Payload::Text(_) => rights.to_text(class),
        Payload::Media { .. } => rights.to_media(class),
    }
}

fn terms(state: &AppState, asked: &Asked) -> GrantTerms {
    let Asked { caller, request, .. } = asked;
    let now = crate::now();
    GrantTerms {
        genesis: caller.identity.genesis,
        hospital: caller.identity.hospital,
        patient: request.patient,
        requester: request.requester,
        audience: caller.request.account.clone(),
        purpose: request.purpose,
        issued: now,
        expires: now.saturating_add(crate::millis(state.limits.grant_lifetime)),
        // A nonce is accepted once, so no two grants are equal.
        nonce: caller.request.nonce,
    }
}

/// What the chain is to record about a grant, without the grant's hash.
fn release(
    asked: &Asked,
    records: Vec<ReleasedRecord>,
    rights: Vec<Right>,
) -> Result<Release, ApiError> {
    let too_large = || {
        ApiError::too_large(
            "The request exceeds what one receipt can record: request fewer records at a time.",
        )
    };
    Ok(Release {
        request: asked.request.clone(),
        signature: asked.signature.clone(),
        records: records.try_into().map_err(|_| too_large())?,
        rights: rights.try_into().map_err(|_| too_large())?,
        grant: Hash::default(),
    })
}

/// The chain's errors when the hospital has reached its daily limit for all requesters together.
const HOSPITAL_LIMITS: [&str; 2] = ["TooManyHospitalReceipts", "TooManyHospitalEmergencies"];

/// Records the release. Returns when the chain's receipt is finalized.
async fn record(state: &AppState, asked: &Asked, sealed: &Sealed) -> Result<(), ApiError> {
    let recorded = within(state.limits.transaction_timeout, async {
        let _slot = state.transaction_slot(asked.caller.holder()).await?;
        Ok(state.calls.submit(releases::record(&sealed.release)).await)
    })
    .await?;
    match recorded {
        Ok(()) => {
            state.metrics.receipts.inc();
            Ok(())
        }
        Err(CallError::Failed(failure)) if failure.is("Releases", "NotAllowed") => {
            Err(denied_meanwhile(state, asked).await)
        }
        Err(CallError::Failed(failure)) => Err(refused_by_chain(failure)),
        Err(error) => Err(error.into()),
    }
}

/// The response to a request that the chain refused for a reason that the worker did not see before.
fn refused_by_chain(failure: DispatchFailure) -> ApiError {
    let is = |error: &str| failure.is("Releases", error);
    if is("TooManyEmergencies") {
        ApiError::too_many_emergencies()
    } else if HOSPITAL_LIMITS.into_iter().any(is) {
        ApiError::hospital_limit()
    } else if is("ClassMismatch") {
        changed("What the patient shares with you has just changed")
    } else if is("AlreadyAnswered") {
        already_answered()
    } else if is("RequestTooOld") || is("RequestFromTheFuture") {
        asked::bad_time()
    } else if is("InvalidRequest") {
        asked::unsigned()
    } else {
        CallError::Failed(failure).into()
    }
}

fn changed(title: &str) -> ApiError {
    ApiError::conflict("changed", title, "Nothing was granted. Send the request again.")
}

/// The response when the chain, at a later block, denied what the worker had found allowed.
async fn denied_meanwhile(state: &AppState, asked: &Asked) -> ApiError {
    let decided = within(state.limits.request_timeout, async {
        let latest = state.view.finalized().await?;
        asked.decide(latest.as_ref()).await
    })
    .await;
    match decided {
        Ok(Decided::Denied(denial)) => refuse(state, asked, denial).await,
        Ok(Decided::Allowed(_)) => changed("Your permissions have just changed"),
        Err(error) => error,
    }
}

pub(super) fn too_often(wait: Duration) -> ApiError {
    let seconds = wait.as_secs() + 1;
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-grants",
        "You request too many different grants",
        format!(
            "Each grant leaves a receipt on the chain. Try again in {seconds} seconds, and request several records at \
             a time."
        ),
    )
    .ends_after(seconds)
}

fn note_emergency(state: &AppState, asked: &Asked) {
    if asked.request.emergency.is_some() {
        state.metrics.emergencies.inc();
        let (requester, patient) = (asked.request.requester, asked.request.patient);
        tracing::warn!(%requester, %patient, "a professional broke the glass");
    }
}

fn hand_out(state: &AppState, sealed: &Sealed) -> Result<GrantReply, ApiError> {
    let Sealed { grant, release, segments, .. } = sealed;
    let now = crate::now();
    if now >= grant.terms().expires {
        return Err(ApiError::timed_out());
    }
    state.metrics.grants.inc();
    let expires = now.saturating_add(crate::millis(state.limits.link_lifetime));
    let link = |hash| state.link(hash, release.grant, expires);
    let links = segments.iter().map(link).collect();
    Ok(GrantReply { grant: STANDARD.encode(grant.encode()), links })
}

impl AppState {
    fn link(&self, segment: &[u8; 32], grant: Hash, expires: u64) -> SegmentLink {
        self.shared.links.make(&self.public_url, segment, grant, expires)
    }
}
