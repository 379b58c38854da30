//! How long a user waits who reads all shared sections, on a network: sections in one record, and sections that are
//! separate objects, each fetched by a request of its own from the same worker. The patient shares them by a consent
//! with a doctor who does not treat the patient.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use epione_client::{
    Account,
    api::VisitStage,
    chain::calls::sharing,
    consent,
    reader::{Intent, OpenContent, VerifiedRecord},
    visit::{Visit, VisitBuilder},
};
use epione_devnet::{HospitalState, State};
use epione_envelope::record::SectionKind;
use epione_primitives::{
    RecordId, RecordPointer, UserId, limits::DAY_MILLIS, release::ReleasedRecord,
};
use serde::Serialize;
use tokio::time::sleep;

use super::{
    effort::median_millis,
    parties::texts,
    schemes::{PURPOSE, SLOT, consented, first},
};
use crate::people::Practice;

/// How long the hospitals may need to commit a visit, and the reader's node to have it.
const PATIENCE: Duration = Duration::from_secs(120);
/// The consent is for this purpose.
const INTENT: Intent = Intent { purpose: PURPOSE, emergency: None };
const POLL: Duration = Duration::from_millis(200);

/// Readings of so many sections.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Responses {
    pub sections: u16,
    pub one_record: Response,
    pub separate_objects: Response,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    /// Requests to the worker: one for the keys, and one for each object.
    pub requests: u64,
    /// The first reading, which waits until its receipt is final.
    pub first_millis: f64,
    /// Median of the readings by the same grant.
    pub again_millis: f64,
}

/// How the sections of a visit are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Texts, which are in the record.
    OneRecord,
    /// Files, each of which is a segment in the hospital's storage.
    SeparateObjects,
}

/// A visit that is read.
struct Stored {
    patient: UserId,
    form: Form,
    texts: Vec<String>,
    pointer: RecordPointer,
}

/// Reads visits with these numbers of sections in both forms: first by a new grant, then so often by the same one.
pub(super) async fn measure(
    (network, hospital): (&State, &HospitalState),
    folder: &Path,
    axis: &[u16],
    repetitions: u16,
) -> anyhow::Result<Vec<Responses>> {
    let practice = Practice::open(network, hospital).await?;
    // The doctor of other patients.
    let other = Practice::open_named(network, hospital, "Reader").await?;
    let mut visits = Vec::new();
    for sections in axis {
        for form in [Form::OneRecord, Form::SeparateObjects] {
            let texts = texts(&format!("response {form:?} {sections}"), *sections)?;
            let record = submitted(&practice, form, &texts, folder).await?;
            visits.push((*sections, form, texts, record));
        }
    }
    let mut stored = Vec::new();
    for (sections, form, texts, record) in visits {
        let pointer = committed(&practice, record).await?;
        stored.push((sections, Stored { patient: practice.patient, form, texts, pointer }));
    }
    share(&practice, other.doctor, stored.iter().map(|(_, visit)| visit)).await?;
    let mut measured = Vec::new();
    for pair in stored.chunks_exact(2) {
        let [(sections, one), (_, separate)] = pair else { continue };
        let one_record = response(&other, one, repetitions).await?;
        let separate_objects = response(&other, separate, repetitions).await?;
        let responses = Responses { sections: *sections, one_record, separate_objects };
        println!("{responses:?}");
        measured.push(responses);
    }
    Ok(measured)
}

/// Submits a visit of these sections.
async fn submitted(
    practice: &Practice,
    form: Form,
    texts: &[String],
    folder: &Path,
) -> anyhow::Result<RecordId> {
    let Practice { chain, patient, hospital, doctor, account, .. } = practice;
    let mut visit = VisitBuilder::new(chain.genesis_hash(), *patient, *hospital, *doctor);
    for (section, text) in texts.iter().enumerate() {
        visit = match form {
            Form::OneRecord => visit.text(SectionKind::Report, text.as_str()),
            Form::SeparateObjects => {
                let path = folder.join(format!("sections-{}-{section}", texts.len()));
                visit.file(SectionKind::Media, written(path, text)?)
            }
        };
    }
    let signed_at = chain.finalized_head().await?.into();
    let visit: Visit = visit.build(account, signed_at).await?;
    practice.worker.submit_visit(&visit, |_| {}).await?;
    Ok(visit.record_id())
}

