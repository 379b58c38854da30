//! Profile bodies (R_UPR): the part of a user's profile outside the chain's state. A body contains the user's public
//! sealing key, the newest patient key sealed to the hospital and to the patient, the earlier ones wrapped under the
//! newest, and the sealed name.
//!
//! While a rotation of the patient's sealing key waits for confirmation, the hospital withholds the newest patient key:
//! the body contains it for the hospital only. So neither a thief of the retired key nor a thief who rotated opens what
//! is sealed meanwhile.

use codec::{Decode, Encode, Error as CodecError, Input};
use epione_primitives::{
    AccountId, Hash, HospitalId, RecordId, UserId,
    limits::{MAX_PATIENT_KEYS, MAX_PROFILE_BODY_BYTES},
};
use sp_core::{ConstU32, bounded::BoundedVec};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    FormatError, OpenError, SealError,
    account::Signer,
    keys::{EarlierKeyContext, PatientKey, PatientKeys, SectionContext, WrappedKey},
    object::{ObjectContext, Part, SealedObject},
    sealing_keys::{SealingKeyPair, SealingPublicKey, Wrap, WrapContext, WrapSubject},
    suite::{self, Suite},
};

/// Maximum bytes of a name.
pub const MAX_NAME_BYTES: u64 = 255;

/// The context of a profile: its user and hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileContext {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub hospital: HospitalId,
    pub user: UserId,
}

/// The user to whom a profile is sealed.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    pub account: &'a AccountId,
    pub key: &'a SealingPublicKey,
}

/// The sealing key in a profile body differs from the key on chain, so it was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the sealing key in the profile differs from the one registered on chain; do not seal to it"
)]
pub struct SwappedKey;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum Secrets {
    #[codec(index = 0)]
    Patient(Box<PatientSecrets>),
    #[codec(index = 1)]
    Professional { name_for_hospital: Wrap },
}

type EarlierKeys = BoundedVec<WrappedKey, ConstU32<{ MAX_PATIENT_KEYS - 1 }>>;

#[derive(Clone, Debug, PartialEq, Eq, Encode)]
struct PatientSecrets {
    /// The version of the newest patient key.
    version: u32,
    /// The newest patient key.
    key_for_hospital: Wrap,
    /// The newest patient key; none while the hospital withholds it.
    key_for_patient: Option<Wrap>,
    /// Versions 1 to `version` - 1, each wrapped under the newest patient key.
    earlier: EarlierKeys,
    /// Sealed under a key derived from the newest patient key.
    name: SealedObject,
}

impl Decode for PatientSecrets {
    fn decode<I: Input>(input: &mut I) -> Result<Self, CodecError> {
        let secrets = Self {
            version: Decode::decode(input)?,
            key_for_hospital: Decode::decode(input)?,
            key_for_patient: Decode::decode(input)?,
            earlier: Decode::decode(input)?,
            name: Decode::decode(input)?,
        };
        if secrets.version == secrets.earlier.len() as u32 + 1 {
            Ok(secrets)
        } else {
            Err("the number of patient keys differs from their newest version".into())
        }
    }
}

/// A user's profile at one hospital. The hospital's agent seals and signs it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProfileBody {
    suite: Suite<2>,
    sealer: AccountId,
    account: AccountId,
    sealing_key: SealingPublicKey,
    secrets: Secrets,
}

impl ProfileBody {
    /// Seals a patient's profile. `user` is the patient. After a rotation of the patient's or the hospital's sealing
    /// key, `keys` are the [renewed](PatientKeys::renewed) ones: a thief of the old sealing key knows the others.
    pub fn for_patient(
        context: &ProfileContext,
        name: &str,
        keys: &PatientKeys,
        user: Recipient<'_>,
        hospital_key: &SealingPublicKey,
        agent: &impl Signer,
    ) -> Result<Self, SealError> {
        let mut secrets = PatientSecrets::for_hospital(context, name, keys, hospital_key, agent)?;
        let (version, newest) = keys.newest();
        let for_patient = context.wrap(WrapSubject::PatientKey { version }, user.account);
        let wrap = Wrap::seal(user.key, &for_patient, newest.as_bytes(), agent)?;
        secrets.key_for_patient = Some(wrap);
        Ok(Self::new(user, agent, Secrets::Patient(Box::new(secrets))))
    }

    /// Seals a patient's profile to the hospital only, while a rotation of the patient's sealing key waits for
    /// confirmation. `user` has the account and the sealing key of the body before.
    pub fn withheld(
        context: &ProfileContext,
        name: &str,
        keys: &PatientKeys,
        user: Recipient<'_>,
        hospital_key: &SealingPublicKey,
        agent: &impl Signer,
    ) -> Result<Self, SealError> {
        let secrets = PatientSecrets::for_hospital(context, name, keys, hospital_key, agent)?;
        Ok(Self::new(user, agent, Secrets::Patient(Box::new(secrets))))
    }

