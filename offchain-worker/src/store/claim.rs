//! The owner of a shared storage: one hospital, and one worker of it at a time. Two workers that were given the same
//! bucket by mistake would delete each other's segments.
//!
//! The object `owner` names the hospital and the worker. It is created conditionally, and read back after a pause,
//! because some servers ignore the condition. A running worker writes it again every minute, and says in it when it
//! stops. So another worker of the same hospital, also one with a copy of its journal, can tell whether the first still
//! runs, and a worker that lost the storage stops writing.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, path::Path};
use tokio::time::{Instant, sleep, timeout};

use super::{OWNER, Store, StoreError};
use crate::now;

/// How often a running worker confirms its claim.
pub const RENEWAL: Duration = Duration::from_secs(60);
/// If a claim was not confirmed for this long, its worker does not run any more.
pub const SILENCE: Duration = Duration::from_secs(150);
/// A worker that could not confirm its claim for this long writes nothing until it can, so that it has stopped before
/// another worker takes the storage over.
pub(super) const LAPSE: Duration = Duration::from_secs(100);
/// How long a worker that stops may take to say so in the storage.
const PARTING: Duration = Duration::from_secs(5);
/// The line of a mark whose process has stopped, and writes nothing any more.
const RELEASED: &str = "released";
/// Digits of a process's id that are shown.
const RUN_SHOWN: usize = 8;
/// After this pause, every worker that wrote at the same moment sees whose claim remained.
const SETTLE: Duration = Duration::from_secs(2);
/// Bytes of the object `owner`, at most.
const MAX_BYTES: usize = 1_024;
/// Characters of a foreign claim that are shown.
const SHOWN: usize = 120;

/// A worker that claims a storage.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// One line: the hospital and the chain.
    hospital: String,
    /// The worker's journal.
    instance: String,
    /// The worker's process.
    run: String,
}

impl Claimant {
    /// `hospital` is one line that names hospital and chain. `instance` is the same whenever this worker runs.
    pub fn new(hospital: String, instance: [u8; 16]) -> Result<Self, StoreError> {
        let mut run = [0; 16];
        getrandom::fill(&mut run)
            .map_err(|error| StoreError::Backend(std::io::Error::from(error).into()))?;
        Ok(Self { hospital, instance: hex::encode(instance), run: hex::encode(run) })
    }

    fn mark(&self) -> String {
        let Self { hospital, instance, run } = self;
        format!("{hospital}\ninstance {instance}\nrun {run}\nconfirmed {}\n", now())
    }

    fn owns(&self, mark: &Mark) -> bool {
        matches!(self.compare(mark), Standing::Ours)
    }

    fn compare(&self, mark: &Mark) -> Standing {
        if !mark.is_of(&self.hospital) {
            return Standing::Foreign;
        }
        match (mark.line("instance "), mark.line("run ")) {
            (Some(instance), Some(run)) if instance == self.instance && run == self.run => {
                Standing::Ours
            }
            // A version that did not name the worker.
            (None, _) => Standing::Stopped,
            _ if mark.is_released() => Standing::Stopped,
            _ => Standing::Rival,
        }
    }
}

/// Whose mark it is.
enum Standing {
    Ours,
    /// A process of the same hospital that has stopped.
    Stopped,
    /// Another process of the same hospital, which may run. If it names the same journal, that may be a copy.
    Rival,
    Foreign,
}

/// The content of the object `owner`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// Whether it names this hospital: the line with which the hospital's worker claims a storage.
    pub fn is_of(&self, hospital: &str) -> bool {
        self.line("") == Some(hospital)
    }

    /// The rest of the first line with this beginning.
    fn line(&self, beginning: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(beginning))
    }

    fn is_released(&self) -> bool {
        self.0.lines().any(|line| line == RELEASED)
    }
}

/// Names the owner. The text is from the storage, so only the usual characters are shown.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| -> String {
            text.chars().filter(|it| it.is_ascii_graphic() || *it == ' ').take(SHOWN).collect()
        };
        f.write_str(&shown(self.line("").unwrap_or("an unnamed owner")))?;
        let Some(instance) = self.line("instance ") else { return Ok(()) };
        write!(f, " (worker {}", shown(instance))?;
        if let Some(run) = self.line("run ") {
            let run: String = shown(run).chars().take(RUN_SHOWN).collect();
            write!(f, ", process {run}")?;
        }
        f.write_str(")")
    }
}

