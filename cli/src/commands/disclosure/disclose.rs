//! `epione disclose`: makes a disclosure, in a folder for its recipient. What the chain shows to everyone is checked
//! before anything is opened: that the record is the signer's own, and that its author permits the choice of sections.

use std::{
    fmt,
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use epione_client::{
    disclosure::{self, Attribution, Content, FILE_NAME, Shown, media_name},
    private,
    reader::{self, OpenContent, OpenRecord, ReadError, Reader, VerifiedRecord},
};
use epione_envelope::ExtractionError;
use epione_primitives::{Moment, RecordPointer, UserId, profile::Role, release::SectionSet};
use serde::Serialize;
use tempfile::TempDir;

use crate::{
    commands::{
        records::{Access, GetArgs, PartArgs, parse_numbers, unknown},
        relation::{from_now, span},
    },
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    invocation::Invocation,
    progress,
    wording::{counted, moment, numbers},
};

#[derive(Debug, Args)]
pub struct DiscloseArgs {
    /// Your key file: the patient's
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// The record, by block height and index, as in 12/0
    #[arg(long, value_name = "HEIGHT/INDEX")]
    pub record: RecordPointer,
    /// Numbers of the sections to show, counted from 0, as in 0,2 or 0-3; `epione records get --own-key` prints them
    #[arg(long, value_name = "SECTIONS", value_parser = parse_numbers)]
    pub sections: SectionSet,
    /// For whom it is, such as the name of an insurer. You sign that with the disclosure
    #[arg(long = "for", value_name = "TEXT")]
    pub recipient: String,
    /// What for. You sign that, too
    #[arg(long, value_name = "TEXT")]
    pub purpose: String,
    /// How long the recipient may use it, from now, such as 30d, 12h, 45m or 90s [default: no end]
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub expires: Option<Duration>,
    /// Also write the files of the media sections. Otherwise the recipient sees only their descriptions
    #[arg(long)]
    pub media: bool,
    /// New folder to make. Its content is not encrypted
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The key file from before a rotation, if a hospital's profile of you is still sealed to the earlier key; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    pub earlier_keys: Vec<KeySource>,
    /// Hospital whose worker to use [default: any hospital whose worker answers]
    #[arg(long, value_name = "HOSPITAL")]
    pub from: Option<HospitalRef>,
}

/// A disclosure that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Disclosed {
    pub record: RecordPointer,
    pub patient: UserId,
    pub recipient: String,
    pub purpose: String,
    /// Unix time in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    pub shown: SectionSet,
    pub hidden: SectionSet,
    /// Number of other patients whose pseudonyms the proof shows to the recipient.
    pub other_patients: usize,
    /// The folder for the recipient.
    pub directory: PathBuf,
    /// The names of its files.
    pub files: Vec<String>,
    /// The command with which the recipient verifies it. The recipient adds the genesis hash, from the hospitals.
    pub verify: String,
}

impl Output for Disclosed {}

impl fmt::Display for Disclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = counted(self.hidden.iter().count(), "section stays", "sections stay");
        writeln!(
            f,
            "record {}: shows {}; {hidden} hidden",
            self.record,
            match self.shown.iter().count() {
                1 => format!("section {}", numbers(self.shown)),
                _ => format!("sections {}", numbers(self.shown)),
            }
        )?;
        write!(f, "for {}, purpose: {}", self.recipient, self.purpose)?;
        if let Some(until) = self.until {
            write!(f, ", until {}", moment(until))?;
        }
        writeln!(f, "\n{}: {}", self.directory.display(), self.files.join(", "))?;
        if self.other_patients > 0 {
            let (one, many) =
                ("other patient whose records are", "other patients whose records are");
            let others = counted(self.other_patients, one, many);
            writeln!(f, "the proof also shows the pseudonyms of {others} in the same block")?;
        }
        writeln!(f, "the files are not encrypted: give them to the recipient over a safe channel")?;
        writeln!(
            f,
            "the recipient gets the chain's genesis hash from the hospitals, not from you"
        )?;
        write!(f, "the recipient verifies them with: {}", self.verify)
    }
}

