//! Failures of commands about queries.

use epione_client::{query::QueryError, reader::QueryFault};

use super::{Failure, WRONG_BYTES};
use crate::commands::query::OTHER_END;

impl From<QueryFault> for Failure {
    fn from(fault: QueryFault) -> Self {
        let help = match &fault {
            QueryFault::Unknown(_) => {
                "choose one of your queries: `query inbox` lists those to you, and `query sent` those \
                 that you asked"
            }
            QueryFault::NotRequester { .. } => {
                "give the requester's key file with --as, or choose a query that you asked: `query sent`"
            }
            QueryFault::NotAnswered(_) => "try again after the patient has answered",
            QueryFault::Refused(_)
            | QueryFault::Canceled(_)
            | QueryFault::Withdrawn(_)
            | QueryFault::Over { .. }
            | QueryFault::MandateEnded { .. }
            | QueryFault::OtherKeys(_) => "ask the patient again: `epione query ask --help`",
            QueryFault::OtherMailbox { .. } => "leave out --worker",
            QueryFault::NoTransfer { .. } => "rerun the command",
            QueryFault::NotRepresented { .. } => "use another node with --node URL",
            QueryFault::Grant { .. } | QueryFault::Transfer { .. } => WRONG_BYTES,
        };
        Self::new(fault.to_string(), help)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let help = match error {
            QueryError::Read(error) => return error.into(),
            QueryError::Submit(error) => return error.into(),
            QueryError::Seal(_) => "correct the arguments; nothing was signed",
            QueryError::UnknownUser(_) => "use the id of a registered user",
            QueryError::NoSealingKey(_) => "nothing was signed; try again later",
            QueryError::NoSections { .. } | QueryError::NotAsked { .. } | QueryError::Nothing => {
                "choose other sections; nothing was signed"
            }
            QueryError::NotOpened { .. } => {
                "accept only other records with --record, or refuse the query; nothing was signed"
            }
            QueryError::NotPatient { .. } => {
                "give the patient's key file with --as, or choose a query to you: `query inbox`"
            }
            QueryError::Answered { .. } | QueryError::Expired(_) => {
                "nothing was signed, nothing was sent"
            }
            QueryError::NotInForce { .. } => {
                "nothing was signed, nothing was sent; try again when the hospital has reinstated or renewed the \
                 registration"
            }
            QueryError::InactiveMailbox(_) => {
                "choose another hospital with --mailbox; nothing was signed, nothing was sent"
            }
            QueryError::WrongEnd => OTHER_END,
            QueryError::BeyondMandate { .. } => {
                "choose an earlier end with --until or --for, or ask the patient to renew the mandate; nothing was \
                 signed"
            }
            QueryError::Unkept(_) => {
                "make sure that you can write to your folder for state (XDG_STATE_HOME, or .local/state), then run \
                 the command again; nothing was signed, nothing was sent"
            }
            QueryError::NotBrought { .. } => {
                "run the command again on this machine, which signs nothing and only brings the sealed keys; or end \
                 the acceptance with `query withdraw`"
            }
            QueryError::EarlierKey(_) => {
                "give the earlier key file with --earlier-keys; without it, refuse the query: `epione query refuse \
                 --help`"
            }
            QueryError::Terms(_) => "refuse the query: `epione query refuse --help`",
            QueryError::RequesterChanged(_) => {
                "nothing was changed; rerun the command, which shows the query again"
            }
            QueryError::NoNumber => "list your queries: `epione query sent --help`",
        };
        Self::new(error.to_string(), help)
    }
}

#[cfg(test)]
mod tests {
    use epione_client::chain::{DispatchFailure, SubmitError};

    use super::*;

    #[test]
    fn a_full_list_of_queries_is_not_blamed_on_the_arguments() {
        let refused = |pallet: &str, error: &str| {
            let docs = "Some words.".to_owned();
            let failure = DispatchFailure { pallet: pallet.into(), error: error.into(), docs };
            Failure::from(QueryError::from(SubmitError::Dispatch(failure)))
        };
        for (error, help) in [
            ("EmptyTerms", "--terms"),
            ("PatientChanged", "rerun the command"),
            ("TooManyOfRequester", "withdraw"),
            ("TooManyOfHospital", "your hospital's users"),
            ("NotInForce", "reinstate"),
            ("NotPending", "already"),
            ("NotAccepted", "no acceptance"),
            ("NotParty", "requester or patient"),
            ("NotPatient", "of its patient"),
            ("WrongUntil", "--until"),
            ("BeyondMandate", "of your mandate"),
            ("UnknownHospital", "--mailbox"),
            ("Expired", "ask again"),
        ] {
            let failure = refused("Queries", error);
            assert!(failure.help.contains(help), "{failure}");
            assert!(failure.error.contains(error), "{failure}");
        }
        for (pallet, error) in [("Queries", "UnknownRecord"), ("Other", "EmptyTerms")] {
            assert!(refused(pallet, error).help.contains("correct the arguments"));
        }
    }
}
