//! The use of the hospital's keys: the worker opens patient keys, seals the profiles of users that it registers, seals
//! them again after keys were rotated, and seals access grants. `api::ingest` seals the sections of visits.
//!
//! A patient has a key at the hospital, in versions. A profile that is sealed to a new key of the patient or of the
//! hospital contains a fresh version, to which the visits from then on are sealed. So a stolen key that was replaced
//! opens nothing that came after. The earlier versions are kept: they open earlier records, and visits that wait.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use codec::Encode;
use epione_envelope::{
    FormatError, OpenError, SealError,
    grant::{AccessGrant, GrantTerms, GrantedSection},
    keys::{ContentKey, PatientKeys},
    keystore::ActorKeys,
    profile::{ProfileBody, ProfileContext, Recipient, SwappedKey},
    sealing_keys::{SealingKeyPair, SealingPublicKey},
};
use epione_primitives::{AccountId, Hash, UserId, profile::Registration};

use crate::chain::{ChainView, Identity, ViewError};

/// Profiles whose patient keys are kept in memory.
const CACHED_KEYS: usize = 1_024;

/// Why a key could not be opened, or something could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum HospitalKeysError {
    #[error("the node does not have the profile that the chain names: it may still be catching up")]
    NoBody,
    #[error("the profile cannot be read: {0}")]
    Format(#[from] FormatError),
    #[error(
        "none of the worker's sealing keys opens the profile, or the profile is damaged: check whether an earlier \
         keystore is missing from earlier_keystores"
    )]
    Open(#[from] OpenError),
    #[error("{0}")]
    Swapped(#[from] SwappedKey),
    /// The format has no room for another version.
    #[error("a patient's keys were renewed as often as possible, and stay as they are: {0}")]
    KeysUsedUp(#[source] FormatError),
    #[error(transparent)]
    HospitalKeys(#[from] SealError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error("the worker is stopping")]
    Interrupted,
}

/// The hospital's keys, and the patient keys opened with them.
pub struct HospitalKeys {
    keys: Arc<Keys>,
    view: Arc<dyn ChainView>,
    opened: Mutex<OpenedKeys>,
    /// The users whose profiles are being sealed again.
    resealing: Mutex<HashSet<UserId>>,
}

/// The right to seal a user's profile again. Nobody else has it until this is dropped.
pub struct Resealing<'a> {
    keys: &'a HospitalKeys,
    user: UserId,
}

impl Drop for Resealing<'_> {
    fn drop(&mut self) {
        self.keys.resealing().remove(&self.user);
    }
}

/// The agent's account key, the hospital's sealing key, to which everything is sealed, and the hospital's previous
/// sealing keys, which open what is not sealed to the current key yet.
struct Keys {
    agent: ActorKeys,
    earlier: Vec<SealingKeyPair>,
}

/// An opened content, and whether the current sealing key opened it.
struct Opened<T> {
    content: T,
    by_current: bool,
}

impl Keys {
    fn open<T>(
        &self,
        open: impl Fn(&SealingKeyPair) -> Result<T, OpenError>,
    ) -> Result<Opened<T>, OpenError> {
        if let Ok(content) = open(&self.agent.sealing) {
            return Ok(Opened { content, by_current: true });
        }
        let content = self.earlier.iter().find_map(|key| open(key).ok()).ok_or(OpenError)?;
        Ok(Opened { content, by_current: false })
    }
}

/// How the hospital's sealing key on the chain relates to the worker's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The worker seals to it.
    Current,
    /// The worker seals to a newer key, which the chain does not have yet.
    Earlier,
    /// The worker does not have the key.
    Unknown,
}

/// The content of a profile, as the hospital reads it.
struct Contents {
    name: String,
    /// Only of a patient.
    patient_keys: Option<PatientKeys>,
}

impl Contents {
    /// The same, with a fresh version of the patient's keys if it is a patient's.
    fn renewed(self) -> Result<Self, HospitalKeysError> {
        let Self { name, patient_keys } = self;
        let patient_keys = patient_keys.as_ref().map(renewed).transpose()?;
        Ok(Self { name, patient_keys })
    }
}

/// The same keys and a fresh version.
fn renewed(keys: &PatientKeys) -> Result<PatientKeys, HospitalKeysError> {
    keys.renewed().map_err(HospitalKeysError::KeysUsedUp)
}

/// Patient keys by the hash of the profile body that contains them. New ones replace the oldest.
#[derive(Default)]
struct OpenedKeys {
    by_body: HashMap<Hash, PatientKeys>,
    order: VecDeque<Hash>,
}

impl OpenedKeys {
    fn insert(&mut self, body: Hash, keys: PatientKeys) {
        if self.by_body.insert(body, keys).is_none() {
            self.order.push_back(body);
        }
        while self.order.len() > CACHED_KEYS {
            if let Some(oldest) = self.order.pop_front() {
                self.by_body.remove(&oldest);
            }
        }
    }
}

