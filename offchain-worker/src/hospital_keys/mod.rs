//! The use of the hospital's keys: the worker opens patient keys, seals the profiles of users that it registers, seals
//! them again after keys were rotated, and seals access grants. `api::ingest` seals the sections of visits.
//!
//! A patient has a key at the hospital, in versions. A profile that is sealed to a new key of the patient or of the
//! hospital contains a fresh version, to which the visits from then on are sealed. So a stolen key that was replaced
//! opens nothing that came after. The earlier versions are kept: they open earlier records, and visits that wait.
//!
//! A new key of the patient waits until the hospital has confirmed it or a delay has passed, because a thief of the
//! account may have rotated it. Meanwhile a fresh version is sealed to the hospital only, and withheld from both keys.

mod custody;

pub use custody::inherited_context;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use codec::Encode;
use epione_envelope::{
    FormatError, OpenError, SealError,
    grant::{AccessGrant, GrantTerms, GrantedSection},
    keys::{ContentKey, PatientKeys},
    keystore::ActorKeys,
    opening::{PartialContent, PartialContext, SealedPartial},
    profile::{ProfileBody, ProfileContext, Recipient, SwappedKey},
    sealing_keys::{SealingKeyPair, SealingPublicKey},
};
use epione_primitives::{AccountId, Hash, UserId, profile::Registration};

use crate::{
    chain::{ChainView, Identity, ViewError},
    resealing::{Resealing, Resealings},
};

/// Profiles whose patient keys are kept in memory.
const CACHED_KEYS: usize = 1_024;
/// From this number of versions on, a patient's own request adds none: the rest is for rotations that the hospital
/// confirms, and for its own.
const OWN_VERSIONS: u32 = 200;

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
    /// The rest of the versions is for renewals that the hospital confirms.
    #[error("the patient's keys have {versions} versions: the hospital must confirm the next one")]
    KeysUsedUp { versions: u32 },
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
    resealings: Resealings,
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

/// Who says that a user's new keys are the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// Only the account that rotated them, which may be a thief's.
    ByNobody,
    ByGovernance,
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

/// A patient's keys, and which sealing keys open the profile body that contains them.
#[derive(Clone)]
pub struct SealedKeys {
    pub keys: PatientKeys,
    /// Whether the worker's current sealing key does.
    by_current: bool,
    /// The hash of the patient's sealing key; none while the newest version is withheld from the patient.
    patient_key: Option<Hash>,
}

impl SealedKeys {
    /// Whether a sealing key that the patient has replaced opens them. `on_chain` is the hash of the newest one.
    pub fn has_retired_patient_key(&self, on_chain: Hash) -> bool {
        self.patient_key.is_some_and(|hash| hash != on_chain)
    }

    /// Whether only an earlier sealing key of the hospital opens them.
    pub fn has_earlier_hospital_key(&self) -> bool {
        !self.by_current
    }
}

/// The content of a profile, as the hospital reads it.
struct Contents {
    name: String,
    /// Only of a patient.
    patient_keys: Option<PatientKeys>,
}

impl Contents {
    /// The same, with a fresh version of the patient's keys if it is a patient's.
    fn renewed(self, user: UserId) -> Self {
        let Self { name, patient_keys } = self;
        Self { name, patient_keys: patient_keys.map(|keys| renewed(&keys, user)) }
    }

    fn versions(&self) -> u32 {
        self.patient_keys.as_ref().map_or(0, PatientKeys::versions)
    }
}

/// The same keys and a fresh version. If the format has no room for another one, the same keys: the profile can be
/// sealed to new keys all the same.
fn renewed(keys: &PatientKeys, user: UserId) -> PatientKeys {
    keys.renewed().unwrap_or_else(|error| {
        tracing::warn!(
            %user, %error,
            "A PATIENT'S KEYS CANNOT BE RENEWED: the profile is sealed to the current keys, but a thief of an earlier \
             key also opens later visits. Register the patient as a new user"
        );
        keys.clone()
    })
}

