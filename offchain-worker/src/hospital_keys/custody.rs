//! What the hospital's keys do for custody: the hospital's parts of claims, and the patient keys that it has opened as
//! the custodian of a removed hospital.

use std::sync::Arc;

use codec::{DecodeAll, Encode};
use epione_envelope::{
    OpenError, SealError, Zeroizing,
    account::Signer,
    custody::{ClaimPartContext, InheritedContext, SealedClaimPart},
    keys::{PatientKey, PatientKeys},
    opening::PartialContent,
    profile::ProfileContext,
    sealing_keys::{SealingPublicKey, Wrap},
};
use epione_primitives::{AccountId, Hash, HospitalId, UserId};

use super::{HospitalKeys, HospitalKeysError, Keys, Opened, blocking};
use crate::chain::Identity;

impl HospitalKeys {
    /// The hospital's part of a claim, signed by the agent.
    pub async fn seal_claim_part(
        &self,
        context: ClaimPartContext,
        content: PartialContent,
        custodian: SealingPublicKey,
    ) -> Result<SealedClaimPart, HospitalKeysError> {
        let hospital = Arc::clone(&self.keys);
        blocking(move || {
            Ok(SealedClaimPart::seal(&context, &content, &custodian, &hospital.agent)?)
        })
        .await
    }

    /// Another hospital's part of a claim of this hospital. `agent` is the account of the other hospital's agent.
    pub async fn open_claim_part(
        &self,
        context: ClaimPartContext,
        sealed: SealedClaimPart,
        agent: AccountId,
    ) -> Result<PartialContent, HospitalKeysError> {
        let keys = Arc::clone(&self.keys);
        blocking(move || Ok(keys.open(|key| sealed.open(&context, key, &agent))?.content)).await
    }

    /// A patient key that this hospital has opened as a custodian, sealed to its own current key: SCALE of the account
    /// of the agent, and of a wrap.
    pub async fn seal_inherited(
        &self,
        context: InheritedContext,
        key: PatientKey,
    ) -> Result<Vec<u8>, HospitalKeysError> {
        let keys = Arc::clone(&self.keys);
        blocking(move || Ok(seal_inherited(&keys, &context, &key)?)).await
    }

    /// A patient key from [`seal_inherited`](Self::seal_inherited), whichever account sealed it. It may be a wrong key:
    /// only the profile body shows that. Fails if the hospital has another sealing key now, and the earlier one is not
    /// in the configuration.
    pub async fn open_inherited(
        &self,
        context: InheritedContext,
        sealed: Vec<u8>,
    ) -> Result<PatientKey, HospitalKeysError> {
        let keys = Arc::clone(&self.keys);
        blocking(move || Ok(open_inherited(&keys, &context, &sealed)?.content)).await
    }

    /// The same key, sealed to the hospital's current key; none if it is already. Fails as
    /// [`open_inherited`](Self::open_inherited) does.
    pub async fn reseal_inherited(
        &self,
        context: InheritedContext,
        sealed: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, HospitalKeysError> {
        let keys = Arc::clone(&self.keys);
        blocking(move || {
            let Opened { content, by_current } = open_inherited(&keys, &context, &sealed)?;
            if by_current {
                return Ok(None);
            }
            Ok(Some(seal_inherited(&keys, &context, &content)?))
        })
        .await
    }

    /// Checks that the node has a profile body, and that it can be read. It may still be one that no key opens.
    pub async fn check_body(&self, profile: Hash) -> Result<(), HospitalKeysError> {
        self.profile_body(profile).await.map(drop)
    }

    /// How many versions of the patient key a profile body has: 0 if it is not a patient's.
    pub async fn versions_in(&self, profile: Hash) -> Result<u32, HospitalKeysError> {
        Ok(self.profile_body(profile).await?.versions())
    }

    /// All keys of a patient at a hospital, from the profile body there and the newest key, if it is the right one.
    pub async fn keys_with_newest(
        &self,
        context: ProfileContext,
        profile: Hash,
        newest: PatientKey,
    ) -> Result<PatientKeys, HospitalKeysError> {
        let body = self.profile_body(profile).await?;
        blocking(move || {
            let keys = body.patient_keys_with_newest(&context, newest)?;
            // A body with one version shows only by the name whether the key is right.
            body.name_with_patient_keys(&context, &keys)?;
            Ok(keys)
        })
        .await
    }
}

/// What a patient key that this hospital has opened as a custodian is sealed for. `profile` is the profile body at the
/// removed hospital whose newest key it is.
pub fn inherited_context(
    Identity { genesis, hospital: custodian }: Identity,
    departed: HospitalId,
    (patient, profile): (UserId, Hash),
) -> InheritedContext {
    InheritedContext { genesis, departed, custodian, patient, profile }
}

fn seal_inherited(
    keys: &Keys,
    context: &InheritedContext,
    key: &PatientKey,
) -> Result<Vec<u8>, SealError> {
    let Keys { agent, .. } = keys;
    let wrap = Wrap::seal(agent.sealing.public(), context, key.as_bytes(), agent)?;
    Ok((agent.account(), wrap).encode())
}

fn open_inherited(
    keys: &Keys,
    context: &InheritedContext,
    sealed: &[u8],
) -> Result<Opened<PatientKey>, OpenError> {
    // The agent may have another account since.
    let decoded = <(AccountId, Wrap)>::decode_all(&mut &*sealed);
    let (sealer, wrap) = decoded.map_err(|_| OpenError)?;
    let Opened { content, by_current } = keys.open(|key| wrap.open(key, context, &sealer))?;
    let bytes = Zeroizing::new(<[u8; 32]>::try_from(content.as_slice()).map_err(|_| OpenError)?);
    Ok(Opened { content: PatientKey::from_bytes(*bytes), by_current })
}
