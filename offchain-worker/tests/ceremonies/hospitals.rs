//! Hospitals that take part: each with a journal on disk, which survives a kill.

use std::{collections::BTreeMap, fs, sync::Arc};

use codec::Encode;
use epione_client::{Account, chain::Call};
use epione_envelope::{
    account::{AccountKey, Scheme},
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId,
    consortium::{CeremonyId, Epoch, EpochId, Phase, Seats},
};
use epione_threshold::{Index, MixingSecret, Partial, Point, Share, Wrap};
use epione_worker::{
    consortium::{Act, Bodies, ConsortiumView, Held, HeldShare, Idle, Member, Participant},
    journal::{Journal, consortium as stored},
};
use sp_runtime::DispatchError;

use super::chain::{Chain, SCHEDULE};

pub const LABEL: &[u8] = b"a section of a record";
pub const KEY: [u8; 32] = [0x5e; 32];

/// A hospital's agent, journal and worker.
pub struct Hospital {
    pub id: HospitalId,
    pub agent: Account,
    /// The sealing key in the hospital's keystore.
    pub sealing: SealingKeyPair,
    folder: tempfile::TempDir,
    journal: Journal,
    member: Member,
    /// Whether the worker runs.
    pub runs: bool,
    /// Whether its node has no bodies.
    pub is_blind: bool,
    /// It acts in each of so many blocks.
    pub pace: BlockNumber,
    pub idle: Option<Idle>,
}

impl Hospital {
    async fn new(id: u16, genesis: Hash) -> Self {
        let id = HospitalId(id);
        let seed = blake3::hash(&id.0.to_be_bytes());
        let agent = Account::from(AccountKey::from_seed(Scheme::Sr25519, seed.as_bytes()));
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.sqlite")).await.unwrap();
        let participant = Participant { genesis, hospital: id, agent: agent.clone() };
        let member = Member::new(participant, journal.clone());
        let sealing = SealingKeyPair::generate(SealingSuite::XWing);
        let (runs, is_blind, pace, idle) = (true, false, 1, None);
        Self { id, agent, sealing, folder, journal, member, runs, is_blind, pace, idle }
    }

    /// Kills the worker, and starts it with what the disk had at that moment.
    pub async fn restart(&mut self) {
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(self.folder.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        self.reopen(copy).await;
    }

    /// The journal is lost.
    pub async fn lose_journal(&mut self) {
        self.reopen(tempfile::tempdir().unwrap()).await;
    }

    /// The operator gives the hospital another agent account, and restarts the worker with it.
    fn rotate(&mut self, agent: Account) {
        self.agent = agent.clone();
        let participant = Participant { agent, ..self.member.participant().clone() };
        self.member = Member::new(participant, self.journal.clone());
    }

    /// The files of its worker, as a thief who copies them now has them.
    pub fn disk(&self) -> Vec<Vec<u8>> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }

    async fn reopen(&mut self, folder: tempfile::TempDir) {
        let path = folder.path().join("journal.sqlite");
        self.journal = Journal::open(&path).await.unwrap();
        self.member = Member::new(self.member.participant().clone(), self.journal.clone());
        self.folder = folder;
        self.runs = true;
    }

    /// What the worker does now.
    pub async fn act(
        &self,
        view: &Arc<ConsortiumView>,
        next: BlockNumber,
        bodies: &Arc<Bodies>,
    ) -> Act {
        self.member.tidy(view, next).await.unwrap();
        let wanted = self.member.wanted(view, next).await.unwrap();
        let found = wanted.into_iter().filter_map(|hash| Some((hash, bodies.get(&hash)?.clone())));
        let known: Bodies = found.filter(|_| !self.is_blind).collect();
        let act = self.member.act(view, next, &Arc::new(known)).await.unwrap();
        self.member.forget_erased().await.unwrap();
        act
    }

