//! Patients' consents, and the sections that each of them shares.
//!
//! A patient gives a consent for one of their slots: for an audience, for purposes, until an end. The sections in the
//! slot are shared with each requester of the audience, for these purposes, while the consent is in force. A section
//! that no consent shares is private to the requester. So the class of a section depends on requester, purpose and
//! moment, and on nothing that an author or a hospital decides. Policies may allow more about shared sections than
//! about private ones, and pallet-releases compares the rights of every release with the classes.
//!
//! To change a right for all records at once, the patient gives the slot a new version of its consent. No record
//! changes, and the sections stay in the slot. They stay there, too, when a consent ends: they are private until the
//! patient gives another one.
//!
//! A consent may stand while the patient is away: then hospitals also open its sections together, by pallet-openings,
//! which asks for the slots whose standing consents admit a requester.
//!
//! What somebody already opened stays open to them: sharing decides about later requests only.
//!
//! The chain does not know how many sections a record has, nor of which kind they are, nor when their record was
//! signed. If a patient or a hospital places a section that its record does not have, nothing more is shared. A
//! hospital that places sections by their kind can place others than the consent names. It can place only sections of
//! records that it announced itself after the patient gave the consent, only in a slot with a consent in force that
//! names kinds, and of each record only once in a slot: so it cannot put back what the patient took out. Each such
//! change is on the chain.
//!
//! A patient who gives a consent names the height of the slot's newest change that the patient has seen. If the slot
//! has changed since, for instance because a hospital has placed sections in it, the call fails: nobody shares what
//! they have not seen.
//!
//! [`reading`] decides who is admitted, and implements the runtime API. [`changing`] stores. Each change is appended to
//! a chain of hashes of its own, so that everybody can follow what patients share without the full index.
//!
//! Invariants, which `try_state` checks:
//! 1. the versions of a slot's consent are numbered from 1 without gaps, begin in the order of their numbers, are as
//!    [`give`](Pallet::give) permits, and none but the newest is in force when the next one begins;
//! 2. the placements of a record ascend by slot, are not empty, and are of a committed record;
//! 3. the index by patient and slot contains the same placements, of the patient's own records, and nothing else;
//! 4. the changes are numbered from 1 without gaps, each names the hash of the previous one, and the head has the
//!    number and the hash of the last;
//! 5. the height of a slot is the number of its newest change, and slots without a change have none;
//! 6. what a hospital has placed by kind is of a committed record of the patient, and in a slot that exists.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
pub mod changing;
mod invariants;
#[cfg(test)]
mod mock;
pub mod reading;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

use epione_primitives::{
    AccountId, Hash, Moment, RecordPointer, UserId,
    limits::{MAX_PLACED_RECORDS, MAX_SLOTS},
    ports::{Credentials, Hospitals, Records, Users},
    profile::Role,
    query::are_ordered,
    release::{ReleasedRecord, SectionSet},
    sharing::{Change, Consent, ConsentVersion, Placements, SharedChange, SlotId},
};
use frame_support::{BoundedVec, traits::Time};
use sp_runtime::{SaturatedConversion, traits::ConstU32};

