//! Which sections of their records patients share.
//!
//! A section is private until its patient shares it, and private again when the patient no longer shares it. The class
//! of a section is this state and nothing else: no author and no hospital can change it. Policies may allow more about
//! shared sections than about private ones, and pallet-releases compares the rights of every release with the classes.
//!
//! What somebody already opened stays open to them: sharing decides about later requests only.
//!
//! The chain does not know how many sections a record has. A shared section that the record does not have changes
//! nothing.
//!
//! Invariants, which `try_state` checks:
//! 1. [`Shared`] contains committed records only;
//! 2. no set in it is empty.

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
    use epione_primitives::{
        AccountId, RecordPointer, UserId,
        ports::{Records, Users},
        release::SectionSet,
    };
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    use crate::WeightInfo;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        type WeightInfo: WeightInfo;
        /// Finds the user of an account.
        type Users: Users;
        /// Finds the patient of a record.
        type Records: Records;
    }

    /// The sections of a record that its patient shares. All others are private.
    #[pallet::storage]
    pub type Shared<T: Config> = StorageMap<_, Twox64Concat, RecordPointer, SectionSet, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A patient changed which sections of a record they share.
        #[codec(index = 0)]
        Shared {
            patient: UserId,
            pointer: RecordPointer,
            /// All sections of the record that the patient shares now.
            sections: SectionSet,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the current account of the patient whose record it is.
        #[codec(index = 0)]
        NotPatient,
        /// The pointer does not point to a committed record.
        #[codec(index = 1)]
        UnknownRecord,
        /// The call names no section. Name at least one.
        #[codec(index = 2)]
        NoSections,
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
        /// Shares sections of a record, in addition to those that are already shared. Signed by the current account of
        /// the record's patient.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient), [`NoSections`](Error::NoSections) or
        /// [`UnknownRecord`](Error::UnknownRecord).
        #[pallet::call_index(0)]
        pub fn share(
            origin: OriginFor<T>,
            pointer: RecordPointer,
            sections: SectionSet,
        ) -> DispatchResult {
            let patient = Self::patient_of(origin, pointer)?;
            ensure!(!sections.is_empty(), Error::<T>::NoSections);
            Self::set(patient, pointer, Shared::<T>::get(pointer).union(sections));
            Ok(())
        }

        /// Makes sections of a record private again. Signed by the current account of the record's patient.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient), [`NoSections`](Error::NoSections) or
        /// [`UnknownRecord`](Error::UnknownRecord).
        #[pallet::call_index(1)]
        pub fn unshare(
            origin: OriginFor<T>,
            pointer: RecordPointer,
            sections: SectionSet,
        ) -> DispatchResult {
            let patient = Self::patient_of(origin, pointer)?;
            ensure!(!sections.is_empty(), Error::<T>::NoSections);
            Self::set(patient, pointer, Shared::<T>::get(pointer).without(sections));
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The patient of a record, whose current account signed.
        fn patient_of(
            origin: OriginFor<T>,
            pointer: RecordPointer,
        ) -> Result<UserId, DispatchError> {
            let who = ensure_signed(origin)?;
            let signer = T::Users::by_account(&who).ok_or(Error::<T>::NotPatient)?;
            let (patient, _) = T::Records::owner(pointer).ok_or(Error::<T>::UnknownRecord)?;
            ensure!(signer == patient, Error::<T>::NotPatient);
            Ok(patient)
        }

        fn set(patient: UserId, pointer: RecordPointer, sections: SectionSet) {
            if sections.is_empty() {
                Shared::<T>::remove(pointer);
            } else {
                Shared::<T>::insert(pointer, sections);
            }
            Self::deposit_event(Event::Shared { patient, pointer, sections });
        }
    }
}
