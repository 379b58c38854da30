//! Why no standing consent of a patient includes a requester: the leaves of each consent's formula that do not hold.
//! The chain shows all of it to everybody: consents, roles, registrations and credentials.

use std::{collections::BTreeSet, fmt};

use epione_primitives::{
    HospitalId, Moment, UserId,
    access::Purpose,
    credential::AttributeId,
    profile::Role,
    sharing::{ConsentVersion, SlotId, Term, fold},
};

use crate::{
    chain::{ChainError, Snapshot},
    consent::{Names, audience_in_words, purposes_in_words},
};

/// Why the chain decides for no opening. Its text is for the requester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAdmitted {
    pub patient: UserId,
    pub purpose: Purpose,
    /// Whether a registration of the requester is in force at an active hospital. Without one, no consent counts.
    pub is_registered: bool,
    /// The patient's consents in force that are standing, or that would include the requester if they were; ascending
    /// by slot.
    pub consents: Vec<NotIncluding>,
    names: Names,
}

/// A consent in force that gives no opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotIncluding {
    pub slot: SlotId,
    pub reason: Reason,
}

/// Why a consent gives no opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is for these purposes only.
    OtherPurpose(Vec<Purpose>),
    /// It includes the requester, but does not stand while the patient is away: the record's hospital grants access.
    NotStanding,
    /// What its audience requires of the requester in addition.
    Missing(Missing),
    /// It includes the requester; only a registration is missing, or the chain's state has changed meanwhile.
    Included,
}

/// What an audience requires, and a requester does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A leaf of the formula.
    Leaf(Term),
    /// At least so many of these.
    AtLeast(u8, Vec<Self>),
}

/// What the chain shows of a requester at the time of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    user: UserId,
    role: Option<Role>,
    /// The active hospitals at which a registration is in force.
    hospitals: BTreeSet<HospitalId>,
    /// The attributes that active hospitals confirm now.
    attributes: BTreeSet<(AttributeId, HospitalId)>,
}

impl NotAdmitted {
    /// Compares each consent of the patient with what the chain shows of the requester.
    pub async fn of(
        state: &Snapshot,
        (patient, requester): (UserId, UserId),
        purpose: Purpose,
    ) -> Result<Self, ChainError> {
        let facts = Facts::of(state, requester).await?;
        let (now, consents) = (state.time().await?, state.consents(patient).await?);
        Ok(Self {
            patient,
            purpose,
            is_registered: !facts.hospitals.is_empty(),
            consents: not_including(&consents, &facts, purpose, now),
            names: Names::of(state).await?,
        })
    }
}

fn not_including(
    consents: &[(SlotId, ConsentVersion)],
    facts: &Facts,
    purpose: Purpose,
    now: Moment,
) -> Vec<NotIncluding> {
    let in_force = consents.iter().filter(|(_, version)| version.in_force(now));
    let reasons = in_force.filter_map(|(slot, ConsentVersion { consent, .. })| {
        let is_for = consent.purposes.contains(&purpose);
        let missing = missing(&consent.audience, facts);
        let reason = match (consent.standing, is_for, missing) {
            (false, true, None) => Reason::NotStanding,
            // Nothing that the requester can do makes it give an opening.
            (false, _, _) => return None,
            (true, false, _) => Reason::OtherPurpose(consent.purposes.to_vec()),
            (true, true, Some(missing)) => Reason::Missing(missing),
            (true, true, None) => Reason::Included,
        };
        Some(NotIncluding { slot: *slot, reason })
    });
    reasons.collect()
}

/// What an audience requires in addition; none if it includes the requester.
fn missing(audience: &[Term], facts: &Facts) -> Option<Missing> {
    let leaf = |term: &Term| (!facts.holds(term)).then_some(Missing::Leaf(*term));
    let threshold = |met: u8, values: &[Option<Missing>]| {
        let of: Vec<_> = values.iter().flatten().cloned().collect();
        let holding = u8::try_from(values.len() - of.len()).unwrap_or(u8::MAX);
        let more = met.saturating_sub(holding);
        match <[Missing; 1]>::try_from(of) {
            _ if more == 0 => None,
            Ok([only]) => Some(only),
            Err(of) => Some(Missing::AtLeast(more, of)),
        }
    };
    // Terms that are no formula include nobody.
    fold(audience, leaf, threshold).unwrap_or_else(|| Some(Missing::AtLeast(1, Vec::new())))
}

