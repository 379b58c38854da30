//! The messages between hospitals' workers, except the segments themselves. Clients do not need them, so they are not
//! in `epione_client::api`.

use epione_primitives::block::Segment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Segments that one request may name.
pub const MAX_NAMED: usize = 1_024;
/// Bytes of the longest request: every segment with its hash, its length and the JSON around them.
pub const MAX_REQUEST_BYTES: usize = 128 * MAX_NAMED;
/// Bytes of the longest response.
pub const MAX_ANSWER_BYTES: usize = 1_024;

/// Segments, to learn which of them a hospital stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldRequest {
    /// The BLAKE3 hash of each, in hexadecimal. At most 1,024.
    pub segments: Vec<String>,
}

/// The segments that a hospital stores and has verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldAnswer {
    /// One bit for each segment in the order of the request, the lowest bit of each byte first. The bytes are in
    /// hexadecimal.
    pub held: String,
    /// Whether the hospital's worker is in maintenance mode: it still serves segments, but others should be asked
    /// first. Absent: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
}

/// Whether the worker that was asked could connect to the worker of the calling hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReachReply {
    /// It connected to the address that the chain names, the server proved the TLS key that the chain names, and said
    /// that it is the hospital's worker. False for every other reason: why is not said, so that nobody learns which
    /// ports of the asked hospital's network are open.
    pub reached: bool,
}

/// Segments of a block that the calling hospital will announce soon, so that other hospitals can fetch them now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferRequest {
    /// In the order of the lite block that will contain them. At most 1,024.
    pub segments: Vec<OfferedSegment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferedSegment {
    /// The BLAKE3 hash, in hexadecimal.
    pub hash: String,
    /// In bytes, at most 4 MiB.
    pub length: u32,
}

/// Why a list of segments is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    #[error("it must name 1 to {MAX_NAMED} segments")]
    Count,
    #[error("the name of a segment must have 64 hexadecimal digits")]
    Name,
    #[error("the length of a segment must be from one byte to 4 MiB")]
    Length,
    #[error("it must name each segment only once")]
    Repeated,
}

fn checked_count(count: usize) -> Result<(), ListError> {
    if (1..=MAX_NAMED).contains(&count) { Ok(()) } else { Err(ListError::Count) }
}

fn parse_hash(text: &str) -> Result<[u8; 32], ListError> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).map_err(|_| ListError::Name)?;
    Ok(hash)
}

impl HeldRequest {
    pub fn new<'a>(hashes: impl IntoIterator<Item = &'a [u8; 32]>) -> Self {
        Self { segments: hashes.into_iter().map(hex::encode).collect() }
    }

    pub fn hashes(&self) -> Result<Vec<[u8; 32]>, ListError> {
        checked_count(self.segments.len())?;
        self.segments.iter().map(|text| parse_hash(text)).collect()
    }
}

impl HeldAnswer {
    pub fn new(held: &[bool]) -> Self {
        let mut bytes = vec![0_u8; held.len().div_ceil(8)];
        for (index, _) in held.iter().enumerate().filter(|(_, held)| **held) {
            bytes[index / 8] |= 1 << (index % 8);
        }
        Self { held: hex::encode(bytes), maintenance: false }
    }

    /// The same answer of a worker that may be in maintenance mode.
    #[must_use]
    pub fn in_maintenance(self, maintenance: bool) -> Self {
        Self { maintenance, ..self }
    }

    /// The bits for a number of segments; none if the answer has another number.
    pub fn bits(&self, count: usize) -> Option<Vec<bool>> {
        let bytes = hex::decode(&self.held).ok()?;
        let fits = bytes.len() == count.div_ceil(8);
        fits.then(|| (0..count).map(|index| bytes[index / 8] & (1 << (index % 8)) != 0).collect())
    }
}

impl OfferRequest {
    pub fn new(segments: &[Segment]) -> Self {
        let offered = segments.iter().map(|segment| OfferedSegment {
            hash: hex::encode(segment.hash),
            length: segment.length,
        });
        Self { segments: offered.collect() }
    }

