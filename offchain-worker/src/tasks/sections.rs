//! Fills the index of sections from this hospital's own committed lite blocks.
//!
//! The task reads the chain block by block and opens the descriptions with the patient keys, which the hospital has
//! anyway. It resumes where it stopped, and begins again at the first block if the journal was lost. Then it does not
//! know which records were placed by kind, and leaves all of them to their patients. Nothing waits for it. A record
//! that cannot be read again and again is skipped, and tried again later.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use epione_client::lite::modality;
use epione_envelope::{
    OpenError,
    keys::PatientKeys,
    record::{Payload, Record},
};
use epione_primitives::{Hash, Moment, RecordPointer, UserId};

use crate::{
    backoff::Backoff,
    chain::{ChainView, FinalState, Identity, ViewError},
    hospital_keys::{HospitalKeys, HospitalKeysError},
    journal::{
        Journal, JournalError,
        sections::{self, IndexedRecord, IndexedSection},
    },
    metrics::Metrics,
};

/// How often the chain is read when everything is indexed: about once for each chain block.
const POLL: Duration = Duration::from_secs(3);
const RETRY: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));
/// Lite blocks of one step, at most. A step ends after the first one with own records.
const BLOCKS: u32 = 256;
/// Failed attempts in a row after which the records that cause them are skipped.
const ATTEMPTS: u32 = 10;
/// How often the records that did not open are tried again.
const REOPEN: Duration = Duration::from_secs(3_600);
/// Modalities of a section, at most.
const MODALITIES: usize = 16;

/// What the task works with.
pub struct Indexer {
    pub hospital_keys: Arc<HospitalKeys>,
    pub view: Arc<dyn ChainView>,
    pub journal: Journal,
    pub metrics: Metrics,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Keys(#[from] HospitalKeysError),
    #[error(
        "the node does not have record {0} of a lite block that it knows: it may still be catching up"
    )]
    NoRecord(RecordPointer),
    #[error("the worker is stopping")]
    Interrupted,
}

/// Fills the index. Never returns.
pub async fn run(indexer: &Indexer) {
    let (mut failures, mut reopened) = (0_u32, None::<Instant>);
    loop {
        if reopened.is_none_or(|at| at.elapsed() >= REOPEN) {
            match indexer.reopen().await {
                Ok(()) => reopened = Some(Instant::now()),
                Err(error) => indexer.fail(&error),
            }
        }
        let trouble = if failures < ATTEMPTS { Trouble::Waits } else { Trouble::Skips };
        match indexer.step(trouble).await {
            Ok(true) => failures = 0,
            Ok(false) => {
                failures = 0;
                tokio::time::sleep(POLL).await;
            }
            Err(error) => {
                // While the node is away, no attempt says anything about a record.
                if !error.is_away() {
                    failures = failures.saturating_add(1);
                }
                indexer.fail(&error);
                tokio::time::sleep(RETRY.after(failures)).await;
            }
        }
    }
}

/// What becomes of a record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The index waits for it.
    Waits,
    /// It is noted as one that does not open, and tried again later.
    Skips,
}

impl IndexError {
    fn is_away(&self) -> bool {
        matches!(
            self,
            Self::View(ViewError::Away) | Self::Keys(HospitalKeysError::View(ViewError::Away))
        )
    }

    /// Whether other records can still be read.
    fn concerns_one_record(&self) -> bool {
        !self.is_away() && !matches!(self, Self::Journal(_) | Self::Interrupted)
    }
}

impl Indexer {
    /// Adds the next lite blocks. Returns whether there was one.
    pub(crate) async fn step(&self, trouble: Trouble) -> Result<bool, IndexError> {
        let identity = self.view.identity().await?;
        let state = self.view.finalized().await?;
        let known = match self.journal.read(sections::height).await? {
            Some(known) => known,
            None => {
                // The node may be behind, so that its state is older than what another journal has placed.
                let begun = state.time().await?.max(crate::now());
                self.journal.write(move |tx| sections::begin(tx, begun)).await?;
                0
            }
        };
        let (mut height, mut records) = (known, Vec::new());
        while records.is_empty() && height.saturating_sub(known) < BLOCKS {
            let next = height.saturating_add(1);
            let Some(header) = state.header(next).await? else { break };
            if header.announcer == identity.hospital {
                for index in 0..header.records {
                    let pointer = RecordPointer { height: next, index };
                    let record = self.record(identity, state.as_ref(), pointer, header.time);
                    records.push(match record.await {
                        Err(error) if trouble == Trouble::Skips && error.concerns_one_record() => {
                            self.fail(&error);
                            unread(pointer, header.time)
                        }
                        record => record?,
                    });
                }
            }
            height = next;
        }
        if height == known {
            self.metrics.sections_indexed.set(seconds(crate::now()));
            return Ok(false);
        }
        let added = self.journal.write(move |tx| {
            sections::add(tx, height, &records)?;
            sections::closed(tx)
        });
        let closed = added.await?;
        self.metrics.records_closed.set(closed);
        Ok(true)
    }

