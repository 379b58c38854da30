//! Which attributes of users hospitals confirm, such as that somebody is a cardiologist.
//!
//! The council names attributes. A hospital issues a credential: it confirms an attribute of a user until a moment, and
//! can revoke that earlier. Policies and consents name the attribute, the hospitals whose credentials count, and how
//! many of them must confirm it. So a credential means nothing by itself: what it is worth depends on who trusts its
//! issuer.
//!
//! A hospital may confirm any user, not only those who are registered with it: a chamber or a university is often not
//! where a professional works. Nobody confirms an attribute of their own, because hospitals sign with their governance
//! accounts, and an account of a hospital is never an account of a user.
//!
//! Credentials are kept as periods of chain time and never deleted, so that a decision about a past moment stays what
//! it was. Their number has no limit of its own; quotas limit what a hospital adds in a time.
//!
//! Invariants, which `try_state` checks:
//! 1. attributes are numbered from 0 without gaps, at most `MAX_ATTRIBUTES`; each has a valid name of its own, and the
//!    index of names lists exactly these;
//! 2. a credential is of a named attribute; it began before its end, lasts at most `MAX_CREDENTIAL_MILLIS`, and was
//!    revoked neither before it began nor after its end;
//! 3. the earlier credentials of a user, attribute and issuer are numbered from 0 without gaps, in the order in which
//!    they began, and do not overlap.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod invariants;
#[cfg(test)]
mod mock;
mod reading;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use alloc::{string::String, vec::Vec};
    use epione_primitives::{
        AccountId, HospitalId, Moment, UserId,
        credential::{AttributeId, AttributeName, Credential, is_attribute_name},
        limits::{MAX_ATTRIBUTES, MAX_CREDENTIAL_MILLIS},
        ports::{Hospitals, Users},
    };
    use frame_support::{pallet_prelude::*, traits::Time};
    use frame_system::pallet_prelude::*;
    use sp_runtime::ArithmeticError;

    use crate::WeightInfo;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        type WeightInfo: WeightInfo;
        /// Finds the hospital of a governance account.
        type Hospitals: Hospitals;
        /// Knows which users there are.
        type Users: Users;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
    }

    /// The names of the attributes.
    #[pallet::storage]
    pub type Attributes<T: Config> = StorageMap<_, Twox64Concat, AttributeId, AttributeName>;

    /// The attributes by their names.
    #[pallet::storage]
    pub type ByName<T: Config> = StorageMap<_, Blake2_128Concat, AttributeName, AttributeId>;

    /// How many attributes have names, which is also the next attribute's number.
    #[pallet::storage]
    pub type AttributeCount<T: Config> = StorageValue<_, u16, ValueQuery>;

    /// The newest credential, in force or not, by user, attribute and issuer.
    #[pallet::storage]
    pub type Credentials<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, AttributeId>,
            NMapKey<Twox64Concat, HospitalId>,
        ),
        Credential,
    >;

    /// The credentials before the newest one, by user, attribute, issuer and number. They are numbered from 0 in the
    /// order in which they began.
    #[pallet::storage]
    pub type EarlierCredentials<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, AttributeId>,
            NMapKey<Twox64Concat, HospitalId>,
            NMapKey<Twox64Concat, u32>,
        ),
        Credential,
    >;

    /// The number of earlier credentials, by user, attribute and issuer.
    #[pallet::storage]
    pub type EarlierCount<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, AttributeId>,
            NMapKey<Twox64Concat, HospitalId>,
        ),
        u32,
        ValueQuery,
    >;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The names of the first attributes, which are numbered from 0 in this order.
        pub attributes: Vec<String>,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            for name in &self.attributes {
                let bounded = AttributeName::try_from(name.as_bytes().to_vec())
                    .map_err(|_| DispatchError::from(Error::<T>::InvalidName));
                if let Err(error) = bounded.and_then(Pallet::<T>::add_attribute) {
                    panic!("the genesis attribute {name:?} cannot be named: {error:?}");
                }
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// The council named an attribute.
        #[codec(index = 0)]
        AttributeNamed { attribute: AttributeId, name: AttributeName },
        /// A hospital confirms an attribute of a user until a moment (ms). A credential of the same user, attribute and
        /// issuer that was in force until now is replaced.
        #[codec(index = 1)]
        Issued { user: UserId, attribute: AttributeId, issuer: HospitalId, until: Moment },
        /// A hospital revoked a credential before its end.
        #[codec(index = 2)]
        Revoked { user: UserId, attribute: AttributeId, issuer: HospitalId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the governance account of an active hospital.
        #[codec(index = 0)]
        NotGovernance,
        /// No user of this id is registered anywhere.
        #[codec(index = 1)]
        UnknownUser,
        /// No attribute has this number. Let the council name the attribute first.
        #[codec(index = 2)]
        UnknownAttribute,
        /// The name is not made of lower-case ASCII letters, digits and hyphens, or does not begin with a letter.
        #[codec(index = 3)]
        InvalidName,
        /// Another attribute has this name.
        #[codec(index = 4)]
        NameTaken,
        /// The chain already has `MAX_ATTRIBUTES` attributes.
        #[codec(index = 5)]
        TooManyAttributes,
        /// The credential would have ended already. Choose a later end.
        #[codec(index = 6)]
        EndPassed,
        /// The credential would last longer than `MAX_CREDENTIAL_MILLIS`. Choose an earlier end, and renew it in time.
        #[codec(index = 7)]
        EndTooLate,
        /// The hospital has no credential in force for this attribute of the user.
        #[codec(index = 8)]
        NotInForce,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Names an attribute, which gets the next number. A name is never changed or removed: policies and consents
        /// refer to its number. Requires root, as which the council dispatches it.
        ///
        /// Fails with [`InvalidName`](Error::InvalidName), [`NameTaken`](Error::NameTaken) or
        /// [`TooManyAttributes`](Error::TooManyAttributes).
        #[pallet::call_index(0)]
        pub fn name_attribute(origin: OriginFor<T>, name: AttributeName) -> DispatchResult {
            ensure_root(origin)?;
            let attribute = Self::add_attribute(name.clone())?;
            Self::deposit_event(Event::AttributeNamed { attribute, name });
            Ok(())
        }

        /// Confirms an attribute of a user from now on until `until` (ms). A credential in force of the same hospital
        /// is replaced: the new one may end later or earlier. Signed by an active hospital's governance account.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance), [`UnknownUser`](Error::UnknownUser),
        /// [`UnknownAttribute`](Error::UnknownAttribute), [`EndPassed`](Error::EndPassed) or
        /// [`EndTooLate`](Error::EndTooLate).
        #[pallet::call_index(1)]
        pub fn issue(
            origin: OriginFor<T>,
            user: UserId,
            attribute: AttributeId,
            until: Moment,
        ) -> DispatchResult {
            let issuer = Self::issuer(origin)?;
            ensure!(T::Users::role(user).is_some(), Error::<T>::UnknownUser);
            ensure!(Attributes::<T>::contains_key(attribute), Error::<T>::UnknownAttribute);
            let now = T::Time::now();
            let length = until.checked_sub(now).filter(|length| *length > 0);
            let length = length.ok_or(Error::<T>::EndPassed)?;
            ensure!(length <= MAX_CREDENTIAL_MILLIS, Error::<T>::EndTooLate);

            let key = (user, attribute, issuer);
            if let Some(previous) = Credentials::<T>::get(key) {
                Self::archive(key, previous, now)?;
            }
            Credentials::<T>::insert(key, Credential { since: now, until, revoked: None });
            Self::deposit_event(Event::Issued { user, attribute, issuer, until });
            Ok(())
        }

        /// Ends a credential of the signer's hospital now. It stays readable. Signed by the governance
        /// account of an active or leaving hospital.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance) or [`NotInForce`](Error::NotInForce).
        #[pallet::call_index(2)]
        pub fn revoke(
            origin: OriginFor<T>,
            user: UserId,
            attribute: AttributeId,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let issuer =
                T::Hospitals::serving_by_governance(&who).ok_or(Error::<T>::NotGovernance)?;
            let now = T::Time::now();
            Credentials::<T>::try_mutate((user, attribute, issuer), |newest| {
                let credential = newest
                    .as_mut()
                    .filter(|credential| credential.in_force(now))
                    .ok_or(Error::<T>::NotInForce)?;
                credential.revoked = Some(now);
                Ok::<_, Error<T>>(())
            })?;
            Self::deposit_event(Event::Revoked { user, attribute, issuer });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The active hospital whose governance account signed.
        fn issuer(origin: OriginFor<T>) -> Result<HospitalId, DispatchError> {
            let who = ensure_signed(origin)?;
            Ok(T::Hospitals::active_by_governance(&who).ok_or(Error::<T>::NotGovernance)?)
        }

        /// Gives a name the next number.
        fn add_attribute(name: AttributeName) -> Result<AttributeId, DispatchError> {
            ensure!(is_attribute_name(&name), Error::<T>::InvalidName);
            ensure!(!ByName::<T>::contains_key(&name), Error::<T>::NameTaken);
            let number = AttributeCount::<T>::get();
            ensure!(number < MAX_ATTRIBUTES, Error::<T>::TooManyAttributes);
            let count = number.checked_add(1).ok_or(ArithmeticError::Overflow)?;
            AttributeCount::<T>::put(count);
            Attributes::<T>::insert(AttributeId(number), &name);
            ByName::<T>::insert(name, AttributeId(number));
            Ok(AttributeId(number))
        }

        /// Stores the newest credential after the earlier ones. If it is in force, it ends now.
        fn archive(
            (user, attribute, issuer): (UserId, AttributeId, HospitalId),
            mut credential: Credential,
            now: Moment,
        ) -> DispatchResult {
            if credential.in_force(now) {
                credential.revoked = Some(now);
            }
            let key = (user, attribute, issuer);
            let number = EarlierCount::<T>::get(key);
            let count = number.checked_add(1).ok_or(ArithmeticError::Overflow)?;
            EarlierCount::<T>::insert(key, count);
            EarlierCredentials::<T>::insert((user, attribute, issuer, number), credential);
            Ok(())
        }
    }
}
