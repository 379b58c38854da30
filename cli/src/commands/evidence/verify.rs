//! `epione verify-evidence`: verifies evidence without a node and without a key, and shows it.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use epione_client::evidence::{self, Subject, Transaction, Verified};
use epione_primitives::{
    Hash, Moment, RecordPointer, UserId, block::SignedAt, opening::OpeningId, query::QueryId,
};
use humantime::format_duration;
use serde::Serialize;

use super::{About, Transactions};
use crate::{
    commands::{offline, relation::span},
    context::{Context, GenesisFrom, Output},
    failure::Failure,
    wording::moment,
};

#[derive(Debug, Args)]
pub struct VerifyEvidenceArgs {
    /// The file that `epione audit proof-chain --out FILE` made
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Refuse evidence that is not about this record, such as 12/0
    #[arg(long, value_name = "RECORD")]
    pub record: Option<RecordPointer>,
    /// Refuse evidence that is not about the query with this number
    #[arg(long, value_name = "QUERY")]
    pub query: Option<u32>,
    /// Refuse evidence that is not about the opening with this number
    #[arg(long, value_name = "OPENING")]
    pub opening: Option<u32>,
    /// Refuse evidence that does not have all records, queries, looks and openings of this patient: user id, its first
    /// digits, or a name that you set
    #[arg(long, value_name = "USER")]
    pub patient: Option<UserId>,
    /// Of --patient, require only the look with this receipt
    #[arg(long, value_name = "RECEIPT", requires = "patient")]
    pub receipt: Option<u32>,
    /// Refuse a proof that is older, such as 30d, 12h, 45m or 90s. Evidence shows the chain as it was then: a patient
    /// may have withdrawn an acceptance since then
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub max_age: Option<Duration>,
}

/// Evidence that was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Examined {
    /// The first block of the chain from which everything is proven, and who said that it is the hospitals' chain.
    pub genesis: Hash,
    pub genesis_from: GenesisFrom,
    /// The final chain block of the proof, and its time.
    pub proven_at: SignedAt,
    pub proven_time: Moment,
    /// How old the proof is, by this machine's clock.
    pub proven_seconds_ago: u64,
    /// Whether every proof is there and right.
    pub complete: bool,
    /// The patient, if these are all of the patient's records, queries, looks and openings until the final block of the
    /// proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_of: Option<UserId>,
    pub transactions: Vec<Transaction>,
}

impl Output for Examined {
    fn passed(&self) -> bool {
        self.complete
    }
}

impl fmt::Display for Examined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Transactions(&self.transactions).fmt(f)?;
        writeln!(f, "{}", About { transactions: &self.transactions, all_of: self.all_of })?;
        let SignedAt { number, hash } = self.proven_at;
        let (proven, age) =
            (moment(self.proven_time), Duration::from_secs(self.proven_seconds_ago));
        writeln!(f, "as of {proven} (chain block {number}), {} ago", format_duration(age))?;
        writeln!(f, "the chain block of the proof is {hash:?}")?;
        write!(f, "proven from the genesis block {:?} ({})", self.genesis, self.genesis_from)
    }
}

/// Verifies evidence.
pub async fn verify(args: &VerifyEvidenceArgs, context: &Context) -> Result<Examined, Failure> {
    let file = args.file.clone();
    let verify = move |known| verified(&file, known);
    let (verified, genesis_from) =
        offline::verified(context, "verifying the evidence", verify).await?;
    let age = verified.age(offline::now()?);
    let advice = "ask for new evidence: what happened on the chain since then is not in it";
    offline::check_age(age, args.max_age, advice)?;
    let look = args.patient.zip(args.receipt);
    let look = look.map(|(patient, number)| Subject::Look { patient, number });
    let record = args.record.map(Subject::Record);
    let query = args.query.map(QueryId).map(Subject::Query);
    let opening = args.opening.map(OpeningId).map(Subject::Opening);
    for wanted in [record, query, look, opening].into_iter().flatten() {
        judge_subject(wanted, &verified.transactions)?;
    }
    if let Some(patient) = args.patient.filter(|_| args.receipt.is_none()) {
        judge_whole(patient, verified.all_of)?;
    }
    let Verified { genesis, proven_at, proven_time, all_of, transactions } = verified;
    Ok(Examined {
        genesis,
        genesis_from,
        proven_at,
        proven_time,
        proven_seconds_ago: age.as_secs(),
        complete: transactions.iter().all(Transaction::is_complete),
        all_of,
        transactions,
    })
}

