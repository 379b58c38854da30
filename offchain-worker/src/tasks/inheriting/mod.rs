//! Opens the patient keys of removed hospitals whose custodian this hospital is.
//!
//! The worker claims the keys that are entrusted and kept, of patients who are registered here, in groups. Then it asks
//! all members of the consortium key for their parts, and opens the keys when as many have answered as the threshold
//! says. It stores them sealed to the hospital's own key. What is left to claim follows from the chain and the journal,
//! so the worker resumes after a restart; a claim that is not over is used again.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use epione_client::{
    chain::calls::custody,
    signer::Account,
    worker::{WorkerClient, WorkerError},
};
use epione_envelope::{
    Zeroizing,
    custody::{ClaimPartContext, SealedClaimPart},
    keys::PatientKey,
    opening::PartialContent,
    profile::ProfileContext,
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{
    HospitalId, UserId,
    consortium::{Epoch, EpochId},
    custody::{Appointment, Claim, ClaimId, ClaimedPatients, Kept},
    limits::{CLAIM_BLOCKS, MAX_CLAIMED_PATIENTS, MAX_PAGE},
    opening::HandedOut,
    profile::RegistrationStatus,
};
use epione_threshold::{Commitments, Index, Partial, Point, Wrap};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};

use crate::{
    backoff::Backoff,
    chain::{CallError, ChainCalls, ChainView, FinalState, Identity, ViewError},
    hospital_keys::{HospitalKeys, HospitalKeysError, inherited_context},
    journal::{
        Journal, JournalError,
        inherited::{self, InheritedKey},
    },
    metrics::Metrics,
    node::NodeHandle,
    transfer::Peer,
};

const POLL: Duration = Duration::from_secs(60);
const RETRY: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(600));
/// Members that are asked at once.
const PARALLEL: usize = 8;
/// How long a member may take: it waits until its record is final.
const MEMBER_LIMIT: Duration = Duration::from_secs(120);
/// A member's record is final at its own node first.
const RECORD_PAUSE: Duration = Duration::from_secs(3);
const RECORD_ATTEMPTS: usize = 10;

/// Why a member gave no part.
pub type MemberError = Box<dyn Error + Send + Sync>;

/// The workers of the members of the consortium key.
pub trait Members: Send + Sync {
    /// A hospital's part of a claim, which is not verified.
    fn part(
        &self,
        hospital: HospitalId,
        claim: ClaimId,
    ) -> BoxFuture<'_, Result<SealedClaimPart, MemberError>>;
}

/// The members, at the addresses that the chain has.
pub struct ChainMembers {
    pub node: NodeHandle,
    pub agent: Account,
}

impl Members for ChainMembers {
    fn part(
        &self,
        hospital: HospitalId,
        claim: ClaimId,
    ) -> BoxFuture<'_, Result<SealedClaimPart, MemberError>> {
        async move {
            let chain = self.node.borrow().clone().ok_or(ViewError::Away)?;
            let hospitals = chain.finalized().await?.hospitals().await?;
            let (mut entry, mut own) = (None, None);
            let agent = self.agent.id();
            for (id, found) in &hospitals {
                if *id == hospital {
                    entry = Some(found);
                }
                if found.agent == agent {
                    own = Some(found);
                }
            }
            let entry = entry.ok_or(WorkerError::UnknownHospital(hospital))?;
            let Peer { endpoint, .. } = Peer::of(hospital, entry, own)?;
            let genesis = chain.genesis_hash();
            let worker = WorkerClient::new(&endpoint, hospital, genesis, self.agent.clone())?;
            Ok(worker.claim_part(claim).await?)
        }
        .boxed()
    }
}

/// What the task works with.
pub struct Inheriting {
    pub hospital_keys: Arc<HospitalKeys>,
    pub view: Arc<dyn ChainView>,
    pub calls: Arc<dyn ChainCalls>,
    pub members: Arc<dyn Members>,
    pub journal: Journal,
    pub metrics: Metrics,
    /// Wraps that have a wrong key, or are of a profile body that cannot be read. Nobody can repair them.
    pub wrong: Mutex<HashSet<(HospitalId, UserId)>>,
    /// Whether the stored keys are sealed to the hospital's current key. What this process stores is.
    pub resealed: AtomicBool,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum InheritingError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Keys(#[from] HospitalKeysError),
    #[error("the node does not show the claim yet that it has finalized")]
    NoClaim,
    #[error(
        "only {found} of the {needed} members that are needed gave their part of claim {claim}"
    )]
    TooFewParts { claim: ClaimId, found: usize, needed: usize },
    #[error("the wraps of claim {0} are not those that the chain has checked")]
    Wraps(ClaimId),
}

