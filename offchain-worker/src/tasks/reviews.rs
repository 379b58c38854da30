//! Reviews of emergencies by the council of hospitals: how many await a verdict, and which expired without one. The
//! worker reports an expired review in its log, in addition to the chain, so that no hospital overlooks it. It also
//! reports and counts each opening of an emergency summary, at every hospital: no worker decides about it alone.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use epione_primitives::{
    limits::MAX_PAGE,
    opening::OpeningId,
    release::{Review, ReviewId, ReviewStatus, ReviewSubject},
};

use crate::{
    backoff::Backoff,
    chain::{ChainView, FinalState, ViewError},
    metrics::Metrics,
};

/// How often the chain is read.
const POLL: Duration = Duration::from_secs(30);
const RETRY: Backoff = Backoff::new(Duration::from_secs(2), POLL);
/// Pages that one look reads, at most. Only the first look may need many: later ones go back to the oldest open review.
const MAX_PAGES: u32 = 1_024;

/// Counts reviews. Never returns.
pub async fn run(view: Arc<dyn ChainView>, metrics: Metrics) {
    let (mut known, mut failures) = (KnownReviews::default(), 0);
    loop {
        let pause = match look(view.as_ref(), &mut known, &metrics).await {
            Ok(()) => {
                failures = 0;
                POLL
            }
            Err(error) => {
                failures += 1;
                // Other tasks report that the node does not answer.
                if !matches!(error, ViewError::Away) {
                    metrics.task_failures.with_label_values(&["reviews"]).inc();
                    tracing::warn!(
                        ?error,
                        "the reviews of emergencies could not be read; retrying"
                    );
                }
                RETRY.after(failures)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// What is known of all reviews.
#[derive(Debug, Default, PartialEq, Eq)]
struct KnownReviews {
    /// Every review before this one has ended, and is not read again.
    ended_before: ReviewId,
    /// How many of these expired.
    expired: u64,
    /// The expired reviews among the others. They were reported.
    reported: BTreeSet<ReviewId>,
    /// The first review that was not read yet. The openings before it were reported.
    next: ReviewId,
    /// Whether the chain was read before.
    looked: bool,
}

/// The result of a look at the chain.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    open: u64,
    /// Since the chain began.
    expired: u64,
    /// The expired reviews that were not reported before.
    news: Vec<ReviewId>,
    /// The openings that were not reported before, with their reviews, newest first. At the first look, only those
    /// whose reviews are open: a worker that was off does not miss one, and does not report old ones.
    openings: Vec<(OpeningId, ReviewId)>,
}

impl KnownReviews {
    /// Adds the reviews that were read, newest first.
    fn add(&mut self, reviews: &[(ReviewId, Review)]) -> Count {
        let with = |status: ReviewStatus| {
            let of_status = reviews.iter().filter(move |(_, review)| review.status == status);
            of_status.map(|(id, _)| *id).collect::<BTreeSet<_>>()
        };
        let (open, mut expired) = (with(ReviewStatus::Open), with(ReviewStatus::Expired));
        let count = Count {
            open: open.len() as u64,
            expired: self.expired + expired.len() as u64,
            news: expired.difference(&self.reported).copied().collect(),
            openings: self.new_openings(reviews),
        };
        let next = reviews.first().map(|(newest, _)| ReviewId(newest.0.saturating_add(1)));
        self.ended_before = open.first().copied().or(next).unwrap_or(self.ended_before);
        self.reported = expired.split_off(&self.ended_before);
        self.expired += expired.len() as u64;
        self.next = self.next.max(next.unwrap_or_default());
        self.looked = true;
        count
    }

    fn new_openings(&self, reviews: &[(ReviewId, Review)]) -> Vec<(OpeningId, ReviewId)> {
        let unread = reviews.iter().filter(|(id, _)| *id >= self.next);
        let current =
            unread.filter(|(_, review)| self.looked || review.status == ReviewStatus::Open);
        let opening = |(id, review): &(ReviewId, Review)| match review.subject {
            ReviewSubject::Opening(opening) => Some((opening, *id)),
            ReviewSubject::Receipt(_) => None,
        };
        current.filter_map(opening).collect()
    }
}

async fn look(
    view: &dyn ChainView,
    known: &mut KnownReviews,
    metrics: &Metrics,
) -> Result<(), ViewError> {
    let finalized = view.finalized().await?;
    let reviews = since(finalized.as_ref(), known.ended_before).await?;
    let looked = known.looked;
    let Count { open, expired, news, openings } = known.add(&reviews);
    metrics.reviews_open.set(i64::try_from(open).unwrap_or(i64::MAX));
    metrics.reviews_expired.set(i64::try_from(expired).unwrap_or(i64::MAX));
    for (opening, review) in openings {
        metrics.emergency_openings.inc();
        tracing::warn!(
            %opening,
            %review,
            "the hospitals open an emergency summary for a doctor; those that judge it have seven days"
        );
    }
    if looked {
        for review in news {
            tracing::error!(%review, "AN EMERGENCY WAS NEVER JUDGED: its review has expired");
        }
    } else if expired > 0 {
        tracing::warn!(
            expired,
            "emergencies on this chain were never judged: their reviews have expired"
        );
    }
    Ok(())
}

/// The reviews from `first` on, newest first.
async fn since(
    state: &dyn FinalState,
    first: ReviewId,
) -> Result<Vec<(ReviewId, Review)>, ViewError> {
    let (mut reviews, mut before) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let page = state.reviews(before, MAX_PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        let complete = *last <= first;
        before = Some(*last);
        reviews.extend(page.into_iter().filter(|(id, _)| *id >= first));
        if complete {
            break;
        }
    }
    Ok(reviews)
}

#[cfg(test)]
mod tests {
    use epione_primitives::{HospitalId, UserId, release::EmergencyReason};

    use super::*;
    use crate::api::tests::fake::FakeChain;

    fn review(status: ReviewStatus) -> Review {
        Review {
            requester: UserId([1; 32]),
            patient: UserId([2; 32]),
            hospital: HospitalId(0),
            subject: ReviewSubject::Receipt(0),
            reason: EmergencyReason::LifeThreatening,
            opened: 0,
            deadline: 100,
            verdicts: Default::default(),
            status,
        }
    }

    const CLOSED: ReviewStatus = ReviewStatus::Closed { justified: true, at: 1 };

    fn newest_first(statuses: &[ReviewStatus]) -> Vec<(ReviewId, Review)> {
        let reviews = (0..).map(ReviewId).zip(statuses.iter().copied().map(review));
        reviews.collect::<Vec<_>>().into_iter().rev().collect()
    }

    #[test]
    fn ended_reviews_are_not_read_again_and_expired_ones_are_reported_once() {
        use ReviewStatus::{Expired, Open};
        let mut known = KnownReviews::default();
        let count = known.add(&newest_first(&[CLOSED, Expired, Open, CLOSED]));
        assert_eq!(count, Count { open: 1, expired: 1, news: vec![ReviewId(1)], openings: vec![] });
        assert_eq!(known.ended_before, ReviewId(2));

        let mut reviews = newest_first(&[CLOSED, Expired, Expired, CLOSED, Open, Expired]);
        reviews.truncate(4);
        let count = known.add(&reviews);
        assert_eq!((count.open, count.expired), (1, 3));
        assert_eq!(count.news, [ReviewId(2), ReviewId(5)]);
        assert_eq!(known.ended_before, ReviewId(4));

        let count = known.add(&newest_first(&[CLOSED; 6])[..2]);
        assert_eq!((count.open, count.expired, known.ended_before), (0, 2, ReviewId(6)));
        assert_eq!(known.add(&[]), Count { open: 0, expired: 2, ..Count::default() });
    }

    #[tokio::test]
    async fn every_page_is_counted() {
        let chain = FakeChain::default();
        let statuses: Vec<_> = (0..200)
            .map(|index| if index % 2 == 0 { ReviewStatus::Open } else { ReviewStatus::Expired })
            .collect();
        chain.facts().reviews = statuses.iter().copied().map(review).collect();
        // Every third review is about an opening.
        for (number, review) in
            (0..).map(OpeningId).zip(chain.facts().reviews.iter_mut().step_by(3))
        {
            review.subject = ReviewSubject::Opening(number);
        }
        let (metrics, mut known) = (Metrics::new().unwrap(), KnownReviews::default());
        let openings = || metrics.emergency_openings.get();
        look(&chain, &mut known, &metrics).await.unwrap();
        assert_eq!((metrics.reviews_open.get(), metrics.reviews_expired.get()), (100, 100));
        assert_eq!(openings(), 34, "the openings of which the review is open");
        for review in &mut chain.facts().reviews {
            review.status = ReviewStatus::Expired;
        }
        look(&chain, &mut known, &metrics).await.unwrap();
        assert_eq!((metrics.reviews_open.get(), metrics.reviews_expired.get()), (0, 200));
        assert_eq!(openings(), 34, "each is counted once");
    }

    /// Every hospital is told: the worker that granted nothing, too.
    #[tokio::test]
    async fn each_opening_in_an_emergency_is_counted_once_also_if_it_was_judged_meanwhile() {
        let chain = FakeChain::default();
        let (metrics, mut known) = (Metrics::new().unwrap(), KnownReviews::default());
        look(&chain, &mut known, &metrics).await.unwrap();
        for (number, status) in [ReviewStatus::Open, CLOSED].into_iter().enumerate() {
            let subject = ReviewSubject::Opening(OpeningId(number as u32));
            chain.facts().reviews.push(Review { subject, ..review(status) });
            chain.facts().reviews.push(review(status));
            for _ in 0..2 {
                look(&chain, &mut known, &metrics).await.unwrap();
                assert_eq!(metrics.emergency_openings.get(), number as u64 + 1);
            }
        }
    }
}
