//! The calls of formal transactions: which call of a block is the wanted one, and what it says.

use codec::{Decode, DecodeAll, Encode};
use epione_primitives::{
    AnnouncementId, BlockNumber, Hash, HospitalId, UserId,
    access::Purpose,
    block::{AnnouncedEntries, AnnouncedHeader},
    query::{QueriedRecords, Query, QueryId, SealedTermsBytes, terms_hash},
    release::Release,
};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::chain::{Call, calls::releases, numbers_of};

/// A call that proves a part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// The announcement of a body with this hash.
    Announce {
        announcer: HospitalId,
        body: Hash,
    },
    /// A vote for an announcement, for whatever subject.
    Approve(AnnouncementId),
    /// The question that became this query.
    Ask(Box<Query>),
    /// An acceptance of this query, whatever it accepts.
    Accept(QueryId),
    Transfer(QueryId),
    /// The record of exactly this release.
    Release(Box<Release>),
}

impl Sought {
    /// Whether an encoded call is a wanted one.
    pub(super) fn is(&self, call: &[u8]) -> bool {
        match self {
            Self::Announce { announcer, body } => Announced::read(call)
                .is_some_and(|it| it.header.announcer == *announcer && it.body_hash() == *body),
            Self::Approve(announcement) => begins(call, "Approvals", "approve", announcement),
            Self::Ask(query) => asks(call, query),
            Self::Accept(query) => begins(call, "Queries", "accept", query),
            Self::Transfer(query) => begins(call, "Queries", "transfer", query),
            Self::Release(release) => is_exactly(call, &releases::record(release)),
        }
    }
}

/// The encoded arguments of a call, if it is this one.
fn arguments<'a>(call: &'a [u8], pallet: &str, name: &str) -> Option<&'a [u8]> {
    let numbers = numbers_of(pallet, name)?;
    call.strip_prefix(&numbers)
}

fn begins(call: &[u8], pallet: &str, name: &str, first: &impl Encode) -> bool {
    arguments(call, pallet, name).is_some_and(|arguments| arguments.starts_with(&first.encode()))
}

/// Whether an encoded call is exactly this one.
pub(super) fn is_exactly(call: &[u8], expected: &Call) -> bool {
    arguments(call, expected.pallet, expected.name) == Some(expected.arguments.as_slice())
}

/// What `announce` announces.
pub(super) struct Announced {
    pub(super) header: AnnouncedHeader,
    pub(super) entries: AnnouncedEntries,
    pub(super) body: Vec<u8>,
}

impl Announced {
    pub(super) fn read(call: &[u8]) -> Option<Self> {
        let mut arguments = arguments(call, "LiteBlocks", "announce")?;
        let header = AnnouncedHeader::decode(&mut arguments).ok()?;
        let entries = AnnouncedEntries::decode(&mut arguments).ok()?;
        let body = Vec::<u8>::decode_all(&mut arguments).ok()?;
        Some(Self { header, entries, body })
    }

    fn body_hash(&self) -> Hash {
        BlakeTwo256::hash(&self.body)
    }
}

/// The subject of an `approve` of this announcement.
pub(super) fn approved_subject(call: &[u8], announcement: AnnouncementId) -> Option<Hash> {
    let mut arguments = arguments(call, "Approvals", "approve")?;
    let (id, subject) = <(AnnouncementId, Hash)>::decode_all(&mut arguments).ok()?;
    (id == announcement).then_some(subject)
}

type Asked = (HospitalId, UserId, Hash, QueriedRecords, Purpose, BlockNumber, SealedTermsBytes);

/// Whether a call asks what became this query.
pub(super) fn asks(call: &[u8], query: &Query) -> bool {
    let Some(mut arguments) = arguments(call, "Queries", "ask") else { return false };
    let Ok(asked) = Asked::decode_all(&mut arguments) else { return false };
    let (hospital, patient, patient_key, records, purpose, expires, terms) = asked;
    let same =
        (hospital, patient, patient_key) == (query.hospital, query.patient, query.patient_key);
    same && records == query.records
        && purpose == query.purpose
        && expires == query.expires
        && terms_hash(&terms) == query.terms
}
