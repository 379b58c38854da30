//! `epione audit reviews` and `judge`: reviews of emergencies by the council of hospitals.

use std::{collections::BTreeSet, fmt};

use clap::{ArgGroup, Args};
use epione_client::chain::{ChainError, Snapshot, calls::releases};
use epione_primitives::{
    BlockNumber, HospitalId, UserId,
    hospital::{Hospital, HospitalStatus},
    opening::OpeningId,
    release::{EmergencyReason, Review, ReviewId, ReviewStatus, ReviewSubject},
};
use serde::Serialize;

use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::KeySource,
    listing, progress,
    wording::{counted, moment, word},
};

#[derive(Debug, Args)]
pub struct ReviewsArgs {
    /// Only open reviews
    #[arg(long)]
    pub open: bool,
    /// Maximum number, newest first [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// An emergency, and its review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reviewed {
    pub review: ReviewId,
    pub requester: UserId,
    pub patient: UserId,
    /// The hospital whose records were read; of an opening, the one for which the requester asked.
    pub hospital: HospitalId,
    /// Number of the receipt among the patient's, if the hospital granted access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<u32>,
    /// Number of the opening, if the hospitals opened sections together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<OpeningId>,
    pub reason: EmergencyReason,
    /// RFC 3339.
    pub opened: String,
    /// The last chain block in which a verdict counts.
    pub deadline: BlockNumber,
    /// Number of chain blocks until then, if it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks_left: Option<BlockNumber>,
    pub verdicts: Vec<Verdict>,
    /// Number of equal verdicts that close it.
    pub needed: usize,
    pub status: ReviewStatus,
}

/// A hospital's verdict on an emergency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub hospital: HospitalId,
    pub justified: bool,
}

/// The active hospitals, which judge each other's emergencies.
pub struct Judges(BTreeSet<HospitalId>);

impl Judges {
    pub fn of(hospitals: &[(HospitalId, Hospital)]) -> Self {
        let active =
            hospitals.iter().filter(|(_, hospital)| hospital.status == HospitalStatus::Active);
        Self(active.map(|(id, _)| *id).collect())
    }

    /// Number of equal verdicts that close a review of this hospital's emergency: more than half of the other hospitals
    /// that are not the requester's own, or of all others if none is left, or its own verdict if it is the only one.
    fn needed(&self, hospital: HospitalId, own: &[HospitalId]) -> usize {
        let others = self.0.iter().filter(|id| **id != hospital);
        let strangers = others.clone().filter(|id| !own.contains(id)).count();
        let judges = if strangers == 0 { others.count() } else { strangers };
        judges.max(1) / 2 + 1
    }
}

/// The hospitals that do not judge a review because the requester's registration was in force there: only of an
/// opening, and as far as the newest periods of the registrations say.
async fn own_hospitals(
    snapshot: &Snapshot,
    review: &Review,
) -> Result<Vec<HospitalId>, ChainError> {
    let ReviewSubject::Opening(_) = review.subject else { return Ok(Vec::new()) };
    let registrations = snapshot.registrations(review.requester).await?;
    let then = registrations.into_iter().filter(|(_, it)| it.in_force(review.opened));
    Ok(then.map(|(hospital, _)| hospital).collect())
}

impl Reviewed {
    /// The review by the state of a snapshot, whose block has the number `head`.
    pub async fn of(
        snapshot: &Snapshot,
        (id, review): (ReviewId, Review),
        judges: &Judges,
        head: BlockNumber,
    ) -> Result<Self, ChainError> {
        let own = own_hospitals(snapshot, &review).await?;
        let needed = judges.needed(review.hospital, &own);
        Ok(Self::new(id, review, needed, head))
    }

    /// The review when the newest final chain block is `head`.
    fn new(id: ReviewId, review: Review, needed: usize, head: BlockNumber) -> Self {
        let Review { requester, patient, hospital, subject, reason, opened, deadline, .. } = review;
        let open = review.status == ReviewStatus::Open;
        let verdict = |(hospital, justified)| Verdict { hospital, justified };
        Self {
            review: id,
            requester,
            patient,
            hospital,
            receipt: subject.receipt(),
            opening: match subject {
                ReviewSubject::Opening(opening) => Some(opening),
                ReviewSubject::Receipt(_) => None,
            },
            reason,
            opened: moment(opened),
            deadline,
            blocks_left: open.then(|| deadline.saturating_sub(head)),
            verdicts: review.verdicts.into_iter().map(verdict).collect(),
            needed,
            status: review.status,
        }
    }

