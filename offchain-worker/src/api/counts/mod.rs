//! `POST /v1/counts`: how many patients share sections of some kinds with the caller.
//!
//! The chain says which sections a patient shares with the caller; the index of sections says their kinds. The worker
//! answers no number below a floor, and rounds every other down to a multiple of it. Against the comparison of answers,
//! all questions of a day are about one finalized block, their number is limited, and a month is the shortest period
//! (ADR 044).

mod question;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use epione_client::api::{CountReply, CountRequest, MAX_JSON_BYTES, Problem};
use epione_primitives::{
    HospitalId, Moment, UserId,
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
    limits::Holder,
};
use crate::{
    chain::{FinalState, ViewError},
    journal::{
        counts::{self, Asked, Charge, DayState, Most, StoredCount},
        matches::{Match, matches},
        sections,
    },
};
use question::Question;

/// Sections of one question that are looked at, at most.
const SECTIONS: usize = 65_536;
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
        (status = 200, description = "The rounded number, if it reaches the floor", body = CountReply),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn count(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<CountReply>, ApiError> {
    let state = &state;
    signed(state, request, MAX_JSON_BYTES, |caller, received| async move {
        let (requester, hospital) = registered(&caller).await?;
        let question = Question::of(&received.json::<CountRequest>()?)?;
        let _slot = state.count_slot(Holder::Hospital(hospital)).await?;
        let now = caller.state.time().await?;
        let day = u32::try_from(now / DAY_MILLIS).unwrap_or(u32::MAX);
        let asked = Asked { requester, hospital, day, question: question.hash() };
        let StoredCount { floor, patients } = answer(state, now, asked, &question).await?;
        Ok(Json(CountReply { floor, patients }))
    })
    .await
}

/// The caller, and a hospital at which their registration is in force: the one with the lowest number. Their role does
/// not matter: consents name roles.
async fn registered(caller: &Caller) -> Result<(UserId, HospitalId), ApiError> {
    let user = caller.user()?;
    let registrations = caller.state.registrations(user).await?;
    let active = registrations
        .iter()
        .filter(|(_, registration)| registration.status == RegistrationStatus::Active)
        .map(|(hospital, _)| *hospital)
        .min();
    let hospital =
        active.ok_or_else(|| ApiError::forbidden("Your registration is in force at no hospital."));
    Ok((user, hospital?))
}

/// The answer of today: the one that the requester got before, or a new one. `now` is the chain's time, which nobody
/// can set back.
async fn answer(
    state: &AppState,
    now: Moment,
    asked: Asked,
    question: &Question,
) -> Result<StoredCount, ApiError> {
    let most = Most {
        of_requester: state.discovery.counts_per_day,
        of_hospital: state.discovery.counts_per_hospital,
    };
    let result = |name: &str| state.metrics.counts.with_label_values(&[name]).inc();
    match state.journal.write(move |tx| counts::charge(tx, asked, most)).await? {
        Charge::Known(known) => {
            result("repeated");
            return Ok(known);
        }
        Charge::Beyond => {
            result("beyond-limit");
            return Err(too_many_questions(most, now));
        }
        Charge::Charged => {}
    }
    let floor = state.discovery.floor;
    let patients = exact(state, asked, question).await?;
    let count = StoredCount { floor, patients: rounded(patients, floor) };
    let kept = state.journal.write(move |tx| counts::keep(tx, asked, count)).await?;
    result("answered");
    Ok(kept)
}

/// A number of patients, rounded down to a multiple of the floor. None if it is below the floor.
fn rounded(patients: u32, floor: u32) -> Option<u32> {
    let above = patients.checked_rem(floor).unwrap_or_default();
    (patients >= floor).then(|| patients.saturating_sub(above))
}

/// How many patients share a matching section with a requester, in the state of the day.
async fn exact(state: &AppState, asked: Asked, question: &Question) -> Result<u32, ApiError> {
    let block = state.view.head().await?;
    let of_day = state.journal.write(move |tx| {
        let height = sections::height(tx)?.unwrap_or_default();
        counts::state_of(tx, asked.day, DayState { block, height })
    });
    let DayState { block, height } = of_day.await?;
    let sharing = state.view.after_number(block).await?;
    let most = state.discovery.patients;
    let found = matches(&state.journal, &question.wanted, height, SECTIONS).await?;
    let found = found.ok_or_else(|| too_much(most))?;
    let patients: Vec<Vec<Match>> =
        found.chunk_by(|one, next| one.patient == next.patient).map(<[Match]>::to_vec).collect();
    if patients.len() > most as usize {
        return Err(too_much(most));
    }
    let (sharing, requester, purpose) = (sharing.as_ref(), asked.requester, question.purpose);
    let shared = stream::iter(patients)
        .map(|records| async move { shares(sharing, requester, purpose, &records).await })
        .buffer_unordered(PARALLEL)
        .try_fold(0_u32, |all, shares| async move { Ok(all.saturating_add(shares.into())) });
    Ok(shared.await?)
}

/// Whether a patient shares a matching section of one of these records with the requester.
async fn shares(
    sharing: &dyn FinalState,
    requester: UserId,
    purpose: Purpose,
    records: &[Match],
) -> Result<bool, ViewError> {
    let Some(Match { patient, .. }) = records.first() else { return Ok(false) };
    let slots = sharing.admitting(*patient, requester, purpose).await?;
    if slots.is_empty() {
        return Ok(false);
    }
    for page in records.chunks(MAX_RELEASED_RECORDS as usize) {
        let pointers: Vec<_> = page.iter().map(|record| record.pointer).collect();
        let placements = sharing.placements(&pointers).await?;
        let mut records = page.iter().zip(placements);
        let is_shared = |(record, placements): (&Match, Placements)| {
            !placed(&placements, slots).intersection(record.sections).is_empty()
        };
        if records.any(is_shared) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The sections of a record that are in one of these slots.
fn placed(placements: &Placements, slots: SlotSet) -> SectionSet {
    let in_slots = placements.iter().filter(|placement| slots.contains(placement.slot));
    in_slots.fold(SectionSet::default(), |all, placement| all.union(placement.sections))
}

fn too_much(patients: u32) -> ApiError {
    ApiError::too_large(format!(
        "More than {patients} patients or {SECTIONS} sections would have to be looked at: ask for fewer kinds, or for \
         a shorter time."
    ))
}

fn too_many_questions(most: Most, now: Moment) -> ApiError {
    let Most { of_requester, of_hospital } = most;
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-questions",
        "Too many questions were asked today",
        format!(
            "This hospital works on {of_requester} different questions of one requester a day, and on {of_hospital} of \
             all requesters of one hospital. It answers again what you have asked today. The day ends at midnight UTC."
        ),
    )
    .ends_after(DAY_MILLIS.saturating_sub(now % DAY_MILLIS).div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_the_floor_are_not_told_and_others_are_rounded_down() {
        for (patients, told) in
            [(0, None), (9, None), (10, Some(10)), (19, Some(10)), (20, Some(20)), (29, Some(20))]
        {
            assert_eq!(rounded(patients, 10), told);
        }
    }
}
