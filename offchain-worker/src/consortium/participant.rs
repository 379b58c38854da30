//! What a hospital does next in the ceremonies of the consortium key. Nothing here reads chain, journal or clock.
//!
//! The phase is the one that the pallet will see in the next block. What earlier phases published is final then, so
//! that two looks at one ceremony never lead to different dealings or results. `receiving.rs` has what a seat makes of
//! the dealings.

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
    dealing::{SealedShares, SharePart},
    sealing_keys::{SealingKeyPair, SealingPublicKey, SealingSuite},
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId,
    consortium::{
        Ceremony, CeremonyId, CeremonyResult, CommitmentList, DealerContext, Epoch, Phase,
        RevealedShare, SeatSet, faulty, most_accused,
    },
};
use epione_threshold::{Commitments, Index, MixingSecret, Polynomial, Share};

use super::{
    Secret,
    begin::{self, Begin},
    receiving::{Given, Scene, own_mixing},
    secrets::{Fresh, HeldShare, OwnDealing, Secrets},
};
use crate::chain::ConsortiumView;

/// Bodies of ceremonies, by their hashes: sealing keys and sealed shares.
pub type Bodies = HashMap<Hash, Vec<u8>>;

/// The hospital that takes part.
#[derive(Clone)]
pub struct Participant {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub hospital: HospitalId,
    pub agent: Account,
}

/// What the hospital does next about one ceremony.
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

impl Plan {
    /// Why the hospital does nothing; none if it does something.
    pub fn idle(&self) -> Option<Idle> {
        match self {
            Self::Nothing(why) => Some(*why),
            _ => None,
        }
    }

    /// The ceremony whose share the plan keeps.
    pub fn keeps(&self) -> Option<CeremonyId> {
        match self {
            Self::Keep { ceremony, .. } | Self::Confirm { ceremony, .. } => Some(*ceremony),
            _ => None,
        }
    }
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
        "this hospital has no share of the consortium key, and began a ceremony for one less than a day ago: it gets \
         one in the next ceremony (epione consortium key refresh), or begins another one after that time"
    )]
    JoinedLately,
    #[error(
        "fewer members of the consortium key than its threshold are active, so no ceremony can begin: the council \
         reinstates members, or decides about a new key"
    )]
    TooFewMembers,
    #[error(
        "there are more active hospitals than seats: the council chooses those that get a share"
    )]
    TooManySeats,
    #[error(
        "so few of the hospitals that can have seats are active and ready that those that may be malicious could open \
         everything, so no ceremony can begin: wait until more are ready (epione hospital list), or the council \
         chooses other seats"
    )]
    SmallCommittee,
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

impl Participant {
    /// What the hospital does next in the newest ceremony, or to begin another one. `next` is the number of the block
    /// after the finalized one of the view.
    pub fn plan(
        &self,
        view: &ConsortiumView,
        next: BlockNumber,
        secrets: &Secrets,
        bodies: &Bodies,
        fresh: Fresh,
    ) -> Plan {
        let (Some(state), Some(ceremony)) = (&view.state, view.advanced(next)) else {
            return self.begin(view, None, next, secrets, bodies, fresh);
        };
        let (earlier, enrolment) = (view.earlier.as_ref(), secrets.enrolment.as_ref());
        let scene =
            Scene { view, state, ceremony: &ceremony, earlier, enrolment, next, secrets, bodies };
        match ceremony.phase {
            Phase::Enrol => self.enrol(&scene, fresh),
            Phase::Deal => self.deal(&scene, &fresh),
            Phase::Judge => self.judge(&scene),
            Phase::Answer => self.answer(&scene),
            Phase::Confirm => self.confirm(&scene),
            Phase::Activated | Phase::Failed(_) => {
                self.begin(view, Some(&ceremony), next, secrets, bodies, fresh)
            }
        }
    }

