//! What a hospital does next in the ceremonies of the consortium key. Nothing here reads chain, journal or clock.
//!
//! The phase is the one that the pallet will see in the next block. What earlier phases published is final then, so
//! that two looks at one ceremony never lead to different dealings or results.

use std::collections::HashMap;

use codec::Encode;
use epione_client::{
    chain::{
        CeremonyState,
        calls::consortium_key::{self, Dealt},
    },
    signer::Account,
};
use epione_envelope::{
    dealing::{DealingContext, SealedShares, SharePart},
    sealing_keys::{SealingKeyPair, SealingPublicKey, SealingSuite},
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId,
    consortium::{
        Ceremony, CeremonyId, CeremonyResult, CommitmentList, DealerContext, Dealing, Epoch,
        MixingLink, Phase, RevealedShare, SeatSet, faulty,
    },
};
use epione_threshold::{Commitments, Index, MixingSecret, Polynomial, Share};
use zeroize::Zeroizing;

use super::{
    Secret,
    begin::{self, Begin},
    secrets::{Fresh, HeldShare, OwnDealing, Secrets},
};
use crate::chain::ConsortiumView;

/// Blocks from a decision until its call is in a block: the finalized block that was read is a few behind the newest.
const ON_THE_WAY: BlockNumber = 6;

/// Bodies of the newest ceremony, by their hashes: sealing keys and sealed shares.
pub type Bodies = HashMap<Hash, Vec<u8>>;

/// The hospital that takes part.
#[derive(Clone)]
pub struct Participant {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub hospital: HospitalId,
    pub agent: Account,
}

/// What the hospital does next.
pub enum Plan {
    Nothing(Idle),
    /// Begin a ceremony, and enrol in it with the sealing key of this seed.
    Begin {
        seed: Secret,
    },
    Enrol {
        ceremony: CeremonyId,
        seed: Secret,
    },
    Deal {
        ceremony: CeremonyId,
        dealing: OwnDealing,
        /// Whether the journal does not have it yet.
        is_new: bool,
    },
    /// Complain about these dealers.
    Judge {
        ceremony: CeremonyId,
        complaints: SeatSet,
    },
    /// Publish the shares of seats that complained.
    Answer {
        ceremony: CeremonyId,
        revealed: Vec<RevealedShare>,
    },
    /// Keep a share that needs no confirmation any more.
    Keep {
        ceremony: CeremonyId,
        held: HeldShare,
    },
    Confirm {
        ceremony: CeremonyId,
        held: HeldShare,
        result: CeremonyResult,
    },
}

/// Why a hospital does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Idle {
    #[error("nothing is to do until the chain changes")]
    Waiting,
    #[error("the node does not have all bodies of the ceremony yet")]
    Bodies,
    #[error(
        "the journal does not have this hospital's share of the epoch before, so the worker deals nothing: nothing is \
         to do if enough others deal"
    )]
    NoShare,
    #[error(
        "the journal does not have the seed with which this hospital enrolled: it gets no share in this ceremony, and \
         one in the next (epione consortium key refresh)"
    )]
    NoSeed,
    #[error(
        "what this hospital dealt is not in the journal, so the worker answers no complaint: nothing is to do if enough \
         others dealt"
    )]
    OtherDealing,
    #[error(
        "the dealings that count do not make a share for this hospital: it gets one in the next ceremony (epione \
         consortium key refresh)"
    )]
    NoResult,
    #[error(
        "fewer members of the consortium key than its threshold are active, so no ceremony can begin: the council \
         reinstates members, or decides about a new key"
    )]
    TooFewMembers,
    #[error(
        "there are more active hospitals than seats: the council chooses those that get a share"
    )]
    TooManySeats,
}

impl Idle {
    /// Whether an operator should know.
    pub fn needs_operator(self) -> bool {
        !matches!(self, Self::Waiting | Self::Bodies)
    }
}

/// The sealing key of a seed, made for one ceremony.
pub fn sealing_key(seed: &Secret) -> SealingKeyPair {
    SealingKeyPair::from_seed(SealingSuite::XWing, seed)
}

