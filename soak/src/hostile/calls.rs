//! The calls of this run that the client has no function for. Only this file knows their arguments.
//!
//! A call within another call is encoded with the index of its pallet and its own index, which the runtime pins.

use codec::{Compact, Encode, Output};
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

/// The weight that is declared for a motion's call: computation in picoseconds, and bytes of its proof. Nodes refuse
/// more than a fifth of a block.
const MOTION_WEIGHT: (Compact<u64>, Compact<u64>) = (Compact(300_000_000_000), Compact(4 << 20));

/// Storage prefix of `Council::Voting`.
const COUNCIL_VOTING: &str = "aebd463ed9925c488c112434d61debc071cd3068e6118bfb392b798317f63a89";

/// A call within another call.
#[derive(Clone)]
pub struct Nested(Vec<u8>);

impl Nested {
    fn new(pallet: u8, call: u8, arguments: impl Encode) -> Self {
        Self((pallet, call, arguments).encode())
    }

    /// The hash by which the council knows it.
    pub fn hash(&self) -> Hash {
        BlakeTwo256::hash(&self.0)
    }

    fn length(&self) -> Compact<u32> {
        Compact(u32::try_from(self.0.len()).unwrap_or(u32::MAX))
    }
}

impl Encode for Nested {
    fn size_hint(&self) -> usize {
        self.0.len()
    }

    fn encode_to<T: Output + ?Sized>(&self, to: &mut T) {
        to.write(&self.0);
    }
}

/// `system.remark`, which changes nothing.
pub fn remark(number: u64) -> Nested {
    Nested::new(0, 0, number.encode())
}

/// `hospitals.suspend`.
pub fn suspend(hospital: HospitalId) -> Nested {
    Nested::new(6, 1, hospital)
}

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

pub fn propose(threshold: u32, proposal: &Nested) -> Call {
    Call::new("Council", "propose", (Compact(threshold), proposal, proposal.length()))
}

pub fn vote(motion: Hash, index: u32, approve: bool) -> Call {
    Call::new("Council", "vote", (motion, Compact(index), approve))
}

pub fn close(proposal: &Nested, index: u32) -> Call {
    let arguments = (proposal.hash(), Compact(index), MOTION_WEIGHT, proposal.length());
    Call::new("Council", "close", arguments)
}

/// The storage key of the votes about a motion, in hexadecimal. The votes begin with the motion's index, a `u32`.
pub fn votes_key(motion: Hash) -> String {
    format!("0x{COUNCIL_VOTING}{}", hex::encode(motion))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_call_is_its_indices_and_its_arguments() {
        assert_eq!(suspend(HospitalId(3)).0, [6, 1, 3, 0]);
        let motion = propose(3, &suspend(HospitalId(3)));
        assert_eq!(motion.arguments, [3 << 2, 6, 1, 3, 0, 4 << 2]);
        assert_eq!(remark(1).0[..3], [0, 0, 8 << 2]);
    }
}
