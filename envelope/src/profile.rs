//! Profile bodies (R_UPR): what a hospital keeps of a user outside the chain's state. The user's public sealing key, the
//! patient key sealed to the hospital and to the patient, and the name.

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
    sealing::{SealingKeyPair, SealingPublicKey, Wrap, WrapContext, WrapSubject},
    suite::{self, Suite},
};

/// Bytes of a name.
pub const MAX_NAME_BYTES: u64 = 255;

/// Whose profile it is, and at which hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileContext {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub hospital: HospitalId,
    pub user: UserId,
}

/// A user to whom something is sealed.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    pub account: &'a AccountId,
    pub key: &'a SealingPublicKey,
}

/// A profile's sealing key is not the one that the chain knows: somebody swapped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the sealing key in the profile is not the one registered on chain; nothing may be sealed to it"
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
    /// Under a key derived from the patient key.
    name: SealedObject,
}

/// A user's profile at one hospital, sealed and signed by the hospital's agent.
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

    /// Seals the profile of anybody who is not a patient. Only the hospital reads its name.
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

    /// The agent account that sealed it. That it is the hospital's, the chain must confirm.
    pub fn sealer(&self) -> &AccountId {
        &self.sealer
    }

    /// The user's account when it was sealed.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// To whom it was sealed. Whether the key is still the user's, [`ProfileBody::sealing_key`] tells.
    pub fn recipient(&self) -> Recipient<'_> {
        Recipient { account: &self.account, key: &self.sealing_key }
    }

    pub fn is_patient(&self) -> bool {
        matches!(self.secrets, Secrets::Patient(_))
    }

    /// The user's sealing key, if it is the one whose hash the user's profile on chain holds.
    pub fn sealing_key(&self, on_chain_hash: &Hash) -> Result<&SealingPublicKey, SwappedKey> {
        if self.sealing_key.hash() == *on_chain_hash {
            Ok(&self.sealing_key)
        } else {
            Err(SwappedKey)
        }
    }

    /// The patient key, for the hospital. `agent` is the account that must have sealed it.
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

    /// The patient key, for the patient. `agent` is the account that must have sealed it.
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

    /// A patient's name, for those who hold the patient key.
    pub fn name_with_patient_key(
        &self,
        context: &ProfileContext,
        key: &PatientKey,
    ) -> Result<String, OpenError> {
        let name = &self.patient_secrets()?.name;
        text(name.open(&key.name_key(), &context.name())?)
    }

    /// Anybody's name, for the hospital.
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
