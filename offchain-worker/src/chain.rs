//! The chain as the worker's API needs it: finalized state, bodies by hash, and the agent's calls. The traits are
//! narrow, so that the API is tested without a node. [`NodeChain`] implements them with the node.

use std::{error::Error, sync::OnceLock};

use epione_client::{
    chain::{Call, Chain, ChainError, ChainEvent, DispatchFailure, Snapshot, SubmitError},
    signer::Account,
};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::{AccessRequest, Decision, Purpose},
    block::{Entry, Header, SignedAt},
    consortium::{Epoch, EpochId},
    hospital::{Duty, Hospital},
    mandate::Mandate,
    opening::{HandedOut, Opening, OpeningId, Wrapped},
    profile::{Profile, Recovery, Registration},
    query::{Query, QueryId, Transfer},
    refusal::Refusal,
    release::{Review, ReviewId, SectionSet, Tally},
    sharing::{ConsentVersion, Placements, SharedChange, SlotId, SlotSet},
};
use futures::future::BoxFuture;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

pub use crate::consortium::ConsortiumView;

use crate::{custody_state::CustodyState, node::HighWater};

/// The result of a read.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ViewError>>;

/// Why the chain could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("the hospital's node does not answer, or is still catching up: retry later")]
    Away,
    #[error(
        "account {0} is not the agent of an active hospital on this chain: check the worker's keystore"
    )]
    NotAgent(AccountId),
    #[error("the hospital's node failed: see the worker's log")]
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
    /// It is in a finalized block, without effect. Callers may show the chain's reason.
    #[error("the call failed on the chain: {0}")]
    Failed(DispatchFailure),
    /// No block will include it: the chain does not accept this call from this account. Callers may show the reason.
    #[error("the chain rejected the call: {0}")]
    Refused(Refusal),
    #[error(
        "the call was not finalized in time and may still take effect: check whether it did before \
         you repeat it"
    )]
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

/// The chain and the hospital that a worker serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub hospital: HospitalId,
}

/// What happened to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QueryChange {
    /// The requester asked the patient.
    Asked,
    /// The patient accepted, or a representative.
    Accepted,
    /// The patient refused, or a representative.
    Refused,
    /// The requester withdrew the query, or the patient or a representative the acceptance.
    Withdrawn,
    /// The chain recorded that a hospital's worker hands out the patient's sealed grant.
    Transferred,
}

/// A change of a query, in a finalized block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryNews {
    pub query: QueryId,
    pub change: QueryChange,
    pub patient: UserId,
    pub requester: UserId,
    /// The user who made the change; none if a hospital did.
    pub by: Option<UserId>,
}

/// The chain's state after earlier blocks. Nodes keep all of them.
pub trait PastStates: Send + Sync {
    /// The number of the newest finalized block.
    fn last_finalized(&self) -> Answer<'_, BlockNumber>;
    /// The state after a finalized block; none if the chain has another block with this number. The number is not above
    /// that of the newest finalized block: a node that does not have the block is still catching up.
    fn after(&self, block: SignedAt) -> Answer<'_, Option<Box<dyn FinalState>>>;
}

/// What the worker's API reads from the chain.
pub trait ChainView: PastStates {
    fn identity(&self) -> Answer<'_, Identity>;
    /// The number of the last finalized block.
    fn head(&self) -> Answer<'_, BlockNumber>;
    /// The state after the last finalized block.
    fn finalized(&self) -> Answer<'_, Box<dyn FinalState>>;
    /// The state after the finalized block with this number.
    fn after_number(&self, number: BlockNumber) -> Answer<'_, Box<dyn FinalState>>;
    /// A body by its hash. The body is checked against the hash.
    fn body(&self, hash: Hash) -> Answer<'_, Option<Vec<u8>>>;
    /// The bytes of a committed record.
    fn record_bytes(&self, pointer: RecordPointer) -> Answer<'_, Option<Vec<u8>>>;
    /// The changes of queries in a finalized block, in their order.
    fn query_news(&self, block: BlockNumber) -> Answer<'_, Vec<QueryNews>>;
}

