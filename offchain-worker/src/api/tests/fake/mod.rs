//! A chain in memory, with simplified decisions, and hospitals that may or may not have a segment.

pub mod custody;
pub mod openings;
mod pallets;
mod peers;
pub mod slots;

pub use peers::FakePeers;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use codec::{Decode, Encode};
use epione_client::chain::{Call, DispatchFailure};
use epione_envelope::{account::Signer, keystore::ActorKeys};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, RecordId, RecordPointer, Signature, UserId,
    access::{AccessRequest, Decision, Purpose},
    block::{Entry, Header, Range, Segments, SignedAt, record_hash},
    consortium::{Epoch, EpochId},
    hospital::{Duty, Hospital, HospitalStatus},
    mandate::Mandate,
    opening::{HandedOut, Opening, OpeningId, Wrapped},
    ports::HashedBody,
    profile::{Period, Profile, Recovery, Registration, RegistrationStatus, Role},
    query::{Query, QueryId, Transfer},
    refusal::Refusal,
    release::{Release, Request, Review, ReviewId, Right, SectionSet, Tally},
    sharing::{ConsentVersion, Placements, SharedChange, SlotId, SlotSet},
};
use futures::{FutureExt, future::BoxFuture};

use crate::chain::{
    Answer, CallError, ChainCalls, ChainView, ConsortiumView, FinalState, Identity, PastStates,
    QueryNews, ViewError,
};
use pallets::{allows, decide, execute, opens, page};

pub const HOSPITAL: HospitalId = HospitalId(3);
pub const ELSEWHERE: HospitalId = HospitalId(4);

pub fn genesis() -> Hash {
    Hash::repeat_byte(0x6e)
}

#[derive(Default)]
pub struct Facts {
    /// The number of the newest finalized block.
    pub head: BlockNumber,
    /// The states after earlier blocks that differ from the newest one.
    pub past: HashMap<BlockNumber, FakeChain>,
    /// How old the newest finalized block is, in milliseconds.
    pub head_age: u64,
    /// How far the chain's time is ahead of this machine's clock, in milliseconds.
    pub ahead: Moment,
    pub accounts: HashMap<AccountId, UserId>,
    pub profiles: HashMap<UserId, Profile>,
    pub registrations: BTreeMap<(HospitalId, UserId), Registration>,
    /// New keys that hospitals proposed.
    pub recoveries: BTreeMap<UserId, Recovery>,
    pub hospitals: HashMap<HospitalId, Hospital>,
    /// The hospitals that do not validate yet.
    pub unready: Vec<HospitalId>,
    /// Pairs of professional and patient.
    pub related: HashSet<(UserId, UserId)>,
    pub bodies: HashMap<Hash, Vec<u8>>,
    pub records: HashMap<RecordPointer, (Entry, Header, Vec<u8>)>,
    /// The users who may break the glass.
    pub rescuers: HashSet<UserId>,
    /// Rights that the policies deny everybody.
    pub denied: Vec<Right>,
    /// Whether visits need the patient's signature.
    pub cosigning: bool,
    /// By grant.
    pub receipts: HashMap<Hash, Release>,
    pub refusals: Vec<Request>,
    /// The hashes of the requests that were answered, and the grants that answered them; none if it was a refusal.
    pub answers: HashMap<Hash, Option<Hash>>,
    /// What the patients share by their consents.
    pub slots: slots::FakeSlots,
    pub openings: openings::FakeOpenings,
    pub custody: custody::FakeCustody,
    pub tallies: HashMap<UserId, Tally>,
    pub reviews: Vec<Review>,
    /// The mandates of pairs of representative and patient.
    pub representatives: HashMap<(UserId, UserId), Mandate>,
    pub queries: BTreeMap<QueryId, Query>,
    pub transfers: HashMap<QueryId, Transfer>,
    /// The changes of queries in each block.
    pub query_news: HashMap<BlockNumber, Vec<QueryNews>>,
    /// Blocks whose changes of queries the node cannot read.
    pub unreadable: HashSet<BlockNumber>,
    /// The consortium key; tests that read it set it.
    pub consortium: Option<ConsortiumView>,
    pub calls: Vec<Call>,
    /// How many calls were submitted, also those that failed.
    pub submitted: usize,
    /// If set, every call fails with this error.
    pub failure: Option<DispatchFailure>,
    /// If set, the next call is refused for this reason.
    pub refusal: Option<Refusal>,
    /// A change between a decision and the block of the next call.
    pub meanwhile: Option<Change>,
    /// A change between the block of the next call and what the worker does after it.
    pub afterwards: Option<Change>,
    /// A change while the worker reads the next record.
    pub while_reading: Option<Change>,
    /// Records whose bytes the node cannot read.
    pub unreadable_records: HashSet<RecordPointer>,
    /// Whether the worker never learns what became of its calls, which take effect.
    pub silent: bool,
    /// Whether calls are never finalized.
    pub stalled: bool,
    /// How long it takes until a call is finalized.
    pub latency: Duration,
    pub away: bool,
    /// The number of reads after which the node does not answer any more.
    pub leaves_after: Option<u32>,
}

