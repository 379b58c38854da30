//! The fields of one table of a policy file: each is read as what it must be, or a mistake is noted.

use epione_primitives::{
    HospitalId, Moment, Word,
    access::PolicyList,
    credential::{AttributeId, Requirement},
    limits::MAX_POLICY_LIST,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    mistake::{Notes, Span, Spot},
    sentence::{joined, with_article},
    time,
};
use crate::flaws::Known;

/// What is wrong with a value, and what to do about it.
pub(super) struct Objection {
    pub problem: String,
    pub advice: String,
}

impl Objection {
    pub fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into() }
    }
}

/// A list as far as it could be read.
#[derive(Debug)]
pub(super) struct List<T> {
    /// Of the field's name, if the field is there.
    pub span: Option<Span>,
    values: Vec<T>,
    /// Of each value.
    pub spans: Vec<Span>,
    /// Whether every entry could be read.
    complete: bool,
}

/// The list of a field that is missing.
impl<T> Default for List<T> {
    fn default() -> Self {
        Self { span: None, values: Vec::new(), spans: Vec::new(), complete: false }
    }
}

impl<T: Clone> List<T> {
    /// As the chain stores it. Longer lists are mistakes already.
    pub fn bounded(&self) -> PolicyList<T> {
        PolicyList::truncate_from(self.values.clone())
    }
}