    /// Tries again what did not open: since its last start, the worker may have got an earlier keystore.
    async fn reopen(&self) -> Result<(), IndexError> {
        let identity = self.view.identity().await?;
        let state = self.view.finalized().await?;
        let mut after = None;
        loop {
            let page = self.journal.read(move |it| sections::closed_after(it, after, BLOCKS));
            let page = page.await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (pointer, committed_at) in page {
                match self.record(identity, state.as_ref(), pointer, committed_at).await {
                    Ok(record) if !record.sections.is_empty() => {
                        self.journal.write(move |tx| sections::reopen(tx, &record)).await?;
                    }
                    Ok(_) => {}
                    Err(error) if error.concerns_one_record() => self.fail(&error),
                    Err(error) => return Err(error),
                }
            }
        }
        self.metrics.records_closed.set(self.journal.read(sections::closed).await?);
        Ok(())
    }

    /// A committed record of this hospital. It has no sections if no key of the worker opens it.
    async fn record(
        &self,
        identity: Identity,
        state: &dyn FinalState,
        pointer: RecordPointer,
        committed_at: Moment,
    ) -> Result<IndexedRecord, IndexError> {
        let entry = state.record(pointer).await?.ok_or(IndexError::NoRecord(pointer))?;
        let patient = entry.patient;
        let closed = |reason: &str| {
            tracing::warn!(
                %pointer, reason,
                "the worker cannot open a record of its hospital: the record is neither counted nor placed by kind"
            );
            let (signed_at, sections) = (committed_at, Vec::new());
            IndexedRecord { pointer, patient, signed_at, committed_at, sections }
        };
        let bytes = self.view.record_bytes(pointer).await?.ok_or(IndexError::NoRecord(pointer))?;
        let record = match Record::decode_exactly(&bytes) {
            Ok(record) => record,
            Err(error) => return Ok(closed(&error.to_string())),
        };
        // The hospitals that approved the record have verified that the chain has this block.
        let Some(signed) = self.view.after(record.signed_at()).await? else {
            return Ok(closed("the chain does not have the record's signed block"));
        };
        let signed_at = signed.time().await?;
        let Some(registration) = state.registration(identity.hospital, patient).await? else {
            return Ok(closed("the patient was never registered here"));
        };
        let keys = match self.hospital_keys.patient_keys(identity, patient, &registration).await {
            Ok(keys) => keys,
            Err(
                error @ (HospitalKeysError::NoBody
                | HospitalKeysError::View(_)
                | HospitalKeysError::Interrupted),
            ) => return Err(error.into()),
            Err(error) => return Ok(closed(&error.to_string())),
        };
        let genesis = identity.genesis;
        let described = tokio::task::spawn_blocking(move || describe(&record, genesis, &keys));
        match described.await.map_err(|_| IndexError::Interrupted)? {
            Ok(sections) => {
                Ok(IndexedRecord { pointer, patient, signed_at, committed_at, sections })
            }
            Err(error) => Ok(closed(&error.to_string())),
        }
    }

    fn fail(&self, error: &IndexError) {
        if error.is_away() {
            return;
        }
        self.metrics.task_failures.with_label_values(&["sections"]).inc();
        tracing::warn!(%error, "the index of sections could not be filled; retrying");
    }
}

/// A record that is skipped. Its patient may not be known: nothing is counted or placed of it.
fn unread(pointer: RecordPointer, committed_at: Moment) -> IndexedRecord {
    let (patient, signed_at, sections) = (UserId([0; 32]), committed_at, Vec::new());
    IndexedRecord { pointer, patient, signed_at, committed_at, sections }
}

/// A moment as metrics have it.
fn seconds(moment: Moment) -> i64 {
    i64::try_from(moment / 1_000).unwrap_or(i64::MAX)
}

