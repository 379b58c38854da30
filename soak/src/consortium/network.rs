//! The consortium key on a network of hospitals: how long its first ceremony takes, and a patient whose eight sections
//! a requester of another hospital reads in two ways.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail, ensure};
use epione_client::{
    Account,
    api::VisitStage,
    chain::{Chain, calls::sharing},
    consent,
    query::UnsentGrants,
    reader::{OpenContent, OpenRecord, Reader, VerifiedRecord},
    visit::{Visit, VisitBuilder},
    worker::WorkerClient,
};
use epione_devnet::State;
use epione_envelope::{development, record::SectionKind};
use epione_primitives::{
    BlockNumber, RecordPointer, UserId,
    access::{PolicyList, Purpose},
    limits::DAY_MILLIS,
    query::QueriedRecords,
    release::{ReleasedRecord, SectionSet},
    sharing::{Audience, Consent, KindSet, RecordedPeriod, SlotId, Term},
};
use serde::Serialize;
use tokio::time::sleep;

use crate::people::Practice;

/// Sections of the record, all of which are read.
pub(super) const SECTIONS: u16 = 8;
pub(super) const PURPOSE: Purpose = Purpose::Research;
const SLOT: SlotId = SlotId(0);
/// How long the hospitals may need for the first ceremony, for a visit, and for the wraps.
const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(500);

/// From the block in which the first hospital began the ceremony to the one in which the epoch began.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Activation {
    pub blocks: BlockNumber,
    /// By the times of these blocks.
    pub seconds: f64,
}

/// A patient whose record is shared, and a requester.
pub(super) struct Case {
    /// The patient and the hospital of the record.
    pub home: Practice,
    /// The doctor of this practice requests, as a user of another hospital.
    pub requester: Practice,
    pub pointer: RecordPointer,
    /// What is read.
    pub records: QueriedRecords,
    texts: Vec<String>,
    /// With the workers of all members of the key.
    pub members: Vec<WorkerClient>,
    /// Of the requester, by the worker of the record's hospital.
    pub reader: Reader,
    /// Of the patient, by the same worker.
    pub patient: Reader,
    /// Where the patient's client keeps grants until they are sent.
    pub unsent: UnsentGrants,
}

/// Waits until the hospitals have a key.
pub(super) async fn activation(chain: &Chain) -> anyhow::Result<Activation> {
    let begun = Instant::now();
    let key = loop {
        let key = chain.finalized().await?.consortium_key().await?;
        if key.current.is_some() {
            break key;
        }
        let seconds = PATIENCE.as_secs();
        ensure!(begun.elapsed() < PATIENCE, "the hospitals have no key after {seconds} s");
        sleep(POLL).await;
    };
    let epoch = key.current.context("there is no epoch")?;
    let ceremony = key.ceremony.context("there is no ceremony")?;
    ensure!(ceremony.id == epoch.ceremony, "another ceremony has begun meanwhile");
    let first = key.last_begun.context("the chain has no begin of the ceremony")?;
    let time = async |block| {
        let time = chain.time_at(block).await?;
        time.with_context(|| format!("the node does not have block {block}"))
    };
    let millis = time(epoch.since).await?.saturating_sub(time(first).await?);
    let blocks = epoch.since.saturating_sub(first);
    Ok(Activation { blocks, seconds: millis as f64 / 1_000.0 })
}

impl Case {
    /// Has a visit committed and its sections shared by a standing consent, and waits until its hospital has wrapped
    /// them.
    pub async fn prepare(network: &State, folder: &Path) -> anyhow::Result<Self> {
        let [first, second, ..] = network.hospitals.as_slice() else {
            bail!("the network has fewer than two hospitals");
        };
        let home = Practice::open(network, first).await?;
        let requester = Practice::open_named(network, second, "Requester").await?;
        let texts: Vec<_> = (0..SECTIONS)
            .map(|section| format!("report {section}: blood pressure {}/98", 140 + section))
            .collect();
        let pointer = submitted(&home, &texts).await?;
        let sections = all();
        let records = QueriedRecords::try_from(vec![ReleasedRecord { pointer, sections }])
            .map_err(|_| anyhow!("one record is too many"))?;
        share(&home, requester.doctor, &records).await?;
        wrapped(&requester.chain, pointer, sections).await?;

        let (chain, account) = (&requester.chain, &requester.account);
        let epoch = chain.finalized().await?.current_epoch().await?.context("there is no key")?;
        let mut members = Vec::new();
        for member in &epoch.members {
            members.push(WorkerClient::for_hospital(chain, *member, account.clone()).await?);
        }
        let mailbox = WorkerClient::for_hospital(chain, home.hospital, account.clone()).await?;
        let sealing = development::keys(&requester.uri)?.sealing;
        let reader = Reader::new(chain.clone(), mailbox, sealing);
        let owner = Account::development(&home.patient_uri)?;
        let worker = WorkerClient::for_hospital(&home.chain, home.hospital, owner).await?;
        let sealing = development::keys(&home.patient_uri)?.sealing;
        let patient = Reader::new(home.chain.clone(), worker, sealing);
        let unsent = UnsentGrants::in_folder(folder.join("grants"));
        Ok(Self { home, requester, pointer, records, texts, members, reader, patient, unsent })
    }

