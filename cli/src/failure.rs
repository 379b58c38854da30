//! What a command tells its user when it fails: what happened, and what to do.

use std::{
    fmt, io,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use epione_client::{
    api::Problem,
    chain::{ChainError, SubmitError},
    reader::ReadError,
    verify::VerifyError,
    visit::VisitError,
    worker::WorkerError,
};
use epione_envelope::{frames::NoFrame, keystore::KeystoreError};
use epione_primitives::{
    Moment,
    access::{Condition, Denial, Place},
};
use serde::Serialize;

use crate::{
    devnet::DevnetError,
    invocation::Invocation,
    policy::{Mistake, Mistakes, gloss},
};

/// Exit status of a command whose arguments make no sense, as clap uses it.
pub const USAGE: u8 = 2;
/// Exit status of a command that failed.
pub const FAILED: u8 = 1;

/// A command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What happened.
    pub error: String,
    /// What to do.
    pub help: String,
    /// Commands that do it, or look closer: complete, to be run as they are printed.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub commands: Box<[String]>,
    /// Why a hospital's policies refuse, if that is what happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<Denial>,
    /// What is wrong with a policy file, if that is what happened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<Mistake>,
    #[serde(skip)]
    status: u8,
}

impl Failure {
    pub fn new(error: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            help: help.into(),
            commands: Box::default(),
            denial: None,
            mistakes: Vec::new(),
            status: FAILED,
        }
    }

    /// Arguments that contradict each other, or lack something.
    pub fn usage(error: impl Into<String>, help: impl Into<String>) -> Self {
        Self { status: USAGE, ..Self::new(error, help) }
    }

    /// Adds a command that helps.
    #[must_use]
    pub fn with_command(mut self, command: Invocation) -> Self {
        let mut commands = std::mem::take(&mut self.commands).into_vec();
        commands.push(command.to_string());
        Self { commands: commands.into(), ..self }
    }

    pub fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(
            format!("{}: {error}", path.display()),
            "check the path, its permissions and the free space",
        )
    }

    pub fn status(&self) -> u8 {
        self.status
    }

    /// As it goes to standard error.
    pub fn render(&self, json: bool) -> String {
        if json {
            return serde_json::to_string(self).expect("strings and plain enums are JSON; qed");
        }
        self.to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.error)?;
        for reason in self.denial.iter().flat_map(reasons) {
            write!(f, "\n  {reason}")?;
        }
        for mistake in &self.mistakes {
            write!(f, "\n  {mistake}")?;
        }
        write!(f, "\nhelp: {}", self.help)?;
        self.commands.iter().try_for_each(|command| write!(f, "\n  {command}"))
    }
}

impl std::error::Error for Failure {}

/// A denial in words, one line for each policy that might have allowed.
pub fn reasons(denial: &Denial) -> Vec<String> {
    match denial {
        Denial::UnknownHospital => vec!["the chain knows no such hospital".into()],
        Denial::UnknownRequester => vec!["the chain knows no such requester".into()],
        Denial::UnknownPatient => vec!["the chain knows no such patient".into()],
        Denial::NoPolicy { role, action } => {
            vec![format!("no policy lets a {} {}", word(role), word(action))]
        }
        Denial::Failed(policies) => policies
            .iter()
            .map(|failed| {
                let conditions: Vec<_> = failed.conditions.iter().map(unmet).collect();
                let name = legible(&failed.policy);
                format!("policy \"{name}\" does not hold: {}", conditions.join("; "))
            })
            .collect(),
    }
}

/// What a condition that does not hold says about the case.
pub fn unmet(condition: &Condition) -> String {
    match condition {
        Condition::RequesterIsPatient => "the requester is not the patient".into(),
        Condition::RequesterRegistered(Place::Here) => {
            "the requester is not registered at the hospital, or suspended there".into()
        }
        Condition::RequesterRegistered(Place::OneOf(places)) => {
            format!(
                "the requester is not registered, or suspended, at {}",
                gloss::hospitals(places)
            )
        }
        Condition::PatientRegistered => {
            "the patient is not registered at the hospital, or suspended there".into()
        }
        Condition::Related(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(word).collect();
            format!("no relationship with the patient is in force ({})", kinds.join(", "))
        }
        Condition::Before(end) => format!("it ended at {}", moment(*end)),
        Condition::SectionShared => "a section is not of class shared".into(),
        Condition::Purpose(purposes) => {
            let purposes: Vec<_> = purposes.iter().map(word).collect();
            format!("the purpose is none of {}", purposes.join(", "))
        }
        Condition::PatientCosigned => "the patient did not sign what is submitted".into(),
    }
}

