//! From the fragments of encapsulated pixel data to frames (PS3.5, A.4).
//!
//! A frame begins with a fragment. An offset table says with which one. Without a table the codestreams decide: a frame
//! ends with the fragment in which its codestream ends. A table is accepted only if fragments and codestreams agree
//! with it: each frame must begin with a fragment and with a codestream, and nothing may follow the end of its
//! codestream. If they disagree, it is unknown which is right, so no frame is found. A single frame consists of all
//! fragments.

use std::io::BufRead;

use epione_envelope::frames::{Frames, ITEM_HEADER_BYTES, MAX_LISTED_FRAMES, NoFrames};

use super::{
    codestream::{Scanner, State},
    elements::{Elements, Stop},
    pixels::{Image, Table},
    syntax::Compression,
};

/// Finds the frames of encapsulated pixel data, whose first fragment is next.
pub(super) fn frames<R: BufRead>(
    elements: &mut Elements<R>,
    compression: Compression,
    image: &Image,
) -> Result<Frames, Stop> {
    let stated = image.stated();
    if stated > MAX_LISTED_FRAMES {
        return Err(NoFrames::TooMany.into());
    }
    let table = table(elements, image, stated)?;
    if table.is_none() && !Scanner::new(compression, image).marks_ends() {
        return Err(NoFrames::Unmarked.into());
    }
    let first = elements.position();
    let mut walk = Walk::new(compression, image, table);
    let end = loop {
        let offset = elements.position() - first;
        let length = match elements.fragment() {
            Ok(Some(length)) => length,
            Ok(None) => break End::Delimiter,
            Err(Stop::None(_)) => break End::Missing { at: offset },
            Err(error) => return Err(error),
        };
        walk.begin(offset, length)?;
        let shown = elements.show(length.into(), |bytes| walk.show(bytes))?;
        walk.check()?;
        if shown < u64::from(length) {
            walk.frame = None;
            break End::Missing { at: offset };
        }
    };
    let lengths = walk.end(end)?;
    Ok(Frames::Encapsulated { first, lengths, stated })
}

/// The offset of each frame, counted from the first item after the basic offset table; none without a table, unless
/// there is a single frame.
fn table<R: BufRead>(
    elements: &mut Elements<R>,
    image: &Image,
    stated: u32,
) -> Result<Option<Vec<u64>>, Stop> {
    let basic = match elements.fragment()? {
        Some(0) => None,
        Some(length) if length == stated * 4 => {
            let bytes = elements.bytes(length as usize)?;
            let (offsets, _) = bytes.as_chunks();
            Some(offsets.iter().map(|offset| u32::from_le_bytes(*offset).into()).collect())
        }
        Some(_) => return Err(NoFrames::Table.into()),
        None => return Err(NoFrames::Malformed.into()),
    };
    if image.sizes == Table::Unfit {
        return Err(NoFrames::Table.into());
    }
    match (&image.offsets, basic) {
        (Table::Unfit, _) | (Table::Fit(_), Some(_)) => Err(NoFrames::Table.into()),
        (Table::Fit(extended), None) => Ok(Some(extended.clone())),
        (Table::Absent, None) if stated == 1 => Ok(Some(vec![0])),
        (Table::Absent, basic) => Ok(basic),
    }
}

/// How the fragments end.
enum End {
    Delimiter,
    /// With something else, or the end of the file, at this offset.
    Missing {
        at: u64,
    },
}

/// The frames so far.
struct Walk<'a> {
    compression: Compression,
    image: &'a Image,
    stated: usize,
    table: Option<Vec<u64>>,
    /// Lengths of the complete frames, including item headers.
    lengths: Vec<u32>,
    frame: Option<Frame>,
    /// Whether a fragment without bytes may be a frame.
    gap: bool,
}

/// The frame of the last fragment.
struct Frame {
    /// Bytes of its fragments, without and with item headers.
    payload: u64,
    length: u64,
    scanner: Scanner,
}

impl<'a> Walk<'a> {
    fn new(compression: Compression, image: &'a Image, table: Option<Vec<u64>>) -> Self {
        let stated = image.stated() as usize;
        Self { compression, image, stated, table, lengths: Vec::new(), frame: None, gap: false }
    }

