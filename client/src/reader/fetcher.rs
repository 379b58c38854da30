//! Fetches the segments of a section's media, several at once, and opens them chunk by chunk, in order.
//!
//! Memory: [`AHEAD`] segments that are being fetched and one that is being opened, 20 MiB together; the tags of 65 536
//! chunks, 1 MiB; one open chunk.

use std::{
    ops::Range,
    sync::atomic::{AtomicI64, Ordering},
};

use bytes::Bytes;
use epione_primitives::{HospitalId, block::Segment, limits::SEGMENT_BYTES, release::SectionSet};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::Mutex;

use super::{
    FetchRight, OpenRecord, ReadError, Reader, Source,
    content::{Content, Span, TAG},
};
use crate::{
    Progress,
    api::{SegmentLink, WantedRecord},
    now,
    worker::{Right, Via, WorkerClient},
};

/// Segments, or parts of them, that are fetched concurrently.
pub(super) const AHEAD: usize = 4;
/// Bytes that one request fetches if not the whole segment is wanted.
const PART_BYTES: u32 = 4 * 1024 * 1024;
/// Chunks whose tags are fetched together.
const TAG_WINDOW: u32 = 65_536;

/// What is fetched: whole segments, which are verified by their hash, or only some chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    WholeSegments,
    Chunks,
}

/// What is requested of a segment.
enum Wanted {
    /// All of it, verified by its hash.
    Whole,
    /// Some bytes, without verification. Tags are fetched before the first progress is known, and do not count.
    Part { bytes: Range<u32>, via: Via, counts: bool },
}

/// Who is asked for bytes.
#[derive(Clone, Copy)]
enum Sender {
    /// The hospitals that offer them, one after the other until one sends them.
    Any,
    /// One of them; none if there is one worker only.
    One(Option<HospitalId>),
}

