//! `epione visit`: records on their way in.

use std::{
    fmt, fs,
    io::{self, Read},
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use codec::Encode;
use epione_client::{
    api::{ContentUpload, SectionUpload, VisitStage, VisitStatus},
    signer::Account,
    submit::{Visit, VisitBuilder},
    worker::{WorkerClient, WorkerError},
};
use epione_envelope::{
    frames::{Frames, NoFrame},
    record::{MAX_TEXT_BYTES, SectionKind},
};
use epione_primitives::{HospitalId, RecordId, UserId, access::SectionClass};
use serde::Serialize;

use crate::{
    commands::devnet::interrupted,
    context::{Context, HospitalRef, Output},
    failure::{Failure, word},
    identity::{self, KeySource},
    progress, show,
    unfinished::{Unfinished, Words},
};

/// How often a worker is asked how far a visit has come.
const POLL: Duration = Duration::from_millis(250);

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Signs a visit and hands it to the hospital's worker
    Submit(SubmitArgs),
    /// Shows how far a visit has come
    Status(StatusArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Submit(args) => show(&submit(args, context).await?, json),
            Self::Status(args) => show(&status(args, context).await?, json),
        }
    }
}

#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The author's key file
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// Number or name of the hospital of the visit
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: HospitalRef,
    /// A text section, such as diagnosis=FILE or report:shared=FILE; - reads standard input. Kinds:
    /// summary, diagnosis, prescription, report, history, observation
    #[arg(long = "text", value_name = "KIND[:CLASS]=FILE")]
    pub texts: Vec<TextSection>,
    /// A media section: DICOM, video or any other file; shared=FILE lets it be shared further
    #[arg(long = "media", value_name = "[CLASS=]FILE")]
    pub media: Vec<MediaSection>,
    /// The patient's key file: they sign the same sections, beside the author
    #[arg(long, value_name = "FILE")]
    pub cosign: Option<KeySource>,
    #[command(flatten)]
    pub wait: WaitArgs,
}

#[derive(Clone, Debug, Default, Args)]
pub struct WaitArgs {
    /// Wait until the visit is committed in a final block
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after so many seconds; the visit moves on by itself
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub timeout: u64,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Record id that `visit submit` printed
    pub id: RecordId,
    /// Key file of the author or the patient
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Number or name of the hospital of the visit
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: HospitalRef,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// A text and where to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSection {
    pub kind: SectionKind,
    pub class: SectionClass,
    /// Absent: standard input.
    pub file: Option<PathBuf>,
}

impl FromStr for TextSection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (label, file) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} lacks a file: write it as diagnosis=FILE"))?;
        let (kind, class) = match label.split_once(':') {
            Some((kind, class)) => (kind, parse_class(class)?),
            None => (label, SectionClass::Private),
        };
        let kind: SectionKind = kind.parse().map_err(|_| {
            format!("{kind:?} is no kind of section: choose summary, diagnosis, prescription, report, history or observation")
        })?;
        if kind == SectionKind::Media {
            return Err("media sections are files: pass them with --media".into());
        }
        if file.is_empty() {
            return Err(format!("{text:?} lacks a file: write it as {label}=FILE"));
        }
        Ok(Self { kind, class, file: (file != "-").then(|| file.into()) })
    }
}

/// A file and how far it may travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSection {
    pub class: SectionClass,
    pub file: PathBuf,
}

impl FromStr for MediaSection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let classed = text.split_once('=').and_then(|(class, file)| {
            let class = parse_class(class).ok()?;
            (!file.is_empty()).then(|| Self { class, file: file.into() })
        });
        if text.is_empty() {
            return Err("--media needs a file".into());
        }
        Ok(classed.unwrap_or_else(|| Self { class: SectionClass::Private, file: text.into() }))
    }
}

fn parse_class(text: &str) -> Result<SectionClass, String> {
    match text {
        "private" => Ok(SectionClass::Private),
        "shared" => Ok(SectionClass::Shared),
        other => Err(format!("{other:?} is no class of section: choose private or shared")),
    }
}

/// A visit that the worker has acknowledged: it is not lost any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    pub hospital: HospitalId,
    pub author: UserId,
    /// Whether the patient signed too.
    pub cosigned: bool,
    pub sections: Vec<SectionLine>,
    #[serde(flatten)]
    pub status: VisitStatus,
}

/// A section as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SectionLine {
    pub kind: String,
    pub class: SectionClass,
    pub media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub bytes: u64,
    /// Number of frames that can be read one by one, of media.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
    /// What a reader of frames has to know: why there is none, or why some are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_note: Option<String>,
}

