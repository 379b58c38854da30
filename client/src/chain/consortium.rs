//! Reads of the consortium key: its epochs, and the ceremonies that make them.
//!
//! The runtime API does not answer about them. A client reads the chain's storage, with storage proofs, also if it
//! believes which state a block has.

use epione_primitives::{
    BlockNumber, Hash,
    consortium::{
        Answers, Ceremony, Confirmations, Dealing, Epoch, EpochId, Joins, PastCeremony, Schedule,
        Seats,
    },
};

use super::{ChainError, Snapshot};

/// The consortium key, without the details of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsortiumKey {
    pub schedule: Schedule,
    /// The epoch whose shares are in use; none before the first key was made.
    pub current: Option<Epoch>,
    /// The newest ceremony, as the chain changed it last: its phase may have ended since
    /// ([`Ceremony::advance`]). None before the first.
    pub ceremony: Option<Ceremony>,
    /// The ceremony that made the current epoch, if it is not the newest.
    pub kept: Option<Ceremony>,
    /// The hospitals that the council chose for the seats; none if each active hospital has one.
    pub committee: Option<Seats>,
    /// Whether a hospital's governance requested that the members renew their shares.
    pub refresh_requested: bool,
    /// Whether the council decided that the next ceremony makes a new key.
    pub renewal_decided: bool,
    /// The hospitals that lately joined by a ceremony of their own.
    pub joined: Joins,
    /// The chain block in which the newest ceremony began.
    pub last_begun: Option<BlockNumber>,
    /// The last chain block of the newest ceremony that is over. Its deadlines decide, not when a call noticed the end.
    pub last_ended: Option<BlockNumber>,
}

/// A ceremony with what its seats and dealers published, all as of one block. The chain has this of the newest
/// ceremony, and of the one that made the current epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CeremonyState {
    /// As the chain changed it last: its phase may have ended since ([`Ceremony::advance`]).
    pub ceremony: Ceremony,
    /// For each seat, the hash of the sealing key with which it enrolled.
    pub enrolments: Vec<Option<Hash>>,
    /// For each dealer, what it dealt.
    pub dealings: Vec<Option<Dealing>>,
    /// For each dealer, its answers to complaints.
    pub answers: Vec<Answers>,
    /// What seats confirmed before an epoch began. Empty for a ceremony that is not the newest any more.
    pub confirmations: Confirmations,
}

impl Snapshot {
    /// The consortium key, all by one computation.
    pub async fn consortium_key(&self) -> Result<ConsortiumKey, ChainError> {
        self.proving().await?.consortium_key().await
    }

    /// How long phases and epochs last.
    pub async fn consortium_schedule(&self) -> Result<Schedule, ChainError> {
        self.proving().await?.consortium_schedule().await
    }

    /// The newest ceremony, as the chain changed it last; none before the first.
    pub async fn ceremony(&self) -> Result<Option<Ceremony>, ChainError> {
        self.proving().await?.ceremony().await
    }

    /// The newest ceremony with everything that was published in it; none before the first.
    pub async fn ceremony_state(&self) -> Result<Option<CeremonyState>, ChainError> {
        self.proving().await?.ceremony_state().await
    }

    /// The ceremony that made the current epoch with everything that was published in it; none if it is the newest one,
    /// or before there is an epoch.
    pub async fn kept_ceremony_state(&self) -> Result<Option<CeremonyState>, ChainError> {
        self.proving().await?.kept_ceremony_state().await
    }

    /// For each seat of a ceremony, the hash of the sealing key with which it enrolled.
    pub async fn enrolments(&self, ceremony: &Ceremony) -> Result<Vec<Option<Hash>>, ChainError> {
        self.proving().await?.enrolments(ceremony).await
    }

    /// For each dealer of a ceremony, what it dealt.
    pub async fn dealings(&self, ceremony: &Ceremony) -> Result<Vec<Option<Dealing>>, ChainError> {
        self.proving().await?.dealings(ceremony).await
    }

    /// For each dealer of a ceremony, its answers to complaints.
    pub async fn answers(&self, ceremony: &Ceremony) -> Result<Vec<Answers>, ChainError> {
        self.proving().await?.answers(ceremony).await
    }

    /// What seats of the newest ceremony have confirmed.
    pub async fn confirmations(&self) -> Result<Confirmations, ChainError> {
        self.proving().await?.confirmations().await
    }

    /// An epoch; none if the chain has not reached it.
    pub async fn epoch(&self, id: EpochId) -> Result<Option<Epoch>, ChainError> {
        self.proving().await?.epoch(id).await
    }

    /// The epoch whose shares are in use; none before the first key was made.
    pub async fn current_epoch(&self) -> Result<Option<Epoch>, ChainError> {
        self.proving().await?.current_epoch().await
    }

    /// The ceremonies that are over, the oldest first. The chain forgets those before the last
    /// [`MAX_PAST_CEREMONIES`](epione_primitives::limits::MAX_PAST_CEREMONIES).
    pub async fn past_ceremonies(&self) -> Result<Vec<PastCeremony>, ChainError> {
        self.proving().await?.past_ceremonies().await
    }

    /// The epochs with these numbers, in their order; none for one that the chain has not reached.
    pub async fn epochs(&self, ids: &[EpochId]) -> Result<Vec<Option<Epoch>>, ChainError> {
        self.proving().await?.epochs(ids).await
    }
}
