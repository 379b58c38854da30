//! Denials of a hospital's policies in English.

use epione_primitives::access::{Condition, Denial, Place};

use crate::{
    policy::gloss,
    wording::{legible, moment, word},
};

/// A denial in English: one line for each policy that could have allowed the request.
pub fn reasons(denial: &Denial) -> Vec<String> {
    match denial {
        Denial::UnknownHospital => vec!["the chain does not know the hospital".into()],
        Denial::UnknownRequester => vec!["the chain does not know the requester".into()],
        Denial::UnknownPatient => vec!["the chain does not know the patient".into()],
        Denial::NoPolicy { role, action } => {
            vec![format!("no policy allows the role {} to {}", word(role), word(action))]
        }
        Denial::Failed(policies) => policies
            .iter()
            .map(|failed| {
                let conditions: Vec<_> = failed.conditions.iter().map(unmet).collect();
                let name = legible(&failed.policy);
                format!("policy \"{name}\" does not hold: {}", conditions.join("; "))
            })
            .collect(),
    }
}

/// Why a condition is not met.
pub fn unmet(condition: &Condition) -> String {
    match condition {
        Condition::RequesterIsPatient => "the requester is not the patient".into(),
        Condition::RequesterRegistered(Place::Here) => {
            "the requester is not registered at the hospital, or suspended there".into()
        }
        Condition::RequesterRegistered(Place::OneOf(places)) => {
            format!(
                "the requester is not registered, or suspended, at {}",
                gloss::hospitals(places)
            )
        }
        Condition::PatientRegistered => {
            "the patient is not registered at the hospital, or suspended there".into()
        }
        Condition::Related(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(word).collect();
            format!("no relationship with the patient is in force ({})", kinds.join(", "))
        }
        Condition::Before(end) => format!("it ended at {}", moment(*end)),
        Condition::SectionShared => "a section is not of class shared".into(),
        Condition::Purpose(purposes) => {
            let purposes: Vec<_> = purposes.iter().map(word).collect();
            format!("the purpose is none of {}", purposes.join(", "))
        }
        Condition::PatientCosigned => "the patient did not sign what is submitted".into(),
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::access::FailedPolicy;

    use super::*;
    use crate::wording::steers;

    #[test]
    fn names_that_others_wrote_cannot_steer_a_terminal() {
        let denial = Denial::Failed(vec![FailedPolicy {
            policy: "a\x1b[2Jb\n\u{202e}c".into(),
            conditions: vec![Condition::Before(0)],
        }]);
        let reasons = reasons(&denial);
        assert!(!reasons[0].contains(steers), "{reasons:?}");
        assert!(reasons[0].ends_with("it ended at 1970-01-01T00:00:00Z"), "{reasons:?}");
    }
}
