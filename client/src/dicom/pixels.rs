//! From pixel data to the frames in it.

use std::io::BufRead;

use epione_envelope::frames::{FrameIndex, ITEM_HEADER_BYTES, MAX_LISTED_FRAMES};

use super::elements::{Element, Elements, Stop, Syntax};

/// What a data set says of its pixel data before they come.
#[derive(Default)]
pub(super) struct Image {
    pub(super) samples: u16,
    pub(super) photometric: String,
    pub(super) frames: Option<u32>,
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) bits: u16,
    /// The extended offset table.
    pub(super) offsets: Option<Vec<u64>>,
}

impl Image {
    /// Bytes of a native frame, if they are whole bytes.
    fn frame_bytes(&self) -> Option<u64> {
        let pixels = u64::from(self.rows) * u64::from(self.columns);
        // Two pixels share their chrominance (PS3.3, C.7.6.3.1.2).
        let samples = if self.photometric == "YBR_FULL_422" { 2 } else { u64::from(self.samples) };
        let bits = pixels.checked_mul(samples)?.checked_mul(self.bits.into())?;
        (bits > 0 && bits.is_multiple_of(8)).then_some(bits / 8)
    }
}

/// Finds the frames of pixel data whose value begins here.
pub(super) fn index<R: BufRead>(
    elements: &mut Elements<R>,
    length: Option<u32>,
    syntax: Syntax,
    image: &Image,
) -> Result<FrameIndex, Stop> {
    let count = image.frames.filter(|count| *count > 0).ok_or(Stop::NotUnderstood)?;
    match (syntax, length) {
        (Syntax::Encapsulated, None) => encapsulated(elements, count, image.offsets.as_deref()),
        (Syntax::Explicit | Syntax::Implicit, Some(length)) => {
            let first = elements.position();
            let frame = image.frame_bytes().ok_or(Stop::NotUnderstood)?;
            let all = frame.checked_mul(count.into()).ok_or(Stop::NotUnderstood)?;
            // An odd number of bytes is padded.
            if all + all % 2 != u64::from(length) {
                return Err(Stop::NotUnderstood);
            }
            let length = u32::try_from(frame).map_err(|_| Stop::NotUnderstood)?;
            elements.skip(all)?;
            Ok(FrameIndex::Native { first, length, count })
        }
        _ => Err(Stop::NotUnderstood),
    }
}

/// An extended offset table (PS3.3, C.7.6.3.1.8), not longer than an index may be.
pub(super) fn extended_table<R: BufRead>(
    elements: &mut Elements<R>,
    element: &Element,
) -> Result<Vec<u64>, Stop> {
    let length = element.length.filter(|length| *length <= MAX_LISTED_FRAMES * 8);
    let bytes = elements.bytes(length.ok_or(Stop::NotUnderstood)? as usize)?;
    let (offsets, []) = bytes.as_chunks() else { return Err(Stop::NotUnderstood) };
    Ok(offsets.iter().copied().map(u64::from_le_bytes).collect())
}

/// Walks the fragments. A frame begins with each fragment that a table names. Without a table, a frame
/// is a fragment if there are as many of them, and all fragments are the frame if there is one.
fn encapsulated<R: BufRead>(
    elements: &mut Elements<R>,
    count: u32,
    extended: Option<&[u64]>,
) -> Result<FrameIndex, Stop> {
    if count > MAX_LISTED_FRAMES {
        return Err(Stop::NotUnderstood);
    }
    let basic = basic_table(elements)?;
    let table = match (extended, basic.as_slice()) {
        (Some(extended), []) if !extended.is_empty() => Some(extended),
        (Some(_), [_, ..]) => return Err(Stop::NotUnderstood),
        (_, []) if count == 1 => Some(&[0][..]),
        (_, []) => None,
        (None, basic) => Some(basic),
    };
    if table.is_some_and(|table| table.len() != count as usize) {
        return Err(Stop::NotUnderstood);
    }
    let first = elements.position();
    let mut lengths: Vec<u32> = Vec::new();
    loop {
        let offset = elements.position() - first;
        let Some(fragment) = elements.fragment()? else { break };
        elements.skip(fragment.into())?;
        let begins = table.is_none_or(|table| table.get(lengths.len()) == Some(&offset));
        if begins && lengths.len() < count as usize {
            lengths.push(0);
        } else if begins {
            return Err(Stop::NotUnderstood);
        }
        let length = lengths.last_mut().ok_or(Stop::NotUnderstood)?;
        *length = fragment
            .checked_add(ITEM_HEADER_BYTES)
            .and_then(|bytes| length.checked_add(bytes))
            .ok_or(Stop::NotUnderstood)?;
    }
    if lengths.len() != count as usize {
        return Err(Stop::NotUnderstood);
    }
    Ok(FrameIndex::Encapsulated { first, lengths })
}

/// The first item, which may be empty (PS3.5, A.4).
fn basic_table<R: BufRead>(elements: &mut Elements<R>) -> Result<Vec<u64>, Stop> {
    let length = elements.fragment()?.filter(|length| *length <= MAX_LISTED_FRAMES * 4);
    let bytes = elements.bytes(length.ok_or(Stop::NotUnderstood)? as usize)?;
    let (offsets, []) = bytes.as_chunks() else { return Err(Stop::NotUnderstood) };
    Ok(offsets.iter().copied().map(|offset| u32::from_le_bytes(offset).into()).collect())
}
