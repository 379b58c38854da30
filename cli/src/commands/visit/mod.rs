//! `epione visit`: records on their way in.

mod line;
mod section;

pub use line::SectionLine;
pub use section::{MediaSection, TextSection};

use std::{
    ffi::OsStr,
    fmt,
    time::{Duration, Instant},
};

use clap::{
    Args, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};
use epione_client::{
    api::{VisitStage, VisitStatus},
    signer::Account,
    visit::{Visit, VisitBuilder},
    worker::{WorkerClient, WorkerError},
};
use epione_primitives::{HospitalId, RecordId, UserId};
use section::Content;
use serde::Serialize;

use crate::{
    commands::devnet::interrupted,
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    invocation::Invocation,
    progress, show,
    unfinished::{self, Acknowledged, Earlier, Unfinished},
    wording::{legible, word},
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
    #[arg(long = "text", value_name = "KIND[:CLASS]=FILE", value_parser = OsStringValueParser::new().try_map(TextSection::read))]
    pub texts: Vec<TextSection>,
    /// A media section: DICOM, video or any other file; shared=FILE lets it be shared further; - reads
    /// standard input. What comes from a pipe is copied into the folder for temporary files first (TMPDIR),
    /// under no name
    #[arg(long = "media", value_name = "[CLASS=]FILE", value_parser = OsStringValueParser::new().try_map(MediaSection::read))]
    pub media: Vec<MediaSection>,
    /// The patient's key file: they sign the same sections, beside the author
    #[arg(long, value_name = "FILE")]
    pub cosign: Option<KeySource>,
    /// Submit another visit, although one with the same content is on its way
    #[arg(long)]
    pub again: bool,
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

/// A visit that the worker has acknowledged: it is not lost any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    pub hospital: HospitalId,
    pub author: UserId,
    /// Whether the patient signed too.
    pub cosigned: bool,
    /// Whether it is the visit of an earlier run of the same command.
    pub resumed: bool,
    pub sections: Vec<SectionLine>,
    #[serde(flatten)]
    pub status: VisitStatus,
}

impl Output for Submitted {}

impl fmt::Display for Submitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            let name = legible(section.name.as_deref().unwrap_or("").as_bytes());
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
        if self.resumed {
            writeln!(f, "  the same visit as before; to submit another one like it, add --again")?;
        }
        Followed(self.status.clone()).fmt(f)
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

/// Reads, signs and uploads a visit; or goes on with the one that the same command submitted, unless its user
/// has been told that it is committed.
pub async fn submit(args: &SubmitArgs, context: &Context) -> Result<Submitted, Failure> {
    Content::check(&args.texts, &args.media)?;
    let account = identity::account(&context.keys(&args.signer)?);
    let hospital = context.hospital(&args.hospital).await?;
    let author = context.user_of(&account).await?;
    let cosigner = cosigner(args, context).await?;
    let genesis = context.chain().await?.genesis_hash();
    let content = Content::read(&args.texts, &args.media, context)?;
    let cosigning = cosigner.as_ref().map(Account::id);
    let about = (genesis, hospital, (author, account.id()), (args.patient, cosigning));
    let unfinished = Unfinished::of(context, &content.words(&about)?);
    let earlier = unfinished.as_ref().filter(|_| !args.again);
    let earlier = earlier.and_then(|unfinished| unfinished.earlier(content.files()));
    let resumed = earlier.is_some();
    let worker = context.worker(hospital, account.clone()).await?;
    let (visit, status) = match earlier {
        Some(Earlier::Acknowledged(visit)) => {
            let status = worker.visit_status(visit.record_id).await.map_err(lost)?;
            (visit, status)
        }
        earlier => {
            let visit = match earlier {
                Some(Earlier::Signed(visit)) => {
                    progress::say(context, "going on with the visit that was not acknowledged");
                    visit
                }
                _ => {
                    let builder = VisitBuilder::new(genesis, args.patient, hospital, author);
                    let builder = content.add_to(builder.cosigned_by(cosigner));
                    signed(builder, &account, unfinished.as_ref(), context).await?
                }
            };
            upload(&visit, &worker, unfinished.as_ref(), context).await?
        }
    };
    let look = look_again(visit.record_id, &args.signer, hospital, context);
    let status = tokio::select! {
        status = follow(&worker, status, &args.wait, &look, context) => status?,
        () = interrupted() => return Err(is_safe("interrupted".into(), look)),
    };
    if let Some(unfinished) = unfinished.filter(|_| is_committed(&status)) {
        unfinished.forget();
    }
    let Acknowledged { cosigned, sections, .. } = visit;
    Ok(Submitted { hospital, author, cosigned, resumed, sections, status })
}

