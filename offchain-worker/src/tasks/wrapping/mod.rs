//! Wraps the content keys of sections under the consortium key, for patients' standing consents.
//!
//! A section is wrapped if this hospital announced its record and the section is in a slot with a standing consent in
//! force. The worker follows the changes of what patients share, and notes which records to consider; after a restart
//! it goes on from there. A new key begins again with the first change. Whether something is left to wrap follows from
//! the chain each time. A wrap follows from the content key and its label, and the call replaces what was there. So a
//! call of which the worker does not know whether it took effect may be repeated.
//!
//! A wrap is made again if it is of an epoch before the last 32 (`FRESH_EPOCHS`): members follow one link for each
//! epoch since. The worker finds such wraps by a sweep, which considers all changes again, a page at a time.
//!
//! The patient can have placed sections that the record does not have. The worker wraps the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use epione_client::chain::calls::openings;
use epione_envelope::{FormatError, OpenError, record::Record};
use epione_primitives::{
    Moment, RecordPointer, UserId,
    consortium::{Epoch, EpochId, KeyId},
    limits::MAX_PAGE,
    opening::{WRAP_BYTES, WrapLabel, Wrapped},
    release::SectionSet,
    sharing::{Change, SharedChange, SlotId},
};
use epione_threshold::{MixingSecret, Point, Wrap};
use futures::{StreamExt, stream};

use crate::{
    backoff::Backoff,
    chain::{CallError, ChainCalls, ChainView, FinalState, Identity, ViewError},
    consortium::own_share,
    hospital_keys::{HospitalKeys, HospitalKeysError},
    journal::{
        Journal, JournalError,
        wraps::{self, DueWrap, Sweep},
    },
    metrics::Metrics,
    millis, now,
};

/// How often the chain is read when nothing is left to wrap: about once for each chain block.
const POLL: Duration = Duration::from_secs(3);
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(600));
/// Records of one step, at most. The next step begins when the calls of all of them are final.
const RECORDS: u32 = 64;
/// For how many epochs a wrap stays as it is.
const FRESH_EPOCHS: u32 = 32;
/// After how many epochs the next sweep begins. So no wrap is of an epoch before the last 48.
const SWEEP_EPOCHS: u32 = 16;
/// Calls that wait for finality at once.
const PARALLEL: usize = 8;

/// What the task works with.
pub struct Wrapping {
    pub hospital_keys: Arc<HospitalKeys>,
    pub view: Arc<dyn ChainView>,
    pub calls: Arc<dyn ChainCalls>,
    pub journal: Journal,
    pub metrics: Metrics,
}

