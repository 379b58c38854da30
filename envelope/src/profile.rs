//! Profile bodies (R_UPR): the part of a user's profile outside the chain's state. A body contains the user's public
//! sealing key, the patient key sealed to the hospital and to the patient, and the sealed name.

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, HospitalId, RecordId, UserId, limits::MAX_PROFILE_BODY_BYTES,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    FormatError, OpenError, SealError,
    account::Signer,
    keys::{PatientKey, SectionContext},
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

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct PatientSecrets {
    key_for_hospital: Wrap,
    key_for_patient: Wrap,
    /// Sealed under a key derived from the patient key.
    name: SealedObject,
}

/// A user's profile at one hospital. The hospital's agent seals and signs it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProfileBody {
    suite: Suite,
    sealer: AccountId,
    account: AccountId,
    sealing_key: SealingPublicKey,
    secrets: Secrets,
}

impl ProfileBody {
    /// Seals a patient's profile. `user` is the patient.
    pub fn for_patient(
        context: &ProfileContext,
        name: &str,
        patient_key: &PatientKey,
        user: Recipient<'_>,
        hospital_key: &SealingPublicKey,
        agent: &impl Signer,
    ) -> Result<Self, SealError> {
        check_name(name)?;
        let key = patient_key.as_bytes();
        let wrap = |to: &SealingPublicKey, account: &AccountId| {
            Wrap::seal(to, &context.wrap(WrapSubject::PatientKey, account), key, agent)
        };
        let secrets = PatientSecrets {
            key_for_hospital: wrap(hospital_key, &agent.account())?,
            key_for_patient: wrap(user.key, user.account)?,
            name: SealedObject::seal(&patient_key.name_key(), &context.name(), name.as_bytes())?,
        };
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
        suite::decode_exactly("the profile body", bytes, MAX_PROFILE_BODY_BYTES as usize)
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

    /// The user's sealing key, if its hash is the one in the user's profile on chain.
    pub fn sealing_key(&self, on_chain_hash: &Hash) -> Result<&SealingPublicKey, SwappedKey> {
        if self.sealing_key.hash() == *on_chain_hash {
            Ok(&self.sealing_key)
        } else {
            Err(SwappedKey)
        }
    }

    /// Opens the patient key for the hospital. `agent` is the account that must have sealed it.
    pub fn patient_key_for_hospital(
        &self,
        context: &ProfileContext,
        hospital: &SealingKeyPair,
        agent: &AccountId,
    ) -> Result<PatientKey, OpenError> {
        let sealed = &self.patient_secrets()?.key_for_hospital;
        let context = context.wrap(WrapSubject::PatientKey, agent);
        PatientKey::from_slice(&sealed.open(hospital, &context, agent)?)
    }

    /// Opens the patient key for the patient. `agent` is the account that must have sealed it.
    pub fn patient_key_for_patient(
        &self,
        context: &ProfileContext,
        patient: &SealingKeyPair,
        agent: &AccountId,
    ) -> Result<PatientKey, OpenError> {
        let sealed = &self.patient_secrets()?.key_for_patient;
        let context = context.wrap(WrapSubject::PatientKey, &self.account);
        PatientKey::from_slice(&sealed.open(patient, &context, agent)?)
    }

    /// Opens a patient's name with the patient key.
    pub fn name_with_patient_key(
        &self,
        context: &ProfileContext,
        key: &PatientKey,
    ) -> Result<String, OpenError> {
        let name = &self.patient_secrets()?.name;
        text(name.open(&key.name_key(), &context.name())?)
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
                let key = self.patient_key_for_hospital(context, hospital, agent)?;
                self.name_with_patient_key(context, &key)
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

impl ProfileContext {
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
