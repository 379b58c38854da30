//! Failures of commands: each says what happened and what to do.

mod call_errors;
mod consents;
mod evidence;
mod openings;
mod queries;

use std::{fmt, io, path::Path};

use epione_client::{
    api::Problem,
    chain::{ChainError, DispatchFailure, Doubt, SubmitError},
    disclosure::{Culprit, DisclosureError, Flaw, Refused},
    lite::LiteError,
    reader::ReadError,
    verify::VerifyError,
    visit::VisitError,
    worker::WorkerError,
};
use epione_envelope::{FormatError, frames::NoFrame, keystore::KeystoreError};
use epione_policies::language::{Mistake, Mistakes, sentence};
use epione_primitives::access::Denial;
use serde::Serialize;
use tokio::signal::unix::SignalKind;

use crate::{
    invocation::Invocation,
    wording::{escaped, legible},
};

/// Exit status of a command with wrong arguments, as clap uses it.
pub const USAGE: u8 = 2;
/// Exit status of a command that failed.
pub const FAILED: u8 = 1;
/// A shell adds the number of the signal that ended a process.
const SIGNALLED: i32 = 128;

/// The failure of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What happened.
    pub error: String,
    /// What to do.
    pub help: String,
    /// Commands that do it, or show more. They run as they are printed.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub commands: Box<[String]>,
    /// Why a hospital's policies refused, if they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<Denial>,
    /// The mistakes in a policy file, if there are any.
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

    /// Arguments that are missing, or contradict each other.
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

    /// Sets the exit status with which a shell reports that this signal ended a process.
    #[must_use]
    pub fn ended_by(self, kind: SignalKind) -> Self {
        Self { status: u8::try_from(SIGNALLED + kind.as_raw_value()).unwrap_or(FAILED), ..self }
    }

    /// Whether Ctrl-C ended the command.
    pub fn is_interruption(&self) -> bool {
        i32::from(self.status) == SIGNALLED + SignalKind::interrupt().as_raw_value()
    }

    pub fn status(&self) -> u8 {
        self.status
    }

    /// The text for standard error.
    pub fn render(&self, json: bool) -> String {
        if json {
            let json = serde_json::to_string(self).expect("strings and plain enums are JSON; qed");
            return escaped(&json);
        }
        self.to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of files, and texts of workers, may have lines and terminal controls.
        write!(f, "error: {}", legible(self.error.as_bytes()))?;
        for reason in self.denial.iter().flat_map(sentence::denial) {
            write!(f, "\n  {reason}")?;
        }
        for mistake in &self.mistakes {
            write!(f, "\n  {mistake}")?;
        }
        write!(f, "\nhelp: {}", legible(self.help.as_bytes()))?;
        self.commands.iter().try_for_each(|command| write!(f, "\n  {command}"))
    }
}

impl std::error::Error for Failure {}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        let help = match &error {
            ChainError::Unreachable { .. } | ChainError::Url { .. } => {
                "start the node, or use another one with --node URL or --devnet DIR"
            }
            ChainError::Plain { .. } => {
                "use wss://, for which a proxy at the node ends TLS; or a tunnel such as `ssh -L \
                 9944:127.0.0.1:9944 HOST`, and ws://127.0.0.1:9944"
            }
            ChainError::TooMany { .. } => {
                "use another node with --node URL, and tell the hospital that runs this one"
            }
            ChainError::Syncing => "try again when the node has finished syncing",
            ChainError::OtherChain { .. } => "use a node of the right chain with --node URL",
            ChainError::Unproven { .. } if error.is_transient() => {
                "nothing of this answer was used: try again when the node has caught up, or use another node with \
                 --node URL"
            }
            ChainError::Unproven { doubt, .. } if is_of_client(doubt) => {
                "the node is not at fault; only for a node that you run yourself, repeat the command with --trust-node"
            }
            ChainError::Unproven { doubt, .. } if doubt.needs_the_hospitals() => {
                "nothing of this answer was used. Ask your hospital for the checkpoint that the hospitals published, \
                 and for its SHA-256. `epione chain accept-checkpoint --help` says how to use both; then repeat your \
                 command"
            }
            ChainError::Unproven { doubt, .. } if doubt.needs_another_block() => {
                "choose a final block after the change by force has taken effect, and before the newest final block, \
                 with --block; all hospitals must choose the same"
            }
            ChainError::Unproven { .. } => {
                "nothing of this answer was used: use another node with --node URL, and tell the hospital that runs \
                 this one"
            }
            ChainError::Memory { .. } => {
                "if you did not change the file, another program did: find out which one first"
            }
            _ => "check that epione and the node have the same version, then read the node's log",
        };
        Self::new(error.to_string(), help)
    }
}

