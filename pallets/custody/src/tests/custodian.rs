//! Which hospital answers for the records of a removed one.

use epione_mocks::{remove_hospital, set_active};
use epione_primitives::{limits::CUSTODIAN_BLOCKS, ports::Custodians as _};
use frame_support::assert_ok;

use crate::mock::*;

#[test]
fn a_removed_hospital_has_a_custodian_from_the_end_of_the_delay_to_the_dismissal() {
    run(|| {
        assert_eq!(Custody::custodian_of(DEPARTED), None);
        remove_hospital(DEPARTED);
        assert_eq!(Custody::custodian_of(DEPARTED), None);
        assert_ok!(appoint(HEIR));
        pass_blocks(CUSTODIAN_BLOCKS - 1);
        assert_eq!(Custody::custodian_of(DEPARTED), None);
        pass_blocks(1);
        assert_eq!(Custody::custodian_of(DEPARTED), Some(HEIR));
        assert_ok!(dismiss());
        assert_eq!(Custody::custodian_of(DEPARTED), None);
    });
}

#[test]
fn another_custodian_waits_for_the_delay_and_the_first_answers_no_more() {
    run(|| {
        inherit();
        assert_ok!(appoint(THIRD));
        assert_eq!(Custody::custodian_of(DEPARTED), None);
        pass_blocks(CUSTODIAN_BLOCKS);
        assert_eq!(Custody::custodian_of(DEPARTED), Some(THIRD));
    });
}

#[test]
fn a_custodian_that_is_not_active_answers_for_nobody() {
    run(|| {
        inherit();
        set_active(HEIR, false);
        assert_eq!(Custody::custodian_of(DEPARTED), None);
        set_active(HEIR, true);
        assert_eq!(Custody::custodian_of(DEPARTED), Some(HEIR));
        remove_hospital(HEIR);
        assert_eq!(Custody::custodian_of(DEPARTED), None);
    });
}

#[test]
fn a_hospital_answers_for_its_own_records_and_for_those_of_which_it_is_the_custodian() {
    run(|| {
        inherit();
        for (hospital, announcer, answers) in [
            (HEIR, HEIR, true),
            (HEIR, DEPARTED, true),
            (HEIR, THIRD, false),
            (THIRD, DEPARTED, false),
            (DEPARTED, HEIR, false),
        ] {
            let found = Custody::answers_for(hospital, announcer);
            assert_eq!(found, answers, "{hospital} for {announcer}");
        }
    });
}
