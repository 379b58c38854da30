//! Measures every call at its largest: all hospitals are active, and the patients of a claim are registered at as many
//! as possible.

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, Hash, HospitalId, UserId,
    custody::{ClaimId, ClaimedPatients, Kept},
    limits::{MAX_CLAIMED_PATIENTS, MAX_HOSPITALS, MAX_REGISTRATIONS_IN_FORCE},
    opening::WRAP_BYTES,
    ports::{ConsortiumKey as _, Hospitals as _, Mandates as _, Users as _},
    profile::Role,
};
use epione_threshold::{MixingSecret, Share, Wrap};
use frame_benchmarking::{account, v2::*};
use frame_support::BoundedVec;
use frame_system::RawOrigin;

use crate::{Appointments, Call, ClaimCount, Claims, Config, Delay, HandedOutBy, KeptKeys, Pallet};

struct World {
    departing: HospitalId,
    /// The agent of the hospital that will be removed.
    agent: AccountId,
    custodian: HospitalId,
    custodian_agent: AccountId,
    /// Some of the other active hospitals.
    others: Vec<HospitalId>,
}

fn patient(number: u32) -> UserId {
    let mut id = [1; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    UserId(id)
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

fn set_up<T: Config>() -> Result<World, BenchmarkError> {
    let missing = BenchmarkError::Stop("the chain already has the maximum number of hospitals");
    let mut hospitals = hospitals::<T>();
    let ((departing, agent), (custodian, custodian_agent)) =
        hospitals.pop().zip(hospitals.pop()).ok_or(missing)?;
    let most = MAX_REGISTRATIONS_IN_FORCE as usize - 2;
    let others = hospitals.into_iter().take(most).map(|(other, _)| other).collect();
    Ok(World { departing, agent, custodian, custodian_agent, others })
}

/// Registers a patient who entrusts the key, at as many hospitals as possible.
fn entrusting<T: Config>(world: &World, number: u32) -> UserId {
    let (user, account) = (patient(number), account::<AccountId>("patient", number, 0));
    let places = world.others.iter().copied().chain([world.departing, world.custodian]);
    for place in places {
        T::Users::set_up(place, user, Role::Patient, account.clone());
    }
    T::Mandates::set_up(user, patient(u32::MAX), world.departing);
    user
}

/// The departing hospital is removed, and the custodian may claim the keys of so many patients.
fn depart<T: Config>(world: &World, count: u32) -> Result<ClaimedPatients, BenchmarkError> {
    T::ConsortiumKey::set_up(world.custodian);
    let (key, epoch) =
        T::ConsortiumKey::current().ok_or(BenchmarkError::Stop("the epoch did not begin"))?;
    let block = Pallet::<T>::block();
    let kept = Kept { profile: Hash::zero(), key, epoch, wrap: [1; WRAP_BYTES], block };
    let patients: Vec<_> = (0..count)
        .map(|number| {
            let patient = entrusting::<T>(world, number);
            KeptKeys::<T>::insert(world.departing, patient, kept);
            patient
        })
        .collect();
    T::Hospitals::remove(world.departing);
    Delay::<T>::put(0);
    Pallet::<T>::appoint(RawOrigin::Root.into(), world.departing, world.custodian)?;
    Ok(BoundedVec::truncate_from(patients))
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn keep() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let (hospital, patient) = (world.departing, entrusting::<T>(&world, 0));
        T::ConsortiumKey::set_up(hospital);
        let (key, epoch) =
            T::ConsortiumKey::current().ok_or(BenchmarkError::Stop("the epoch did not begin"))?;
        let profile = T::Users::profile_body(hospital, patient)
            .ok_or(BenchmarkError::Stop("the patient is not registered"))?;
        let kept = Kept { profile, key, epoch, wrap: [0; WRAP_BYTES], block: 0 };
        let label = kept.label(Pallet::<T>::genesis(), hospital, patient);
        let mut one = [0; 32];
        one[0] = 1;
        let public = Share::decode(&one)
            .and_then(|share| share.public())
            .ok_or(BenchmarkError::Stop("1 is no secret key"))?;
        let mixing = MixingSecret::from_bytes([2; 32]);
        let wrap = Wrap::make(&public, &mixing, &label.bytes(), &[3; 32]).encode();

        #[extrinsic_call]
        _(RawOrigin::Signed(world.agent), patient, profile, wrap);

        assert!(KeptKeys::<T>::contains_key(hospital, patient));
        Ok(())
    }

    #[benchmark]
    fn appoint() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        T::Hospitals::remove(world.departing);

        #[extrinsic_call]
        _(RawOrigin::Root, world.departing, world.custodian);

        assert!(Appointments::<T>::contains_key(world.departing));
        Ok(())
    }

    #[benchmark]
    fn dismiss() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        T::Hospitals::remove(world.departing);
        Pallet::<T>::appoint(RawOrigin::Root.into(), world.departing, world.custodian)?;

        #[extrinsic_call]
        _(RawOrigin::Root, world.departing);

        assert!(!Appointments::<T>::contains_key(world.departing));
        Ok(())
    }

    #[benchmark]
    fn claim(p: Linear<1, MAX_CLAIMED_PATIENTS>) -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let patients = depart::<T>(&world, p)?;
        let id = ClaimId(ClaimCount::<T>::get());

        #[extrinsic_call]
        _(RawOrigin::Signed(world.custodian_agent), world.departing, patients);

        assert!(Claims::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn hand_out(p: Linear<1, MAX_CLAIMED_PATIENTS>) -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let patients = depart::<T>(&world, p)?;
        let id = ClaimId(ClaimCount::<T>::get());
        let origin = RawOrigin::Signed(world.custodian_agent.clone()).into();
        Pallet::<T>::claim(origin, world.departing, patients)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.custodian_agent), id);

        assert!(HandedOutBy::<T>::contains_key(id, world.custodian));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
