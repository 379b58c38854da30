//! New keys for a patient who lost the present ones: who may send which call, and what becomes of the old keys.

use epione_primitives::{
    Hash, HospitalId, QueryId, UserId,
    api::runtime_decl_for_profiles_api::ProfilesApi,
    hospital::Duty,
    limits::RECOVERY_COMPLETION_BLOCKS,
    naming::{NamedAccount, Naming},
    profile::{Objection, Role},
    refusal::Refusal::{self, *},
};
use epione_runtime::{
    CouncilRoot, Hospitals, Profiles, Quotas, Runtime, RuntimeCall, RuntimeOrigin, System,
    council_root, lanes::priority,
};
use frame_support::dispatch::GetDispatchInfo;
use pallet_quotas::{Cost, CurrentLimits, Debit, Holder, Lane};
use sp_runtime::DispatchError;

use crate::{
    caller::{batch, refused, relate, rotate_keys},
    chain::{
        A, B, Chain, PATIENT, SEALING_KEY, account, apply, consent, council, key, local, register,
        signed, user, user_seed, validate,
    },
    queries::accepted,
};

type Call = pallet_profiles::Call<Runtime>;
type Error = pallet_profiles::Error<Runtime>;

/// The seed of the new account.
const NEW: &str = "new-phone";
const NEW_SEALING_KEY: Hash = Hash::repeat_byte(9);

pub fn proposal(hospital: HospitalId, user: UserId) -> Call {
    let (pair, sealing_key_hash) = (key(NEW), NEW_SEALING_KEY);
    let version = Profiles::profile(user).map_or(0, |profile| profile.version);
    let until = System::block_number() + 100;
    let naming = Naming::Recovery { hospital, user, sealing_key_hash, version, until };
    let consent = consent(&pair, naming);
    let next = NamedAccount { account: account(&pair), until, consent };
    Call::propose_recovery { user, next, sealing_key_hash }
}

fn object() -> RuntimeCall {
    Call::object { user: *PATIENT }.into()
}

fn complete() -> RuntimeCall {
    Call::complete_recovery { user: *PATIENT, decision: None }.into()
}

/// What the council dispatches to complete the recovery that stands.
fn decide() -> RuntimeCall {
    let decision = Runtime::recovery(*PATIENT).map(|recovery| recovery.decision());
    Call::complete_recovery { user: *PATIENT, decision }.into()
}

fn send(seed: &str, call: impl Into<RuntimeCall>) -> Result<(), DispatchError> {
    apply(seed, call).unwrap()
}

/// Makes blocks until the recovery is due.
fn wait(chain: &mut Chain) {
    chain.reach(Runtime::recovery(*PATIENT).unwrap().due);
}

#[test]
fn a_patient_with_a_new_phone_acts_again() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        assert_eq!(refused(NEW, relate()), Some(UnknownAccount));
        assert_eq!(send("Alice//agent", complete()), Err(Error::RecoveryTooEarly.into()));
        wait(chain);
        send("Alice//agent", complete()).unwrap();
        chain.next_block();
        assert_eq!(refused(NEW, relate()), None);
        assert_eq!(refused(&user_seed(*PATIENT), relate()), Some(UnknownAccount));
        assert_eq!(Runtime::recovery(*PATIENT), None);
        assert_eq!(Profiles::profile(*PATIENT).unwrap().sealing_key_hash, NEW_SEALING_KEY);
    });
}

#[test]
fn agents_propose_and_complete_and_users_only_object() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        let propose: RuntimeCall = proposal(A, *PATIENT).into();
        for call in [propose.clone(), complete()] {
            for signer in ["Alice", patient.as_str()] {
                assert_eq!(refused(signer, call.clone()), Some(CallNotForRole), "{signer}");
            }
        }
        assert_eq!(refused("Alice", object()), Some(CallNotForRole));
        assert_eq!(refused("Mallory", object()), Some(UnknownAccount));
        for call in [propose, complete(), object()] {
            assert_eq!(refused("Alice//agent", call.clone()), None, "{call:?}");
        }
        assert_eq!(refused(&patient, object()), None);
        assert_eq!(refused(&patient, batch(vec![object()])), Some(CallNotForRole));
    });
}

fn used_to_end_access(hospital: HospitalId) -> u64 {
    Quotas::usage(&Holder::Hospital(hospital), Lane::Ending).ref_time
}

