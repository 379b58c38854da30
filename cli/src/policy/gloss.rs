//! Policies in plain words, a sentence each.

use epione_primitives::{
    HospitalId,
    access::{Conclusion, Condition, Place, Policy},
};
use serde::Serialize;

use super::words::{PolicyType, Word};
use crate::wording::{moment, word};

/// A policy as a list of them shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gloss {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: PolicyType,
    /// What it says, in a sentence.
    pub gloss: String,
}

impl From<&Policy> for Gloss {
    fn from(policy: &Policy) -> Self {
        Self { name: name(policy), kind: kind(policy), gloss: gloss(policy) }
    }
}

/// A policy's name. Whoever set it may not have been this program.
pub fn name(policy: &Policy) -> String {
    crate::wording::legible(&policy.name)
}

pub fn kind(policy: &Policy) -> PolicyType {
    match policy.conclusion {
        Conclusion::Allows(_) => PolicyType::Operation,
        Conclusion::Recognises(_) => PolicyType::Relationship,
    }
}

/// What a policy says, in a sentence.
pub fn gloss(policy: &Policy) -> String {
    let roles =
        any_of(policy.roles.iter().map(|role| format!("{} {}", article(*role), word(role))));
    let mut said = match &policy.conclusion {
        Conclusion::Allows(actions) => {
            format!("{roles} may {}", all_of(actions.iter().map(word)))
        }
        Conclusion::Recognises(kinds) => {
            format!("{roles} counts as related to a patient ({})", all_of(kinds.iter().map(word)))
        }
    };
    if !policy.hospitals.is_empty() {
        said += &format!(", at {}", hospitals(&policy.hospitals));
    }
    if !policy.conditions.is_empty() {
        said += &format!(" if {}", all_of(policy.conditions.iter().map(condition)));
    }
    if let Some(end) = policy.expires {
        said += &format!("; until {}", moment(end));
    }
    said
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::RequesterIsPatient => "the records are their own".into(),
        Condition::RequesterRegistered(Place::Here) => "they are registered here".into(),
        Condition::RequesterRegistered(Place::OneOf(ids)) => {
            format!("they are registered at {}", hospitals(ids))
        }
        Condition::PatientRegistered => "the patient is registered here".into(),
        Condition::Related(kinds) => {
            format!("they are related to the patient ({})", any_of(kinds.iter().map(word)))
        }
        Condition::Before(end) => format!("it is before {}", moment(*end)),
        Condition::SectionShared => "the section is shared".into(),
        Condition::Purpose(purposes) => {
            format!("the purpose is {}", any_of(purposes.iter().map(word)))
        }
        Condition::PatientCosigned => "the patient signs too".into(),
    }
}

/// Hospitals by their numbers, one of which is enough.
pub fn hospitals(ids: &[HospitalId]) -> String {
    format!("hospital {}", any_of(ids.iter().map(HospitalId::to_string)))
}

fn article(role: impl Word) -> &'static str {
    if role.spelled().starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn any_of(parts: impl Iterator<Item = String>) -> String {
    joined(parts, "or")
}

fn all_of(parts: impl Iterator<Item = String>) -> String {
    joined(parts, "and")
}

fn joined(parts: impl Iterator<Item = String>, conjunction: &str) -> String {
    let parts: Vec<_> = parts.collect();
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("{} {conjunction} {last}", rest.join(", "))
        }
        _ => parts.concat(),
    }
}
