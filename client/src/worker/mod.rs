//! Requests to a hospital's worker over HTTP. The account signs each request; answers are bounded in size and time; the
//! bytes of segments are verified before they are passed on.

mod error;
mod segments;
mod transport;
mod upload;

pub use error::WorkerError;
pub(crate) use segments::{Right, Via};

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use codec::Encode;
use epione_envelope::{
    custody::SealedClaimPart, grant::AccessGrant, opening::SealedPartial, query::QueryGrant,
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{
    Hash, HospitalId, QueryId, RecordId, UserId, custody::ClaimId, opening::OpeningId,
};
use http::Method;
use url::Url;

use crate::{
    api::{
        ClaimPartReply, ClaimPartRequest, ConfirmedKey, CountReply, CountRequest, GrantReply,
        GrantRequest, PartialReply, PartialRequest, ProposedKeys, RegisterUser, RegisteredUser,
        Relation, RenewedKey, SegmentLink, UserRef, VisitStatus, WorkerInfo,
    },
    chain::Chain,
    endpoint::Endpoint,
    signer::Account,
    waiting::{Awaited, Waits},
};
use transport::{ANSWER_LIMIT, Outgoing, nonce};

/// The media type of sealed bytes.
const BYTES: &str = "application/octet-stream";

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A client of one hospital's worker, for one account. Clones share their connections.
#[derive(Clone)]
pub struct WorkerClient {
    inner: Arc<Inner>,
    waits: Waits,
}

struct Inner {
    http: reqwest::Client,
    /// For the object storage behind the worker, on another machine and on this one. Made when the worker first
    /// redirects there.
    storage: [OnceLock<reqwest::Client>; 2],
    /// When the object storage last did not answer.
    storage_failed: Mutex<Option<Instant>>,
    base: Url,
    /// The other origin to which the worker may redirect, as the chain names it.
    storage_origin: Option<Url>,
    hospital: HospitalId,
    genesis: Hash,
    account: Account,
}

/// An access grant as the worker sent it, without verification. It may be the unexpired grant that answered an earlier
/// equal request of the same account.
#[derive(Clone)]
pub struct Granted {
    pub grant: AccessGrant,
    pub reply: GrantReply,
}

/// The sealed grant of an accepted query as the mailbox sent it, without verification.
#[derive(Clone)]
pub struct Collected {
    pub grant: QueryGrant,
    pub reply: GrantReply,
}

/// A hospital's part of an opening as its worker sent it, without verification.
#[derive(Clone)]
pub struct HandedPart {
    pub sealed: SealedPartial,
    /// To the segments of the media among the opened sections, at this worker.
    pub links: Vec<SegmentLink>,
}

impl std::fmt::Debug for WorkerClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerClient")
            .field("base", &self.inner.base.as_str())
            .field("hospital", &self.inner.hospital)
            .field("account", &self.inner.account)
            .finish_non_exhaustive()
    }
}

impl WorkerClient {
    /// A client of a hospital's worker, on the chain with this first block.
    pub fn new(
        endpoint: &Endpoint,
        hospital: HospitalId,
        genesis: Hash,
        account: Account,
    ) -> Result<Self, WorkerError> {
        let http = endpoint
            .http()
            .connect_timeout(CONNECT_LIMIT)
            .build()
            .map_err(|error| WorkerError::Tls(error.to_string()))?;
        let inner = Inner {
            http,
            storage: [OnceLock::new(), OnceLock::new()],
            storage_failed: Mutex::new(None),
            base: endpoint.url().clone(),
            storage_origin: endpoint.storage().cloned(),
            hospital,
            genesis,
            account,
        };
        Ok(Self { inner: Arc::new(inner), waits: Waits::default() })
    }

