//! Whose vote a visit waits for. A hospital votes only after it has fetched every segment into its own storage, so a
//! storage that stands still shows as a vote that does not come.

use std::time::{Duration, Instant};

use epione_client::{api::VisitStage, waiting::Waits};
use epione_primitives::{
    AnnouncementId, HospitalId,
    approval::{Ballot, approvals_needed},
};
use tokio::time::timeout;

use crate::context::Context;

/// How often the ballot is read, and how long that may take.
const LOOK_EVERY: Duration = Duration::from_secs(3);
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Hospitals that are named, at most.
const NAMED: usize = 5;

/// Reads the ballot about an announced visit from time to time.
pub(super) struct Votes {
    last: Instant,
}

impl Votes {
    /// The first look follows after a while: most ballots need no explanation.
    pub fn new() -> Self {
        Self { last: Instant::now() }
    }

    /// Which hospitals have not voted about the visit's block; none if it is not known now, or all have voted.
    pub async fn missing(&mut self, stage: VisitStage, context: &Context) -> Option<String> {
        let VisitStage::Announced { announcement } = stage else { return None };
        if self.last.elapsed() < LOOK_EVERY {
            return None;
        }
        self.last = Instant::now();
        let ballot = timeout(LOOK_LIMIT, ballot(announcement, context)).await.ok()??;
        describe(&ballot)
    }
}

async fn ballot(id: AnnouncementId, context: &Context) -> Option<Ballot> {
    // The waits of this look are not shown.
    let chain = context.chain().await.ok()?.clone().with_waits(Waits::default());
    chain.finalized().await.ok()?.ballot(id).await.ok()?
}

fn describe(ballot: &Ballot) -> Option<String> {
    let has_voted = |hospital: &HospitalId| {
        *hospital == ballot.opener
            || ballot.approvals.iter().any(|approval| approval.hospital == *hospital)
            || ballot.rejections.iter().any(|(rejecting, _)| rejecting == hospital)
    };
    let silent: Vec<_> = ballot.electorate.iter().filter(|&it| !has_voted(it)).collect();
    if silent.is_empty() || ballot.outcome.is_some() {
        return None;
    }
    let names: Vec<_> = silent.iter().take(NAMED).map(ToString::to_string).collect();
    let more = match silent.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let needed = approvals_needed(u32::try_from(ballot.electorate.len()).unwrap_or(u32::MAX));
    let hospitals = if silent.len() == 1 { "hospital" } else { "hospitals" };
    Some(format!(
        "{} of {needed} approvals; no vote yet from {hospitals} {}{more}: a hospital votes when its storage has all \
         segments",
        ballot.approvals.len(),
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        Hash,
        approval::{Approval, RejectReason},
    };

    use super::*;

    fn ballot(electorate: u16, approvals: &[u16], rejections: &[u16]) -> Ballot {
        let ids = |ids: &[u16]| ids.iter().copied().map(HospitalId).collect::<Vec<_>>();
        let rejections: Vec<_> =
            ids(rejections).into_iter().map(|id| (id, RejectReason::SegmentMissing)).collect();
        let approvals: Vec<_> =
            ids(approvals).into_iter().map(|hospital| Approval { hospital, block: 1 }).collect();
        Ballot {
            subject: Hash::zero(),
            opener: HospitalId(0),
            electorate: (0..electorate).map(HospitalId).collect::<Vec<_>>().try_into().unwrap(),
            approvals: approvals.try_into().unwrap(),
            rejections: rejections.try_into().unwrap(),
            deadline: 100,
            outcome: None,
        }
    }

    #[test]
    fn the_hospitals_that_have_not_voted_are_named() {
        let said = describe(&ballot(4, &[1], &[2])).unwrap();
        assert!(said.contains("1 of 2 approvals") && said.contains("from hospital 3:"), "{said}");
        let said = describe(&ballot(4, &[], &[])).unwrap();
        assert!(said.contains("from hospitals 1, 2, 3:"), "{said}");
        assert_eq!(describe(&ballot(2, &[1], &[])), None);
    }

    #[test]
    fn of_many_hospitals_only_some_are_named() {
        let said = describe(&ballot(60, &[], &[])).unwrap();
        assert!(said.contains("from hospitals 1, 2, 3, 4, 5 and 54 more:"), "{said}");
        assert!(said.len() < 200, "{said}");
    }
}
