//! Queries: a requester asks a patient for sections of records, and the patient answers by an own signature.
//!
//! A query names the hospital for which the requester asks, records, sections, a purpose, an end and the hash of its
//! terms. The terms are sealed to the patient, and stay on the chain while the query waits for an answer.
//!
//! A patient who accepts names the sections, which may be fewer, the hash of the sealed grant, until when the grant may
//! be handed out, and the hospital whose worker keeps it. The grant is sealed to the account and the sealing key that
//! the requester has at that moment; the acceptance fails if they are not the ones that the patient considered. The
//! worker cannot open the grant. Before the worker hands out the grant, it records a transfer here. This fails after
//! the patient withdrew the acceptance, after its end, after the requester's keys changed, and while the requester's
//! registration at the query's hospital is not in force.
//!
//! A representative in force answers for the patient, and every answer names who gave it. An acceptance of a
//! representative ends at the latest with the mandate by which it was given, and a dismissal ends what was not handed
//! out yet: the transfer fails unless this mandate is still in force. To appoint the same representative again revives
//! nothing. A requester who represents the patient does not answer their own query.
//!
//! No policy and no class of sections is involved: the patient alone decides. What a requester already opened stays
//! open to the requester.
//!
//! The chain does not know how many sections a record has. A section that the record does not have opens nothing.
//!
//! [`pending`] bounds the queries that wait for an answer. [`reading`] implements the runtime API.
//!
//! Invariants, which `try_state` checks:
//! 1. queries are numbered without gaps, and each names ordered records, another user than the patient, no emergency,
//!    and an end within the longest time; none was asked in the future;
//! 2. an acceptance names ordered records with sections only for which the requester asked, and an end within the
//!    longest time; it was given after the question and before the query expired, not by the requester, and withdrawn
//!    later; the requester refuses nothing, withdraws no acceptance, and nobody else withdraws a query before it
//!    expired;
//! 3. a patient's queries and a requester's queries are numbered without gaps, ascend, belong to that user, and are
//!    together all queries;
//! 4. a list of pending queries contains queries without an answer of that user, ascending, with their requesters and
//!    hospitals; every query that can still be answered is in the lists of its requester and its patient; of those in a
//!    patient's list, one requester and one hospital have at most their number of places;
//! 5. the terms of a query are stored if and only if both lists contain the query, and have the query's hash;
//! 6. a transfer belongs to an accepted query, after the acceptance and before its end, and names its mailbox and its
//!    grant.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod invariants;
#[cfg(test)]
mod mock;
pub mod pending;
pub mod reading;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use epione_primitives::{
        AccountId, BlockNumber, Hash, HospitalId, Moment, QueryId, UserId,
        access::Purpose,
        limits::{
            MAX_PENDING_QUERIES_OF_PATIENT, MAX_PENDING_QUERIES_OF_REQUESTER,
            MAX_QUERY_ACCESS_MILLIS, MAX_QUERY_BLOCKS,
        },
        ports::{Hospitals, Mandates, Records, Users},
        profile::Role,
        query::{
            Acceptance, Answer, QueriedRecords, Query, SealedTermsBytes, Transfer, are_ordered,
            is_part_of, terms_hash,
        },
        release::ReleasedRecord,
    };
    use frame_support::{pallet_prelude::*, traits::Time};
    use frame_system::pallet_prelude::*;
    use sp_runtime::{ArithmeticError, SaturatedConversion};

    use crate::{WeightInfo, pending::Pending};

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        type WeightInfo: WeightInfo;
        /// Finds the hospital of an agent, and the hospitals that can be a mailbox.
        type Hospitals: Hospitals;
        /// Finds the user of an account, and the account and the sealing key of a user.
        type Users: Users;
        /// Finds the patient of a record.
        type Records: Records;
        /// Who answers for a patient.
        type Mandates: Mandates;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
    }

    /// Every query, whatever its answer.
    #[pallet::storage]
    pub type Queries<T: Config> = StorageMap<_, Twox64Concat, QueryId, Query>;

    /// The number of all queries, and so the id of the next one.
    #[pallet::storage]
    pub type QueryCount<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// The terms of the queries that wait for an answer, sealed to the patient.
    #[pallet::storage]
    pub type Terms<T: Config> = StorageMap<_, Twox64Concat, QueryId, SealedTermsBytes>;

    /// The queries to a patient, by their numbers among the patient's queries.
    #[pallet::storage]
    pub type PatientQueries<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, QueryId>;

    /// The number of queries to a patient.
    #[pallet::storage]
    pub type PatientQueryCount<T: Config> =
        StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// The queries of a requester, by their numbers among the requester's queries.
    #[pallet::storage]
    pub type RequesterQueries<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, QueryId>;

    /// The number of queries of a requester.
    #[pallet::storage]
    pub type RequesterQueryCount<T: Config> =
        StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// The queries to a patient that wait for an answer, and some that expired.
    #[pallet::storage]
    pub type PendingOfPatient<T: Config> = StorageMap<
        _,
        Blake2_128Concat,
        UserId,
        BoundedVec<Pending, ConstU32<MAX_PENDING_QUERIES_OF_PATIENT>>,
        ValueQuery,
    >;

    /// The queries of a requester that wait for an answer, and some that expired.
    #[pallet::storage]
    pub type PendingOfRequester<T: Config> = StorageMap<
        _,
        Blake2_128Concat,
        UserId,
        BoundedVec<Pending, ConstU32<MAX_PENDING_QUERIES_OF_REQUESTER>>,
        ValueQuery,
    >;

    /// What mailboxes handed out.
    #[pallet::storage]
    pub type Transfers<T: Config> = StorageMap<_, Twox64Concat, QueryId, Transfer>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A requester asked a patient.
        #[codec(index = 0)]
        Asked { query: QueryId, requester: UserId, patient: UserId },
        /// The patient or a representative accepted. The worker of the mailbox keeps the sealed grant.
        #[codec(index = 1)]
        Accepted {
            query: QueryId,
            patient: UserId,
            requester: UserId,
            by: UserId,
            mailbox: HospitalId,
        },
        /// The patient or a representative refused.
        #[codec(index = 2)]
        Refused { query: QueryId, patient: UserId, requester: UserId, by: UserId },
        /// The requester withdrew the query, or the patient or a representative the acceptance.
        #[codec(index = 3)]
        Withdrawn { query: QueryId, patient: UserId, requester: UserId, by: UserId },
        /// A mailbox hands out the sealed grant. Its worker may do so after this event is finalized.
        #[codec(index = 4)]
        Transferred { query: QueryId, hospital: HospitalId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the current account of a user.
        #[codec(index = 0)]
        NotUser,
        /// The requester's registration at the query's hospital is not in force, or the hospital does not serve. The
        /// hospital must register or reinstate the requester, or the requester asks for another hospital.
        #[codec(index = 1)]
        NotInForce,
        /// No patient has this id, or the requester asks for own records, which need no query.
        #[codec(index = 2)]
        UnknownPatient,
        /// A pointer does not point to a committed record of the patient.
        #[codec(index = 3)]
        UnknownRecord,
        /// The records are not in order. Name at least one record, each once, ascending by pointer, with at least one
        /// section each.
        #[codec(index = 4)]
        InvalidRecords,
        /// A query cannot have the purpose emergency, because nobody waits for an answer then. Break the glass instead.
        #[codec(index = 5)]
        EmergencyPurpose,
        /// The query's end must be after this block, and at most `MAX_QUERY_BLOCKS` after it.
        #[codec(index = 6)]
        WrongExpiry,
        /// `MAX_PENDING_QUERIES_OF_REQUESTER` queries of the requester wait for an answer. Withdraw one, or ask again
        /// after one was answered or expired.
        #[codec(index = 7)]
        TooManyPending,
        /// `MAX_PENDING_QUERIES_OF_PATIENT` queries wait for an answer of the patient. Ask again later.
        #[codec(index = 8)]
        PatientHasTooManyPending,
        /// There is no query with this id.
        #[codec(index = 9)]
        UnknownQuery,
        /// The signer is the current account neither of the patient whom the query asks nor of a representative whose
        /// mandate is in force.
        #[codec(index = 10)]
        NotPatient,
        /// The signer is the current account neither of the query's requester, nor of its patient, nor of a
        /// representative whose mandate is in force.
        #[codec(index = 11)]
        NotParty,
        /// The query has an answer already.
        #[codec(index = 12)]
        NotPending,
        /// The query expired. The requester can ask again.
        #[codec(index = 13)]
        Expired,
        /// The acceptance names a record or a section for which the requester did not ask.
        #[codec(index = 14)]
        NotAsked,
        /// The acceptance must end after this block's time, and at most `MAX_QUERY_ACCESS_MILLIS` after it.
        #[codec(index = 15)]
        WrongUntil,
        /// The mailbox is neither an active nor a leaving hospital. Choose another one.
        #[codec(index = 16)]
        UnknownHospital,
        /// The patient has not accepted the query, or withdrew the acceptance.
        #[codec(index = 17)]
        NotAccepted,
        /// The acceptance has ended. The requester can ask again.
        #[codec(index = 18)]
        Over,
        /// The requester's account or sealing key is not the one that the patient considered or for which the patient
        /// accepted, or the query is another one. A patient can consider the pending query again; after the acceptance,
        /// the requester can ask again.
        #[codec(index = 19)]
        RequesterChanged,
        /// The signer is not the agent of the hospital that the patient chose as the mailbox, or it does not serve.
        #[codec(index = 20)]
        NotMailbox,
        /// The transfer is recorded already, and the acceptance holds in this block. The worker checks the acceptance
        /// before each handing out, because the patient can withdraw it afterwards.
        #[codec(index = 21)]
        AlreadyTransferred,
        /// The terms are not sealed to the patient's current sealing key. Seal them again.
        #[codec(index = 22)]
        PatientChanged,
        /// The query has no terms. Say what the records are for.
        #[codec(index = 23)]
        EmptyTerms,
        /// `MAX_PENDING_QUERIES_TO_ONE_PATIENT` queries of the requester wait for an answer of this patient. Withdraw
        /// one, or ask again after one was answered or expired.
        #[codec(index = 24)]
        TooManyOfRequester,
        /// `MAX_PENDING_QUERIES_OF_HOSPITAL` queries of the hospital's requesters wait for an answer of this patient.
        /// Ask again after one was answered or expired.
        #[codec(index = 25)]
        TooManyOfHospital,
        /// The mandate by which a representative accepted is over. The requester can ask again.
        #[codec(index = 26)]
        RepresentationOver,
        /// The requester represents the patient, and cannot answer their own query. The patient or another
        /// representative answers it.
        #[codec(index = 27)]
        OwnQuery,
        /// A representative's acceptance must end at the latest with the mandate. Choose an earlier end.
        #[codec(index = 28)]
        BeyondMandate,
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
        /// Asks a patient for sections of records, for the hospital at which the requester is registered. The patient
        /// can answer before the chain block `expires`. The terms are sealed to the patient's sealing key whose hash is
        /// `patient_key`. Signed by the requester's current account.
        ///
        /// Fails with [`NotUser`](Error::NotUser), [`NotInForce`](Error::NotInForce),
        /// [`UnknownPatient`](Error::UnknownPatient), [`PatientChanged`](Error::PatientChanged),
        /// [`EmergencyPurpose`](Error::EmergencyPurpose), [`EmptyTerms`](Error::EmptyTerms),
        /// [`InvalidRecords`](Error::InvalidRecords), [`WrongExpiry`](Error::WrongExpiry),
        /// [`UnknownRecord`](Error::UnknownRecord), [`TooManyOfRequester`](Error::TooManyOfRequester),
        /// [`TooManyOfHospital`](Error::TooManyOfHospital), [`TooManyPending`](Error::TooManyPending) or
        /// [`PatientHasTooManyPending`](Error::PatientHasTooManyPending).
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::ask(records.len().saturated_into()))]
        #[allow(clippy::too_many_arguments)] // All of them are what the patient considers.
        pub fn ask(
            origin: OriginFor<T>,
            hospital: HospitalId,
            patient: UserId,
            patient_key: Hash,
            records: QueriedRecords,
            purpose: Purpose,
            expires: BlockNumber,
            terms: SealedTermsBytes,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let requester = T::Users::by_account(&who).ok_or(Error::<T>::NotUser)?;
            ensure!(Self::is_in_force(requester, hospital), Error::<T>::NotInForce);
            let is_patient = T::Users::role(patient) == Some(Role::Patient);
            ensure!(is_patient && patient != requester, Error::<T>::UnknownPatient);
            let is_current = T::Users::sealing_key(patient) == Some(patient_key);
            ensure!(is_current, Error::<T>::PatientChanged);
            ensure!(purpose != Purpose::Emergency, Error::<T>::EmergencyPurpose);
            ensure!(!terms.is_empty(), Error::<T>::EmptyTerms);
            ensure!(are_ordered(&records), Error::<T>::InvalidRecords);
            let (block, at) = (Self::block(), T::Time::now());
            let latest = block.saturating_add(MAX_QUERY_BLOCKS);
            ensure!(block < expires && expires <= latest, Error::<T>::WrongExpiry);
            ensure!(Self::belong_to(patient, &records), Error::<T>::UnknownRecord);

            let hash = terms_hash(&terms);
            let answer = None;
            let query = Query {
                requester,
                hospital,
                patient,
                patient_key,
                records,
                purpose,
                terms: hash,
                expires,
                block,
                at,
                answer,
            };
            Self::store(query, terms)
        }

        /// Accepts a pending query, for all of its sections or some of them. `considered` is [`Query::considered`] of
        /// the query and of the requester's account and sealing key to which the grant is sealed. `grant` is the hash
        /// of the sealed grant. The worker of the mailbox hands it out before the moment `until`. Signed by the
        /// current account of the patient, or of a representative whose mandate is in force, and ends after `until`.
        ///
        /// Fails with [`UnknownQuery`](Error::UnknownQuery), [`NotPatient`](Error::NotPatient),
        /// [`OwnQuery`](Error::OwnQuery), [`NotPending`](Error::NotPending), [`Expired`](Error::Expired),
        /// [`InvalidRecords`](Error::InvalidRecords), [`NotAsked`](Error::NotAsked),
        /// [`WrongUntil`](Error::WrongUntil), [`BeyondMandate`](Error::BeyondMandate),
        /// [`UnknownHospital`](Error::UnknownHospital), [`RequesterChanged`](Error::RequesterChanged) or
        /// [`NotInForce`](Error::NotInForce).
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::accept())]
        pub fn accept(
            origin: OriginFor<T>,
            query: QueryId,
            considered: Hash,
            records: QueriedRecords,
            grant: Hash,
            until: Moment,
            mailbox: HospitalId,
        ) -> DispatchResult {
            let (asked, by, acts_until) = Self::pending_to_signer(origin, query)?;
            ensure!(are_ordered(&records), Error::<T>::InvalidRecords);
            ensure!(is_part_of(&records, &asked.records), Error::<T>::NotAsked);
            let (block, at) = (Self::block(), T::Time::now());
            let latest = at.saturating_add(MAX_QUERY_ACCESS_MILLIS);
            ensure!(at < until && until <= latest, Error::<T>::WrongUntil);
            ensure!(until <= acts_until, Error::<T>::BeyondMandate);
            ensure!(Self::serves(mailbox), Error::<T>::UnknownHospital);
            let (Some(audience), Some(sealing_key)) =
                (T::Users::account(asked.requester), T::Users::sealing_key(asked.requester))
            else {
                return Err(Error::<T>::RequesterChanged.into());
            };
            let is_meant = asked.considered(query, &audience, sealing_key) == considered;
            ensure!(is_meant, Error::<T>::RequesterChanged);
            ensure!(Self::is_in_force(asked.requester, asked.hospital), Error::<T>::NotInForce);

            let acceptance =
                Acceptance { by, records, grant, until, audience, sealing_key, mailbox, block, at };
            let Query { patient, requester, .. } = asked;
            Self::answer(query, asked, Answer::Accepted(acceptance));
            Self::deposit_event(Event::Accepted { query, patient, requester, by, mailbox });
            Ok(())
        }

        /// Refuses a pending query. Signed by the current account of the patient, or of a representative whose mandate
        /// is in force. The signer needs no registration in force.
        ///
        /// Fails with [`UnknownQuery`](Error::UnknownQuery), [`NotPatient`](Error::NotPatient),
        /// [`OwnQuery`](Error::OwnQuery), [`NotPending`](Error::NotPending) or [`Expired`](Error::Expired).
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::refuse())]
        pub fn refuse(origin: OriginFor<T>, query: QueryId) -> DispatchResult {
            let (asked, by, _) = Self::pending_to_signer(origin, query)?;
            let (block, at) = (Self::block(), T::Time::now());

            let Query { patient, requester, .. } = asked;
            Self::answer(query, asked, Answer::Refused { by, block, at });
            Self::deposit_event(Event::Refused { query, patient, requester, by });
            Ok(())
        }

        /// Withdraws an acceptance, signed by the current account of the patient or of a representative whose mandate
        /// is in force; a pending query, signed by the requester's; or a query that expired without an answer, signed
        /// by one of them. The signer needs no registration in force. No grant is handed out afterwards. What was
        /// already handed out stays with the requester.
        ///
        /// Fails with [`UnknownQuery`](Error::UnknownQuery), [`NotParty`](Error::NotParty),
        /// [`NotPending`](Error::NotPending) or [`NotAccepted`](Error::NotAccepted).
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::withdraw())]
        pub fn withdraw(origin: OriginFor<T>, query: QueryId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let asked = Queries::<T>::get(query).ok_or(Error::<T>::UnknownQuery)?;
            let by = T::Users::by_account(&who).ok_or(Error::<T>::NotParty)?;
            let acceptance = Self::withdrawn_by(by, &asked)?.cloned();
            let (block, at) = (Self::block(), T::Time::now());

            let Query { patient, requester, .. } = asked;
            Self::answer(query, asked, Answer::Withdrawn { by, block, at, acceptance });
            Self::deposit_event(Event::Withdrawn { query, patient, requester, by });
            Ok(())
        }

        /// Records that the mailbox of an accepted query hands out the sealed grant. Signed by the agent of that
        /// hospital. It is recorded once. A worker that hands out the grant again checks the acceptance again.
        ///
        /// Fails with [`UnknownQuery`](Error::UnknownQuery), [`NotAccepted`](Error::NotAccepted),
        /// [`NotMailbox`](Error::NotMailbox), [`Over`](Error::Over), [`RequesterChanged`](Error::RequesterChanged),
        /// [`RepresentationOver`](Error::RepresentationOver) or [`NotInForce`](Error::NotInForce); and with
        /// [`AlreadyTransferred`](Error::AlreadyTransferred) only if none of them applies.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::transfer())]
        pub fn transfer(origin: OriginFor<T>, query: QueryId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let asked = Queries::<T>::get(query).ok_or(Error::<T>::UnknownQuery)?;
            let accepted = asked.acceptance().ok_or(Error::<T>::NotAccepted)?;
            let hospital = accepted.mailbox;
            let is_mailbox = T::Hospitals::serving_by_agent(&who) == Some(hospital);
            ensure!(is_mailbox, Error::<T>::NotMailbox);
            let (block, at) = (Self::block(), T::Time::now());
            ensure!(at < accepted.until, Error::<T>::Over);
            let is_audience = T::Users::account(asked.requester).as_ref()
                == Some(&accepted.audience)
                && T::Users::sealing_key(asked.requester) == Some(accepted.sealing_key);
            ensure!(is_audience, Error::<T>::RequesterChanged);
            let mandate = T::Mandates::representation(accepted.by, asked.patient, at);
            let stands = accepted.stands(asked.patient, mandate);
            ensure!(stands, Error::<T>::RepresentationOver);
            ensure!(Self::is_in_force(asked.requester, asked.hospital), Error::<T>::NotInForce);
            ensure!(!Transfers::<T>::contains_key(query), Error::<T>::AlreadyTransferred);

            let grant = accepted.grant;
            Transfers::<T>::insert(query, Transfer { hospital, grant, block, at });
            Self::deposit_event(Event::Transferred { query, hospital });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        pub(crate) fn block() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        /// What a withdrawal by this user ends now: an acceptance, or a query without an answer if this is None.
        fn withdrawn_by(user: UserId, query: &Query) -> Result<Option<&Acceptance>, Error<T>> {
            let is_open = query.answer.is_none();
            if user == query.requester {
                ensure!(is_open, Error::<T>::NotPending);
                Ok(None)
            } else if !Self::answers_for(user, query.patient) {
                Err(Error::<T>::NotParty)
            } else if is_open && !query.is_pending(Self::block()) {
                Ok(None)
            } else {
                query.acceptance().map(Some).ok_or(Error::<T>::NotAccepted)
            }
        }

        /// Whether a withdrawal of the query by this user succeeds now.
        pub fn can_withdraw(user: UserId, query: &Query) -> bool {
            Self::withdrawn_by(user, query).is_ok()
        }

        /// Whether a refusal of the query by this user succeeds now.
        pub fn can_refuse(user: UserId, query: &Query) -> bool {
            user != query.requester
                && query.is_pending(Self::block())
                && Self::answers_for(user, query.patient)
        }

        /// Until when a user answers queries to a patient: the patient always, a representative in force until the end
        /// of the mandate. None if the user does not answer them.
        fn answers_until(user: UserId, patient: UserId) -> Option<Moment> {
            if user == patient {
                return Some(Moment::MAX);
            }
            T::Mandates::representation(user, patient, T::Time::now()).map(|it| it.until)
        }

        fn answers_for(user: UserId, patient: UserId) -> bool {
            Self::answers_until(user, patient).is_some()
        }

        fn serves(hospital: HospitalId) -> bool {
            T::Hospitals::serving().binary_search(&hospital).is_ok()
        }

        /// Whether the user's registration at the hospital is in force, and the hospital serves.
        fn is_in_force(user: UserId, hospital: HospitalId) -> bool {
            Self::serves(hospital) && T::Users::in_force(user).contains(&hospital)
        }

        /// Whether all of these are committed records of the patient.
        fn belong_to(patient: UserId, records: &[ReleasedRecord]) -> bool {
            records.iter().all(|record| {
                T::Records::owner(record.pointer).is_some_and(|(owner, _)| owner == patient)
            })
        }

        /// The pending query, and the user whose current account signed, the patient or a representative, with until
        /// when they answer.
        fn pending_to_signer(
            origin: OriginFor<T>,
            id: QueryId,
        ) -> Result<(Query, UserId, Moment), DispatchError> {
            let who = ensure_signed(origin)?;
            let query = Queries::<T>::get(id).ok_or(Error::<T>::UnknownQuery)?;
            let signer = T::Users::by_account(&who).ok_or(Error::<T>::NotPatient)?;
            let until = Self::answers_until(signer, query.patient);
            let until = until.ok_or(Error::<T>::NotPatient)?;
            ensure!(signer != query.requester, Error::<T>::OwnQuery);
            ensure!(query.answer.is_none(), Error::<T>::NotPending);
            ensure!(query.is_pending(Self::block()), Error::<T>::Expired);
            Ok((query, signer, until))
        }

        /// Stores a new query under the next id and the next numbers.
        fn store(query: Query, terms: SealedTermsBytes) -> DispatchResult {
            let Query { requester, patient, block, .. } = query;
            let id = QueryId(QueryCount::<T>::get());
            let of_patient = PatientQueryCount::<T>::get(patient);
            let of_requester = RequesterQueryCount::<T>::get(requester);
            Self::enlist(id, &query, block)?;

            QueryCount::<T>::put(after(id.0)?);
            PatientQueryCount::<T>::insert(patient, after(of_patient)?);
            RequesterQueryCount::<T>::insert(requester, after(of_requester)?);
            PatientQueries::<T>::insert(patient, of_patient, id);
            RequesterQueries::<T>::insert(requester, of_requester, id);
            Terms::<T>::insert(id, terms);
            Queries::<T>::insert(id, query);
            Self::deposit_event(Event::Asked { query: id, requester, patient });
            Ok(())
        }

        /// Stores the answer to a query, which waits for an answer no longer.
        fn answer(id: QueryId, mut query: Query, answer: Answer) {
            if query.answer.is_none() {
                Self::delist(id, &query, Self::block());
            }
            query.answer = Some(answer);
            Queries::<T>::insert(id, query);
        }
    }

    /// The number after `number`.
    fn after(number: u32) -> Result<u32, ArithmeticError> {
        number.checked_add(1).ok_or(ArithmeticError::Overflow)
    }
}
