//! Finds the position of the frames in a DICOM file, so that a reader can later fetch a single frame. Does not decode
//! pixels. DICOM PS3.5 (data sets, pixel data) and PS3.10 (files).
//!
//! A file is read once, front to back, whatever its size, and digested at the same time ([`Digested`]). Memory is
//! bounded by a buffer, a fixed depth of nesting, and lists of as many frames as an index may contain. If the frames
//! cannot be separated with certainty, the result is the reason.

mod codestream;
mod elements;
mod fragments;
mod pixels;
mod syntax;

use std::io::{self, BufRead, BufReader, Read};

use epione_envelope::frames::{Frames, NoFrames};

use elements::{Elements, Stop, Tag};
use pixels::{Image, Sample};
use syntax::Syntax;

/// Size of the buffer with which a file is read and digested.
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
const EXTENDED_OFFSET_TABLE_LENGTHS: Tag = Tag(0x7fe0, 0x0002);
const FLOAT_PIXEL_DATA: Tag = Tag(0x7fe0, 0x0008);
const DOUBLE_FLOAT_PIXEL_DATA: Tag = Tag(0x7fe0, 0x0009);
const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);

/// The result of reading a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    pub bytes: u64,
    pub blake3: [u8; 32],
    pub frames: Frames,
}

impl Inspected {
    /// Whether it is a DICOM file (PS3.10, section 7.1): 128 bytes, `DICM`, and file meta information that names a
    /// transfer syntax. Nothing else makes a file DICOM: neither its name, nor a data set without that header, whose
    /// transfer syntax is unknown.
    pub fn is_dicom(&self) -> bool {
        self.frames != Frames::None(NoFrames::NotDicom)
    }
}

/// Reads a file to its end, once. Fails only if the file cannot be read.
pub fn inspect(content: impl Read) -> io::Result<Inspected> {
    let digested = Digested { inner: content, hasher: blake3::Hasher::new() };
    let mut content = BufReader::with_capacity(BUFFER_BYTES, digested);
    let frames = match frames(&mut content) {
        Ok(frames) => frames,
        Err(Stop::None(reason)) => Frames::None(reason),
        Err(Stop::Read(error)) => return Err(error),
    };
    loop {
        let rest = content.fill_buf()?.len();
        if rest == 0 {
            break;
        }
        content.consume(rest);
    }
    let hasher = content.into_inner().hasher;
    Ok(Inspected { bytes: hasher.count(), blake3: hasher.finalize().into(), frames })
}

fn frames(content: impl BufRead) -> Result<Frames, Stop> {
    let (mut elements, uid) = header(content).map_err(|stop| match stop {
        Stop::None(_) => NoFrames::NotDicom.into(),
        read => read,
    })?;
    let syntax = Syntax::named(&uid)?;
    elements.begin_data_set(syntax.coding);
    let mut image = Image::default();
    while let Some(element) = elements.next_element()? {
        let sample = match element.tag {
            PIXEL_DATA => Sample::Integer,
            FLOAT_PIXEL_DATA => Sample::Float(32),
            DOUBLE_FLOAT_PIXEL_DATA => Sample::Float(64),
            _ => {
                read(&mut elements, &element, &mut image)?;
                continue;
            }
        };
        return pixels::frames(&mut elements, &element, sample, syntax, &image);
    }
    Err(NoFrames::NoPixels.into())
}

/// Reads preamble, prefix and file meta information, and returns the transfer syntax that it names. The next tag, with
/// which the data set begins, is peeked.
fn header<R: BufRead>(content: R) -> Result<(Elements<R>, String), Stop> {
    let mut elements = Elements::after(content, PREAMBLE_BYTES, PREFIX)?;
    let mut uid = None;
    while elements.peek_tag()?.is_some_and(|tag| tag.0 == 0x0002) {
        let element = elements.next_element()?.ok_or(NoFrames::NotDicom)?;
        match element.tag {
            TRANSFER_SYNTAX => uid = Some(elements.text(&element)?),
            _ => elements.pass_over(&element)?,
        }
    }
    let is_uid = |uid: &String| {
        !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    Ok((elements, uid.filter(is_uid).ok_or(NoFrames::NotDicom)?))
}

/// Reads an element that describes the pixel data, or skips it.
fn read<R: BufRead>(
    elements: &mut Elements<R>,
    element: &elements::Element,
    image: &mut Image,
) -> Result<(), Stop> {
    match element.tag {
        SAMPLES_PER_PIXEL => image.samples = elements.short(element)?,
        PHOTOMETRIC_INTERPRETATION => image.photometric = elements.text(element)?,
        NUMBER_OF_FRAMES => image.frames = number(&elements.text(element)?)?,
        ROWS => image.rows = elements.short(element)?,
        COLUMNS => image.columns = elements.short(element)?,
        BITS_ALLOCATED => image.bits = elements.short(element)?,
        EXTENDED_OFFSET_TABLE => {
            image.offsets = pixels::extended_table(elements, element, image.stated())?;
        }
        EXTENDED_OFFSET_TABLE_LENGTHS => {
            image.sizes = pixels::extended_table(elements, element, image.stated())?;
        }
        _ => elements.pass_over(element)?,
    }
    Ok(())
}

fn number(text: &str) -> Result<Option<u32>, NoFrames> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| NoFrames::FrameNumber),
    }
}

/// A reader that digests what is read through it.
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
