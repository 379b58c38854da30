//! Failures about evidence.

use epione_client::evidence::{EvidenceError, Flaw};

use super::Failure;

impl From<Flaw> for Failure {
    fn from(flaw: Flaw) -> Self {
        let help = match &flaw {
            Flaw::File { .. } | Flaw::NotFile { .. } | Flaw::NotEvidence | Flaw::TooLarge => {
                "give the file that was made with --out: `epione audit proof-chain --help`"
            }
            flaw if flaw.is_of_version() => "update epione; perhaps nobody is at fault",
            Flaw::OtherChain { .. } => {
                "do not rely on it, unless the hospitals publish the other hash; then give that one with --genesis HASH"
            }
            _ => {
                "do not rely on it: ask for it again, over a channel on which nobody can change it, or make it \
                 yourself: `epione audit proof-chain --help`"
            }
        };
        Self::new(flaw.to_string(), help)
    }
}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Self {
        let help = match &error {
            EvidenceError::Unknown(_) => {
                "list records, queries or looks: `epione records list --help`, `epione query inbox --help`, `epione \
                 query sent --help`, `epione audit who-looked --help`"
            }
            EvidenceError::Nothing => "name another patient with --patient USER",
            EvidenceError::TooMany { .. }
            | EvidenceError::TooManyCalls
            | EvidenceError::TooLarge { .. } => {
                "make a file for each record, query and look, with --record, --query and --receipt"
            }
            EvidenceError::LongProof(_) => "another node does not help: it is too old to be proven",
            EvidenceError::Flaw(flaw) if flaw.is_of_version() => "update epione",
            EvidenceError::Chain(_) | EvidenceError::Flaw(_) => {
                "rerun the command, with another node if this happens again"
            }
        };
        match error {
            EvidenceError::Chain(error) => error.into(),
            error => Self::new(error.to_string(), help),
        }
    }
}
