//! Reading users: for other pallets through the port, for nodes and clients through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, UserId,
    limits::MAX_PAGE,
    ports::Users,
    profile::{Profile, Recovery, Registration, Role},
};

use crate::{
    Accounts, Config, EarlierPages, EarlierPeriods, InForce, Members, Pallet, Profiles, Recoveries,
    Registrations,
};

impl<T: Config> Pallet<T> {
    /// The user with this current account.
    pub fn user_of(account: AccountId) -> Option<UserId> {
        Accounts::<T>::get(account)
    }

    pub fn profile(user: UserId) -> Option<Profile> {
        Profiles::<T>::get(user)
    }

    /// The keys that a hospital proposed last for a user who has lost the present ones. They may have lapsed.
    pub fn recovery(user: UserId) -> Option<Recovery> {
        Recoveries::<T>::get(user)
    }

    /// The proposed keys of all users, in the order of the chain's storage, after `after`: at most `limit` and
    /// [`MAX_PAGE`].
    pub fn recoveries(after: Option<UserId>, limit: u32) -> Vec<(UserId, Recovery)> {
        let recoveries = match after {
            None => Recoveries::<T>::iter(),
            Some(user) => Recoveries::<T>::iter_from(Recoveries::<T>::hashed_key_for(user)),
        };
        recoveries.take(limit.min(MAX_PAGE) as usize).collect()
    }

    pub fn registration(hospital: HospitalId, user: UserId) -> Option<Registration> {
        Registrations::<T>::get(user, hospital)
    }

    /// The hospitals at which the user's registration is in force, in the order in which the registrations came
    /// into force. At most `MAX_REGISTRATIONS_IN_FORCE`.
    pub fn in_force(user: UserId) -> Vec<HospitalId> {
        InForce::<T>::get(user).into_inner()
    }

    /// Hospitals at which the user is or was registered, whatever became of the registration, in the order of the
    /// chain's storage: those that are wanted, among the first `limit` ones.
    pub fn ever_registered_at(
        user: UserId,
        limit: u32,
        is_wanted: impl Fn(&HospitalId) -> bool,
    ) -> Vec<HospitalId> {
        Registrations::<T>::iter_key_prefix(user).take(limit as usize).filter(is_wanted).collect()
    }

    /// Whether one of the registration's earlier periods contains `at`. Reads a number of pages that is
    /// logarithmic in their number.
    fn earlier_in_force(hospital: HospitalId, user: UserId, at: Moment) -> bool {
        let (mut first, mut end) = (0_u32, EarlierPages::<T>::get(user, hospital));
        while first < end {
            let middle = first.midpoint(end);
            let page = EarlierPeriods::<T>::get((user, hospital, middle));
            if page.iter().any(|period| period.contains(at)) {
                return true;
            }
            if page.last().is_some_and(|period| period.since <= at) {
                first = middle.saturating_add(1);
            } else {
                end = middle;
            }
        }
        false
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

    fn account(user: UserId) -> Option<AccountId> {
        Profiles::<T>::get(user).map(|profile| profile.account)
    }

    fn role(user: UserId) -> Option<Role> {
        Profiles::<T>::get(user).map(|profile| profile.role)
    }

    fn sealing_key(user: UserId) -> Option<Hash> {
        Profiles::<T>::get(user).map(|profile| profile.sealing_key_hash)
    }

    fn in_force(user: UserId) -> Vec<HospitalId> {
        InForce::<T>::get(user).into_inner()
    }

    fn registered(hospital: HospitalId, user: UserId, at: Moment) -> bool {
        Registrations::<T>::get(user, hospital).is_some_and(|registration| {
            let oldest = registration.periods.first();
            if oldest.is_some_and(|period| at < period.since) {
                Self::earlier_in_force(hospital, user, at)
            } else {
                registration.in_force(at)
            }
        })
    }

    fn was_registered(hospital: HospitalId, user: UserId) -> bool {
        Registrations::<T>::contains_key(user, hospital)
    }

    fn profile_body(hospital: HospitalId, user: UserId) -> Option<Hash> {
        Registrations::<T>::get(user, hospital).map(|registration| registration.body_hash)
    }

    fn hospitals(user: UserId, at: Moment) -> Vec<HospitalId> {
        Registrations::<T>::iter_prefix(user)
            .filter(|(_, registration)| registration.in_force(at))
            .map(|(hospital, _)| hospital)
            .collect()
    }

    /// The registration has been in force since moment 0. Its body is not stored. The id does not follow from the keys.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, user: UserId, role: Role, account: AccountId) {
        use epione_primitives::profile::Period;

        if !Profiles::<T>::contains_key(user) {
            let sealing_key_hash = Hash::repeat_byte(1);
            Self::create(user, Profile { role, account, sealing_key_hash, version: 1, since: 0 })
                .expect("benchmarks give each user a new account");
        }
        // A benchmark may register a user at more hospitals than agents can.
        Self::list_in_force(hospital, user).ok();
        let mut registration = Self::first_registration();
        registration.periods =
            frame_support::BoundedVec::truncate_from(alloc::vec![Period { since: 0, until: None }]);
        Self::put_with_body(hospital, user, registration, Hash::repeat_byte(2))
            .expect("the first version follows version 0");
    }
}
