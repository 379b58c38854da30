//! The chain as the worker's API needs it: final state, bodies by hash, and the agent's calls. Narrow,
//! so that the API is tested without a node; [`NodeChain`] is the real one.

use std::{error::Error, sync::OnceLock};

use epione_client::{
    chain::{Call, Chain, ChainError, DispatchFailure, Snapshot, SubmitError},
    signer::Account,
};
use epione_primitives::{
    AccountId, Hash, HospitalId, RecordPointer, UserId,
    access::{AccessRequest, Decision},
    block::{Entry, Header},
    hospital::{Duty, Hospital},
    profile::{Profile, Registration},
    refusal::Refusal,
    release::{Review, ReviewId, Tally},
};
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::node::HighWater;

/// A read's answer.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ViewError>>;

/// Why the chain could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("the hospital's node is away or still catching up: try again later")]
    Away,
    #[error("account {0} is no active hospital's agent on this chain: check the worker's keystore")]
    NotAgent(AccountId),
    #[error("the hospital's node failed; see the worker's log")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl From<ChainError> for ViewError {
    fn from(error: ChainError) -> Self {
        if error.is_transient() { Self::Away } else { Self::Failed(Box::new(error)) }
    }
}

/// Why a call had no effect.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// In a final block, without effect. The chain's own words; fit to be shown.
    #[error("the chain did not do it: {0}")]
    Failed(DispatchFailure),
    /// Never in a block: the chain does not take this call from this account. Fit to be shown.
    #[error("the chain does not take this call: {0}")]
    Refused(Refusal),
    #[error("not final in time: the chain may still do it; look before you repeat it")]
    TimedOut,
    #[error(transparent)]
    View(#[from] ViewError),
}

impl From<SubmitError> for CallError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Dispatch(failure) => Self::Failed(failure),
            SubmitError::Refused(refusal) => Self::Refused(refusal),
            SubmitError::TimedOut { .. } => Self::TimedOut,
            SubmitError::Chain(error) => Self::View(error.into()),
            error => Self::View(ViewError::Failed(Box::new(error))),
        }
    }
}

/// Which hospital of which chain a worker works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub hospital: HospitalId,
}

/// What the worker's API asks the chain.
pub trait ChainView: Send + Sync {
    fn identity(&self) -> Answer<'_, Identity>;
    /// The state after the last final block.
    fn finalized(&self) -> Answer<'_, Box<dyn FinalState>>;
    /// A body by its hash, checked against it.
    fn body(&self, hash: Hash) -> Answer<'_, Option<Vec<u8>>>;
    /// A committed record's own bytes.
    fn record_bytes(&self, pointer: RecordPointer) -> Answer<'_, Option<Vec<u8>>>;
}

/// The chain's state after one final block.
pub trait FinalState: Send + Sync {
    fn hospital(&self, id: HospitalId) -> Answer<'_, Option<Hospital>>;
    fn hospital_of<'a>(&'a self, account: &'a AccountId) -> Answer<'a, Option<(HospitalId, Duty)>>;
    fn user_of<'a>(&'a self, account: &'a AccountId) -> Answer<'a, Option<UserId>>;
    fn profile(&self, user: UserId) -> Answer<'_, Option<Profile>>;
    fn registration(&self, hospital: HospitalId, user: UserId) -> Answer<'_, Option<Registration>>;
    /// Wherever the user was ever registered.
    fn registrations(&self, user: UserId) -> Answer<'_, Vec<(HospitalId, Registration)>>;
    /// A page of those who are or were registered at a hospital.
    fn members(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Answer<'_, Vec<(UserId, Registration)>>;
    /// Decides each request, in one call, in their order.
    fn decide_each<'a>(&'a self, requests: &'a [AccessRequest]) -> Answer<'a, Vec<Decision>>;
    fn header(&self, height: u32) -> Answer<'_, Option<Header>>;
    fn record(&self, pointer: RecordPointer) -> Answer<'_, Option<Entry>>;
    /// Whether a grant is recorded and its requester would be allowed the same again.
    fn is_in_force(&self, grant: Hash) -> Answer<'_, bool>;
    /// What a requester has caused at a hospital today.
    fn tally(&self, hospital: HospitalId, requester: UserId) -> Answer<'_, Tally>;
    /// A page of every hospital's emergencies, newest first.
    fn reviews(&self, before: Option<ReviewId>, limit: u32) -> Answer<'_, Vec<(ReviewId, Review)>>;
}

/// What the worker's API does on chain, as the hospital's agent.
pub trait ChainCalls: Send + Sync {
    /// Resolves when the call's effect is final.
    fn submit(&self, call: Call) -> BoxFuture<'_, Result<(), CallError>>;
}

/// The chain through the hospital's own node, which may come and go.
pub struct NodeChain {
    node: watch::Receiver<Option<Chain>>,
    seen: HighWater,
    agent: Account,
    identity: OnceLock<Identity>,
}

impl NodeChain {
    /// `node` holds the connection once there is one. A state older than what was `seen` counts as none.
    pub fn new(node: watch::Receiver<Option<Chain>>, seen: HighWater, agent: Account) -> Self {
        Self { node, seen, agent, identity: OnceLock::new() }
    }

