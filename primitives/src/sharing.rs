//! Sharing: a patient's consents, and the sections that each of them shares.
//!
//! A patient has up to [`MAX_SLOTS`] slots. A slot has at most one [`Consent`] in force, and contains sections of the
//! patient's records. A consent shares the sections in its slot with its audience, for its purposes, until its end.
//! To change a right for all records at once, the patient gives the slot a new version of the consent; no record
//! changes.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{
    BlockNumber, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::{PolicyList, Purpose},
    credential::AttributeId,
    limits::{MAX_AUDIENCE_DEPTH, MAX_AUDIENCE_LEAVES, MAX_AUDIENCE_TERMS, MAX_SLOTS},
    profile::Role,
    release::SectionSet,
};

/// The number of one of a patient's slots, below [`MAX_SLOTS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct SlotId(pub u8);

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of a patient's slots. Bit `i` represents slot `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SlotSet(pub u16);

impl SlotSet {
    /// Adds a slot. Returns false if there is no such slot.
    pub fn insert(&mut self, slot: SlotId) -> bool {
        let exists = slot.0 < MAX_SLOTS;
        if exists {
            self.0 |= 1 << slot.0;
        }
        exists
    }

    pub fn contains(self, slot: SlotId) -> bool {
        slot.0 < MAX_SLOTS && self.0 >> slot.0 & 1 == 1
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The slots, ascending.
    pub fn iter(self) -> impl Iterator<Item = SlotId> {
        (0..MAX_SLOTS).map(SlotId).filter(move |slot| self.contains(*slot))
    }
}

/// In JSON, a list of the slots.
impl Serialize for SlotSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for SlotSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut slots = Self::default();
        for slot in alloc::vec::Vec::<SlotId>::deserialize(deserializer)? {
            if !slots.insert(slot) {
                return Err(D::Error::custom("there is no slot with this number"));
            }
        }
        Ok(slots)
    }
}

/// A set of kinds of sections. Bit `i` represents the kind with the codec index `i` (`SectionKind` of the envelope).
/// The chain does not know which kind a section has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct KindSet(pub u32);

/// A term of an [`Audience`], in postfix notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Term {
    /// The requester is this user.
    #[codec(index = 0)]
    User(UserId),
    /// The requester's registration at this active hospital is in force.
    #[codec(index = 1)]
    Hospital(HospitalId),
    /// The requester has this role.
    #[codec(index = 2)]
    Role(Role),
    /// The requester has this attribute, confirmed by this active hospital.
    #[codec(index = 3)]
    Credential { attribute: AttributeId, issuer: HospitalId },
    /// At least `met` of the last `of` terms hold. `of` of `of` means all, 1 of `of` means any.
    #[codec(index = 4)]
    AtLeast { met: u8, of: u8 },
}

/// Whom a consent is for: a monotone threshold formula in postfix notation. So a formula has no recursion, and a stack
/// of at most [`MAX_AUDIENCE_LEAVES`] values decides it.
pub type Audience = BoundedVec<Term, ConstU32<MAX_AUDIENCE_TERMS>>;

/// Why terms are not an [`Audience`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidAudience {
    /// A threshold needs more terms than stand before it, no term, or more of them than there are; or the terms do not
    /// result in one value.
    Malformed,
    /// More than [`MAX_AUDIENCE_LEAVES`] leaves, or thresholds within thresholds beyond [`MAX_AUDIENCE_DEPTH`].
    TooLarge,
}

/// Checks that terms are a formula: one value results, and the limits are kept.
///
/// # Errors
/// The first reason why not.
pub fn check_audience(terms: &[Term]) -> Result<(), InvalidAudience> {
    let leaves = terms.iter().filter(|term| !matches!(term, Term::AtLeast { .. })).count();
    if leaves > MAX_AUDIENCE_LEAVES as usize || terms.len() > MAX_AUDIENCE_TERMS as usize {
        return Err(InvalidAudience::TooLarge);
    }
    // The depth of each value on the stack.
    let depth = fold(
        terms,
        |_| 0_u32,
        |_, depths| depths.iter().copied().max().unwrap_or_default().saturating_add(1),
    );
    match depth {
        None => Err(InvalidAudience::Malformed),
        Some(depth) if depth > MAX_AUDIENCE_DEPTH => Err(InvalidAudience::TooLarge),
        Some(_) => Ok(()),
    }
}