/// A running or finished ceremony, as all functions below see it.
struct Scene<'a> {
    view: &'a ConsortiumView,
    state: &'a CeremonyState,
    /// As it will be in the next block.
    ceremony: &'a Ceremony,
    next: BlockNumber,
    secrets: &'a Secrets,
    bodies: &'a Bodies,
}

impl Scene<'_> {
    /// Whether so little time is left that the hospital waits for bodies no longer: a third of a phase.
    fn is_late(&self) -> bool {
        let left = self.ceremony.deadline.saturating_sub(self.next);
        left <= (self.view.key.schedule.phase / 3).max(ON_THE_WAY)
    }
}

/// What a dealer gave this hospital.
enum Given {
    Valid(Share, Zeroizing<[u8; 32]>),
    Invalid,
    NoBody,
}

/// What the dealers gave this hospital whose dealings count, in the order of the dealers.
struct Counted {
    shares: Vec<(Index, Share)>,
    commitments: Vec<(Index, Commitments)>,
    /// With the dealers' numbers.
    parts: Zeroizing<Vec<(u16, [u8; 32])>>,
}

impl Participant {
    /// What the hospital does next. `next` is the number of the block after the finalized one of the view.
    pub fn plan(
        &self,
        view: &ConsortiumView,
        next: BlockNumber,
        secrets: &Secrets,
        bodies: &Bodies,
        fresh: Fresh,
    ) -> Plan {
        let (Some(state), Some(ceremony)) = (&view.state, view.advanced(next)) else {
            return self.begin(view, None, next, fresh);
        };
        let scene = Scene { view, state, ceremony: &ceremony, next, secrets, bodies };
        match ceremony.phase {
            Phase::Enrol => self.enrol(&scene, fresh),
            Phase::Deal => self.deal(&scene, &fresh),
            Phase::Judge => self.judge(&scene),
            Phase::Answer => self.answer(&scene),
            Phase::Confirm => self.confirm(&scene),
            Phase::Activated => match self.confirm_late(&scene) {
                Plan::Nothing(why) => match self.begin(view, Some(&ceremony), next, fresh) {
                    Plan::Nothing(Idle::Waiting) => Plan::Nothing(why),
                    plan => plan,
                },
                plan => plan,
            },
            Phase::Failed(_) => self.begin(view, Some(&ceremony), next, fresh),
        }
    }

    /// The bodies that a plan needs. `shares` are the ceremonies whose shares the journal has.
    pub fn wanted(
        &self,
        view: &ConsortiumView,
        next: BlockNumber,
        shares: &[CeremonyId],
    ) -> Vec<Hash> {
        let (Some(state), Some(ceremony)) = (&view.state, view.advanced(next)) else {
            return Vec::new();
        };
        let is_enrolled = self.seat(&ceremony).is_some();
        let dealings = || state.dealings.iter().flatten().map(|dealing| dealing.body).collect();
        match ceremony.phase {
            Phase::Deal if ceremony.dealer(self.hospital).is_some() => {
                state.enrolments.iter().flatten().copied().collect()
            }
            Phase::Judge | Phase::Confirm if is_enrolled => dealings(),
            Phase::Activated if is_enrolled && !shares.contains(&ceremony.id) => dealings(),
            _ => Vec::new(),
        }
    }

    /// Whether the hospital gets a share in a ceremony.
    pub fn is_member(&self, view: &ConsortiumView, newest: Option<&Ceremony>) -> bool {
        let is_enrolled = newest.is_some_and(|ceremony| self.seat(ceremony).is_some());
        let is_of_epoch = |epoch: &Epoch| {
            newest.is_some_and(|it| it.id == epoch.ceremony) && epoch.seat(self.hospital).is_some()
        };
        is_enrolled || view.key.current.as_ref().is_some_and(is_of_epoch)
    }

    /// The hospital's seat, if it has enrolled.
    fn seat(&self, ceremony: &Ceremony) -> Option<usize> {
        ceremony.seat(self.hospital).filter(|seat| ceremony.enrolled.contains(*seat))
    }

    fn at(&self) -> Index {
        Index::of_hospital(self.hospital.0)
    }