/// Sends a visit until the worker has acknowledged it; remembers that it has.
async fn upload(
    visit: &Visit,
    worker: &WorkerClient,
    unfinished: Option<&Unfinished>,
    context: &Context,
) -> Result<(Acknowledged, VisitStatus), Failure> {
    let bar = progress::bytes(context, "uploading the visit");
    let status = tokio::select! {
        status = worker.submit_visit(visit, progress::follow(&bar)) => status,
        () = interrupted() => {
            bar.finish_and_clear();
            return Err(Failure::new("interrupted", GOES_ON));
        }
    };
    bar.finish_and_clear();
    let acknowledged = Acknowledged {
        record_id: visit.record_id(),
        cosigned: visit.request.patient_signature.is_some(),
        sections: visit.request.sections.iter().map(SectionLine::of).collect(),
    };
    match (unfinished, &status) {
        (Some(unfinished), Ok(_)) => {
            if let Err(error) = unfinished.acknowledged(acknowledged.clone()) {
                progress::say(context, &format!("{NOT_KEPT} ({error})"));
            }
        }
        (Some(unfinished), Err(error)) if !may_go_on(error) => unfinished.forget(),
        _ => {}
    }
    Ok((acknowledged, status.map_err(interrupted_upload)?))
}

/// A new visit, which a later run of the same command will find.
async fn signed(
    builder: VisitBuilder,
    account: &Account,
    unfinished: Option<&Unfinished>,
    context: &Context,
) -> Result<Visit, Failure> {
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

/// The hospital has the visit, whatever became of this run.
fn is_safe(error: String, look: Invocation) -> Failure {
    Failure::new(error, "nothing is lost, and the visit moves on by itself: look again")
        .with_command(look)
}

fn look_again(
    record: RecordId,
    signer: &KeySource,
    hospital: HospitalId,
    context: &Context,
) -> Invocation {
    let (record, hospital) = (record.to_string(), hospital.to_string());
    let words: [&OsStr; 7] = [
        "visit".as_ref(),
        "status".as_ref(),
        record.as_ref(),
        "--as".as_ref(),
        signer.as_ref(),
        "--hospital".as_ref(),
        hospital.as_ref(),
    ];
    context.command(words)
}

/// The worker does not know a visit that it has acknowledged, or cannot be asked.
fn lost(error: WorkerError) -> Failure {
    let is_unknown = error.problem().is_some_and(|problem| problem.status == 404);
    let mut failure = Failure::from(error);
    if is_unknown {
        failure.help =
            "the hospital acknowledged this visit before and has lost it: tell its operator, \
                        and submit the visit anew with --again"
                .into();
    }
    failure
}

fn is_committed(status: &VisitStatus) -> bool {
    matches!(status.stage, VisitStage::Committed { .. })
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

/// Asks how far a visit has come.
pub async fn status(args: &StatusArgs, context: &Context) -> Result<Followed, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let hospital = context.hospital(&args.hospital).await?;
    let worker = context.worker(hospital, account).await?;
    let status = worker.visit_status(args.id).await?;
    let look = look_again(args.id, &args.signer, hospital, context);
    let status = follow(&worker, status, &args.wait, &look, context).await?;
    if is_committed(&status) {
        unfinished::told(context, args.id);
    }
    Ok(Followed(status))
}

/// Waits, if asked to, until a visit is committed.
async fn follow(
    worker: &WorkerClient,
    mut status: VisitStatus,
    args: &WaitArgs,
    look: &Invocation,
    context: &Context,
) -> Result<VisitStatus, Failure> {
    if !args.wait {
        return Ok(status);
    }
    let told =
        |status: &VisitStatus| format!("visit {}  {}", status.record_id, stage(status.stage));
    let waiting = progress::waiting(context, told(&status));
    let until = Instant::now() + Duration::from_secs(args.timeout);
    while !is_committed(&status) {
        if Instant::now() > until {
            return Err(gave_up(&status, args.timeout, look));
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

fn gave_up(status: &VisitStatus, seconds: u64, look: &Invocation) -> Failure {
    let failed = status.last_failure.as_deref().unwrap_or("nothing is known to be wrong");
    let error = format!(
        "visit {} is not committed after {seconds} s but {}; {failed}",
        status.record_id,
        word(&status.stage)
    );
    is_safe(error, look.clone())
}
