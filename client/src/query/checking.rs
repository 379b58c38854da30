//! What the chain will check about an answer, checked before anything is signed.

use epione_primitives::{
    HospitalId, Moment, UserId,
    limits::MAX_QUERY_ACCESS_MILLIS,
    query::{Query, QueryId},
};

use super::{QueryError, status::answer_in_words};
use crate::chain::{BlockRef, ChainError, Snapshot};

/// Checks that an acceptance which is signed now may end at a moment.
pub fn check_end(until: Moment, now: Moment) -> Result<(), QueryError> {
    let is_possible = now < until && until <= now.saturating_add(MAX_QUERY_ACCESS_MILLIS);
    if is_possible { Ok(()) } else { Err(QueryError::WrongEnd) }
}

/// Checks that an acceptance ends at the latest with the mandate of the representative who gives it.
pub(super) fn check_mandate(until: Moment, mandate_ends: Option<Moment>) -> Result<(), QueryError> {
    match mandate_ends {
        Some(ends) if ends < until => Err(QueryError::BeyondMandate { ends }),
        _ => Ok(()),
    }
}

/// Checks that a user answers this query: its patient, or a representative who did not ask it. Returns when the mandate
/// of the representative ends.
pub(super) async fn check_answers(
    state: &Snapshot,
    id: QueryId,
    query: &Query,
    user: UserId,
) -> Result<Option<Moment>, QueryError> {
    if user == query.patient {
        return Ok(None);
    }
    let mandate = match user == query.requester {
        true => None,
        false => state.representation(user, query.patient).await?,
    };
    let mandate = mandate.ok_or(QueryError::NotPatient { query: id, user })?;
    Ok(Some(mandate.until))
}

/// Checks that the patient can answer in the block after this one.
pub(super) fn check_pending(id: QueryId, query: &Query, head: BlockRef) -> Result<(), QueryError> {
    if let Some(how) = answer_in_words(query) {
        return Err(QueryError::Answered { query: id, how });
    }
    let is_pending = query.is_pending(head.number.saturating_add(1));
    if is_pending { Ok(()) } else { Err(QueryError::Expired(id)) }
}

/// Whether the requester may ask for the hospital that the query names.
pub(super) async fn is_in_force(state: &Snapshot, query: &Query) -> Result<bool, ChainError> {
    let registration = state.registration(query.hospital, query.requester).await?;
    let time = state.time().await?;
    let is_registered = registration.is_some_and(|it| it.in_force(time));
    Ok(is_registered && serves(state, query.hospital).await?)
}

/// Whether the hospital serves its patients and readers: it is active or leaving.
pub(super) async fn serves(state: &Snapshot, hospital: HospitalId) -> Result<bool, ChainError> {
    let hospital = state.hospital(hospital).await?;
    Ok(hospital.is_some_and(|it| it.status.serves()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acceptance_ends_in_the_future_and_within_366_days() {
        let now = 1_000;
        for good in [now + 1, now + MAX_QUERY_ACCESS_MILLIS] {
            assert!(check_end(good, now).is_ok(), "{good}");
        }
        for wrong in [0, now, now + MAX_QUERY_ACCESS_MILLIS + 1, Moment::MAX] {
            assert!(matches!(check_end(wrong, now), Err(QueryError::WrongEnd)), "{wrong}");
        }
    }

    #[test]
    fn a_representatives_acceptance_does_not_outlast_the_mandate() {
        assert!(check_mandate(Moment::MAX, None).is_ok(), "the patient needs no mandate");
        assert!(check_mandate(100, Some(100)).is_ok());
        let refused = check_mandate(101, Some(100));
        assert!(matches!(refused, Err(QueryError::BeyondMandate { ends: 100 })), "{refused:?}");
    }
}
