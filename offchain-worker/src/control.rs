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

use epione_primitives::{Hash, HospitalId, Moment, consortium::CeremonyId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use crate::{
    chain::Identity,
    heard::Heard,
    journal::{Journal, JournalError, StageCounts, consortium, visits},
    maintenance::Maintenance,
    metrics::Metrics,
    tasks::{
        scrub::{ScrubProgress, ScrubReport, ScrubRequest},
        task_journal::{Fetching, TaskJournal},
    },
};

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
    Status {},
}

/// A line of the response.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ControlResponse {
    Progress(ScrubProgress),
    Done(Box<ScrubReport>),
    Status(WorkerStatus),
    Failed(String),
}

/// What a running worker says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    pub hospital: HospitalId,
    /// Hash of the first block of the chain to which the journal belongs.
    pub genesis: Hash,
    /// Since when it is in maintenance mode; absent if it is not.
    pub maintenance: Option<Moment>,
    /// Acknowledged visits that are not committed yet.
    pub waiting_visits: u64,
    /// Visits whose media are being uploaded.
    pub open_uploads: u64,
    /// Committed lite blocks whose segments are still being fetched.
    pub fetching: u64,
    /// The first heights of those that could not be fetched in many attempts.
    pub persistent: Vec<u32>,
    /// The ceremonies of which the journal has this hospital's share.
    pub shares: Vec<CeremonyId>,
    /// When the agents of hospitals last sent a request, since the worker began.
    pub heard: Vec<(HospitalId, Moment)>,
}

impl WorkerStatus {
    /// Whether nothing is under way that a stop would delay.
    pub fn is_idle(&self) -> bool {
        self.waiting_visits == 0 && self.open_uploads == 0
    }
}

/// What requests about the worker itself are answered from.
#[derive(Clone)]
pub struct About {
    pub identity: Identity,
    pub journal: Journal,
    pub task_journal: TaskJournal,
    pub metrics: Metrics,
    pub maintenance: Maintenance,
    pub heard: Heard,
}

impl About {
    async fn status(&self) -> Result<WorkerStatus, JournalError> {
        let counts = self.journal.read(visits::counts).await?;
        let Fetching { blocks, persistent } = self.task_journal.fetching().await?;
        Ok(WorkerStatus {
            hospital: self.identity.hospital,
            genesis: self.identity.genesis,
            maintenance: self.maintenance.since().await,
            waiting_visits: waiting(&counts),
            open_uploads: u64::try_from(self.metrics.uploads_open.get()).unwrap_or(0),
            fetching: blocks,
            persistent,
            shares: self.journal.read(consortium::held).await?.shares,
            heard: self.heard.all().into_iter().collect(),
        })
    }
}

/// The acknowledged visits that are not committed yet.
pub fn waiting(counts: &StageCounts) -> u64 {
    counts.queued + counts.packed + counts.announced
}

