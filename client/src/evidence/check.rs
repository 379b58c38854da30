//! Verifies evidence offline, from the hash of the genesis block alone, and judges each proof.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use codec::DecodeWithMemLimit;
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, UserId, block::SignedAt, hospital::Hospital,
    profile::Profile,
};
use epione_proofs::StateError;

use super::{
    Bundle, FORMAT, MAGIC, MAX_FILE_BYTES, MAX_MEMORY,
    calls::Sought,
    look, query, record,
    transaction::{Party, Proof, Step, Subject, Transaction, Verdict},
};
use crate::{
    chain::{ProofFault, ProvenChain, SignedInBlock, keys},
    private,
};

/// Why a file is not evidence of anything.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    #[error("{} cannot be read: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is a link, a folder or a pipe, and not a file", .path.display())]
    NotFile { path: PathBuf },
    #[error("the file has more than {max} bytes: it is not evidence", max = MAX_FILE_BYTES)]
    TooLarge,
    #[error("this is not evidence: the file begins with other bytes")]
    NotEvidence,
    #[error("the file is of format {0}, which this version does not read: update epione")]
    Format(u8),
    #[error("the file of the evidence is damaged: {0}")]
    Malformed(String),
    #[error(
        "it is about the chain whose first block is {found:?}, and the verifier trusts {expected:?}"
    )]
    OtherChain { expected: Hash, found: Hash },
    #[error("it does not prove what the chain says: {0}")]
    Unproven(#[from] ProofFault),
}

impl Flaw {
    /// Whether another version of this program may find nothing wrong.
    pub fn is_of_version(&self) -> bool {
        match self {
            Self::Format(_) => true,
            Self::Unproven(fault) => matches!(
                fault,
                ProofFault::State(StateError::OtherType { .. }) | ProofFault::Absent(_)
            ),
            _ => false,
        }
    }
}

/// Verified evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub genesis: Hash,
    /// The final block of the proof, and its time: the evidence shows the chain as it was then.
    pub proven_at: SignedAt,
    pub proven_time: Moment,
    /// In the order of their subjects.
    pub transactions: Vec<Transaction>,
}

impl Verified {
    /// How old the proof is.
    pub fn age(&self, now: Moment) -> Duration {
        Duration::from_millis(now.saturating_sub(self.proven_time))
    }
}

/// Reads the file of evidence.
pub fn read(path: &Path) -> Result<Vec<u8>, Flaw> {
    let failed = |source| Flaw::File { path: path.to_owned(), source };
    let file = private::open(path).map_err(failed)?;
    let file = file.ok_or_else(|| Flaw::NotFile { path: path.to_owned() })?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(Flaw::TooLarge) } else { Ok(bytes) }
}

/// The genesis hash that the file names. Nothing is verified.
pub fn claimed_genesis(file: &[u8]) -> Result<Hash, Flaw> {
    Ok(decode(file)?.genesis)
}

/// Verifies evidence for the chain with this genesis block. A result may have proofs that are missing or wrong.
pub fn verify(file: &[u8], genesis: Hash) -> Result<Verified, Flaw> {
    let bundle = decode(file)?;
    if bundle.genesis != genesis {
        return Err(Flaw::OtherChain { expected: genesis, found: bundle.genesis });
    }
    let chain = bundle.proof.open(genesis)?;
    let sent: Result<Vec<_>, _> =
        bundle.sent.iter().map(|sent| sent.open(&chain, genesis)).collect();
    let evidence = Evidence { genesis, chain, sent: sent? };
    let mut transactions = Vec::new();
    for subject in &bundle.subjects {
        transactions.push(match subject {
            Subject::Record(pointer) => record::transaction(&evidence, *pointer)?,
            Subject::Query(id) => query::transaction(&evidence, *id)?,
            Subject::Look { patient, number } => look::transaction(&evidence, *patient, *number)?,
        });
    }
    let ProvenChain { head, time, .. } = evidence.chain;
    Ok(Verified { genesis, proven_at: head, proven_time: time, transactions })
}

