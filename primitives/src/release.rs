//! Releases: the chain's records of every access to a record.
//!
//! Before a hospital's worker returns an access grant, it records the [`Release`] on chain. The chain
//! decides again independently, and stores the outcome as a [`Receipt`]. The chain and honest clients
//! accept no grant without a receipt.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sp_core::{ConstU32, bounded::BoundedVec};
use sp_runtime::traits::{BlakeTwo256, Hash as _, Verify};

use crate::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, RecordPointer, Signature, UserId,
    access::{Action, PolicyName, Purpose, SectionClass},
    limits::{
        DAY_BLOCKS, DAY_MILLIS, MAX_HOSPITALS, MAX_RELEASED_RECORDS, MAX_RIGHTS, MAX_SECTIONS,
    },
    opening::OpeningId,
};

/// Permission for one action on sections of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Right {
    /// `ReadText`, `ReadMedia` or `BreakGlass`.
    pub action: Action,
    pub class: SectionClass,
}

impl Right {
    /// The rights that allow reading: the ordinary ones, or in an emergency those to break the glass.
    pub fn to_read(emergency: bool) -> impl Iterator<Item = Self> + Clone {
        let actions: &[Action] =
            if emergency { &[Action::BreakGlass] } else { &[Action::ReadText, Action::ReadMedia] };
        let classes = [SectionClass::Private, SectionClass::Shared];
        actions.iter().flat_map(move |&action| classes.map(|class| Self { action, class }))
    }

    /// Whether rights open the sections of a release. A right to private sections also opens shared ones, because no
    /// policy can require that a section is private. The chain does not see which sections an action concerns. So if
    /// some sections are private, every action among the rights needs its right to private sections.
    pub fn open(rights: &[Self], some_are_private: bool) -> bool {
        let opens_private =
            |right: &Self| rights.contains(&Self { class: SectionClass::Private, ..*right });
        !rights.is_empty() && (!some_are_private || rights.iter().all(opens_private))
    }
}

/// A set of sections of a record. Bit `i` represents section `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SectionSet(pub u64);

impl SectionSet {
    /// Every section that a record can have.
    pub const ALL: Self = Self(u64::MAX);

    /// Adds a section. Returns false if the index is out of range.
    pub fn insert(&mut self, section: u16) -> bool {
        let exists = section < MAX_SECTIONS;
        if exists {
            self.0 |= 1 << section;
        }
        exists
    }

    pub fn contains(self, section: u16) -> bool {
        section < MAX_SECTIONS && self.0 >> section & 1 == 1
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all sections of this set are in the other one.
    pub fn is_subset_of(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The sections that are not in the other set.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The sections, ascending.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (0..MAX_SECTIONS).filter(move |section| self.contains(*section))
    }
}

/// In JSON, a list of the indices.
impl Serialize for SectionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for SectionSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut sections = Self::default();
        for section in alloc::vec::Vec::<u16>::deserialize(deserializer)? {
            if !sections.insert(section) {
                return Err(D::Error::custom("a record has no section of this index"));
            }
        }
        Ok(sections)
    }
}

/// The sections of one record that a grant opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ReleasedRecord {
    pub pointer: RecordPointer,
    pub sections: SectionSet,
}

/// Why a requester reads in an emergency. Only codes, because free text would bring health data onto the
/// chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum EmergencyReason {
    /// The patient's life or limb is in danger.
    LifeThreatening,
    /// The patient cannot give consent, and the treatment cannot wait.
    UnableToConsent,
    /// The patient's care team cannot be reached.
    CareTeamUnreachable,
    /// An outbreak, a disaster, or a danger to others.
    PublicHealth,
}

