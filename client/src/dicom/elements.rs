//! The elements of a data set, one after the other, values passed over unless they are asked for.

use std::io::{self, BufRead};

/// Values that are read have at most so many bytes: a UID is the longest.
const VALUE_BYTES: u64 = 64;
/// Sequences within items within sequences: deeper than any real object, and a bound.
const MAX_DEPTH: usize = 64;
const UNDEFINED: u32 = u32::MAX;

const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// Group and element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(pub u16, pub u16);

/// Why there is no more to be read.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file itself failed.
    Read(io::Error),
    /// It is not DICOM, of a transfer syntax that is not followed, cut short, or wrong.
    NotUnderstood,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::NotUnderstood,
            _ => Self::Read(error),
        }
    }
}

/// How a data set is written, as far as that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Implicit VR little endian; native pixel data.
    Implicit,
    /// Explicit VR little endian; native pixel data.
    Explicit,
    /// Explicit VR little endian; encapsulated pixel data, one frame apart from the other.
    Encapsulated,
}

impl Syntax {
    /// None for what cannot be followed: deflated and big endian data sets, video, whose fragments are not frames, and
    /// whatever is not known.
    pub(super) fn named(uid: &str) -> Option<Self> {
        Some(match uid.strip_prefix("1.2.840.10008.1.2") {
            Some("") => Self::Implicit,
            Some(".1") => Self::Explicit,
            // Encapsulated uncompressed; JPEG; JPEG-LS; JPEG 2000; JPEG XL; high-throughput JPEG 2000; RLE; deflated frames.
            Some(
                ".1.98" | ".4.50" | ".4.51" | ".4.57" | ".4.70" | ".4.80" | ".4.81" | ".4.90"
                | ".4.91" | ".4.110" | ".4.111" | ".4.112" | ".4.201" | ".4.202" | ".4.203" | ".5"
                | ".8.1",
            ) => Self::Encapsulated,
            _ => return None,
        })
    }

    fn is_implicit(self) -> bool {
        self == Self::Implicit
    }
}

/// What stands before a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) tag: Tag,
    /// None if it is undefined: the value ends with a delimiter.
    pub(super) length: Option<u32>,
    /// Within a value of unknown representation, everything is implicit VR (PS3.5, 6.2.2).
    unknown: bool,
}

/// Where in a value of undefined length the reading is.
#[derive(Clone, Copy)]
enum Level {
    /// Items follow.
    Sequence { implicit: bool },
    /// Elements follow.
    Item { implicit: bool },
}

/// Reads elements.
pub(super) struct Elements<R> {
    input: R,
    /// Bytes of the file before what is read next; those of a peeked tag have been read.
    position: u64,
    peeked: Option<Tag>,
    implicit: bool,
}

impl<R: BufRead> Elements<R> {
    /// Elements that begin after a preamble and a prefix, in explicit VR little endian.
    pub(super) fn after(input: R, preamble: u64, prefix: &[u8; 4]) -> Result<Self, Stop> {
        let mut elements = Self { input, position: 0, peeked: None, implicit: false };
        elements.skip(preamble)?;
        if elements.exactly::<4>()? == *prefix { Ok(elements) } else { Err(Stop::NotUnderstood) }
    }

    /// From here on, elements are of this syntax.
    pub(super) fn begin_data_set(&mut self, syntax: Syntax) {
        self.implicit = syntax.is_implicit();
    }

    /// Offset within the file.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next element's tag; none at the end of the file.
    pub(super) fn peek_tag(&mut self) -> Result<Option<Tag>, Stop> {
        if self.peeked.is_none() && !self.input.fill_buf()?.is_empty() {
            self.peeked = Some(self.tag()?);
        }
        Ok(self.peeked)
    }

    /// The next element, up to its value; none at the end of the file.
    pub(super) fn next_element(&mut self) -> Result<Option<Element>, Stop> {
        if self.peek_tag()?.is_none() {
            return Ok(None);
        }
        self.element(self.implicit).map(Some)
    }