fn verified(
    path: &Path,
    known: Option<(Hash, GenesisFrom)>,
) -> Result<(Verified, GenesisFrom), Failure> {
    let file = evidence::read(path)?;
    let Some((genesis, from)) = known else {
        return Err(offline::unknown_chain(path.display(), evidence::claimed_genesis(&file)?));
    };
    Ok((evidence::verify(&file, genesis)?, from))
}

fn judge_subject(wanted: Subject, transactions: &[Transaction]) -> Result<(), Failure> {
    if transactions.iter().any(|transaction| transaction.subject == wanted) {
        return Ok(());
    }
    let found: Vec<_> = transactions.iter().map(|it| it.subject.to_string()).collect();
    Err(Failure::new(
        format!("it is about {}, and not about {wanted}", found.join(", ")),
        "do not use it: ask for evidence about what you need",
    ))
}

/// The evidence must have everything about this patient.
fn judge_whole(wanted: UserId, all_of: Option<UserId>) -> Result<(), Failure> {
    if all_of == Some(wanted) {
        return Ok(());
    }
    Err(Failure::new(
        format!(
            "it is not shown that these are all records, queries, looks and openings of patient {wanted}"
        ),
        "do not conclude that there are no others: ask for a file about all of the patient, made with --patient: \
         `epione audit proof-chain --help`",
    ))
}

#[cfg(test)]
mod tests {
    use epione_primitives::UserId;

    use super::*;

    fn transaction(subject: Subject) -> Transaction {
        Transaction { subject, patient: UserId([1; 32]), proofs: Vec::new(), note: None }
    }

    #[test]
    fn evidence_about_something_else_is_refused() {
        let query = |number| Subject::Query(QueryId(number));
        let of = [transaction(query(1))];
        judge_subject(query(1), &of).unwrap();
        for other in [query(0), Subject::Record(RecordPointer { height: 1, index: 0 })] {
            let refused = judge_subject(other, &of).unwrap_err();
            assert!(refused.error.contains("about query 1, and not about"), "{refused}");
            assert_eq!(refused.status(), 1);
        }
    }

    #[test]
    fn chosen_transactions_are_not_mistaken_for_all_of_a_patient() {
        let patient = UserId([1; 32]);
        judge_whole(patient, Some(patient)).unwrap();
        for other in [None, Some(UserId([2; 32]))] {
            let refused = judge_whole(patient, other).unwrap_err();
            assert!(refused.error.contains("not shown that these are all"), "{refused}");
        }
    }

    #[test]
    fn incomplete_evidence_has_a_result_and_fails() {
        let examined = |complete| Examined {
            genesis: Hash::repeat_byte(7),
            genesis_from: GenesisFrom::Option,
            proven_at: SignedAt { number: 40, hash: Hash::repeat_byte(9) },
            proven_time: 3,
            proven_seconds_ago: 93_600,
            complete,
            all_of: None,
            transactions: vec![transaction(Subject::Query(QueryId(1)))],
        };
        assert!(examined(true).passed() && !examined(false).passed());
        let text = examined(false).to_string();
        assert!(text.contains("(chain block 40), 1day 2h ago\n"), "{text}");
        assert!(text.contains("1 query and 0 looks: chosen"), "{text}");
        let genesis = format!("genesis block {:?} (--genesis", Hash::repeat_byte(7));
        assert!(text.contains(&genesis), "{text}");
    }
}
