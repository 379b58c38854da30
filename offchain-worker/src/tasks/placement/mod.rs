//! Places the sections of new records in the slots of their patients, as the patients' consents say by kind.
//!
//! Each record is considered once: by the consents that are in force when the worker sees it committed, and that were
//! given before it was committed. Earlier records are placed by the patient's client. Before each call, the journal
//! notes the records and the slot; a call of which the worker does not know whether it took effect is never repeated,
//! because the patient may have removed the sections since. Of records from before the journal began, it places
//! nothing, for the same reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use epione_client::chain::calls;
use epione_primitives::{
    Moment, RecordPointer, UserId,
    limits::{MAX_PLACED_RECORDS, MAX_RELEASED_RECORDS},
    release::{ReleasedRecord, SectionSet},
    sharing::{ConsentVersion, KindSet, Placements, SlotId},
};
use futures::{StreamExt, stream};

use crate::{
    backoff::Backoff,
    chain::{CallError, ChainCalls, ChainView, FinalState, ViewError},
    journal::{
        Journal, JournalError,
        sections::{self, Unplaced},
        tried,
    },
    metrics::Metrics,
    millis, now,
};

/// How often the journal is read when nothing is left to place.
const POLL: Duration = Duration::from_secs(3);
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(600));
/// Records of one step, at most. The next step begins when the calls of all of them are final.
const RECORDS: u32 = 64;
/// Patients whose calls wait for finality at once.
const PARALLEL: usize = 8;

/// What the task works with.
pub struct Placing {
    pub view: Arc<dyn ChainView>,
    pub calls: Arc<dyn ChainCalls>,
    pub journal: Journal,
    pub metrics: Metrics,
}

/// Why a step, or a call in it, failed.
#[derive(Debug, thiserror::Error)]
pub enum PlacingError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// What one call places.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Batch {
    patient: UserId,
    slot: SlotId,
    version: u32,
    records: Vec<ReleasedRecord>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The call is not repeated: it placed the sections, or the worker leaves them to the patient.
    Over,
    /// The call had no effect, and is repeated later.
    NoEffect,
    /// The call had no effect, because the slot took one of its several records before.
    OneTooMany,
}

/// Places sections. Never returns.
pub async fn run(placing: &Placing) {
    let mut failures = 0;
    loop {
        match placing.step().await {
            Ok(true) => failures = 0,
            Ok(false) => {
                failures = 0;
                tokio::time::sleep(POLL).await;
            }
            Err(error) => {
                failures += 1;
                placing.fail(&error);
                tokio::time::sleep(RETRY.after(failures)).await;
            }
        }
    }
}

impl Placing {
    /// Decides about records that are due, and places their sections. Returns whether there were any.
    pub(crate) async fn step(&self) -> Result<bool, PlacingError> {
        let due = self.journal.read(|it| sections::unplaced(it, now(), RECORDS)).await?;
        self.report().await?;
        if due.is_empty() {
            return Ok(false);
        }
        let state = self.view.finalized().await?;
        let at = state.time().await?;
        let state = state.as_ref();
        let patients = stream::iter(by_patient(due))
            .map(|(patient, records)| self.consider(state, at, patient, records));
        let mut considered = patients.buffer_unordered(PARALLEL);
        let mut result = Ok(true);
        while let Some(one) = considered.next().await {
            // The others are placed all the same.
            if let Err(error) = one {
                result = Err(error);
            }
        }
        self.report().await?;
        result
    }

    /// Places the sections of new records of a patient, and notes what is done. If that fails, only this patient's
    /// records wait.
    async fn consider(
        &self,
        state: &dyn FinalState,
        at: Moment,
        patient: UserId,
        records: Vec<Unplaced>,
    ) -> Result<(), PlacingError> {
        let failed = match self.place_all(state, at, patient, &records).await {
            Ok(failed) => failed,
            Err(PlacingError::View(error)) if !matches!(error, ViewError::Away) => {
                self.fail(&error.into());
                records.iter().map(|record| record.pointer).collect()
            }
            Err(error) => return Err(error),
        };
        Ok(self.note(records, &failed).await?)
    }

