//! The fields of one table of a policy file: each is read as what it must be, or a mistake is noted.

use epione_primitives::{HospitalId, Moment, limits::MAX_POLICY_LIST};
use sp_core::{ConstU32, bounded::BoundedVec};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    mistake::{Notes, Span, Spot},
    time,
    words::Word,
};

/// What is wrong with a value, and what to do about it.
pub(super) struct Objection {
    problem: String,
    advice: String,
}

impl Objection {
    pub fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into() }
    }
}

/// A list as far as it could be read.
#[derive(Debug)]
pub(super) struct List<T> {
    /// Of the field's name.
    pub span: Span,
    pub items: Vec<Spanned<T>>,
    /// Whether every entry could be read.
    pub complete: bool,
}

impl<T: Clone> List<T> {
    /// As the chain stores it. Longer lists are mistakes already.
    pub fn bounded(&self) -> BoundedVec<T, ConstU32<MAX_POLICY_LIST>> {
        BoundedVec::truncate_from(self.items.iter().map(|item| item.get_ref().clone()).collect())
    }
}

impl<T> List<T> {
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(Spanned::get_ref)
    }
}

/// UTF-8 within a bound.
pub(super) type Text<const MAX: u32> = BoundedVec<u8, ConstU32<MAX>>;

/// One table.
pub(super) struct Fields<'a> {
    table: &'a DeTable<'a>,
    /// Where the table begins.
    span: Span,
    /// The policy that it belongs to, as mistakes name it.
    policy: &'a str,
    /// What stands before the fields' names, if it is a table within a policy.
    prefix: &'static str,
}

impl<'a> Fields<'a> {
    pub fn of_policy(table: &'a DeTable<'a>, span: Span, policy: &'a str) -> Self {
        Self { table, span, policy, prefix: "" }
    }

    /// The fields of a table in this one.
    pub fn within(&self, key: &str, prefix: &'static str, notes: &mut Notes) -> Option<Self> {
        let (span, value) = self.value(key)?;
        let Some(table) = value.get_ref().as_table() else {
            let problem = format!("is {}, not a table", kind(value.get_ref()));
            let advice = format!("write [policy.{key}] on a line of its own, the fields below it");
            notes.wrong(self.spot(key, span), problem, advice);
            return None;
        };
        Some(Self { table, span, policy: self.policy, prefix })
    }

