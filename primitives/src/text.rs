//! Bytes of UTF-8 as JSON text. The chain checks names and URLs when it stores them. Should it contain
//! other bytes anyway, a reply shows replacement characters instead of them.

use alloc::{string::String, vec::Vec};
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
