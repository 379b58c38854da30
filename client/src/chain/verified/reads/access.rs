//! What pallet-role-policies answers. Decisions are by the crate `epione-policies`, as on the chain; the facts are
//! gathered as the pallet gathers them.

use codec::DecodeAll;
use epione_policies::{
    Facts,
    decision::{credentials, places},
    default_policies, evaluate,
};
use epione_primitives::{
    HospitalId, Moment, UserId,
    access::{
        AccessRequest, Action, Decision, Denial, Parties, Policy, PolicySet, Relationship,
        RelationshipKind, SectionClass,
    },
    limits::{MAX_DECISIONS, MAX_PAGE, page},
    profile::Role,
};
use epione_proofs::{StateError, StorageKey};

use super::{
    BLAKE2_128, ChainError, Gap, Known, TWOX_64, VerifiedState,
    credentials::held,
    hospitals::{exists, served_at},
    keys,
    mandates::{authorizes, represents},
    profiles::{registered, registered_anywhere, role},
};

impl VerifiedState {
    pub(in crate::chain) async fn decide(
        &self,
        request: &AccessRequest,
        at: Option<Moment>,
    ) -> Result<Decision, ChainError> {
        self.compute(inputs(request), |known| match at {
            Some(at) => decide(known, request, at),
            None => {
                let now = known.value_or_default(keys::now())?;
                decide(known, request, now)
            }
        })
        .await
    }

    pub(in crate::chain) async fn decide_each(
        &self,
        requests: &[AccessRequest],
    ) -> Result<Vec<Decision>, ChainError> {
        let requests = requests.get(..MAX_DECISIONS as usize).unwrap_or(requests);
        let hints: Vec<_> = requests.iter().flat_map(inputs).collect();
        self.compute(hints, |known| {
            let now = known.value_or_default(keys::now())?;
            requests.iter().map(|request| decide(known, request, now)).collect()
        })
        .await
    }