impl Output for Submitted {}

impl fmt::Display for Submitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            let name = section.name.as_deref().unwrap_or("");
            write!(
                f,
                "  {:<13} {:>10} bytes  {}",
                section.kind, section.bytes, section.media_type
            )?;
            writeln!(f, "{}{name}", if name.is_empty() { "" } else { "  " })?;
            if let Some(line) = section.frames_line() {
                writeln!(f, "    {line}")?;
            }
        }
        if self.cosigned {
            writeln!(f, "  signed by the patient, too")?;
        }
        Followed(self.status.clone()).fmt(f)
    }
}

const DICOM: &str = "application/dicom";

impl SectionLine {
    /// Of an upload, what its author should know of it.
    fn of(section: &SectionUpload) -> Self {
        let (bytes, frames) = match &section.content {
            ContentUpload::Text(text) => (text.len() as u64, None),
            ContentUpload::Media { bytes, frames, .. } => (*bytes, Some(frames)),
        };
        Self {
            kind: section.kind.clone(),
            class: section.class,
            media_type: section.media_type.clone(),
            name: section.name.clone(),
            bytes,
            frames: frames.map(Frames::count),
            frames_note: frames.and_then(frames_note),
        }
    }

    /// What is said of the frames to people: nothing of a file that is not, and is not called, DICOM.
    fn frames_line(&self) -> Option<String> {
        let named = self.name.as_ref().is_some_and(|it| it.to_ascii_lowercase().ends_with(".dcm"));
        let kept = match self.media_type == DICOM {
            true => "",
            false if named => "kept as opaque media; ",
            false => return None,
        };
        match (self.frames?, &self.frames_note) {
            (_, Some(note)) => Some(format!("{kept}{note}")),
            (1, None) => Some("1 frame, which can be read by itself".into()),
            (count, None) => Some(format!("{count} frames, each of which can be read by itself")),
        }
    }
}

/// Why frames cannot be read that somebody may ask for.
fn frames_note(frames: &Frames) -> Option<String> {
    let next = frames.count().saturating_add(1);
    match frames.extent(next) {
        Err(reason @ (NoFrame::None(_) | NoFrame::NotWhole { .. })) => Some(reason.to_string()),
        _ => None,
    }
}

/// How far a visit has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Followed(pub VisitStatus);

impl Output for Followed {}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.0.record_id, stage(self.0.stage))?;
        match &self.0.last_failure {
            Some(failure) => {
                write!(f, "\n  an earlier announcement did not get through: {failure}")
            }
            None => Ok(()),
        }
    }
}

fn stage(stage: VisitStage) -> String {
    match stage {
        VisitStage::Uploading => "uploading: nothing is promised yet".into(),
        VisitStage::Queued => "queued: safe at the hospital, waiting to be packed".into(),
        VisitStage::Packed => "packed: on its way to the chain".into(),
        VisitStage::Announced { announcement } => {
            format!("announced ({announcement}): the other hospitals verify it")
        }
        VisitStage::Committed { pointer } => format!("committed as record {pointer}"),
    }
}

/// Reads, signs and uploads a visit.
pub async fn submit(args: &SubmitArgs, context: &Context) -> Result<Submitted, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let hospital = context.hospital(&args.hospital).await?;
    let author = context.user_of(&account).await?;
    let cosigner = cosigner(args, context).await?;
    let cosigned = cosigner.is_some();
    let genesis = context.chain().await?.genesis_hash();
    let texts = args.texts.iter().map(read_text).collect::<Result<Vec<_>, _>>()?;
    let cosigning = cosigner.as_ref().map(Account::id);
    let about = (genesis, hospital, (author, account.id()), (args.patient, cosigning));
    let words = words(args, &texts, &about)?;
    let mut builder =
        VisitBuilder::new(genesis, args.patient, hospital, author).cosigned_by(cosigner);
    for (section, text) in args.texts.iter().zip(texts) {
        builder = builder.text(section.kind, section.class, text);
    }
    for section in &args.media {
        builder = builder.file(SectionKind::Media, section.class, section.file.clone());
    }
    let unfinished = Unfinished::of(context, &words);
    let visit = signed(args, builder, &account, unfinished.as_ref(), context).await?;
    let worker = context.worker(hospital, account).await?;
    let bar = progress::bytes(context, "uploading the visit");
    let status = tokio::select! {
        status = worker.submit_visit(&visit, progress::follow(&bar)) => status,
        () = interrupted() => {
            bar.finish_and_clear();
            return Err(Failure::new("interrupted", GOES_ON));
        }
    };
    bar.finish_and_clear();
    if let Some(unfinished) = unfinished.filter(|_| !status.as_ref().is_err_and(may_go_on)) {
        unfinished.forget();
    }
    let status = status.map_err(interrupted_upload)?;
    let status = tokio::select! {
        status = follow(&worker, status, &args.wait, context) => status?,
        () = interrupted() => return Err(Failure::new("interrupted", is_safe(visit.record_id()))),
    };
    let sections = visit.request.sections.iter().map(SectionLine::of).collect();
    Ok(Submitted { hospital, author, cosigned, sections, status })
}

