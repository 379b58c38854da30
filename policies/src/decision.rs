//! What policies answer to a request, given the facts.
//!
//! First the relationship policies say which of the relationships between requester and patient count. Then the first
//! operation policy whose conditions all hold allows.

use alloc::vec::Vec;
use epione_primitives::{
    HospitalId, Moment,
    access::{
        Action, Conclusion, Condition, Decision, Denial, FailedPolicy, Policy, PolicySet, Purpose,
        RelationshipKind, SectionClass,
    },
    credential::AttributeId,
    profile::Role,
};

use crate::conditions::{self, Case, add_places, row};

/// Everything that conditions can test, as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Of the requester.
    pub role: Role,
    pub action: Action,
    pub class: SectionClass,
    pub purpose: Purpose,
    /// Whether the patient signed what is submitted, or authorized the hospital to submit.
    pub cosigned: bool,
    pub at: Moment,
    /// Whose records they are.
    pub hospital: HospitalId,
    pub requester_is_patient: bool,
    /// Where the requester is registered, among the [`places`] that the policies name.
    pub requester_at: Vec<HospitalId>,
    pub patient_registered: bool,
    /// The requester's credentials in force, of active issuers, among the [`credentials`] that the policies name.
    pub credentials: Vec<(AttributeId, HospitalId)>,
    /// Whether the requester represents the patient.
    pub represents_patient: bool,
    /// Kinds of the relationships in force between requester and patient, recognised or not.
    pub related: Vec<RelationshipKind>,
}

/// Decides by a policy set of this version.
///
/// A denial names each operation policy for this role and action, with the conditions that are not met. If no
/// relationship policy recognised a relationship in force, the denial also names those that might have.
pub fn evaluate(facts: &Facts, version: u32, set: &PolicySet) -> Decision {
    let recognised = facts.recognised(&set.policies);
    let allowing = facts.eligible(&set.policies).find(|policy| facts.satisfy(policy, &recognised));
    if let Some(policy) = allowing {
        return Decision::Allow { version, policy: policy.name.clone() };
    }
    let mut failed: Vec<_> =
        facts.eligible(&set.policies).map(|policy| facts.failed(policy, &recognised)).collect();
    if failed.is_empty() {
        return Decision::Deny(Denial::NoPolicy { role: facts.role, action: facts.action });
    }
    let unrecognising = set.policies.iter().filter(|policy| {
        let missed =
            |kind: &RelationshipKind| facts.related.contains(kind) && !recognised.contains(kind);
        facts.in_scope(policy) && kinds(policy).iter().any(missed)
    });
    failed.extend(unrecognising.map(|policy| facts.failed(policy, &[])));
    Decision::Deny(Denial::Failed(failed))
}

/// The hospitals at which a requester of this role may have to be registered, that one first.
///
/// As many as a set names, at most: see [`MAX_NAMED_HOSPITALS`](epione_primitives::limits::MAX_NAMED_HOSPITALS).
pub fn places(policies: &[Policy], role: Role, hospital: HospitalId) -> Vec<HospitalId> {
    let applicable = policies.iter().filter(|policy| applies(policy, role, hospital));
    let mut places = Vec::from([hospital]);
    add_places(&mut places, applicable.flat_map(|policy| &policy.conditions));
    places
}

/// The credentials of a requester of this role that may matter, each once: an attribute with its issuer.
///
/// As many as a set names, at most: see
/// [`MAX_NAMED_CREDENTIALS`](epione_primitives::limits::MAX_NAMED_CREDENTIALS).
pub fn credentials(
    policies: &[Policy],
    role: Role,
    hospital: HospitalId,
) -> Vec<(AttributeId, HospitalId)> {
    let applicable = policies.iter().filter(|policy| applies(policy, role, hospital));
    let named = applicable.flat_map(|policy| &policy.conditions).flat_map(conditions::credentials);
    let mut credentials: Vec<_> = named.collect();
    credentials.sort_unstable();
    credentials.dedup();
    credentials
}

/// Whether a policy applies to a role, for records of this hospital.
fn applies(policy: &Policy, role: Role, hospital: HospitalId) -> bool {
    policy.roles.contains(&role)
        && (policy.hospitals.is_empty() || policy.hospitals.contains(&hospital))
}

/// What a relationship policy recognises.
fn kinds(policy: &Policy) -> &[RelationshipKind] {
    match &policy.conclusion {
        Conclusion::Recognises(kinds) => kinds,
        Conclusion::Allows(_) => &[],
    }
}

impl Facts {
    fn in_scope(&self, policy: &Policy) -> bool {
        applies(policy, self.role, self.hospital)
    }

    /// The operation policies for this role and action.
    fn eligible<'a>(&'a self, policies: &'a [Policy]) -> impl Iterator<Item = &'a Policy> {
        let allows = |policy: &Policy| match &policy.conclusion {
            Conclusion::Allows(actions) => actions.contains(&self.action),
            Conclusion::Recognises(_) => false,
        };
        policies.iter().filter(move |policy| allows(policy) && self.in_scope(policy))
    }

    /// The kinds of relationships in force that count.
    fn recognised(&self, policies: &[Policy]) -> Vec<RelationshipKind> {
        if self.related.is_empty() {
            return Vec::new();
        }
        policies
            .iter()
            .filter(|policy| !kinds(policy).is_empty() && self.in_scope(policy))
            // A relationship policy requires no relationships: none counts yet.
            .filter(|policy| self.satisfy(policy, &[]))
            .flat_map(kinds)
            .filter(|kind| self.related.contains(kind))
            .copied()
            .collect()
    }

    fn satisfy(&self, policy: &Policy, recognised: &[RelationshipKind]) -> bool {
        self.failures(policy, recognised).next().is_none()
    }

    fn failed(&self, policy: &Policy, recognised: &[RelationshipKind]) -> FailedPolicy {
        FailedPolicy {
            policy: policy.name.to_vec(),
            conditions: self.failures(policy, recognised).collect(),
        }
    }

    /// The conditions of a policy that do not hold; its own end counts as one.
    fn failures<'a>(
        &'a self,
        policy: &'a Policy,
        recognised: &'a [RelationshipKind],
    ) -> impl Iterator<Item = Condition> + 'a {
        let case = Case { facts: self, recognised };
        let holds = move |condition: &Condition| row(condition).test.holds(&case);
        let end = policy.expires.map(Condition::Before);
        let failed = policy.conditions.iter().filter(move |condition| !holds(condition)).cloned();
        failed.chain(end.filter(move |end| !holds(end)))
    }
}
