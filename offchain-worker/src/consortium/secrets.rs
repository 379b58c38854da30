//! What a worker keeps secret about the consortium key, and for how long.

use std::collections::BTreeMap;

use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId,
    consortium::{Ceremony, CeremonyId},
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
    /// The seed of the sealing key for the ceremony that made the current epoch, if it is not the newest.
    pub kept_enrolment: Option<Secret>,
    /// The seed of a sealing key with which the worker tried to begin a ceremony at the same finalized block.
    pub begun: Option<Secret>,
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
    /// The account that signs the call, and has signed each sealed share.
    pub agent: AccountId,
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

/// What of the secrets this hospital does not need any more. `newest` is the newest ceremony as it will be at block
/// `next`.
///
/// The seed of a sealing key is kept while its ceremony can still begin an epoch, and after that until the share is
/// there, whatever ceremonies begin meanwhile: the chain keeps what makes the share.
pub fn obsolete(
    view: &ConsortiumView,
    newest: Option<&Ceremony>,
    hospital: HospitalId,
    held: &Held,
    next: BlockNumber,
) -> Obsolete {
    let fate = |ceremony: CeremonyId| Fate::of(newest, ceremony);
    let is_enrolment_over = |made_for: Option<CeremonyId>, at: BlockNumber| match made_for {
        None => next > at.saturating_add(BEGUN_WITHIN),
        Some(ceremony) => match &view.key.current {
            Some(epoch) if epoch.ceremony == ceremony => {
                epoch.seat(hospital).is_none() || held.shares.contains(&ceremony)
            }
            _ => fate(ceremony) == Fate::Over,
        },
    };
    let enrolments = held.enrolments.iter();
    let enrolments = enrolments.filter(|(_, made_for, at)| is_enrolment_over(*made_for, *at));
    let dealings = held.dealings.iter().copied();
    let shares = held.shares.iter().copied();
    Obsolete {
        enrolments: enrolments.map(|(key, ..)| *key).collect(),
        dealings: dealings.filter(|ceremony| fate(*ceremony) == Fate::Over).collect(),
        shares: shares.filter(|it| is_share_over(view, fate(*it), *it)).collect(),
    }
}

/// Shares of an earlier epoch are kept until so many members have confirmed those of a later one that these open and
/// are renewed without the faulty members. Before that, the earlier shares could be the only ones that there are.
fn is_share_over(view: &ConsortiumView, fate: Fate, ceremony: CeremonyId) -> bool {
    match &view.key.current {
        Some(epoch) if ceremony == epoch.ceremony => false,
        Some(epoch) if ceremony < epoch.ceremony => {
            view.epochs().any(|later| later.ceremony > ceremony && later.replaces_earlier_shares())
        }
        _ => fate == Fate::Over,
    }
}

/// Whether a ceremony is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is running, or the chain does not show it yet.
    Open,
    /// It succeeded or failed, or a later one has begun.
    Over,
}

impl Fate {
    fn of(newest: Option<&Ceremony>, id: CeremonyId) -> Self {
        match newest {
            Some(newest) if id < newest.id || (id == newest.id && !newest.is_running()) => {
                Self::Over
            }
            _ => Self::Open,
        }
    }
}