type Change = Box<dyn FnOnce(&mut Facts) + Send>;

pub fn failure(pallet: &str, error: &str) -> DispatchFailure {
    DispatchFailure { pallet: pallet.into(), error: error.into(), docs: String::new() }
}

#[derive(Clone, Default)]
pub struct FakeChain(Arc<Mutex<Facts>>);

impl FakeChain {
    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap()
    }

    pub fn add_hospital(&self, id: HospitalId, agent: &ActorKeys, governance: &ActorKeys) {
        let hospital = Hospital {
            name: b"A hospital".to_vec().try_into().unwrap(),
            governance: governance.account(),
            agent: agent.account(),
            worker_url: Default::default(),
            sealing_key: agent.sealing.public().as_bytes().to_vec().try_into().unwrap(),
            tls_key: [0; 32],
            storage_origin: None,
            status: HospitalStatus::Active,
        };
        self.facts().hospitals.insert(id, hospital);
    }

    /// The block with this number.
    pub fn block(&self, number: BlockNumber) -> SignedAt {
        SignedAt { number, hash: Hash::from_low_u64_be(0xb10c_0000 + u64::from(number)) }
    }

    /// The newest finalized block.
    pub fn newest(&self) -> SignedAt {
        let head = self.facts().head;
        self.block(head)
    }

    /// Finalizes another block, whose state a test changes. Users, hospitals, relationships and policies after the
    /// block before it, which this returns, stay as they are.
    pub fn next_block(&self) -> SignedAt {
        let before = self.newest();
        let mut facts = self.facts();
        let past = Self::default();
        *past.facts() = Facts {
            head: facts.head,
            accounts: facts.accounts.clone(),
            profiles: facts.profiles.clone(),
            registrations: facts.registrations.clone(),
            hospitals: facts.hospitals.clone(),
            related: facts.related.clone(),
            rescuers: facts.rescuers.clone(),
            cosigning: facts.cosigning,
            slots: facts.slots.clone(),
            ..Facts::default()
        };
        facts.past.insert(before.number, past);
        facts.head += 1;
        before
    }

    /// The state after a block before the newest one, from [`next_block`](Self::next_block).
    pub fn state_after(&self, block: SignedAt) -> Box<dyn FinalState> {
        Box::new(self.facts().past[&block.number].clone())
    }

    /// Does what the profiles pallet does, without its checks.
    pub fn register(&self, hospital: HospitalId, user: UserId, profile: Profile, body: Vec<u8>) {
        let body_hash = HashedBody::new(&body).hash();
        let registration = Registration {
            status: RegistrationStatus::Active,
            periods: vec![Period { since: 0, until: None }].try_into().unwrap(),
            version: 1,
            body_hash,
        };
        let mut facts = self.facts();
        facts.accounts.insert(profile.account.clone(), user);
        facts.profiles.insert(user, profile);
        facts.registrations.insert((hospital, user), registration);
        facts.bodies.insert(body_hash, body);
    }

    /// Puts a record into a separate lite block.
    pub fn commit(
        &self,
        pointer: RecordPointer,
        patient: UserId,
        announcer: HospitalId,
        record: &[u8],
    ) {
        let text = Range { offset: 0, length: record.len() as u32 };
        let id = RecordId(blake3::hash(record).as_bytes()[..16].try_into().unwrap());
        let entry = Entry {
            record: id,
            hash: record_hash(record),
            patient,
            text,
            media: Range::default(),
            previous: None,
        };
        let header = Header {
            height: pointer.height,
            previous_lite: Hash::zero(),
            previous_cloud: Hash::zero(),
            announcer,
            announcement: Default::default(),
            time: 0,
            records: 1,
            body_hash: Hash::zero(),
            body_bytes: record.len() as u32,
            segments: Segments::default(),
        };
        self.facts().records.insert(pointer, (entry, header, record.to_vec()));
    }

    fn answer<T: Send + 'static>(&self, find: impl FnOnce(&mut Facts) -> T) -> Answer<'static, T> {
        let mut facts = self.facts();
        match facts.leaves_after {
            Some(0) => (facts.away, facts.leaves_after) = (true, None),
            Some(left) => facts.leaves_after = Some(left - 1),
            None => {}
        }
        let answer = if facts.away { Err(ViewError::Away) } else { Ok(find(&mut facts)) };
        async { answer }.boxed()
    }
}

