//! The consortium key: a key pair whose secret half no hospital has. Each member has a share of it, and as many members
//! as the [threshold](Epoch::threshold) says together open what was sealed to the public half.
//!
//! The members make the key, and renew their shares, in ceremonies on the chain. [`Ceremony`] has the rules for when
//! one phase ends and the next begins. The pallet and the workers both use them, so that they never disagree.
//!
//! The methods are those of Feldman (1987) for verifiable sharing, Pedersen (1991) for generation without a dealer,
//! with the proofs of knowledge of Komlo and Goldberg (FROST, 2020), and Desmedt and Jajodia (1997) for new shares of
//! the same key.

mod counts;
mod seating;

pub use counts::{
    are_enough_seats, confirmed_before_erasure, faulty, most_accused, threshold,
    threshold_of_enrolled,
};
pub use seating::next_seats;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{
    AccountId, BlockNumber, Hash, HospitalId,
    limits::{
        DAY_BLOCKS, MAX_FAULTY_SEATS, MAX_JOINS, MAX_PHASE_BLOCKS, MAX_REFRESH_BLOCKS, MAX_SEATS,
        MAX_THRESHOLD, MIN_PHASE_BLOCKS, PHASES_BETWEEN_OWN_REASONS, PHASES_BETWEEN_REFRESHES,
    },
};

/// A point of ristretto255 in its canonical encoding (RFC 9496).
pub type EncodedPoint = [u8; 32];
/// A scalar of ristretto255, little-endian and reduced.
pub type EncodedScalar = [u8; 32];
/// An earlier mixing secret, encrypted under a later one (AES-KW, RFC 3394).
pub type MixingLink = [u8; 40];

/// The hospitals that take part, ascending. A seat is a position in this list.
pub type Seats = BoundedVec<HospitalId, ConstU32<MAX_SEATS>>;
/// The commitments to a polynomial, beginning with the constant term.
pub type CommitmentList = BoundedVec<EncodedPoint, ConstU32<MAX_THRESHOLD>>;
/// The answers of one dealer to complaints.
pub type Answers = BoundedVec<RevealedShare, ConstU32<MAX_FAULTY_SEATS>>;
/// What members have confirmed, one entry for each.
pub type Confirmations = BoundedVec<Confirmation, ConstU32<MAX_SEATS>>;
/// The hospitals that began a ceremony only because they had no share, and the block in which the epoch of it began;
/// oldest first.
pub type Joins = BoundedVec<(HospitalId, BlockNumber), ConstU32<MAX_JOINS>>;

/// The number of a consortium key, from 0. A new number means that what was sealed to the earlier key is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an epoch, from 0. Shares of different epochs do not fit together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct EpochId(pub u32);

impl fmt::Display for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a ceremony, from 0. None is ever used again, whether the ceremony succeeded or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct CeremonyId(pub u32);

impl fmt::Display for CeremonyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of seats, or of dealers. Bit `i` represents position `i` of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct SeatSet(pub u32);

impl SeatSet {
    /// The first `count` seats.
    pub fn first(count: usize) -> Self {
        (0..count).collect()
    }

    /// Adds a seat below [`MAX_SEATS`]; there are no others.
    pub fn insert(&mut self, seat: usize) {
        if seat < MAX_SEATS as usize {
            self.0 |= 1 << seat;
        }
    }

    pub fn contains(self, seat: usize) -> bool {
        seat < MAX_SEATS as usize && self.0 >> seat & 1 == 1
    }

    pub fn contains_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The seats, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_SEATS as usize).filter(move |seat| self.contains(*seat))
    }
}

impl FromIterator<usize> for SeatSet {
    fn from_iter<I: IntoIterator<Item = usize>>(seats: I) -> Self {
        let mut set = Self::default();
        for seat in seats {
            set.insert(seat);
        }
        set
    }
}

