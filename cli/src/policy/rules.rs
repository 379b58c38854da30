//! What the fields of a file demand of each other: policies that contradict themselves, or that can
//! never do anything, are mistakes.

use std::collections::{BTreeMap, BTreeSet};

use epione_primitives::{
    HospitalId,
    access::{Action, Condition, Place, Purpose, RelationshipKind},
    limits::MAX_NAMED_HOSPITALS,
    profile::Role,
};
use toml::Spanned;

use super::{
    draft::{
        BEFORE, Clause, Draft, PATIENT_REGISTERED, RELATED, REQUESTER_IS_PATIENT,
        REQUESTER_REGISTERED,
    },
    fields::List,
    mistake::{Notes, Span, Spot},
    words::{PolicyType, Word},
};

/// What a relationship policy may ask.
const OF_RELATIONSHIPS: [&str; 3] = [REQUESTER_REGISTERED, PATIENT_REGISTERED, BEFORE];

/// Notes every contradiction in a file.
pub(super) fn check(drafts: &[Draft], notes: &mut Notes) {
    check_names(drafts, notes);
    for draft in drafts {
        match draft.kind.as_ref().map(Spanned::get_ref) {
            Some(PolicyType::Operation) => check_operation(draft, notes),
            Some(PolicyType::Relationship) => check_relationship(draft, notes),
            None => {}
        }
        check_ends(draft, notes);
    }
    check_hospitals(drafts, notes);
    check_recognition(drafts, notes);
}

/// Receipts name policies, so a name says which.
fn check_names(drafts: &[Draft], notes: &mut Notes) {
    let mut first = BTreeMap::new();
    for (number, draft) in (1..).zip(drafts) {
        let Some(name) = &draft.name else { continue };
        if let Some(earlier) = first.get(name.get_ref()) {
            let problem = format!("policy {earlier} has this name already");
            notes.wrong(draft.spot("name", name.span()), problem, "choose another");
        } else {
            first.insert(name.get_ref(), number);
        }
    }
}

/// A decision looks up the requester's registration at each hospital that is named.
fn check_hospitals(drafts: &[Draft], notes: &mut Notes) {
    let mut named: BTreeSet<HospitalId> = BTreeSet::new();
    for draft in drafts {
        let applied = draft.hospitals.iter().flat_map(List::values);
        let asked = draft.clause(REQUESTER_REGISTERED).map(|clause| &clause.condition);
        let places: &[HospitalId] = match asked {
            Some(Condition::RequesterRegistered(Place::OneOf(places))) => places,
            _ => &[],
        };
        named.extend(applied.chain(places));
        if named.len() > MAX_NAMED_HOSPITALS as usize {
            let advice = format!("name at most {MAX_NAMED_HOSPITALS} different ones");
            let problem = "this and the policies before it name too many hospitals";
            return notes.wrong(draft.spot("hospitals", draft.span.clone()), problem, advice);
        }
    }
}

fn check_operation(draft: &Draft, notes: &mut Notes) {
    if let Some(relations) = &draft.relations {
        notes.wrong(
            draft.spot("relations", relations.span.clone()),
            "does not belong to an operation",
            "leave it out, and say in [policy.when] which relationships it needs: related = [...]",
        );
    }
    let Some(actions) = &draft.actions else {
        let advice = "say what it allows: actions = [\"read-text\"]";
        return notes.lacking(draft.spot("actions", draft.span.clone()), advice);
    };
    check_requester(draft, notes);
    check_actions(draft, actions, notes);
}

/// Whether the requester can be who the conditions want.
fn check_requester(draft: &Draft, notes: &mut Notes) {
    let Some(own) = draft.clause(REQUESTER_IS_PATIENT) else {
        if let Some(related) = draft.clause(RELATED)
            && binds_none(draft, is_professional)
        {
            never(draft, related, "only doctors and nurses are related to patients", notes);
        }
        return;
    };
    if binds_none(draft, |role| role == Role::Patient) {
        never(draft, own, "none of the roles is \"patient\"", notes);
    }
    if let Some(related) = draft.clause(RELATED) {
        notes.wrong(
            spot(draft, related),
            format!("contradicts {REQUESTER_IS_PATIENT}: nobody is related to themselves"),
            "keep one of the two, or write two policies",
        );
    }
}

/// Whether each action can be asked for as the conditions want.
fn check_actions(draft: &Draft, actions: &List<Action>, notes: &mut Notes) {
    let nothing_read = actions.complete && !actions.values().any(|action| reads(*action));
    for clause in &draft.clauses {
        let hindrance = |action: &Action| {
            let why = match clause.condition {
                Condition::Purpose(_) if nothing_read => {
                    Some("nothing is read, and only readers state a purpose")
                }
                _ => hindrance(*action, &clause.condition),
            };
            why.map(|why| (*action, why))
        };
        if let Some((action, why)) = actions.values().find_map(hindrance) {
            let action = action.spelled();
            notes.wrong(
                spot(draft, clause),
                format!("can never hold for \"{action}\": {why}"),
                format!("leave it out, or allow \"{action}\" in another policy"),
            );
        }
    }
}