/// A person to be registered.
#[derive(Clone, Debug)]
pub struct Person {
    pub user: UserId,
    pub account: AccountId,
    pub sealing_key: SealingPublicKey,
    /// The previous registration of a patient here. Its patient keys are kept, so that earlier records stay readable.
    pub earlier: Option<Registration>,
    pub is_patient: bool,
    pub name: String,
}

impl HospitalKeys {
    /// `earlier` are the hospital's previous sealing keys.
    pub fn new(keys: ActorKeys, earlier: Vec<SealingKeyPair>, view: Arc<dyn ChainView>) -> Self {
        let keys = Arc::new(Keys { agent: keys, earlier });
        Self { keys, view, opened: Mutex::default(), resealing: Mutex::default() }
    }

    /// A key for a purpose of the worker, always the same for the same agent key.
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, self.keys.agent.account.seed())
    }

    /// How the hospital's sealing key on the chain relates to the worker's keys.
    pub fn standing(&self, on_chain: &[u8]) -> Standing {
        let is = |key: &SealingKeyPair| key.public().as_bytes() == on_chain;
        if is(&self.keys.agent.sealing) {
            Standing::Current
        } else if self.keys.earlier.iter().any(is) {
            Standing::Earlier
        } else {
            Standing::Unknown
        }
    }

    /// Whether there may be profiles that only an earlier key opens.
    pub fn has_earlier_keys(&self) -> bool {
        !self.keys.earlier.is_empty()
    }

    /// The keys of a patient who is or was registered here, from the profile body that the registration names.
    pub async fn patient_keys(
        &self,
        identity: Identity,
        patient: UserId,
        registration: &Registration,
    ) -> Result<PatientKeys, HospitalKeysError> {
        let body_hash = registration.body_hash;
        if let Some(opened) = self.opened().by_body.get(&body_hash) {
            return Ok(opened.clone());
        }
        let body = self.profile_body(body_hash).await?;
        let keys = Arc::clone(&self.keys);
        let opened = blocking(move || {
            // The chain accepted this body from the agent that the hospital had then, so that agent is the sealer.
            let (sealer, context) = (body.sealer(), context(identity, patient));
            Ok(keys.open(|key| body.patient_keys_for_hospital(&context, key, sealer))?.content)
        })
        .await?;
        self.opened().insert(body_hash, opened.clone());
        Ok(opened)
    }

    /// The user's sealing key in a profile body, if its hash is the one on the chain.
    pub async fn sealing_key(
        &self,
        body_hash: Hash,
        key_hash: Hash,
    ) -> Result<SealingPublicKey, HospitalKeysError> {
        Ok(self.profile_body(body_hash).await?.sealing_key(&key_hash)?.clone())
    }

    /// The encoded profile body of a person to be registered.
    pub async fn seal_profile(
        &self,
        identity: Identity,
        person: Person,
    ) -> Result<Vec<u8>, HospitalKeysError> {
        let patient_keys = match &person.earlier {
            Some(earlier) if person.is_patient => {
                Some(renewed(&self.patient_keys(identity, person.user, earlier).await?)?)
            }
            _ => person.is_patient.then(PatientKeys::generate),
        };
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let Person { user, account, sealing_key, name, .. } = &person;
            let contents = Contents { name: name.clone(), patient_keys };
            let recipient = Recipient { account, key: sealing_key };
            Ok(seal_body(&keys.agent, &context(identity, *user), &contents, recipient)?)
        })
        .await
    }

    /// The right to seal a user's profile again; none while another request or task has it. To be held from reading the
    /// registration until its new body is finalized, so that no body replaces a newer one.
    pub fn begin_resealing(&self, user: UserId) -> Option<Resealing<'_>> {
        let first = self.resealing().insert(user);
        // Only created if this call inserted the user: dropping it removes the user.
        first.then(|| Resealing { keys: self, user })
    }

    /// Whether a profile is sealed to this account and sealing key of its user, and to the hospital's current key.
    pub async fn is_sealed_to(
        &self,
        identity: Identity,
        user: UserId,
        registration: &Registration,
        recipient: Recipient<'_>,
    ) -> Result<bool, HospitalKeysError> {
        let body = self.profile_body(registration.body_hash).await?;
        let known = body.recipient();
        if known.account != recipient.account || known.key != recipient.key {
            return Ok(false);
        }
        self.is_opened_by_current(identity, user, body).await
    }

    /// A registered user's profile body, sealed to this account and sealing key. The name does not change. A patient
    /// gets a fresh version of the patient key, unless only the account is new.
    pub async fn renew_profile(
        &self,
        identity: Identity,
        user: UserId,
        registration: &Registration,
        account: AccountId,
        sealing_key: SealingPublicKey,
    ) -> Result<Vec<u8>, HospitalKeysError> {
        let body = self.profile_body(registration.body_hash).await?;
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let context = context(identity, user);
            let Opened { content, by_current } = keys.open(|key| read(&body, &context, key))?;
            let has_known_keys = by_current && *body.recipient().key == sealing_key;
            let contents = if has_known_keys { content } else { content.renewed()? };
            let recipient = Recipient { account: &account, key: &sealing_key };
            Ok(seal_body(&keys.agent, &context, &contents, recipient)?)
        })
        .await
    }

    /// Whether the current sealing key opens a profile. An error if no key does.
    pub async fn is_sealed_to_current(
        &self,
        identity: Identity,
        user: UserId,
        registration: &Registration,
    ) -> Result<bool, HospitalKeysError> {
        let body = self.profile_body(registration.body_hash).await?;
        self.is_opened_by_current(identity, user, body).await
    }

    async fn is_opened_by_current(
        &self,
        identity: Identity,
        user: UserId,
        body: ProfileBody,
    ) -> Result<bool, HospitalKeysError> {
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let context = context(identity, user);
            Ok(keys.open(|key| read(&body, &context, key))?.by_current)
        })
        .await
    }

    /// A profile body that only an earlier sealing key opens, sealed to the hospital's current one. With it a patient's
    /// keys get a fresh version: a thief of the earlier key opens none of the visits that are sealed from then on. None
    /// if the current key opens it already.
    pub async fn rewrap(
        &self,
        identity: Identity,
        user: UserId,
        registration: &Registration,
    ) -> Result<Option<Vec<u8>>, HospitalKeysError> {
        let body = self.profile_body(registration.body_hash).await?;
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let context = context(identity, user);
            let opened = keys.open(|key| read(&body, &context, key))?;
            if opened.by_current {
                return Ok(None);
            }
            // For a user who rotated keys and did not request a new body yet, the body stays sealed to the previous
            // key.
            let contents = opened.content.renewed()?;
            Ok(Some(seal_body(&keys.agent, &context, &contents, body.recipient())?))
        })
        .await
    }

    /// An access grant, signed by the agent.
    pub async fn seal_grant(
        &self,
        terms: GrantTerms,
        keys: Vec<(GrantedSection, ContentKey)>,
        recipient: SealingPublicKey,
    ) -> Result<AccessGrant, HospitalKeysError> {
        let hospital = Arc::clone(&self.keys);
        blocking(move || Ok(AccessGrant::seal(terms, &keys, &recipient, &hospital.agent)?)).await
    }

    async fn profile_body(&self, hash: Hash) -> Result<ProfileBody, HospitalKeysError> {
        let bytes = self.view.body(hash).await?.ok_or(HospitalKeysError::NoBody)?;
        Ok(ProfileBody::decode_exactly(&bytes)?)
    }

    fn opened(&self) -> MutexGuard<'_, OpenedKeys> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resealing(&self) -> MutexGuard<'_, HashSet<UserId>> {
        self.resealing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(
    body: &ProfileBody,
    context: &ProfileContext,
    hospital: &SealingKeyPair,
) -> Result<Contents, OpenError> {
    // The chain accepted this body from the agent that the hospital had then, so that agent is the sealer.
    let sealer = body.sealer();
    if !body.is_patient() {
        let name = body.name_for_hospital(context, hospital, sealer)?;
        return Ok(Contents { name, patient_keys: None });
    }
    let keys = body.patient_keys_for_hospital(context, hospital, sealer)?;
    let name = body.name_with_patient_keys(context, &keys)?;
    Ok(Contents { name, patient_keys: Some(keys) })
}

fn seal_body(
    agent: &ActorKeys,
    context: &ProfileContext,
    contents: &Contents,
    recipient: Recipient<'_>,
) -> Result<Vec<u8>, SealError> {
    let (name, hospital) = (&contents.name, agent.sealing.public());
    let body = match &contents.patient_keys {
        Some(keys) => ProfileBody::for_patient(context, name, keys, recipient, hospital, agent),
        None => ProfileBody::for_professional(context, name, recipient, hospital, agent),
    };
    Ok(body?.encode())
}

fn context(identity: Identity, user: UserId) -> ProfileContext {
    ProfileContext { genesis: identity.genesis, hospital: identity.hospital, user }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HospitalKeysError> + Send + 'static,
) -> Result<T, HospitalKeysError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| HospitalKeysError::Interrupted)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_keys_are_bounded() {
        let mut opened = OpenedKeys::default();
        for index in 0..(CACHED_KEYS as u64 + 10) {
            opened.insert(Hash::from_low_u64_be(index), PatientKeys::generate());
        }
        assert_eq!(opened.by_body.len(), CACHED_KEYS);
        assert!(!opened.by_body.contains_key(&Hash::from_low_u64_be(0)));
    }
}
