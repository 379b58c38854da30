//! As Epione shares: the sections stay in their record. A consent says whom its slot is for, and a placement which
//! sections are in the slot. A user who reads gets one grant.

use anyhow::{Context, anyhow, ensure};
use codec::Encode;
use epione_envelope::{
    grant::{AccessGrant, Expected, GrantTerms, GrantedSection},
    record::Record,
};
use epione_primitives::{
    Moment, RecordPointer, UserId,
    access::{PolicyList, Purpose},
    credential::AttributeId,
    limits::MAX_AUDIENCE_LEAVES,
    release::SectionSet,
    sharing::{
        Audience, Consent, ConsentVersion, KindSet, Placement, Placements, RecordedPeriod, SlotId,
        Term, check_audience,
    },
};

use super::{Fetched, Scheme, Stored, packed, packed_bytes};
use crate::sharing::{
    parties::{HOSPITAL, Parties, Person, ids},
    state,
};

/// The slot of the shared sections.
pub(in crate::sharing) const SLOT: SlotId = SlotId(0);
const POINTER: RecordPointer = RecordPointer { height: 1, index: 0 };
pub(in crate::sharing) const PURPOSE: Purpose = Purpose::Research;
const ISSUED: Moment = 1_790_000_000_000;
const EXPIRES: Moment = ISSUED + 600_000;
/// When the consent ends.
pub(in crate::sharing) const UNTIL: Moment = ISSUED + 86_400_000;

pub(in crate::sharing) struct OneRecord {
    record: Record,
    /// Of each user.
    grants: Vec<AccessGrant>,
    consent: ConsentVersion,
    placements: Placements,
}

impl Scheme for OneRecord {
    const NAME: &'static str = "Epione: one record, one grant";

    fn share(parties: &Parties, texts: &[String], users: &[Person]) -> anyhow::Result<Self> {
        let record = parties.record(texts)?;
        let grants = users.iter().map(|user| grant(parties, &record, user));
        let grants = grants.collect::<anyhow::Result<_>>()?;
        let consent = consented(&ids(users), UNTIL)?;
        let consent = ConsentVersion { version: 1, consent, since: ISSUED, block: 1, ended: None };
        let placements = placed(u16::try_from(texts.len())?)?;
        Ok(Self { record, grants, consent, placements })
    }

    /// Grants are sealed when a user reads, and are not stored.
    fn stored(&self) -> anyhow::Result<Stored> {
        let packed = packed([&self.record])?;
        let place = (self.record.patient(), SLOT);
        let sections = first(u16::try_from(self.record.sections().len())?)?;
        let placed = state::placed(place, POINTER, &self.placements, sections);
        let state = placed + state::given(place, &self.consent);
        // Each placement is found by its record, and by its slot.
        let index_entries = (packed.entries.len() + 2 * self.placements.len()) as u64;
        let bytes = packed_bytes(&packed) + state as u64;
        Ok(Stored { index_entries, wrapped_keys: 0, bytes })
    }

    fn fetched(&self) -> anyhow::Result<Fetched> {
        let grant = self.grants.first().context("there are no users")?;
        let bytes = (self.record.encoded_size() + grant.encoded_size()) as u64;
        Ok(Fetched { requests: 1, bytes })
    }

    fn opened(
        &self,
        parties: &Parties,
        place: usize,
        user: &Person,
    ) -> anyhow::Result<Vec<String>> {
        let grant = self.grants.get(place).context("there is no such user")?;
        let (agent, audience) = (parties.agent.account.id(), user.account.id());
        let expected = Expected {
            genesis: parties.genesis,
            hospital: HOSPITAL,
            agent: &agent,
            audience: &audience,
            patient: parties.patient.id,
            nonce: [3; 16],
            now: ISSUED,
        };
        let keys = grant.open(&expected, &user.sealing)?;
        let keys: Vec<_> = keys.into_iter().map(|(_, key)| key).collect();
        parties.opened(&self.record, &keys)
    }
}

/// A grant of all sections.
fn grant(parties: &Parties, record: &Record, user: &Person) -> anyhow::Result<AccessGrant> {
    let terms = GrantTerms {
        genesis: parties.genesis,
        hospital: HOSPITAL,
        patient: parties.patient.id,
        requester: user.id,
        audience: user.account.id(),
        purpose: PURPOSE,
        issued: ISSUED,
        expires: EXPIRES,
        nonce: [3; 16],
    };
    let mut keys = Vec::new();
    for (section, _) in (0..).zip(record.sections()) {
        let key = record.content_key(parties.genesis, section, &parties.patient_keys)?;
        keys.push((GrantedSection { pointer: POINTER, record: record.id(), section }, key));
    }
    Ok(AccessGrant::seal(terms, &keys, user.sealing.public(), &parties.agent.account)?)
}

/// A consent for these users, for research: by name, as far as a consent can name so many, and otherwise by an
/// attribute.
pub(in crate::sharing) fn consented(users: &[UserId], until: Moment) -> anyhow::Result<Consent> {
    let mut terms: Vec<_> = users.iter().map(|user| Term::User(*user)).collect();
    match u8::try_from(terms.len()) {
        Ok(1) => {}
        Ok(of) if u32::from(of) <= MAX_AUDIENCE_LEAVES => {
            terms.push(Term::AtLeast { met: 1, of });
        }
        _ => terms = vec![Term::Credential { attribute: AttributeId(0), issuer: HOSPITAL }],
    }
    check_audience(&terms).map_err(|error| anyhow!("the audience is invalid: {error:?}"))?;
    let audience = Audience::try_from(terms).map_err(|_| anyhow!("the audience is too large"))?;
    let purposes: PolicyList<Purpose> =
        vec![PURPOSE].try_into().map_err(|_| anyhow!("one purpose is too many"))?;
    let (kinds, recorded) = (KindSet::default(), RecordedPeriod::default());
    Ok(Consent { audience, purposes, kinds, recorded, until, standing: false })
}

/// The first sections of a record.
pub(in crate::sharing) fn first(sections: u16) -> anyhow::Result<SectionSet> {
    let mut set = SectionSet::default();
    for section in 0..sections {
        ensure!(set.insert(section), "a record has no section {section}");
    }
    Ok(set)
}

/// The first sections of a record, in the slot.
pub(in crate::sharing) fn placed(sections: u16) -> anyhow::Result<Placements> {
    let placement = Placement { slot: SLOT, sections: first(sections)? };
    vec![placement].try_into().map_err(|_| anyhow!("one placement is too many"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_names_few_users_and_an_attribute_of_many() {
        let users = |count: u8| (0..count).map(|number| UserId([number; 32])).collect::<Vec<_>>();
        let terms = |count| consented(&users(count), UNTIL).unwrap().audience;
        assert!(matches!(terms(1).as_slice(), [Term::User(_)]));
        assert!(matches!(terms(2).as_slice(), [.., Term::AtLeast { met: 1, of: 2 }]));
        assert_eq!(terms(16).len(), 17);
        assert!(matches!(terms(17).as_slice(), [Term::Credential { .. }]));
    }

    #[test]
    fn a_record_has_no_more_sections_than_can_be_placed() {
        assert_eq!(placed(64).unwrap()[0].sections, SectionSet::ALL);
        assert!(placed(65).is_err());
    }
}
