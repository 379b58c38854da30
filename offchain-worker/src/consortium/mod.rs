//! The worker's part in the ceremonies of the consortium key.
//!
//! [`participant`] decides what the hospital does next, from the chain's finalized state, the hospital's secrets and
//! the published bodies. A [`Member`] adds the journal: a secret is on disk before anything is published that depends
//! on it, and is erased when nobody needs it any more. `tasks::consortium` adds chain and time.

mod begin;
pub mod own_share;
pub mod participant;
mod receiving;
pub mod secrets;
mod view;

pub use participant::{Bodies, Idle, Participant, Plan};
pub use secrets::{Fresh, Held, HeldShare, Obsolete, OwnDealing, Secret, Secrets};
pub use view::{ConsortiumView, KeptCeremony};

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use epione_client::chain::{Call, CeremonyState, calls::consortium_key};
use epione_primitives::{BlockNumber, Hash, consortium::CeremonyId};

use crate::journal::{Journal, JournalError, consortium as stored};

/// Why a member cannot say what it does next.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the operating system gives no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("the worker is stopping")]
    Interrupted,
}

/// What a member does now.
#[derive(Debug)]
pub struct Act {
    /// The calls to submit, as the hospital's agent. Their order does not matter.
    pub calls: Vec<Call>,
    /// Why the hospital does nothing about the newest ceremony, or if that has no need, about the current epoch.
    pub idle: Option<Idle>,
    /// Whether the journal has the hospital's share of the current epoch.
    pub has_share: bool,
}

/// A hospital with its journal.
pub struct Member {
    participant: Participant,
    journal: Journal,
    /// Whether the journal's log has no erased secret of an earlier process.
    is_clean: AtomicBool,
}

impl Member {
    pub fn new(participant: Participant, journal: Journal) -> Self {
        Self { participant, journal, is_clean: AtomicBool::new(false) }
    }

    pub fn participant(&self) -> &Participant {
        &self.participant
    }

    /// The bodies that the next decision needs, as far as the chain shows them.
    pub async fn wanted(
        &self,
        view: &ConsortiumView,
        next: BlockNumber,
    ) -> Result<Vec<Hash>, MemberError> {
        let held = self.journal.read(stored::held).await?;
        Ok(self.participant.wanted(view, next, &held.shares))
    }

    /// Decides what the hospital does, and keeps the secrets of it. `next` is the number of the block after the
    /// finalized one of the view.
    pub async fn act(
        &self,
        view: &Arc<ConsortiumView>,
        next: BlockNumber,
        bodies: &Arc<Bodies>,
    ) -> Result<Act, MemberError> {
        let secrets = self.secrets(view, next.saturating_sub(1)).await?;
        let fresh = Fresh::draw().map_err(MemberError::Random)?;
        let current = view.key.current.as_ref().map(|epoch| epoch.ceremony);
        let has_share = current.is_some_and(|ceremony| secrets.shares.contains_key(&ceremony));
        // Curve arithmetic for up to 31 seats takes a while.
        let (participant, view, bodies) =
            (self.participant.clone(), Arc::clone(view), Arc::clone(bodies));
        let planning = tokio::task::spawn_blocking(move || {
            let late = participant.catch_up(&view, next, &secrets, &bodies);
            (late, participant.plan(&view, next, &secrets, &bodies, fresh))
        });
        let (late, plan) = planning.await.map_err(|_| MemberError::Interrupted)?;
        let keeps_share = late.keeps().is_some() && late.keeps() == current;
        let idle = plan.idle().filter(|why| *why != Idle::Waiting).or(late.idle());
        let mut calls = self.perform(late, next.saturating_sub(1)).await?;
        calls.extend(self.perform(plan, next.saturating_sub(1)).await?);
        Ok(Act { calls, idle, has_share: has_share || keeps_share })
    }

    /// The secrets that a decision at this finalized block needs.
    async fn secrets(
        &self,
        view: &ConsortiumView,
        at: BlockNumber,
    ) -> Result<Secrets, JournalError> {
        let newest = view.newest().map(|it| it.id);
        let enrolled = view.state.as_ref().and_then(|state| self.enrolled(state));
        let kept = view.kept.as_ref().map(|it| &it.state);
        let kept = kept.map(|state| (state.ceremony.id, self.enrolled(state)));
        let read = self.journal.read(move |connection| {
            let mut secrets = stored::secrets(connection, newest, enrolled)?;
            if let Some((ceremony, enrolled)) = kept {
                secrets.kept_enrolment = stored::enrolment(connection, ceremony, enrolled)?;
            }
            secrets.begun = stored::begun(connection, at)?;
            Ok(secrets)
        });
        read.await
    }

