//! Which role may make which call.

use epione_primitives::{
    AnnouncementId, Hash, HospitalId, QueryId, RecordPointer, UserId,
    access::{Purpose, RelationshipKind},
    credential::AttributeId,
    custody::ClaimId,
    naming::Naming,
    opening::{OpeningId, WRAP_BYTES},
    profile::Role,
    refusal::{Refusal, Refusal::*},
    release::{ReviewId, SectionSet},
};
use epione_runtime::{
    Executive, Hospitals, Quotas, Runtime, RuntimeCall, RuntimeOrigin, UncheckedExtrinsic,
};
use pallet_quotas::{Cost, CurrentLimits, Debit, Holder, Lane};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};

use crate::{
    chain::{
        A, B, PATIENT, SEALING_KEY, account, announcement, apply, consent, council, key, local,
        register, request, sign_request, user, user_seed, vote,
    },
    queries::{accepted, committed},
    sharing,
};

pub fn refused(seed: &str, call: impl Into<RuntimeCall>) -> Option<Refusal> {
    match apply(seed, call) {
        Err(TransactionValidityError::Invalid(InvalidTransaction::Custom(code))) => {
            Some(Refusal::from_code(code).unwrap())
        }
        Err(other) => panic!("refused for another reason: {other:?}"),
        Ok(_) => None,
    }
}

pub fn approve() -> RuntimeCall {
    vote(AnnouncementId(9)).into()
}

pub fn relate() -> RuntimeCall {
    pallet_role_policies::Call::relate {
        patient: *PATIENT,
        professional: *PATIENT,
        hospital: A,
        kind: RelationshipKind::Treating,
        expires: None,
    }
    .into()
}

pub fn set_policies() -> RuntimeCall {
    pallet_role_policies::Call::set_policies { policies: Default::default() }.into()
}

fn refuse() -> RuntimeCall {
    let request = request(*PATIENT, &[], 1);
    let signature = sign_request(&key(&user_seed(*PATIENT)), &request);
    pallet_releases::Call::refuse { request, signature }.into()
}

/// The calls about sharing that patients make.
fn about_sharing() -> [RuntimeCall; 4] {
    [sharing::give(), sharing::place(1), sharing::remove(1), sharing::withdraw()]
}

fn place_by_kind() -> RuntimeCall {
    sharing::place_by_kind(*PATIENT, 1, RecordPointer { height: 1, index: 0 })
}

/// The calls about queries that users make.
fn about_queries() -> [RuntimeCall; 4] {
    let query = QueryId(0);
    [
        pallet_queries::Call::ask {
            hospital: A,
            patient: *PATIENT,
            patient_key: SEALING_KEY,
            records: Default::default(),
            purpose: Purpose::Research,
            expires: 100,
            terms: Default::default(),
        }
        .into(),
        pallet_queries::Call::accept {
            query,
            considered: Hash::zero(),
            records: Default::default(),
            grant: Hash::zero(),
            until: 1,
            mailbox: A,
        }
        .into(),
        pallet_queries::Call::refuse { query }.into(),
        withdraw_query(),
    ]
}

fn withdraw_query() -> RuntimeCall {
    pallet_queries::Call::withdraw { query: QueryId(0) }.into()
}

fn transfer() -> RuntimeCall {
    pallet_queries::Call::transfer { query: QueryId(0) }.into()
}

/// The calls about openings that a hospital's worker makes.
fn parts_of_openings() -> [RuntimeCall; 2] {
    let (patient, slot, pointer) = (*PATIENT, sharing::SLOT, RecordPointer { height: 1, index: 0 });
    let (sections, wraps) = (SectionSet(1), Default::default());
    [
        pallet_openings::Call::wrap { patient, slot, pointer, sections, wraps }.into(),
        pallet_openings::Call::hand_out { opening: OpeningId(0) }.into(),
    ]
}

/// The calls about custody that a hospital's worker makes.
fn parts_of_custody() -> [RuntimeCall; 3] {
    let (patient, profile, wrap) = (*PATIENT, Hash::zero(), [0; WRAP_BYTES]);
    [
        pallet_custody::Call::keep { patient, profile, wrap }.into(),
        pallet_custody::Call::claim { departed: B, patients: Default::default() }.into(),
        pallet_custody::Call::hand_out { claim: ClaimId(0) }.into(),
    ]
}