    /// The receipt, or the opening.
    fn subject(&self) -> String {
        match (self.receipt, self.opening) {
            (_, Some(opening)) => format!("opening {opening}"),
            (Some(receipt), None) => format!("receipt {receipt}"),
            (None, None) => String::new(),
        }
    }
}

impl fmt::Display for Reviewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "review {}: ", self.review)?;
        match self.status {
            ReviewStatus::Open => {
                let left = self.blocks_left.unwrap_or_default();
                write!(f, "OPEN until block {} ({left} left)", self.deadline)?;
            }
            ReviewStatus::Closed { justified: true, at } => {
                write!(f, "found justified at {}", moment(at))?;
            }
            ReviewStatus::Closed { justified: false, at } => {
                write!(f, "found NOT JUSTIFIED at {}", moment(at))?;
            }
            ReviewStatus::Expired => {
                write!(f, "EXPIRED at block {} without a verdict", self.deadline)?;
            }
        }
        let verdicts = self.verdicts.iter().map(|verdict| {
            let word = if verdict.justified { "justified" } else { "not justified" };
            format!("hospital {} says {word}", verdict.hospital)
        });
        let verdicts: Vec<_> = verdicts.collect();
        if self.status != ReviewStatus::Open {
            return if verdicts.is_empty() {
                Ok(())
            } else {
                write!(f, " ({})", verdicts.join(", "))
            };
        }
        let said =
            if verdicts.is_empty() { "no hospital has voted".into() } else { verdicts.join(", ") };
        match self.needed {
            1 => write!(f, "; {said}; 1 verdict closes it"),
            needed => write!(f, "; {said}; {needed} equal verdicts close it"),
        }
    }
}

/// Emergencies of all hospitals, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reviews {
    pub reviews: Vec<Reviewed>,
    /// Whether the limit left out older ones.
    pub more: bool,
}

impl Output for Reviews {
    /// Fails if an emergency was not judged in time.
    fn passed(&self) -> bool {
        self.reviews.iter().all(|review| review.status != ReviewStatus::Expired)
    }
}

impl fmt::Display for Reviews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reviews.is_empty() {
            return write!(f, "there are no reviews of emergencies");
        }
        let is_expired = |review: &&Reviewed| review.status == ReviewStatus::Expired;
        let expired = self.reviews.iter().filter(is_expired).count();
        if expired > 0 {
            let emergencies = counted(expired, "EMERGENCY WAS", "EMERGENCIES WERE");
            writeln!(f, "!! {emergencies} NOT JUDGED IN TIME: too few hospitals voted")?;
        }
        for review in &self.reviews {
            writeln!(
                f,
                "{}  hospital {}  {}  requester {}  patient {}  {}\n    {review}",
                review.opened,
                review.hospital,
                word(&review.reason),
                review.requester,
                review.patient,
                review.subject()
            )?;
        }
        if self.more { write!(f, "{}", listing::MORE) } else { Ok(()) }
    }
}

/// Lists emergencies and their reviews.
pub async fn reviews(args: &ReviewsArgs, context: &Context) -> Result<Reviews, Failure> {
    let head = context.chain().await?.finalized_head().await?;
    let snapshot = context.chain().await?.at(head.hash);
    let judges = Judges::of(&snapshot.hospitals().await?);
    let asked = listing::asked(args.limit);
    let limit = usize::try_from(asked).unwrap_or(usize::MAX);
    let (mut reviews, mut before) = (Vec::new(), None);
    while reviews.len() < limit {
        let page = snapshot.reviews(before, asked).await?;
        let Some((last, oldest)) = page.last() else { break };
        before = Some(*last);
        // Deadlines are in the order of the numbers: no earlier review is open.
        let done = args.open && oldest.deadline < head.number;
        for found in page {
            if !args.open || found.1.status == ReviewStatus::Open {
                reviews.push(Reviewed::of(&snapshot, found, &judges, head.number).await?);
            }
        }
        if done {
            break;
        }
    }
    let more = listing::cut(&mut reviews, args.limit);
    Ok(Reviews { reviews, more })
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("verdict").required(true).args(["justified", "unjustified"])))]
pub struct JudgeArgs {
    /// Number of the review, as `epione audit reviews` prints it
    #[arg(long, value_name = "N")]
    pub review: u32,
    /// The emergency was justified
    #[arg(long)]
    pub justified: bool,
    /// The emergency was not justified
    #[arg(long)]
    pub unjustified: bool,
    /// Key file of the judging hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the judging hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// A verdict that is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The hospital that judged.
    pub by: HospitalId,
    pub justified: bool,
    #[serde(flatten)]
    pub reviewed: Reviewed,
}

