//! From what the chain stores back to the language.

use std::fmt::Write;

use epione_primitives::{
    Word,
    access::{Conclusion, Condition, Place, Policies, Policy},
    credential::Requirement,
};
use toml::Value;

use super::{sentence, time::written};
use crate::conditions::{Test, row};

/// The policies as a file. Compiling it gives the same policies.
pub fn to_toml(policies: &Policies) -> String {
    policies.iter().map(to_policy).collect::<Vec<_>>().join("\n")
}

/// As [`to_toml`], with a heading, and above each policy what it says.
pub fn commented(heading: &str, policies: &Policies) -> String {
    let mut file = format!("# {heading}\n");
    for policy in policies {
        file += &format!("\n# {}\n{}", sentence::policy(policy), to_policy(policy));
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
        ("type", text(sentence::policy_type(policy).spelled().as_bytes())),
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
    let rule = row(condition);
    let argument = match rule.test {
        Test::Flag(_) => "true".to_owned(),
        Test::Place(Place::Here, ..) => text(b"here"),
        Test::Place(Place::OneOf(ids), ..) => list(ids.iter().map(ToString::to_string)),
        Test::Kinds(kinds, ..) => words(kinds),
        Test::Purposes(purposes, ..) => words(purposes),
        Test::Requirements(requirements, ..) => list(requirements.iter().map(requirement)),
        Test::End(end, ..) => written(end),
    };
    (rule.word, argument)
}

/// A required credential, as an inline table.
fn requirement(required: &Requirement) -> String {
    let Requirement { attribute, issuers, at_least } = required;
    let issuers = list(issuers.iter().map(ToString::to_string));
    format!("{{ attribute = {attribute}, issuers = {issuers}, at-least = {at_least} }}")
}

fn table(header: &str, fields: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut table = format!("{header}\n");
    for (key, value) in fields {
        writeln!(table, "{key} = {value}").expect("writing to a String never fails; qed");
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
