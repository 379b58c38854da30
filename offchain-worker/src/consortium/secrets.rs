//! What a worker keeps secret about the consortium key, and for how long.

use std::collections::BTreeMap;

use epione_primitives::{
    BlockNumber, Hash,
    consortium::{Ceremony, CeremonyId, Phase},
};
use zeroize::Zeroizing;

use crate::chain::ConsortiumView;

/// 32 secret bytes.
pub type Secret = Zeroizing<[u8; 32]>;

/// For so many finalized blocks the seed of a sealing key is kept with which the worker tried to begin a ceremony. The
/// transaction is mortal: after far fewer blocks, it begins none.
pub(super) const BEGUN_WITHIN: BlockNumber = 256;

/// A worker's secrets for the newest ceremony, and its shares.
pub struct Secrets {
    /// The seed of the sealing key for the ceremony.
    pub enrolment: Option<Secret>,
    pub dealing: Option<OwnDealing>,
    /// By the ceremony that made them.
    pub shares: BTreeMap<CeremonyId, HeldShare>,
}

/// What the worker deals in a ceremony.
#[derive(Clone)]
pub struct OwnDealing {
    /// All random terms of the polynomial follow from it.
    pub seed: Secret,
    /// The part of the mixing secret.
    pub part: Secret,
    /// The arguments of the call. The same are sent again after a restart, because sealing is random.
    pub arguments: Vec<u8>,
}

/// A share, and the mixing secret of the same epoch.
#[derive(Clone)]
pub struct HeldShare {
    pub share: Secret,
    pub mixing: Secret,
}

/// Random bytes for what the worker begins. What is not used is forgotten.
pub struct Fresh {
    /// The seed of a sealing key.
    pub enrolment: Secret,
    pub polynomial: Secret,
    pub part: Secret,
    /// For the proof that the worker knows what it deals.
    pub nonce: Secret,
}

impl Fresh {
    /// From the operating system.
    pub fn draw() -> Result<Self, getrandom::Error> {
        let draw = || -> Result<Secret, getrandom::Error> {
            let mut bytes = Secret::default();
            getrandom::fill(bytes.as_mut_slice())?;
            Ok(bytes)
        };
        Ok(Self { enrolment: draw()?, polynomial: draw()?, part: draw()?, nonce: draw()? })
    }
}

/// Of what the journal has secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The hash of the sealing key; the ceremony, if it is known; and the finalized block at which it was made.
    pub enrolments: Vec<(Hash, Option<CeremonyId>, BlockNumber)>,
    pub dealings: Vec<CeremonyId>,
    pub shares: Vec<CeremonyId>,
}

/// Secrets that are to be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obsolete {
    /// By the hash of the sealing key.
    pub enrolments: Vec<Hash>,
    pub dealings: Vec<CeremonyId>,
    pub shares: Vec<CeremonyId>,
}

impl Obsolete {
    pub fn is_empty(&self) -> bool {
        self.enrolments.is_empty() && self.dealings.is_empty() && self.shares.is_empty()
    }
}

/// What of the secrets nobody needs any more. `newest` is the newest ceremony as it will be at block `next`;
/// `is_member` says whether this hospital gets a share in it.
pub fn obsolete(
    view: &ConsortiumView,
    newest: Option<&Ceremony>,
    is_member: bool,
    held: &Held,
    next: BlockNumber,
) -> Obsolete {
    let fate = |ceremony: CeremonyId| Fate::of(newest, ceremony);
    let has_share = |ceremony| !is_member || held.shares.contains(&ceremony);
    let is_enrolment_over = |made_for: Option<CeremonyId>, at: BlockNumber| match made_for {
        None => next > at.saturating_add(BEGUN_WITHIN),
        Some(ceremony) => match fate(ceremony) {
            Fate::Open => false,
            Fate::Activated => has_share(ceremony),
            Fate::Failed | Fate::Forgotten => true,
        },
    };
    let enrolments = held.enrolments.iter();
    let enrolments = enrolments.filter(|(_, made_for, at)| is_enrolment_over(*made_for, *at));
    let dealings = held.dealings.iter().copied();
    let shares = held.shares.iter().copied();
    Obsolete {
        enrolments: enrolments.map(|(key, ..)| *key).collect(),
        dealings: dealings.filter(|ceremony| fate(*ceremony) != Fate::Open).collect(),
        shares: shares
            .filter(|ceremony| is_share_over(view, fate(*ceremony), *ceremony, next))
            .collect(),
    }
}

/// Shares of an earlier epoch are kept for a while after the next one began, because requests may be under way.
fn is_share_over(
    view: &ConsortiumView,
    fate: Fate,
    ceremony: CeremonyId,
    next: BlockNumber,
) -> bool {
    match &view.key.current {
        Some(epoch) if ceremony == epoch.ceremony => false,
        Some(epoch) if ceremony < epoch.ceremony => {
            next > epoch.since.saturating_add(view.key.schedule.grace)
        }
        _ => matches!(fate, Fate::Failed | Fate::Forgotten),
    }
}

/// What became of a ceremony.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is running, or the chain does not show it yet.
    Open,
    Activated,
    Failed,
    /// A later one has begun.
    Forgotten,
}

impl Fate {
    fn of(newest: Option<&Ceremony>, id: CeremonyId) -> Self {
        match newest {
            Some(newest) if id < newest.id => Self::Forgotten,
            Some(newest) if id == newest.id => match newest.phase {
                Phase::Activated => Self::Activated,
                Phase::Failed(_) => Self::Failed,
                _ => Self::Open,
            },
            _ => Self::Open,
        }
    }
}