impl Output for Judged {}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.justified { "justified" } else { "not justified" };
        write!(
            f,
            "hospital {} judged the emergency {} hospital {}: {verdict}\n{}",
            self.by,
            if self.reviewed.opening.is_some() { "of an opening for" } else { "at" },
            self.reviewed.hospital,
            self.reviewed
        )
    }
}

/// Gives a hospital's verdict.
pub async fn judge(args: &JudgeArgs, context: &Context) -> Result<Judged, Failure> {
    let id = ReviewId(args.review);
    let (by, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    if find(&chain.finalized().await?, id).await?.is_none() {
        return Err(Failure::new(
            format!("there is no review {id}"),
            "choose one of the listed reviews",
        )
        .with_command(context.command(["audit", "reviews"])));
    }
    let spinner = progress::waiting(context, "waiting until the verdict is finalized");
    let included = chain.submit(&releases::judge(id, args.justified), &governance).await;
    spinner.finish_and_clear();
    let block = included?.block;
    let snapshot = chain.at(block.hash);
    let judges = Judges::of(&snapshot.hospitals().await?);
    let review = find(&snapshot, id).await?.ok_or_else(|| {
        Failure::new(
            format!("the node does not have review {id} any more"),
            "use another node with --node URL",
        )
    })?;
    let reviewed = Reviewed::of(&snapshot, (id, review), &judges, block.number).await?;
    Ok(Judged { by, justified: args.justified, reviewed })
}

async fn find(snapshot: &Snapshot, id: ReviewId) -> Result<Option<Review>, Failure> {
    let before = Some(ReviewId(id.0.saturating_add(1)));
    let found = snapshot.reviews(before, 1).await?.into_iter().next();
    Ok(found.filter(|(found, _)| *found == id).map(|(_, review)| review))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judges(active: u16) -> Judges {
        Judges((0..active).map(HospitalId).collect())
    }

    fn review(status: ReviewStatus) -> Reviewed {
        let review = Review {
            requester: UserId([1; 32]),
            patient: UserId([2; 32]),
            hospital: HospitalId(0),
            subject: ReviewSubject::Receipt(3),
            reason: EmergencyReason::LifeThreatening,
            opened: 0,
            deadline: 100,
            verdicts: vec![(HospitalId(1), true)].try_into().unwrap(),
            status,
        };
        Reviewed::new(ReviewId(7), review, judges(4).needed(HospitalId(0), &[]), 90)
    }

    #[test]
    fn more_than_half_of_the_other_hospitals_close_a_review() {
        for (active, needed) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (8, 4)] {
            assert_eq!(judges(active).needed(HospitalId(0), &[]), needed, "{active} hospitals");
        }
        // A hospital that left does not judge; all others do.
        assert_eq!(judges(4).needed(HospitalId(9), &[]), 3);
    }

    #[test]
    fn hospitals_of_the_requester_do_not_count_unless_nobody_else_is_left() {
        let own = [0, 1, 2].map(HospitalId);
        for (active, needed) in [(8, 3), (4, 1), (3, 2), (2, 1), (1, 1)] {
            assert_eq!(judges(active).needed(HospitalId(0), &own), needed, "{active} hospitals");
        }
    }

    #[test]
    fn a_review_names_its_receipt_or_its_opening() {
        let receipt = review(ReviewStatus::Open);
        let (number, opening) = (None, Some(OpeningId(5)));
        let together = Reviewed { receipt: number, opening, ..receipt.clone() };
        let listed = Reviews { reviews: vec![receipt, together.clone()], more: false }.to_string();
        assert!(listed.contains("  receipt 3\n") && listed.contains("  opening 5\n"), "{listed}");
        let json = serde_json::to_value(&together).unwrap();
        assert_eq!((json.get("receipt"), &json["opening"]), (None, &serde_json::json!(5)));
        let judged = Judged { by: HospitalId(1), justified: true, reviewed: together };
        let said = "hospital 1 judged the emergency of an opening for hospital 0: justified";
        assert!(judged.to_string().starts_with(said), "{judged}");
    }

    #[test]
    fn an_expired_review_is_loud_and_fails() {
        let reviews = Reviews { reviews: vec![review(ReviewStatus::Expired)], more: false };
        assert!(!reviews.passed());
        let text = reviews.to_string();
        assert!(text.starts_with("!! 1 EMERGENCY WAS NOT JUDGED IN TIME"), "{text}");
        let open = review(ReviewStatus::Open);
        assert_eq!(open.blocks_left, Some(10));
        assert!(open.to_string().contains("hospital 1 says justified"), "{open}");
        let cut = Reviews { reviews: vec![open], more: true };
        assert!(cut.passed());
        assert!(cut.to_string().ends_with(listing::MORE), "{cut}");
    }
}
