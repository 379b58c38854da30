//! From fields to policies whose every part knows where it stands.

use epione_primitives::{
    HospitalId, Moment,
    access::{Action, Conclusion, Condition, Place, Policy, Purpose, RelationshipKind},
    limits::{MAX_NAME_BYTES, MAX_POLICIES, MAX_SUMMARY_BYTES},
    profile::Role,
};
use sp_core::bounded::BoundedVec;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fields::{Fields, List, Objection, Text, hospital, kind, shown, word},
    mistake::{Notes, Span, Spot},
    words::PolicyType,
};

const FIELDS: [&str; 9] =
    ["name", "summary", "type", "hospitals", "roles", "relations", "actions", "until", "when"];

pub(super) const REQUESTER_IS_PATIENT: &str = "requester-is-patient";
pub(super) const REQUESTER_REGISTERED: &str = "requester-registered";
pub(super) const PATIENT_REGISTERED: &str = "patient-registered";
pub(super) const RELATED: &str = "related";
pub(super) const BEFORE: &str = "before";
pub(super) const SECTION_SHARED: &str = "section-shared";
pub(super) const PURPOSE: &str = "purpose";
pub(super) const PATIENT_COSIGNED: &str = "patient-cosigned";

const CONDITIONS: [&str; 8] = [
    REQUESTER_IS_PATIENT,
    REQUESTER_REGISTERED,
    PATIENT_REGISTERED,
    RELATED,
    BEFORE,
    SECTION_SHARED,
    PURPOSE,
    PATIENT_COSIGNED,
];

/// A policy as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    /// Its number in the file, from 1, and its name, as mistakes say them.
    label: String,
    pub span: Span,
    pub name: Option<Spanned<Text<MAX_NAME_BYTES>>>,
    summary: Option<Spanned<Text<MAX_SUMMARY_BYTES>>>,
    pub kind: Option<Spanned<PolicyType>>,
    pub hospitals: Option<List<HospitalId>>,
    pub roles: Option<List<Role>>,
    pub relations: Option<List<RelationshipKind>>,
    pub actions: Option<List<Action>>,
    pub until: Option<Spanned<Moment>>,
    /// In the order of the file.
    pub clauses: Vec<Clause>,
}

/// A condition, and where it stands.
#[derive(Debug)]
pub(super) struct Clause {
    pub key: &'static str,
    pub span: Span,
    pub condition: Condition,
    /// Where the entries of its list stand, if it has one.
    pub entries: Vec<Span>,
}

/// Reads every policy of a file.
pub(super) fn read(root: &DeTable<'_>, now: Moment, notes: &mut Notes) -> Vec<Draft> {
    for key in root.keys().filter(|key| key.get_ref() != "policy") {
        let field = Some(shown(key.get_ref()));
        let spot = Spot { policy: None, field, span: key.span() };
        notes.wrong(spot, "is not known", "begin each policy with a line [[policy]]");
    }
    let spot = |span| Spot { policy: None, field: Some("policy".into()), span };
    let Some((key, value)) = root.get_key_value("policy") else {
        notes.lacking(spot(0..0), "begin each policy with a line [[policy]]");
        return Vec::new();
    };
    let Some(entries) = value.get_ref().as_array() else {
        let problem = format!("is {}, not a list of policies", kind(value.get_ref()));
        notes.wrong(spot(key.span()), problem, "write [[policy]], with two brackets on each side");
        return Vec::new();
    };
    if entries.is_empty() {
        notes.wrong(spot(key.span()), "has no policy", "write at least one");
    }
    if let Some(surplus) = entries.get(MAX_POLICIES as usize) {
        let problem = format!("is there {} times", entries.len());
        let advice = format!("a hospital has at most {MAX_POLICIES} policies: unite some");
        notes.wrong(spot(surplus.span()), problem, advice);
    }
    let numbered = (1..).zip(entries.iter());
    numbered.filter_map(|(number, entry)| Draft::read(number, entry, now, notes)).collect()
}

impl Draft {
    fn read(
        number: usize,
        entry: &Spanned<DeValue<'_>>,
        now: Moment,
        notes: &mut Notes,
    ) -> Option<Self> {
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
        note_lacking(&fields, notes);
        Some(Self {
            name: fields.text("name", notes),
            summary: fields.text("summary", notes),
            kind: fields.word("type", notes),
            hospitals: fields.list("hospitals", notes, hospital),
            roles: fields.list("roles", notes, word),
            relations: fields.list("relations", notes, word),
            actions: fields.list("actions", notes, word),
            until: fields.moment("until", now, notes),
            clauses: clauses(&fields, now, notes),
            span,
            label,
        })
    }