/// The result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The storage belongs to this worker.
    Ours,
    /// Another process of the same hospital wrote this. If it still runs, it writes again within [`RENEWAL`].
    Rival(Mark),
}

/// The claim of this process; shared by clones of a store.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    claimant: OnceLock<Claimant>,
    /// Nothing may be written before a claim has succeeded.
    awaited: AtomicBool,
    /// When the last confirmation that succeeded began.
    confirmed: Mutex<Option<Instant>>,
    /// The owner to whom this process lost the storage.
    lost: OnceLock<String>,
    /// This process is stopping, and says so in the storage.
    released: AtomicBool,
}

impl Ownership {
    fn confirmed(&self) -> MutexGuard<'_, Option<Instant>> {
        // No code under this lock panics.
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Until this process has claimed a shared storage, every write fails with [`StoreError::Unconfirmed`]: the storage
    /// may be another worker's.
    pub(super) fn await_claim(&self) {
        self.ownership.awaited.store(self.traits.shared, Ordering::Relaxed);
    }

    /// The mark of the worker that owns a shared storage; none before a worker has claimed it, and of a storage that is
    /// not shared. Claims nothing.
    pub async fn owner(&self) -> Result<Option<Mark>, StoreError> {
        if self.traits.shared { self.mark().await } else { Ok(None) }
    }

    /// Claims a shared storage, unless it has another owner: another hospital is [`StoreError::Foreign`].
    pub async fn claim(&self, claimant: &Claimant) -> Result<Claimed, StoreError> {
        if !self.traits.shared {
            return Ok(Claimed::Ours);
        }
        let began = Instant::now();
        match self.mark().await? {
            None => self.create_mark(claimant).await?,
            Some(mark) => match claimant.compare(&mark) {
                Standing::Ours | Standing::Stopped => self.write_mark(claimant).await?,
                Standing::Rival => return Ok(Claimed::Rival(mark)),
                Standing::Foreign => return Err(foreign(&mark)),
            },
        }
        self.settled(claimant, began).await
    }

    /// Claims the storage of another worker of the same hospital, which does not run any more: its mark is still this
    /// one.
    pub async fn take_over(&self, claimant: &Claimant, from: &Mark) -> Result<Claimed, StoreError> {
        let began = Instant::now();
        if self.mark().await?.as_ref() != Some(from) {
            return self.claim(claimant).await;
        }
        self.write_mark(claimant).await?;
        self.settled(claimant, began).await
    }

    /// Confirms this process's claim. If the storage has another owner now, this and every later write fails with
    /// [`StoreError::Foreign`]. Does nothing without a claim. Takes at most [`RENEWAL`].
    pub async fn confirm_claim(&self) -> Result<(), StoreError> {
        let Some(claimant) = self.ownership.claimant.get() else { return Ok(()) };
        self.holds()?;
        timeout(RENEWAL, self.confirm(claimant)).await.unwrap_or(Err(StoreError::Unreachable(None)))
    }

    async fn confirm(&self, claimant: &Claimant) -> Result<(), StoreError> {
        let began = Instant::now();
        let mark = match self.mark().await? {
            Some(mark) => mark,
            None => {
                self.create_mark(claimant).await?;
                self.mark().await?.ok_or(StoreError::NotKept)?
            }
        };
        if !claimant.owns(&mark) {
            // One answer may be old.
            sleep(SETTLE).await;
            let again = self.mark().await?.ok_or(StoreError::NotKept)?;
            if again == mark {
                self.ownership.lost.get_or_init(|| mark.to_string());
            }
            if !claimant.owns(&again) {
                return Err(foreign(&again));
            }
        }
        self.write_mark(claimant).await?;
        *self.ownership.confirmed() = Some(began);
        Ok(())
    }

