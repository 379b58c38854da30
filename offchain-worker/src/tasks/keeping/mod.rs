//! Keeps patient keys under the consortium key, for patients who entrust them, in case the hospital is removed one day.
//!
//! The worker goes through the entries of its hospital, page by page, and compares what the chain has with what it
//! should have: a wrap of the newest key, in the present profile body, under the present consortium key. So it misses
//! neither a rotation nor a new consortium key, and there is nothing to store. When an entry has ended, the worker adds
//! a version to the patient's keys, so that no wrap has the key of later records. A profile body that was made since may
//! have the same version as the one before, so the worker compares versions. It needs no share of the consortium key for
//! this.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use epione_client::chain::calls::custody;
use epione_primitives::{
    Hash, Moment, UserId,
    consortium::{Epoch, EpochId},
    custody::{CustodyLabel, Kept},
    limits::MAX_PAGE,
    mandate::Mandate,
    profile::{Registration, RegistrationStatus},
};
use epione_threshold::{MixingSecret, Point, Wrap};

use crate::{
    backoff::Backoff,
    chain::{CallError, ChainCalls, ChainView, FinalState, Identity, ViewError},
    consortium::own_share,
    hospital_keys::{HospitalKeys, HospitalKeysError},
    journal::{Journal, JournalError},
    metrics::Metrics,
};

/// How often all entries are compared.
const POLL: Duration = Duration::from_secs(60);
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(600));
/// Keys with more versions get no further one when an entry ends: the rest is for rotations.
const MOST_VERSIONS: u32 = 200;

/// What the task works with.
pub struct Keeping {
    pub hospital_keys: Arc<HospitalKeys>,
    pub view: Arc<dyn ChainView>,
    pub calls: Arc<dyn ChainCalls>,
    pub journal: Journal,
    pub metrics: Metrics,
    /// The profile bodies of patients whose entries have ended, if no wrap has the newest key in them.
    pub renewed: Mutex<HashMap<UserId, Hash>>,
}

/// Why a round, or the key of one patient, failed.
#[derive(Debug, thiserror::Error)]
pub enum KeepingError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Keys(#[from] HospitalKeysError),
    #[error("the public key of epoch {0} is not valid")]
    PublicKey(EpochId),
    #[error("the worker is stopping")]
    Interrupted,
}

impl KeepingError {
    fn is_away(&self) -> bool {
        matches!(
            self,
            Self::View(ViewError::Away)
                | Self::Call(CallError::View(ViewError::Away))
                | Self::Keys(HospitalKeysError::View(ViewError::Away))
        )
    }
}

/// Keeps keys. Never returns.
pub async fn run(keeping: &Keeping) {
    let mut failures = 0;
    loop {
        match keeping.round().await {
            Ok(_) => {
                failures = 0;
                tokio::time::sleep(POLL).await;
            }
            Err(error) => {
                failures += 1;
                keeping.fail(&error);
                tokio::time::sleep(RETRY.after(failures)).await;
            }
        }
    }
}

/// What one round decides by.
struct Turn<'a> {
    state: &'a dyn FinalState,
    at: Moment,
    identity: Identity,
    /// None while this hospital is no member of the consortium key, or while its worker does not have its share.
    wrapping: Option<Wrapping<'a>>,
}

/// With what the keys of one round are wrapped.
struct Wrapping<'a> {
    epoch: &'a Epoch,
    public: Point,
    mixing: MixingSecret,
}

impl Keeping {
    /// Compares all entries, and does what they require. Returns how many calls it sent. If one patient's key fails,
    /// the others are kept all the same, and the error is returned.
    pub(crate) async fn round(&self) -> Result<usize, KeepingError> {
        let state = self.view.finalized().await?;
        let state = state.as_ref();
        let identity = self.view.identity().await?;
        let Some(epoch) = state.current_epoch().await? else { return Ok(0) };
        let wrapping = self.wrapping(identity, &epoch).await?;
        let turn = Turn { state, at: state.time().await?, identity, wrapping };
        let (mut sent, mut after, mut failed) = (0, None, None);
        loop {
            let page = state.entrusted(identity.hospital, after, MAX_PAGE).await?;
            for (patient, mandate) in &page {
                match self.consider(&turn, *patient, *mandate).await {
                    Ok(has_sent) => sent += usize::from(has_sent),
                    Err(error) if error.is_away() => return Err(error),
                    Err(error) => failed = Some(error),
                }
            }
            match page.last() {
                Some((last, _)) if page.len() >= MAX_PAGE as usize => after = Some(*last),
                _ => break,
            }
        }
        failed.map_or(Ok(sent), Err)
    }

