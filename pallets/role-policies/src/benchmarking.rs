//! Measures every call at its largest, and decisions amid many policies and relationships.

use alloc::{format, vec, vec::Vec};
use epione_primitives::{
    Word,
    access::{Conclusion, Condition, Decision, Denial, Place, Policy, PolicyList},
    credential::{AttributeId, Requirement},
    limits::{
        MAX_NAME_BYTES, MAX_NAMED_CREDENTIALS, MAX_NAMED_HOSPITALS, MAX_POLICIES, MAX_POLICY_LIST,
        MAX_SUMMARY_BYTES,
    },
    ports::AccessPolicies,
};
use frame_benchmarking::{account, v2::*};
use frame_support::traits::Get;
use frame_system::RawOrigin;

use super::*;

const PATIENT: UserId = UserId([1; 32]);
/// Signs, or requests access.
const DOCTOR: UserId = UserId([2; 32]);
/// Is related to the patient.
const SPECIALIST: UserId = UserId([3; 32]);
/// Registered elsewhere.
const NURSE: UserId = UserId([4; 32]);
/// Later than everything.
const EXPIRES: Moment = Moment::MAX;

/// Policies in state while a decision is measured, and relationships likewise.
const CROWD: u32 = 10_000;
/// The asked hospital has half of the policies, in so many versions.
const VERSIONS: u32 = CROWD.div_ceil(2 * MAX_POLICIES);

/// Hospitals that policies name in addition to their own.
fn others(hospital: HospitalId) -> Vec<HospitalId> {
    (1..MAX_NAMED_HOSPITALS as u16).map(|step| HospitalId(hospital.0.wrapping_add(step))).collect()
}

fn list<Item, Bound: Get<u32>>(items: impl IntoIterator<Item = Item>) -> BoundedVec<Item, Bound> {
    BoundedVec::truncate_from(items.into_iter().collect())
}

/// A policy as large as can be, without its conditions. Different numbers make different names.
fn largest_policy(number: u32) -> Policy {
    Policy {
        name: list(format!("{number:0>width$}", width = MAX_NAME_BYTES as usize).into_bytes()),
        summary: list(vec![b's'; MAX_SUMMARY_BYTES as usize]),
        hospitals: BoundedVec::default(),
        roles: list(Role::ALL.iter().copied()),
        conditions: BoundedVec::default(),
        conclusion: Conclusion::Allows(list(Action::ALL.iter().copied())),
        expires: Some(EXPIRES),
    }
}

/// The hospital itself and some of the others, different ones for each number.
fn named(hospital: HospitalId, others: &[HospitalId], number: u32) -> PolicyList<HospitalId> {
    let others = others.iter().cycle().skip(2 * number as usize).copied();
    list(others.take(MAX_POLICY_LIST as usize - 1).chain([hospital]))
}

/// The credentials that every policy requires: as many as a set may name.
fn required(hospital: HospitalId, others: &[HospitalId]) -> Vec<Requirement> {
    let attributes = MAX_NAMED_CREDENTIALS.div_ceil(MAX_POLICY_LIST) as u16;
    let issuers = named(hospital, others, 0);
    (0..attributes)
        .map(|attribute| Requirement {
            attribute: AttributeId(attribute),
            issuers: issuers.clone(),
            at_least: 1,
        })
        .collect()
}

/// Conditions that hold for a doctor who is registered everywhere, and whom every hospital confirms.
fn holding(hospital: HospitalId, others: &[HospitalId], number: u32) -> [Condition; 4] {
    [
        Condition::RequesterRegistered(Place::OneOf(named(hospital, others, number))),
        Condition::PatientRegistered,
        Condition::Before(EXPIRES - 1),
        Condition::RequesterHas(list(required(hospital, others))),
    ]
}

/// An operation policy with as many conditions as it can have. Only the last one fails, for a doctor who is registered
/// everywhere and not related to the patient.
fn failing(hospital: HospitalId, others: &[HospitalId], number: u32) -> Policy {
    let purposes = Condition::Purpose(list(Purpose::ALL.iter().copied()));
    let related = Condition::Related(list(RelationshipKind::ALL.iter().copied()));
    let conditions = holding(hospital, others, number).into_iter().chain([purposes, related]);
    Policy {
        hospitals: named(hospital, others, number),
        conditions: list(conditions),
        ..largest_policy(number)
    }
}

