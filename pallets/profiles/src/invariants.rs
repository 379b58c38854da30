//! The invariants of this pallet's state, which the crate documentation lists.

use alloc::{collections::BTreeSet, vec::Vec};
use epione_primitives::{
    HospitalId, UserId,
    limits::{MAX_REGISTRATION_PERIODS, PERIODS_PER_PAGE},
    ports::Hospitals as _,
    profile::{Period, Profile, Recovery, Registration, RegistrationStatus},
};
use frame_support::{ensure, traits::Time};
use sp_runtime::TryRuntimeError;

use crate::{
    Accounts, Config, EarlierPages, EarlierPeriods, InForce, LastRotation, Members, Pallet,
    ProfileHistory, Profiles, Proposals, Recoveries, RecoveryPauses, RegistrationBodies,
    Registrations, SealingKeys,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        let (mut profiles, mut earlier, mut rotated) = (0_usize, 0_usize, 0_usize);
        let mut sealing_keys = 0_usize;
        for (user, profile) in Profiles::<T>::iter() {
            Self::check_profile(user, &profile)?;
            sealing_keys = sealing_keys.saturating_add(Self::check_sealing_keys(user, &profile)?);
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
        ensure!(
            SealingKeys::<T>::iter_keys().count() == sealing_keys,
            "a sealing key is listed that its user never had"
        );
        Self::check_recoveries()?;
        Self::check_registrations()
    }

    fn check_recoveries() -> Result<(), TryRuntimeError> {
        let mut recoveries = 0_usize;
        for (user, recovery) in Recoveries::<T>::iter() {
            Self::check_recovery(user, &recovery)?;
            recoveries = recoveries.saturating_add(1);
        }
        let listed = Proposals::<T>::iter_values().map(|listed| listed.len()).sum::<usize>();
        ensure!(listed == recoveries, "a proposal of new keys is listed that is not stored");
        ensure!(
            RecoveryPauses::<T>::iter_keys()
                .all(|(user, hospital)| Registrations::<T>::contains_key(user, hospital)),
            "a hospital waits to propose keys for a user who was never registered there"
        );
        Ok(())
    }

    fn check_recovery(user: UserId, recovery: &Recovery) -> Result<(), TryRuntimeError> {
        let profile = Profiles::<T>::get(user).ok_or("new keys are proposed for no user")?;
        ensure!(
            Registrations::<T>::contains_key(user, recovery.hospital),
            "a hospital proposed keys for a user who was never registered there"
        );
        ensure!(recovery.due <= recovery.lapses, "a recovery lapses before it is due");
        ensure!(recovery.version <= profile.version, "keys are proposed for a future profile");
        ensure!(
            recovery.version == profile.version || !recovery.is_open(Self::block()),
            "a recovery is open although the user has other keys since"
        );
        ensure!(
            Proposals::<T>::get(recovery.hospital).contains(&(user, recovery.lapses)),
            "new keys are not listed under the hospital that proposed them"
        );
        let waits = RecoveryPauses::<T>::get(user, recovery.hospital) == Some(recovery.lapses);
        ensure!(
            waits == recovery.objection.is_some(),
            "a hospital does not wait after an objection, or waits without one"
        );
        Ok(())
    }

    fn check_registrations() -> Result<(), TryRuntimeError> {
        let (mut registrations, mut bodies) = (0_usize, 0_usize);
        let (mut in_force, mut pages) = (0_usize, 0_usize);
        for (user, hospital, registration) in Registrations::<T>::iter() {
            Self::check_registration(user, hospital, &registration)?;
            registrations = registrations.saturating_add(1);
            bodies = bodies.saturating_add(registration.version as usize);
            let listed = registration.status == RegistrationStatus::Active
                && InForce::<T>::get(user).contains(&hospital);
            in_force = in_force.saturating_add(usize::from(listed));
            pages = pages.saturating_add(EarlierPages::<T>::get(user, hospital) as usize);
        }
        let listed = InForce::<T>::iter_values().map(|hospitals| hospitals.len()).sum::<usize>();
        ensure!(listed == in_force, "a registration is listed as in force that is not active");
        ensure!(
            EarlierPeriods::<T>::iter_keys().count() == pages,
            "a page of periods is stored that belongs to no registration"
        );
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
        Self::check_keys(user, profile)
    }

    fn check_keys(user: UserId, profile: &Profile) -> Result<(), TryRuntimeError> {
        let earliest = ProfileHistory::<T>::get(user, 1);
        let first = earliest.as_ref().unwrap_or(profile);
        ensure!(
            user == UserId::of(&first.account, first.sealing_key_hash),
            "a user's id does not follow from the first keys"
        );
        let as_old = match LastRotation::<T>::get(user) {
            None => profile.since <= T::Time::now(),
            Some(last) => profile.since == last,
        };
        ensure!(as_old, "a user's keys are not as old as the last rotation");
        Ok(())
    }

    /// Returns how many sealing keys the user has or had.
    fn check_sealing_keys(user: UserId, profile: &Profile) -> Result<usize, TryRuntimeError> {
        let earlier = ProfileHistory::<T>::iter_prefix_values(user);
        let mut keys: BTreeSet<_> = earlier.map(|earlier| earlier.sealing_key_hash).collect();
        keys.insert(profile.sealing_key_hash);
        ensure!(
            keys.iter().all(|hash| SealingKeys::<T>::contains_key(user, hash)),
            "a user's sealing key is not listed"
        );
        Ok(keys.len())
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
        let active = registration.status == RegistrationStatus::Active;
        ensure!(
            !active
                || InForce::<T>::get(user).contains(&hospital)
                || T::Hospitals::is_removed(hospital),
            "an active registration is not listed as in force"
        );
        ensure!(
            active || registration.periods.len() < MAX_REGISTRATION_PERIODS as usize,
            "a registration has no room for another period"
        );
        let mut periods = Vec::new();
        for page in 0..EarlierPages::<T>::get(user, hospital) {
            let earlier = EarlierPeriods::<T>::get((user, hospital, page));
            ensure!(
                earlier.len() == PERIODS_PER_PAGE as usize,
                "a page of earlier periods is not complete"
            );
            periods.extend(earlier);
        }
        periods.extend(registration.periods.iter().copied());
        Self::check_periods(&periods, active)
    }

    /// Checks all periods of a registration, oldest first.
    fn check_periods(periods: &[Period], active: bool) -> Result<(), TryRuntimeError> {
        let Some((last, earlier)) = periods.split_last() else {
            return Err("a registration was never in force".into());
        };
        ensure!(
            last.until.is_none() == active,
            "a registration is active but its last period is closed, or the reverse"
        );
        let ends = |period: &Period| period.until.unwrap_or(u64::MAX);
        ensure!(
            earlier.iter().all(|period| period.until.is_some())
                && periods.iter().all(|period| period.since <= ends(period))
                && periods.windows(2).all(|pair| ends(&pair[0]) <= pair[1].since),
            "a registration's periods do not follow each other"
        );
        Ok(())
    }
}