/// What makes this command the same as an earlier one.
fn words(args: &SubmitArgs, texts: &[String], about: &impl Encode) -> Result<Words, Failure> {
    let mut words = Words::about(about);
    for (section, text) in args.texts.iter().zip(texts) {
        words.text(&(section.kind, section.class), text);
    }
    for MediaSection { class, file } in &args.media {
        words
            .file(&(SectionKind::Media, class), file)
            .map_err(|error| Failure::file(file, &error))?;
    }
    Ok(words)
}

/// The visit that an earlier run of this command signed, or a new one, which a later run will find.
async fn signed(
    args: &SubmitArgs,
    builder: VisitBuilder,
    account: &Account,
    unfinished: Option<&Unfinished>,
    context: &Context,
) -> Result<Visit, Failure> {
    let files = args.media.iter().map(|section| section.file.clone()).collect();
    if let Some(visit) = unfinished.and_then(|unfinished| unfinished.visit(files)) {
        progress::say(context, "going on with the visit that was not acknowledged");
        return Ok(visit);
    }
    let reading = progress::waiting(context, "reading the files of the visit, to sign them");
    let visit = builder.build(account).await?;
    reading.finish_and_clear();
    match unfinished.map(|unfinished| unfinished.keep(&visit)) {
        Some(Ok(())) => {}
        Some(Err(error)) => progress::say(context, &format!("{NOT_KEPT} ({error})")),
        None => progress::say(context, NOT_KEPT),
    }
    Ok(visit)
}

const NOT_KEPT: &str = "if this is interrupted, running it again will submit another visit";

/// Whether the worker may have the visit, or take it later: the same command goes on with it then.
fn may_go_on(error: &WorkerError) -> bool {
    match error {
        WorkerError::Problem(problem) => !matches!(problem.status, 400 | 403 | 409 | 413),
        WorkerError::FileChanged { .. } => false,
        _ => true,
    }
}

fn interrupted_upload(error: WorkerError) -> Failure {
    let goes_on = error.is_transient();
    let mut failure = Failure::from(error);
    if goes_on {
        failure.help = format!("{}; {GOES_ON}", failure.help);
    }
    failure
}

const GOES_ON: &str = "run the same command again: it goes on with the same visit";

fn is_safe(record: RecordId) -> String {
    format!("nothing is lost: look again with epione visit status {record}")
}

/// The patient's account, if they sign too.
async fn cosigner(args: &SubmitArgs, context: &Context) -> Result<Option<Account>, Failure> {
    let Some(source) = &args.cosign else { return Ok(None) };
    let account = identity::account(&context.keys(source)?);
    let user = context.user_of(&account).await?;
    if user != args.patient {
        return Err(Failure::usage(
            format!("--cosign names the keys of user {user}, who is not the patient"),
            "name the key file of the patient whose visit it is",
        ));
    }
    Ok(Some(account))
}

fn read_text(section: &TextSection) -> Result<String, Failure> {
    let name = section.file.clone().unwrap_or_else(|| "standard input".into());
    let source: Box<dyn Read> = match &section.file {
        Some(path) => Box::new(fs::File::open(path).map_err(|error| Failure::file(path, &error))?),
        None => Box::new(io::stdin()),
    };
    let mut bytes = Vec::new();
    source
        .take(u64::from(MAX_TEXT_BYTES) + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::file(&name, &error))?;
    if bytes.len() > MAX_TEXT_BYTES as usize {
        return Err(Failure::new(
            format!("{} has more than {MAX_TEXT_BYTES} bytes of text", name.display()),
            "pass it as a file with --media, or cut it into several sections",
        ));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(
            format!("{} is not UTF-8 text", name.display()),
            "convert it, or pass it as a file with --media",
        )
    })
}