/// Makes a disclosure of a record of the signer.
pub async fn disclose(args: &DiscloseArgs, context: &Context) -> Result<Disclosed, Failure> {
    let until = args.expires.map(|span| from_now(span, "--expires")).transpose()?;
    let attribution = Attribution::new(args.recipient.as_str(), args.purpose.as_str(), until)
        .map_err(|error| {
            Failure::usage(
                error.to_string(),
                "say with --for and --purpose for whom it is, and why",
            )
        })?;
    let account = identity::account(&context.keys(&args.signer)?);
    let patient = patient_of(&account, context).await?;
    let chain = context.chain().await?;
    let state = chain.finalized().await?;
    let hospital = reader::hospital_of(&state, patient, args.record).await?;
    let hospital = hospital.ok_or_else(|| unknown(patient, args.record, context))?;
    let verified = VerifiedRecord::of(chain, patient, args.record).await?;
    let hidden = hidden(args, &verified)?;
    must_not_exist(&args.out)?;

    let get = request(args, patient);
    let access = Access::of(&get, context).await?;
    let (reader, opened) = access.open(hospital, vec![(verified, args.sections)]).await?;
    let nothing = ReadError::NothingGranted { pointer: args.record };
    let record = opened.into_iter().next().ok_or(nothing)??;
    let mut shown = Vec::new();
    for section in args.sections.iter() {
        shown.push(show(&record, section, args)?);
    }
    let media = shown.iter().filter_map(media_file).collect();
    let spinner = progress::waiting(context, "collecting the proof of the record");
    let sealed = record.record();
    let counts = |block: usize, of: usize| {
        spinner.becomes(format!("collecting the proof of the record: block {block} of {of}"));
    };
    let made =
        disclosure::make(chain, args.record, sealed, shown, attribution, &account, &counts).await;
    spinner.finish_and_clear();
    // Nothing is decrypted to the disk before the file of the disclosure has verified.
    let made = made?;
    let files = write(&made.file, media, (&reader, &record), (args, context)).await?;
    let verify = Invocation::new(["verify-disclosure"]).with([&args.out]);
    Ok(Disclosed {
        record: args.record,
        patient,
        recipient: args.recipient.clone(),
        purpose: args.purpose.clone(),
        until,
        shown: args.sections,
        hidden,
        other_patients: made.verified.other_patients,
        directory: args.out.clone(),
        files,
        verify: verify.to_string(),
    })
}

/// The signer, who must be a patient.
async fn patient_of(
    account: &epione_client::Account,
    context: &Context,
) -> Result<UserId, Failure> {
    let user = context.user_of(account).await?;
    let profile = context.chain().await?.finalized().await?.profile(user).await?;
    match profile {
        Some(profile) if profile.role == Role::Patient => Ok(user),
        _ => Err(Failure::usage(
            format!("--as names the key file of user {user}, who is not a patient"),
            "only the patient of a record discloses it: permission to read a record is no permission to pass it on",
        )),
    }
}

/// The sections that stay hidden, if the shown ones exist and the author permits this choice.
fn hidden(args: &DiscloseArgs, record: &VerifiedRecord) -> Result<SectionSet, Failure> {
    let existing = record.sections();
    let missing = args.sections.without(existing);
    if !missing.is_empty() {
        return Err(Failure::usage(
            format!("record {} has no section {}", args.record, numbers(missing)),
            format!("choose some of its sections: {}", numbers(existing)),
        ));
    }
    record.extraction().check(args.sections).map_err(forbidden)?;
    Ok(existing.without(args.sections))
}

fn forbidden(rule: ExtractionError) -> Failure {
    Failure::usage(
        rule.to_string(),
        "choose other sections with --sections; nobody can change what the author signed",
    )
}

/// A folder that only its owner may read. It is made beside its final place and renamed at the end: until then the
/// recipient's folder does not exist, and nothing of an earlier or interrupted run is ever in it. An interrupted run
/// removes it.
struct NewFolder(TempDir);

impl NewFolder {
    /// For the folder `out`, which must not exist.
    fn beside(out: &Path) -> Result<Self, Failure> {
        must_not_exist(out)?;
        let parent = parent(out);
        let made = DirBuilder::new().recursive(true).mode(private::FOLDER).create(parent);
        made.map_err(|error| Failure::file(parent, &error))?;
        let made = tempfile::Builder::new()
            .prefix(".epione-disclosure-")
            .permissions(Permissions::from_mode(private::FOLDER))
            .tempdir_in(parent);
        Ok(Self(made.map_err(|error| Failure::file(parent, &error))?))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let file = self.file(name);
        private::replace(&file, bytes).map_err(|error| Failure::file(&file, &error))
    }

