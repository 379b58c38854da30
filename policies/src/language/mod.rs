//! The policy language: a hospital writes policies as TOML, which compiles to what the chain stores and is printed
//! back. docs/policies.md is its manual.
//!
//! A file goes through three stages. [`draft`] makes policies of text, and remembers where each part is in the file.
//! [`flaws`](crate::flaws) finds what is wrong with them, as it does on the chain. [`objection`] says it in words.
//! Every stage goes on after a mistake, so that an author hears of all mistakes at once.
//!
//! ```
//! use epione_policies::language::{compile, to_toml};
//!
//! let file = r#"
//! [[policy]]
//! name = "auditors read"
//! summary = "Auditors read shared sections."
//! type = "operation"
//! roles = ["auditor"]
//! actions = ["read-text"]
//! [policy.when]
//! section-shared = true
//! purpose = ["audit"]
//! "#;
//! let policies = compile("mine.toml", file, 0).expect("the file has no mistake");
//! assert_eq!(compile("again.toml", &to_toml(&policies), 0), Ok(policies));
//!
//! let mistakes = compile("mine.toml", &file.replace("\"audit\"", "\"curiosity\""), 0).unwrap_err();
//! assert_eq!(mistakes.first[0].line, 10);
//! assert!(mistakes.first[0].to_string().contains("\"curiosity\" is not a purpose"));
//! ```

mod draft;
mod fields;
mod mistake;
mod objection;
mod print;
pub mod sentence;
mod time;

use epione_primitives::{Moment, Word, access::Policies};
use serde::Serialize;
use toml::de::{DeTable, Error};

pub use mistake::{Mistake, Mistakes};
pub use print::{commented, to_toml};
pub use time::now;

use self::mistake::{Lines, Notes, Span, Spot};
use crate::flaws;

/// What a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyType {
    /// It allows actions.
    Operation,
    /// It makes relationships count.
    Relationship,
}

impl Word for PolicyType {
    const NOUN: &'static str = "type of policy";
    const ALL: &'static [Self] = &[Self::Operation, Self::Relationship];

    fn spelled(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Relationship => "relationship",
        }
    }
}

/// Compiles the text of a file. Mistakes name the file. Ends must be after `now` (ms).
///
/// # Errors
/// Every mistake in the file: the chain would refuse the policies, or they cannot be read.
pub fn compile(file: &str, text: &str, now: Moment) -> Result<Policies, Mistakes> {
    let mut notes = Notes::default();
    let (root, unreadable) = DeTable::parse_recoverable(text);
    let drafts = draft::read(root.get_ref(), &mut notes);
    if unreadable.is_empty() {
        let partial: Vec<_> = drafts.iter().map(draft::Draft::partial).collect();
        for flawed in flaws::find(&partial, now) {
            objection::note(flawed, &drafts, now, &mut notes);
        }
    } else {
        note_unreadable(&unreadable, text, &mut notes);
    }
    if !notes.is_empty() {
        return Err(notes.into_mistakes(file, text));
    }
    let policies: Vec<_> = drafts.into_iter().filter_map(draft::Draft::policy).collect();
    Ok(Policies::truncate_from(policies))
}

/// The text of a file.
///
/// # Errors
/// The place of the first byte that is not UTF-8.
pub fn decode(file: &str, bytes: Vec<u8>) -> Result<String, Mistakes> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let valid = String::from_utf8_lossy(valid);
        let mut notes = Notes::default();
        let spot = Spot { policy: None, field: None, span: valid.len()..valid.len() };
        notes.wrong(spot, "this is not UTF-8", "save the file as UTF-8");
        notes.into_mistakes(file, &valid)
    })
}

/// Notes what is not TOML. Other mistakes on the same lines, and missing parts, may follow from that and are not noted.
fn note_unreadable(errors: &[Error], text: &str, notes: &mut Notes) {
    let place = |error: &Error| error.span().unwrap_or(text.len()..text.len());
    let (twice, mut unreadable): (Vec<_>, Vec<_>) =
        errors.iter().partition(|error| error.message() == "duplicate key");
    for error in twice {
        let span = place(error);
        let field = text.get(span.clone()).map(str::to_owned);
        notes.wrong(Spot { policy: None, field, span }, "is written twice", "keep one of them");
    }
    if unreadable.is_empty() {
        return;
    }
    let lines = Lines::of(text);
    let spans: Vec<Span> = unreadable.iter().copied().map(place).collect();
    notes.forget_consequences(&lines, &spans);
    // One misplaced character causes several errors; the later ones on a line add nothing.
    unreadable.sort_by_key(|error| place(error).start);
    unreadable.dedup_by_key(|error| lines.line(place(error).start));
    for error in unreadable {
        let spot = Spot { policy: None, field: None, span: place(error) };
        notes.wrong(spot, format!("this is not TOML: {}", error.message()), "correct the line");
    }
}
