//! The runtime APIs of `epione_primitives::api`, called at one block. A handle that verifies does not call them: it
//! computes the answers from storage proofs.

use std::sync::{Arc, OnceLock};

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, Moment, RecordId, RecordPointer, UserId,
    access::{AccessRequest, Decision, Parties, PolicySet, Relationship, RelationshipKind},
    approval::Ballot,
    block::{AnnouncedEntry, Announcement, BlockHashes, Entry, Header},
    hospital::{Duty, Hospital, Replacement},
    limits::MAX_PAGE,
    profile::{Profile, Registration},
};
use futures::{StreamExt, TryStreamExt, stream};
use sp_core::Bytes;
use subxt::rpcs::client::rpc_params;

use super::{Chain, ChainError, Doubt, decode, verified::VerifiedState};

/// Concurrent requests to the node.
const CONCURRENT_REQUESTS: usize = 16;
/// Maximum number of members of one hospital that a client reads: more than the patients of a large hospital.
const MAX_LISTED_MEMBERS: usize = 1 << 20;
/// Maximum number of relationships of one patient that a client reads, with the earlier ones.
const MAX_LISTED_RELATIONSHIPS: usize = 1 << 16;

/// Counts the entries of a list that is read page by page. A node that the client believes could send pages forever.
pub(super) struct Total {
    what: &'static str,
    limit: usize,
    read: usize,
}

impl Total {
    pub(super) fn new(what: &'static str, limit: usize) -> Self {
        Self { what, limit, read: 0 }
    }

    /// Counts the entries of another page.
    pub(super) fn add<T>(&mut self, page: &[T]) -> Result<(), ChainError> {
        self.read = self.read.saturating_add(page.len());
        if self.read > self.limit {
            return Err(ChainError::TooMany { what: self.what, limit: self.limit });
        }
        Ok(())
    }
}

/// The chain's state after one block. All reads refer to that block, even when the chain has newer ones.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) chain: Chain,
    block: Hash,
    /// The verified state, after the first read of a handle that verifies.
    verified: Arc<OnceLock<VerifiedState>>,
}

impl Snapshot {
    pub(super) fn new(chain: Chain, block: Hash) -> Self {
        Self { chain, block, verified: Arc::default() }
    }

    pub fn block(&self) -> Hash {
        self.block
    }