    /// Moves the folder to its final place, which somebody may have taken meanwhile.
    fn publish(self, out: &Path) -> Result<(), Failure> {
        must_not_exist(out)?;
        let failed = |error: io::Error| Failure::file(out, &error);
        fs::rename(self.0.path(), out).map_err(failed)?;
        // It has moved, so there is nothing to remove.
        let _ = self.0.keep();
        File::open(parent(out)).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// The folder in which a path is.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn must_not_exist(out: &Path) -> Result<(), Failure> {
    if out.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} already exists", out.display()),
        "nothing was disclosed; choose a folder with --out that does not exist",
    ))
}

/// How the patient reads the record.
fn request(args: &DiscloseArgs, patient: UserId) -> GetArgs {
    GetArgs {
        signer: args.signer.clone(),
        patient,
        pointers: vec![args.record],
        all: false,
        limit: None,
        opening: None,
        out: args.out.clone(),
        purpose: None,
        emergency: None,
        own_key: true,
        note: false,
        earlier_keys: args.earlier_keys.clone(),
        from: args.from.clone(),
        part: PartArgs::default(),
    }
}

/// An open section, as it is shown.
fn show(record: &OpenRecord, section: u16, args: &DiscloseArgs) -> Result<Shown, Failure> {
    let (index, pointer) = (usize::from(section), args.record);
    let description = record.description(index)?;
    let content = match record.sections.get(index).map(|section| &section.content) {
        Some(OpenContent::Text { text, .. }) => Content::Text(text.as_bytes().to_vec().into()),
        Some(OpenContent::Media { .. }) => Content::Media { included: args.media },
        _ => return Err(ReadError::NotGranted { pointer, section: index }.into()),
    };
    Ok(Shown { section, description, content })
}

/// The number of a media section whose file the recipient gets, and the name of this file.
fn media_file(shown: &Shown) -> Option<(u16, String)> {
    match shown.content {
        Content::Media { included: true } => {
            Some((shown.section, media_name(shown.section, &shown.description)))
        }
        _ => None,
    }
}

/// Writes the folder for the recipient: the file of the disclosure, and the media files. Returns their names.
async fn write(
    disclosure: &[u8],
    media: Vec<(u16, String)>,
    (reader, record): (&Reader, &OpenRecord),
    (args, context): (&DiscloseArgs, &Context),
) -> Result<Vec<String>, Failure> {
    let folder = NewFolder::beside(&args.out)?;
    let mut files = vec![FILE_NAME.to_owned()];
    for (section, name) in media {
        save(reader, record, usize::from(section), &folder.file(&name), context).await?;
        files.push(name);
    }
    folder.write(FILE_NAME, disclosure)?;
    folder.publish(&args.out)?;
    Ok(files)
}

