//! The parts of an opening that count, and what they open. Reads nothing: the caller passes what the chain has.

use std::collections::BTreeMap;

use epione_envelope::{
    Zeroizing,
    keys::ContentKey,
    opening::{PartialContent, PartialContext, SealedPartial, wraps_hash},
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{
    AccountId, Hash, HospitalId,
    consortium::{Epoch, EpochId, KeyId},
    opening::{HandedOut, OpeningId},
};
use epione_threshold::{Commitments, Index, Partial, Point};

use super::{OpeningFault, PartFault, RECEIPT_LIMIT, wrapped::WrappedSection};

/// For what parts are collected.
pub(super) struct Expected<'a> {
    pub genesis: Hash,
    pub opening: OpeningId,
    /// The key under which the sections are wrapped.
    pub key: KeyId,
    /// The requester's.
    pub sealing: &'a SealingKeyPair,
    /// The sections in the opening's order.
    pub sections: &'a [WrappedSection],
}

/// What a hospital sent, and what the chain has about it.
pub(super) struct Answer<'a> {
    pub hospital: HospitalId,
    /// The account of the hospital's agent.
    pub agent: &'a AccountId,
    /// What the hospital recorded; none if the chain has no record of it in time.
    pub handed_out: Option<&'a HandedOut>,
    /// The epoch of the part; none if the chain has no such epoch.
    pub epoch: Option<&'a Epoch>,
    pub sealed: &'a SealedPartial,
}

/// A hospital's part whose signature and proof are verified.
struct Part {
    partial: Partial,
    /// One for each section. Nothing proves them.
    mixing: Zeroizing<Vec<[u8; 32]>>,
}

/// The parts that count.
pub(super) struct Collected<'a> {
    expected: Expected<'a>,
    points: Vec<Point>,
    /// The wraps of the sections, as a part names them.
    wraps: Hash,
    parts: BTreeMap<EpochId, (Epoch, BTreeMap<HospitalId, Part>)>,
}

/// What parts of as many hospitals as the threshold open.
pub(super) struct Unwrapped {
    /// The content key of each section, or why it has none, in the opening's order.
    pub keys: Vec<Result<ContentKey, OpeningFault>>,
    /// The hospitals whose parts count, ascending. They are of one epoch.
    pub hospitals: Vec<HospitalId>,
    /// The hospitals that sent a mixing value with which a section does not open, although it opens with another.
    pub liars: Vec<(HospitalId, PartFault)>,
}

impl Unwrapped {
    pub fn is_complete(&self) -> bool {
        self.keys.iter().all(Result::is_ok)
    }
}

impl<'a> Collected<'a> {
    pub fn new(expected: Expected<'a>) -> Self {
        let points = expected.sections.iter().map(|section| section.point).collect();
        let bodies: Vec<_> = expected.sections.iter().map(|section| section.body).collect();
        Self { expected, points, wraps: wraps_hash(&bodies), parts: BTreeMap::new() }
    }

    /// Adds a part if it counts: the hospital recorded it on the chain, the hospital's agent signed it for this opening
    /// and requester, it is of the recorded epoch and of these wraps, and its proof shows that it was made with the
    /// hospital's share.
    pub fn add(&mut self, answer: &Answer<'_>) -> Result<(), PartFault> {
        let Answer { hospital, agent, handed_out, epoch, sealed } = *answer;
        // A part without the record is never used: the patient sees every part that opened something.
        let unrecorded = PartFault::NotHandedOut { after: RECEIPT_LIMIT };
        let (sent, recorded) = (sealed.epoch(), handed_out.ok_or(unrecorded)?.epoch);
        if sent != recorded {
            return Err(PartFault::OtherEpoch { sent, recorded });
        }
        let is_of_key = |epoch: &&Epoch| epoch.id == sent && epoch.key == self.expected.key;
        let epoch = epoch.filter(is_of_key).ok_or(PartFault::NoShare(sent))?;
        let index = Index::of_hospital(hospital.0);
        let public = epoch.seat(hospital).and_then(|_| {
            let commitments = Commitments::decode(&epoch.commitments)?;
            commitments.evaluate(index)
        });
        let public = public.ok_or(PartFault::NoShare(sent))?;

        let Expected { genesis, opening, sealing, .. } = self.expected;
        let wraps = sealed.wraps();
        let context = PartialContext { genesis, opening, hospital, epoch: sent, wraps };
        let content = sealed.open(&context, sealing, agent).map_err(|_| PartFault::Signature)?;
        if wraps != self.wraps {
            return Err(PartFault::OtherWraps);
        }
        let (expected, found) = (self.points.len(), content.values.len());
        if found != expected || content.mixing.len() != expected {
            return Err(PartFault::Count { found, expected });
        }
        let partial = decoded(&content).ok_or(PartFault::Proof)?;
        let context = context.proof_context(sealing.public().hash());
        if !partial.check(&public, &self.points, &context) {
            return Err(PartFault::Proof);
        }
        let part = Part { partial, mixing: Zeroizing::new(content.mixing.clone()) };
        let (_, parts) = self.parts.entry(sent).or_insert_with(|| (epoch.clone(), BTreeMap::new()));
        parts.insert(hospital, part);
        Ok(())
    }

