//! A directory is used by one network, and by one process that starts, watches or ends it.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use crate::{DevnetError, State};

const LOCK: &str = "devnet.lock";

/// A directory that no other process starts or ends a network in while this value lives. The kernel releases the lock
/// even if the process is killed.
#[derive(Debug)]
pub struct Claim {
    directory: PathBuf,
    _lock: Lock,
}

#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    /// Releases the lock at once. Closing the file is not enough: a child that another thread is starting at this
    /// moment has a copy of the open file until it executes its program.
    fn drop(&mut self) {
        // If this fails, closing the file releases the lock.
        let _ = self.0.unlock();
    }
}

impl Claim {
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Claims the directory of a devnet, or one that is empty or does not exist yet.
    pub fn take(directory: &Path) -> Result<Self, DevnetError> {
        let failed = |source| DevnetError::File { path: directory.to_path_buf(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        let directory = directory.canonicalize().map_err(failed)?;
        let lock = directory.join(LOCK);
        let mut entries = fs::read_dir(&directory).map_err(failed)?;
        if !lock.exists() && entries.next().is_some() {
            return Err(DevnetError::Foreign { path: directory });
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(|source| DevnetError::File { path: lock.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { directory, _lock: Lock(file) }),
            Err(TryLockError::WouldBlock) => Err(DevnetError::Busy { directory }),
            Err(TryLockError::Error(source)) => Err(DevnetError::File { path: lock, source }),
        }
    }

    /// Claims a directory for a new network. No other network may run there, or have run there without being taken
    /// down.
    pub fn fresh(directory: &Path) -> Result<Self, DevnetError> {
        let claim = match Self::take(directory) {
            Err(DevnetError::Busy { directory })
                if matches!(State::read(&directory), Ok(Some(_))) =>
            {
                return Err(DevnetError::Running { directory });
            }
            claim => claim?,
        };
        match State::read(&claim.directory)? {
            None => Ok(claim),
            Some(state) if state.is_alive() => {
                Err(DevnetError::Running { directory: claim.directory })
            }
            Some(_) => Err(DevnetError::Stale { directory: claim.directory }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_claimed_once() {
        let directory = tempfile::tempdir().unwrap();
        let claim = Claim::take(directory.path()).unwrap();
        assert!(matches!(Claim::take(directory.path()), Err(DevnetError::Busy { .. })));
        drop(claim);
        Claim::take(directory.path()).unwrap();
    }

    #[test]
    fn a_directory_with_other_files_is_not_claimed() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
        assert!(matches!(Claim::take(directory.path()), Err(DevnetError::Foreign { .. })));
    }

    #[test]
    fn a_network_whose_starter_was_killed_must_be_taken_down_first() {
        let directory = tempfile::tempdir().unwrap();
        let claim = Claim::fresh(directory.path()).unwrap();
        State::new(Vec::new()).write(directory.path()).unwrap();
        drop(claim);
        assert!(matches!(Claim::fresh(directory.path()), Err(DevnetError::Stale { .. })));
        crate::down(directory.path()).unwrap();
        Claim::fresh(directory.path()).unwrap();
    }
}