/// Whether an audience includes a requester, for whom `holds` decides each leaf. Terms that are not a formula include
/// nobody.
pub fn includes(terms: &[Term], holds: impl Fn(&Term) -> bool) -> bool {
    let decided = fold(terms, holds, |met, values| {
        values.iter().filter(|value| **value).count() >= usize::from(met)
    });
    decided.unwrap_or_default()
}

/// Reduces a formula to one value, from the leaves on. None if the terms are malformed.
pub fn fold<V>(
    terms: &[Term],
    leaf: impl Fn(&Term) -> V,
    threshold: impl Fn(u8, &[V]) -> V,
) -> Option<V> {
    let mut stack = alloc::vec::Vec::new();
    for term in terms {
        let value = match *term {
            Term::AtLeast { met, of } => {
                let first = stack.len().checked_sub(usize::from(of))?;
                if met == 0 || met > of {
                    return None;
                }
                let value = threshold(met, stack.get(first..)?);
                stack.truncate(first);
                value
            }
            _ => leaf(term),
        };
        stack.push(value);
    }
    let value = stack.pop();
    value.filter(|_| stack.is_empty())
}

/// A period of time, both ends optional. It includes `from` and excludes `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct RecordedPeriod {
    pub from: Option<Moment>,
    pub to: Option<Moment>,
}

impl RecordedPeriod {
    pub fn contains(&self, at: Moment) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

/// What a patient signs: whom the sections in a slot are for, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Consent {
    pub audience: Audience,
    /// At least one, and none twice. Emergency is the only one if it is one, and then the consent stands
    /// ([`is_for_emergencies`](Self::is_for_emergencies)).
    pub purposes: PolicyList<Purpose>,
    /// The kinds of sections that hospitals place in the slot when they announce a new record. Empty if the patient
    /// places each section. The chain does not know the kind of a section, so it cannot check what a hospital places;
    /// the patient can.
    pub kinds: KindSet,
    /// When the records were signed whose sections the patient's client or a hospital places by their kind. The chain
    /// does not check it.
    pub recorded: RecordedPeriod,
    /// When it ends by itself.
    pub until: Moment,
    /// Whether the hospitals together open the sections for the audience while the patient and the record's hospital
    /// are away ([`opening`](crate::opening)). As many hospitals as the threshold of the consortium key can then also
    /// open them without the chain's decision.
    pub standing: bool,
}

impl Consent {
    /// Whether the sections are an emergency summary: hospitals open them together for the audience, and review each
    /// opening. Such a consent has no other purpose, and is a standing one: at the hospital of the record, an emergency
    /// does not wait for a consent.
    pub fn is_for_emergencies(&self) -> bool {
        self.standing && self.purposes.as_slice() == [Purpose::Emergency]
    }
}

/// A version of the consent of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ConsentVersion {
    /// From 1, in the order of the slot's versions.
    pub version: u32,
    pub consent: Consent,
    /// When the patient gave it.
    pub since: Moment,
    /// The chain block of that.
    pub block: BlockNumber,
    /// When the patient withdrew it, or gave a later version, before its end.
    pub ended: Option<Moment>,
}

impl ConsentVersion {
    /// Whether the consent was in force at a moment.
    pub fn in_force(&self, at: Moment) -> bool {
        self.since <= at && at < self.consent.until && self.ended.is_none_or(|ended| at < ended)
    }
}

/// Sections of a record in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Placement {
    pub slot: SlotId,
    pub sections: SectionSet,
}

/// The placements of a record's sections: ascending by slot, each slot at most once, none without a section.
pub type Placements = BoundedVec<Placement, ConstU32<{ MAX_SLOTS as u32 }>>;

/// A change of what patients share. Everybody can follow these without the full index: each entry names the hash of the
/// previous one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SharedChange {
    /// From 1.
    pub height: u64,
    /// Blake2-256 of the SCALE encoding of the previous change; zero before the first.
    pub previous: Hash,
    pub patient: UserId,
    pub slot: SlotId,
    pub change: Change,
    /// The chain block of the change.
    pub block: BlockNumber,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The slot has a new version of its consent, with this hash: Blake2-256 of the SCALE encoding of the [`Consent`].
    #[codec(index = 0)]
    Given { version: u32, consent: Hash },
    /// The consent was withdrawn.
    #[codec(index = 1)]
    Withdrawn { version: u32 },
    /// These sections of a record are in the slot now, and no others.
    #[codec(index = 2)]
    Placed { pointer: RecordPointer, sections: SectionSet },
}