/// Whether a hospital joined so lately by a ceremony of its own that it cannot begin another one because it has no
/// share: less than [`PHASES_BETWEEN_OWN_REASONS`] phases before block `now`, and less than a day, however long the
/// phases are.
pub fn has_joined_lately(
    joins: &[(HospitalId, BlockNumber)],
    hospital: HospitalId,
    now: BlockNumber,
    phase: BlockNumber,
) -> bool {
    let pause = phase.saturating_mul(PHASES_BETWEEN_OWN_REASONS).min(DAY_BLOCKS);
    joins.iter().any(|(joined, since)| *joined == hospital && now < since.saturating_add(pause))
}

/// How long things last, in chain blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// The longest time of one phase of a ceremony, and the shortest time between two ceremonies.
    pub phase: BlockNumber,
    /// The age of an epoch at which its members renew their shares.
    pub refresh: BlockNumber,
}

impl Default for Schedule {
    /// Phases of ten minutes, and new shares after 30 days.
    fn default() -> Self {
        Self { phase: 200, refresh: 30 * DAY_BLOCKS }
    }
}

impl Schedule {
    /// Whether the council may choose it: a phase is within its limits, and a refresh after ten phases and within
    /// [`MAX_REFRESH_BLOCKS`].
    pub fn is_valid(&self) -> bool {
        let shortest = self.phase.saturating_mul(PHASES_BETWEEN_REFRESHES);
        (MIN_PHASE_BLOCKS..=MAX_PHASE_BLOCKS).contains(&self.phase)
            && (shortest..=MAX_REFRESH_BLOCKS).contains(&self.refresh)
    }
}

/// An epoch: who has shares, and what is public about them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Epoch {
    pub id: EpochId,
    /// The key of which the members have shares.
    pub key: KeyId,
    /// The ceremony that made the shares.
    pub ceremony: CeremonyId,
    /// Who has a share: the hospitals that enrolled, ascending.
    pub members: Seats,
    /// So many members open what was sealed to the key.
    pub threshold: u8,
    /// So many members may be faulty: as [`Ceremony::faulty`] says.
    pub faulty: u8,
    /// The commitments to the polynomial of which the shares are values. The first is the public key, which stays the
    /// same in all epochs of a key.
    pub commitments: CommitmentList,
    /// The hash of the mixing secret, which every member has and which goes into every wrap.
    pub mixing: Hash,
    /// The mixing secret of the previous epoch of the same key, encrypted under this one's. None in the first.
    pub link: Option<MixingLink>,
    /// The chain block in which the epoch began.
    pub since: BlockNumber,
    /// The members that have confirmed that they have their share.
    pub confirmed: SeatSet,
}

impl Epoch {
    /// The public key.
    pub fn public_key(&self) -> Option<EncodedPoint> {
        self.commitments.first().copied()
    }

    /// The member's position in the list of members.
    pub fn seat(&self, hospital: HospitalId) -> Option<usize> {
        self.members.binary_search(&hospital).ok()
    }

    /// Whether so many members have confirmed that nobody needs the shares of the epoch before any more
    /// ([`confirmed_before_erasure`]).
    pub fn replaces_earlier_shares(&self) -> bool {
        let (threshold, faulty) = (self.threshold.into(), self.faulty.into());
        self.confirmed.len() >= confirmed_before_erasure(self.members.len(), threshold, faulty)
    }

    /// Whether a hospital may begin a ceremony at block `now` because it has no share: it is no member, or has not
    /// confirmed its share within a phase after the epoch began.
    pub fn lacks_share(&self, hospital: HospitalId, now: BlockNumber, phase: BlockNumber) -> bool {
        match self.seat(hospital) {
            Some(member) => {
                !self.confirmed.contains(member) && now >= self.since.saturating_add(phase)
            }
            None => true,
        }
    }
}

/// A phase of a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The seats publish a sealing key, made for this ceremony only.
    #[codec(index = 0)]
    Enrol,
    /// The dealers publish commitments, and shares sealed to the enrolled seats.
    #[codec(index = 1)]
    Deal,
    /// The enrolled seats say from which dealers they have no valid share.
    #[codec(index = 2)]
    Judge,
    /// The dealers publish the shares about which somebody complained.
    #[codec(index = 3)]
    Answer,
    /// The enrolled seats confirm the result.
    #[codec(index = 4)]
    Confirm,
    /// An epoch began.
    #[codec(index = 5)]
    Activated,
    /// Too few took part. The earlier epoch goes on.
    #[codec(index = 6)]
    Failed(Failure),
}

