//! Measures setting a validator's keys.

use codec::Encode;
use core::marker::PhantomData;

use epione_primitives::{AccountId, HospitalId, ports::Hospitals as _};
use frame_benchmarking::{account, v2::*};
use frame_system::RawOrigin;

use crate::{Hospitals, Runtime, Session, SessionKeys};

pub trait Config: frame_system::Config {}

impl Config for Runtime {}

pub struct Pallet<T>(PhantomData<T>);

fn governance() -> (AccountId, HospitalId) {
    let governance: AccountId = account("governance", 0, 0);
    let hospital = Hospitals::set_up(governance.clone(), account("agent", 0, 0));
    (governance, hospital)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn set_keys() -> Result<(), BenchmarkError> {
        let (governance, hospital) = governance();
        let earlier = SessionKeys::generate(&governance.encode(), None);
        let origin = RawOrigin::Signed(governance.clone());
        Session::set_keys(origin.clone().into(), earlier.keys, earlier.proof.encode())?;
        let next = SessionKeys::generate(&governance.encode(), None);
        let (keys, proof) = (next.keys.clone(), next.proof.encode());

        #[block]
        {
            Session::set_keys(origin.into(), keys, proof)?;
        }

        assert_eq!(pallet_session::NextKeys::<Runtime>::get(hospital), Some(next.keys));
        Ok(())
    }

    #[benchmark]
    fn purge_keys() -> Result<(), BenchmarkError> {
        let (governance, hospital) = governance();
        let generated = SessionKeys::generate(&governance.encode(), None);
        let origin = RawOrigin::Signed(governance);
        Session::set_keys(origin.clone().into(), generated.keys, generated.proof.encode())?;

        #[block]
        {
            Session::purge_keys(origin.into())?;
        }

        assert!(!pallet_session::NextKeys::<Runtime>::contains_key(hospital));
        Ok(())
    }
}
