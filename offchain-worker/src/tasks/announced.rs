//! Reactions to announced lite blocks: this hospital verifies the block, fetches its segments, and votes.

use std::time::Duration;

use epione_client::chain::{Chain, DispatchFailure, SubmitError, calls::approvals};
use epione_primitives::{
    AnnouncementId, BlockNumber, Hash, HospitalId,
    approval::{Ballot, RejectReason},
    block::{AnnouncedEntry, AnnouncedHeader, Announcement, Segment, Stage},
    ports::HashedBody,
};

use super::{Context, JobContext, TaskError, disk_budget::bytes, task_journal::Next, verification};
use crate::{
    journal::Owner,
    now,
    transfer::{Arrivals, FetchError},
};

/// Chain blocks before the deadline that a vote needs to be included in time.
const LAST_BLOCKS: BlockNumber = 4;
/// Pause after the stored segments could not be counted.
const RETRY: Duration = Duration::from_secs(2);

/// This hospital's verdict about a block.
enum Verdict {
    Approve,
    Reject(RejectReason),
    /// The ballot has ended meanwhile.
    Late,
}

/// Votes in a ballot, or cleans up after it.
pub async fn react(jobs: &JobContext, id: AnnouncementId) -> Result<Next, TaskError> {
    let context = &jobs.context;
    let (chain, snapshot) = context.look()?;
    let Some((announcement, entries)) = snapshot.announcement(id).await? else {
        // The worker was away for so long that the chain has removed the announcement, which was not committed.
        forget(context, id).await?;
        return Ok(Next::Done);
    };
    match announcement.stage {
        Stage::Announced => {}
        // The job of the committed block fetches its segments.
        Stage::Committed { .. } => {
            jobs.budget.committed(id);
            return Ok(Next::Done);
        }
        Stage::Rejected | Stage::Expired | Stage::Withdrawn => {
            recount_one(jobs, id, announcement.announcer).await?;
            forget(context, id).await?;
            jobs.budget.failed(id);
            return Ok(Next::Done);
        }
    }
    let ballot = snapshot
        .ballot(id)
        .await?
        .ok_or(TaskError::Inconsistent("an announcement has no ballot"))?;
    if !may_vote(&ballot, context.hospital) || context.is_leaving(&snapshot).await? {
        return Ok(Next::Wait);
    }
    let (subject, verdict) = judge(jobs, &chain, id, &announcement, &entries, &ballot).await?;
    cast(context, &chain, id, subject, verdict).await
}

/// Counts what is stored of the open announced blocks of other hospitals, as before the worker was restarted. A ballot
/// in which this hospital has voted has no attempt that would count it. Returns when everything is counted.
pub async fn recount(jobs: &JobContext) {
    jobs.context.reached(0).await;
    while let Err(error) = recount_open(jobs).await {
        jobs.context.metrics.task_failures.with_label_values(&["recount"]).inc();
        tracing::warn!(%error, "the stored segments of announced blocks could not be counted; retrying");
        tokio::time::sleep(RETRY).await;
    }
}

async fn recount_open(jobs: &JobContext) -> Result<(), TaskError> {
    let (_, snapshot) = jobs.context.look()?;
    for id in jobs.context.open().iter().copied() {
        if let Some((announcement, _)) = snapshot.announcement(id).await? {
            recount_one(jobs, id, announcement.announcer).await?;
        }
    }
    Ok(())
}

async fn recount_one(
    jobs: &JobContext,
    id: AnnouncementId,
    announcer: HospitalId,
) -> Result<(), TaskError> {
    if announcer != jobs.context.hospital {
        jobs.budget.recount(&jobs.context.journal, id, announcer).await?;
    }
    Ok(())
}

/// Whether the hospital has a vote that it has not cast.
fn may_vote(ballot: &Ballot, hospital: HospitalId) -> bool {
    let voted = ballot.approvals.iter().any(|approval| approval.hospital == hospital)
        || ballot.rejections.iter().any(|(rejecting, _)| *rejecting == hospital);
    ballot.outcome.is_none()
        && ballot.opener != hospital
        && ballot.electorate.contains(&hospital)
        && !voted
}

