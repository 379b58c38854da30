//! What the worker does with the hospital's keys: it opens patient keys, seals the profiles of those it
//! registers, seals them anew when keys were rotated, and seals access grants. The sealing of a visit's
//! sections is `api::ingest`'s.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use codec::Encode;
use epione_envelope::{
    FormatError, OpenError, SealError,
    grant::{AccessGrant, GrantTerms, GrantedSection},
    keys::{ContentKey, PatientKey},
    keystore::ActorKeys,
    profile::{ProfileBody, ProfileContext, Recipient, SwappedKey},
    sealing::{SealingKeyPair, SealingPublicKey},
};
use epione_primitives::{AccountId, Hash, UserId, profile::Registration};

use crate::chain::{ChainView, Identity, ViewError};

/// Patient keys that are kept open.
const CACHED_KEYS: usize = 1_024;

/// Why a key could not be had, or something not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum HospitalKeysError {
    #[error("the node does not have the profile that the chain names: it may still be catching up")]
    NoBody,
    #[error("the profile cannot be read: {0}")]
    Format(#[from] FormatError),
    #[error(
        "the profile opens with none of the worker's sealing keys, or is damaged: is an earlier keystore \
         missing from earlier_keystores?"
    )]
    Open(#[from] OpenError),
    #[error("{0}")]
    Swapped(#[from] SwappedKey),
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
    /// Whose profiles are being sealed anew.
    resealing: Mutex<HashSet<UserId>>,
}

/// A turn at sealing a user's profile anew; given back when dropped.
pub struct Resealing<'a> {
    keys: &'a HospitalKeys,
    user: UserId,
}

impl Drop for Resealing<'_> {
    fn drop(&mut self) {
        self.keys.resealing().remove(&self.user);
    }
}

/// The agent's account key with the hospital's sealing key, to which everything is sealed, and the
/// sealing keys before that, which still open what nobody has sealed anew.
struct Keys {
    agent: ActorKeys,
    earlier: Vec<SealingKeyPair>,
}

/// Something opened, and whether the current sealing key did it.
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

/// How a hospital's sealing key on chain stands to those of its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The worker seals to it.
    Current,
    /// The worker seals to a newer one, which the chain does not have yet.
    Earlier,
    /// The worker does not have it.
    Unknown,
}

/// What the hospital reads in a profile.
struct Contents {
    name: String,
    /// Of a patient.
    patient_key: Option<PatientKey>,
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

impl HospitalKeys {
    /// `earlier` are the sealing keys that were the hospital's before.
    pub fn new(keys: ActorKeys, earlier: Vec<SealingKeyPair>, view: Arc<dyn ChainView>) -> Self {
        let keys = Arc::new(Keys { agent: keys, earlier });
        Self { keys, view, opened: Mutex::default(), resealing: Mutex::default() }
    }