    /// The newest relationship of each kind, of one page of professionals and hospitals.
    pub(in crate::chain) async fn relationships(
        &self,
        patient: UserId,
        after: Option<(UserId, HospitalId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, Relationship)>, ChainError> {
        let prefix = keys::relationships_of(patient);
        let after = after
            .map(|(professional, hospital)| keys::relationships((patient, professional, hospital)));
        let page = self.entries(&prefix, after.as_ref(), limit.min(MAX_PAGE)).await?;
        let mut relationships = Vec::new();
        for (key, value) in page {
            let professional = professional(&key);
            let newest: Option<Vec<Relationship>> =
                DecodeAll::decode_all(&mut value.as_slice()).ok();
            let (Some(professional), Some(newest)) = (professional, newest) else {
                return Err(self.chain().doubt(StateError::OtherType { key: prefix }));
            };
            relationships.extend(newest.into_iter().map(|it| (professional, it)));
        }
        Ok(relationships)
    }

    pub(in crate::chain) async fn earlier_relationships(
        &self,
        parties: Parties,
        kind: RelationshipKind,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, Relationship)>, ChainError> {
        self.compute([keys::earlier_relationships(parties, kind)], |known| {
            let count = known.value_or_default(keys::earlier_relationships(parties, kind))?;
            let numbers: Vec<u32> = page(count, before, limit).collect();
            let key = |number: &u32| keys::earlier_relationship(parties, kind, *number);
            known.need(numbers.iter().map(key))?;
            let mut earlier = Vec::new();
            for number in numbers {
                if let Some(relationship) = known.value(key(&number))? {
                    earlier.push((number, relationship));
                }
            }
            Ok(earlier)
        })
        .await
    }

    pub(in crate::chain) async fn policies(
        &self,
        hospital: HospitalId,
        version: Option<u32>,
    ) -> Result<Option<(u32, PolicySet)>, ChainError> {
        let hints = [keys::hospital(hospital), keys::latest_policies(hospital)];
        self.compute(hints, |known| {
            if !exists(known, hospital)? {
                return Ok(None);
            }
            let version = match version {
                Some(version) => version,
                None => known.value_or_default(keys::latest_policies(hospital))?,
            };
            Ok(policy_set(known, hospital, version)?.map(|set| (version, set)))
        })
        .await
    }
}

/// The professional in the key of a relationship, after the patient.
fn professional(key: &[u8]) -> Option<UserId> {
    let end = BLAKE2_128 + size_of::<UserId>();
    let professional = key.get(BLAKE2_128..end)?;
    // What follows is the hospital.
    (key.len() == end + TWOX_64 + size_of::<u16>())
        .then(|| professional.try_into().ok().map(UserId))
        .flatten()
}

/// What every decision reads.
fn inputs(request: &AccessRequest) -> Vec<StorageKey> {
    let AccessRequest { requester, patient, hospital, .. } = *request;
    vec![
        keys::now(),
        keys::hospital(hospital),
        keys::active_periods(hospital),
        keys::latest_policies(hospital),
        keys::profile(requester),
        keys::profile(patient),
        keys::registration(hospital, requester),
        keys::registration(hospital, patient),
        keys::relationships((patient, requester, hospital)),
        keys::representative(patient, requester),
    ]
}

/// Decides by the relationships, registrations and policies in force at a moment.
pub(super) fn decide(
    known: &mut Known,
    request: &AccessRequest,
    at: Moment,
) -> Result<Decision, Gap> {
    let (version, set) = policies_at(known, request.hospital, at)?;
    Ok(match gather(known, request, at, &set.policies)? {
        Ok(facts) => evaluate(&facts, version, &set),
        Err(denial) => Decision::Deny(denial),
    })
}

fn gather(
    known: &mut Known,
    request: &AccessRequest,
    at: Moment,
    policies: &[Policy],
) -> Result<Result<Facts, Denial>, Gap> {
    let AccessRequest { requester, action, patient, hospital, class, purpose, cosigned } = *request;
    if !exists(known, hospital)? {
        return Ok(Err(Denial::UnknownHospital));
    }
    let Some(requesters_role) = role(known, requester)? else {
        return Ok(Err(Denial::UnknownRequester));
    };
    if role(known, patient)? != Some(Role::Patient) {
        return Ok(Err(Denial::UnknownPatient));
    }
    let places = places(policies, requesters_role, hospital);
    known.need(
        places.iter().flat_map(|place| {
            [keys::registration(*place, requester), keys::active_periods(*place)]
        }),
    )?;
    let mut requester_at = Vec::new();
    for place in places {
        if registered(known, place, requester, at)? && served_at(known, place, at)? {
            requester_at.push(place);
        }
    }
    let mut related = kinds_in_force(known, (patient, requester, hospital), at)?;
    let mut represents_patient = represents(known, requester, patient, at)?;
    let named = credentials(policies, requesters_role, hospital);
    let mut credentials = held(known, requester, named, at)?;
    // None of these, and no consent, counts for a requester who is registered at no active hospital.
    let mut class = class;
    let matters = !related.is_empty()
        || represents_patient
        || !credentials.is_empty()
        || class == SectionClass::Shared;
    if matters && requester_at.is_empty() && !registered_anywhere(known, requester, at)? {
        related.clear();
        represents_patient = false;
        credentials.clear();
        class = SectionClass::Private;
    }
    let authorized = action == Action::Submit && authorizes(known, patient, hospital, at)?;
    Ok(Ok(Facts {
        role: requesters_role,
        action,
        class,
        purpose,
        cosigned: cosigned || authorized,
        at,
        hospital,
        requester_is_patient: requester == patient,
        requester_at,
        patient_registered: registered(known, hospital, patient, at)?,
        credentials,
        represents_patient,
        related,
    }))
}

/// The version in force at a moment: the last that had begun.
fn policies_at(
    known: &mut Known,
    hospital: HospitalId,
    at: Moment,
) -> Result<(u32, PolicySet), Gap> {
    let newest: u32 = known.value_or_default(keys::latest_policies(hospital))?;
    if let Some(set) = policy_set(known, hospital, newest)?.filter(|set| set.since <= at) {
        return Ok((newest, set));
    }
    // The default set has always begun, and the newest has not.
    let (mut begun, mut later) = (0, newest);
    while later.saturating_sub(begun) > 1 {
        let middle = u32::midpoint(begun, later);
        if policy_set(known, hospital, middle)?.is_some_and(|set| set.since <= at) {
            begun = middle;
        } else {
            later = middle;
        }
    }
    Ok(match policy_set(known, hospital, begun)? {
        Some(set) => (begun, set),
        None => (0, default_policies()),
    })
}

fn policy_set(
    known: &mut Known,
    hospital: HospitalId,
    version: u32,
) -> Result<Option<PolicySet>, Gap> {
    match version {
        0 => Ok(Some(default_policies())),
        _ => known.value(keys::policy_set(hospital, version)),
    }
}

/// The kinds of relationships in force at a moment.
fn kinds_in_force(
    known: &mut Known,
    parties: Parties,
    at: Moment,
) -> Result<Vec<RelationshipKind>, Gap> {
    let newest: Vec<Relationship> = known.value_or_default(keys::relationships(parties))?;
    let mut kinds = Vec::new();
    for relationship in newest {
        let in_force = if relationship.since <= at {
            relationship.in_force(at)
        } else {
            was_in_force(known, parties, relationship.kind, at)?
        };
        if in_force {
            kinds.push(relationship.kind);
        }
    }
    Ok(kinds)
}

/// Whether an earlier relationship was in force at a moment. They began in order and do not overlap, so only the last
/// that had begun can have been, and it is found by halving.
fn was_in_force(
    known: &mut Known,
    parties: Parties,
    kind: RelationshipKind,
    at: Moment,
) -> Result<bool, Gap> {
    let mut begun = 0;
    let mut later: u32 = known.value_or_default(keys::earlier_relationships(parties, kind))?;
    while begun < later {
        let middle = u32::midpoint(begun, later);
        if earlier(known, parties, kind, middle)?.is_some_and(|earlier| earlier.since <= at) {
            begun = middle.saturating_add(1);
        } else {
            later = middle;
        }
    }
    let Some(last) = begun.checked_sub(1) else { return Ok(false) };
    Ok(earlier(known, parties, kind, last)?.is_some_and(|last| last.in_force(at)))
}

fn earlier(
    known: &mut Known,
    parties: Parties,
    kind: RelationshipKind,
    number: u32,
) -> Result<Option<Relationship>, Gap> {
    known.value(keys::earlier_relationship(parties, kind, number))
}
