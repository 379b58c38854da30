//! What pallet-profiles answers.

use epione_primitives::{
    AccountId, HospitalId, Moment, UserId,
    limits::MAX_PAGE,
    profile::{Period, Profile, Registration, Role},
};

use super::{
    BLAKE2_128, ChainError, Gap, Known, VerifiedState, after_hash,
    hospitals::{admitted, served_at},
    keys,
};

impl VerifiedState {
    pub(in crate::chain) async fn user_of(
        &self,
        account: &AccountId,
    ) -> Result<Option<UserId>, ChainError> {
        self.value(keys::user_account(account)).await
    }

    pub(in crate::chain) async fn profile(
        &self,
        user: UserId,
    ) -> Result<Option<Profile>, ChainError> {
        self.value(keys::profile(user)).await
    }

    pub(in crate::chain) async fn registration(
        &self,
        hospital: HospitalId,
        user: UserId,
    ) -> Result<Option<Registration>, ChainError> {
        self.value(keys::registration(hospital, user)).await
    }

    /// One key for each hospital ever admitted, so that none can be left out.
    pub(in crate::chain) async fn registrations(
        &self,
        user: UserId,
    ) -> Result<Vec<(HospitalId, Registration)>, ChainError> {
        self.compute([keys::admitted()], |known| registrations(known, user)).await
    }

    pub(in crate::chain) async fn members(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Registration)>, ChainError> {
        let (prefix, after) = (keys::members(hospital), after.map(|it| keys::member(hospital, it)));
        let page = self.entries(&prefix, after.as_ref(), limit.min(MAX_PAGE)).await?;
        let users: Result<Vec<UserId>, _> =
            page.iter().map(|(key, _)| after_hash(&prefix, BLAKE2_128, key)).collect();
        let users = users.map_err(|error| self.chain().doubt(error))?;
        let needed = users.iter().map(|user| keys::registration(hospital, *user));
        let hints: Vec<_> = needed.collect();
        self.compute(hints, |known| {
            let mut members = Vec::new();
            for user in &users {
                if let Some(registration) = known.value(keys::registration(hospital, *user))? {
                    members.push((*user, registration));
                }
            }
            Ok(members)
        })
        .await
    }
}

fn registrations(known: &mut Known, user: UserId) -> Result<Vec<(HospitalId, Registration)>, Gap> {
    let hospitals = admitted(known)?;
    known.need(hospitals.clone().map(|hospital| keys::registration(hospital, user)))?;
    let mut registrations = Vec::new();
    for hospital in hospitals {
        if let Some(registration) = known.value(keys::registration(hospital, user))? {
            registrations.push((hospital, registration));
        }
    }
    Ok(registrations)
}

pub(super) fn role(known: &mut Known, user: UserId) -> Result<Option<Role>, Gap> {
    Ok(known.value::<Profile>(keys::profile(user))?.map(|profile| profile.role))
}

/// Whether a registration was in force at a moment.
pub(super) fn registered(
    known: &mut Known,
    hospital: HospitalId,
    user: UserId,
    at: Moment,
) -> Result<bool, Gap> {
    let Some(registration): Option<Registration> =
        known.value(keys::registration(hospital, user))?
    else {
        return Ok(false);
    };
    if registration.periods.first().is_some_and(|oldest| at < oldest.since) {
        return earlier_in_force(known, hospital, user, at);
    }
    Ok(registration.in_force(at))
}

/// Whether one of the registration's earlier periods contains a moment, by halving their pages.
fn earlier_in_force(
    known: &mut Known,
    hospital: HospitalId,
    user: UserId,
    at: Moment,
) -> Result<bool, Gap> {
    let mut first = 0_u32;
    let mut end: u32 = known.value_or_default(keys::earlier_pages(user, hospital))?;
    while first < end {
        let middle = first.midpoint(end);
        let page: Vec<Period> =
            known.value_or_default(keys::earlier_periods(user, hospital, middle))?;
        if page.iter().any(|period| period.contains(at)) {
            return Ok(true);
        }
        if page.last().is_some_and(|period| period.since <= at) {
            first = middle.saturating_add(1);
        } else {
            end = middle;
        }
    }
    Ok(false)
}

/// Whether a user was registered at any hospital that was active then.
pub(super) fn registered_anywhere(
    known: &mut Known,
    user: UserId,
    at: Moment,
) -> Result<bool, Gap> {
    let in_force: Vec<HospitalId> = registrations(known, user)?
        .into_iter()
        .filter(|(_, registration)| registration.in_force(at))
        .map(|(hospital, _)| hospital)
        .collect();
    known.need(in_force.iter().map(|hospital| keys::active_periods(*hospital)))?;
    for hospital in in_force {
        if served_at(known, hospital, at)? {
            return Ok(true);
        }
    }
    Ok(false)
}
