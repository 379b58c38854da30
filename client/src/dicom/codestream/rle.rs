//! DICOM's run-length encoding (PS3.5, annex G): a header of 64 bytes with the offsets of segments, each of which
//! decodes to as many bytes as there are pixels. The end is found by counting, although nothing marks it.

use super::State;

const HEADER_BYTES: usize = 64;
/// A run with this length byte has no effect.
const NO_RUN: u8 = 128;

/// The number of segments of a frame, and the number of bytes to which each decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dicom) struct Segments {
    /// 1 to 15.
    pub(in crate::dicom) count: u32,
    pub(in crate::dicom) pixels: u64,
}

pub(super) struct Rle {
    /// None if the data set does not determine them.
    expected: Option<Segments>,
    header: Vec<u8>,
    /// Number of bytes of the frame so far.
    position: u64,
    /// Number of segments that have ended.
    segments: u32,
    /// Number of decoded bytes of the present segment.
    decoded: u64,
    /// Number of bytes to skip first: the values of a run, or padding.
    left: u64,
}

impl Rle {
    pub(super) fn new(expected: Option<Segments>) -> Self {
        let header = Vec::with_capacity(HEADER_BYTES);
        Self { expected, header, position: 0, segments: 0, decoded: 0, left: 0 }
    }

    /// Reads bytes up to the end of the last segment; returns their number and the state after them.
    pub(super) fn show(&mut self, bytes: &[u8]) -> (usize, State) {
        let Some(expected) = self.expected else { return (bytes.len(), State::Wrong) };
        let mut taken = 0;
        while let Some(byte) = bytes.get(taken).copied() {
            let here = match self.left {
                0 => 1,
                left => usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - taken),
            };
            taken += here;
            self.position += here as u64;
            match self.left {
                0 => self.step(byte),
                _ => self.left -= here as u64,
            }
            let state = self.state(expected);
            if state != State::Inside {
                return (taken, state);
            }
        }
        (taken, State::Inside)
    }

    fn step(&mut self, byte: u8) {
        if self.header.len() < HEADER_BYTES {
            return self.header.push(byte);
        }
        (self.left, self.decoded) = match byte {
            NO_RUN => (0, self.decoded),
            ..NO_RUN => (u64::from(byte) + 1, self.decoded + u64::from(byte) + 1),
            _ => (1, self.decoded + 257 - u64::from(byte)),
        };
    }

    /// Begins the next segment if one ends.
    fn state(&mut self, expected: Segments) -> State {
        if self.position == HEADER_BYTES as u64
            && (self.number(0) != expected.count || self.number(1) != HEADER_BYTES as u32)
        {
            return State::Wrong;
        }
        if self.left > 0 || self.decoded < expected.pixels {
            return State::Inside;
        }
        self.segments += 1;
        if self.decoded > expected.pixels {
            return State::Wrong;
        }
        if self.segments == expected.count {
            return State::Ended;
        }
        self.decoded = 0;
        let begins = u64::from(self.number(self.segments as usize + 1));
        match begins.checked_sub(self.position) {
            Some(padding) => {
                self.left = padding;
                State::Inside
            }
            None => State::Wrong,
        }
    }

    /// A number of the header: the number of segments, then their offsets. 0 beyond its end.
    fn number(&self, index: usize) -> u32 {
        let (numbers, _) = self.header.as_chunks();
        numbers.get(index).copied().map_or(0, u32::from_le_bytes)
    }
}
