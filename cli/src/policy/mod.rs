//! The policy language: what a hospital writes about who may do what, as TOML, compiled to what the
//! chain stores, and printed back. docs/policies.md is its manual.
//!
//! A file goes through four stages: [`source`] makes text of bytes, [`draft`] makes fields of text and
//! remembers where each stands, [`rules`] holds the fields against each other, and what is left
//! becomes [`Policies`]. Every stage goes on after a mistake, so that a user hears of all at once.
//!
//! The compiler is stricter than the chain: what the chain would refuse it refuses, and also what can
//! only be meant otherwise.

mod draft;
mod fields;
pub mod gloss;
mod mistake;
mod print;
mod rules;
mod source;
mod time;
pub mod words;

use epione_primitives::{Moment, access::Policies};
use toml::de::{DeTable, Error};

pub use mistake::{Mistake, Mistakes};
pub use print::{commented, to_toml};
pub use source::{MAX_FILE_BYTES, Source};
pub use time::now;

use self::mistake::{Lines, Notes, Span, Spot};

/// Compiles the text of a file, whose name mistakes tell. Ends must lie after `now` (ms).
pub fn compile(file: &str, text: &str, now: Moment) -> Result<Policies, Mistakes> {
    let mut notes = Notes::default();
    let (root, unreadable) = DeTable::parse_recoverable(text);
    let drafts = draft::read(root.get_ref(), now, &mut notes);
    if unreadable.is_empty() {
        rules::check(&drafts, &mut notes);
    } else {
        note_unreadable(&unreadable, text, &mut notes);
    }
    if !notes.is_empty() {
        return Err(notes.into_mistakes(file, text));
    }
    let policies: Vec<_> = drafts.into_iter().filter_map(draft::Draft::policy).collect();
    Ok(Policies::truncate_from(policies))
}

/// Notes what is not TOML. Whatever else was noted on the same lines, or found lacking, may follow from
/// that and is not told.
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
    // One misplaced character makes several errors; the further ones of a line say nothing new.
    unreadable.sort_by_key(|error| place(error).start);
    unreadable.dedup_by_key(|error| lines.line(place(error).start));
    for error in unreadable {
        let spot = Spot { policy: None, field: None, span: place(error) };
        notes.wrong(spot, format!("this is not TOML: {}", error.message()), "correct the line");
    }
}
