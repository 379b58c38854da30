use epione_primitives::{HospitalId, hospital::HospitalStatus};
use frame_support::assert_ok;
use sp_runtime::Perbill;
use sp_staking::{
    SessionIndex,
    offence::{Kind, Offence, OffenceError, ReportOffence},
};

use crate::{Event, mock::*};

struct Equivocation {
    round: u64,
    offenders: Vec<HospitalId>,
}

impl Offence<(HospitalId, ())> for Equivocation {
    const ID: Kind = *b"test:equivocatio";
    type Slot = u64;

    fn offenders(&self) -> Vec<(HospitalId, ())> {
        self.offenders.iter().map(|hospital| (*hospital, ())).collect()
    }

    fn session_index(&self) -> SessionIndex {
        0
    }

    fn validator_set_count(&self) -> u32 {
        3
    }

    fn slot(&self) -> u64 {
        self.round
    }

    fn slash_fraction(&self, _: u32) -> Perbill {
        Perbill::one()
    }
}

fn report(round: u64, offenders: &[u16]) -> Result<(), OffenceError> {
    let offenders = offenders.iter().copied().map(HospitalId).collect();
    Offences::report_offence(vec![], Equivocation { round, offenders })
}

fn own_events() -> Vec<Event<Test>> {
    System::read_events_for_pallet::<Event<Test>>()
}

#[test]
fn an_equivocating_hospital_is_suspended_and_stops_validating() {
    chain(4, || {
        assert_ok!(report(1, &[2]));

        assert_eq!(own_events(), vec![Event::Suspended { hospital: HospitalId(2) }]);
        assert_eq!(entry(2).status, HospitalStatus::Suspended);
        assert!(!council_members().contains(&governance(2)));
        next_session();
        next_session();
        assert_eq!(validators(), vec![0, 1, 3]);
    });
}

#[test]
fn the_only_active_hospital_stays_active_despite_its_offence() {
    chain(2, || {
        assert_ok!(report(1, &[0, 1]));

        let mut events = own_events();
        events.sort_by_key(|event| matches!(event, Event::OffenderKept { .. }));
        assert!(matches!(
            events[..],
            [Event::Suspended { hospital: suspended }, Event::OffenderKept { hospital: kept }]
                if suspended != kept
        ));
    });
}

#[test]
fn a_suspended_or_unknown_offender_changes_nothing() {
    chain(3, || {
        assert_ok!(Hospitals::suspend(council(), HospitalId(2)));
        System::reset_events();
        assert_ok!(report(1, &[2, 9]));
        assert_eq!(own_events(), vec![]);
    });
}

#[test]
fn an_offence_is_punished_once() {
    chain(3, || {
        assert_ok!(report(1, &[2]));
        assert_ok!(Hospitals::reinstate(council(), HospitalId(2)));
        assert_eq!(report(1, &[2]), Err(OffenceError::DuplicateReport));
        assert_eq!(entry(2).status, HospitalStatus::Active);
    });
}