impl PastStates for FakeChain {
    fn last_finalized(&self) -> Answer<'_, BlockNumber> {
        self.head()
    }

    fn after(&self, block: SignedAt) -> Answer<'_, Option<Box<dyn FinalState>>> {
        let (newest, is_block) = (self.clone(), block == self.block(block.number));
        self.answer(move |facts| {
            let is_final = is_block && block.number <= facts.head;
            let state = facts.past.get(&block.number).cloned().unwrap_or(newest);
            is_final.then(|| Box::new(state) as Box<dyn FinalState>)
        })
    }
}

impl ChainView for FakeChain {
    fn identity(&self) -> Answer<'_, Identity> {
        self.answer(|_| Identity { genesis: genesis(), hospital: HOSPITAL })
    }

    fn head(&self) -> Answer<'_, BlockNumber> {
        self.answer(|facts| facts.head)
    }

    fn finalized(&self) -> Answer<'_, Box<dyn FinalState>> {
        let state = self.clone();
        self.answer(|_| Box::new(state) as Box<dyn FinalState>)
    }

    fn after_number(&self, number: BlockNumber) -> Answer<'_, Box<dyn FinalState>> {
        let newest = self.clone();
        self.answer(move |facts| {
            let state = facts.past.get(&number).cloned().unwrap_or(newest);
            Box::new(state) as Box<dyn FinalState>
        })
    }

    fn body(&self, hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        self.answer(|facts| facts.bodies.get(&hash).cloned())
    }

    fn record_bytes(&self, pointer: RecordPointer) -> Answer<'_, Option<Vec<u8>>> {
        let bytes = self.answer(|facts| {
            if let Some(change) = facts.while_reading.take() {
                change(facts);
            }
            facts.records.get(&pointer).map(|(_, _, bytes)| bytes.clone())
        });
        let unreadable = self.facts().unreadable_records.contains(&pointer);
        async move {
            match bytes.await? {
                _ if unreadable => Err(ViewError::Failed("the record cannot be read".into())),
                bytes => Ok(bytes),
            }
        }
        .boxed()
    }

    fn query_news(&self, block: BlockNumber) -> Answer<'_, Vec<QueryNews>> {
        let unreadable = self.facts().unreadable.contains(&block);
        let changes = self.answer(move |facts| facts.query_news.get(&block).cloned());
        async move {
            match changes.await? {
                _ if unreadable => Err(ViewError::Failed("the block cannot be read".into())),
                changes => Ok(changes.unwrap_or_default()),
            }
        }
        .boxed()
    }
}