/// Nobody makes these calls alone: the council dispatches them.
fn about_custodians() -> [RuntimeCall; 2] {
    [
        pallet_custody::Call::appoint { departed: B, custodian: A }.into(),
        pallet_custody::Call::dismiss { departed: B }.into(),
    ]
}

fn ask_for_opening() -> RuntimeCall {
    let (hospital, patient, purpose) = (A, *PATIENT, Purpose::Research);
    let (records, emergency) = (Default::default(), None);
    pallet_openings::Call::ask { hospital, patient, records, purpose, emergency }.into()
}

/// The calls about credentials that a hospital makes.
fn about_credentials() -> [RuntimeCall; 2] {
    let (user, attribute) = (*PATIENT, AttributeId(0));
    [
        pallet_credentials::Call::issue { user, attribute, until: 1 }.into(),
        pallet_credentials::Call::revoke { user, attribute }.into(),
    ]
}

fn name_attribute() -> RuntimeCall {
    pallet_credentials::Call::name_attribute { name: Default::default() }.into()
}

fn judge() -> RuntimeCall {
    pallet_releases::Call::judge { review: ReviewId(0), justified: true }.into()
}

fn note() -> RuntimeCall {
    pallet_releases::Call::note { records: Default::default() }.into()
}

pub fn rotate_keys() -> RuntimeCall {
    pallet_profiles::Call::rotate_keys { account: None, sealing_key_hash: Some(Default::default()) }
        .into()
}

pub fn announce() -> RuntimeCall {
    announcement(A, &[*PATIENT], 1).into()
}

fn set_code() -> RuntimeCall {
    frame_system::Call::set_code { code: vec![0] }.into()
}

pub fn batch(calls: Vec<RuntimeCall>) -> RuntimeCall {
    pallet_utility::Call::batch { calls }.into()
}

fn suspend_itself() -> RuntimeCall {
    pallet_hospitals::Call::suspend { hospital: A }.into()
}

#[test]
fn an_unknown_account_is_rejected() {
    local(|_| {
        assert_eq!(refused("Eve", relate()), Some(UnknownAccount));
        assert_eq!(refused("Alice//stash", approve()), Some(UnknownAccount));
    });
}

#[test]
fn an_agent_can_make_only_the_workers_calls() {
    local(|_| {
        for call in [
            approve(),
            relate(),
            announce(),
            refuse(),
            transfer(),
            place_by_kind(),
            batch(vec![approve(), relate(), transfer()]),
        ] {
            assert_eq!(refused("Alice//agent", call), None);
        }
        for call in parts_of_openings().into_iter().chain(parts_of_custody()) {
            assert_eq!(refused("Alice//agent", call), None);
        }
        for call in about_custodians() {
            assert_eq!(refused("Alice//agent", call), Some(CallNotForRole));
        }
        assert_eq!(refused("Alice//agent", ask_for_opening()), Some(CallNotForRole));
        for call in about_queries().into_iter().chain(about_credentials()).chain(about_sharing()) {
            assert_eq!(refused("Alice//agent", call), Some(CallNotForRole));
        }
        assert_eq!(refused("Alice//agent", name_attribute()), Some(CallNotForRole));
        for call in [set_policies(), judge(), rotate_keys(), suspend_itself(), set_code(), note()] {
            assert_eq!(refused("Alice//agent", call), Some(CallNotForRole));
        }
    });
}

