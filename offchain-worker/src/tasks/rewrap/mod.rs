//! After a rotation of the hospital's sealing key, seals every profile that only an earlier key opens to the current
//! key, so that the earlier keystore can be removed. Visits that come meanwhile do not wait for this: before the worker
//! seals one, it renews the keys of its patient (`api::visits::fresh_keys`).
//!
//! The worker reads from the chain, page by page, which profiles remain, so it resumes after a restart. A survey counts
//! them, then a round seals and submits several at once, until a survey finds none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use epione_primitives::{
    UserId,
    limits::MAX_PAGE,
    profile::{Registration, RegistrationStatus},
};
use futures::{StreamExt, stream};

use crate::{
    backoff::Backoff,
    chain::{CallError, ChainCalls, ChainView, Identity, ViewError},
    hospital_keys::{HospitalKeys, HospitalKeysError, Standing},
    metrics::Metrics,
};

/// Profiles that are sealed at once. Their new bodies wait for finality together.
const PARALLEL: usize = 16;
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));

/// What the task works with.
pub struct Rewrap {
    pub hospital_keys: Arc<HospitalKeys>,
    pub view: Arc<dyn ChainView>,
    pub calls: Arc<dyn ChainCalls>,
    pub metrics: Metrics,
}

/// Why a round, or a profile in it, failed.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    #[error("the hospital is not registered on the chain")]
    NoHospital,
    /// Sealing to a key that the hospital does not have would lose the profiles' content.
    #[error(
        "the keystore's sealing key is not the hospital's sealing key on the chain: set it on the chain \
         (Hospitals.set_sealing_key, by the hospital's governance), or correct the keystore"
    )]
    NotOnChain,
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Sealing(#[from] HospitalKeysError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Which key opens a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProfileState {
    /// The current key opens it.
    Current,
    /// Only an earlier key opens it.
    Waiting,
    /// Only an earlier key opens it, and the chain accepts no new body, because the registration has ended.
    Ended,
    /// No key opens it, or it could not be read.
    Unread,
}

/// The profiles that are not sealed to the current key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Survey {
    waiting: u64,
    ended: u64,
    unread: u64,
}

/// Reports whether the keystore's sealing key is the one on the chain, and seals profiles to it until none remains.
/// Never returns.
pub async fn run(rewrap: &Rewrap) {
    rewrap.report_standing().await;
    if rewrap.hospital_keys.has_earlier_keys() {
        rewrap.until_done().await;
    }
    std::future::pending().await
}

impl Rewrap {
    async fn report_standing(&self) {
        loop {
            match self.standing().await {
                Ok(Standing::Current) => return,
                Ok(Standing::Earlier) => {
                    return tracing::warn!(
                        "the hospital's sealing key on the chain is an earlier key of this worker: set the current key \
                         on the chain (Hospitals.set_sealing_key, by the hospital's governance). Until then no profile \
                         is sealed to the current key"
                    );
                }
                Ok(Standing::Unknown) => {
                    return tracing::error!(
                        "THE WORKER DOES NOT HAVE THE HOSPITAL'S SEALING KEY: none of its \
                         keystores contains the key that the chain names. The hospital may be \
                         unable to open what the worker seals now. Correct keystore and \
                         earlier_keystores, or set the key on the chain \
                         (Hospitals.set_sealing_key)"
                    );
                }
                Err(error) => self.fail(&error),
            }
            tokio::time::sleep(RETRY.first).await;
        }
    }

    async fn until_done(&self) {
        let mut failures = 0;
        loop {
            match self.step().await {
                Ok(Some(survey)) => return report(&survey),
                Ok(None) => failures = 0,
                Err(error) => {
                    failures += 1;
                    self.fail(&error);
                }
            }
            tokio::time::sleep(RETRY.after(failures)).await;
        }
    }

    /// A survey, and a round if profiles remain. Returns the survey once none does.
    async fn step(&self) -> Result<Option<Survey>, RewrapError> {
        let identity = self.view.identity().await?;
        if self.standing().await? != Standing::Current {
            return Err(RewrapError::NotOnChain);
        }
        let survey = self.survey(identity).await?;
        self.metrics.profiles_to_rewrap.set(gauge(survey.waiting));
        self.metrics.profiles_of_earlier_keys.set(gauge(survey.ended));
        if survey.waiting == 0 {
            return Ok(Some(survey));
        }
        tracing::info!(
            profiles = survey.waiting,
            "profiles remain to be sealed to the hospital's current key"
        );
        self.round(identity).await.map(|()| None)
    }

    /// How the hospital's sealing key on the chain relates to the worker's keys.
    async fn standing(&self) -> Result<Standing, RewrapError> {
        let identity = self.view.identity().await?;
        let hospital = self.view.finalized().await?.hospital(identity.hospital).await?;
        Ok(self.hospital_keys.standing(&hospital.ok_or(RewrapError::NoHospital)?.sealing_key))
    }

