//! What the worker keeps secret about the consortium key: the seeds of the sealing keys with which it enrols, what it
//! deals, and its shares.
//!
//! What is not needed any more is erased: SQLite overwrites it in the pages (`secure_delete`), and
//! [`Journal::forget_writes`](super::Journal::forget_writes) empties the write-ahead log.

use epione_primitives::{AccountId, BlockNumber, Hash, consortium::CeremonyId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::consortium::{Held, HeldShare, Obsolete, OwnDealing, Secret, Secrets};

/// Keeps the seed of a sealing key. `ceremony` is the one for which it was made; none if the worker begins a ceremony,
/// whose number it does not know yet. `at` is the newest finalized block.
pub fn keep_enrolment(
    tx: &Connection,
    key: Hash,
    seed: &Secret,
    ceremony: Option<CeremonyId>,
    at: BlockNumber,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO consortium_enrolments (key_hash, seed, ceremony, at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (key_hash) DO NOTHING",
    )?
    .execute(params![key.as_bytes(), seed.as_slice(), ceremony.map(|it| it.0), at])
    .map(drop)
}

/// Notes in which ceremony the chain has the sealing key of a seed, which is kept as long as for that ceremony.
pub fn bind_enrolment(tx: &Connection, key: Hash, ceremony: CeremonyId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE consortium_enrolments SET ceremony = ?2 WHERE key_hash = ?1 AND ceremony IS NULL",
    )?
    .execute(params![key.as_bytes(), ceremony.0])
    .map(drop)
}

/// Keeps what the worker deals in a ceremony. The same secrets may be sealed again; fails if it has dealt others in it.
pub fn keep_dealing(
    tx: &Connection,
    ceremony: CeremonyId,
    dealing: &OwnDealing,
) -> rusqlite::Result<()> {
    let agent: &[u8] = dealing.agent.as_ref();
    let changed = tx
        .prepare_cached(
            "INSERT INTO consortium_dealings (ceremony, seed, part, agent, call)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (ceremony) DO UPDATE SET agent = excluded.agent, call = excluded.call
             WHERE seed = excluded.seed AND part = excluded.part",
        )?
        .execute(params![
            ceremony.0,
            dealing.seed.as_slice(),
            dealing.part.as_slice(),
            agent,
            dealing.arguments
        ])?;
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}

/// Keeps the worker's share from a ceremony, which always has the same result.
pub fn keep_share(tx: &Connection, ceremony: CeremonyId, held: &HeldShare) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO consortium_shares (ceremony, share, mixing) VALUES (?1, ?2, ?3)
         ON CONFLICT (ceremony) DO UPDATE SET share = excluded.share, mixing = excluded.mixing",
    )?
    .execute(params![ceremony.0, held.share.as_slice(), held.mixing.as_slice()])
    .map(drop)
}