pub(super) fn decode(file: &[u8]) -> Result<Bundle, Flaw> {
    if file.len() as u64 > MAX_FILE_BYTES {
        return Err(Flaw::TooLarge);
    }
    let content = file.strip_prefix(&MAGIC).ok_or(Flaw::NotEvidence)?;
    let mut rest = match content.split_first() {
        Some((&FORMAT, rest)) => rest,
        Some((other, _)) => return Err(Flaw::Format(*other)),
        None => return Err(Flaw::Malformed("it ends too early".into())),
    };
    let bundle = Bundle::decode_with_mem_limit(&mut rest, MAX_MEMORY)
        .map_err(|error| Flaw::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(Flaw::Malformed("it has bytes after its end".into()));
    }
    if bundle.subjects.is_empty() || !bundle.subjects.is_sorted_by(|former, latter| former < latter)
    {
        return Err(Flaw::Malformed("its subjects are not in order".into()));
    }
    Ok(bundle)
}

/// What a file proves, before it is judged.
pub(super) struct Evidence {
    pub(super) genesis: Hash,
    pub(super) chain: ProvenChain,
    sent: Vec<SignedInBlock>,
}

/// What should be signed in a block.
pub(super) struct Signing {
    pub(super) step: Step,
    pub(super) by: Party,
    pub(super) hash: Hash,
    pub(super) block: BlockNumber,
    pub(super) sought: Sought,
    /// The accounts that the party had before and after the block.
    pub(super) accounts: Vec<AccountId>,
}

impl Evidence {
    /// The agents of a hospital before and after a block: two if it rotated them in the block.
    pub(super) fn agents(
        &self,
        hospital: HospitalId,
        block: BlockNumber,
    ) -> Result<Vec<AccountId>, ProofFault> {
        self.around(block, |block| {
            let known: Option<Hospital> = self.chain.after(block, &keys::hospital(hospital))?;
            Ok(known.map(|hospital| hospital.agent))
        })
    }

    /// The accounts of a user before and after a block.
    pub(super) fn accounts(
        &self,
        user: UserId,
        block: BlockNumber,
    ) -> Result<Vec<AccountId>, ProofFault> {
        self.around(block, |block| {
            let known: Option<Profile> = self.chain.after(block, &keys::profile(user))?;
            Ok(known.map(|profile| profile.account))
        })
    }

    fn around(
        &self,
        block: BlockNumber,
        account: impl Fn(BlockNumber) -> Result<Option<AccountId>, ProofFault>,
    ) -> Result<Vec<AccountId>, ProofFault> {
        let mut accounts = Vec::new();
        for number in around(block) {
            accounts.extend(account(number)?.filter(|account| !accounts.contains(account)));
        }
        Ok(accounts)
    }

    /// Judges whether a party signed what it should have signed, and returns the signed call if it did. `is_right` says
    /// what is wrong with a call of the sought kind.
    ///
    /// Who made the file may have left out calls of the block. So the call of another account proves nothing, and
    /// accuses nobody.
    pub(super) fn judge(
        &self,
        signing: Signing,
        is_right: impl Fn(&[u8]) -> Result<(), String>,
    ) -> Result<(Proof, Option<&SignedInBlock>), ProofFault> {
        let Signing { step, by, hash, block, sought, accounts } = signing;
        let found = || self.sent.iter().filter(|it| it.block == block && sought.is(&it.call));
        let own = || found().filter(|it| accounts.contains(&it.signer));
        let right = own().find(|it| it.is_authentic && is_right(&it.call).is_ok());
        let chosen = right.or_else(|| own().find(|it| it.is_authentic)).or_else(|| own().next());
        let verdict = match chosen {
            Some(_) if right.is_some() => Verdict::Proven,
            Some(call) if call.is_authentic => {
                Verdict::wrong(is_right(&call.call).err().unwrap_or_default(), by.clone())
            }
            Some(_) => Verdict::wrong(
                "the signature does not verify: the evidence was changed, or nobody made the signature",
                None,
            ),
            None => Verdict::missing(match found().next() {
                // Other hospitals approve in the same block.
                Some(call) if step != Step::Receive => format!(
                    "of chain block {block}, the evidence shows such a call only by account {}",
                    call.signer
                ),
                _ => format!("the evidence shows no such call in chain block {block}"),
            }),
        };
        let proof = Proof {
            hash: Some(hash),
            block: Some(block),
            time: Some(self.chain.time_of(block)?),
            signer: chosen.map(|call| call.signer.clone()),
            extrinsic: chosen.map(|call| call.hash),
            ..Proof::new(step, by, verdict)
        };
        Ok((proof, right))
    }
}

/// A block, and the block before it.
pub(super) fn around(block: BlockNumber) -> impl Iterator<Item = BlockNumber> {
    block.checked_sub(1).into_iter().chain([block])
}
