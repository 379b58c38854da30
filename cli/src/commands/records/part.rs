//! `epione records get --range` and `--frame`: a part of one media section, without the rest.

use std::{fmt, fs, path::PathBuf, str::FromStr};

use clap::Args;
use epione_client::reader::{OpenContent, OpenRecord, OpenSection, Part, Reader};
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{RecordPointer, UserId, access::SectionClass};
use serde::Serialize;

use super::{
    GetArgs, Provenance, Receipt, RetrievedFile, files,
    retrieve::{granted, granted_reader, intent, opened, own_reader, receipts, wanted, who},
};
use crate::{
    context::{Context, Output},
    failure::Failure,
    progress,
};

/// Which part of a record's media is wanted, if not all of it.
#[derive(Clone, Debug, Default, Args)]
pub struct PartArgs {
    /// Only these bytes of a media section, counted from 0 and both included: 0-1023, or 4096- for
    /// all from there on
    #[arg(long, value_name = "FIRST-LAST", conflicts_with_all = ["all", "frame"])]
    pub range: Option<ByteRange>,
    /// Only this frame of a DICOM image, counted from 1: its pixels, or its codestream, as they are stored
    #[arg(long, value_name = "NUMBER", conflicts_with = "all")]
    pub frame: Option<u32>,
    /// With --range or --frame: number of the section, if the record has several with media
    #[arg(long, value_name = "INDEX")]
    pub section: Option<usize>,
}

impl PartArgs {
    /// Whether not everything is wanted.
    pub fn is_some(&self) -> bool {
        self.range.is_some() || self.frame.is_some() || self.section.is_some()
    }
}

/// Bytes as people count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    /// None: to the end.
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
                "{text:?} is no range of bytes: write it as FIRST-LAST, as in 0-1023, or as FIRST-"
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
    /// Of the section.
    pub index: usize,
    pub kind: String,
    pub class: SectionClass,
    pub part: PartLine,
    pub path: PathBuf,
    pub file: RetrievedFile,
    /// None for one's own key.
    pub receipts: Vec<Receipt>,
}

/// Which part it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartLine {
    /// Bytes, both included, of so many.
    Range { first: u64, last: u64, of: u64 },
    /// A frame of so many.
    Frame { number: u32, of: u32 },
}

impl Output for RetrievedPart {}

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
            "  {} bytes  sha256 {}  {}",
            self.file.bytes,
            digest.unwrap_or_default(),
            self.path.display()
        )?;
        for receipt in &self.receipts {
            writeln!(f, "{receipt}")?;
        }
        write!(
            f,
            "every byte is as its hospital sealed it; that its author signed it, only the whole file proves"
        )
    }
}

/// Reads a part of one record's media.
pub async fn get_part(args: &GetArgs, context: &Context) -> Result<RetrievedPart, Failure> {
    let pointer = one_record(&args.part, &args.pointers)?;
    let (keys, user) = who(args, context).await?;
    let (reader, open) = open(args, (&keys, user), pointer, context).await?;
    let record = open.first().ok_or_else(|| Failure::new("nothing was opened", "try again"))?;
    let section = chosen(record, args.part.section)?;
    let (part, line) = asked(&args.part, section)?;
    let name = format!("{}-{}-{}", pointer.height, pointer.index, file_name(section, &line));
    let path = args.out.join(&name);
    fs::create_dir_all(&args.out).map_err(|error| Failure::file(&args.out, &error))?;
    let bar = progress::bytes(context, format!("reading {name}"));
    let saved = reader.save_part(record, section.index, &part, &path, progress::follow(&bar)).await;
    bar.finish_and_clear();
    saved?;
    let receipts = match args.own_key {
        true => Vec::new(),
        false => receipts(args.patient, user, &[pointer], context).await?,
    };
    Ok(RetrievedPart {
        patient: args.patient,
        record: files::provenance(record),
        index: section.index,
        kind: section.kind.to_string(),
        class: section.class,
        part: line,
        file: files::written(&path, name, "application/octet-stream")?,
        path,
        receipts,
    })
}

/// The one record of which a part is wanted.
fn one_record(part: &PartArgs, pointers: &[RecordPointer]) -> Result<RecordPointer, Failure> {
    if part.range.is_none() && part.frame.is_none() {
        return Err(Failure::usage(
            "--section goes with --range or --frame",
            "leave it out: every section of a record gets a file of its own",
        ));
    }
    match pointers {
        [pointer] => Ok(*pointer),
        _ => Err(Failure::usage(
            "--range and --frame read one record",
            "name it once, with --pointer HEIGHT/INDEX",
        )),
    }
}

