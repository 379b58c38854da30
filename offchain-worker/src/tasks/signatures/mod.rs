//! Whether a record was signed by those who must have signed it, and whether they were permitted to.
//!
//! A record names the chain block at which its author signed it. Accounts, roles and registrations are judged by the
//! state after that block. So whatever changes later, hospitals judge an acknowledged record as the hospital did that
//! acknowledged it. The worker checks this when it accepts a visit, before it announces a block, and before it votes.

use std::collections::HashMap;

use epione_envelope::{
    SignatureError,
    record::{Record, SignedDraft},
    signature::Authorship,
};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, UserId,
    block::SignedAt,
    limits::MAX_SIGNING_AGE_BLOCKS,
    profile::{RegistrationStatus, Role},
};

use crate::chain::{FinalState, PastStates, ViewError};

/// Whether a record that was signed at a block may be announced in another one: not before it, and at most
/// [`MAX_SIGNING_AGE_BLOCKS`] after it.
pub fn is_in_time(signed_at: BlockNumber, announced_at: BlockNumber) -> bool {
    announced_at.checked_sub(signed_at).is_some_and(|age| age <= MAX_SIGNING_AGE_BLOCKS)
}

/// Why the signatures of a record do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the block at which it was signed is not one of the chain's finalized blocks")]
    Block,
    #[error("its author was not a doctor or nurse whose registration at the hospital was in force")]
    Author,
    #[error("its author's account did not sign it")]
    AuthorSignature,
    #[error(
        "the nurse whom it names was not a nurse whose registration at the hospital was in force"
    )]
    Nurse,
    #[error("the account of the nurse whom it names did not sign it")]
    NurseSignature,
    #[error("its patient's registration at the hospital was not in force")]
    Patient,
    #[error("its patient's account did not make the patient's signature")]
    PatientSignature,
}

/// A record with signatures, sealed or not.
pub trait Signed: Sync {
    fn authorship(&self) -> Authorship;
    fn is_cosigned(&self) -> bool;
    fn verify(&self, genesis: Hash, author: &AccountId) -> Result<(), SignatureError>;
    fn verify_nurse(&self, genesis: Hash, nurse: &AccountId) -> Result<(), SignatureError>;
    fn verify_cosignature(&self, genesis: Hash, patient: &AccountId) -> Result<(), SignatureError>;
}

impl Signed for Record {
    fn authorship(&self) -> Authorship {
        Self::authorship(self).clone()
    }

    fn is_cosigned(&self) -> bool {
        self.patient_signature().is_some()
    }

    fn verify(&self, genesis: Hash, author: &AccountId) -> Result<(), SignatureError> {
        Self::verify(self, genesis, author)
    }

    fn verify_nurse(&self, genesis: Hash, nurse: &AccountId) -> Result<(), SignatureError> {
        Self::verify_nurse(self, genesis, nurse)
    }

    fn verify_cosignature(&self, genesis: Hash, patient: &AccountId) -> Result<(), SignatureError> {
        Self::verify_cosignature(self, genesis, patient)
    }
}

impl Signed for SignedDraft {
    fn authorship(&self) -> Authorship {
        self.draft.authorship()
    }

    fn is_cosigned(&self) -> bool {
        self.patient_signature.is_some()
    }

    fn verify(&self, genesis: Hash, author: &AccountId) -> Result<(), SignatureError> {
        Self::verify(self, genesis, author)
    }

    fn verify_nurse(&self, genesis: Hash, nurse: &AccountId) -> Result<(), SignatureError> {
        Self::verify_nurse(self, genesis, nurse)
    }

    fn verify_cosignature(&self, genesis: Hash, patient: &AccountId) -> Result<(), SignatureError> {
        Self::verify_cosignature(self, genesis, patient)
    }
}

/// The signers of one hospital's records. Reads the newest block, each signed block's state, and each user in it, once.
pub struct Signers<'a> {
    genesis: Hash,
    hospital: HospitalId,
    past: &'a dyn PastStates,
    /// The number of the newest finalized block, once it is known.
    newest: Option<BlockNumber>,
    /// By number and hash; none for a block that the chain does not have.
    blocks: HashMap<(BlockNumber, Hash), Option<KnownBlock>>,
}

