//! `epione visit submit`: reads and signs a visit, or finds the one that an earlier run of the same command signed;
//! sends it to the hospital's worker; and follows it if asked to.

use std::{fmt, path::PathBuf};

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};
use epione_client::{
    api::VisitStatus,
    signer::Account,
    visit::{Visit, VisitBuilder},
    worker::{WorkerClient, WorkerError},
};
use epione_envelope::{record::SectionKind, signature::Extraction};
use epione_primitives::{Hash, HospitalId, UserId, profile::Role, release::SectionSet};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::{
    MediaSection, SectionLine, TextSection,
    extraction::{self, Lines},
    section::Content,
    status::{Followed, WaitArgs, follow, is_committed, is_outdated, is_safe, look_again},
    template::Template,
    unfinished::{Acknowledged, Earlier, Unfinished},
};
use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    interrupt::{this_command, this_command_without},
    piped::Notices,
    progress,
    wording::{bytes_column, legible},
};

#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The author's key file
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// The patient: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: UserId,
    /// Number or name of the hospital of the visit
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: HospitalRef,
    /// A text section, such as diagnosis=FILE; - is standard input. Kinds: summary, diagnosis, prescription, report,
    /// history, observation, symptoms, name, gender, birth-date, id-number
    #[arg(long = "text", value_name = "KIND=FILE", value_parser = OsStringValueParser::new().try_map(TextSection::read))]
    pub texts: Vec<TextSection>,
    /// A media section: DICOM, video or any other file; - is standard input. The command first copies a pipe into an
    /// unnamed file in the folder for temporary files (TMPDIR)
    #[arg(long = "media", value_name = "FILE", value_parser = OsStringValueParser::new().try_map(MediaSection::read))]
    pub media: Vec<MediaSection>,
    /// The patient's key file, with which the patient signs the same sections as the author
    #[arg(long, value_name = "FILE")]
    pub cosign: Option<KeySource>,
    /// The key file of the nurse of the visit, with which the nurse signs the same sections as the author
    #[arg(long, value_name = "FILE")]
    pub nurse: Option<KeySource>,
    /// Sections that every disclosure of the record shows, such as 0,2: texts are numbered from 0 in their order, then
    /// media. The author signs these rules, and `epione disclose` and `epione verify-disclosure` enforce them. The
    /// rules do not restrict who reads the sections
    #[arg(long, value_name = "SECTIONS", value_parser = extraction::sections)]
    pub mandatory: Option<SectionSet>,
    /// Sections that no disclosure of the record shows; see --mandatory
    #[arg(long, value_name = "SECTIONS", value_parser = extraction::sections)]
    pub never: Option<SectionSet>,
    /// Sections that a disclosure of the record shows together or not at all; see --mandatory; may be given several
    /// times
    #[arg(long, value_name = "SECTIONS", value_parser = extraction::sections)]
    pub together: Vec<SectionSet>,
    /// File in which the hospital says by kinds of sections what may be disclosed, instead of --mandatory, --never and
    /// --together; see docs/sharing.md
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mandatory", "never", "together"])]
    pub extraction_template: Option<PathBuf>,
    /// Submit a new visit, even if the same command submitted a visit within a day
    #[arg(long)]
    pub again: bool,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// A visit that the worker acknowledged, so that it cannot be lost any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    pub hospital: HospitalId,
    pub author: UserId,
    /// Whether the patient signed, too.
    pub cosigned: bool,
    /// The nurse, if one signed, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nurse: Option<UserId>,
    /// Which sections may be disclosed; absent if every choice of them may.
    #[serde(skip_serializing_if = "Extraction::is_default")]
    pub extraction: Extraction,
    /// Whether it is the visit of an earlier run of the same command.
    pub resumed: bool,
    pub sections: Vec<SectionLine>,
    #[serde(flatten)]
    pub status: VisitStatus,
}

impl Output for Submitted {}

