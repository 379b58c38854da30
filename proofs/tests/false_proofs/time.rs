//! Old states that a node presents as new.

use epione_primitives::Moment;
use epione_proofs::{TimeError, Tolerance};

const NOW: Moment = 1_800_000_000_000;
const TOLERANCE: Tolerance = Tolerance { behind: 60_000, ahead: 30_000 };

fn check(time: Moment) -> Result<(), TimeError> {
    TOLERANCE.check(time, NOW)
}

#[test]
fn a_head_within_the_tolerance_is_accepted() {
    for time in [NOW - 60_000, NOW, NOW + 30_000] {
        assert_eq!(check(time), Ok(()));
    }
}

#[test]
fn a_head_from_before_a_revocation_is_refused_as_old() {
    assert_eq!(check(NOW - 480_000), Err(TimeError::Behind { millis: 480_000 }));
    assert_eq!(check(0), Err(TimeError::Behind { millis: NOW }));
}

#[test]
fn a_head_from_the_future_is_refused() {
    assert_eq!(check(NOW + 30_001), Err(TimeError::Ahead { millis: 30_001 }));
}

#[test]
fn a_head_that_was_new_earlier_is_refused_when_it_got_old() {
    assert_eq!(TOLERANCE.check(NOW, NOW + 60_000), Ok(()));
    assert_eq!(TOLERANCE.check(NOW, NOW + 60_001), Err(TimeError::Behind { millis: 60_001 }));
}