/// The state after a block, and what was read from it.
struct KnownBlock {
    state: Box<dyn FinalState>,
    /// The users whose registrations at the hospital were in force; none for all others.
    users: HashMap<UserId, Option<Member>>,
}

/// A user whose registration at the hospital was in force.
#[derive(Clone)]
struct Member {
    account: AccountId,
    role: Role,
}

impl<'a> Signers<'a> {
    pub fn new(genesis: Hash, hospital: HospitalId, past: &'a dyn PastStates) -> Self {
        Self { genesis, hospital, past, newest: None, blocks: HashMap::new() }
    }

    /// Checks the signatures of a record, and returns the account that its author had. The error means that the chain
    /// could not be read.
    pub async fn check(
        &mut self,
        record: &dyn Signed,
    ) -> Result<Result<AccountId, Fault>, ViewError> {
        let (genesis, hospital) = (self.genesis, self.hospital);
        let Authorship { author, nurse, patient, signed_at, .. } = record.authorship();
        let Some(block) = self.block(signed_at).await? else { return Ok(Err(Fault::Block)) };
        let author = block.member(hospital, author).await?;
        let patient = block.member(hospital, patient).await?;
        let nurse = match nurse {
            Some(nurse) => Some(block.member(hospital, nurse).await?),
            None => None,
        };
        Ok(judge(record, genesis, author, nurse, patient))
    }

    async fn block(&mut self, at: SignedAt) -> Result<Option<&mut KnownBlock>, ViewError> {
        let key = (at.number, at.hash);
        if !self.blocks.contains_key(&key) {
            let is_final = at.number <= self.newest().await?;
            let state = if is_final { self.past.after(at).await? } else { None };
            let block = state.map(|state| KnownBlock { state, users: HashMap::new() });
            self.blocks.insert(key, block);
        }
        Ok(self.blocks.get_mut(&key).and_then(Option::as_mut))
    }
}

impl Signers<'_> {
    async fn newest(&mut self) -> Result<BlockNumber, ViewError> {
        if let Some(newest) = self.newest {
            return Ok(newest);
        }
        let newest = self.past.last_finalized().await?;
        self.newest = Some(newest);
        Ok(newest)
    }
}

impl KnownBlock {
    async fn member(
        &mut self,
        hospital: HospitalId,
        user: UserId,
    ) -> Result<Option<Member>, ViewError> {
        if let Some(known) = self.users.get(&user) {
            return Ok(known.clone());
        }
        let registration = self.state.registration(hospital, user).await?;
        let is_active = registration.is_some_and(|it| it.status == RegistrationStatus::Active);
        let profile = self.state.profile(user).await?.filter(|_| is_active);
        let member = profile.map(|it| Member { account: it.account, role: it.role });
        self.users.insert(user, member.clone());
        Ok(member)
    }
}

/// `nurse` is present if the record names one.
fn judge(
    record: &dyn Signed,
    genesis: Hash,
    author: Option<Member>,
    nurse: Option<Option<Member>>,
    patient: Option<Member>,
) -> Result<AccountId, Fault> {
    let may_write = |it: &Member| matches!(it.role, Role::Doctor | Role::Nurse);
    let author = author.filter(may_write).ok_or(Fault::Author)?;
    record.verify(genesis, &author.account).map_err(|_| Fault::AuthorSignature)?;
    if let Some(nurse) = nurse {
        let nurse = nurse.filter(|it| it.role == Role::Nurse).ok_or(Fault::Nurse)?;
        record.verify_nurse(genesis, &nurse.account).map_err(|_| Fault::NurseSignature)?;
    }
    let patient = patient.ok_or(Fault::Patient)?;
    if record.is_cosigned() {
        let cosigned = record.verify_cosignature(genesis, &patient.account);
        cosigned.map_err(|_| Fault::PatientSignature)?;
    }
    Ok(author.account)
}

#[cfg(test)]
mod tests;