/// Why a ceremony failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// Too few seats enrolled.
    #[codec(index = 0)]
    TooFewSeats,
    /// Too few dealers dealt, or too few of them are still valid after the complaints.
    #[codec(index = 1)]
    TooFewDealers,
    /// Too few seats confirmed the same result.
    #[codec(index = 2)]
    TooFewConfirmed,
}

/// A ceremony: generates a key, or makes new shares of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Ceremony {
    pub id: CeremonyId,
    /// The epoch whose members make new shares of their key; none if the ceremony generates a key.
    pub reshares: Option<EpochId>,
    /// The hospitals that may get a share, ascending.
    pub seats: Seats,
    /// The hospitals that deal, ascending: the seats, or the active members of the earlier epoch.
    pub dealers: Seats,
    /// The threshold of the new epoch: [`threshold`] until the enrolment ends, then [`threshold_of_enrolled`], but not
    /// below [`least`](Self::least).
    pub threshold: u8,
    /// The threshold is never lower, however few enrol: one above the number of hospitals that may be faulty among all
    /// active ones, or [`threshold`] if that is lower.
    pub least: u8,
    /// So many valid dealers are needed.
    pub needed: u8,
    pub phase: Phase,
    /// The last chain block of the phase.
    pub deadline: BlockNumber,
    /// The seats that have enrolled.
    pub enrolled: SeatSet,
    /// The dealers that have dealt.
    pub dealt: SeatSet,
    /// The seats that have judged the dealings.
    pub judged: SeatSet,
    /// For each dealer, the seats that complained.
    pub complaints: BoundedVec<SeatSet, ConstU32<MAX_SEATS>>,
    /// For each dealer, the seats whose complaints it has answered.
    pub answered: BoundedVec<SeatSet, ConstU32<MAX_SEATS>>,
}

impl Ceremony {
    /// A ceremony whose seats may enrol until `deadline`. Seats and dealers ascend. All active hospitals have seats;
    /// otherwise [`among`](Self::among) says how many are active.
    pub fn begin(
        id: CeremonyId,
        reshares: Option<&Epoch>,
        seats: Seats,
        dealers: Seats,
        deadline: BlockNumber,
    ) -> Self {
        let needed = match reshares {
            Some(epoch) => usize::from(epoch.threshold),
            None => seats.len().saturating_sub(faulty(seats.len())),
        };
        let none = BoundedVec::truncate_from(alloc::vec![SeatSet::default(); dealers.len()]);
        Self {
            id,
            reshares: reshares.map(|epoch| epoch.id),
            threshold: small(threshold(seats.len())),
            least: least(seats.len(), seats.len()),
            needed: small(needed),
            phase: Phase::Enrol,
            deadline,
            enrolled: SeatSet::default(),
            dealt: SeatSet::default(),
            judged: SeatSet::default(),
            complaints: none.clone(),
            answered: none,
            seats,
            dealers,
        }
    }

    /// The same ceremony, whose seats are only some of so many active hospitals. Those that may be faulty among all of
    /// them could all have seats, so they must not be enough.
    pub fn among(self, active: usize) -> Self {
        let least = least(self.seats.len(), active);
        Self { least, ..self }
    }

    /// So many members of the epoch may be faulty: as many as of all active hospitals, also of those that have no seat
    /// or did not enrol, but always fewer than the threshold.
    pub fn faulty(&self) -> u8 {
        self.least.saturating_sub(1)
    }

    pub fn is_running(&self) -> bool {
        !matches!(self.phase, Phase::Activated | Phase::Failed(_))
    }

    pub fn seat(&self, hospital: HospitalId) -> Option<usize> {
        self.seats.binary_search(&hospital).ok()
    }

    pub fn dealer(&self, hospital: HospitalId) -> Option<usize> {
        self.dealers.binary_search(&hospital).ok()
    }

