//! The files and connections that the process may have open at once. Connections must not use them all: store and
//! journal need some, or the worker can neither serve nor acknowledge anything.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for the store, the journal, the node and connections to other hospitals.
const RESERVED: u64 = 512;

/// Raises the process's limit as far as the system permits.
pub fn raise() {
    let limits = getrlimit(Resource::Nofile);
    if limits.current == limits.maximum {
        tracing::info!(limit = ?limits.current, "files and connections that may be open at once");
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }) {
        Ok(()) => tracing::info!(
            limit = ?limits.maximum,
            before = ?limits.current,
            "raised the limit of files and connections that may be open at once"
        ),
        Err(error) => tracing::warn!(
            %error,
            limit = ?limits.current,
            "the limit of files and connections that may be open at once could not be raised"
        ),
    }
}

/// How many of the wanted connections the process's limit permits.
pub fn for_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let room = limit.map_or(u64::MAX, room);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// What a limit leaves for connections. If the limit is small, half of it.
fn room(limit: u64) -> u64 {
    limit.saturating_sub(RESERVED).max(limit / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_store_and_journal() {
        assert_eq!(room(4_096), 4_096 - RESERVED);
        assert_eq!(room(1_024), 512);
        assert_eq!(room(256), 128);
        assert_eq!(room(0), 1);
        assert_eq!(for_connections(1), 1);
    }
}
