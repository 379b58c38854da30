use epione_primitives::{
    HospitalId,
    approval::{Approval, BallotOutcome},
    block::Range,
};

use super::{made::seal, *};

/// The first fault of a chain.
fn fault(blocks: &[LiteBlock]) -> Option<WrongBlock> {
    let mut tip = Tip::default();
    blocks.iter().find_map(|block| tip.advance(block).err())
}

/// The fault of a chain of ten blocks after this change of block 5.
fn altered(change: impl FnOnce(&mut LiteBlock)) -> Fault {
    let mut blocks = made::chain(10);
    change(&mut blocks[4]);
    let wrong = fault(&blocks).expect("the change is noticed");
    assert_eq!(wrong.height, 5, "{wrong}");
    wrong.fault
}

#[test]
fn a_chain_as_hospitals_commit_it_is_right() {
    assert_eq!(fault(&made::chain(300)), None);
}

#[test]
fn an_altered_header_entry_or_hash_is_found_at_its_height() {
    type Change = fn(&mut LiteBlock);
    let changes: [Change; 8] = [
        |block| block.header.time += 1,
        |block| block.header.announcement.0 += 1,
        |block| block.header.segments.root = Hash::repeat_byte(1),
        |block| block.entries[0].record.0[3] ^= 1,
        |block| block.entries[0].hash = Hash::repeat_byte(1),
        |block| block.entries[0].patient.0[0] ^= 1,
        |block| block.hashes.lite = Hash::repeat_byte(1),
        |block| block.hashes.cloud = Hash::repeat_byte(1),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let fault = altered(change);
        assert!(matches!(fault, Fault::Hash { .. }), "change {number}: {fault}");
    }
}

#[test]
fn a_block_whose_hashes_were_computed_again_does_not_fit_the_next_one() {
    let mut blocks = made::chain(10);
    blocks[4].header.time += 1;
    seal(&mut blocks[4]);
    let wrong = fault(&blocks).unwrap();
    assert_eq!(wrong.height, 6);
    assert!(matches!(wrong.fault, Fault::Previous { which: "lite", .. }), "{wrong}");
}

#[test]
fn a_missing_repeated_or_swapped_block_is_found() {
    let mut gap = made::chain(10);
    gap.remove(4);
    let mut repeated = made::chain(10);
    repeated.insert(4, repeated[3].clone());
    let mut swapped = made::chain(10);
    swapped.swap(4, 5);
    for blocks in [gap, repeated, swapped] {
        let wrong = fault(&blocks).unwrap();
        assert_eq!(wrong.height, 5);
        assert!(matches!(wrong.fault, Fault::Height { .. }), "{wrong}");
    }
}

#[test]
fn a_link_that_skips_a_record_or_leads_elsewhere_is_found() {
    let elsewhere = Some(RecordPointer { height: 2, index: 0 });
    for link in [None, elsewhere] {
        let mut maker = made::Maker::default();
        let text = |number: u8| vec![(made::patient(1), vec![number; 4])];
        let mut blocks: Vec<_> = (1..=3).map(|number| maker.commit(&text(number))).collect();
        blocks[2].entries[0].previous = link.map(|_| RecordPointer { height: 1, index: 0 });
        seal(&mut blocks[2]);
        let wrong = fault(&blocks).unwrap();
        assert_eq!(wrong.height, 3);
        let Fault::Link { index: 0, expected, .. } = wrong.fault else { panic!("{wrong}") };
        assert_eq!(expected, elsewhere);
    }
}

#[test]
fn two_records_of_a_patient_in_one_block_are_linked_in_order() {
    let mut maker = made::Maker::default();
    let one = || (made::patient(1), b"text".to_vec());
    let mut block = maker.commit(&[one(), one()]);
    assert_eq!(fault(std::slice::from_ref(&block)), None);
    block.entries[1].previous = None;
    seal(&mut block);
    let wrong = fault(&[block]).unwrap();
    assert!(matches!(wrong.fault, Fault::Link { index: 1, .. }), "{wrong}");
}

#[test]
fn entries_that_leave_out_or_share_bytes_are_found() {
    let change = |block: &mut LiteBlock| {
        block.entries[0].text = Range { offset: 1, length: 2 };
        seal(block);
    };
    assert_eq!(altered(change), Fault::Ranges { what: "body" });
    let change = |block: &mut LiteBlock| {
        block.entries[0].media = Range { offset: 0, length: u32::MAX };
        seal(block);
    };
    assert_eq!(altered(change), Fault::Ranges { what: "segments" });
    let change = |block: &mut LiteBlock| {
        block.entries.pop();
        seal(block);
    };
    assert!(matches!(altered(change), Fault::Entries { .. }));
}

#[test]
fn a_block_that_too_few_hospitals_approved_is_found() {
    let too_few = |block: &mut LiteBlock| {
        block.ballot.approvals.pop();
    };
    let twice = |block: &mut LiteBlock| {
        block.ballot.approvals[1] = block.ballot.approvals[0];
    };
    let stranger = |block: &mut LiteBlock| {
        block.ballot.approvals[1] = Approval { hospital: HospitalId(9), block: 7 };
    };
    let undecided = |block: &mut LiteBlock| block.ballot.outcome = None;
    let rejected = |block: &mut LiteBlock| {
        block.ballot.outcome = Some(BallotOutcome::Rejected);
    };
    let changes: [&dyn Fn(&mut LiteBlock); 5] =
        [&too_few, &twice, &stranger, &undecided, &rejected];
    for change in changes {
        let fault = altered(change);
        assert!(matches!(fault, Fault::Ballot { .. }), "{fault}");
    }
    let other = altered(|block| block.ballot.subject = Hash::repeat_byte(1));
    assert_eq!(other, Fault::Subject);
}

#[test]
fn a_wrong_block_changes_nothing_and_the_right_one_still_follows() {
    let blocks = made::chain(3);
    let mut tip = Tip::default();
    tip.advance(&blocks[0]).unwrap();
    let before = tip.clone();
    let mut wrong = blocks[1].clone();
    wrong.header.records += 1;
    tip.advance(&wrong).unwrap_err();
    assert_eq!(tip, before);
    tip.advance(&blocks[1]).unwrap();
}

#[test]
fn a_resumed_chain_needs_the_newest_records_of_its_patients() {
    let blocks = made::chain(60);
    let (done, next) = blocks.split_at(59);
    let last = &done[58];
    let mut tip = Tip::after(&last.header, last.hashes);
    let patient = next[0].entries[0].patient;
    assert!(!tip.knows(&patient));
    for entry in &next[0].entries {
        tip.learn(entry.patient, entry.previous.filter(|pointer| pointer.height < 60));
    }
    tip.advance(&next[0]).unwrap();
    assert!(tip.knows(&patient) && tip.height() == 60);
}