    /// The dealers whose dealings stand, ascending: they dealt, no more seats complained than may be malicious, and
    /// they answered each complaint.
    pub fn valid(&self) -> SeatSet {
        let most = faulty(self.seats.len());
        let is_valid = |dealer: &usize| {
            let complaints = self.complaints.get(*dealer).copied().unwrap_or_default();
            let answered = self.answered.get(*dealer).copied().unwrap_or_default();
            complaints.len() <= most && answered.contains_all(complaints)
        };
        self.dealt.iter().filter(is_valid).collect()
    }

    /// The dealers whose dealings make the shares, ascending: all valid ones for a new key, and the first
    /// [`needed`](Self::needed) valid ones for new shares.
    pub fn counted(&self) -> SeatSet {
        let most =
            if self.reshares.is_some() { usize::from(self.needed) } else { MAX_SEATS as usize };
        self.valid().iter().take(most).collect()
    }

    /// Ends each phase that is complete or whose deadline has passed at block `now`. The next phase lasts for `length`
    /// blocks at most, from the block in which the phase before it ended. So a ceremony in which nobody acts any more
    /// is over after its phases, whoever looks at it and when. The pallet calls this before and after every change;
    /// workers call it to know what the pallet will do with their next call.
    pub fn advance(&mut self, now: BlockNumber, length: BlockNumber) {
        let mut last = now;
        while let Some((next, end)) = self.next(now, last) {
            if next == Phase::Deal {
                let (seats, enrolled) = (self.seats.len(), self.enrolled.len());
                self.threshold = small(threshold_of_enrolled(seats, enrolled)).max(self.least);
            }
            self.phase = next;
            self.deadline = end.saturating_add(length);
            last = end;
        }
    }

    /// The next phase, and the last block of the present one. A phase that is complete ended in block `last`.
    fn next(&self, now: BlockNumber, last: BlockNumber) -> Option<(Phase, BlockNumber)> {
        if let Some(next) = self.after_complete() {
            return Some((next, last));
        }
        let next = self.after_deadline().filter(|_| now > self.deadline)?;
        Some((next, self.deadline))
    }

    /// What follows if everybody has acted for whom the phase waits.
    fn after_complete(&self) -> Option<Phase> {
        let is_complete = match self.phase {
            Phase::Enrol => self.enrolled.len() == self.seats.len(),
            Phase::Deal => self.dealt.contains_all(self.waited_for()),
            Phase::Judge => self.judged.contains_all(self.enrolled),
            Phase::Answer => !self.open_complaints(),
            Phase::Confirm | Phase::Activated | Phase::Failed(_) => false,
        };
        if is_complete { self.after_deadline() } else { None }
    }

    /// What follows when the time of the phase is over, whoever has acted.
    fn after_deadline(&self) -> Option<Phase> {
        let enough = self.seats.len().saturating_sub(faulty(self.seats.len()));
        match self.phase {
            Phase::Enrol if self.enrolled.len() < enough => {
                Some(Phase::Failed(Failure::TooFewSeats))
            }
            Phase::Enrol => Some(Phase::Deal),
            Phase::Deal => Some(self.unless_too_few(Phase::Judge)),
            Phase::Judge if self.open_complaints() => Some(Phase::Answer),
            Phase::Judge | Phase::Answer => Some(self.unless_too_few(Phase::Confirm)),
            Phase::Confirm => Some(Phase::Failed(Failure::TooFewConfirmed)),
            Phase::Activated | Phase::Failed(_) => None,
        }
    }

    /// The hospitals for which the present phase waits, ascending. In the phase of confirmations these are the enrolled
    /// seats; the chain stores apart from the ceremony which of them have confirmed.
    pub fn awaited(&self) -> impl Iterator<Item = HospitalId> {
        let (list, expected, done) = match self.phase {
            Phase::Enrol => (&self.seats, SeatSet::first(self.seats.len()), self.enrolled),
            Phase::Deal => (&self.dealers, self.waited_for(), self.dealt),
            Phase::Judge => (&self.seats, self.enrolled, self.judged),
            Phase::Answer => (&self.dealers, self.accused(), SeatSet::default()),
            Phase::Confirm => (&self.seats, self.enrolled, SeatSet::default()),
            Phase::Activated | Phase::Failed(_) => {
                (&self.seats, SeatSet::default(), SeatSet::default())
            }
        };
        let awaited = expected.iter().filter(move |position| !done.contains(*position));
        awaited.filter_map(move |position| list.get(position).copied())
    }