/// The chain's state after a finalized block.
pub trait FinalState: CustodyState {
    /// The time of the block.
    fn time(&self) -> Answer<'_, Moment>;
    fn hospital(&self, id: HospitalId) -> Answer<'_, Option<Hospital>>;
    /// The active hospitals that do not validate until their workers say that they are ready.
    fn unready(&self) -> Answer<'_, Vec<HospitalId>>;
    fn hospital_of<'a>(&'a self, account: &'a AccountId) -> Answer<'a, Option<(HospitalId, Duty)>>;
    fn user_of<'a>(&'a self, account: &'a AccountId) -> Answer<'a, Option<UserId>>;
    fn profile(&self, user: UserId) -> Answer<'_, Option<Profile>>;
    fn registration(&self, hospital: HospitalId, user: UserId) -> Answer<'_, Option<Registration>>;
    /// The user's registrations at all hospitals, including ended ones.
    fn registrations(&self, user: UserId) -> Answer<'_, Vec<(HospitalId, Registration)>>;
    /// A page of the users who are or were registered at a hospital.
    fn members(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Answer<'_, Vec<(UserId, Registration)>>;
    /// A page of the new keys that hospitals proposed for users who lost theirs.
    fn recoveries(&self, after: Option<UserId>, limit: u32) -> Answer<'_, Vec<(UserId, Recovery)>>;
    /// Decides all requests in one call; the decisions are in the order of the requests.
    fn decide_each<'a>(&'a self, requests: &'a [AccessRequest]) -> Answer<'a, Vec<Decision>>;
    fn header(&self, height: u32) -> Answer<'_, Option<Header>>;
    fn record(&self, pointer: RecordPointer) -> Answer<'_, Option<Entry>>;
    /// Whether a grant is recorded, and the policies would still allow its requester the same.
    fn is_in_force(&self, grant: Hash) -> Answer<'_, bool>;
    /// Who requested a recorded grant.
    fn requester_of(&self, grant: Hash) -> Answer<'_, Option<UserId>>;
    /// A requester's refusals and emergencies at a hospital today.
    fn tally(&self, hospital: HospitalId, requester: UserId) -> Answer<'_, Tally>;
    /// A page of every hospital's emergencies, newest first.
    fn reviews(&self, before: Option<ReviewId>, limit: u32) -> Answer<'_, Vec<(ReviewId, Review)>>;
    /// The slots of a patient whose consents share with a user for a purpose. None in an emergency.
    fn admitting(&self, patient: UserId, user: UserId, purpose: Purpose) -> Answer<'_, SlotSet>;
    /// The slots of the patient whose standing consents share with the requester of an opening for its purpose.
    fn standing<'a>(&'a self, opening: &'a Opening) -> Answer<'a, SlotSet>;
    /// In which slots the sections of each of these records are, at most 64, in their order.
    fn placements<'a>(&'a self, records: &'a [RecordPointer]) -> Answer<'a, Vec<Placements>>;
    /// The newest version of the consent of each of a patient's slots, in force or not.
    fn consents(&self, patient: UserId) -> Answer<'_, Vec<(SlotId, ConsentVersion)>>;
    /// A page of the records with sections in a slot, in the order of the chain's storage, after `after`.
    fn placed_in(
        &self,
        patient: UserId,
        slot: SlotId,
        after: Option<RecordPointer>,
        limit: u32,
    ) -> Answer<'_, Vec<(RecordPointer, SectionSet)>>;
    /// A page of the changes of what patients share, ascending from a height.
    fn shared_changes(&self, from: u64, limit: u32) -> Answer<'_, Vec<SharedChange>>;
    /// The grant that answered a request, by the request's hash.
    fn answer(&self, request: Hash) -> Answer<'_, Option<Hash>>;
    /// The mandate by which a user represents a patient at the block's time.
    fn representation(&self, user: UserId, patient: UserId) -> Answer<'_, Option<Mandate>>;
    fn query(&self, id: QueryId) -> Answer<'_, Option<Query>>;
    /// The record that the sealed grant of a query is handed out.
    fn transfer(&self, id: QueryId) -> Answer<'_, Option<Transfer>>;
    /// The epoch of the consortium key whose shares are in use; none before the first key was made.
    fn current_epoch(&self) -> Answer<'_, Option<Epoch>>;
    /// The epochs with these numbers, in their order; none for one that the chain has not reached.
    fn epochs<'a>(&'a self, ids: &'a [EpochId]) -> Answer<'a, Vec<Option<Epoch>>>;
    /// The wraps of a record's sections, ascending by slot.
    fn wraps(&self, record: RecordPointer) -> Answer<'_, Vec<(SlotId, Wrapped)>>;
    fn opening(&self, id: OpeningId) -> Answer<'_, Option<Opening>>;
    /// A hospital's record that it hands out its part of an opening.
    fn handed_out(&self, id: OpeningId, hospital: HospitalId) -> Answer<'_, Option<HandedOut>>;
    /// A page of the queries to a patient, newest first, with their numbers among the patient's.
    fn patient_queries(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Answer<'_, Vec<(u32, QueryId, Query)>>;
    /// A page of a requester's queries, newest first, with their numbers among the requester's.
    fn requester_queries(
        &self,
        requester: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Answer<'_, Vec<(u32, QueryId, Query)>>;
    /// The consortium key and its newest ceremony.
    fn consortium(&self) -> Answer<'_, ConsortiumView>;
}

/// The calls that the worker's API submits, as the hospital's agent.
pub trait ChainCalls: Send + Sync {
    /// Resolves when the call is finalized.
    fn submit(&self, call: Call) -> BoxFuture<'_, Result<(), CallError>>;
}

/// The chain through the hospital's own node, which may be unreachable at times.
pub struct NodeChain {
    node: watch::Receiver<Option<Chain>>,
    high_water: HighWater,
    agent: Account,
    identity: OnceLock<Identity>,
}

impl NodeChain {
    /// `node` is the connection while there is one. A state that is older than the high-water mark is not used.
    pub fn new(
        node: watch::Receiver<Option<Chain>>,
        high_water: HighWater,
        agent: Account,
    ) -> Self {
        Self { node, high_water, agent, identity: OnceLock::new() }
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

impl PastStates for Chain {
    fn last_finalized(&self) -> Answer<'_, BlockNumber> {
        Box::pin(async { Ok(self.finalized_head().await?.number) })
    }

    fn after(&self, block: SignedAt) -> Answer<'_, Option<Box<dyn FinalState>>> {
        Box::pin(async move {
            let hash = self.canonical_hash(block.number).await?.ok_or(ViewError::Away)?;
            let state = || Box::new(self.at(block.hash)) as Box<dyn FinalState>;
            Ok((hash == block.hash).then(state))
        })
    }
}

impl PastStates for NodeChain {
    fn last_finalized(&self) -> Answer<'_, BlockNumber> {
        self.head()
    }

    fn after(&self, block: SignedAt) -> Answer<'_, Option<Box<dyn FinalState>>> {
        Box::pin(async move { self.chain()?.after(block).await })
    }
}

impl ChainView for NodeChain {
    fn identity(&self) -> Answer<'_, Identity> {
        Box::pin(self.ask_identity())
    }

