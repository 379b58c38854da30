//! What a patient signs, in sentences.

use std::collections::BTreeMap;

use epione_primitives::{
    HospitalId, UserId, Word,
    access::Purpose,
    credential::AttributeId,
    limits::{MAX_ATTRIBUTES, MAX_PAGE},
    sharing::{Consent, RecordedPeriod, SlotId, Term, fold},
    text::{legible, quoted},
};

use super::{fhir::instant, kinds_in};
use crate::chain::{ChainError, Snapshot};

/// Names of what a consent refers to by numbers. Those of hospitals and attributes are the chain's, and safe to print;
/// those of users are the reader's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub hospitals: BTreeMap<HospitalId, String>,
    pub attributes: BTreeMap<AttributeId, String>,
    pub users: BTreeMap<UserId, String>,
}

impl Names {
    /// The names of all hospitals and attributes.
    pub async fn of(state: &Snapshot) -> Result<Self, ChainError> {
        let known = state.hospitals().await?;
        let hospitals = known.iter().map(|(id, it)| (*id, legible(&it.name))).collect();
        let mut attributes = BTreeMap::new();
        let mut from = AttributeId(0);
        loop {
            let page = state.attributes(from, MAX_PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            // A node that goes back would keep the client in a loop.
            let next = last.0.saturating_add(1);
            if *last < from || attributes.len() >= usize::from(MAX_ATTRIBUTES) {
                return Err(ChainError::TooMany {
                    what: "attributes",
                    limit: usize::from(MAX_ATTRIBUTES),
                });
            }
            from = AttributeId(next);
            attributes.extend(page.into_iter().map(|(id, name)| (id, legible(&name))));
            if next >= MAX_ATTRIBUTES {
                break;
            }
        }
        Ok(Self { hospitals, attributes, users: BTreeMap::new() })
    }

    /// The attribute with this name.
    pub fn attribute(&self, name: &str) -> Option<AttributeId> {
        self.attributes.iter().find(|(_, known)| *known == name).map(|(id, _)| *id)
    }

    fn hospital(&self, id: HospitalId) -> String {
        match self.hospitals.get(&id) {
            Some(name) => format!("{id} {}", quoted(name.as_bytes())),
            None => id.to_string(),
        }
    }

    fn user(&self, id: UserId) -> String {
        match self.users.get(&id) {
            Some(name) => format!("{name} ({id})"),
            None => id.to_string(),
        }
    }
}

/// What a patient signs with a consent for a slot: one sentence each.
pub fn sentences(slot: SlotId, consent: &Consent, names: &Names) -> Vec<String> {
    let who = audience_in_words(&consent.audience, names);
    let why = purposes_in_words(&consent.purposes);
    let until = instant(consent.until);
    let mut said = vec![format!(
        "You let every requester who {who} read, for {why}, the sections in slot {slot}, until {until}."
    )];
    let kinds: Vec<_> = kinds_in(consent.kinds).map(|kind| kind.spoken()).collect();
    said.push(if kinds.is_empty() {
        "Only you place sections in the slot.".into()
    } else {
        let noun = if kinds.len() == 1 { "kind" } else { "kinds" };
        let kinds = joined(&kinds, "and");
        format!(
            "Sections of the {noun} {kinds}{} are placed in the slot: those of earlier records by your client, and \
             those of new records by the hospital that commits them.",
            recorded(consent.recorded)
        )
    });
    said.push(
        "The chain does not know the kind of a section or the time of a record: look at what is in the slot with \
         `epione section list`."
            .into(),
    );
    if consent.is_for_emergencies() {
        said.push(
            "This is an emergency summary: a doctor among these requesters opens it in an emergency, with a reason, \
             without asking you, and the other hospitals review it. Your list of who looked shows it first. Emergency \
             access at the hospital of a record is another way: the policies of that hospital decide on it."
                .into(),
        );
    }
    if consent.standing {
        said.push(
            "The consent stands while you and the hospital of a record are away: the hospitals then open the sections \
             together. As many hospitals as the threshold of the consortium key says (`epione consortium key status`) \
             can also open them together without the chain's decision, and without a receipt."
                .into(),
        );
    }
    said.push("What somebody has read, they may keep, also after you withdraw.".into());
    said
}

/// When the records were signed.
fn recorded(RecordedPeriod { from, to }: RecordedPeriod) -> String {
    match (from, to) {
        (None, None) => String::new(),
        (Some(from), None) => format!(" of records signed from {} on", instant(from)),
        (None, Some(to)) => format!(" of records signed before {}", instant(to)),
        (Some(from), Some(to)) => {
            format!(" of records signed from {} on and before {}", instant(from), instant(to))
        }
    }
}

/// The purposes, one of which is enough.
pub fn purposes_in_words(purposes: &[Purpose]) -> String {
    let spoken: Vec<_> = purposes.iter().map(|purpose| purpose.spoken()).collect();
    joined(&spoken, "or")
}

/// What a requester must be, after "who". Terms that are not a formula include nobody.
pub fn audience_in_words(terms: &[Term], names: &Names) -> String {
    let leaf = |term: &Term| {
        let said = match *term {
            Term::User(user) => format!("is user {}", names.user(user)),
            Term::Hospital(id) => format!("is registered at hospital {}", names.hospital(id)),
            Term::Role(role) => format!("has the role {}", role.spoken()),
            Term::Credential { attribute, issuer } => {
                let attribute = match names.attributes.get(&attribute) {
                    Some(name) => name.clone(),
                    None => format!("number {attribute}"),
                };
                let issuer = names.hospital(issuer);
                format!("has the attribute {attribute}, confirmed by hospital {issuer}")
            }
            Term::AtLeast { .. } => "meets nothing".into(),
        };
        (said, false)
    };
    let threshold = |met: u8, values: &[(String, bool)]| {
        let parts: Vec<_> = values
            .iter()
            .map(|(said, is_compound)| match is_compound {
                true => format!("({said})"),
                false => said.clone(),
            })
            .collect();
        let said = match (usize::from(met), parts.len()) {
            (_, 1) => joined(&parts, "and"),
            (1, _) => parts.join(" or "),
            (met, of) if met == of => parts.join(" and "),
            (met, of) => format!("meets at least {met} of these {of}: {}", parts.join("; ")),
        };
        (said, true)
    };
    fold(terms, leaf, threshold).map_or_else(|| "is nobody".into(), |(said, _)| said)
}

/// `a`, `a and b`, `a, b and c`.
fn joined(parts: &[String], word: &str) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use epione_envelope::record::SectionKind;
    use epione_primitives::{profile::Role, sharing::KindSet};