impl Missing {
    /// The formula of what is missing.
    fn terms(&self) -> Vec<Term> {
        match self {
            Self::Leaf(term) => vec![*term],
            Self::AtLeast(met, of) => {
                let mut terms: Vec<_> = of.iter().flat_map(Self::terms).collect();
                let of = u8::try_from(of.len()).unwrap_or(u8::MAX);
                terms.push(Term::AtLeast { met: *met, of });
                terms
            }
        }
    }
}

impl Facts {
    async fn of(state: &Snapshot, user: UserId) -> Result<Self, ChainError> {
        let (now, known) = (state.time().await?, state.hospitals().await?);
        let serving: BTreeSet<_> =
            known.iter().filter(|(_, it)| it.status.serves()).map(|(id, _)| *id).collect();
        let registrations = state.registrations(user).await?;
        let in_force = registrations.iter().filter(|(_, it)| it.in_force(now)).map(|(id, _)| *id);
        let hospitals = in_force.filter(|id| serving.contains(id)).collect();
        let credentials = state.all_credentials(user).await?;
        let confirmed = credentials
            .iter()
            .filter(|(_, issuer, credential)| credential.in_force(now) && serving.contains(issuer));
        let attributes = confirmed.map(|(attribute, issuer, _)| (*attribute, *issuer)).collect();
        let role = state.profile(user).await?.map(|profile| profile.role);
        Ok(Self { user, role, hospitals, attributes })
    }