impl FinalState for FakeChain {
    fn time(&self) -> Answer<'_, Moment> {
        self.answer(|facts| crate::now() - facts.head_age + facts.ahead)
    }

    fn hospital(&self, id: HospitalId) -> Answer<'_, Option<Hospital>> {
        self.answer(|facts| facts.hospitals.get(&id).cloned())
    }

    fn unready(&self) -> Answer<'_, Vec<HospitalId>> {
        self.answer(|facts| facts.unready.clone())
    }

    fn hospital_of<'a>(&'a self, account: &'a AccountId) -> Answer<'a, Option<(HospitalId, Duty)>> {
        self.answer(|facts| {
            facts.hospitals.iter().find_map(|(id, hospital)| {
                if hospital.agent == *account {
                    Some((*id, Duty::Agent))
                } else {
                    (hospital.governance == *account).then_some((*id, Duty::Governance))
                }
            })
        })
    }

    fn user_of<'a>(&'a self, account: &'a AccountId) -> Answer<'a, Option<UserId>> {
        self.answer(|facts| facts.accounts.get(account).copied())
    }

    fn profile(&self, user: UserId) -> Answer<'_, Option<Profile>> {
        self.answer(|facts| facts.profiles.get(&user).cloned())
    }

    fn registration(&self, hospital: HospitalId, user: UserId) -> Answer<'_, Option<Registration>> {
        self.answer(|facts| facts.registrations.get(&(hospital, user)).cloned())
    }

    fn registrations(&self, user: UserId) -> Answer<'_, Vec<(HospitalId, Registration)>> {
        self.answer(|facts| {
            let of_user =
                facts.registrations.iter().filter(|((_, registered), _)| *registered == user);
            of_user.map(|((hospital, _), registration)| (*hospital, registration.clone())).collect()
        })
    }

    fn recoveries(&self, after: Option<UserId>, limit: u32) -> Answer<'_, Vec<(UserId, Recovery)>> {
        self.answer(|facts| {
            let later = facts.recoveries.iter().filter(|(user, _)| Some(**user) > after);
            later.take(limit as usize).map(|(user, it)| (*user, it.clone())).collect()
        })
    }

    fn members(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Answer<'_, Vec<(UserId, Registration)>> {
        self.answer(|facts| {
            let members = facts.registrations.iter().filter(|((at, _), _)| *at == hospital);
            let members = members.filter(|((_, user), _)| Some(*user) > after);
            let page = members.map(|((_, user), registration)| (*user, registration.clone()));
            page.take(limit as usize).collect()
        })
    }

    fn decide_each<'a>(&'a self, requests: &'a [AccessRequest]) -> Answer<'a, Vec<Decision>> {
        self.answer(|facts| requests.iter().map(|request| decide(facts, request)).collect())
    }

    fn header(&self, height: u32) -> Answer<'_, Option<Header>> {
        self.answer(|facts| {
            let mut records = facts.records.iter();
            records.find_map(|(at, (_, header, _))| (at.height == height).then(|| header.clone()))
        })
    }

    fn record(&self, pointer: RecordPointer) -> Answer<'_, Option<Entry>> {
        self.answer(|facts| facts.records.get(&pointer).map(|(entry, _, _)| entry.clone()))
    }

    fn is_in_force(&self, grant: Hash) -> Answer<'_, bool> {
        self.answer(|facts| {
            facts
                .receipts
                .get(&grant)
                .is_some_and(|release| opens(facts, release) && allows(facts, release))
        })
    }

    fn requester_of(&self, grant: Hash) -> Answer<'_, Option<UserId>> {
        self.answer(|facts| facts.receipts.get(&grant).map(|release| release.request.requester))
    }

    fn admitting(&self, patient: UserId, user: UserId, purpose: Purpose) -> Answer<'_, SlotSet> {
        self.answer(|facts| {
            facts.slots.asked += 1;
            facts.away |= facts.slots.leaves_when_asked;
            slots::admitting(facts, patient, user, purpose)
        })
    }

    fn standing<'a>(&'a self, opening: &'a Opening) -> Answer<'a, SlotSet> {
        self.answer(|facts| openings::standing_for(facts, opening))
    }

    fn placements<'a>(&'a self, records: &'a [RecordPointer]) -> Answer<'a, Vec<Placements>> {
        self.answer(|facts| {
            let placed = &facts.slots.placed;
            records.iter().map(|pointer| placed.get(pointer).cloned().unwrap_or_default()).collect()
        })
    }

    fn consents(&self, patient: UserId) -> Answer<'_, Vec<(SlotId, ConsentVersion)>> {
        let unreadable = self.facts().slots.unreadable.contains(&patient);
        let consents = self.answer(move |facts| facts.slots.consents.get(&patient).cloned());
        async move {
            match consents.await? {
                _ if unreadable => Err(ViewError::Failed("the consents cannot be read".into())),
                consents => Ok(consents.unwrap_or_default()),
            }
        }
        .boxed()
    }

    fn placed_in(
        &self,
        patient: UserId,
        slot: SlotId,
        after: Option<RecordPointer>,
        limit: u32,
    ) -> Answer<'_, Vec<(RecordPointer, SectionSet)>> {
        self.answer(|facts| {
            let facts: &Facts = facts;
            let mut slots = SlotSet::default();
            slots.insert(slot);
            let records = facts.slots.placed.keys().filter(|pointer| Some(**pointer) > after);
            let of_patient = records.filter(|pointer| {
                facts.records.get(*pointer).is_some_and(|(entry, ..)| entry.patient == patient)
            });
            let placed = of_patient.map(|it| (*it, slots::shared(facts, *it, slots)));
            placed.filter(|(_, sections)| !sections.is_empty()).take(limit as usize).collect()
        })
    }

    fn shared_changes(&self, from: u64, limit: u32) -> Answer<'_, Vec<SharedChange>> {
        self.answer(|facts| {
            let later = facts.openings.changes.iter().filter(|change| change.height >= from);
            later.take(limit as usize).cloned().collect()
        })
    }

    fn current_epoch(&self) -> Answer<'_, Option<Epoch>> {
        self.answer(|facts| facts.openings.epoch().cloned())
    }

    fn epochs<'a>(&'a self, ids: &'a [EpochId]) -> Answer<'a, Vec<Option<Epoch>>> {
        self.answer(|facts| ids.iter().map(|id| facts.openings.epochs.get(id).cloned()).collect())
    }

    fn wraps(&self, record: RecordPointer) -> Answer<'_, Vec<(SlotId, Wrapped)>> {
        self.answer(|facts| openings::wraps(facts, record))
    }

    fn opening(&self, id: OpeningId) -> Answer<'_, Option<Opening>> {
        self.answer(|facts| facts.openings.openings.get(&id).cloned())
    }

    fn handed_out(&self, id: OpeningId, hospital: HospitalId) -> Answer<'_, Option<HandedOut>> {
        self.answer(|facts| facts.openings.handed_out.get(&(id, hospital)).copied())
    }

    fn answer(&self, request: Hash) -> Answer<'_, Option<Hash>> {
        self.answer(|facts| facts.answers.get(&request).copied().flatten())
    }

    fn tally(&self, _: HospitalId, requester: UserId) -> Answer<'_, Tally> {
        self.answer(|facts| facts.tallies.get(&requester).copied().unwrap_or_default())
    }

    fn representation(&self, user: UserId, patient: UserId) -> Answer<'_, Option<Mandate>> {
        self.answer(|facts| facts.representatives.get(&(user, patient)).copied())
    }

    fn query(&self, id: QueryId) -> Answer<'_, Option<Query>> {
        self.answer(|facts| facts.queries.get(&id).cloned())
    }

    fn transfer(&self, id: QueryId) -> Answer<'_, Option<Transfer>> {
        self.answer(|facts| facts.transfers.get(&id).cloned())
    }

    fn patient_queries(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Answer<'_, Vec<(u32, QueryId, Query)>> {
        self.answer(|facts| page(facts, |query| query.patient == patient, before, limit))
    }

    fn requester_queries(
        &self,
        requester: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Answer<'_, Vec<(u32, QueryId, Query)>> {
        self.answer(|facts| page(facts, |query| query.requester == requester, before, limit))
    }

    fn reviews(&self, before: Option<ReviewId>, limit: u32) -> Answer<'_, Vec<(ReviewId, Review)>> {
        self.answer(|facts| {
            let reviews = (0..).map(ReviewId).zip(facts.reviews.iter().cloned());
            let mut reviews: Vec<_> =
                reviews.filter(|(id, _)| before.is_none_or(|before| *id < before)).collect();
            reviews.reverse();
            reviews.truncate(limit as usize);
            reviews
        })
    }

    fn consortium(&self) -> Answer<'_, ConsortiumView> {
        self.answer(|facts| facts.consortium.clone().expect("the test says what the chain has"))
    }
}

