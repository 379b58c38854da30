//! What is wrong with policies. The chain refuses a set with a flaw; the policy language names every flaw of a file.
//!
//! A part that can never have an effect is a flaw: such a policy does not say what its author meant.

use alloc::{collections::BTreeSet, vec::Vec};
use epione_primitives::{
    HospitalId, Moment,
    access::{Action, Conclusion, Condition, Place, Policy, RelationshipKind},
    credential::{AttributeId, Requirement},
    limits::{MAX_NAMED_CREDENTIALS, MAX_NAMED_HOSPITALS},
    profile::Role,
};

use crate::{
    conditions::{Actions, Obstacle, Roles, Row, Test, credentials, places, reads, row},
    is_professional,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A set needs at least one policy.
    NoPolicies,
    /// More than [`MAX_NAMED_HOSPITALS`]. Located at the first policy beyond the limit.
    TooManyHospitals,
    /// More than [`MAX_NAMED_CREDENTIALS`]. Located at the condition with the first one beyond the limit.
    TooManyCredentials,
    NotUtf8,
    /// A text is empty, or has nothing but spaces.
    BlankText,
    ControlCharacter,
    /// The policy at this index has the same name.
    DuplicateName(usize),
    EmptyList,
    /// A list has the same entry twice. Located at the second.
    Repeated,
    /// The policy has an earlier condition of the same kind.
    RepeatedCondition,
    /// A time has passed already.
    Passed,
    /// The condition lasts at least as long as the policy, so that it changes nothing.
    NoEarlierEnd,
    /// A relationship policy may test registrations, credentials and time only.
    NotInRelationships,
    /// The requester must be the patient, but the policy does not apply to patients.
    PatientNotBound,
    /// The requester must be the patient and related to the patient.
    RelatedToThemselves,
    /// It is about relationships, but applies to no role whose users are related to patients.
    NeverRelated,
    /// No relationship policy of the set recognises this kind for a role and hospital of the policy. Located at the
    /// entry.
    NeverRecognised(RelationshipKind),
    /// The purpose of reading is restricted, but no action reads.
    NothingRead,
    /// The condition never holds for one of the policy's actions.
    NeverForAction(Action, Obstacle),
    /// A required credential names no hospital that may confirm it. Located at the entry.
    NoIssuer,
    /// A required credential names a hospital twice. Located at the entry.
    RepeatedIssuer,
    /// A required credential must be confirmed by no hospital, or by more hospitals than it names. Located at the
    /// entry.
    ImpossibleNumber,
}

/// A flaw, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flawed {
    pub flaw: Flaw,
    /// None for the set as a whole.
    pub location: Option<Location>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Index of the policy.
    pub policy: usize,
    pub part: Part,
    /// Index of the entry, if the part is a list and the flaw is in one entry.
    pub entry: Option<usize>,
}

/// A part of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Name,
    Summary,
    Hospitals,
    Roles,
    /// Actions or kinds of relationships.
    Conclusion,
    Expiry,
    /// The condition at this index.
    Condition(usize),
}

/// A policy as far as it is known: a file may have parts that cannot be read.
pub struct PartialPolicy<'a> {
    pub name: Option<&'a [u8]>,
    pub summary: Option<&'a [u8]>,
    /// None if the policy applies at every hospital that sets it.
    pub hospitals: Option<Known<'a, HospitalId>>,
    pub roles: Known<'a, Role>,
    pub conclusion: Option<KnownConclusion<'a>>,
    pub conditions: &'a [Condition],
    pub expires: Option<Moment>,
}

/// The known entries of a list.
#[derive(Clone, Copy)]
pub struct Known<'a, T> {
    pub entries: &'a [T],
    /// Whether these are all entries. If not, nothing is concluded from what is absent.
    pub complete: bool,
}

