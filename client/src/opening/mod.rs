//! Openings: sections that hospitals open together for a requester, by the patient's standing consent, while the
//! patient and the hospital of the record are away.
//!
//! All of it is read from the chain by proofs. The chain decides when the requester asks; if it refuses,
//! [`NotAdmitted`] says what each consent requires, from what the chain shows to everybody.
//!
//! | step | by | |
//! | --- | --- | --- |
//! | [`Openings::ask`] | requester | the chain decides at once |
//! | [`Reader::open_standing`](crate::reader::Reader::open_standing) | requester | collects the hospitals' parts, verifies and opens |
//! | [`Openings::list`] | everybody | who opened what, for what purpose, and which hospitals handed out their parts |

mod error;
mod refusal;

pub use error::OpeningError;
pub use refusal::{Missing, NotAdmitted, NotIncluding, Reason};

use epione_primitives::{
    HospitalId, UserId,
    access::Purpose,
    consortium::KeyId,
    limits::MAX_OPENED_SECTIONS,
    opening::{HandedOut, Opening, OpeningId, slot_of},
    profile::Role,
    query::QueriedRecords,
    release::{EmergencyReason, ReleasedRecord, ReviewId, ReviewedEmergency, SectionSet},
    sharing::SlotSet,
};

use crate::{
    chain::{BlockRef, Chain, ChainError, ChainEvent, Snapshot, SubmitError, calls::openings},
    query::Party,
    reader::{OpeningFault, ReadError},
    signer::Account,
};

/// The openings of a chain.
#[derive(Clone, Debug)]
pub struct Openings {
    chain: Chain,
}

/// What a requester asks the hospitals to open.
#[derive(Clone, Debug)]
pub struct NewOpening {
    /// The hospital for which the requester asks. A registration of the requester must be in force there.
    pub hospital: HospitalId,
    pub patient: UserId,
    /// Records of the patient, ascending, each with at least one section; [`SectionSet::ALL`] for every section that
    /// the requester can have opened.
    pub records: QueriedRecords,
    pub purpose: Purpose,
    /// Present if and only if the purpose is emergency. The requester is a doctor, and the other hospitals review it.
    pub emergency: Option<EmergencyReason>,
}

/// An opening on which the chain has just decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewlyOpened {
    pub id: OpeningId,
    /// With the sections that the hospitals open.
    pub records: QueriedRecords,
    /// In an emergency: the review by the other hospitals.
    pub emergency: Option<ReviewedEmergency>,
    /// The final block that has the decision.
    pub block: BlockRef,
}

/// An opening on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: OpeningId,
    pub opening: Opening,
    /// The hospitals that recorded that they hand out their parts, ascending.
    pub handed_out: Vec<(HospitalId, HandedOut)>,
}

/// Openings of one patient's records, or for one requester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Newest first.
    pub openings: Vec<Found>,
    /// The block of which this is the state.
    pub block: BlockRef,
}

impl Openings {
    pub fn new(chain: Chain) -> Self {
        Self { chain }
    }

    /// Asks the chain for an opening. Nothing is sent if the chain would refuse it as of the newest final block.
    ///
    /// # Errors
    /// [`OpeningError::NotAdmitted`] with what each standing consent requires, also if the chain refuses the call for
    /// this reason.
    pub async fn ask(
        &self,
        new: &NewOpening,
        requester: &Account,
    ) -> Result<NewlyOpened, OpeningError> {
        let state = self.chain.finalized().await?;
        let user = state.user_of(&requester.id()).await?.ok_or(ReadError::UnknownReader)?;
        let NewOpening { hospital, patient, purpose, emergency, .. } = *new;
        let slots = state.standing(patient, user, purpose).await?;
        if slots.is_empty() {
            return Err(NotAdmitted::of(&state, (patient, user), purpose).await?.into());
        }
        if emergency.is_some() {
            let role = state.profile(user).await?.map(|profile| profile.role);
            if role != Some(Role::Doctor) {
                return Err(OpeningError::NotDoctor);
            }
        }
        let key = state.current_epoch().await?.ok_or(OpeningFault::NoKey)?.key;
        let mut records = Vec::with_capacity(new.records.len());
        for wanted in &new.records {
            records.push(shared(&state, wanted, slots, key).await?);
        }
        let sections: usize = records.iter().map(|record| record.sections.iter().count()).sum();
        if sections > MAX_OPENED_SECTIONS as usize {
            return Err(OpeningError::TooMany { sections });
        }
        // As many as were asked for.
        let records = QueriedRecords::truncate_from(records);
        let call = openings::ask(hospital, patient, &records, purpose, emergency);
        let included = match self.chain.submit(&call, requester).await {
            Err(error) if is_not_admitted(&error) => {
                let state = self.chain.finalized().await?;
                return Err(NotAdmitted::of(&state, (patient, user), purpose).await?.into());
            }
            submitted => submitted?,
        };
        // Nothing else is read: the opening has used up a place of the requester, and must not get lost.
        let (id, review) = opened(&included.events).ok_or(OpeningError::NoNumber)?;
        let reviewed = |reason| review.map(|review| ReviewedEmergency { reason, review });
        let emergency = emergency.and_then(reviewed);
        Ok(NewlyOpened { id, records, emergency, block: included.block })
    }

