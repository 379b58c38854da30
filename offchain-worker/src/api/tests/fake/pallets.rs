//! What the pallets decide and do, simplified.

use codec::Decode;
use epione_client::chain::{Call, DispatchFailure};
use epione_primitives::{
    Hash, Signature, UserId,
    access::{
        AccessRequest, Action, Condition, Decision, Denial, FailedPolicy, Place, SectionClass,
    },
    custody::ClaimId,
    limits::{MAX_EMERGENCIES_PER_DAY, MAX_REFUSALS_PER_DAY, page as numbered_page},
    naming::NamedAccount,
    opening::OpeningId,
    ports::HashedBody,
    profile::{Objection, Recovery, RegistrationStatus, Role},
    query::{Query, QueryId, Transfer},
    release::{Release, ReleasedRecord, Request, Right},
};

use super::{Facts, HOSPITAL, custody, failure, genesis, openings, slots};

fn failed(condition: Condition) -> Decision {
    let policy = FailedPolicy { policy: b"treatment".to_vec(), conditions: vec![condition] };
    Decision::Deny(Denial::Failed(vec![policy]))
}

pub fn decide(facts: &Facts, request: &AccessRequest) -> Decision {
    let AccessRequest { requester, action, patient, hospital, class, .. } = *request;
    let registered = |user| {
        facts
            .registrations
            .get(&(hospital, user))
            .is_some_and(|registration| registration.status == RegistrationStatus::Active)
    };
    let Some(profile) = facts.profiles.get(&requester) else {
        return Decision::Deny(Denial::UnknownRequester);
    };
    if !facts.profiles.contains_key(&patient) {
        return Decision::Deny(Denial::UnknownPatient);
    }
    if !registered(patient) {
        return failed(Condition::PatientRegistered);
    }
    if !registered(requester) {
        return failed(Condition::RequesterRegistered(Place::Here));
    }
    if action == Action::Submit && facts.cosigning && !request.cosigned {
        return failed(Condition::PatientCosigned);
    }
    let allowed = match profile.role {
        _ if facts.denied.contains(&Right { action, class }) => false,
        _ if action == Action::BreakGlass => facts.rescuers.contains(&requester),
        Role::Patient => requester == patient && action != Action::Submit,
        Role::Doctor | Role::Nurse => facts.related.contains(&(requester, patient)),
        // Represents the users who may read shared sections.
        Role::Researcher
        | Role::Insurer
        | Role::Pharmacist
        | Role::PublicAuthority
        | Role::AlliedProfessional => class == SectionClass::Shared && action == Action::ReadText,
        Role::Auditor => return Decision::Deny(Denial::NoPolicy { role: profile.role, action }),
    };
    if allowed {
        Decision::Allow { version: 0, policy: b"treatment".to_vec().try_into().unwrap() }
    } else {
        failed(Condition::Related(Default::default()))
    }
}

/// The policies' decisions about the rights of a release.
pub fn allows(facts: &Facts, release: &Release) -> bool {
    let Request { requester, patient, purpose, .. } = release.request;
    let request = |right: &Right| AccessRequest {
        requester,
        action: right.action,
        patient,
        hospital: HOSPITAL,
        class: right.class,
        purpose,
        cosigned: false,
    };
    release.rights.iter().all(|right| decide(facts, &request(right)).is_allowed())
}

/// Whether the rights of a release open its sections.
pub fn opens(facts: &Facts, release: &Release) -> bool {
    let Request { requester, patient, purpose, .. } = release.request;
    let admitting = slots::admitting(facts, patient, requester, purpose);
    let is_shared = |record: &ReleasedRecord| {
        record.sections.is_subset_of(slots::shared(facts, record.pointer, admitting))
    };
    Right::open(&release.rights, !release.records.iter().all(is_shared))
}

/// Accepts a request once, if its requester signed it for this hospital.
fn answer(
    facts: &mut Facts,
    request: &Request,
    signature: &Signature,
    grant: Option<Hash>,
) -> Result<(), DispatchFailure> {
    let is_signed = request.hospital == HOSPITAL
        && facts
            .profiles
            .get(&request.requester)
            .is_some_and(|profile| request.is_signed_by(genesis(), &profile.account, signature));
    if !is_signed {
        return Err(failure("Releases", "InvalidRequest"));
    }
    if facts.answers.contains_key(&request.hash()) {
        return Err(failure("Releases", "AlreadyAnswered"));
    }
    facts.answers.insert(request.hash(), grant);
    Ok(())
}