    fn chain(&self) -> Result<Chain, ViewError> {
        self.node.borrow().clone().ok_or(ViewError::Away)
    }

    async fn ask_identity(&self) -> Result<Identity, ViewError> {
        if let Some(identity) = self.identity.get() {
            return Ok(*identity);
        }
        let chain = self.chain()?;
        let agent = self.agent.id();
        match chain.finalized().await?.hospital_of(&agent).await? {
            Some((hospital, Duty::Agent)) => {
                let identity = Identity { genesis: chain.genesis_hash(), hospital };
                Ok(*self.identity.get_or_init(|| identity))
            }
            _ => Err(ViewError::NotAgent(agent)),
        }
    }
}

impl ChainView for NodeChain {
    fn identity(&self) -> Answer<'_, Identity> {
        Box::pin(self.ask_identity())
    }

    fn finalized(&self) -> Answer<'_, Box<dyn FinalState>> {
        Box::pin(async {
            let chain = self.chain()?;
            let head = self.seen.head_of(&chain).await?.ok_or(ViewError::Away)?;
            Ok(Box::new(chain.at(head.hash)) as Box<dyn FinalState>)
        })
    }

    fn body(&self, hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(async move { Ok(self.chain()?.body(hash).await?) })
    }

    fn record_bytes(&self, pointer: RecordPointer) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let reply = self.chain()?.lite_record(pointer).await?;
            Ok(reply.map(|reply| reply.text.0))
        })
    }
}

impl ChainCalls for NodeChain {
    fn submit(&self, call: Call) -> BoxFuture<'_, Result<(), CallError>> {
        Box::pin(async move {
            self.chain()?.submit(&call, &self.agent).await?;
            Ok(())
        })
    }
}

impl FinalState for Snapshot {
    fn hospital(&self, id: HospitalId) -> Answer<'_, Option<Hospital>> {
        Box::pin(async move { Ok(self.hospital(id).await?) })
    }

    fn hospital_of<'a>(&'a self, account: &'a AccountId) -> Answer<'a, Option<(HospitalId, Duty)>> {
        Box::pin(async move { Ok(self.hospital_of(account).await?) })
    }

    fn user_of<'a>(&'a self, account: &'a AccountId) -> Answer<'a, Option<UserId>> {
        Box::pin(async move { Ok(self.user_of(account).await?) })
    }

    fn profile(&self, user: UserId) -> Answer<'_, Option<Profile>> {
        Box::pin(async move { Ok(self.profile(user).await?) })
    }

    fn registration(&self, hospital: HospitalId, user: UserId) -> Answer<'_, Option<Registration>> {
        Box::pin(async move { Ok(self.registration(hospital, user).await?) })
    }

    fn registrations(&self, user: UserId) -> Answer<'_, Vec<(HospitalId, Registration)>> {
        Box::pin(async move { Ok(self.registrations(user).await?) })
    }

    fn members(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Answer<'_, Vec<(UserId, Registration)>> {
        Box::pin(async move { Ok(self.members(hospital, after, limit).await?) })
    }

    fn decide_each<'a>(&'a self, requests: &'a [AccessRequest]) -> Answer<'a, Vec<Decision>> {
        Box::pin(async move { Ok(self.decide_each(requests).await?) })
    }

    fn header(&self, height: u32) -> Answer<'_, Option<Header>> {
        Box::pin(async move { Ok(self.header(height).await?.map(|(header, _)| header)) })
    }

    fn record(&self, pointer: RecordPointer) -> Answer<'_, Option<Entry>> {
        Box::pin(async move { Ok(self.record(pointer).await?.map(|(entry, _)| entry)) })
    }

    fn is_in_force(&self, grant: Hash) -> Answer<'_, bool> {
        Box::pin(async move { Ok(self.is_in_force(grant).await?) })
    }

    fn tally(&self, hospital: HospitalId, requester: UserId) -> Answer<'_, Tally> {
        Box::pin(async move { Ok(self.tally(hospital, requester).await?) })
    }

    fn reviews(&self, before: Option<ReviewId>, limit: u32) -> Answer<'_, Vec<(ReviewId, Review)>> {
        Box::pin(async move { Ok(self.reviews(before, limit).await?) })
    }
}