/// The subject of the vote, which the worker computes from what it verified, and the verdict.
async fn judge(
    jobs: &JobContext,
    chain: &Chain,
    id: AnnouncementId,
    announcement: &Announcement,
    entries: &[AnnouncedEntry],
    ballot: &Ballot,
) -> Result<(Hash, Verdict), TaskError> {
    let (owner, announcer) = (Owner::Announcement(id), announcement.announcer);
    let (subject, segments) = verify(jobs, chain, announcement, entries).await?;
    let segments = match segments {
        Ok(segments) => segments,
        Err(reason) => return Ok((subject, Verdict::Reject(reason))),
    };
    match jobs.budget.count(id, announcer, &segments) {
        Err(_) if is_near(jobs, ballot.deadline) => {
            return Ok((subject, Verdict::Reject(RejectReason::SegmentMissing)));
        }
        counted => counted?,
    }
    jobs.context.journal.reference_announced(owner, announcer, &segments, now()).await?;
    Ok((subject, gather(jobs, id, announcer, &segments, ballot.deadline).await?))
}

/// The subject of a vote about a block, and the block's segments if its body and signatures are valid; or why it is
/// rejected.
async fn verify(
    jobs: &JobContext,
    chain: &Chain,
    announcement: &Announcement,
    entries: &[AnnouncedEntry],
) -> Result<(Hash, Result<Vec<Segment>, RejectReason>), TaskError> {
    let Announcement { announcer, segments, body_hash, announced_at, .. } = *announcement;
    let _place = jobs.verifying.take(announcer).await?;
    let body = chain.body(body_hash).await?.ok_or(TaskError::NoBody(body_hash))?;
    let header = AnnouncedHeader { announcer, segments };
    // Of the bytes themselves: the vote proves what this hospital verified.
    let subject = header.subject(entries, HashedBody::new(&body).hash());
    let genesis = chain.genesis_hash();
    let block = (&header, entries, body.as_slice());
    let checked =
        verification::announced(genesis, chain, block, subject, announced_at, &jobs.signed).await?;
    Ok((subject, checked))
}

/// Whether the deadline is so near that a block whose segments are missing is rejected.
fn is_near(jobs: &JobContext, deadline: BlockNumber) -> bool {
    jobs.context.head() >= deadline.saturating_sub(jobs.reject_margin)
}

/// Fetches the segments. Gives up when the deadline is near: an attempt that is running then stops, and one that begins
/// later is the last.
async fn gather(
    jobs: &JobContext,
    id: AnnouncementId,
    announcer: HospitalId,
    segments: &[Segment],
    deadline: BlockNumber,
) -> Result<Verdict, TaskError> {
    let context = &jobs.context;
    let missing = match verification::missing(&jobs.fetcher, segments, announcer).await? {
        Ok(missing) if missing.is_empty() => return Ok(Verdict::Approve),
        Ok(missing) => missing,
        Err(reason) => return Ok(Verdict::Reject(reason)),
    };
    let Some(claim) = jobs.reserve.claim(bytes(&missing)).await else {
        return match is_near(jobs, deadline) {
            true => Ok(Verdict::Reject(RejectReason::SegmentMissing)),
            false => Err(TaskError::Reserved),
        };
    };
    let margin = jobs.reject_margin;
    let limit = last_chance(context.head(), deadline, margin);
    let arrived = Arrivals::within(claim);
    let fetching = jobs.fetcher.fetch_counting(segments, Some(announcer), &arrived);
    tokio::select! {
        biased;
        fetched = jobs.ballots.during(announcer, &arrived, fetching) => match fetched {
            Ok(()) => Ok(Verdict::Approve),
            Err(TaskError::Fetch(FetchError::Unavailable { .. })) if is_near(jobs, deadline) => {
                Ok(Verdict::Reject(RejectReason::SegmentMissing))
            }
            Err(TaskError::Fetch(error)) => verification::fault(error).map(Verdict::Reject),
            Err(error) => Err(error),
        },
        () = context.closed(id) => Ok(Verdict::Late),
        () = context.reached(limit) => Ok(Verdict::Reject(RejectReason::SegmentMissing)),
    }
}

/// The chain block at which to stop: a margin before the deadline; or, for an attempt that begins within the margin, as
/// late as a vote still counts.
fn last_chance(head: BlockNumber, deadline: BlockNumber, margin: BlockNumber) -> BlockNumber {
    let limit = deadline.saturating_sub(margin);
    if head < limit { limit } else { deadline.saturating_sub(LAST_BLOCKS) }
}

