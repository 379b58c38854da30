//! What the chain would refuse is refused before it is sent.

use epione_primitives::{
    HospitalId,
    limits::DAY_MILLIS,
    sharing::{KindSet, RecordedPeriod, Term},
};

use super::*;

const NOW: Moment = 1_000 * DAY_MILLIS;

fn consent(purposes: &[Purpose], until: Moment) -> Consent {
    Consent {
        audience: vec![Term::Hospital(HospitalId(1))].try_into().unwrap(),
        purposes: purposes.to_vec().try_into().unwrap(),
        kinds: KindSet(0),
        recorded: RecordedPeriod::default(),
        until,
        standing: false,
    }
}

#[test]
fn a_consent_ends_in_the_future_and_within_366_days() {
    let ends = |until| check(&consent(&[Purpose::Research], until), NOW);
    for until in [NOW + 1, NOW + 366 * DAY_MILLIS] {
        assert_eq!(ends(until), Ok(()));
    }
    for until in [0, NOW, NOW + 366 * DAY_MILLIS + 1, Moment::MAX] {
        assert_eq!(ends(until), Err(ConsentError::WrongEnd));
    }
}

#[test]
fn a_consent_has_purposes_each_once() {
    let (research, audit) = (Purpose::Research, Purpose::Audit);
    let check = |purposes: &[Purpose]| check(&consent(purposes, NOW + 1), NOW);
    assert_eq!(check(&[research, audit]), Ok(()));
    assert_eq!(check(&[]), Err(ConsentError::NoPurpose));
    let twice = check(&[research, audit, research]).unwrap_err();
    assert_eq!(twice.to_string(), "the purpose research is named twice");
}

#[test]
fn a_consent_for_emergencies_stands_and_has_no_other_purpose() {
    let (research, emergency) = (Purpose::Research, Purpose::Emergency);
    let check = |purposes: &[Purpose], standing| {
        check(&Consent { standing, ..consent(purposes, NOW + 1) }, NOW)
    };
    assert_eq!(check(&[emergency], true), Ok(()));
    for (purposes, standing) in [
        (&[emergency][..], false),
        (&[research, emergency], false),
        (&[research, emergency], true),
        (&[emergency, research], true),
    ] {
        assert_eq!(check(purposes, standing), Err(ConsentError::Emergency), "{purposes:?}");
    }
}

#[test]
fn a_consent_for_a_malformed_audience_is_refused() {
    let terms = vec![Term::AtLeast { met: 1, of: 1 }];
    let consent =
        Consent { audience: terms.try_into().unwrap(), ..consent(&[Purpose::Research], NOW + 1) };
    let refused = check(&consent, NOW).unwrap_err();
    assert_eq!(refused, ConsentError::Audience(InvalidAudience::Malformed));
    assert!(refused.to_string().contains("not a formula"), "{refused}");
}
