//! `POST /v1/counts`: how many patients share sections of some kinds with the caller.
//!
//! The chain says which sections a patient shares with the caller now; the index of sections says their kinds. The
//! worker answers no number below a floor, and rounds every other down to a multiple of it. Against the comparison of
//! answers, the same question has the same answer for a day, the questions of a day are limited, and a month is the
//! shortest period (ADR 044).

mod question;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use epione_client::api::{CountReply, CountRequest, Counted, MAX_JSON_BYTES, Problem};
use epione_primitives::{
    UserId,
    access::Purpose,
    limits::{DAY_MILLIS, MAX_RELEASED_RECORDS},
    profile::RegistrationStatus,
    release::SectionSet,
    sharing::{Placements, SlotSet},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    ApiError, AppState,
    caller::{Caller, signed},
};
use crate::{
    chain::{FinalState, ViewError},
    journal::{
        counts::{self, StoredCount},
        sections::{self, Match},
    },
};
use question::Question;

/// Matching records of one question, at most: those of 16 visits of each patient, if `discovery.patients` is 2,048.
const RECORDS: usize = 32_768;
/// Patients whose consents are read at once.
const PARALLEL: usize = 8;

/// Counts the patients who share sections of some kinds with the caller. No number is below the hospital's floor.
#[utoipa::path(
    post,
    path = "/v1/counts",
    operation_id = "count",
    tag = "counts",
    request_body = CountRequest,
    security(("signed" = [])),
    responses(
        (status = 200, description = "The rounded numbers, if they reach the floor", body = CountReply),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn count(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<CountReply>, ApiError> {
    let state = &state;
    signed(state, request, MAX_JSON_BYTES, |caller, received| async move {
        let requester = registered(&caller).await?;
        let question = Question::of(&received.json::<CountRequest>()?)?;
        let _slot = state.count_slot(caller.holder()).await?;
        let StoredCount { floor, found } = answer(state, &caller, requester, &question).await?;
        let found = found.map(|(patients, records)| Counted { patients, records });
        Ok(Json(CountReply { floor, found }))
    })
    .await
}

/// The caller, if their registration at a hospital is in force. Their role does not matter: consents name roles.
async fn registered(caller: &Caller) -> Result<UserId, ApiError> {
    let user = caller.user()?;
    let registrations = caller.state.registrations(user).await?;
    let is_active = |status| status == RegistrationStatus::Active;
    if registrations.iter().any(|(_, registration)| is_active(registration.status)) {
        Ok(user)
    } else {
        Err(ApiError::forbidden("Your registration is in force at no hospital."))
    }
}

/// The answer of today: the one that the requester got before, or a new one.
async fn answer(
    state: &AppState,
    caller: &Caller,
    requester: UserId,
    question: &Question,
) -> Result<StoredCount, ApiError> {
    // The chain's clock cannot be set back.
    let day = u32::try_from(caller.state.time().await? / DAY_MILLIS).unwrap_or(u32::MAX);
    let (hash, most) = (question.hash(), state.discovery.counts_per_day);
    let known = state.journal.read(move |it| {
        Ok((counts::find(it, requester, day, hash)?, counts::asked(it, requester, day)?))
    });
    let result = |name: &str| state.metrics.counts.with_label_values(&[name]).inc();
    match known.await? {
        (Some(known), _) => {
            result("repeated");
            return Ok(known);
        }
        (None, asked) if asked >= most => {
            result("beyond-limit");
            return Err(too_many_questions(most));
        }
        (None, _) => {}
    }
    let floor = state.discovery.floor;
    let (patients, records) = exact(state, requester, question).await?;
    let count = StoredCount { floor, found: rounded(patients, records, floor) };
    let kept = state.journal.write(move |tx| counts::keep(tx, requester, day, hash, count, most));
    match kept.await? {
        Some(kept) => {
            result("answered");
            Ok(kept)
        }
        None => {
            result("beyond-limit");
            Err(too_many_questions(most))
        }
    }
}

/// Both numbers, rounded down to a multiple of the floor. None if there are fewer patients than the floor: their number
/// of records would say that there are some.
fn rounded(patients: u32, records: u32, floor: u32) -> Option<(u32, u32)> {
    let down = |number: u32| number.saturating_sub(number.checked_rem(floor).unwrap_or_default());
    (patients >= floor).then(|| (down(patients), down(records)))
}

/// How many patients share a matching section with a requester now, and how many records have one.
async fn exact(
    state: &AppState,
    requester: UserId,
    question: &Question,
) -> Result<(u32, u32), ApiError> {
    let sharing = state.view.finalized().await?;
    let (wanted, purpose) = (question.wanted.clone(), question.purpose);
    let found = state.journal.read(move |it| sections::matches(it, &wanted, RECORDS)).await?;
    let most = state.discovery.patients;
    let found = found.ok_or_else(|| too_much(most))?;
    let patients: Vec<Vec<Match>> =
        found.chunk_by(|one, next| one.patient == next.patient).map(<[Match]>::to_vec).collect();
    if patients.len() > most as usize {
        return Err(too_much(most));
    }
    let sharing = sharing.as_ref();
    let shared = stream::iter(patients)
        .map(|records| async move { shared(sharing, requester, purpose, &records).await })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<u32>>();
    let shared = shared.await?;
    let patients = shared.iter().filter(|records| **records > 0).count();
    Ok((u32::try_from(patients).unwrap_or(u32::MAX), shared.iter().sum()))
}

/// How many of a patient's records have a matching section that the patient shares with the requester.
async fn shared(
    sharing: &dyn FinalState,
    requester: UserId,
    purpose: Purpose,
    records: &[Match],
) -> Result<u32, ViewError> {
    let Some(Match { patient, .. }) = records.first() else { return Ok(0) };
    let slots = sharing.admitting(*patient, requester, purpose).await?;
    if slots.is_empty() {
        return Ok(0);
    }
    let mut shared = 0_u32;
    for page in records.chunks(MAX_RELEASED_RECORDS as usize) {
        let pointers: Vec<_> = page.iter().map(|record| record.pointer).collect();
        let placements = sharing.placements(&pointers).await?;
        let is_shared = |(record, placements): &(&Match, Placements)| {
            !placed(placements, slots).intersection(record.sections).is_empty()
        };
        let count = page.iter().zip(placements).filter(is_shared).count();
        shared = shared.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }
    Ok(shared)
}

/// The sections of a record that are in one of these slots.
fn placed(placements: &Placements, slots: SlotSet) -> SectionSet {
    let in_slots = placements.iter().filter(|placement| slots.contains(placement.slot));
    in_slots.fold(SectionSet::default(), |all, placement| all.union(placement.sections))
}

fn too_much(patients: u32) -> ApiError {
    ApiError::too_large(format!(
        "More than {patients} patients or {RECORDS} records would have to be looked at: ask for fewer kinds, or for a \
         shorter time."
    ))
}

fn too_many_questions(most: u32) -> ApiError {
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-questions",
        "You have asked too many questions today",
        format!(
            "This hospital answers {most} different questions of one requester a day. It answers again what you have \
             asked today. The day ends at midnight UTC."
        ),
    )
    .ends_after(DAY_MILLIS.saturating_sub(crate::now() % DAY_MILLIS).div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_the_floor_are_not_told_and_others_are_rounded_down() {
        for (patients, records, told) in [
            (0, 0, None),
            (9, 900, None),
            (10, 19, Some((10, 10))),
            (19, 20, Some((10, 20))),
            (20, 29, Some((20, 20))),
        ] {
            assert_eq!(rounded(patients, records, 10), told);
        }
    }
}