/// Whether this client cannot prove the answer of any node.
fn is_of_client(doubt: &Doubt) -> bool {
    matches!(doubt, Doubt::TooLong | Doubt::NoProof { .. } | Doubt::UnknownCall { .. })
}

/// What to do after a call failed on the chain.
pub fn of_call(failure: &DispatchFailure) -> &'static str {
    let known = call_errors::help(&failure.pallet, &failure.error);
    known.unwrap_or("correct the arguments; nothing was changed")
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        let help = match error {
            SubmitError::Chain(error) => return error.into(),
            SubmitError::Dispatch(ref failure) => of_call(failure),
            SubmitError::Refused(refusal) if refusal.is_temporary() => {
                "nothing was changed; repeat the command later"
            }
            SubmitError::Refused(_) => "sign with an account that may make this call",
            SubmitError::TimedOut { .. } => {
                "check whether the call took effect before you repeat it"
            }
            SubmitError::Invalid(_) => "try again; if this happens again, read the node's log",
            SubmitError::UnknownCall { .. } => "use the version of epione that the node has",
        };
        Self::new(error.to_string(), help)
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        let error = mistakes.to_string();
        Self {
            mistakes: mistakes.first,
            ..Self::new(error, "correct the file; nothing was stored")
        }
    }
}

impl From<KeystoreError> for Failure {
    fn from(error: KeystoreError) -> Self {
        let help = match error {
            KeystoreError::Exposed { .. } => {
                "run chmod; if others use this machine, consider new keys. If the file has to stay as it is, give its \
                 content through a pipe: <(cat FILE)"
            }
            _ => {
                "check the file and the password (--password-file, EPIONE_PASSWORD_FILE, or what you typed)"
            }
        };
        Self::new(error.to_string(), help)
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
            VerifyError::NoBody => "use another node with --node URL".into(),
            VerifyError::Body(_) => {
                "do not trust the block, and tell the hospital that announced it".into()
            }
        };
        Self::new(error.to_string(), help)
    }
}

