//! A query from the question to the transfer, with hospitals, profiles, lite-blocks and queries together.

use std::sync::LazyLock;

use codec::Encode;
use epione_primitives::{
    Hash, HospitalId, QueryId, RecordPointer, UserId,
    access::Purpose,
    api::runtime_decl_for_queries_api::QueriesApi,
    hospital::Duty,
    limits::{
        DAY_MILLIS, MAX_QUERIED_RECORDS, MAX_QUERY_BLOCKS, MAX_SEALED_TERMS_BYTES,
        MAX_USER_TRANSACTION_BYTES,
    },
    profile::Role,
    query::{QueriedRecords, SealedTermsBytes},
    refusal::Refusal,
    release::{ReleasedRecord, SectionSet},
};
use epione_runtime::{
    Hospitals, Profiles, Quotas, Runtime, RuntimeCall, RuntimeOrigin, System, Timestamp,
};
use frame_support::traits::Get;
use pallet_quotas::{Cost, CurrentLimits, Debit, Holder, Lane, Limits};
use sp_runtime::DispatchError;

use crate::{
    caller::{refused, relate},
    chain::{
        A, B, Chain, PATIENT, SEALING_KEY, account, announcement, apply, approve, council,
        counts_once, key, local, register, signed, user, user_seed, validate,
    },
    sharing,
};

pub static RESEARCHER: LazyLock<UserId> = LazyLock::new(|| user(8));
pub const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };
const GRANT: Hash = Hash::repeat_byte(3);

type Call = pallet_queries::Call<Runtime>;
type Error = pallet_queries::Error<Runtime>;

/// Commits a record of the patient at hospital A. The researcher is registered at hospital B.
pub fn committed(chain: &mut Chain) {
    register("Alice//agent", *PATIENT, Role::Patient);
    register("Bob//agent", *RESEARCHER, Role::Researcher);
    apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
    chain.next_block();
    approve("Bob//agent", 0);
    approve("Charlie//agent", 0);
    chain.next_block();
}

fn records(pointers: &[RecordPointer]) -> QueriedRecords {
    let record = |&pointer| ReleasedRecord { pointer, sections: SectionSet(0b11) };
    QueriedRecords::truncate_from(pointers.iter().map(record).collect())
}

pub fn question(pointers: &[RecordPointer]) -> Call {
    Call::ask {
        hospital: B,
        patient: *PATIENT,
        patient_key: SEALING_KEY,
        records: records(pointers),
        purpose: Purpose::Research,
        expires: System::block_number() + MAX_QUERY_BLOCKS,
        terms: SealedTermsBytes::truncate_from(vec![7; MAX_SEALED_TERMS_BYTES as usize]),
    }
}

/// What the patient considers now, before the patient accepts.
fn considered(query: QueryId) -> Hash {
    let asked = Runtime::query(query).unwrap();
    let profile = Profiles::profile(asked.requester).unwrap();
    asked.considered(query, &profile.account, profile.sealing_key_hash)
}

/// The patient's acceptance, with hospital A as the mailbox.
pub fn acceptance(query: QueryId) -> Call {
    Call::accept {
        query,
        considered: considered(query),
        records: records(&[FIRST]),
        grant: GRANT,
        until: Timestamp::get() + DAY_MILLIS,
        mailbox: A,
    }
}

fn with_mailbox(hospital: HospitalId) -> Call {
    let mut call = acceptance(QUERY);
    if let Call::accept { mailbox, .. } = &mut call {
        *mailbox = hospital;
    }
    call
}

fn send(seed: &str, call: Call) -> Result<(), DispatchError> {
    apply(seed, call).unwrap()
}

const QUERY: QueryId = QueryId(0);

/// Asks and accepts.
pub fn accepted(chain: &mut Chain) {
    committed(chain);
    send("user-8", question(&[FIRST])).unwrap();
    chain.next_block();
    send("user-7", acceptance(QUERY)).unwrap();
    chain.next_block();
}