    /// Places the sections of records of a patient. Returns the records of calls that failed.
    async fn place_all(
        &self,
        state: &dyn FinalState,
        at: Moment,
        patient: UserId,
        records: &[Unplaced],
    ) -> Result<BTreeSet<RecordPointer>, PlacingError> {
        let mut failed = BTreeSet::new();
        for batch in self.batches(state, at, patient, records).await? {
            failed.extend(self.place(&batch).await?);
        }
        Ok(failed)
    }

    /// What is to be placed of new records of a patient.
    async fn batches(
        &self,
        state: &dyn FinalState,
        at: Moment,
        patient: UserId,
        records: &[Unplaced],
    ) -> Result<Vec<Batch>, PlacingError> {
        let mut consents = state.consents(patient).await?;
        consents.retain(|(_, version)| version.in_force(at) && version.consent.kinds.0 != 0);
        if consents.is_empty() {
            return Ok(Vec::new());
        }
        let placements = placements(state, records).await?;
        let mut batches = Vec::new();
        for (slot, version) in consents {
            let mut placed = Vec::new();
            for record in records.iter().filter(|record| concerns(&version, record)) {
                let (pointer, kinds) = (record.pointer, version.consent.kinds);
                let of_kinds = self.untried(pointer, slot, kinds).await?;
                let sections = of_kinds.without(in_slot(placements.get(&pointer), slot));
                if !sections.is_empty() {
                    placed.push(ReleasedRecord { pointer, sections });
                }
            }
            batches.extend(placed.chunks(MAX_PLACED_RECORDS as usize).map(|records| Batch {
                patient,
                slot,
                version: version.version,
                records: records.to_vec(),
            }));
        }
        Ok(batches)
    }

    /// The sections of these kinds of a record. None if they were to be placed in the slot before.
    async fn untried(
        &self,
        pointer: RecordPointer,
        slot: SlotId,
        kinds: KindSet,
    ) -> Result<SectionSet, JournalError> {
        let sections = self.journal.read(move |it| {
            if tried::contains(it, pointer, slot)? {
                Ok(SectionSet::default())
            } else {
                sections::of_kinds(it, pointer, kinds)
            }
        });
        sections.await
    }

    /// Places a batch. Returns the records of calls that had no effect. If the slot took one of the records before, no
    /// record of the batch was placed: each is placed alone, so that only that one is left to the patient.
    async fn place(&self, batch: &Batch) -> Result<Vec<RecordPointer>, JournalError> {
        match self.submit(batch, &batch.records).await? {
            Outcome::Over => Ok(Vec::new()),
            Outcome::NoEffect => Ok(batch.records.iter().map(|record| record.pointer).collect()),
            Outcome::OneTooMany => {
                let mut failed = Vec::new();
                for record in &batch.records {
                    let alone = self.submit(batch, std::slice::from_ref(record)).await?;
                    if matches!(alone, Outcome::NoEffect) {
                        failed.push(record.pointer);
                    }
                }
                Ok(failed)
            }
        }
    }

    /// Submits the call for some records of a batch; returns when it is final. What is submitted is noted before: only
    /// a call that certainly had no effect is repeated, because the patient may have removed the sections since.
    async fn submit(
        &self,
        batch: &Batch,
        records: &[ReleasedRecord],
    ) -> Result<Outcome, JournalError> {
        let slot = batch.slot;
        let pointers: Vec<_> = records.iter().map(|record| record.pointer).collect();
        let noted = pointers.clone();
        self.journal.write(move |tx| tried::note(tx, &noted, slot)).await?;
        let call = calls::sharing::place_by_kind(batch.patient, slot, batch.version, records);
        match self.calls.submit(call).await {
            Ok(()) => {
                let placed = records.iter().map(|record| u64::from(record.sections.0.count_ones()));
                self.metrics.sections_placed.inc_by(placed.sum());
                Ok(Outcome::Over)
            }
            // The chain refuses the record that was placed before again, so that the notes of all can go.
            Err(error) if records.len() > 1 && was_placed_before(&error) => {
                tracing::info!(
                    slot = slot.0, records = ?pointers,
                    "sections of one of these records were placed by kind before; each record is placed alone"
                );
                self.journal.write(move |tx| tried::forget(tx, &pointers, slot)).await?;
                Ok(Outcome::OneTooMany)
            }
            Err(error) if had_no_effect(&error) => {
                self.fail(&error.into());
                self.journal.write(move |tx| tried::forget(tx, &pointers, slot)).await?;
                Ok(Outcome::NoEffect)
            }
            Err(error) => {
                self.metrics.task_failures.with_label_values(&["placement"]).inc();
                tracing::warn!(
                    %error, slot = slot.0, records = ?pointers,
                    "sections may have been placed by kind before; the worker does not place them again: the patient \
                     can do so"
                );
                Ok(Outcome::Over)
            }
        }
    }

