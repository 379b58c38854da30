//! How values are written for people: names that others chose, words of enums, moments, numbers of things.

use std::fmt;

pub use epione_policies::language::sentence::moment;
use epione_primitives::release::SectionSet;
pub use epione_primitives::text::{controls, legible};
use serde::Serialize;

/// JSON in which the characters that control a terminal or the direction of reading are escaped. They occur only within
/// strings, so that the value stays the same.
pub fn escaped(json: &str) -> String {
    let hidden = |c: char| c != '\n' && controls(c);
    if !json.contains(hidden) {
        return json.into();
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped += &format!("\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Text of several lines for a terminal, in which someone else's words may be: like [`legible`], but lines and columns
/// stay.
pub fn printable(text: &str) -> String {
    let hidden = |c: char| !matches!(c, '\n' | '\t') && controls(c);
    text.chars().map(|c| if hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A plain enum's value as its JSON spells it, with spaces.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text.replace('-', " "),
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// A number of things: `1 record`, `2 records`.
pub fn counted<N: fmt::Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}

/// The numbers of sections: `0,2`.
pub fn numbers(sections: SectionSet) -> String {
    let numbers: Vec<_> = sections.iter().map(|section| section.to_string()).collect();
    numbers.join(",")
}

/// Sections by their numbers: `section 2`, `sections 0,2`.
pub fn sections(sections: SectionSet) -> String {
    let noun = if sections.iter().count() == 1 { "section" } else { "sections" };
    format!("{noun} {}", numbers(sections))
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
    fn no_control_of_a_strangers_name_reaches_the_terminal() {
        let result = "Ada\x1b]0;x\x07\n\tBob\u{202e}\r\u{9b}31m हिन्दी\n";
        assert_eq!(
            printable(result),
            "Ada\u{fffd}]0;x\u{fffd}\n\tBob\u{fffd}\u{fffd}\u{fffd}31m हिन्दी\n"
        );
    }

    #[test]
    fn json_with_hidden_characters_escaped_is_the_same_value() {
        let value = serde_json::json!({ "a\u{202e}": ["x\u{7f}\u{9b}31m\n", "\u{e0001}", "胸部"] });
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let escaped = escaped(&json);
            assert!(!escaped.contains(|c: char| c != '\n' && controls(c)), "{escaped:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        }
    }

    #[test]
    fn one_is_singular_and_any_other_number_is_plural() {
        let records = |number: u32| counted(number, "record", "records");
        assert_eq!([0, 1, 2].map(records), ["0 records", "1 record", "2 records"]);
        assert_eq!(bytes_column(1).len(), bytes_column(1_000_000).len());
    }
}
