//! Media of an opening: what one hospital denies, another one sends. The bytes are verified whoever sends them.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use codec::Encode;
use epione_envelope::opening::{PartialContent, PartialContext, SealedPartial};
use epione_primitives::{block::Segment, consortium::EpochId, opening::OpeningId};

use super::{storage::as_it_is, *};
use crate::{
    api::PartialReply,
    reader::part::Part,
    worker::loopback::{answering, header, reply},
};

const OPENING: OpeningId = OpeningId(7);

fn nowhere() -> Url {
    Url::parse("http://127.0.0.1:1").unwrap()
}

fn link_at(server: &Url, segment: [u8; 32], expires: Moment) -> SegmentLink {
    let url = server.join(&object_key(&segment)).unwrap().into();
    SegmentLink { segment: hex::encode(segment), url, expires }
}

/// A worker that refuses every request.
async fn denier() -> Url {
    answering(|_, _| async { reply("403 Forbidden", "", b"") }).await
}

/// A worker that sends a part with new links, and the segments.
async fn renewer(sealed: &Sealed) -> Url {
    let segments = Arc::new(sealed.segments.clone());
    let agent = development::keys("//Doctor").unwrap();
    let context = PartialContext {
        genesis: GENESIS,
        opening: OPENING,
        hospital: HospitalId(2),
        epoch: EpochId(0),
        wraps: Hash::zero(),
    };
    let content = PartialContent { values: vec![[1; 32]], proof: [2; 64], mixing: vec![[3; 32]] };
    let part = SealedPartial::seal(&context, &content, agent.sealing.public(), &agent).unwrap();
    let partial = BASE64_STANDARD.encode(part.encode());
    answering(move |head, _| {
        let (segments, partial) = (Arc::clone(&segments), partial.clone());
        async move {
            let path = head.split(' ').nth(1).unwrap();
            if path == "/v1/partials" {
                let host = header(&head, "host").unwrap();
                let server = Url::parse(&format!("http://{host}")).unwrap();
                let links = segments.keys().map(|segment| link_at(&server, *segment, ENDS));
                let answer = PartialReply { partial, links: links.collect() };
                return reply("200 OK", "", &serde_json::to_vec(&answer).unwrap());
            }
            let is_named = |hash: &[u8; 32]| path == format!("/{}", object_key(hash));
            match segments.iter().find(|(hash, _)| is_named(hash)) {
                Some((_, bytes)) => reply("200 OK", "", bytes),
                None => reply("404 Not Found", "", b""),
            }
        }
    })
    .await
}

impl Sealed {
    /// The record with the links of workers at these addresses, of hospitals 1, 2 and so on. Hospital 1 has a link too
    /// many.
    fn offered(&self, servers: &[&Url], expires: Moment) -> OpenRecord {
        let segments = self.record.segments();
        let sent = (1..).zip(servers).map(|(hospital, server)| {
            let link = |segment: &Segment| link_at(server, segment.hash, expires);
            let mut links: Vec<_> = segments.iter().map(link).collect();
            if hospital == 1 {
                links.push(link_at(server, [9; 32], expires));
            }
            (worker_of(server, HospitalId(hospital)), links)
        });
        let wanted = segments.iter().map(|segment| segment.hash).collect();
        let offers = Offers::new(OPENING, &sent.collect::<Vec<_>>(), &wanted);
        self.open_from(FetchRight::Offers(offers), &[0, 1])
    }

    /// The same with a damaged byte in each segment.
    fn damaged(&self) -> Self {
        let mut damaged = Self { segments: self.segments.clone(), ..sealed_like(self) };
        damaged.segments.values_mut().for_each(|bytes| bytes[9] ^= 1);
        damaged
    }
}

async fn assert_saved(sealed: &Sealed, record: &OpenRecord) {
    let folder = tempfile::tempdir().unwrap();
    let (saved, to) = save(&nowhere(), record, 1, &folder).await;
    assert_eq!(saved.unwrap().bytes, sealed.content.len() as u64);
    assert!(std::fs::read(to).unwrap() == sealed.content);
}

#[tokio::test]
async fn a_hospital_with_one_link_too_many_that_denies_every_segment_denies_nothing() {
    let sealed = sealed(10 * MIB);
    let (denier, honest) = (denier().await, sealed.serve().await);
    assert_saved(&sealed, &sealed.offered(&[&denier, &honest], ENDS)).await;
    // If all of them deny it, the error names the segment.
    let folder = tempfile::tempdir().unwrap();
    let record = sealed.offered(&[&denier, &denier], ENDS);
    let (saved, to) = save(&nowhere(), &record, 1, &folder).await;
    let error = saved.unwrap_err();
    assert!(matches!(error, ReadError::Segment { .. }), "{error}");
    assert!(!to.exists());
}

#[tokio::test]
async fn a_hospital_that_dies_after_its_part_denies_nothing() {
    let sealed = sealed(5 * MIB);
    let honest = sealed.serve().await;
    assert_saved(&sealed, &sealed.offered(&[&nowhere(), &honest], ENDS)).await;
}

#[tokio::test]
async fn a_hospital_that_sends_wrong_bytes_denies_nothing() {
    let sealed = sealed(5 * MIB);
    let (liar, honest) = (sealed.damaged().serve().await, sealed.serve().await);
    assert_saved(&sealed, &sealed.offered(&[&liar, &honest], ENDS)).await;

    // Parts of segments have no hash: each chunk has a tag.
    let (liar, _) = sealed.damaged().serve_ranges(as_it_is).await;
    let (honest, _) = sealed.serve_ranges(as_it_is).await;
    let (record, worker) = (sealed.offered(&[&liar, &honest], ENDS), worker(&nowhere()));
    let mut sink = Vec::new();
    let fetcher = Fetcher::new(&worker, None, &record, 1, &|_| {}).unwrap();
    let read = fetcher.read(&Part::Range(5..2_000), &mut sink, |_| {}).await;
    assert_eq!(read.unwrap(), 1_995);
    assert!(sink == sealed.content[5..2_000]);
}

#[tokio::test]
async fn links_that_expire_are_renewed_by_the_next_hospital_if_one_sends_none() {
    let sealed = sealed(5 * MIB);
    let (denier, renewer) = (denier().await, renewer(&sealed).await);
    assert_saved(&sealed, &sealed.offered(&[&denier, &renewer], 0)).await;
    let folder = tempfile::tempdir().unwrap();
    let record = sealed.offered(&[&denier], 0);
    let (saved, _) = save(&nowhere(), &record, 1, &folder).await;
    let error = saved.unwrap_err();
    assert!(matches!(error, ReadError::Worker(_)), "{error}");
}