impl From<LiteError> for Failure {
    fn from(error: LiteError) -> Self {
        let help = match error {
            LiteError::Chain(error) => return error.into(),
            LiteError::Missing { .. } => {
                "make it with `epione lite sync`, or give another file with --file FILE"
            }
            LiteError::Foreign { .. } | LiteError::OtherChain { .. } => {
                "nothing was changed; give another file with --file FILE"
            }
            LiteError::Newer { .. } => "nothing was changed; update epione",
            LiteError::InUse { .. } => "rerun the command when the other process has ended",
            LiteError::Damaged { .. } => "move the file away, then run `epione lite sync`",
            LiteError::Full { .. } => "what was copied so far is kept; rerun the command",
            LiteError::Block(_)
            | LiteError::Record { .. }
            | LiteError::NoRecord { .. }
            | LiteError::NoProfile { .. } => {
                "use another node with --node URL; if it says the same, tell the hospitals"
            }
            LiteError::RolledBack { .. } => {
                "use another node with --node URL; if it says the same, ask the hospitals"
            }
            LiteError::Fork { .. } => {
                "verify the file with `epione lite verify --offline`, and ask the hospitals"
            }
            LiteError::UnknownKeys { .. } => "run `epione lite sync --as FILE` with these keys",
            LiteError::Io { .. } | LiteError::Sqlite { .. } => {
                "check the path, its permissions and the free space"
            }
        };
        Self::new(error.to_string(), help)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let help = match (&refused.flaw, refused.culprit) {
            (Flaw::File { .. } | Flaw::NotFile { .. }, _) => {
                "give the folder of the disclosure, with all its files"
            }
            (flaw, _) if flaw.is_of_version() => "update epione; nobody may be at fault",
            (Flaw::NotDisclosure | Flaw::TooLarge, _) => {
                "give the folder of the disclosure, or the file disclosure.epione in it"
            }
            (Flaw::Foreign { .. }, _) => {
                "do not rely on this file; to verify the others, move it away and run the command again"
            }
            (Flaw::OtherChain { .. }, _) => {
                "do not rely on it, unless the hospitals publish the other hash; then give that one with --genesis HASH"
            }
            (_, Some(Culprit::Patient(_))) => "do not rely on it, and tell the patient",
            (_, Some(Culprit::Hospital(_))) => {
                "do not rely on the record, and tell the hospital that announced it"
            }
            (_, None) => {
                "do not rely on it: ask the patient for it again, over a channel on which nobody can change it"
            }
        };
        let Refused { flaw, culprit } = refused;
        let error = match culprit {
            Some(culprit) => format!("{flaw}; responsible: {culprit}"),
            None => flaw.to_string(),
        };
        Self::new(error, help)
    }
}

/// What a patient can do if the disclosure would not verify.
fn undisclosed(refused: &Refused) -> &'static str {
    match refused.culprit {
        _ if refused.flaw.is_of_version() => "nothing was disclosed; update epione",
        Some(Culprit::Hospital(_)) => {
            "nothing was disclosed; tell the hospital that announced the record"
        }
        Some(Culprit::Patient(_)) => "nothing was disclosed; this is a bug: report it",
        None => "nothing was disclosed; rerun the command, with another node if this happens again",
    }
}

impl From<DisclosureError> for Failure {
    fn from(error: DisclosureError) -> Self {
        let error = match error {
            DisclosureError::Chain(error) => return error.into(),
            other => other,
        };
        let help = match &error {
            DisclosureError::Format(FormatError::Extraction(_)) => {
                "choose other sections with --sections"
            }
            _ if error.is_of_choice() => {
                "nothing was disclosed; choose fewer sections with --sections"
            }
            DisclosureError::Refused(refused) => undisclosed(refused),
            _ => "nothing was disclosed; another node or another choice of sections does not help",
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
                "check the file; the hospital has not acknowledged the visit"
            }
            WorkerError::WrongKey { .. } => {
                "nothing was sent; if this happens again, tell the hospital's operator"
            }
            _ => "check that the worker runs, or give its address with --worker URL",
        };
        Self::new(error.to_string(), help)
    }
}

const WRONG_BYTES: &str =
    "no unverified data was written: try again later, or tell the hospital's operator";

const CORRECT_PROBLEM: &str = "correct the problem that the worker reports, then try again";

/// The kind of problem of a worker whose call the chain refused.
const CHAIN_REFUSED: &str = ":chain-refused";

/// The kind of problem of a hospital that does not seal a profile to new keys yet.
pub const AWAITING_CONFIRMATION: &str = ":awaiting-confirmation";

fn refused(problem: Problem) -> Failure {
    let error = match problem.detail {
        // The denial is printed in the lines below.
        Some(detail) if problem.denial.is_none() => format!("{}: {detail}", problem.title),
        _ => problem.title,
    };
    let help = match problem.denial {
        Some(_) => {
            "ask the hospital's governance or the patient to add the missing relationship or \
             registration"
        }
        // The worker's text says when, and who can confirm the keys.
        None if problem.kind.ends_with(AWAITING_CONFIRMATION) => {
            "keep both key files, and rerun the command then, or when the hospital has confirmed the new keys"
        }
        None if problem.kind.ends_with(CHAIN_REFUSED) => after_failed_call(&error),
        None if problem.status >= 500 => {
            "try again later; if this happens again, tell the hospital's operator"
        }
        None => CORRECT_PROBLEM,
    };
    Failure { denial: problem.denial, ..Failure::new(error, help) }
}