/// Opens the descriptions of a record's sections. A modality that is stated by a FHIR imaging study of the record is
/// that of the DICOM files whose names state none.
fn describe(
    record: &Record,
    genesis: Hash,
    keys: &PatientKeys,
) -> Result<Vec<IndexedSection>, OpenError> {
    let (mut indexed, mut stated, mut unnamed) = (Vec::new(), BTreeSet::new(), Vec::new());
    for (index, section) in (0..).zip(record.sections()) {
        let key = record.content_key(genesis, index, keys)?;
        let description = match section.payload {
            Payload::Text(_) => {
                let (description, text) = record.open_text(genesis, index, &key)?;
                stated.extend(modality::stated(&description, &text));
                description
            }
            Payload::Media { .. } => record.describe(genesis, index, &key)?,
        };
        let named = modality::named(&description);
        unnamed.push(named.is_none() && modality::is_dicom(&description));
        indexed.push(IndexedSection {
            section: index,
            kind: sections::index_of(description.kind),
            modalities: named.map(String::from).into_iter().collect(),
        });
    }
    for (section, _) in indexed.iter_mut().zip(unnamed).filter(|(_, unnamed)| *unnamed) {
        let codes = stated.iter().filter(|code| is_code(code));
        section.modalities = codes.take(MODALITIES).cloned().collect();
    }
    Ok(indexed)
}

