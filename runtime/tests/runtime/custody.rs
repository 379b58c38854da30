//! Patient keys for the custodian of a removed hospital, with the council, hospitals, profiles, mandates, the
//! consortium key and custody together. Hospital D leaves, and hospital B is its custodian.

use epione_primitives::{
    HospitalId, UserId,
    consortium::{EpochId, KeyId},
    custody::{Appointment, ClaimId, ClaimedPatients, CustodyLabel},
    hospital::HospitalStatus,
    limits::{DAY_MILLIS, MAX_CLAIMED_PATIENTS},
    ports::Users as _,
    profile::Role,
    refusal::Refusal,
};
use epione_runtime::{
    CouncilRoot, Hospitals, Mandates, Profiles, Quotas, Runtime, RuntimeCall, RuntimeOrigin,
    System, Timestamp, council_root, invariants,
};
use epione_threshold::{MixingSecret, Point, Wrap};
use frame_support::traits::Get;
use pallet_custody::{Appointments, Claims, HandedOutBy};
use pallet_quotas::{Holder, Lane, Limits};
use sp_runtime::DispatchError;

use crate::{
    caller::refused,
    chain::{B, Chain, PATIENT, apply, counts_once, local, register},
    consortium,
    council::{pass_by, proposal},
};

type Call = pallet_custody::Call<Runtime>;
type Error = pallet_custody::Error<Runtime>;

/// The hospital that leaves.
const D: HospitalId = HospitalId(3);
const CLAIM: ClaimId = ClaimId(0);
/// Number of blocks between the appointment and the first claim in the preset `local`.
const CUSTODIAN_DELAY: u32 = 20;
/// Those who remain.
const TWO_OF_THREE: [&str; 2] = ["Alice", "Bob"];

fn send(seed: &str, call: impl Into<RuntimeCall>) -> Result<(), DispatchError> {
    apply(seed, call).unwrap()
}

fn entrust() -> pallet_mandates::Call<Runtime> {
    pallet_mandates::Call::entrust { hospital: D, until: Timestamp::get() + DAY_MILLIS }
}

fn end_custody() -> pallet_mandates::Call<Runtime> {
    pallet_mandates::Call::end_custody { hospital: D }
}

/// The wrap of the patient's key at D, which the hospital's agent publishes.
fn keep() -> Call {
    let epoch = pallet_consortium_key::Epochs::<Runtime>::get(EpochId(0)).unwrap();
    let public = Point::decode(&epoch.public_key().unwrap()).unwrap();
    let (patient, profile) = (*PATIENT, Profiles::profile_body(D, *PATIENT).unwrap());
    let genesis = System::block_hash(0);
    let (key, epoch, hospital) = (KeyId(0), EpochId(0), D);
    let label = CustodyLabel { genesis, key, epoch, hospital, patient, profile };
    let mixing = MixingSecret::from_bytes([1; 32]);
    let wrap = Wrap::make(&public, &mixing, &label.bytes(), &[3; 32]).encode();
    Call::keep { patient, profile, wrap }
}

fn claim() -> Call {
    Call::claim { departed: D, patients: ClaimedPatients::truncate_from(vec![*PATIENT]) }
}

fn hand_out() -> Call {
    Call::hand_out { claim: CLAIM }
}

fn as_root(call: Call) -> council_root::Call<Runtime> {
    council_root::Call::dispatch { call: Box::new(call.into()) }
}

fn appoint() -> council_root::Call<Runtime> {
    as_root(Call::appoint { departed: D, custodian: B })
}

fn dismiss() -> council_root::Call<Runtime> {
    as_root(Call::dismiss { departed: D })
}

/// A patient of D and B entrusted the keys at D, and D has kept them.
fn kept(chain: &mut Chain) {
    register("Dave//agent", *PATIENT, Role::Patient);
    consortium::generate(chain);
    send("user-7", entrust()).unwrap();
    send("Dave//agent", keep()).unwrap();
    chain.next_block();
    register("Bob//agent", *PATIENT, Role::Patient);
    assert_eq!(invariants::check(), Ok(()));
}