    pub async fn share(&self, ceremony: CeremonyId) -> Option<HeldShare> {
        let secrets = self.journal.read(|it| stored::secrets(it, None, None)).await.unwrap();
        secrets.shares.get(&ceremony).cloned()
    }

    pub async fn held(&self) -> Held {
        self.journal.read(stored::held).await.unwrap()
    }

    /// The seed of a sealing key with which it enrolled.
    pub async fn enrolment(&self, key: Hash) -> Option<[u8; 32]> {
        let secrets = self
            .journal
            .read(move |it| stored::secrets(it, Some(CeremonyId(0)), Some(key)))
            .await
            .unwrap();
        secrets.enrolment.map(|seed| *seed)
    }
}

/// All hospitals, and their chain.
pub struct World {
    pub chain: Chain,
    pub hospitals: Vec<Hospital>,
}

impl World {
    pub async fn new(hospitals: u16) -> Self {
        let mut world = Self { chain: Chain::new(), hospitals: Vec::new() };
        for _ in 0..hospitals {
            world.join().await;
        }
        world
    }

    /// Another hospital is admitted.
    pub async fn join(&mut self) {
        let id = u16::try_from(self.hospitals.len()).unwrap();
        let hospital = Hospital::new(id, self.chain.genesis()).await;
        self.chain.admit(hospital.id, hospital.agent.id());
        self.hospitals.push(hospital);
    }

    /// A hospital rotates its agent account.
    pub fn rotate(&mut self, hospital: usize) {
        let seed = blake3::hash(&self.hospitals[hospital].agent.id().encode());
        let agent = Account::from(AccountKey::from_seed(Scheme::Sr25519, seed.as_bytes()));
        self.chain.rotate(self.hospitals[hospital].id, agent.id());
        self.hospitals[hospital].rotate(agent);
    }

    /// The council chooses the hospitals that get seats.
    pub fn choose(&mut self, committee: &[u16]) {
        let seats = committee.iter().copied().map(HospitalId).collect();
        let committee = Some(Seats::truncate_from(seats));
        self.chain.council(pallet_consortium_key::Call::seat { committee }).unwrap();
    }

    pub fn view(&mut self) -> Arc<ConsortiumView> {
        Arc::new(self.chain.view())
    }

    /// Each worker looks at the present block; the next block has the calls.
    pub async fn round(&mut self) {
        for (id, call) in self.plans().await {
            // Of several that begin or confirm at once, some come too late.
            self.chain.submit(id, &call).ok();
        }
    }

    /// What the workers do at the present block, which is over then.
    async fn plans(&mut self) -> Vec<(HospitalId, Call)> {
        let (view, next) = (self.view(), self.chain.block() + 1);
        let bodies = Arc::new(self.chain.bodies.clone());
        let mut calls = Vec::new();
        for hospital in &mut self.hospitals {
            if hospital.runs && next.is_multiple_of(hospital.pace) {
                let act = hospital.act(&view, next, &bodies).await;
                hospital.idle = act.idle;
                calls.extend(act.calls.into_iter().map(|call| (hospital.id, call)));
            }
        }
        self.chain.pass(1);
        calls
    }

    /// The result of one hospital's calls at the present block. The others do nothing.
    pub async fn only(&mut self, hospital: usize) -> Vec<(Call, Result<(), DispatchError>)> {
        let (view, next) = (self.view(), self.chain.block() + 1);
        let bodies = Arc::new(self.chain.bodies.clone());
        let act = self.hospitals[hospital].act(&view, next, &bodies).await;
        self.chain.pass(1);
        let id = self.hospitals[hospital].id;
        let submit = |call: Call| {
            let result = self.chain.submit(id, &call);
            (call, result)
        };
        act.calls.into_iter().map(submit).collect()
    }

    /// Lets the workers act until the newest ceremony is in a phase.
    pub async fn until(&mut self, phase: impl Fn(Phase) -> bool) {
        for _ in 0..400 {
            if self.chain.phase().is_some_and(&phase) {
                return;
            }
            self.round().await;
        }
        panic!("the ceremony did not get there: {:?}", self.chain.ceremony());
    }

