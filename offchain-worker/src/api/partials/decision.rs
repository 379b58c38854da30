//! Whether a requester may open sections, by the state after a finalized block. The chain decides by the same rules
//! when it records that a hospital hands out its part.

use epione_envelope::opening::wraps_hash;
use epione_primitives::{
    Hash, HospitalId, RecordPointer,
    consortium::{Epoch, KeyId},
    limits::{MAX_SLOTS, OPENING_BLOCKS},
    opening::{Opening, Wrapped, slot_of},
    release::{ReleasedRecord, ReviewId, ReviewStatus, ReviewedEmergency, SectionSet},
    sharing::{Placements, SlotId, SlotSet},
};

use super::Asked;
use crate::{
    api::{ApiError, AppState, queries},
    chain::{FinalState, ViewError},
};

/// What may be opened, and with the shares of which epoch.
pub(super) struct Decided {
    pub epoch: Epoch,
    /// In the order of the opening.
    pub sections: Vec<OpenedSection>,
    pub opening: Opening,
}

impl Decided {
    /// The wraps of the sections, as a part names them.
    pub fn wraps(&self) -> Hash {
        let bodies: Vec<_> = self.sections.iter().map(|opened| opened.wrapped.body).collect();
        wraps_hash(&bodies)
    }
}

/// A section that may be opened, and where its wrap is.
pub(super) struct OpenedSection {
    pub pointer: RecordPointer,
    pub section: u16,
    pub slot: SlotId,
    pub wrapped: Wrapped,
}

impl OpenedSection {
    /// The position of the section's wrap among those in the body.
    pub fn position(&self) -> usize {
        self.wrapped.sections.iter().take_while(|section| *section < self.section).count()
    }
}

/// Decides about a request. The error is the first reason why not.
pub(super) async fn decide(
    state: &AppState,
    finalized: &dyn FinalState,
    asked: &Asked,
) -> Result<Decided, ApiError> {
    let Asked { opening, account, identity, .. } = asked;
    if *account != opening.audience {
        return Err(requester_changed());
    }
    // Later than the state, if at all.
    let head = state.view.head().await?;
    if head.saturating_sub(opening.block) > OPENING_BLOCKS {
        return Err(over());
    }
    check_requester(finalized, opening).await?;
    let epoch = own_epoch(finalized, identity.hospital).await?;
    let sections = sections(finalized, opening, epoch.key).await?;
    Ok(Decided { epoch, sections, opening: opening.clone() })
}

/// Checks that the chain's decision about an opening still holds, however old it is.
pub(super) async fn holds(finalized: &dyn FinalState, opening: &Opening) -> Result<(), ApiError> {
    check_requester(finalized, opening).await?;
    let epoch = finalized.current_epoch().await?.ok_or_else(not_member)?;
    sections(finalized, opening, epoch.key).await.map(drop)
}

/// Checks that the requester still has the account and the sealing key of the opening, and the registration.
async fn check_requester(finalized: &dyn FinalState, opening: &Opening) -> Result<(), ApiError> {
    let profile = finalized.profile(opening.requester).await?;
    let has_same_keys = profile.is_some_and(|profile| {
        profile.account == opening.audience && profile.sealing_key_hash == opening.sealing_key
    });
    if !has_same_keys {
        return Err(requester_changed());
    }
    match queries::is_registered(finalized, opening.hospital, opening.requester).await? {
        true => Ok(()),
        false => Err(not_registered()),
    }
}

/// The epoch whose shares are in use, if this hospital serves and is a member.
pub(super) async fn own_epoch(
    finalized: &dyn FinalState,
    here: HospitalId,
) -> Result<Epoch, ApiError> {
    let hospital = finalized.hospital(here).await?;
    let serves = hospital.is_some_and(|it| it.status.serves());
    let epoch = finalized.current_epoch().await?.filter(|epoch| epoch.seat(here).is_some());
    epoch.filter(|_| serves).ok_or_else(not_member)
}

/// The sections of an opening with their wraps under this key, if all of them may be opened now.
async fn sections(
    finalized: &dyn FinalState,
    opening: &Opening,
    key: KeyId,
) -> Result<Vec<OpenedSection>, ApiError> {
    check_review(finalized, opening).await?;
    if !is_admitted(finalized, opening).await? {
        return Err(not_admitted());
    }
    let pointers: Vec<_> = opening.records.iter().map(|record| record.pointer).collect();
    let placements = finalized.placements(&pointers).await?;
    let mut opened = Vec::new();
    for (record, placements) in opening.records.iter().zip(&placements) {
        let wraps = finalized.wraps(record.pointer).await?;
        opened.extend(of_record(record, opening.slots, key, placements, &wraps)?);
    }
    Ok(opened)
}

