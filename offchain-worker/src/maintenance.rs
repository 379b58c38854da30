//! Maintenance mode: the worker takes no new visits, and finishes those that it has. Everything else goes on.
//!
//! A file in the data directory switches it on, so it survives restarts, and an operator can also set it while the
//! worker is down. The worker looks at the file about once a second, and changes nothing in it.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use epione_primitives::Moment;
use tokio::{sync::Mutex, time::Instant};

use crate::{millis, now};

/// How long the worker relies on what it saw.
pub const FRESH: Duration = Duration::from_secs(1);
/// After this time, the caller of a request may try again.
pub const RETRY_AFTER: u64 = 60;
/// The end of the year 9999: later moments have no RFC 3339 text.
const MAX_SHOWN: Moment = 253_402_300_800_000;
/// Bytes of the file, at most: a moment in decimal digits.
const MAX_BYTES: u64 = 64;

/// The switch, as the worker sees it. Clones share what was seen last.
#[derive(Clone)]
pub struct Maintenance {
    switch: Switch,
    seen: Arc<Mutex<Seen>>,
}

/// When the worker looked, and since when maintenance was on then.
type Seen = Option<(Instant, Option<Moment>)>;

impl Maintenance {
    pub fn new(switch: Switch) -> Self {
        Self { switch, seen: Arc::default() }
    }

    /// Since when the worker is in maintenance; none if it is not. A file that cannot be read, for another reason than
    /// that there is none, counts as maintenance: visits that are refused are not lost. It counts from the first look, so
    /// that an operator learns of it after a day.
    pub async fn since(&self) -> Option<Moment> {
        let mut seen = self.seen.lock().await;
        if let Some((at, since)) = *seen
            && at.elapsed() < FRESH
        {
            return since;
        }
        let switch = self.switch.clone();
        let looked = tokio::task::spawn_blocking(move || switch.since()).await;
        let since = match looked {
            Ok(Ok(since)) => since,
            Ok(Err(error)) => {
                tracing::error!(%error, "the switch of maintenance mode cannot be read: no new visits");
                Some(now())
            }
            // The worker is stopping.
            Err(_) => Some(now()),
        };
        let before = seen.and_then(|(_, since)| since);
        let since = since.map(|since| before.map_or(since, |before| before.min(since)));
        *seen = Some((Instant::now(), since));
        since
    }

    pub async fn is_on(&self) -> bool {
        self.since().await.is_some()
    }

    /// The worker looks at the file again at the next question.
    #[cfg(test)]
    pub(crate) async fn forget(&self) {
        if let Some((at, _)) = self.seen.lock().await.as_mut() {
            *at = at.checked_sub(FRESH).unwrap();
        }
    }
}

/// A moment in UTC, for people.
pub fn moment(at: Moment) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(at));
    // A damaged file may have any number.
    let shown = time.filter(|_| at < MAX_SHOWN).map(humantime::format_rfc3339_seconds);
    shown.map_or_else(|| "an unknown time".into(), |shown| shown.to_string())
}

/// The file.
#[derive(Clone, Debug)]
pub struct Switch(PathBuf);

