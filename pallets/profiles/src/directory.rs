//! Reading users: for other pallets through the port, for nodes and clients through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, HospitalId, Moment, UserId,
    limits::MAX_PAGE,
    ports::Users,
    profile::{Profile, Registration, Role},
};

use crate::{Accounts, Config, Members, Pallet, Profiles, Registrations};

impl<T: Config> Pallet<T> {
    /// The user with this current account.
    pub fn user_of(account: AccountId) -> Option<UserId> {
        Accounts::<T>::get(account)
    }

    pub fn profile(user: UserId) -> Option<Profile> {
        Profiles::<T>::get(user)
    }

    pub fn registration(hospital: HospitalId, user: UserId) -> Option<Registration> {
        Registrations::<T>::get(user, hospital)
    }

    /// A user's current and past registrations, ascending by hospital: at most one for each
    /// hospital.
    pub fn registrations(user: UserId) -> Vec<(HospitalId, Registration)> {
        let mut registrations: Vec<_> = Registrations::<T>::iter_prefix(user).collect();
        registrations.sort_by_key(|(hospital, _)| *hospital);
        registrations
    }

    /// The users who are or were registered at a hospital, in the order of the chain's storage, after
    /// `after`: at most `limit` and [`MAX_PAGE`]. A user who is registered between two calls may be
    /// sorted before `after`.
    pub fn members(
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Vec<(UserId, Registration)> {
        let members = match after {
            None => Members::<T>::iter_key_prefix(hospital),
            Some(user) => {
                let key = Members::<T>::hashed_key_for(hospital, user);
                Members::<T>::iter_key_prefix_from(hospital, key)
            }
        };
        members
            .take(limit.min(MAX_PAGE) as usize)
            .filter_map(|user| Some((user, Self::registration(hospital, user)?)))
            .collect()
    }
}

impl<T: Config> Users for Pallet<T> {
    fn by_account(account: &AccountId) -> Option<UserId> {
        Accounts::<T>::get(account)
    }

    fn role(user: UserId) -> Option<Role> {
        Profiles::<T>::get(user).map(|profile| profile.role)
    }

    fn registered(hospital: HospitalId, user: UserId, at: Moment) -> bool {
        Registrations::<T>::get(user, hospital)
            .is_some_and(|registration| registration.in_force(at))
    }

    fn hospitals(user: UserId, at: Moment) -> Vec<HospitalId> {
        Registrations::<T>::iter_prefix(user)
            .filter(|(_, registration)| registration.in_force(at))
            .map(|(hospital, _)| hospital)
            .collect()
    }

    /// The registration has been in force since moment 0. Its body is not stored.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, user: UserId, role: Role, account: AccountId) {
        use epione_primitives::{Hash, profile::Period};

        if !Profiles::<T>::contains_key(user) {
            let sealing_key_hash = Hash::repeat_byte(1);
            Self::create(user, Profile { role, account, sealing_key_hash, version: 1 })
                .expect("benchmarks give each user a new account");
        }
        let mut registration = Self::first_registration();
        registration.periods =
            frame_support::BoundedVec::truncate_from(alloc::vec![Period { since: 0, until: None }]);
        Self::put_with_body(hospital, user, registration, Hash::repeat_byte(2))
            .expect("the first version follows version 0");
    }
}