    fn head(&self) -> Answer<'_, BlockNumber> {
        Box::pin(async {
            let head = self.high_water.head_of(&self.chain()?).await?.ok_or(ViewError::Away)?;
            Ok(head.number)
        })
    }

    fn finalized(&self) -> Answer<'_, Box<dyn FinalState>> {
        Box::pin(async {
            let chain = self.chain()?;
            let head = self.high_water.head_of(&chain).await?.ok_or(ViewError::Away)?;
            Ok(Box::new(chain.at(head.hash)) as Box<dyn FinalState>)
        })
    }

    fn after_number(&self, number: BlockNumber) -> Answer<'_, Box<dyn FinalState>> {
        Box::pin(async move {
            let chain = self.chain()?;
            let hash = chain.canonical_hash(number).await?.ok_or(ViewError::Away)?;
            Ok(Box::new(chain.at(hash)) as Box<dyn FinalState>)
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

    fn query_news(&self, block: BlockNumber) -> Answer<'_, Vec<QueryNews>> {
        Box::pin(async move {
            let chain = self.chain()?;
            let hash = chain.canonical_hash(block).await?.ok_or(ViewError::Away)?;
            let (state, mut news) = (chain.at(hash), Vec::new());
            for event in chain.events(hash).await? {
                news.extend(news_of(&state, event.event).await?);
            }
            Ok(news)
        })
    }
}

