//! `epione lite search`: finds sections by kind, date, modality and words, without a node.

use std::{fmt, path::PathBuf};

use clap::Args;
use epione_client::lite::{self, Closed, Filter, Found, LiteError, OwnKeys, Store};
use epione_envelope::{record::SectionKind, sealing_keys::SealingKeyPair};
use epione_primitives::{AccountId, Moment, limits::DAY_MILLIS};
use serde::Serialize;

use super::{FileArgs, blocking};
use crate::{
    commands::records::saved_in,
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    listing, progress, table,
    wording::{counted, legible, moment},
    words,
};

#[derive(Debug, Args)]
pub struct SearchArgs {
    /// A patient's key file, to search the patient's own records
    #[arg(long = "as", value_name = "FILE", required_unless_present = "saved")]
    pub signer: Option<KeySource>,
    /// The key file from before a rotation, if a hospital's profile of the patient is still sealed to the earlier key;
    /// may be repeated
    #[arg(long, value_name = "FILE", requires = "signer")]
    pub earlier_keys: Vec<KeySource>,
    /// A folder in which `epione records get` saved records, to search these; may be repeated
    #[arg(long, value_name = "DIR")]
    pub saved: Vec<PathBuf>,
    /// Kind of section
    #[arg(long, value_name = "KIND", value_parser = words::argument::<SectionKind>())]
    pub kind: Option<SectionKind>,
    /// Records that were committed on this day or later (UTC), as in 2026-11-20
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub from: Option<Moment>,
    /// Records that were committed on this day or earlier (UTC), as in 2026-11-20
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub to: Option<Moment>,
    /// Imaging modality as DICOM spells it, such as CT; known from a FHIR imaging study, or from a file's name
    #[arg(long, value_name = "CODE")]
    pub modality: Option<String>,
    /// Words in the kind, the media type, the file name, or with --as in the text itself; in any case
    #[arg(long, value_name = "WORDS")]
    pub text: Option<String>,
    /// Maximum number, newest first [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    #[command(flatten)]
    pub file: FileArgs,
}

impl SearchArgs {
    fn filter(&self) -> Filter {
        Filter {
            kind: self.kind,
            from: self.from,
            before: self.to.map(|day| day.saturating_add(DAY_MILLIS)),
            modality: self.modality.clone(),
            text: self.text.clone(),
        }
    }
}

/// Sections that were found, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    pub sections: Vec<Found>,
    /// The records that were not searched, or only in part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<Closed>,
    /// Whether the limit left out older ones.
    pub more: bool,
}

impl Output for Listing {
    /// Fails if a record could not be searched.
    fn passed(&self) -> bool {
        self.closed.is_empty()
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Closed { pointer, reason } in &self.closed {
            writeln!(f, "{pointer}  NOT SEARCHED: {reason}")?;
        }
        if self.sections.is_empty() {
            return write!(f, "nothing was found");
        }
        let heading =
            ["RECORD", "WHEN", "HOSPITAL", "SECTION", "KIND", "MODALITY", "BYTES", "WHAT"];
        let mut rows = vec![heading.map(String::from)];
        rows.extend(self.sections.iter().map(row));
        for line in table::lines(&rows) {
            writeln!(f, "{line}")?;
        }
        write!(f, "{}", counted(self.sections.len(), "section", "sections"))?;
        if self.more { write!(f, "; {}", listing::MORE) } else { Ok(()) }
    }
}

fn row(found: &Found) -> [String; 8] {
    let modalities: Vec<&str> = found.modalities.iter().map(String::as_str).collect();
    let what = format!("{} {}", found.media_type, found.file_name);
    [
        found.pointer.to_string(),
        moment(found.time),
        found.hospital.to_string(),
        found.section.to_string(),
        found.kind.to_string(),
        legible(modalities.join(",").as_bytes()),
        found.bytes.to_string(),
        legible(what.trim_end().as_bytes()),
    ]
}

/// Searches the file.
pub(super) async fn listing(args: &SearchArgs, context: &Context) -> Result<Listing, Failure> {
    let path = args.file.path(context)?;
    let keys = keys(args, context)?;
    let mut saved = Vec::new();
    for folder in &args.saved {
        saved.extend(saved_in(folder)?);
    }
    let filter = args.filter();
    let step = progress::waiting(context, "searching");
    let searched = blocking(move || {
        let store = Store::open(&path)?;
        let own = match &keys {
            Some((account, sealing)) => {
                let user = store.user_of(account)?;
                let user = user.ok_or_else(|| LiteError::UnknownKeys { path: path.clone() })?;
                Some(OwnKeys { user, sealing })
            }
            None => None,
        };
        lite::search(&store, own, saved, &filter)
    })
    .await?;
    step.finish_and_clear();
    let mut sections = searched.found;
    let more = listing::cut(&mut sections, args.limit);
    Ok(Listing { sections, closed: searched.closed, more })
}

/// The account of --as, and its sealing keys, the newest first.
fn keys(
    args: &SearchArgs,
    context: &Context,
) -> Result<Option<(AccountId, Vec<SealingKeyPair>)>, Failure> {
    let Some(source) = &args.signer else { return Ok(None) };
    let account = source.public()?.account;
    let mut sealing = vec![context.keys(source)?.sealing];
    for earlier in &args.earlier_keys {
        sealing.push(context.keys(earlier)?.sealing);
    }
    Ok(Some((account, sealing)))
}

/// The beginning of a day in UTC.
fn day(text: &str) -> Result<Moment, String> {
    let wrong = || format!("{text:?} is not a day: write it as in 2026-11-20");
    let begins = humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).map_err(|_| wrong())?;
    let since = begins.duration_since(std::time::UNIX_EPOCH).map_err(|_| wrong())?;
    Moment::try_from(since.as_millis()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use epione_primitives::{HospitalId, RecordPointer, UserId};

    use super::*;

    const POINTER: RecordPointer = RecordPointer { height: 7, index: 2 };

    fn found(file_name: &str) -> Found {
        Found {
            pointer: POINTER,
            hospital: HospitalId(3),
            patient: UserId([1; 32]),
            author: UserId([2; 32]),
            time: 1_764_374_400_000,
            section: 1,
            kind: SectionKind::Media,
            media_type: "application/dicom".into(),
            file_name: file_name.into(),
            bytes: 39_206,
            modalities: BTreeSet::from(["CT".into()]),
        }
    }

    #[test]
    fn days_are_in_utc() {
        assert_eq!(day("1970-01-02"), Ok(DAY_MILLIS));
        for wrong in ["", "now", "2026-13-01", "2026-11-20T12:00:00Z", "20.11.2026"] {
            assert!(day(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_section_is_one_line_whatever_its_file_is_called() {
        let sections = vec![found("CT\nsmall\u{1b}[31m.dcm")];
        let listing = Listing { sections, closed: Vec::new(), more: false };
        let text = listing.to_string();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("7/2") && text.contains("2025-11-29T00:00:00Z"), "{text}");
        assert!(!text.contains('\u{1b}') && text.ends_with("1 section"), "{text}");
        let json = serde_json::to_value(&listing).unwrap();
        assert_eq!(json["sections"][0]["kind"], "media");
        assert_eq!(json["sections"][0]["modalities"][0], "CT");
    }

    #[test]
    fn a_record_that_was_not_searched_fails_the_command() {
        let closed = vec![Closed { pointer: POINTER, reason: "these keys do not open all of it" }];
        let listing = Listing { sections: Vec::new(), closed, more: false };
        assert!(!listing.passed());
        assert!(listing.to_string().contains("7/2  NOT SEARCHED: these keys"), "{listing}");
    }
}