impl fmt::Display for Submitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, section) in self.sections.iter().enumerate() {
            let name = legible(section.name.as_deref().unwrap_or("").as_bytes());
            write!(
                f,
                "  {number:>2}  {:<13} {}  {}",
                section.kind,
                bytes_column(section.bytes),
                section.media_type
            )?;
            writeln!(f, "{}{name}", if name.is_empty() { "" } else { "  " })?;
            if let Some(line) = section.frames_line() {
                writeln!(f, "      {line}")?;
            }
        }
        Lines(&self.extraction).fmt(f)?;
        if self.cosigned {
            writeln!(f, "  also signed by the patient")?;
        }
        if let Some(nurse) = self.nurse {
            writeln!(f, "  also signed by nurse {nurse}")?;
        }
        if self.resumed {
            writeln!(
                f,
                "  this is the visit of an earlier run; to submit another one, add --again"
            )?;
        }
        Followed(self.status.clone()).fmt(f)
    }
}

/// Reads, signs and uploads a visit; or resumes the one that the same command submitted. The worker recognizes that
/// one for a day, also after it was committed.
pub async fn submit(args: &SubmitArgs, context: &Context) -> Result<Submitted, Failure> {
    let submission = Submission::prepare(args, context).await?;
    let earlier = submission.earlier();
    let is_resumed = earlier.is_some();
    let mut handed = submission.hand_over(earlier).await?;
    let mut resumed = is_resumed || handed.is_recognized;
    if is_outdated(&handed.status) {
        submission.say("the earlier visit was never announced: signing it again");
        handed = submission.sign_and_upload(submission.new_command()).await?;
        resumed = false;
    }
    let Handed { visit, status, .. } = handed;
    let status = submission.follow(&visit, status).await?;
    let Submission { hospital, author, .. } = submission;
    let Acknowledged { cosigned, nurse, extraction, sections, .. } = visit;
    Ok(Submitted { hospital, author, cosigned, nurse, extraction, resumed, sections, status })
}

/// A visit that the worker has acknowledged.
struct Handed {
    visit: Acknowledged,
    status: VisitStatus,
    /// Whether it is the visit of an earlier run that this machine does not keep.
    is_recognized: bool,
}

/// Who submits what to which hospital.
struct Submission<'a> {
    args: &'a SubmitArgs,
    context: &'a Context,
    genesis: Hash,
    hospital: HospitalId,
    author: UserId,
    account: Account,
    /// The patient's account, if they sign too.
    cosigner: Option<Account>,
    /// The nurse, and their account, if they sign too.
    nurse: Option<(UserId, Account)>,
    extraction: Extraction,
    content: Content,
    worker: WorkerClient,
    /// The bytes by which the worker recognizes the visit of the same command.
    command: [u8; 16],
    /// Where the visit is kept between runs; none if this machine has no place for it.
    unfinished: Option<Unfinished>,
}

impl<'a> Submission<'a> {
    /// Looks everything up, and reads texts and pipes. Nothing is signed or sent.
    async fn prepare(args: &'a SubmitArgs, context: &'a Context) -> Result<Self, Failure> {
        let extraction = extraction_of(args)?;
        Content::check(&args.texts, &args.media)?;
        let keys = context.keys(&args.signer)?;
        let account = identity::account(&keys);
        let hospital = context.hospital(&args.hospital).await?;
        let author = context.user_of(&account).await?;
        let cosigner = cosigner(args, context).await?;
        let nurse = nurse(args, author, context).await?;
        let genesis = context.chain().await?.genesis_hash();
        let content = read(args, context).await?;
        let cosigning = cosigner.as_ref().map(Account::id);
        let nursing = nurse.as_ref().map(|(user, account)| (*user, account.id()));
        let signers = ((author, account.id()), (args.patient, cosigning), nursing);
        let about = (genesis, hospital, signers, &extraction);
        let words = content.words(&about)?;
        let command = words.command(keys.account.seed());
        let unfinished = Unfinished::of(context, &words);
        let worker = context.worker(hospital, account.clone()).await?;
        Ok(Self {
            args,
            context,
            genesis,
            hospital,
            author,
            account,
            cosigner,
            nurse,
            extraction,
            content,
            worker,
            command,
            unfinished,
        })
    }