    /// Whether the parts are about these sections and wraps.
    pub fn is_about(&self, sections: &[WrappedSection]) -> bool {
        self.expected.sections == sections
    }

    /// Whether the parts are about wraps under this key.
    pub fn is_under(&self, key: KeyId) -> bool {
        self.expected.key == key
    }

    /// The most parts of one epoch, and how many that epoch needs; none if there is no part.
    pub fn most(&self) -> Option<(usize, usize)> {
        let counted = self.parts.values();
        let counted = counted.map(|(epoch, parts)| (parts.len(), usize::from(epoch.threshold)));
        counted.max_by_key(|(found, _)| *found)
    }

    /// What the parts open; none before as many hospitals as the threshold gave one of the same epoch.
    pub fn unwrapped(&self) -> Option<Unwrapped> {
        let is_enough = |(epoch, parts): &&(Epoch, BTreeMap<HospitalId, Part>)| {
            parts.len() >= usize::from(epoch.threshold)
        };
        let (epoch, parts) = self.parts.values().rev().find(is_enough)?;
        let chosen: Vec<_> = parts
            .iter()
            .take(usize::from(epoch.threshold))
            .map(|(hospital, part)| (Index::of_hospital(hospital.0), &part.partial))
            .collect();
        let shared = Partial::combine(&chosen)?;
        let most = usize::from(epoch.faulty);
        let (mut keys, mut liars) = (Vec::with_capacity(shared.len()), BTreeMap::new());
        for ((position, section), shared) in
            self.expected.sections.iter().enumerate().zip(shared.iter())
        {
            let opened = self.opened((position, section), shared, most);
            if let Ok((_, right)) = &opened {
                self.note_liars((position, section), right, &mut liars);
            }
            keys.push(opened.map(|(key, _)| key));
        }
        let hospitals = parts.keys().copied().collect();
        Some(Unwrapped { keys, hospitals, liars: liars.into_iter().collect() })
    }

    /// The content key of a section, and the mixing value with which its wrap opens.
    ///
    /// The mixing value on which most hospitals agree is tried first. Another one that opens the wrap is right, too:
    /// opening makes the wrap again, and nobody finds a second value with the same result.
    fn opened(
        &self,
        (position, section): (usize, &WrappedSection),
        shared: &Point,
        most_malicious: usize,
    ) -> Result<(ContentKey, Zeroizing<[u8; 32]>), OpeningFault> {
        let WrappedSection { pointer, section: number, hospital, label, wrap, .. } = section;
        let mut votes: Vec<(Zeroizing<[u8; 32]>, usize)> = Vec::new();
        for (_, value) in self.mixing(position) {
            match votes.iter_mut().find(|(known, _)| **known == *value) {
                Some((_, count)) => *count += 1,
                None => votes.push((Zeroizing::new(*value), 1)),
            }
        }
        votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let agreed = votes.first().map_or(0, |(_, count)| *count);
        for (value, _) in votes {
            if let Some(key) = wrap.open(label, &value, shared) {
                return Ok((ContentKey::from_bytes(*key), value));
            }
        }
        let (pointer, section) = (*pointer, *number);
        // At least one of so many hospitals is honest, so the value on which they agree is right.
        match agreed > most_malicious {
            true => Err(OpeningFault::WrongWrap { hospital: *hospital, pointer, section }),
            false => Err(OpeningFault::Undecided { pointer, section }),
        }
    }

    /// Notes the hospitals that sent another value for a section than the right one, each for its first section.
    fn note_liars(
        &self,
        (position, section): (usize, &WrappedSection),
        right: &[u8; 32],
        liars: &mut BTreeMap<HospitalId, PartFault>,
    ) {
        let WrappedSection { pointer, section, .. } = *section;
        for (hospital, value) in self.mixing(position) {
            if value != right {
                liars.entry(hospital).or_insert(PartFault::Mixing { pointer, section });
            }
        }
    }

    /// What the hospitals sent for the section at this position, whatever the epoch of their parts.
    fn mixing(&self, position: usize) -> impl Iterator<Item = (HospitalId, &[u8; 32])> {
        let parts = self.parts.values().flat_map(|(_, parts)| parts);
        parts.filter_map(move |(hospital, part)| Some((*hospital, part.mixing.get(position)?)))
    }
}

/// None if a value is no point, or if a number of the proof is not reduced.
fn decoded(content: &PartialContent) -> Option<Partial> {
    let length = content.proof.len() + 32 * content.values.len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend_from_slice(&content.proof);
    content.values.iter().for_each(|value| bytes.extend_from_slice(value));
    Partial::decode(&bytes)
}
