//! Openings: hospitals open sections together for a requester, while the patient and the hospital of the record are
//! away.
//!
//! The hospital of a record wraps the content keys of the sections that the patient placed in a slot, if the slot's
//! consent in force is a standing one. Each wrap is made for one label: chain, key, epoch, hospital, patient, slot,
//! record and section. It has a proof for exactly this label, which [`wrap`](Pallet::wrap) checks. So nobody can
//! publish the wrap of one section as the wrap of another one, not even with a changed point.
//!
//! A requester whom a standing consent includes asks, and the chain decides at once. Then each member of the consortium
//! key decides again on its own, and records here that it hands out its part of the opening, before it does so. The
//! chain decides a third time in that call. So a withdrawal, the end of a consent, of an attribute or of a
//! registration, and a removed section count from the next block on. The requester needs the parts of as many members
//! as the threshold says. The parts are sealed to the requester and are not on the chain.
//!
//! An emergency summary is what is in a slot whose consent is for emergencies. Only a doctor opens it, with a reason.
//! The rules of breaking the glass apply ([`Emergencies`](epione_primitives::ports::Emergencies)): a daily limit of the
//! requester, for all hospitals together; a limit of the hospital for which the requester asks; and a review by the
//! hospitals at which the requester's registration was not in force. As soon as they find it unjustified, no hospital
//! hands out its part any more, and nobody opens sections in an emergency for the requester for 30 days. The policies
//! of the record's hospital decide nothing: the patient's consent does.
//!
//! What a requester already opened stays open to the requester. As many members as the threshold says can open a wrap
//! without this pallet, and nobody sees it: a standing consent says so.
//!
//! The chain cannot check that the right content key is in a wrap. Who opens the section makes the wrap again, and can
//! show everybody which hospital published a wrong one.
//!
//! An opening names the slots whose consents admitted the requester. All of them must still admit the requester when a
//! hospital hands out its part: members, whose moments differ, then choose the same wraps. A requester whose opening
//! ends early asks again.
//!
//! Wraps stay after the patient removed their sections from the slot, and after the consent ended. They are useless
//! then, because each decision reads the consents and the placements.
//!
//! [`deciding`] has the decision. [`reading`] implements the runtime API.
//!
//! Invariants, which `try_state` checks:
//! 1. openings are numbered without gaps, and each names ordered records with at most [`MAX_OPENED_SECTIONS`] sections,
//!    another user than the patient, a review exactly if it is for an emergency, and at least one slot; none is in the
//!    future;
//! 2. a patient's openings and a requester's openings are numbered without gaps, ascend, belong to that user, and are
//!    together all openings;
//! 3. what a hospital handed out belongs to an opening, at most [`OPENING_BLOCKS`] after it, and not in the future; the
//!    epochs are not newer than the current one;
//! 4. wraps are of sections of a committed record, by the hospital that announced it, in a slot that exists, for a key
//!    and an epoch that are not newer than the current ones, and not in the future.
//!
//! [`MAX_OPENED_SECTIONS`]: epione_primitives::limits::MAX_OPENED_SECTIONS
//! [`OPENING_BLOCKS`]: epione_primitives::limits::OPENING_BLOCKS

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
pub mod deciding;
mod invariants;
#[cfg(test)]
mod mock;
pub mod reading;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use epione_primitives::{
        AccountId, BlockNumber, Hash, HospitalId, Moment, RecordPointer, UserId,
        access::Purpose,
        consortium::EpochId,
        limits::{MAX_OPENED_SECTIONS, MAX_QUERIED_RECORDS},
        opening::{HandedOut, Opening, OpeningId, WrapLabel, Wrapped, WrapsBytes},
        ports::{
            Bodies, ConsortiumKey, Emergencies, EmergencyOpening, HashedBody, Hospitals, Records,
            Sharing, Users,
        },
        profile::Role,
        query::{QueriedRecords, are_ordered},
        release::{EmergencyReason, ReviewedEmergency, SectionSet},
        sharing::{SlotId, SlotSet},
    };
    use frame_support::{pallet_prelude::*, traits::Time};
    use frame_system::pallet_prelude::*;
    use sp_runtime::{ArithmeticError, SaturatedConversion, traits::Zero};

    use crate::{
        WeightInfo,
        deciding::{are_bound, count},
    };

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId, Hash = Hash> {
        type WeightInfo: WeightInfo;
        /// Finds the hospital of an agent, and the hospitals for which requesters ask.
        type Hospitals: Hospitals;
        /// Finds the user of an account, and the account and the sealing key of a user.
        type Users: Users;
        /// Finds the patient and the hospital of a record.
        type Records: Records;
        /// Whom standing consents include, and which sections are in their slots.
        type Sharing: Sharing;
        /// Counts emergencies, and has their reviews.
        type Emergencies: Emergencies;
        /// Who has a share of which key.
        type ConsortiumKey: ConsortiumKey;
        /// Stores the wraps.
        type Bodies: Bodies;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
    }

    /// The wraps of a record's sections in a slot of its patient. Nodes store the wraps themselves as a body.
    #[pallet::storage]
    pub type Wraps<T: Config> =
        StorageDoubleMap<_, Twox64Concat, RecordPointer, Twox64Concat, SlotId, Wrapped>;

    /// Every opening. None is ever changed or deleted.
    #[pallet::storage]
    pub type Openings<T: Config> = StorageMap<_, Twox64Concat, OpeningId, Opening>;

    /// The number of all openings, and so the id of the next one.
    #[pallet::storage]
    pub type OpeningCount<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// The openings of a patient's sections, by their numbers among these.
    #[pallet::storage]
    pub type PatientOpenings<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, OpeningId>;

    /// The number of openings of a patient's sections.
    #[pallet::storage]
    pub type PatientOpeningCount<T: Config> =
        StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// The openings of a requester, by their numbers among the requester's openings.
    #[pallet::storage]
    pub type RequesterOpenings<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, OpeningId>;

    /// The number of openings of a requester.
    #[pallet::storage]
    pub type RequesterOpeningCount<T: Config> =
        StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// Which hospitals handed out their parts of an opening. Nothing is ever changed or deleted.
    #[pallet::storage]
    pub type HandedOutBy<T: Config> =
        StorageDoubleMap<_, Twox64Concat, OpeningId, Twox64Concat, HospitalId, HandedOut>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A hospital published the wraps of a record's sections in a slot. They replace the ones before.
        #[codec(index = 0)]
        Wrapped { patient: UserId, slot: SlotId, pointer: RecordPointer, hospital: HospitalId },
        /// A requester may open sections. The members hand out their parts.
        #[codec(index = 1)]
        Opened { opening: OpeningId, requester: UserId, patient: UserId },
        /// A hospital hands out its part of an opening. Its worker may do so after this event is finalized.
        #[codec(index = 2)]
        HandedOut { opening: OpeningId, hospital: HospitalId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active or leaving hospital.
        #[codec(index = 0)]
        NotAgent,
        /// There is no consortium key yet. The hospitals generate one as soon as two of them are active.
        #[codec(index = 1)]
        NoKey,
        /// The hospital has no share of the consortium key's current epoch. It takes part in the next ceremony.
        #[codec(index = 2)]
        NotMember,
        /// A pointer does not point to a committed record.
        #[codec(index = 3)]
        UnknownRecord,
        /// A record belongs to another patient.
        #[codec(index = 4)]
        RecordOfAnotherPatient,
        /// Another hospital announced the record. Only that hospital wraps its keys.
        #[codec(index = 5)]
        RecordOfAnotherHospital,
        /// The slot has no standing consent in force.
        #[codec(index = 6)]
        NotStanding,
        /// There is no section, or one that is not in the slot now. Read the placements again.
        #[codec(index = 7)]
        OtherSections,
        /// There are more or fewer bytes than one wrap for each section has.
        #[codec(index = 8)]
        WrongLength,
        /// A wrap is not bound to its section under the current key and epoch, or is damaged. Make the wraps again.
        #[codec(index = 9)]
        InvalidWrap,
        /// The signer is not the current account of a user.
        #[codec(index = 10)]
        NotUser,
        /// The requester's registration at the opening's hospital is not in force, or the hospital does not serve. The
        /// hospital must register or reinstate the requester, or the requester asks for another hospital.
        #[codec(index = 11)]
        NotInForce,
        /// The requester asks for own records. The patient key opens them.
        #[codec(index = 12)]
        OwnRecords,
        /// The purpose and the reason of an emergency do not match: the purpose emergency needs a reason, and no other
        /// purpose has one.
        #[codec(index = 13)]
        ReasonMismatch,
        /// The records are not in order. Name at least one record, each once, ascending by pointer, with at least one
        /// section each.
        #[codec(index = 14)]
        InvalidRecords,
        /// The records name more than `MAX_OPENED_SECTIONS` sections together. Ask in several calls.
        #[codec(index = 15)]
        TooManySections,
        /// No standing consent of the patient includes the requester for this purpose now, or one that admitted the
        /// opening does not any more. The requester can ask the patient by a query, or ask for an opening again.
        #[codec(index = 16)]
        NotAdmitted,
        /// A section is in no slot with a standing consent that includes the requester. Ask for other sections, or ask
        /// the patient by a query.
        #[codec(index = 17)]
        NotPlaced,
        /// A section has no wrap under the current key. The worker of the record's hospital makes it, if the hospital
        /// is a member of the key and the record has this section; ask again later.
        #[codec(index = 18)]
        NotWrapped,
        /// There is no opening with this id.
        #[codec(index = 19)]
        UnknownOpening,
        /// The opening is more than `OPENING_BLOCKS` old. The requester asks again.
        #[codec(index = 20)]
        Over,
        /// The requester's account or sealing key is not the one of the opening. The requester asks again.
        #[codec(index = 21)]
        RequesterChanged,
        /// The hospital has recorded this already, and the decision holds in this block. A worker that hands out its
        /// part again checks the decision before.
        #[codec(index = 22)]
        AlreadyHandedOut,
        /// Only a doctor opens sections in an emergency. Another professional asks a doctor of the hospital.
        #[codec(index = 23)]
        NotDoctor,
        /// The other hospitals found the emergency unjustified. No hospital hands out its part any more.
        #[codec(index = 24)]
        Unjustified,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Publishes the wraps of sections of a patient's record that are in a slot, one of 168 bytes for each section,
        /// ascending by section. They replace the ones before. The patient can have placed sections that the record
        /// does not have, which the chain does not know: the hospital wraps those that exist. Signed by the agent of
        /// the hospital that announced the record, which must be a member of the consortium key.
        ///
        /// The wraps must be the last argument, and the call must not be wrapped in another call.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NoKey`](Error::NoKey), [`NotMember`](Error::NotMember),
        /// [`UnknownRecord`](Error::UnknownRecord), [`RecordOfAnotherPatient`](Error::RecordOfAnotherPatient),
        /// [`RecordOfAnotherHospital`](Error::RecordOfAnotherHospital), [`NotStanding`](Error::NotStanding),
        /// [`OtherSections`](Error::OtherSections), [`WrongLength`](Error::WrongLength),
        /// [`InvalidWrap`](Error::InvalidWrap) or the error of [`Bodies::keep`].
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::wrap(count(*sections)))]
        pub fn wrap(
            origin: OriginFor<T>,
            patient: UserId,
            slot: SlotId,
            pointer: RecordPointer,
            sections: SectionSet,
            wraps: WrapsBytes,
        ) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let (key, epoch) = T::ConsortiumKey::current().ok_or(Error::<T>::NoKey)?;
            ensure!(T::ConsortiumKey::is_member(hospital), Error::<T>::NotMember);
            let (owner, announcer) = T::Records::owner(pointer).ok_or(Error::<T>::UnknownRecord)?;
            ensure!(owner == patient, Error::<T>::RecordOfAnotherPatient);
            ensure!(announcer == hospital, Error::<T>::RecordOfAnotherHospital);
            ensure!(T::Sharing::is_standing(patient, slot), Error::<T>::NotStanding);
            let mut only = SlotSet::default();
            only.insert(slot);
            let placed = T::Sharing::placed(pointer, only);
            let are_placed = !sections.is_empty() && sections.is_subset_of(placed);
            ensure!(are_placed, Error::<T>::OtherSections);
            let genesis = Self::genesis();
            let label = move |section| WrapLabel {
                genesis,
                key,
                epoch,
                hospital,
                patient,
                slot,
                pointer,
                section,
            };
            are_bound(&wraps, sections, label).map_err(Error::<T>::from)?;

            let body = HashedBody::new(&wraps);
            let (hash, block) = (body.hash(), Self::block());
            let wrapped = Wrapped { sections, key, epoch, hospital, body: hash, block };
            Wraps::<T>::insert(pointer, slot, wrapped);
            Self::deposit_event(Event::Wrapped { patient, slot, pointer, hospital });
            T::Bodies::keep(body)
        }

        /// Asks the hospitals to open sections of a patient's records, for the hospital at which the requester is
        /// registered. The chain decides at once: it stores the opening, or the call fails. The hospitals hand out
        /// their parts for [`OPENING_BLOCKS`](epione_primitives::limits::OPENING_BLOCKS), sealed to the sealing key
        /// that the requester has now. Signed by the requester's current account.
        ///
        /// With the purpose emergency, `emergency` is the reason, the requester must be a doctor, and the other
        /// hospitals review the opening.
        ///
        /// Fails with [`NotUser`](Error::NotUser), [`OwnRecords`](Error::OwnRecords),
        /// [`ReasonMismatch`](Error::ReasonMismatch), [`InvalidRecords`](Error::InvalidRecords),
        /// [`TooManySections`](Error::TooManySections), [`NotInForce`](Error::NotInForce),
        /// [`NotDoctor`](Error::NotDoctor), [`UnknownRecord`](Error::UnknownRecord),
        /// [`RecordOfAnotherPatient`](Error::RecordOfAnotherPatient), [`NotAdmitted`](Error::NotAdmitted),
        /// [`NoKey`](Error::NoKey), [`NotPlaced`](Error::NotPlaced), [`NotWrapped`](Error::NotWrapped) or the error of
        /// [`Emergencies::open`].
        #[pallet::call_index(1)]
        #[pallet::weight(crate::weights::of_ask::<T>(records, *emergency))]
        pub fn ask(
            origin: OriginFor<T>,
            hospital: HospitalId,
            patient: UserId,
            records: QueriedRecords,
            purpose: Purpose,
            emergency: Option<EmergencyReason>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let requester = T::Users::by_account(&who).ok_or(Error::<T>::NotUser)?;
            let sealing_key = T::Users::sealing_key(requester).ok_or(Error::<T>::NotUser)?;
            ensure!(requester != patient, Error::<T>::OwnRecords);
            let is_emergency = purpose == Purpose::Emergency;
            ensure!(is_emergency == emergency.is_some(), Error::<T>::ReasonMismatch);
            ensure!(are_ordered(&records), Error::<T>::InvalidRecords);
            let sections = records.iter().map(|record| count(record.sections)).sum::<u32>();
            ensure!(sections <= MAX_OPENED_SECTIONS, Error::<T>::TooManySections);
            ensure!(Self::is_in_force(requester, hospital), Error::<T>::NotInForce);
            let may_open = !is_emergency || T::Users::role(requester) == Some(Role::Doctor);
            ensure!(may_open, Error::<T>::NotDoctor);
            Self::check_owner(patient, &records)?;
            let slots = T::Sharing::standing(patient, requester, purpose);
            ensure!(!slots.is_empty(), Error::<T>::NotAdmitted);
            Self::check_sections(&records, slots)?;

            let opening = OpeningId(OpeningCount::<T>::get());
            let begin = |reason| {
                let begun = EmergencyOpening { opening, requester, patient, hospital, reason };
                T::Emergencies::open(begun).map(|review| ReviewedEmergency { reason, review })
            };
            let emergency = emergency.map(begin).transpose()?;
            let (audience, block, at) = (who, Self::block(), T::Time::now());
            Self::store(Opening {
                requester,
                hospital,
                patient,
                records,
                purpose,
                emergency,
                slots,
                audience,
                sealing_key,
                block,
                at,
            })
        }

        /// Records that a hospital hands out its part of an opening. Signed by the agent of a member of the consortium
        /// key. Each hospital records it once. A worker that hands out its part again checks the decision again.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`UnknownOpening`](Error::UnknownOpening),
        /// [`NoKey`](Error::NoKey), [`NotMember`](Error::NotMember), [`Over`](Error::Over),
        /// [`RequesterChanged`](Error::RequesterChanged), [`NotInForce`](Error::NotInForce),
        /// [`Unjustified`](Error::Unjustified), [`NotAdmitted`](Error::NotAdmitted),
        /// [`NotPlaced`](Error::NotPlaced) or [`NotWrapped`](Error::NotWrapped); and with
        /// [`AlreadyHandedOut`](Error::AlreadyHandedOut) only if none of them applies.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::hand_out(MAX_QUERIED_RECORDS))]
        pub fn hand_out(origin: OriginFor<T>, opening: OpeningId) -> DispatchResultWithPostInfo {
            let hospital = Self::hospital_of_agent(origin)?;
            let opened = Openings::<T>::get(opening).ok_or(Error::<T>::UnknownOpening)?;
            let (_, epoch) = T::ConsortiumKey::current().ok_or(Error::<T>::NoKey)?;
            ensure!(T::ConsortiumKey::is_member(hospital), Error::<T>::NotMember);
            Self::check_stands(&opened)?;
            let is_new = !HandedOutBy::<T>::contains_key(opening, hospital);
            ensure!(is_new, Error::<T>::AlreadyHandedOut);

            let (block, at) = (Self::block(), T::Time::now());
            HandedOutBy::<T>::insert(opening, hospital, HandedOut { epoch, block, at });
            Self::deposit_event(Event::HandedOut { opening, hospital });
            let records = opened.records.len().saturated_into();
            Ok(Some(T::WeightInfo::hand_out(records)).into())
        }
    }

    impl<T: Config> Pallet<T> {
        pub(crate) fn block() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        /// The hash of the chain's first block.
        pub(crate) fn genesis() -> Hash {
            frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
        }

        fn hospital_of_agent(origin: OriginFor<T>) -> Result<HospitalId, DispatchError> {
            let who = ensure_signed(origin)?;
            T::Hospitals::serving_by_agent(&who).ok_or(Error::<T>::NotAgent.into())
        }

        /// The epoch of which members have shares now.
        pub(crate) fn epoch() -> Option<EpochId> {
            T::ConsortiumKey::current().map(|(_, epoch)| epoch)
        }

        /// Stores a new opening under the next id and the next numbers.
        fn store(opening: Opening) -> DispatchResult {
            let Opening { requester, patient, .. } = opening;
            let id = OpeningId(OpeningCount::<T>::get());
            let of_patient = PatientOpeningCount::<T>::get(patient);
            let of_requester = RequesterOpeningCount::<T>::get(requester);

            OpeningCount::<T>::put(after(id.0)?);
            PatientOpeningCount::<T>::insert(patient, after(of_patient)?);
            RequesterOpeningCount::<T>::insert(requester, after(of_requester)?);
            PatientOpenings::<T>::insert(patient, of_patient, id);
            RequesterOpenings::<T>::insert(requester, of_requester, id);
            Openings::<T>::insert(id, opening);
            Self::deposit_event(Event::Opened { opening: id, requester, patient });
            Ok(())
        }
    }

    /// The number after `number`.
    fn after(number: u32) -> Result<u32, ArithmeticError> {
        number.checked_add(1).ok_or(ArithmeticError::Overflow)
    }
}
