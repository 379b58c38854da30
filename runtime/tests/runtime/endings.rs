//! A patient can end access whatever they have ended before on the same day, and with the smallest quota.

use epione_primitives::{
    QueryId, RecordPointer, UserId,
    limits::{DAY_BLOCKS, DAY_MILLIS, MAX_PLACED_RECORDS},
    profile::Role,
    release::{ReleasedRecord, SectionSet},
    sharing::{Consent, Term},
};
use epione_runtime::{Quotas, Runtime, RuntimeCall, RuntimeOrigin, Sharing, System, Timestamp};
use frame_support::{BoundedVec, traits::Get};
use pallet_quotas::{CurrentLimits, Holder, Lane, Limits};

use crate::{
    caller::{refused, rotate_keys},
    chain::{A, Chain, PATIENT, announcement, apply, approve, local, register, user},
    queries::{FIRST, RESEARCHER, acceptance, question},
    recovery,
    sharing::{self, SLOT, withdraw},
};

/// Commits so many records of the patient, who is registered at hospital A.
fn committed(chain: &mut Chain, records: usize) {
    register("Alice//agent", *PATIENT, Role::Patient);
    register("Bob//agent", *RESEARCHER, Role::Researcher);
    register("Bob//agent", mother(), Role::Patient);
    apply("Alice//agent", announcement(A, &vec![*PATIENT; records], 1)).unwrap().unwrap();
    chain.next_block();
    approve("Bob//agent", 0);
    approve("Charlie//agent", 0);
    chain.next_block();
}

/// A representative.
fn mother() -> UserId {
    user(60)
}

/// The first section of these records, in calls of at most [`MAX_PLACED_RECORDS`].
fn parts(records: usize) -> Vec<pallet_sharing::PlacedRecords> {
    let record = |index| ReleasedRecord {
        pointer: RecordPointer { height: 1, index },
        sections: SectionSet(1),
    };
    let all: Vec<_> = (0_u16..).take(records).map(record).collect();
    let calls = all.chunks(MAX_PLACED_RECORDS as usize);
    calls.map(|records| BoundedVec::truncate_from(records.to_vec())).collect()
}

fn place(records: &pallet_sharing::PlacedRecords) -> RuntimeCall {
    pallet_sharing::Call::place { slot: SLOT, records: records.clone() }.into()
}

fn remove(records: &pallet_sharing::PlacedRecords) -> RuntimeCall {
    pallet_sharing::Call::remove { slot: SLOT, records: records.clone() }.into()
}

/// A consent for a day.
fn give() -> RuntimeCall {
    let until = Timestamp::get() + DAY_MILLIS;
    let consent = Consent { until, ..sharing::consent(&[Term::User(*RESEARCHER)]) };
    let seen = Sharing::slot_height(*PATIENT, SLOT);
    pallet_sharing::Call::give { slot: SLOT, consent, seen }.into()
}

fn appoint() -> RuntimeCall {
    let until = Timestamp::get() + DAY_MILLIS;
    pallet_mandates::Call::appoint { representative: mother(), until }.into()
}

fn authorize() -> RuntimeCall {
    let until = Timestamp::get() + DAY_MILLIS;
    pallet_mandates::Call::authorize { hospital: A, until }.into()
}

fn dismiss() -> RuntimeCall {
    pallet_mandates::Call::dismiss { patient: *PATIENT, representative: mother() }.into()
}

fn revoke() -> RuntimeCall {
    pallet_mandates::Call::revoke { hospital: A }.into()
}

fn entrust() -> RuntimeCall {
    let until = Timestamp::get() + DAY_MILLIS;
    pallet_mandates::Call::entrust { hospital: A, until }.into()
}

fn end_custody() -> RuntimeCall {
    pallet_mandates::Call::end_custody { hospital: A }.into()
}

fn object() -> RuntimeCall {
    pallet_profiles::Call::object { user: *PATIENT }.into()
}

/// The hospital proposes keys of its own for the patient.
fn steal() {
    apply("Alice//agent", recovery::proposal(A, *PATIENT)).unwrap().unwrap();
}

