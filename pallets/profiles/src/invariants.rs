//! The invariants of this pallet's state, which the crate documentation lists.

use epione_primitives::{
    HospitalId, UserId,
    ports::Hospitals as _,
    profile::{Period, Profile, Registration, RegistrationStatus},
};
use frame_support::{ensure, traits::Time};
use sp_runtime::TryRuntimeError;

use crate::{
    Accounts, Config, LastRotation, Members, Pallet, ProfileHistory, Profiles, RegistrationBodies,
    Registrations,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        let (mut profiles, mut earlier, mut rotated) = (0_usize, 0_usize, 0_usize);
        for (user, profile) in Profiles::<T>::iter() {
            Self::check_profile(user, &profile)?;
            profiles = profiles.saturating_add(1);
            earlier = earlier.saturating_add(profile.version.saturating_sub(1) as usize);
            rotated = rotated.saturating_add(usize::from(profile.version > 1));
        }
        ensure!(
            Accounts::<T>::iter_keys().count() == profiles,
            "an account is listed that belongs to no user"
        );
        ensure!(
            ProfileHistory::<T>::iter_keys().count() == earlier,
            "an earlier version of a profile is stored that never existed"
        );
        ensure!(
            LastRotation::<T>::iter_keys().count() == rotated,
            "a rotation is recorded for a user who has the first keys"
        );
        Self::check_registrations()
    }

    fn check_registrations() -> Result<(), TryRuntimeError> {
        let (mut registrations, mut bodies) = (0_usize, 0_usize);
        for (user, hospital, registration) in Registrations::<T>::iter() {
            Self::check_registration(user, hospital, &registration)?;
            registrations = registrations.saturating_add(1);
            bodies = bodies.saturating_add(registration.version as usize);
        }
        ensure!(
            Members::<T>::iter_keys().count() == registrations,
            "a member is listed who was never registered"
        );
        ensure!(
            RegistrationBodies::<T>::iter_keys().count() == bodies,
            "a body is listed that belongs to no registration"
        );
        Ok(())
    }

    fn check_profile(user: UserId, profile: &Profile) -> Result<(), TryRuntimeError> {
        ensure!(
            Accounts::<T>::get(&profile.account) == Some(user),
            "a user's account is not listed under the user"
        );
        ensure!(
            frame_system::Pallet::<T>::sufficients(&profile.account) > 0,
            "a user's account has no sufficient reference"
        );
        ensure!(
            profile.version >= 1
                && (1..profile.version).all(|version| {
                    ProfileHistory::<T>::get(user, version)
                        .is_some_and(|earlier| earlier.version == version)
                }),
            "an earlier version of a profile is missing"
        );
        ensure!(
            profile.version == 1
                || LastRotation::<T>::get(user).is_some_and(|last| last <= T::Time::now()),
            "a user's last rotation is not recorded, or is in the future"
        );
        ensure!(
            Registrations::<T>::iter_key_prefix(user).next().is_some(),
            "a user has no registration"
        );
        Ok(())
    }

    fn check_registration(
        user: UserId,
        hospital: HospitalId,
        registration: &Registration,
    ) -> Result<(), TryRuntimeError> {
        ensure!(Profiles::<T>::contains_key(user), "a registration belongs to no user");
        ensure!(T::Hospitals::exists(hospital), "a registration is at no hospital");
        ensure!(
            Members::<T>::contains_key(hospital, user),
            "a registered user is not a member of the hospital"
        );
        ensure!(
            registration.version >= 1
                && (1..=registration.version).all(|version| {
                    RegistrationBodies::<T>::contains_key((user, hospital, version))
                }),
            "a version of a body is missing"
        );
        ensure!(
            RegistrationBodies::<T>::get((user, hospital, registration.version))
                == Some(registration.body_hash),
            "a registration's body is not the newest version"
        );
        Self::check_periods(registration)
    }

    fn check_periods(registration: &Registration) -> Result<(), TryRuntimeError> {
        let Some((last, earlier)) = registration.periods.split_last() else {
            return Err("a registration was never in force".into());
        };
        ensure!(
            last.until.is_none() == (registration.status == RegistrationStatus::Active),
            "a registration is active but its last period is closed, or the reverse"
        );
        let ends = |period: &Period| period.until.unwrap_or(u64::MAX);
        ensure!(
            earlier.iter().all(|period| period.until.is_some())
                && registration.periods.iter().all(|period| period.since <= ends(period))
                && registration.periods.windows(2).all(|pair| ends(&pair[0]) <= pair[1].since),
            "a registration's periods do not follow each other"
        );
        Ok(())
    }
}