/// Patient keys by the hash of the profile body that contains them. New ones replace the oldest.
#[derive(Default)]
struct OpenedKeys {
    by_body: HashMap<Hash, SealedKeys>,
    order: VecDeque<Hash>,
}

impl OpenedKeys {
    fn insert(&mut self, body: Hash, keys: SealedKeys) {
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
        Self { keys, view, opened: Mutex::default(), resealings: Resealings::default() }
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
        Ok(self.sealed_keys(identity, patient, registration).await?.keys)
    }

    /// The same, with the sealing keys that open them.
    pub async fn sealed_keys(
        &self,
        identity: Identity,
        patient: UserId,
        registration: &Registration,
    ) -> Result<SealedKeys, HospitalKeysError> {
        let body_hash = registration.body_hash;
        if let Some(opened) = self.opened().by_body.get(&body_hash) {
            return Ok(opened.clone());
        }
        let body = self.profile_body(body_hash).await?;
        let keys = Arc::clone(&self.keys);
        let opened = blocking(move || {
            // The chain accepted this body from the agent that the hospital had then, so that agent is the sealer.
            let (sealer, context) = (body.sealer(), context(identity, patient));
            let opened = keys.open(|key| body.patient_keys_for_hospital(&context, key, sealer))?;
            let patient_key = (!body.is_withheld()).then(|| body.recipient().key.hash());
            let Opened { content: keys, by_current } = opened;
            Ok(SealedKeys { keys, by_current, patient_key })
        })
        .await?;
        self.opened().insert(body_hash, opened.clone());
        Ok(opened)
    }

    /// The user's sealing key in a profile body, if its hash is the one on the chain. A body that withholds the
    /// patient's keys has none: whatever the chain names, nobody has confirmed it since.
    pub async fn sealing_key(
        &self,
        body_hash: Hash,
        key_hash: Hash,
    ) -> Result<SealingPublicKey, HospitalKeysError> {
        let body = self.profile_body(body_hash).await?;
        if body.is_withheld() {
            return Err(SwappedKey.into());
        }
        Ok(body.sealing_key(&key_hash)?.clone())
    }