    fn begin(
        &self,
        view: &ConsortiumView,
        newest: Option<&Ceremony>,
        next: BlockNumber,
        fresh: Fresh,
    ) -> Plan {
        match begin::decide(view, newest, self.hospital, next) {
            Begin::Now => Plan::Begin { seed: fresh.enrolment },
            Begin::No(why) => Plan::Nothing(why),
        }
    }

    fn enrol(&self, scene: &Scene<'_>, fresh: Fresh) -> Plan {
        let ceremony = scene.ceremony;
        let is_due =
            ceremony.seat(self.hospital).is_some_and(|seat| !ceremony.enrolled.contains(seat));
        if !is_due {
            return Plan::Nothing(Idle::Waiting);
        }
        let seed = scene.secrets.enrolment.clone().unwrap_or(fresh.enrolment);
        Plan::Enrol { ceremony: ceremony.id, seed }
    }

    fn deal(&self, scene: &Scene<'_>, fresh: &Fresh) -> Plan {
        let ceremony = scene.ceremony;
        let id = ceremony.id;
        let dealer = ceremony.dealer(self.hospital);
        if dealer.is_none_or(|dealer| ceremony.dealt.contains(dealer)) {
            return Plan::Nothing(Idle::Waiting);
        }
        if let Some(dealing) = scene.secrets.dealing.clone() {
            return Plan::Deal { ceremony: id, dealing, is_new: false };
        }
        match self.new_dealing(scene, fresh) {
            Ok(dealing) => Plan::Deal { ceremony: id, dealing, is_new: true },
            Err(why) => Plan::Nothing(why),
        }
    }

    fn new_dealing(&self, scene: &Scene<'_>, fresh: &Fresh) -> Result<OwnDealing, Idle> {
        let ceremony = scene.ceremony;
        let keys = enrolled_keys(scene)?;
        let polynomial = self.polynomial(scene, &fresh.polynomial)?;
        let context =
            DealerContext { genesis: self.genesis, ceremony: ceremony.id, dealer: self.hospital };
        let commitments = CommitmentList::try_from(polynomial.commitments().encode())
            .map_err(|_| Idle::NoResult)?;
        let share_of = |seat: HospitalId| SharePart {
            share: *polynomial.share(Index::of_hospital(seat.0)).encode(),
            part: *fresh.part,
        };
        let (genesis, id) = (self.genesis, ceremony.id);
        let sealed = SealedShares::seal(&keys, genesis, id, self.hospital, share_of, &self.agent)
            .map_err(|_| Idle::NoResult)?;
        let call = consortium_key::deal(
            ceremony.id,
            &Dealt {
                commitments: &commitments,
                proof: &polynomial.prove(&context.encode(), &fresh.nonce).0,
                part: Hash::from(MixingSecret::part_hash(&fresh.part)),
                shares: &sealed.encode(),
            },
        );
        Ok(OwnDealing {
            seed: fresh.polynomial.clone(),
            part: fresh.part.clone(),
            arguments: call.arguments,
        })
    }

    /// The polynomial of a seed. Its constant term is random for a new key, and this hospital's share for new shares.
    fn polynomial(&self, scene: &Scene<'_>, seed: &Secret) -> Result<Polynomial, Idle> {
        let threshold = usize::from(scene.ceremony.threshold);
        if scene.ceremony.reshares.is_none() {
            return Polynomial::generate(seed, threshold).ok_or(Idle::NoResult);
        }
        let earlier = scene.view.earlier.as_ref().ok_or(Idle::NoShare)?;
        let held = scene.secrets.shares.get(&earlier.ceremony).ok_or(Idle::NoShare)?;
        let share = Share::decode(&held.share).ok_or(Idle::NoShare)?;
        let is_ours = Commitments::decode(&earlier.commitments)
            .is_some_and(|commitments| commitments.includes(self.at(), &share));
        if !is_ours {
            return Err(Idle::NoShare);
        }
        Polynomial::sharing(&share, seed, threshold).ok_or(Idle::NoResult)
    }