/// Text that others wrote, on one line and harmless to a terminal: what would steer it, or turn the
/// direction of reading, is replaced.
pub fn legible(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains(steers) {
        return text.into_owned();
    }
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Controls, and the invisible characters that say how others are shown. Two of these are none here:
/// Persian and the scripts of India need U+200C and U+200D within words.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// A plain enum's value as its JSON spells it, with spaces.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text.replace('-', " "),
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// A moment of the chain in UTC, as RFC 3339 writes it.
pub fn moment(at: Moment) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_millis(at)) {
        Some(time) if at < END_OF_CALENDAR => humantime::format_rfc3339_seconds(time).to_string(),
        _ => format!("{at} ms after 1970"),
    }
}

/// The year 10000, which RFC 3339 cannot write, in milliseconds after 1970.
const END_OF_CALENDAR: Moment = 253_402_300_800_000;

impl From<DevnetError> for Failure {
    fn from(error: DevnetError) -> Self {
        Self::new(error.to_string(), error.help())
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        let help = match &error {
            ChainError::Unreachable { .. } | ChainError::Url { .. } => {
                "start the node, or name another with --node URL or --devnet DIR"
            }
            ChainError::Syncing => "try again when the node has caught up",
            ChainError::OtherChain { .. } => "name a node of the right chain with --node URL",
            _ => {
                "check that epione and the node are of the same version, then look at the node's log"
            }
        };
        Self::new(error.to_string(), help)
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        let help = match error {
            SubmitError::Chain(error) => return error.into(),
            SubmitError::Dispatch(_) => "correct the arguments; nothing was changed",
            SubmitError::Refused(_) => "sign with an account that the chain knows and allows this",
            SubmitError::TimedOut { .. } => "look at the chain's state before you repeat it",
            SubmitError::Invalid(_) => "try again; if it stays so, look at the node's log",
            SubmitError::UnknownCall { .. } => "use an epione of the node's version",
        };
        Self::new(error.to_string(), help)
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        let error = mistakes.to_string();
        Self { mistakes: mistakes.told, ..Self::new(error, "correct the file; nothing was stored") }
    }
}

impl From<KeystoreError> for Failure {
    fn from(error: KeystoreError) -> Self {
        Self::new(
            error.to_string(),
            "check the file and the password (--password-file, EPIONE_PASSWORD_FILE or the prompt)",
        )
    }
}

impl From<VisitError> for Failure {
    fn from(error: VisitError) -> Self {
        Self::new(error.to_string(), "correct the visit's --text and --media; nothing was sent")
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let help = match error {
            VerifyError::Chain(error) => return error.into(),
            VerifyError::UnknownHeight { newest: 0, .. } => "no block is committed yet".into(),
            VerifyError::UnknownHeight { newest, .. } => {
                format!("choose a height between 1 and {newest}")
            }
            VerifyError::NoBody => "name another node with --node URL".into(),
            VerifyError::Body(_) => "do not trust the block, and tell its hospital".into(),
        };
        Self::new(error.to_string(), help)
    }
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        let help = match error {
            WorkerError::Chain(error) => return error.into(),
            WorkerError::Problem(problem) => return refused(*problem),
            WorkerError::WrongBytes { .. } | WorkerError::ForeignLink { .. } => WRONG_BYTES,
            WorkerError::File { .. } | WorkerError::FileChanged { .. } => {
                "check the file; nothing was acknowledged"
            }
            WorkerError::WrongKey { .. } => {
                "nothing was sent; if it stays so, tell the hospital's operator"
            }
            _ => "check that the worker runs, or name its address with --worker URL",
        };
        Self::new(error.to_string(), help)
    }
}

const WRONG_BYTES: &str =
    "nothing unverified was written: ask again later, or tell the hospital's operator";

