//! Commands of this machine's operator to a running worker, over a socket in a folder of the data directory that nobody
//! else can enter. So these requests need no signature, and are not part of the API.
//!
//! A request is one line of JSON. The response is lines of JSON, of which the last is the result.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedReadHalf},
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use crate::tasks::scrub::{ScrubProgress, ScrubReport, ScrubRequest};

/// Connections at once.
const CONNECTIONS: usize = 4;
/// Bytes of a line, at most. The number of names in a report is bounded.
const MAX_LINE: u64 = 64 * 1024;
/// For reading or writing a line.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two progress reports.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// A request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum ControlRequest {
    Scrub { segments_per_minute: Option<u32> },
}

/// A line of the response.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ControlResponse {
    Progress(ScrubProgress),
    Done(Box<ScrubReport>),
    Failed(String),
}

/// Why a running worker did not carry out a request.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("cannot connect to the running worker at {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the running worker stopped, or did not answer, before the request was done: see its log"
    )]
    Gone,
    #[error(
        "the running worker's response cannot be read: use the same version of this program and of \
         the worker"
    )]
    Malformed,
    #[error("the running worker could not carry out the request: {0}")]
    Failed(String),
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("worker.sock")
}

/// Serves requests. Never returns. To be called only by the process that has opened the journal.
pub async fn serve(
    folder: PathBuf,
    scrubs: mpsc::Sender<ScrubRequest>,
    progress: watch::Receiver<ScrubProgress>,
) {
    let listener = match listen(&folder) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(
                %error, folder = %folder.display(),
                "the control socket cannot be opened: to scrub, stop the worker first"
            );
            return std::future::pending().await;
        }
    };
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (scrubs, progress) = (scrubs.clone(), progress.clone());
                tokio::spawn(async move {
                    let _slot = slot;
                    if let Err(error) = answer(stream, &scrubs, progress).await {
                        tracing::debug!(%error, "a client of the control socket has disconnected");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the control socket was not accepted");
                sleep(REPORT_EVERY).await;
            }
        }
    }
}

fn listen(folder: &Path) -> io::Result<UnixListener> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // It is an earlier process's: this process has the journal, so no other is running.
    match std::fs::remove_file(socket(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(socket(folder))
}

async fn answer(
    stream: UnixStream,
    scrubs: &mpsc::Sender<ScrubRequest>,
    mut progress: watch::Receiver<ScrubProgress>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader);
    let Some(ControlRequest::Scrub { segments_per_minute }) = receive(&mut lines).await? else {
        return send(&mut writer, &ControlResponse::Failed("the request is not known".into()))
            .await;
    };
    let (reply, mut done) = oneshot::channel();
    if scrubs.try_send(ScrubRequest { segments_per_minute, reply }).is_err() {
        let busy = "another scrub was requested and has not begun: retry later";
        return send(&mut writer, &ControlResponse::Failed(busy.into())).await;
    }
    loop {
        tokio::select! {
            done = &mut done => {
                let answer = match done {
                    Ok(Ok(report)) => ControlResponse::Done(Box::new(report)),
                    Ok(Err(error)) => ControlResponse::Failed(error.to_string()),
                    Err(_) => ControlResponse::Failed("the worker is stopping".into()),
                };
                return send(&mut writer, &answer).await;
            }
            () = sleep(REPORT_EVERY) => {
                let now = *progress.borrow_and_update();
                send(&mut writer, &ControlResponse::Progress(now)).await?;
            }
        }
    }
}

async fn send(
    writer: &mut (impl AsyncWriteExt + Unpin),
    answer: &impl Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    timeout(PATIENCE, writer.write_all(&line)).await?
}

/// The next line; none if it cannot be parsed.
async fn receive<T: DeserializeOwned>(
    lines: &mut BufReader<OwnedReadHalf>,
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    timeout(PATIENCE, lines.take(MAX_LINE).read_until(b'\n', &mut line)).await??;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line).ok())
}

/// Requests a scrub from the worker that runs with this folder, and waits until it is done. `None` if no worker runs.
pub async fn scrub(
    folder: &Path,
    segments_per_minute: Option<u32>,
    mut report: impl FnMut(ScrubProgress),
) -> Result<Option<ScrubReport>, ControlError> {
    let path = socket(folder);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(ControlError::Io { path, source: error }),
            };
        }
    };
    let gone = |_| ControlError::Gone;
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader);
    send(&mut writer, &ControlRequest::Scrub { segments_per_minute }).await.map_err(gone)?;
    loop {
        match receive(&mut lines).await.map_err(gone)? {
            Some(ControlResponse::Progress(progress)) => report(progress),
            Some(ControlResponse::Done(report)) => return Ok(Some(*report)),
            Some(ControlResponse::Failed(reason)) => return Err(ControlError::Failed(reason)),
            None => return Err(ControlError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio::{sync::Notify, task::JoinHandle};

    use super::*;

    /// Serves one request, and sends its report once the client has received its progress.
    fn worker(folder: &Path, segments: u64, heard: Arc<Notify>) -> JoinHandle<()> {
        let folder = folder.to_owned();
        tokio::spawn(async move {
            let (requests, mut asked) = mpsc::channel::<ScrubRequest>(1);
            let (progress, seen) = watch::channel(ScrubProgress::Idle);
            let answering = async {
                let request = asked.recv().await.unwrap();
                assert_eq!(request.segments_per_minute, Some(7));
                progress.send_replace(ScrubProgress::Reading { done: 1, of: 2 });
                heard.notified().await;
                request.reply.send(Ok(ScrubReport { segments, ..ScrubReport::default() })).unwrap();
            };
            tokio::join!(serve(folder, requests, seen), answering);
        })
    }

    #[tokio::test]
    async fn a_running_worker_reports_progress_and_result() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("control");
        assert!(scrub(&folder, Some(7), |_| {}).await.unwrap().is_none());
        // A worker that was killed leaves its socket behind.
        for segments in [1, 2] {
            let heard = Arc::new(Notify::new());
            let worker = worker(&folder, segments, heard.clone());
            let mut heard_of = Vec::new();
            let mut hear = |progress| {
                heard_of.push(progress);
                if progress != ScrubProgress::Idle {
                    heard.notify_one();
                }
            };
            let report = loop {
                match scrub(&folder, Some(7), &mut hear).await.unwrap() {
                    Some(report) => break report,
                    None => sleep(Duration::from_millis(10)).await,
                }
            };
            assert_eq!(report.segments, segments);
            assert!(heard_of.contains(&ScrubProgress::Reading { done: 1, of: 2 }), "{heard_of:?}");
            worker.abort();
            let _ = worker.await;
            assert!(scrub(&folder, Some(7), |_| {}).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn only_the_owner_can_reach_the_socket_and_unknown_requests_fail() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("control");
        let worker = worker(&folder, 1, Arc::default());
        let mut stream = loop {
            match UnixStream::connect(socket(&folder)).await {
                Ok(stream) => break stream,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        };
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        stream.write_all(b"{\"format-the-disk\":{}}\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("failed"), "{answer}");
        worker.abort();
    }
}
