//! Measures every call at its largest: each record is in another one of the largest lite blocks, all hospitals are
//! active, the requester is registered at as many as possible, a representative answers for the patient, and the lists
//! of pending queries are full.

use alloc::{vec, vec::Vec};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, QueryId, UserId,
    access::Purpose,
    limits::{
        MAX_HOSPITALS, MAX_QUERIED_RECORDS, MAX_QUERY_BLOCKS, MAX_REGISTRATIONS_IN_FORCE,
        MAX_SEALED_TERMS_BYTES,
    },
    ports::{Hospitals as _, Mandates as _, Records as _, Users as _},
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
const REPRESENTATIVE: UserId = UserId([3; 32]);
const NOW: BlockNumber = 10;
/// The ids of other pending queries of the requester, and of others to the patient.
const OF_REQUESTER: u32 = 1_000;
const OF_PATIENT: u32 = 2_000;

struct World {
    hospital: HospitalId,
    agent: AccountId,
    representative: AccountId,
    requester: AccountId,
}

/// Admits as many hospitals as possible. Returns them with their agents: those that an earlier run of the same test
/// admitted, too.
fn hospitals<T: Config>() -> Vec<(HospitalId, AccountId)> {
    let admitted = |number| {
        let agent: AccountId = account("agent", number, 0);
        let hospital = T::Hospitals::active_by_agent(&agent).or_else(|| {
            let has_room = T::Hospitals::active().len() < MAX_HOSPITALS as usize;
            has_room.then(|| T::Hospitals::set_up(account("governance", number, 0), agent.clone()))
        });
        Some((hospital?, agent))
    };
    (0..MAX_HOSPITALS).filter_map(admitted).collect()
}