#[derive(Clone, Copy)]
pub enum KnownConclusion<'a> {
    Allows(Known<'a, Action>),
    Recognises(Known<'a, RelationshipKind>),
}

impl<'a, T> Known<'a, T> {
    fn all(entries: &'a [T]) -> Self {
        Self { entries, complete: true }
    }

    /// Whether it is certain that no entry is of a sort. An empty list is a flaw of its own.
    fn lacks(&self, sort: impl Fn(&T) -> bool) -> bool {
        self.complete && !self.entries.is_empty() && !self.entries.iter().any(sort)
    }
}

impl<'a> From<&'a Policy> for PartialPolicy<'a> {
    fn from(policy: &'a Policy) -> Self {
        Self {
            name: Some(&policy.name),
            summary: Some(&policy.summary),
            hospitals: (!policy.hospitals.is_empty()).then(|| Known::all(&policy.hospitals)),
            roles: Known::all(&policy.roles),
            conclusion: Some(match &policy.conclusion {
                Conclusion::Allows(actions) => KnownConclusion::Allows(Known::all(actions)),
                Conclusion::Recognises(kinds) => KnownConclusion::Recognises(Known::all(kinds)),
            }),
            conditions: &policy.conditions,
            expires: policy.expires,
        }
    }
}

/// Checks that every part of a policy set can have an effect from `now` on.
///
/// # Errors
/// The first flaw, in the order of [`find`].
pub fn check(policies: &[Policy], now: Moment) -> Result<(), Flawed> {
    let policies: Vec<_> = policies.iter().map(PartialPolicy::from).collect();
    match find(&policies, now).first() {
        Some(flawed) => Err(*flawed),
        None => Ok(()),
    }
}

/// All flaws: those of the first policy, of the second, and so on.
pub fn find(policies: &[PartialPolicy<'_>], now: Moment) -> Vec<Flawed> {
    let mut flaws = Vec::new();
    if policies.is_empty() {
        flaws.push(Flawed { flaw: Flaw::NoPolicies, location: None });
    }
    let mut named = BTreeSet::new();
    let mut required = BTreeSet::new();
    for index in 0..policies.len() {
        let within = named.len() <= MAX_NAMED_HOSPITALS as usize;
        Checked { policies, index, now, flaws: &mut flaws }.check();
        named.extend(named_by(&policies[index]));
        if within && named.len() > MAX_NAMED_HOSPITALS as usize {
            let location = Location { policy: index, part: Part::Hospitals, entry: None };
            flaws.push(Flawed { flaw: Flaw::TooManyHospitals, location: Some(location) });
        }
        flaws.extend(too_many_credentials(&policies[index], index, &mut required));
    }
    flaws
}

/// Adds the credentials that a policy requires to those of the policies before it.
fn too_many_credentials(
    policy: &PartialPolicy<'_>,
    index: usize,
    required: &mut BTreeSet<(AttributeId, HospitalId)>,
) -> Option<Flawed> {
    let most = MAX_NAMED_CREDENTIALS as usize;
    let mut beyond = None;
    for (position, condition) in policy.conditions.iter().enumerate() {
        let within = required.len() <= most;
        required.extend(credentials(condition));
        if within && required.len() > most {
            let location = Location { policy: index, part: Part::Condition(position), entry: None };
            beyond = Some(Flawed { flaw: Flaw::TooManyCredentials, location: Some(location) });
        }
    }
    beyond
}

/// The hospitals whose credentials policies require.
pub fn named_issuers(policies: &[Policy]) -> BTreeSet<HospitalId> {
    let conditions = policies.iter().flat_map(|policy| &policy.conditions);
    conditions.flat_map(credentials).map(|(_, issuer)| issuer).collect()
}

/// The hospitals that policies name, as those they apply to or as places of registration.
pub fn named_hospitals(policies: &[Policy]) -> BTreeSet<HospitalId> {
    let policies: Vec<_> = policies.iter().map(PartialPolicy::from).collect();
    policies.iter().flat_map(named_by).collect()
}

fn named_by<'a>(policy: &PartialPolicy<'a>) -> impl Iterator<Item = HospitalId> + use<'a> {
    let hospitals = policy.hospitals.map(|hospitals| hospitals.entries).unwrap_or_default();
    hospitals.iter().chain(policy.conditions.iter().flat_map(places)).copied()
}

/// One policy of a set, and the flaws found.
struct Checked<'a> {
    policies: &'a [PartialPolicy<'a>],
    index: usize,
    now: Moment,
    flaws: &'a mut Vec<Flawed>,
}

