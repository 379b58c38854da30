//! Taking a network down: its processes end in order, then its data is removed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Claim, DevnetError, State, record, state};

/// How long a worker may take to finish what it does.
const WORKER_GRACE: Duration = Duration::from_secs(10);
/// How long a node may take to close its database.
const NODE_GRACE: Duration = Duration::from_secs(15);
/// How long the `devnet up` in the foreground may take to end its network.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(30);

/// Takes down the network in `directory`, also one whose `devnet up` was killed.
pub fn down(directory: &Path) -> Result<(), DevnetError> {
    let Some(state) = State::read(directory)? else {
        return Err(DevnetError::Absent { directory: directory.to_path_buf() });
    };
    if let Some(supervisor) = state.supervisor.clone() {
        // It takes its own network down on SIGTERM.
        record::end(&[supervisor], SUPERVISOR_GRACE);
    }
    let claim = Claim::take(directory)?;
    // What the supervisor wrote last; nothing if it took the network down.
    if let Some(state) = State::read(claim.directory())? {
        end_all(&state)?;
    }
    clear(claim.directory())
}

/// Ends every process of a network. Workers end first: they need their nodes and their storage to finish.
pub(crate) fn end_all(state: &State) -> Result<(), DevnetError> {
    let mut running = record::end(&state.workers(), WORKER_GRACE);
    running.extend(record::end(&state.nodes(), NODE_GRACE));
    running.extend(record::end(state.s3_server.as_slice(), WORKER_GRACE));
    if running.is_empty() {
        return Ok(());
    }
    Err(DevnetError::Survivors(running.iter().map(|process| process.pid).collect()))
}

/// Removes the network's data. Then it removes the state, which says that there is data to remove.
pub(crate) fn clear(directory: &Path) -> Result<(), DevnetError> {
    let data = data(directory);
    let state = state::path(directory);
    gone(fs::remove_dir_all(&data)).map_err(|source| DevnetError::File { path: data, source })?;
    gone(fs::remove_file(&state)).map_err(|source| DevnetError::File { path: state, source })
}

/// Where all files of a network are, except its state and its logs.
pub(crate) fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// A file that did not exist needs no removal.
fn gone(removal: io::Result<()>) -> io::Result<()> {
    match removal {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