fn refused(problem: Problem) -> Failure {
    let error = match problem.detail {
        // A denial is shown whole, below.
        Some(detail) if problem.denial.is_none() => format!("{}: {detail}", problem.title),
        _ => problem.title,
    };
    let help = match problem.denial {
        Some(_) => {
            "ask the hospital's governance, or the patient, for a relationship or registration"
        }
        None if problem.status >= 500 => {
            "try again later; if it stays so, ask the hospital's operator"
        }
        None => "correct what the worker names, then ask again",
    };
    Failure { denial: problem.denial, ..Failure::new(error, help) }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Worker(error) => error.into(),
            ReadError::Chain(error) => error.into(),
            ReadError::Segment { source, .. } => Self::from(source),
            other => {
                let help = match &other {
                    ReadError::Exists(_) | ReadError::File { .. } => {
                        "check the folder that --out names, and its free space"
                    }
                    ReadError::OtherSealingKey { .. } => {
                        "name the key file from before with --earlier-keys, or finish the rotation of \
                         the keys: repeat the command that began it"
                    }
                    ReadError::StaleSealingKey { .. } => {
                        "name the key file with the newest keys, or finish the rotation of the keys: repeat the \
                         command that began it"
                    }
                    ReadError::NothingGranted { .. } => {
                        "ask the hospital's governance which sections its policies let you read"
                    }
                    ReadError::LinksEnded { .. } | ReadError::NoReceipt { .. } => {
                        "run the command again"
                    }
                    ReadError::NoFrame { reason: NoFrame::Beyond { .. }, .. } => {
                        "frames are counted from 1: choose one of these"
                    }
                    ReadError::NoFrame { .. } => {
                        "leave --frame out to get the whole file, or get bytes of it with --range"
                    }
                    ReadError::NotFragments { .. } => "leave --frame out to get the whole file",
                    ReadError::BeyondEnd { .. } => {
                        "bytes are counted from 0: ask for less, or leave out where the range ends"
                    }
                    ReadError::Busy(_) => "wait for the other epione, or choose another --out",
                    ReadError::NotRegistered { .. } => "check the patient's id",
                    ReadError::NoProfile { .. } => "name another node with --node URL",
                    _ => WRONG_BYTES,
                };
                Self::new(other.to_string(), help)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use epione_primitives::access::{FailedPolicy, RelationshipKind};

    #[test]
    fn a_denial_names_the_condition_that_failed() {
        let failure = Failure {
            denial: Some(Denial::Failed(vec![FailedPolicy {
                policy: b"care team reads".to_vec(),
                conditions: vec![Condition::Related(
                    vec![RelationshipKind::FamilyDoctor, RelationshipKind::Treating]
                        .try_into()
                        .unwrap(),
                )],
            }])),
            ..Failure::new("access refused", "ask")
        };
        let text = failure.to_string();
        assert!(text.contains("care team reads"), "{text}");
        assert!(text.contains("family doctor, treating"), "{text}");
    }

    #[test]
    fn names_that_others_wrote_cannot_steer_a_terminal() {
        let denial = Denial::Failed(vec![FailedPolicy {
            policy: "a\x1b[2Jb\n\u{202e}c".into(),
            conditions: vec![Condition::Before(0)],
        }]);
        let reasons = reasons(&denial);
        assert!(!reasons[0].contains(steers), "{reasons:?}");
        assert!(reasons[0].ends_with("it ended at 1970-01-01T00:00:00Z"), "{reasons:?}");
    }

    #[test]
    fn what_turns_the_direction_of_reading_is_replaced_and_words_stay() {
        let shown = legible("scan\u{202e}mcd.exe\n\u{2066}x".as_bytes());
        assert_eq!(shown, "scan\u{fffd}mcd.exe\u{fffd}\u{fffd}x");
        for name in ["हिन्दी.dcm", "می\u{200c}خواهم.txt", "胸部X線.dcm", "e\u{301}te\u{301}.pdf"]
        {
            assert_eq!(legible(name.as_bytes()), name);
        }
    }

    #[test]
    fn the_json_form_has_error_and_help() {
        let failure = Failure::new("it broke", "mend it");
        assert_eq!(failure.render(true), r#"{"error":"it broke","help":"mend it"}"#);
        let failure = failure.with_command(Invocation::new(["block", "show", "1"]));
        let json = failure.render(true);
        assert!(json.ends_with(r#","commands":["epione block show 1"]}"#), "{json}");
        assert!(failure.to_string().ends_with("\nhelp: mend it\n  epione block show 1"));
    }
}
