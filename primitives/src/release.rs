//! Releases: what the chain keeps of every look at a record.
//!
//! Before a hospital's worker hands out an access grant, it has the chain record the [`Release`]. The
//! chain decides once more by itself, and keeps the outcome as a [`Receipt`]. Neither is possible
//! without the other, as far as the chain and honest clients can see.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{
    BlockNumber, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::{Action, PolicyName, Purpose, SectionClass},
    limits::{DAY_MILLIS, MAX_HOSPITALS, MAX_RELEASED_RECORDS, MAX_RIGHTS, MAX_SECTIONS},
};

/// Leave to do one thing with sections of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Right {
    /// Reading text, reading media or breaking the glass.
    pub action: Action,
    pub class: SectionClass,
}

impl Right {
    /// The rights by which records can be read: as ever, or in an emergency by breaking the glass.
    pub fn to_read(emergency: bool) -> impl Iterator<Item = Self> + Clone {
        let actions: &[Action] =
            if emergency { &[Action::BreakGlass] } else { &[Action::ReadText, Action::ReadMedia] };
        let classes = [SectionClass::Private, SectionClass::Shared];
        actions.iter().flat_map(move |&action| classes.map(|class| Self { action, class }))
    }
}

/// Sections of a record: bit `i` stands for section `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SectionSet(pub u64);

impl SectionSet {
    /// Adds a section; tells whether there is such an index.
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

    /// Ascending.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (0..MAX_SECTIONS).filter(move |section| self.contains(*section))
    }
}

/// In JSON, the list of the indices.
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

/// What a grant opens of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ReleasedRecord {
    pub pointer: RecordPointer,
    pub sections: SectionSet,
}

/// Why somebody reads without a relationship. Codes, because words would carry health data to the
/// chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum EmergencyReason {
    /// Life or limb is in danger.
    LifeThreatening,
    /// The patient cannot be asked, and the treatment cannot wait.
    UnableToConsent,
    /// Those who treat the patient cannot be reached.
    CareTeamUnreachable,
    /// An outbreak, a disaster, or a danger to others.
    PublicHealth,
}

/// What a worker is about to hand out, as it asks the chain to record it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Release {
    pub requester: UserId,
    pub patient: UserId,
    /// Of the patient, at the recording agent's hospital; at least one, none twice, each with at
    /// least one section.
    pub records: BoundedVec<ReleasedRecord, ConstU32<MAX_RELEASED_RECORDS>>,
    /// By which the sections are granted; at least one, none twice.
    pub rights: BoundedVec<Right, ConstU32<MAX_RIGHTS>>,
    pub purpose: Purpose,
    /// Given exactly when every right is to break the glass. The purpose is then emergency.
    pub emergency: Option<EmergencyReason>,
    /// Blake2-256 of the sealed access grant.
    pub grant: Hash,
}

/// An emergency that the other hospitals are to look at, numbered in the order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct ReviewId(pub u32);

impl core::fmt::Display for ReviewId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// A release that the chain allowed, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Receipt {
    pub release: Release,
    /// Whose records were released.
    pub hospital: HospitalId,
    /// Of the hospital's policy set; 0 is the default set.
    pub version: u32,
    /// The policy that allowed each right, in the order of the rights.
    pub policies: BoundedVec<PolicyName, ConstU32<MAX_RIGHTS>>,
    /// In which it was decided and recorded.
    pub block: BlockNumber,
    /// The time of that block.
    pub at: Moment,
    /// Of an emergency.
    pub review: Option<ReviewId>,
}

/// A read that the chain did not allow. Why not, `decide` tells for the moment `at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct RefusedAccess {
    pub requester: UserId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub purpose: Purpose,
    /// Whether it was an emergency.
    pub emergency: bool,
    pub block: BlockNumber,
    pub at: Moment,
}

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewStatus {
    Open,
    /// More than half of the other hospitals agreed.
    Closed {
        justified: bool,
        at: Moment,
    },
    /// They did not agree in time.
    Expired,
}

/// An emergency before the council of hospitals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Review {
    pub requester: UserId,
    pub patient: UserId,
    pub hospital: HospitalId,
    /// Number of the receipt among the patient's.
    pub receipt: u32,
    pub reason: EmergencyReason,
    pub opened: Moment,
    /// The last chain block in which it can be closed.
    pub deadline: BlockNumber,
    /// Whether the other hospitals find it justified: the verdict of more than half of the active
    /// ones closes the review.
    pub verdicts: BoundedVec<(HospitalId, bool), ConstU32<MAX_HOSPITALS>>,
    pub status: ReviewStatus,
}

/// What one requester has caused at one hospital on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Tally {
    /// Days since 1970.
    pub day: u32,
    pub refusals: u8,
    pub emergencies: u8,
}

impl Tally {
    /// The tally as it stands at a moment: nothing, on a day that has just begun.
    pub fn on(self, at: Moment) -> Self {
        let day = u32::try_from(at / DAY_MILLIS).unwrap_or(u32::MAX);
        if self.day == day { self } else { Self { day, ..Self::default() } }
    }
}