    fn element(&mut self, implicit: bool) -> Result<Element, Stop> {
        let tag = match self.peeked.take() {
            Some(tag) => tag,
            None => self.tag()?,
        };
        if implicit || tag.0 == ITEM.0 {
            return Ok(Element { tag, length: defined(self.long()?), unknown: false });
        }
        let representation = self.exactly::<2>()?;
        let length = match &representation {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN"
            | b"UR" | b"UT" | b"UV" => {
                self.skip(2)?;
                self.long()?
            }
            _ if representation.iter().all(u8::is_ascii_uppercase) => {
                u16::from_le_bytes(self.exactly()?).into()
            }
            _ => return Err(Stop::NotUnderstood),
        };
        Ok(Element { tag, length: defined(length), unknown: representation == *b"UN" })
    }

    /// The header of an item of encapsulated pixel data: its length; none if the sequence ends instead.
    pub(super) fn fragment(&mut self) -> Result<Option<u32>, Stop> {
        let tag = self.tag()?;
        let length = self.long()?;
        match tag {
            ITEM if length != UNDEFINED => Ok(Some(length)),
            SEQUENCE_END if length == 0 => Ok(None),
            _ => Err(Stop::NotUnderstood),
        }
    }

    /// Passes over a value.
    pub(super) fn pass_over(&mut self, element: &Element) -> Result<(), Stop> {
        match element.length {
            Some(length) => self.skip(length.into()),
            None => self.pass_over_sequence(element.unknown || self.implicit),
        }
    }

    fn pass_over_sequence(&mut self, implicit: bool) -> Result<(), Stop> {
        let mut levels = vec![Level::Sequence { implicit }];
        while let Some(level) = levels.last().copied() {
            let inner = match level {
                Level::Sequence { implicit } | Level::Item { implicit } => implicit,
            };
            let element = self.element(inner)?;
            match (level, element.tag, element.length) {
                (Level::Sequence { .. }, SEQUENCE_END, _) | (Level::Item { .. }, ITEM_END, _) => {
                    levels.pop();
                }
                (Level::Sequence { .. }, ITEM, Some(length)) => self.skip(length.into())?,
                (Level::Sequence { implicit }, ITEM, None) => levels.push(Level::Item { implicit }),
                (Level::Sequence { .. }, ..) => return Err(Stop::NotUnderstood),
                (Level::Item { .. }, tag, _) if tag.0 == ITEM.0 => return Err(Stop::NotUnderstood),
                (Level::Item { .. }, _, Some(length)) => self.skip(length.into())?,
                (Level::Item { implicit }, _, None) => {
                    let implicit = implicit || element.unknown;
                    levels.push(Level::Sequence { implicit });
                }
            }
            if levels.len() > MAX_DEPTH {
                return Err(Stop::NotUnderstood);
            }
        }
        Ok(())
    }

    /// A value of one 16-bit number.
    pub(super) fn short(&mut self, element: &Element) -> Result<u16, Stop> {
        match element.length {
            Some(2) => Ok(u16::from_le_bytes(self.exactly()?)),
            _ => Err(Stop::NotUnderstood),
        }
    }

    /// A short text, without its padding.
    pub(super) fn text(&mut self, element: &Element) -> Result<String, Stop> {
        let length = element.length.filter(|length| u64::from(*length) <= VALUE_BYTES);
        let bytes = self.bytes(length.ok_or(Stop::NotUnderstood)? as usize)?;
        let text = String::from_utf8(bytes).map_err(|_| Stop::NotUnderstood)?;
        Ok(text.trim_matches(['\0', ' ']).to_owned())
    }

    /// The next bytes. How many there are is bounded by the caller.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Stop> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes)?;
        self.position += length as u64;
        Ok(bytes)
    }

    pub(super) fn skip(&mut self, mut length: u64) -> Result<(), Stop> {
        while length > 0 {
            let at_hand = self.input.fill_buf()?.len();
            if at_hand == 0 {
                return Err(Stop::NotUnderstood);
            }
            let skipped = at_hand.min(usize::try_from(length).unwrap_or(usize::MAX));
            self.input.consume(skipped);
            self.position += skipped as u64;
            length -= skipped as u64;
        }
        Ok(())
    }

    fn tag(&mut self) -> Result<Tag, Stop> {
        let [a, b, c, d] = self.exactly()?;
        Ok(Tag(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
    }

    fn long(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.exactly()?))
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }
}

fn defined(length: u32) -> Option<u32> {
    (length != UNDEFINED).then_some(length)
}