/// A policy that recognises every kind of relationship.
fn recognising(hospital: HospitalId, others: &[HospitalId]) -> Policy {
    Policy {
        conditions: list(holding(hospital, others, 0)),
        conclusion: Conclusion::Recognises(list(RelationshipKind::ALL.iter().copied())),
        ..largest_policy(MAX_POLICIES)
    }
}

/// A policy that allows a doctor everything.
fn allowing() -> Policy {
    let purposes = Condition::Purpose(list(Purpose::ALL.iter().copied()));
    Policy {
        roles: list([Role::Doctor]),
        conditions: list([Condition::Before(EXPIRES - 1), purposes]),
        ..largest_policy(MAX_POLICIES + 1)
    }
}

/// Policies that need the last of them to recognise relationships.
fn largest_policies(hospital: HospitalId, others: &[HospitalId], count: u32) -> Policies {
    let failing = (1..count).map(|number| failing(hospital, others, number));
    list(failing.chain([recognising(hospital, others)]))
}

/// The largest set: its last policy allows a doctor everything, the others only professionals who are related to the
/// patient.
pub(crate) fn largest_set(hospital: HospitalId) -> Policies {
    let others = largest_policies(hospital, &others(hospital), MAX_POLICIES - 1);
    list(others.into_iter().chain([allowing()]))
}

/// Makes the largest set a hospital's newest one.
pub(crate) fn set_largest_policies<T: Config>(hospital: HospitalId, since: Moment) {
    let version = LatestVersion::<T>::get(hospital) + 1;
    let set = PolicySet { since, policies: largest_set(hospital) };
    PolicySets::<T>::insert(hospital, version, set);
    LatestVersion::<T>::insert(hospital, version);
}

fn relationship(
    hospital: HospitalId,
    kind: RelationshipKind,
    closed: Option<Moment>,
) -> Relationship {
    Relationship { kind, hospital, since: 0, expires: Some(EXPIRES), closed }
}

/// Relates a professional to the patient in every way. All relationships are closed, except perhaps the referral.
fn store<T: Config>(professional: UserId, hospital: HospitalId, referred: bool) {
    let closed = |kind| (!referred || kind != RelationshipKind::Referral).then_some(0);
    let all: RelationshipsOf =
        list(RelationshipKind::ALL.iter().map(|kind| relationship(hospital, *kind, closed(*kind))));
    Relationships::<T>::insert((PATIENT, professional, hospital), all);
}

/// A patient and two doctors at a hospital with the largest policies. The first doctor is
/// registered wherever the policies may ask. Both have been related to the patient in every way.
fn set_up<T: Config>() -> HospitalId {
    let hospital = T::Hospitals::set_up(account("governance", 0, 0), account("agent", 0, 0));
    <Pallet<T> as AccessPolicies>::set_up(hospital);
    T::Users::set_up(hospital, PATIENT, Role::Patient, account("patient", 0, 0));
    for place in others(hospital).into_iter().chain([hospital]) {
        T::Users::set_up(place, DOCTOR, Role::Doctor, account("doctor", 0, 0));
    }
    for Requirement { attribute, issuers, .. } in required(hospital, &others(hospital)) {
        for issuer in issuers {
            T::Credentials::set_up(DOCTOR, attribute, issuer);
        }
    }
    T::Users::set_up(hospital, SPECIALIST, Role::Doctor, account("specialist", 0, 0));
    store::<T>(DOCTOR, hospital, false);
    store::<T>(SPECIALIST, hospital, false);
    hospital
}