    fn judge(&self, scene: &Scene<'_>) -> Plan {
        let ceremony = scene.ceremony;
        let id = ceremony.id;
        if self.seat(ceremony).is_none_or(|seat| ceremony.judged.contains(seat)) {
            return Plan::Nothing(Idle::Waiting);
        }
        // Complaints would publish this hospital's share, and nobody is to blame.
        let Some(seed) = &scene.secrets.enrolment else {
            return Plan::Judge { ceremony: id, complaints: SeatSet::default() };
        };
        let keys = sealing_key(seed);
        let (mut complaints, mut is_missing) = (SeatSet::default(), false);
        for dealer in ceremony.dealt.iter() {
            match self.given(scene, dealer, &keys) {
                Given::Valid(..) => {}
                Given::Invalid => complaints.insert(dealer),
                Given::NoBody => {
                    is_missing = true;
                    complaints.insert(dealer);
                }
            }
        }
        if is_missing && !scene.is_late() {
            return Plan::Nothing(Idle::Bodies);
        }
        Plan::Judge { ceremony: id, complaints }
    }

    /// What a dealer sealed to this hospital, if it fits to what the dealer published.
    fn given(&self, scene: &Scene<'_>, dealer: usize, keys: &SealingKeyPair) -> Given {
        let ceremony = scene.ceremony;
        let (Some(hospital), Some(Some(dealing))) =
            (ceremony.dealers.get(dealer).copied(), scene.state.dealings.get(dealer))
        else {
            return Given::Invalid;
        };
        let Some(body) = scene.bodies.get(&dealing.body) else { return Given::NoBody };
        let context = DealingContext {
            genesis: self.genesis,
            ceremony: ceremony.id,
            dealer: hospital,
            seat: self.hospital,
        };
        let opened = scene.view.agents.get(&hospital).and_then(|agent| {
            SealedShares::decode_exactly(body).ok()?.open(&context, keys, agent).ok()
        });
        let Some(opened) = opened else { return Given::Invalid };
        self.fitting(dealing, &opened.share, &opened.part)
    }

    /// What a dealer gave, if it is the share and the part to which the dealer is committed.
    fn fitting(&self, dealing: &Dealing, share: &[u8; 32], part: &[u8; 32]) -> Given {
        let commitments = Commitments::decode(&dealing.commitments);
        let share = Share::decode(share).filter(|share| {
            commitments.is_some_and(|commitments| commitments.includes(self.at(), share))
        });
        let is_part = Hash::from(MixingSecret::part_hash(part)) == dealing.part;
        match share {
            Some(share) if is_part => Given::Valid(share, Zeroizing::new(*part)),
            _ => Given::Invalid,
        }
    }

    fn answer(&self, scene: &Scene<'_>) -> Plan {
        let ceremony = scene.ceremony;
        let Some(dealer) = ceremony.dealer(self.hospital) else {
            return Plan::Nothing(Idle::Waiting);
        };
        let of = |sets: &[SeatSet]| sets.get(dealer).copied().unwrap_or_default();
        let (complaints, answered) = (of(&ceremony.complaints), of(&ceremony.answered));
        // More of them, and no answer helps: then no share is published.
        let is_out = complaints.len() > faulty(ceremony.seats.len());
        if is_out || answered.contains_all(complaints) {
            return Plan::Nothing(Idle::Waiting);
        }
        let open: Vec<_> = complaints.iter().filter(|seat| !answered.contains(*seat)).collect();
        match self.reveal(scene, dealer, &open) {
            Ok(revealed) => Plan::Answer { ceremony: ceremony.id, revealed },
            Err(why) => Plan::Nothing(why),
        }
    }

