//! The pure half of a decision: given what holds, what do the policies say?

use alloc::vec::Vec;
use epione_primitives::{
    Moment,
    access::{
        Action, Condition, Decision, Denial, FailedPolicy, Policy, PolicySet, Purpose,
        RelationshipKind, SectionClass,
    },
    profile::Role,
};

/// All that policies can ask about, as it stood at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Of the requester.
    pub role: Role,
    pub action: Action,
    pub class: SectionClass,
    pub purpose: Purpose,
    pub at: Moment,
    pub requester_is_patient: bool,
    /// At the hospital whose records they are, as the two below.
    pub requester_registered: bool,
    pub patient_registered: bool,
    /// Kinds of the relationships in force between requester and patient.
    pub related: Vec<RelationshipKind>,
}

/// Decides by a policy set of this version: the first policy whose conditions all hold allows. A
/// denial names each policy that binds the role for the action, with the conditions that failed.
pub fn evaluate(facts: &Facts, version: u32, set: &PolicySet) -> Decision {
    let mut failed = Vec::new();
    for policy in set.policies.iter().filter(|policy| facts.concern(policy)) {
        let conditions = facts.failures(policy);
        if conditions.is_empty() {
            return Decision::Allow { version, policy: policy.name.to_vec() };
        }
        failed.push(FailedPolicy { policy: policy.name.to_vec(), conditions });
    }
    Decision::Deny(if failed.is_empty() {
        Denial::NoPolicy { role: facts.role, action: facts.action }
    } else {
        Denial::Failed(failed)
    })
}

impl Facts {
    /// Whether a policy binds the role for the action.
    fn concern(&self, policy: &Policy) -> bool {
        policy.roles.contains(&self.role) && policy.actions.contains(&self.action)
    }

    /// The conditions of a policy that do not hold; its own end counts as one.
    fn failures(&self, policy: &Policy) -> Vec<Condition> {
        let end = policy.expires.map(Condition::Before);
        policy
            .conditions
            .iter()
            .cloned()
            .chain(end)
            .filter(|condition| !self.satisfy(condition))
            .collect()
    }

    fn satisfy(&self, condition: &Condition) -> bool {
        match condition {
            Condition::RequesterIsPatient => self.requester_is_patient,
            Condition::RequesterRegistered => self.requester_registered,
            Condition::PatientRegistered => self.patient_registered,
            Condition::Related(kinds) => kinds.iter().any(|kind| self.related.contains(kind)),
            Condition::Before(end) => self.at < *end,
            Condition::SectionShared => self.class == SectionClass::Shared,
            Condition::Purpose(purposes) => purposes.contains(&self.purpose),
        }
    }
}
