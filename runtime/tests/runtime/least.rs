//! The council cannot stop users: each of their calls fits into the smallest quota, however large it is.

use epione_primitives::{
    Hash, RecordPointer,
    access::{Purpose, RelationshipKind},
    limits::{
        DAY_MILLIS, MAX_AUDIENCE_LEAVES, MAX_OPENED_SECTIONS, MAX_PLACED_RECORDS,
        MAX_QUERIED_RECORDS, MAX_RELEASED_RECORDS,
    },
    profile::Role,
    query::{QueriedRecords, QueryId},
    release::{EmergencyReason, ReleasedRecord, ReleasedRecords, SectionSet},
    sharing::{Consent, Term},
};
use epione_runtime::{Quotas, Runtime, RuntimeCall, RuntimeOrigin, Timestamp};
use frame_support::{BoundedVec, traits::Get};
use pallet_quotas::Limits;

use crate::{
    caller::{refused, relate, rotate_keys},
    chain::{A, B, PATIENT, local, register, user},
    queries::{RESEARCHER, committed, question},
    sharing::{self, SLOT},
};

/// The first records that can be. The chain counts what a call costs before it looks whether they exist.
fn pointers(count: u32) -> Vec<RecordPointer> {
    (0..count).map(|height| RecordPointer { height, index: u16::MAX }).collect()
}

fn records(count: u32, sections: SectionSet) -> Vec<ReleasedRecord> {
    let record = |pointer| ReleasedRecord { pointer, sections };
    pointers(count).into_iter().map(record).collect()
}

fn placed() -> pallet_sharing::PlacedRecords {
    BoundedVec::truncate_from(records(MAX_PLACED_RECORDS, SectionSet::ALL))
}

fn until() -> u64 {
    Timestamp::get() + DAY_MILLIS
}

fn give() -> RuntimeCall {
    let leaves = vec![Term::User(*RESEARCHER); MAX_AUDIENCE_LEAVES as usize];
    let consent = Consent { standing: true, ..sharing::consent(&leaves) };
    pallet_sharing::Call::give { slot: SLOT, consent, seen: 0 }.into()
}

fn open(purpose: Purpose, emergency: Option<EmergencyReason>) -> RuntimeCall {
    let sections = SectionSet((1 << (MAX_OPENED_SECTIONS / MAX_QUERIED_RECORDS)) - 1);
    let records = QueriedRecords::truncate_from(records(MAX_QUERIED_RECORDS, sections));
    let (hospital, patient) = (B, *PATIENT);
    pallet_openings::Call::ask { hospital, patient, records, purpose, emergency }.into()
}

fn accept() -> RuntimeCall {
    let records = records(MAX_QUERIED_RECORDS, SectionSet::ALL);
    pallet_queries::Call::accept {
        query: QueryId(0),
        considered: Hash::zero(),
        records: QueriedRecords::truncate_from(records),
        grant: Hash::zero(),
        until: until(),
        mailbox: A,
    }
    .into()
}

fn note() -> RuntimeCall {
    let records = records(MAX_RELEASED_RECORDS, SectionSet::ALL);
    pallet_releases::Call::note { records: ReleasedRecords::truncate_from(records) }.into()
}

fn unrelate() -> RuntimeCall {
    let (patient, kind) = (*PATIENT, RelationshipKind::Treating);
    pallet_role_policies::Call::unrelate { patient, professional: patient, hospital: A, kind }
        .into()
}

/// The user who makes a call, its name, and how it is made.
type Largest = (&'static str, &'static str, fn() -> RuntimeCall);

/// Every call that users make, in its largest form.
const LARGEST: [Largest; 19] = [
    ("user-7", "rotate keys", rotate_keys),
    ("user-7", "object", || pallet_profiles::Call::object { user: *PATIENT }.into()),
    ("user-7", "relate", relate),
    ("user-7", "unrelate", unrelate),
    ("user-7", "note", note),
    ("user-7", "give", give),
    ("user-7", "withdraw", sharing::withdraw),
    ("user-7", "place", || pallet_sharing::Call::place { slot: SLOT, records: placed() }.into()),
    ("user-7", "remove", || pallet_sharing::Call::remove { slot: SLOT, records: placed() }.into()),
    ("user-8", "ask", || question(&pointers(MAX_QUERIED_RECORDS)).into()),
    ("user-7", "accept", accept),
    ("user-7", "refuse", || pallet_queries::Call::refuse { query: QueryId(0) }.into()),
    ("user-7", "withdraw an acceptance", || {
        pallet_queries::Call::withdraw { query: QueryId(0) }.into()
    }),
    ("user-8", "open", || open(Purpose::Research, None)),
    ("user-9", "open in an emergency", || {
        open(Purpose::Emergency, Some(EmergencyReason::LifeThreatening))
    }),
    ("user-7", "appoint", || {
        pallet_mandates::Call::appoint { representative: *RESEARCHER, until: until() }.into()
    }),
    ("user-7", "dismiss", || {
        let (patient, representative) = (*PATIENT, *RESEARCHER);
        pallet_mandates::Call::dismiss { patient, representative }.into()
    }),
    ("user-7", "authorize", || {
        pallet_mandates::Call::authorize { hospital: A, until: until() }.into()
    }),
    ("user-7", "revoke", || pallet_mandates::Call::revoke { hospital: A }.into()),
];

#[test]
fn each_largest_call_of_a_user_fits_into_the_smallest_quota() {
    for (seed, what, call) in LARGEST {
        local(|chain| {
            committed(chain);
            register("Bob//agent", user(9), Role::Doctor);
            let least = <<Runtime as pallet_quotas::Config>::LeastLimits as Get<Limits>>::get();
            Quotas::set_limits(RuntimeOrigin::root(), least).unwrap();
            chain.next_window();
            assert_eq!(refused(seed, call()), None, "{what}");
        });
    }
}