/// What a requester asks a hospital for. The requester signs it, so that no hospital can record an access that nobody
/// asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Request {
    pub requester: UserId,
    pub patient: UserId,
    /// The hospital of the records.
    pub hospital: HospitalId,
    /// Records of the patient: at least one, none twice, ascending by pointer, each with at least one section.
    /// [`SectionSet::ALL`] requests every section of a record.
    pub records: BoundedVec<ReleasedRecord, ConstU32<MAX_RELEASED_RECORDS>>,
    pub purpose: Purpose,
    /// Present if and only if the requester wants to break the glass. The purpose must then be emergency.
    pub emergency: Option<EmergencyReason>,
    /// When the requester signed: at most [`MAX_REQUEST_AGE_MILLIS`](crate::limits::MAX_REQUEST_AGE_MILLIS) before the
    /// block that records the answer, and at most
    /// [`MAX_CLOCK_LEAD_MILLIS`](crate::limits::MAX_CLOCK_LEAD_MILLIS) after it.
    pub at: Moment,
    /// Random, so that no two requests are equal. The chain records one answer to a request.
    pub nonce: [u8; 16],
}

impl Request {
    /// The bytes that the requester signs.
    pub fn signed_bytes(&self, genesis: Hash) -> Vec<u8> {
        (b"epione/request", genesis, self).encode()
    }

    /// Whether the account's key made this signature over the request.
    pub fn is_signed_by(&self, genesis: Hash, account: &AccountId, signature: &Signature) -> bool {
        signature.verify(&self.signed_bytes(genesis)[..], account)
    }

    /// Blake2-256 over the SCALE encoding.
    pub fn hash(&self) -> Hash {
        BlakeTwo256::hash_of(self)
    }
}

/// A release that a worker asks the chain to record, before it returns the grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Release {
    pub request: Request,
    /// The requester's signature over [`Request::signed_bytes`], by the requester's current account.
    pub signature: Signature,
    /// What is granted of the requested records: at least one, none twice, ascending by pointer, each with at least one
    /// section, and with requested sections only.
    pub records: BoundedVec<ReleasedRecord, ConstU32<MAX_RELEASED_RECORDS>>,
    /// The rights by which the sections are granted: at least one, none twice. They open the granted sections
    /// ([`Right::open`]): those that the patient shares are shared, all others private. Every right is to break the
    /// glass if and only if the request is an emergency.
    pub rights: BoundedVec<Right, ConstU32<MAX_RIGHTS>>,
    /// Blake2-256 of the sealed access grant.
    pub grant: Hash,
}

/// The number of an emergency's review, in the order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct ReviewId(pub u32);

impl core::fmt::Display for ReviewId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// A release that the chain allowed. It is never changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Receipt {
    pub release: Release,
    /// The hospital of the released records.
    pub hospital: HospitalId,
    /// The version of the hospital's policy set. 0 is the default set.
    pub version: u32,
    /// The policy that allowed each right, in the order of the rights.
    pub policies: BoundedVec<PolicyName, ConstU32<MAX_RIGHTS>>,
    /// The chain block that recorded it.
    pub block: BlockNumber,
    /// The time of that block.
    pub at: Moment,
    /// The review, if it is an emergency.
    pub review: Option<ReviewId>,
}

/// A read that the chain did not allow. `decide` at the moment `at` returns the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct RefusedAccess {
    pub requester: UserId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub purpose: Purpose,
    /// Whether it was an emergency.
    pub emergency: bool,
    /// [`Request::hash`] of the request that was refused. The chain verified the requester's signature.
    pub request: Hash,
    pub block: BlockNumber,
    pub at: Moment,
}

/// The records of a look, or of a note: at least one, none twice, ascending by pointer, each with at least one section.
pub type ReleasedRecords = BoundedVec<ReleasedRecord, ConstU32<MAX_RELEASED_RECORDS>>;

/// What a patient notes of an own reading, by the own key. Nobody checks whether it took place: a patient with the key
/// reads without the chain. It is never changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct OwnRead {
    /// Records of the patient; [`SectionSet::ALL`] is every section of a record.
    pub records: ReleasedRecords,
    /// The block of the note, which may be long after the reading.
    pub block: BlockNumber,
    pub at: Moment,
}

