//! Comparing two copies of a chain of lite blocks, byte by byte as far as they come from the chain.

use std::path::Path;

use anyhow::ensure;
use epione_client::lite::Store;
use epione_primitives::UserId;

/// Height of the newest lite block in a file; 0 if there is no file yet.
pub fn height(file: &Path) -> u32 {
    Store::open(file).and_then(|store| store.height()).unwrap_or_default()
}

/// Checks that two files have the same blocks with their ballots, and the same sealed records and sealed profiles of a
/// patient.
pub fn same(one: &Path, other: &Path, patient: UserId) -> anyhow::Result<()> {
    let (one, other) = (Store::open(one)?, Store::open(other)?);
    let (newest, others) = (one.height()?, other.height()?);
    ensure!(newest == others, "one copy has {newest} lite blocks, the other one {others}");
    for height in 1..=newest {
        ensure!(
            one.block(height)? == other.block(height)?,
            "the copies differ in lite block {height}"
        );
    }
    let records = one.records_of(patient)?;
    ensure!(records == other.records_of(patient)?, "the copies list other records of the patient");
    for pointer in records {
        ensure!(
            one.record(pointer)? == other.record(pointer)?,
            "the copies differ in the sealed record {pointer}"
        );
    }
    ensure!(
        one.profiles(patient)? == other.profiles(patient)?,
        "the copies differ in the sealed profiles of the patient"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use epione_client::{chain::LiteBlock, lite::Source};
    use epione_primitives::{
        Hash, HospitalId, RecordId, RecordPointer,
        approval::Ballot,
        block::{BlockHashes, Entry, Header, Range},
    };

    use super::*;

    const GENESIS: Hash = Hash::repeat_byte(1);
    const PATIENT: UserId = UserId([2; 32]);

    fn block(height: u32, hash: u8) -> LiteBlock {
        let hashes = BlockHashes { lite: Hash::repeat_byte(hash), cloud: Hash::zero() };
        let header = Header {
            height,
            previous_lite: Hash::zero(),
            previous_cloud: Hash::zero(),
            announcer: HospitalId(0),
            announcement: Default::default(),
            time: 1,
            records: 1,
            body_hash: Hash::zero(),
            body_bytes: 1,
            segments: Default::default(),
        };
        let entry = Entry {
            record: RecordId([height as u8; 16]),
            hash: Hash::zero(),
            patient: PATIENT,
            text: Range { offset: 0, length: 1 },
            media: Range::default(),
            previous: None,
        };
        let ballot = Ballot {
            subject: Hash::zero(),
            opener: HospitalId(0),
            electorate: Default::default(),
            approvals: Default::default(),
            rejections: Default::default(),
            deadline: 200,
            outcome: None,
        };
        LiteBlock { header, hashes, entries: vec![entry], ballot }
    }

    fn file(folder: &Path, name: &str, blocks: &[LiteBlock]) -> (PathBuf, Store) {
        let path = folder.join(name);
        let mut store = Store::create(&path, GENESIS).unwrap();
        let source = Source { number: 9, hash: Hash::zero(), time: 1, height: 2, proven: true };
        store.append(blocks, &source).unwrap();
        (path, store)
    }

    #[test]
    fn every_difference_between_two_copies_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let all = [block(1, 1), block(2, 2)];
        let (whole, mut first) = file(folder.path(), "whole", &all);
        let (again, mut second) = file(folder.path(), "again", &all);
        let difference = |other: &Path| match same(&whole, other, PATIENT) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(difference(&again), "");
        let (cut, _) = file(folder.path(), "cut", &all[..1]);
        assert_eq!((height(&whole), height(&cut), height(&folder.path().join("no"))), (2, 1, 0));
        assert!(difference(&cut).contains("has 2 lite blocks, the other one 1"));
        let (altered, _) = file(folder.path(), "altered", &[block(1, 1), block(2, 3)]);
        assert_eq!(difference(&altered), "the copies differ in lite block 2");

        let at = RecordPointer { height: 2, index: 0 };
        first.keep_record(at, b"sealed").unwrap();
        assert!(difference(&again).contains("sealed record 2/0"));
        second.keep_record(at, b"sealed").unwrap();
        assert_eq!(difference(&again), "");
        second.keep_profile(PATIENT, HospitalId(0), Hash::zero(), b"profile").unwrap();
        assert!(difference(&again).contains("profiles"));
    }
}