    /// Where something of this policy stands.
    pub fn spot(&self, field: impl Into<String>, span: Span) -> Spot {
        Spot { policy: Some(self.label.clone()), field: Some(field.into()), span }
    }

    pub fn clause(&self, key: &str) -> Option<&Clause> {
        self.clauses.iter().find(|clause| clause.key == key)
    }

    /// What the chain stores. Whoever lacks a part has a mistake.
    pub fn policy(self) -> Option<Policy> {
        let conclusion = match self.kind?.into_inner() {
            PolicyType::Operation => Conclusion::Allows(self.actions?.bounded()),
            PolicyType::Relationship => Conclusion::Recognises(self.relations?.bounded()),
        };
        Some(Policy {
            name: self.name?.into_inner(),
            summary: self.summary?.into_inner(),
            hospitals: self.hospitals.map(|hospitals| hospitals.bounded()).unwrap_or_default(),
            roles: self.roles?.bounded(),
            conditions: BoundedVec::truncate_from(
                self.clauses.into_iter().map(|clause| clause.condition).collect(),
            ),
            conclusion,
            expires: self.until.map(Spanned::into_inner),
        })
    }
}

fn note_lacking(fields: &Fields<'_>, notes: &mut Notes) {
    for (key, advice) in [
        ("name", "name the policy: name = \"...\""),
        ("summary", "say in a sentence what it is for: summary = \"...\""),
        (
            "type",
            "write type = \"operation\" (who may do what) or type = \"relationship\" (whose relationships count)",
        ),
        ("roles", "name the roles that it binds: roles = [\"doctor\"]"),
    ] {
        if !fields.has(key) {
            fields.lacking(key, advice, notes);
        }
    }
}

/// The conditions of a policy, in the order of the file.
fn clauses(policy: &Fields<'_>, now: Moment, notes: &mut Notes) -> Vec<Clause> {
    let Some(fields) = policy.within("when", "when.", notes) else { return Vec::new() };
    fields.only(&CONDITIONS, notes);
    let mut clauses: Vec<_> =
        CONDITIONS.iter().filter_map(|key| clause(&fields, key, now, notes)).collect();
    clauses.sort_by_key(|clause| clause.span.start);
    clauses
}

fn clause(
    fields: &Fields<'_>,
    key: &'static str,
    now: Moment,
    notes: &mut Notes,
) -> Option<Clause> {
    let (span, condition, entries) = match key {
        RELATED => {
            let kinds = fields.list(key, notes, word)?;
            (kinds.span.clone(), Condition::Related(kinds.bounded()), places(&kinds))
        }
        PURPOSE => {
            let purposes = fields.list::<Purpose>(key, notes, word)?;
            (purposes.span.clone(), Condition::Purpose(purposes.bounded()), places(&purposes))
        }
        REQUESTER_REGISTERED => {
            let (span, place) = place(fields, key, notes)?;
            (span, Condition::RequesterRegistered(place), Vec::new())
        }
        BEFORE => {
            let end = fields.moment(key, now, notes)?;
            (end.span(), Condition::Before(end.into_inner()), Vec::new())
        }
        _ => {
            let condition = match key {
                REQUESTER_IS_PATIENT => Condition::RequesterIsPatient,
                PATIENT_REGISTERED => Condition::PatientRegistered,
                SECTION_SHARED => Condition::SectionShared,
                PATIENT_COSIGNED => Condition::PatientCosigned,
                _ => return None,
            };
            (fields.is_set(key, notes)?.span(), condition, Vec::new())
        }
    };
    Some(Clause { key, span, condition, entries })
}

/// `"here"`, or a list of hospitals.
fn place(fields: &Fields<'_>, key: &str, notes: &mut Notes) -> Option<(Span, Place)> {
    let here = fields.read(key, notes, |value| {
        let problem = match value {
            DeValue::String(text) if text == "here" => return Ok(true),
            DeValue::Array(_) => return Ok(false),
            DeValue::String(text) => format!("\"{}\" is no place", shown(text)),
            other => format!("is {}, not a place", kind(other)),
        };
        let advice = "write \"here\", or the numbers of hospitals in brackets: [1, 2]";
        Err(Objection::new(problem, advice))
    })?;
    if *here.get_ref() {
        return Some((here.span(), Place::Here));
    }
    let hospitals = fields.list(key, notes, hospital)?;
    Some((hospitals.span.clone(), Place::OneOf(hospitals.bounded())))
}

fn places<T>(list: &List<T>) -> Vec<Span> {
    list.items.iter().map(Spanned::span).collect()
}