fn written(path: PathBuf, text: &str) -> anyhow::Result<PathBuf> {
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Waits until a visit is committed.
async fn committed(practice: &Practice, record: RecordId) -> anyhow::Result<RecordPointer> {
    let begun = Instant::now();
    loop {
        // A worker that is busy is asked again.
        if let Ok(status) = practice.worker.visit_status(record).await
            && let VisitStage::Committed { pointer } = status.stage
        {
            return Ok(pointer);
        }
        let seconds = PATIENCE.as_secs();
        ensure!(begun.elapsed() < PATIENCE, "a visit was not committed within {seconds} s");
        sleep(POLL).await;
    }
}

/// Places all sections of these visits in a slot of their patient, with a consent for this user.
async fn share(
    practice: &Practice,
    user: UserId,
    visits: impl Iterator<Item = &Stored>,
) -> anyhow::Result<()> {
    let Practice { chain, patient_uri, .. } = practice;
    let patient = Account::development(patient_uri)?;
    let mut records = Vec::new();
    for Stored { texts, pointer, .. } in visits {
        let sections = first(u16::try_from(texts.len())?)?;
        records.push(ReleasedRecord { pointer: *pointer, sections });
    }
    records.sort_by_key(|record| record.pointer);
    let state = chain.finalized().await?;
    let until = state.time().await? + DAY_MILLIS;
    let seen = state.slot_height(practice.patient, SLOT).await?;
    let given = consented(&[user], until)?;
    chain.submit(&sharing::give(SLOT, &given, seen), &patient).await?;
    consent::place(chain, &patient, (SLOT, records.as_slice()), |_, _| {}).await?;
    Ok(())
}

async fn response(reader: &Practice, visit: &Stored, repetitions: u16) -> anyhow::Result<Response> {
    let begun = Instant::now();
    // The node of the reader may not have the lite block yet.
    while let Err(error) = VerifiedRecord::of(&reader.chain, visit.patient, visit.pointer).await {
        let seconds = PATIENCE.as_secs();
        ensure!(begun.elapsed() < PATIENCE, "not readable after {seconds} s: {error}");
        sleep(POLL).await;
    }
    let (requests, took) = read(reader, visit).await?;
    let mut again = Vec::new();
    for _ in 0..repetitions {
        again.push(read(reader, visit).await?.1);
    }
    let first_millis = median_millis(vec![took]);
    Ok(Response { requests, first_millis, again_millis: median_millis(again) })
}

/// Reads all sections, and compares them with what was submitted. Returns the number of requests to the worker, and how
/// long it took.
async fn read(practice: &Practice, visit: &Stored) -> anyhow::Result<(u64, Duration)> {
    let Stored { patient, form, texts, pointer } = visit;
    let begun = Instant::now();
    let reader = practice.reader()?;
    let opened = reader.open(*patient, &[*pointer], INTENT).await?;
    let record = opened.first().context("no record was opened")?;
    let (mut requests, mut read) = (1, Vec::new());
    for section in &record.sections {
        match (&section.content, form) {
            (OpenContent::Text { text, .. }, Form::OneRecord) => {
                read.push(text.as_bytes().to_vec());
            }
            (OpenContent::Media { bytes, .. }, Form::SeparateObjects) => {
                let mut content = Vec::new();
                let (index, whole) = (section.index, 0..*bytes);
                reader.read_range(record, index, whole, &mut content, |_| {}).await?;
                requests += 1;
                read.push(content);
            }
            _ => bail!("section {} has another form, or was not granted", section.index),
        }
    }
    let took = begun.elapsed();
    let is_whole = read.iter().map(Vec::as_slice).eq(texts.iter().map(String::as_bytes));
    ensure!(is_whole, "what is read differs from what was submitted");
    Ok((requests, took))
}