/// The council of four removes D.
fn removed(chain: &mut Chain) {
    kept(chain);
    let remove = pallet_hospitals::Call::<Runtime>::remove { hospital: D };
    pass_by(&["Alice", "Bob", "Charlie"], 0, remove);
    assert_eq!(Hospitals::hospital(D).unwrap().status, HospitalStatus::Removed);
    chain.next_block();
}

/// B is the custodian of D, and may claim.
fn inherited(chain: &mut Chain) {
    removed(chain);
    pass_by(&TWO_OF_THREE, 1, appoint());
    chain.reach(System::block_number() + CUSTODIAN_DELAY);
}

#[test]
fn two_thirds_of_the_council_appoint_and_dismiss_a_custodian() {
    local(|chain| {
        removed(chain);
        // One of three is less than two thirds, and all three are more: no other threshold is accepted.
        for threshold in [1, 3] {
            let motion = proposal(threshold, appoint());
            assert_eq!(refused("Alice", motion), Some(Refusal::WrongThreshold), "{threshold}");
        }
        pass_by(&TWO_OF_THREE, 1, appoint());
        let expected = Appointment { custodian: B, since: System::block_number() };
        assert_eq!(Appointments::<Runtime>::get(D), Some(expected));
        assert_eq!(invariants::check(), Ok(()));
        pass_by(&TWO_OF_THREE, 2, dismiss());
        assert_eq!(Appointments::<Runtime>::get(D), None);
    });
}

/// More than half, which suffices to remove a hospital, is not enough to open the keys of its patients.
#[test]
fn no_hospital_and_no_mere_majority_appoints_a_custodian() {
    local(|chain| {
        removed(chain);
        for call in [appoint(), dismiss()] {
            for seed in ["Bob", "Bob//agent", "user-7"] {
                let refusal = refused(seed, call.clone());
                assert_eq!(refusal, Some(Refusal::CallNotForRole), "{seed}");
            }
        }
        // Of five members, three are more than half, and less than two thirds.
        let majority = RuntimeOrigin::from(pallet_collective::RawOrigin::Members(3, 5));
        let call = Call::appoint { departed: D, custodian: B };
        let refusal = CouncilRoot::dispatch(majority, Box::new(call.into()));
        assert!(refusal.is_err());
        assert_eq!(Appointments::<Runtime>::iter().count(), 0);
    });
}

