//! What the worker does with the hospital's keys: it opens patient keys, seals the profiles of those it
//! registers, and seals access grants. The sealing of a visit's sections is `api::ingest`'s.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use codec::Encode;
use epione_envelope::{
    FormatError, OpenError, SealError,
    account::Signer,
    grant::{AccessGrant, GrantTerms, GrantedSection},
    keys::{ContentKey, PatientKey},
    keystore::ActorKeys,
    profile::{ProfileBody, ProfileContext, Recipient, SwappedKey},
    sealing::SealingPublicKey,
};
use epione_primitives::{AccountId, Hash, UserId, profile::Registration};

use crate::chain::{ChainView, Identity, ViewError};

/// Patient keys that are kept open.
const CACHED_KEYS: usize = 1_024;

/// Why a key could not be had, or something not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    #[error("the node does not have the profile that the chain names: it may still be catching up")]
    NoBody,
    #[error("the profile cannot be read: {0}")]
    Format(#[from] FormatError),
    #[error("the profile was sealed for another hospital's key, or is damaged")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Swapped(#[from] SwappedKey),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error("the worker is stopping")]
    Interrupted,
}

/// The hospital's keys, and the patient keys opened with them.
pub struct Seal {
    keys: Arc<ActorKeys>,
    view: Arc<dyn ChainView>,
    opened: Mutex<OpenedKeys>,
}

/// Patient keys by the hash of the profile body that holds them; the oldest give way.
#[derive(Default)]
struct OpenedKeys {
    by_body: HashMap<Hash, PatientKey>,
    order: VecDeque<Hash>,
}

impl OpenedKeys {
    fn insert(&mut self, body: Hash, key: PatientKey) {
        if self.by_body.insert(body, key).is_none() {
            self.order.push_back(body);
        }
        while self.order.len() > CACHED_KEYS {
            if let Some(oldest) = self.order.pop_front() {
                self.by_body.remove(&oldest);
            }
        }
    }
}

/// A person whom the hospital registers.
#[derive(Clone, Debug)]
pub struct Person {
    pub user: UserId,
    pub account: AccountId,
    pub sealing_key: SealingPublicKey,
    /// Of a patient who was registered here before: that registration, whose key is kept, so that
    /// earlier records stay readable.
    pub earlier: Option<Registration>,
    pub is_patient: bool,
    pub name: String,
}

impl Seal {
    pub fn new(keys: ActorKeys, view: Arc<dyn ChainView>) -> Self {
        Self { keys: Arc::new(keys), view, opened: Mutex::default() }
    }

    /// A key for a purpose of the worker's own, always the same for the same agent key.
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, self.keys.account.seed())
    }

    /// The patient key of a patient who is or was registered here, from the profile body that the
    /// registration names.
    pub async fn patient_key(
        &self,
        identity: Identity,
        patient: UserId,
        registration: &Registration,
    ) -> Result<PatientKey, SealingError> {
        let body_hash = registration.body_hash;
        if let Some(key) = self.opened().by_body.get(&body_hash) {
            return Ok(key.clone());
        }
        let body = self.profile_body(body_hash).await?;
        let keys = Arc::clone(&self.keys);
        let key = blocking(move || {
            // The chain took this body from this hospital's agent of that time: it is the sealer.
            let sealer = body.sealer().clone();
            Ok(body.patient_key_for_hospital(
                &context(identity, patient),
                &keys.sealing,
                &sealer,
            )?)
        })
        .await?;
        self.opened().insert(body_hash, key.clone());
        Ok(key)
    }

    /// The sealing key in a profile body, if it is the one that the chain knows.
    pub async fn sealing_key(
        &self,
        body_hash: Hash,
        key_hash: Hash,
    ) -> Result<SealingPublicKey, SealingError> {
        Ok(self.profile_body(body_hash).await?.sealing_key(&key_hash)?.clone())
    }

    /// The encoded profile body of a person who is to be registered.
    pub async fn seal_profile(
        &self,
        identity: Identity,
        person: Person,
    ) -> Result<Vec<u8>, SealingError> {
        let patient_key = match &person.earlier {
            Some(earlier) if person.is_patient => {
                self.patient_key(identity, person.user, earlier).await?
            }
            _ => PatientKey::generate(),
        };
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let Person { user, account, sealing_key, name, is_patient, .. } = &person;
            let context = context(identity, *user);
            let recipient = Recipient { account, key: sealing_key };
            let hospital = keys.sealing.public();
            let agent = keys.as_ref();
            let body = if *is_patient {
                ProfileBody::for_patient(&context, name, &patient_key, recipient, hospital, agent)
            } else {
                ProfileBody::for_professional(&context, name, recipient, hospital, agent)
            };
            Ok(body?.encode())
        })
        .await
    }

    /// An encoded access grant, signed by the agent.
    pub async fn seal_grant(
        &self,
        terms: GrantTerms,
        keys: Vec<(GrantedSection, ContentKey)>,
        recipient: SealingPublicKey,
    ) -> Result<Vec<u8>, SealingError> {
        let agent = Arc::clone(&self.keys);
        blocking(move || Ok(AccessGrant::seal(terms, &keys, &recipient, agent.as_ref())?.encode()))
            .await
    }

    /// The agent's account.
    pub fn agent(&self) -> AccountId {
        self.keys.account()
    }

    async fn profile_body(&self, hash: Hash) -> Result<ProfileBody, SealingError> {
        let bytes = self.view.body(hash).await?.ok_or(SealingError::NoBody)?;
        Ok(ProfileBody::decode_exactly(&bytes)?)
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, OpenedKeys> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn context(identity: Identity, user: UserId) -> ProfileContext {
    ProfileContext { genesis: identity.genesis, hospital: identity.hospital, user }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SealingError> + Send + 'static,
) -> Result<T, SealingError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SealingError::Interrupted)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_keys_are_bounded() {
        let mut opened = OpenedKeys::default();
        for index in 0..(CACHED_KEYS as u64 + 10) {
            opened.insert(Hash::from_low_u64_be(index), PatientKey::generate());
        }
        assert_eq!(opened.by_body.len(), CACHED_KEYS);
        assert!(!opened.by_body.contains_key(&Hash::from_low_u64_be(0)));
    }
}