    /// Keeps what the plan needs later, and makes its calls.
    async fn perform(&self, plan: Plan, at: BlockNumber) -> Result<Vec<Call>, MemberError> {
        let calls = match plan {
            Plan::Nothing(_) => Vec::new(),
            Plan::Begin { seed } => {
                let key = self.keep_enrolment(seed, None, at).await?;
                vec![consortium_key::begin_ceremony(&key)]
            }
            Plan::Enrol { ceremony, seed } => {
                let key = self.keep_enrolment(seed, Some(ceremony), at).await?;
                vec![consortium_key::enrol(ceremony, &key)]
            }
            Plan::Deal { ceremony, dealing, is_new } => {
                let arguments = dealing.arguments.clone();
                if is_new {
                    let keep =
                        self.journal.write(move |tx| stored::keep_dealing(tx, ceremony, &dealing));
                    keep.await?;
                }
                vec![Call { pallet: "ConsortiumKey", name: "deal", arguments }]
            }
            Plan::Judge { ceremony, complaints } => {
                vec![consortium_key::judge_dealings(ceremony, complaints)]
            }
            Plan::Answer { ceremony, revealed } => revealed
                .iter()
                .map(|revealed| consortium_key::answer_complaint(ceremony, revealed))
                .collect(),
            Plan::Keep { ceremony, held } => {
                self.keep_share(ceremony, held).await?;
                Vec::new()
            }
            Plan::Confirm { ceremony, held, result } => {
                self.keep_share(ceremony, held).await?;
                vec![consortium_key::confirm_ceremony(ceremony, &result)]
            }
        };
        Ok(calls)
    }

    /// Keeps the seed of a sealing key; returns the public half.
    async fn keep_enrolment(
        &self,
        seed: Secret,
        ceremony: Option<CeremonyId>,
        at: BlockNumber,
    ) -> Result<Vec<u8>, JournalError> {
        let public = participant::sealing_key(&seed).public().clone();
        let hash = public.hash();
        self.journal.write(move |tx| stored::keep_enrolment(tx, hash, &seed, ceremony, at)).await?;
        Ok(public.as_bytes().to_vec())
    }

    async fn keep_share(&self, ceremony: CeremonyId, held: HeldShare) -> Result<(), JournalError> {
        self.journal.write(move |tx| stored::keep_share(tx, ceremony, &held)).await
    }

    /// Notes for which ceremony a sealing key was made, and erases the secrets that nobody needs any more. Returns
    /// whether there were any. The journal's log still has them until [`forget_erased`](Self::forget_erased).
    pub async fn tidy(
        &self,
        view: &ConsortiumView,
        next: BlockNumber,
    ) -> Result<bool, JournalError> {
        let newest = view.advanced(next);
        for state in view.state.iter().chain(view.kept.as_ref().map(|kept| &kept.state)) {
            let Some(key) = self.enrolled(state) else { continue };
            let (id, held) = (state.ceremony.id, self.journal.read(stored::held).await?);
            let is_unbound = |(hash, made_for, _): &(Hash, Option<CeremonyId>, BlockNumber)| {
                *hash == key && made_for.is_none()
            };
            if held.enrolments.iter().any(is_unbound) {
                self.journal.write(move |tx| stored::bind_enrolment(tx, key, id)).await?;
            }
        }
        let held = self.journal.read(stored::held).await?;
        let hospital = self.participant.hospital;
        let obsolete = secrets::obsolete(view, newest.as_ref(), hospital, &held, next);
        let is_over = !obsolete.is_empty();
        if is_over {
            self.is_clean.store(false, Ordering::Relaxed);
            self.journal.write(move |tx| stored::erase(tx, &obsolete)).await?;
        }
        Ok(is_over)
    }

    /// Empties the journal's log if it may have secrets that were erased, also by an earlier process that was killed
    /// before it did so.
    pub async fn forget_erased(&self) -> Result<(), JournalError> {
        if !self.is_clean.load(Ordering::Relaxed) {
            self.journal.forget_writes().await?;
            self.is_clean.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The hash of the sealing key with which the chain has the hospital in a ceremony.
    fn enrolled(&self, state: &CeremonyState) -> Option<Hash> {
        let seat = state.ceremony.seat(self.participant.hospital)?;
        *state.enrolments.get(seat)?
    }
}