    /// Says in the storage that this process has stopped, so that the next one need not wait. From now on, every write
    /// fails with [`StoreError::Interrupted`].
    pub async fn release_claim(&self) -> Result<(), StoreError> {
        let Some(claimant) = self.ownership.claimant.get() else { return Ok(()) };
        self.holds()?;
        self.ownership.released.store(true, Ordering::Relaxed);
        let releasing = async {
            match self.mark().await? {
                Some(mark) if claimant.owns(&mark) => {
                    self.put_mark(format!("{}{RELEASED}\n", claimant.mark())).await
                }
                _ => Ok(()),
            }
        };
        timeout(PARTING, releasing).await.unwrap_or(Err(StoreError::Unreachable(None)))
    }

    /// Fails before this process has claimed the storage, once it has lost or released it, and while it does not know
    /// whether it has lost it.
    pub(super) fn may_write(&self) -> Result<(), StoreError> {
        self.holds()?;
        match *self.ownership.confirmed() {
            Some(at) if at.elapsed() > LAPSE => Err(StoreError::Unconfirmed),
            None if self.ownership.awaited.load(Ordering::Relaxed) => Err(StoreError::Unconfirmed),
            _ => Ok(()),
        }
    }

    fn holds(&self) -> Result<(), StoreError> {
        match self.ownership.lost.get() {
            None if self.ownership.released.load(Ordering::Relaxed) => Err(StoreError::Interrupted),
            None => Ok(()),
            Some(owner) => Err(StoreError::Foreign { owner: owner.clone() }),
        }
    }

    /// Whose mark remained of those that were written since `began`.
    async fn settled(&self, claimant: &Claimant, began: Instant) -> Result<Claimed, StoreError> {
        sleep(SETTLE).await;
        let mark = self.mark().await?.ok_or(StoreError::NotKept)?;
        match claimant.compare(&mark) {
            Standing::Ours => {
                self.ownership.claimant.get_or_init(|| claimant.clone());
                *self.ownership.confirmed() = Some(began);
                Ok(Claimed::Ours)
            }
            Standing::Foreign => Err(foreign(&mark)),
            Standing::Stopped | Standing::Rival => Ok(Claimed::Rival(mark)),
        }
    }

