//! What a hospital's policies allow a user to read of a patient's records. One call asks the chain.

use epione_primitives::{
    access::{AccessRequest, Action, Decision, Denial, SectionClass},
    release::{Request, Right},
};

use super::ApiError;
use crate::chain::FinalState;

/// The rights to read that the policies allow, and why they deny the others. In an emergency, every right to read is
/// the right to break the glass.
pub(super) struct Rights {
    allowed: Vec<Right>,
    denial: Denial,
    emergency: bool,
}

/// The policies' decision.
pub(super) enum Decided {
    Allowed(Rights),
    Denied(Denial),
}

impl Rights {
    /// Asks the chain. To be called before any record is read.
    pub async fn decide(state: &dyn FinalState, request: &Request) -> Result<Decided, ApiError> {
        let Request { requester, patient, hospital, purpose, .. } = *request;
        let emergency = request.emergency.is_some();
        let questions: Vec<_> = Right::to_read(emergency)
            .map(|Right { action, class }| AccessRequest {
                requester,
                action,
                patient,
                hospital,
                class,
                purpose,
                cosigned: false,
            })
            .collect();
        let decisions = state.decide_each(&questions).await?;
        let (mut allowed, mut denial) = (Vec::new(), None);
        for (right, decision) in Right::to_read(emergency).zip(decisions) {
            match decision {
                Decision::Allow { .. } => allowed.push(right),
                Decision::Deny(reason) => denial = denial.or(Some(reason)),
            }
        }
        let denial = denial.unwrap_or(Denial::Failed(Vec::new()));
        Ok(if allowed.is_empty() {
            Decided::Denied(denial)
        } else {
            Decided::Allowed(Self { allowed, denial, emergency })
        })
    }

    /// The right to read texts of a class, if the policies allow it.
    pub fn to_text(&self, class: SectionClass) -> Option<Right> {
        self.to(Action::ReadText, class)
    }

    /// The right to read media of a class, if the policies allow it.
    pub fn to_media(&self, class: SectionClass) -> Option<Right> {
        self.to(Action::ReadMedia, class)
    }

    /// Why the policies deny the other rights.
    pub fn into_denial(self) -> Denial {
        self.denial
    }

    fn to(&self, action: Action, class: SectionClass) -> Option<Right> {
        let action = if self.emergency { Action::BreakGlass } else { action };
        let right = Right { action, class };
        self.allowed.contains(&right).then_some(right)
    }
}
