//! Policies and denials in sentences.

use epione_primitives::{
    HospitalId, Moment, Word,
    access::{Conclusion, Condition, Denial, Place, Policy},
    credential::Requirement,
    text::legible,
};

use super::{PolicyType, time};
use crate::conditions::{Test, row};

/// A policy's name, safe to print. Other programs may have set it.
pub fn name(policy: &Policy) -> String {
    legible(&policy.name)
}

/// What a policy is for.
pub fn policy_type(policy: &Policy) -> PolicyType {
    match policy.conclusion {
        Conclusion::Allows(_) => PolicyType::Operation,
        Conclusion::Recognises(_) => PolicyType::Relationship,
    }
}

/// What a policy says, in one sentence.
pub fn policy(policy: &Policy) -> String {
    let roles = any_of(policy.roles.iter().map(|role| with_article(&role.spoken())));
    let mut sentence = match &policy.conclusion {
        Conclusion::Allows(actions) => {
            format!("{roles} may {}", all_of(actions.iter().map(|action| action.spoken())))
        }
        Conclusion::Recognises(kinds) => {
            let kinds = all_of(kinds.iter().map(|kind| kind.spoken()));
            format!("{roles} counts as related to a patient ({kinds})")
        }
    };
    if !policy.hospitals.is_empty() {
        sentence += &format!(", at {}", hospitals(&policy.hospitals));
    }
    if !policy.conditions.is_empty() {
        sentence += &format!(" if {}", all_of(policy.conditions.iter().map(met)));
    }
    if let Some(end) = policy.expires {
        sentence += &format!("; until {}", moment(end));
    }
    sentence
}

/// Why a request was denied, one sentence for each policy that might have allowed it.
pub fn denial(denial: &Denial) -> Vec<String> {
    match denial {
        Denial::UnknownHospital => vec!["the hospital is not on the chain".into()],
        Denial::UnknownRequester => vec!["the requester is not registered on the chain".into()],
        Denial::UnknownPatient => vec!["the patient is not registered on the chain".into()],
        Denial::NoPolicy { role, action } => {
            let role = with_article(&role.spoken());
            vec![format!("no policy allows {role} to {}", action.spoken())]
        }
        Denial::Failed(policies) => policies
            .iter()
            .map(|failed| {
                let conditions: Vec<_> = failed.conditions.iter().map(unmet).collect();
                let name = legible(&failed.policy);
                format!("policy \"{name}\" does not apply: {}", conditions.join("; "))
            })
            .collect(),
    }
}

/// What a condition requires, as it goes on after "if".
pub fn met(condition: &Condition) -> String {
    with_argument(row(condition).met, condition)
}

/// What a condition that does not hold says about the case.
pub fn unmet(condition: &Condition) -> String {
    with_argument(row(condition).unmet, condition)
}

/// Puts a condition's argument into its sentence.
fn with_argument(sentence: &str, condition: &Condition) -> String {
    let argument = match row(condition).test {
        Test::Flag(_) => return sentence.to_owned(),
        Test::Place(Place::Here, ..) => "here".to_owned(),
        Test::Place(Place::OneOf(places), ..) => format!("at {}", hospitals(places)),
        Test::Kinds(kinds, ..) => any_of(kinds.iter().map(|kind| kind.spoken())),
        Test::Purposes(purposes, ..) => any_of(purposes.iter().map(|purpose| purpose.spoken())),
        Test::Requirements(requirements, ..) => all_of(requirements.iter().map(requirement)),
        Test::End(end, ..) => moment(end),
    };
    sentence.replace("{}", &argument)
}

/// A moment of the chain in UTC, as RFC 3339 writes it.
pub fn moment(at: Moment) -> String {
    if at > time::LAST { format!("{at} ms after 1970") } else { time::in_seconds(at) }
}

/// Hospitals by their numbers, one of which is enough.
fn hospitals(ids: &[HospitalId]) -> String {
    format!("hospital {}", any_of(ids.iter().map(HospitalId::to_string)))
}

/// A required credential: `attribute 3 from hospital 0 or 2`.
fn requirement(required: &Requirement) -> String {
    let Requirement { attribute, issuers, at_least } = required;
    if *at_least <= 1 {
        return format!("attribute {attribute} from {}", hospitals(issuers));
    }
    let ids = joined(issuers.iter().map(HospitalId::to_string), "and");
    format!("attribute {attribute} from {at_least} of the hospitals {ids}")
}

/// A noun with its article.
pub(super) fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

fn any_of(parts: impl Iterator<Item = String>) -> String {
    joined(parts, "or")
}

fn all_of(parts: impl Iterator<Item = String>) -> String {
    joined(parts, "and")
}

pub(super) fn joined(parts: impl Iterator<Item = String>, conjunction: &str) -> String {
    let parts: Vec<_> = parts.collect();
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("{} {conjunction} {last}", rest.join(", "))
        }
        _ => parts.concat(),
    }
}
