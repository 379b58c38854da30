//! `epione visit status`: shows the status of a visit, and waits until it is committed.

use std::{
    ffi::OsStr,
    fmt,
    time::{Duration, Instant},
};

use clap::Args;
use epione_client::{
    api::{VisitStage, VisitStatus},
    worker::WorkerClient,
};
use epione_primitives::{HospitalId, RecordId};
use serde::Serialize;

use super::{unfinished, votes::Votes};
use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    invocation::Invocation,
    progress,
    wording::legible,
};

/// Pause between two requests for the status of a visit.
const POLL: Duration = Duration::from_millis(250);

#[derive(Clone, Debug, Default, Args)]
pub struct WaitArgs {
    /// Wait until the visit is committed in a final block
    #[arg(long)]
    pub wait: bool,
    /// Stop waiting after this time; the hospital continues to process the visit
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

/// The status of a visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Followed(pub VisitStatus);

impl Output for Followed {}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.0.record_id, stage(self.0.stage))?;
        match &self.0.last_failure {
            Some(failure) => {
                let failure = legible(failure.as_bytes());
                write!(f, "\n  an earlier announcement failed: {failure}")
            }
            None => Ok(()),
        }
    }
}

fn stage(stage: VisitStage) -> String {
    match stage {
        VisitStage::Uploading => "uploading: not yet acknowledged by the hospital".into(),
        VisitStage::Queued => "queued: stored at the hospital, waiting to be packed".into(),
        VisitStage::Packed => "packed: being sent to the chain".into(),
        VisitStage::Announced { announcement } => {
            format!("announced ({announcement}): the other hospitals verify it")
        }
        VisitStage::Committed { pointer } => format!("committed as record {pointer}"),
        VisitStage::Outdated => {
            "outdated: not announced in time after it was signed; its author must submit it again"
                .into()
        }
    }
}

/// Requests the status of a visit.
pub async fn status(args: &StatusArgs, context: &Context) -> Result<Followed, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let hospital = context.hospital(&args.hospital).await?;
    let worker = context.worker(hospital, account).await?;
    let status = worker.visit_status(args.id).await?;
    let look = look_again(args.id, &args.signer, hospital, context);
    let status = follow(&worker, status, &args.wait, &look, context).await?;
    if is_committed(&status) {
        unfinished::forget_committed(context, args.id);
    }
    Ok(Followed(status))
}

/// With --wait, waits until a visit is committed. Fails if it never will be.
pub(super) async fn follow(
    worker: &WorkerClient,
    mut status: VisitStatus,
    args: &WaitArgs,
    look: &Invocation,
    context: &Context,
) -> Result<VisitStatus, Failure> {
    if !args.wait {
        return Ok(status);
    }
    let status_line =
        |status: &VisitStatus| format!("visit {}  {}", status.record_id, stage(status.stage));
    let waiting = progress::waiting(context, status_line(&status));
    let until = after(args.timeout);
    let mut votes = Votes::new();
    while !is_committed(&status) {
        if is_outdated(&status) {
            return Err(outdated(&status));
        }
        if until.is_some_and(|until| Instant::now() > until) {
            return Err(gave_up(&status, args.timeout, look));
        }
        tokio::time::sleep(POLL).await;
        match worker.visit_status(status.record_id).await {
            Ok(next) => {
                status = next;
                waiting.becomes(status_line(&status));
                if let Some(missing) = votes.missing(status.stage, context).await {
                    waiting.because(missing);
                } else if let Some(failure) = &status.last_failure {
                    waiting.because(format!("an announcement failed: {failure}"));
                }
            }
            // The hospital has the visit; the worker may be restarting.
            Err(error) if error.is_transient() => waiting.because(error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(status)
}

/// The moment so many seconds from now; none if it is too far away to be reached.
fn after(seconds: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(seconds))
}

fn gave_up(status: &VisitStatus, seconds: u64, look: &Invocation) -> Failure {
    let failed = status.last_failure.as_ref();
    let failed =
        failed.map_or(String::new(), |failure| format!(" (an announcement failed: {failure})"));
    let error = format!(
        "visit {} is not committed after {seconds} s{failed}; it is {}",
        status.record_id,
        stage(status.stage)
    );
    is_safe(error, look.clone())
}

fn outdated(status: &VisitStatus) -> Failure {
    Failure::new(
        format!(
            "visit {} will not become a record: it is {}",
            status.record_id,
            stage(status.stage)
        ),
        "the author submits it again by the command that submitted it, which signs it anew",
    )
}

/// The hospital has the visit, although this run ended.
pub(super) fn is_safe(error: String, look: Invocation) -> Failure {
    Failure::new(
        error,
        "nothing is lost, and the hospital continues to process the visit: check its status",
    )
    .with_command(look)
}

pub(super) fn look_again(
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

pub(super) fn is_committed(status: &VisitStatus) -> bool {
    matches!(status.stage, VisitStage::Committed { .. })
}

pub(super) fn is_outdated(status: &VisitStatus) -> bool {
    status.stage == VisitStage::Outdated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_author_of_an_outdated_visit_is_told_to_submit_it_again() {
        let status = VisitStatus {
            record_id: RecordId([7; 16]),
            stage: VisitStage::Outdated,
            queued_at: Some(1),
            since: 2,
            media: Vec::new(),
            last_failure: None,
        };
        assert!(is_outdated(&status) && !is_committed(&status));
        assert!(Followed(status.clone()).to_string().contains("must submit it again"));
        assert!(outdated(&status).help.contains("signs it anew"));
    }

    #[test]
    fn a_timeout_may_be_any_number_of_seconds() {
        assert!(after(0).is_some_and(|until| until <= Instant::now()));
        assert!(after(900).is_some_and(|until| until > Instant::now()));
        assert_eq!(after(u64::MAX), None);
    }
}
