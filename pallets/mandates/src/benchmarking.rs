//! Measures every call at its largest: the signer is registered at as many hospitals as possible, as many
//! representatives as possible are in force, and a mandate that is over becomes an earlier one.

use epione_primitives::{
    AccountId, HospitalId, UserId,
    limits::{MAX_HOSPITALS, MAX_REGISTRATIONS_IN_FORCE, MAX_REPRESENTATIVES},
    mandate::Mandate,
    ports::{Hospitals as _, Users as _},
    profile::Role,
};
use frame_benchmarking::{account, v2::*};
use frame_support::traits::Time as _;
use frame_system::RawOrigin;

use crate::{
    Acting, ActingOf, Authorizations, Call, Config, Custodies, EarlierAuthorizationCount,
    EarlierRepresentationCount, Pallet, Representatives,
};

const PATIENT: UserId = UserId([1; 32]);
const REPRESENTATIVE: UserId = UserId([2; 32]);

struct World {
    hospital: HospitalId,
    patient: AccountId,
}

/// Admits as many hospitals as possible, and registers the patient and the representative at as many as possible.
fn set_up<T: Config>() -> Result<World, BenchmarkError> {
    for number in 0..MAX_HOSPITALS {
        let agent: AccountId = account("agent", number, 0);
        let has_room = T::Hospitals::active().len() < MAX_HOSPITALS as usize;
        if has_room && T::Hospitals::active_by_agent(&agent).is_none() {
            T::Hospitals::set_up(account("governance", number, 0), agent);
        }
    }
    let patient: AccountId = account("patient", 0, 0);
    let places = T::Hospitals::active().into_iter().rev();
    let places = places.take(MAX_REGISTRATIONS_IN_FORCE as usize);
    let mut last = None;
    for hospital in places {
        T::Users::set_up(hospital, PATIENT, Role::Patient, patient.clone());
        let representative = account("representative", 0, 0);
        T::Users::set_up(hospital, REPRESENTATIVE, Role::Patient, representative);
        last = Some(hospital);
    }
    let hospital = last.ok_or(BenchmarkError::Stop("the chain has no hospital"))?;
    Ok(World { hospital, patient })
}

/// A mandate that began at the chain's first moment and was over at once.
fn over() -> Mandate {
    Mandate { since: 0, until: 1, ended: Some(0) }
}

/// A mandate that is in force.
fn in_force<T: Config>() -> Mandate {
    Mandate { since: 0, until: T::Time::now() + 1, ended: None }
}

/// A list of representatives with this many entries in force.
fn acting<T: Config>(count: u32) -> Acting {
    let until = T::Time::now() + 1;
    let other = |number: u32| (UserId([100 + number as u8; 32]), until);
    Acting::truncate_from((0..count).map(other).collect())
}

#[benchmarks]
mod benchmarks {
    use super::*;

    /// An earlier mandate of the representative is over, and only one place is free.
    #[benchmark]
    fn appoint() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        Representatives::<T>::insert(PATIENT, REPRESENTATIVE, over());
        ActingOf::<T>::insert(PATIENT, acting::<T>(MAX_REPRESENTATIVES - 1));
        let until = T::Time::now() + 1;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.patient), REPRESENTATIVE, until);

        assert_eq!(EarlierRepresentationCount::<T>::get(PATIENT, REPRESENTATIVE), 1);
        assert_eq!(ActingOf::<T>::get(PATIENT).len(), MAX_REPRESENTATIVES as usize);
        Ok(())
    }

    #[benchmark]
    fn dismiss() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        Representatives::<T>::insert(PATIENT, REPRESENTATIVE, in_force::<T>());
        let mut listed = acting::<T>(MAX_REPRESENTATIVES);
        listed[0].0 = REPRESENTATIVE;
        ActingOf::<T>::insert(PATIENT, listed);

        #[extrinsic_call]
        _(RawOrigin::Signed(world.patient), PATIENT, REPRESENTATIVE);

        assert_eq!(ActingOf::<T>::get(PATIENT).len(), MAX_REPRESENTATIVES as usize - 1);
        Ok(())
    }

    /// An earlier mandate of the hospital is over.
    #[benchmark]
    fn authorize() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        Authorizations::<T>::insert(PATIENT, world.hospital, over());
        let until = T::Time::now() + 1;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.patient), world.hospital, until);

        assert_eq!(EarlierAuthorizationCount::<T>::get(PATIENT, world.hospital), 1);
        Ok(())
    }

    #[benchmark]
    fn revoke() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        Authorizations::<T>::insert(PATIENT, world.hospital, in_force::<T>());

        #[extrinsic_call]
        _(RawOrigin::Signed(world.patient), world.hospital);

        let stored = Authorizations::<T>::get(PATIENT, world.hospital);
        assert!(stored.is_some_and(|mandate| mandate.ended.is_some()));
        Ok(())
    }

    #[benchmark]
    fn entrust() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        Custodies::<T>::insert(world.hospital, PATIENT, in_force::<T>());
        let until = T::Time::now() + 2;

        #[extrinsic_call]
        _(RawOrigin::Signed(world.patient), world.hospital, until);

        let stored = Custodies::<T>::get(world.hospital, PATIENT);
        assert!(stored.is_some_and(|mandate| mandate.until == until));
        Ok(())
    }

    #[benchmark]
    fn end_custody() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        Custodies::<T>::insert(world.hospital, PATIENT, in_force::<T>());

        #[extrinsic_call]
        _(RawOrigin::Signed(world.patient), world.hospital);

        let stored = Custodies::<T>::get(world.hospital, PATIENT);
        assert!(stored.is_some_and(|mandate| mandate.ended.is_some()));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