/// Why an action never fulfils a condition.
fn hindrance(action: Action, condition: &Condition) -> Option<&'static str> {
    match condition {
        Condition::PatientCosigned if action != Action::Submit => {
            Some("patients sign only what is submitted")
        }
        Condition::SectionShared if !reads(action) && action != Action::Submit => {
            Some("it touches no section of a record")
        }
        Condition::Purpose(purposes)
            if action == Action::BreakGlass && !purposes.contains(&Purpose::Emergency) =>
        {
            Some("the glass is broken for purpose \"emergency\" only")
        }
        Condition::Purpose(purposes)
            if !reads(action) && !purposes.contains(&Purpose::Treatment) =>
        {
            Some("its purpose is always \"treatment\"")
        }
        _ => None,
    }
}

fn reads(action: Action) -> bool {
    matches!(action, Action::ReadText | Action::ReadMedia | Action::BreakGlass)
}

fn check_relationship(draft: &Draft, notes: &mut Notes) {
    if let Some(actions) = &draft.actions {
        notes.wrong(
            draft.spot("actions", actions.span.clone()),
            "does not belong to a relationship",
            "leave it out, and allow the actions in a policy of type \"operation\"",
        );
    }
    if draft.relations.is_none() {
        let advice = "say which relationships count: relations = [\"family-doctor\"]";
        notes.lacking(draft.spot("relations", draft.span.clone()), advice);
    }
    if let Some(roles) = &draft.roles
        && binds_none(draft, is_professional)
    {
        notes.wrong(
            draft.spot("roles", roles.span.clone()),
            "has neither \"doctor\" nor \"nurse\", and only they are related to patients",
            "name the professional's role",
        );
    }
    for clause in &draft.clauses {
        if !OF_RELATIONSHIPS.contains(&clause.key) {
            let known = OF_RELATIONSHIPS.join(", ");
            notes.wrong(
                spot(draft, clause),
                format!("cannot be asked of a relationship, only {known} can"),
                "move it to the policies of type \"operation\" that ask for the relationship",
            );
        }
    }
}

fn check_ends(draft: &Draft, notes: &mut Notes) {
    let (Some(until), Some(before)) = (&draft.until, draft.clause(BEFORE)) else { return };
    if matches!(before.condition, Condition::Before(end) if end >= *until.get_ref()) {
        notes.wrong(
            spot(draft, before),
            "says nothing: the policy ends no later by itself, by its field until",
            "leave it out, or make it the earlier of the two",
        );
    }
}

/// Each relationship that is asked for must count for somebody whom the asking policy binds.
fn check_recognition(drafts: &[Draft], notes: &mut Notes) {
    if drafts.iter().any(|draft| draft.kind.is_none() || !is_legible(draft)) {
        // Whatever recognises the relationship may be among what could not be read.
        return;
    }
    let is_operation =
        |draft: &&Draft| draft.kind.as_ref().map(Spanned::get_ref) == Some(&PolicyType::Operation);
    for draft in drafts.iter().filter(is_operation) {
        let Some(Clause { condition: Condition::Related(kinds), entries, .. }) =
            draft.clause(RELATED)
        else {
            continue;
        };
        for (kind, span) in kinds.iter().zip(entries) {
            if !drafts.iter().any(|other| recognises(other, *kind, draft)) {
                note_unrecognised(draft, *kind, span.clone(), notes);
            }
        }
    }
}

fn is_legible(draft: &Draft) -> bool {
    let lists = [
        draft.roles.as_ref().map(|list| list.complete),
        draft.relations.as_ref().map(|list| list.complete),
        draft.hospitals.as_ref().map(|list| list.complete),
    ];
    !lists.contains(&Some(false))
}

fn recognises(other: &Draft, kind: RelationshipKind, asking: &Draft) -> bool {
    let is_relationship =
        other.kind.as_ref().is_some_and(|kind| *kind.get_ref() == PolicyType::Relationship);
    is_relationship
        && other.relations.as_ref().is_some_and(|list| list.values().any(|one| *one == kind))
        && professionals(other).any(|role| professionals(asking).any(|asked| asked == role))
        && match (&other.hospitals, &asking.hospitals) {
            (Some(one), Some(two)) => one.values().any(|id| two.values().any(|known| known == id)),
            // One of them applies everywhere.
            _ => true,
        }
}

/// Those of the bound roles who can be related to patients.
fn professionals(draft: &Draft) -> impl Iterator<Item = Role> {
    let roles = draft.roles.iter().flat_map(List::values);
    roles.copied().filter(|role| is_professional(*role))
}

fn note_unrecognised(draft: &Draft, kind: RelationshipKind, span: Span, notes: &mut Notes) {
    let kind = kind.spelled();
    notes.wrong(
        draft.spot(format!("when.{RELATED}"), span),
        format!(
            "can never hold: no relationship policy of this file recognises \"{kind}\" for these \
             roles and hospitals"
        ),
        format!("add one (type = \"relationship\", relations = [\"{kind}\"]), or leave it out"),
    );
}

fn never(draft: &Draft, clause: &Clause, why: &str, notes: &mut Notes) {
    let advice = "correct the roles, or leave the condition out";
    notes.wrong(spot(draft, clause), format!("can never hold: {why}"), advice);
}

fn spot(draft: &Draft, clause: &Clause) -> Spot {
    draft.spot(format!("when.{}", clause.key), clause.span.clone())
}

/// Whether the roles are known, and none is of the sort.
fn binds_none(draft: &Draft, sort: impl Fn(Role) -> bool) -> bool {
    draft.roles.as_ref().is_some_and(|roles| roles.complete && !roles.values().any(|r| sort(*r)))
}

fn is_professional(role: Role) -> bool {
    matches!(role, Role::Doctor | Role::Nurse)
}
