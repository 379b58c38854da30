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
    /// The patient or a representative ended the acceptance.
    Withdrawn,
    /// A representative accepted, and the mandate of that time has ended. Nothing is handed out any more.
    EndedWithMandate,
    /// The acceptance has ended by its time.
    Over,
}

impl Status {
    /// The status after a block, at the time of that block. `stands` is whether the acceptance stands, as far as it
    /// depends on who gave it.
    pub fn of(
        query: &Query,
        (stands, is_transferred): (bool, bool),
        block: BlockNumber,
        now: Moment,
    ) -> Self {
        match &query.answer {
            // The patient's call can be in the next block at the earliest.
            None if query.is_pending(block.saturating_add(1)) => Self::Pending,
            None => Self::Expired,
            Some(Answer::Refused { .. }) => Self::Refused,
            Some(Answer::Withdrawn { acceptance: None, .. }) => Self::Canceled,
            Some(Answer::Withdrawn { acceptance: Some(_), .. }) => Self::Withdrawn,
            Some(Answer::Accepted(acceptance)) if now >= acceptance.until => Self::Over,
            Some(Answer::Accepted(_)) if !stands => Self::EndedWithMandate,
            Some(Answer::Accepted(_)) if is_transferred => Self::Collected,
            Some(Answer::Accepted(_)) => Self::Accepted,
        }
    }
}

/// Who answered or ended a query, how, and in which chain block; none while it has no answer.
pub fn answer_in_words(query: &Query) -> Option<String> {
    let (by, did, block) = match query.answer.as_ref()? {
        Answer::Accepted(Acceptance { by, block, .. }) => (*by, "accepted", *block),
        Answer::Refused { by, block, .. } => (*by, "refused", *block),
        Answer::Withdrawn { by, block, acceptance: Some(_), .. } => {
            (*by, "withdrew the acceptance", *block)
        }
        Answer::Withdrawn { by, block, acceptance: None, .. } => {
            (*by, "withdrew the query", *block)
        }
    };
    let did = if by == query.requester {
        format!("the requester {did}")
    } else if by == query.patient {
        format!("the patient {did}")
    } else {
        format!("user {by} {did} in the name of the patient")
    };
    let is_late = matches!(query.answer, Some(Answer::Withdrawn { acceptance: None, .. }))
        && block >= query.expires;
    let late = if is_late { ", after it expired" } else { "" };
    Some(format!("{did} in chain block {block}{late}"))
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
        let at = |block| Status::of(&query(None), (true, false), block, 500);
        assert_eq!([98, 99, 100].map(at), [Status::Pending, Status::Expired, Status::Expired]);
    }

    #[test]
    fn an_answer_names_who_gave_it() {
        let (patient, requester, other) = (UserId([1; 32]), UserId([2; 32]), UserId([7; 32]));
        let at = 600;
        let withdrawn = |by, block, acceptance| Answer::Withdrawn { by, block, at, acceptance };
        let refused = |by| Answer::Refused { by, block: 9, at };
        let by_other = |did: &str| format!("user {other} {did}");
        assert_eq!(answer_in_words(&query(None)), None);
        for (answer, words) in [
            (Answer::Accepted(acceptance()), "the patient accepted in chain block 20".to_owned()),
            (
                Answer::Accepted(Acceptance { by: other, ..acceptance() }),
                by_other("accepted in the name of the patient in chain block 20"),
            ),
            (refused(patient), "the patient refused in chain block 9".to_owned()),
            (refused(other), by_other("refused in the name of the patient in chain block 9")),
            (
                withdrawn(patient, 30, Some(acceptance())),
                "the patient withdrew the acceptance in chain block 30".to_owned(),
            ),
            (
                withdrawn(other, 100, Some(acceptance())),
                by_other("withdrew the acceptance in the name of the patient in chain block 100"),
            ),
            (
                withdrawn(requester, 99, None),
                "the requester withdrew the query in chain block 99".to_owned(),
            ),
            (
                withdrawn(patient, 100, None),
                "the patient withdrew the query in chain block 100, after it expired".to_owned(),
            ),
        ] {
            assert_eq!(answer_in_words(&query(Some(answer))), Some(words));
        }
    }

    #[test]
    fn an_answer_stays_after_the_query_would_have_expired() {
        let (by, block, at) = (UserId([1; 32]), 30, 600);
        let withdrawn = |acceptance| Answer::Withdrawn { by, block, at, acceptance };
        let (kept, ended) = (true, false);
        for (answer, stands, is_transferred, now, expected) in [
            (Answer::Refused { by, block, at }, kept, false, 500, Status::Refused),
            (withdrawn(None), kept, false, 500, Status::Canceled),
            (withdrawn(Some(acceptance())), kept, true, 500, Status::Withdrawn),
            (withdrawn(Some(acceptance())), ended, true, 500, Status::Withdrawn),
            (Answer::Accepted(acceptance()), kept, false, 999, Status::Accepted),
            (Answer::Accepted(acceptance()), kept, true, 999, Status::Collected),
            (Answer::Accepted(acceptance()), ended, false, 999, Status::EndedWithMandate),
            (Answer::Accepted(acceptance()), ended, true, 999, Status::EndedWithMandate),
            (Answer::Accepted(acceptance()), ended, true, 1_000, Status::Over),
        ] {
            let (query, facts) = (query(Some(answer)), (stands, is_transferred));
            assert_eq!(Status::of(&query, facts, 5_000, now), expected, "{query:?}");
        }
    }
}
