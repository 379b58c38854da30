//! From the tables of a file to policies, each part with its place in the file.

use epione_primitives::{
    HospitalId, Moment,
    access::{Action, Conclusion, Condition, Place, Policy, RelationshipKind},
    limits::{MAX_NAME_BYTES, MAX_POLICIES, MAX_SUMMARY_BYTES},
    profile::Role,
};
use sp_core::{ConstU32, bounded::BoundedVec};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    PolicyType,
    fields::{Fields, List, Objection, hospital, kind, requirement, shown, word},
    mistake::{Notes, Span, Spot},
};
use crate::{
    conditions::{Test, every, row},
    flaws::{KnownConclusion, Part, PartialPolicy},
};

const FIELDS: [&str; 9] =
    ["name", "summary", "type", "hospitals", "roles", "relations", "actions", "until", "when"];

/// A policy as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    /// In the file, from 1.
    pub number: usize,
    /// Number and name, as mistakes print them.
    label: String,
    span: Span,
    name: Option<Spanned<String>>,
    summary: Option<Spanned<String>>,
    kind: Option<PolicyType>,
    hospitals: Option<List<HospitalId>>,
    roles: List<Role>,
    relations: List<RelationshipKind>,
    actions: List<Action>,
    until: Option<Spanned<Moment>>,
    /// In the order of the file.
    conditions: Vec<Condition>,
    /// Of each condition.
    places: Vec<ConditionPlace>,
}

/// Where a condition is.
#[derive(Debug)]
struct ConditionPlace {
    word: &'static str,
    span: Span,
    /// Of the entries of its list, if it has one.
    entries: Vec<Span>,
}

/// Reads every policy of a file.
pub(super) fn read(root: &DeTable<'_>, notes: &mut Notes) -> Vec<Draft> {
    for key in root.keys().filter(|key| key.get_ref() != "policy") {
        let field = Some(shown(key.get_ref()));
        let spot = Spot { policy: None, field, span: key.span() };
        notes.wrong(spot, "is not known", "begin each policy with a line [[policy]]");
    }
    let spot = |span| Spot { policy: None, field: Some("policy".into()), span };
    let Some((key, value)) = root.get_key_value("policy") else {
        notes.missing(spot(0..0), "begin each policy with a line [[policy]]");
        return Vec::new();
    };
    let Some(entries) = value.get_ref().as_array() else {
        let problem = format!("is {}, not a list of policies", kind(value.get_ref()));
        notes.wrong(spot(key.span()), problem, "write [[policy]], with two brackets on each side");
        return Vec::new();
    };
    if let Some(surplus) = entries.get(MAX_POLICIES as usize) {
        let problem = format!("occurs {} times", entries.len());
        let advice = format!("a hospital has at most {MAX_POLICIES} policies: merge some");
        notes.wrong(spot(surplus.span()), problem, advice);
    }
    let numbered = (1..).zip(entries.iter());
    numbered.filter_map(|(number, entry)| Draft::read(number, entry, notes)).collect()
}

impl Draft {
    fn read(number: usize, entry: &Spanned<DeValue<'_>>, notes: &mut Notes) -> Option<Self> {
        let span = entry.span();
        let Some(table) = entry.get_ref().as_table() else {
            let field = Some("policy".into());
            let spot = Spot { policy: Some(number.to_string()), field, span };
            let problem = format!("is {}, not a policy", kind(entry.get_ref()));
            notes.wrong(spot, problem, "begin each policy with a line [[policy]]");
            return None;
        };
        let label = match table.get("name").and_then(|name| name.get_ref().as_str()) {
            Some(name) if !name.trim().is_empty() => format!("{number} \"{}\"", shown(name)),
            _ => number.to_string(),
        };
        let fields = Fields::of_policy(table, span.clone(), &label);
        fields.only(&FIELDS, notes);
        note_missing(&fields, notes);
        let kind = fields.read("type", notes, word).map(Spanned::into_inner);
        note_misplaced(&fields, kind, notes);
        let (conditions, places) = conditions(&fields, notes);
        Some(Self {
            name: fields.text("name", MAX_NAME_BYTES, notes),
            summary: fields.text("summary", MAX_SUMMARY_BYTES, notes),
            kind,
            hospitals: fields.list("hospitals", notes, hospital),
            roles: fields.list("roles", notes, word).unwrap_or_default(),
            relations: fields.list("relations", notes, word).unwrap_or_default(),
            actions: fields.list("actions", notes, word).unwrap_or_default(),
            until: fields.moment("until", notes),
            conditions,
            places,
            span,
            label,
            number,
        })
    }