    /// This handle and its clones report what they wait for in `waits`.
    #[must_use]
    pub fn with_waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }

    /// A client of a hospital's worker, whose address and TLS key the chain names.
    pub async fn for_hospital(
        chain: &Chain,
        hospital: HospitalId,
        account: Account,
    ) -> Result<Self, WorkerError> {
        let entry = chain.finalized().await?.hospital(hospital).await?;
        let entry = entry.ok_or(WorkerError::UnknownHospital(hospital))?;
        Self::new(&Endpoint::of(&entry)?, hospital, chain.genesis_hash(), account)
    }

    pub fn hospital(&self) -> HospitalId {
        self.inner.hospital
    }

    pub fn base(&self) -> &Url {
        &self.inner.base
    }

    pub fn account(&self) -> &Account {
        &self.inner.account
    }

    /// Which worker answers at this address.
    pub async fn info(&self) -> Result<WorkerInfo, WorkerError> {
        let _waiting = self.waits_for(Awaited::Answer);
        let outgoing = Outgoing::get(self.route("/v1/info")?);
        let response = self.send(outgoing, ANSWER_LIMIT).await?;
        self.json(response).await
    }

    pub async fn visit_status(&self, record: RecordId) -> Result<VisitStatus, WorkerError> {
        self.get_json(&format!("/v1/visits/{record}")).await
    }

    /// Requests the keys and links to read records; returns when the receipt is final. The grant is still sealed, and
    /// not verified.
    pub async fn grant(&self, request: &GrantRequest) -> Result<Granted, WorkerError> {
        let response = self.post("/v1/grants", request, nonce(), Awaited::Grant).await?;
        let reply: GrantReply = self.json(response).await?;
        let bytes = BASE64_STANDARD.decode(&reply.grant).map_err(|error| self.malformed(error))?;
        let grant = AccessGrant::decode_exactly(&bytes).map_err(|error| self.malformed(error))?;
        Ok(Granted { grant, reply })
    }

    /// Asks how many patients of the hospital share sections with this account's user.
    pub async fn count(&self, question: &CountRequest) -> Result<CountReply, WorkerError> {
        let response = self.post("/v1/counts", question, nonce(), Awaited::Answer).await?;
        self.json(response).await
    }

    /// Leaves the sealed grant with which the account's user, a patient, accepts a query. The worker keeps it for the
    /// requester, and cannot open it.
    pub async fn keep_query_grant(
        &self,
        query: QueryId,
        grant: &QueryGrant,
    ) -> Result<(), WorkerError> {
        let path = format!("/v1/queries/{query}/grant");
        let sealed = (BYTES, grant.encode());
        self.about_stored((Method::PUT, path.as_str()), sealed, Awaited::Answer).await.map(drop)
    }

    /// Requests the sealed grant of an accepted query of the account's user, and links to the segments; returns when
    /// the transfer is final. The grant is not verified.
    pub async fn collect(&self, query: QueryId) -> Result<Collected, WorkerError> {
        let path = format!("/v1/queries/{query}/collect");
        let nothing = (BYTES, Vec::new());
        let response =
            self.about_stored((Method::POST, path.as_str()), nothing, Awaited::Change).await?;
        let reply: GrantReply = self.json(response).await?;
        let bytes = BASE64_STANDARD.decode(&reply.grant).map_err(|error| self.malformed(error))?;
        let grant = QueryGrant::decode_exactly(&bytes).map_err(|error| self.malformed(error))?;
        Ok(Collected { grant, reply })
    }

    /// Requests the hospital's part of an opening for the account's user; returns when the hospital's record that it
    /// hands out the part is final. The part is still sealed, and not verified.
    pub async fn partials(&self, opening: OpeningId) -> Result<HandedPart, WorkerError> {
        let request = serde_json::to_vec(&PartialRequest { opening });
        let request = ("application/json", request.map_err(|error| self.malformed(error))?);
        let route = (Method::POST, "/v1/partials");
        let response = self.about_stored(route, request, Awaited::Change).await?;
        let reply: PartialReply = self.json(response).await?;
        let bytes =
            BASE64_STANDARD.decode(&reply.partial).map_err(|error| self.malformed(error))?;
        let sealed =
            SealedPartial::decode_exactly(&bytes).map_err(|error| self.malformed(error))?;
        Ok(HandedPart { sealed, links: reply.links })
    }

    /// Requests the hospital's part of a claim for the account's hospital, the custodian; returns when the hospital's
    /// record that it hands out the part is final. The part is still sealed, and not verified.
    pub async fn claim_part(&self, claim: ClaimId) -> Result<SealedClaimPart, WorkerError> {
        let request = serde_json::to_vec(&ClaimPartRequest { claim });
        let request = ("application/json", request.map_err(|error| self.malformed(error))?);
        let route = (Method::POST, "/v1/claims/part");
        let response = self.about_stored(route, request, Awaited::Change).await?;
        let reply: ClaimPartReply = self.json(response).await?;
        let bytes = BASE64_STANDARD.decode(&reply.part).map_err(|error| self.malformed(error))?;
        SealedClaimPart::decode_exactly(&bytes).map_err(|error| self.malformed(error))
    }

    /// Registers a user; returns when the registration is final.
    pub async fn register(&self, user: &RegisterUser) -> Result<RegisteredUser, WorkerError> {
        let response = self.post("/v1/users", user, nonce(), Awaited::Change).await?;
        self.json(response).await
    }

    /// Suspends a user's registration; returns when that is final.
    pub async fn suspend(&self, user: UserId) -> Result<(), WorkerError> {
        self.post("/v1/users/suspend", &UserRef { user }, nonce(), Awaited::Change).await.map(drop)
    }

    /// Puts a suspended registration in force again; returns when that is final.
    pub async fn reinstate(&self, user: UserId) -> Result<(), WorkerError> {
        self.post("/v1/users/reinstate", &UserRef { user }, nonce(), Awaited::Change)
            .await
            .map(drop)
    }

    /// Ends a registration permanently; returns when that is final.
    pub async fn end_registration(&self, user: UserId) -> Result<(), WorkerError> {
        self.post("/v1/users/end", &UserRef { user }, nonce(), Awaited::Change).await.map(drop)
    }

    /// Has the hospital seal the profile of this account's user to a sealing key whose hash is on the chain; returns
    /// when the new profile is final. For some time after a rotation, the worker refuses unless its hospital's
    /// governance confirms the key ([`WorkerClient::confirm_key`]).
    pub async fn renew_key(&self, key: &SealingPublicKey) -> Result<(), WorkerError> {
        let renewed = RenewedKey { sealing_key: hex::encode(key.as_bytes()) };
        self.post("/v1/users/keys", &renewed, nonce(), Awaited::Change).await.map(drop)
    }

    /// Confirms, as the hospital's governance, that a sealing key whose hash is on the chain is the user's; returns
    /// when the profile that is sealed to it is final.
    pub async fn confirm_key(
        &self,
        user: UserId,
        key: &SealingPublicKey,
    ) -> Result<(), WorkerError> {
        let confirmed = ConfirmedKey { user, sealing_key: hex::encode(key.as_bytes()) };
        self.post("/v1/users/keys/confirm", &confirmed, nonce(), Awaited::Change).await.map(drop)
    }

    /// Proposes, as the hospital's governance, new keys for a user who lost the present ones; returns when that is
    /// final.
    pub async fn propose_recovery(&self, keys: &ProposedKeys) -> Result<(), WorkerError> {
        self.post("/v1/users/recovery/propose", keys, nonce(), Awaited::Change).await.map(drop)
    }

    /// Completes, as the hospital's governance, a recovery that it proposed; returns when that is final.
    pub async fn complete_recovery(&self, user: UserId) -> Result<(), WorkerError> {
        let whom = UserRef { user };
        self.post("/v1/users/recovery/complete", &whom, nonce(), Awaited::Change).await.map(drop)
    }

    /// Objects, as the hospital's governance, to new keys for a user; returns when that is final.
    pub async fn object_to_recovery(&self, user: UserId) -> Result<(), WorkerError> {
        let whom = UserRef { user };
        self.post("/v1/users/recovery/object", &whom, nonce(), Awaited::Change).await.map(drop)
    }

    /// Relates a professional to a patient; returns when that is final.
    pub async fn relate(&self, relation: &Relation) -> Result<(), WorkerError> {
        self.post("/v1/relations", relation, nonce(), Awaited::Change).await.map(drop)
    }

    /// Ends such a relationship before it expires; returns when that is final.
    pub async fn unrelate(&self, relation: &Relation) -> Result<(), WorkerError> {
        self.post("/v1/relations/close", relation, nonce(), Awaited::Change).await.map(drop)
    }
}

#[cfg(test)]
pub(crate) mod loopback;
#[cfg(test)]
mod tests;