    /// The record as the requester's node has it.
    pub async fn record(&self) -> anyhow::Result<VerifiedRecord> {
        let begun = Instant::now();
        loop {
            let chain = &self.requester.chain;
            match VerifiedRecord::of(chain, self.home.patient, self.pointer).await {
                Ok(record) => return Ok(record),
                // The node may not have the lite block yet.
                Err(error) => {
                    let seconds = PATIENCE.as_secs();
                    let is_late = begun.elapsed() >= PATIENCE;
                    ensure!(!is_late, "not readable after {seconds} s: {error}");
                }
            }
            sleep(POLL).await;
        }
    }

    /// Compares what was opened with what was submitted.
    pub fn check(&self, opened: &OpenRecord) -> anyhow::Result<()> {
        let texts = opened.sections.iter().map(|section| match &section.content {
            OpenContent::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        let is_whole = texts.eq(self.texts.iter().map(|text| Some(text.as_str())));
        ensure!(is_whole, "what is read differs from what was submitted");
        Ok(())
    }
}

/// All sections of the record.
fn all() -> SectionSet {
    let mut sections = SectionSet::default();
    for section in 0..SECTIONS {
        sections.insert(section);
    }
    sections
}

/// Submits a visit of these texts, and waits until it is committed.
async fn submitted(home: &Practice, texts: &[String]) -> anyhow::Result<RecordPointer> {
    let Practice { chain, patient, hospital, doctor, account, .. } = home;
    let mut visit = VisitBuilder::new(chain.genesis_hash(), *patient, *hospital, *doctor);
    for text in texts {
        visit = visit.text(SectionKind::Report, text.as_str());
    }
    let signed_at = chain.finalized_head().await?.into();
    let visit: Visit = visit.build(account, signed_at).await?;
    home.worker.submit_visit(&visit, |_| {}).await?;
    let begun = Instant::now();
    loop {
        // A worker that is busy is asked again.
        if let Ok(status) = home.worker.visit_status(visit.record_id()).await
            && let VisitStage::Committed { pointer } = status.stage
        {
            return Ok(pointer);
        }
        let seconds = PATIENCE.as_secs();
        ensure!(begun.elapsed() < PATIENCE, "a visit was not committed within {seconds} s");
        sleep(POLL).await;
    }
}

/// Gives a standing consent for this user, and places the sections in its slot.
async fn share(home: &Practice, user: UserId, records: &[ReleasedRecord]) -> anyhow::Result<()> {
    let patient = Account::development(&home.patient_uri)?;
    let state = home.chain.finalized().await?;
    let until = state.time().await? + DAY_MILLIS;
    let seen = state.slot_height(home.patient, SLOT).await?;
    let given = standing(user, until)?;
    home.chain.submit(&sharing::give(SLOT, &given, seen), &patient).await?;
    consent::place(&home.chain, &patient, (SLOT, records), |_, _| {}).await?;
    Ok(())
}

fn standing(user: UserId, until: u64) -> anyhow::Result<Consent> {
    let audience = Audience::try_from(vec![Term::User(user)])
        .map_err(|_| anyhow!("one user is too many for a consent"))?;
    let purposes: PolicyList<Purpose> =
        vec![PURPOSE].try_into().map_err(|_| anyhow!("one purpose is too many for a consent"))?;
    let (kinds, recorded) = (KindSet::default(), RecordedPeriod::default());
    Ok(Consent { audience, purposes, kinds, recorded, until, standing: true })
}

/// Waits until the hospital of the record has wrapped these sections.
async fn wrapped(
    chain: &Chain,
    pointer: RecordPointer,
    sections: SectionSet,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let wraps = chain.finalized().await?.wraps(pointer).await?;
        if wraps.iter().any(|(slot, it)| *slot == SLOT && sections.is_subset_of(it.sections)) {
            return Ok(());
        }
        let seconds = PATIENCE.as_secs();
        ensure!(begun.elapsed() < PATIENCE, "the sections are not wrapped after {seconds} s");
        sleep(POLL).await;
    }
}