    /// Seals the profile of a user who is not a patient. Only the hospital can read the name.
    pub fn for_professional(
        context: &ProfileContext,
        name: &str,
        user: Recipient<'_>,
        hospital_key: &SealingPublicKey,
        agent: &impl Signer,
    ) -> Result<Self, SealError> {
        check_name(name)?;
        let name_context = context.wrap(WrapSubject::Name, &agent.account());
        let name_for_hospital = Wrap::seal(hospital_key, &name_context, name.as_bytes(), agent)?;
        Ok(Self::new(user, agent, Secrets::Professional { name_for_hospital }))
    }

    fn new(user: Recipient<'_>, agent: &impl Signer, secrets: Secrets) -> Self {
        let (account, sealing_key) = (user.account.clone(), user.key.clone());
        Self { suite: Suite, sealer: agent.account(), account, sealing_key, secrets }
    }

    pub fn decode_exactly(bytes: &[u8]) -> Result<Self, FormatError> {
        suite::decode_exactly::<2, _>("the profile body", bytes, MAX_PROFILE_BODY_BYTES as usize)
    }

    /// The agent account that sealed it. The caller must check on chain that it is the hospital's agent.
    pub fn sealer(&self) -> &AccountId {
        &self.sealer
    }

    /// The user's account at the time of sealing.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The user to whom it was sealed. [`ProfileBody::sealing_key`] checks whether the key is still the user's.
    pub fn recipient(&self) -> Recipient<'_> {
        Recipient { account: &self.account, key: &self.sealing_key }
    }

    pub fn is_patient(&self) -> bool {
        matches!(self.secrets, Secrets::Patient(_))
    }

    /// How many versions of the patient key it has, which everybody sees: 0 if it is not a patient's.
    pub fn versions(&self) -> u32 {
        self.patient_secrets().map_or(0, |secrets| secrets.version)
    }

    /// Whether the hospital withholds the newest patient key from the patient: no sealing key of a patient opens it.
    pub fn is_withheld(&self) -> bool {
        self.patient_secrets().is_ok_and(|secrets| secrets.key_for_patient.is_none())
    }

    /// The user's sealing key, if its hash is the one in the user's profile on chain.
    pub fn sealing_key(&self, on_chain_hash: &Hash) -> Result<&SealingPublicKey, SwappedKey> {
        if self.sealing_key.hash() == *on_chain_hash {
            Ok(&self.sealing_key)
        } else {
            Err(SwappedKey)
        }
    }

    /// Opens the patient keys for the hospital. `agent` is the account that must have sealed them.
    pub fn patient_keys_for_hospital(
        &self,
        context: &ProfileContext,
        hospital: &SealingKeyPair,
        agent: &AccountId,
    ) -> Result<PatientKeys, OpenError> {
        let secrets = self.patient_secrets()?;
        secrets.open(context, &secrets.key_for_hospital, agent, hospital, agent)
    }

    /// Opens the patient keys for the patient, unless the hospital withholds them. `agent` is the account that must
    /// have sealed them.
    pub fn patient_keys_for_patient(
        &self,
        context: &ProfileContext,
        patient: &SealingKeyPair,
        agent: &AccountId,
    ) -> Result<PatientKeys, OpenError> {
        let secrets = self.patient_secrets()?;
        let sealed = secrets.key_for_patient.as_ref().ok_or(OpenError)?;
        secrets.open(context, sealed, &self.account, patient, agent)
    }

    /// All patient keys, from the newest one. Whether it is the right key shows when the earlier ones, or the name
    /// ([`name_with_patient_keys`](Self::name_with_patient_keys)), are opened with it.
    pub fn patient_keys_with_newest(
        &self,
        context: &ProfileContext,
        newest: PatientKey,
    ) -> Result<PatientKeys, OpenError> {
        self.patient_secrets()?.with_newest(context, newest)
    }

    /// Opens a patient's name with the patient keys.
    pub fn name_with_patient_keys(
        &self,
        context: &ProfileContext,
        keys: &PatientKeys,
    ) -> Result<String, OpenError> {
        let secrets = self.patient_secrets()?;
        let key = keys.get(secrets.version).ok_or(OpenError)?;
        text(secrets.name.open(&key.name_key(), &context.name())?)
    }

    /// Opens the name of any user for the hospital.
    pub fn name_for_hospital(
        &self,
        context: &ProfileContext,
        hospital: &SealingKeyPair,
        agent: &AccountId,
    ) -> Result<String, OpenError> {
        match &self.secrets {
            Secrets::Patient(_) => {
                let keys = self.patient_keys_for_hospital(context, hospital, agent)?;
                self.name_with_patient_keys(context, &keys)
            }
            Secrets::Professional { name_for_hospital } => {
                let context = context.wrap(WrapSubject::Name, agent);
                text(name_for_hospital.open(hospital, &context, agent)?)
            }
        }
    }

    fn patient_secrets(&self) -> Result<&PatientSecrets, OpenError> {
        match &self.secrets {
            Secrets::Patient(secrets) => Ok(secrets),
            Secrets::Professional { .. } => Err(OpenError),
        }
    }
}

