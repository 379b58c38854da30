//! Mandates over time: the newest between the same two, which most questions are about, and the earlier ones, whose
//! number has no limit.

use epione_primitives::{HospitalId, Moment, UserId, mandate::Mandate};
use sp_runtime::ArithmeticError;

use crate::{
    Authorizations, Config, EarlierAuthorizationCount, EarlierAuthorizations,
    EarlierRepresentationCount, EarlierRepresentations, Pallet, Representatives,
};

impl<T: Config> Pallet<T> {
    /// The mandate by which a user represented a patient at a moment.
    pub fn representation_at(user: UserId, patient: UserId, at: Moment) -> Option<Mandate> {
        let newest = Representatives::<T>::get(patient, user)?;
        let count = || EarlierRepresentationCount::<T>::get(patient, user);
        let earlier = |number| EarlierRepresentations::<T>::get((patient, user, number));
        in_force(newest, count, earlier, at)
    }

    /// Whether a patient had authorized a hospital at a moment.
    pub fn authorized(patient: UserId, hospital: HospitalId, at: Moment) -> bool {
        let Some(newest) = Authorizations::<T>::get(patient, hospital) else {
            return false;
        };
        let count = || EarlierAuthorizationCount::<T>::get(patient, hospital);
        let earlier = |number| EarlierAuthorizations::<T>::get((patient, hospital, number));
        in_force(newest, count, earlier, at).is_some()
    }

    /// Stores a representative's mandate that is over after the earlier ones.
    pub(crate) fn archive_representation(
        patient: UserId,
        representative: UserId,
        over: Mandate,
    ) -> Result<(), ArithmeticError> {
        let number = EarlierRepresentationCount::<T>::get(patient, representative);
        EarlierRepresentationCount::<T>::insert(patient, representative, after(number)?);
        EarlierRepresentations::<T>::insert((patient, representative, number), over);
        Ok(())
    }

    /// Stores a hospital's mandate that is over after the earlier ones.
    pub(crate) fn archive_authorization(
        patient: UserId,
        hospital: HospitalId,
        over: Mandate,
    ) -> Result<(), ArithmeticError> {
        let number = EarlierAuthorizationCount::<T>::get(patient, hospital);
        EarlierAuthorizationCount::<T>::insert(patient, hospital, after(number)?);
        EarlierAuthorizations::<T>::insert((patient, hospital, number), over);
        Ok(())
    }
}

/// The number after `number`.
fn after(number: u32) -> Result<u32, ArithmeticError> {
    number.checked_add(1).ok_or(ArithmeticError::Overflow)
}

/// The newest mandate or an earlier one, whichever was in force at a moment. Mandates began in order and do not
/// overlap, so only the last that had begun can have been. An earlier one is found by halving.
fn in_force(
    newest: Mandate,
    count: impl Fn() -> u32,
    earlier: impl Fn(u32) -> Option<Mandate>,
    at: Moment,
) -> Option<Mandate> {
    if newest.since <= at {
        return Some(newest).filter(|newest| newest.in_force(at));
    }
    // Those below `begun` had begun at the moment; those from `later` on had not.
    let (mut begun, mut later) = (0, count());
    while begun < later {
        let middle = u32::midpoint(begun, later);
        if earlier(middle).is_some_and(|mandate| mandate.since <= at) {
            begun = middle.saturating_add(1);
        } else {
            later = middle;
        }
    }
    begun.checked_sub(1).and_then(earlier).filter(|last| last.in_force(at))
}