    fn reveal(
        &self,
        scene: &Scene<'_>,
        dealer: usize,
        seats: &[usize],
    ) -> Result<Vec<RevealedShare>, Idle> {
        let own = scene.secrets.dealing.as_ref().ok_or(Idle::OtherDealing)?;
        let polynomial = self.polynomial(scene, &own.seed)?;
        let dealing = scene.state.dealings.get(dealer).and_then(Option::as_ref);
        let is_ours = dealing.is_some_and(|dealing| {
            dealing.commitments.as_slice() == polynomial.commitments().encode().as_slice()
                && dealing.part == Hash::from(MixingSecret::part_hash(&own.part))
        });
        if !is_ours {
            return Err(Idle::OtherDealing);
        }
        let reveal = |seat: &usize| {
            let hospital = scene.ceremony.seats.get(*seat)?;
            let share = *polynomial.share(Index::of_hospital(hospital.0)).encode();
            Some(RevealedShare { seat: u8::try_from(*seat).ok()?, share, part: *own.part })
        };
        Ok(seats.iter().filter_map(reveal).collect())
    }

    fn confirm(&self, scene: &Scene<'_>) -> Plan {
        let Some(seat) = self.seat(scene.ceremony) else { return Plan::Nothing(Idle::Waiting) };
        let mut confirmed = scene.state.confirmations.iter();
        if confirmed.any(|confirmation| usize::from(confirmation.seat) == seat) {
            return Plan::Nothing(Idle::Waiting);
        }
        match self.result(scene) {
            Ok((held, result)) => Plan::Confirm { ceremony: scene.ceremony.id, held, result },
            Err(why) => Plan::Nothing(why),
        }
    }

    /// A member that was away computes its share of the epoch that began meanwhile.
    fn confirm_late(&self, scene: &Scene<'_>) -> Plan {
        let ceremony = scene.ceremony.id;
        let Some(epoch) = scene.view.key.current.as_ref() else {
            return Plan::Nothing(Idle::Waiting);
        };
        let Some(member) = epoch.seat(self.hospital).filter(|_| epoch.ceremony == ceremony) else {
            return Plan::Nothing(Idle::Waiting);
        };
        let (has_share, has_confirmed) =
            (scene.secrets.shares.contains_key(&ceremony), epoch.confirmed.contains(member));
        if has_share && has_confirmed {
            return Plan::Nothing(Idle::Waiting);
        }
        match self.result(scene) {
            Ok((_, result)) if result.mixing != epoch.mixing => Plan::Nothing(Idle::NoResult),
            Ok((held, _)) if has_confirmed => Plan::Keep { ceremony, held },
            Ok((held, result)) => Plan::Confirm { ceremony, held, result },
            Err(why) => Plan::Nothing(why),
        }
    }

    /// The hospital's share, which fits to the commitments of the epoch, and what it confirms.
    fn result(&self, scene: &Scene<'_>) -> Result<(HeldShare, CeremonyResult), Idle> {
        let held = match scene.secrets.shares.get(&scene.ceremony.id) {
            Some(held) => held.clone(),
            None => self.combine(scene)?,
        };
        let mixing = MixingSecret::from_bytes(*held.mixing);
        let link = link(scene, &mixing)?;
        Ok((held, CeremonyResult { mixing: Hash::from(mixing.hash()), link }))
    }

    /// The hospital's share and the mixing secret, from the dealings that count.
    fn combine(&self, scene: &Scene<'_>) -> Result<HeldShare, Idle> {
        let Counted { shares, commitments, parts } = self.counted(scene)?;
        let reshares = scene.ceremony.reshares.is_some();
        let (share, commitments) = if reshares {
            (Share::interpolate(&shares), Commitments::interpolate(&commitments))
        } else {
            let shares: Vec<_> = shares.into_iter().map(|(_, share)| share).collect();
            let commitments: Vec<_> = commitments.into_iter().map(|(_, each)| each).collect();
            (Share::sum(&shares), Commitments::sum(&commitments))
        };
        let (share, commitments) = share.zip(commitments).ok_or(Idle::NoResult)?;
        let mixing = MixingSecret::combine(&parts).ok_or(Idle::NoResult)?;
        let earlier = scene.view.earlier.as_ref().and_then(Epoch::public_key);
        let is_same_key = !reshares || earlier == Some(commitments.constant().encode());
        if !is_same_key || !commitments.includes(self.at(), &share) {
            return Err(Idle::NoResult);
        }
        Ok(HeldShare { share: share.encode(), mixing: mixing.encode() })
    }

