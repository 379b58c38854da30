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

    /// The right by which texts of a class are read, if the policies allow one.
    pub fn to_text(&self, class: SectionClass) -> Option<Right> {
        self.to(Action::ReadText, class)
    }

    /// The right by which media of a class are read, if the policies allow one.
    pub fn to_media(&self, class: SectionClass) -> Option<Right> {
        self.to(Action::ReadMedia, class)
    }

    /// Whether one of the rights opens private sections.
    pub fn open_private(&self) -> bool {
        self.allowed.iter().any(|right| right.class == SectionClass::Private)
    }

    /// The same rights without those to shared sections.
    pub fn to_private_only(&self) -> Self {
        let private = |right: &&Right| right.class == SectionClass::Private;
        let allowed = self.allowed.iter().filter(private).copied().collect();
        Self { allowed, denial: self.denial.clone(), emergency: self.emergency }
    }

    /// Why the policies deny the other rights.
    pub fn into_denial(self) -> Denial {
        self.denial
    }

    /// The right to private sections also opens shared ones, so it comes first: it stays enough when the patient
    /// changes what they share before the chain records the grant.
    fn to(&self, action: Action, class: SectionClass) -> Option<Right> {
        let action = if self.emergency { Action::BreakGlass } else { action };
        let right = |class| Right { action, class };
        let choice = [right(SectionClass::Private), right(class)];
        choice.into_iter().find(|right| self.allowed.contains(right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: SectionClass = SectionClass::Private;
    const SHARED: SectionClass = SectionClass::Shared;

    fn right(action: Action, class: SectionClass) -> Right {
        Right { action, class }
    }

    fn rights(emergency: bool, allowed: &[Right]) -> Rights {
        Rights { allowed: allowed.to_vec(), denial: Denial::Failed(Vec::new()), emergency }
    }

    #[test]
    fn the_right_to_private_sections_comes_first_and_opens_shared_ones() {
        let text = |class| right(Action::ReadText, class);
        let both = rights(false, &[text(PRIVATE), text(SHARED)]);
        assert_eq!(both.to_text(SHARED), Some(text(PRIVATE)));
        assert_eq!(both.to_text(PRIVATE), Some(text(PRIVATE)));
        assert_eq!(both.to_media(SHARED), None);
        let glass = right(Action::BreakGlass, PRIVATE);
        let emergency = rights(true, &[glass]);
        assert_eq!(emergency.to_media(SHARED), Some(glass));
    }

    #[test]
    fn a_right_to_shared_sections_opens_no_private_one_and_can_be_left_out() {
        let (text, media) = (right(Action::ReadText, PRIVATE), right(Action::ReadMedia, SHARED));
        let mixed = rights(false, &[text, media]);
        assert_eq!((mixed.to_media(SHARED), mixed.to_media(PRIVATE)), (Some(media), None));
        let narrowed = mixed.to_private_only();
        assert_eq!((narrowed.to_text(SHARED), narrowed.to_media(SHARED)), (Some(text), None));
    }
}