#[test]
fn a_query_is_asked_accepted_and_transferred() {
    local(|chain| {
        committed(chain);
        send("user-8", question(&[FIRST])).unwrap();
        assert_eq!(Runtime::terms(QUERY).map(|terms| terms.len()), Some(2_560));
        let asked = Runtime::query(QUERY).unwrap();
        assert_eq!((asked.requester, asked.patient), (*RESEARCHER, *PATIENT));
        assert_eq!(Runtime::patient_queries(*PATIENT, None, 8), [(0, QUERY, asked.clone())]);
        assert_eq!(Runtime::requester_queries(*RESEARCHER, None, 8), [(0, QUERY, asked)]);
        chain.next_block();
        assert_eq!(send("Alice//agent", Call::transfer { query: QUERY }), Err(not_accepted()));
        send("user-7", acceptance(QUERY)).unwrap();
        let query = Runtime::query(QUERY).unwrap();
        let acceptance = query.acceptance().unwrap();
        assert_eq!(acceptance.audience, account(&key("user-8")));
        assert_eq!(acceptance.sealing_key, SEALING_KEY);
        assert_eq!(Runtime::terms(QUERY), None);
        chain.next_block();
        let by_another = send("Bob//agent", Call::transfer { query: QUERY });
        assert_eq!(by_another, Err(Error::NotMailbox.into()));
        assert_eq!(Runtime::transfer(QUERY), None);
        send("Alice//agent", Call::transfer { query: QUERY }).unwrap();
        let transfer = Runtime::transfer(QUERY).unwrap();
        assert_eq!((transfer.hospital, transfer.grant), (A, GRANT));
    });
}

fn not_accepted() -> DispatchError {
    Error::NotAccepted.into()
}

#[test]
fn nobody_asks_for_records_of_another_patient() {
    local(|chain| {
        committed(chain);
        register("Alice//agent", user(9), Role::Patient);
        let mut call = question(&[FIRST]);
        if let Call::ask { patient, .. } = &mut call {
            *patient = user(9);
        }
        assert_eq!(send("user-8", call), Err(Error::UnknownRecord.into()));
        let beyond = RecordPointer { height: 1, index: 1 };
        assert_eq!(send("user-8", question(&[beyond])), Err(Error::UnknownRecord.into()));
    });
}

/// Somebody who saw the transactions sends them again.
#[test]
fn a_query_its_acceptance_and_its_transfer_count_once_however_often_they_are_sent() {
    local(|chain| {
        committed(chain);
        counts_once(chain, "user-8", question(&[FIRST]));
        counts_once(chain, "user-7", acceptance(QUERY));
        counts_once(chain, "Alice//agent", Call::transfer { query: QUERY });
        assert_eq!(Runtime::patient_queries(*PATIENT, None, 8).len(), 1);
    });
}

#[test]
fn a_rotation_of_the_requester_ends_an_acceptance() {
    local(|chain| {
        accepted(chain);
        let rotate = pallet_profiles::Call::<Runtime>::rotate_keys {
            account: None,
            sealing_key_hash: Some(Hash::repeat_byte(9)),
        };
        apply("user-8", rotate).unwrap().unwrap();
        let transferred = send("Alice//agent", Call::transfer { query: QUERY });
        assert_eq!(transferred, Err(Error::RequesterChanged.into()));
    });
}

/// The patient looked at the query before the requester, or a thief of the requester's key, rotated the keys.
#[test]
fn a_rotation_after_the_patient_considered_a_query_prevents_the_acceptance() {
    local(|chain| {
        committed(chain);
        send("user-8", question(&[FIRST])).unwrap();
        let call = acceptance(QUERY);
        let rotate = pallet_profiles::Call::<Runtime>::rotate_keys {
            account: None,
            sealing_key_hash: Some(Hash::repeat_byte(9)),
        };
        apply("user-8", rotate).unwrap().unwrap();
        assert_eq!(send("user-7", call), Err(Error::RequesterChanged.into()));
        send("user-7", acceptance(QUERY)).unwrap();
    });
}

#[test]
fn a_requester_whom_the_hospital_suspended_gets_nothing() {
    local(|chain| {
        accepted(chain);
        let suspend = pallet_profiles::Call::<Runtime>::suspend { user: *RESEARCHER };
        apply("Bob//agent", suspend).unwrap().unwrap();
        let transferred = send("Alice//agent", Call::transfer { query: QUERY });
        assert_eq!(transferred, Err(Error::NotInForce.into()));
    });
}

