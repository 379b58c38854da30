//! Failures of commands about queries.

use epione_client::{chain::DispatchFailure, query::QueryError, reader::QueryFault};

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
            QueryError::Submit(error) => {
                let help = error.dispatch().and_then(after_refused_query);
                let failure = Self::from(error);
                return match help {
                    Some(help) => Self { help: help.into(), ..failure },
                    None => failure,
                };
            }
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

/// What to do after the chain refused a call about a query, where that is not to correct the arguments.
fn after_refused_query(failure: &DispatchFailure) -> Option<&'static str> {
    const EACH: [(&str, &str); 15] = [
        (
            "NotPending",
            "nothing was changed: the query has an answer already, perhaps of an earlier run; run the command again, \
             which finishes that run or says who answered",
        ),
        ("NotAccepted", "nothing was changed: there is no acceptance to withdraw"),
        ("NotParty", "nothing was changed: sign with the key file of its requester or patient"),
        ("NotPatient", "nothing was changed: sign with the key file of its patient"),
        ("WrongUntil", "nothing was changed: choose another end with --until or --for"),
        (
            "BeyondMandate",
            "nothing was changed: choose an end before that of your mandate with --until or --for",
        ),
        ("UnknownHospital", "nothing was changed: choose another hospital with --mailbox"),
        ("Expired", "nothing was changed: the requester must ask again"),
        (
            "EmptyTerms",
            "say what you want to do with the content: --terms TEXT or --terms-file FILE",
        ),
        (
            "PatientChanged",
            "the patient has just renewed the sealing key; nothing was changed: rerun the command, which seals the \
             terms to the new key",
        ),
        (
            "TooManyOfRequester",
            "wait until the patient answers one of your two queries, or withdraw one: `epione query withdraw --help`",
        ),
        (
            "TooManyOfHospital",
            "wait until the patient answers queries of your hospital's users, or one of them withdraws one",
        ),
        (
            "TooManyPending",
            "wait until a patient answers one of your queries, or withdraw one: `epione query withdraw --help`",
        ),
        ("PatientHasTooManyPending", "nothing was changed; ask again later"),
        (
            "NotInForce",
            "nothing was changed: the hospital for which the requester asks must be active, and must reinstate or \
             renew the requester's registration",
        ),
    ];
    let mut each = EACH.into_iter();
    each.find(|(error, _)| failure.is("Queries", error)).map(|(_, help)| help)
}

#[cfg(test)]
mod tests {
    use epione_client::chain::SubmitError;

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