/// Why a step failed, or why the sections of a record could not be wrapped.
#[derive(Debug, thiserror::Error)]
pub enum WrappingError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Keys(#[from] HospitalKeysError),
    #[error("the node does not have record {0}, which is in a slot: it may still be catching up")]
    NoRecord(RecordPointer),
    #[error("record {0} cannot be read: {1}")]
    Format(RecordPointer, #[source] FormatError),
    #[error("none of the patient's keys opens record {0}: {1}")]
    Closed(RecordPointer, #[source] OpenError),
    #[error("the patient of record {0} was never registered at this hospital")]
    NotRegistered(RecordPointer),
    #[error("the public key of epoch {0} is not valid")]
    PublicKey(EpochId),
    #[error("the worker is stopping")]
    Interrupted,
}

impl WrappingError {
    fn is_away(&self) -> bool {
        matches!(
            self,
            Self::View(ViewError::Away)
                | Self::Call(CallError::View(ViewError::Away))
                | Self::Keys(HospitalKeysError::View(ViewError::Away))
        )
    }

    /// Whether other records can still be wrapped.
    fn concerns_one_record(&self) -> bool {
        !self.is_away()
            && !matches!(self, Self::Journal(_) | Self::PublicKey(_) | Self::Interrupted)
    }
}

/// Wraps sections. Never returns.
pub async fn run(wrapping: &Wrapping) {
    let mut failures = 0;
    loop {
        match wrapping.step().await {
            Ok(true) => failures = 0,
            Ok(false) => {
                failures = 0;
                tokio::time::sleep(POLL).await;
            }
            Err(error) => {
                failures += 1;
                wrapping.fail(&error);
                tokio::time::sleep(RETRY.after(failures)).await;
            }
        }
    }
}

/// With what the sections of one step are wrapped.
struct Turn<'a> {
    state: &'a dyn FinalState,
    at: Moment,
    identity: Identity,
    key: KeyId,
    epoch: EpochId,
    public: Point,
    mixing: MixingSecret,
}

impl Wrapping {
    /// Follows the next changes, and wraps what is due. Returns whether there was any.
    pub(crate) async fn step(&self) -> Result<bool, WrappingError> {
        let state = self.view.finalized().await?;
        let state = state.as_ref();
        let Some(epoch) = state.current_epoch().await? else { return Ok(false) };
        let identity = self.view.identity().await?;
        let has_followed = self.follow(state, identity, epoch.key).await?;
        if !has_followed {
            self.sweep(state, identity, epoch.id).await?;
        }
        self.report().await?;
        let has_wrapped = match self.turn(state, identity, &epoch).await? {
            Some(turn) => self.wrap_due(&turn).await?,
            None => false,
        };
        self.report().await?;
        Ok(has_followed || has_wrapped)
    }

    /// Notes what the next changes require. Returns whether there were any.
    async fn follow(
        &self,
        state: &dyn FinalState,
        identity: Identity,
        key: KeyId,
    ) -> Result<bool, WrappingError> {
        let known = self.journal.read(wraps::progress).await?;
        let known = known.filter(|(of, _)| *of == key).map_or(0, |(_, height)| height);
        let changes = state.shared_changes(known.saturating_add(1), MAX_PAGE).await?;
        let Some(height) = changes.last().map(|change| change.height) else { return Ok(false) };
        let found = own_records(state, identity, changes).await?;
        self.journal.write(move |tx| wraps::follow(tx, key, height, &found)).await?;
        Ok(true)
    }

    /// Considers the next page of earlier changes again, if a sweep is under way or due. The first one is due so many
    /// epochs after the worker began to follow the changes, all of which it considers then.
    async fn sweep(
        &self,
        state: &dyn FinalState,
        identity: Identity,
        now: EpochId,
    ) -> Result<(), WrappingError> {
        let before = self.journal.read(wraps::sweep).await?;
        let mut sweep = match before {
            None => Sweep { epoch: now, height: None },
            Some(Sweep { epoch, height: None }) if age(epoch, now) >= SWEEP_EPOCHS => {
                Sweep { epoch: now, height: Some(0) }
            }
            Some(sweep) => sweep,
        };
        let mut found = Vec::new();
        if let Some(height) = sweep.height {
            let changes = state.shared_changes(height.saturating_add(1), MAX_PAGE).await?;
            sweep.height = changes.last().map(|change| change.height);
            found = own_records(state, identity, changes).await?;
        }
        if before != Some(sweep) {
            self.journal.write(move |tx| wraps::swept(tx, sweep, &found)).await?;
        }
        Ok(())
    }

    /// What sections are wrapped with; none while this hospital is no member of the consortium key, or while its worker
    /// does not have its share. Then everything waits.
    async fn turn<'a>(
        &self,
        state: &'a dyn FinalState,
        identity: Identity,
        epoch: &Epoch,
    ) -> Result<Option<Turn<'a>>, WrappingError> {
        if epoch.seat(identity.hospital).is_none() {
            return Ok(None);
        }
        let own = own_share::of_epoch(&self.journal, epoch).await?;
        let own = own.filter(|own| own.mixing.hash() == epoch.mixing.0);
        let Some(mixing) = own.map(|own| own.mixing) else { return Ok(None) };
        let public = epoch.public_key().and_then(|key| Point::decode(&key));
        let public = public.ok_or(WrappingError::PublicKey(epoch.id))?;
        let at = state.time().await?;
        Ok(Some(Turn { state, at, identity, key: epoch.key, epoch: epoch.id, public, mixing }))
    }

    /// Wraps what is due. Returns whether there was any.
    async fn wrap_due(&self, turn: &Turn<'_>) -> Result<bool, WrappingError> {
        let due = self.journal.read(|it| wraps::due(it, now(), RECORDS)).await?;
        let is_any = !due.is_empty();
        let mut considered =
            stream::iter(due).map(|due| self.consider(turn, due)).buffer_unordered(PARALLEL);
        let mut result = Ok(is_any);
        while let Some(one) = considered.next().await {
            // The others are wrapped all the same.
            if let Err(error) = one {
                result = Err(error);
            }
        }
        result
    }

    /// Wraps the sections of a record in a slot if it is necessary, and notes what is done. If that fails, only this
    /// record waits.
    async fn consider(&self, turn: &Turn<'_>, due: DueWrap) -> Result<(), WrappingError> {
        let DueWrap { pointer, slot, attempts, .. } = due;
        match self.wrap(turn, due).await {
            Ok(()) => Ok(self.journal.write(move |tx| wraps::done(tx, pointer, slot)).await?),
            Err(error) if error.concerns_one_record() => {
                self.fail(&error);
                let pause = RETRY.after(attempts.saturating_add(1));
                let again = now().saturating_add(millis(pause));
                let postponed =
                    self.journal.write(move |tx| wraps::postpone(tx, pointer, slot, again));
                Ok(postponed.await?)
            }
            Err(error) => Err(error),
        }
    }

    async fn wrap(&self, turn: &Turn<'_>, due: DueWrap) -> Result<(), WrappingError> {
        let Some(Left { placed, wrapped }) = left_to_wrap(turn, due).await? else { return Ok(()) };
        let record = self.record(due.pointer).await?;
        let sections = placed.intersection(existing(&record));
        if sections.is_empty() || wrapped == Some(sections) {
            return Ok(());
        }
        let wraps = self.make(turn, due, record, sections).await?;
        let DueWrap { pointer, slot, patient, .. } = due;
        self.calls.submit(openings::wrap(patient, slot, pointer, sections, &wraps)).await?;
        self.metrics.sections_wrapped.inc_by(u64::from(sections.0.count_ones()));
        Ok(())
    }

    async fn record(&self, pointer: RecordPointer) -> Result<Record, WrappingError> {
        let bytes = self.view.record_bytes(pointer).await?;
        let bytes = bytes.ok_or(WrappingError::NoRecord(pointer))?;
        Record::decode_exactly(&bytes).map_err(|error| WrappingError::Format(pointer, error))
    }

    /// The wraps of these sections, one after the other.
    async fn make(
        &self,
        turn: &Turn<'_>,
        due: DueWrap,
        record: Record,
        sections: SectionSet,
    ) -> Result<Vec<u8>, WrappingError> {
        let DueWrap { pointer, slot, patient, .. } = due;
        let Turn { state, identity, key, epoch, public, .. } = *turn;
        let registration = state.registration(identity.hospital, patient).await?;
        let registration = registration.ok_or(WrappingError::NotRegistered(pointer))?;
        let keys = self.hospital_keys.patient_keys(identity, patient, &registration).await?;
        let mixing = turn.mixing.clone();
        let Identity { genesis, hospital } = identity;
        let made = tokio::task::spawn_blocking(move || {
            let mut wraps = Vec::with_capacity(sections.iter().count() * WRAP_BYTES);
            for section in sections.iter() {
                let content_key = record.content_key(genesis, section, &keys)?;
                let label =
                    WrapLabel { genesis, key, epoch, hospital, patient, slot, pointer, section };
                let wrap = Wrap::make(&public, &mixing, &label.bytes(), content_key.as_bytes());
                wraps.extend_from_slice(&wrap.encode());
            }
            Ok::<_, OpenError>(wraps)
        });
        let made = made.await.map_err(|_| WrappingError::Interrupted)?;
        made.map_err(|error| WrappingError::Closed(pointer, error))
    }

    async fn report(&self) -> Result<(), JournalError> {
        self.metrics.records_to_wrap.set(self.journal.read(wraps::waiting).await?);
        Ok(())
    }

    fn fail(&self, error: &WrappingError) {
        if error.is_away() {
            return;
        }
        self.metrics.task_failures.with_label_values(&["wrapping"]).inc();
        tracing::warn!(%error, "sections could not be wrapped for a standing consent; retrying");
    }
}