    /// Notes the fields that are none of these.
    pub fn only(&self, known: &[&str], notes: &mut Notes) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let advice = format!("write one of {}", known.join(", "));
                notes.wrong(self.spot(&shown(name), key.span()), "is not known", advice);
            }
        }
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub fn lacking(&self, key: &str, advice: impl Into<String>, notes: &mut Notes) {
        notes.lacking(self.spot(key, self.span.clone()), advice);
    }

    /// A text that says something, of at most `MAX` bytes.
    pub fn text<const MAX: u32>(&self, key: &str, notes: &mut Notes) -> Option<Spanned<Text<MAX>>> {
        self.read(key, notes, |value| {
            let Some(text) = value.as_str() else {
                let problem = format!("is {}, not a text", kind(value));
                return Err(Objection::new(problem, "write a text in quotation marks"));
            };
            if text.trim().is_empty() {
                return Err(Objection::new("is empty", "say in words what it is"));
            }
            if text.chars().any(char::is_control) {
                return Err(Objection::new(
                    "has a line break or another control character",
                    "write it on one line",
                ));
            }
            Text::<MAX>::try_from(text.as_bytes().to_vec()).map_err(|bytes: Vec<u8>| {
                let problem = format!("has {} bytes", bytes.len());
                Objection::new(problem, format!("shorten it to {MAX} bytes of UTF-8"))
            })
        })
    }

    /// One of a few words.
    pub fn word<W: Word>(&self, key: &str, notes: &mut Notes) -> Option<Spanned<W>> {
        self.read(key, notes, word)
    }

    /// A time with an offset, after `now`.
    pub fn moment(&self, key: &str, now: Moment, notes: &mut Notes) -> Option<Spanned<Moment>> {
        self.read(key, notes, |value| {
            let Some(written) = value.as_datetime() else {
                let problem = format!("is {}, not a time", kind(value));
                let advice = "write it as 2027-01-01T00:00:00Z, without quotation marks";
                return Err(Objection::new(problem, advice));
            };
            let moment = time::moment(written)?;
            if moment <= now {
                let problem = format!("has passed: it is {} now", time::written(now));
                return Err(Objection::new(problem, "choose a later time, or leave it out"));
            }
            Ok(moment)
        })
    }

    /// Whether a condition without an argument is there: `key = true`.
    pub fn is_set(&self, key: &str, notes: &mut Notes) -> Option<Spanned<()>> {
        self.read(key, notes, |value| match value.as_bool() {
            Some(true) => Ok(()),
            Some(false) => Err(Objection::new(
                "is false, and a condition cannot demand the contrary",
                "leave it out",
            )),
            None => Err(Objection::new(
                format!("is {}, not true", kind(value)),
                format!("write {key} = true"),
            )),
        })
    }

    /// A value of one's own making.
    pub fn read<T>(
        &self,
        key: &str,
        notes: &mut Notes,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Objection>,
    ) -> Option<Spanned<T>> {
        let (span, value) = self.value(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(Spanned::new(span, value)),
            Err(objection) => {
                let place = at_value(value, &span);
                notes.wrong(self.spot(key, place), objection.problem, objection.advice);
                None
            }
        }
    }

    /// A list of at least one entry, none twice; absent only if the field is.
    pub fn list<T: PartialEq>(
        &self,
        key: &str,
        notes: &mut Notes,
        read: impl Fn(&DeValue<'_>) -> Result<T, Objection>,
    ) -> Option<List<T>> {
        let (span, value) = self.value(key)?;
        let spot = |span| self.spot(key, span);
        let mut list = List { span: span.clone(), items: Vec::new(), complete: true };
        let Some(entries) = value.get_ref().as_array() else {
            let problem = format!("is {}, not a list", kind(value.get_ref()));
            let advice = "write it in brackets: [...]";
            notes.wrong(spot(at_value(value, &span)), problem, advice);
            list.complete = false;
            return Some(list);
        };
        if entries.is_empty() {
            notes.wrong(spot(span), "is an empty list", "name at least one, or leave it out");
            list.complete = false;
        }
        for (number, entry) in entries.iter().enumerate() {
            if number == MAX_POLICY_LIST as usize {
                let problem = format!("has {} entries", entries.len());
                let advice = format!("write at most {MAX_POLICY_LIST}, or a second policy");
                notes.wrong(spot(entry.span()), problem, advice);
                list.complete = false;
                break;
            }
            match read(entry.get_ref()) {
                Ok(item) if list.values().any(|known| *known == item) => {
                    notes.wrong(spot(entry.span()), "names the same twice", "keep one of them");
                }
                Ok(item) => list.items.push(Spanned::new(entry.span(), item)),
                Err(Objection { problem, advice }) => {
                    notes.wrong(spot(entry.span()), problem, advice);
                    list.complete = false;
                }
            }
        }
        Some(list)
    }

    pub fn spot(&self, key: &str, span: Span) -> Spot {
        Spot {
            policy: Some(self.policy.to_owned()),
            field: Some(format!("{}{key}", self.prefix)),
            span,
        }
    }

    /// A value, and where its name is.
    fn value(&self, key: &str) -> Option<(Span, &'a Spanned<DeValue<'a>>)> {
        self.table.get_key_value(key).map(|(key, value)| (key.span(), value))
    }
}

/// A word of a few.
pub(super) fn word<W: Word>(value: &DeValue<'_>) -> Result<W, Objection> {
    let advice = || format!("write {}", quoted(&W::known()));
    match value.as_str() {
        Some(text) => W::read(text).ok_or_else(|| {
            Objection::new(format!("\"{}\" is no {}", shown(text), W::NOUN), advice())
        }),
        None => Err(Objection::new(format!("{} is no {}", kind(value), W::NOUN), advice())),
    }
}

/// The number of a hospital.
pub(super) fn hospital(value: &DeValue<'_>) -> Result<HospitalId, Objection> {
    let number = value
        .as_integer()
        .and_then(|integer| u16::from_str_radix(integer.as_str(), integer.radix()).ok());
    number.map(HospitalId).ok_or_else(|| {
        let what = match value {
            DeValue::Integer(integer) => shown(integer.as_str()),
            other => kind(other).to_owned(),
        };
        Objection::new(
            format!("{what} is no hospital's number"),
            "write the number that the chain gave the hospital, from 0 to 65535",
        )
    })
}

/// Words in a row, each in quotation marks, as a file has them.
fn quoted(words: &str) -> String {
    let words: Vec<_> = words.split(", ").map(|word| format!("\"{word}\"")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Text of the file for a message: short, and harmless to a terminal.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown: String =
        text.chars().take(LONGEST).flat_map(char::escape_debug).collect::<String>();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Where a value stands; a table's own span may be that of nothing at all, then where its name is.
fn at_value(value: &Spanned<DeValue<'_>>, name: &Span) -> Span {
    let span = value.span();
    if span.is_empty() { name.clone() } else { span }
}
