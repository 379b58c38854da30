//! A chain of lite blocks in memory, as hospitals would commit it, for tests.

use std::collections::HashMap;

use epione_primitives::{
    AnnouncementId, Hash, HospitalId, Moment, RecordId, RecordPointer, UserId,
    approval::{Approval, Ballot, BallotOutcome},
    block::{
        AnnouncedHeader, BlockHashes, Entry, Header, Range, Segments, cloud_hash, record_hash,
        segments_root,
    },
};
use sp_core::{Blake2Hasher, Hasher as _};

use super::subject;
use crate::chain::LiteBlock;

pub const BEGUN: Moment = 1_764_374_400_000;
pub const DAY: Moment = 24 * 60 * 60 * 1_000;

/// Commits blocks one after the other.
#[derive(Clone, Default)]
pub struct Maker {
    height: u32,
    hashes: BlockHashes,
    newest: HashMap<UserId, RecordPointer>,
    records: u64,
}

/// The patient with this number.
pub fn patient(number: u32) -> UserId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    UserId(id)
}

/// A chain of so many blocks. The blocks have one to four records each, of 97 patients.
pub fn chain(blocks: u32) -> Vec<LiteBlock> {
    let mut maker = Maker::default();
    let records = |height: u32| {
        let texts = (0..=height % 4).map(move |number| {
            let text = format!("sealed {height} {number}").into_bytes();
            (patient((height * 7 + number * 31) % 97), text)
        });
        texts.collect::<Vec<_>>()
    };
    (1..=blocks).map(|height| maker.commit(&records(height))).collect()
}

impl Maker {
    /// Commits a block with a record of each of these patients and bytes, a day after the one before.
    pub fn commit(&mut self, records: &[(UserId, Vec<u8>)]) -> LiteBlock {
        self.height += 1;
        let entries: Vec<Entry> = self.entries(records);
        let body: Vec<u8> = records.iter().flat_map(|(_, text)| text.clone()).collect();
        let segments = Segments { root: segments_root(&[]), count: 0, bytes: 0 };
        let header = Header {
            height: self.height,
            previous_lite: self.hashes.lite,
            previous_cloud: self.hashes.cloud,
            announcer: HospitalId(0),
            announcement: AnnouncementId(self.height.into()),
            time: BEGUN + u64::from(self.height) * DAY,
            records: entries.len() as u16,
            body_hash: Blake2Hasher::hash(&body),
            body_bytes: body.len() as u32,
            segments,
        };
        let mut block = LiteBlock { header, hashes: self.hashes, entries, ballot: ballot() };
        seal(&mut block);
        self.hashes = block.hashes;
        block
    }

    fn entries(&mut self, records: &[(UserId, Vec<u8>)]) -> Vec<Entry> {
        let mut offset = 0;
        let mut entries = Vec::new();
        for (index, (patient, text)) in (0..).zip(records) {
            let here = RecordPointer { height: self.height, index };
            let length = text.len() as u32;
            let mut record = [0; 16];
            record[..8].copy_from_slice(&self.records.to_be_bytes());
            entries.push(Entry {
                record: RecordId(record),
                hash: record_hash(text),
                patient: *patient,
                text: Range { offset, length },
                media: Range::default(),
                previous: self.newest.insert(*patient, here),
            });
            self.records += 1;
            offset += length;
        }
        entries
    }
}

/// Computes the hashes and the ballot's subject again, as somebody would who alters a block.
pub fn seal(block: &mut LiteBlock) {
    let Header { announcer, segments, body_hash, .. } = block.header;
    let announced = AnnouncedHeader { announcer, segments };
    block.ballot.subject = subject(announced, &block.entries, body_hash);
    let lite = block.header.lite_hash(&block.entries);
    block.hashes = BlockHashes { lite, cloud: cloud_hash(lite, segments.root) };
}

/// The approval of two of four hospitals.
fn ballot() -> Ballot {
    let approval = |hospital| Approval { hospital: HospitalId(hospital), block: 7 };
    Ballot {
        subject: Hash::zero(),
        opener: HospitalId(0),
        electorate: [0, 1, 2, 3].map(HospitalId).to_vec().try_into().unwrap(),
        approvals: [1, 2].map(approval).to_vec().try_into().unwrap(),
        rejections: Default::default(),
        deadline: 200,
        outcome: Some(BallotOutcome::Approved),
    }
}
