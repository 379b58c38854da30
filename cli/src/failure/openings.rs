//! Failures of commands about openings.

use epione_client::{opening::OpeningError, reader::OpeningFault};

use super::Failure;

impl From<OpeningFault> for Failure {
    fn from(fault: OpeningFault) -> Self {
        let help = match &fault {
            OpeningFault::Unknown(_) => {
                "choose one of your openings: `epione opening list --as FILE`"
            }
            OpeningFault::NotRequester { .. } => {
                "give the requester's key file with --as, or ask for an opening of your own: `epione opening ask \
                 --help`"
            }
            OpeningFault::NotIncluded { .. } => "choose a record of the opening",
            OpeningFault::OtherKeys(_) | OpeningFault::Over { .. } => {
                "ask for another opening: `epione opening ask --help`"
            }
            OpeningFault::NoKey => {
                "try again when the hospitals have made one: `epione consortium key status`; until then, request \
                 access from the hospital of the record, or ask the patient: `epione query ask --help`"
            }
            OpeningFault::NotWrapped { .. } => {
                "try again later, or ask for another opening without the section: `epione opening ask --help`"
            }
            OpeningFault::NoWraps { .. } => "use another node with --node URL",
            OpeningFault::Rewrapped(_) => "rerun the command",
            OpeningFault::TooFew { .. } => {
                "rerun the command when more hospitals answer; tell the hospitals which of them sent wrong parts"
            }
            OpeningFault::Undecided { .. } => {
                "rerun the command when more hospitals answer, and tell the hospitals"
            }
            OpeningFault::WrongWrap { .. } => {
                "tell the patient and the other hospitals; ask the patient, whose own keys open the section: `epione \
                 query ask --help`"
            }
        };
        Self::new(fault.to_string(), help)
    }
}

impl From<OpeningError> for Failure {
    fn from(error: OpeningError) -> Self {
        let help = match error {
            OpeningError::Read(error) => return error.into(),
            OpeningError::Submit(error) => return error.into(),
            OpeningError::NotAdmitted(_) => {
                "get what is missing from the hospital that confirms it, or ask the patient (`epione query ask \
                 --help`); nothing was changed"
            }
            OpeningError::NotShared { .. } => {
                "choose other sections with --record HEIGHT/INDEX:SECTIONS, or ask the patient (`epione query ask \
                 --help`); nothing was sent"
            }
            OpeningError::NotWrapped { .. } => {
                "try again in some minutes, or choose other sections; `epione consortium key status` shows which \
                 hospitals have a share, and of a hospital without one, ask the hospital itself or the patient \
                 (`epione query ask --help`); nothing was sent"
            }
            OpeningError::NotDoctor => {
                "let a doctor of your hospital run the command; nothing was sent"
            }
            OpeningError::TooMany { .. } => {
                "ask for fewer sections in one opening; nothing was sent"
            }
            OpeningError::NoNumber => "list your openings: `epione opening list --help`",
        };
        Self::new(error.to_string(), help)
    }
}

#[cfg(test)]
mod tests {
    use epione_client::chain::{DispatchFailure, SubmitError};
    use epione_primitives::{HospitalId, RecordPointer, opening::OpeningId, release::SectionSet};

    use super::*;

    #[test]
    fn what_the_chain_refuses_is_not_blamed_on_the_arguments() {
        let refused = |pallet: &str, error: &str| {
            let docs = "Some words.".to_owned();
            let failure = DispatchFailure { pallet: pallet.into(), error: error.into(), docs };
            Failure::from(OpeningError::from(SubmitError::Dispatch(failure)))
        };
        for (error, help) in [
            ("NotInForce", "--hospital"),
            ("NotPlaced", "rerun the command"),
            ("NotDoctor", "a doctor of your hospital"),
            ("NotWrapped", "some minutes"),
            ("NoKey", "consortium key"),
        ] {
            let failure = refused("Openings", error);
            assert!(failure.help.contains(help) && failure.error.contains(error), "{failure}");
        }
        for (error, help) in [
            ("TooManyOpenings", "until midnight UTC"),
            ("TooManyHospitalOpenings", "--hospital"),
            ("TooManyHospitalEmergencies", "24 hours"),
            ("UnjustifiedLately", "let a colleague"),
        ] {
            let failure = refused("Releases", error);
            assert!(failure.help.contains(help) && failure.error.contains(error), "{failure}");
            assert!(!failure.help.contains("handed out"), "nothing is handed out yet: {failure}");
        }
        assert!(Failure::from(OpeningError::NotDoctor).help.contains("a doctor of your hospital"));
        assert!(refused("Other", "NoKey").help.contains("correct the arguments"));
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let (opening, pointer) = (OpeningId(7), RecordPointer { height: 1, index: 0 });
        for (fault, help) in [
            (OpeningFault::Over { opening, last: 240 }, "another opening"),
            (OpeningFault::NoKey, "consortium key status"),
            (OpeningFault::NoWraps { pointer }, "another node"),
            (OpeningFault::Rewrapped(opening), "rerun"),
            (
                OpeningFault::WrongWrap { hospital: HospitalId(0), pointer, section: 3 },
                "tell the patient",
            ),
        ] {
            let said = fault.to_string();
            let failure = Failure::from(OpeningError::from(fault));
            assert_eq!(failure.error, said);
            assert!(failure.help.contains(help), "{failure}");
        }
        let missing = SectionSet(1);
        let failure = Failure::from(OpeningError::NotWrapped { pointer, missing });
        assert!(failure.help.contains("some minutes"), "{failure}");
    }
}