impl PatientSecrets {
    /// Without the patient.
    fn for_hospital(
        context: &ProfileContext,
        name: &str,
        keys: &PatientKeys,
        hospital: &SealingPublicKey,
        agent: &impl Signer,
    ) -> Result<Self, SealError> {
        check_name(name)?;
        let (version, newest) = keys.newest();
        let for_hospital = context.wrap(WrapSubject::PatientKey { version }, &agent.account());
        Ok(Self {
            version,
            key_for_hospital: Wrap::seal(hospital, &for_hospital, newest.as_bytes(), agent)?,
            key_for_patient: None,
            earlier: context.wrap_earlier(keys)?,
            name: SealedObject::seal(&newest.name_key(), &context.name(), name.as_bytes())?,
        })
    }

    /// Opens the newest patient key with a recipient's sealing key, and the earlier ones with the newest.
    fn open(
        &self,
        context: &ProfileContext,
        sealed: &Wrap,
        recipient: &AccountId,
        with: &SealingKeyPair,
        agent: &AccountId,
    ) -> Result<PatientKeys, OpenError> {
        let newest = context.wrap(WrapSubject::PatientKey { version: self.version }, recipient);
        self.with_newest(context, PatientKey::from_slice(&sealed.open(with, &newest, agent)?)?)
    }

    /// Opens the earlier patient keys with the newest.
    fn with_newest(
        &self,
        context: &ProfileContext,
        newest: PatientKey,
    ) -> Result<PatientKeys, OpenError> {
        let earlier = |(version, wrapped): (u32, &WrappedKey)| {
            newest.unwrap_earlier(wrapped, &context.earlier(self.version, version))
        };
        // Never reallocates, so no copy of a key stays in freed memory.
        let mut keys = Vec::with_capacity(self.earlier.len() + 1);
        for key in (1..).zip(&self.earlier).map(earlier) {
            keys.push(key?);
        }
        keys.push(newest);
        PatientKeys::from_keys(keys)
    }
}

impl ProfileContext {
    fn wrap_earlier(&self, keys: &PatientKeys) -> Result<EarlierKeys, FormatError> {
        let (newest_version, newest) = keys.newest();
        let wrap = |(version, key): (u32, &PatientKey)| {
            newest.wrap_earlier(key, &self.earlier(newest_version, version))
        };
        let earlier: Vec<_> = (1..).zip(keys.earlier()).map(wrap).collect();
        let (actual, limit) = (earlier.len() as u64 + 1, u64::from(MAX_PATIENT_KEYS));
        let what = "the number of a patient's keys";
        earlier.try_into().map_err(|_| FormatError::TooLarge { what, actual, limit })
    }

    /// The context of an earlier patient key, given its version and the newest one.
    fn earlier(&self, newest: u32, version: u32) -> EarlierKeyContext {
        let Self { genesis, hospital, user: patient } = *self;
        EarlierKeyContext { genesis, hospital, patient, newest, version }
    }

    fn wrap(&self, subject: WrapSubject, recipient: &AccountId) -> WrapContext {
        let Self { genesis, hospital, user } = *self;
        WrapContext { genesis, hospital, user, subject, recipient: recipient.clone() }
    }

    fn name(&self) -> ObjectContext {
        let Self { genesis, hospital, user: patient } = *self;
        let record = RecordId([0; 16]);
        let section = SectionContext { genesis, hospital, patient, record, section: 0 };
        ObjectContext::new(section, Part::Name)
    }
}

fn check_name(name: &str) -> Result<(), FormatError> {
    let (actual, limit) = (name.len() as u64, MAX_NAME_BYTES);
    if actual > limit {
        return Err(FormatError::TooLarge { what: "a name's length", actual, limit });
    }
    Ok(())
}

fn text(bytes: Zeroizing<Vec<u8>>) -> Result<String, OpenError> {
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| OpenError)
}