/// The hospital is the only one of the patient, suspends the patient, and wants to have the patient's keys.
#[test]
fn a_hospital_cannot_stop_its_patient_from_objecting() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        send("Alice//agent", Call::suspend { user: *PATIENT }).unwrap();
        assert_eq!(refused(&patient, rotate_keys()), Some(NotInForce));
        send(&patient, object()).unwrap();
        // The proposal has paid for it.
        assert_eq!(used_to_end_access(A), 0);
        assert!(Quotas::usage(&Holder::User(*PATIENT), Lane::Ending).ref_time > 0);
        let recovery = Runtime::recovery(*PATIENT).unwrap();
        assert_eq!(recovery.objection, Some(Objection::User));
        wait(chain);
        assert_eq!(send("Alice//agent", complete()), Err(Error::RecoveryObjected.into()));
        // A second objection changes nothing, so it gets no place in the block.
        assert_eq!(refused(&patient, object()), Some(NotInForce));
    });
}

/// The hospital lets puppets of its own rotate keys and end access until nothing is left of its quotas, or is suspended
/// and hopes to be reinstated.
#[test]
fn a_hospital_without_quota_cannot_stop_its_patient_from_objecting() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        for lane in [Lane::Rotation, Lane::Ending] {
            let budget = CurrentLimits::<Runtime>::get().of(lane).hospital;
            let cost = Cost { ref_time: budget.ref_time, bytes: budget.bytes };
            let (signer, hospital) = (Holder::User(user(30)), Some(A));
            Quotas::debit(&Debit { signer, hospital, lane, cost });
        }
        let used = used_to_end_access(A);
        assert_eq!(refused(&patient, rotate_keys()), Some(HospitalQuotaExceeded));
        assert_eq!(refused("Alice//agent", object()), None, "a hospital's objection");
        assert_eq!(refused(&patient, object()), None, "replaces the hospital's");
        assert_eq!(used_to_end_access(A), used);
        let recovery = Runtime::recovery(*PATIENT).unwrap();
        assert_eq!(recovery.objection, Some(Objection::User));
    });
    local(|_| {
        register("Bob//agent", *PATIENT, Role::Patient);
        send("Bob//agent", proposal(B, *PATIENT)).unwrap();
        Hospitals::suspend(council(), B).unwrap();
        assert_eq!(refused(&user_seed(*PATIENT), rotate_keys()), Some(HospitalNotActive));
        send(&user_seed(*PATIENT), object()).unwrap();
    });
}

/// A hospital that completes a recovery in the last moment does not overtake the objection.
#[test]
fn an_objection_comes_before_the_calls_of_agents() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let (patient, agent) = (key(&user_seed(*PATIENT)), key("Alice//agent"));
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        wait(chain);
        let of = |pair, call| validate(signed(pair, call)).unwrap().priority;
        assert_eq!(of(&patient, object()), priority(Lane::Ending));
        assert!(of(&patient, object()) > of(&agent, complete()));
    });
}

#[test]
fn a_recovery_pays_for_what_it_leaves_in_the_state() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let used = || Quotas::usage(&Holder::Duty(A, Duty::Agent), Lane::Record).bytes;
        let before = used();
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        let proposed = used();
        // The proposal, and the user's objection to it.
        assert!(proposed - before > 1_024, "{before} {proposed}");
        wait(chain);
        send("Alice//agent", complete()).unwrap();
        assert!(used() - proposed > 512, "{proposed} {}", used());
    });
}

/// Former users of a hospital would otherwise spend what its users have.
#[test]
fn nobody_else_spends_a_budget_by_objecting() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        let stranger = user(9);
        register("Alice//agent", stranger, Role::Patient);
        send("Alice//agent", Call::end_registration { user: stranger }).unwrap();
        let own: RuntimeCall = Call::object { user: stranger }.into();
        for call in [object(), own] {
            assert_eq!(refused(&user_seed(stranger), call), Some(NotInForce));
        }
        assert_eq!(used_to_end_access(A), 0);
        // A user with a registration in force pays from the own budget, and fails.
        register("Bob//agent", user(8), Role::Doctor);
        assert_eq!(send(&user_seed(user(8)), object()), Err(Error::NotConcerned.into()));
        assert_eq!(used_to_end_access(B), 0);
    });
}

