//! Nobody takes an account whose key they do not have.

use epione_primitives::{
    HospitalId,
    hospital::Duty,
    naming::{NamedAccount, Naming},
    profile::Role,
};
use epione_runtime::{Hospitals, Runtime};
use frame_support::{dispatch::DispatchResult, storage::with_storage_layer};

use crate::chain::{
    A, PATIENT, SEALING_KEY, account, apply, consent, council, key, local, user_seed,
};

/// The hospital that is admitted next.
pub const NEXT: HospitalId = HospitalId(4);
const UNTIL: u32 = 100;

/// An account that consents to a duty at a hospital.
pub fn named(seed: &str, hospital: HospitalId, duty: Duty) -> NamedAccount {
    let consent = consent(&key(seed), Naming::Hospital { hospital, duty, until: UNTIL });
    NamedAccount { account: account(&key(seed)), until: UNTIL, consent }
}

pub fn admit(governance: NamedAccount, agent: NamedAccount) -> DispatchResult {
    Hospitals::admit(
        council(),
        b"Eve".to_vec().try_into().unwrap(),
        governance,
        agent,
        b"https://eve.example".to_vec().try_into().unwrap(),
        vec![1, 2].try_into().unwrap(),
        [3; 32],
    )
}

#[test]
fn another_hospital_cannot_replay_a_consent() {
    local(|_| {
        let seed = user_seed(*PATIENT);
        let naming = Naming::Registration { hospital: A, user: *PATIENT, version: 0 };
        let consent = consent(&key(&seed), naming);
        let register = || pallet_profiles::Call::<Runtime>::register {
            user: *PATIENT,
            role: Role::Patient,
            account: account(&key(&seed)),
            sealing_key_hash: SEALING_KEY,
            consent: consent.clone(),
            body: vec![1],
        };
        let invalid = pallet_profiles::Error::<Runtime>::InvalidConsent.into();
        assert_eq!(apply("Bob//agent", register()), Ok(Err(invalid)));
        apply("Alice//agent", register()).unwrap().unwrap();
    });
}

#[test]
fn the_council_cannot_take_a_users_future_account() {
    local(|_| {
        let owner = account(&key("Owner"));
        let taken = NamedAccount { account: owner, ..named("Thief", NEXT, Duty::Agent) };
        assert_eq!(
            admit(named("Eve", NEXT, Duty::Governance), taken),
            Err(pallet_hospitals::Error::<Runtime>::InvalidConsent.into())
        );
    });
}

/// The hospital's used accounts stay its own, and a consent that was not used names its number.
#[test]
fn the_consents_of_a_removed_hospital_cannot_be_replayed() {
    type Error = pallet_hospitals::Error<Runtime>;
    local(|_| {
        let governance = || named("Eve", NEXT, Duty::Governance);
        admit(governance(), named("Eve//agent", NEXT, Duty::Agent)).unwrap();
        Hospitals::remove(council(), NEXT).unwrap();

        let after = HospitalId(NEXT.0 + 1);
        let unused = named("Eve//later", NEXT, Duty::Agent);
        let own = || named("Mallory", after, Duty::Governance);
        let again = |governance, agent| with_storage_layer(|| admit(governance, agent));
        assert_eq!(again(governance(), unused.clone()), Err(Error::AccountInUse.into()));
        assert_eq!(again(own(), unused), Err(Error::InvalidConsent.into()));
        let agent = named("Eve//later", after, Duty::Agent);
        assert_eq!(again(own(), agent), Ok(()), "only the consent was wrong");
    });
}