/// The status of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewStatus {
    Open,
    /// More than half of the other hospitals gave the same verdict.
    Closed {
        justified: bool,
        at: Moment,
    },
    /// The hospitals did not agree before the deadline.
    Expired,
}

/// The look that a review is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewSubject {
    /// A requester broke the glass at the hospital of the records. The number of the receipt among the patient's
    /// receipts.
    Receipt(u32),
    /// The hospitals opened sections together. The opening names its review.
    Opening(OpeningId),
}

impl ReviewSubject {
    /// The number of the receipt, if the review is about one.
    pub fn receipt(self) -> Option<u32> {
        match self {
            Self::Receipt(receipt) => Some(receipt),
            Self::Opening(_) => None,
        }
    }
}

/// An emergency in which hospitals open sections together. Its review is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ReviewedEmergency {
    pub reason: EmergencyReason,
    pub review: ReviewId,
}

/// The review of an emergency by the other hospitals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Review {
    pub requester: UserId,
    pub patient: UserId,
    /// The hospital that does not judge: of a receipt, the hospital of the records; of an opening, the one for which
    /// the requester asked.
    pub hospital: HospitalId,
    pub subject: ReviewSubject,
    pub reason: EmergencyReason,
    pub opened: Moment,
    /// The last chain block in which it can be closed.
    pub deadline: BlockNumber,
    /// Each hospital's verdict: whether the emergency was justified. The same verdict of more than half of
    /// the other active hospitals closes the review.
    pub verdicts: BoundedVec<(HospitalId, bool), ConstU32<MAX_HOSPITALS>>,
    pub status: ReviewStatus,
}

/// How many refusals and emergencies one requester has caused at one hospital on one day. Openings in emergencies have
/// a tally of their own, for all hospitals together, without refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Tally {
    /// Days since 1970.
    pub day: u32,
    pub refusals: u8,
    pub emergencies: u8,
}

impl Tally {
    /// The tally at a moment. It is zero at the beginning of another day.
    pub fn on(self, at: Moment) -> Self {
        let day = u32::try_from(at / DAY_MILLIS).unwrap_or(u32::MAX);
        if self.day == day { self } else { Self { day, ..Self::default() } }
    }
}

/// How many emergencies the requesters of one hospital have caused at another one in the latter's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Visitors {
    /// The first chain block of the window, as in the [`Usage`] of the hospital with the emergencies.
    pub since: BlockNumber,
    pub emergencies: u32,
}

impl Visitors {
    /// The visitors in the window that began in this chain block. There are none in another window.
    pub fn within(self, since: BlockNumber) -> Self {
        if self.since == since { self } else { Self { since, emergencies: 0 } }
    }
}

/// How many receipts and refusals one hospital has recorded in its current window of [`DAY_BLOCKS`]. A window begins
/// with the first of them after the end of the previous window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Usage {
    /// The first chain block of the window.
    pub since: BlockNumber,
    /// The number of receipts, and of openings in emergencies for which the hospital's requesters asked.
    pub receipts: u32,
    /// The number of those that are emergencies.
    pub emergencies: u32,
    /// The number of those emergencies whose requester was not registered at the hospital.
    pub visitors: u32,
    pub refusals: u32,
    /// The number of those emergencies that are openings.
    pub openings: u32,
}

impl Usage {
    /// The usage in a chain block. It is zero in a new window.
    pub fn on(self, block: BlockNumber) -> Self {
        let is_used = self.receipts > 0 || self.refusals > 0;
        let is_current = is_used && block < self.since.saturating_add(DAY_BLOCKS);
        if is_current { self } else { Self { since: block, ..Self::default() } }
    }

    /// The number of receipts that are not emergencies.
    pub fn ordinary(&self) -> u32 {
        self.receipts.saturating_sub(self.emergencies)
    }
}
