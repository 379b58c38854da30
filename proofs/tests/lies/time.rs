//! Old states that a node presents as new.

use codec::Encode;
use epione_primitives::{Hash, Moment};
use epione_proofs::{Authorities, FinalizedHead, TimeError, Tolerance};

use crate::chain::{State, header, justified, list};

const NOW: Moment = 1_800_000_000_000;
const TOLERANCE: Tolerance = Tolerance { behind: 60_000, ahead: 30_000 };

/// A final block with this time, and its state.
fn head_of(time: Moment) -> (FinalizedHead, State) {
    let state = State::new(&[(FinalizedHead::time_key(), time.encode())]);
    let header = header(7, Hash::zero(), state.root);
    let authorities = Authorities::restore(0, 0, list(0..4)).unwrap();
    let justification = justified(0, 0..4, &header);
    (FinalizedHead::verify(&authorities, header, &justification).unwrap(), state)
}

fn check(time: Moment) -> Result<Moment, TimeError> {
    let (head, state) = head_of(time);
    let proven = head.state(state.proof(&[FinalizedHead::time_key()])).unwrap();
    head.check_time(&proven, NOW, TOLERANCE)
}

#[test]
fn a_head_within_the_tolerance_is_accepted() {
    for time in [NOW - 60_000, NOW, NOW + 30_000] {
        assert_eq!(check(time), Ok(time));
    }
}

#[test]
fn a_head_from_before_a_revocation_is_refused_as_old() {
    assert_eq!(check(NOW - 480_000), Err(TimeError::Behind { millis: 480_000 }));
}

#[test]
fn a_head_from_the_future_is_refused() {
    assert_eq!(check(NOW + 30_001), Err(TimeError::Ahead { millis: 30_001 }));
}

#[test]
fn a_head_that_was_new_earlier_is_refused_when_it_got_old() {
    let time = check(NOW).unwrap();
    assert_eq!(TOLERANCE.check(time, NOW + 60_000), Ok(()));
    assert_eq!(TOLERANCE.check(time, NOW + 60_001), Err(TimeError::Behind { millis: 60_001 }));
}

#[test]
fn the_time_of_another_block_is_refused() {
    let (old, old_state) = head_of(NOW - 480_000);
    let (new, new_state) = head_of(NOW);
    let proven = new.state(new_state.proof(&[FinalizedHead::time_key()])).unwrap();
    assert_eq!(
        old.check_time(&proven, NOW, TOLERANCE),
        Err(TimeError::OtherState { expected: old_state.root, found: new_state.root })
    );
}

#[test]
fn a_state_without_time_is_refused() {
    let state = State::new(&[(Authorities::key(), list(0..4).encode())]);
    let header = header(7, Hash::zero(), state.root);
    let authorities = Authorities::restore(0, 0, list(0..4)).unwrap();
    let justification = justified(0, 0..4, &header);
    let head = FinalizedHead::verify(&authorities, header, &justification).unwrap();
    let proven = head.state(state.proof(&[FinalizedHead::time_key()])).unwrap();
    assert_eq!(head.check_time(&proven, NOW, TOLERANCE), Err(TimeError::NoTime));
}
