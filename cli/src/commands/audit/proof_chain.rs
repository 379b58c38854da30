//! `epione audit proof-chain`: collects the proofs of records, queries, looks and openings from a node, verifies them,
//! and writes them as evidence that needs no node.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{ArgGroup, Args};
use epione_client::{
    evidence::{self, Made, Scope, Subject, Transaction, Verified},
    private,
};
use epione_primitives::{
    Hash, Moment, RecordPointer, UserId, block::SignedAt, opening::OpeningId, query::QueryId,
};
use serde::Serialize;

use crate::{
    commands::evidence::{About, Transactions},
    context::{Context, Output},
    failure::Failure,
    invocation::Invocation,
    progress,
    wording::moment,
};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("subject").required(true).args(["record", "query", "opening", "patient"])))]
pub struct ProofChainArgs {
    /// A committed record, such as 12/0
    #[arg(long, value_name = "RECORD")]
    pub record: Option<RecordPointer>,
    /// The number of a query
    #[arg(long, value_name = "QUERY")]
    pub query: Option<u32>,
    /// The number of an opening
    #[arg(long, value_name = "OPENING")]
    pub opening: Option<u32>,
    /// All records, queries, looks and openings of a patient: user id, its first digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: Option<UserId>,
    /// Of --patient, only the look with this receipt, as `epione audit who-looked` lists it
    #[arg(long, value_name = "RECEIPT", requires = "patient")]
    pub receipt: Option<u32>,
    /// New file for the evidence, which anybody verifies without a node. It contains the announcements with the
    /// encrypted records, and shows the pseudonyms of other patients in the same blocks
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Formal transactions, as the chain proves them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofChain {
    pub genesis: Hash,
    /// The final chain block of the proof, and its time.
    pub proven_at: SignedAt,
    pub proven_time: Moment,
    /// Whether every proof is there and right.
    pub complete: bool,
    /// The patient, if these are all of the patient's records, queries, looks and openings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_of: Option<UserId>,
    pub transactions: Vec<Transaction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Written>,
}

/// The file with the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    pub file: PathBuf,
    pub bytes: u64,
    /// The command with which anybody verifies it. They add the genesis hash, from the hospitals.
    pub verify: String,
}

impl Output for ProofChain {
    /// Fails if a proof is missing or wrong.
    fn passed(&self) -> bool {
        self.complete
    }
}

impl fmt::Display for ProofChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Transactions(&self.transactions).fmt(f)?;
        writeln!(f, "{}", About { transactions: &self.transactions, all_of: self.all_of })?;
        let (proven, block) = (moment(self.proven_time), self.proven_at.number);
        write!(f, "as of {proven} (chain block {block})")?;
        if let Some(Written { file, bytes, verify }) = &self.evidence {
            write!(f, "\n{}: {bytes} bytes", file.display())?;
            write!(f, "\nanybody verifies it, with the genesis hash from the hospitals: {verify}")?;
        }
        Ok(())
    }
}

/// Collects and verifies the proofs.
pub async fn proof_chain(args: &ProofChainArgs, context: &Context) -> Result<ProofChain, Failure> {
    if let Some(out) = &args.out {
        must_not_exist(out)?;
    }
    let chain = context.chain().await?;
    let one = match (args.record, args.query, args.patient.zip(args.receipt)) {
        (_, _, Some((patient, number))) => Some(Subject::Look { patient, number }),
        (Some(pointer), ..) => Some(Subject::Record(pointer)),
        (None, Some(query), None) => Some(Subject::Query(QueryId(query))),
        (None, None, None) => args.opening.map(OpeningId).map(Subject::Opening),
    };
    let scope = match (one, args.patient) {
        (None, Some(patient)) => Scope::Patient(patient),
        (one, _) => Scope::chosen(BTreeSet::from_iter(one))?,
    };
    let spinner = progress::waiting(context, "collecting the proofs");
    let counts = |block: usize, of: usize| {
        spinner.becomes(format!("collecting the proofs: block {block} of {of}"));
    };
    let made = evidence::make(chain, scope, &counts).await;
    spinner.finish_and_clear();
    let Made { file, verified } = made?;
    let written = args.out.as_deref().map(|out| write(out, &file)).transpose()?;
    let Verified { genesis, proven_at, proven_time, all_of, transactions } = verified;
    let complete = transactions.iter().all(Transaction::is_complete);
    let evidence = written;
    Ok(ProofChain { genesis, proven_at, proven_time, complete, all_of, transactions, evidence })
}

fn write(out: &Path, file: &[u8]) -> Result<Written, Failure> {
    must_not_exist(out)?;
    if let Err(error) = write_new(out, file) {
        // A file that somebody else made meanwhile stays.
        if error.kind() != io::ErrorKind::AlreadyExists {
            let _ = fs::remove_file(out);
        }
        return Err(Failure::file(out, &error));
    }
    let verify = Invocation::new(["verify-evidence"]).with([out]);
    Ok(Written { file: out.to_owned(), bytes: file.len() as u64, verify: verify.to_string() })
}

/// Writes a file that only its owner may read, and that did not exist.
fn write_new(out: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(private::FILE).open(out)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn must_not_exist(out: &Path) -> Result<(), Failure> {
    if out.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} already exists", out.display()),
        "nothing was written; choose a file with --out that does not exist",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_does_not_replace_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("evidence.epione");
        let written = write(&out, b"evidence").unwrap();
        assert_eq!((written.bytes, written.file.as_path()), (8, out.as_path()));
        assert!(written.verify.contains("verify-evidence"), "{written:?}");
        let refused = write(&out, b"other").unwrap_err();
        assert!(refused.error.contains("already exists"), "{refused}");
        assert_eq!(std::fs::read(&out).unwrap(), b"evidence");
    }
}
