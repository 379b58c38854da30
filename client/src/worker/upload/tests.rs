//! Uploads to a worker on loopback, which fails where a test says so.

#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use epione_envelope::record::SectionKind;
use epione_primitives::{UserId, block::SignedAt};
use tempfile::TempDir;
use url::Url;

use super::*;
use crate::{
    api::{ContentUpload, MediaProgress, Problem, VisitRequest},
    visit::VisitBuilder,
    waiting::{Wait, Waits},
    worker::{
        loopback::{answering, reply},
        tests::{GENESIS, HOSPITAL, account, authenticated, client},
    },
};

/// How a request fails.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// The connection ends without an answer, and the request had no effect.
    HangsUp,
    /// The connection ends without an answer, but the request had its effect.
    AnswerLost,
    Problem(u16, &'static str),
    /// The worker restarts, and loses the upload.
    Forgets,
    /// The worker is slow: the next part arrives before this one is stored.
    Slow,
}

#[derive(Default)]
struct State {
    visit: Option<VisitRequest>,
    content: Vec<u8>,
    /// One for each part in turn.
    troubles: VecDeque<Option<Trouble>>,
    announced: usize,
    parts: usize,
    /// The number and bytes of the parts that are being stored, and their maximum.
    held: (usize, usize),
    most: (usize, usize),
    progress: Vec<Progress>,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    async fn start(troubles: impl IntoIterator<Item = Option<Trouble>>) -> (Self, Url) {
        let fake = Self::default();
        fake.state().troubles = troubles.into_iter().collect();
        let serving = fake.clone();
        let url = answering(move |head, body| serving.clone().answer(head, body)).await;
        (fake, url)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn answer(self, head: String, body: Vec<u8>) -> Vec<u8> {
        let signed = authenticated(&head).unwrap();
        assert_eq!(signed.digest, *blake3::hash(&body).as_bytes());
        let mut line = head.split(' ');
        match line.next().unwrap() {
            "POST" => {
                let mut state = self.state();
                state.announced += 1;
                state.visit = Some(serde_json::from_slice(&body).unwrap());
                state.status("202 Accepted")
            }
            "GET" if self.state().visit.is_some() => self.state().status("200 OK"),
            "GET" => problem(404, "not-found"),
            "PUT" => self.part(line.next().unwrap(), body).await,
            other => panic!("{other}"),
        }
    }

    async fn part(&self, path: &str, body: Vec<u8>) -> Vec<u8> {
        let (path, offset) = path.split_once("?offset=").unwrap();
        let section: u16 = path.rsplit('/').next().unwrap().parse().unwrap();
        let trouble = {
            let mut state = self.state();
            state.parts += 1;
            state.held = (state.held.0 + 1, state.held.1 + body.len());
            state.most = (state.most.0.max(state.held.0), state.most.1.max(state.held.1));
            state.troubles.pop_front().flatten()
        };
        let answer = self.take(section, offset.parse().unwrap(), &body, trouble).await;
        let mut state = self.state();
        state.held = (state.held.0 - 1, state.held.1 - body.len());
        answer
    }

    async fn take(
        &self,
        section: u16,
        offset: u64,
        body: &[u8],
        trouble: Option<Trouble>,
    ) -> Vec<u8> {
        match trouble {
            Some(Trouble::HangsUp) => return Vec::new(),
            Some(Trouble::Problem(status, kind)) => return problem(status, kind),
            Some(Trouble::Forgets) => {
                let mut state = self.state();
                (state.visit, state.content) = (None, Vec::new());
            }
            Some(Trouble::Slow) => {
                let others = self.state().parts;
                for _ in 0..1_000 {
                    if self.state().parts > others || self.state().held.0 > 1 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Some(Trouble::AnswerLost) | None => {}
        }
        let lost = matches!(trouble, Some(Trouble::AnswerLost));
        for _ in 0..1_000 {
            if let Some(answer) = self.state().take(section, offset, body) {
                return if lost { Vec::new() } else { answer };
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        problem(409, "offset")
    }
}

impl State {
    fn media(&self) -> Vec<(u16, u64)> {
        let sections = self.visit.iter().flat_map(|visit| &visit.sections);
        (0..)
            .zip(sections)
            .filter_map(|(section, upload)| match upload.content {
                ContentUpload::Media { bytes, .. } => Some((section, bytes)),
                ContentUpload::Text(_) => None,
            })
            .collect()
    }

    fn position(&self, section: u16, offset: u64) -> Option<usize> {
        let mut start = 0;
        for (index, bytes) in self.media() {
            if index == section {
                return Some((start + offset) as usize);
            }
            start += bytes;
        }
        None
    }

    /// The answer to a part; none while an earlier part is missing.
    fn take(&mut self, section: u16, offset: u64, body: &[u8]) -> Option<Vec<u8>> {
        let Some(at) = self.position(section, offset) else {
            return Some(problem(404, "no-upload"));
        };
        if at > self.content.len() {
            return None;
        }
        if at == self.content.len() {
            self.content.extend_from_slice(body);
        }
        Some(self.status("200 OK"))
    }

    fn status(&self, line: &str) -> Vec<u8> {
        let (mut left, mut media) = (self.content.len() as u64, Vec::new());
        for (section, bytes) in self.media() {
            media.push(MediaProgress { section, offset: left.min(bytes), bytes });
            left -= left.min(bytes);
        }
        let done = media.iter().all(|media| media.offset == media.bytes);
        let status = VisitStatus {
            record_id: self.visit.as_ref().unwrap().record_id,
            stage: if done { VisitStage::Queued } else { VisitStage::Uploading },
            queued_at: done.then_some(1),
            since: 1,
            media: if done { Vec::new() } else { media },
            last_failure: None,
        };
        reply(line, "", &serde_json::to_vec(&status).unwrap())
    }
}

fn problem(status: u16, kind: &str) -> Vec<u8> {
    let problem = Problem {
        kind: format!("urn:epione:problem:{kind}"),
        title: "It did not work".into(),
        status,
        detail: None,
        denial: None,
    };
    reply(&format!("{status} Trouble"), "", &serde_json::to_vec(&problem).unwrap())
}

const FIRST: usize = 9 * 1024 * 1024 + 5;
const SECOND: usize = 1_000_001;

fn content(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    content
}

/// A visit with a text and two files: three parts, and one.
async fn visit(folder: &TempDir) -> Visit {
    let file = |name: &str, bytes| {
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, content(bytes)).unwrap();
        path
    };
    VisitBuilder::new(GENESIS, UserId([1; 32]), HOSPITAL, UserId([2; 32]))
        .file(SectionKind::Media, file("first.dcm", FIRST))
        .text(SectionKind::Report, "all well")
        .file(SectionKind::Media, file("second.dcm", SECOND))
        .build(&account(), SignedAt::default())
        .await
        .unwrap()
}

/// Submits a visit to a worker with these troubles, and checks that the worker received all of it.
async fn submitted(troubles: Vec<Option<Trouble>>) -> Fake {
    let (fake, url) = Fake::start(troubles).await;
    let folder = tempfile::tempdir().unwrap();
    let visit = visit(&folder).await;
    let heard = fake.clone();
    let hear = move |progress| heard.state().progress.push(progress);
    let status = client(&url).submit_visit(&visit, hear).await.unwrap();
    assert_eq!(status.stage, VisitStage::Queued);
    assert!(fake.state().content == [content(FIRST), content(SECOND)].concat());
    let last = *fake.state().progress.last().unwrap();
    assert_eq!(last.done, last.total);
    assert!(last.total > (FIRST + SECOND) as u64);
    fake
}

#[tokio::test]
async fn media_are_sent_in_parts_of_which_two_are_in_memory() {
    let fake = submitted(vec![Some(Trouble::Slow)]).await;
    let state = fake.state();
    assert_eq!((state.announced, state.parts), (1, 4));
    assert_eq!(state.most, (2, 2 * media_layout::PART_BYTES as usize));
    assert!(state.progress.is_sorted_by_key(|progress| progress.done), "{:?}", state.progress);
}

#[tokio::test]
async fn an_interrupted_upload_resumes_at_the_workers_position() {
    for trouble in [
        Trouble::HangsUp,
        Trouble::AnswerLost,
        Trouble::Problem(503, "busy"),
        Trouble::Problem(408, "silent"),
        Trouble::Problem(429, "busy"),
        Trouble::Problem(504, "timed-out"),
    ] {
        for at in [0, 2] {
            let mut troubles = vec![None; at];
            troubles.push(Some(trouble));
            let fake = submitted(troubles).await;
            let state = fake.state();
            assert_eq!(state.announced, 1, "{trouble:?}");
            let sorted = state.progress.is_sorted_by_key(|progress| progress.done);
            assert!(sorted, "{trouble:?}: {:?}", state.progress);
        }
    }
}

#[tokio::test]
async fn when_the_answer_to_the_last_part_is_lost_the_upload_succeeds() {
    let fake = submitted(vec![None, None, None, Some(Trouble::AnswerLost)]).await;
    assert_eq!(fake.state().announced, 1);
}

#[tokio::test]
async fn a_worker_that_lost_an_upload_receives_everything_again() {
    let fake = submitted(vec![None, None, Some(Trouble::Forgets)]).await;
    let state = fake.state();
    assert_eq!(state.announced, 2);
    let back = state.progress.windows(2).filter(|pair| pair[1].done < pair[0].done);
    assert_eq!(back.count(), 1, "{:?}", state.progress);
}

#[tokio::test]
async fn a_refusal_ends_the_upload_at_once() {
    let troubles = [Some(Trouble::Problem(400, "content"))];
    let (fake, url) = Fake::start(troubles).await;
    let folder = tempfile::tempdir().unwrap();
    let visit = visit(&folder).await;
    let error = client(&url).submit_visit(&visit, |_| {}).await.unwrap_err();
    assert_eq!(error.problem().unwrap().status, 400);
    assert!(fake.state().parts <= 2);
}

#[tokio::test]
async fn missing_or_changed_files_are_named_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let visit = visit(&folder).await;
    let nobody = client(&Url::parse("http://127.0.0.1:1").unwrap());
    std::fs::write(folder.path().join("second.dcm"), b"shorter").unwrap();
    let error = nobody.submit_visit(&visit, |_| {}).await.unwrap_err();
    assert!(matches!(error, WorkerError::FileChanged { .. }), "{error}");
    std::fs::remove_file(folder.path().join("first.dcm")).unwrap();
    let error = nobody.submit_visit(&visit, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("first.dcm"), "{error}");
}

#[tokio::test]
async fn an_upload_to_an_unreachable_worker_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let visit = visit(&folder).await;
    let nobody = client(&Url::parse("http://127.0.0.1:1").unwrap());
    let error = nobody.submit_visit(&visit, |_| {}).await.unwrap_err();
    assert!(matches!(error, WorkerError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn the_reason_for_a_late_upload_is_reported_with_its_hospital() {
    let busy = Some(Trouble::Problem(503, "busy"));
    let (_, url) = Fake::start([None, busy, busy]).await;
    let folder = tempfile::tempdir().unwrap();
    let visit = visit(&folder).await;
    let waits = Waits::default();
    let mut heard = waits.watch();
    let client = client(&url).with_waits(waits.clone());
    let sending = tokio::spawn(async move { client.submit_visit(&visit, |_| {}).await });
    let explained = |waits: &Vec<Wait>| waits.iter().any(|wait| wait.reason.is_some());
    let wait = heard.wait_for(explained).await.unwrap()[0].clone();
    assert_eq!((wait.what, wait.hospital), (Awaited::Upload, Some(HOSPITAL)));
    assert!(wait.reason.unwrap().contains("It did not work"));
    assert_eq!(sending.await.unwrap().unwrap().stage, VisitStage::Queued);
    assert_eq!(waits.now(), []);
}
