//! Who signed a record, and whether they were permitted to. A record names a chain block, and the state after this
//! block decides about accounts, roles and registrations. So a key that was replaced signs nothing new, and what it
//! signed before stays valid. The reader and the verification of a block decide by the same function, [`judge`].

use std::collections::HashMap;

use epione_envelope::record::{Authorship, Record};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, UserId,
    block::SignedAt,
    limits::MAX_SIGNING_AGE_BLOCKS,
    profile::{RegistrationStatus, Role},
};

use super::{BlockRef, Chain, ChainError, Snapshot};

/// What is signed now names the newest finalized block.
impl From<BlockRef> for SignedAt {
    fn from(BlockRef { hash, number }: BlockRef) -> Self {
        Self { number, hash }
    }
}

impl Chain {
    /// Whether this is a finalized block of the chain.
    pub async fn is_final(&self, block: SignedAt) -> Result<bool, ChainError> {
        Ok(self.block_hash(block.number).await? == Some(block.hash))
    }
}

/// A user whose registration at a hospital was in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub account: AccountId,
    pub role: Role,
}

/// Those who must have signed a record, as the chain knew them after the block that the record names. None for a user
/// whose registration at the record's hospital was not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    pub author: Option<Member>,
    /// None, too, if the record names no nurse.
    pub nurse: Option<Member>,
    pub patient: Option<Member>,
}

/// What is in a record as its patient's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cosignature {
    Absent,
    /// The patient's account made it.
    Valid,
    /// Somebody else made it.
    Invalid,
}

/// Why the signatures of a record do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningFault {
    #[error(
        "it names block {signed_at} as the one at which it was signed, and was announced in block {announced_at}: the \
         chain has no such block, or it is not of the day before the announcement"
    )]
    Block { signed_at: BlockNumber, announced_at: BlockNumber },
    #[error(
        "its author, {0}, was not a doctor or nurse whose registration at the hospital was in force"
    )]
    Author(UserId),
    #[error("its author, {0}, did not sign it")]
    AuthorSignature(UserId),
    #[error(
        "{0}, whom it names as its nurse, was not a nurse whose registration at the hospital was in force"
    )]
    Nurse(UserId),
    #[error("its nurse, {0}, did not sign it")]
    NurseSignature(UserId),
    #[error("the registration of its patient, {0}, at the hospital was not in force")]
    Patient(UserId),
}

/// Judges the signatures of author and nurse of a record that was announced in a block. Says what the patient's
/// signature is. `signers` is none if the block that the record names is not a final block of the chain.
pub(crate) fn judge(
    record: &Record,
    genesis: Hash,
    announced_at: BlockNumber,
    signers: Option<&Signers>,
) -> Result<Cosignature, SigningFault> {
    let signed_at = record.signed_at().number;
    let Some(signers) = signers.filter(|_| is_in_time(signed_at, announced_at)) else {
        return Err(SigningFault::Block { signed_at, announced_at });
    };
    check_author(record, genesis, signers)?;
    check_nurse(record, genesis, signers)?;
    let Some(patient) = &signers.patient else {
        return Err(SigningFault::Patient(record.patient()));
    };
    Ok(match record.patient_signature() {
        None => Cosignature::Absent,
        Some(_) if record.verify_cosignature(genesis, &patient.account).is_ok() => {
            Cosignature::Valid
        }
        Some(_) => Cosignature::Invalid,
    })
}

/// Whether a record that was signed at a block may be announced in another one: not before it, and at most
/// [`MAX_SIGNING_AGE_BLOCKS`] after it.
pub(crate) fn is_in_time(signed_at: BlockNumber, announced_at: BlockNumber) -> bool {
    announced_at.checked_sub(signed_at).is_some_and(|age| age <= MAX_SIGNING_AGE_BLOCKS)
}

fn check_author(record: &Record, genesis: Hash, signers: &Signers) -> Result<(), SigningFault> {
    let id = record.author();
    let may_write = |it: &&Member| matches!(it.role, Role::Doctor | Role::Nurse);
    let author = signers.author.as_ref().filter(may_write).ok_or(SigningFault::Author(id))?;
    record.verify(genesis, &author.account).map_err(|_| SigningFault::AuthorSignature(id))
}