    use super::{super::set_of, *};

    fn names() -> Names {
        Names {
            hospitals: [(HospitalId(1), "Bob".to_owned())].into(),
            attributes: [(AttributeId(3), "cardiology".to_owned())].into(),
            users: [(UserId([7; 32]), "ada".to_owned())].into(),
        }
    }

    fn consent(terms: Vec<Term>) -> Consent {
        Consent {
            audience: terms.try_into().unwrap(),
            purposes: vec![Purpose::Research, Purpose::PublicHealth].try_into().unwrap(),
            kinds: set_of(&[SectionKind::Diagnosis, SectionKind::Report]),
            recorded: RecordedPeriod { from: Some(1_735_689_600_000), to: None },
            until: 1_801_353_600_000,
            standing: false,
        }
    }

    #[test]
    fn a_consents_sentence_says_who_reads_what_why_and_until_when() {
        let cardiology = Term::Credential { attribute: AttributeId(3), issuer: HospitalId(1) };
        let terms = vec![cardiology, Term::User(UserId([7; 32])), Term::AtLeast { met: 1, of: 2 }];
        let said = sentences(SlotId(2), &consent(terms), &names());
        let first = format!(
            "You let every requester who has the attribute cardiology, confirmed by hospital 1 \"Bob\" or is user ada \
             (0x{}) read, for research or public health, the sections in slot 2, until 2027-01-31T00:00:00.000Z.",
            "07".repeat(32)
        );
        assert_eq!(said[0], first);
        assert!(
            said[1].starts_with(
                "Sections of the kinds diagnosis and report of records signed from 2025-01-01T00:00:00.000Z on are \
                 placed"
            ),
            "{said:?}"
        );
        assert!(said[2].contains("does not know the kind") && said[3].contains("may keep"));
    }

    #[test]
    fn a_standing_consent_says_what_the_hospitals_can_do_together() {
        let consent = consent(vec![Term::Role(Role::Insurer)]);
        let usual = sentences(SlotId(0), &consent, &names());
        let said = sentences(SlotId(0), &Consent { standing: true, ..consent }, &names());
        let added: Vec<_> = said.iter().filter(|sentence| !usual.contains(sentence)).collect();
        assert_eq!((said.len(), added.len()), (usual.len() + 1, 1));
        assert!(added[0].contains("can also open them together without the chain's decision"));
    }

    #[test]
    fn a_consent_for_emergencies_says_that_doctors_open_the_summary_under_review() {
        let consent = Consent { standing: true, ..consent(vec![Term::Role(Role::Doctor)]) };
        let usual = sentences(SlotId(0), &consent, &names());
        let purposes = vec![Purpose::Emergency].try_into().unwrap();
        let said = sentences(SlotId(0), &Consent { purposes, ..consent }, &names());
        let added: Vec<_> =
            said.iter().skip(1).filter(|sentence| !usual.contains(sentence)).collect();
        assert_eq!((said.len(), added.len()), (usual.len() + 1, 1));
        assert!(added[0].contains("without asking you, and the other hospitals review it"));
    }

    /// The name is in what the patient signs, and its hospital chose it.
    #[test]
    fn a_hospitals_name_cannot_change_the_sentence() {
        let name = "Bob\" or has the role doctor\n\\".to_owned();
        let names = Names { hospitals: [(HospitalId(1), name)].into(), ..names() };
        let said = audience_in_words(&[Term::Hospital(HospitalId(1))], &names);
        let expected = "is registered at hospital 1 \"Bob\\\" or has the role doctor\u{fffd}\\\\\"";
        assert_eq!(said, expected);
    }

    #[test]
    fn without_kinds_only_the_patient_places_sections() {
        let consent = Consent { kinds: KindSet(0), ..consent(vec![Term::Role(Role::Insurer)]) };
        let said = sentences(SlotId(0), &consent, &names());
        assert_eq!(said[1], "Only you place sections in the slot.");
    }

    #[test]
    fn thresholds_within_each_other_are_in_parentheses() {
        let [a, b, c] = [
            Term::Role(Role::Doctor),
            Term::Hospital(HospitalId(1)),
            Term::Hospital(HospitalId(9)),
        ];
        let said = |terms: &[Term]| audience_in_words(terms, &names());
        let (all, any) = (Term::AtLeast { met: 2, of: 2 }, Term::AtLeast { met: 1, of: 2 });
        assert_eq!(
            said(&[a, b, c, any, all]),
            "has the role doctor and (is registered at hospital 1 \"Bob\" or is registered at hospital 9)"
        );
        assert_eq!(
            said(&[a, b, c, Term::AtLeast { met: 2, of: 3 }]),
            "meets at least 2 of these 3: has the role doctor; is registered at hospital 1 \"Bob\"; is registered at \
             hospital 9"
        );
        for malformed in [&[][..], &[a, b], &[all], &[a, any]] {
            assert_eq!(said(malformed), "is nobody");
        }
    }
}