impl<'a> Checked<'a> {
    fn check(&mut self) {
        self.check_texts();
        let policy = self.policy();
        if let Some(hospitals) = policy.hospitals {
            self.check_list(hospitals, Part::Hospitals);
        }
        self.check_list(policy.roles, Part::Roles);
        match policy.conclusion {
            Some(KnownConclusion::Allows(actions)) => self.check_list(actions, Part::Conclusion),
            Some(KnownConclusion::Recognises(kinds)) => {
                self.check_list(kinds, Part::Conclusion);
                if policy.roles.lacks(|role| is_professional(*role)) {
                    self.note(Flaw::NeverRelated, Part::Roles);
                }
            }
            None => {}
        }
        if policy.expires.is_some_and(|expires| expires <= self.now) {
            self.note(Flaw::Passed, Part::Expiry);
        }
        for position in 0..policy.conditions.len() {
            self.check_condition(position);
        }
    }

    fn policy(&self) -> &'a PartialPolicy<'a> {
        &self.policies[self.index]
    }

    fn note(&mut self, flaw: Flaw, part: Part) {
        self.note_entry(flaw, part, None);
    }

    fn note_entry(&mut self, flaw: Flaw, part: Part, entry: Option<usize>) {
        let location = Location { policy: self.index, part, entry };
        self.flaws.push(Flawed { flaw, location: Some(location) });
    }

    fn check_texts(&mut self) {
        let policy = self.policy();
        for (text, part) in [(policy.name, Part::Name), (policy.summary, Part::Summary)] {
            if let Some(flaw) = text.and_then(text_flaw) {
                self.note(flaw, part);
            }
        }
        // Receipts and refusals name policies, so a name identifies one.
        let earlier = self.policies.iter().take(self.index);
        let same = |other: &PartialPolicy<'_>| policy.name.is_some() && other.name == policy.name;
        if let Some(earlier) = earlier.into_iter().position(same) {
            self.note(Flaw::DuplicateName(earlier), Part::Name);
        }
    }

    fn check_list<T: PartialEq>(&mut self, list: Known<'_, T>, part: Part) {
        if list.complete && list.entries.is_empty() {
            self.note(Flaw::EmptyList, part);
        }
        for (position, entry) in list.entries.iter().enumerate() {
            if list.entries.iter().take(position).any(|earlier| earlier == entry) {
                self.note_entry(Flaw::Repeated, part, Some(position));
            }
        }
    }

    fn check_condition(&mut self, position: usize) {
        let (policy, part) = (self.policy(), Part::Condition(position));
        let conditions = policy.conditions;
        let Some(condition) = conditions.get(position) else { return };
        let rule = row(condition);
        let mut earlier = conditions.iter().take(position);
        if earlier.any(|earlier| row(earlier).word == rule.word) {
            self.note(Flaw::RepeatedCondition, part);
        }
        self.check_argument(&rule.test, part);
        match policy.conclusion {
            Some(KnownConclusion::Recognises(_)) if !rule.in_relationships => {
                self.note(Flaw::NotInRelationships, part);
            }
            Some(KnownConclusion::Recognises(_)) | None => {}
            Some(KnownConclusion::Allows(actions)) => {
                self.check_roles(rule.roles, part);
                self.check_actions(&rule, actions, part);
                if let Condition::Related(kinds) = condition {
                    self.check_related(kinds, part);
                }
            }
        }
    }

    fn check_argument(&mut self, test: &Test<'_>, part: Part) {
        match test {
            Test::Flag(_) | Test::Place(Place::Here, ..) => {}
            Test::Place(Place::OneOf(places), ..) => self.check_list(Known::all(places), part),
            Test::Kinds(kinds, ..) => self.check_list(Known::all(kinds), part),
            Test::Purposes(purposes, ..) => self.check_list(Known::all(purposes), part),
            Test::Requirements(requirements, ..) => self.check_requirements(requirements, part),
            Test::End(end, ..) if *end <= self.now => self.note(Flaw::Passed, part),
            Test::End(end, ..) => {
                if self.policy().expires.is_some_and(|expires| expires <= *end) {
                    self.note(Flaw::NoEarlierEnd, part);
                }
            }
        }
    }

