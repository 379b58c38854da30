//! Which queued visits become a lite block, and when. These are pure functions, without journal and chain.

use std::time::Duration;

use epione_envelope::{
    body::{BodyBuilder, BodyError, Packed},
    record::Record,
};
use epione_primitives::{
    HospitalId, Moment,
    limits::{MAX_BODY_BYTES, MAX_ENTRIES, MAX_SEGMENTS},
};

use crate::{
    backoff::Backoff,
    config,
    journal::{QueuedVisit, SealedVisit},
    millis,
};

/// The bounds of one lite block.
#[derive(Clone, Copy, Debug)]
pub struct BlockBounds {
    pub records: usize,
    pub body_bytes: u64,
    pub media_bytes: u64,
    pub segments: u64,
    /// The age of the oldest visit at which a block is packed that is not full.
    pub max_age: Duration,
}

impl From<&config::Pack> for BlockBounds {
    fn from(pack: &config::Pack) -> Self {
        Self {
            records: pack.max_records.min(MAX_ENTRIES) as usize,
            body_bytes: pack.max_body_bytes.min(MAX_BODY_BYTES).into(),
            media_bytes: pack.max_media_bytes,
            segments: MAX_SEGMENTS.into(),
            max_age: pack.max_age,
        }
    }
}

/// What to do with a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing is queued.
    Empty,
    /// Nothing is due before this time has passed.
    Later(Duration),
    /// Pack this many visits from the front.
    Pack(usize),
}

/// Decides about the front of the queue. `queue` must be longer than `bounds.records` if the whole queue is. The first
/// visit always fits: a visit that alone exceeds the bounds gets a separate block.
pub fn choose(queue: &[QueuedVisit], bounds: &BlockBounds, now: Moment) -> Choice {
    let Some(oldest) = queue.iter().map(|visit| visit.queued_at).min() else {
        return Choice::Empty;
    };
    let fitting = fitting(queue, bounds);
    let full = fitting < queue.len() || fitting >= bounds.records;
    // If a visit was queued in the future, the clock was set back, and the visit's age is not known.
    let age = now.checked_sub(oldest).map_or(bounds.max_age, Duration::from_millis);
    match bounds.max_age.checked_sub(age) {
        Some(left) if !full && !left.is_zero() => Choice::Later(left),
        _ => Choice::Pack(fitting),
    }
}

fn fitting(queue: &[QueuedVisit], bounds: &BlockBounds) -> usize {
    let (mut body, mut media, mut segments) = (0_u64, 0_u64, 0_u64);
    queue
        .iter()
        .take(bounds.records.max(1))
        .enumerate()
        .take_while(|(index, visit)| {
            body = body.saturating_add(visit.record_bytes.into());
            media = media.saturating_add(visit.media_bytes);
            segments = segments.saturating_add(visit.segments.into());
            let fits = body <= bounds.body_bytes
                && media <= bounds.media_bytes
                && segments <= bounds.segments;
            *index == 0 || fits
        })
        .count()
}

/// A visit that cannot be packed into any lite block.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unpackable {
    pub row: i64,
    pub error: BodyError,
}

/// Packs sealed visits, in their order, into a lite block.
pub fn assemble(hospital: HospitalId, visits: &[SealedVisit]) -> Result<Packed, Unpackable> {
    let mut builder = BodyBuilder::new(hospital);
    for (index, visit) in (0..).zip(visits) {
        let unpackable = |error| Unpackable { row: visit.row, error };
        let record = Record::decode_exactly(&visit.record)
            .map_err(|error| unpackable(BodyError::Record { index, error }))?;
        builder.push(&record).map_err(unpackable)?;
    }
    let row = visits.first().map_or(0, |visit| visit.row);
    builder.finish().map_err(|error| Unpackable { row, error })
}

/// Limits the harm of visits that other hospitals reject. After a failure the next blocks have half as many visits and
/// come later, until the visit that caused the failure is alone in its block. Then only this visit is held back.
#[derive(Debug, Default)]
pub struct Caution {
    records: Option<usize>,
    failures: u32,
    not_before: Moment,
}

/// The pause between blocks after failures in a row.
const PAUSE: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(120));
/// How long a visit is held back after it failed alone.
const HOLD: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(900));

impl Caution {
    /// A block with this many records was rejected because of its content.
    pub fn refused(&mut self, records: usize, now: Moment) {
        self.records = Some((records / 2).max(1));
        // A visit that failed alone is held back: the others need not wait for it.
        if records > 1 {
            self.delay(now);
        }
    }

    /// A block failed for another reason.
    pub fn delay(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(millis(PAUSE.after(self.failures)));
    }

    /// A block was committed.
    pub fn committed(&mut self, bounds: &BlockBounds) {
        self.failures = 0;
        self.not_before = 0;
        self.records = self.records.map(|records| records * 2).filter(|r| *r < bounds.records);
    }

    /// The bounds of the next block.
    pub fn narrow(&self, bounds: BlockBounds) -> BlockBounds {
        let records = self.records.map_or(bounds.records, |records| records.min(bounds.records));
        BlockBounds { records, ..bounds }
    }

    /// How long to wait before the next block is packed.
    pub fn pause(&self, now: Moment) -> Option<Duration> {
        let left = self.not_before.saturating_sub(now);
        // A longer pause was set before the clock was set back.
        (left > 0 && left <= millis(PAUSE.cap)).then(|| Duration::from_millis(left))
    }
}

/// How long a visit is held back, in milliseconds, after it failed alone this many times.
pub fn hold(times: u32) -> Moment {
    millis(HOLD.after(times))
}

#[cfg(test)]
mod tests;
