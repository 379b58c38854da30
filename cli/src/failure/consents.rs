//! Failures of commands about consents and the sections that they share.

use epione_client::consent::{ConsentError, LogError, PlacingError, fhir};

use super::Failure;
use crate::wording::legible;

impl From<ConsentError> for Failure {
    fn from(error: ConsentError) -> Self {
        let help = match error {
            ConsentError::WrongEnd => "choose another end with --until or --for",
            ConsentError::NoPurpose | ConsentError::RepeatedPurpose(_) => {
                "choose other purposes with --purpose"
            }
            ConsentError::Emergency => "add --standing, and name no other --purpose",
            ConsentError::Audience(_) => {
                "name the requesters with --user, --hospital, --role, --attribute or --audience-file"
            }
        };
        Self::usage(error.to_string(), format!("{help}; nothing was signed, nothing was sent"))
    }
}

impl From<PlacingError> for Failure {
    fn from(error: PlacingError) -> Self {
        match error {
            PlacingError::Chain(error) => error.into(),
            PlacingError::Submit { done: 0, error } => (*error).into(),
            error @ PlacingError::DayUsedUp { .. } => Self::new(
                error.to_string(),
                "run the same command again within 24 hours, when the chain counts a new day: it changes only what is \
                 not so yet",
            ),
            error @ PlacingError::Submit { .. } => Self::new(
                error.to_string(),
                "run the same command again: it changes only what is not so yet",
            ),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let help = match error {
            LogError::Chain(error) => return error.into(),
            LogError::Broken { .. } => {
                "nothing of this answer was used: use another node with --node URL, and tell the hospital that runs \
                 this one"
            }
            LogError::TooLong(_) => "begin later with --from NUMBER",
            LogError::NotYet { .. } => "choose a smaller number with --from",
        };
        Self::new(error.to_string(), help)
    }
}

impl From<fhir::Refused> for Failure {
    fn from(refused: fhir::Refused) -> Self {
        let fhir::Refused { path, problem, advice } = refused;
        let error = legible(format!("{path}: {problem}").as_bytes());
        Self::new(error, format!("{advice}; nothing was signed, nothing was sent"))
    }
}

#[cfg(test)]
mod tests {
    use epione_client::chain::{DispatchFailure, SubmitError};

    use super::*;

    #[test]
    fn a_refusal_by_the_chain_says_what_to_do() {
        let refused = |pallet: &str, error: &str| {
            let docs = "Some words.".to_owned();
            let failure = DispatchFailure { pallet: pallet.into(), error: error.into(), docs };
            Failure::from(SubmitError::Dispatch(failure))
        };
        for (error, help) in [
            ("NotPatient", "--as"),
            ("EndHasPassed", "later end"),
            ("EndTooLate", "366 days"),
            ("NotInForce", "consent list"),
            ("SlotChanged", "shows what is in the slot now"),
            ("NotPlaced", "run the command again"),
            ("UnknownRecord", "records list"),
            ("RecordOfAnotherPatient", "your own records"),
        ] {
            let failure = refused("Sharing", error);
            assert!(failure.help.contains(help), "{failure}");
            assert!(failure.error.contains(error), "{failure}");
        }
        for (pallet, error) in [("Sharing", "InvalidRecords"), ("Other", "NotPlaced")] {
            assert!(refused(pallet, error).help.contains("correct the arguments"));
        }
    }

    #[test]
    fn a_run_that_placed_something_says_how_to_go_on() {
        let refused = |done| {
            let error = Box::new(SubmitError::Invalid("no".into()));
            Failure::from(PlacingError::Submit { done, error })
        };
        assert!(refused(8).error.contains("8 records were changed"), "{}", refused(8));
        assert!(refused(8).help.contains("the same command again"));
        assert!(!refused(0).error.contains("records were changed"));
        let tomorrow = Failure::from(PlacingError::DayUsedUp { done: 390 });
        assert!(tomorrow.error.contains("390 records were changed"), "{tomorrow}");
        assert!(tomorrow.help.contains("within 24 hours"), "{tomorrow}");
    }
}