#[test]
fn another_hospital_of_the_patient_objects() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = key(&user_seed(*PATIENT));
        let naming = Naming::Registration { hospital: B, user: *PATIENT, version: 0 };
        let at_b = Call::register {
            user: *PATIENT,
            role: Role::Patient,
            account: account(&patient),
            sealing_key_hash: SEALING_KEY,
            consent: consent(&patient, naming),
            body: b"sealed profile at B".to_vec(),
        };
        send("Bob//agent", at_b).unwrap();
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        assert_eq!(send("Charlie//agent", object()), Err(Error::NotRegistered.into()));
        send("Bob//agent", object()).unwrap();
        wait(chain);
        assert_eq!(send("Alice//agent", complete()), Err(Error::RecoveryObjected.into()));
        chain.next_block();
    });
}

/// The thief of the phone objects. The council knows the patient from the hospital's staff.
#[test]
fn two_thirds_of_the_council_complete_a_recovery_in_spite_of_an_objection() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        let decided = decide();
        send(&user_seed(*PATIENT), object()).unwrap();
        let half = pallet_collective::RawOrigin::Members(2, 4).into();
        assert!(CouncilRoot::dispatch(half, Box::new(decided.clone())).is_err());
        let dispatched = |call, result| {
            CouncilRoot::dispatch(council(), Box::new(call)).unwrap();
            System::assert_last_event(council_root::Event::<Runtime>::Dispatched { result }.into());
        };
        dispatched(decided.clone(), Err(Error::RecoveryTooEarly.into()));
        wait(chain);
        dispatched(complete(), Err(Error::AnotherRecovery.into()));
        dispatched(decided, Ok(()));
        chain.next_block();
        assert_eq!(refused(NEW, relate()), None);
        assert_eq!(refused(&user_seed(*PATIENT), relate()), Some(UnknownAccount));
    });
}

#[test]
fn a_recovery_fits_into_a_motion_and_needs_two_thirds_of_the_votes() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        let motion = |threshold, call| {
            RuntimeCall::Council(pallet_collective::Call::propose {
                threshold,
                proposal: Box::new(call),
                length_bound: 1_000,
            })
        };
        let as_root = || {
            RuntimeCall::from(council_root::Call::<Runtime>::dispatch { call: Box::new(decide()) })
        };
        assert_eq!(refused("Alice", motion(2, as_root())), Some(Refusal::WrongThreshold));
        assert_eq!(refused("Alice", motion(3, as_root())), None);
        let weight = as_root().get_dispatch_info().call_weight;
        assert!(weight.all_lte(epione_runtime::governance::MAX_PROPOSAL_WEIGHT), "{weight:?}");
    });
}

#[test]
fn a_recovery_lapses() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        send("Alice//agent", proposal(A, *PATIENT)).unwrap();
        chain.next_block();
        let recovery = Runtime::recovery(*PATIENT).unwrap();
        assert_eq!(recovery.lapses - recovery.due, RECOVERY_COMPLETION_BLOCKS);
        let now = System::block_number();
        System::set_block_number(recovery.lapses);
        let agent = RuntimeOrigin::signed(account(&key("Alice//agent")));
        let late = Profiles::complete_recovery(agent, *PATIENT, None);
        assert_eq!(late, Err(Error::NoRecovery.into()));
        System::set_block_number(now);
    });
}

/// The requester's phone was stolen. The thief waits for a grant that was sealed to the stolen key.
#[test]
fn what_was_accepted_for_the_stolen_keys_is_not_handed_out() {
    local(|chain| {
        accepted(chain);
        let requester = user(8);
        send("Bob//agent", proposal(B, requester)).unwrap();
        chain.reach(Runtime::recovery(requester).unwrap().due);
        let completion = Call::complete_recovery { user: requester, decision: None };
        send("Bob//agent", completion).unwrap();
        let transfer = pallet_queries::Call::<Runtime>::transfer { query: QueryId(0) };
        let changed = pallet_queries::Error::<Runtime>::RequesterChanged;
        assert_eq!(send("Alice//agent", transfer), Err(changed.into()));
        chain.next_block();
    });
}

#[test]
fn a_suspended_hospital_completes_nothing() {
    local(|chain| {
        register("Bob//agent", *PATIENT, Role::Patient);
        send("Bob//agent", proposal(B, *PATIENT)).unwrap();
        wait(chain);
        Hospitals::suspend(council(), B).unwrap();
        assert_eq!(refused("Bob//agent", complete()), Some(HospitalNotActive));
    });
}