    fn holds(&self, term: &Term) -> bool {
        match *term {
            Term::User(user) => user == self.user,
            Term::Hospital(hospital) => self.hospitals.contains(&hospital),
            Term::Role(role) => self.role == Some(role),
            Term::Credential { attribute, issuer } => {
                self.attributes.contains(&(attribute, issuer))
            }
            Term::AtLeast { .. } => false,
        }
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { patient, purpose, is_registered, consents, names } = self;
        let why = purposes_in_words(&[*purpose]);
        write!(
            f,
            "no standing consent of patient {patient} lets the hospitals open sections for you, for {why}"
        )?;
        if !is_registered {
            write!(f, ": no registration of yours is in force at an active hospital")?;
        }
        if consents.is_empty() {
            return write!(f, ": the patient has none in force");
        }
        for NotIncluding { slot, reason } in consents {
            write!(f, "; consent {slot} ")?;
            match reason {
                Reason::OtherPurpose(purposes) => {
                    write!(f, "is for {} only", purposes_in_words(purposes))?;
                }
                Reason::NotStanding => write!(
                    f,
                    "includes you, but is not a standing one: request access from the hospital of the record"
                )?,
                Reason::Missing(missing) => {
                    let who = audience_in_words(&missing.terms(), names);
                    write!(
                        f,
                        "requires a requester who {who}: the chain does not show this of you"
                    )?;
                }
                Reason::Included => write!(f, "includes you")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for NotAdmitted {}

#[cfg(test)]
mod tests {
    use epione_primitives::sharing::{Consent, KindSet, RecordedPeriod};

    use super::*;

    const USER: UserId = UserId([2; 32]);
    const CARDIOLOGY: AttributeId = AttributeId(3);
    const NOW: Moment = 15;

    fn names() -> Names {
        Names {
            hospitals: [(HospitalId(1), "Bob".to_owned())].into(),
            attributes: [(CARDIOLOGY, "cardiology".to_owned())].into(),
            ..Names::default()
        }
    }

    /// A researcher of hospital 1, without attributes.
    fn facts() -> Facts {
        Facts {
            user: USER,
            role: Some(Role::Researcher),
            hospitals: [HospitalId(1)].into(),
            attributes: BTreeSet::new(),
        }
    }

    fn given(audience: &[Term], standing: bool) -> ConsentVersion {
        let consent = Consent {
            audience: audience.to_vec().try_into().unwrap(),
            purposes: vec![Purpose::Research].try_into().unwrap(),
            kinds: KindSet::default(),
            recorded: RecordedPeriod::default(),
            until: 20,
            standing,
        };
        ConsentVersion { version: 1, consent, since: 10, block: 1, ended: None }
    }

    fn cardiology() -> Term {
        Term::Credential { attribute: CARDIOLOGY, issuer: HospitalId(1) }
    }

    fn said(consents: Vec<NotIncluding>) -> String {
        let (patient, purpose) = (UserId([1; 32]), Purpose::Research);
        let names = names();
        NotAdmitted { patient, purpose, is_registered: true, consents, names }.to_string()
    }

    #[test]
    fn the_leaf_that_does_not_hold_is_named_and_those_that_hold_are_not() {
        let audience =
            [Term::Role(Role::Researcher), cardiology(), Term::AtLeast { met: 2, of: 2 }];
        let consents = [(SlotId(2), given(&audience, true))];
        let found = not_including(&consents, &facts(), Purpose::Research, NOW);
        let reason = Reason::Missing(Missing::Leaf(cardiology()));
        assert_eq!(found, [NotIncluding { slot: SlotId(2), reason }]);
        let said = said(found);
        assert!(
            said.ends_with(
                "consent 2 requires a requester who has the attribute cardiology, confirmed by hospital 1 \"Bob\": the \
                 chain does not show this of you"
            ),
            "{said}"
        );
        assert!(!said.contains("researcher"), "{said}");

        let with = Facts { attributes: [(CARDIOLOGY, HospitalId(1))].into(), ..facts() };
        assert_eq!(missing(&audience, &with), None);
        let of_other = Facts { attributes: [(CARDIOLOGY, HospitalId(2))].into(), ..facts() };
        assert_eq!(missing(&audience, &of_other), Some(Missing::Leaf(cardiology())));
    }

    #[test]
    fn of_a_threshold_as_many_leaves_as_are_missing_are_named() {
        let [first, second] = [HospitalId(5), HospitalId(6)].map(Term::Hospital);
        let own = Term::Role(Role::Researcher);
        let both = [own, first, second, Term::AtLeast { met: 3, of: 3 }];
        let leaves = vec![Missing::Leaf(first), Missing::Leaf(second)];
        assert_eq!(missing(&both, &facts()), Some(Missing::AtLeast(2, leaves.clone())));
        let one_more = [own, first, second, Term::AtLeast { met: 2, of: 3 }];
        assert_eq!(missing(&one_more, &facts()), Some(Missing::AtLeast(1, leaves)));
        let enough = [own, first, second, Term::AtLeast { met: 1, of: 3 }];
        assert_eq!(missing(&enough, &facts()), None);

        let found = missing(&one_more, &facts()).unwrap();
        let words = audience_in_words(&found.terms(), &names());
        assert_eq!(words, "is registered at hospital 5 or is registered at hospital 6");
    }

    #[test]
    fn every_kind_of_leaf_is_compared_with_the_requester() {
        let with = Facts { attributes: [(CARDIOLOGY, HospitalId(1))].into(), ..facts() };
        let hospital = Term::Hospital(HospitalId(1));
        let nobody = Facts {
            user: UserId([9; 32]),
            role: None,
            hospitals: BTreeSet::new(),
            attributes: BTreeSet::new(),
        };
        for term in [Term::User(USER), hospital, Term::Role(Role::Researcher), cardiology()] {
            assert_eq!(missing(&[term], &with), None, "{term:?}");
            assert_eq!(missing(&[term], &nobody), Some(Missing::Leaf(term)));
        }
        assert!(missing(&[], &with).is_some(), "terms that are no formula include nobody");
    }

    #[test]
    fn consents_that_are_over_or_for_another_purpose_or_not_standing_are_told_apart() {
        let own = [Term::User(USER)];
        let over = ConsentVersion { ended: Some(NOW), ..given(&own, true) };
        let consents = [
            (SlotId(0), over),
            (SlotId(1), given(&own, false)),
            (SlotId(2), given(&[cardiology()], false)),
            (SlotId(3), given(&own, true)),
        ];
        let reasons = |purpose| {
            let found = not_including(&consents, &facts(), purpose, NOW);
            found.into_iter().map(|it| (it.slot.0, it.reason)).collect::<Vec<_>>()
        };
        let research = [(1_u8, Reason::NotStanding), (3, Reason::Included)];
        assert_eq!(reasons(Purpose::Research), research);
        let other = Reason::OtherPurpose(vec![Purpose::Research]);
        assert_eq!(reasons(Purpose::Treatment), [(3_u8, other)]);
        assert!(said(Vec::new()).ends_with("the patient has none in force"));
    }
}
