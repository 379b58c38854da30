//! Finds the frames in pixel data.

use std::io::BufRead;

use epione_envelope::frames::{Frames, MAX_LISTED_FRAMES, NoFrames};

use super::{
    codestream::Segments,
    elements::{Element, Elements, Stop},
    fragments,
    syntax::Syntax,
};

/// The description of pixel data, which precedes them in a data set.
#[derive(Default)]
pub(super) struct Image {
    pub(super) samples: u16,
    pub(super) photometric: String,
    /// The stated number of frames; none or 0 for a single image.
    pub(super) frames: Option<u32>,
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) bits: u16,
    /// The extended offset table: the offsets of the frames, and their lengths in bytes.
    pub(super) offsets: Table,
    pub(super) sizes: Table,
}

/// A list with a number for each frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Table {
    #[default]
    Absent,
    /// The number of entries is not the number of frames.
    Unfit,
    Fit(Vec<u64>),
}

/// The type of a sample of pixel data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    Integer,
    /// With this number of bits.
    Float(u16),
}

impl Image {
    /// Number of frames that the file states: at least 1, since there are pixel data.
    pub(super) fn stated(&self) -> u32 {
        self.frames.unwrap_or(1).max(1)
    }

    /// Bits of an uncompressed frame.
    pub(super) fn frame_bits(&self) -> Option<u64> {
        let pixels = u64::from(self.rows) * u64::from(self.columns);
        let samples = match &*self.photometric {
            // Two pixels share their chrominance (PS3.3, C.7.6.3.1.2).
            "YBR_FULL_422" | "YBR_PARTIAL_422" if self.columns.is_multiple_of(2) => 2,
            "YBR_FULL_422" | "YBR_PARTIAL_422" => return None,
            _ => u64::from(self.samples),
        };
        let packed = self.bits == 1 || self.bits.is_multiple_of(8);
        let bits = pixels.checked_mul(samples)?.checked_mul(self.bits.into())?;
        (packed && bits > 0).then_some(bits)
    }

    /// The segments of a run-length encoded frame: one for each byte of each sample.
    pub(super) fn segments(&self) -> Option<Segments> {
        let pixels = u64::from(self.rows) * u64::from(self.columns);
        let count = u32::from(self.samples) * u32::from(self.bits / 8);
        let right = pixels > 0 && self.bits.is_multiple_of(8) && (1..=15).contains(&count);
        right.then_some(Segments { count, pixels })
    }
}

/// Finds the frames of pixel data, whose value is next.
pub(super) fn frames<R: BufRead>(
    elements: &mut Elements<R>,
    element: &Element,
    sample: Sample,
    syntax: Syntax,
    image: &Image,
) -> Result<Frames, Stop> {
    if matches!(sample, Sample::Float(bits) if image.bits != bits) {
        return Err(NoFrames::Geometry.into());
    }
    match (syntax.compression, element.length) {
        (Some(compression), None) if sample == Sample::Integer => {
            fragments::frames(elements, compression, image)
        }
        (None, Some(length)) => {
            let big_endian_words = syntax.coding.big_endian && element.words;
            native(elements, length.into(), big_endian_words, image)
        }
        _ => Err(NoFrames::Encapsulation.into()),
    }
}

/// The value must have the length that the description of the image implies; otherwise the position of a frame would be
/// wrong. If the file ends within the value, the frames before that are complete.
fn native<R: BufRead>(
    elements: &mut Elements<R>,
    length: u64,
    big_endian_words: bool,
    image: &Image,
) -> Result<Frames, Stop> {
    let (first, stated) = (elements.position(), image.stated());
    let bits = image.frame_bits().ok_or(NoFrames::Geometry)?;
    let all = bits.checked_mul(stated.into()).ok_or(NoFrames::Length)?.div_ceil(8);
    if length != all && length != all.next_multiple_of(2) {
        return Err(NoFrames::Length.into());
    }
    if big_endian_words && !bits.is_multiple_of(16) {
        return Err(NoFrames::SharedWords.into());
    }
    let there = elements.show(all, |_| {})?;
    let whole = if there == all { u64::from(stated) } else { there.saturating_mul(8) / bits };
    let count = u32::try_from(whole).unwrap_or(stated).min(stated);
    if count == 0 {
        return Err(NoFrames::Cut.into());
    }
    Ok(Frames::Native { first, bits, count, stated })
}

/// One of the two elements of an extended offset table (PS3.3, C.7.6.3.1.8).
pub(super) fn extended_table<R: BufRead>(
    elements: &mut Elements<R>,
    element: &Element,
    stated: u32,
) -> Result<Table, Stop> {
    match element.length {
        Some(length) if length > 0 && stated <= MAX_LISTED_FRAMES && length == stated * 8 => {
            let bytes = elements.bytes(length as usize)?;
            let (numbers, _) = bytes.as_chunks();
            Ok(Table::Fit(numbers.iter().copied().map(u64::from_le_bytes).collect()))
        }
        length => {
            elements.pass_over(element)?;
            Ok(if length == Some(0) { Table::Absent } else { Table::Unfit })
        }
    }
}