#[test]
fn a_governance_account_can_make_only_the_hospitals_calls() {
    local(|_| {
        let propose = pallet_collective::Call::propose {
            threshold: 3,
            proposal: Box::new(suspend_itself()),
            length_bound: 100,
        };
        assert_eq!(refused("Alice", RuntimeCall::Council(propose)), None);
        assert_eq!(refused("Alice", set_policies()), None);
        assert_eq!(refused("Alice", judge()), None);
        assert_eq!(refused("Alice", refuse()), Some(CallNotForRole));
        assert_eq!(refused("Alice", transfer()), Some(CallNotForRole));
        assert_eq!(refused("Alice", place_by_kind()), Some(CallNotForRole));
        for call in about_queries().into_iter().chain(about_sharing()) {
            assert_eq!(refused("Alice", call), Some(CallNotForRole));
        }
        for call in parts_of_openings().into_iter().chain([ask_for_opening()]) {
            assert_eq!(refused("Alice", call), Some(CallNotForRole));
        }
        for call in parts_of_custody().into_iter().chain(about_custodians()) {
            assert_eq!(refused("Alice", call), Some(CallNotForRole));
        }
        for call in about_credentials() {
            assert_eq!(refused("Alice", batch(vec![call.clone()])), None);
            assert_eq!(refused("Alice", call), None);
        }
        assert_eq!(refused("Alice", name_attribute()), Some(CallNotForRole));
        let purge_keys = RuntimeCall::Session(pallet_session::Call::purge_keys {});
        assert_eq!(refused("Alice", purge_keys), Some(CallNotForRole));
        for call in
            [approve(), relate(), announce(), rotate_keys(), suspend_itself(), set_code(), note()]
        {
            assert_eq!(refused("Alice", call), Some(CallNotForRole));
        }
    });
}

#[test]
fn a_user_can_make_only_users_calls() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        assert_eq!(refused(&patient, relate()), None);
        assert_eq!(refused(&patient, rotate_keys()), None);
        // A quota covers only some calls of one user.
        let others = [note(), ask_for_opening()];
        let calls = about_queries().into_iter().chain(about_sharing()).chain(others);
        for (call, number) in calls.zip(20..) {
            register("Alice//agent", user(number), Role::Patient);
            assert_eq!(refused(&user_seed(user(number)), call), None);
        }
        for call in about_credentials().into_iter().chain([name_attribute()]) {
            assert_eq!(refused(&patient, call), Some(CallNotForRole));
        }
        for call in parts_of_openings() {
            assert_eq!(refused(&patient, call), Some(CallNotForRole));
        }
        for call in parts_of_custody().into_iter().chain(about_custodians()) {
            assert_eq!(refused(&patient, call), Some(CallNotForRole));
        }
        for call in [
            approve(),
            announce(),
            set_policies(),
            refuse(),
            judge(),
            suspend_itself(),
            set_code(),
            transfer(),
            place_by_kind(),
        ] {
            assert_eq!(refused(&patient, call), Some(CallNotForRole));
        }
        assert_eq!(refused(&patient, batch(vec![relate()])), Some(CallNotForRole));
        assert_eq!(refused(&patient, batch(vec![sharing::place(1)])), Some(CallNotForRole));
    });
}

#[test]
fn nobody_can_make_a_call_without_a_signature() {
    local(|_| {
        for call in [
            relate(),
            announce(),
            sharing::place(1),
            suspend_itself(),
            set_code(),
            batch(vec![approve()]),
        ] {
            let bare = UncheckedExtrinsic::new_bare(call);
            assert_eq!(Executive::apply_extrinsic(bare), Err(InvalidTransaction::Call.into()));
        }
    });
}

#[test]
fn a_suspended_hospitals_accounts_are_rejected() {
    local(|_| {
        let council = RuntimeOrigin::from(pallet_collective::RawOrigin::Members(3, 4));
        Hospitals::suspend(council, B).unwrap();
        assert_eq!(refused("Bob", set_policies()), Some(HospitalNotActive));
        assert_eq!(refused("Bob//agent", approve()), Some(HospitalNotActive));
        assert_eq!(refused("Charlie//agent", approve()), None);
    });
}

fn about_hospitals() -> [pallet_hospitals::Call<Runtime>; 3] {
    use pallet_hospitals::Call;
    [Call::leave {}, Call::complete_replacement { hospital: B }, Call::object_to_replacement {}]
}