/// Records with the sections that a call places or removes: at least one record, none twice, ascending by pointer, each
/// with at least one section.
pub type PlacedRecords = BoundedVec<ReleasedRecord, ConstU32<MAX_PLACED_RECORDS>>;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        type WeightInfo: WeightInfo;
        /// Which hospitals serve.
        type Hospitals: Hospitals;
        /// Finds the user of an account, and where a requester is registered.
        type Users: Users;
        /// Finds the patient and the hospital of a record, and when it was committed.
        type Records: Records;
        /// Which attributes of a requester hospitals confirm.
        type Credentials: Credentials;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
    }

    /// The newest version of the consent of each slot of a patient, in force or not.
    #[pallet::storage]
    pub type Consents<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, SlotId, ConsentVersion>;

    /// The versions before the newest, by patient, slot and number.
    #[pallet::storage]
    pub type EarlierConsents<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, SlotId>,
            NMapKey<Twox64Concat, u32>,
        ),
        ConsentVersion,
    >;

    /// In which slots of its patient the sections of a record are.
    #[pallet::storage]
    pub type Placed<T: Config> = StorageMap<_, Twox64Concat, RecordPointer, Placements, ValueQuery>;

    /// The same placements by patient, slot and record.
    #[pallet::storage]
    pub type PlacedIn<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, SlotId>,
            NMapKey<Twox64Concat, RecordPointer>,
        ),
        SectionSet,
        ValueQuery,
    >;

    /// The records of which their hospital has placed sections in a slot by kind, by patient, slot and record. The
    /// sections may not be in the slot any more.
    #[pallet::storage]
    pub type PlacedByKind<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, SlotId>,
            NMapKey<Twox64Concat, RecordPointer>,
        ),
        (),
    >;

    /// The height of the newest change of each slot of a patient.
    #[pallet::storage]
    pub type SlotHeights<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, SlotId, u64, ValueQuery>;

    /// Every change of what patients share, by its height. None is ever changed or deleted.
    #[pallet::storage]
    pub type Changes<T: Config> = StorageMap<_, Twox64Concat, u64, SharedChange>;

    /// The height of the newest change, and its hash. 0 and zero before the first.
    #[pallet::storage]
    pub type Head<T: Config> = StorageValue<_, (u64, Hash), ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// What a patient shares has changed.
        #[codec(index = 0)]
        Changed {
            /// The height of the change in the chain of changes.
            height: u64,
            patient: UserId,
            slot: SlotId,
            change: Change,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the current account of a patient.
        #[codec(index = 0)]
        NotPatient,
        /// There is no slot with this number. They are numbered from 0 to 15.
        #[codec(index = 1)]
        UnknownSlot,
        /// The terms of the audience are not a formula: a threshold has too few terms before it, or its numbers are
        /// wrong, or more than one value results.
        #[codec(index = 2)]
        MalformedAudience,
        /// The audience has too many leaves, or too many thresholds within each other.
        #[codec(index = 3)]
        AudienceTooLarge,
        /// The consent has no purpose, or one twice.
        #[codec(index = 4)]
        InvalidPurposes,
        /// A consent for emergencies must be a standing one without another purpose. At the hospital of the record, an
        /// emergency does not wait for a consent.
        #[codec(index = 5)]
        PurposeIsEmergency,
        /// The consent would end before it begins.
        #[codec(index = 6)]
        EndHasPassed,
        /// The consent would last longer than 366 days.
        #[codec(index = 7)]
        EndTooLate,
        /// The slot has no consent in force.
        #[codec(index = 8)]
        NotInForce,
        /// The call names no record, or the records are not strictly ascending by their pointers, or one has no
        /// section.
        #[codec(index = 9)]
        InvalidRecords,
        /// A pointer does not point to a committed record.
        #[codec(index = 10)]
        UnknownRecord,
        /// A record belongs to another patient.
        #[codec(index = 11)]
        RecordOfAnotherPatient,
        /// The slot contains none of the named sections of one of the records. Name only records with sections in the
        /// slot.
        #[codec(index = 12)]
        NotPlaced,
        /// The signer is not the agent of an active or leaving hospital.
        #[codec(index = 13)]
        NotAgent,
        /// The slot's consent in force has another version.
        #[codec(index = 14)]
        OtherVersion,
        /// The consent names no kinds: the patient places each section.
        #[codec(index = 15)]
        NoKinds,
        /// Another hospital announced the record.
        #[codec(index = 16)]
        RecordOfAnotherHospital,
        /// The record was committed before the patient gave the consent. Only the patient places its sections.
        #[codec(index = 17)]
        RecordBeforeConsent,
        /// The slot has changed since its patient looked at it. Look at what is in it now, and give the consent again.
        #[codec(index = 18)]
        SlotChanged,
        /// The hospital has placed sections of the record in the slot before. Only the patient places more of them, and
        /// puts back what the patient took out.
        #[codec(index = 19)]
        AlreadyPlaced,
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
        /// Gives the slot a consent. If the slot has one already, this is its next version, and ends it. The sections
        /// in the slot stay there. `seen` is the height of the newest change of the slot that the patient has seen, 0
        /// if it has none. Signed by the patient's current account.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient), [`UnknownSlot`](Error::UnknownSlot),
        /// [`MalformedAudience`](Error::MalformedAudience), [`AudienceTooLarge`](Error::AudienceTooLarge),
        /// [`InvalidPurposes`](Error::InvalidPurposes), [`PurposeIsEmergency`](Error::PurposeIsEmergency),
        /// [`EndHasPassed`](Error::EndHasPassed), [`EndTooLate`](Error::EndTooLate) or
        /// [`SlotChanged`](Error::SlotChanged).
        #[pallet::call_index(0)]
        pub fn give(
            origin: OriginFor<T>,
            slot: SlotId,
            consent: Consent,
            seen: u64,
        ) -> DispatchResult {
            let patient = Self::patient(origin)?;
            Self::ensure_slot(slot)?;
            let now = T::Time::now();
            changing::check_consent(&consent, now).map_err(Error::<T>::from)?;
            ensure!(SlotHeights::<T>::get(patient, slot) == seen, Error::<T>::SlotChanged);

            Self::store_consent(patient, slot, consent, now)
        }

        /// Ends the consent of the slot now. The sections in it stay there, and are private. Signed by the patient's
        /// current account.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient), [`UnknownSlot`](Error::UnknownSlot) or
        /// [`NotInForce`](Error::NotInForce).
        #[pallet::call_index(1)]
        pub fn withdraw(origin: OriginFor<T>, slot: SlotId) -> DispatchResult {
            let patient = Self::patient(origin)?;
            Self::ensure_slot(slot)?;
            let now = T::Time::now();
            let version =
                Self::consent_in_force(patient, slot, now).ok_or(Error::<T>::NotInForce)?;

            let change = Change::Withdrawn { version: version.version };
            Consents::<T>::insert(patient, slot, ConsentVersion { ended: Some(now), ..version });
            Self::append(patient, slot, change)
        }

        /// Places sections of the signer's records in the slot, in addition to those that are there. The slot needs no
        /// consent in force: so a patient can choose the sections before anybody sees them, and a consent that is given
        /// again shares the same sections. Signed by the patient's current account.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient), [`UnknownSlot`](Error::UnknownSlot),
        /// [`InvalidRecords`](Error::InvalidRecords), [`UnknownRecord`](Error::UnknownRecord) or
        /// [`RecordOfAnotherPatient`](Error::RecordOfAnotherPatient).
        #[pallet::call_index(2)]
        #[pallet::weight(<T as Config>::WeightInfo::place(records.len().saturated_into()))]
        pub fn place(origin: OriginFor<T>, slot: SlotId, records: PlacedRecords) -> DispatchResult {
            let patient = Self::patient(origin)?;
            Self::ensure_slot(slot)?;
            ensure!(are_ordered(&records), Error::<T>::InvalidRecords);
            for record in &records {
                Self::announcer(patient, record.pointer)?;
            }

            Self::add(patient, slot, &records)
        }

        /// Takes sections of records out of the slot. The slot needs no consent in force. Signed by the patient's
        /// current account.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient), [`UnknownSlot`](Error::UnknownSlot),
        /// [`InvalidRecords`](Error::InvalidRecords) or [`NotPlaced`](Error::NotPlaced).
        #[pallet::call_index(3)]
        #[pallet::weight(<T as Config>::WeightInfo::remove(records.len().saturated_into()))]
        pub fn remove(
            origin: OriginFor<T>,
            slot: SlotId,
            records: PlacedRecords,
        ) -> DispatchResult {
            let patient = Self::patient(origin)?;
            Self::ensure_slot(slot)?;
            ensure!(are_ordered(&records), Error::<T>::InvalidRecords);
            ensure!(Self::are_placed(patient, slot, &records), Error::<T>::NotPlaced);

            for ReleasedRecord { pointer, sections } in records {
                let before = PlacedIn::<T>::get((patient, slot, pointer));
                Self::set(patient, slot, pointer, before.without(sections))?;
            }
            Ok(())
        }

        /// Places sections of a patient's records in the slot, because the slot's consent in force names their kinds.
        /// Signed by the agent of the hospital that announced the records. A slot accepts each record once. The chain
        /// does not know the kinds; see the documentation of this pallet.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`UnknownSlot`](Error::UnknownSlot),
        /// [`InvalidRecords`](Error::InvalidRecords), [`NotInForce`](Error::NotInForce),
        /// [`OtherVersion`](Error::OtherVersion), [`NoKinds`](Error::NoKinds),
        /// [`UnknownRecord`](Error::UnknownRecord), [`RecordOfAnotherPatient`](Error::RecordOfAnotherPatient),
        /// [`RecordOfAnotherHospital`](Error::RecordOfAnotherHospital),
        /// [`RecordBeforeConsent`](Error::RecordBeforeConsent) or [`AlreadyPlaced`](Error::AlreadyPlaced).
        #[pallet::call_index(4)]
        #[pallet::weight(<T as Config>::WeightInfo::place_by_kind(records.len().saturated_into()))]
        pub fn place_by_kind(
            origin: OriginFor<T>,
            patient: UserId,
            slot: SlotId,
            version: u32,
            records: PlacedRecords,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let hospital = T::Hospitals::serving_by_agent(&who).ok_or(Error::<T>::NotAgent)?;
            Self::ensure_slot(slot)?;
            ensure!(are_ordered(&records), Error::<T>::InvalidRecords);
            let given = Self::consent_in_force(patient, slot, T::Time::now())
                .ok_or(Error::<T>::NotInForce)?;
            ensure!(given.version == version, Error::<T>::OtherVersion);
            ensure!(given.consent.kinds.0 != 0, Error::<T>::NoKinds);
            for record in &records {
                let announcer = Self::announcer(patient, record.pointer)?;
                ensure!(announcer == hospital, Error::<T>::RecordOfAnotherHospital);
                let committed =
                    T::Records::committed_at(record.pointer).ok_or(Error::<T>::UnknownRecord)?;
                ensure!(given.since < committed, Error::<T>::RecordBeforeConsent);
                let by_kind = (patient, slot, record.pointer);
                ensure!(!PlacedByKind::<T>::contains_key(by_kind), Error::<T>::AlreadyPlaced);
            }

            // Of the consent's versions, only one is given before the record and in force after it. So the version is
            // not remembered.
            for record in &records {
                PlacedByKind::<T>::insert((patient, slot, record.pointer), ());
            }
            Self::add(patient, slot, &records)
        }
    }

    impl<T: Config> Pallet<T> {
        /// The patient whose current account signed.
        fn patient(origin: OriginFor<T>) -> Result<UserId, DispatchError> {
            let who = ensure_signed(origin)?;
            let signer = T::Users::by_account(&who).ok_or(Error::<T>::NotPatient)?;
            ensure!(T::Users::role(signer) == Some(Role::Patient), Error::<T>::NotPatient);
            Ok(signer)
        }

        fn ensure_slot(slot: SlotId) -> Result<(), Error<T>> {
            ensure!(slot.0 < MAX_SLOTS, Error::<T>::UnknownSlot);
            Ok(())
        }
    }
}
