//! Bytes of UTF-8 as JSON text, and as text that is safe to print. The chain checks names and URLs when it stores
//! them. Should it store other bytes nevertheless, these functions replace what is not UTF-8.

use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

pub fn deserialize<'de, D, B>(deserializer: D) -> Result<B, D::Error>
where
    D: Deserializer<'de>,
    B: TryFrom<Vec<u8>>,
{
    let text = String::deserialize(deserializer)?;
    B::try_from(text.into_bytes()).map_err(|_| D::Error::custom("the text is too long"))
}

/// The same for bytes that may be absent.
pub mod optional {
    use alloc::{string::String, vec::Vec};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<B, S>(bytes: &Option<B>, serializer: S) -> Result<S::Ok, S::Error>
    where
        B: AsRef<[u8]>,
        S: Serializer,
    {
        match bytes {
            Some(bytes) => super::serialize(bytes.as_ref(), serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D, B>(deserializer: D) -> Result<Option<B>, D::Error>
    where
        D: Deserializer<'de>,
        B: TryFrom<Vec<u8>>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| B::try_from(text.into_bytes()))
            .transpose()
            .map_err(|_| D::Error::custom("the text is too long"))
    }
}

/// Text that someone else wrote, on one line and safe to print: characters that control a terminal or the direction
/// of reading are replaced.
pub fn legible(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains(controls) {
        return text.into_owned();
    }
    text.chars().map(|c| if controls(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The same in quotation marks, for a sentence: whoever chose the name cannot end it, and go on with the sentence.
pub fn quoted(bytes: &[u8]) -> String {
    let name = legible(bytes).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{name}\"")
}

/// Whether a character is a control, or invisible and changes how others are shown. U+200C and U+200D are not among
/// them: Persian and the scripts of India need them within words.
pub fn controls(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}