    /// Number of frames that have begun.
    fn begun(&self) -> usize {
        self.lengths.len() + usize::from(self.frame.is_some())
    }

    /// Whether no fragment so far has a byte.
    fn is_empty(&self) -> bool {
        self.lengths.is_empty() && self.frame.as_ref().is_none_or(|frame| frame.payload == 0)
    }

    /// Offset of the next frame, if a table says so.
    fn next(&self) -> Option<u64> {
        self.table.as_ref()?.get(self.begun()).copied()
    }

    fn state(&self) -> State {
        self.frame.as_ref().map_or(State::Ended, |frame| frame.scanner.state())
    }

    /// Begins a fragment.
    fn begin(&mut self, offset: u64, length: u32) -> Result<(), NoFrames> {
        let begins = match &self.table {
            Some(_) => self.next() == Some(offset),
            None => self.state() == State::Ended,
        };
        if begins {
            if self.state() == State::Unstarted {
                return Err(NoFrames::Codestream);
            }
            self.push()?;
            if self.lengths.len() == self.stated {
                return Err(NoFrames::Count);
            }
            let scanner = Scanner::new(self.compression, self.image);
            self.frame = Some(Frame { payload: 0, length: 0, scanner });
        }
        let item = u64::from(length) + u64::from(ITEM_HEADER_BYTES);
        if self.next().is_some_and(|next| next < offset + item) {
            return Err(NoFrames::Table);
        }
        let Some(frame) = &mut self.frame else { return Err(NoFrames::Table) };
        if frame.length > 0 && frame.payload == 0 && length > 0 {
            self.gap = true;
        }
        frame.payload += u64::from(length);
        frame.length += item;
        Ok(())
    }

    fn show(&mut self, bytes: &[u8]) {
        if let Some(frame) = &mut self.frame {
            frame.scanner.show(bytes);
        }
    }

    /// Checks that the bytes so far can belong to a frame.
    fn check(&self) -> Result<(), NoFrames> {
        match self.state() {
            State::Beyond if self.stated == 1 => Err(NoFrames::Count),
            State::Beyond if self.table.is_some() => Err(NoFrames::Table),
            State::Beyond => Err(NoFrames::Codestream),
            // All bytes belong to the single frame, whatever they are.
            State::Wrong if self.stated == 1 => Ok(()),
            State::Wrong if self.table.is_some() && !self.lengths.is_empty() => {
                Err(NoFrames::Table)
            }
            State::Wrong => Err(NoFrames::Codestream),
            State::Unstarted | State::Inside | State::Ended => Ok(()),
        }
    }

    /// Adds the last frame to the complete ones.
    fn push(&mut self) -> Result<(), NoFrames> {
        let Some(frame) = self.frame.take() else { return Ok(()) };
        if let Table::Fit(sizes) = &self.image.sizes {
            let size = sizes.get(self.lengths.len()).copied().unwrap_or_default();
            if frame.payload != size && frame.payload != size.saturating_add(size % 2) {
                return Err(NoFrames::Table);
            }
        }
        self.lengths.push(u32::try_from(frame.length).map_err(|_| NoFrames::Malformed)?);
        Ok(())
    }

    /// The lengths of all complete frames: as many as the file states, or fewer if fragments are missing at its end.
    fn end(mut self, end: End) -> Result<Vec<u32>, NoFrames> {
        if matches!(end, End::Delimiter) && self.is_empty() {
            return Err(NoFrames::NoPixels);
        }
        let begun = self.begun();
        let all = begun == self.stated;
        let is_whole = match (self.state(), &end) {
            (State::Unstarted, _) => false,
            (State::Ended, _) => true,
            (_, End::Delimiter) => self.table.is_some() && all,
            (_, End::Missing { at }) => self.next() == Some(*at),
        };
        if is_whole {
            self.push()?;
        }
        let short = match end {
            End::Missing { .. } => true,
            End::Delimiter if self.table.is_some() && !all => return Err(NoFrames::Table),
            End::Delimiter => all && !is_whole,
        };
        let found = self.lengths.len();
        if found < self.stated && self.table.is_none() && (self.gap || !short) {
            return Err(NoFrames::Count);
        }
        if found == 0 { Err(NoFrames::Cut) } else { Ok(self.lengths) }
    }
}
