//! The invariants of this pallet's state, which the crate documentation lists.

use epione_primitives::{
    Moment, UserId,
    limits::{MAX_AUTHORIZATION_MILLIS, MAX_CUSTODY_MILLIS, MAX_REPRESENTATION_MILLIS},
    mandate::Mandate,
};
use frame_support::{ensure, traits::Time as _};
use sp_runtime::TryRuntimeError;

use crate::{
    ActingOf, Authorizations, Config, Custodies, EarlierAuthorizationCount, EarlierAuthorizations,
    EarlierRepresentationCount, EarlierRepresentations, Pallet, Representatives,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        let mut earlier = 0_usize;
        for (patient, representative, newest) in Representatives::<T>::iter() {
            ensure!(patient != representative, "a user represents themselves");
            let count = EarlierRepresentationCount::<T>::get(patient, representative);
            let stored =
                |number| EarlierRepresentations::<T>::get((patient, representative, number));
            Self::check_history(newest, count, stored, MAX_REPRESENTATION_MILLIS)?;
            let is_listed = ActingOf::<T>::get(patient).contains(&(representative, newest.until));
            ensure!(
                is_listed || !newest.in_force(T::Time::now()),
                "a representative in force is not listed"
            );
            earlier = earlier.saturating_add(count as usize);
        }
        ensure!(
            EarlierRepresentations::<T>::iter_keys().count() == earlier,
            "an earlier mandate is not counted"
        );

        let mut earlier = 0_usize;
        for (patient, hospital, newest) in Authorizations::<T>::iter() {
            let count = EarlierAuthorizationCount::<T>::get(patient, hospital);
            let stored = |number| EarlierAuthorizations::<T>::get((patient, hospital, number));
            Self::check_history(newest, count, stored, MAX_AUTHORIZATION_MILLIS)?;
            earlier = earlier.saturating_add(count as usize);
        }
        ensure!(
            EarlierAuthorizations::<T>::iter_keys().count() == earlier,
            "an earlier mandate is not counted"
        );
        for (_, _, newest) in Custodies::<T>::iter() {
            check_mandate(newest, MAX_CUSTODY_MILLIS, T::Time::now())?;
        }
        Self::check_lists()
    }

    /// Checks the mandates between the same two.
    fn check_history(
        newest: Mandate,
        count: u32,
        stored: impl Fn(u32) -> Option<Mandate>,
        longest: u64,
    ) -> Result<(), TryRuntimeError> {
        let now = T::Time::now();
        check_mandate(newest, longest, now)?;
        let mut later = newest;
        for number in (0..count).rev() {
            let earlier = stored(number).ok_or("an earlier mandate is missing")?;
            check_mandate(earlier, longest, now)?;
            ensure!(earlier.since <= later.since, "mandates are not in order");
            ensure!(!earlier.in_force(later.since), "two mandates overlap");
            later = earlier;
        }
        Ok(())
    }

    fn check_lists() -> Result<(), TryRuntimeError> {
        for (patient, acting) in ActingOf::<T>::iter() {
            ensure!(!acting.is_empty(), "an empty list of representatives is stored");
            for (position, (representative, until)) in acting.iter().enumerate() {
                let is_same = |(other, _): &(UserId, Moment)| other == representative;
                let repeated = acting.iter().take(position).any(is_same);
                ensure!(!repeated, "a representative is listed twice");
                let newest = Representatives::<T>::get(patient, representative);
                let agrees =
                    newest.is_some_and(|newest| newest.until == *until && newest.ended.is_none());
                ensure!(agrees, "somebody is listed who is not a representative");
            }
        }
        Ok(())
    }
}

fn check_mandate(mandate: Mandate, longest: u64, now: Moment) -> Result<(), TryRuntimeError> {
    let Mandate { since, until, ended } = mandate;
    ensure!(since < until, "a mandate was never in force");
    ensure!(until <= now.saturating_add(longest), "a mandate is longer than the longest");
    ensure!(
        ended.is_none_or(|ended| since <= ended && ended < until),
        "a mandate was ended while it was not in force"
    );
    let has_happened = since <= now && ended.is_none_or(|ended| ended <= now);
    ensure!(has_happened, "a mandate began or ended in the future");
    Ok(())
}
