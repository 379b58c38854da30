//! Reading by an opening: as many hospitals as the threshold of the consortium key open sections together, while the
//! patient and the hospital of the record are away.
//!
//! The chain decided on the opening. Each hospital decides again, records on the chain that it hands out its part, and
//! sends the part, sealed to the requester. No hospital is believed: a part counts only with the signature of the
//! hospital's agent, the proof that it was made with the hospital's share, and the record on the chain. A hospital
//! whose part does not count is named, and the others are enough. Opening a wrap makes it again, so a record's hospital
//! that wrapped a wrong key is named, too.

mod collected;
mod fault;
mod offers;
mod wrapped;

pub use fault::{OpeningFault, PartFault, PartFaults};
pub(super) use offers::Offers;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use epione_envelope::keys::ContentKey;
use epione_primitives::{
    AccountId, HospitalId,
    consortium::Epoch,
    limits::OPENING_BLOCKS,
    opening::{HandedOut, Opening, OpeningId},
};
use futures::{StreamExt, stream::FuturesUnordered};

use super::{
    Access, FetchRight, OpenRecord, ReadError, Reader, VerifiedRecord, permission::RECEIPT_LIMIT,
};
use crate::{
    api::SegmentLink,
    chain::Snapshot,
    waiting::Awaited,
    worker::{HandedPart, WorkerClient},
};
use collected::{Answer, Collected, Expected, Unwrapped};
use wrapped::{WrappedSection, wrapped};

/// How long a hospital has to record and send its part: several times as long as finality usually takes.
const PART_LIMIT: Duration = Duration::from_secs(60);

/// What an opening opened.
pub struct OpenedTogether {
    /// Fetches media from the hospitals that handed out their parts: if one fails, from the next.
    pub reader: Reader,
    /// In the order of the request, each with its own result.
    pub records: Vec<Result<OpenRecord, ReadError>>,
    /// The hospitals whose parts count, ascending.
    pub hospitals: Vec<HospitalId>,
    /// The hospitals whose parts do not count, as far as they had answered, or that sent wrong mixing values.
    pub faults: PartFaults,
}

/// A hospital's part, and what the chain has about it.
struct Recorded {
    part: HandedPart,
    handed_out: Option<HandedOut>,
    agent: AccountId,
    epoch: Option<Epoch>,
}

impl Reader {
    /// Opens records of an opening for this reader's account, with the parts of the hospitals whose workers these are:
    /// those of all members of the consortium key. They are asked at the same time, and as many valid parts as the
    /// threshold are enough. A record that does not open has an error of its own.
    ///
    /// # Errors
    /// If the opening is not for this reader's keys or is over, or if too few hospitals gave a valid part. The error
    /// names each hospital whose part does not count, and why.
    pub async fn open_standing(
        &self,
        id: OpeningId,
        records: Vec<VerifiedRecord>,
        workers: &[WorkerClient],
    ) -> Result<OpenedTogether, ReadError> {
        let (state, opening) = self.openable(id).await?;
        let key = state.current_epoch().await?.ok_or(OpeningFault::NoKey)?.key;
        let sections = wrapped(&self.chain, &state, &opening, key).await?;
        let genesis = self.chain.genesis_hash();
        let expected =
            Expected { genesis, opening: id, key, sealing: &self.sealing, sections: &sections };
        let mut collecting =
            Collecting { parts: Collected::new(expected), used: Vec::new(), faults: Vec::new() };

        let mut answers: FuturesUnordered<_> =
            workers.iter().map(|worker| self.part(id, worker)).collect();
        while let Some((worker, answer)) = answers.next().await {
            collecting.add(worker, answer?);
            if collecting.parts.unwrapped().is_some_and(|it| it.is_complete()) {
                break;
            }
        }
        drop(answers);
        let Some(unwrapped) = collecting.parts.unwrapped() else {
            return Err(self.too_few(id, &opening, collecting).await?);
        };
        let Collecting { used, mut faults, .. } = collecting;
        faults.extend(unwrapped.liars.iter().cloned());
        faults.sort_by_key(|(hospital, _)| *hospital);
        let hospitals = unwrapped.hospitals.clone();
        let is_liar =
            |worker: &WorkerClient| faults.iter().any(|(liar, _)| *liar == worker.hospital());
        let used = used.into_iter().filter(|(worker, _)| !is_liar(worker));
        let sent: Vec<_> = used.map(|(worker, part)| (worker, part.links)).collect();
        let open = |record| self.opened(id, record, (&sections[..], &unwrapped), &sent);
        let records = records.into_iter().map(open).collect();
        let reader = self.clone();
        Ok(OpenedTogether { reader, records, hospitals, faults: PartFaults(faults) })
    }

