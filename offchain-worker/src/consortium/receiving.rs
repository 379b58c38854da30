//! What a seat makes of the dealings of a ceremony: its share, the mixing secret, and what it confirms.

use epione_client::chain::CeremonyState;
use epione_envelope::{
    dealing::{DealingContext, SealedShares, SharePart},
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{
    BlockNumber, Hash,
    consortium::{Ceremony, CeremonyResult, Dealing, Epoch, MixingLink, RevealedShare},
};
use epione_threshold::{Commitments, Index, MixingSecret, Share};
use zeroize::Zeroizing;

use super::{
    Idle, Participant, Secret,
    participant::{Bodies, sealing_key},
    secrets::{HeldShare, Secrets},
};
use crate::chain::ConsortiumView;

/// Blocks from a decision until its call is in a block: the finalized block that was read is a few behind the newest.
const ON_THE_WAY: BlockNumber = 6;

/// A running or finished ceremony, as a participant sees it.
pub(super) struct Scene<'a> {
    pub view: &'a ConsortiumView,
    pub state: &'a CeremonyState,
    /// As it will be in the next block.
    pub ceremony: &'a Ceremony,
    /// The epoch whose key it shares anew.
    pub earlier: Option<&'a Epoch>,
    /// The seed of the sealing key with which the hospital enrolled, or will enrol.
    pub enrolment: Option<&'a Secret>,
    pub next: BlockNumber,
    pub secrets: &'a Secrets,
    pub bodies: &'a Bodies,
}

impl Scene<'_> {
    /// Whether so little time is left that the hospital waits for bodies no longer: a third of a phase.
    pub fn is_late(&self) -> bool {
        let left = self.ceremony.deadline.saturating_sub(self.next);
        left <= (self.view.key.schedule.phase / 3).max(ON_THE_WAY)
    }
}

/// What a dealer gave this hospital.
pub(super) enum Given {
    Valid(Share, Zeroizing<[u8; 32]>),
    Invalid,
    NoBody,
}

/// What a dealer sealed to this hospital, whether it is right or not.
enum Opened {
    Content(SharePart),
    Nothing,
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
    /// What a dealer sealed to this hospital, if it fits to what the dealer published.
    pub(super) fn given(&self, scene: &Scene<'_>, dealer: usize, keys: &SealingKeyPair) -> Given {
        let Some(Some(dealing)) = scene.state.dealings.get(dealer) else { return Given::Invalid };
        match self.opened(scene, dealer, keys) {
            Opened::Content(opened) => self.fitting(dealing, &opened.share, &opened.part),
            Opened::Nothing => Given::Invalid,
            Opened::NoBody => Given::NoBody,
        }
    }

    /// What a dealer sealed to this hospital, if the account signed it that dealt.
    fn opened(&self, scene: &Scene<'_>, dealer: usize, keys: &SealingKeyPair) -> Opened {
        let ceremony = scene.ceremony;
        let (Some(hospital), Some(Some(dealing))) =
            (ceremony.dealers.get(dealer).copied(), scene.state.dealings.get(dealer))
        else {
            return Opened::Nothing;
        };
        let Some(body) = scene.bodies.get(&dealing.body) else { return Opened::NoBody };
        let context = DealingContext {
            genesis: self.genesis,
            ceremony: ceremony.id,
            dealer: hospital,
            seat: self.hospital,
        };
        let sealed = SealedShares::decode_exactly(body).ok();
        match sealed.and_then(|sealed| sealed.open(&context, keys, &dealing.agent).ok()) {
            Some(content) => Opened::Content(content),
            None => Opened::Nothing,
        }
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

    /// The hospital's share, which fits to the commitments of the epoch, and what it confirms.
    pub(super) fn result(&self, scene: &Scene<'_>) -> Result<(HeldShare, CeremonyResult), Idle> {
        let held = match scene.secrets.shares.get(&scene.ceremony.id) {
            Some(held) => held.clone(),
            None => self.combine(scene)?,
        };
        let mixing = MixingSecret::from_bytes(*held.mixing);
        let link = self.link(scene, &mixing)?;
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
        let earlier = scene.earlier.and_then(Epoch::public_key);
        let is_same_key = !reshares || earlier == Some(commitments.constant().encode());
        if !is_same_key || !commitments.includes(self.at(), &share) {
            return Err(Idle::NoResult);
        }
        Ok(HeldShare { share: share.encode(), mixing: mixing.encode() })
    }

    /// What the dealers gave this hospital whose dealings count.
    fn counted(&self, scene: &Scene<'_>) -> Result<Counted, Idle> {
        let ceremony = scene.ceremony;
        let keys = scene.enrolment.map(sealing_key).ok_or(Idle::NoSeed)?;
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

    /// The earlier epoch's mixing secret under the new one; none for a new key. A hospital that was no member of that
    /// epoch takes the secret from a dealer, or from the link of the epoch that has begun, and checks it.
    fn link(&self, scene: &Scene<'_>, mixing: &MixingSecret) -> Result<Option<MixingLink>, Idle> {
        if scene.ceremony.reshares.is_none() {
            return Ok(None);
        }
        if let Some(own) = own_mixing(scene) {
            return Ok(Some(mixing.link(&own)));
        }
        let current = scene.view.key.current.as_ref();
        let begun = current.filter(|it| it.ceremony == scene.ceremony.id).and_then(|it| it.link);
        let is_right = |link: &MixingLink| {
            mixing.follow(link).is_some_and(|secret| is_earlier(scene, &secret))
        };
        if let Some(link) = begun.filter(is_right) {
            return Ok(Some(link));
        }
        self.sealed_mixing(scene).map(|earlier| Some(mixing.link(&earlier)))
    }

    /// The earlier epoch's mixing secret, which each dealer seals to each seat. One honest dealer is enough: the hash
    /// of the secret is on the chain.
    fn sealed_mixing(&self, scene: &Scene<'_>) -> Result<MixingSecret, Idle> {
        let keys = scene.enrolment.map(sealing_key).ok_or(Idle::NoSeed)?;
        let mut is_missing = false;
        for dealer in scene.ceremony.dealt.iter() {
            match self.opened(scene, dealer, &keys) {
                Opened::Content(content) => {
                    let secret = content.earlier.map(MixingSecret::from_bytes);
                    if let Some(secret) = secret.filter(|secret| is_earlier(scene, secret)) {
                        return Ok(secret);
                    }
                }
                Opened::Nothing => {}
                Opened::NoBody => is_missing = true,
            }
        }
        Err(if is_missing { Idle::Bodies } else { Idle::NoResult })
    }
}

/// The mixing secret of the earlier epoch, if the hospital has it as a member of that epoch.
pub(super) fn own_mixing(scene: &Scene<'_>) -> Option<MixingSecret> {
    let own = scene.secrets.shares.get(&scene.earlier?.ceremony)?;
    Some(MixingSecret::from_bytes(*own.mixing)).filter(|secret| is_earlier(scene, secret))
}

/// Whether it is the mixing secret of the earlier epoch.
fn is_earlier(scene: &Scene<'_>, secret: &MixingSecret) -> bool {
    scene.earlier.is_some_and(|earlier| Hash::from(secret.hash()) == earlier.mixing)
}