    /// Notes which records of a patient are done, and when the others are due again.
    async fn note(
        &self,
        records: Vec<Unplaced>,
        failed: &BTreeSet<RecordPointer>,
    ) -> Result<(), JournalError> {
        let (again, done): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| failed.contains(&record.pointer));
        let noted = self.journal.write(move |tx| {
            let done: Vec<_> = done.iter().map(|record| record.pointer).collect();
            sections::placed(tx, &done)?;
            tried::conclude(tx, &done)?;
            for record in again {
                let pause = RETRY.after(record.attempts.saturating_add(1));
                let due = now().saturating_add(millis(pause));
                sections::postpone(tx, &[record.pointer], due)?;
            }
            Ok(())
        });
        noted.await
    }

    async fn report(&self) -> Result<(), JournalError> {
        self.metrics.records_to_place.set(self.journal.read(sections::waiting).await?);
        Ok(())
    }

    fn fail(&self, error: &PlacingError) {
        if matches!(error, PlacingError::View(ViewError::Away)) {
            return;
        }
        self.metrics.task_failures.with_label_values(&["placement"]).inc();
        tracing::warn!(%error, "sections of new records could not be placed by kind; retrying");
    }
}

fn by_patient(records: Vec<Unplaced>) -> BTreeMap<UserId, Vec<Unplaced>> {
    let mut by_patient: BTreeMap<UserId, Vec<Unplaced>> = BTreeMap::new();
    for record in records {
        by_patient.entry(record.patient).or_default().push(record);
    }
    by_patient
}

/// Whether a consent lets the hospital place sections of a record: it was given in an earlier chain block than the one
/// that committed the record, and names the time at which the record was signed. The chain checks the former, too.
fn concerns(version: &ConsentVersion, record: &Unplaced) -> bool {
    let is_earlier = version.since < record.committed_at;
    is_earlier && version.consent.recorded.contains(record.signed_at)
}

/// Where the sections of records are now.
async fn placements(
    state: &dyn FinalState,
    records: &[Unplaced],
) -> Result<BTreeMap<RecordPointer, Placements>, ViewError> {
    let pointers: Vec<_> = records.iter().map(|record| record.pointer).collect();
    let mut found = BTreeMap::new();
    for page in pointers.chunks(MAX_RELEASED_RECORDS as usize) {
        found.extend(page.iter().copied().zip(state.placements(page).await?));
    }
    Ok(found)
}

/// The sections of a record that are in a slot.
fn in_slot(placements: Option<&Placements>, slot: SlotId) -> SectionSet {
    let mut all = placements.into_iter().flatten();
    all.find(|placement| placement.slot == slot).map_or(SectionSet::default(), |it| it.sections)
}

/// Whether a call certainly placed nothing, neither now nor before.
fn had_no_effect(error: &CallError) -> bool {
    match error {
        CallError::Failed(_) => !was_placed_before(error),
        CallError::Refused(_) => true,
        CallError::TimedOut | CallError::View(_) => false,
    }
}

/// Whether a call failed because the slot took one of its records before.
fn was_placed_before(error: &CallError) -> bool {
    matches!(error, CallError::Failed(failure) if failure.is("Sharing", "AlreadyPlaced"))
}

#[cfg(test)]
mod tests;