/// Fetches one section's media from one worker, or from those of several hospitals that offer it.
pub(super) struct Fetcher<'a> {
    /// Asked if the right names no other workers.
    worker: &'a WorkerClient,
    /// Requests new links when the present ones expire.
    reader: Option<&'a Reader>,
    record: &'a OpenRecord,
    right: Mutex<FetchRight>,
    pub(super) content: Content<'a>,
    pub(super) tally: Tally<'a>,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(
        worker: &'a WorkerClient,
        reader: Option<&'a Reader>,
        record: &'a OpenRecord,
        section: usize,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Result<Self, ReadError> {
        let content = record.content_of(section)?;
        let total = AtomicI64::new(content.layout().plaintext_length() as i64);
        let tally = Tally { done: AtomicI64::new(0), total, progress };
        let right = Mutex::new(record.access.right.clone());
        Ok(Self { worker, reader, record, right, content, tally })
    }

    /// Fetches these chunks, in order.
    pub(super) fn chunks(&self, chunks: Range<u32>, scope: Scope) -> Chunks<'_> {
        let most = match scope {
            Scope::WholeSegments => SEGMENT_BYTES,
            Scope::Chunks => PART_BYTES,
        };
        let arriving = stream::iter(self.content.spans(chunks.clone(), most))
            .map(move |span| async move {
                let bytes = self.span(&span, scope).await?;
                Ok((span, bytes))
            })
            .buffered(AHEAD)
            .boxed();
        let tags = Tags::of(chunks.end);
        Chunks { fetcher: self, arriving, tags, current: None, rest: chunks }
    }

    async fn span(&self, span: &Span, scope: Scope) -> Result<Bytes, ReadError> {
        if scope == Scope::Chunks {
            let wanted = Wanted::Part { bytes: span.bytes.clone(), via: Via::Any, counts: true };
            return self.fetch(Sender::Any, span.segment, &wanted).await;
        }
        let bytes = self.fetch(Sender::Any, span.segment, &Wanted::Whole).await?;
        Ok(bytes.slice(span.bytes.start as usize..span.bytes.end as usize))
    }

    async fn fetch(
        &self,
        from: Sender,
        segment: usize,
        wanted: &Wanted,
    ) -> Result<Bytes, ReadError> {
        let segment = self.segment(segment)?;
        if let Sender::One(hospital) = from {
            return self.fetch_from(hospital, segment, wanted).await;
        }
        let mut tried = Vec::new();
        loop {
            let hospital = self.next(&tried).await;
            let fetched = self.fetch_from(hospital, segment, wanted).await;
            let (Err(error), Some(hospital)) = (&fetched, hospital) else { return fetched };
            if !self.fails(hospital, &mut tried, error).await {
                return fetched;
            }
        }
    }

    async fn fetch_from(
        &self,
        hospital: Option<HospitalId>,
        segment: &Segment,
        wanted: &Wanted,
    ) -> Result<Bytes, ReadError> {
        let (worker, right) = self.right(hospital, segment).await?;
        let worker = worker.as_ref().unwrap_or(self.worker);
        let counted = AtomicI64::new(0);
        let arrived = |bytes| {
            if !matches!(wanted, Wanted::Part { counts: false, .. }) {
                counted.fetch_add(bytes, Ordering::Relaxed);
                self.tally.add(bytes);
            }
        };
        let right = right.borrow();
        let fetched = match wanted {
            Wanted::Whole => worker.whole_segment(segment, right, &arrived).await,
            Wanted::Part { bytes, via, .. } => {
                worker.part_of_segment(segment, bytes.clone(), right, *via, &arrived).await
            }
        };
        if fetched.is_err() && hospital.is_some() {
            // Another hospital sends them again.
            self.tally.add(-counted.load(Ordering::Relaxed));
        }
        fetched.map_err(|source| failed(segment, source))
    }

    /// The next hospital to ask; none if there is one worker only, or if all have been tried.
    async fn next(&self, tried: &[HospitalId]) -> Option<HospitalId> {
        match &*self.right.lock().await {
            FetchRight::Offers(offers) => offers.next(tried),
            FetchRight::Links { .. } | FetchRight::Own => None,
        }
    }

    /// Notes that a hospital failed. Returns whether another one can be asked.
    async fn fails(
        &self,
        hospital: HospitalId,
        tried: &mut Vec<HospitalId>,
        error: &ReadError,
    ) -> bool {
        tracing::debug!(%hospital, %error, "asking the next hospital for a segment");
        tried.push(hospital);
        match &mut *self.right.lock().await {
            FetchRight::Offers(offers) => {
                offers.failed(hospital);
                offers.next(tried).is_some()
            }
            FetchRight::Links { .. } | FetchRight::Own => false,
        }
    }

    fn segment(&self, index: usize) -> Result<&'a Segment, ReadError> {
        let missing = self.content.failed(epione_envelope::OpenError);
        self.content.segments.get(index).ok_or(missing)
    }

    /// The tags of consecutive chunks.
    async fn tags(&self, from: Sender, chunks: Range<u32>, via: Via) -> Result<Vec<u8>, ReadError> {
        let layout = self.content.layout();
        let first = layout.tag(chunks.start).map_or(0, |tag| tag.start);
        let end = chunks.end.checked_sub(1).and_then(|last| layout.tag(last));
        let mut tags = Vec::with_capacity(chunks.len() * TAG);
        for (segment, part) in layout.in_segments(first..end.map_or(first, |tag| tag.end)) {
            let wanted = Wanted::Part { bytes: part, via, counts: false };
            tags.extend_from_slice(&self.fetch(from, segment, &wanted).await?);
        }
        Ok(tags)
    }

    /// The right by which to request a segment, and from which worker if not from the usual one. A link that expires
    /// soon is replaced first.
    async fn right(
        &self,
        hospital: Option<HospitalId>,
        segment: &Segment,
    ) -> Result<(Option<WorkerClient>, OwnedRight), ReadError> {
        let pointer = self.content.pointer;
        let no_link = ReadError::NoLink { segment: segment.hash };
        let mut right = self.right.lock().await;
        if let FetchRight::Offers(offers) = &mut *right {
            let hospital = hospital.ok_or(no_link)?;
            let (worker, link) = offers.link(hospital, segment.hash).await?;
            return Ok((Some(worker), OwnedRight::Link(link)));
        }
        if let Some(source) = right.renewal(pointer, std::slice::from_ref(segment), now())? {
            let reader = self.reader.ok_or(ReadError::LinksEnded { pointer })?;
            let permission = match source {
                Source::Request(intent) => {
                    let mut sections = SectionSet::default();
                    // A record has at most 64 sections.
                    sections.insert(self.content.section as u16);
                    let wanted = WantedRecord { pointer, sections: Some(sections) };
                    reader.ask(self.record.summary.patient, &[wanted], intent).await?
                }
                Source::Query(query) => reader.collect(query).await?,
            };
            *right = permission.of(pointer, &self.record.record)?.right;
        }
        let owned = match &*right {
            FetchRight::Own => OwnedRight::Patient(pointer),
            FetchRight::Links { links, .. } => {
                OwnedRight::Link(links.get(&segment.hash).cloned().ok_or(no_link)?)
            }
            FetchRight::Offers(_) => return Err(no_link),
        };
        Ok((None, owned))
    }
}

fn failed(segment: &Segment, source: crate::worker::WorkerError) -> ReadError {
    ReadError::Segment { segment: segment.hash, source }
}

/// A right that can be used without a lock.
enum OwnedRight {
    Patient(epione_primitives::RecordPointer),
    Link(SegmentLink),
}

impl OwnedRight {
    fn borrow(&self) -> Right<'_> {
        match self {
            Self::Patient(pointer) => Right::Patient(*pointer),
            Self::Link(link) => Right::Link(link),
        }
    }
}

