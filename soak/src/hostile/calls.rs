//! The calls of this run that the client has no function for. Only this file knows their arguments.

use epione_client::{
    Account,
    chain::{Call, calls},
};
use epione_primitives::{
    Hash, HospitalId, Moment, RecordId, RecordPointer, UserId,
    access::{Action, Policies, Purpose, RelationshipKind, SectionClass},
    block::{
        AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Range, Segments, record_hash,
        segments_root,
    },
    release::{Release, ReleasedRecord, Request, Right, SectionSet},
};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::council::Nested;

/// A batch of calls `role_policies.unrelate`, each of which fails: its weight is charged, and nothing changes.
pub fn failing_batch(user: UserId, hospital: HospitalId, calls: usize) -> Call {
    let kind = RelationshipKind::CareTeam;
    let unrelate = Nested::new(11, 1, (user, user, hospital, kind));
    Call::new("Utility", "force_batch", vec![unrelate; calls])
}

/// `role_policies.unrelate`, which fails.
pub fn failing(user: UserId, hospital: HospitalId) -> Call {
    calls::role_policies::unrelate(user, user, hospital, RelationshipKind::CareTeam)
}

/// A block of one record, without media, that contains these bytes. The id of the record follows from them.
pub fn announce(announcer: HospitalId, patient: UserId, body: &[u8]) -> Call {
    let segments = Segments { root: segments_root(&[]), count: 0, bytes: 0 };
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let text = Range { offset: 0, length };
    let hash = record_hash(body);
    let mut record = RecordId([0; 16]);
    record.0.copy_from_slice(&hash.as_bytes()[..16]);
    let entry = AnnouncedEntry { record, hash, patient, text, media: Range::default() };
    let entries = AnnouncedEntries::truncate_from(vec![entry]);
    calls::lite_blocks::announce(&AnnouncedHeader { announcer, segments }, &entries, body)
}

pub fn set_policies(policies: &Policies) -> Call {
    calls::role_policies::set_policies(policies)
}

/// A request that nobody made.
#[derive(Clone, Copy)]
pub struct Forged {
    pub genesis: Hash,
    pub requester: UserId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub pointer: RecordPointer,
    pub at: Moment,
    /// No other forged request has it.
    pub number: u64,
}

impl Forged {
    /// The receipt of a grant for it. The signer of the request is not its requester.
    pub fn receipt(self, signer: &Account) -> Call {
        let Self { genesis, requester, patient, hospital, pointer, at, number } = self;
        let mut sections = SectionSet::default();
        sections.insert(0);
        let record = || vec![ReleasedRecord { pointer, sections }].try_into().unwrap_or_default();
        let right = Right { action: Action::ReadText, class: SectionClass::Private };
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        let request = Request {
            requester,
            patient,
            hospital,
            records: record(),
            purpose: Purpose::Treatment,
            emergency: None,
            at,
            nonce,
        };
        let signature = signer.sign(&request.signed_bytes(genesis));
        calls::releases::record(&Release {
            request,
            signature,
            records: record(),
            rights: vec![right].try_into().unwrap_or_default(),
            grant: BlakeTwo256::hash_of(&number),
        })
    }
}