/// Whether a text from a record can be a modality: DICOM's are of letters and digits.
fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use epione_envelope::{record::SectionKind, sealing_keys::SealingSuite};
    use epione_primitives::release::SectionSet;

    use super::*;
    use crate::{
        api::tests::{
            fake::HOSPITAL,
            grants::{POINTER, committed},
            visits::sealed,
            world::World,
        },
        journal::matches::{Match, Wanted, matches},
    };

    const DICOM: &[u8] = include_bytes!("../../../samples/phantom-mr.dcm");

    fn indexer(world: &World) -> Indexer {
        let view: Arc<dyn ChainView> = Arc::new(world.chain.clone());
        let keys = HospitalKeys::new(world.agent.keys.clone(), Vec::new(), Arc::clone(&view));
        Indexer {
            hospital_keys: Arc::new(keys),
            view,
            journal: world.journal.clone(),
            metrics: world.metrics.clone(),
        }
    }

    async fn found(world: &World, wanted: Wanted) -> Vec<Match> {
        matches(&world.journal, &wanted, 99, 99).await.unwrap().unwrap()
    }

    /// A visit with a study and files, which is committed as the block of this height.
    async fn commit_study(world: &World, height: u32, study: &str, files: &[&str]) {
        let mut visit = world.builder().text(SectionKind::Report, study);
        for file in files {
            visit = visit.file(SectionKind::Media, world.file(file, DICOM));
        }
        let visit = visit.build(&world.doctor.account(), world.chain.newest()).await.unwrap();
        world.submit(&visit).await;
        let record = sealed(world).await.last().unwrap().record.clone();
        let pointer = RecordPointer { height, index: 0 };
        world.chain.commit(pointer, world.patient.user, HOSPITAL, &record);
    }

    #[tokio::test]
    async fn kinds_of_own_records_are_indexed_once_and_those_of_other_hospitals_are_not() {
        let (world, record) = committed().await;
        let bytes = world.chain.facts().records[&POINTER].2.clone();
        let elsewhere = RecordPointer { height: 2, index: 0 };
        let other = crate::api::tests::fake::ELSEWHERE;
        world.chain.commit(elsewhere, world.patient.user, other, &bytes);
        let indexer = indexer(&world);
        assert!(indexer.step(Trouble::Waits).await.unwrap());
        assert!(indexer.step(Trouble::Waits).await.unwrap());
        assert!(!indexer.step(Trouble::Waits).await.unwrap());
        assert_eq!(world.journal.read(sections::height).await.unwrap(), Some(2));

        let all = found(&world, Wanted::default()).await;
        assert_eq!(record.sections().len(), 3);
        let sections = SectionSet(0b111);
        assert_eq!(all, [Match { patient: world.patient.user, pointer: POINTER, sections }]);
        for (kind, sections) in [
            (SectionKind::Summary, 0b001),
            (SectionKind::Media, 0b010),
            (SectionKind::Report, 0b100),
        ] {
            let kinds = Some(sections::set_of(&[kind]));
            let of_kind = found(&world, Wanted { kinds, ..Wanted::default() }).await;
            assert_eq!(of_kind[0].sections, SectionSet(sections), "{kind}");
        }
        let kinds = Some(sections::set_of(&[SectionKind::Diagnosis]));
        assert!(found(&world, Wanted { kinds, ..Wanted::default() }).await.is_empty());
        assert_eq!(world.metrics.records_closed.get(), 0);
    }

    #[tokio::test]
    async fn the_modality_is_the_one_of_the_files_name_or_of_the_imaging_study() {
        let world = World::new().await;
        let study = r#"{"resourceType":"ImagingStudy","modality":[{"code":"CT"},{"code":"P T"}]}"#;
        commit_study(&world, 1, study, &["MR-1.dcm", "scan.dcm", "ct-2.dcm"]).await;
        let indexer = indexer(&world);
        assert!(indexer.step(Trouble::Waits).await.unwrap());
        let of = async |modality: &str| -> Vec<u64> {
            let wanted = Wanted { modality: Some(modality.into()), ..Wanted::default() };
            found(&world, wanted).await.iter().map(|it| it.sections.0).collect()
        };
        // The text is section 0; the visit's files follow.
        assert_eq!((of("MR").await, of("CT").await), (vec![0b0010], vec![0b1100]));
        assert!(of("P").await.is_empty() && of("T").await.is_empty());
    }

    #[tokio::test]
    async fn a_record_that_no_key_opens_is_skipped_and_counted() {
        let (world, _) = committed().await;
        let bytes = world.chain.facts().records[&POINTER].2.clone();
        let unreadable = RecordPointer { height: 2, index: 0 };
        world.chain.commit(unreadable, UserId([9; 32]), HOSPITAL, &bytes);
        let nonsense = RecordPointer { height: 3, index: 0 };
        world.chain.commit(nonsense, world.patient.user, HOSPITAL, b"nonsense");
        let indexer = indexer(&world);
        while indexer.step(Trouble::Waits).await.unwrap() {}
        assert_eq!(world.metrics.records_closed.get(), 2);
        assert_eq!(found(&world, Wanted::default()).await.len(), 1);
    }

    #[tokio::test]
    async fn a_record_opens_after_a_restart_with_the_missing_keystore() {
        let (world, _) = committed().await;
        let with = |earlier| {
            let view: Arc<dyn ChainView> = Arc::new(world.chain.clone());
            let keys = world.agent.keys.with_new_sealing_key(SealingSuite::X25519);
            let hospital_keys = Arc::new(HospitalKeys::new(keys, earlier, Arc::clone(&view)));
            Indexer { hospital_keys, ..indexer(&world) }
        };
        let without = with(Vec::new());
        assert!(without.step(Trouble::Waits).await.unwrap());
        without.reopen().await.unwrap();
        assert_eq!(world.metrics.records_closed.get(), 1);
        assert!(found(&world, Wanted::default()).await.is_empty());
        with(vec![world.agent.keys.sealing.clone()]).reopen().await.unwrap();
        assert_eq!(world.metrics.records_closed.get(), 0);
        assert_eq!(found(&world, Wanted::default()).await.len(), 1);
    }

    #[tokio::test]
    async fn the_index_catches_up_after_the_node_was_away_and_after_the_journal_was_lost() {
        let (world, _) = committed().await;
        world.chain.facts().away = true;
        let first = indexer(&world);
        assert!(matches!(first.step(Trouble::Waits).await, Err(IndexError::View(ViewError::Away))));
        world.chain.facts().away = false;
        assert!(first.step(Trouble::Waits).await.unwrap());
        let all = found(&world, Wanted::default()).await;

        let lost = Indexer { journal: Journal::in_memory().await.unwrap(), ..indexer(&world) };
        while lost.step(Trouble::Waits).await.unwrap() {}
        let again = matches(&lost.journal, &Wanted::default(), 9, 9).await;
        assert_eq!(again.unwrap().unwrap(), all);
    }

    #[tokio::test]
    async fn only_records_that_were_committed_since_the_index_began_wait_for_being_placed() {
        let (world, _) = committed().await;
        let bytes = world.chain.facts().records[&POINTER].2.clone();
        let indexer = indexer(&world);
        assert!(indexer.step(Trouble::Waits).await.unwrap());
        assert_eq!(world.journal.read(sections::waiting).await.unwrap(), 0);
        let later = RecordPointer { height: 2, index: 0 };
        world.chain.commit(later, world.patient.user, HOSPITAL, &bytes);
        let committed_at = crate::now() + 1_000;
        world.chain.facts().records.get_mut(&later).unwrap().1.time = committed_at;
        assert!(indexer.step(Trouble::Waits).await.unwrap());
        let due = world.journal.read(|it| sections::unplaced(it, crate::now(), 9)).await.unwrap();
        let due: Vec<_> = due.iter().map(|it| (it.pointer, it.committed_at)).collect();
        assert_eq!(due, [(later, committed_at)]);
    }

    #[tokio::test]
    async fn a_node_that_is_behind_does_not_make_the_index_begin_earlier() {
        let (world, _) = committed().await;
        world.chain.facts().head_age = 3_600_000;
        let committed_at = crate::now() - 60_000;
        world.chain.facts().records.get_mut(&POINTER).unwrap().1.time = committed_at;
        assert!(indexer(&world).step(Trouble::Waits).await.unwrap());
        assert_eq!(found(&world, Wanted::default()).await.len(), 1);
        assert_eq!(world.journal.read(sections::waiting).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_record_that_the_node_does_not_have_yet_is_not_skipped() {
        let (world, _) = committed().await;
        world.chain.facts().while_reading = Some(Box::new(|facts| facts.records.clear()));
        let indexer = indexer(&world);
        assert!(matches!(indexer.step(Trouble::Waits).await, Err(IndexError::NoRecord(POINTER))));
        assert_eq!(world.journal.read(sections::height).await.unwrap(), Some(0));
    }

    #[tokio::test]
    async fn one_record_that_cannot_be_read_does_not_stop_the_index_for_long() {
        let (world, _) = committed().await;
        let bytes = world.chain.facts().records[&POINTER].2.clone();
        let next = RecordPointer { height: 2, index: 0 };
        world.chain.commit(next, world.patient.user, HOSPITAL, &bytes);
        world.chain.facts().unreadable_records.insert(POINTER);
        let indexer = indexer(&world);
        assert!(indexer.step(Trouble::Waits).await.is_err());
        while indexer.step(Trouble::Skips).await.unwrap() {}
        assert_eq!(world.metrics.records_closed.get(), 1);
        let pointers = async || -> Vec<RecordPointer> {
            found(&world, Wanted::default()).await.iter().map(|it| it.pointer).collect()
        };
        assert_eq!(pointers().await, [next]);
        assert!(world.metrics.sections_indexed.get() > 0);

        // Still unreadable, then readable again. The next record is not held back.
        indexer.reopen().await.unwrap();
        assert_eq!(world.metrics.records_closed.get(), 1);
        world.chain.facts().unreadable_records.clear();
        indexer.reopen().await.unwrap();
        assert_eq!(pointers().await, [POINTER, next]);
        assert_eq!(world.metrics.records_closed.get(), 0);
    }

    #[tokio::test]
    async fn no_record_is_skipped_while_the_node_is_away() {
        let (world, _) = committed().await;
        let indexer = indexer(&world);
        world.chain.facts().while_reading = Some(Box::new(|facts| facts.away = true));
        let failed = indexer.step(Trouble::Skips).await;
        assert!(failed.is_err_and(|error| error.is_away()));
        assert_eq!(world.journal.read(sections::height).await.unwrap(), Some(0));
    }

    #[tokio::test]
    async fn a_record_that_states_many_modalities_has_sixteen_of_them() {
        let world = World::new().await;
        let codes = (0..40).map(|number| format!(r#"{{"code":"M{number:02}"}}"#));
        let codes: Vec<_> = codes.collect();
        let study = |codes: &[String]| {
            format!(r#"{{"resourceType":"ImagingStudy","modality":[{}]}}"#, codes.join(","))
        };
        let visit = codes
            .chunks(10)
            .fold(world.builder(), |visit, codes| visit.text(SectionKind::Report, study(codes)));
        let visit = visit.file(SectionKind::Media, world.file("scan.dcm", DICOM));
        let visit = visit.build(&world.doctor.account(), world.chain.newest()).await.unwrap();
        world.submit(&visit).await;
        let record = sealed(&world).await.last().unwrap().record.clone();
        world.chain.commit(POINTER, world.patient.user, HOSPITAL, &record);
        assert!(indexer(&world).step(Trouble::Waits).await.unwrap());
        let mut known = 0;
        for number in 0..40 {
            let wanted = Wanted { modality: Some(format!("M{number:02}")), ..Wanted::default() };
            known += found(&world, wanted).await.len();
        }
        assert_eq!(known, MODALITIES);
    }
}