async fn open(
    args: &GetArgs,
    (keys, user): (&ActorKeys, UserId),
    pointer: RecordPointer,
    context: &Context,
) -> Result<(Reader, Vec<OpenRecord>), Failure> {
    let mut hospitals = wanted(args, context).await?.into_iter().map(|(hospital, _)| hospital);
    if args.own_key {
        let reader = own_reader(args, hospitals, keys, context).await?;
        let open = opened(&reader, args.patient, &[pointer], context).await?;
        return Ok((reader, open));
    }
    let hospital = hospitals.next_back().unwrap_or_default();
    let reader = granted_reader(args, hospital, keys, context).await?;
    let open = granted(&reader, args.patient, &[pointer], intent(args, user), context).await?;
    Ok((reader, open))
}

/// The media section that is meant.
fn chosen(record: &OpenRecord, named: Option<usize>) -> Result<&OpenSection, Failure> {
    let is_media = |section: &&OpenSection| matches!(section.content, OpenContent::Media { .. });
    let media: Vec<_> = record.sections.iter().filter(is_media).collect();
    let pointer = record.summary.pointer;
    let choices: Vec<_> = media.iter().map(|section| files::file_name(section)).collect();
    let choose = format!("choose one with --section: {}", choices.join(", "));
    match (named, &media[..]) {
        (_, []) => Err(Failure::new(
            format!("record {pointer} has no media that you may read"),
            "leave --range and --frame out to get its texts",
        )),
        (None, [section]) => Ok(section),
        (None, _) => {
            Err(Failure::usage(format!("record {pointer} has several media sections"), choose))
        }
        (Some(index), media) => {
            media.iter().find(|section| section.index == index).copied().ok_or_else(|| {
                let error = format!("section {index} of record {pointer} has no media to be read");
                Failure::usage(error, choose)
            })
        }
    }
}

/// What is asked for, of this section.
fn asked(args: &PartArgs, section: &OpenSection) -> Result<(Part, PartLine), Failure> {
    let OpenContent::Media { bytes, frames, .. } = &section.content else {
        return Err(Failure::new("the section has no media", "choose another --section"));
    };
    if let Some(ByteRange { first, last }) = args.range {
        let last = last.unwrap_or_else(|| bytes.saturating_sub(1).max(first));
        let part = Part::Range(first..last.saturating_add(1));
        return Ok((part, PartLine::Range { first, last, of: *bytes }));
    }
    let number = args.frame.unwrap_or_default();
    Ok((Part::Frame(number), PartLine::Frame { number, of: frames.stated() }))
}

fn file_name(section: &OpenSection, part: &PartLine) -> String {
    let whole = files::file_name(section);
    match part {
        PartLine::Range { first, last, .. } => format!("{whole}.bytes-{first}-{last}"),
        PartLine::Frame { number, .. } => format!("{whole}.frame-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use epione_envelope::frames::Frames;

    use super::*;

    #[test]
    fn a_range_has_a_first_byte_and_perhaps_a_last() {
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
        let section = PartArgs { section: Some(1), ..PartArgs::default() };
        let refused = one_record(&section, &[record]).unwrap_err();
        assert!(refused.error.contains("--range or --frame"), "{refused}");
    }

    fn media(bytes: u64, frames: Frames) -> OpenSection {
        OpenSection {
            index: 2,
            kind: epione_envelope::record::SectionKind::Media,
            class: SectionClass::Private,
            content: OpenContent::Media {
                media_type: "application/dicom".into(),
                file_name: "cine.dcm".into(),
                bytes,
                blake3: [0; 32],
                frames,
            },
        }
    }

    #[test]
    fn a_parts_file_says_what_it_is() {
        let section = media(1000, Frames::Native { first: 10, bits: 240, count: 30, stated: 30 });
        let named = |args: PartArgs| {
            let (part, line) = asked(&args, &section).unwrap();
            (part, file_name(&section, &line), line.to_string())
        };
        let range = |text: &str| PartArgs { range: text.parse().ok(), ..PartArgs::default() };
        let (part, name, line) = named(range("10-19"));
        assert_eq!(part, Part::Range(10..20));
        assert_eq!((&*name, &*line), ("02-cine.dcm.bytes-10-19", "bytes 10-19 of 1000"));
        assert_eq!(named(range("990-")).0, Part::Range(990..1000));
        // Beyond the end: it is for the reader to say so.
        assert_eq!(named(range("5000-")).0, Part::Range(5000..5001));
        let (part, name, line) = named(PartArgs { frame: Some(7), ..PartArgs::default() });
        assert_eq!(part, Part::Frame(7));
        assert_eq!((&*name, &*line), ("02-cine.dcm.frame-7", "frame 7 of 30"));
    }
}
