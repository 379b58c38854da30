//! When a hospital begins a ceremony. The pallet decides the same, so a call that is not due has no effect.

use epione_primitives::{
    BlockNumber, HospitalId,
    consortium::{Ceremony, Epoch, Phase, are_enough_seats, has_joined_lately, next_seats},
    limits::MAX_SEATS,
};

use super::Idle;
use crate::chain::ConsortiumView;

/// Finalized blocks in which it is one hospital's turn. Then it is the next one's, in case the worker of the first is
/// not running.
const TURN: BlockNumber = 8;

/// Whether a hospital begins a ceremony now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    Now,
    /// Only if the hospital, which is a member, cannot compute its share any more.
    Unconfirmed,
    No(Idle),
}

/// Decides. `newest` is the newest ceremony as it will be at block `next`.
pub(super) fn decide(
    view: &ConsortiumView,
    newest: Option<&Ceremony>,
    hospital: HospitalId,
    next: BlockNumber,
) -> Begin {
    if newest.is_some_and(Ceremony::is_running) || next < earliest(view, newest) {
        return Begin::No(Idle::Waiting);
    }
    let seats = seats(view);
    let is_due = is_due(view, &seats, next);
    let reason = |seat: &HospitalId| seats.len() >= 2 && (is_due || may_join(view, *seat, next));
    let candidates: Vec<_> = seats.iter().copied().filter(reason).collect();
    let Some(place) = candidates.iter().position(|candidate| *candidate == hospital) else {
        return Begin::No(without_reason(view, &seats, hospital));
    };
    if seats.len() > MAX_SEATS as usize {
        return Begin::No(Idle::TooManySeats);
    }
    if !are_enough_seats(seats.len(), view.active.len()) {
        return Begin::No(Idle::SmallCommittee);
    }
    let resharing = view.key.current.as_ref().filter(|_| !view.key.renewal_decided);
    if resharing.is_some_and(|epoch| active_members(view, epoch) < usize::from(epoch.threshold)) {
        return Begin::No(Idle::TooFewMembers);
    }
    let turn = next / TURN;
    match turn as usize % candidates.len() == place {
        true if is_due || !is_member(view, hospital) => Begin::Now,
        true => Begin::Unconfirmed,
        false => Begin::No(Idle::Waiting),
    }
}

/// The hospitals that would get a share, ascending.
fn seats(view: &ConsortiumView) -> Vec<HospitalId> {
    let key = &view.key;
    next_seats(&view.active, &view.unready, key.committee.as_ref(), key.current.as_ref())
}

/// Whether the chain would let each seat begin.
fn is_due(view: &ConsortiumView, seats: &[HospitalId], next: BlockNumber) -> bool {
    let key = &view.key;
    let Some(epoch) = &key.current else { return true };
    let has_left = epoch.members.iter().any(|member| !seats.contains(member));
    let is_old = next >= epoch.since.saturating_add(key.schedule.refresh);
    has_left || is_old || key.refresh_requested || key.renewal_decided
}

/// Whether the chain would let this seat begin because it has no share.
fn may_join(view: &ConsortiumView, hospital: HospitalId, next: BlockNumber) -> bool {
    let (key, phase) = (&view.key, view.key.schedule.phase);
    key.current.as_ref().is_some_and(|epoch| epoch.lacks_share(hospital, next, phase))
        && !has_joined_lately(&key.joined, hospital, next, phase)
}

fn is_member(view: &ConsortiumView, hospital: HospitalId) -> bool {
    view.key.current.as_ref().is_some_and(|epoch| epoch.seat(hospital).is_some())
}

/// Why a hospital does nothing that the chain would not let begin.
fn without_reason(view: &ConsortiumView, seats: &[HospitalId], hospital: HospitalId) -> Idle {
    let is_outside = view.key.current.is_some() && !is_member(view, hospital);
    // It has no share, so it could begin if it had not joined lately.
    if is_outside && seats.len() >= 2 && seats.contains(&hospital) {
        Idle::JoinedLately
    } else {
        Idle::Waiting
    }
}

fn active_members(view: &ConsortiumView, epoch: &Epoch) -> usize {
    epoch.members.iter().filter(|member| view.active.contains(member)).count()
}

/// The first block in which another ceremony may begin.
fn earliest(view: &ConsortiumView, newest: Option<&Ceremony>) -> BlockNumber {
    let phase = view.key.schedule.phase;
    let is_noticed = view.newest().is_some_and(|stored| !stored.is_running());
    let ended = match newest {
        // Nobody has called since, so the chain's storage does not say it yet. Each deadline is a phase after the end
        // of the phase before.
        Some(ceremony) if !is_noticed && matches!(ceremony.phase, Phase::Failed(_)) => {
            Some(ceremony.deadline.saturating_sub(phase))
        }
        _ => view.key.last_ended,
    };
    ended.map_or(0, |ended| ended.saturating_add(phase))
}
