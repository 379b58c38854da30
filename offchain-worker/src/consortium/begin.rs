//! When a hospital begins a ceremony. The pallet decides the same, so a call that is not due has no effect.

use epione_primitives::{
    BlockNumber, HospitalId,
    consortium::{Ceremony, Epoch, Phase, has_joined_lately},
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
    let reason = |seat: &HospitalId| has_reason(view, &seats, *seat, next);
    let candidates: Vec<_> = seats.iter().copied().filter(reason).collect();
    let Some(place) = candidates.iter().position(|candidate| *candidate == hospital) else {
        return Begin::No(Idle::Waiting);
    };
    if seats.len() > MAX_SEATS as usize {
        return Begin::No(Idle::TooManySeats);
    }
    let resharing = view.key.current.as_ref().filter(|_| !view.key.renewal_decided);
    if resharing.is_some_and(|epoch| active_members(view, epoch) < usize::from(epoch.threshold)) {
        return Begin::No(Idle::TooFewMembers);
    }
    let turn = next / TURN;
    match turn as usize % candidates.len() == place {
        true => Begin::Now,
        false => Begin::No(Idle::Waiting),
    }
}

/// The hospitals that would get a share, ascending.
fn seats(view: &ConsortiumView) -> Vec<HospitalId> {
    let is_chosen = |hospital: &HospitalId| match &view.key.committee {
        Some(committee) => committee.contains(hospital),
        None => true,
    };
    view.active.iter().copied().filter(is_chosen).collect()
}

/// Whether the chain would let the hospital of this seat begin.
fn has_reason(
    view: &ConsortiumView,
    seats: &[HospitalId],
    hospital: HospitalId,
    next: BlockNumber,
) -> bool {
    let key = &view.key;
    let Some(epoch) = &key.current else { return seats.len() >= 2 };
    let has_left = epoch.members.iter().any(|member| !seats.contains(member));
    let is_new = epoch.seat(hospital).is_none()
        && !has_joined_lately(&key.joined, hospital, next, key.schedule.phase);
    let is_old = next >= epoch.since.saturating_add(key.schedule.refresh);
    seats.len() >= 2
        && (has_left || is_new || is_old || key.refresh_requested || key.renewal_decided)
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
