//! Measures every call on a chain with the maximum number of hospitals.

use alloc::vec;
use codec::Encode;
use epione_primitives::{
    AccountId, BlockNumber, HospitalId,
    hospital::{Duty, Hospital, HospitalStatus, Replacement},
    limits::{
        MAX_CONSENT_BLOCKS, MAX_HOSPITALS, MAX_NAME_BYTES, MAX_SEALING_KEY_BYTES, MAX_URL_BYTES,
    },
    naming::{NamedAccount, Naming, NamingConsent},
    ports::Hospitals as _,
};
use frame_benchmarking::v2::*;
use frame_support::traits::EnsureOrigin;
use frame_system::{RawOrigin, pallet_prelude::BlockNumberFor};
use sp_runtime::{KeyTypeId, SaturatedConversion, traits::Zero};

use crate::{
    Active, Admitted, Call, Config, Event, Hospitals, Pallet, Replacements, SealingKey, Unready,
    WorkerUrl,
};

/// A hospital whose fields have their maximum length.
pub(crate) fn largest(governance: AccountId, agent: AccountId) -> Hospital {
    Hospital {
        name: vec![b'n'; MAX_NAME_BYTES as usize].try_into().expect("as long as allowed; qed"),
        governance,
        agent,
        worker_url: largest_url(),
        sealing_key: largest_key(),
        tls_key: [7; 32],
        storage_origin: Some(largest_url()),
        status: HospitalStatus::Active,
    }
}

fn largest_url() -> WorkerUrl {
    let mut url = b"https://".to_vec();
    url.resize(MAX_URL_BYTES as usize, b'u');
    url.try_into().expect("as long as allowed; qed")
}

fn largest_key() -> SealingKey {
    vec![1; MAX_SEALING_KEY_BYTES as usize].try_into().expect("as long as allowed; qed")
}

fn governance(number: u32) -> AccountId {
    account("governance", number, 0)
}

fn agent(number: u32) -> AccountId {
    account("agent", number, 0)
}

const KEYS: KeyTypeId = KeyTypeId(*b"bnch");

/// A new account whose key is in the keystore, and which consents to a duty at a hospital.
fn consenting<T: Config>(hospital: HospitalId, duty: Duty) -> Result<NamedAccount, BenchmarkError> {
    let public = sp_io::crypto::sr25519_generate(KEYS, None);
    let now: BlockNumber = frame_system::Pallet::<T>::block_number().saturated_into();
    let until = now.saturating_add(MAX_CONSENT_BLOCKS);
    let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
    let message = NamingConsent::new(genesis, Naming::Hospital { hospital, duty, until });
    let consent = sp_io::crypto::sr25519_sign(KEYS, &public, &message.encode())
        .ok_or(BenchmarkError::Stop("the keystore does not contain a key that it generated"))?;
    Ok(NamedAccount { account: AccountId::new(public.0), until, consent: consent.into() })
}

/// Admits hospitals until there are `total`. Returns the last hospital and its governance account.
fn fill<T: Config>(total: u32) -> (HospitalId, AccountId) {
    let mut last = (HospitalId(0), governance(0));
    for number in u32::from(Admitted::<T>::get())..total {
        last = (Pallet::<T>::set_up(governance(number), agent(number)), governance(number));
    }
    last
}

fn assert_last_event<T: Config>(event: Event<T>) {
    frame_system::Pallet::<T>::assert_last_event(
        <T as frame_system::Config>::RuntimeEvent::from(event).into(),
    );
}

#[benchmarks]
mod benchmarks {
    use super::*;

