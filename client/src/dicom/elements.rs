//! Reads the elements of a data set, one after the other. Values are skipped unless the caller reads them.

use std::io::{self, BufRead};

use epione_envelope::frames::NoFrames;

/// Longest value that is read, in bytes: a UID.
const VALUE_BYTES: u64 = 64;
/// Deepest nesting of sequences and items: more than any real object has.
const MAX_DEPTH: usize = 64;
const UNDEFINED: u32 = u32::MAX;

const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// Group and element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(pub u16, pub u16);

/// Why reading ended.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file cannot be read.
    Read(io::Error),
    /// No frames can be found in it.
    None(NoFrames),
}

impl From<NoFrames> for Stop {
    fn from(reason: NoFrames) -> Self {
        Self::None(reason)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::None(NoFrames::Cut),
            _ => Self::Read(error),
        }
    }
}

/// The encoding of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    /// Elements have no value representation.
    pub(super) implicit: bool,
    pub(super) big_endian: bool,
}

/// The encoding of file meta information, and of all encapsulated pixel data.
pub(super) const EXPLICIT: Coding = Coding { implicit: false, big_endian: false };
/// Also the encoding within a value of unknown representation (PS3.5, 6.2.2).
pub(super) const IMPLICIT: Coding = Coding { implicit: true, big_endian: false };
pub(super) const BIG_ENDIAN: Coding = Coding { implicit: false, big_endian: true };

/// The header of an element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) tag: Tag,
    /// None if the length is undefined: the value ends with a delimiter.
    pub(super) length: Option<u32>,
    /// Whether its value consists of 16-bit words (OW).
    pub(super) words: bool,
    /// The encoding of its items, if it is a sequence.
    inner: Coding,
}

/// The position in a value of undefined length.
#[derive(Clone, Copy)]
enum Level {
    /// Items follow.
    Sequence(Coding),
    /// Elements follow.
    Item(Coding),
}

/// Reads elements.
pub(super) struct Elements<R> {
    input: R,
    /// Number of bytes that were read, including those of a peeked tag.
    position: u64,
    peeked: Option<Tag>,
    coding: Coding,
}

impl<R: BufRead> Elements<R> {
    /// Elements after a preamble and a prefix, in explicit VR little endian.
    pub(super) fn after(input: R, preamble: u64, prefix: &[u8; 4]) -> Result<Self, Stop> {
        let mut elements = Self { input, position: 0, peeked: None, coding: EXPLICIT };
        elements.skip(preamble)?;
        if elements.exactly::<4>()? == *prefix {
            Ok(elements)
        } else {
            Err(NoFrames::NotDicom.into())
        }
    }

    /// Sets the encoding of the following elements. The peeked tag was read as little endian.
    pub(super) fn begin_data_set(&mut self, coding: Coding) {
        if coding.big_endian {
            let swap = |Tag(group, element): Tag| Tag(group.swap_bytes(), element.swap_bytes());
            self.peeked = self.peeked.map(swap);
        }
        self.coding = coding;
    }

    /// Offset within the file.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next element's tag; none at the end of the file.
    pub(super) fn peek_tag(&mut self) -> Result<Option<Tag>, Stop> {
        if self.peeked.is_none() && !self.input.fill_buf()?.is_empty() {
            self.peeked = Some(self.tag(self.coding)?);
        }
        Ok(self.peeked)
    }

    /// The next element, up to its value; none at the end of the file.
    pub(super) fn next_element(&mut self) -> Result<Option<Element>, Stop> {
        if self.peek_tag()?.is_none() {
            return Ok(None);
        }
        self.element(self.coding).map(Some)
    }

    fn element(&mut self, coding: Coding) -> Result<Element, Stop> {
        let tag = match self.peeked.take() {
            Some(tag) => tag,
            None => self.tag(coding)?,
        };
        if coding.implicit || tag.0 == ITEM.0 {
            let length = defined(self.long(coding)?);
            return Ok(Element { tag, length, words: false, inner: coding });
        }
        let representation = self.exactly::<2>()?;
        let length = match &representation {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN"
            | b"UR" | b"UT" | b"UV" => {
                self.skip(2)?;
                self.long(coding)?
            }
            _ if representation.iter().all(u8::is_ascii_uppercase) => {
                number(coding, self.exactly()?).into()
            }
            _ => return Err(NoFrames::Malformed.into()),
        };
        let inner = if representation == *b"UN" { IMPLICIT } else { coding };
        Ok(Element { tag, length: defined(length), words: representation == *b"OW", inner })
    }

