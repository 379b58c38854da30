//! Credentials in the composed runtime: who names attributes, and what a credential means to a decision.

use epione_primitives::{
    HospitalId, Moment, UserId,
    access::{AccessRequest, Action, Conclusion, Condition, Policy, Purpose, SectionClass},
    credential::{AttributeId, AttributeName, Requirement},
    hospital::Duty,
    limits::DAY_MILLIS,
    profile::Role,
};
use epione_runtime::{
    Credentials, Hospitals, Quotas, RolePolicies, Runtime, RuntimeCall, RuntimeOrigin, Timestamp,
    council_root, lanes::priority,
};
use frame_support::{BoundedVec, traits::Get};
use pallet_quotas::{Holder, Lane};

use crate::{
    caller::batch,
    chain::{
        A, B, PATIENT, apply, council, key, local, register, signed, user, user_seed, validate,
    },
    council::pass,
    sharing,
};

/// The first attribute of the preset.
const CARDIOLOGY: AttributeId = AttributeId(0);

fn list<Item, Bound: Get<u32>>(items: Vec<Item>) -> BoundedVec<Item, Bound> {
    BoundedVec::truncate_from(items)
}

fn dermatology() -> AttributeName {
    AttributeName::truncate_from(b"dermatology".to_vec())
}

fn issue(governance: &str, user: UserId) {
    let until: Moment = Timestamp::get() + DAY_MILLIS;
    let call = pallet_credentials::Call::<Runtime>::issue { user, attribute: CARDIOLOGY, until };
    apply(governance, call).unwrap().unwrap();
}

/// Lets doctors of any hospital read at hospital A if so many of these hospitals confirm that they are cardiologists.
fn require(issuers: &[HospitalId], at_least: u8) {
    let required = Requirement { attribute: CARDIOLOGY, issuers: list(issuers.to_vec()), at_least };
    let policy = Policy {
        name: list(b"cardiologist reads".to_vec()),
        summary: list(b"Confirmed cardiologists read.".to_vec()),
        hospitals: BoundedVec::default(),
        roles: list(vec![Role::Doctor]),
        conditions: list(vec![Condition::RequesterHas(list(vec![required]))]),
        conclusion: Conclusion::Allows(list(vec![Action::ReadText])),
        expires: None,
    };
    let set = pallet_role_policies::Call::<Runtime>::set_policies { policies: list(vec![policy]) };
    apply("Alice", set).unwrap().unwrap();
}

fn reads(requester: UserId, at: Option<Moment>) -> bool {
    let request = AccessRequest {
        requester,
        action: Action::ReadText,
        patient: *PATIENT,
        hospital: A,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        cosigned: false,
    };
    RolePolicies::decide(request, at).is_allowed()
}

#[test]
fn the_council_names_an_attribute() {
    local(|_| {
        let name = dermatology();
        let call = pallet_credentials::Call::<Runtime>::name_attribute { name };
        pass(council_root::Call::<Runtime>::dispatch { call: Box::new(call.into()) });
        let named = Credentials::attributes(AttributeId(6), 10);
        assert_eq!(named, [(AttributeId(6), dermatology())]);
    });
}

#[test]
fn a_majority_that_is_not_root_names_no_attribute() {
    local(|_| {
        let name = dermatology();
        pass(pallet_credentials::Call::<Runtime>::name_attribute { name });
        assert!(Credentials::attributes(AttributeId(6), 10).is_empty());
        let name = dermatology();
        let origin = RuntimeOrigin::from(pallet_collective::RawOrigin::Members(4, 4));
        assert!(Credentials::name_attribute(origin, name).is_err());
    });
}

#[test]
fn a_decision_counts_credentials_of_named_active_hospitals() {
    local(|_| {
        let doctor = user(30);
        register("Alice//agent", *PATIENT, Role::Patient);
        register("Dave//agent", doctor, Role::Doctor);
        require(&[A, B], 2);
        // The doctor's own hospital confirms the attribute: nobody named it.
        issue("Dave", doctor);
        assert!(!reads(doctor, None));
        issue("Alice", doctor);
        assert!(!reads(doctor, None));
        issue("Bob", doctor);
        assert!(reads(doctor, None));
        Hospitals::suspend(council(), B).unwrap();
        assert!(!reads(doctor, None));
    });
}

#[test]
fn a_revoked_credential_counted_before() {
    local(|chain| {
        let doctor = user(30);
        register("Alice//agent", *PATIENT, Role::Patient);
        register("Dave//agent", doctor, Role::Doctor);
        require(&[B], 1);
        issue("Bob", doctor);
        let issued = Timestamp::get();
        chain.next_block();
        let revoke =
            pallet_credentials::Call::<Runtime>::revoke { user: doctor, attribute: CARDIOLOGY };
        apply("Bob", revoke).unwrap().unwrap();
        assert!(!reads(doctor, None));
        assert!(reads(doctor, Some(issued)));
        chain.next_block();
        issue("Bob", doctor);
        assert!(reads(doctor, None));
        assert!(reads(doctor, Some(issued)));
    });
}

/// Quotas are what limits the number of credentials.
#[test]
fn issuing_uses_the_hospitals_quota_of_records() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let governance = Holder::Duty(A, Duty::Governance);
        let used = |holder: Holder, lane| Quotas::usage(&holder, lane).bytes;
        let holders = [governance, Holder::Hospital(A)];
        let before = holders.map(|holder| used(holder, Lane::Record));
        let decided = used(governance, Lane::Governance);
        issue("Alice", *PATIENT);
        let after = holders.map(|holder| used(holder, Lane::Record));
        assert!(after[0] > before[0] + 512 && after[1] > before[1] + 512, "{after:?}");
        assert_eq!(used(governance, Lane::Governance), decided);
    });
}

/// A hospital could otherwise make somebody one of a consent's audience before the patient withdraws it.
#[test]
fn issuing_does_not_overtake_the_end_of_a_consent_and_revoking_does() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        apply(&patient, sharing::give()).unwrap().unwrap();
        let of =
            |seed: &str, call: RuntimeCall| validate(signed(&key(seed), call)).unwrap().priority;
        let (user, attribute, until) = (*PATIENT, CARDIOLOGY, Timestamp::get() + DAY_MILLIS);
        let issue = pallet_credentials::Call::<Runtime>::issue { user, attribute, until };
        let revoke = pallet_credentials::Call::<Runtime>::revoke { user, attribute };
        let withdrawal = of(&patient, sharing::withdraw());
        assert_eq!(withdrawal, priority(Lane::Rotation));
        assert_eq!(of("Alice", issue.clone().into()), priority(Lane::Record));
        let hidden = batch(vec![revoke.clone().into(), issue.into()]);
        assert_eq!(of("Alice", hidden), priority(Lane::Record), "in a batch");
        assert_eq!(of("Alice", revoke.into()), priority(Lane::Governance));
        assert!(priority(Lane::Record) < withdrawal && withdrawal < priority(Lane::Governance));
    });
}