    /// Lets the workers act until an epoch after `before` began; returns it.
    pub async fn next_epoch(&mut self, before: Option<EpochId>) -> Epoch {
        for _ in 0..400 {
            match self.chain.current() {
                Some(epoch) if Some(epoch.id) > before => return epoch,
                _ => self.round().await,
            }
        }
        panic!("no epoch began: {:?}", self.chain.ceremony());
    }

    /// The first epoch, whose shares all members have confirmed.
    pub async fn first_epoch(&mut self) -> Epoch {
        let epoch = self.next_epoch(None).await;
        self.all_confirm(epoch.id).await
    }

    /// Lets the workers act until all members have confirmed the epoch.
    pub async fn all_confirm(&mut self, epoch: EpochId) -> Epoch {
        for _ in 0..100 {
            let epoch = self.chain.epoch(epoch);
            if epoch.confirmed.len() == epoch.members.len() {
                return epoch;
            }
            self.round().await;
        }
        panic!("not every member has its share: {:?}", self.chain.epoch(epoch));
    }

    /// Lets so many blocks pass in which nothing is due.
    pub async fn rest(&mut self, blocks: BlockNumber) {
        for _ in 0..blocks {
            self.round().await;
        }
    }

    /// A governance account requests new shares, as soon as the chain accepts that.
    pub fn request_refresh(&mut self) {
        self.chain.pass(10 * SCHEDULE.phase);
        self.chain.refresh(HospitalId(0)).unwrap();
    }

    /// The members of an epoch with their shares.
    pub async fn shares(&self, epoch: &Epoch) -> BTreeMap<HospitalId, HeldShare> {
        let mut shares = BTreeMap::new();
        for member in &epoch.members {
            let hospital = &self.hospitals[usize::from(member.0)];
            shares.extend(hospital.share(epoch.ceremony).await.map(|share| (*member, share)));
        }
        shares
    }

    /// The mixing secret of an epoch, from that of the current one along the links.
    pub fn followed(&mut self, current: &Epoch, held: &HeldShare, back: EpochId) -> MixingSecret {
        let mut mixing = MixingSecret::from_bytes(*held.mixing);
        for id in (back.0..current.id.0).rev() {
            let link = self.chain.epoch(EpochId(id + 1)).link.unwrap();
            mixing = mixing.follow(&link).unwrap();
        }
        mixing
    }
}

/// A wrap for an epoch, made with what its members have.
pub fn wrap(epoch: &Epoch, held: &HeldShare) -> Wrap {
    let public = Point::decode(&epoch.public_key().unwrap()).unwrap();
    Wrap::make(&public, &MixingSecret::from_bytes(*held.mixing), LABEL, &KEY)
}

/// What these shares open together.
pub fn open(
    wrap: &Wrap,
    mixing: &MixingSecret,
    shares: &[(HospitalId, HeldShare)],
) -> Option<[u8; 32]> {
    let points = [wrap.check(LABEL).unwrap()];
    let partials: Vec<_> = shares
        .iter()
        .map(|(hospital, held)| {
            let share = Share::decode(&held.share).unwrap();
            let partial = Partial::make(&share, &points, b"query", &[1; 32]).unwrap();
            (Index::of_hospital(hospital.0), partial)
        })
        .collect();
    let partials: Vec<_> = partials.iter().map(|(at, partial)| (*at, partial)).collect();
    let shared = Partial::combine(&partials)?;
    wrap.open(LABEL, &Wrap::mixing_of(mixing, LABEL), &shared[0]).map(|key| *key)
}

/// The first `count` shares.
pub fn some(
    shares: &BTreeMap<HospitalId, HeldShare>,
    count: usize,
) -> Vec<(HospitalId, HeldShare)> {
    shares.iter().take(count).map(|(id, held)| (*id, held.clone())).collect()
}