    /// An opening, as everybody can read it.
    pub async fn show(&self, id: OpeningId) -> Result<Found, OpeningError> {
        let block = self.chain.finalized_head().await?;
        self.show_at(block, id).await
    }

    /// An opening, by the state of a final block.
    pub async fn show_at(&self, block: BlockRef, id: OpeningId) -> Result<Found, OpeningError> {
        let state = self.chain.at(block.hash);
        let opening = state.opening(id).await?.ok_or(OpeningFault::Unknown(id))?;
        Ok(Found { id, opening, handed_out: state.handed_out(id).await? })
    }

    /// The newest openings of a patient's records, or for a requester, at most `limit`.
    pub async fn list(&self, party: Party, limit: u32) -> Result<Listed, OpeningError> {
        let block = self.chain.finalized_head().await?;
        self.list_at(block, party, limit).await
    }

    /// The same, by the state of a final block, so that the list fits together with what else is read at that block.
    pub async fn list_at(
        &self,
        block: BlockRef,
        party: Party,
        limit: u32,
    ) -> Result<Listed, OpeningError> {
        let state = self.chain.at(block.hash);
        let mut openings: Vec<Found> = Vec::new();
        let mut before = None;
        while (openings.len() as u64) < u64::from(limit) {
            let left = limit.saturating_sub(u32::try_from(openings.len()).unwrap_or(limit));
            let page = match party {
                Party::Patient(user) => state.openings_of_patient(user, before, left).await?,
                Party::Requester(user) => state.openings_of_requester(user, before, left).await?,
            };
            if page.is_empty() {
                break;
            }
            for (number, id, opening) in page {
                if before.is_some_and(|before| number >= before) {
                    // A node that repeats entries would keep the client in a loop.
                    let what = "a list of openings".to_owned();
                    let reason = "its numbers do not descend".to_owned();
                    return Err(ChainError::Malformed { what, reason }.into());
                }
                before = Some(number);
                openings.push(Found { id, opening, handed_out: state.handed_out(id).await? });
            }
        }
        openings.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Listed { openings, block })
    }
}

/// The sections of a record that the hospitals would open: those that are wanted, or all that are possible.
async fn shared(
    state: &Snapshot,
    wanted: &ReleasedRecord,
    slots: SlotSet,
    key: KeyId,
) -> Result<ReleasedRecord, OpeningError> {
    let ReleasedRecord { pointer, sections } = *wanted;
    let placements = state.placements(&[pointer]).await?.pop().unwrap_or_default();
    let in_slots = placements.iter().filter(|placement| slots.contains(placement.slot));
    let placed = in_slots.fold(SectionSet::default(), |all, it| all.union(it.sections));
    let wanted = if sections == SectionSet::ALL { placed } else { sections };
    let missing = wanted.without(placed);
    if wanted.is_empty() || !missing.is_empty() {
        return Err(OpeningError::NotShared { pointer, missing, shared: placed });
    }
    let wraps = state.wraps(pointer).await?;
    let mut ready = SectionSet::default();
    for section in wanted.iter().filter(|section| slot_of(*section, slots, key, &wraps).is_some()) {
        ready.insert(section);
    }
    let missing = wanted.without(ready);
    match sections == SectionSet::ALL {
        true if !ready.is_empty() => Ok(ReleasedRecord { pointer, sections: ready }),
        false if missing.is_empty() => Ok(ReleasedRecord { pointer, sections }),
        _ => Err(OpeningError::NotWrapped { pointer, missing }),
    }
}

fn is_not_admitted(error: &SubmitError) -> bool {
    error.dispatch().is_some_and(|failure| failure.is("Openings", "NotAdmitted"))
}

/// The opening that a transaction's events tell of, and its review if it is for an emergency.
fn opened(events: &[ChainEvent]) -> Option<(OpeningId, Option<ReviewId>)> {
    let opening = events.iter().find_map(|event| match event {
        ChainEvent::Opened { opening, .. } => Some(*opening),
        _ => None,
    });
    let review = events.iter().find_map(|event| match event {
        ChainEvent::ReviewOpened { review, .. } => Some(*review),
        _ => None,
    });
    opening.map(|opening| (opening, review))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So nothing has to be read after the chain has included the question, which could fail.
    #[test]
    fn the_events_of_a_question_have_the_numbers_of_its_opening_and_its_review() {
        let (requester, patient) = (UserId([1; 32]), UserId([2; 32]));
        let begun = ChainEvent::ReviewOpened { review: ReviewId(3), deadline: 9 };
        let decided = ChainEvent::Opened { opening: OpeningId(7), requester, patient };
        let urgent = [begun.clone(), decided.clone()];
        assert_eq!(opened(&urgent), Some((OpeningId(7), Some(ReviewId(3)))));
        assert_eq!(opened(&[decided]), Some((OpeningId(7), None)));
        assert_eq!(opened(&[begun]), None);
    }
}