impl Switch {
    /// In the worker's data directory.
    pub fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("maintenance"))
    }

    /// Since when it is on. A file without a moment of the past in it counts from its last change.
    pub fn since(&self) -> io::Result<Option<Moment>> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let changed = file.metadata().and_then(|file| file.modified()).ok();
        let changed = changed.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let text = io::read_to_string(io::Read::take(file, MAX_BYTES)).unwrap_or_default();
        let now = now();
        let known = [text.trim().parse().ok(), changed.map(millis)];
        Ok(Some(known.into_iter().flatten().find(|at| *at <= now).unwrap_or(now)))
    }

    /// Switches it on, unless it is on; returns since when. It is on the disk when this returns. A file that cannot be
    /// read is replaced.
    pub fn on(&self, now: Moment) -> io::Result<Moment> {
        if let Ok(Some(since)) = self.since() {
            return Ok(since);
        }
        let mut new = self.0.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        let mut file = File::create(&new)?;
        // The operator may have another account than the worker, and a mask that hides new files. Only the data
        // directory keeps others out.
        file.set_permissions(Permissions::from_mode(0o644))?;
        writeln!(file, "{now}")?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        self.sync_folder()?;
        Ok(now)
    }

    /// Switches it off; returns since when it was on. A file that cannot be read is removed, too.
    pub fn off(&self) -> io::Result<Option<Moment>> {
        let since = self.since();
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            removed => removed?,
        }
        self.sync_folder()?;
        Ok(Some(since.ok().flatten().unwrap_or_else(now)))
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.0.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_running_worker_and_one_that_was_restarted_see_the_switch() {
        let folder = tempfile::tempdir().unwrap();
        let switch = Switch::of(folder.path());
        let worker = Maintenance::new(switch.clone());
        assert_eq!(worker.since().await, None);
        assert_eq!(switch.on(7).unwrap(), 7);
        // It began once, however often the operator says so.
        assert_eq!(switch.on(9).unwrap(), 7);
        worker.forget().await;
        assert_eq!(worker.since().await, Some(7));
        let restarted = Maintenance::new(Switch::of(folder.path()));
        assert!(restarted.is_on().await);
        assert_eq!(switch.off().unwrap(), Some(7));
        assert_eq!(switch.off().unwrap(), None);
        worker.forget().await;
        assert_eq!(worker.since().await, None);
    }

    #[test]
    fn a_damaged_switch_is_on() {
        let folder = tempfile::tempdir().unwrap();
        let switch = Switch::of(folder.path());
        fs::write(folder.path().join("maintenance"), [0xff; 100]).unwrap();
        assert!(switch.since().unwrap().is_some_and(|since| since > 1_700_000_000_000));
        assert!(switch.off().unwrap().is_some());
        assert_eq!(switch.since().unwrap(), None);
    }

    #[test]
    fn a_switch_without_a_past_moment_ages_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("maintenance");
        // As by `touch`, and by a clock that was ahead.
        for text in [String::new(), Moment::MAX.to_string()] {
            fs::write(&file, text).unwrap();
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
            let switch = Switch::of(folder.path());
            assert_eq!(switch.since().unwrap(), Some(1_700_000_000_000));
        }
    }

    #[tokio::test]
    async fn a_switch_that_cannot_be_read_counts_from_the_first_look_and_can_be_switched_off() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("maintenance");
        // A link to itself cannot be opened, not even by root.
        std::os::unix::fs::symlink(&file, &file).unwrap();
        let switch = Switch::of(folder.path());
        assert!(switch.since().is_err());
        let worker = Maintenance::new(switch.clone());
        let first = worker.since().await.unwrap();
        while now() == first {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        worker.forget().await;
        assert_eq!(worker.since().await, Some(first));
        assert!(switch.off().unwrap().is_some());
        worker.forget().await;
        assert_eq!(worker.since().await, None);
        std::os::unix::fs::symlink(&file, &file).unwrap();
        assert_eq!(switch.on(7).unwrap(), 7);
        assert_eq!(switch.since().unwrap(), Some(7));
    }

    #[test]
    fn a_worker_with_another_account_can_read_the_switch() {
        let folder = tempfile::tempdir().unwrap();
        // As an operator's mask would make it.
        let new = folder.path().join("maintenance.new");
        fs::write(&new, "").unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
        Switch::of(folder.path()).on(7).unwrap();
        let mode = fs::metadata(folder.path().join("maintenance")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn moments_of_any_file_are_shown() {
        assert_eq!(moment(1_700_000_000_000), "2023-11-14T22:13:20Z");
        for at in [MAX_SHOWN, Moment::MAX] {
            assert_eq!(moment(at), "an unknown time");
        }
        assert!(moment(MAX_SHOWN - 1).starts_with("9999-12-31"));
    }

    #[tokio::test]
    async fn a_switch_that_cannot_be_read_lets_no_visit_in() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the folder should be: the error is another than that there is no file.
        let file = folder.path().join("data");
        fs::write(&file, "x").unwrap();
        assert!(Maintenance::new(Switch::of(&file)).is_on().await);
    }
}
