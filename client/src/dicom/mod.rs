//! Finds the frames of a DICOM file, for a reader who will want one of them: where they lie, never what
//! they show. DICOM PS3.5 (data sets, encapsulated pixel data) and PS3.10 (files).
//!
//! A file is read once, front to back, whatever its size: what passes by is digested at the same time
//! ([`Digested`]). Memory is bounded: by a buffer, a fixed depth of nesting and an offset table of as
//! many frames as an index may list. Whatever is not understood for certain has no index, and is kept
//! like any other file.

mod elements;
mod pixels;

use std::io::{self, BufRead, BufReader, Read};

use epione_envelope::frames::FrameIndex;

use elements::{Elements, Stop, Syntax, Tag};
use pixels::Image;

/// Bytes that are read, and digested, at a time.
const BUFFER_BYTES: usize = 256 * 1024;
const PREAMBLE_BYTES: u64 = 128;
const PREFIX: &[u8; 4] = b"DICM";

const TRANSFER_SYNTAX: Tag = Tag(0x0002, 0x0010);
const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC_INTERPRETATION: Tag = Tag(0x0028, 0x0004);
const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const EXTENDED_OFFSET_TABLE: Tag = Tag(0x7fe0, 0x0001);
const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    pub bytes: u64,
    pub blake3: [u8; 32],
    /// Whether it says of itself that it is DICOM (PS3.10, section 7.1).
    pub dicom: bool,
    /// Of a multi-frame image whose frames can be told apart.
    pub frames: Option<FrameIndex>,
}

/// Reads a file to its end, once.
pub fn inspect(content: impl Read) -> io::Result<Inspected> {
    let digested = Digested { inner: content, hasher: blake3::Hasher::new() };
    let mut content = BufReader::with_capacity(BUFFER_BYTES, digested);
    let (dicom, frames) = match Elements::after(&mut content, PREAMBLE_BYTES, PREFIX) {
        Ok(elements) => (true, found(frames(elements))?),
        Err(stop) => (false, found(Err(stop))?),
    };
    loop {
        let rest = content.fill_buf()?.len();
        if rest == 0 {
            break;
        }
        content.consume(rest);
    }
    let hasher = content.into_inner().hasher;
    let (bytes, blake3) = (hasher.count(), hasher.finalize().into());
    let frames = frames.filter(|frames| frames.validate(bytes).is_ok());
    Ok(Inspected { bytes, blake3, dicom, frames })
}

/// Only a file that cannot be read is an error.
fn found(frames: Result<FrameIndex, Stop>) -> io::Result<Option<FrameIndex>> {
    match frames {
        Ok(frames) => Ok(Some(frames)),
        Err(Stop::NotUnderstood) => Ok(None),
        Err(Stop::Read(error)) => Err(error),
    }
}

fn frames<R: BufRead>(mut elements: Elements<R>) -> Result<FrameIndex, Stop> {
    let syntax = transfer_syntax(&mut elements)?;
    elements.begin_data_set(syntax);
    let mut image = Image::default();
    loop {
        let element = elements.next_element()?.ok_or(Stop::NotUnderstood)?;
        match element.tag {
            PIXEL_DATA => return pixels::index(&mut elements, element.length, syntax, &image),
            EXTENDED_OFFSET_TABLE => {
                image.offsets = Some(pixels::extended_table(&mut elements, &element)?)
            }
            SAMPLES_PER_PIXEL => image.samples = elements.short(&element)?,
            ROWS => image.rows = elements.short(&element)?,
            COLUMNS => image.columns = elements.short(&element)?,
            BITS_ALLOCATED => image.bits = elements.short(&element)?,
            NUMBER_OF_FRAMES => image.frames = elements.text(&element)?.parse().ok(),
            PHOTOMETRIC_INTERPRETATION => image.photometric = elements.text(&element)?,
            _ => elements.pass_over(&element)?,
        }
    }
}

/// Reads the file meta information, up to the tag with which the data set begins.
fn transfer_syntax<R: BufRead>(elements: &mut Elements<R>) -> Result<Syntax, Stop> {
    let mut syntax = None;
    while elements.peek_tag()?.is_some_and(|tag| tag.0 == 0x0002) {
        let element = elements.next_element()?.ok_or(Stop::NotUnderstood)?;
        match element.tag {
            TRANSFER_SYNTAX => syntax = Syntax::named(&elements.text(&element)?),
            _ => elements.pass_over(&element)?,
        }
    }
    syntax.ok_or(Stop::NotUnderstood)
}

/// Digests what is read through it.
struct Digested<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.hasher.update(&buffer[..read]);
                    return Ok(read);
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