    /// What a member still does for the current epoch, also while another ceremony runs: if it was away, it computes
    /// its share, and confirms it.
    pub fn catch_up(
        &self,
        view: &ConsortiumView,
        next: BlockNumber,
        secrets: &Secrets,
        bodies: &Bodies,
    ) -> Plan {
        let (Some(epoch), Some((state, earlier))) = (&view.key.current, view.made_current()) else {
            return Plan::Nothing(Idle::Waiting);
        };
        let ceremony = &state.ceremony;
        let is_newest = view.newest().is_some_and(|newest| newest.id == ceremony.id);
        let enrolment =
            if is_newest { secrets.enrolment.as_ref() } else { secrets.kept_enrolment.as_ref() };
        let scene = Scene { view, state, ceremony, earlier, enrolment, next, secrets, bodies };
        self.confirm_late(&scene, epoch)
    }

    /// The bodies that both plans need. `shares` are the ceremonies whose shares the journal has.
    pub fn wanted(
        &self,
        view: &ConsortiumView,
        next: BlockNumber,
        shares: &[CeremonyId],
    ) -> Vec<Hash> {
        let dealings = |state: &CeremonyState| -> Vec<Hash> {
            state.dealings.iter().flatten().map(|dealing| dealing.body).collect()
        };
        let lacks_share = |state: &CeremonyState| {
            self.seat(&state.ceremony).is_some() && !shares.contains(&state.ceremony.id)
        };
        let made = view.made_current().map(|(state, _)| state).filter(|it| lacks_share(it));
        let mut wanted = made.map(dealings).unwrap_or_default();
        if let (Some(state), Some(ceremony)) = (&view.state, view.advanced(next)) {
            let is_enrolled = self.seat(&ceremony).is_some();
            match ceremony.phase {
                Phase::Deal if ceremony.dealer(self.hospital).is_some() => {
                    wanted.extend(state.enrolments.iter().flatten());
                }
                Phase::Judge | Phase::Confirm if is_enrolled => wanted.extend(dealings(state)),
                _ => {}
            }
        }
        wanted
    }

    /// The hospital's seat, if it has enrolled.
    pub(super) fn seat(&self, ceremony: &Ceremony) -> Option<usize> {
        ceremony.seat(self.hospital).filter(|seat| ceremony.enrolled.contains(*seat))
    }

    pub(super) fn at(&self) -> Index {
        Index::of_hospital(self.hospital.0)
    }

    fn begin(
        &self,
        view: &ConsortiumView,
        newest: Option<&Ceremony>,
        next: BlockNumber,
        secrets: &Secrets,
        bodies: &Bodies,
        fresh: Fresh,
    ) -> Plan {
        match begin::decide(view, newest, self.hospital, next) {
            // It confirms late, or waits for bodies with which it can.
            Begin::Unconfirmed if !self.has_lost_share(view, next, secrets, bodies) => {
                Plan::Nothing(Idle::Waiting)
            }
            // Attempts at one finalized block share a seed: while finality stands still, the journal does not grow.
            Begin::Now | Begin::Unconfirmed => {
                let seed = secrets.begun.clone().unwrap_or(fresh.enrolment);
                Plan::Begin { seed }
            }
            Begin::No(why) => Plan::Nothing(why),
        }
    }

    /// Whether what the chain and the journal have does not make the hospital's share of the current epoch, for example
    /// because a dealer cheated it while it was away.
    fn has_lost_share(
        &self,
        view: &ConsortiumView,
        next: BlockNumber,
        secrets: &Secrets,
        bodies: &Bodies,
    ) -> bool {
        let late = self.catch_up(view, next, secrets, bodies);
        matches!(late, Plan::Nothing(Idle::NoSeed | Idle::NoResult))
    }

    fn enrol(&self, scene: &Scene<'_>, fresh: Fresh) -> Plan {
        let ceremony = scene.ceremony;
        let is_due =
            ceremony.seat(self.hospital).is_some_and(|seat| !ceremony.enrolled.contains(seat));
        if !is_due {
            return Plan::Nothing(Idle::Waiting);
        }
        let seed = scene.enrolment.cloned().unwrap_or(fresh.enrolment);
        Plan::Enrol { ceremony: ceremony.id, seed }
    }

