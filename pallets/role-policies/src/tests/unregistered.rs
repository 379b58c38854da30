//! Requesters for whom no active hospital vouches any more: what others confirm about them, and what patients share
//! with them, counts no longer.

use epione_mocks::set_active;
use epione_primitives::credential::{AttributeId, Requirement};

use super::*;

const RESEARCH: AttributeId = AttributeId(1);

/// A policy by which researchers read whom [`AWAY`] confirms. It does not ask where they are registered.
fn confirmed() -> Policy {
    let required = Requirement { attribute: RESEARCH, issuers: list(&[AWAY]), at_least: 1 };
    Policy {
        conditions: list(&[Condition::RequesterHas(list(&[required]))]),
        ..policy("confirmed", &[Role::Researcher], allows(&[Action::ReadText]))
    }
}

/// A policy by which researchers read what patients share with them.
fn shared() -> Policy {
    Policy {
        conditions: list(&[Condition::SectionShared]),
        ..policy("shared", &[Role::Researcher], allows(&[Action::ReadText]))
    }
}

fn reads(class: SectionClass, at: Option<Moment>) -> bool {
    let request = AccessRequest { class, ..request(RESEARCHER, Action::ReadText) };
    RolePolicies::decide(request, at).is_allowed()
}

/// The researcher, who is registered at [`HOME`] only, reads as long as this registration counts, or another one.
fn reads_while_registered(class: SectionClass) {
    let now = || reads(class, None);
    assert!(now());
    set_active(HOME, false);
    assert!(!now(), "the only hospital is suspended");
    set_active(HOME, true);
    assert!(now());
    pass(10);
    end_registration(HOME, RESEARCHER);
    assert!(!now(), "the only registration has ended");
    assert!(reads(class, Some(START + 9)), "it was in force then");
    register(AWAY, RESEARCHER, START + 10);
    assert!(now(), "another hospital vouches for the researcher");
}

#[test]
fn a_requester_who_is_registered_at_no_active_hospital_reads_by_no_credential() {
    run(|| {
        set(&[confirmed()]);
        assert!(!reads(SectionClass::Private, None));
        add_credential(RESEARCHER, RESEARCH, AWAY, START, START + 100);
        reads_while_registered(SectionClass::Private);
    });
}

#[test]
fn a_requester_who_is_registered_at_no_active_hospital_reads_nothing_that_is_shared() {
    run(|| {
        set(&[shared()]);
        assert!(!reads(SectionClass::Private, None));
        reads_while_registered(SectionClass::Shared);
    });
}
