//! A server of segments that serves ranges, counts the bytes that it sends, and fails where a test says so.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use super::*;
use crate::worker::loopback::{answering, header, reply};

/// Requests and answers.
#[derive(Default)]
pub(super) struct Log {
    /// Paths.
    pub(super) asked: Mutex<Vec<String>>,
    /// Bytes of bodies.
    pub(super) sent: AtomicUsize,
    /// Number of requests that are being answered, and its maximum.
    now: AtomicUsize,
    pub(super) most: AtomicUsize,
}

/// Changes an answer, given the number and path of the request. An empty answer closes the connection.
pub(super) type Alter = fn(usize, &str, Vec<u8>) -> Vec<u8>;

pub(super) fn as_it_is(_: usize, _: &str, answer: Vec<u8>) -> Vec<u8> {
    answer
}

impl Sealed {
    /// Serves the segments by their keys.
    pub(super) async fn serve_ranges(&self, alter: Alter) -> (Url, Arc<Log>) {
        let path = |hash| format!("/{}", object_key(hash));
        let files = self.segments.iter().map(|(hash, bytes)| (path(hash), bytes.clone()));
        let files: Arc<HashMap<_, _>> = Arc::new(files.collect());
        let log = Arc::new(Log::default());
        let kept = Arc::clone(&log);
        let url = answering(move |head, _| {
            let (files, log) = (Arc::clone(&files), Arc::clone(&kept));
            async move {
                let now = log.now.fetch_add(1, SeqCst) + 1;
                log.most.fetch_max(now, SeqCst);
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let number = {
                    let mut asked = log.asked.lock().unwrap();
                    asked.push(path.clone());
                    asked.len() - 1
                };
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                let bare = path.split('?').next().unwrap();
                let answer = files.get(bare).map_or_else(
                    || reply("404 Not Found", "", b""),
                    |bytes| ranged(bytes, header(&head, "range")),
                );
                let answer = alter(number, &path, answer);
                log.sent.fetch_add(body(&answer).len(), SeqCst);
                log.now.fetch_sub(1, SeqCst);
                answer
            }
        });
        (url.await, log)
    }
}

fn ranged(bytes: &[u8], range: Option<String>) -> Vec<u8> {
    let Some(range) = range else { return reply("200 OK", "", bytes) };
    let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    let end = end.parse().map_or(bytes.len(), |last: usize| last + 1);
    let header = format!("content-range: bytes {start}-{}/{}\r\n", end - 1, bytes.len());
    reply("206 Partial Content", &header, &bytes[start..end])
}

/// Where an answer's body begins.
pub(super) fn body(answer: &[u8]) -> &[u8] {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    head.map_or(&[], |at| &answer[at + 4..])
}