    /// What an earlier run of the same command left, unless another visit is requested.
    fn earlier(&self) -> Option<Earlier> {
        let unfinished = self.unfinished.as_ref().filter(|_| !self.args.again)?;
        unfinished.earlier(self.content.files())
    }

    /// Has the worker acknowledge the visit, if it did not do so in an earlier run.
    async fn hand_over(&self, earlier: Option<Earlier>) -> Result<Handed, Failure> {
        match earlier {
            Some(Earlier::Acknowledged(visit)) => {
                let status = self.worker.visit_status(visit.record_id).await.map_err(lost)?;
                Ok(Handed { visit, status, is_recognized: false })
            }
            Some(Earlier::Signed(visit)) => self.resume(&visit).await,
            None => self.sign_and_upload(self.new_command()).await,
        }
    }

    /// Sends a visit that an earlier run signed. One that the worker would refuse by now is signed again, for the same
    /// command.
    async fn resume(&self, visit: &Visit) -> Result<Handed, Failure> {
        if self.is_current(visit).await? {
            self.say("resuming the earlier visit, which the hospital has not acknowledged");
            return self.upload(visit, true).await;
        }
        self.say("the earlier visit was signed too long ago: signing it again");
        let command = visit.request.command.as_ref().map(|_| self.command);
        self.sign_and_upload(command).await
    }

    /// Whether the worker still accepts a visit that an earlier run signed, or has it already.
    async fn is_current(&self, visit: &Visit) -> Result<bool, Failure> {
        let newest = self.context.chain().await?.finalized_head().await?.number;
        if visit.is_fresh_at(newest) {
            return Ok(true);
        }
        match self.worker.visit_status(visit.record_id()).await {
            Ok(status) => Ok(!is_outdated(&status)),
            Err(error) if is_unknown(&error) => Ok(false),
            Err(error) => Err(self.refused(error, true)),
        }
    }

    /// The command of a new visit; none for a visit that no rerun shall find.
    fn new_command(&self) -> Option<[u8; 16]> {
        (!self.args.again).then_some(self.command)
    }

    async fn sign_and_upload(&self, command: Option<[u8; 16]>) -> Result<Handed, Failure> {
        let (visit, is_kept) = self.sign(command).await?;
        self.upload(&visit, is_kept).await
    }

    /// A new visit, and whether a later run of the same command will find it on this machine.
    async fn sign(&self, command: Option<[u8; 16]>) -> Result<(Visit, bool), Failure> {
        let builder =
            VisitBuilder::new(self.genesis, self.args.patient, self.hospital, self.author)
                .cosigned_by(self.cosigner.clone())
                .nursed_by(self.nurse.clone())
                .with_extraction(self.extraction.clone())
                .by_command(command);
        let builder = self.content.add_to(builder);
        let reading = progress::waiting(self.context, "reading and signing the files of the visit");
        let described = builder.describe().await?;
        let newest = self.context.chain().await?.finalized_head().await?;
        let visit = described.sign(&self.account, newest.into())?;
        reading.finish_and_clear();
        let kept = self.unfinished.as_ref().map(|unfinished| unfinished.keep(&visit));
        let is_kept = matches!(kept, Some(Ok(())));
        if !is_kept {
            let why = kept.and_then(Result::err).map_or_else(String::new, |it| format!(" ({it})"));
            let rerun = after_interruption(false, self.args.again);
            self.warn(&format!("if this run is interrupted, {rerun}{why}"));
        }
        Ok((visit, is_kept))
    }