async fn cast(
    context: &Context,
    chain: &Chain,
    id: AnnouncementId,
    subject: Hash,
    verdict: Verdict,
) -> Result<Next, TaskError> {
    let call = match verdict {
        Verdict::Approve => approvals::approve(id, subject),
        Verdict::Reject(reason) => approvals::reject(id, subject, reason),
        Verdict::Late => return Ok(Next::Again),
    };
    match chain.submit(&call, &context.agent).await {
        Ok(_) => {
            count(context, id, &verdict);
            Ok(Next::Wait)
        }
        Err(SubmitError::Dispatch(failure)) if is_too_late(&failure) => {
            // It voted before a restart, or the ballot has ended: the next finalized block shows which.
            tracing::info!(announcement = id.0, %failure, "this hospital's vote is not needed any more");
            Ok(Next::Wait)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the vote is not needed any more. A vote about another subject than the ballot's is an error: the node did
/// not show what the ballot is about, so the block is verified again.
fn is_too_late(failure: &DispatchFailure) -> bool {
    failure.pallet == "Approvals" && failure.error != "AnotherSubject"
}

fn count(context: &Context, id: AnnouncementId, verdict: &Verdict) {
    match verdict {
        Verdict::Reject(reason) => {
            let label = format!("{reason:?}");
            context.metrics.rejections.with_label_values(&[&label]).inc();
            tracing::warn!(announcement = id.0, ?reason, "rejected a lite block");
        }
        Verdict::Approve | Verdict::Late => {
            context.metrics.approvals.inc();
            tracing::info!(announcement = id.0, "approved a lite block");
        }
    }
}

/// Releases the segments of an announcement that failed. Those that nothing else needs are deleted later.
async fn forget(context: &Context, id: AnnouncementId) -> Result<(), TaskError> {
    context.journal.release(Owner::Announcement(id), now()).await?;
    tracing::info!(announcement = id.0, "an announcement failed; its segments were released");
    Ok(())
}

#[cfg(test)]
mod tests {
    use epione_primitives::approval::Approval;

    use super::*;

    fn ballot(approvals: &[u16], rejections: &[u16]) -> Ballot {
        let ids = |ids: &[u16]| ids.iter().copied().map(HospitalId).collect::<Vec<_>>();
        let rejections: Vec<_> =
            ids(rejections).into_iter().map(|id| (id, RejectReason::InvalidAuthor)).collect();
        let approvals: Vec<_> =
            ids(approvals).into_iter().map(|hospital| Approval { hospital, block: 7 }).collect();
        Ballot {
            subject: Hash::repeat_byte(1),
            opener: HospitalId(0),
            electorate: ids(&[0, 1, 2]).try_into().unwrap(),
            approvals: approvals.try_into().unwrap(),
            rejections: rejections.try_into().unwrap(),
            deadline: 100,
            outcome: None,
        }
    }

    #[test]
    fn a_hospital_votes_once_and_not_on_its_own_block() {
        assert!(may_vote(&ballot(&[], &[]), HospitalId(1)));
        assert!(!may_vote(&ballot(&[1], &[]), HospitalId(1)));
        assert!(!may_vote(&ballot(&[], &[1]), HospitalId(1)));
        assert!(!may_vote(&ballot(&[], &[]), HospitalId(0)));
        assert!(!may_vote(&ballot(&[], &[]), HospitalId(7)));
    }

    #[test]
    fn a_vote_about_another_subject_is_verified_again() {
        let failure = |pallet: &str, error: &str| DispatchFailure {
            pallet: pallet.into(),
            error: error.into(),
            docs: String::new(),
        };
        assert!(is_too_late(&failure("Approvals", "AlreadyVoted")));
        assert!(!is_too_late(&failure("Approvals", "AnotherSubject")));
        assert!(!is_too_late(&failure("Quotas", "AlreadyVoted")));
    }

    #[test]
    fn an_attempt_within_the_margin_ends_before_the_deadline() {
        assert_eq!(last_chance(10, 200, 20), 180);
        assert_eq!(last_chance(185, 200, 20), 196);
        assert_eq!(last_chance(0, 10, 20), 6);
    }
}
