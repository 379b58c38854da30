//! The parts of a look: the request, the hospital's decision, the receipt, and the bytes. They are measured within this
//! process, which is connected already: a command takes longer, because it connects first.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use epione_client::{
    chain::Chain,
    reader::{OpenContent, Reader},
    waiting::{Awaited, Wait, Waits},
    worker::WorkerClient,
};
use epione_devnet::HospitalState;
use epione_envelope::development;
use epione_primitives::RecordPointer;
use serde::Serialize;
use tokio::sync::watch;

use super::{PartsOfBoth, Way, commands::Summary, visits::SECTIONS};
use crate::people::{Practice, TREATMENT};

/// The parts, in their order.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Parts {
    /// The reader checks record and signatures, and signs the request.
    pub request: Summary,
    /// The hospital decides, seals the grant, and has the chain record the receipt. Ends when the receipt is final at
    /// the hospital's node.
    pub decision: Summary,
    /// Until the receipt is final at the reader's node, too.
    pub receipt: Summary,
    /// The texts are opened, the image is fetched, and all is verified.
    pub bytes: Summary,
    pub whole: Summary,
}

impl Parts {
    fn of(looks: &[Moments]) -> Self {
        let part =
            |length: fn(&Moments) -> Duration| Summary::of(looks.iter().map(length).collect());
        Self {
            request: part(|it| it.asked.saturating_duration_since(it.begun)),
            decision: part(|it| it.granted.saturating_duration_since(it.asked)),
            receipt: part(|it| it.receipt.saturating_duration_since(it.granted)),
            bytes: part(|it| it.read.saturating_duration_since(it.receipt)),
            whole: part(|it| it.read.saturating_duration_since(it.begun)),
        }
    }
}

/// When the parts of one look ended.
struct Moments {
    begun: Instant,
    asked: Instant,
    granted: Instant,
    receipt: Instant,
    read: Instant,
}

/// Looks at each of these records once, in turns of both ways.
pub(super) async fn measure(
    practice: &Practice,
    hospital: &HospitalState,
    records: &[RecordPointer],
    folder: &Path,
) -> anyhow::Result<PartsOfBoth> {
    let believing = Chain::connect_unprotected(&hospital.node_url).await?;
    let (mut verified, mut believed) = (Vec::new(), Vec::new());
    for (number, pair) in (0..).zip(records.chunks_exact(2)) {
        for (way, pointer) in Way::both(number).into_iter().zip(pair) {
            let (chain, looks) = match way {
                Way::Verified => (&practice.chain, &mut verified),
                Way::Believed => (&believing, &mut believed),
            };
            let file = folder.join(format!("image-{}-{}", pointer.height, pointer.index));
            looks.push(look(practice, chain, *pointer, &file).await?);
        }
    }
    Ok(PartsOfBoth { verified: Parts::of(&verified), believed: Parts::of(&believed) })
}

async fn look(
    practice: &Practice,
    chain: &Chain,
    pointer: RecordPointer,
    file: &Path,
) -> anyhow::Result<Moments> {
    let Practice { hospital, account, .. } = practice;
    let waits = Waits::default();
    let chain = chain.clone().with_waits(waits.clone());
    let worker = WorkerClient::for_hospital(&chain, *hospital, account.clone()).await?;
    let worker = worker.with_waits(waits.clone());
    let reader = Reader::new(chain, worker, development::keys(&practice.uri)?.sealing);
    let mut seen = Seen::default();
    let begun = Instant::now();
    tokio::select! {
        read = read(&reader, practice, pointer, file) => read?,
        () = watch(waits.watch(), &mut seen) => bail!("nothing reports waits any more"),
    }
    let read = Instant::now();
    let asked = seen.asked.context("the worker was not asked for a grant")?;
    let granted = seen.granted.context("the worker did not answer")?;
    let receipt = seen.receipt.unwrap_or(granted);
    Ok(Moments { begun, asked, granted, receipt, read })
}

/// Reads a whole record.
async fn read(
    reader: &Reader,
    practice: &Practice,
    pointer: RecordPointer,
    file: &Path,
) -> anyhow::Result<()> {
    let opened = reader.open(practice.patient, &[pointer], TREATMENT).await?;
    let record = opened.first().context("no record was opened")?;
    ensure!(record.sections.len() == SECTIONS, "{pointer} is not a whole visit");
    for section in &record.sections {
        match &section.content {
            OpenContent::Text { .. } => {}
            OpenContent::Media { .. } => {
                reader.save_media(record, section.index, file, |_| {}).await?;
            }
            OpenContent::NotGranted => bail!("section {} was not granted", section.index),
        }
    }
    Ok(())
}

/// When the first wait for a grant began and ended, and when the wait for its receipt ended, if it lasted long enough
/// to be seen.
#[derive(Default)]
struct Seen {
    asked: Option<Instant>,
    granted: Option<Instant>,
    receipt: Option<Instant>,
}

/// Watches what a reader waits for, until nothing reports waits any more.
async fn watch(mut waits: watch::Receiver<Vec<Wait>>, seen: &mut Seen) {
    let mut in_receipt = false;
    while waits.changed().await.is_ok() {
        let now = Instant::now();
        let (grant, receipt) = {
            let waits = waits.borrow_and_update();
            let is_awaited = |what: &Awaited| waits.iter().any(|wait| wait.what == *what);
            (is_awaited(&Awaited::Grant), is_awaited(&Awaited::Receipt))
        };
        if grant {
            seen.asked.get_or_insert(now);
        } else if seen.asked.is_some() {
            seen.granted.get_or_insert(now);
        }
        if receipt {
            in_receipt = true;
        } else if in_receipt {
            seen.receipt.get_or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);

    /// What is seen while something waits for these, one after the other.
    async fn seen(waits: Waits, awaited: &[Awaited]) -> Seen {
        let mut seen = Seen::default();
        let watched = waits.watch();
        let waiting = async move {
            for what in awaited {
                let waiting = waits.begin(what.clone(), None);
                sleep(MOMENT).await;
                drop(waiting);
                sleep(MOMENT / 10).await;
            }
        };
        tokio::join!(waiting, watch(watched, &mut seen));
        seen
    }

    #[tokio::test]
    async fn the_parts_of_a_look_are_those_of_its_waits() {
        let begun = Instant::now();
        let awaited = [Awaited::Node, Awaited::Grant, Awaited::Receipt, Awaited::Segment];
        let Seen { asked, granted, receipt } = seen(Waits::default(), &awaited).await;
        let read = Instant::now();
        let (asked, granted, receipt) = (asked.unwrap(), granted.unwrap(), receipt.unwrap());
        let parts = Parts::of(&[Moments { begun, asked, granted, receipt, read }]);
        let Parts { request, decision, receipt, bytes, whole } = parts;
        let moment = MOMENT.as_secs_f64();
        for part in [request, decision, receipt, bytes] {
            assert!(part.median >= moment * 0.9, "{part:?}");
        }
        let sum: f64 = [request, decision, receipt, bytes].iter().map(|part| part.median).sum();
        assert!((sum - whole.median).abs() < 1e-6, "{sum} {whole:?}");
    }

    #[tokio::test]
    async fn a_look_without_a_request_has_no_parts() {
        let Seen { asked, granted, receipt } = seen(Waits::default(), &[Awaited::Node]).await;
        assert!(asked.is_none() && granted.is_none() && receipt.is_none());
    }
}