    /// What the dealers gave this hospital whose dealings count.
    fn counted(&self, scene: &Scene<'_>) -> Result<Counted, Idle> {
        let ceremony = scene.ceremony;
        let keys = scene.secrets.enrolment.as_ref().map(sealing_key).ok_or(Idle::NoSeed)?;
        let (mut shares, mut commitments) = (Vec::new(), Vec::new());
        let dealers = ceremony.dealers.len();
        // With its capacity from the begin, it is never moved, which would leave a copy.
        let mut parts = Zeroizing::new(Vec::<(u16, [u8; 32])>::with_capacity(dealers));
        for dealer in ceremony.counted().iter() {
            let (Some(hospital), Some(Some(dealing))) =
                (ceremony.dealers.get(dealer), scene.state.dealings.get(dealer))
            else {
                return Err(Idle::NoResult);
            };
            let given = match self.revealed(scene, dealer) {
                Some(revealed) => self.fitting(dealing, &revealed.share, &revealed.part),
                None => self.given(scene, dealer, &keys),
            };
            let (share, part) = match given {
                Given::Valid(share, part) => (share, part),
                Given::Invalid => return Err(Idle::NoResult),
                Given::NoBody => return Err(Idle::Bodies),
            };
            let at = Index::of_hospital(hospital.0);
            let published = Commitments::decode(&dealing.commitments).ok_or(Idle::NoResult)?;
            shares.push((at, share));
            commitments.push((at, published));
            parts.push((hospital.0, *part));
        }
        Ok(Counted { shares, commitments, parts })
    }

    /// This hospital's share that a dealer has published after its complaint.
    fn revealed<'a>(&self, scene: &'a Scene<'_>, dealer: usize) -> Option<&'a RevealedShare> {
        let seat = scene.ceremony.seat(self.hospital)?;
        let answers = scene.state.answers.get(dealer)?;
        answers.iter().find(|answer| usize::from(answer.seat) == seat)
    }
}

/// The sealing keys of the enrolled seats. A seat that enrolled with something else gets no sealed share.
fn enrolled_keys(scene: &Scene<'_>) -> Result<Vec<(HospitalId, SealingPublicKey)>, Idle> {
    let (ceremony, mut keys) = (scene.ceremony, Vec::new());
    for seat in ceremony.enrolled.iter() {
        let (Some(hospital), Some(Some(hash))) =
            (ceremony.seats.get(seat), scene.state.enrolments.get(seat))
        else {
            continue;
        };
        match scene.bodies.get(hash) {
            Some(key) => {
                let key = SealingPublicKey::from_bytes(key).ok();
                let key = key.filter(|key| key.suite() == SealingSuite::XWing);
                keys.extend(key.map(|key| (*hospital, key)));
            }
            None if scene.is_late() => {}
            None => return Err(Idle::Bodies),
        }
    }
    Ok(keys)
}

/// The earlier epoch's mixing secret under the new one; none for a new key. A hospital that was no member of that epoch
/// takes it from those that were, and checks it.
fn link(scene: &Scene<'_>, mixing: &MixingSecret) -> Result<Option<MixingLink>, Idle> {
    if scene.ceremony.reshares.is_none() {
        return Ok(None);
    }
    let earlier = scene.view.earlier.as_ref().ok_or(Idle::NoResult)?;
    let opens = |secret: &MixingSecret| Hash::from(secret.hash()) == earlier.mixing;
    let own = scene.secrets.shares.get(&earlier.ceremony);
    let own = own.map(|held| MixingSecret::from_bytes(*held.mixing)).filter(opens);
    if let Some(own) = own {
        return Ok(Some(mixing.link(&own)));
    }
    let current = scene.view.key.current.as_ref();
    let of_epoch = current.filter(|it| it.ceremony == scene.ceremony.id).and_then(|it| it.link);
    let confirmed = scene.state.confirmations.iter().filter_map(|it| it.result.link);
    let mut links = of_epoch.into_iter().chain(confirmed);
    let found = links.find(|link| mixing.follow(link).is_some_and(|secret| opens(&secret)));
    found.map(Some).ok_or(Idle::Waiting)
}
