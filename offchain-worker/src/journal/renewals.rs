//! New keys of users that wait for the hospital's delay. The worker seals the profiles to them when it has passed, also
//! after a restart.

use epione_primitives::{Moment, UserId};
use rusqlite::{Connection, params};

/// Keys that are remembered, one of each user. Beyond them, users send their keys again.
pub const MOST: u32 = 1_024;

/// Remembers a user's new sealing key, in place of an earlier one, if there is room for it.
pub fn remember(tx: &Connection, user: UserId, key: &[u8], now: Moment) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO renewals (user, sealing_key, at) SELECT ?1, ?2, ?3
         WHERE (SELECT count(*) FROM renewals WHERE user <> ?1) < ?4
         ON CONFLICT (user) DO UPDATE SET sealing_key = excluded.sealing_key, at = excluded.at",
    )?
    .execute(params![user.0, key, now as i64, MOST])
    .map(drop)
}

/// The keys that wait, the longest-waiting first.
pub fn waiting(connection: &Connection) -> rusqlite::Result<Vec<(UserId, Vec<u8>)>> {
    connection
        .prepare_cached("SELECT user, sealing_key FROM renewals ORDER BY at")?
        .query_map([], |row| Ok((UserId(row.get(0)?), row.get(1)?)))?
        .collect()
}

/// Forgets the keys that were remembered before a moment.
pub fn forget_before(tx: &Connection, before: Moment) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM renewals WHERE at < ?1")?
        .execute(params![before as i64])
        .map(drop)
}

/// Forgets a user's key, unless the user has sent another one meanwhile.
pub fn forget(tx: &Connection, user: UserId, key: &[u8]) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM renewals WHERE user = ?1 AND sealing_key = ?2")?
        .execute(params![user.0, key])
        .map(drop)
}
