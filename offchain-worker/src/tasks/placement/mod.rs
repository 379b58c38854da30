//! Places the sections of new records in the slots of their patients, as the patients' consents say by kind.
//!
//! Each record is considered once: by the consents that are in force when the worker sees it committed, and that were
//! given before it was committed. Earlier records are placed by the patient's client. The journal notes a record when
//! all its placements are final. A worker that was killed meanwhile reads from the chain what it has placed already. Of
//! records from before the journal began, it places nothing: their patients may have removed sections since.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use epione_client::chain::calls;
use epione_primitives::{
    RecordPointer, UserId,
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
    },
    metrics::Metrics,
    millis, now,
};

/// How often the journal is read when nothing is left to place.
const POLL: Duration = Duration::from_secs(3);
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(600));
/// Records of one step, at most.
const RECORDS: u32 = 512;
/// Calls that wait for finality at once.
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
    /// Decides about the records that are due, and places their sections. Returns whether there were any.
    pub(crate) async fn step(&self) -> Result<bool, PlacingError> {
        let (due, waiting) = self
            .journal
            .read(|it| Ok((sections::unplaced(it, now(), RECORDS)?, sections::waiting(it)?)))
            .await?;
        self.metrics.records_to_place.set(waiting);
        if due.is_empty() {
            return Ok(false);
        }
        let state = self.view.finalized().await?;
        let mut batches = Vec::new();
        for (patient, records) in by_patient(&due) {
            batches.extend(self.batches(state.as_ref(), patient, &records).await?);
        }
        let submitted = stream::iter(batches).map(|batch| self.place(batch));
        let failed: Vec<Vec<RecordPointer>> =
            submitted.buffer_unordered(PARALLEL).filter_map(std::future::ready).collect().await;
        let failed: BTreeSet<RecordPointer> = failed.into_iter().flatten().collect();
        self.note(due, &failed).await?;
        Ok(true)
    }

    /// What is to be placed of new records of a patient.
    async fn batches(
        &self,
        state: &dyn FinalState,
        patient: UserId,
        records: &[Unplaced],
    ) -> Result<Vec<Batch>, PlacingError> {
        let at = state.time().await?;
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
                let of_kinds = self.of_kinds(pointer, kinds).await?;
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

    async fn of_kinds(
        &self,
        pointer: RecordPointer,
        kinds: KindSet,
    ) -> Result<SectionSet, JournalError> {
        self.journal.read(move |it| sections::of_kinds(it, pointer, kinds)).await
    }

    /// Submits a call; returns when it is final. Returns the records of a call that failed.
    async fn place(&self, batch: Batch) -> Option<Vec<RecordPointer>> {
        let Batch { patient, slot, version, records } = batch;
        let call = calls::sharing::place_by_kind(patient, slot, version, &records);
        match self.calls.submit(call).await {
            Ok(()) => {
                let placed = records.iter().map(|record| u64::from(record.sections.0.count_ones()));
                self.metrics.sections_placed.inc_by(placed.sum());
                None
            }
            Err(error) => {
                self.fail(&error.into());
                Some(records.iter().map(|record| record.pointer).collect())
            }
        }
    }

    /// Notes which records are done, and when the others are due again.
    async fn note(
        &self,
        due: Vec<Unplaced>,
        failed: &BTreeSet<RecordPointer>,
    ) -> Result<(), JournalError> {
        let (again, done): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|record| failed.contains(&record.pointer));
        let waiting = self.journal.write(move |tx| {
            let done: Vec<_> = done.iter().map(|record| record.pointer).collect();
            sections::placed(tx, &done)?;
            for record in again {
                let pause = RETRY.after(record.attempts.saturating_add(1));
                let due = now().saturating_add(millis(pause));
                sections::postpone(tx, &[record.pointer], due)?;
            }
            sections::waiting(tx)
        });
        self.metrics.records_to_place.set(waiting.await?);
        Ok(())
    }

    fn fail(&self, error: &PlacingError) {
        if matches!(
            error,
            PlacingError::View(ViewError::Away)
                | PlacingError::Call(CallError::View(ViewError::Away))
        ) {
            return;
        }
        self.metrics.task_failures.with_label_values(&["placement"]).inc();
        tracing::warn!(%error, "sections of new records could not be placed by kind; retrying");
    }
}

fn by_patient(records: &[Unplaced]) -> BTreeMap<UserId, Vec<Unplaced>> {
    let mut by_patient: BTreeMap<UserId, Vec<Unplaced>> = BTreeMap::new();
    for record in records {
        by_patient.entry(record.patient).or_default().push(*record);
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

#[cfg(test)]
mod tests;