    /// What is known of it.
    pub fn partial(&self) -> PartialPolicy<'_> {
        PartialPolicy {
            name: self.name.as_ref().map(|name| name.get_ref().as_bytes()),
            summary: self.summary.as_ref().map(|summary| summary.get_ref().as_bytes()),
            hospitals: self.hospitals.as_ref().map(List::known),
            roles: self.roles.known(),
            conclusion: self.kind.map(|kind| match kind {
                PolicyType::Operation => KnownConclusion::Allows(self.actions.known()),
                PolicyType::Relationship => KnownConclusion::Recognises(self.relations.known()),
            }),
            conditions: &self.conditions,
            expires: self.until.as_ref().map(|until| *until.get_ref()),
        }
    }

    /// Where a part is.
    pub fn spot(&self, part: Part, entry: Option<usize>) -> Spot {
        let (field, span, entries) = match part {
            Part::Name => ("name", self.name.as_ref().map(Spanned::span), &[][..]),
            Part::Summary => ("summary", self.summary.as_ref().map(Spanned::span), &[][..]),
            Part::Hospitals => {
                let list = self.hospitals.as_ref();
                let entries = list.map(|list| &list.spans[..]).unwrap_or_default();
                ("hospitals", list.and_then(|list| list.span.clone()), entries)
            }
            Part::Roles => ("roles", self.roles.span.clone(), &self.roles.spans[..]),
            Part::Conclusion if self.kind == Some(PolicyType::Relationship) => {
                ("relations", self.relations.span.clone(), &self.relations.spans[..])
            }
            Part::Conclusion => ("actions", self.actions.span.clone(), &self.actions.spans[..]),
            Part::Expiry => ("until", self.until.as_ref().map(Spanned::span), &[][..]),
            Part::Condition(position) => {
                let place = self.places.get(position);
                let entries = place.map(|place| &place.entries[..]).unwrap_or_default();
                let span = place.map(|place| place.span.clone());
                (place.map_or("", |place| place.word), span, entries)
            }
        };
        let entry = entry.and_then(|entry| entries.get(entry).cloned());
        let prefix = if matches!(part, Part::Condition(_)) { "when." } else { "" };
        Spot {
            policy: Some(self.label.clone()),
            field: Some(format!("{prefix}{field}")),
            span: entry.or(span).unwrap_or_else(|| self.span.clone()),
        }
    }

    /// What the chain stores. None if a part is missing, which is a mistake.
    pub fn policy(self) -> Option<Policy> {
        let conclusion = match self.kind? {
            PolicyType::Operation => Conclusion::Allows(self.actions.bounded()),
            PolicyType::Relationship => Conclusion::Recognises(self.relations.bounded()),
        };
        Some(Policy {
            name: text(self.name?),
            summary: text(self.summary?),
            hospitals: self.hospitals.as_ref().map(List::bounded).unwrap_or_default(),
            roles: self.roles.bounded(),
            conditions: BoundedVec::truncate_from(self.conditions),
            conclusion,
            expires: self.until.map(Spanned::into_inner),
        })
    }
}

/// As the chain stores it. Longer texts are mistakes already.
fn text<const MAX: u32>(text: Spanned<String>) -> BoundedVec<u8, ConstU32<MAX>> {
    BoundedVec::truncate_from(text.into_inner().into_bytes())
}

fn note_missing(fields: &Fields<'_>, notes: &mut Notes) {
    for (key, advice) in [
        ("name", "name the policy: name = \"...\""),
        ("summary", "describe the policy in one sentence: summary = \"...\""),
        (
            "type",
            "write type = \"operation\" (it allows actions) or type = \"relationship\" (it \
             recognizes relationships)",
        ),
        ("roles", "name the roles to which the policy applies: roles = [\"doctor\"]"),
    ] {
        if !fields.has(key) {
            fields.missing(key, advice, notes);
        }
    }
}

