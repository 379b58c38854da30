//! JPEG 2000 (ISO/IEC 15444-1, annex A), also high throughput (15444-15): marker segments, and tile-parts that state
//! their length.

use super::State;

const CODESTREAM: u8 = 0x4f;
const TILE_PART: u8 = 0x90;
const PACKET: u8 = 0x91;
const DATA: u8 = 0x93;
const END: u8 = 0xd9;
/// Bytes of a tile-part's first marker segment, including the marker.
const TILE_PART_BYTES: u32 = 12;

#[derive(Default)]
pub(super) struct Jpeg2000 {
    at: At,
    /// Number of bytes to skip first.
    left: u32,
    /// Whether the last tile-part has begun, which extends to the end of the codestream.
    last: bool,
}

#[derive(Clone, Copy, Default)]
enum At {
    /// The first byte, and the second.
    #[default]
    Start,
    Started,
    /// The `FF` of a marker, and the byte after it.
    Marker,
    Code,
    /// The two bytes of a segment's length.
    LengthHigh,
    LengthLow {
        high: u8,
    },
    /// Within a tile-part's first segment: number of bytes so far, and the tile-part's length as far as it was read.
    TilePart {
        taken: u8,
        length: u32,
    },
    /// Coded data of the last tile-part, and the byte after an `FF` within it.
    Coded,
    CodedEscape,
}

impl Jpeg2000 {
    /// Reads bytes up to the end of the codestream; returns their number and the state after them.
    pub(super) fn show(&mut self, bytes: &[u8]) -> (usize, State) {
        let mut taken = 0;
        while let Some(byte) = bytes.get(taken).copied() {
            let rest = &bytes[taken..];
            if self.left > 0 {
                let here = rest.len().min(self.left as usize);
                self.left -= here as u32;
                taken += here;
                continue;
            }
            if let At::Coded = self.at {
                let coded = rest.iter().position(|byte| *byte == 0xff);
                taken += coded.map_or(rest.len(), |coded| coded + 1);
                if coded.is_some() {
                    self.at = At::CodedEscape;
                }
                continue;
            }
            taken += 1;
            match self.step(byte) {
                Ok(at) => self.at = at,
                Err(end) => return (taken, end),
            }
        }
        (taken, State::Inside)
    }

    fn step(&mut self, byte: u8) -> Result<At, State> {
        match (self.at, byte) {
            (At::Start, 0xff) => Ok(At::Started),
            (At::Started, CODESTREAM) => Ok(At::Marker),
            (At::Marker, 0xff) => Ok(At::Code),
            (At::Code, code) => self.marker(code),
            (At::LengthHigh, high) => Ok(At::LengthLow { high }),
            (At::LengthLow { high }, low) => {
                let length = u16::from_be_bytes([high, low]).checked_sub(2).ok_or(State::Wrong)?;
                self.left = length.into();
                Ok(At::Marker)
            }
            (At::TilePart { taken, length }, byte) => self.tile_part(taken, length, byte),
            (At::CodedEscape, 0xff) => Ok(At::CodedEscape),
            (At::CodedEscape, END) => Err(State::Ended),
            (At::CodedEscape, PACKET) => {
                self.left = 4;
                Ok(At::Coded)
            }
            (At::CodedEscape, _) => Ok(At::Coded),
            _ => Err(State::Wrong),
        }
    }

    fn marker(&mut self, code: u8) -> Result<At, State> {
        match code {
            END if !self.last => Err(State::Ended),
            CODESTREAM => Err(State::Beyond),
            TILE_PART if !self.last => Ok(At::TilePart { taken: 0, length: 0 }),
            DATA if self.last => Ok(At::Coded),
            // Without a segment.
            0x30..=0x3f => Ok(At::Marker),
            0x50..=0x8f => Ok(At::LengthHigh),
            _ => Err(State::Wrong),
        }
    }

    /// The fields: length of the segment, tile, **length of the tile-part** from its marker on, number, count.
    fn tile_part(&mut self, taken: u8, length: u32, byte: u8) -> Result<At, State> {
        match (taken, byte) {
            (0, 0) | (1, 10) | (2 | 3, _) | (8, _) => Ok(At::TilePart { taken: taken + 1, length }),
            (4..=7, byte) => {
                Ok(At::TilePart { taken: taken + 1, length: (length << 8) | u32::from(byte) })
            }
            (9, _) => {
                self.last = length == 0;
                if !self.last {
                    self.left = length.checked_sub(TILE_PART_BYTES).ok_or(State::Wrong)?;
                }
                Ok(At::Marker)
            }
            _ => Err(State::Wrong),
        }
    }
}
