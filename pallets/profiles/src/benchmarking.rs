//! Measures every call at its maximum size: the longest body, a signature to verify.

use alloc::{vec, vec::Vec};
use codec::Encode;
use epione_primitives::{
    AccountId, Hash, HospitalId, Signature, UserId,
    limits::{MAX_PROFILE_BODY_BYTES, MAX_REGISTRATION_PERIODS, MAX_STANDING_RECOVERIES},
    naming::{NamedAccount, Naming, NamingConsent},
    ports::{Bodies as _, Hospitals as _, Users as _},
    profile::{Objection, Period, Recovery, RegistrationStatus, Role},
};
use frame_benchmarking::v2::*;
use frame_support::BoundedVec;
use frame_system::{RawOrigin, pallet_prelude::BlockNumberFor};
use sp_runtime::{KeyTypeId, traits::Zero};

use crate::{
    Call, Config, Pallet, Profiles, ProposalList, Proposals, Recoveries, RecoveryPauses,
    Registrations,
};

const KEYS: KeyTypeId = KeyTypeId(*b"bnch");
const USER: UserId = UserId([7; 32]);

/// A new account whose key is in the keystore.
fn keyed_account() -> AccountId {
    AccountId::new(sp_io::crypto::sr25519_generate(KEYS, None).0)
}

fn sign<T: Config>(account: &AccountId, naming: Naming) -> Result<Signature, BenchmarkError> {
    let public = <[u8; 32]>::from(account.clone()).into();
    sp_io::crypto::sr25519_sign(KEYS, &public, &NamingConsent::new(genesis::<T>(), naming).encode())
        .map(Signature::from)
        .ok_or(BenchmarkError::Stop("the keystore does not contain a key that it generated"))
}

fn hospital<T: Config>(number: u32) -> (HospitalId, AccountId) {
    let agent: AccountId = account("agent", number, 0);
    (T::Hospitals::set_up(account("governance", number, 0), agent.clone()), agent)
}

/// Registers a doctor at a hospital. Returns the hospital, its agent, and the doctor's account.
fn doctor<T: Config>() -> (HospitalId, AccountId, AccountId) {
    let (hospital, agent) = hospital::<T>(1);
    let account = keyed_account();
    Pallet::<T>::set_up(hospital, USER, Role::Doctor, account.clone());
    (hospital, agent, account)
}

/// Gives the user's registration the most periods, so that the end of its last one moves periods to a page.
fn fill<T: Config>(hospital: HospitalId) {
    Registrations::<T>::mutate(USER, hospital, |registration| {
        if let Some(registration) = registration {
            let mut periods =
                vec![Period { since: 0, until: Some(0) }; MAX_REGISTRATION_PERIODS as usize - 1];
            periods.push(Period { since: 0, until: None });
            registration.periods = BoundedVec::truncate_from(periods);
        }
    });
}

fn body<T: Config>(bytes: u32) -> Vec<u8> {
    let body = vec![1; bytes as usize];
    T::Bodies::set_up(&body);
    body
}

fn genesis<T: Config>() -> Hash {
    frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
}

/// Keys of a hospital that are due already.
fn recovery(hospital: HospitalId, lapses: u32) -> Recovery {
    Recovery {
        hospital,
        account: account("recovered", 0, 0),
        sealing_key_hash: Hash::repeat_byte(9),
        version: 1,
        due: 0,
        lapses,
        objection: None,
    }
}

/// Other users for whom a hospital proposed keys that have lapsed.
fn lapsed<T: Config>(hospital: HospitalId, count: u32) -> ProposalList {
    let users = (0..count).map(|number| UserId([100 + number as u8; 32]));
    let listed = users.map(|user| {
        Recoveries::<T>::insert(user, recovery(hospital, 0));
        (user, 0)
    });
    ProposalList::truncate_from(listed.collect())
}

/// Proposes keys as the last of the most ones of a hospital.
fn propose<T: Config>(hospital: HospitalId) {
    let mut listed = lapsed::<T>(hospital, MAX_STANDING_RECOVERIES - 1);
    listed.force_push((USER, u32::MAX));
    Proposals::<T>::insert(hospital, listed);
    Recoveries::<T>::insert(USER, recovery(hospital, u32::MAX));
}