/// How many bytes have arrived, in all concurrent requests.
pub(super) struct Tally<'a> {
    done: AtomicI64,
    total: AtomicI64,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Tally<'_> {
    pub(super) fn add(&self, bytes: i64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let total = self.total.load(Ordering::Relaxed);
        // The tags in a segment do not count as content.
        let done = u64::try_from(done.min(total)).unwrap_or(0);
        (self.progress)(Progress { done, total: u64::try_from(total).unwrap_or(0) });
    }

    /// Restarts the count at `done` bytes of `total`.
    pub(super) fn begin(&self, done: u64, total: u64) {
        self.total.store(i64::try_from(total).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.done.store(i64::try_from(done).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.add(0);
    }
}

/// Chunks in order. The next ones are fetched in advance.
pub(super) struct Chunks<'f> {
    fetcher: &'f Fetcher<'f>,
    arriving: BoxStream<'f, Result<(Span, Bytes), ReadError>>,
    tags: Tags,
    current: Option<(Span, Bytes)>,
    rest: Range<u32>,
}

impl Chunks<'_> {
    /// The next chunk, verified to be authentic and in its place; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<(u32, Vec<u8>)>, ReadError> {
        let Some(chunk) = self.rest.next() else { return Ok(None) };
        let tag = self.tags.get(self.fetcher, chunk).await?;
        let sealed = self.sealed(chunk).await?;
        let content = &self.fetcher.content;
        match content.open(chunk, &sealed, &tag) {
            Ok(plain) => Ok(Some((chunk, plain))),
            Err(error) => {
                tracing::debug!(chunk, %error, "fetching a chunk and its tag from the worker itself");
                Ok(Some((chunk, self.again(chunk).await?)))
            }
        }
    }

    async fn sealed(&mut self, chunk: u32) -> Result<Bytes, ReadError> {
        let content = &self.fetcher.content;
        let unknown = || content.failed(epione_envelope::OpenError);
        if self.current.as_ref().is_none_or(|(span, _)| !span.chunks.contains(&chunk)) {
            // Frees the opened span before the next one arrives.
            self.current = None;
            self.current = Some(self.arriving.next().await.ok_or_else(unknown)??);
        }
        let (span, bytes) = self.current.as_ref().ok_or_else(unknown)?;
        let range = content.layout().chunk(chunk).ok_or_else(unknown)?;
        let first = content.layout().chunk(span.chunks.start).ok_or_else(unknown)?.start;
        let (start, end) = ((range.start - first) as usize, (range.end - first) as usize);
        if span.chunks.contains(&chunk) && end <= bytes.len() {
            Ok(bytes.slice(start..end))
        } else {
            Err(unknown())
        }
    }

    /// Fetches a chunk that did not open again, from the worker itself instead of its storage; if several hospitals
    /// offer it, from one after the other. If it does not open then, the error is final.
    async fn again(&self, chunk: u32) -> Result<Vec<u8>, ReadError> {
        let mut tried = Vec::new();
        loop {
            let hospital = self.fetcher.next(&tried).await;
            let opened = self.again_from(hospital, chunk).await;
            let (Err(error), Some(hospital)) = (&opened, hospital) else { return opened };
            if !self.fetcher.fails(hospital, &mut tried, error).await {
                return opened;
            }
        }
    }

    async fn again_from(
        &self,
        hospital: Option<HospitalId>,
        chunk: u32,
    ) -> Result<Vec<u8>, ReadError> {
        let (content, from) = (&self.fetcher.content, Sender::One(hospital));
        let tag = self.fetcher.tags(from, chunk..chunk + 1, Via::Worker).await?;
        let tag = tag.try_into().map_err(|_| content.failed(epione_envelope::OpenError))?;
        let span = content.spans(chunk..chunk + 1, 0).next();
        let span = span.ok_or_else(|| content.failed(epione_envelope::OpenError))?;
        let wanted = Wanted::Part { bytes: span.bytes, via: Via::Worker, counts: false };
        let sealed = self.fetcher.fetch(from, span.segment, &wanted).await?;
        content.open(chunk, &sealed, &tag).map_err(|source| content.failed(source))
    }
}

/// The tags of consecutive chunks, fetched when they are needed.
pub(super) struct Tags {
    first: u32,
    tags: Vec<u8>,
    /// No tag from this chunk on will be needed.
    end: u32,
}

impl Tags {
    pub(super) fn of(end: u32) -> Self {
        Self { first: 0, tags: Vec::new(), end }
    }

    pub(super) async fn get(
        &mut self,
        fetcher: &Fetcher<'_>,
        chunk: u32,
    ) -> Result<[u8; TAG], ReadError> {
        if let Some(tag) = self.at_hand(chunk) {
            return Ok(tag);
        }
        let end = chunk.saturating_add(TAG_WINDOW).min(self.end).max(chunk.saturating_add(1));
        self.tags = fetcher.tags(Sender::Any, chunk..end, Via::Any).await?;
        self.first = chunk;
        self.at_hand(chunk).ok_or_else(|| fetcher.content.failed(epione_envelope::OpenError))
    }

    fn at_hand(&self, chunk: u32) -> Option<[u8; TAG]> {
        let at = (chunk.checked_sub(self.first)? as usize).checked_mul(TAG)?;
        self.tags.get(at..at.checked_add(TAG)?)?.try_into().ok()
    }
}