    /// The time of the block.
    pub async fn time(&self) -> Result<Moment, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.time().await;
        }
        self.chain.time(self.block).await
    }

    pub async fn hospitals(&self) -> Result<Vec<(HospitalId, Hospital)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.hospitals().await;
        }
        self.read("HospitalsApi_hospitals", ()).await
    }

    pub async fn hospital(&self, id: HospitalId) -> Result<Option<Hospital>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.hospital(id).await;
        }
        self.read("HospitalsApi_hospital", id).await
    }

    pub async fn hospital_of(
        &self,
        account: &AccountId,
    ) -> Result<Option<(HospitalId, Duty)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.hospital_of(account).await;
        }
        self.read("HospitalsApi_hospital_of", account).await
    }

    /// The active hospitals that do not validate since an offence, ascending.
    pub async fn benched(&self) -> Result<Vec<HospitalId>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.benched().await;
        }
        self.read("HospitalsApi_benched", ()).await
    }

    /// The active hospitals that do not validate until their workers say that they are ready, ascending.
    pub async fn unready(&self) -> Result<Vec<HospitalId>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.unready().await;
        }
        self.read("HospitalsApi_unready", ()).await
    }

    /// The governance account with which the council replaces that of a hospital.
    pub async fn replacement(&self, id: HospitalId) -> Result<Option<Replacement>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.replacement(id).await;
        }
        self.read("HospitalsApi_replacement", id).await
    }

    pub async fn user_of(&self, account: &AccountId) -> Result<Option<UserId>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.user_of(account).await;
        }
        self.read("ProfilesApi_user_of", account).await
    }

    pub async fn profile(&self, user: UserId) -> Result<Option<Profile>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.profile(user).await;
        }
        self.read("ProfilesApi_profile", user).await
    }

    pub async fn registration(
        &self,
        hospital: HospitalId,
        user: UserId,
    ) -> Result<Option<Registration>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.registration(hospital, user).await;
        }
        self.read("ProfilesApi_registration", (hospital, user)).await
    }

    pub async fn registrations(
        &self,
        user: UserId,
    ) -> Result<Vec<(HospitalId, Registration)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.registrations(user).await;
        }
        self.read("ProfilesApi_registrations", user).await
    }

    /// Users who are or were registered at a hospital, in an order that the chain chooses.
    pub async fn members(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Registration)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.members(hospital, after, limit).await;
        }
        self.read("ProfilesApi_members", (hospital, after, limit)).await
    }

    /// Calls `see` for every user who is or was registered at a hospital. Reads them page by page; fails after
    /// 1,048,576 users.
    pub async fn for_each_member(
        &self,
        hospital: HospitalId,
        mut see: impl FnMut(UserId, Registration),
    ) -> Result<(), ChainError> {
        let mut total = Total::new("members of a hospital", MAX_LISTED_MEMBERS);
        let mut after = None;
        loop {
            let page = self.members(hospital, after, MAX_PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            total.add(&page)?;
            after = Some(*last);
            page.into_iter().for_each(|(user, registration)| see(user, registration));
        }
    }

    /// The profiles of users, in their order; none for a user whom the chain does not know.
    pub async fn profiles(&self, users: &[UserId]) -> Result<Vec<Option<Profile>>, ChainError> {
        let asked: Vec<_> = users.iter().map(|user| self.profile(*user)).collect();
        stream::iter(asked).buffered(CONCURRENT_REQUESTS).try_collect().await
    }

    pub async fn decide(
        &self,
        request: &AccessRequest,
        at: Option<Moment>,
    ) -> Result<Decision, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.decide(request, at).await;
        }
        self.read("RolePoliciesApi_decide", (request, at)).await
    }

    /// Every relationship of a patient with its professional, read page by page: for each professional, hospital and
    /// kind the newest one, then the earlier ones, newest first. Fails after 65,536 relationships.
    pub async fn relationships(
        &self,
        patient: UserId,
    ) -> Result<Vec<(UserId, Relationship)>, ChainError> {
        let mut total = Total::new("relationships of a patient", MAX_LISTED_RELATIONSHIPS);
        let mut all = Vec::new();
        let mut after: Option<(UserId, HospitalId)> = None;
        loop {
            let page = self.newest_relationships(patient, after).await?;
            let Some((professional, last)) = page.last() else { return Ok(all) };
            total.add(&page)?;
            after = Some((*professional, last.hospital));
            for (professional, newest) in page {
                let parties = (patient, professional, newest.hospital);
                let earlier = self.earlier_relationships(parties, newest.kind, &mut total).await?;
                all.push((professional, newest));
                all.extend(earlier.into_iter().map(|earlier| (professional, earlier)));
            }
        }
    }

    /// One page of the newest relationships of each kind.
    async fn newest_relationships(
        &self,
        patient: UserId,
        after: Option<(UserId, HospitalId)>,
    ) -> Result<Vec<(UserId, Relationship)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.relationships(patient, after, MAX_PAGE).await;
        }
        self.read("RolePoliciesApi_relationships", (patient, after, MAX_PAGE)).await
    }

    /// The relationships before the newest one of a kind, newest first, read page by page.
    async fn earlier_relationships(
        &self,
        parties: Parties,
        kind: RelationshipKind,
        total: &mut Total,
    ) -> Result<Vec<Relationship>, ChainError> {
        let mut all = Vec::new();
        let mut before: Option<u32> = None;
        loop {
            let page: Vec<(u32, Relationship)> = match self.proven().await? {
                Some(state) => state.earlier_relationships(parties, kind, before, MAX_PAGE).await?,
                None => {
                    let request = (parties, kind, before, MAX_PAGE);
                    self.read("RolePoliciesApi_earlier_relationships", request).await?
                }
            };
            let Some((first, _)) = page.last() else { return Ok(all) };
            total.add(&page)?;
            before = Some(*first);
            all.extend(page.into_iter().map(|(_, earlier)| earlier));
        }
    }

    /// Decides several requests, in their order.
    pub async fn decide_each(
        &self,
        requests: &[AccessRequest],
    ) -> Result<Vec<Decision>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.decide_each(requests).await;
        }
        self.read("RolePoliciesApi_decide_each", requests).await
    }

    /// A version of a hospital's policies; the newest version if none is given.
    pub async fn policies(
        &self,
        hospital: HospitalId,
        version: Option<u32>,
    ) -> Result<Option<(u32, PolicySet)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.policies(hospital, version).await;
        }
        self.read("RolePoliciesApi_policies", (hospital, version)).await
    }

    /// Height of the newest committed lite block; 0 before the first.
    pub async fn height(&self) -> Result<u32, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.height().await;
        }
        self.read("LiteBlocksApi_height", ()).await
    }

    pub async fn header(&self, height: u32) -> Result<Option<(Header, BlockHashes)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.header(height).await;
        }
        self.read("LiteBlocksApi_header", height).await
    }

    pub async fn entries(&self, height: u32) -> Result<Vec<Entry>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.entries_of(height).await;
        }
        self.read("LiteBlocksApi_entries", height).await
    }

    pub async fn announcement(
        &self,
        id: AnnouncementId,
    ) -> Result<Option<(Announcement, Vec<AnnouncedEntry>)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.announcement(id).await;
        }
        self.read("LiteBlocksApi_announcement", id).await
    }

    pub async fn open_announcements(&self) -> Result<Vec<AnnouncementId>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.open_announcements().await;
        }
        self.read("LiteBlocksApi_open_announcements", ()).await
    }

    /// The id of the next announcement. A smaller id without an announcement had one that the chain has removed.
    pub async fn next_announcement(&self) -> Result<AnnouncementId, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.next_announcement().await;
        }
        self.read("LiteBlocksApi_next_announcement", ()).await
    }

    /// This hospital's announcement of this body, unless it was rejected, expired or withdrawn.
    pub async fn announcement_of(
        &self,
        announcer: HospitalId,
        body_hash: Hash,
    ) -> Result<Option<AnnouncementId>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.announcement_of(announcer, body_hash).await;
        }
        self.read("LiteBlocksApi_announcement_of", (announcer, body_hash)).await
    }

    /// The open or committed announcement that contains this hospital's record.
    pub async fn announcement_with(
        &self,
        announcer: HospitalId,
        record: RecordId,
    ) -> Result<Option<AnnouncementId>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.announcement_with(announcer, record).await;
        }
        self.read("LiteBlocksApi_announcement_with", (announcer, record)).await
    }

    /// A patient's records, newest first: pointer, entry, and hash of the body that contains the record.
    pub async fn history(
        &self,
        patient: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<(RecordPointer, Entry, Hash)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.history(patient, before, limit).await;
        }
        self.read("LiteBlocksApi_history", (patient, before, limit)).await
    }

    pub async fn record(
        &self,
        pointer: RecordPointer,
    ) -> Result<Option<(Entry, Hash)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.record(pointer).await;
        }
        self.read("LiteBlocksApi_record", pointer).await
    }

    pub async fn ballot(&self, id: AnnouncementId) -> Result<Option<Ballot>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.ballot(id).await;
        }
        self.read("ApprovalsApi_ballot", id).await
    }

    /// Number of transactions that an account has sent up to this block.
    pub(super) async fn nonce(&self, account: &AccountId) -> Result<u32, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.nonce(account).await;
        }
        self.read("AccountNonceApi_account_nonce", account).await
    }

    /// The state of which values are proven; none if the chain's handle believes its node.
    pub(super) async fn proven(&self) -> Result<Option<&VerifiedState>, ChainError> {
        if let Some(state) = self.verified.get() {
            return Ok(Some(state));
        }
        match self.chain.verified(self.block).await? {
            Some(state) => Ok(Some(self.verified.get_or_init(|| state))),
            None => Ok(None),
        }
    }

    /// The state, of which each value is read by a proof. A handle that believes its node believes also which state the
    /// block has.
    pub(super) async fn proving(&self) -> Result<VerifiedState, ChainError> {
        match self.proven().await? {
            Some(state) => Ok(state.clone()),
            None => self.chain.proving(self.block).await,
        }
    }

    /// Asks the runtime API, and believes the answer. A handle that verifies gets an error instead: what it reads comes
    /// from [`proven`](Self::proven).
    pub(super) async fn read<T: Decode>(
        &self,
        method: &str,
        arguments: impl Encode,
    ) -> Result<T, ChainError> {
        if self.chain.is_verified() {
            return Err(self.chain.doubt(Doubt::NoProof { method: method.into() }));
        }
        let Bytes(answer) = self.call(method, Bytes(arguments.encode())).await?;
        decode(method, &answer)
    }

    async fn call(&self, method: &str, arguments: Bytes) -> Result<Bytes, ChainError> {
        self.chain.request("state_call", rpc_params![method, arguments, self.block]).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use epione_primitives::profile::RegistrationStatus;
    use serde_json::json;

    use super::*;
    use crate::chain::fake::FakeNode;

    const PATIENT: UserId = UserId([7; 32]);
    const DOCTOR: UserId = UserId([5; 32]);
    const HOSPITAL: HospitalId = HospitalId(3);

    fn relationship() -> Relationship {
        Relationship {
            kind: RelationshipKind::Treating,
            hospital: HOSPITAL,
            since: 1,
            expires: None,
            closed: Some(2),
        }
    }

    /// A node that answers every request for this list with the same page, and for other lists with none.
    async fn repeating(list: &'static [&'static str], pages: [Vec<u8>; 2]) -> (FakeNode, Snapshot) {
        let pages = pages.map(|page| json!(Bytes(page)));
        let nothing = json!(Bytes(vec![0]));
        let node = FakeNode::new(move |method, _| {
            let found = list.iter().position(|known| *known == method);
            found.map_or_else(|| nothing.clone(), |index| pages[index].clone())
        });
        let snapshot = node.connect().await.at(Hash::zero());
        (node, snapshot)
    }

    fn assert_too_many(error: &ChainError, limit: usize) {
        assert!(matches!(error, ChainError::TooMany { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(&limit.to_string()) && said.contains("another node"), "{said}");
    }

    #[tokio::test]
    async fn a_list_of_members_without_an_end_is_given_up() {
        let registration = Registration {
            status: RegistrationStatus::Active,
            periods: Default::default(),
            version: 1,
            body_hash: Hash::zero(),
        };
        let page = vec![(DOCTOR, registration); MAX_PAGE as usize].encode();
        let (node, state) = repeating(&["ProfilesApi_members"], [page, Vec::new()]).await;
        let mut seen = 0;
        let error = state.for_each_member(HOSPITAL, |_, _| seen += 1).await.unwrap_err();
        assert_too_many(&error, MAX_LISTED_MEMBERS);
        assert_eq!(seen, MAX_LISTED_MEMBERS);
        assert_eq!(node.requests().len(), MAX_LISTED_MEMBERS / MAX_PAGE as usize + 1);
    }

    #[tokio::test]
    async fn a_list_of_relationships_without_an_end_is_given_up() {
        let newest = vec![(DOCTOR, relationship()); MAX_PAGE as usize].encode();
        let (_, state) = repeating(&["RolePoliciesApi_relationships"], [newest, Vec::new()]).await;
        let error = state.relationships(PATIENT).await.unwrap_err();
        assert_too_many(&error, MAX_LISTED_RELATIONSHIPS);
    }

    #[tokio::test]
    async fn a_list_of_earlier_relationships_without_an_end_is_given_up() {
        let newest = vec![(DOCTOR, relationship())].encode();
        let earlier = vec![(1u32, relationship()); MAX_PAGE as usize].encode();
        let lists = &["RolePoliciesApi_relationships", "RolePoliciesApi_earlier_relationships"];
        let (node, state) = repeating(lists, [newest, earlier]).await;
        let error = state.relationships(PATIENT).await.unwrap_err();
        assert_too_many(&error, MAX_LISTED_RELATIONSHIPS);
        assert_eq!(node.requests().len(), 1 + MAX_LISTED_RELATIONSHIPS / MAX_PAGE as usize);
    }
}