fn status<T: Config>(hospital: HospitalId) -> Option<RegistrationStatus> {
    Registrations::<T>::get(USER, hospital).map(|registration| registration.status)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn register(b: Linear<1, { MAX_PROFILE_BODY_BYTES }>) -> Result<(), BenchmarkError> {
        let (_, _, account) = doctor::<T>();
        let (second, caller) = hospital::<T>(2);
        let naming = Naming::Registration { hospital: second, user: USER, version: 0 };
        let consent = sign::<T>(&account, naming)?;
        let profile = Profiles::<T>::get(USER).ok_or(BenchmarkError::Stop("no profile"))?;
        let body = body::<T>(b);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(caller),
            USER,
            profile.role,
            account,
            profile.sealing_key_hash,
            consent,
            body,
        );

        assert_eq!(status::<T>(second), Some(RegistrationStatus::Active));
        Ok(())
    }

    #[benchmark]
    fn update(b: Linear<1, { MAX_PROFILE_BODY_BYTES }>) -> Result<(), BenchmarkError> {
        let (hospital, caller, _) = doctor::<T>();
        let previous = Registrations::<T>::get(USER, hospital).map(|before| before.body_hash);
        let previous = previous.ok_or(BenchmarkError::Stop("no registration"))?;
        let body = body::<T>(b);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), USER, previous, body);

        assert_eq!(Registrations::<T>::get(USER, hospital).map(|after| after.version), Some(2));
        Ok(())
    }

    #[benchmark]
    fn suspend() {
        let (hospital, caller, _) = doctor::<T>();
        fill::<T>(hospital);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), USER);

        assert_eq!(status::<T>(hospital), Some(RegistrationStatus::Suspended));
    }

    #[benchmark]
    fn reinstate() -> Result<(), BenchmarkError> {
        let (hospital, caller, _) = doctor::<T>();
        Pallet::<T>::suspend(RawOrigin::Signed(caller.clone()).into(), USER)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), USER);

        assert_eq!(status::<T>(hospital), Some(RegistrationStatus::Active));
        Ok(())
    }

    #[benchmark]
    fn end_registration() {
        let (hospital, caller, _) = doctor::<T>();
        fill::<T>(hospital);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), USER);

        assert_eq!(status::<T>(hospital), Some(RegistrationStatus::Ended));
    }

    #[benchmark]
    fn rotate_keys() -> Result<(), BenchmarkError> {
        let (hospital, _, caller) = doctor::<T>();
        propose::<T>(hospital);
        let next = keyed_account();
        let consent = sign::<T>(&next, Naming::Rotation { user: USER, version: 1 })?;

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), Some((next.clone(), consent)), Some(Hash::repeat_byte(8)));

        assert_eq!(Profiles::<T>::get(USER).map(|profile| profile.account), Some(next));
        Ok(())
    }

    #[benchmark]
    fn propose_recovery() -> Result<(), BenchmarkError> {
        let (other, _) = hospital::<T>(2);
        let (hospital, caller, _) = doctor::<T>();
        let next = keyed_account();
        let sealing_key_hash = Hash::repeat_byte(9);
        let until = 100;
        let naming = Naming::Recovery { hospital, user: USER, sealing_key_hash, version: 1, until };
        let consent = sign::<T>(&next, naming)?;
        let named = NamedAccount { account: next.clone(), until, consent };
        Proposals::<T>::insert(hospital, lapsed::<T>(hospital, MAX_STANDING_RECOVERIES));
        RecoveryPauses::<T>::insert(USER, hospital, 0);
        // Keys of another hospital that have lapsed, too.
        Recoveries::<T>::insert(USER, recovery(other, 0));
        Proposals::<T>::insert(other, ProposalList::truncate_from(vec![(USER, 0)]));

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), USER, named, sealing_key_hash);

        assert_eq!(Recoveries::<T>::get(USER).map(|recovery| recovery.account), Some(next));
        assert_eq!(Proposals::<T>::get(hospital).len(), 1);
        Ok(())
    }

    #[benchmark]
    fn object() {
        let (hospital, caller, _) = doctor::<T>();
        propose::<T>(hospital);

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), USER);

        let objection = Recoveries::<T>::get(USER).and_then(|recovery| recovery.objection);
        assert_eq!(objection, Some(Objection::Hospital(hospital)));
    }

    #[benchmark]
    fn complete_recovery() {
        let (hospital, caller, _) = doctor::<T>();
        propose::<T>(hospital);
        let decision = Recoveries::<T>::get(USER).map(|recovery| recovery.decision());

        #[extrinsic_call]
        _(RawOrigin::Signed(caller), USER, decision);

        assert_eq!(Profiles::<T>::get(USER).map(|profile| profile.version), Some(2));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