/// Notes the conclusion of the other type, and that the conclusion of this type is missing.
fn note_misplaced(fields: &Fields<'_>, kind: Option<PolicyType>, notes: &mut Notes) {
    let (needed, example, misplaced, advice) = match kind {
        Some(PolicyType::Operation) => (
            "actions",
            "name the actions that the policy allows: actions = [\"read-text\"]",
            "relations",
            "leave it out, and name the required relationships in [policy.when]: related = [...]",
        ),
        Some(PolicyType::Relationship) => (
            "relations",
            "name the relationships that the policy recognizes: relations = [\"family-doctor\"]",
            "actions",
            "leave it out, and allow the actions in a policy of type \"operation\"",
        ),
        None => return,
    };
    if !fields.has(needed) {
        fields.missing(needed, example, notes);
    }
    if let Some(spot) = fields.spot_of(misplaced) {
        let problem = match kind {
            Some(PolicyType::Operation) => "does not belong to an operation",
            _ => "does not belong to a relationship",
        };
        notes.wrong(spot, problem, advice);
    }
}

/// The conditions of a policy in the order of the file, as far as they could be read.
fn conditions(policy: &Fields<'_>, notes: &mut Notes) -> (Vec<Condition>, Vec<ConditionPlace>) {
    let Some(fields) = policy.within("when", "when.", notes) else {
        return (Vec::new(), Vec::new());
    };
    let kinds = every();
    fields.only(&kinds.each_ref().map(|kind| row(kind).word), notes);
    let mut read: Vec<_> =
        kinds.iter().filter_map(|kind| read_condition(&fields, kind, notes)).collect();
    read.sort_by_key(|(_, place)| place.span.start);
    read.into_iter().unzip()
}

/// Reads a condition of this kind, if the policy has one.
fn read_condition(
    fields: &Fields<'_>,
    kind: &Condition,
    notes: &mut Notes,
) -> Option<(Condition, ConditionPlace)> {
    let rule = row(kind);
    let key = rule.word;
    let at = |span: Span, entries: &[Span]| ConditionPlace {
        word: key,
        span,
        entries: entries.to_vec(),
    };
    Some(match rule.test {
        Test::Flag(_) => (kind.clone(), at(fields.is_set(key, notes)?.span(), &[])),
        Test::Place(_, condition, _) => {
            let (span, entries, place) = place(fields, key, notes)?;
            (condition(place), at(span, &entries))
        }
        Test::Kinds(_, condition, _) => {
            let kinds = fields.list(key, notes, word)?.legible()?;
            (condition(kinds.bounded()), at(kinds.span?, &kinds.spans))
        }
        Test::Purposes(_, condition, _) => {
            let purposes = fields.list(key, notes, word)?.legible()?;
            (condition(purposes.bounded()), at(purposes.span?, &purposes.spans))
        }
        Test::Requirements(_, condition, _) => {
            let required = fields.list(key, notes, requirement)?.legible()?;
            (condition(required.bounded()), at(required.span?, &required.spans))
        }
        Test::End(_, condition, _) => {
            let end = fields.moment(key, notes)?;
            (condition(*end.get_ref()), at(end.span(), &[]))
        }
    })
}

/// `"here"`, or a list of hospitals.
fn place(fields: &Fields<'_>, key: &str, notes: &mut Notes) -> Option<(Span, Vec<Span>, Place)> {
    let here = fields.read(key, notes, |value| {
        let problem = match value {
            DeValue::String(text) if text == "here" => return Ok(true),
            DeValue::Array(_) => return Ok(false),
            DeValue::String(text) => format!("\"{}\" is not a place", shown(text)),
            other => format!("is {}, not a place", kind(other)),
        };
        let advice = "write \"here\", or the numbers of hospitals in brackets: [1, 2]";
        Err(Objection::new(problem, advice))
    })?;
    if *here.get_ref() {
        return Some((here.span(), Vec::new(), Place::Here));
    }
    let hospitals = fields.list(key, notes, hospital)?.legible()?;
    let place = Place::OneOf(hospitals.bounded());
    Some((hospitals.span?, hospitals.spans, place))
}