#[test]
fn only_an_agent_says_that_its_hospital_is_ready_and_only_governance_lets_it_leave() {
    local(|_| {
        let ready = || pallet_hospitals::Call::<Runtime>::ready {};
        assert_eq!(refused("Alice//agent", ready()), None);
        assert_eq!(refused("Alice", ready()), Some(CallNotForRole));
        for call in about_hospitals() {
            assert_eq!(refused("Alice//agent", call), Some(CallNotForRole));
        }
        register("Alice//agent", *PATIENT, Role::Patient);
        for call in about_hospitals().into_iter().chain([ready()]) {
            assert_eq!(refused(&user_seed(*PATIENT), call), Some(CallNotForRole));
        }
    });
}

#[test]
fn a_leaving_hospital_serves_its_patients_and_takes_part_in_nothing() {
    local(|_| {
        register("Bob//agent", *PATIENT, Role::Patient);
        apply("Bob", pallet_hospitals::Call::<Runtime>::leave {}).unwrap().unwrap();
        let [keep, claim, hand_out] = parts_of_custody();
        let serves = [refuse(), relate(), place_by_kind(), transfer(), keep, hand_out];
        for call in serves.into_iter().chain(parts_of_openings()) {
            assert_eq!(refused("Bob//agent", call.clone()), None, "{call:?}");
        }
        let object = pallet_profiles::Call::<Runtime>::object { user: *PATIENT };
        assert_eq!(refused("Bob//agent", object), None);
        let ready = RuntimeCall::from(pallet_hospitals::Call::ready {});
        let propose = pallet_profiles::Call::complete_recovery { user: *PATIENT, decision: None };
        for call in [approve(), announce(), claim, ready, propose.into()] {
            let mixed = batch(vec![relate(), approve()]);
            assert_eq!(refused("Bob//agent", call.clone()), Some(HospitalLeaving), "{call:?}");
            assert_eq!(refused("Bob//agent", mixed), Some(HospitalLeaving));
        }

        let [issue, revoke] = about_credentials();
        for call in [set_policies(), revoke] {
            assert_eq!(refused("Bob", call.clone()), None, "{call:?}");
        }
        let motion = pallet_collective::Call::propose {
            threshold: 2,
            proposal: Box::new(suspend_itself()),
            length_bound: 100,
        };
        for call in [issue, judge(), RuntimeCall::Council(motion)] {
            assert_eq!(refused("Bob", call.clone()), Some(HospitalLeaving), "{call:?}");
        }
        for call in about_hospitals() {
            assert_eq!(refused("Bob", call), Some(HospitalLeaving));
        }
        assert_eq!(refused(&user_seed(*PATIENT), relate()), None, "its users go on");
    });
}

#[test]
fn a_batch_can_contain_only_the_roles_calls_without_bodies() {
    local(|_| {
        for call in [announce(), batch(vec![approve()]), set_policies()] {
            assert_eq!(
                refused("Alice//agent", batch(vec![approve(), call])),
                Some(CallNotForBatch)
            );
        }
        let (previous, body) = (Default::default(), vec![1]);
        let update = pallet_profiles::Call::<Runtime>::update { user: *PATIENT, previous, body };
        assert_eq!(refused("Alice//agent", batch(vec![update.into()])), Some(CallNotForBatch));
        let [wrap, hand_out] = parts_of_openings();
        assert_eq!(refused("Alice//agent", batch(vec![wrap])), Some(CallNotForBatch));
        assert_eq!(refused("Alice//agent", batch(vec![hand_out])), None);
        // A hospital may have thousands of patients.
        assert_eq!(refused("Alice//agent", batch(parts_of_custody().to_vec())), None);
        for call in about_custodians() {
            let refusal = refused("Alice//agent", batch(vec![call]));
            assert_eq!(refusal, Some(CallNotForBatch));
        }
        let hidden = pallet_utility::Call::as_derivative { index: 0, call: Box::new(announce()) };
        assert_eq!(refused("Alice//agent", RuntimeCall::Utility(hidden)), Some(CallNotForRole));
    });
}

#[test]
fn a_batch_has_at_most_64_calls() {
    local(|_| {
        assert_eq!(refused("Alice//agent", batch(vec![relate(); 64])), None);
        assert_eq!(refused("Alice//agent", batch(vec![relate(); 65])), Some(BatchTooLong));
    });
}

fn by_agent(agent: &str, call: pallet_profiles::Call<Runtime>) {
    apply(agent, call).unwrap().unwrap();
}

