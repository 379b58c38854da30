//! `epione records get --range` and `--frame`: reads a part of one media section without the rest.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use epione_client::{
    private,
    reader::{
        OpenContent, OpenRecord, OpenSection, Part, ReadError, Reader, RecordSummary,
        VerifiedRecord,
    },
};
use epione_primitives::{RecordPointer, UserId, release::SectionSet, sharing::SlotId};
use serde::Serialize;

use super::{
    GetArgs, Provenance, Receipt, RetrievedFile, access::Access, files, outcome::fmt_failure,
};
use crate::{
    context::{Context, Output},
    failure::Failure,
    progress,
    wording::counted,
};

/// Which part of a record's media to read, if not all of it.
#[derive(Clone, Debug, Default, Args)]
pub struct PartArgs {
    /// Only these bytes of a media section, counted from 0, first and last included: 0-1023, or 4096- for
    /// all bytes from 4096 on
    #[arg(long, value_name = "FIRST-LAST", conflicts_with_all = ["all", "frame"])]
    pub range: Option<ByteRange>,
    /// Only this frame of a DICOM image, counted from 1: its pixels or its codestream, as stored in the file
    #[arg(long, value_name = "NUMBER", conflicts_with = "all")]
    pub frame: Option<u32>,
    /// With --range or --frame: number of the section, if the record has several with media
    #[arg(long, value_name = "INDEX")]
    pub section: Option<usize>,
}

impl PartArgs {
    /// Whether only a part is wanted.
    pub fn is_some(&self) -> bool {
        self.range.is_some() || self.frame.is_some() || self.section.is_some()
    }
}

/// A range of bytes with its last byte included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    /// None: up to the end.
    pub last: Option<u64>,
}

impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (first, last) = text.split_once('-')?;
            let first = first.parse().ok()?;
            let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
            last.is_none_or(|last| first <= last).then_some(Self { first, last })
        };
        parse().ok_or_else(|| {
            format!(
                "{text:?} is not a range of bytes: write it as FIRST-LAST, as in 0-1023, or as FIRST-"
            )
        })
    }
}

/// A part that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrievedPart {
    pub patient: UserId,
    pub record: Provenance,
    /// Index of the section.
    pub index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The slots of the patient that contain it, ascending.
    pub slots: Vec<SlotId>,
    pub part: PartLine,
    pub path: PathBuf,
    pub file: RetrievedFile,
    /// None with the patient's own key.
    pub receipts: Vec<Receipt>,
    /// Why the receipts are not listed, if they could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts_failure: Option<Failure>,
}

/// The part that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartLine {
    /// Bytes, first and last included, of the total number.
    Range { first: u64, last: u64, of: u64 },
    /// A frame, of the total number.
    Frame { number: u32, of: u32 },
}

impl Output for RetrievedPart {
    /// Fails if the receipts were not read.
    fn passed(&self) -> bool {
        self.receipts_failure.is_none()
    }
}

impl fmt::Display for PartLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { first, last, of } => write!(f, "bytes {first}-{last} of {of}"),
            Self::Frame { number, of } => write!(f, "frame {number} of {of}"),
        }
    }
}

impl fmt::Display for RetrievedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pointer, digest) = (self.record.pointer, self.file.sha256.get(..16));
        writeln!(f, "{pointer}  section {}, {}", self.index, self.part)?;
        writeln!(
            f,
            "  {}  sha256 {}  {}",
            counted(self.file.bytes, "byte", "bytes"),
            digest.unwrap_or_default(),
            self.path.display()
        )?;
        for receipt in &self.receipts {
            writeln!(f, "{receipt}")?;
        }
        if let Some(failure) = &self.receipts_failure {
            fmt_failure("receipts", failure, f)?;
        }
        write!(
            f,
            "every byte is verified against the hospital's seal; to verify the author's signature, \
             read the whole file"
        )
    }
}