    /// Sends a visit until the worker has acknowledged it; remembers that it has.
    async fn upload(&self, visit: &Visit, is_kept: bool) -> Result<Handed, Failure> {
        let bar = progress::bytes(self.context, "uploading the visit");
        let interrupted = Failure::new("interrupted", "the hospital may have the visit");
        self.context.interruption().set(Some(self.resumes(interrupted, is_kept)));
        let status = self.worker.submit_visit(visit, progress::follow(&bar)).await;
        bar.finish_and_clear();
        let record_id = status.as_ref().map_or(visit.record_id(), |status| status.record_id);
        let acknowledged = Acknowledged {
            record_id,
            cosigned: visit.request.patient_signature.is_some(),
            nurse: visit.request.nurse,
            extraction: visit.request.extraction.clone(),
            sections: visit.request.sections.iter().map(SectionLine::of).collect(),
        };
        match (&self.unfinished, &status) {
            (Some(unfinished), Ok(_)) => {
                if let Err(error) = unfinished.acknowledged(acknowledged.clone()) {
                    self.warn(&format!("{NOT_NOTED} ({error})"));
                }
            }
            (Some(unfinished), Err(error)) if !may_go_on(error) => unfinished.forget(),
            _ => {}
        }
        let status = status.map_err(|error| self.refused(error, is_kept))?;
        let is_recognized = record_id != visit.record_id();
        Ok(Handed { visit: acknowledged, status, is_recognized })
    }

    /// What to do about an upload that failed.
    fn refused(&self, error: WorkerError, is_kept: bool) -> Failure {
        if error.is_transient() {
            return self.resumes(error.into(), is_kept);
        }
        let is_another = is_another_visit(&error);
        let mut failure = Failure::from(error);
        if is_another {
            failure.help = ANOTHER_VISIT.into();
        }
        failure
    }

    /// With --wait, waits until the visit is committed. A committed visit is not kept any longer.
    async fn follow(
        &self,
        visit: &Acknowledged,
        status: VisitStatus,
    ) -> Result<VisitStatus, Failure> {
        let look = look_again(visit.record_id, &self.args.signer, self.hospital, self.context);
        let interrupted = is_safe("interrupted".into(), look.clone());
        self.context.interruption().set(Some(interrupted));
        let status = follow(&self.worker, status, &self.args.wait, &look, self.context).await?;
        if let Some(unfinished) = self.unfinished.as_ref().filter(|_| is_committed(&status)) {
            unfinished.forget();
        }
        Ok(status)
    }

    /// Adds how to resume this upload, or how to submit the visit again if this machine does not keep it.
    fn resumes(&self, mut failure: Failure, is_kept: bool) -> Failure {
        failure.help =
            format!("{}; {}", failure.help, after_interruption(is_kept, self.args.again));
        failure.with_command(if is_kept { this_command_without("--again") } else { this_command() })
    }

    fn say(&self, what: &str) {
        progress::say(self.context, what);
    }

    fn warn(&self, what: &str) {
        progress::warn(self.context, what);
    }
}

/// A file is recognized by its path, length and time of modification, which may all stay the same when it changes.
const ANOTHER_VISIT: &str = "the same command submitted another visit within a day, and a file or the worker's keys \
                             have changed since then; if this visit is a new one, add --again";

const NOT_NOTED: &str = "this machine could not note that the hospital has acknowledged the visit; a rerun without \
                         --again asks the hospital";

/// What the user can do after an interruption. A rerun resumes the visit only if this machine keeps it. With --again,
/// the worker does not recognize the command of a rerun; without it, the worker would take the rerun for the visit
/// before this one.
fn after_interruption(is_kept: bool, again: bool) -> &'static str {
    match (is_kept, again) {
        (true, true) => "rerun the same command without --again to resume",
        (true, false) => "rerun the same command to resume",
        (false, true) => {
            "rerun the same command with --again, which submits another visit, even if the hospital has acknowledged \
             this one"
        }
        (false, false) => {
            "a rerun of the same command submits another visit, unless the hospital has acknowledged this one"
        }
    }
}

/// What the author lets be disclosed: by a template, or by sections.
fn extraction_of(args: &SubmitArgs) -> Result<Extraction, Failure> {
    let count = args.texts.len() + args.media.len();
    let Some(path) = &args.extraction_template else {
        return extraction::policy(args.mandatory, args.never, &args.together, count);
    };
    let media = args.media.iter().map(|_| SectionKind::Media);
    let kinds: Vec<_> = args.texts.iter().map(|text| text.kind).chain(media).collect();
    Ok(Template::read(path)?.policy(&kinds))
}