    pub fn parse(&self) -> Result<Vec<Segment>, ListError> {
        checked_count(self.segments.len())?;
        let mut known = std::collections::HashSet::new();
        let parse = |offered: &OfferedSegment| {
            let segment = Segment { hash: parse_hash(&offered.hash)?, length: offered.length };
            if !segment.has_valid_length() {
                return Err(ListError::Length);
            }
            if known.insert(segment.hash) { Ok(segment) } else { Err(ListError::Repeated) }
        };
        self.segments.iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::limits::SEGMENT_BYTES;

    use super::*;

    #[test]
    fn an_answer_names_maintenance_only_while_it_lasts() {
        let answer = HeldAnswer::new(&[true]);
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"held":"01"}"#);
        let busy = answer.clone().in_maintenance(true);
        let text = serde_json::to_string(&busy).unwrap();
        assert_eq!(text, r#"{"held":"01","maintenance":true}"#);
        for it in [answer, busy] {
            let text = serde_json::to_string(&it).unwrap();
            assert_eq!(serde_json::from_str::<HeldAnswer>(&text).unwrap(), it);
        }
    }

    #[test]
    fn bits_survive_encoding_and_decoding() {
        for count in [1, 7, 8, 9, 64, MAX_NAMED] {
            let held: Vec<bool> = (0..count).map(|index| index % 3 == 0).collect();
            let answer = HeldAnswer::new(&held);
            assert_eq!(answer.bits(count), Some(held));
            assert_eq!(answer.bits(count + 8), None);
        }
        assert_eq!(HeldAnswer { held: "zz".into(), maintenance: false }.bits(8), None);
    }

    #[test]
    fn the_names_in_a_request_are_bounded_and_well_formed() {
        let hashes = |count: usize| HeldRequest { segments: vec!["ab".repeat(32); count] };
        assert_eq!(hashes(2).hashes(), Ok(vec![[0xab; 32]; 2]));
        assert_eq!(hashes(0).hashes(), Err(ListError::Count));
        assert_eq!(hashes(MAX_NAMED + 1).hashes(), Err(ListError::Count));
        let short = HeldRequest { segments: vec!["ab".into()] };
        assert_eq!(short.hashes(), Err(ListError::Name));
    }

    #[test]
    fn an_offer_names_each_segment_once_with_a_valid_length() {
        let segment = |seed, length| Segment { hash: [seed; 32], length };
        let offer = |segments: &[Segment]| OfferRequest::new(segments).parse();
        let good = [segment(1, 1), segment(2, SEGMENT_BYTES)];
        assert_eq!(offer(&good), Ok(good.to_vec()));
        assert_eq!(offer(&[]), Err(ListError::Count));
        assert_eq!(offer(&[segment(1, 0)]), Err(ListError::Length));
        assert_eq!(offer(&[segment(1, SEGMENT_BYTES + 1)]), Err(ListError::Length));
        assert_eq!(offer(&[segment(1, 5), segment(1, 6)]), Err(ListError::Repeated));
    }

    #[test]
    fn the_longest_requests_fit_their_bound() {
        let segments: Vec<_> = (0..MAX_NAMED)
            .map(|index| {
                let mut hash = [0xff; 32];
                hash[..8].copy_from_slice(&(index as u64).to_le_bytes());
                Segment { hash, length: SEGMENT_BYTES }
            })
            .collect();
        let offer = serde_json::to_vec(&OfferRequest::new(&segments)).unwrap();
        let held = HeldRequest::new(segments.iter().map(|segment| &segment.hash));
        assert!(offer.len() <= MAX_REQUEST_BYTES, "{}", offer.len());
        assert!(serde_json::to_vec(&held).unwrap().len() <= MAX_REQUEST_BYTES);
        let answer = serde_json::to_vec(&HeldAnswer::new(&[true; MAX_NAMED])).unwrap();
        assert!(answer.len() <= MAX_ANSWER_BYTES);
    }
}
