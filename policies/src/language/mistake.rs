//! What is wrong with a policy file, and where.

use std::{collections::BTreeSet, fmt, ops::Range};

use serde::Serialize;

/// Mistakes of one file that are reported; further ones are counted.
const MAX_REPORTED: usize = 50;

/// Bytes of a file, from one to before another.
pub(super) type Span = Range<usize>;

/// What is wrong at one place, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Number and name of the policy, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub problem: String,
    pub advice: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if let Some(policy) = &self.policy {
            write!(f, "policy {policy}")?;
            f.write_str(if self.field.is_some() { ", " } else { ": " })?;
        }
        if let Some(field) = &self.field {
            write!(f, "field {field}: ")?;
        }
        write!(f, "{}; {}", self.problem, self.advice)
    }
}

/// The mistakes of a file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    pub file: String,
    /// At least one.
    pub first: Vec<Mistake>,
    /// How many more there are.
    pub more: usize,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        match (self.first.len(), self.more) {
            (1, 0) => write!(f, "{file} has a mistake"),
            (count, 0) => write!(f, "{file} has {count} mistakes"),
            (count, more) => {
                write!(f, "{file} has {} mistakes, of which these are the first", count + more)
            }
        }
    }
}

impl std::error::Error for Mistakes {}

/// Where a mistake is.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub policy: Option<String>,
    pub field: Option<String>,
    pub span: Span,
}

#[derive(Debug)]
struct Note {
    spot: Spot,
    problem: String,
    advice: String,
    /// Whether a part is missing.
    missing: bool,
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A part must not be there, or not as it is.
    pub fn wrong(&mut self, spot: Spot, problem: impl Into<String>, advice: impl Into<String>) {
        self.0.push(Note { spot, problem: problem.into(), advice: advice.into(), missing: false });
    }

    /// A part is missing.
    pub fn missing(&mut self, spot: Spot, advice: impl Into<String>) {
        let note =
            Note { spot, problem: "is missing".into(), advice: advice.into(), missing: true };
        self.0.push(note);
    }

    /// Forgets mistakes that may follow from text that could not be read.
    pub fn forget_consequences(&mut self, lines: &Lines<'_>, unreadable: &[Span]) {
        let affected: BTreeSet<_> = unreadable.iter().map(|span| lines.line(span.start)).collect();
        self.0
            .retain(|note| !note.missing && !affected.contains(&lines.line(note.spot.span.start)));
    }

    pub fn into_mistakes(mut self, file: &str, text: &str) -> Mistakes {
        self.0.sort_by_key(|note| note.spot.span.start);
        let more = self.0.len().saturating_sub(MAX_REPORTED);
        self.0.truncate(MAX_REPORTED);
        let lines = Lines::of(text);
        let first = self.0.into_iter().map(|note| Mistake {
            file: file.into(),
            line: lines.line(note.spot.span.start),
            column: lines.column(note.spot.span.start),
            policy: note.spot.policy,
            field: note.spot.field,
            problem: note.problem,
            advice: note.advice,
        });
        Mistakes { file: file.into(), first: first.collect(), more }
    }
}

/// Where the lines of a text begin: places as editors count them.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Ascending; the first is 0.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn of(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// The line of a byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// Its column in characters, from 1.
    pub fn column(&self, at: usize) -> usize {
        let start = self.starts.get(self.line(at) - 1).copied().unwrap_or_default();
        self.text.get(start..at).unwrap_or_default().chars().count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = "ä = 1\nöö = 2\n";
        let lines = Lines::of(text);
        for (at, line, column) in
            [(0, 1, 1), (text.find('2').unwrap(), 2, 6), (text.len(), 3, 1), (text.len() + 9, 3, 1)]
        {
            assert_eq!((lines.line(at), lines.column(at)), (line, column), "{at}");
        }
        assert_eq!(Lines::of("").line(0), 1);
    }

    #[test]
    fn mistakes_beyond_the_limit_are_counted() {
        let mut notes = Notes::default();
        for at in 0..MAX_REPORTED + 7 {
            let spot = Spot { policy: None, field: None, span: at..at };
            notes.wrong(spot, "wrong", "mend it");
        }
        let mistakes = notes.into_mistakes("p.toml", &"\n".repeat(100));
        assert_eq!((mistakes.first.len(), mistakes.more), (MAX_REPORTED, 7));
        assert!(mistakes.to_string().contains("57 mistakes"), "{mistakes}");
    }
}