/// Registers a patient at the last hospital, and a requester at as many as possible, the last of which is that one.
fn set_up<T: Config>() -> Result<World, BenchmarkError> {
    frame_system::Pallet::<T>::set_block_number(NOW.into());
    let mut hospitals = hospitals::<T>();
    let Some((hospital, agent)) = hospitals.pop() else {
        return Err(BenchmarkError::Stop("the chain already has the maximum number of hospitals"));
    };
    let (representative, requester): (AccountId, AccountId) =
        (account("representative", 0, 0), account("requester", 0, 0));
    T::Users::set_up(hospital, PATIENT, Role::Patient, account("patient", 0, 0));
    T::Users::set_up(hospital, REPRESENTATIVE, Role::Patient, representative.clone());
    T::Mandates::set_up(PATIENT, REPRESENTATIVE, hospital);
    let others = MAX_REGISTRATIONS_IN_FORCE as usize - 1;
    let others = hospitals.into_iter().take(others).map(|(other, _)| other);
    for registered in others.chain([hospital]) {
        T::Users::set_up(registered, REQUESTER, Role::Researcher, requester.clone());
    }
    Ok(World { hospital, agent, representative, requester })
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

/// A full list of pending queries of other requesters and hospitals, the last of which have expired.
fn full<Bound: Get<u32>>(first: u32) -> BoundedVec<Pending, Bound> {
    let places = Bound::get();
    let pending = |place: u32| Pending {
        query: QueryId(first + place),
        expires: if place + MAX_REMOVALS as u32 >= places { 0 } else { BlockNumber::MAX },
        requester: UserId([100 + place as u8; 32]),
        hospital: HospitalId(1_000 + place as u16),
    };
    BoundedVec::truncate_from((0..places).map(pending).collect())
}

/// Fills both lists. In each, as many queries have expired as one call removes. Returns the number of queries.
fn fill<T: Config>() -> usize {
    PendingOfRequester::<T>::mutate(REQUESTER, |list| *list = full(OF_REQUESTER));
    PendingOfPatient::<T>::mutate(PATIENT, |list| *list = full(OF_PATIENT));
    let of_requester = PendingOfRequester::<T>::get(REQUESTER);
    let of_patient = PendingOfPatient::<T>::get(PATIENT);
    for pending in of_requester.iter().chain(of_patient.iter()) {
        Terms::<T>::insert(pending.query, terms());
    }
    of_requester.len() + of_patient.len()
}

/// The patient's sealing key, to which terms are sealed.
fn patient_key<T: Config>() -> Hash {
    T::Users::sealing_key(PATIENT).unwrap_or_default()
}

/// Asks for the maximum number of records, and fills the lists of pending queries.
fn asked<T: Config>(world: &World) -> Result<(QueryId, QueriedRecords), BenchmarkError> {
    let records = records::<T>(world.hospital, MAX_QUERIED_RECORDS);
    let query = QueryId(QueryCount::<T>::get());
    let origin = RawOrigin::Signed(world.requester.clone()).into();
    Pallet::<T>::ask(
        origin,
        world.hospital,
        PATIENT,
        patient_key::<T>(),
        records.clone(),
        Purpose::Research,
        NOW + MAX_QUERY_BLOCKS,
        terms(),
    )?;
    fill::<T>();
    let own = Pending {
        query,
        expires: BlockNumber::MAX,
        requester: REQUESTER,
        hospital: world.hospital,
    };
    PendingOfRequester::<T>::mutate(REQUESTER, |list| list[0] = own);
    PendingOfPatient::<T>::mutate(PATIENT, |list| list[0] = own);
    Ok((query, records))
}

/// What the patient considers: the query, and the requester's current keys.
fn considered<T: Config>(id: QueryId) -> Hash {
    let keys = (T::Users::account(REQUESTER), T::Users::sealing_key(REQUESTER));
    let (Some(query), (Some(audience), Some(sealing_key))) = (Queries::<T>::get(id), keys) else {
        return Hash::zero();
    };
    query.considered(id, &audience, sealing_key)
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
    fn ask(r: Linear<1, MAX_QUERIED_RECORDS>) -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let records = records::<T>(world.hospital, r);
        let before = Terms::<T>::iter_keys().count();
        let listed = fill::<T>();
        let id = QueryId(QueryCount::<T>::get());
        let (key, expires) = (patient_key::<T>(), NOW + MAX_QUERY_BLOCKS);
        let (caller, hospital) = (RawOrigin::Signed(world.requester), world.hospital);

        #[extrinsic_call]
        _(caller, hospital, PATIENT, key, records, Purpose::Research, expires, terms());

        assert!(Queries::<T>::contains_key(id));
        let after = before + listed - 2 * MAX_REMOVALS + 1;
        assert_eq!(Terms::<T>::iter_keys().count(), after);
        Ok(())
    }

    #[benchmark]
    fn accept() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let (id, records) = asked::<T>(&world)?;
        let (considered, until) = (considered::<T>(id), T::Time::now() + 1);
        let caller = RawOrigin::Signed(world.representative);

        #[extrinsic_call]
        _(caller, id, considered, records, Hash::repeat_byte(3), until, world.hospital);

        assert!(Queries::<T>::get(id).is_some_and(|query| query.acceptance().is_some()));
        assert!(is_delisted::<T>(id));
        Ok(())
    }

    #[benchmark]
    fn refuse() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let (id, _) = asked::<T>(&world)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.representative), id);

        assert!(is_delisted::<T>(id));
        Ok(())
    }

    /// The requester withdraws the query. To withdraw an acceptance, a representative changes no lists.
    #[benchmark]
    fn withdraw() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let (id, _) = asked::<T>(&world)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.requester), id);

        assert!(is_delisted::<T>(id));
        Ok(())
    }

    #[benchmark]
    fn transfer() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let (id, records) = asked::<T>(&world)?;
        let (considered, until) = (considered::<T>(id), T::Time::now() + 1);
        let by = RawOrigin::Signed(world.representative.clone()).into();
        let grant = Hash::repeat_byte(3);
        Pallet::<T>::accept(by, id, considered, records, grant, until, world.hospital)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.agent), id);

        assert!(Transfers::<T>::contains_key(id));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