/// What to do after a call of the worker failed on the chain, for which the problem names pallet and error.
fn after_failed_call(problem: &str) -> &'static str {
    let named = problem.split_whitespace().find_map(|word| word.split_once("::"));
    let help =
        named.and_then(|(pallet, error)| call_errors::help(pallet, error.trim_end_matches(':')));
    help.unwrap_or(CORRECT_PROBLEM)
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Worker(error) => error.into(),
            ReadError::Chain(error) => error.into(),
            ReadError::Segment { source, .. } => Self::from(source),
            ReadError::Query(fault) => fault.into(),
            ReadError::Opening(fault) => fault.into(),
            other => {
                let help = match &other {
                    ReadError::Exists(_) | ReadError::File { .. } => {
                        "check the folder of --out, and its free space"
                    }
                    ReadError::OtherSealingKey { .. } => {
                        "give the earlier key file with --earlier-keys, or finish the rotation of \
                         the keys: rerun the command that began it"
                    }
                    ReadError::StaleSealingKey { .. } => {
                        "give the key file with the newest keys, or finish the rotation of the keys: rerun the \
                         command that began it"
                    }
                    ReadError::UnknownReader => {
                        "give the key file of a registered user with --as; after a rotation of keys, the new one"
                    }
                    ReadError::NotRequestable(_) => "correct the arguments; nothing was requested",
                    ReadError::NothingGranted { .. } => {
                        "ask the hospital's governance which sections its policies allow you to read"
                    }
                    ReadError::LinksEnded { .. } | ReadError::NoReceipt { .. } => {
                        "rerun the command"
                    }
                    ReadError::NoFrame { reason: NoFrame::Beyond { .. }, .. } => {
                        "frames are counted from 1: choose one of them"
                    }
                    ReadError::NoFrame { .. } => {
                        "leave out --frame to read the whole file, or read bytes of it with --range"
                    }
                    ReadError::NotFragments { .. } => "leave out --frame to read the whole file",
                    ReadError::BeyondEnd { .. } => {
                        "bytes are counted from 0: choose a smaller range, or leave out its last byte"
                    }
                    ReadError::Busy(_) => "wait for the other process, or choose another --out",
                    ReadError::NotRegistered { .. } => "check the patient's id",
                    ReadError::NoProfile { .. } => "use another node with --node URL",
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
    use crate::wording::controls;
    use epione_client::chain::DispatchFailure;
    use epione_primitives::{
        access::{Condition, FailedPolicy, RelationshipKind},
        refusal::Refusal,
    };

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
        assert!(text.contains("family doctor or treating"), "{text}");
    }

    #[test]
    fn the_node_is_not_blamed_for_what_this_client_cannot_prove() {
        let help = |doubt| {
            let doubt = Box::new(doubt);
            Failure::from(ChainError::Unproven { url: "wss://node".into(), doubt }).help
        };
        let name = || "Council.vote".to_owned();
        let limits = [
            Doubt::TooLong,
            Doubt::NoProof { method: name() },
            Doubt::UnknownCall { call: name() },
        ];
        for doubt in limits {
            let text = doubt.to_string();
            assert!(text.contains("without verification"), "{text}");
            let help = help(doubt);
            assert!(!help.contains("another node") && help.contains("--trust-node"), "{help}");
        }
        let hash = epione_primitives::Hash::zero();
        assert!(help(Doubt::NotFinal { hash }).contains("another node"));
        // Nor for what only the hospitals can say.
        let far = help(Doubt::FarCheckpoint { number: 9, seen: 1, max: 2 });
        assert!(far.contains("epione chain accept-checkpoint") && !far.contains("another node"));
        let newest = help(Doubt::NotBeforeNewest { number: 9, newest: 9 });
        assert!(newest.contains("--block") && !newest.contains("another node"), "{newest}");
    }

    #[test]
    fn a_patient_is_not_told_to_rerun_a_command_that_cannot_succeed() {
        let pointer = epione_primitives::RecordPointer { height: 1, index: 0 };
        let help =
            |flaw, culprit| Failure::from(DisclosureError::Refused(Refused { flaw, culprit })).help;
        let announced = Flaw::Announced { pointer, what: "id" };
        let hospital = Culprit::Hospital(epione_primitives::HospitalId(0));
        let said = help(announced, Some(hospital));
        assert!(said.contains("tell the hospital") && !said.contains("rerun"), "{said}");
        let said = help(Flaw::Format(2), None);
        assert!(said.contains("update epione") && !said.contains("rerun"), "{said}");
        let said = help(Flaw::NotSigned(epione_primitives::UserId([1; 32])), None);
        assert!(said.contains("rerun"), "{said}");
        for (proof, fewer) in [(1, true), (u64::MAX, false)] {
            let large = DisclosureError::TooLarge { proof, content: 9 };
            let said = Failure::from(large).help;
            assert_eq!(said.contains("fewer sections"), fewer, "{said}");
        }
    }

    #[test]
    fn a_quota_that_is_used_up_is_not_blamed_on_the_account() {
        let failure = Failure::from(SubmitError::Refused(Refusal::QuotaExceeded)).to_string();
        assert!(failure.contains("try again in half a minute"), "{failure}");
        assert!(failure.contains("repeat the command later"), "{failure}");
        let failure = Failure::from(SubmitError::Refused(Refusal::CallNotForRole)).to_string();
        assert!(failure.contains("sign with an account"), "{failure}");
    }

    #[test]
    fn a_call_that_failed_says_what_to_do_whoever_sent_it() {
        for (error, help) in [
            ("RecoveryPaused", "have lapsed"),
            ("KeyProposed", "keys new"),
            ("AnotherRecovery", "user recovery"),
            ("TooManyRecoveries", "recover complete"),
            ("SuspendedTooLong", "user reinstate"),
        ] {
            let (pallet, docs) = ("Profiles".to_owned(), "Some words.".to_owned());
            let failure = DispatchFailure { pallet, error: error.into(), docs };
            let problem = |kind: &str, detail: String| Problem {
                kind: format!("urn:epione:problem:{kind}"),
                title: "The chain rejected the request".into(),
                status: 409,
                detail: Some(detail),
                denial: None,
            };
            let by_worker = refused(problem("chain-refused", failure.to_string()));
            let other = refused(problem("not-pending", failure.to_string()));
            let by_client = Failure::from(SubmitError::Dispatch(failure));
            assert!(by_client.help.contains(help), "{by_client}");
            assert_eq!(by_worker.help, by_client.help, "{by_worker}");
            assert_eq!(other.help, CORRECT_PROBLEM);
        }
    }

    #[test]
    fn an_error_that_this_version_does_not_know_has_other_words() {
        for detail in ["Profiles::Unheard: Some words.", "Profiles:: ", "::", "the chain is busy"] {
            assert_eq!(after_failed_call(detail), CORRECT_PROBLEM, "{detail}");
        }
    }

    #[test]
    fn a_hostile_name_controls_neither_the_terminal_nor_the_lines() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        let failure = Failure::file(Path::new("a\nhelp: b\u{202e}gpj\x1b[31m.dcm"), &error);
        let text = failure.to_string();
        assert!(!text.contains(|c: char| c != '\n' && controls(c)), "{text:?}");
        assert_eq!(text.lines().count(), 2, "{text}");
        let json = failure.render(true);
        assert!(!json.contains(controls), "{json:?}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["error"], failure.error.as_str());
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