/// Reads a part of one record's media. What the chain shows to everyone is checked before access is requested: that the
/// section exists, and the length of its media. The number of an image's frames is sealed with it, so it is known only
/// when the section is open; the receipt names that section and no other.
pub async fn get_part(args: &GetArgs, context: &Context) -> Result<RetrievedPart, Failure> {
    let pointer = one_record(&args.part, &args.pointers)?;
    let access = Access::of(args, context).await?;
    let verified = VerifiedRecord::of(context.chain().await?, args.patient, pointer).await?;
    let section = chosen(&verified.summary, args.part.section)?;
    let part = checked(&args.part, &verified.summary, section)?;
    let file = PartFile::of(&args.out, pointer, section, &part);
    let is_new = file.prepare()?;
    let read = async {
        let (reader, record) = open(&access, verified, section).await?;
        let (path, saved) = save(&reader, &record, section, (&part, &file), context).await?;
        let receipts = access.receipts(&reader).await;
        retrieved(&record, section, &part, (path, saved), receipts)
    };
    let read = read.await;
    if is_new {
        // Removed only if it is empty.
        let _ = fs::remove_dir(&args.out);
    }
    read
}

/// The record of which to read a part.
fn one_record(part: &PartArgs, pointers: &[RecordPointer]) -> Result<RecordPointer, Failure> {
    if part.range.is_none() && part.frame.is_none() {
        return Err(Failure::usage(
            "--section can be used only with --range or --frame",
            "leave it out: the command writes each section to a separate file",
        ));
    }
    if part.frame == Some(0) {
        return Err(Failure::usage("there is no frame 0", "frames are counted from 1"));
    }
    match pointers {
        [pointer] => Ok(*pointer),
        _ => Err(Failure::usage(
            "--range and --frame read a part of one record",
            "name that record with --pointer HEIGHT/INDEX",
        )),
    }
}

/// Opens only this section.
async fn open(
    access: &Access<'_>,
    verified: VerifiedRecord,
    section: usize,
) -> Result<(Reader, OpenRecord), Failure> {
    let (pointer, hospital) = (verified.summary.pointer, verified.summary.hospital);
    let mut sections = SectionSet::default();
    // A record has at most 64 sections.
    sections.insert(section as u16);
    let (reader, opened) = access.open(hospital, vec![(verified, sections)]).await?;
    let nothing = ReadError::NothingGranted { pointer };
    let record = opened.into_iter().next().ok_or(nothing)??;
    Ok((reader, record))
}

