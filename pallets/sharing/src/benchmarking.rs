//! Measures every call at its largest: each record is the last of another one of the largest lite blocks, and has
//! sections in every slot.

use alloc::{vec, vec::Vec};
use epione_primitives::{
    AccountId, HospitalId, RecordPointer, UserId, Word,
    access::Purpose,
    credential::AttributeId,
    limits::{
        MAX_AUDIENCE_LEAVES, MAX_AUDIENCE_TERMS, MAX_PLACED_RECORDS, MAX_SHARING_MILLIS, MAX_SLOTS,
    },
    ports::{Credentials as _, Hospitals as _, Records as _, Users as _},
    profile::Role,
    release::{ReleasedRecord, SectionSet},
    sharing::{
        Audience, Consent, ConsentVersion, KindSet, Placement, Placements, RecordedPeriod, SlotId,
        Term,
    },
};
use frame_benchmarking::{account, v2::*};
use frame_support::{BoundedVec, traits::Time as _};
use frame_system::RawOrigin;

use crate::{
    Call, Config, Consents, EarlierConsents, Head, Pallet, Placed, PlacedIn, PlacedRecords,
};

const PATIENT: UserId = UserId([1; 32]);
const REQUESTER: UserId = UserId([2; 32]);
const LAST: SlotId = SlotId(MAX_SLOTS - 1);
/// The sections that are in every slot before a call.
const BEFORE: SectionSet = SectionSet(0b10);
const NAMED: SectionSet = SectionSet(0b01);

struct World {
    hospital: HospitalId,
    agent: AccountId,
    patient: AccountId,
}

fn set_up<T: Config>() -> World {
    let (agent, patient): (AccountId, AccountId) =
        (account("agent", 0, 0), account("patient", 0, 0));
    let hospital = T::Hospitals::set_up(account("governance", 0, 0), agent.clone());
    T::Users::set_up(hospital, PATIENT, Role::Patient, patient.clone());
    World { hospital, agent, patient }
}

/// Commits records of the patient, each in another lite block, with sections in every slot.
fn records<T: Config>(hospital: HospitalId, count: u32, sections: SectionSet) -> PlacedRecords {
    let record = |height| {
        let pointer = T::Records::set_up(hospital, PATIENT, height);
        let slots = || (0..MAX_SLOTS).map(SlotId);
        let placed = slots().map(|slot| Placement { slot, sections: BEFORE }).collect();
        Placed::<T>::insert(pointer, Placements::truncate_from(placed));
        for slot in slots() {
            PlacedIn::<T>::insert((PATIENT, slot, pointer), BEFORE);
        }
        ReleasedRecord { pointer, sections }
    };
    BoundedVec::truncate_from((1..=count).map(record).collect())
}

/// As many leaves as possible, each of which reads two values, and as many thresholds. It includes the requester.
fn largest_audience(slot: SlotId, requester: UserId) -> Audience {
    let leaves = MAX_AUDIENCE_LEAVES as u8;
    let leaf = |number: u8| Term::Credential {
        attribute: AttributeId(u16::from(slot.0) * u16::from(leaves) + u16::from(number)),
        issuer: HospitalId(number.into()),
    };
    let credentials =
        (1..leaves).flat_map(|number| [leaf(number), Term::AtLeast { met: 1, of: 1 }]);
    let terms: Vec<_> =
        credentials.chain([Term::User(requester), Term::AtLeast { met: 1, of: leaves }]).collect();
    assert_eq!(terms.len(), MAX_AUDIENCE_TERMS as usize);
    BoundedVec::truncate_from(terms)
}

/// For emergencies, or for every other purpose.
fn largest_consent<T: Config>(slot: SlotId, requester: UserId, emergency: bool) -> Consent {
    let audience = largest_audience(slot, requester);
    for term in &audience {
        if let Term::Credential { attribute, issuer } = *term {
            T::Credentials::set_up(requester, attribute, issuer);
        }
    }
    let is_for = |purpose: &&Purpose| (**purpose == Purpose::Emergency) == emergency;
    let purposes = Purpose::ALL.iter().filter(is_for).copied().collect();
    Consent {
        audience,
        purposes: BoundedVec::truncate_from(purposes),
        kinds: KindSet(u32::MAX),
        recorded: RecordedPeriod { from: Some(0), to: Some(u64::MAX) },
        until: T::Time::now().saturating_add(MAX_SHARING_MILLIS),
        standing: true,
    }
}