    /// The encoded profile body of a person to be registered.
    pub async fn seal_profile(
        &self,
        identity: Identity,
        person: Person,
    ) -> Result<Vec<u8>, HospitalKeysError> {
        let patient_keys = match &person.earlier {
            Some(earlier) if person.is_patient => {
                let keys = self.patient_keys(identity, person.user, earlier).await?;
                Some(renewed(&keys, person.user))
            }
            _ => person.is_patient.then(PatientKeys::generate),
        };
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let Person { user, account, sealing_key, name, .. } = &person;
            let contents = Contents { name: name.clone(), patient_keys };
            let recipient = Recipient { account, key: sealing_key };
            Ok(seal_body(&keys.agent, &context(identity, *user), &contents, recipient, For::All)?)
        })
        .await
    }

    /// The right to seal a user's profile again; none while another request or task has it.
    pub fn begin_resealing(&self, user: UserId) -> Option<Resealing> {
        self.resealings.try_begin(user)
    }

    /// The same; waits while another request or task has it.
    pub async fn await_resealing(&self, user: UserId) -> Resealing {
        self.resealings.begin(user).await
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
        let is_known = known.account == recipient.account && known.key == recipient.key;
        if !is_known || body.is_withheld() {
            return Ok(false);
        }
        self.is_opened_by_current(identity, user, body).await
    }

    /// A registered user's profile body, sealed to this account and sealing key. The name does not change. A patient
    /// gets a fresh version of the patient key, unless no key opens the newest one but these and the hospital's. The
    /// number of versions that a user's own requests may add is limited.
    pub async fn renew_profile(
        &self,
        identity: Identity,
        user: UserId,
        registration: &Registration,
        account: AccountId,
        sealing_key: SealingPublicKey,
        confirmation: Confirmation,
    ) -> Result<Vec<u8>, HospitalKeysError> {
        let body = self.profile_body(registration.body_hash).await?;
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let context = context(identity, user);
            let Opened { content, by_current } = keys.open(|key| read(&body, &context, key))?;
            let has_same_key = *body.recipient().key == sealing_key;
            let (versions, is_own) = (content.versions(), confirmation == Confirmation::ByNobody);
            // A version that was withheld counts as well: the next visit after this renewal and a rotation adds one.
            if is_own && versions >= OWN_VERSIONS && (body.is_withheld() || !has_same_key) {
                return Err(HospitalKeysError::KeysUsedUp { versions });
            }
            let is_known_to_others = !by_current || !(has_same_key || body.is_withheld());
            let contents = if is_known_to_others { content.renewed(user) } else { content };
            let recipient = Recipient { account: &account, key: &sealing_key };
            Ok(seal_body(&keys.agent, &context, &contents, recipient, For::All)?)
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

    /// A profile body, sealed to the hospital's current key. A patient gets a fresh version of the patient key: whoever
    /// has an earlier key of the hospital, or a sealing key that the patient has replaced, opens none of the visits
    /// that are sealed from then on. `on_chain` is the hash of the user's newest sealing key. If that is another one
    /// than the body's, it waits for confirmation: then the fresh version is withheld from the patient.
    pub async fn renew_for_hospital(
        &self,
        identity: Identity,
        user: UserId,
        registration: &Registration,
        on_chain: Hash,
    ) -> Result<Vec<u8>, HospitalKeysError> {
        let body = self.profile_body(registration.body_hash).await?;
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let context = context(identity, user);
            let contents = keys.open(|key| read(&body, &context, key))?.content.renewed(user);
            let recipient = body.recipient();
            // What was withheld stays withheld until the user's key is confirmed, whichever it is now.
            let withhold = body.is_withheld() || recipient.key.hash() != on_chain;
            let to = if withhold { For::Hospital } else { For::All };
            Ok(seal_body(&keys.agent, &context, &contents, recipient, to)?)
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

    /// The hospital's part of an opening, signed by the agent.
    pub async fn seal_partial(
        &self,
        context: PartialContext,
        content: PartialContent,
        recipient: SealingPublicKey,
    ) -> Result<SealedPartial, HospitalKeysError> {
        let hospital = Arc::clone(&self.keys);
        blocking(move || Ok(SealedPartial::seal(&context, &content, &recipient, &hospital.agent)?))
            .await
    }

    async fn profile_body(&self, hash: Hash) -> Result<ProfileBody, HospitalKeysError> {
        let bytes = self.view.body(hash).await?.ok_or(HospitalKeysError::NoBody)?;
        Ok(ProfileBody::decode_exactly(&bytes)?)
    }

    fn opened(&self) -> MutexGuard<'_, OpenedKeys> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
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

/// For whom the patient keys in a profile are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// The hospital and the patient.
    All,
    /// Withheld from the patient.
    Hospital,
}

fn seal_body(
    agent: &ActorKeys,
    context: &ProfileContext,
    contents: &Contents,
    recipient: Recipient<'_>,
    to: For,
) -> Result<Vec<u8>, SealError> {
    let (name, hospital) = (&contents.name, agent.sealing.public());
    let body = match (&contents.patient_keys, to) {
        (Some(keys), For::All) => {
            ProfileBody::for_patient(context, name, keys, recipient, hospital, agent)
        }
        (Some(keys), For::Hospital) => {
            ProfileBody::withheld(context, name, keys, recipient, hospital, agent)
        }
        (None, _) => ProfileBody::for_professional(context, name, recipient, hospital, agent),
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
        let keys = PatientKeys::generate();
        let sealed = SealedKeys { keys, by_current: true, patient_key: None };
        for index in 0..(CACHED_KEYS as u64 + 10) {
            opened.insert(Hash::from_low_u64_be(index), sealed.clone());
        }
        assert_eq!(opened.by_body.len(), CACHED_KEYS);
        assert!(!opened.by_body.contains_key(&Hash::from_low_u64_be(0)));
    }
}