/// Saves the part of the open section in its file.
async fn save(
    reader: &Reader,
    record: &OpenRecord,
    section: usize,
    (part, file): (&Part, &PartFile<'_>),
    context: &Context,
) -> Result<(PathBuf, RetrievedFile), Failure> {
    let name = file.name(&files::file_name(media(record, section)?));
    let path = file.out.join(&name);
    let bar = progress::bytes(context, format!("reading {name}"));
    let saved = reader.save_part(record, section, part, &path, progress::follow(&bar)).await;
    bar.finish_and_clear();
    saved?;
    let file = files::written(&path, name, "application/octet-stream")?;
    Ok((path, file))
}

fn media(record: &OpenRecord, section: usize) -> Result<&OpenSection, ReadError> {
    let pointer = record.summary.pointer;
    record.sections.get(section).ok_or(ReadError::NotMedia { pointer, section })
}

fn retrieved(
    record: &OpenRecord,
    index: usize,
    part: &Part,
    (path, file): (PathBuf, RetrievedFile),
    receipts: Result<Vec<Receipt>, Failure>,
) -> Result<RetrievedPart, Failure> {
    let (receipts, receipts_failure) = match receipts {
        Ok(receipts) => (receipts, None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    let section = media(record, index)?;
    Ok(RetrievedPart {
        patient: record.summary.patient,
        record: files::provenance(&record.summary),
        index,
        kind: section.kind.map(|kind| kind.to_string()),
        slots: section.slots.clone(),
        part: line(part, section),
        path,
        file,
        receipts,
        receipts_failure,
    })
}

/// The media section to read.
fn chosen(record: &RecordSummary, named: Option<usize>) -> Result<usize, Failure> {
    let pointer = record.pointer;
    let sections = record.sections.iter().enumerate();
    let media: Vec<_> =
        sections.filter_map(|(index, it)| it.media_bytes.map(|bytes| (index, bytes))).collect();
    let choices = media
        .iter()
        .map(|(index, bytes)| format!("{index} ({})", counted(*bytes, "byte", "bytes")));
    let choices: Vec<_> = choices.collect();
    let choose = format!("choose one with --section: {}", choices.join(", "));
    match (named, &media[..]) {
        (_, []) => Err(Failure::new(
            format!("record {pointer} has no media"),
            "leave out --range and --frame to read its texts",
        )),
        (None, [(section, _)]) => Ok(*section),
        (None, _) => {
            Err(Failure::usage(format!("record {pointer} has several media sections"), choose))
        }
        (Some(index), media) if media.iter().any(|(section, _)| *section == index) => Ok(index),
        (Some(index), _) => {
            Err(Failure::usage(format!("record {pointer} has no media section {index}"), choose))
        }
    }
}

/// The part to read, checked against the length of the section.
fn checked(args: &PartArgs, record: &RecordSummary, section: usize) -> Result<Part, Failure> {
    let pointer = record.pointer;
    let Some(ByteRange { first, last }) = args.range else {
        return Ok(Part::Frame(args.frame.unwrap_or_default()));
    };
    let bytes = record.sections.get(section).and_then(|section| section.media_bytes);
    let bytes = bytes.ok_or(ReadError::NotMedia { pointer, section })?;
    let last = last.unwrap_or_else(|| bytes.saturating_sub(1).max(first));
    let range = first..last.saturating_add(1);
    if range.end > bytes {
        return Err(ReadError::BeyondEnd { pointer, section, range, bytes }.into());
    }
    Ok(Part::Range(range))
}

fn line(part: &Part, section: &OpenSection) -> PartLine {
    let (length, count) = match &section.content {
        OpenContent::Media { bytes, frames, .. } => (*bytes, frames.stated()),
        OpenContent::Text { .. } | OpenContent::NotGranted => (0, 0),
    };
    match part {
        Part::Range(range) => {
            PartLine::Range { first: range.start, last: range.end.saturating_sub(1), of: length }
        }
        Part::Frame(number) => PartLine::Frame { number: *number, of: count },
    }
}

/// The file in which a part is saved. The author's name for the file is sealed, but the beginning and end of its name
/// are known before the section is open.
struct PartFile<'a> {
    out: &'a Path,
    begins: String,
    section: String,
    ends: String,
}

impl<'a> PartFile<'a> {
    fn of(out: &'a Path, pointer: RecordPointer, section: usize, part: &Part) -> Self {
        let ends = match part {
            Part::Range(range) => {
                format!(".bytes-{}-{}", range.start, range.end.saturating_sub(1))
            }
            Part::Frame(number) => format!(".frame-{number}"),
        };
        let begins = format!("{}-{}-", pointer.height, pointer.index);
        Self { out, begins, section: files::prefix(section), ends }
    }

    /// The name of the file, given that of the section's file.
    fn name(&self, file: &str) -> String {
        format!("{}{file}{}", self.begins, self.ends)
    }

    /// Makes the folder if it does not exist, and checks that the part can be written in it. Returns whether the folder
    /// is new.
    fn prepare(&self) -> Result<bool, Failure> {
        let failed = |error| Failure::file(self.out, &error);
        let is_new = fs::symlink_metadata(self.out).is_err();
        if is_new {
            private::folder(self.out).map_err(failed)?;
        }
        private::try_writing(self.out).map_err(failed)?;
        let begins = format!("{}{}", self.begins, self.section);
        for entry in fs::read_dir(self.out).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let text = name.to_string_lossy();
            if text.starts_with(&begins) && text.ends_with(&self.ends) {
                return Err(ReadError::Exists(self.out.join(&name)).into());
            }
        }
        Ok(is_new)
    }
}

#[cfg(test)]
mod tests {
    use epione_client::reader::SectionSummary;
    use epione_primitives::{HospitalId, RecordId, block::SignedAt};

    use super::*;

    #[test]
    fn a_range_has_a_first_byte_and_may_have_a_last_one() {
        let range = |text: &str| text.parse::<ByteRange>();
        assert_eq!(range("0-1023"), Ok(ByteRange { first: 0, last: Some(1023) }));
        assert_eq!(range("7-7"), Ok(ByteRange { first: 7, last: Some(7) }));
        assert_eq!(range("4096-"), Ok(ByteRange { first: 4096, last: None }));
        for wrong in ["", "-", "-5", "5", "9-8", "a-b", "0-x", "1-2-3", "0-99999999999999999999"] {
            assert!(range(wrong).unwrap_err().contains("FIRST-LAST"), "{wrong}");
        }
    }

    #[test]
    fn a_part_is_of_one_record() {
        let record = RecordPointer { height: 12, index: 0 };
        let frame = PartArgs { frame: Some(1), ..PartArgs::default() };
        assert_eq!(one_record(&frame, &[record]).unwrap(), record);
        for pointers in [&[][..], &[record, record]] {
            let refused = one_record(&frame, pointers).unwrap_err();
            assert!(refused.help.contains("--pointer"), "{refused}");
        }
        let none = PartArgs { frame: Some(0), ..PartArgs::default() };
        let refused = one_record(&none, &[record]).unwrap_err();
        assert!(refused.help.contains("counted from 1"), "{refused}");
        let section = PartArgs { section: Some(1), ..PartArgs::default() };
        let refused = one_record(&section, &[record]).unwrap_err();
        assert!(refused.error.contains("--range or --frame"), "{refused}");
    }

    /// A record whose sections have no media, or media of this length.
    fn summary(media: &[Option<u64>]) -> RecordSummary {
        let section = |media_bytes: &Option<u64>| SectionSummary {
            slots: Vec::new(),
            media_bytes: *media_bytes,
        };
        RecordSummary {
            pointer: RecordPointer { height: 12, index: 0 },
            record_id: RecordId([1; 16]),
            patient: UserId([1; 32]),
            hospital: HospitalId(0),
            author: UserId([2; 32]),
            nurse: None,
            cosigned: false,
            signed_at: SignedAt::default(),
            time: 1,
            previous: None,
            sections: media.iter().map(section).collect(),
        }
    }

    #[test]
    fn a_section_is_chosen_by_what_the_chain_shows() {
        let record = summary(&[None, Some(1000), None]);
        assert_eq!(chosen(&record, None).unwrap(), 1);
        assert_eq!(chosen(&record, Some(1)).unwrap(), 1);
        for other in [0, 2, 3, usize::MAX] {
            let refused = chosen(&record, Some(other)).unwrap_err();
            assert!(refused.help.ends_with("1 (1000 bytes)"), "{refused}");
        }
        assert!(chosen(&summary(&[None]), None).unwrap_err().error.contains("no media"));
        let several = chosen(&summary(&[Some(1), Some(2)]), None).unwrap_err();
        assert!(several.error.contains("several"), "{several}");
    }

    #[test]
    fn a_range_lies_within_the_media() {
        let record = summary(&[None, Some(1000)]);
        let range = |text: &str| PartArgs { range: text.parse().ok(), ..PartArgs::default() };
        let checked = |text| checked(&range(text), &record, 1);
        assert_eq!(checked("10-19").unwrap(), Part::Range(10..20));
        assert_eq!(checked("990-").unwrap(), Part::Range(990..1000));
        assert_eq!(checked("0-999").unwrap(), Part::Range(0..1000));
        for beyond in ["0-1000", "1000-", "5000-", "5000-6000"] {
            assert!(checked(beyond).unwrap_err().error.contains("in bytes is 1000"), "{beyond}");
        }
    }

    #[test]
    fn the_file_of_a_part_is_named_by_it_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("parts");
        let pointer = RecordPointer { height: 12, index: 0 };
        let part_file = |part| PartFile::of(&out, pointer, 2, part);
        let (frame, range) = (Part::Frame(7), Part::Range(10..20));
        assert!(part_file(&frame).prepare().unwrap());
        let name = part_file(&frame).name("02-cine.dcm");
        assert_eq!(name, "12-0-02-cine.dcm.frame-7");
        fs::write(out.join(&name), "pixels").unwrap();
        let exists = part_file(&frame).prepare().unwrap_err();
        assert!(exists.error.contains("already exists"), "{exists}");
        assert!(!part_file(&range).prepare().unwrap());
        assert_eq!(part_file(&range).name("02-cine.dcm"), "12-0-02-cine.dcm.bytes-10-19");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
        let file = out.join(&name);
        assert!(PartFile::of(&file, pointer, 2, &frame).prepare().is_err());
    }
}