/// What requests work with.
#[derive(Clone)]
pub struct Desk {
    pub scrubs: mpsc::Sender<ScrubRequest>,
    pub progress: watch::Receiver<ScrubProgress>,
    pub about: About,
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
pub async fn serve(folder: PathBuf, desk: Desk) {
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
                let desk = desk.clone();
                tokio::spawn(async move {
                    let _slot = slot;
                    if let Err(error) = answer(stream, desk).await {
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

async fn answer(stream: UnixStream, desk: Desk) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader);
    match receive(&mut lines).await? {
        Some(ControlRequest::Scrub { segments_per_minute }) => {
            let Desk { scrubs, progress, .. } = desk;
            scrub_for(&mut writer, &scrubs, progress, segments_per_minute).await
        }
        Some(ControlRequest::Status {}) => {
            let answer = match desk.about.status().await {
                Ok(status) => ControlResponse::Status(status),
                Err(error) => ControlResponse::Failed(error.to_string()),
            };
            send(&mut writer, &answer).await
        }
        None => {
            let unknown = ControlResponse::Failed("the request is not known".into());
            send(&mut writer, &unknown).await
        }
    }
}

async fn scrub_for(
    writer: &mut OwnedWriteHalf,
    scrubs: &mpsc::Sender<ScrubRequest>,
    mut progress: watch::Receiver<ScrubProgress>,
    segments_per_minute: Option<u32>,
) -> io::Result<()> {
    let (reply, mut done) = oneshot::channel();
    if scrubs.try_send(ScrubRequest { segments_per_minute, reply }).is_err() {
        let busy = "another scrub was requested and has not begun: retry later";
        return send(writer, &ControlResponse::Failed(busy.into())).await;
    }
    loop {
        tokio::select! {
            done = &mut done => {
                let answer = match done {
                    Ok(Ok(report)) => ControlResponse::Done(Box::new(report)),
                    Ok(Err(error)) => ControlResponse::Failed(error.to_string()),
                    Err(_) => ControlResponse::Failed("the worker is stopping".into()),
                };
                return send(writer, &answer).await;
            }
            () = sleep(REPORT_EVERY) => {
                let now = *progress.borrow_and_update();
                send(writer, &ControlResponse::Progress(now)).await?;
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
    let request = ControlRequest::Scrub { segments_per_minute };
    let Some(mut lines) = ask(folder, &request).await? else { return Ok(None) };
    loop {
        match receive(&mut lines).await.map_err(|_| ControlError::Gone)? {
            Some(ControlResponse::Progress(progress)) => report(progress),
            Some(ControlResponse::Done(report)) => return Ok(Some(*report)),
            Some(ControlResponse::Failed(reason)) => return Err(ControlError::Failed(reason)),
            Some(ControlResponse::Status(_)) | None => return Err(ControlError::Malformed),
        }
    }
}

/// What the worker that runs with this folder says about itself. `None` if no worker runs, or if it has not found its
/// hospital on the chain and claimed its storage yet.
pub async fn status(folder: &Path) -> Result<Option<WorkerStatus>, ControlError> {
    let Some(mut lines) = ask(folder, &ControlRequest::Status {}).await? else { return Ok(None) };
    match receive(&mut lines).await.map_err(|_| ControlError::Gone)? {
        Some(ControlResponse::Status(status)) => Ok(Some(status)),
        Some(ControlResponse::Failed(reason)) => Err(ControlError::Failed(reason)),
        _ => Err(ControlError::Malformed),
    }
}

/// Sends a request; returns what the response is read from. `None` if no worker runs.
async fn ask(
    folder: &Path,
    request: &ControlRequest,
) -> Result<Option<BufReader<OwnedReadHalf>>, ControlError> {
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
    let (reader, mut writer) = stream.into_split();
    send(&mut writer, request).await.map_err(|_| ControlError::Gone)?;
    Ok(Some(BufReader::new(reader)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tokio::{sync::Notify, task::JoinHandle};

    use super::*;
    use crate::maintenance::Switch;

    async fn about(folder: &Path) -> About {
        let journal = Journal::in_memory().await.unwrap();
        About {
            identity: Identity { genesis: Hash::repeat_byte(1), hospital: HospitalId(3) },
            task_journal: TaskJournal::open(journal.clone()).await.unwrap(),
            journal,
            metrics: Metrics::new().unwrap(),
            maintenance: Maintenance::new(Switch::of(folder.parent().unwrap())),
            heard: Heard::default(),
        }
    }

    #[tokio::test]
    async fn a_running_worker_says_what_it_does() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("control");
        assert_eq!(status(&folder).await.unwrap(), None);
        let about = about(&folder).await;
        about.heard.note(HospitalId(2), 5);
        about.metrics.uploads_open.set(1);
        let since = Switch::of(home.path()).on(7).unwrap();
        let (scrubs, _requested) = mpsc::channel(1);
        let (_progress, seen) = watch::channel(ScrubProgress::Idle);
        let desk = Desk { scrubs, progress: seen, about };
        let worker = tokio::spawn(serve(folder.clone(), desk));
        let said = loop {
            match status(&folder).await.unwrap() {
                Some(said) => break said,
                None => sleep(Duration::from_millis(10)).await,
            }
        };
        let expected = WorkerStatus {
            hospital: HospitalId(3),
            genesis: Hash::repeat_byte(1),
            maintenance: Some(since),
            waiting_visits: 0,
            open_uploads: 1,
            fetching: 0,
            persistent: Vec::new(),
            shares: Vec::new(),
            heard: vec![(HospitalId(2), 5)],
        };
        assert_eq!(said, expected);
        assert!(!said.is_idle());
        worker.abort();
    }

    /// Serves one request, and sends its report once the client has received its progress.
    fn worker(folder: &Path, segments: u64, heard: Arc<Notify>) -> JoinHandle<()> {
        let folder = folder.to_owned();
        tokio::spawn(async move {
            let (requests, mut asked) = mpsc::channel::<ScrubRequest>(1);
            let (progress, seen) = watch::channel(ScrubProgress::Idle);
            let about = about(&folder).await;
            let answering = async {
                let request = asked.recv().await.unwrap();
                assert_eq!(request.segments_per_minute, Some(7));
                progress.send_replace(ScrubProgress::Reading { done: 1, of: 2 });
                heard.notified().await;
                request.reply.send(Ok(ScrubReport { segments, ..ScrubReport::default() })).unwrap();
            };
            let desk = Desk { scrubs: requests, progress: seen, about };
            tokio::join!(serve(folder, desk), answering);
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