/// Checks that the other hospitals did not find the opening's emergency unjustified.
async fn check_review(finalized: &dyn FinalState, opening: &Opening) -> Result<(), ApiError> {
    let Some(ReviewedEmergency { review, .. }) = opening.emergency else { return Ok(()) };
    let after = ReviewId(review.0.saturating_add(1));
    let found = finalized.reviews(Some(after), 1).await?;
    let is_unjustified = found.iter().any(|(id, found)| {
        *id == review && matches!(found.status, ReviewStatus::Closed { justified: false, .. })
    });
    if is_unjustified { Err(unjustified()) } else { Ok(()) }
}

/// Whether the consents of all slots of the opening are standing, and include the requester for the purpose now.
async fn is_admitted(finalized: &dyn FinalState, opening: &Opening) -> Result<bool, ViewError> {
    let (slots, standing) = (opening.slots, finalized.standing(opening).await?);
    let mut needed = (0..MAX_SLOTS).map(SlotId).filter(|slot| slots.contains(*slot));
    Ok(!slots.is_empty() && needed.all(|slot| standing.contains(slot)))
}

/// The sections of one record: each is in one of the slots, and has a wrap of one of them.
fn of_record(
    record: &ReleasedRecord,
    slots: SlotSet,
    key: KeyId,
    placements: &Placements,
    wraps: &[(SlotId, Wrapped)],
) -> Result<Vec<OpenedSection>, ApiError> {
    let ReleasedRecord { pointer, sections } = *record;
    let in_slots = placements.iter().filter(|placement| slots.contains(placement.slot));
    let placed = in_slots.fold(SectionSet::default(), |all, it| all.union(it.sections));
    let one = |section: u16| {
        if !placed.contains(section) {
            return Err(not_placed(pointer, section));
        }
        let wrap = slot_of(section, slots, key, wraps);
        let (slot, wrapped) = wrap.ok_or_else(|| not_wrapped(pointer, section))?;
        Ok(OpenedSection { pointer, section, slot, wrapped })
    };
    sections.iter().map(one).collect()
}

pub(super) fn over() -> ApiError {
    ApiError::conflict(
        "opening-over",
        "The opening is too old",
        format!(
            "Hospitals hand out their parts for {OPENING_BLOCKS} chain blocks after the chain has decided. Ask the \
             chain for another opening."
        ),
    )
}

pub(super) fn requester_changed() -> ApiError {
    ApiError::conflict(
        "requester-changed",
        "You have rotated your keys",
        "The chain decided for your earlier account or sealing key. Ask the chain for another opening.",
    )
}

pub(super) fn not_registered() -> ApiError {
    ApiError::forbidden(
        "Your registration at the hospital for which you asked is not in force, or that hospital is not active. Ask it \
         to reinstate or renew your registration, then ask the chain for another opening.",
    )
}

pub(super) fn not_admitted() -> ApiError {
    ApiError::conflict(
        "not-admitted",
        "The patient's consents do not include you any more",
        "Since the chain decided, the patient has withdrawn or changed the standing consent, it has ended, or an \
         attribute of yours has ended. Nothing was handed out. Ask the patient, with a query.",
    )
}

pub(super) fn unjustified() -> ApiError {
    ApiError::conflict(
        "unjustified",
        "The emergency was found unjustified",
        "The other hospitals have reviewed the emergency of your opening and found it unjustified. No hospital hands \
         out its part any more, and nothing was handed out now. Ask the patient, with a query.",
    )
}

fn not_placed(pointer: RecordPointer, section: u16) -> ApiError {
    ApiError::conflict(
        "not-placed",
        "The patient does not share a section with you any more",
        format!(
            "Section {section} of record {pointer} is in no slot with a standing consent that includes you. Nothing \
             was handed out. Ask the chain for another opening without it."
        ),
    )
}

fn not_wrapped(pointer: RecordPointer, section: u16) -> ApiError {
    ApiError::conflict(
        "not-wrapped",
        "A section is not wrapped under the consortium key",
        format!(
            "The record's hospital has not wrapped section {section} of record {pointer} under the present key: its \
             worker has not done so yet, or the hospital has no share of the key. Nothing was handed out. Try again \
             later, or ask that hospital."
        ),
    )
}

pub(super) fn not_member() -> ApiError {
    ApiError::conflict(
        "not-member",
        "This hospital has no share of the consortium key",
        "It is not a member in the present epoch, or not active. Ask the workers of the members.",
    )
}