fn send(call: impl Into<RuntimeCall>) {
    apply("user-7", call).unwrap().unwrap();
}

/// Sends each call as soon as the budget of weight covers it.
fn send_each(chain: &mut Chain, calls: impl IntoIterator<Item = RuntimeCall>) {
    for call in calls {
        chain.next_window();
        send(call);
    }
}

fn used(lane: Lane) -> pallet_quotas::Usage {
    Quotas::usage(&Holder::User(*PATIENT), lane)
}

#[test]
fn a_patient_who_removed_41_records_ends_everything_else_on_the_same_day() {
    local(|chain| {
        committed(chain, 41);
        send_each(chain, parts(41).iter().map(place));
        chain.next_window();
        send(give());
        send(appoint());
        chain.next_window();
        steal();
        send_each(chain, parts(41).iter().map(remove));
        chain.next_window();
        for call in [withdraw(), dismiss(), object()] {
            send(call);
        }
        assert_eq!(used(Lane::Rotation).bytes, 0, "rotations have their own budget");
        assert_eq!(refused("user-7", rotate_keys()), None);
        assert!(System::block_number() < DAY_BLOCKS);
    });
}

/// A patient does not wait half a minute for each call.
#[test]
fn two_of_the_largest_removals_fit_into_ten_blocks() {
    local(|chain| {
        committed(chain, 16);
        let calls = parts(16);
        send_each(chain, calls.iter().map(place));
        chain.next_window();
        for records in &calls {
            send(remove(records));
        }
        let limits = CurrentLimits::<Runtime>::get();
        assert!(used(Lane::Ending).ref_time <= limits.endings.account.ref_time);
        assert_eq!(used(Lane::User).ref_time, 0);
    });
}

/// What exists was paid for when it began, so its end is not debited for the state.
#[test]
fn what_ends_access_is_debited_for_no_state() {
    local(|chain| {
        committed(chain, 8);
        let calls = parts(8);
        send_each(chain, calls.iter().map(place));
        let placed = used(Lane::User).bytes;
        assert!(placed > 8 * 640, "{placed} bytes");
        chain.next_window();
        send(give());
        assert!(used(Lane::User).bytes - placed > 1_024);
        send(remove(&calls[0]));
        let removed = used(Lane::Ending).bytes;
        assert!(removed < 320, "{removed} bytes for a transaction with eight records");
        send(withdraw());
        assert!(used(Lane::Ending).bytes - removed < 160);
    });
}

#[test]
fn each_call_that_ends_access_fits_into_the_smallest_quota() {
    local(|chain| {
        committed(chain, MAX_PLACED_RECORDS as usize);
        let largest = parts(MAX_PLACED_RECORDS as usize);
        send_each(chain, [place(&largest[0])]);
        let used_to_place = used(Lane::User).ref_time;
        for _ in 0..2 {
            apply("user-8", question(&[FIRST])).unwrap().unwrap();
            chain.next_window();
        }
        for call in [appoint, authorize, entrust, give] {
            chain.next_window();
            send(call());
        }
        chain.next_window();
        send(acceptance(QueryId(0)));
        chain.next_window();
        steal();
        let least = <<Runtime as pallet_quotas::Config>::LeastLimits as Get<Limits>>::get();
        assert!(used_to_place <= least.users.account.ref_time, "{used_to_place} ps");
        Quotas::set_limits(RuntimeOrigin::root(), least).unwrap();
        let withdraw_query = pallet_queries::Call::<Runtime>::withdraw { query: QueryId(0) };
        let refuse_query = pallet_queries::Call::<Runtime>::refuse { query: QueryId(1) };
        let calls = [
            object(),
            remove(&largest[0]),
            withdraw(),
            dismiss(),
            revoke(),
            end_custody(),
            withdraw_query.into(),
            refuse_query.into(),
        ];
        for call in calls {
            chain.next_window();
            let before = used(Lane::Ending).bytes;
            send(call.clone());
            assert!(used(Lane::Ending).bytes > before, "{call:?}");
        }
    });
}