    /// A record with the keys to its sections in the opening, and the hospitals' links to their media.
    fn opened(
        &self,
        id: OpeningId,
        record: VerifiedRecord,
        (sections, unwrapped): (&[WrappedSection], &Unwrapped),
        sent: &[(WorkerClient, Vec<SegmentLink>)],
    ) -> Result<OpenRecord, ReadError> {
        let keys = keys_of(id, &record, sections, unwrapped)?;
        let VerifiedRecord { summary, record } = record;
        let opened = (0..).zip(record.sections()).filter(|(section, _)| keys.contains_key(section));
        let wanted = opened.flat_map(|(_, section)| section.segments());
        let wanted: HashSet<_> = wanted.map(|segment| segment.hash).collect();
        let right = FetchRight::Offers(Offers::new(id, sent, &wanted));
        let home = summary.hospital;
        let genesis = self.chain.genesis_hash();
        let opened = OpenRecord::new(genesis, summary, record, Access { keys, right });
        opened.map_err(|error| exposed(error, home))
    }

    /// An opening that this reader can use now.
    async fn openable(&self, id: OpeningId) -> Result<(Snapshot, Opening), ReadError> {
        let head = self.chain.finalized_head().await?;
        let state = self.chain.at(head.hash);
        let opening = state.opening(id).await?.ok_or(OpeningFault::Unknown(id))?;
        let user = self.requester(&state).await?;
        if opening.requester != user {
            return Err(OpeningFault::NotRequester { opening: id, user }.into());
        }
        let key = self.sealing.public().hash();
        if opening.audience != self.worker.account().id() || opening.sealing_key != key {
            return Err(OpeningFault::OtherKeys(id).into());
        }
        let last = opening.block.saturating_add(OPENING_BLOCKS);
        if head.number > last {
            return Err(OpeningFault::Over { opening: id, last }.into());
        }
        Ok((state, opening))
    }

