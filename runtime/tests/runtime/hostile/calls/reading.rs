//! Calls of pallet-queries and pallet-releases: what requesters ask of patients, and looks at records.

use epione_primitives::{
    Hash, Moment, QueryId, RecordPointer, Signature, Word,
    access::{Action, Purpose, SectionClass},
    limits::{DAY_MILLIS, SLOT_MILLIS},
    query::QueriedRecords,
    release::{EmergencyReason, Release, ReleasedRecord, Request, Right, SectionSet},
};
use epione_runtime::{Profiles, Queries, Runtime, RuntimeCall, System, Timestamp};

use super::{HOSTILE_HOSPITAL, body, hospital, other_signature, pick, pointer, user};
use crate::chain::{A, B, PATIENT, SEALING_KEY, key, sign_request, user_seed};

/// One of the newest queries, or the next one.
pub(super) fn query(number: u8) -> QueryId {
    let next = pallet_queries::QueryCount::<Runtime>::get();
    QueryId(next.saturating_sub(u32::from(number % 6)))
}

/// Records in the first blocks, in order or not, which may not exist or belong to another patient.
pub(super) fn queried(a: u8, b: u8) -> QueriedRecords {
    let record = |number: u8| {
        let (pointer, sections) = (pointer(number, a), SectionSet(u64::from(b)));
        ReleasedRecord { pointer, sections }
    };
    (0..a % 3).map(record).collect::<Vec<_>>().try_into().unwrap_or_default()
}

/// A query that ends soon, later than allowed or at once.
pub(super) fn ask(a: u8, b: u8, c: u8) -> RuntimeCall {
    let block = System::block_number();
    pallet_queries::Call::ask {
        hospital: pick(&[A, B, hospital(b), HOSTILE_HOSPITAL], b),
        patient_key: if c.is_multiple_of(16) { Hash::zero() } else { SEALING_KEY },
        patient: if c.is_multiple_of(3) { user(a) } else { *PATIENT },
        records: queried(a, b),
        purpose: pick(Purpose::ALL, c),
        expires: block.saturating_add(pick(&[1, 3, 100, 0, u32::MAX], a)),
        terms: body(b).try_into().unwrap_or_default(),
    }
    .into()
}

/// An acceptance of what was asked, or of something else.
pub(super) fn accept_query(a: u8, b: u8, c: u8) -> RuntimeCall {
    let asked = Queries::query(query(a));
    let considered = asked.as_ref().and_then(|asked| {
        let profile = Profiles::profile(asked.requester)?;
        Some(asked.considered(query(a), &profile.account, profile.sealing_key_hash))
    });
    let asked = asked.map(|query| query.records);
    let now: Moment = Timestamp::get();
    pallet_queries::Call::accept {
        query: query(a),
        considered: considered.filter(|_| !c.is_multiple_of(8)).unwrap_or_default(),
        records: asked.filter(|_| !c.is_multiple_of(4)).unwrap_or_else(|| queried(a, b)),
        grant: Hash::repeat_byte(b),
        until: now.saturating_add(pick(&[DAY_MILLIS, SLOT_MILLIS, 0, u64::MAX], b)),
        mailbox: hospital(c),
    }
    .into()
}

/// A request, signed by its requester's first account or by somebody else.
fn request(a: u8, b: u8, c: u8) -> (Request, Signature) {
    let records = (1..=1 + u32::from(c % 3))
        .map(|height| RecordPointer { height, index: u16::from(c % 2) })
        .map(|pointer| ReleasedRecord { pointer, sections: SectionSet(u64::from(b)) });
    let emergency = c.is_multiple_of(5);
    let request = Request {
        requester: user(a),
        patient: if c.is_multiple_of(2) { *PATIENT } else { user(b) },
        hospital: if a.is_multiple_of(2) { A } else { hospital(b) },
        records: records.collect::<Vec<_>>().try_into().unwrap_or_default(),
        purpose: if emergency { Purpose::Emergency } else { pick(Purpose::ALL, c) },
        emergency: emergency.then_some(EmergencyReason::LifeThreatening),
        at: Timestamp::get().saturating_sub(pick(&[0, 0, DAY_MILLIS, u64::MAX], b)),
        nonce: [c; 16],
    };
    let signature = match a % 5 {
        4 => other_signature(a),
        _ => sign_request(&key(&user_seed(request.requester)), &request),
    };
    (request, signature)
}

/// The sections of the request, or one that may not be among them.
pub(super) fn record(a: u8, b: u8, c: u8) -> RuntimeCall {
    let (request, signature) = request(a, b, c);
    let action = if request.emergency.is_some() { Action::BreakGlass } else { Action::ReadText };
    let mut records = request.records.clone();
    if a.is_multiple_of(7) {
        records.iter_mut().for_each(|record| record.sections = SectionSet(2));
    }
    let release = Release {
        request,
        signature,
        records,
        rights: vec![Right { action, class: pick(SectionClass::ALL, a) }]
            .try_into()
            .unwrap_or_default(),
        grant: Hash::repeat_byte(b),
    };
    pallet_releases::Call::record { release }.into()
}

pub(super) fn refuse(a: u8, b: u8, c: u8) -> RuntimeCall {
    let (request, signature) = request(a, b, c);
    pallet_releases::Call::refuse { request, signature }.into()
}
