//! A consent as a FHIR resource.

use epione_primitives::{
    Moment, Word,
    access::Purpose,
    sharing::{RecordedPeriod, Term},
};
use serde::Serialize;

use super::{
    ACT_CODE, ACT_REASON, ACTION, ACTION_SYSTEM, ATTRIBUTE_URN, AUDIENCE_URN, CATEGORY, CHAIN_URN,
    CONSENT_URN, Described, HOSPITAL_URN, KIND_URN, LOINC, OPT_OUT, PARTICIPATION, REASONS,
    RECIPIENT, ROLE_URN, Refused, SCOPE, SCOPE_SYSTEM, SLOT_URN, STANDING_URN, TRUE, USER_URN,
    instant,
};
use crate::consent::{Formula, Tree, kinds_in, set_of};

/// A resource, to be written as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    resource_type: &'static str,
    identifier: Vec<Identifier>,
    status: &'static str,
    scope: Concept,
    category: Vec<Concept>,
    patient: Reference,
    date_time: String,
    policy: Vec<Policy>,
    policy_rule: Concept,
    provision: Base,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Identifier {
    system: &'static str,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Coding {
    system: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Concept {
    coding: Vec<Coding>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Reference {
    identifier: Identifier,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Policy {
    uri: String,
}

/// The base rule has no type of its own: it is the one of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Base {
    provision: Vec<Provision>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Provision {
    modifier_extension: Vec<Extension>,
    r#type: &'static str,
    period: Period,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actor: Vec<Actor>,
    action: Vec<Concept>,
    purpose: Vec<Coding>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    class: Vec<Coding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_period: Option<Period>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Extension {
    url: &'static str,
    value_string: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Period {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Actor {
    role: Concept,
    reference: Reference,
}

fn concept(system: &'static str, code: &str) -> Concept {
    Concept { coding: vec![coding(system, code)] }
}

fn coding(system: &'static str, code: &str) -> Coding {
    Coding { system, code: code.into() }
}

/// The resource of a consent.
///
/// # Errors
/// If the consent has kinds of sections that this version does not know: the resource would not name them.
pub fn export(described: &Described<'_>) -> Result<Exported, Refused> {
    let Described { genesis, patient, slot, version, in_force } = *described;
    let kinds: Vec<_> = kinds_in(version.consent.kinds).collect();
    if set_of(&kinds) != version.consent.kinds {
        return Err(Refused::new(
            "Consent.provision.provision[0].class",
            "the consent has kinds of sections that this version does not know",
            "use a later version of epione",
        ));
    }
    let id = Identifier { system: CONSENT_URN, value: format!("{patient}/{slot}") };
    Ok(Exported {
        resource_type: "Consent",
        identifier: vec![id],
        status: if in_force { "active" } else { "inactive" },
        scope: concept(SCOPE_SYSTEM, SCOPE),
        category: vec![concept(LOINC, CATEGORY)],
        patient: Reference {
            identifier: Identifier { system: USER_URN, value: patient.to_string() },
        },
        date_time: instant(version.since),
        policy: vec![Policy { uri: format!("{CHAIN_URN}{genesis:?}") }],
        policy_rule: concept(ACT_CODE, OPT_OUT),
        provision: Base { provision: vec![provision(described)] },
    })
}

fn provision(Described { slot, version, .. }: &Described<'_>) -> Provision {
    let consent = &version.consent;
    let mut modifier_extension = vec![Extension { url: SLOT_URN, value_string: slot.to_string() }];
    let actors = alternatives(&consent.audience);
    if actors.is_none() {
        let value_string = formula(&consent.audience);
        modifier_extension.push(Extension { url: AUDIENCE_URN, value_string });
    }
    if consent.standing {
        modifier_extension.push(Extension { url: STANDING_URN, value_string: TRUE.into() });
    }
    let reason = |purpose: &Purpose| {
        let found = REASONS.iter().find(|(known, _)| known == purpose);
        found.map(|(_, code)| coding(ACT_REASON, code))
    };
    let RecordedPeriod { from, to } = consent.recorded;
    let data_period = Period { start: from.map(instant), end: to.map(last_before) };
    Provision {
        modifier_extension,
        r#type: "permit",
        period: Period {
            start: Some(instant(version.since)),
            end: Some(last_before(consent.until)),
        },
        actor: actors.unwrap_or_default(),
        action: vec![concept(ACTION_SYSTEM, ACTION)],
        purpose: consent.purposes.iter().filter_map(reason).collect(),
        class: kinds_in(consent.kinds).map(|kind| coding(KIND_URN, kind.spelled())).collect(),
        data_period: (consent.recorded != RecordedPeriod::default()).then_some(data_period),
    }
}

/// The end of a FHIR period is a part of it.
fn last_before(end: Moment) -> String {
    instant(end.saturating_sub(1))
}

/// The actors of an audience that is a list of alternatives; none if it is another formula.
fn alternatives(terms: &[Term]) -> Option<Vec<Actor>> {
    let leaves = match terms {
        [only] => std::slice::from_ref(only),
        [leaves @ .., Term::AtLeast { met: 1, of }]
            if leaves.len() > 1 && usize::from(*of) == leaves.len() =>
        {
            leaves
        }
        _ => return None,
    };
    leaves.iter().map(actor).collect()
}

fn actor(term: &Term) -> Option<Actor> {
    let (system, value) = match term {
        Term::User(user) => (USER_URN, user.to_string()),
        Term::Hospital(hospital) => (HOSPITAL_URN, hospital.to_string()),
        Term::Role(role) => (ROLE_URN, role.spelled().into()),
        Term::Credential { attribute, issuer } => (ATTRIBUTE_URN, format!("{attribute}@{issuer}")),
        Term::AtLeast { .. } => return None,
    };
    Some(Actor {
        role: concept(PARTICIPATION, RECIPIENT),
        reference: Reference { identifier: Identifier { system, value } },
    })
}

/// The formula as JSON. One that is malformed includes nobody, and is written as a threshold that nobody meets.
fn formula(terms: &[Term]) -> String {
    let formula = Formula::of(terms).unwrap_or_else(|| Formula::AtLeast(1, Vec::new()));
    let tree = Tree::of_formula(&formula, &|_| None);
    // Numbers, lists and plain words are JSON.
    serde_json::to_string(&tree).unwrap_or_default()
}