/// Saves the media of a section in a new file.
async fn save(
    reader: &Reader,
    record: &OpenRecord,
    section: usize,
    path: &Path,
    context: &Context,
) -> Result<(), Failure> {
    let bar = progress::bytes(context, format!("reading section {section}"));
    let done = reader.save_media(record, section, path, progress::follow(&bar)).await;
    bar.finish_and_clear();
    done?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        disclose: DiscloseArgs,
    }

    fn parse(more: &[&str]) -> Result<DiscloseArgs, clap::Error> {
        let begin = ["disclose", "--as", "//Patient", "--record", "1/0", "--out", "bundle"];
        Line::try_parse_from([&begin[..], more].concat()).map(|line| line.disclose)
    }

    #[test]
    fn a_disclosure_needs_sections_a_recipient_and_a_purpose() {
        let whole = ["--sections", "0-2", "--for", "Insurance", "--purpose", "claim 7"];
        let args = parse(&whole).unwrap();
        assert_eq!((args.sections, args.expires, args.media), (SectionSet(0b111), None, false));
        for leave_out in [0, 2, 4] {
            let mut less = whole.to_vec();
            less.drain(leave_out..leave_out + 2);
            assert!(parse(&less).is_err(), "{less:?}");
        }
        for wrong in [["--expires", "soon"], ["--expires", "0d"], ["--sections", "first"]] {
            assert!(parse(&[&whole[..], &wrong].concat()).is_err(), "{wrong:?}");
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn an_existing_folder_is_neither_used_nor_changed() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("bundle");
        fs::create_dir(&out).unwrap();
        fs::set_permissions(&out, Permissions::from_mode(0o755)).unwrap();
        let refused = NewFolder::beside(&out).err().unwrap();
        assert!(refused.error.contains("already exists"), "{refused}");
        assert_eq!(mode(&out), 0o755);
        // A link to nowhere is something, too.
        let link = place.path().join("link");
        std::os::unix::fs::symlink(place.path().join("nowhere"), &link).unwrap();
        assert!(NewFolder::beside(&link).is_err());
        // Somebody takes the place before the end.
        let late = place.path().join("late");
        let made = NewFolder::beside(&late).unwrap();
        made.write(FILE_NAME, b"secret").unwrap();
        fs::create_dir(&late).unwrap();
        assert!(made.publish(&late).is_err());
        assert_eq!(fs::read_dir(&late).unwrap().count(), 0);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 3);
    }

    #[test]
    fn the_folder_for_the_recipient_appears_whole_and_for_its_owner_only() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let out = place.path().join("for/bundle");
        // An interrupted run leaves nothing.
        let interrupted = NewFolder::beside(&out).unwrap();
        interrupted.write("05-scan.dcm", b"secret").unwrap();
        assert!(!out.exists());
        drop(interrupted);
        assert_eq!(fs::read_dir(place.path().join("for")).unwrap().count(), 0);

        let made = NewFolder::beside(&out).unwrap();
        made.write(FILE_NAME, b"proven").unwrap();
        made.publish(&out).unwrap();
        assert_eq!(fs::read(out.join(FILE_NAME)).unwrap(), b"proven");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
        assert_eq!(fs::read_dir(place.path().join("for")).unwrap().count(), 1);
        assert_eq!((mode(&out), mode(place.path())), (private::FOLDER, 0o755));
        assert_eq!(mode(&out.join(FILE_NAME)), private::FILE);
    }

    #[test]
    fn the_rule_that_forbids_a_choice_of_sections_is_named() {
        for (rule, said) in [
            (ExtractionError::Mandatory { section: 1 }, "every disclosure shows section 1"),
            (ExtractionError::Never { section: 4 }, "forbids that a disclosure shows section 4"),
            (ExtractionError::Together { group: SectionSet(0b1100) }, "2, 3 only together"),
        ] {
            let failure = forbidden(rule);
            assert!(failure.error.contains(said), "{failure}");
        }
    }

    #[test]
    fn what_was_disclosed_and_how_to_verify_it_is_printed() {
        let disclosed = Disclosed {
            record: RecordPointer { height: 1, index: 0 },
            patient: UserId([1; 32]),
            recipient: "Insurance".into(),
            purpose: "claim 7".into(),
            until: None,
            shown: SectionSet(0b101),
            hidden: SectionSet(0b010),
            other_patients: 3,
            directory: "bundle".into(),
            files: vec![FILE_NAME.into()],
            verify: "epione verify-disclosure bundle".into(),
        };
        let text = disclosed.to_string();
        assert!(
            text.starts_with("record 1/0: shows sections 0,2; 1 section stays hidden\n"),
            "{text}"
        );
        assert!(
            text.contains("\nfor Insurance, purpose: claim 7\nbundle: disclosure.epione\n"),
            "{text}"
        );
        let others = "\nthe proof also shows the pseudonyms of 3 other patients whose records are in the same block\n";
        assert!(text.contains(others), "{text}");
        let alone = Disclosed { other_patients: 0, ..disclosed }.to_string();
        assert!(!alone.contains("pseudonym"), "{alone}");
        assert!(text.contains("not encrypted"), "{text}");
        assert!(text.contains("genesis hash from the hospitals, not from you"), "{text}");
        assert!(text.ends_with("with: epione verify-disclosure bundle"), "{text}");
    }
}
