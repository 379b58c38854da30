//! Verifies evidence offline, from the hash of the genesis block alone, and judges each proof.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use codec::{Decode, DecodeWithMemLimit};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, UserId, block::SignedAt, hospital::Hospital,
    profile::Profile,
};
use epione_proofs::StateError;

use super::{
    Bundle, FORMAT, MAGIC, MAX_FILE_BYTES, MAX_MEMORY, MAX_NODE_BYTES, MAX_NODES, Scope,
    calls::{Calls, Said, Sought},
    look, opening, query, record,
    transaction::{Party, Proof, Step, Subject, Transaction, Verdict},
};
use crate::{
    chain::{ProofFault, ProvenChain, Sent, SignedInBlock, keys},
    offline::{self, OtherChain, check_chain},
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
    #[error(transparent)]
    OtherChain(#[from] OtherChain),
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
    /// The patient of whom the evidence has every record, query, look and opening until the final block. None if its
    /// maker chose them: there may be others.
    pub all_of: Option<UserId>,
    /// In the order of their subjects.
    pub transactions: Vec<Transaction>,
}

impl Verified {
    /// How old the proof is.
    pub fn age(&self, now: Moment) -> Duration {
        offline::age(self.proven_time, now)
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

/// The genesis hash that the file names. Nothing else is read, and nothing is verified.
pub fn claimed_genesis(file: &[u8]) -> Result<Hash, Flaw> {
    Hash::decode(&mut content(file)?).map_err(|error| Flaw::Malformed(error.to_string()))
}

/// Verifies evidence for the chain with this genesis block. A result may have proofs that are missing or wrong.
pub fn verify(file: &[u8], genesis: Hash) -> Result<Verified, Flaw> {
    check_chain(genesis, claimed_genesis(file)?)?;
    let Bundle { scope, proof, sent, .. } = decode(file)?;
    let chain = proof.open(genesis)?;
    let subjects = scope.subjects(&chain)?;
    let mut shown: BTreeMap<BlockNumber, Vec<Shown>> = BTreeMap::new();
    for sent in sent {
        let (block, signed) = (sent.place().0, sent.open(&chain, genesis)?);
        shown.entry(block).or_default().push(Shown::read(signed));
    }
    let evidence = Evidence { genesis, chain, shown };
    let mut transactions = Vec::new();
    for subject in subjects {
        transactions.push(match subject {
            Subject::Record(pointer) => record::transaction(&evidence, pointer)?,
            Subject::Query(id) => query::transaction(&evidence, id)?,
            Subject::Look { patient, number } => look::transaction(&evidence, patient, number)?,
            Subject::Opening(id) => opening::transaction(&evidence, id)?,
        });
    }
    let ProvenChain { head, time, .. } = evidence.chain;
    let all_of = match scope {
        Scope::Patient(patient) => Some(patient),
        Scope::Chosen(_) => None,
    };
    Ok(Verified { genesis, proven_at: head, proven_time: time, all_of, transactions })
}

/// What follows the first bytes and the byte of the format.
fn content(file: &[u8]) -> Result<&[u8], Flaw> {
    if file.len() as u64 > MAX_FILE_BYTES {
        return Err(Flaw::TooLarge);
    }
    let content = file.strip_prefix(&MAGIC).ok_or(Flaw::NotEvidence)?;
    match content.split_first() {
        Some((&FORMAT, rest)) => Ok(rest),
        Some((other, _)) => Err(Flaw::Format(*other)),
        None => Err(Flaw::Malformed("it ends too early".into())),
    }
}

pub(super) fn decode(file: &[u8]) -> Result<Bundle, Flaw> {
    let mut rest = content(file)?;
    let bundle = Bundle::decode_with_mem_limit(&mut rest, MAX_MEMORY)
        .map_err(|error| Flaw::Malformed(error.to_string()))?;
    let malformed = |reason: &str| Err(Flaw::Malformed(reason.into()));
    if !rest.is_empty() {
        return malformed("it has bytes after its end");
    }
    if !bundle.scope.is_ordered() {
        return malformed("its subjects are not in order");
    }
    if !bundle.sent.is_sorted_by(|former, latter| former.place() < latter.place()) {
        return malformed("its signed calls are not in order");
    }
    let nodes = || bundle.proof.trie_nodes().chain(bundle.sent.iter().flat_map(Sent::trie_nodes));
    if nodes().count() > MAX_NODES || nodes().any(|node| node.len() > MAX_NODE_BYTES) {
        return malformed("its trie nodes are too many, or too large");
    }
    Ok(bundle)
}

/// What a file proves, before it is judged.
pub(super) struct Evidence {
    pub(super) genesis: Hash,
    pub(super) chain: ProvenChain,
    shown: BTreeMap<BlockNumber, Vec<Shown>>,
}

/// A signed extrinsic of a block, decoded once.
struct Shown {
    signed: SignedInBlock,
    calls: Calls,
}

impl Shown {
    fn read(mut signed: SignedInBlock) -> Self {
        // Not kept twice: it may have megabytes.
        let call = std::mem::take(&mut signed.call);
        Self { signed, calls: Calls::read(&call) }
    }
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

    /// Judges whether a party signed what it should have signed, and returns what the call says if it did. `amiss` says
    /// what is wrong with a call of the sought kind.
    ///
    /// Who made the file may have left out calls of the block, and may have named other versions than those that were
    /// signed. A call that failed changed nothing, so a party that signed a wrong one may have signed the right one,
    /// too. So a party is accused only if the file shows everything that it signed in the block.
    pub(super) fn judge(
        &self,
        signing: Signing,
        amiss: impl Fn(&Said) -> Option<String>,
    ) -> Result<(Proof, Option<&Said>), ProofFault> {
        let Signing { step, by, hash, block, sought, accounts } = signing;
        let is_own = |it: &&Shown| accounts.contains(&it.signed.signer) && it.calls.have(&sought);
        let own = || self.shown_of(block).filter(is_own);
        let is_right = |said: &Said| sought.is(said) && amiss(said).is_none();
        let mut counted =
            own().filter(|it| it.signed.is_authentic && it.signed.is_of_known_encoding());
        let right =
            counted.find_map(|it| Some((it, it.calls.said.iter().find(|said| is_right(said))?)));
        let (chosen, verdict) = match (right, own().next()) {
            (Some((it, _)), _) => (Some(it), Verdict::Proven),
            (None, Some(it)) => {
                let mut wrong = it.calls.said.iter().filter(|said| sought.is(said));
                let reason = wrong.find_map(&amiss).unwrap_or_default();
                (Some(it), self.accuse(block, &accounts, reason, &by))
            }
            (None, None) => {
                let reason =
                    format!("the evidence shows no such call of it in chain block {block}");
                (None, Verdict::missing(reason))
            }
        };
        let proof = Proof {
            hash: Some(hash),
            block: Some(block),
            time: Some(self.chain.time_of(block)?),
            signer: chosen.map(|it| it.signed.signer.clone()),
            extrinsic: chosen.map(|it| it.signed.hash),
            ..Proof::new(step, by, verdict)
        };
        Ok((proof, right.map(|(_, said)| said)))
    }

    fn shown_of(&self, block: BlockNumber) -> impl Iterator<Item = &Shown> {
        self.shown.get(&block).into_iter().flatten()
    }

    /// The verdict about a party of which the file shows a call of the sought kind in a block, and no right one.
    fn accuse(
        &self,
        block: BlockNumber,
        accounts: &[AccountId],
        reason: String,
        by: &Party,
    ) -> Verdict {
        let mut own = self.shown_of(block).filter(|it| accounts.contains(&it.signed.signer));
        let doubtful = own.find_map(|it| match it {
            it if !it.signed.is_authentic => Some(
                "a signature does not verify: the evidence names other versions or another first block of the \
                 transaction than its signer signed; perhaps nobody is at fault",
            ),
            it if !it.signed.is_of_known_runtime() => {
                Some("the call was made for another version of the chain than this version of epione knows")
            }
            it if !it.calls.are_all => Some("this version of epione cannot read all calls of the party in the block"),
            _ => None,
        });
        if let Some(doubtful) = doubtful {
            return Verdict::missing(doubtful);
        }
        if accounts.iter().all(|account| self.shows_all_of(block, account)) {
            return Verdict::wrong(reason, by.clone());
        }
        Verdict::missing(format!(
            "{reason}, and the evidence does not show every transaction of the party in chain block {block}: perhaps \
             nobody is at fault"
        ))
    }

    /// Whether the file shows every transaction of an account in a block: the states before and after it have how many
    /// the account had sent.
    fn shows_all_of(&self, block: BlockNumber, account: &AccountId) -> bool {
        let sent = |block| self.chain.sent_by(block, account).ok();
        let before = block.checked_sub(1).and_then(sent);
        let number = before.zip(sent(block)).and_then(|(before, after)| after.checked_sub(before));
        let shown = self.shown_of(block).filter(|it| it.signed.signer == *account).count();
        number.is_some_and(|number| u64::from(number) == shown as u64)
    }
}

/// A block, and the block before it.
pub(super) fn around(block: BlockNumber) -> impl Iterator<Item = BlockNumber> {
    block.checked_sub(1).into_iter().chain([block])
}