/// The change of a query that an event reports. The event of a transfer names no users, so they are read.
async fn news_of(state: &Snapshot, event: ChainEvent) -> Result<Option<QueryNews>, ViewError> {
    let news = |query, change, (patient, requester), by| {
        Ok(Some(QueryNews { query, change, patient, requester, by }))
    };
    match event {
        ChainEvent::QueryAsked { query, requester, patient } => {
            news(query, QueryChange::Asked, (patient, requester), Some(requester))
        }
        ChainEvent::QueryAccepted { query, patient, requester, by, .. } => {
            news(query, QueryChange::Accepted, (patient, requester), Some(by))
        }
        ChainEvent::QueryRefused { query, patient, requester, by } => {
            news(query, QueryChange::Refused, (patient, requester), Some(by))
        }
        ChainEvent::QueryWithdrawn { query, patient, requester, by } => {
            news(query, QueryChange::Withdrawn, (patient, requester), Some(by))
        }
        ChainEvent::QueryTransferred { query, .. } => match state.query(query).await? {
            Some(it) => news(query, QueryChange::Transferred, (it.patient, it.requester), None),
            None => Ok(None),
        },
        _ => Ok(None),
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
    fn time(&self) -> Answer<'_, Moment> {
        Box::pin(async move { Ok(self.time().await?) })
    }

    fn hospital(&self, id: HospitalId) -> Answer<'_, Option<Hospital>> {
        Box::pin(async move { Ok(self.hospital(id).await?) })
    }

    fn unready(&self) -> Answer<'_, Vec<HospitalId>> {
        Box::pin(async move { Ok(self.unready().await?) })
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

    fn recoveries(&self, after: Option<UserId>, limit: u32) -> Answer<'_, Vec<(UserId, Recovery)>> {
        Box::pin(async move { Ok(self.recoveries(after, limit).await?) })
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

    fn requester_of(&self, grant: Hash) -> Answer<'_, Option<UserId>> {
        Box::pin(async move {
            let receipt = self.receipt(grant).await?;
            Ok(receipt.map(|receipt| receipt.release.request.requester))
        })
    }

    fn tally(&self, hospital: HospitalId, requester: UserId) -> Answer<'_, Tally> {
        Box::pin(async move { Ok(self.tally(hospital, requester).await?) })
    }

    fn reviews(&self, before: Option<ReviewId>, limit: u32) -> Answer<'_, Vec<(ReviewId, Review)>> {
        Box::pin(async move { Ok(self.reviews(before, limit).await?) })
    }

    fn admitting(&self, patient: UserId, user: UserId, purpose: Purpose) -> Answer<'_, SlotSet> {
        Box::pin(async move { Ok(self.admitting(patient, user, purpose).await?) })
    }

    fn standing<'a>(&'a self, opening: &'a Opening) -> Answer<'a, SlotSet> {
        let Opening { patient, requester, purpose, .. } = *opening;
        Box::pin(async move { Ok(self.standing(patient, requester, purpose).await?) })
    }

    fn placements<'a>(&'a self, records: &'a [RecordPointer]) -> Answer<'a, Vec<Placements>> {
        Box::pin(async move { Ok(self.placements(records).await?) })
    }

    fn consents(&self, patient: UserId) -> Answer<'_, Vec<(SlotId, ConsentVersion)>> {
        Box::pin(async move { Ok(self.consents(patient).await?) })
    }

    fn placed_in(
        &self,
        patient: UserId,
        slot: SlotId,
        after: Option<RecordPointer>,
        limit: u32,
    ) -> Answer<'_, Vec<(RecordPointer, SectionSet)>> {
        Box::pin(async move { Ok(self.placed_in(patient, slot, after, limit).await?) })
    }

    fn shared_changes(&self, from: u64, limit: u32) -> Answer<'_, Vec<SharedChange>> {
        Box::pin(async move { Ok(self.shared_changes(from, limit).await?) })
    }

    fn answer(&self, request: Hash) -> Answer<'_, Option<Hash>> {
        Box::pin(async move { Ok(self.answer(request).await?) })
    }

    fn representation(&self, user: UserId, patient: UserId) -> Answer<'_, Option<Mandate>> {
        Box::pin(async move { Ok(self.representation(user, patient).await?) })
    }

    fn query(&self, id: QueryId) -> Answer<'_, Option<Query>> {
        Box::pin(async move { Ok(self.query(id).await?) })
    }

    fn transfer(&self, id: QueryId) -> Answer<'_, Option<Transfer>> {
        Box::pin(async move { Ok(self.transfer(id).await?) })
    }

    fn current_epoch(&self) -> Answer<'_, Option<Epoch>> {
        Box::pin(async move { Ok(self.current_epoch().await?) })
    }

    fn epochs<'a>(&'a self, ids: &'a [EpochId]) -> Answer<'a, Vec<Option<Epoch>>> {
        Box::pin(async move { Ok(self.epochs(ids).await?) })
    }

    fn wraps(&self, record: RecordPointer) -> Answer<'_, Vec<(SlotId, Wrapped)>> {
        Box::pin(async move { Ok(self.wraps(record).await?) })
    }

    fn opening(&self, id: OpeningId) -> Answer<'_, Option<Opening>> {
        Box::pin(async move { Ok(self.opening(id).await?) })
    }

    fn handed_out(&self, id: OpeningId, hospital: HospitalId) -> Answer<'_, Option<HandedOut>> {
        Box::pin(async move { Ok(self.handed_out_by(id, hospital).await?) })
    }

    fn patient_queries(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Answer<'_, Vec<(u32, QueryId, Query)>> {
        Box::pin(async move { Ok(self.patient_queries(patient, before, limit).await?) })
    }

    fn requester_queries(
        &self,
        requester: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Answer<'_, Vec<(u32, QueryId, Query)>> {
        Box::pin(async move { Ok(self.requester_queries(requester, before, limit).await?) })
    }

    fn consortium(&self) -> Answer<'_, ConsortiumView> {
        Box::pin(async move { Ok(ConsortiumView::read(self).await?) })
    }
}
