//! Which of a patient's slots gets a consent: one that has it already, the one that is named, or a free one.

use epione_client::chain::Snapshot;
use epione_primitives::{
    Moment, UserId,
    limits::MAX_SLOTS,
    sharing::{Consent, ConsentVersion, SlotId},
};

use crate::failure::Failure;

/// What is to be given.
pub(super) struct Wanted {
    /// The slot that the patient names; none for the slot that has this consent already, or the first free one.
    pub slot: Option<SlotId>,
    /// The slot that somebody else names, in a file. It must be free, or have this consent already.
    pub proposed: Option<SlotId>,
    pub consent: Consent,
    /// By how much the end of a consent in force may be before the wanted one and still be the same.
    pub same_end: Moment,
}

/// The slot that has the wanted consent in force, and the version.
pub(super) fn found<'c>(
    known: &'c [(SlotId, ConsentVersion)],
    wanted: &Wanted,
    now: Moment,
) -> Option<(SlotId, &'c ConsentVersion)> {
    let is_wanted = |slot: SlotId, version: &ConsentVersion| {
        let Consent { until, .. } = version.consent;
        let same = Consent { until, ..wanted.consent.clone() } == version.consent;
        // One that ends later lets others read for longer than the patient wants.
        let earlier = wanted.consent.until.checked_sub(until);
        let ends_then = earlier.is_some_and(|earlier| earlier <= wanted.same_end);
        let slot_fits = wanted.slot.or(wanted.proposed).is_none_or(|it| it == slot);
        version.in_force(now) && same && ends_then && slot_fits
    };
    known
        .iter()
        .find(|(slot, version)| is_wanted(*slot, version))
        .map(|(slot, version)| (*slot, version))
}

/// The newest consents of a patient, and the time.
#[derive(Clone, Copy)]
struct Known<'c> {
    consents: &'c [(SlotId, ConsentVersion)],
    now: Moment,
}

impl Known<'_> {
    /// Whether nothing is in a slot, and no consent of it is in force.
    async fn is_free(
        self,
        slot: SlotId,
        (state, patient): (&Snapshot, UserId),
    ) -> Result<bool, Failure> {
        let mut in_force = self.consents.iter().filter(|(_, version)| version.in_force(self.now));
        if in_force.any(|(it, _)| *it == slot) {
            return Ok(false);
        }
        Ok(state.placed_in(patient, slot, None, 1).await?.is_empty())
    }
}

/// The wanted slot, or the proposed one if it is free, or the first free one. What is in a slot is shared by the next
/// consent of the slot, too, so a slot with sections is never chosen for the patient.
pub(super) async fn slot_for(
    wanted: &Wanted,
    known: &[(SlotId, ConsentVersion)],
    (state, patient, now): (&Snapshot, UserId, Moment),
) -> Result<SlotId, Failure> {
    if let Some(slot) = wanted.slot {
        return Ok(slot);
    }
    let (known, at) = (Known { consents: known, now }, (state, patient));
    if let Some(slot) = wanted.proposed {
        if known.is_free(slot, at).await? {
            return Ok(slot);
        }
        return Err(Failure::usage(
            format!("the file names slot {slot}, which has sections or another consent in force"),
            format!(
                "look at it (`epione consent show --help`, `epione section list --help`), and choose a slot with \
                 --slot, such as --slot {slot}; nothing was signed, nothing was sent"
            ),
        ));
    }
    for slot in (0..MAX_SLOTS).map(SlotId) {
        if known.is_free(slot, at).await? {
            return Ok(slot);
        }
    }
    Err(Failure::new(
        format!("none of your {MAX_SLOTS} slots is free"),
        "give a slot another consent with --slot, or withdraw one and take its sections out: `epione consent list \
         --help`, `epione section unshare --help`",
    ))
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        HospitalId,
        access::Purpose,
        sharing::{KindSet, RecordedPeriod, Term},
    };

    use super::*;

    fn consent(until: Moment) -> Consent {
        Consent {
            audience: vec![Term::Hospital(HospitalId(1))].try_into().unwrap(),
            purposes: vec![Purpose::Research].try_into().unwrap(),
            kinds: KindSet(0b10),
            recorded: RecordedPeriod::default(),
            until,
            standing: false,
        }
    }

    fn version(until: Moment) -> ConsentVersion {
        ConsentVersion { version: 4, consent: consent(until), since: 10, block: 7, ended: None }
    }

    fn wanted(slot: Option<u8>, until: Moment, same_end: Moment) -> Wanted {
        Wanted { slot: slot.map(SlotId), proposed: None, consent: consent(until), same_end }
    }

    #[test]
    fn a_rerun_finds_only_the_consent_that_it_would_give() {
        let known = [(SlotId(0), version(90)), (SlotId(3), version(100))];
        let found = |wanted: &Wanted, now| found(&known, wanted, now).map(|(slot, _)| slot.0);
        assert_eq!(found(&wanted(None, 100, 0), 50), Some(3));
        assert_eq!(found(&wanted(None, 105, 5), 50), Some(3));
        assert_eq!(found(&wanted(None, 105, 4), 50), None);
        let proposed = |slot| Wanted { proposed: Some(SlotId(slot)), ..wanted(None, 100, 0) };
        assert_eq!((found(&proposed(3), 50), found(&proposed(0), 50)), (Some(3), None));
        assert_eq!(found(&wanted(Some(3), 100, 0), 50), Some(3));
        assert_eq!(found(&wanted(Some(0), 100, 0), 50), None);
        assert_eq!(found(&wanted(None, 100, 0), 100), None, "it is over");
        let other = Consent { kinds: KindSet(0b100), ..consent(100) };
        let other = Wanted { consent: other, ..wanted(None, 100, 0) };
        assert_eq!(found(&other, 50), None);
    }

    /// The patient wants others to read for a shorter time: the longer consent must not pass for the wanted one.
    #[test]
    fn a_consent_that_ends_later_than_wanted_is_not_the_same() {
        let known = [(SlotId(3), version(100))];
        for (until, same_end) in [(99, 0), (99, 5), (95, 1_000), (51, Moment::MAX)] {
            assert_eq!(found(&known, &wanted(None, until, same_end), 50), None, "{until}");
            assert_eq!(found(&known, &wanted(Some(3), until, same_end), 50), None, "{until}");
        }
    }
}