/// What these changes require of this hospital.
async fn own_records(
    state: &dyn FinalState,
    identity: Identity,
    changes: Vec<SharedChange>,
) -> Result<Vec<DueWrap>, ViewError> {
    let mut found = Vec::new();
    for (pointer, slot, patient) in standing_records(state, changes).await? {
        let header = state.header(pointer.height).await?;
        if header.is_some_and(|header| header.announcer == identity.hospital) {
            found.push(DueWrap { pointer, slot, patient, attempts: 0 });
        }
    }
    Ok(found)
}

/// The records that these changes concern, with slot and patient, as far as the slots have a standing consent now. If a
/// slot gets one later, that is a change of its own, which concerns all records in the slot.
async fn standing_records(
    state: &dyn FinalState,
    changes: Vec<SharedChange>,
) -> Result<BTreeSet<(RecordPointer, SlotId, UserId)>, ViewError> {
    let at = state.time().await?;
    let (mut found, mut listed, mut known) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for SharedChange { patient, slot, change, .. } in changes {
        let is_standing = match known.get(&(patient, slot)) {
            Some(known) => *known,
            None => {
                let is_standing = is_standing(state, at, patient, slot).await?;
                known.insert((patient, slot), is_standing);
                is_standing
            }
        };
        match change {
            Change::Placed { pointer, sections } if is_standing && !sections.is_empty() => {
                found.insert((pointer, slot, patient));
            }
            Change::Given { .. } if is_standing && listed.insert((patient, slot)) => {
                let records = records_in(state, patient, slot).await?;
                found.extend(records.into_iter().map(|pointer| (pointer, slot, patient)));
            }
            Change::Placed { .. } | Change::Given { .. } | Change::Withdrawn { .. } => {}
        }
    }
    Ok(found)
}

