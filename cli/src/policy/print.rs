//! From what the chain stores back to the language.

use std::fmt::Write;

use epione_primitives::access::{Conclusion, Condition, Place, Policies, Policy};
use toml::Value;

use super::{
    draft::{
        BEFORE, PATIENT_COSIGNED, PATIENT_REGISTERED, PURPOSE, RELATED, REQUESTER_IS_PATIENT,
        REQUESTER_REGISTERED, SECTION_SHARED,
    },
    gloss,
    time::written,
    words::Word,
};

/// The policies as a file. Compiling it gives the same policies.
pub fn to_toml(policies: &Policies) -> String {
    policies.iter().map(to_policy).collect::<Vec<_>>().join("\n")
}

/// As [`to_toml`], with a heading, and above each policy what it says.
pub fn commented(heading: &str, policies: &Policies) -> String {
    let mut file = format!("# {heading}\n");
    for policy in policies {
        file += &format!("\n# {}\n{}", gloss::gloss(policy), to_policy(policy));
    }
    file
}

fn to_policy(policy: &Policy) -> String {
    let conclusion = match &policy.conclusion {
        Conclusion::Allows(actions) => ("actions", words(actions)),
        Conclusion::Recognises(kinds) => ("relations", words(kinds)),
    };
    let mut fields = vec![
        ("name", text(&policy.name)),
        ("summary", text(&policy.summary)),
        ("type", text(gloss::kind(policy).spelled().as_bytes())),
    ];
    if !policy.hospitals.is_empty() {
        fields.push(("hospitals", list(policy.hospitals.iter().map(ToString::to_string))));
    }
    fields.extend([("roles", words(&policy.roles)), conclusion]);
    if let Some(end) = policy.expires {
        fields.push(("until", written(end)));
    }
    let mut file = table("[[policy]]", fields);
    if !policy.conditions.is_empty() {
        file += &table("\n[policy.when]", policy.conditions.iter().map(condition));
    }
    file
}

fn condition(condition: &Condition) -> (&'static str, String) {
    let set = || "true".to_owned();
    match condition {
        Condition::RequesterIsPatient => (REQUESTER_IS_PATIENT, set()),
        Condition::RequesterRegistered(place) => {
            let place = match place {
                Place::Here => text(b"here"),
                Place::OneOf(ids) => list(ids.iter().map(ToString::to_string)),
            };
            (REQUESTER_REGISTERED, place)
        }
        Condition::PatientRegistered => (PATIENT_REGISTERED, set()),
        Condition::Related(kinds) => (RELATED, words(kinds)),
        Condition::Before(end) => (BEFORE, written(*end)),
        Condition::SectionShared => (SECTION_SHARED, set()),
        Condition::Purpose(purposes) => (PURPOSE, words(purposes)),
        Condition::PatientCosigned => (PATIENT_COSIGNED, set()),
    }
}

fn table(header: &str, fields: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut table = format!("{header}\n");
    for (key, value) in fields {
        writeln!(table, "{key} = {value}").expect("a String takes what is written; qed");
    }
    table
}

fn text(bytes: &[u8]) -> String {
    Value::String(String::from_utf8_lossy(bytes).into_owned()).to_string()
}

fn words<W: Word>(words: &[W]) -> String {
    list(words.iter().map(|word| text(word.spelled().as_bytes())))
}

fn list(entries: impl Iterator<Item = String>) -> String {
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}