fn check_nurse(record: &Record, genesis: Hash, signers: &Signers) -> Result<(), SigningFault> {
    let Some(id) = record.nurse() else { return Ok(()) };
    let is_nurse = |it: &&Member| it.role == Role::Nurse;
    let nurse = signers.nurse.as_ref().filter(is_nurse).ok_or(SigningFault::Nurse(id))?;
    record.verify_nurse(genesis, &nurse.account).map_err(|_| SigningFault::NurseSignature(id))
}

/// Reads the signers of records. It reads each named block once, and each user at each block once.
pub struct PastUsers<'a> {
    chain: &'a Chain,
    /// By number and hash; none for a block that is not a final block of the chain.
    blocks: HashMap<(BlockNumber, Hash), Option<PastBlock>>,
}

/// The state after a block, and the users that were read from it.
struct PastBlock {
    state: Snapshot,
    users: HashMap<(HospitalId, UserId), Option<Member>>,
}

impl<'a> PastUsers<'a> {
    pub fn of(chain: &'a Chain) -> Self {
        Self { chain, blocks: HashMap::new() }
    }

    /// The signers of a record. None if the block that it names is not a final block of the chain.
    pub async fn signers(
        &mut self,
        authorship: &Authorship,
    ) -> Result<Option<Signers>, ChainError> {
        let Authorship { hospital, patient, author, nurse, signed_at, .. } = *authorship;
        let Some(block) = self.block(signed_at).await? else { return Ok(None) };
        let author = block.member(hospital, author).await?;
        let nurse = match nurse {
            Some(nurse) => block.member(hospital, nurse).await?,
            None => None,
        };
        let patient = block.member(hospital, patient).await?;
        Ok(Some(Signers { author, nurse, patient }))
    }

    async fn block(&mut self, at: SignedAt) -> Result<Option<&mut PastBlock>, ChainError> {
        let key = (at.number, at.hash);
        if !self.blocks.contains_key(&key) {
            let is_final = self.chain.is_final(at).await?;
            let block = || PastBlock { state: self.chain.at(at.hash), users: HashMap::new() };
            let block = is_final.then(block);
            self.blocks.insert(key, block);
        }
        Ok(self.blocks.get_mut(&key).and_then(Option::as_mut))
    }
}