/// The hospital of the patient is the mailbox, and wants to hand out the grant.
#[test]
fn a_patient_whom_the_only_hospital_suspended_withdraws_an_acceptance() {
    local(|chain| {
        accepted(chain);
        let suspend = pallet_profiles::Call::<Runtime>::suspend { user: *PATIENT };
        apply("Alice//agent", suspend).unwrap().unwrap();
        send("user-7", Call::withdraw { query: QUERY }).unwrap();
        assert_eq!(send("Alice//agent", Call::transfer { query: QUERY }), Err(not_accepted()));
    });
}

fn used(hospital: HospitalId) -> u64 {
    Quotas::usage(&Holder::Hospital(hospital), Lane::Ending).ref_time
}

/// The council suspends the only hospital of the patient. The mailbox is another hospital, and hands out the grant.
#[test]
fn a_patient_of_a_suspended_hospital_withdraws_an_acceptance() {
    local(|chain| {
        committed(chain);
        send("user-8", question(&[FIRST])).unwrap();
        send("user-7", with_mailbox(B)).unwrap();
        chain.next_block();
        Hospitals::suspend(council(), A).unwrap();
        assert_eq!(used(B), 0);
        send("user-7", Call::withdraw { query: QUERY }).unwrap();
        assert!(used(B) > 0, "the mailbox answers");
        assert_eq!(send("Bob//agent", Call::transfer { query: QUERY }), Err(not_accepted()));
    });
}

/// The requester's hospital answers.
#[test]
fn a_patient_of_a_suspended_hospital_refuses_a_query() {
    local(|chain| {
        committed(chain);
        send("user-8", question(&[FIRST])).unwrap();
        Hospitals::suspend(council(), A).unwrap();
        assert_eq!(refused("user-7", acceptance(QUERY)), Some(Refusal::HospitalNotActive));
        send("user-7", Call::refuse { query: QUERY }).unwrap();
        assert!(used(B) > 0);
    });
}

#[test]
fn a_requester_whose_only_hospital_is_suspended_withdraws_once_the_hospital_is_active() {
    local(|chain| {
        committed(chain);
        send("user-8", question(&[FIRST])).unwrap();
        let withdraw = || Call::withdraw { query: QUERY };
        let suspend = pallet_profiles::Call::<Runtime>::suspend { user: *RESEARCHER };
        apply("Bob//agent", suspend).unwrap().unwrap();
        Hospitals::suspend(council(), B).unwrap();
        assert_eq!(refused("user-8", withdraw()), Some(Refusal::NotInForce));
        Hospitals::reinstate(council(), B).unwrap();
        send("user-8", withdraw()).unwrap();
    });
}

/// Uses up what users have, of a hospital and of one user.
fn exhaust(hospital: HospitalId, signer: UserId) {
    let budget = CurrentLimits::<Runtime>::get().users.hospital;
    let cost = Cost { ref_time: budget.ref_time, bytes: budget.bytes };
    let (signer, hospital) = (Holder::User(signer), Some(hospital));
    Quotas::debit(&Debit { signer, hospital, lane: Lane::User, cost });
}

#[test]
fn puppets_of_a_hospital_neither_starve_a_withdrawal_nor_does_a_transfer_overtake_it() {
    local(|chain| {
        accepted(chain);
        exhaust(A, user(30));
        assert_eq!(refused("user-7", relate()), Some(Refusal::HospitalQuotaExceeded));
        let withdraw = || Call::withdraw { query: QUERY };
        let priority =
            |seed: &str, call: Call| validate(signed(&key(seed), call)).unwrap().priority;
        let of_transfer = priority("Alice//agent", Call::transfer { query: QUERY });
        assert!(priority("user-7", withdraw()) > of_transfer);
        send("user-7", withdraw()).unwrap();
        // A call that ends nothing has no priority.
        assert_eq!(refused("user-7", withdraw()), Some(Refusal::HospitalQuotaExceeded));
    });
}