/// Whether a slot has a standing consent in force.
async fn is_standing(
    state: &dyn FinalState,
    at: Moment,
    patient: UserId,
    slot: SlotId,
) -> Result<bool, ViewError> {
    let consents = state.consents(patient).await?;
    let version = consents.iter().find(|(of, _)| *of == slot).map(|(_, version)| version);
    Ok(version.is_some_and(|version| version.consent.standing && version.in_force(at)))
}

/// All records with sections in a slot.
async fn records_in(
    state: &dyn FinalState,
    patient: UserId,
    slot: SlotId,
) -> Result<Vec<RecordPointer>, ViewError> {
    let mut records: Vec<RecordPointer> = Vec::new();
    loop {
        let page = state.placed_in(patient, slot, records.last().copied(), MAX_PAGE).await?;
        let is_last = page.len() < MAX_PAGE as usize;
        records.extend(page.into_iter().map(|(pointer, _)| pointer));
        if is_last {
            return Ok(records);
        }
    }
}

/// What may be left to wrap of a record in a slot.
struct Left {
    /// The sections in the slot, of which the record may not have all.
    placed: SectionSet,
    /// Those that are wrapped under the present key, in one of the last epochs.
    wrapped: Option<SectionSet>,
}

/// None if the slot has no standing consent or no section of the record, or if all of them are wrapped.
async fn left_to_wrap(turn: &Turn<'_>, due: DueWrap) -> Result<Option<Left>, ViewError> {
    let DueWrap { pointer, slot, patient, .. } = due;
    if !is_standing(turn.state, turn.at, patient, slot).await? {
        return Ok(None);
    }
    let placements = turn.state.placements(&[pointer]).await?;
    let placed = placements.iter().flatten().find(|placement| placement.slot == slot);
    let Some(placed) = placed.map(|placement| placement.sections) else { return Ok(None) };
    let wraps = turn.state.wraps(pointer).await?;
    let is_fresh = |(of, it): &&(SlotId, Wrapped)| {
        *of == slot && it.key == turn.key && age(it.epoch, turn.epoch) <= FRESH_EPOCHS
    };
    let wrapped = wraps.iter().find(is_fresh).map(|(_, it)| it.sections);
    Ok((wrapped != Some(placed)).then_some(Left { placed, wrapped }))
}

/// How many epochs later the present one is.
fn age(epoch: EpochId, now: EpochId) -> u32 {
    now.0.saturating_sub(epoch.0)
}

/// The sections that a record has.
fn existing(record: &Record) -> SectionSet {
    let mut sections = SectionSet::default();
    for (section, _) in (0..).zip(record.sections()) {
        sections.insert(section);
    }
    sections
}

#[cfg(test)]
mod tests;