/// Does what the releases pallet does, without most of its checks.
fn record(facts: &mut Facts, release: Release) -> Result<(), DispatchFailure> {
    let requester = release.request.requester;
    if !opens(facts, &release) {
        return Err(failure("Releases", "ClassMismatch"));
    }
    if !allows(facts, &release) {
        return Err(failure("Releases", "NotAllowed"));
    }
    let today = facts.tallies.get(&requester).copied().unwrap_or_default();
    let is_emergency = release.request.emergency.is_some();
    if is_emergency && today.emergencies >= MAX_EMERGENCIES_PER_DAY {
        return Err(failure("Releases", "TooManyEmergencies"));
    }
    answer(facts, &release.request, &release.signature, Some(release.grant))?;
    if is_emergency {
        facts.tallies.entry(requester).or_default().emergencies += 1;
    }
    facts.receipts.insert(release.grant, release);
    Ok(())
}

/// Does what the releases pallet does, without most of its checks.
fn refuse(
    facts: &mut Facts,
    request: Request,
    signature: &Signature,
) -> Result<(), DispatchFailure> {
    let today = facts.tallies.get(&request.requester).copied().unwrap_or_default();
    if today.refusals >= MAX_REFUSALS_PER_DAY {
        return Err(failure("Releases", "TooManyRefusals"));
    }
    answer(facts, &request, signature, None)?;
    facts.tallies.entry(request.requester).or_default().refusals += 1;
    facts.refusals.push(request);
    Ok(())
}

/// Does what the queries pallet does when this hospital's agent records a transfer.
fn transfer(facts: &mut Facts, id: QueryId) -> Result<(), DispatchFailure> {
    let refused = |error| failure("Queries", error);
    let query = facts.queries.get(&id).ok_or_else(|| refused("UnknownQuery"))?;
    let accepted = query.acceptance().ok_or_else(|| refused("NotAccepted"))?;
    if accepted.mailbox != HOSPITAL {
        return Err(refused("NotMailbox"));
    }
    let at = crate::now();
    if at >= accepted.until {
        return Err(refused("Over"));
    }
    let is_audience = facts.profiles.get(&query.requester).is_some_and(|profile| {
        profile.account == accepted.audience && profile.sealing_key_hash == accepted.sealing_key
    });
    if !is_audience {
        return Err(refused("RequesterChanged"));
    }
    let mandate = facts.representatives.get(&(accepted.by, query.patient)).copied();
    if !accepted.stands(query.patient, mandate) {
        return Err(refused("RepresentationOver"));
    }
    let registration = facts.registrations.get(&(query.hospital, query.requester));
    if registration.is_none_or(|it| it.status != RegistrationStatus::Active) {
        return Err(refused("NotInForce"));
    }
    if facts.transfers.contains_key(&id) {
        return Err(refused("AlreadyTransferred"));
    }
    let grant = accepted.grant;
    facts.transfers.insert(id, Transfer { hospital: HOSPITAL, grant, block: facts.head, at });
    Ok(())
}