    fn council_origin<T: Config>() -> Result<T::RuntimeOrigin, BenchmarkError> {
        T::AdmitOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)
    }

    #[benchmark]
    fn admit() -> Result<(), BenchmarkError> {
        fill::<T>(MAX_HOSPITALS - 1);
        let origin = council_origin::<T>()?;
        let id = HospitalId(Admitted::<T>::get());
        let next_governance = consenting::<T>(id, Duty::Governance)?;
        let next_agent = consenting::<T>(id, Duty::Agent)?;
        let next = largest(next_governance.account.clone(), next_agent.account.clone());

        #[extrinsic_call]
        _(
            origin as T::RuntimeOrigin,
            next.name,
            next_governance,
            next_agent,
            next.worker_url,
            next.sealing_key,
            next.tls_key,
        );

        assert_eq!(u32::from(Admitted::<T>::get()), MAX_HOSPITALS);
        Ok(())
    }

    #[benchmark]
    fn suspend() -> Result<(), BenchmarkError> {
        let (hospital, _) = fill::<T>(MAX_HOSPITALS);
        let origin = council_origin::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, hospital);

        assert_last_event::<T>(Event::Suspended { hospital });
        Ok(())
    }

    #[benchmark]
    fn reinstate() -> Result<(), BenchmarkError> {
        let (hospital, _) = fill::<T>(MAX_HOSPITALS);
        Pallet::<T>::suspend(council_origin::<T>()?, hospital)?;
        let origin = council_origin::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, hospital);

        assert_last_event::<T>(Event::Reinstated { hospital });
        Ok(())
    }

    #[benchmark]
    fn remove() -> Result<(), BenchmarkError> {
        let (hospital, _) = fill::<T>(MAX_HOSPITALS);
        let origin = council_origin::<T>()?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, hospital);

        assert!(!Active::<T>::get().contains(&hospital));
        Ok(())
    }

    #[benchmark]
    fn rotate_accounts() -> Result<(), BenchmarkError> {
        let (hospital, caller) = fill::<T>(MAX_HOSPITALS);
        let governance = consenting::<T>(hospital, Duty::Governance)?;
        let agent = consenting::<T>(hospital, Duty::Agent)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), Some(governance.clone()), Some(agent.clone()));

        assert_last_event::<T>(Event::AccountsRotated {
            hospital,
            governance: governance.account,
            agent: agent.account,
        });
        Ok(())
    }

    #[benchmark]
    fn set_endpoint() {
        let (hospital, caller) = fill::<T>(MAX_HOSPITALS);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), largest_url(), [9; 32], Some(largest_url()));

        assert_eq!(Hospitals::<T>::get(hospital).map(|entry| entry.tls_key), Some([9; 32]));
    }

    #[benchmark]
    fn set_sealing_key() {
        let (hospital, caller) = fill::<T>(MAX_HOSPITALS);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), largest_key());

        assert_last_event::<T>(Event::SealingKeySet { hospital });
    }

    #[benchmark]
    fn ready() {
        let (hospital, _) = fill::<T>(MAX_HOSPITALS);
        // The longest set.
        Unready::<T>::put(Active::<T>::get());

        #[extrinsic_call]
        _(RawOrigin::Signed(agent(hospital.0.into())));

        assert_last_event::<T>(Event::Ready { hospital });
    }

    #[benchmark]
    fn leave() {
        let (hospital, caller) = fill::<T>(MAX_HOSPITALS);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller));

        assert_last_event::<T>(Event::Leaving { hospital });
    }

    #[benchmark]
    fn replace_governance() -> Result<(), BenchmarkError> {
        let (hospital, _) = fill::<T>(MAX_HOSPITALS);
        let next = consenting::<T>(hospital, Duty::Governance)?;

        #[extrinsic_call]
        _(RawOrigin::Root, hospital, next.clone());

        let stored = Replacements::<T>::get(hospital).map(|replacement| replacement.governance);
        assert_eq!(stored, Some(next.account));
        Ok(())
    }

    #[benchmark]
    fn complete_replacement() {
        let (hospital, caller) = fill::<T>(MAX_HOSPITALS);
        let governance = governance(MAX_HOSPITALS);
        Replacements::<T>::insert(
            hospital,
            Replacement { governance: governance.clone(), from: 0 },
        );

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), hospital);

        assert_eq!(Hospitals::<T>::get(hospital).map(|entry| entry.governance), Some(governance));
    }

    #[benchmark]
    fn object_to_replacement() {
        let (hospital, caller) = fill::<T>(MAX_HOSPITALS);
        Replacements::<T>::insert(
            hospital,
            Replacement { governance: governance(MAX_HOSPITALS), from: 0 },
        );

        #[extrinsic_call]
        _(RawOrigin::Signed(caller));

        assert_last_event::<T>(Event::ReplacementWithdrawn { hospital });
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(2), crate::mock::Test);
}