    /// The dealers for which the phase of dealing waits: the expected ones, and all others if too few of the expected
    /// ones dealt.
    fn waited_for(&self) -> SeatSet {
        let expected = self.expected();
        let is_enough = self.valid().len() >= usize::from(self.needed);
        if self.dealt.contains_all(expected) && !is_enough {
            return SeatSet::first(self.dealers.len());
        }
        expected
    }

    /// The dealers that are expected to deal: those that have enrolled, or have no seat any more.
    fn expected(&self) -> SeatSet {
        let is_expected = |hospital: &HospitalId| match self.seat(*hospital) {
            Some(seat) => self.enrolled.contains(seat),
            None => true,
        };
        let dealers = self.dealers.iter().enumerate();
        dealers.filter(|(_, hospital)| is_expected(hospital)).map(|(dealer, _)| dealer).collect()
    }

    fn open_complaints(&self) -> bool {
        !self.accused().is_empty()
    }

    /// The dealers that can still become valid by an answer.
    fn accused(&self) -> SeatSet {
        let most = faulty(self.seats.len());
        let can_answer = |dealer: &usize| {
            let complaints = self.complaints.get(*dealer).copied().unwrap_or_default();
            let answered = self.answered.get(*dealer).copied().unwrap_or_default();
            complaints.len() <= most && !answered.contains_all(complaints)
        };
        self.dealt.iter().filter(can_answer).collect()
    }

    fn unless_too_few(&self, phase: Phase) -> Phase {
        // Before the complaints, every dealer that dealt is valid.
        if self.valid().len() >= usize::from(self.needed) {
            phase
        } else {
            Phase::Failed(Failure::TooFewDealers)
        }
    }
}

/// The lowest threshold of a ceremony with so many seats, among so many active hospitals.
fn least(seats: usize, active: usize) -> u8 {
    small(faulty(active).saturating_add(1).min(threshold(seats)))
}

/// At most [`MAX_SEATS`].
fn small(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// What the proof of a dealer's constant term is bound to: its encoding is the context of the proof. So nobody uses the
/// proof of another dealer, ceremony or chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct DealerContext {
    /// The hash of the chain's first block.
    pub genesis: Hash,
    pub ceremony: CeremonyId,
    pub dealer: HospitalId,
}

/// What a dealer has published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Dealing {
    /// The account of the dealer's agent that signed the dealing, and each sealed share. The hospital may have rotated
    /// it since.
    pub agent: AccountId,
    /// The commitments to the dealer's polynomial: as many as the new threshold.
    pub commitments: CommitmentList,
    /// The hash of the dealer's part of the mixing secret.
    pub part: Hash,
    /// The hash of the body with the sealed shares.
    pub body: Hash,
}

/// A share that its dealer has published because the seat complained. Everybody knows it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct RevealedShare {
    pub seat: u8,
    pub share: EncodedScalar,
    /// The dealer's part of the mixing secret.
    pub part: [u8; 32],
}

/// What a seat has confirmed. As many equal ones as the new threshold begin the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Confirmation {
    pub seat: u8,
    pub result: CeremonyResult,
}

/// What the chain cannot compute about the result of a ceremony, because it is made of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct CeremonyResult {
    /// The hash of the mixing secret.
    pub mixing: Hash,
    /// The earlier epoch's mixing secret under this one's; none if the ceremony generates a key.
    pub link: Option<MixingLink>,
}

/// A ceremony that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct PastCeremony {
    pub id: CeremonyId,
    /// The epoch that began, or why none did.
    pub outcome: Result<EpochId, Failure>,
    /// The chain block in which the chain noticed the end.
    pub block: BlockNumber,
}
