//! JPEG (ISO/IEC 10918-1, annex B) and JPEG-LS (14495-1, annex C): the markers are the same, the bytes after `FF`
//! within coded data differ.

use super::State;

const FIRST_OF_ALL: u8 = 0xd8;
const LAST_OF_ALL: u8 = 0xd9;
const SCAN: u8 = 0xda;

pub(super) struct Jpeg {
    /// After an `FF` in coded data, JPEG-LS stuffs a bit, and JPEG a byte.
    stuffs_bits: bool,
    at: At,
}

#[derive(Clone, Copy)]
enum At {
    /// The first byte, and the second.
    Start,
    Started,
    /// The `FF` of a marker.
    Marker,
    /// The byte after it, which may be another `FF` as padding.
    Code,
    /// The two bytes of a segment's length, and its content, in which markers, such as those of a thumbnail, do not
    /// count.
    LengthHigh {
        scan: bool,
    },
    LengthLow {
        scan: bool,
        high: u8,
    },
    Segment {
        scan: bool,
        left: u16,
    },
    /// Coded data, and the byte after an `FF` within it.
    Coded,
    CodedEscape,
}

impl Jpeg {
    pub(super) fn new(stuffs_bits: bool) -> Self {
        Self { stuffs_bits, at: At::Start }
    }

    /// Reads bytes up to the end of the codestream; returns their number and the state after them.
    pub(super) fn show(&mut self, bytes: &[u8]) -> (usize, State) {
        let mut taken = 0;
        while let Some(byte) = bytes.get(taken).copied() {
            let rest = &bytes[taken..];
            match self.at {
                At::Coded => {
                    let coded = rest.iter().position(|byte| *byte == 0xff);
                    taken += coded.map_or(rest.len(), |coded| coded + 1);
                    if coded.is_some() {
                        self.at = At::CodedEscape;
                    }
                    continue;
                }
                At::Segment { scan, left } => {
                    let here = rest.len().min(left.into());
                    taken += here;
                    self.at = Self::in_segment(scan, left - here as u16);
                    continue;
                }
                _ => taken += 1,
            }
            match self.step(byte) {
                Ok(at) => self.at = at,
                Err(end) => return (taken, end),
            }
        }
        (taken, State::Inside)
    }

    fn step(&self, byte: u8) -> Result<At, State> {
        match (self.at, byte) {
            (At::Start, 0xff) => Ok(At::Started),
            (At::Started, FIRST_OF_ALL) => Ok(At::Marker),
            (At::Marker | At::Code, 0xff) => Ok(At::Code),
            (At::Code, code) => Self::marker(code),
            (At::LengthHigh { scan }, high) => Ok(At::LengthLow { scan, high }),
            (At::LengthLow { scan, high }, low) => {
                let left = u16::from_be_bytes([high, low]).checked_sub(2).ok_or(State::Wrong)?;
                Ok(Self::in_segment(scan, left))
            }
            (At::CodedEscape, 0xff) => Ok(At::CodedEscape),
            (At::CodedEscape, 0xd0..=0xd7) => Ok(At::Coded),
            // A stuffed byte; in JPEG-LS, a stuffed bit.
            (At::CodedEscape, 0) => Ok(At::Coded),
            (At::CodedEscape, ..0x80) if self.stuffs_bits => Ok(At::Coded),
            (At::CodedEscape, code) => Self::marker(code),
            _ => Err(State::Wrong),
        }
    }

    fn marker(code: u8) -> Result<At, State> {
        match code {
            LAST_OF_ALL => Err(State::Ended),
            FIRST_OF_ALL => Err(State::Beyond),
            // Without a segment.
            0x01 | 0xd0..=0xd7 => Ok(At::Marker),
            ..0xc0 => Err(State::Wrong),
            code => Ok(At::LengthHigh { scan: code == SCAN }),
        }
    }

    fn in_segment(scan: bool, left: u16) -> At {
        match left {
            0 if scan => At::Coded,
            0 => At::Marker,
            left => At::Segment { scan, left },
        }
    }
}
