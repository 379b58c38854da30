//! The honest load: doctors who submit visits, wait until they are committed, and read them.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use epione_client::{
    api::VisitStage,
    reader::{OpenContent, Reader},
    visit::{Visit, VisitBuilder},
};
use epione_envelope::record::SectionKind;
use epione_primitives::RecordPointer;
use futures::future::try_join_all;
use tokio::time::sleep;

use crate::people::{Practice, TREATMENT};

/// How many visits each doctor has under way at the same time.
const STREAMS: u16 = 3;
/// How long a doctor waits for a visit to be committed, and for a look at it.
const PATIENCE: Duration = Duration::from_secs(900);
const RETRY: Duration = Duration::from_millis(300);
/// How often a worker is asked for the stage of a visit.
const POLL: Duration = Duration::from_millis(200);
/// The pause between a look and the next visit.
const PAUSE: Duration = Duration::from_secs(1);

/// How long each visit took from its submission until it was committed, and each look until its text was read.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    pub commits: Vec<Duration>,
    pub looks: Vec<Duration>,
}

/// Lets the doctors work until then. Each finishes at least one visit in every stream.
pub async fn work(practices: &[Practice], phase: &str, until: Instant) -> anyhow::Result<Measured> {
    let streams = practices.iter().flat_map(|practice| {
        (0..STREAMS).map(move |number| stream(practice, format!("{phase} {number}"), until))
    });
    let mut all = Measured::default();
    for measured in try_join_all(streams).await? {
        all.commits.extend(measured.commits);
        all.looks.extend(measured.looks);
    }
    Ok(all)
}

async fn stream(practice: &Practice, name: String, until: Instant) -> anyhow::Result<Measured> {
    let reader = practice.reader()?;
    let mut measured = Measured::default();
    for number in 0_u32.. {
        let text = format!("{name}, visit {number}, hospital {}", practice.hospital);
        let begun = Instant::now();
        let pointer = commit(practice, &text).await.with_context(|| text.clone())?;
        measured.commits.push(begun.elapsed());
        let begun = Instant::now();
        look(practice, &reader, pointer, &text).await.with_context(|| text.clone())?;
        measured.looks.push(begun.elapsed());
        sleep(PAUSE).await;
        if Instant::now() >= until {
            break;
        }
    }
    Ok(measured)
}

/// Submits a visit, and waits until its worker reports it as committed.
pub async fn commit(practice: &Practice, text: &str) -> anyhow::Result<RecordPointer> {
    let begun = Instant::now();
    let visit = written(practice, text).await?;
    while let Err(error) = practice.worker.submit_visit(&visit, |_| {}).await {
        ensure!(
            begun.elapsed() < PATIENCE,
            "not acknowledged after {} s: {error}",
            PATIENCE.as_secs()
        );
        sleep(RETRY).await;
    }
    loop {
        // A worker that is busy is asked again.
        if let Ok(status) = practice.worker.visit_status(visit.record_id()).await
            && let VisitStage::Committed { pointer } = status.stage
        {
            return Ok(pointer);
        }
        ensure!(begun.elapsed() < PATIENCE, "not committed after {} s", PATIENCE.as_secs());
        sleep(POLL).await;
    }
}

async fn written(practice: &Practice, text: &str) -> anyhow::Result<Visit> {
    let Practice { chain, patient, hospital, doctor, account, .. } = practice;
    let visit = VisitBuilder::new(chain.genesis_hash(), *patient, *hospital, *doctor);
    let signed_at = chain.finalized_head().await?.into();
    Ok(visit.text(SectionKind::Summary, text).build(account, signed_at).await?)
}

/// Reads a visit with a grant, and compares its text.
async fn look(
    practice: &Practice,
    reader: &Reader,
    pointer: RecordPointer,
    text: &str,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let opened = loop {
        match reader.open(practice.patient, &[pointer], TREATMENT).await {
            Ok(opened) => break opened,
            Err(error) if begun.elapsed() > PATIENCE => {
                return Err(anyhow::Error::from(error).context("the look was not granted"));
            }
            Err(_) => sleep(RETRY).await,
        }
    };
    let contents: Vec<_> = opened.iter().flat_map(|record| &record.sections).collect();
    match contents.as_slice() {
        [section] => match &section.content {
            OpenContent::Text { text: read, .. } => {
                ensure!(read.as_str() == text, "the text differs from the one submitted");
                Ok(())
            }
            _ => bail!("the text was not granted"),
        },
        sections => bail!("the visit has {} sections", sections.len()),
    }
}
