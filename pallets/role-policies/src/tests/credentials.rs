//! Policies that require credentials: which hospitals confirm what about the requester.

use epione_mocks::set_active;
use epione_primitives::{
    HospitalId,
    credential::{AttributeId, Requirement},
};

use super::*;

const CARDIOLOGY: AttributeId = AttributeId(0);
const RESEARCH: AttributeId = AttributeId(1);

fn required(attribute: AttributeId, issuers: &[HospitalId], at_least: u8) -> Requirement {
    Requirement { attribute, issuers: list(issuers), at_least }
}

/// Sets a policy by which researchers with these credentials read. Returns its condition.
fn set_requiring(requirements: &[Requirement]) -> Condition {
    let condition = Condition::RequesterHas(list(requirements));
    set(&[Policy {
        conditions: list(core::slice::from_ref(&condition)),
        ..policy("confirmed", &[Role::Researcher], allows(&[Action::ReadText]))
    }]);
    condition
}

fn read() -> Decision {
    decide(RESEARCHER, Action::ReadText)
}

#[test]
fn a_credential_of_one_named_hospital_suffices_while_it_is_in_force() {
    run(|| {
        let condition = set_requiring(&[required(RESEARCH, &[HOME, AWAY], 1)]);
        let lacking = || denied(&[("confirmed", core::slice::from_ref(&condition))]);
        assert_eq!(read(), lacking());
        add_credential(RESEARCHER, RESEARCH, AWAY, START, START + 10);
        assert_eq!(read(), allowed_by(1, "confirmed"));
        pass(9);
        assert_eq!(read(), allowed_by(1, "confirmed"));
        pass(1);
        assert_eq!(read(), lacking());
        let before = RolePolicies::decide(request(RESEARCHER, Action::ReadText), Some(START + 9));
        assert_eq!(before, allowed_by(1, "confirmed"));
    });
}

#[test]
fn only_credentials_of_named_hospitals_about_this_attribute_and_user_count() {
    run(|| {
        set_requiring(&[required(RESEARCH, &[HOME], 1)]);
        add_credential(RESEARCHER, RESEARCH, AWAY, START, START + 10);
        add_credential(RESEARCHER, CARDIOLOGY, HOME, START, START + 10);
        add_credential(DOCTOR, RESEARCH, HOME, START, START + 10);
        assert!(!read().is_allowed());
    });
}

#[test]
fn several_hospitals_may_have_to_confirm_an_attribute() {
    run(|| {
        register(AWAY, RESEARCHER, START);
        set_requiring(&[required(RESEARCH, &[HOME, AWAY], 2)]);
        add_credential(RESEARCHER, RESEARCH, HOME, START, START + 10);
        assert!(!read().is_allowed());
        add_credential(RESEARCHER, RESEARCH, AWAY, START, START + 10);
        assert!(read().is_allowed());
        set_active(AWAY, false);
        assert!(!read().is_allowed(), "the credential of a suspended hospital counts");
    });
}

#[test]
fn all_required_credentials_are_needed() {
    run(|| {
        set_requiring(&[required(RESEARCH, &[HOME], 1), required(CARDIOLOGY, &[AWAY], 1)]);
        add_credential(RESEARCHER, RESEARCH, HOME, START, START + 10);
        assert!(!read().is_allowed());
        add_credential(RESEARCHER, CARDIOLOGY, AWAY, START, START + 10);
        assert!(read().is_allowed());
    });
}

#[test]
fn a_relationship_policy_can_require_a_credential() {
    run(|| {
        let condition = Condition::RequesterHas(list(&[required(CARDIOLOGY, &[AWAY], 1)]));
        let reads = policy("reads", &[Role::Doctor], allows(&[Action::ReadText]));
        set(&[
            Policy { conditions: list(&[related(&[Treating])]), ..reads },
            Policy {
                conditions: list(core::slice::from_ref(&condition)),
                ..policy("cardiologist treats", &[Role::Doctor], recognises(&[Treating]))
            },
        ]);
        relate(DOCTOR, Treating, None);
        assert_eq!(
            decide(DOCTOR, Action::ReadText),
            denied(&[("reads", &[related(&[Treating])]), ("cardiologist treats", &[condition])])
        );
        add_credential(DOCTOR, CARDIOLOGY, AWAY, START, START + 10);
        assert_eq!(decide(DOCTOR, Action::ReadText), allowed_by(1, "reads"));
    });
}
