//! Measures every call at its largest: each record is in another one of the largest lite blocks, and the lists of
//! pending queries are full.

use alloc::vec;
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, QueryId, UserId,
    access::Purpose,
    limits::{MAX_QUERIED_RECORDS, MAX_QUERY_BLOCKS, MAX_SEALED_TERMS_BYTES},
    ports::{Hospitals as _, Records as _, Users as _},
    profile::Role,
    query::{QueriedRecords, SealedTermsBytes},
    release::{ReleasedRecord, SectionSet},
};
use frame_benchmarking::{account, v2::*};
use frame_support::{
    BoundedVec,
    traits::{Get, Time as _},
};
use frame_system::RawOrigin;

use crate::{
    Call, Config, Pallet, PendingOfPatient, PendingOfRequester, Queries, QueryCount, Terms,
    Transfers,
    pending::{MAX_REMOVALS, Pending},
};

const PATIENT: UserId = UserId([1; 32]);
const REQUESTER: UserId = UserId([2; 32]);
const NOW: BlockNumber = 10;
/// The ids of other pending queries of the requester, and of others to the patient.
const OF_REQUESTER: u32 = 1_000;
const OF_PATIENT: u32 = 2_000;

struct World {
    hospital: HospitalId,
    agent: AccountId,
    patient: AccountId,
    requester: AccountId,
}

/// Admits a hospital, and registers a patient and a requester there.
fn set_up<T: Config>() -> World {
    frame_system::Pallet::<T>::set_block_number(NOW.into());
    let agent: AccountId = account("agent", 0, 0);
    let hospital = T::Hospitals::set_up(account("governance", 0, 0), agent.clone());
    let (patient, requester): (AccountId, AccountId) =
        (account("patient", 0, 0), account("requester", 0, 0));
    T::Users::set_up(hospital, PATIENT, Role::Patient, patient.clone());
    T::Users::set_up(hospital, REQUESTER, Role::Researcher, requester.clone());
    World { hospital, agent, patient, requester }
}

/// Commits records of the patient, each in another lite block.
fn records<T: Config>(hospital: HospitalId, count: u32) -> QueriedRecords {
    let record = |height| {
        let pointer = T::Records::set_up(hospital, PATIENT, height);
        ReleasedRecord { pointer, sections: SectionSet::ALL }
    };
    QueriedRecords::truncate_from((1..=count).map(record).collect())
}

fn terms() -> SealedTermsBytes {
    SealedTermsBytes::truncate_from(vec![7; MAX_SEALED_TERMS_BYTES as usize])
}

/// A full list of pending queries, the last of which have expired.
fn full<Bound: Get<u32>>(first: u32, expired: u32) -> BoundedVec<Pending, Bound> {
    let places = Bound::get();
    let pending = |place: u32| {
        let has_expired = place + expired >= places;
        let expires = if has_expired { 0 } else { BlockNumber::MAX };
        Pending { query: QueryId(first + place), expires }
    };
    BoundedVec::truncate_from((0..places).map(pending).collect())
}

/// Fills both lists, except the last place of each, which is the query's.
fn fill<T: Config>(query: QueryId) {
    let own = Pending { query, expires: BlockNumber::MAX };
    PendingOfRequester::<T>::mutate(REQUESTER, |list| {
        *list = full(OF_REQUESTER, 0);
        list.pop();
        list.force_push(own);
    });
    PendingOfPatient::<T>::mutate(PATIENT, |list| {
        *list = full(OF_PATIENT, 0);
        list.pop();
        list.force_push(own);
    });
}

/// Asks for the maximum number of records, and fills the lists of pending queries.
fn asked<T: Config>(world: &World) -> Result<(QueryId, QueriedRecords), BenchmarkError> {
    let records = records::<T>(world.hospital, MAX_QUERIED_RECORDS);
    let id = QueryId(QueryCount::<T>::get());
    let origin = RawOrigin::Signed(world.requester.clone()).into();
    let expires = NOW + MAX_QUERY_BLOCKS;
    Pallet::<T>::ask(origin, PATIENT, records.clone(), Purpose::Research, expires, terms())?;
    fill::<T>(id);
    Ok((id, records))
}

fn is_delisted<T: Config>(query: QueryId) -> bool {
    let is = |pending: &Pending| pending.query == query;
    !PendingOfRequester::<T>::get(REQUESTER).iter().any(is)
        && !PendingOfPatient::<T>::get(PATIENT).iter().any(is)
        && !Terms::<T>::contains_key(query)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    /// As many queries as one call removes have expired in each of the two full lists.
    #[benchmark]
    fn ask(r: Linear<1, MAX_QUERIED_RECORDS>) {
        let world = set_up::<T>();
        let records = records::<T>(world.hospital, r);
        let (expired, before) = (MAX_REMOVALS as u32, Terms::<T>::iter_keys().count());
        PendingOfRequester::<T>::mutate(REQUESTER, |list| *list = full(OF_REQUESTER, expired));
        PendingOfPatient::<T>::mutate(PATIENT, |list| *list = full(OF_PATIENT, expired));
        let of_requester = PendingOfRequester::<T>::get(REQUESTER);
        let of_patient = PendingOfPatient::<T>::get(PATIENT);
        for pending in of_requester.iter().chain(&of_patient) {
            Terms::<T>::insert(pending.query, terms());
        }
        let expires = NOW + MAX_QUERY_BLOCKS;
        let id = QueryId(QueryCount::<T>::get());
        let caller = RawOrigin::Signed(world.requester);

        #[extrinsic_call]
        _(caller, PATIENT, records, Purpose::Research, expires, terms());

        assert!(Queries::<T>::contains_key(id));
        let listed = of_requester.len() + of_patient.len();
        let after = before + listed - 2 * MAX_REMOVALS + 1;
        assert_eq!(Terms::<T>::iter_keys().count(), after);
    }

    #[benchmark]
    fn accept() -> Result<(), BenchmarkError> {
        let world = set_up::<T>();
        let (id, records) = asked::<T>(&world)?;
        let until = T::Time::now() + 1;
        let caller = RawOrigin::Signed(world.patient);

        #[extrinsic_call]
        _(caller, id, records, Hash::repeat_byte(3), until, world.hospital);

        assert!(Queries::<T>::get(id).is_some_and(|query| query.acceptance().is_some()));
        assert!(is_delisted::<T>(id));
        Ok(())
    }

    #[benchmark]
    fn refuse() -> Result<(), BenchmarkError> {
        let world = set_up::<T>();
        let (id, _) = asked::<T>(&world)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.patient), id);

        assert!(is_delisted::<T>(id));
        Ok(())
    }

    /// The requester withdraws the query. To withdraw an acceptance, a patient changes no lists.
    #[benchmark]
    fn withdraw() -> Result<(), BenchmarkError> {
        let world = set_up::<T>();
        let (id, _) = asked::<T>(&world)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.requester), id);

        assert!(is_delisted::<T>(id));
        Ok(())
    }

    #[benchmark]
    fn transfer() -> Result<(), BenchmarkError> {
        let world = set_up::<T>();
        let (id, records) = asked::<T>(&world)?;
        let until = T::Time::now() + 1;
        let patient = RawOrigin::Signed(world.patient.clone()).into();
        let grant = Hash::repeat_byte(3);
        Pallet::<T>::accept(patient, id, records, grant, until, world.hospital)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.agent), id);

        assert!(Transfers::<T>::contains_key(id));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
