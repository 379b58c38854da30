//! The extrinsics of a block in a node's JSON. Nodes with opaque blocks write hexadecimal digits, other nodes a list of
//! numbers. They are read directly into bytes, within the bounds of a block: a lying node's message of 32 MiB would
//! otherwise become a tree of values of half a gigabyte.

use std::fmt;

use epione_primitives::limits::BLOCK_BYTES;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, SeqAccess, Visitor},
};

/// Maximum bytes of all extrinsics of a block.
const MAX_BYTES: usize = BLOCK_BYTES as usize;
/// Maximum number of extrinsics of a block. All but a few have a signature of at least 64 bytes.
const MAX_EXTRINSICS: usize = MAX_BYTES / 64;
const TOO_LARGE: &str = "the extrinsics are larger than a block may be";

/// Encoded extrinsics, in their order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extrinsics(pub Vec<Vec<u8>>);

impl<'de> Deserialize<'de> for Extrinsics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(All)
    }
}

struct All;

impl<'de> Visitor<'de> for All {
    type Value = Extrinsics;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of extrinsics")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Extrinsics, A::Error> {
        let (mut read, mut left) = (Vec::new(), MAX_BYTES);
        while let Some(bytes) = list.next_element_seed(AtMost(left))? {
            if read.len() == MAX_EXTRINSICS {
                return Err(A::Error::custom(TOO_LARGE));
            }
            left = left.saturating_sub(bytes.len());
            read.push(bytes);
        }
        Ok(Extrinsics(read))
    }
}

/// One extrinsic, of at most this many bytes.
struct AtMost(usize);

impl<'de> DeserializeSeed<'de> for AtMost {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AtMost {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an extrinsic, in hexadecimal digits after 0x or as a list of bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        let digits = text.strip_prefix("0x").ok_or_else(|| E::custom("0x is missing"))?;
        if digits.len() / 2 > self.0 {
            return Err(E::custom(TOO_LARGE));
        }
        hex::decode(digits).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            if bytes.len() == self.0 {
                return Err(A::Error::custom(TOO_LARGE));
            }
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(json: &str) -> Result<Vec<Vec<u8>>, String> {
        let read = serde_json::from_str::<Extrinsics>(json);
        read.map(|Extrinsics(extrinsics)| extrinsics).map_err(|error| error.to_string())
    }

    #[test]
    fn extrinsics_are_read_as_digits_and_as_numbers() {
        let both = read(r#"["0x00ff", [1, 255], [], "0x"]"#).unwrap();
        assert_eq!(both, [vec![0_u8, 255], vec![1, 255], vec![], vec![]]);
        assert_eq!(read("[]").unwrap(), Vec::<Vec<u8>>::new());
        for wrong in [r#"["00"]"#, r#"["0x0"]"#, r#"["0xgg"]"#, "[[256]]", "[[-1]]", "[1]", "{}"] {
            read(wrong).unwrap_err();
        }
    }

    /// This many bytes in JSON, as digits and as numbers.
    fn bytes(count: usize) -> [String; 2] {
        let mut numbers = "0,".repeat(count);
        numbers.pop();
        [format!("\"0x{}\"", "00".repeat(count)), format!("[{numbers}]")]
    }

    #[test]
    fn more_bytes_than_a_block_may_have_are_refused() {
        for (whole, more) in bytes(MAX_BYTES).iter().zip(bytes(MAX_BYTES + 1)) {
            assert_eq!(read(&format!("[{whole}]")).unwrap()[0].len(), MAX_BYTES);
            assert!(read(&format!("[{more}]")).unwrap_err().contains(TOO_LARGE));
            // Together.
            assert!(read(&format!("[{whole},[0]]")).unwrap_err().contains(TOO_LARGE));
        }
    }

    #[test]
    fn more_extrinsics_than_a_block_may_have_are_refused() {
        let empty = |count| format!("[{}[]]", "[],".repeat(count - 1));
        assert_eq!(read(&empty(MAX_EXTRINSICS)).unwrap().len(), MAX_EXTRINSICS);
        assert!(read(&empty(MAX_EXTRINSICS + 1)).unwrap_err().contains(TOO_LARGE));
    }
}