    fn deal(&self, scene: &Scene<'_>, fresh: &Fresh) -> Plan {
        let ceremony = scene.ceremony;
        let id = ceremony.id;
        let dealer = ceremony.dealer(self.hospital);
        if dealer.is_none_or(|dealer| ceremony.dealt.contains(dealer)) {
            return Plan::Nothing(Idle::Waiting);
        }
        let own = scene.secrets.dealing.as_ref();
        if let Some(dealing) = own.filter(|own| own.agent == self.agent.id()).cloned() {
            return Plan::Deal { ceremony: id, dealing, is_new: false };
        }
        // The seats open only what the account signed that deals. After a rotation, the same shares are sealed again.
        let (seed, part) = match own {
            Some(own) => (&own.seed, &own.part),
            None => (&fresh.polynomial, &fresh.part),
        };
        match self.new_dealing(scene, seed, part, &fresh.nonce) {
            Ok(dealing) => Plan::Deal { ceremony: id, dealing, is_new: true },
            Err(why) => Plan::Nothing(why),
        }
    }

    fn new_dealing(
        &self,
        scene: &Scene<'_>,
        seed: &Secret,
        part: &Secret,
        nonce: &Secret,
    ) -> Result<OwnDealing, Idle> {
        let ceremony = scene.ceremony;
        let keys = enrolled_keys(scene)?;
        let polynomial = self.polynomial(scene, seed)?;
        let earlier = own_mixing(scene).map(|mixing| mixing.encode());
        let context =
            DealerContext { genesis: self.genesis, ceremony: ceremony.id, dealer: self.hospital };
        let commitments = CommitmentList::try_from(polynomial.commitments().encode())
            .map_err(|_| Idle::NoResult)?;
        let share_of = |seat: HospitalId| SharePart {
            share: *polynomial.share(Index::of_hospital(seat.0)).encode(),
            part: **part,
            earlier: earlier.as_deref().copied(),
        };
        let (genesis, id) = (self.genesis, ceremony.id);
        let sealed = SealedShares::seal(&keys, genesis, id, self.hospital, share_of, &self.agent)
            .map_err(|_| Idle::NoResult)?;
        let call = consortium_key::deal(
            ceremony.id,
            &Dealt {
                commitments: &commitments,
                proof: &polynomial.prove(&context.encode(), nonce).0,
                part: Hash::from(MixingSecret::part_hash(part)),
                shares: &sealed.encode(),
            },
        );
        Ok(OwnDealing {
            seed: seed.clone(),
            part: part.clone(),
            agent: self.agent.id(),
            arguments: call.arguments,
        })
    }

    /// The polynomial of a seed. Its constant term is random for a new key, and this hospital's share for new shares.
    fn polynomial(&self, scene: &Scene<'_>, seed: &Secret) -> Result<Polynomial, Idle> {
        let threshold = usize::from(scene.ceremony.threshold);
        if scene.ceremony.reshares.is_none() {
            return Polynomial::generate(seed, threshold).ok_or(Idle::NoResult);
        }
        let earlier = scene.earlier.ok_or(Idle::NoShare)?;
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
        let Some(seed) = scene.enrolment else {
            return Plan::Judge { ceremony: id, complaints: SeatSet::default() };
        };
        let keys = sealing_key(seed);
        let (mut complaints, mut is_missing) = (SeatSet::default(), false);
        for dealer in ceremony.dealt.iter() {
            match self.given(scene, dealer, &keys) {
                Given::Valid(..) => {}
                Given::Invalid => complaints.insert(dealer),
                // The node lacks it, not the dealer. The hospital confirms late, when the body is there.
                Given::NoBody => is_missing = true,
            }
        }
        if is_missing && !scene.is_late() {
            return Plan::Nothing(Idle::Bodies);
        }
        // More dealers than may be faulty: the fault is rather here, and the chain refuses so many complaints.
        if complaints.len() > most_accused(ceremony.seats.len(), ceremony.dealers.len()) {
            complaints = SeatSet::default();
        }
        Plan::Judge { ceremony: id, complaints }
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
    fn confirm_late(&self, scene: &Scene<'_>, epoch: &Epoch) -> Plan {
        let ceremony = scene.ceremony.id;
        let Some(member) = epoch.seat(self.hospital) else {
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
