//! Finds the beginning and end of a frame's codestream from its markers, without decoding it. Each scanner reads the
//! bytes of one frame in pieces of any length, and keeps a few bytes of state.

mod jpeg;
mod jpeg2000;
mod rle;

pub(super) use rle::Segments;

use super::{pixels::Image, syntax::Compression};

/// What the bytes of a frame are so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There are none.
    Unstarted,
    /// The beginning of a codestream; any bytes if its end is not marked.
    Inside,
    /// A complete codestream, and padding.
    Ended,
    /// A complete codestream, or one in which another begins, followed by other bytes.
    Beyond,
    /// Not such a codestream.
    Wrong,
}

/// Reads the codestream of one frame.
pub(super) struct Scanner {
    state: State,
    kind: Kind,
}

enum Kind {
    Jpeg(jpeg::Jpeg),
    Jpeg2000(jpeg2000::Jpeg2000),
    Rle(rle::Rle),
    /// Number of bytes that are still to come.
    Length(u64),
    Unmarked,
}

impl Scanner {
    pub(super) fn new(compression: Compression, image: &Image) -> Self {
        let kind = match compression {
            Compression::Jpeg => Kind::Jpeg(jpeg::Jpeg::new(false)),
            Compression::JpegLs => Kind::Jpeg(jpeg::Jpeg::new(true)),
            Compression::Jpeg2000 => Kind::Jpeg2000(jpeg2000::Jpeg2000::default()),
            Compression::Rle => Kind::Rle(rle::Rle::new(image.segments())),
            Compression::Uncompressed => {
                image.frame_bits().map_or(Kind::Unmarked, |bits| Kind::Length(bits.div_ceil(8)))
            }
            Compression::Unmarked => Kind::Unmarked,
        };
        Self { state: State::Unstarted, kind }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Whether the end of a frame can be found.
    pub(super) fn marks_ends(&self) -> bool {
        !matches!(self.kind, Kind::Unmarked)
    }

    /// Reads the next bytes.
    pub(super) fn show(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.state {
                State::Unstarted | State::Inside => {
                    let taken = match &mut self.kind {
                        Kind::Jpeg(jpeg) => jpeg.show(bytes),
                        Kind::Jpeg2000(jpeg2000) => jpeg2000.show(bytes),
                        Kind::Rle(rle) => rle.show(bytes),
                        Kind::Length(left) => counted(left, bytes),
                        Kind::Unmarked => (bytes.len(), State::Inside),
                    };
                    self.state = taken.1;
                    bytes = &bytes[taken.0..];
                }
                State::Ended => {
                    // A codestream of odd length is padded with a zero byte; some writers pad more, or with bytes of
                    // ones.
                    if bytes.iter().any(|byte| !matches!(byte, 0 | 0xff)) {
                        self.state = State::Beyond;
                    }
                    return;
                }
                State::Beyond | State::Wrong => return,
            }
        }
    }
}

/// Skips bytes of a known number.
fn counted(left: &mut u64, bytes: &[u8]) -> (usize, State) {
    let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= taken as u64;
    (taken, if *left == 0 { State::Ended } else { State::Inside })
}

#[cfg(test)]
mod tests;