    /// The header of an item of encapsulated pixel data: its length; none if the sequence ends instead.
    pub(super) fn fragment(&mut self) -> Result<Option<u32>, Stop> {
        let tag = self.tag(EXPLICIT)?;
        let length = self.long(EXPLICIT)?;
        match tag {
            ITEM if length != UNDEFINED => Ok(Some(length)),
            SEQUENCE_END if length == 0 => Ok(None),
            _ => Err(NoFrames::Malformed.into()),
        }
    }

    /// Skips a value.
    pub(super) fn pass_over(&mut self, element: &Element) -> Result<(), Stop> {
        match element.length {
            Some(length) => self.skip(length.into()),
            None => self.pass_over_sequence(element.inner),
        }
    }

    fn pass_over_sequence(&mut self, coding: Coding) -> Result<(), Stop> {
        let mut levels = vec![Level::Sequence(coding)];
        while let Some(level) = levels.last().copied() {
            let (Level::Sequence(coding) | Level::Item(coding)) = level;
            let element = self.element(coding)?;
            match (level, element.tag, element.length) {
                (Level::Sequence(_), SEQUENCE_END, _) | (Level::Item(_), ITEM_END, _) => {
                    levels.pop();
                }
                (Level::Sequence(_), ITEM, Some(length)) => self.skip(length.into())?,
                (Level::Sequence(_), ITEM, None) => levels.push(Level::Item(coding)),
                (Level::Sequence(_), ..) => return Err(NoFrames::Malformed.into()),
                (Level::Item(_), tag, _) if tag.0 == ITEM.0 => {
                    return Err(NoFrames::Malformed.into());
                }
                (Level::Item(_), _, Some(length)) => self.skip(length.into())?,
                (Level::Item(_), _, None) => levels.push(Level::Sequence(element.inner)),
            }
            if levels.len() > MAX_DEPTH {
                return Err(NoFrames::Malformed.into());
            }
        }
        Ok(())
    }

    /// A value of one 16-bit number; 0 if it is empty.
    pub(super) fn short(&mut self, element: &Element) -> Result<u16, Stop> {
        match element.length {
            Some(0) => Ok(0),
            Some(2) => Ok(number(self.coding, self.exactly()?)),
            _ => Err(NoFrames::Malformed.into()),
        }
    }

    /// A short text, without its padding.
    pub(super) fn text(&mut self, element: &Element) -> Result<String, Stop> {
        let length = element.length.filter(|length| u64::from(*length) <= VALUE_BYTES);
        let bytes = self.bytes(length.ok_or(NoFrames::Malformed)? as usize)?;
        let text = String::from_utf8(bytes).map_err(|_| NoFrames::Malformed)?;
        Ok(text.trim_matches(['\0', ' ']).to_owned())
    }

    /// The next bytes. The caller bounds their number.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Stop> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes)?;
        self.position += length as u64;
        Ok(bytes)
    }

    /// Skips bytes; it is an error if the file ends before them.
    pub(super) fn skip(&mut self, length: u64) -> Result<(), Stop> {
        let passed = self.show(length, |_| {})?;
        if passed == length { Ok(()) } else { Err(NoFrames::Cut.into()) }
    }

    /// Passes the next bytes to `to`, piece by piece, and returns their number, which is less at the end of the file.
    pub(super) fn show(&mut self, length: u64, mut to: impl FnMut(&[u8])) -> io::Result<u64> {
        let mut left = length;
        while left > 0 {
            let at_hand = self.input.fill_buf()?;
            if at_hand.is_empty() {
                break;
            }
            let piece = at_hand.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            to(&at_hand[..piece]);
            self.input.consume(piece);
            self.position += piece as u64;
            left -= piece as u64;
        }
        Ok(length - left)
    }

    fn tag(&mut self, coding: Coding) -> Result<Tag, Stop> {
        Ok(Tag(number(coding, self.exactly()?), number(coding, self.exactly()?)))
    }

    fn long(&mut self, coding: Coding) -> Result<u32, Stop> {
        let bytes = self.exactly()?;
        Ok(if coding.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }
}

fn number(coding: Coding, bytes: [u8; 2]) -> u16 {
    if coding.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}

fn defined(length: u32) -> Option<u32> {
    (length != UNDEFINED).then_some(length)
}
