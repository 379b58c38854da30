//! Mandates on the real chain: who may give and end them, and who pays for that.

use epione_primitives::{
    HospitalId, Moment, QueryId, UserId, limits::DAY_MILLIS, profile::Role, refusal::Refusal::*,
};
use epione_runtime::{Hospitals, Mandates, Quotas, Runtime, RuntimeCall, Timestamp};
use pallet_quotas::{Cost, CurrentLimits, Debit, Holder, Lane};
use sp_runtime::DispatchError;

use crate::{
    caller::refused,
    chain::{A, B, PATIENT, apply, council, local, register, user, user_seed},
    queries::{FIRST, acceptance, committed, question},
};

type Call = pallet_mandates::Call<Runtime>;
type Error = pallet_queries::Error<Runtime>;

/// Registered at B.
fn mother() -> UserId {
    user(60)
}

fn tomorrow() -> Moment {
    Timestamp::get().saturating_add(DAY_MILLIS)
}

fn appoint(representative: UserId) -> RuntimeCall {
    let until = tomorrow().saturating_add(DAY_MILLIS);
    Call::appoint { representative, until }.into()
}

fn dismiss(representative: UserId) -> RuntimeCall {
    Call::dismiss { patient: *PATIENT, representative }.into()
}

fn send(seed: &str, call: impl Into<RuntimeCall>) -> Result<(), DispatchError> {
    apply(seed, call).unwrap()
}

fn used_to_end_access(hospital: HospitalId) -> u64 {
    Quotas::usage(&Holder::Hospital(hospital), Lane::Ending).ref_time
}

#[test]
fn users_alone_make_the_calls_about_mandates() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        register("Bob//agent", mother(), Role::Patient);
        let calls = || {
            let authorize = Call::authorize { hospital: A, until: tomorrow() };
            let revoke = Call::revoke { hospital: A };
            let entrust = Call::entrust { hospital: A, until: tomorrow() };
            let end_custody = Call::end_custody { hospital: A };
            [
                appoint(mother()),
                dismiss(mother()),
                authorize.into(),
                revoke.into(),
                entrust.into(),
                end_custody.into(),
            ]
        };
        for call in calls() {
            for seed in ["Alice", "Alice//agent"] {
                assert_eq!(refused(seed, call.clone()), Some(CallNotForRole), "{call:?}");
            }
        }
        let patient = user_seed(*PATIENT);
        let [appoint, dismiss, authorize, revoke, entrust, end_custody] = calls();
        send(&patient, appoint).unwrap();
        assert!(Mandates::representation_now(mother(), *PATIENT).is_some());
        send(&patient, dismiss).unwrap();
        send(&patient, authorize).unwrap();
        assert!(Mandates::can_revoke(*PATIENT, A));
        send(&patient, revoke).unwrap();
        send(&patient, entrust).unwrap();
        assert!(Mandates::can_end_custody(*PATIENT, A));
        send(&patient, end_custody).unwrap();
        assert!(!Mandates::can_end_custody(*PATIENT, A));
    });
}

/// The hospital is the only one of the patient, and a friend of the representative.
#[test]
fn no_hospital_keeps_a_mandate_in_force() {
    local(|chain| {
        committed(chain);
        register("Bob//agent", mother(), Role::Patient);
        let (patient, authorize) =
            (user_seed(*PATIENT), Call::authorize { hospital: A, until: tomorrow() });
        send(&patient, appoint(mother())).unwrap();
        send(&patient, authorize).unwrap();
        chain.next_block();
        send("Alice//agent", pallet_profiles::Call::<Runtime>::suspend { user: *PATIENT }).unwrap();
        assert_eq!(refused(&patient, appoint(mother())), Some(NotInForce));
        let before = used_to_end_access(A);
        assert_eq!(refused(&patient, dismiss(mother())), None);
        assert_eq!(Mandates::representation_now(mother(), *PATIENT), None);
        assert_eq!(refused(&patient, Call::revoke { hospital: A }), None);
        assert!(used_to_end_access(A) > before);
        for call in [dismiss(mother()), Call::revoke { hospital: A }.into()] {
            assert_eq!(refused(&patient, call), Some(NotInForce), "it is over");
        }
    });
}

