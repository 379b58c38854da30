//! How values are written for people: names that others chose, words of enums, moments, numbers of things.

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use epione_primitives::Moment;
use serde::Serialize;

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

/// A number of things: `1 record`, `2 records`.
pub fn counted<N: fmt::Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}

/// A number of bytes, as wide as the others in its column.
pub fn bytes_column(bytes: u64) -> String {
    format!("{bytes:>10} {:<5}", if bytes == 1 { "byte" } else { "bytes" })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn one_is_singular_and_any_other_number_is_plural() {
        let records = |number: u32| counted(number, "record", "records");
        assert_eq!([0, 1, 2].map(records), ["0 records", "1 record", "2 records"]);
        assert_eq!(bytes_column(1).len(), bytes_column(1_000_000).len());
    }
}
