//! Flaws in words: what is wrong with a file, and what its author can do.

use epione_primitives::{
    Moment, Word,
    limits::{MAX_NAMED_CREDENTIALS, MAX_NAMED_HOSPITALS},
};

use super::{
    draft::Draft,
    fields::Objection,
    mistake::{Notes, Spot},
    time,
};
use crate::{
    conditions::{Obstacle, every, row},
    flaws::{Flaw, Flawed, Part},
};

/// Notes a flaw of one of the drafts.
pub(super) fn note(flawed: Flawed, drafts: &[Draft], now: Moment, notes: &mut Notes) {
    let part = flawed.location.map(|location| location.part);
    if flawed.flaw == Flaw::NoPolicies && !notes.is_empty() {
        // There are some, which could not be read.
        return;
    }
    let Objection { problem, advice } = objection(flawed.flaw, part, drafts, now);
    let draft = flawed.location.and_then(|at| Some((drafts.get(at.policy)?, at)));
    let spot = match draft {
        Some((draft, at)) => draft.spot(at.part, at.entry),
        None => Spot { policy: None, field: Some("policy".into()), span: 0..0 },
    };
    notes.wrong(spot, problem, advice);
}

fn objection(flaw: Flaw, part: Option<Part>, drafts: &[Draft], now: Moment) -> Objection {
    match flaw {
        Flaw::NoPolicies => Objection::new("has no policy", "write at least one"),
        Flaw::TooManyHospitals => Objection::new(
            "this and the policies before it name too many hospitals",
            format!("name at most {MAX_NAMED_HOSPITALS} different ones"),
        ),
        Flaw::TooManyCredentials => Objection::new(
            "this and the conditions before it require too many credentials",
            format!(
                "require at most {MAX_NAMED_CREDENTIALS} different ones, each an attribute with \
                 one issuer"
            ),
        ),
        Flaw::NotUtf8 => Objection::new("is not UTF-8", "save the file as UTF-8"),
        Flaw::BlankText => Objection::new("is empty", "write a text"),
        Flaw::ControlCharacter => {
            Objection::new("has a line break or another control character", "write it on one line")
        }
        Flaw::DuplicateName(earlier) => {
            let number = drafts.get(earlier).map_or(earlier + 1, |draft| draft.number);
            Objection::new(format!("policy {number} has this name already"), "choose another")
        }
        Flaw::EmptyList => Objection::new("is an empty list", "name at least one, or leave it out"),
        Flaw::Repeated => Objection::new("has the same entry twice", "keep one of them"),
        Flaw::RepeatedCondition => Objection::new("is written twice", "keep one of them"),
        Flaw::Passed => Objection::new(
            format!("has passed: the time is {} now", time::written(now)),
            "choose a later time, or leave it out",
        ),
        Flaw::NoEarlierEnd => Objection::new(
            "has no effect: the policy ends earlier or at the same time, by its field until",
            "leave it out, or choose a time before until",
        ),
        Flaw::NotInRelationships => Objection::new(
            format!("is not for relationship policies: only {} are", in_relationships()),
            "move it to the policies of type \"operation\" that require the relationship",
        ),
        Flaw::NeverRelated if part == Some(Part::Roles) => Objection::new(
            "has neither \"doctor\" nor \"nurse\" nor \"pharmacist\" nor \"allied-professional\", and \
             only they are related to patients",
            "name the professional's role",
        ),
        Flaw::NeverRelated => never(
            "only doctors, nurses, pharmacists and allied professionals are related to patients",
        ),
        Flaw::PatientNotBound => never("none of the roles is \"patient\""),
        Flaw::RelatedToThemselves => Objection::new(
            "contradicts requester-is-patient: a patient has no relationship with themselves",
            "keep one of the two, or write two policies",
        ),
        Flaw::NeverRecognised(kind) => {
            let kind = kind.spelled();
            Objection::new(
                format!(
                    "can never be true: no relationship policy of this file recognizes \"{kind}\" \
                     for these roles and hospitals"
                ),
                format!(
                    "add one (type = \"relationship\", relations = [\"{kind}\"]), or leave it out"
                ),
            )
        }
        Flaw::NothingRead => Objection::new(
            "can never be true: the policy allows no action that reads, and only these have a \
             purpose",
            "leave it out, or allow reading in another policy",
        ),
        Flaw::NeverForAction(action, obstacle) => {
            let action = action.spelled();
            Objection::new(
                format!("can never be true for \"{action}\": {}", reason(obstacle)),
                format!("leave it out, or allow \"{action}\" in another policy"),
            )
        }
        Flaw::NoIssuer => Objection::new(
            "names no issuer",
            "name the hospitals whose confirmation counts: issuers = [0]",
        ),
        Flaw::RepeatedIssuer => {
            Objection::new("names an issuer twice", "name each hospital once in issuers")
        }
        Flaw::ImpossibleNumber => Objection::new(
            "requires no issuer, or more issuers than it names",
            "write at-least = 1, or a number up to the number of issuers",
        ),
    }
}

fn never(why: &str) -> Objection {
    let advice = "correct the roles, or leave the condition out";
    Objection::new(format!("can never be true: {why}"), advice)
}

fn reason(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::NotSubmitted => "a patient signs only records that are submitted",
        Obstacle::NoSection => "this action does not concern a section of a record",
        Obstacle::NotEmergency => "this action always has the purpose \"emergency\"",
        Obstacle::NotTreatment => "this action always has the purpose \"treatment\"",
    }
}

/// The conditions that relationship policies may have.
fn in_relationships() -> String {
    let kinds = every();
    let allowed = kinds.iter().map(row).filter(|row| row.in_relationships);
    allowed.map(|row| row.word).collect::<Vec<_>>().join(", ")
}