#[test]
fn the_hospital_of_the_representative_answers_if_the_patients_is_suspended() {
    local(|chain| {
        committed(chain);
        register("Bob//agent", mother(), Role::Patient);
        send(&user_seed(*PATIENT), appoint(mother())).unwrap();
        Hospitals::suspend(council(), A).unwrap();
        assert_eq!(used_to_end_access(B), 0);
        assert_eq!(refused(&user_seed(*PATIENT), dismiss(mother())), None);
        assert!(used_to_end_access(B) > 0);
    });
}

/// A patient may appoint and dismiss a stranger, whose hospital pays nothing for it.
#[test]
fn a_patient_of_an_active_hospital_spends_no_budget_of_the_representatives_hospital() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        register("Bob//agent", mother(), Role::Patient);
        let patient = user_seed(*PATIENT);
        send(&patient, appoint(mother())).unwrap();
        let budget = CurrentLimits::<Runtime>::get().endings.hospital;
        let cost = Cost { ref_time: budget.ref_time, bytes: budget.bytes };
        let signer = Holder::User(user(30));
        Quotas::debit(&Debit { signer, hospital: Some(A), lane: Lane::Ending, cost });
        assert_eq!(refused(&patient, dismiss(mother())), Some(HospitalQuotaExceeded));
        assert_eq!(used_to_end_access(B), 0);
    });
}

#[test]
fn a_representative_answers_a_query_and_a_dismissal_ends_the_acceptance() {
    local(|chain| {
        committed(chain);
        register("Bob//agent", mother(), Role::Patient);
        send("user-7", appoint(mother())).unwrap();
        for _ in 0..2 {
            send("user-8", question(&[FIRST])).unwrap();
            chain.next_block();
        }
        let [first, second] = [QueryId(0), QueryId(1)];
        for query in [first, second] {
            send(&user_seed(mother()), acceptance(query)).unwrap();
            chain.next_block();
        }
        let transfer =
            |query| send("Alice//agent", pallet_queries::Call::<Runtime>::transfer { query });
        transfer(first).unwrap();
        send("user-7", dismiss(mother())).unwrap();
        assert_eq!(transfer(second), Err(Error::RepresentationOver.into()));
        send("user-7", appoint(mother())).unwrap();
        assert_eq!(transfer(second), Err(Error::RepresentationOver.into()), "it is not revived");
    });
}

/// A mother is appointed when the child is born, until the child is of age.
#[test]
fn on_the_day_on_which_a_child_is_of_age_the_child_answers_and_the_mother_does_not() {
    const CHILDHOOD: u64 = 18 * 365 * DAY_MILLIS;
    local(|chain| {
        committed(chain);
        register("Bob//agent", mother(), Role::Patient);
        let mothers = user_seed(mother());
        let of_age = Timestamp::get() + CHILDHOOD;
        let until_of_age = Call::appoint { representative: mother(), until: of_age };
        send("user-7", until_of_age).unwrap();

        chain.sleep(CHILDHOOD - 2 * DAY_MILLIS);
        let [by_mother, by_child] = [QueryId(0), QueryId(1)];
        send("user-8", question(&[FIRST])).unwrap();
        chain.next_block();
        send(&mothers, acceptance(by_mother)).unwrap();

        chain.sleep(2 * DAY_MILLIS);
        assert!(Timestamp::get() >= of_age);
        assert_eq!(Mandates::representation_now(mother(), *PATIENT), None);
        let transfer = pallet_queries::Call::<Runtime>::transfer { query: by_mother };
        assert_eq!(send("Alice//agent", transfer), Err(Error::Over.into()));
        send("user-8", question(&[FIRST])).unwrap();
        chain.next_block();
        let answered = send(&mothers, acceptance(by_child));
        assert_eq!(answered, Err(Error::NotPatient.into()));
        send("user-7", acceptance(by_child)).unwrap();
        let transfer = pallet_queries::Call::<Runtime>::transfer { query: by_child };
        send("Alice//agent", transfer).unwrap();
    });
}