/// Asks how far a visit has come.
pub async fn status(args: &StatusArgs, context: &Context) -> Result<Followed, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let hospital = context.hospital(&args.hospital).await?;
    let worker = context.worker(hospital, account).await?;
    let status = worker.visit_status(args.id).await?;
    Ok(Followed(follow(&worker, status, &args.wait, context).await?))
}

/// Waits, if asked to, until a visit is committed.
async fn follow(
    worker: &WorkerClient,
    mut status: VisitStatus,
    args: &WaitArgs,
    context: &Context,
) -> Result<VisitStatus, Failure> {
    if !args.wait {
        return Ok(status);
    }
    let told =
        |status: &VisitStatus| format!("visit {}  {}", status.record_id, stage(status.stage));
    let waiting = progress::waiting(context, told(&status));
    let until = Instant::now() + Duration::from_secs(args.timeout);
    while !matches!(status.stage, VisitStage::Committed { .. }) {
        if Instant::now() > until {
            return Err(gave_up(&status, args.timeout));
        }
        tokio::time::sleep(POLL).await;
        match worker.visit_status(status.record_id).await {
            Ok(next) => {
                status = next;
                waiting.becomes(told(&status));
                if let Some(failure) = &status.last_failure {
                    waiting.because(format!("an announcement did not get through: {failure}"));
                }
            }
            // The visit is safe; the worker may just be starting again.
            Err(error) if error.is_transient() => waiting.because(error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(status)
}

fn gave_up(status: &VisitStatus, seconds: u64) -> Failure {
    let failed = status.last_failure.as_deref().unwrap_or("nothing is known to be wrong");
    Failure::new(
        format!(
            "visit {} is not committed after {seconds} s but {}; {failed}",
            status.record_id,
            word(&status.stage)
        ),
        is_safe(status.record_id),
    )
}

#[cfg(test)]
mod tests {
    use epione_envelope::frames::NoFrames;

    use super::*;

    #[test]
    fn a_text_section_names_its_kind_and_perhaps_its_class() {
        let section: TextSection = "report:shared=a=b.json".parse().unwrap();
        assert_eq!(section.kind, SectionKind::Report);
        assert_eq!(section.class, SectionClass::Shared);
        assert_eq!(section.file, Some("a=b.json".into()));
        let section: TextSection = "diagnosis=-".parse().unwrap();
        assert_eq!((section.class, section.file), (SectionClass::Private, None));
        for wrong in ["report", "report=", "poem=x", "report:secret=x", "media=x"] {
            assert!(wrong.parse::<TextSection>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_media_section_is_a_file_and_perhaps_its_class() {
        let section: MediaSection = "shared=ct.dcm".parse().unwrap();
        assert_eq!(section, MediaSection { class: SectionClass::Shared, file: "ct.dcm".into() });
        let section: MediaSection = "a=b.dcm".parse().unwrap();
        assert_eq!(section, MediaSection { class: SectionClass::Private, file: "a=b.dcm".into() });
    }

    fn line(name: &str, media_type: &str, frames: Frames) -> Option<String> {
        let content = ContentUpload::Media { bytes: 500, blake3: String::new(), frames };
        let section = SectionUpload {
            kind: "media".into(),
            class: SectionClass::Private,
            salt: String::new(),
            media_type: media_type.into(),
            name: Some(name.into()),
            content,
        };
        SectionLine::of(&section).frames_line()
    }

    #[test]
    fn what_can_be_read_of_an_image_is_said_when_it_is_submitted() {
        let native = |count, stated| Frames::Native { first: 0, bits: 8, count, stated };
        let dicom = |frames| line("a.dcm", DICOM, frames).unwrap();
        assert_eq!(dicom(native(1, 1)), "1 frame, which can be read by itself");
        assert_eq!(dicom(native(3, 3)), "3 frames, each of which can be read by itself");
        assert!(dicom(native(3, 4)).contains("frames 1 to 3 are whole"));
        assert_eq!(
            dicom(Frames::None(NoFrames::Video)),
            "no frame can be read by itself: it is video, whose frames are not apart from each other"
        );
        // Named like DICOM, it is told why it is not; a film is not.
        let opaque = |name| line(name, "application/octet-stream", Frames::default());
        let named = opaque("A.DCM").unwrap();
        assert!(named.starts_with("kept as opaque media; ") && named.contains("no DICOM header"));
        assert_eq!(opaque("film.mp4"), None);
    }
}