#[test]
fn a_custodian_gets_the_keys_of_a_patient_of_a_removed_hospital() {
    local(|chain| {
        removed(chain);
        assert_eq!(send("Bob//agent", claim()), Err(Error::NotCustodian.into()));
        pass_by(&TWO_OF_THREE, 1, appoint());
        let appointed = System::block_number();
        chain.reach(appointed + CUSTODIAN_DELAY - 1);
        assert_eq!(send("Bob//agent", claim()), Err(Error::TooEarly.into()));
        chain.reach(appointed + CUSTODIAN_DELAY);
        assert_eq!(send("Charlie//agent", claim()), Err(Error::NotCustodian.into()));
        send("Bob//agent", claim()).unwrap();
        assert_eq!(Claims::<Runtime>::get(CLAIM).unwrap().custodian, B);
        chain.next_block();
        // The removed hospital has a share of this epoch. Three of the four are enough.
        let by_removed = refused("Dave//agent", hand_out());
        assert_eq!(by_removed, Some(Refusal::HospitalNotActive));
        for agent in ["Alice//agent", "Bob//agent", "Charlie//agent"] {
            send(agent, hand_out()).unwrap();
        }
        assert_eq!(HandedOutBy::<Runtime>::iter_prefix(CLAIM).count(), 3);
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn the_end_of_what_was_entrusted_ends_a_claim_in_the_next_block() {
    local(|chain| {
        inherited(chain);
        send("Bob//agent", claim()).unwrap();
        send("Alice//agent", hand_out()).unwrap();
        chain.next_block();
        send("user-7", end_custody()).unwrap();
        for agent in ["Alice//agent", "Charlie//agent"] {
            assert_eq!(send(agent, hand_out()), Err(Error::NotEntrusted.into()), "{agent}");
        }
        // The removed hospital gets no new entry, so nothing revives the claim.
        let again = pallet_mandates::Error::<Runtime>::UnknownHospital;
        chain.next_window();
        assert_eq!(send("user-7", entrust()), Err(again.into()));
    });
}

/// Somebody who saw the transactions sends them again.
#[test]
fn a_claim_and_a_part_of_it_count_once_however_often_they_are_sent() {
    local(|chain| {
        inherited(chain);
        counts_once(chain, "Bob//agent", claim());
        counts_once(chain, "Charlie//agent", hand_out());
        assert_eq!(Claims::<Runtime>::iter_keys().collect::<Vec<_>>(), [CLAIM]);
        assert_eq!(HandedOutBy::<Runtime>::iter_prefix(CLAIM).count(), 1);
        assert_eq!(invariants::check(), Ok(()));
    });
}

/// The custodian could otherwise keep the patient from ending it: by a suspension, or by using up its own budgets.
#[test]
fn a_patient_without_a_registration_in_force_ends_it_and_no_hospital_pays() {
    local(|chain| {
        inherited(chain);
        send("Bob//agent", pallet_profiles::Call::<Runtime>::suspend { user: *PATIENT }).unwrap();
        assert_eq!(Profiles::in_force(*PATIENT), [D], "only at the hospital that is removed");
        assert_eq!(refused("user-7", entrust()), Some(Refusal::HospitalNotActive));
        let used = |hospital| Quotas::usage(&Holder::Hospital(hospital), Lane::Ending).ref_time;
        let before = [B, D].map(used);
        assert_eq!(refused("user-7", end_custody()), None);
        assert!(!Mandates::can_end_custody(*PATIENT, D));
        assert_eq!([B, D].map(used), before);
        let again = refused("user-7", end_custody());
        assert_eq!(again, Some(Refusal::HospitalNotActive), "it is over");
        send("Bob//agent", pallet_profiles::Call::<Runtime>::reinstate { user: *PATIENT }).unwrap();
        assert_eq!(send("Bob//agent", claim()), Err(Error::NotEntrusted.into()));
    });
}

#[test]
fn a_removed_hospital_keeps_no_key_and_its_old_wraps_stay() {
    local(|chain| {
        removed(chain);
        let before = pallet_custody::KeptKeys::<Runtime>::get(D, *PATIENT);
        assert_eq!(refused("Dave//agent", keep()), Some(Refusal::HospitalNotActive));
        // Another hospital cannot replace it either: its wraps are of its own keys.
        let Call::keep { patient, profile, wrap } = keep() else { unreachable!("it keeps") };
        let by_custodian = Call::keep { patient, profile, wrap };
        assert_eq!(send("Bob//agent", by_custodian), Err(Error::NotEntrusted.into()));
        assert_eq!(pallet_custody::KeptKeys::<Runtime>::get(D, *PATIENT), before);
    });
}

#[test]
fn the_largest_claim_and_its_parts_fit_into_the_smallest_quota_of_a_worker() {
    local(|_| {
        let least = <<Runtime as pallet_quotas::Config>::LeastLimits as Get<Limits>>::get();
        Quotas::set_limits(RuntimeOrigin::root(), least).unwrap();
        let patients = (0..MAX_CLAIMED_PATIENTS as u8).map(|number| UserId([number; 32]));
        let patients = ClaimedPatients::truncate_from(patients.collect());
        assert_eq!(refused("Bob//agent", Call::claim { departed: D, patients }), None);
        assert_eq!(refused("Bob//agent", hand_out()), None);
        let used = Quotas::usage(&Holder::Hospital(B), Lane::Record).bytes;
        // A claim and a part stay for good, with 32 bytes for each patient.
        assert!(used > 512 + 64 * 32 + 512, "{used} bytes");
    });
}