    /// A hospital's part with what the chain has about it, or why there is none.
    async fn part<'w>(
        &self,
        id: OpeningId,
        worker: &'w WorkerClient,
    ) -> (&'w WorkerClient, Result<Result<Recorded, PartFault>, ReadError>) {
        (worker, self.recorded(id, worker).await)
    }

    async fn recorded(
        &self,
        id: OpeningId,
        worker: &WorkerClient,
    ) -> Result<Result<Recorded, PartFault>, ReadError> {
        let part = match tokio::time::timeout(PART_LIMIT, worker.partials(id)).await {
            Ok(Ok(part)) => part,
            Ok(Err(error)) => return Ok(Err(PartFault::NoAnswer(error.to_string()))),
            Err(_) => {
                let late = format!("no answer within {} s", PART_LIMIT.as_secs());
                return Ok(Err(PartFault::NoAnswer(late)));
            }
        };
        let hospital = worker.hospital();
        let _waiting = self.chain.waits().begin(Awaited::Receipt, Some(hospital));
        let found = tokio::time::timeout(RECEIPT_LIMIT, self.handing_out(id, hospital)).await;
        let (state, handed_out) = match found.unwrap_or(Ok(None))? {
            Some((state, handed_out)) => (state, Some(handed_out)),
            None => (self.chain.finalized().await?, None),
        };
        let entry = state.hospital(hospital).await?;
        let agent = entry.ok_or(ReadError::UnknownHospital(hospital))?.agent;
        let epoch = state.epoch(part.sealed.epoch()).await?;
        Ok(Ok(Recorded { part, handed_out, agent, epoch }))
    }

    /// What a hospital recorded of its part. Waits for the final block that has it.
    async fn handing_out(
        &self,
        id: OpeningId,
        hospital: HospitalId,
    ) -> Result<Option<(Snapshot, HandedOut)>, ReadError> {
        let head = self.chain.finalized_head().await?;
        let mut blocks = self.chain.finalized_stream(head.number);
        while let Some(block) = blocks.next().await {
            let state = self.chain.at(block?.hash);
            if let Some(handed_out) = state.handed_out_by(id, hospital).await? {
                return Ok(Some((state, handed_out)));
            }
        }
        Ok(None)
    }

    /// The error if too few parts count. If a record's hospital has renewed its wraps, or the hospitals have a new key,
    /// the requester asks them again.
    async fn too_few(
        &self,
        id: OpeningId,
        opening: &Opening,
        collecting: Collecting<'_>,
    ) -> Result<ReadError, ReadError> {
        let Collecting { parts, mut faults, .. } = collecting;
        let state = self.chain.finalized().await?;
        let epoch = state.current_epoch().await?.ok_or(OpeningFault::NoKey)?;
        if !parts.is_under(epoch.key) {
            return Ok(OpeningFault::Rewrapped(id).into());
        }
        if faults.iter().any(|(_, fault)| *fault == PartFault::OtherWraps) {
            let now = wrapped(&self.chain, &state, opening, epoch.key).await?;
            if !parts.is_about(&now) {
                return Ok(OpeningFault::Rewrapped(id).into());
            }
        }
        faults.sort_by_key(|(hospital, _)| *hospital);
        let (found, needed) = parts.most().unwrap_or((0, usize::from(epoch.threshold)));
        let faults = PartFaults(faults);
        Ok(OpeningFault::TooFew { opening: id, needed, found, faults }.into())
    }
}

/// What has arrived so far.
struct Collecting<'a> {
    parts: Collected<'a>,
    /// The workers whose parts count.
    used: Vec<(WorkerClient, HandedPart)>,
    faults: Vec<(HospitalId, PartFault)>,
}

impl Collecting<'_> {
    fn add(&mut self, worker: &WorkerClient, answer: Result<Recorded, PartFault>) {
        let hospital = worker.hospital();
        let added = answer.and_then(|Recorded { part, handed_out, agent, epoch }| {
            let answer = Answer {
                hospital,
                agent: &agent,
                handed_out: handed_out.as_ref(),
                epoch: epoch.as_ref(),
                sealed: &part.sealed,
            };
            self.parts.add(&answer).map(|()| part)
        });
        match added {
            Ok(part) => self.used.push((worker.clone(), part)),
            Err(fault) => {
                tracing::warn!(%hospital, %fault, "a part of an opening does not count");
                self.faults.push((hospital, fault));
            }
        }
    }
}

/// The content keys of a record's sections in the opening. All of them, or the first reason why one has none.
fn keys_of(
    id: OpeningId,
    record: &VerifiedRecord,
    sections: &[WrappedSection],
    unwrapped: &Unwrapped,
) -> Result<HashMap<u16, ContentKey>, OpeningFault> {
    let pointer = record.summary.pointer;
    let of_record = sections.iter().zip(&unwrapped.keys).filter(|(it, _)| it.pointer == pointer);
    let keys = of_record
        .map(|(WrappedSection { section, .. }, key)| key.clone().map(|key| (*section, key)));
    let keys: HashMap<_, _> = keys.collect::<Result<_, OpeningFault>>()?;
    match keys.is_empty() {
        true => Err(OpeningFault::NotIncluded { opening: id, pointer }),
        false => Ok(keys),
    }
}

/// A key that is right for its wrap and does not open its section was wrapped by the record's hospital.
fn exposed(error: ReadError, hospital: HospitalId) -> ReadError {
    match error {
        ReadError::Open { pointer, section, .. } => match u16::try_from(section) {
            Ok(section) => OpeningFault::WrongWrap { hospital, pointer, section }.into(),
            Err(_) => error,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests;