    async fn survey(&self, identity: Identity) -> Result<Survey, RewrapError> {
        let (mut survey, mut after) = (Survey::default(), None);
        while let Some(page) = self.page(identity, after).await? {
            after = page.last().map(|(user, _)| *user);
            let found = stream::iter(page).map(|(user, registration)| async move {
                self.examine(identity, user, &registration).await
            });
            let found: Vec<_> = found.buffer_unordered(PARALLEL).collect().await;
            for found in found {
                match found? {
                    ProfileState::Current => {}
                    ProfileState::Waiting => survey.waiting += 1,
                    ProfileState::Ended => survey.ended += 1,
                    ProfileState::Unread => survey.unread += 1,
                }
            }
        }
        Ok(survey)
    }

    /// Seals and submits the remaining profiles. Returns one of the errors, after all profiles were tried.
    async fn round(&self, identity: Identity) -> Result<(), RewrapError> {
        let (mut after, mut failure) = (None, None);
        let done = AtomicU64::new(0);
        while let Some(page) = self.page(identity, after).await? {
            after = page.last().map(|(user, _)| *user);
            let rewrapped = stream::iter(page).map(|(user, _)| self.rewrap(identity, user, &done));
            let rewrapped: Vec<_> = rewrapped.buffer_unordered(PARALLEL).collect().await;
            failure = rewrapped.into_iter().find_map(Result::err).or(failure);
        }
        tracing::info!(
            profiles = done.into_inner(),
            "profiles were sealed to the hospital's current key"
        );
        failure.map_or(Ok(()), Err)
    }

    /// The next page of members; none after the last.
    async fn page(
        &self,
        identity: Identity,
        after: Option<UserId>,
    ) -> Result<Option<Vec<(UserId, Registration)>>, RewrapError> {
        let state = self.view.finalized().await?;
        let page = state.members(identity.hospital, after, MAX_PAGE).await?;
        Ok((!page.is_empty()).then_some(page))
    }

    async fn examine(
        &self,
        identity: Identity,
        user: UserId,
        registration: &Registration,
    ) -> Result<ProfileState, RewrapError> {
        let ended = registration.status == RegistrationStatus::Ended;
        match self.hospital_keys.is_sealed_to_current(identity, user, registration).await {
            Ok(true) => Ok(ProfileState::Current),
            Ok(false) if ended => Ok(ProfileState::Ended),
            Ok(false) => Ok(ProfileState::Waiting),
            Err(error @ (HospitalKeysError::Open(_) | HospitalKeysError::Format(_))) => {
                tracing::error!(
                    %user, %error,
                    "the worker cannot open a profile, so it cannot seal the profile to the current key"
                );
                Ok(ProfileState::Unread)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Seals one member's profile to the current key, if only an earlier key opens it.
    async fn rewrap(
        &self,
        identity: Identity,
        user: UserId,
        done: &AtomicU64,
    ) -> Result<(), RewrapError> {
        // Otherwise another request is sealing it to the current key.
        let Some(resealing) = self.hospital_keys.begin_resealing(user) else { return Ok(()) };
        let state = self.view.finalized().await?;
        let registration = state.registration(identity.hospital, user).await?;
        let Some(registration) =
            registration.filter(|found| found.status != RegistrationStatus::Ended)
        else {
            return Ok(());
        };
        if self.examine(identity, user, &registration).await? != ProfileState::Waiting {
            return Ok(());
        }
        let profile = state.profile(user).await?.ok_or(HospitalKeysError::NoBody)?;
        let (on_chain, previous) = (profile.sealing_key_hash, registration.body_hash);
        let renewed =
            self.hospital_keys.renew_for_hospital(identity, user, &registration, on_chain);
        let body = renewed.await?;
        resealing.replace(Arc::clone(&self.calls), previous, body).await?;
        done.fetch_add(1, Ordering::Relaxed);
        self.metrics.profiles_to_rewrap.dec();
        Ok(())
    }

    fn fail(&self, error: &RewrapError) {
        if matches!(error, RewrapError::View(ViewError::Away)) {
            return;
        }
        self.metrics.task_failures.with_label_values(&["rewrap"]).inc();
        tracing::warn!(?error, "{error}; sealing profiles to the current key will be retried");
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn report(survey: &Survey) {
    let Survey { ended, unread, .. } = *survey;
    if ended + unread == 0 {
        tracing::info!(
            "every profile is sealed to the hospital's current key: remove the earlier keystores from the \
             configuration, and destroy them"
        );
    } else {
        tracing::warn!(
            ended,
            unread,
            "every other profile is sealed to the hospital's current key. Keep the earlier keystores: the profiles of \
             ended registrations need them"
        );
    }
}

#[cfg(test)]
mod tests;