    async fn wrapping<'a>(
        &self,
        identity: Identity,
        epoch: &'a Epoch,
    ) -> Result<Option<Wrapping<'a>>, KeepingError> {
        if epoch.seat(identity.hospital).is_none() {
            return Ok(None);
        }
        let own = own_share::of_epoch(&self.journal, epoch).await?;
        let own = own.filter(|own| own.mixing.hash() == epoch.mixing.0);
        let Some(mixing) = own.map(|own| own.mixing) else { return Ok(None) };
        let public = epoch.public_key().and_then(|key| Point::decode(&key));
        let public = public.ok_or(KeepingError::PublicKey(epoch.id))?;
        Ok(Some(Wrapping { epoch, public, mixing }))
    }

    /// Does what the entry of one patient requires. Returns whether that was a call.
    async fn consider(
        &self,
        turn: &Turn<'_>,
        patient: UserId,
        mandate: Mandate,
    ) -> Result<bool, KeepingError> {
        let (state, hospital) = (turn.state, turn.identity.hospital);
        let Some(registration) = state.registration(hospital, patient).await? else {
            return Ok(false);
        };
        let kept = state.kept_key(hospital, patient).await?;
        if !mandate.in_force(turn.at) {
            return match kept {
                Some(kept) => self.renew(turn, patient, (&registration, kept)).await,
                None => Ok(false),
            };
        }
        let Some(wrapping) = &turn.wrapping else { return Ok(false) };
        let is_kept = kept.is_some_and(|kept| {
            kept.profile == registration.body_hash && kept.key == wrapping.epoch.key
        });
        if !is_kept {
            self.keep(turn.identity, wrapping, patient, &registration).await?;
        }
        Ok(!is_kept)
    }

    async fn keep(
        &self,
        identity: Identity,
        wrapping: &Wrapping<'_>,
        patient: UserId,
        registration: &Registration,
    ) -> Result<(), KeepingError> {
        let Wrapping { epoch, public, .. } = *wrapping;
        let keys = self.hospital_keys.patient_keys(identity, patient, registration).await?;
        let Identity { genesis, hospital } = identity;
        let (key, epoch, profile) = (epoch.key, epoch.id, registration.body_hash);
        let label = CustodyLabel { genesis, key, epoch, hospital, patient, profile };
        let mixing = wrapping.mixing.clone();
        let made = tokio::task::spawn_blocking(move || {
            let (_, newest) = keys.newest();
            Wrap::make(&public, &mixing, &label.bytes(), newest.as_bytes()).encode()
        });
        let wrap = made.await.map_err(|_| KeepingError::Interrupted)?;
        Ok(self.calls.submit(custody::keep(patient, profile, &wrap)).await?)
    }

    /// Adds a version to the keys of a patient whose entry has ended, unless the newest one is in no wrap, the profile
    /// cannot change any more, or the keys have too many versions. Returns whether it did.
    async fn renew(
        &self,
        turn: &Turn<'_>,
        patient: UserId,
        (registration, kept): (&Registration, Kept),
    ) -> Result<bool, KeepingError> {
        let (state, identity) = (turn.state, turn.identity);
        let present = registration.body_hash;
        // The patient may have entrusted it again since the worker compared: then the wrap is of this body.
        let is_renewed = kept.profile != present && self.is_renewed(patient, present);
        if registration.status == RegistrationStatus::Ended || is_renewed {
            return Ok(false);
        }
        let Some(profile) = state.profile(patient).await? else { return Ok(false) };
        // Others seal the same profile; this one waits for the next round.
        let Some(resealing) = self.hospital_keys.begin_resealing(patient) else {
            return Ok(false);
        };
        let versions = self.hospital_keys.versions_in(present).await?;
        let is_kept = kept.profile == present
            || versions <= self.hospital_keys.versions_in(kept.profile).await?;
        if !is_kept || versions >= MOST_VERSIONS {
            self.note_renewed(patient, present);
            return Ok(false);
        }
        let on_chain = profile.sealing_key_hash;
        let body = self.hospital_keys.renew_for_hospital(identity, patient, registration, on_chain);
        let body = body.await?;
        resealing.replace(Arc::clone(&self.calls), present, body).await?;
        Ok(true)
    }

    fn is_renewed(&self, patient: UserId, profile: Hash) -> bool {
        let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.get(&patient) == Some(&profile)
    }

    fn note_renewed(&self, patient: UserId, profile: Hash) {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).insert(patient, profile);
    }

    fn fail(&self, error: &KeepingError) {
        if error.is_away() {
            return;
        }
        self.metrics.task_failures.with_label_values(&["keeping"]).inc();
        tracing::warn!(%error, "a patient's key could not be kept under the consortium key; retrying");
    }
}

#[cfg(test)]
mod tests;