/// Does what the profiles pallet does about new keys when this hospital's agent calls it, without most of its checks.
fn recover(facts: &mut Facts, change: &str, arguments: &mut &[u8]) -> Result<(), DispatchFailure> {
    if change == "propose_recovery" {
        let (user, next, sealing_key_hash) =
            <(UserId, NamedAccount, Hash)>::decode(arguments).unwrap();
        let account = next.account;
        let version = facts.profiles[&user].version;
        let (due, lapses, objection) = (facts.head + 10, facts.head + 20, None);
        let hospital = HOSPITAL;
        let recovery =
            Recovery { hospital, account, sealing_key_hash, version, due, lapses, objection };
        facts.recoveries.insert(user, recovery);
        return Ok(());
    }
    let user = UserId::decode(arguments).unwrap();
    let refused = |error| Err(failure("Profiles", error));
    let Some(recovery) = facts.recoveries.get_mut(&user) else { return refused("NoRecovery") };
    if recovery.objection.is_some() {
        return refused("RecoveryObjected");
    }
    if change == "object" {
        recovery.objection = Some(Objection::Hospital(HOSPITAL));
        return Ok(());
    }
    if facts.head < recovery.due {
        return refused("RecoveryTooEarly");
    }
    let recovery = recovery.clone();
    facts.recoveries.remove(&user);
    let profile = facts.profiles.get_mut(&user).unwrap();
    facts.accounts.remove(&profile.account);
    facts.accounts.insert(recovery.account.clone(), user);
    profile.account = recovery.account;
    profile.sealing_key_hash = recovery.sealing_key_hash;
    profile.version += 1;
    profile.since = crate::now();
    Ok(())
}

/// A page of a list of queries, as the chain numbers it.
pub fn page(
    facts: &Facts,
    is_listed: impl Fn(&Query) -> bool,
    before: Option<u32>,
    limit: u32,
) -> Vec<(u32, QueryId, Query)> {
    let listed = facts.queries.iter().filter(|(_, query)| is_listed(query));
    let listed: Vec<_> = listed.map(|(id, query)| (*id, query.clone())).collect();
    numbered_page(listed.len() as u32, before, limit)
        .map(|number| {
            let (id, query) = listed[number as usize].clone();
            (number, id, query)
        })
        .collect()
}

/// Does what the pallets do, without most of their checks.
pub fn execute(facts: &mut Facts, call: &Call) -> Result<(), DispatchFailure> {
    let mut arguments = call.arguments.as_slice();
    match (call.pallet, call.name) {
        ("Hospitals", "ready") => {
            let before = facts.unready.len();
            facts.unready.retain(|hospital| *hospital != HOSPITAL);
            if facts.unready.len() == before {
                return Err(failure("Hospitals", "NotUnready"));
            }
        }
        ("Profiles", "update") => {
            let (user, previous, body) = <(UserId, Hash, Vec<u8>)>::decode(&mut arguments).unwrap();
            let registration = facts.registrations.get_mut(&(HOSPITAL, user)).unwrap();
            if registration.body_hash != previous {
                return Err(failure("Profiles", "AnotherBody"));
            }
            registration.version += 1;
            registration.body_hash = HashedBody::new(&body).hash();
            facts.bodies.insert(registration.body_hash, body);
        }
        ("Profiles", change @ ("suspend" | "reinstate" | "end_registration")) => {
            let user = UserId::decode(&mut arguments).unwrap();
            let registration = facts
                .registrations
                .get_mut(&(HOSPITAL, user))
                .ok_or_else(|| failure("Profiles", "NotRegistered"))?;
            registration.status = match change {
                "suspend" => RegistrationStatus::Suspended,
                "reinstate" => RegistrationStatus::Active,
                _ => RegistrationStatus::Ended,
            };
        }
        ("Profiles", change @ ("propose_recovery" | "object" | "complete_recovery")) => {
            recover(facts, change, &mut arguments)?;
        }
        ("Releases", "record") => record(facts, Release::decode(&mut arguments).unwrap())?,
        ("Releases", "refuse") => {
            let (request, signature) = <(Request, Signature)>::decode(&mut arguments).unwrap();
            refuse(facts, request, &signature)?;
        }
        ("Sharing", "place_by_kind") => slots::place_by_kind(facts, arguments)?,
        ("Openings", "wrap") => openings::wrap(facts, arguments)?,
        ("Openings", "hand_out") => {
            openings::hand_out(facts, OpeningId::decode(&mut arguments).unwrap())?;
        }
        ("Custody", "keep") => custody::keep(facts, arguments)?,
        ("Custody", "claim") => custody::claim(facts, arguments)?,
        ("Custody", "hand_out") => {
            custody::hand_out(facts, ClaimId::decode(&mut arguments).unwrap())?;
        }
        ("Queries", "transfer") => transfer(facts, QueryId::decode(&mut arguments).unwrap())?,
        _ => {}
    }
    Ok(())
}