#[test]
fn puppets_of_a_hospital_starve_neither_a_refusal_nor_the_end_of_a_consent() {
    local(|chain| {
        committed(chain);
        send("user-8", question(&[FIRST])).unwrap();
        apply("user-7", sharing::place(1)).unwrap().unwrap();
        apply("user-7", sharing::give()).unwrap().unwrap();
        // The patient's own budget is used up, too.
        exhaust(A, *PATIENT);
        exhaust(B, *PATIENT);
        assert_eq!(refused("user-7", relate()), Some(Refusal::QuotaExceeded));
        send("user-7", Call::refuse { query: QUERY }).unwrap();
        apply("user-7", sharing::withdraw()).unwrap().unwrap();
    });
}

#[test]
fn the_end_of_a_consent_fits_into_the_smallest_quota() {
    local(|chain| {
        committed(chain);
        apply("user-7", sharing::place(1)).unwrap().unwrap();
        apply("user-7", sharing::give()).unwrap().unwrap();
        let least = <<Runtime as pallet_quotas::Config>::LeastLimits as Get<Limits>>::get();
        Quotas::set_limits(RuntimeOrigin::root(), least).unwrap();
        apply("user-7", sharing::withdraw()).unwrap().unwrap();
    });
}

#[test]
fn what_ends_access_fits_into_the_smallest_quota() {
    local(|chain| {
        accepted(chain);
        let least = <<Runtime as pallet_quotas::Config>::LeastLimits as Get<Limits>>::get();
        Quotas::set_limits(RuntimeOrigin::root(), least).unwrap();
        send("user-7", Call::withdraw { query: QUERY }).unwrap();
    });
}

/// The quotas of requester and patient pay for a query, and the one of the worker for the transfer.
#[test]
fn each_party_pays_for_its_own_calls() {
    local(|chain| {
        committed(chain);
        let of_user = |user| Quotas::usage(&Holder::User(user), Lane::User).bytes;
        let of_worker = || Quotas::usage(&Holder::Duty(A, Duty::Agent), Lane::Record).bytes;
        let before = (of_worker(), of_user(*PATIENT));
        send("user-8", question(&[FIRST])).unwrap();
        // The terms are bytes of the transaction, and of the state.
        assert!(of_user(*RESEARCHER) > 2 * 2_560 + 1_024);
        assert_eq!((of_worker(), of_user(*PATIENT)), before);
        send("user-7", acceptance(QUERY)).unwrap();
        assert!(of_user(*PATIENT) > before.1 + 512);
        assert_eq!(of_worker(), before.0);
        send("Alice//agent", Call::transfer { query: QUERY }).unwrap();
        assert!(of_worker() > before.0 + 512);
    });
}

#[test]
fn the_largest_query_fits_into_a_users_transaction_and_the_smallest_quota() {
    local(|_| {
        register("Bob//agent", *RESEARCHER, Role::Researcher);
        let pointers: Vec<_> = (0..MAX_QUERIED_RECORDS)
            .map(|height| RecordPointer { height, index: u16::MAX })
            .collect();
        let call = RuntimeCall::from(question(&pointers));
        let seed = user_seed(*RESEARCHER);
        let bytes = signed(&key(&seed), call.clone()).encoded_size();
        assert!(bytes <= MAX_USER_TRANSACTION_BYTES as usize, "{bytes}");
        let least = <<Runtime as pallet_quotas::Config>::LeastLimits as Get<Limits>>::get();
        Quotas::set_limits(RuntimeOrigin::root(), least).unwrap();
        assert_eq!(refused(&seed, call), None);
    });
}

#[test]
fn the_mailbox_can_be_another_hospital_than_the_records() {
    local(|chain| {
        committed(chain);
        send("user-8", question(&[FIRST])).unwrap();
        send("user-7", with_mailbox(B)).unwrap();
        let by_home = send("Alice//agent", Call::transfer { query: QUERY });
        assert_eq!(by_home, Err(Error::NotMailbox.into()));
        send("Bob//agent", Call::transfer { query: QUERY }).unwrap();
    });
}
