//! Measures every call at its largest.

use alloc::{vec, vec::Vec};
use epione_primitives::{
    access::{Action, Condition, Policy, Purpose},
    limits::{MAX_CONDITIONS, MAX_NAME_BYTES, MAX_POLICIES, MAX_POLICY_LIST},
};
use frame_benchmarking::{account, v2::*};
use frame_system::RawOrigin;

use super::*;

const PATIENT: UserId = UserId([1; 32]);
const DOCTOR: UserId = UserId([2; 32]);
const EXPIRES: Moment = Moment::MAX;

/// A patient and a doctor registered at one hospital, with `past` closed relationships.
fn set_up<T: Config>(past: u32) -> HospitalId {
    let hospital = T::Hospitals::set_up(account("governance", 0, 0), account("agent", 0, 0));
    T::Users::set_up(hospital, PATIENT, Role::Patient, account("patient", 0, 0));
    T::Users::set_up(hospital, DOCTOR, Role::Doctor, account("doctor", 0, 0));
    let closed = Relationship {
        kind: RelationshipKind::Treating,
        hospital,
        since: 0,
        expires: Some(EXPIRES),
        closed: Some(0),
    };
    if past > 0 {
        let all = BoundedVec::truncate_from(vec![closed; past as usize]);
        Relationships::<T>::insert((PATIENT, DOCTOR, hospital), all);
    }
    hospital
}

fn largest_policies(count: u32) -> Policies {
    let purposes = BoundedVec::truncate_from(vec![Purpose::Treatment; MAX_POLICY_LIST as usize]);
    let policy = Policy {
        name: BoundedVec::truncate_from(vec![b'p'; MAX_NAME_BYTES as usize]),
        roles: BoundedVec::truncate_from(vec![Role::Doctor; MAX_POLICY_LIST as usize]),
        actions: BoundedVec::truncate_from(vec![Action::ReadText; MAX_POLICY_LIST as usize]),
        conditions: BoundedVec::truncate_from(vec![
            Condition::Purpose(purposes);
            MAX_CONDITIONS as usize
        ]),
        expires: Some(EXPIRES),
    };
    BoundedVec::truncate_from(vec![policy; count as usize])
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn relate() {
        let hospital = set_up::<T>(MAX_RELATIONSHIPS - 1);
        let patient: AccountId = account("patient", 0, 0);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(patient),
            PATIENT,
            DOCTOR,
            hospital,
            RelationshipKind::Treating,
            Some(EXPIRES),
        );

        assert_eq!(
            Relationships::<T>::get((PATIENT, DOCTOR, hospital)).len() as u32,
            MAX_RELATIONSHIPS
        );
    }

    #[benchmark]
    fn unrelate() -> Result<(), BenchmarkError> {
        let hospital = set_up::<T>(MAX_RELATIONSHIPS - 1);
        let patient: AccountId = account("patient", 0, 0);
        let origin = RawOrigin::Signed(patient);
        let kind = RelationshipKind::Treating;
        Pallet::<T>::relate(origin.clone().into(), PATIENT, DOCTOR, hospital, kind, None)?;

        #[extrinsic_call]
        _(origin, PATIENT, DOCTOR, hospital, kind);

        let open: Vec<_> = Relationships::<T>::get((PATIENT, DOCTOR, hospital))
            .into_iter()
            .filter(|relationship| relationship.closed.is_none())
            .collect();
        assert!(open.is_empty());
        Ok(())
    }

    #[benchmark]
    fn set_policies(p: Linear<1, MAX_POLICIES>) {
        let hospital = set_up::<T>(0);
        let governance: AccountId = account("governance", 0, 0);

        #[extrinsic_call]
        _(RawOrigin::Signed(governance), largest_policies(p));

        assert_eq!(LatestVersion::<T>::get(hospital), 1);
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