    /// A key for a purpose of the worker's own, always the same for the same agent key.
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, self.keys.agent.account.seed())
    }

    /// How the hospital's sealing key on chain stands to the worker's.
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

    /// Whether there are profiles that only an earlier key may open.
    pub fn has_earlier_keys(&self) -> bool {
        !self.keys.earlier.is_empty()
    }

    /// The patient key of a patient who is or was registered here, from the profile body that the
    /// registration names.
    pub async fn patient_key(
        &self,
        identity: Identity,
        patient: UserId,
        registration: &Registration,
    ) -> Result<PatientKey, HospitalKeysError> {
        let body_hash = registration.body_hash;
        if let Some(key) = self.opened().by_body.get(&body_hash) {
            return Ok(key.clone());
        }
        let body = self.profile_body(body_hash).await?;
        let keys = Arc::clone(&self.keys);
        let key = blocking(move || {
            // The chain took this body from this hospital's agent of that time: it is the sealer.
            let (sealer, context) = (body.sealer(), context(identity, patient));
            Ok(keys.open(|key| body.patient_key_for_hospital(&context, key, sealer))?.content)
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
    ) -> Result<SealingPublicKey, HospitalKeysError> {
        Ok(self.profile_body(body_hash).await?.sealing_key(&key_hash)?.clone())
    }

    /// The encoded profile body of a person who is to be registered.
    pub async fn seal_profile(
        &self,
        identity: Identity,
        person: Person,
    ) -> Result<Vec<u8>, HospitalKeysError> {
        let patient_key = match &person.earlier {
            Some(earlier) if person.is_patient => {
                Some(self.patient_key(identity, person.user, earlier).await?)
            }
            _ => person.is_patient.then(PatientKey::generate),
        };
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let Person { user, account, sealing_key, name, .. } = &person;
            let contents = Contents { name: name.clone(), patient_key };
            let recipient = Recipient { account, key: sealing_key };
            Ok(seal_body(&keys.agent, &context(identity, *user), &contents, recipient)?)
        })
        .await
    }

    /// A turn at sealing a user's profile anew; none while somebody else has it. To be held from reading
    /// the registration until its new body is final, so that no body replaces a newer one.
    pub fn begin_resealing(&self, user: UserId) -> Option<Resealing<'_>> {
        let first = self.resealing().insert(user);
        // Not made in vain: dropping one gives the turn back.
        first.then(|| Resealing { keys: self, user })
    }

    /// A registered user's profile body, sealed anew to the account and the key that are theirs now.
    /// Name and patient key stay. None if it is so sealed already.
    pub async fn renew_profile(
        &self,
        identity: Identity,
        user: UserId,
        registration: &Registration,
        account: AccountId,
        sealing_key: SealingPublicKey,
    ) -> Result<Option<Vec<u8>>, HospitalKeysError> {
        let body = self.profile_body(registration.body_hash).await?;
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let context = context(identity, user);
            let opened = keys.open(|key| read(&body, &context, key))?;
            let known = body.recipient();
            if opened.by_current && *known.account == account && *known.key == sealing_key {
                return Ok(None);
            }
            let recipient = Recipient { account: &account, key: &sealing_key };
            Ok(Some(seal_body(&keys.agent, &context, &opened.content, recipient)?))
        })
        .await
    }

    /// Whether the current sealing key opens a profile. An error, if no key does.
    pub async fn is_sealed_to_current(
        &self,
        identity: Identity,
        user: UserId,
        registration: &Registration,
    ) -> Result<bool, HospitalKeysError> {
        let body = self.profile_body(registration.body_hash).await?;
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let context = context(identity, user);
            Ok(keys.open(|key| read(&body, &context, key))?.by_current)
        })
        .await
    }

    /// A profile body that only an earlier sealing key opens, sealed anew to the current one. For the
    /// user it stays what it was. None if the current key opens it already.
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
            // A user who rotated keys and has not come for a new body keeps the key that they had: it
            // was sealed to that one before, too.
            Ok(Some(seal_body(&keys.agent, &context, &opened.content, body.recipient())?))
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
    // The chain took this body from this hospital's agent of that time: it is the sealer.
    let sealer = body.sealer();
    if !body.is_patient() {
        let name = body.name_for_hospital(context, hospital, sealer)?;
        return Ok(Contents { name, patient_key: None });
    }
    let key = body.patient_key_for_hospital(context, hospital, sealer)?;
    let name = body.name_with_patient_key(context, &key)?;
    Ok(Contents { name, patient_key: Some(key) })
}

fn seal_body(
    agent: &ActorKeys,
    context: &ProfileContext,
    contents: &Contents,
    recipient: Recipient<'_>,
) -> Result<Vec<u8>, SealError> {
    let (name, hospital) = (&contents.name, agent.sealing.public());
    let body = match &contents.patient_key {
        Some(key) => ProfileBody::for_patient(context, name, key, recipient, hospital, agent),
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
            opened.insert(Hash::from_low_u64_be(index), PatientKey::generate());
        }
        assert_eq!(opened.by_body.len(), CACHED_KEYS);
        assert!(!opened.by_body.contains_key(&Hash::from_low_u64_be(0)));
    }
}