/// The secrets for a ceremony, and all shares. `enrolled` is the hash of the sealing key that the chain has of this
/// hospital; none if it has not enrolled.
pub fn secrets(
    connection: &Connection,
    ceremony: Option<CeremonyId>,
    enrolled: Option<Hash>,
) -> rusqlite::Result<Secrets> {
    let (enrolment, dealing) = match ceremony {
        Some(ceremony) => {
            (enrolment(connection, ceremony, enrolled)?, dealing(connection, ceremony)?)
        }
        None => (None, None),
    };
    let shares = connection
        .prepare_cached("SELECT ceremony, share, mixing FROM consortium_shares")?
        .query_map([], |row| {
            let held = HeldShare { share: secret(row, 1)?, mixing: secret(row, 2)? };
            Ok((CeremonyId(row.get(0)?), held))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Secrets { enrolment, kept_enrolment: None, begun: None, dealing, shares })
}

/// The seed of a sealing key with which the worker tried to begin a ceremony at this finalized block, if it is not
/// known that the chain has it.
pub fn begun(connection: &Connection, at: BlockNumber) -> rusqlite::Result<Option<Secret>> {
    connection
        .prepare_cached(
            "SELECT seed FROM consortium_enrolments WHERE ceremony IS NULL AND at = ?1 LIMIT 1",
        )?
        .query_row([at], |row| secret(row, 0))
        .optional()
}

/// The seed of the sealing key for a ceremony. `enrolled` is the hash of the key that the chain has of this hospital;
/// none if it has not enrolled.
pub fn enrolment(
    connection: &Connection,
    ceremony: CeremonyId,
    enrolled: Option<Hash>,
) -> rusqlite::Result<Option<Secret>> {
    match enrolled {
        Some(key) => connection
            .prepare_cached("SELECT seed FROM consortium_enrolments WHERE key_hash = ?1")?
            .query_row([key.as_bytes()], |row| secret(row, 0))
            .optional(),
        None => connection
            .prepare_cached("SELECT seed FROM consortium_enrolments WHERE ceremony = ?1")?
            .query_row([ceremony.0], |row| secret(row, 0))
            .optional(),
    }
}

fn dealing(connection: &Connection, ceremony: CeremonyId) -> rusqlite::Result<Option<OwnDealing>> {
    connection
        .prepare_cached(
            "SELECT seed, part, agent, call FROM consortium_dealings WHERE ceremony = ?1",
        )?
        .query_row([ceremony.0], |row| {
            let (seed, part) = (secret(row, 0)?, secret(row, 1)?);
            let agent = AccountId::from(row.get::<_, [u8; 32]>(2)?);
            Ok(OwnDealing { seed, part, agent, arguments: row.get(3)? })
        })
        .optional()
}

fn secret(row: &Row<'_>, column: usize) -> rusqlite::Result<Secret> {
    Ok(Secret::new(row.get(column)?))
}

/// Of what the journal has secrets.
pub fn held(connection: &Connection) -> rusqlite::Result<Held> {
    let enrolments = connection
        .prepare_cached("SELECT key_hash, ceremony, at FROM consortium_enrolments")?
        .query_map([], |row| {
            let ceremony: Option<u32> = row.get(1)?;
            Ok((Hash::from(row.get::<_, [u8; 32]>(0)?), ceremony.map(CeremonyId), row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let dealings = ceremonies(connection, "SELECT ceremony FROM consortium_dealings")?;
    let shares = ceremonies(connection, "SELECT ceremony FROM consortium_shares")?;
    Ok(Held { enrolments, dealings, shares })
}

fn ceremonies(connection: &Connection, query: &str) -> rusqlite::Result<Vec<CeremonyId>> {
    connection.prepare_cached(query)?.query_map([], |row| Ok(CeremonyId(row.get(0)?)))?.collect()
}

/// Erases secrets in the pages. The write-ahead log still has them.
pub fn erase(tx: &Connection, obsolete: &Obsolete) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM consortium_enrolments WHERE key_hash = ?1")?;
    for key in &obsolete.enrolments {
        delete.execute([key.as_bytes()])?;
    }
    let mut delete = tx.prepare_cached("DELETE FROM consortium_dealings WHERE ceremony = ?1")?;
    for ceremony in &obsolete.dealings {
        delete.execute([ceremony.0])?;
    }
    let mut delete = tx.prepare_cached("DELETE FROM consortium_shares WHERE ceremony = ?1")?;
    for ceremony in &obsolete.shares {
        delete.execute([ceremony.0])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::journal::Journal;

    const AGENT: AccountId = AccountId::new([7; 32]);

    /// Secrets of one ceremony, each of other bytes.
    fn secrets_of(ceremony: u8) -> [Secret; 5] {
        [0, 1, 2, 3, 4].map(|which| {
            let bytes = blake3::hash(&[b't', ceremony, which]);
            Secret::new(*bytes.as_bytes())
        })
    }

    fn key_of(ceremony: u8) -> Hash {
        Hash::repeat_byte(ceremony)
    }

    async fn keep_all(journal: &Journal, ceremony: u8) {
        let number = CeremonyId(ceremony.into());
        let write = journal.write(move |tx| {
            let [seed, polynomial, part, share, mixing] = secrets_of(ceremony);
            keep_enrolment(tx, key_of(ceremony), &seed, Some(number), 1)?;
            let arguments = vec![ceremony; 5_000];
            let agent = AGENT;
            keep_dealing(tx, number, &OwnDealing { seed: polynomial, part, agent, arguments })?;
            keep_share(tx, number, &HeldShare { share, mixing })
        });
        write.await.unwrap();
    }

    /// How many secrets of these ceremonies are in any file of a folder.
    fn found(folder: &Path, ceremonies: &[u8]) -> usize {
        let files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect();
        let secrets = ceremonies.iter().flat_map(|ceremony| secrets_of(*ceremony));
        let is_there = |secret: &Secret| {
            files.iter().any(|file| file.windows(32).any(|window| window == secret.as_slice()))
        };
        secrets.filter(is_there).count()
    }

    /// What a disk has when the process is killed now.
    fn killed(folder: &Path) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for file in fs::read_dir(folder).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        copy
    }

    fn all_of(ceremonies: &[u8]) -> Obsolete {
        let numbers: Vec<_> = ceremonies.iter().map(|it| CeremonyId((*it).into())).collect();
        Obsolete {
            enrolments: ceremonies.iter().map(|it| key_of(*it)).collect(),
            dealings: numbers.clone(),
            shares: numbers,
        }
    }

    #[tokio::test]
    async fn erased_secrets_are_in_no_file_of_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.sqlite")).await.unwrap();
        let (erased, kept) = ([1, 2, 3, 4, 5, 6], [7, 8]);
        for ceremony in [1, 7, 2, 3, 8, 4, 5, 6] {
            keep_all(&journal, ceremony).await;
        }
        assert_eq!(found(folder.path(), &erased), 30, "otherwise the search finds nothing");
        journal.forget_writes().await.unwrap();
        assert_eq!(found(folder.path(), &erased), 30, "the pages have them, too");

        journal.write(move |tx| erase(tx, &all_of(&erased))).await.unwrap();
        journal.forget_writes().await.unwrap();
        assert_eq!((found(folder.path(), &erased), found(folder.path(), &kept)), (0, 10));
        // After kill -9, and after another worker has opened the files.
        let copy = killed(folder.path());
        assert_eq!(found(copy.path(), &erased), 0);
        let reopened = Journal::open(&copy.path().join("journal.sqlite")).await.unwrap();
        let held = reopened.read(held).await.unwrap();
        assert_eq!(held.shares, [7, 8].map(CeremonyId));
        drop(reopened);
        assert_eq!((found(copy.path(), &erased), found(copy.path(), &kept)), (0, 10));
    }

    #[tokio::test]
    async fn a_worker_that_is_killed_between_both_steps_of_erasing_completes_it_after_its_restart()
    {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.sqlite")).await.unwrap();
        keep_all(&journal, 1).await;
        journal.write(move |tx| erase(tx, &all_of(&[1]))).await.unwrap();
        assert_eq!(found(folder.path(), &[1]), 5, "the write-ahead log has them");
        let copy = killed(folder.path());
        let reopened = Journal::open(&copy.path().join("journal.sqlite")).await.unwrap();
        reopened.forget_writes().await.unwrap();
        assert_eq!(found(copy.path(), &[1]), 0);
    }

    #[tokio::test]
    async fn secrets_are_found_by_the_ceremony_or_by_the_key_that_the_chain_has() {
        let journal = Journal::in_memory().await.unwrap();
        keep_all(&journal, 1).await;
        let [begun, ..] = secrets_of(9);
        let seed = begun.clone();
        journal.write(move |tx| keep_enrolment(tx, key_of(9), &seed, None, 5)).await.unwrap();
        let look = async |ceremony: u32, enrolled: Option<Hash>| {
            let found =
                journal.read(move |it| secrets(it, Some(CeremonyId(ceremony)), enrolled)).await;
            found.unwrap().enrolment
        };
        assert_eq!(look(1, None).await, Some(secrets_of(1)[0].clone()));
        assert_eq!(look(2, None).await, None);
        assert_eq!(look(2, Some(key_of(9))).await, Some(begun.clone()));
        assert_eq!(look(2, Some(key_of(3))).await, None, "the journal with that seed was lost");
        journal.write(move |tx| bind_enrolment(tx, key_of(9), CeremonyId(2))).await.unwrap();
        journal.write(move |tx| bind_enrolment(tx, key_of(9), CeremonyId(3))).await.unwrap();
        assert_eq!(look(2, None).await, Some(begun));
        assert_eq!(look(3, None).await, None);
    }

    #[tokio::test]
    async fn a_seed_is_used_again_at_the_same_block_until_its_ceremony_is_known() {
        let journal = Journal::in_memory().await.unwrap();
        let [seed, ..] = secrets_of(9);
        let kept = seed.clone();
        journal.write(move |tx| keep_enrolment(tx, key_of(9), &kept, None, 5)).await.unwrap();
        let at = async |block| journal.read(move |it| begun(it, block)).await.unwrap();
        assert_eq!((at(5).await, at(6).await), (Some(seed), None));
        journal.write(|tx| bind_enrolment(tx, key_of(9), CeremonyId(2))).await.unwrap();
        assert_eq!(at(5).await, None);
    }

    #[tokio::test]
    async fn nothing_else_is_dealt_in_the_same_ceremony() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let journal = Journal::open(&path).await.unwrap();
        keep_all(&journal, 1).await;
        let again = journal.write(|tx| {
            let [seed, part, ..] = secrets_of(2);
            let (agent, arguments) = (AGENT, vec![2]);
            keep_dealing(tx, CeremonyId(1), &OwnDealing { seed, part, agent, arguments })
        });
        assert!(again.await.is_err());
        drop(journal);
        let reopened = Journal::open(&path).await.unwrap();
        let found = reopened.read(|it| secrets(it, Some(CeremonyId(1)), None)).await.unwrap();
        assert_eq!(found.dealing.unwrap().arguments, vec![1; 5_000]);
    }

    #[tokio::test]
    async fn the_same_secrets_are_kept_as_another_account_sealed_them() {
        let journal = Journal::in_memory().await.unwrap();
        keep_all(&journal, 1).await;
        let agent = AccountId::new([8; 32]);
        let [_, seed, part, ..] = secrets_of(1);
        let again = OwnDealing { seed, part, agent: agent.clone(), arguments: vec![2] };
        journal.write(move |tx| keep_dealing(tx, CeremonyId(1), &again)).await.unwrap();
        let found = journal.read(|it| secrets(it, Some(CeremonyId(1)), None)).await.unwrap();
        let dealing = found.dealing.unwrap();
        assert_eq!((dealing.agent, dealing.arguments), (agent, vec![2]));
    }
}