/// Gives each of the patient's slots the largest consent, which admits the requester.
pub(crate) fn give_largest<T: Config>(patient: UserId, requester: UserId, emergency: bool) {
    for slot in (0..MAX_SLOTS).map(SlotId) {
        let consent = largest_consent::<T>(slot, requester, emergency);
        let since = T::Time::now();
        let given = ConsentVersion { version: 1, consent, since, block: 0, ended: None };
        Consents::<T>::insert(patient, slot, given);
    }
}

/// The placement of sections in a patient's last slot.
pub(crate) fn last_placement(sections: SectionSet) -> (SlotId, Placements) {
    (LAST, BoundedVec::truncate_from(vec![Placement { slot: LAST, sections }]))
}

fn placed<T: Config>(pointer: RecordPointer) -> SectionSet {
    PlacedIn::<T>::get((PATIENT, LAST, pointer))
}

#[benchmarks]
mod benchmarks {
    use super::*;

    /// A new version, while the former one is in force.
    #[benchmark]
    fn give() {
        let World { patient, .. } = set_up::<T>();
        give_largest::<T>(PATIENT, REQUESTER, false);
        let consent = largest_consent::<T>(LAST, REQUESTER, false);

        #[extrinsic_call]
        _(RawOrigin::Signed(patient), LAST, consent, 0);

        assert_eq!(Consents::<T>::get(PATIENT, LAST).map(|given| given.version), Some(2));
        assert!(EarlierConsents::<T>::contains_key((PATIENT, LAST, 1_u32)));
    }

    #[benchmark]
    fn withdraw() {
        let World { patient, .. } = set_up::<T>();
        give_largest::<T>(PATIENT, REQUESTER, false);

        #[extrinsic_call]
        _(RawOrigin::Signed(patient), LAST);

        assert!(!Pallet::<T>::can_withdraw(PATIENT, LAST));
    }

    #[benchmark]
    fn place(r: Linear<1, MAX_PLACED_RECORDS>) {
        let World { hospital, patient, .. } = set_up::<T>();
        let records = records::<T>(hospital, r, NAMED);
        let pointers: Vec<_> = records.iter().map(|record| record.pointer).collect();
        let (before, _) = Head::<T>::get();

        #[extrinsic_call]
        _(RawOrigin::Signed(patient), LAST, records);

        assert!(pointers.into_iter().all(|at| placed::<T>(at) == BEFORE.union(NAMED)));
        assert_eq!(Head::<T>::get().0, before + u64::from(r));
    }

    #[benchmark]
    fn remove(r: Linear<1, MAX_PLACED_RECORDS>) {
        let World { hospital, patient, .. } = set_up::<T>();
        let records = records::<T>(hospital, r, SectionSet::ALL);
        let pointers: Vec<_> = records.iter().map(|record| record.pointer).collect();

        #[extrinsic_call]
        _(RawOrigin::Signed(patient), LAST, records);

        assert!(pointers.into_iter().all(|at| placed::<T>(at).is_empty()));
    }

    #[benchmark]
    fn place_by_kind(r: Linear<1, MAX_PLACED_RECORDS>) {
        let World { hospital, agent, .. } = set_up::<T>();
        let records = records::<T>(hospital, r, NAMED);
        let pointers: Vec<_> = records.iter().map(|record| record.pointer).collect();
        give_largest::<T>(PATIENT, REQUESTER, false);
        let committed = pointers.iter().filter_map(|at| T::Records::committed_at(*at)).min();
        // The records are committed now, and the consent is older than they are.
        let since = committed.map_or(0, |first| first.saturating_sub(1));
        Consents::<T>::mutate(PATIENT, LAST, |given| {
            given.iter_mut().for_each(|given| given.since = since);
        });

        #[extrinsic_call]
        _(RawOrigin::Signed(agent), PATIENT, LAST, 1, records);

        assert!(pointers.into_iter().all(|at| placed::<T>(at) == BEFORE.union(NAMED)));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