/// Reads the content of the sections in another thread, so that waits are shown and signals end the command.
async fn read(args: &SubmitArgs, context: &Context) -> Result<Content, Failure> {
    let (texts, media, notices) = (args.texts.clone(), args.media.clone(), Notices::of(context));
    let reading = spawn_blocking(move || Content::read(&texts, &media, &notices));
    reading.await.map_err(|error| Failure::new(error.to_string(), "this is a bug: report it"))?
}

/// The patient's account, if they sign too.
async fn cosigner(args: &SubmitArgs, context: &Context) -> Result<Option<Account>, Failure> {
    let Some(source) = &args.cosign else { return Ok(None) };
    let account = identity::account(&context.keys(source)?);
    let user = context.user_of(&account).await?;
    if user != args.patient {
        return Err(Failure::usage(
            format!("--cosign names the key file of user {user}, who is not the patient"),
            "give the key file of the patient of the visit",
        ));
    }
    Ok(Some(account))
}

/// The nurse of the visit and their account, if they sign too.
async fn nurse(
    args: &SubmitArgs,
    author: UserId,
    context: &Context,
) -> Result<Option<(UserId, Account)>, Failure> {
    let Some(source) = &args.nurse else { return Ok(None) };
    let account = identity::account(&context.keys(source)?);
    let user = context.user_of(&account).await?;
    if user == author {
        return Err(Failure::usage(
            format!("--nurse names the key file of user {user}, who is the author of the visit"),
            "give the key file of another nurse, or leave out --nurse",
        ));
    }
    let profile = context.chain().await?.finalized().await?.profile(user).await?;
    match profile {
        Some(profile) if profile.role == Role::Nurse => Ok(Some((user, account))),
        _ => Err(Failure::usage(
            format!("--nurse names the key file of user {user}, who is not a nurse"),
            "give the key file of the nurse of the visit",
        )),
    }
}

/// Whether the worker may have the visit, or accept it later: the same command resumes it then.
fn may_go_on(error: &WorkerError) -> bool {
    match error {
        WorkerError::Problem(problem) => !matches!(problem.status, 400 | 403 | 409 | 413),
        WorkerError::FileChanged { .. } => false,
        _ => true,
    }
}

/// Whether the worker acknowledged a visit with other content for the same command.
fn is_another_visit(error: &WorkerError) -> bool {
    error.problem().is_some_and(|it| it.status == 409 && it.kind.ends_with(":command"))
}

/// The worker does not know a visit that it has acknowledged, or cannot be asked.
fn lost(error: WorkerError) -> Failure {
    let is_lost = is_unknown(&error);
    let mut failure = Failure::from(error);
    if is_lost {
        failure.help =
            "the hospital had acknowledged this visit, but has lost it: tell its operator, and \
             submit the visit again with --again"
                .into();
    }
    failure
}

/// Whether the worker does not know the visit.
fn is_unknown(error: &WorkerError) -> bool {
    error.problem().is_some_and(|problem| problem.status == 404)
}

#[cfg(test)]
mod tests {
    use epione_client::api::Problem;

    use super::*;

    #[test]
    fn without_a_folder_a_failed_visit_with_again_is_not_to_be_rerun_without_it() {
        for (is_kept, again, says) in [
            (true, true, "without --again to resume"),
            (true, false, "the same command to resume"),
            (false, true, "with --again, which submits another visit"),
            (false, false, "unless the hospital has acknowledged"),
        ] {
            let help = after_interruption(is_kept, again);
            assert!(help.contains(says), "{help}");
        }
    }

    #[test]
    fn only_other_content_under_the_same_command_needs_another_visit() {
        let answered = |status, kind: &str| {
            let kind = format!("urn:epione:problem:{kind}");
            let (title, detail, denial) = (String::new(), None, None);
            WorkerError::Problem(Box::new(Problem { kind, title, status, detail, denial }))
        };
        let another = answered(409, "command");
        assert!(is_another_visit(&another) && !may_go_on(&another));
        for other in [answered(409, "record-id"), answered(409, "offset"), answered(503, "busy")] {
            assert!(!is_another_visit(&other), "{other}");
        }
    }
}
