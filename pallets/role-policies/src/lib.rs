//! Who may do what with whose records (R_ACP). Relationships between patients and professionals,
//! and each hospital's policy sets, are kept as intervals of chain time and never deleted, so that
//! [`Pallet::decide`] answers for a past moment as it would have answered then.
//!
//! Deciding is split in two: [`epione_policies`] says what policies answer to facts, and which policies are flawed;
//! [`gathering`] reads the bounded number of values that these facts need. [`history`] stores and finds earlier
//! relationships.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

pub use pallet::*;
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
pub mod gathering;
pub mod history;
mod invariants;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
pub mod weights;

use epione_policies::{flaws, is_professional};
use epione_primitives::{
    AccountId, HospitalId, Moment, UserId,
    access::{
        AccessRequest, Action, Parties, Policies, PolicySet, Purpose, Relationship,
        RelationshipKind, SectionClass,
    },
    limits::MAX_RELATIONSHIPS,
    ports::{Credentials, Hospitals, Mandates, Users},
    profile::Role,
};
use frame_support::traits::Time;
use sp_runtime::{ArithmeticError, BoundedVec, traits::ConstU32};

/// The newest relationship of each kind between one patient and one professional at one hospital.
pub type RelationshipsOf = BoundedVec<Relationship, ConstU32<MAX_RELATIONSHIPS>>;

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
        /// Who an agent or a governance account acts for.
        type Hospitals: Hospitals;
        /// Who is registered where, in what role.
        type Users: Users;
        /// Which attributes of the requester hospitals confirm.
        type Credentials: Credentials;
        /// Who acts for a patient.
        type Mandates: Mandates;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
    }

    /// The newest relationship of each kind, in force or not, by patient, professional and hospital, in the
    /// order in which they began.
    #[pallet::storage]
    pub type Relationships<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, HospitalId>,
        ),
        RelationshipsOf,
        ValueQuery,
    >;

    /// The relationships before the newest one of their kind, by patient, professional, hospital, kind and number.
    /// Those of one kind are numbered from 0 in the order in which they began. There is no limit to their number, so
    /// that nobody can use up the relationships of a patient and a professional.
    #[pallet::storage]
    pub type EarlierRelationships<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, HospitalId>,
            NMapKey<Twox64Concat, (RelationshipKind, u32)>,
        ),
        Relationship,
    >;

    /// The number of earlier relationships of a kind.
    #[pallet::storage]
    pub type EarlierCount<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, HospitalId>,
            NMapKey<Twox64Concat, RelationshipKind>,
        ),
        u32,
        ValueQuery,
    >;

    /// Every version of every hospital's policies. Version 0 is
    /// [`default_policies`](epione_policies::default_policies) and not stored.
    #[pallet::storage]
    pub type PolicySets<T: Config> =
        StorageDoubleMap<_, Twox64Concat, HospitalId, Twox64Concat, u32, PolicySet>;

    /// The newest version of each hospital's policies.
    #[pallet::storage]
    pub type LatestVersion<T: Config> = StorageMap<_, Twox64Concat, HospitalId, u32, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A relationship began.
        #[codec(index = 0)]
        Related {
            patient: UserId,
            professional: UserId,
            hospital: HospitalId,
            kind: RelationshipKind,
            expires: Option<Moment>,
        },
        /// A relationship was ended before it expired.
        #[codec(index = 1)]
        Unrelated {
            patient: UserId,
            professional: UserId,
            hospital: HospitalId,
            kind: RelationshipKind,
        },
        /// A hospital's policies were replaced.
        #[codec(index = 2)]
        PoliciesSet { hospital: HospitalId, version: u32 },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is neither the agent of that active hospital nor any user.
        #[codec(index = 0)]
        NeitherAgentNorPatient,
        /// No user of this id is registered anywhere.
        #[codec(index = 1)]
        UnknownPatient,
        /// The user to be related as the patient has another role.
        #[codec(index = 2)]
        NotPatient,
        /// The patient's registration at the hospital is not in force.
        #[codec(index = 3)]
        PatientNotRegistered,
        /// No user of this id is registered anywhere.
        #[codec(index = 4)]
        UnknownProfessional,
        /// Only a doctor, a nurse, a pharmacist or an allied professional is related to a patient.
        #[codec(index = 5)]
        NotProfessional,
        /// The professional's registration at the hospital is not in force. Only a referral needs none.
        #[codec(index = 6)]
        ProfessionalNotRegistered,
        /// The relationship would have expired already.
        #[codec(index = 7)]
        ExpiryPassed,
        /// They are so related at this hospital. Unrelate them first to change the expiry.
        #[codec(index = 8)]
        AlreadyRelated,
        /// They are not so related at this hospital.
        #[codec(index = 10)]
        NotRelated,
        /// The signer is not the governance account of an active hospital.
        #[codec(index = 11)]
        NotGovernance,
        /// A policy set needs at least one policy.
        #[codec(index = 12)]
        NoPolicies,
        /// A policy's name is blank, not UTF-8, or has a control character.
        #[codec(index = 13)]
        InvalidName,
        /// A policy binds no role.
        #[codec(index = 14)]
        NoRoles,
        /// An operation policy allows no action, or a relationship policy recognises no kind.
        #[codec(index = 15)]
        NoConclusion,
        /// A policy would have expired already.
        #[codec(index = 16)]
        PolicyExpired,
        /// A condition could never hold: its moment has passed.
        #[codec(index = 17)]
        ConditionNeverHolds,
        /// The hospital's policies do not let the signer relate this patient to professionals, nor
        /// unrelate them; for a referral, they do not let the signer refer the patient.
        #[codec(index = 18)]
        NotAllowedToRelate,
        /// A referral is for a time. Say when it ends.
        #[codec(index = 19)]
        ReferralNeedsExpiry,
        /// A policy names a hospital that was never admitted, as a place or as an issuer of credentials.
        #[codec(index = 20)]
        UnknownHospital,
        /// The policies name more than `MAX_NAMED_HOSPITALS` hospitals together.
        #[codec(index = 21)]
        TooManyHospitals,
        /// A policy's summary is blank, not UTF-8, or has a control character.
        #[codec(index = 22)]
        InvalidSummary,
        /// Two policies of the set have one name.
        #[codec(index = 23)]
        DuplicateName,
        /// A list in a policy has an entry twice, or a policy has a kind of condition twice.
        #[codec(index = 24)]
        Repeated,
        /// A condition's list is empty, so that it could never hold.
        #[codec(index = 25)]
        EmptyCondition,
        /// A relationship policy has a condition that tests more than registrations and time.
        #[codec(index = 26)]
        NotInRelationships,
        /// A policy requires that the requester is the patient, but does not bind patients.
        #[codec(index = 27)]
        PatientNotBound,
        /// A policy requires that the requester is the patient and related to the patient.
        #[codec(index = 28)]
        RelatedToThemselves,
        /// A policy is about relationships, but binds neither doctors nor nurses.
        #[codec(index = 29)]
        NeverRelated,
        /// A policy requires a relationship of a kind that the set does not recognise for those whom it binds.
        #[codec(index = 30)]
        NeverRecognised,
        /// A policy requires that the patient signs what is submitted, but also allows another action.
        #[codec(index = 31)]
        NotSubmitted,
        /// A policy requires shared sections, but allows an action that touches no section.
        #[codec(index = 32)]
        NoSection,
        /// A policy restricts the purpose of reading, but does not allow to read.
        #[codec(index = 33)]
        NothingRead,
        /// A policy allows reading in emergencies, for purposes without emergency.
        #[codec(index = 34)]
        NotEmergency,
        /// A policy allows an action whose purpose is always treatment, for purposes without treatment.
        #[codec(index = 35)]
        NotTreatment,
        /// A condition lasts at least as long as its policy, so that it has no effect.
        #[codec(index = 36)]
        NoEarlierEnd,
        /// The policies require more than `MAX_NAMED_CREDENTIALS` credentials together, each an attribute with an
        /// issuer.
        #[codec(index = 37)]
        TooManyCredentials,
        /// A required credential names no hospital that may confirm it.
        #[codec(index = 38)]
        NoIssuer,
        /// A required credential names a hospital twice.
        #[codec(index = 39)]
        RepeatedIssuer,
        /// A required credential must be confirmed by no hospital, or by more hospitals than it names.
        #[codec(index = 40)]
        ImpossibleNumber,
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
        /// Begins a relationship between a patient and a health professional at a hospital, until
        /// `expires` (ms) or until it is ended.
        ///
        /// Signed by that hospital's agent, by the patient, or by a user whom the hospital's policies
        /// allow to relate, or to refer if it is a referral. The patient must be registered there.
        /// So must the professional be, unless it is a referral: that is how a professional from
        /// elsewhere is let in, and why it needs an expiry.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::relate())]
        pub fn relate(
            origin: OriginFor<T>,
            patient: UserId,
            professional: UserId,
            hospital: HospitalId,
            kind: RelationshipKind,
            expires: Option<Moment>,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let now = T::Time::now();
            Self::ensure_may_relate(&who, patient, hospital, kind, now)?;
            Self::ensure_relatable(patient, professional, hospital, kind, now)?;
            let needs_expiry = kind == RelationshipKind::Referral;
            ensure!(!needs_expiry || expires.is_some(), Error::<T>::ReferralNeedsExpiry);
            ensure!(expires.is_none_or(|expires| now < expires), Error::<T>::ExpiryPassed);

            let begun = Relationship { kind, hospital, since: now, expires, closed: None };
            Self::begin((patient, professional, hospital), begun)?;
            Self::deposit_event(Event::Related { patient, professional, hospital, kind, expires });
            Ok(())
        }

        /// Ends a relationship now. It stays readable.
        ///
        /// Signed by whoever may begin one like it, or by the professional.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::unrelate())]
        pub fn unrelate(
            origin: OriginFor<T>,
            patient: UserId,
            professional: UserId,
            hospital: HospitalId,
            kind: RelationshipKind,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let now = T::Time::now();
            if T::Users::by_account(&who) != Some(professional) {
                Self::ensure_may_relate(&who, patient, hospital, kind, now)?;
            }

            Relationships::<T>::try_mutate((patient, professional, hospital), |relationships| {
                let relationship = relationships
                    .iter_mut()
                    .find(|known| holds(known, kind, now))
                    .ok_or(Error::<T>::NotRelated)?;
                relationship.closed = Some(now);
                Ok::<_, Error<T>>(())
            })?;
            Self::deposit_event(Event::Unrelated { patient, professional, hospital, kind });
            Ok(())
        }

        /// Replaces the policies of the signer's hospital from now on. Earlier versions stay
        /// readable and go on deciding about the moments at which they were in force.
        ///
        /// Signed by the governance account of an active or leaving hospital.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::set_policies(policies.len() as u32))]
        pub fn set_policies(origin: OriginFor<T>, policies: Policies) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let hospital =
                T::Hospitals::serving_by_governance(&who).ok_or(Error::<T>::NotGovernance)?;
            let since = T::Time::now();
            flaws::check(&policies, since).map_err(Error::<T>::from)?;
            let mut named = flaws::named_hospitals(&policies);
            named.extend(flaws::named_issuers(&policies));
            let known = named.into_iter().all(T::Hospitals::exists);
            ensure!(known, Error::<T>::UnknownHospital);

            let version = LatestVersion::<T>::get(hospital)
                .checked_add(1)
                .ok_or(ArithmeticError::Overflow)?;
            PolicySets::<T>::insert(hospital, version, PolicySet { since, policies });
            LatestVersion::<T>::insert(hospital, version);
            Self::deposit_event(Event::PoliciesSet { hospital, version });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        fn ensure_may_relate(
            who: &AccountId,
            patient: UserId,
            hospital: HospitalId,
            kind: RelationshipKind,
            now: Moment,
        ) -> DispatchResult {
            if T::Hospitals::serving_by_agent(who) == Some(hospital) {
                return Ok(());
            }
            let user = T::Users::by_account(who).ok_or(Error::<T>::NeitherAgentNorPatient)?;
            if user == patient {
                return Ok(());
            }
            let request = AccessRequest {
                requester: user,
                action: match kind {
                    RelationshipKind::Referral => Action::Refer,
                    _ => Action::Relate,
                },
                patient,
                hospital,
                class: SectionClass::Private,
                purpose: Purpose::Treatment,
                cosigned: false,
            };
            ensure!(Self::answer(&request, now).is_allowed(), Error::<T>::NotAllowedToRelate);
            Ok(())
        }

        /// Stores a relationship that begins now, and archives the previous one of its kind.
        fn begin(parties: Parties, begun: Relationship) -> DispatchResult {
            let mut newest = Relationships::<T>::get(parties).into_inner();
            let previous = newest.iter().position(|known| known.kind == begun.kind);
            if let Some(ended) = previous.map(|position| newest.remove(position)) {
                ensure!(!ended.in_force(begun.since), Error::<T>::AlreadyRelated);
                Self::archive(parties, ended)?;
            }
            newest.push(begun);
            // One of each kind: not more than the bound.
            Relationships::<T>::insert(parties, RelationshipsOf::truncate_from(newest));
            Ok(())
        }

        fn ensure_relatable(
            patient: UserId,
            professional: UserId,
            hospital: HospitalId,
            kind: RelationshipKind,
            now: Moment,
        ) -> DispatchResult {
            let role = T::Users::role(patient).ok_or(Error::<T>::UnknownPatient)?;
            ensure!(role == Role::Patient, Error::<T>::NotPatient);
            ensure!(T::Users::registered(hospital, patient, now), Error::<T>::PatientNotRegistered);
            let role = T::Users::role(professional).ok_or(Error::<T>::UnknownProfessional)?;
            ensure!(is_professional(role), Error::<T>::NotProfessional);
            ensure!(
                kind == RelationshipKind::Referral
                    || T::Users::registered(hospital, professional, now),
                Error::<T>::ProfessionalNotRegistered
            );
            Ok(())
        }
    }

    impl<T> From<flaws::Flawed> for Error<T> {
        fn from(flawed: flaws::Flawed) -> Self {
            use epione_policies::conditions::Obstacle;
            use flaws::{Flaw, Part};

            let part = flawed.location.map(|location| location.part);
            match flawed.flaw {
                Flaw::NoPolicies => Self::NoPolicies,
                Flaw::TooManyHospitals => Self::TooManyHospitals,
                Flaw::TooManyCredentials => Self::TooManyCredentials,
                Flaw::NoIssuer => Self::NoIssuer,
                Flaw::RepeatedIssuer => Self::RepeatedIssuer,
                Flaw::ImpossibleNumber => Self::ImpossibleNumber,
                Flaw::NotUtf8 | Flaw::BlankText | Flaw::ControlCharacter => match part {
                    Some(Part::Summary) => Self::InvalidSummary,
                    _ => Self::InvalidName,
                },
                Flaw::DuplicateName(_) => Self::DuplicateName,
                Flaw::EmptyList => match part {
                    Some(Part::Roles) => Self::NoRoles,
                    Some(Part::Conclusion) => Self::NoConclusion,
                    _ => Self::EmptyCondition,
                },
                Flaw::Repeated | Flaw::RepeatedCondition => Self::Repeated,
                Flaw::Passed => match part {
                    Some(Part::Expiry) => Self::PolicyExpired,
                    _ => Self::ConditionNeverHolds,
                },
                Flaw::NoEarlierEnd => Self::NoEarlierEnd,
                Flaw::NotInRelationships => Self::NotInRelationships,
                Flaw::PatientNotBound => Self::PatientNotBound,
                Flaw::RelatedToThemselves => Self::RelatedToThemselves,
                Flaw::NeverRelated => Self::NeverRelated,
                Flaw::NeverRecognised(_) => Self::NeverRecognised,
                Flaw::NothingRead => Self::NothingRead,
                Flaw::NeverForAction(_, Obstacle::NotSubmitted) => Self::NotSubmitted,
                Flaw::NeverForAction(_, Obstacle::NoSection) => Self::NoSection,
                Flaw::NeverForAction(_, Obstacle::NotEmergency) => Self::NotEmergency,
                Flaw::NeverForAction(_, Obstacle::NotTreatment) => Self::NotTreatment,
            }
        }
    }
}

/// Whether this is a relationship of that kind, in force at a moment.
fn holds(known: &Relationship, kind: RelationshipKind, at: Moment) -> bool {
    known.kind == kind && known.in_force(at)
}