#[test]
fn a_user_without_a_registration_in_force_is_rejected() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        by_agent("Alice//agent", pallet_profiles::Call::suspend { user: *PATIENT });
        assert_eq!(refused(&patient, relate()), Some(NotInForce));
        assert_eq!(refused(&patient, rotate_keys()), Some(NotInForce));
        by_agent("Alice//agent", pallet_profiles::Call::reinstate { user: *PATIENT });
        assert_eq!(refused(&patient, relate()), None);
        by_agent("Alice//agent", pallet_profiles::Call::end_registration { user: *PATIENT });
        assert_eq!(refused(&patient, relate()), Some(NotInForce));
    });
}

fn used_to_end_access(hospital: HospitalId) -> u64 {
    Quotas::usage(&Holder::Hospital(hospital), Lane::Ending).ref_time
}

/// The hospital is the only one of the patient, and wants to go on releasing shared sections.
#[test]
fn a_hospital_cannot_stop_its_patient_from_ending_a_consent() {
    local(|chain| {
        committed(chain);
        let patient = user_seed(*PATIENT);
        assert_eq!(refused(&patient, sharing::place(0b11)), None);
        assert_eq!(refused(&patient, sharing::give()), None);
        by_agent("Alice//agent", pallet_profiles::Call::suspend { user: *PATIENT });
        assert_eq!(used_to_end_access(A), 0);
        assert_eq!(refused(&patient, sharing::remove(0b01)), None);
        let once = used_to_end_access(A);
        assert!(once > 0);
        for call in [sharing::place(1), sharing::give(), relate(), rotate_keys()] {
            assert_eq!(refused(&patient, call), Some(NotInForce));
        }
        // What is not placed is not removed, so it spends nothing.
        assert_eq!(refused(&patient, sharing::remove(0b01)), Some(NotInForce));
        assert_eq!(refused(&patient, sharing::remove_twice(0b10)), Some(NotInForce));
        by_agent("Alice//agent", pallet_profiles::Call::end_registration { user: *PATIENT });
        assert_eq!(refused(&patient, sharing::withdraw()), None);
        assert!(used_to_end_access(A) > once);
        assert_eq!(refused(&patient, sharing::withdraw()), Some(NotInForce), "it is withdrawn");
        Hospitals::suspend(council(), A).unwrap();
        assert_eq!(refused(&patient, sharing::remove(0b10)), Some(NotInForce));
    });
}

/// The hospital is the only one of the patient, and is the mailbox of an acceptance, or a friend of the requester.
#[test]
fn a_hospital_cannot_stop_its_patient_from_withdrawing_an_acceptance() {
    local(|chain| {
        accepted(chain);
        let patient = user_seed(*PATIENT);
        by_agent("Alice//agent", pallet_profiles::Call::suspend { user: *PATIENT });
        by_agent("Alice//agent", pallet_profiles::Call::end_registration { user: *PATIENT });
        for call in about_queries() {
            let expected = if call == withdraw_query() { None } else { Some(NotInForce) };
            assert_eq!(refused(&patient, call), expected);
        }
        assert_eq!(refused(&patient, withdraw_query()), Some(NotInForce), "it is withdrawn");
    });
}

/// Former users of a hospital would otherwise spend what its users have.
#[test]
fn only_the_party_who_ends_access_spends_the_budget_of_a_former_hospital() {
    local(|chain| {
        accepted(chain);
        let stranger = user(9);
        register("Alice//agent", stranger, Role::Patient);
        by_agent("Alice//agent", pallet_profiles::Call::end_registration { user: stranger });
        by_agent("Bob//agent", pallet_profiles::Call::end_registration { user: user(8) });
        let unknown = pallet_queries::Call::<Runtime>::withdraw { query: QueryId(9) };
        let refuse = pallet_queries::Call::<Runtime>::refuse { query: QueryId(0) };
        let ending = [sharing::remove(1), sharing::withdraw(), unknown.into(), refuse.into()];
        for call in ending.into_iter().chain([withdraw_query()]) {
            for seed in [user_seed(stranger), user_seed(user(8))] {
                assert_eq!(refused(&seed, call.clone()), Some(NotInForce), "{call:?}");
            }
        }
        assert_eq!((used_to_end_access(A), used_to_end_access(B)), (0, 0));
        assert_eq!(refused(&user_seed(*PATIENT), withdraw_query()), None);
    });
}