impl<T> List<T> {
    pub fn known(&self) -> Known<'_, T> {
        Known { entries: &self.values, complete: self.complete }
    }

    /// The list, if every entry could be read.
    pub fn legible(self) -> Option<Self> {
        self.complete.then_some(self)
    }
}

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
            let advice =
                format!("write [policy.{key}] on a separate line, and the fields below it");
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

    pub fn missing(&self, key: &str, advice: impl Into<String>, notes: &mut Notes) {
        notes.missing(self.spot(key, self.span.clone()), advice);
    }

    /// Where a field's name is, if the field is there.
    pub fn spot_of(&self, key: &str) -> Option<Spot> {
        self.value(key).map(|(span, _)| self.spot(key, span))
    }

    /// A text of at most so many bytes.
    pub fn text(&self, key: &str, most: u32, notes: &mut Notes) -> Option<Spanned<String>> {
        self.read(key, notes, |value| {
            let Some(text) = value.as_str() else {
                let problem = format!("is {}, not a text", kind(value));
                return Err(Objection::new(problem, "write a text in quotation marks"));
            };
            if text.len() > most as usize {
                let problem = format!("has {} bytes", text.len());
                return Err(Objection::new(
                    problem,
                    format!("shorten it to {most} bytes of UTF-8"),
                ));
            }
            Ok(text.to_owned())
        })
    }

    /// A time with an offset.
    pub fn moment(&self, key: &str, notes: &mut Notes) -> Option<Spanned<Moment>> {
        self.read(key, notes, |value| {
            let Some(written) = value.as_datetime() else {
                let problem = format!("is {}, not a time", kind(value));
                let advice = "write it as 2027-01-01T00:00:00Z, without quotation marks";
                return Err(Objection::new(problem, advice));
            };
            time::moment(written)
        })
    }

    /// Whether a condition without an argument is there: `key = true`.
    pub fn is_set(&self, key: &str, notes: &mut Notes) -> Option<Spanned<()>> {
        self.read(key, notes, |value| match value.as_bool() {
            Some(true) => Ok(()),
            Some(false) => Err(Objection::new(
                "is false, but a condition can only be true",
                "leave the condition out",
            )),
            None => Err(Objection::new(
                format!("is {}, not true", kind(value)),
                format!("write {key} = true"),
            )),
        })
    }

    /// A value, read by a function.
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

    /// A list; absent only if the field is.
    pub fn list<T>(
        &self,
        key: &str,
        notes: &mut Notes,
        read: impl Fn(&DeValue<'_>) -> Result<T, Objection>,
    ) -> Option<List<T>> {
        let (span, value) = self.value(key)?;
        let spot = |span| self.spot(key, span);
        let mut list = List { span: Some(span.clone()), ..List::default() };
        let Some(entries) = value.get_ref().as_array() else {
            let problem = format!("is {}, not a list", kind(value.get_ref()));
            let advice = "write it in brackets: [...]";
            notes.wrong(spot(at_value(value, &span)), problem, advice);
            return Some(list);
        };
        list.complete = true;
        for (number, entry) in entries.iter().enumerate() {
            if number == MAX_POLICY_LIST as usize {
                let problem = format!("has {} entries", entries.len());
                let advice = format!("write at most {MAX_POLICY_LIST}, or a second policy");
                notes.wrong(spot(entry.span()), problem, advice);
                list.complete = false;
                break;
            }
            match read(entry.get_ref()) {
                Ok(value) => {
                    list.values.push(value);
                    list.spans.push(entry.span());
                }
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

/// One of a few words.
pub(super) fn word<W: Word>(value: &DeValue<'_>) -> Result<W, Objection> {
    let written = match value.as_str() {
        Some(text) => match W::read(text) {
            Some(word) => return Ok(word),
            None => format!("\"{}\"", shown(text)),
        },
        None => kind(value).to_owned(),
    };
    Err(Objection::new(
        format!("{written} is not {}", with_article(W::NOUN)),
        format!("write {}", any::<W>()),
    ))
}

/// All words of a kind, each in quotation marks, as a file has them.
fn any<W: Word>() -> String {
    joined(W::ALL.iter().map(|word| format!("\"{}\"", word.spelled())), "or")
}

/// The number of a hospital.
pub(super) fn hospital(value: &DeValue<'_>) -> Result<HospitalId, Objection> {
    number(value).map(HospitalId).ok_or_else(|| {
        Objection::new(
            format!("{} is not a hospital's number", numeral(value)),
            "write the number that the chain gave the hospital, from 0 to 65535",
        )
    })
}

/// A required credential: `{ attribute = 3, issuers = [0, 2], at-least = 1 }`. Without `at-least`, one issuer is
/// enough.
pub(super) fn requirement(value: &DeValue<'_>) -> Result<Requirement, Objection> {
    const EXAMPLE: &str = "write { attribute = 3, issuers = [0, 2], at-least = 1 }";
    const FIELDS: [&str; 3] = ["attribute", "issuers", "at-least"];
    let Some(table) = value.as_table() else {
        return Err(Objection::new(format!("is {}, not a credential", kind(value)), EXAMPLE));
    };
    if let Some(other) = table.keys().find(|key| !FIELDS.contains(&key.get_ref().as_ref())) {
        let problem = format!("has a field {}, which is not known", shown(other.get_ref()));
        return Err(Objection::new(problem, EXAMPLE));
    }
    let missing = |key: &str| Objection::new(format!("has no field {key}"), EXAMPLE);
    let attribute = table.get("attribute").ok_or_else(|| missing("attribute"))?.get_ref();
    let issuers = table.get("issuers").ok_or_else(|| missing("issuers"))?.get_ref();
    let at_least = table.get("at-least").map_or(Ok(1), |number| at_least(number.get_ref()))?;
    Ok(Requirement {
        attribute: number(attribute).map(AttributeId).ok_or_else(|| {
            Objection::new(
                format!("{} is not an attribute's number", numeral(attribute)),
                "write the number that epione credential attributes lists",
            )
        })?,
        issuers: issuers_of(issuers)?,
        at_least,
    })
}

/// The hospitals whose credentials count.
fn issuers_of(value: &DeValue<'_>) -> Result<PolicyList<HospitalId>, Objection> {
    let Some(entries) = value.as_array() else {
        let problem = format!("has issuers that are {}, not a list", kind(value));
        return Err(Objection::new(problem, "write the hospitals' numbers: issuers = [0, 2]"));
    };
    if entries.len() > MAX_POLICY_LIST as usize {
        let problem = format!("has {} issuers", entries.len());
        return Err(Objection::new(problem, format!("name at most {MAX_POLICY_LIST}")));
    }
    let hospitals: Result<Vec<_>, _> =
        entries.iter().map(|entry| hospital(entry.get_ref())).collect();
    Ok(PolicyList::truncate_from(hospitals?))
}

fn at_least(value: &DeValue<'_>) -> Result<u8, Objection> {
    number(value).and_then(|number| u8::try_from(number).ok()).ok_or_else(|| {
        Objection::new(
            format!("has {} as at-least, which is not a number of issuers", numeral(value)),
            "write how many of the issuers must confirm the attribute: at-least = 1",
        )
    })
}

fn number(value: &DeValue<'_>) -> Option<u16> {
    let integer = value.as_integer()?;
    u16::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// What stands where a number is expected.
fn numeral(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(integer) => shown(integer.as_str()),
        other => kind(other).to_owned(),
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