impl InheritingError {
    fn is_away(&self) -> bool {
        matches!(
            self,
            Self::View(ViewError::Away)
                | Self::Call(CallError::View(ViewError::Away))
                | Self::Keys(HospitalKeysError::View(ViewError::Away))
        )
    }
}

/// Opens keys. Never returns.
pub async fn run(inheriting: &Inheriting) {
    let mut failures = 0;
    loop {
        match inheriting.round().await {
            Ok(true) => failures = 0,
            Ok(false) => {
                failures = 0;
                tokio::time::sleep(POLL).await;
            }
            Err(error) => {
                failures += 1;
                inheriting.fail(&error);
                tokio::time::sleep(RETRY.after(failures)).await;
            }
        }
    }
}

/// A claimed key: its wrap, and what the wrap is bound to.
struct Claimed {
    patient: UserId,
    kept: Kept,
    label: Vec<u8>,
    wrap: Wrap,
    point: Point,
}

/// A member's part whose signature and proof are verified.
struct Part {
    partial: Partial,
    /// One for each patient. Nothing proves them.
    mixing: Zeroizing<Vec<[u8; 32]>>,
}

impl Inheriting {
    /// Claims and opens the next group of keys. Returns whether there was any. If it fails for the patients of one
    /// removed hospital, those of the others are opened all the same.
    pub(crate) async fn round(&self) -> Result<bool, InheritingError> {
        let state = self.view.finalized().await?;
        let identity = self.view.identity().await?;
        self.reseal(identity).await?;
        let Some(epoch) = state.current_epoch().await? else { return Ok(false) };
        let (delay, head) = (state.custodian_delay().await?, self.view.head().await?);
        let mut failed: Option<InheritingError> = None;
        for (departed, appointment) in state.appointments().await? {
            let is_early = head < appointment.since.saturating_add(delay);
            if appointment.custodian != identity.hospital || is_early {
                continue;
            }
            let opened =
                self.inherit(state.as_ref(), identity, (departed, appointment), &epoch).await;
            if let Some(earlier) = failed.take_if(|_| !matches!(opened, Ok(false))) {
                self.fail(&earlier);
            }
            match opened {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if error.is_away() => return Err(error),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(false), Err)
    }

    /// Claims and opens the next group of keys at one removed hospital. Returns whether there was any.
    async fn inherit(
        &self,
        state: &dyn FinalState,
        identity: Identity,
        (departed, appointment): (HospitalId, Appointment),
        epoch: &Epoch,
    ) -> Result<bool, InheritingError> {
        let due = self.due(state, identity, departed, epoch).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let (id, claim) = self.claim(identity, (departed, appointment), due).await?;
        self.open(identity, id, &claim).await?;
        Ok(true)
    }

    /// Seals to the hospital's current key what only an earlier one opens: an earlier keystore need not be kept for it.
    /// It may be too late to claim the key again.
    async fn reseal(&self, identity: Identity) -> Result<(), InheritingError> {
        if self.resealed.load(Ordering::Relaxed) {
            return Ok(());
        }
        for known in self.journal.read(inherited::all).await? {
            let (departed, patient) = (known.departed, known.patient);
            let context = inherited_context(identity, departed, (patient, known.profile));
            let sealed = known.sealed.clone();
            match self.hospital_keys.reseal_inherited(context, sealed).await {
                Ok(None) => {}
                Ok(Some(sealed)) => {
                    let resealed = InheritedKey { sealed, ..known };
                    self.journal.write(move |tx| inherited::keep(tx, &resealed)).await?;
                }
                Err(HospitalKeysError::Open(error)) => tracing::warn!(
                    departed = departed.0,
                    %patient,
                    %error,
                    "an inherited key does not open: check whether an earlier keystore is missing from \
                     earlier_keystores. The worker claims the key again if it still can"
                ),
                Err(error) => return Err(error.into()),
            }
        }
        self.resealed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The first patients whose keys can be claimed and are not here yet, ascending.
    async fn due(
        &self,
        state: &dyn FinalState,
        identity: Identity,
        departed: HospitalId,
        epoch: &Epoch,
    ) -> Result<Vec<UserId>, InheritingError> {
        let at = state.time().await?;
        let (mut due, mut after) = (BTreeSet::new(), None);
        loop {
            let page = state.entrusted(departed, after, MAX_PAGE).await?;
            for (patient, mandate) in &page {
                let is_out = !mandate.in_force(at) || self.is_wrong(departed, *patient);
                if is_out || !self.is_due(state, identity, (departed, *patient), epoch).await? {
                    continue;
                }
                due.insert(*patient);
                if due.len() >= MAX_CLAIMED_PATIENTS as usize {
                    return Ok(due.into_iter().collect());
                }
            }
            match page.last() {
                Some((last, _)) if page.len() >= MAX_PAGE as usize => after = Some(*last),
                _ => return Ok(due.into_iter().collect()),
            }
        }
    }

    async fn is_due(
        &self,
        state: &dyn FinalState,
        identity: Identity,
        (departed, patient): (HospitalId, UserId),
        epoch: &Epoch,
    ) -> Result<bool, InheritingError> {
        let registration = state.registration(identity.hospital, patient).await?;
        if registration.is_none_or(|it| it.status != RegistrationStatus::Active) {
            return Ok(false);
        }
        let kept = state.kept_key(departed, patient).await?;
        let Some(kept) = kept.filter(|kept| kept.key == epoch.key) else { return Ok(false) };
        let known = self.journal.read(move |it| inherited::find(it, departed, patient)).await?;
        if let Some(known) = known.filter(|known| known.profile == kept.profile)
            && self.inherited(identity, known).await.is_ok()
        {
            return Ok(false);
        }
        // Without the body, the key could not be compared. A claim stays on the chain for good.
        match self.hospital_keys.check_body(kept.profile).await {
            Ok(()) => Ok(true),
            Err(HospitalKeysError::NoBody) => {
                tracing::warn!(departed = departed.0, %patient, "the node does not have the profile body yet");
                Ok(false)
            }
            Err(HospitalKeysError::Format(_)) => {
                self.note_wrong(departed, patient);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A key from the journal, if the hospital's keys open it.
    pub(crate) async fn inherited(
        &self,
        identity: Identity,
        known: InheritedKey,
    ) -> Result<PatientKey, HospitalKeysError> {
        let InheritedKey { departed, patient, profile, sealed, .. } = known;
        let context = inherited_context(identity, departed, (patient, profile));
        self.hospital_keys.open_inherited(context, sealed).await
    }

    /// A claim of this hospital about exactly these patients that still stands, or a new one.
    async fn claim(
        &self,
        identity: Identity,
        (departed, appointment): (HospitalId, Appointment),
        due: Vec<UserId>,
    ) -> Result<(ClaimId, Claim), InheritingError> {
        let patients = ClaimedPatients::truncate_from(due);
        let of = (departed, appointment);
        if let Some(found) = self.standing(identity, of, &patients).await? {
            return Ok(found);
        }
        self.calls.submit(custody::claim(departed, &patients)).await?;
        let found = self.standing(identity, of, &patients).await?;
        found.ok_or(InheritingError::NoClaim)
    }

    /// Such a claim, if it is not over, and is of the present keys and appointment: nobody hands out parts of others.
    async fn standing(
        &self,
        identity: Identity,
        (departed, appointment): (HospitalId, Appointment),
        patients: &ClaimedPatients,
    ) -> Result<Option<(ClaimId, Claim)>, InheritingError> {
        let (state, head) = (self.view.finalized().await?, self.view.head().await?);
        let own = state.hospital(identity.hospital).await?;
        let keys = own.and_then(|own| {
            let key = SealingPublicKey::from_bytes(&own.sealing_key).ok()?;
            Some((own.agent, key.hash()))
        });
        let Some((agent, key)) = keys else { return Ok(None) };
        // Half of the time is left for the members.
        let is_fresh = |claim: &Claim| head.saturating_sub(claim.block) <= CLAIM_BLOCKS / 2;
        let is_own = |claim: &Claim| {
            claim.custodian == identity.hospital
                && claim.departed == departed
                && claim.patients == *patients
        };
        let is_valid = |claim: &Claim| {
            claim.audience == agent && claim.sealing_key == key && appointment.since <= claim.block
        };
        let claims = state.claims(None, MAX_PAGE).await?;
        let found = |claim: &Claim| is_own(claim) && is_valid(claim) && is_fresh(claim);
        Ok(claims.into_iter().find(|(_, claim)| found(claim)))
    }

    /// Asks the members, opens the claimed keys, and stores them.
    async fn open(
        &self,
        identity: Identity,
        id: ClaimId,
        claim: &Claim,
    ) -> Result<(), InheritingError> {
        let state = self.view.finalized().await?;
        let claimed = claimed(state.as_ref(), identity, id, claim).await?;
        let epoch = state.current_epoch().await?.ok_or(InheritingError::NoClaim)?;
        let points: Vec<_> = claimed.iter().map(|it| it.point).collect();
        let ask = |hospital: HospitalId| {
            let points = &points;
            async move { (hospital, self.part(identity, (id, claim), hospital, points).await) }
        };
        let mut answers = stream::iter(epoch.members.to_vec()).map(ask).buffer_unordered(PARALLEL);
        let mut parts: BTreeMap<EpochId, (Epoch, BTreeMap<HospitalId, Part>)> = BTreeMap::new();
        while let Some((hospital, answer)) = answers.next().await {
            match answer {
                Ok((epoch, part)) => {
                    let (_, of_epoch) =
                        parts.entry(epoch.id).or_insert_with(|| (epoch, BTreeMap::new()));
                    of_epoch.insert(hospital, part);
                }
                Err(error) => {
                    tracing::warn!(hospital = hospital.0, claim = id.0, %error, "no part of a claim");
                }
            }
        }
        drop(answers);
        let found = parts.values().map(|(_, of_epoch)| of_epoch.len()).max().unwrap_or_default();
        let enough = parts
            .into_values()
            .find(|(epoch, of_epoch)| of_epoch.len() >= usize::from(epoch.threshold));
        let needed = usize::from(epoch.threshold);
        let too_few = InheritingError::TooFewParts { claim: id, found, needed };
        let (epoch, of_epoch) = enough.ok_or(too_few)?;
        let shared = combined(&of_epoch, usize::from(epoch.threshold));
        let shared = shared.ok_or(InheritingError::Wraps(id))?;
        for (position, (claimed, shared)) in claimed.into_iter().zip(shared.iter()).enumerate() {
            let mut values = of_epoch.values().filter_map(|part| part.mixing.get(position));
            let key = values.find_map(|mixing| claimed.wrap.open(&claimed.label, mixing, shared));
            self.keep(identity, (id, claim), &claimed, key).await?;
        }
        Ok(())
    }

    /// A member's part of a claim, if it counts: the member has recorded it, its agent signed it for this claim and
    /// hospital, and its proof shows that it was made with the member's share of the recorded epoch.
    async fn part(
        &self,
        identity: Identity,
        (id, claim): (ClaimId, &Claim),
        hospital: HospitalId,
        points: &[Point],
    ) -> Result<(Epoch, Part), MemberError> {
        let sealed = tokio::time::timeout(MEMBER_LIMIT, self.members.part(hospital, id)).await??;
        let (state, recorded) = self.recorded(id, hospital).await?;
        if sealed.epoch() != recorded.epoch {
            return Err("the part is of another epoch than the hospital has recorded".into());
        }
        let epochs = state.epochs(&[recorded.epoch]).await?;
        let epoch = epochs.into_iter().flatten().next().ok_or("the chain has no such epoch")?;
        let member = state.hospital(hospital).await?.ok_or("the chain has no such hospital")?;
        let (genesis, departed) = (identity.genesis, claim.departed);
        let context =
            ClaimPartContext { genesis, claim: id, departed, hospital, epoch: recorded.epoch };
        let content = self.hospital_keys.open_claim_part(context, sealed, member.agent).await?;
        if content.values.len() != points.len() || content.mixing.len() != points.len() {
            return Err("the part has another number of values than the claim has patients".into());
        }
        let index = Index::of_hospital(hospital.0);
        let public = Commitments::decode(&epoch.commitments).and_then(|it| it.evaluate(index));
        let public = public.filter(|_| epoch.seat(hospital).is_some());
        let public = public.ok_or("the hospital has no share in this epoch")?;
        let partial = decoded(&content).ok_or("the part is damaged")?;
        if !partial.check(&public, points, &context.proof_context(claim.sealing_key)) {
            return Err("the part was not made with the hospital's share".into());
        }
        Ok((epoch, Part { partial, mixing: Zeroizing::new(content.mixing.clone()) }))
    }

    /// The record that a member hands out its part. It is final at the member's node, so this one waits for it.
    async fn recorded(
        &self,
        id: ClaimId,
        hospital: HospitalId,
    ) -> Result<(Box<dyn FinalState>, HandedOut), MemberError> {
        for attempt in 0..RECORD_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(RECORD_PAUSE).await;
            }
            let state = self.view.finalized().await?;
            if let Some(recorded) = state.claim_part(id, hospital).await? {
                return Ok((state, recorded));
            }
        }
        Err("the hospital has not recorded on the chain that it hands out its part".into())
    }

    /// Stores an opened key, if it is the right one.
    async fn keep(
        &self,
        identity: Identity,
        (id, claim): (ClaimId, &Claim),
        claimed: &Claimed,
        key: Option<Zeroizing<[u8; 32]>>,
    ) -> Result<(), InheritingError> {
        let (departed, patient, profile) = (claim.departed, claimed.patient, claimed.kept.profile);
        let Some(key) = key.map(|key| PatientKey::from_bytes(*key)) else {
            self.note_wrong(departed, patient);
            return Ok(());
        };
        let of_profile =
            ProfileContext { genesis: identity.genesis, hospital: departed, user: patient };
        let keys = self.hospital_keys.keys_with_newest(of_profile, profile, key.clone()).await;
        let versions = match keys {
            Ok(keys) => keys.versions(),
            Err(HospitalKeysError::Open(_)) => {
                self.note_wrong(departed, patient);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let context = inherited_context(identity, departed, (patient, profile));
        let sealed = self.hospital_keys.seal_inherited(context, key).await?;
        let kept = InheritedKey { departed, patient, profile, versions, claim: id, sealed };
        self.journal.write(move |tx| inherited::keep(tx, &kept)).await?;
        tracing::info!(departed = departed.0, %patient, claim = id.0, "inherited a patient's keys");
        Ok(())
    }

    fn is_wrong(&self, departed: HospitalId, patient: UserId) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.contains(&(departed, patient))
    }

    fn note_wrong(&self, departed: HospitalId, patient: UserId) {
        tracing::error!(
            departed = departed.0,
            %patient,
            "THE REMOVED HOSPITAL HAS KEPT A WRONG KEY of this patient, or a damaged profile: only the patient reads the \
             records there"
        );
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).insert((departed, patient));
    }

    fn fail(&self, error: &InheritingError) {
        if error.is_away() {
            return;
        }
        self.metrics.task_failures.with_label_values(&["inheriting"]).inc();
        tracing::warn!(%error, "the keys of a removed hospital's patients could not be opened; retrying");
    }
}

/// The claimed keys with their wraps, which the chain has checked.
async fn claimed(
    state: &dyn FinalState,
    identity: Identity,
    id: ClaimId,
    claim: &Claim,
) -> Result<Vec<Claimed>, InheritingError> {
    let mut all = Vec::with_capacity(claim.patients.len());
    for patient in claim.patients.iter().copied() {
        let wrong = InheritingError::Wraps(id);
        let Some(kept) = state.kept_key(claim.departed, patient).await? else { return Err(wrong) };
        let label = kept.label(identity.genesis, claim.departed, patient).bytes();
        let wrap = Wrap::decode(&kept.wrap);
        let checked = wrap.and_then(|wrap| wrap.check(&label).map(|point| (wrap, point)));
        let Some((wrap, point)) = checked else { return Err(wrong) };
        all.push(Claimed { patient, kept, label, wrap, point });
    }
    Ok(all)
}

/// What the parts of as many members as the threshold give together.
fn combined(parts: &BTreeMap<HospitalId, Part>, threshold: usize) -> Option<Zeroizing<Vec<Point>>> {
    let chosen: Vec<_> = parts
        .iter()
        .take(threshold)
        .map(|(hospital, part)| (Index::of_hospital(hospital.0), &part.partial))
        .collect();
    Partial::combine(&chosen)
}

/// None if a value is no point, or if a number of the proof is not reduced.
fn decoded(content: &PartialContent) -> Option<Partial> {
    let length = content.proof.len() + 32 * content.values.len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend_from_slice(&content.proof);
    content.values.iter().for_each(|value| bytes.extend_from_slice(value));
    Partial::decode(&bytes)
}

#[cfg(test)]
mod tests;
