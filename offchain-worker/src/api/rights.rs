//! What a hospital's policies let a user read of a patient's records, asked of the chain in one call.

use epione_client::api::GrantRequest;
use epione_primitives::{
    HospitalId, UserId,
    access::{AccessRequest, Action, Decision, Denial, SectionClass},
    release::Right,
};

use super::ApiError;
use crate::chain::FinalState;

/// Rights to read, and why not more. In an emergency, reading whatever is to break the glass.
pub(super) struct Rights {
    allowed: Vec<Right>,
    denial: Denial,
    emergency: bool,
}

/// What the policies say.
pub(super) enum Decided {
    Allowed(Rights),
    Denied(Denial),
}

impl Rights {
    /// Asks the chain, before any record is looked at.
    pub async fn decide(
        state: &dyn FinalState,
        hospital: HospitalId,
        requester: UserId,
        request: &GrantRequest,
    ) -> Result<Decided, ApiError> {
        let emergency = request.emergency.is_some();
        let questions: Vec<_> = Right::to_read(emergency)
            .map(|Right { action, class }| AccessRequest {
                requester,
                action,
                patient: request.patient,
                hospital,
                class,
                purpose: request.purpose,
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

    /// The right by which texts of a class may be read, if there is one.
    pub fn to_text(&self, class: SectionClass) -> Option<Right> {
        self.to(Action::ReadText, class)
    }

    /// The right by which media of a class may be read, if there is one.
    pub fn to_media(&self, class: SectionClass) -> Option<Right> {
        self.to(Action::ReadMedia, class)
    }

    /// Why not more.
    pub fn into_denial(self) -> Denial {
        self.denial
    }

    fn to(&self, action: Action, class: SectionClass) -> Option<Right> {
        let action = if self.emergency { Action::BreakGlass } else { action };
        let right = Right { action, class };
        self.allowed.contains(&right).then_some(right)
    }
}