/// Half of [`CROWD`] policies at the hospital, a version in every millisecond, the others at other
/// hospitals; as many relationships, half of them of the patient.
fn crowd<T: Config>(hospital: HospitalId) {
    for version in 2..=VERSIONS {
        set_largest_policies::<T>(hospital, version.into());
        set_largest_policies::<T>(HospitalId(u16::MAX - version as u16), 0);
    }
    for number in 0..CROWD {
        let mut stranger = UserId([5; 32]);
        stranger.0[..4].copy_from_slice(&number.to_le_bytes());
        let (patient, place) = if number % 2 == 0 {
            (PATIENT, hospital)
        } else {
            (stranger, HospitalId(number as u16))
        };
        let past: RelationshipsOf =
            list([relationship(place, RelationshipKind::Referral, Some(0))]);
        Relationships::<T>::insert((patient, stranger, place), past);
    }
}

fn request(requester: UserId, hospital: HospitalId) -> AccessRequest {
    AccessRequest {
        requester,
        action: Action::ReadText,
        patient: PATIENT,
        hospital,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
        cosigned: false,
    }
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn relate() {
        let hospital = set_up::<T>();
        let doctor: AccountId = account("doctor", 0, 0);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(doctor),
            PATIENT,
            SPECIALIST,
            hospital,
            RelationshipKind::Referral,
            Some(EXPIRES),
        );

        let key = (PATIENT, SPECIALIST, hospital, RelationshipKind::Referral);
        assert_eq!(EarlierCount::<T>::get(key), 1);
    }

    #[benchmark]
    fn unrelate() {
        let hospital = set_up::<T>();
        let doctor: AccountId = account("doctor", 0, 0);
        store::<T>(SPECIALIST, hospital, true);

        #[extrinsic_call]
        _(RawOrigin::Signed(doctor), PATIENT, SPECIALIST, hospital, RelationshipKind::Referral);

        let closed = Relationships::<T>::get((PATIENT, SPECIALIST, hospital))
            .iter()
            .filter(|relationship| relationship.closed.is_some())
            .count();
        assert_eq!(closed as u32, MAX_RELATIONSHIPS);
    }

    #[benchmark]
    fn set_policies(p: Linear<1, MAX_POLICIES>) {
        let hospitals: Vec<_> = (0..MAX_NAMED_HOSPITALS)
            .map(|n| T::Hospitals::set_up(account("governance", n, 0), account("agent", n, 0)))
            .collect();
        let (hospital, others) = (hospitals[0], &hospitals[1..]);
        let governance: AccountId = account("governance", 0, 0);

        #[extrinsic_call]
        _(RawOrigin::Signed(governance), largest_policies(hospital, others, p));

        assert_eq!(LatestVersion::<T>::get(hospital), 1);
    }

    /// The last policy of the newest set allows.
    #[benchmark(extra)]
    fn decide() {
        let hospital = set_up::<T>();
        crowd::<T>(hospital);
        let decision;

        #[block]
        {
            decision = Pallet::<T>::decide(request(DOCTOR, hospital), Some(EXPIRES - 100));
        }

        assert!(matches!(decision, Decision::Allow { version: VERSIONS, .. }));
    }

    /// No policy of the newest set allows, and nearly every condition fails.
    #[benchmark(extra)]
    fn decide_denied() -> Result<(), BenchmarkError> {
        let hospital = set_up::<T>();
        T::Users::set_up(HospitalId(u16::MAX), NURSE, Role::Nurse, account("nurse", 0, 0));
        crowd::<T>(hospital);
        let decision;

        #[block]
        {
            decision = Pallet::<T>::decide(request(NURSE, hospital), Some(EXPIRES - 100));
        }

        let Decision::Deny(Denial::Failed(failed)) = decision else {
            return Err(BenchmarkError::Stop("a nurse without a relationship was not denied"));
        };
        // All but the one that recognises, and the one that binds doctors.
        assert_eq!(failed.len() as u32, MAX_POLICIES - 2);
        Ok(())
    }

    /// The last policy of a version in the middle allows, at a past moment.
    #[benchmark(extra)]
    fn decide_past() {
        let hospital = set_up::<T>();
        crowd::<T>(hospital);
        let past = VERSIONS / 2;
        let decision;

        #[block]
        {
            decision = Pallet::<T>::decide(request(DOCTOR, hospital), Some(past.into()));
        }

        assert!(matches!(decision, Decision::Allow { version, .. } if version == past));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