type RegisterArguments = (UserId, Role, AccountId, Hash, Signature, Vec<u8>);

impl ChainCalls for FakeChain {
    fn submit(&self, call: Call) -> BoxFuture<'_, Result<(), CallError>> {
        let (stalled, latency) = {
            let mut facts = self.facts();
            facts.submitted += 1;
            if let Some(change) = facts.meanwhile.take() {
                change(&mut facts);
            }
            (facts.stalled, facts.latency)
        };
        if let Some(refusal) = self.facts().refusal.take() {
            return std::future::ready(Err(CallError::Refused(refusal))).boxed();
        }
        if stalled {
            return std::future::pending().boxed();
        }
        async move {
            tokio::time::sleep(latency).await;
            let included = self.include(call).map_err(CallError::Failed);
            if self.facts().silent { Err(CallError::TimedOut) } else { included }
        }
        .boxed()
    }
}

impl FakeChain {
    fn include(&self, call: Call) -> Result<(), DispatchFailure> {
        if call.name == "register" && self.facts().failure.is_none() {
            let (user, role, account, sealing_key_hash, _, body) =
                RegisterArguments::decode(&mut call.arguments.as_slice()).unwrap();
            let since = crate::now();
            let profile = Profile { role, account, sealing_key_hash, version: 1, since };
            self.register(HOSPITAL, user, profile, body);
        }
        let mut facts = self.facts();
        let done =
            facts.failure.clone().map_or(Ok(()), Err).and_then(|()| execute(&mut facts, &call));
        if done.is_ok() {
            facts.calls.push(call);
        }
        if let Some(change) = facts.afterwards.take() {
            change(&mut facts);
        }
        done
    }
}

/// The encoded arguments of a call.
pub fn arguments(of: impl Encode) -> Vec<u8> {
    of.encode()
}