impl PastBlock {
    async fn member(
        &mut self,
        hospital: HospitalId,
        user: UserId,
    ) -> Result<Option<Member>, ChainError> {
        if let Some(known) = self.users.get(&(hospital, user)) {
            return Ok(known.clone());
        }
        let registration = self.state.registration(hospital, user).await?;
        let is_active = registration.is_some_and(|it| it.status == RegistrationStatus::Active);
        let profile = if is_active { self.state.profile(user).await? } else { None };
        let member = profile.map(|it| Member { account: it.account, role: it.role });
        self.users.insert((hospital, user), member.clone());
        Ok(member)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use codec::{Decode, Encode};
    use epione_primitives::{
        RecordId,
        profile::{Profile, Registration},
    };
    use serde_json::{Value, json};
    use sp_core::Bytes;

    use super::*;
    use crate::chain::fake::FakeNode;

    const HOSPITAL: HospitalId = HospitalId(3);
    const DOCTOR: UserId = UserId([5; 32]);
    /// Suspended from block 6 on.
    const NURSE: UserId = UserId([6; 32]);
    const PATIENT: UserId = UserId([7; 32]);

    fn account(byte: u8) -> AccountId {
        AccountId::new([byte; 32])
    }

    fn block(number: u32) -> Hash {
        Hash::repeat_byte(number as u8)
    }

    fn authorship(signed_at: SignedAt) -> Authorship {
        Authorship {
            record: RecordId([8; 16]),
            patient: PATIENT,
            hospital: HOSPITAL,
            author: DOCTOR,
            nurse: Some(NURSE),
            signed_at,
            extraction: Default::default(),
        }
    }

    /// Users are registered at [`HOSPITAL`] only.
    fn registration(at: u8, hospital: HospitalId, user: UserId) -> Option<Registration> {
        let is_suspended = user == NURSE && at >= 6;
        (hospital == HOSPITAL && at >= 4).then(|| Registration {
            status: match is_suspended {
                true => RegistrationStatus::Suspended,
                false => RegistrationStatus::Active,
            },
            periods: Default::default(),
            version: 1,
            body_hash: Hash::zero(),
        })
    }

    fn profile(at: u8, user: UserId) -> Option<Profile> {
        let role = match user {
            DOCTOR => Role::Doctor,
            NURSE => Role::Nurse,
            _ => Role::Patient,
        };
        (at >= 4).then(|| Profile {
            role,
            account: account(if at >= 6 { 2 } else { 1 }),
            sealing_key_hash: Hash::zero(),
            version: 1,
            since: 0,
        })
    }

    fn argument<T: Decode>(params: &[Value]) -> T {
        let Bytes(bytes) = serde_json::from_value(params[1].clone()).unwrap();
        T::decode(&mut bytes.as_slice()).unwrap()
    }

    /// A node whose newest finalized block is 8. From block 4 on, the users have account 1, from block 6 on account 2.
    fn node() -> FakeNode {
        FakeNode::new(move |method, params: &[Value]| {
            let at = || serde_json::from_value::<Hash>(params[2].clone()).unwrap().as_bytes()[0];
            match method {
                "chain_getFinalizedHead" => json!(block(8)),
                "chain_getHeader" => json!({ "number": "0x8" }),
                "chain_getBlockHash" => json!(block(params[0].as_u64().unwrap() as u32)),
                "ProfilesApi_profile" => json!(Bytes(profile(at(), argument(params)).encode())),
                "ProfilesApi_registration" => {
                    let (hospital, user) = argument(params);
                    json!(Bytes(registration(at(), hospital, user).encode()))
                }
                other => panic!("{other}"),
            }
        })
    }

    #[tokio::test]
    async fn a_user_signs_with_the_account_of_the_named_block_only() {
        let chain = node().connect().await;
        let mut past = PastUsers::of(&chain);
        let mut at = async |number| {
            let signed_at = SignedAt { number, hash: block(number) };
            past.signers(&authorship(signed_at)).await.unwrap().unwrap()
        };
        let member = |byte, role| Some(Member { account: account(byte), role });
        let nobody = Signers { author: None, nurse: None, patient: None };
        assert_eq!(at(3).await, nobody, "not registered yet");
        let before = Signers {
            author: member(1, Role::Doctor),
            nurse: member(1, Role::Nurse),
            patient: member(1, Role::Patient),
        };
        assert_eq!(at(5).await, before);
        let after = Signers {
            author: member(2, Role::Doctor),
            nurse: None,
            patient: member(2, Role::Patient),
        };
        assert_eq!(at(6).await, after, "the nurse is suspended");
    }

    #[tokio::test]
    async fn a_registration_at_another_hospital_does_not_count() {
        let chain = node().connect().await;
        let signed_at = SignedAt { number: 5, hash: block(5) };
        let elsewhere = Authorship { hospital: HospitalId(4), ..authorship(signed_at) };
        let signers = PastUsers::of(&chain).signers(&elsewhere).await.unwrap().unwrap();
        assert_eq!(signers, Signers { author: None, nurse: None, patient: None });
    }

    #[tokio::test]
    async fn a_block_of_a_fork_or_of_the_future_gives_no_account() {
        let node = node();
        let chain = node.connect().await;
        let mut past = PastUsers::of(&chain);
        for (number, hash) in [(5, block(6)), (9, block(9)), (u32::MAX, block(5))] {
            let found = past.signers(&authorship(SignedAt { number, hash })).await.unwrap();
            assert_eq!(found, None, "{number}");
        }
        assert!(!node.requests().iter().any(|request| request.starts_with("ProfilesApi")));
    }

    #[tokio::test]
    async fn the_users_of_a_block_are_read_once_for_all_its_records() {
        let node = node();
        let chain = node.connect().await;
        let mut past = PastUsers::of(&chain);
        let record = authorship(SignedAt { number: 5, hash: block(5) });
        past.signers(&record).await.unwrap();
        let requests = node.requests().len();
        past.signers(&record).await.unwrap();
        assert_eq!(node.requests().len(), requests);
    }
}