    fn check_requirements(&mut self, requirements: &[Requirement], part: Part) {
        self.check_list(Known::all(requirements), part);
        for (position, required) in requirements.iter().enumerate() {
            let issuers = &required.issuers;
            let repeated = issuers.iter().enumerate().any(|(number, issuer)| {
                issuers.iter().take(number).any(|earlier| earlier == issuer)
            });
            let flaw = if issuers.is_empty() {
                Flaw::NoIssuer
            } else if repeated {
                Flaw::RepeatedIssuer
            } else if !(1..=issuers.len()).contains(&usize::from(required.at_least)) {
                Flaw::ImpossibleNumber
            } else {
                continue;
            };
            self.note_entry(flaw, part, Some(position));
        }
    }

    fn check_roles(&mut self, roles: Roles, part: Part) {
        if !self.policy().roles.lacks(|role| roles.include(*role)) {
            return;
        }
        match roles {
            Roles::Any => {}
            Roles::Patients => self.note(Flaw::PatientNotBound, part),
            Roles::Professionals => self.note(Flaw::NeverRelated, part),
        }
    }

    fn check_actions(&mut self, rule: &Row<'_>, actions: Known<'_, Action>, part: Part) {
        let reading = matches!(rule.actions, Actions::ForPurpose(_));
        if reading && actions.lacks(|action| reads(*action)) {
            return self.note(Flaw::NothingRead, part);
        }
        let obstacle = |action: &Action| Some((*action, rule.actions.obstacle(*action)?));
        if let Some((action, obstacle)) = actions.entries.iter().find_map(obstacle) {
            self.note(Flaw::NeverForAction(action, obstacle), part);
        }
    }

    /// Each kind of relationship must count for a requester to whom the policy applies.
    fn check_related(&mut self, kinds: &[RelationshipKind], part: Part) {
        let policy = self.policy();
        if policy.conditions.contains(&Condition::RequesterIsPatient) {
            self.note(Flaw::RelatedToThemselves, part);
        }
        if !self.policies.iter().all(PartialPolicy::is_legible) {
            // The policy that recognises the relationship may be one that cannot be read.
            return;
        }
        for (position, kind) in kinds.iter().enumerate() {
            if !self.policies.iter().any(|other| other.recognises(*kind, policy)) {
                self.note_entry(Flaw::NeverRecognised(*kind), part, Some(position));
            }
        }
    }
}

impl PartialPolicy<'_> {
    /// Whether all is known that decides whether a relationship policy recognises a relationship.
    fn is_legible(&self) -> bool {
        let recognised = match self.conclusion {
            Some(KnownConclusion::Recognises(kinds)) => kinds.complete,
            Some(KnownConclusion::Allows(_)) => true,
            None => false,
        };
        recognised
            && self.roles.complete
            && self.hospitals.is_none_or(|hospitals| hospitals.complete)
    }

    /// Whether this is a relationship policy that recognises a kind for a professional to whom the other policy
    /// applies, at a hospital to which both apply.
    fn recognises(&self, kind: RelationshipKind, other: &PartialPolicy<'_>) -> bool {
        let Some(KnownConclusion::Recognises(kinds)) = self.conclusion else { return false };
        let professional =
            |role: &Role| is_professional(*role) && self.roles.entries.contains(role);
        let together = match (self.hospitals, other.hospitals) {
            (Some(own), Some(others)) => own.entries.iter().any(|id| others.entries.contains(id)),
            _ => true,
        };
        kinds.entries.contains(&kind) && together && other.roles.entries.iter().any(professional)
    }
}

fn text_flaw(text: &[u8]) -> Option<Flaw> {
    match core::str::from_utf8(text) {
        Err(_) => Some(Flaw::NotUtf8),
        Ok(text) if text.trim().is_empty() => Some(Flaw::BlankText),
        Ok(text) if text.chars().any(char::is_control) => Some(Flaw::ControlCharacter),
        Ok(_) => None,
    }
}