#[test]
fn a_removal_is_debited_to_a_former_hospital_if_the_present_one_has_used_up_its_budget() {
    local(|chain| {
        committed(chain);
        let patient = user_seed(*PATIENT);
        assert_eq!(refused(&patient, sharing::place(0b11)), None);
        by_agent("Alice//agent", pallet_profiles::Call::end_registration { user: *PATIENT });
        register("Bob//agent", *PATIENT, Role::Patient);
        assert_eq!(refused(&patient, sharing::remove(0b01)), None);
        let used = (used_to_end_access(A), used_to_end_access(B) > 0);
        assert_eq!(used, (0, true), "the present one is the first");
        let budget = CurrentLimits::<Runtime>::get().endings.hospital;
        let cost = Cost { ref_time: budget.ref_time, bytes: budget.bytes };
        let signer = Holder::User(UserId([99; 32]));
        Quotas::debit(&Debit { signer, hospital: Some(B), lane: Lane::Ending, cost });
        // Rotations have another budget.
        assert_eq!(refused(&patient, rotate_keys()), None);
        assert_eq!(refused(&patient, sharing::remove(0b10)), None);
        assert!(used_to_end_access(A) > 0);
    });
}

#[test]
fn the_users_of_a_suspended_or_removed_hospital_are_rejected() {
    local(|_| {
        register("Bob//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        let council = || RuntimeOrigin::from(pallet_collective::RawOrigin::Members(3, 4));
        Hospitals::suspend(council(), B).unwrap();
        assert_eq!(refused(&patient, relate()), Some(HospitalNotActive));
        Hospitals::reinstate(council(), B).unwrap();
        assert_eq!(refused(&patient, relate()), None);
        Hospitals::remove(council(), B).unwrap();
        assert_eq!(refused(&patient, relate()), Some(HospitalNotActive));
    });
}

#[test]
fn another_hospital_answers_for_the_users_of_a_removed_one() {
    local(|_| {
        register("Bob//agent", *PATIENT, Role::Patient);
        let patient = key(&user_seed(*PATIENT));
        let naming = Naming::Registration { hospital: A, user: *PATIENT, version: 0 };
        let register = pallet_profiles::Call::register {
            user: *PATIENT,
            role: Role::Patient,
            account: account(&patient),
            sealing_key_hash: SEALING_KEY,
            consent: consent(&patient, naming),
            body: b"another sealed profile".to_vec(),
        };
        by_agent("Alice//agent", register);
        let council = RuntimeOrigin::from(pallet_collective::RawOrigin::Members(3, 4));
        Hospitals::remove(council, B).unwrap();
        assert_eq!(refused(&user_seed(*PATIENT), relate()), None);
        let used = |hospital| Quotas::usage(&Holder::Hospital(hospital), Lane::User).ref_time;
        assert!(used(A) > 0);
        assert_eq!(used(B), 0);
    });
}

/// Users whom a hostile hospital registered use up the hospital's budget.
#[test]
fn a_hostile_hospital_cannot_lock_out_its_former_patients() {
    local(|_| {
        register("Bob//agent", *PATIENT, Role::Patient);
        register("Alice//agent", *PATIENT, Role::Patient);
        for lane in [Lane::User, Lane::Rotation] {
            let budget = CurrentLimits::<Runtime>::get().of(lane).hospital;
            let signer = Holder::User(UserId([99; 32]));
            let cost = Cost { ref_time: budget.ref_time, bytes: budget.bytes };
            Quotas::debit(&Debit { signer, hospital: Some(B), lane, cost });
        }
        assert_eq!(refused(&user_seed(*PATIENT), relate()), None);
        assert_eq!(refused(&user_seed(*PATIENT), rotate_keys()), None);
        for lane in [Lane::User, Lane::Rotation] {
            assert!(Quotas::usage(&Holder::Hospital(A), lane).ref_time > 0);
        }
    });
}