    /// The mark of the owner; none if there is none. Only the first bytes of an object that is too long are read.
    async fn mark(&self) -> Result<Option<Mark>, StoreError> {
        let path = Path::from(OWNER);
        let read = self.within(async {
            let mut stream = self.backend.get(&path).await?.into_stream();
            let mut bytes = Vec::new();
            while bytes.len() < MAX_BYTES
                && let Some(more) = stream.try_next().await?
            {
                bytes.extend_from_slice(&more);
            }
            bytes.truncate(MAX_BYTES);
            Ok(bytes)
        });
        match read.await {
            Ok(bytes) => Ok(Some(Mark(String::from_utf8_lossy(&bytes).into_owned()))),
            Err(StoreError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the mark if there is none. A server that ignores conditions may overwrite one, so the mark must be read
    /// back. To one that rejects them, the mark is sent without, if there is still none.
    async fn create_mark(&self, claimant: &Claimant) -> Result<(), StoreError> {
        let path = Path::from(OWNER);
        let mark = Bytes::from(claimant.mark());
        let created = self.within(async {
            match self.backend.put_opts(&path, mark.into(), PutMode::Create.into()).await {
                Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(true),
                Err(error) if rejects_conditions(&error) => Ok(false),
                Err(error) => Err(StoreError::from(error)),
            }
        });
        let is_settled = created.await? || self.mark().await?.is_some();
        if is_settled { Ok(()) } else { self.write_mark(claimant).await }
    }

    async fn write_mark(&self, claimant: &Claimant) -> Result<(), StoreError> {
        self.put_mark(claimant.mark()).await
    }

    async fn put_mark(&self, mark: String) -> Result<(), StoreError> {
        let (path, mark) = (Path::from(OWNER), Bytes::from(mark));
        self.within(async { Ok(self.backend.put(&path, mark.into()).await.map(drop)?) }).await
    }
}

/// Whether the server does not know conditional writes. `object_store` gives its status only as text.
fn rejects_conditions(error: &Error) -> bool {
    let text = error.to_string();
    matches!(error, Error::NotImplemented { .. })
        || ["status code: 400 ", "status code: 501 "].iter().any(|status| text.contains(status))
}

fn foreign(mark: &Mark) -> StoreError {
    StoreError::Foreign { owner: mark.to_string() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::store::traits::Traits;

    fn claimant(hospital: &str, instance: u8) -> Claimant {
        Claimant::new(hospital.into(), [instance; 16]).unwrap()
    }

    #[test]
    fn a_mark_tells_workers_apart() {
        let own = claimant("hospital 1 of the chain X", 1);
        let standing = |mark: String| own.compare(&Mark(mark));
        assert!(matches!(standing(own.mark()), Standing::Ours));
        let restarted = claimant("hospital 1 of the chain X", 1);
        let second = claimant("hospital 1 of the chain X", 2);
        for other in [&restarted, &second] {
            assert!(matches!(standing(other.mark()), Standing::Rival));
            let stopped = format!("{}released\n", other.mark());
            assert!(matches!(standing(stopped), Standing::Stopped));
        }
        let shown = Mark(restarted.mark()).to_string();
        assert!(shown.ends_with(&format!(", process {})", &restarted.run[..8])), "{shown}");
        for other in ["hospital 10 of the chain X", "hospital 1 of the chain Y", ""] {
            assert!(matches!(standing(claimant(other, 1).mark()), Standing::Foreign), "{other}");
        }
        let unnamed = "hospital 1 of the chain X\n".to_owned();
        assert!(matches!(standing(unnamed), Standing::Stopped));
        assert!(matches!(standing(String::new()), Standing::Foreign));
    }

    #[test]
    fn a_foreign_mark_is_shown_without_control_characters() {
        let mark = Mark(format!("hospital 1\u{1b}[2J{}\ninstance 07\u{7}\n", "x".repeat(500)));
        let shown = mark.to_string();
        assert!(shown.starts_with("hospital 1[2Jx") && shown.ends_with("(worker 07)"), "{shown}");
        assert!(shown.len() < 150, "{shown}");
    }

    #[tokio::test]
    async fn a_worker_writes_nothing_to_a_bucket_that_it_has_not_claimed() {
        let (bucket, traits) =
            (Arc::new(InMemory::new()), Traits { shared: true, ..Traits::default() });
        let owner = Store::with(bucket.clone(), traits);
        owner.claim(&claimant("hospital 1", 1)).await.unwrap();
        let traits = Traits { shared: true, ..Traits::default() };
        let other = Store::with(bucket, traits);
        other.await_claim();
        for hospital in ["hospital 1", "hospital 2"] {
            let claimed = other.claim(&claimant(hospital, 2)).await;
            assert!(!matches!(claimed, Ok(Claimed::Ours)), "{claimed:?}");
            for refused in [
                other.probe().await.err(),
                other.delete(&[1; 32]).await.err(),
                other.quarantine(&[1; 32]).await.err(),
                other.writer().await.err(),
            ] {
                assert!(matches!(refused, Some(StoreError::Unconfirmed)), "{refused:?}");
            }
        }
        owner.release_claim().await.unwrap();
        assert_eq!(other.claim(&claimant("hospital 1", 2)).await.unwrap(), Claimed::Ours);
        other.probe().await.unwrap();
    }

    #[tokio::test]
    async fn a_worker_that_cannot_confirm_its_claim_stops_writing_until_it_can() {
        let traits = Traits { shared: true, ..Traits::default() };
        let store = Store::with(Arc::new(InMemory::new()), traits);
        store.probe().await.unwrap();
        let claimed = store.claim(&claimant("hospital 1", 1)).await.unwrap();
        assert_eq!(claimed, Claimed::Ours);
        store.probe().await.unwrap();
        let long_ago = Instant::now().checked_sub(LAPSE + Duration::from_secs(1)).unwrap();
        *store.ownership.confirmed() = Some(long_ago);
        for refused in [
            store.probe().await.err(),
            store.delete(&[1; 32]).await.err(),
            store.quarantine(&[1; 32]).await.err(),
            store.writer().await.err(),
        ] {
            assert!(matches!(refused, Some(StoreError::Unconfirmed)), "{refused:?}");
        }
        store.confirm_claim().await.unwrap();
        store.probe().await.unwrap();
    }
}
