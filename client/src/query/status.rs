//! What can still happen to a query.

use epione_primitives::{
    BlockNumber, Moment,
    query::{Acceptance, Answer, Query},
};
use serde::{Deserialize, Serialize};

/// The state of a query at a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The patient can accept or refuse.
    Pending,
    /// The patient did not answer in time.
    Expired,
    Refused,
    /// The requester withdrew it before the answer, or one of the two after it expired without one.
    Canceled,
    /// The requester can collect.
    Accepted,
    /// The requester has collected, and can collect again until the acceptance ends.
    Collected,
    /// The patient ended the acceptance.
    Withdrawn,
    /// The acceptance has ended by its time.
    Over,
}

impl Status {
    /// The status after a block, at the time of that block.
    pub fn of(query: &Query, is_transferred: bool, block: BlockNumber, now: Moment) -> Self {
        match &query.answer {
            // The patient's call can be in the next block at the earliest.
            None if query.is_pending(block.saturating_add(1)) => Self::Pending,
            None => Self::Expired,
            Some(Answer::Refused { .. }) => Self::Refused,
            Some(Answer::Withdrawn { acceptance: None, .. }) => Self::Canceled,
            Some(Answer::Withdrawn { acceptance: Some(_), .. }) => Self::Withdrawn,
            Some(Answer::Accepted(acceptance)) if now >= acceptance.until => Self::Over,
            Some(Answer::Accepted(_)) if is_transferred => Self::Collected,
            Some(Answer::Accepted(_)) => Self::Accepted,
        }
    }
}

/// Who answered or ended a query, how, and in which chain block; none while it has no answer.
pub fn answer_in_words(query: &Query) -> Option<String> {
    Some(match query.answer.as_ref()? {
        Answer::Accepted(Acceptance { by, block, .. }) if *by == query.patient => {
            format!("the patient accepted in chain block {block}")
        }
        Answer::Accepted(Acceptance { by, block, .. }) => {
            format!("user {by} accepted in the name of the patient in chain block {block}")
        }
        Answer::Refused { block, .. } => format!("the patient refused in chain block {block}"),
        Answer::Withdrawn { block, acceptance: Some(_), .. } => {
            format!("the patient withdrew the acceptance in chain block {block}")
        }
        // The patient can withdraw a query without an acceptance only after it expired.
        Answer::Withdrawn { block, acceptance: None, .. } if *block < query.expires => {
            format!("the requester withdrew the query in chain block {block}")
        }
        Answer::Withdrawn { block, acceptance: None, .. } => format!(
            "the requester or the patient withdrew the query in chain block {block}, after it expired"
        ),
    })
}

#[cfg(test)]
mod tests {
    use epione_primitives::{AccountId, Hash, HospitalId, UserId, access::Purpose};

    use super::*;

    fn query(answer: Option<Answer>) -> Query {
        Query {
            requester: UserId([2; 32]),
            hospital: HospitalId(5),
            patient: UserId([1; 32]),
            patient_key: Hash::repeat_byte(7),
            records: Default::default(),
            purpose: Purpose::Research,
            terms: Hash::repeat_byte(4),
            expires: 100,
            block: 10,
            at: 400,
            answer,
        }
    }

    fn acceptance() -> Acceptance {
        Acceptance {
            by: UserId([1; 32]),
            records: Default::default(),
            grant: Hash::repeat_byte(1),
            until: 1_000,
            audience: AccountId::new([5; 32]),
            sealing_key: Hash::repeat_byte(9),
            mailbox: HospitalId(3),
            block: 20,
            at: 500,
        }
    }

    #[test]
    fn a_query_is_pending_as_long_as_the_next_block_may_have_the_answer() {
        let at = |block| Status::of(&query(None), false, block, 500);
        assert_eq!([98, 99, 100].map(at), [Status::Pending, Status::Expired, Status::Expired]);
    }

    #[test]
    fn an_answer_names_who_gave_it() {
        let at = 600;
        let withdrawn = |block, acceptance| Answer::Withdrawn { block, at, acceptance };
        assert_eq!(answer_in_words(&query(None)), None);
        for (answer, words) in [
            (Answer::Accepted(acceptance()), "the patient accepted in chain block 20"),
            (
                Answer::Accepted(Acceptance { by: UserId([7; 32]), ..acceptance() }),
                "user 0x0707070707070707070707070707070707070707070707070707070707070707 accepted in the name of the \
                 patient in chain block 20",
            ),
            (Answer::Refused { block: 9, at }, "the patient refused in chain block 9"),
            (
                withdrawn(30, Some(acceptance())),
                "the patient withdrew the acceptance in chain block 30",
            ),
            (withdrawn(99, None), "the requester withdrew the query in chain block 99"),
            (
                withdrawn(100, None),
                "the requester or the patient withdrew the query in chain block 100, after it expired",
            ),
        ] {
            assert_eq!(answer_in_words(&query(Some(answer))).as_deref(), Some(words));
        }
    }

    #[test]
    fn an_answer_stays_after_the_query_would_have_expired() {
        let (block, at) = (30, 600);
        let withdrawn = |acceptance| Answer::Withdrawn { block, at, acceptance };
        for (answer, is_transferred, now, expected) in [
            (Answer::Refused { block, at }, false, 500, Status::Refused),
            (withdrawn(None), false, 500, Status::Canceled),
            (withdrawn(Some(acceptance())), true, 500, Status::Withdrawn),
            (Answer::Accepted(acceptance()), false, 999, Status::Accepted),
            (Answer::Accepted(acceptance()), true, 999, Status::Collected),
            (Answer::Accepted(acceptance()), true, 1_000, Status::Over),
        ] {
            let query = query(Some(answer));
            assert_eq!(Status::of(&query, is_transferred, 5_000, now), expected, "{query:?}");
        }
    }
}
