use epione_primitives::{
    AnnouncementId, approval::BallotOutcome, block::Stage, limits::MAX_ENTRIES,
    ports::OnHospitalInactive,
};
use frame_support::{assert_noop, assert_ok, dispatch::GetDispatchInfo as _};
use frame_system::RawOrigin;
use sp_runtime::DispatchError::BadOrigin;

use super::{hash, stage};
use crate::{
    AnnouncementOf, AnnouncementWith, Call, Error, Event, Pending, PendingEntries, WeightInfo,
    mock::*,
};

#[test]
fn the_announcer_withdraws_while_the_ballot_is_open() {
    run(|| {
        let visits = visits(1, &[PATIENT]);
        assert_ok!(announce(agent(HOME), visits.clone()));
        assert_ok!(withdraw(agent(HOME), 0));

        let id = AnnouncementId(0);
        System::assert_last_event(Event::Withdrawn { id }.into());
        assert_eq!(stage(0), Stage::Withdrawn);
        assert!(!PendingEntries::<Test>::contains_key(id));
        assert!(!Pending::<Test>::contains_key(HOME));
        assert_eq!(AnnouncementOf::<Test>::get(HOME, hash(&visits.body)), None);
        assert_eq!(AnnouncementWith::<Test>::get(HOME, record(1, 0)), None);
        assert_eq!(OpenBallots::get(), []);
    });
}

#[test]
fn a_withdrawal_pays_for_the_records_that_it_discards() {
    run(|| {
        let call = RuntimeCall::from(Call::withdraw { id: AnnouncementId(0) });
        let declared = call.get_dispatch_info().call_weight;
        assert_eq!(declared, <() as WeightInfo>::withdraw(MAX_ENTRIES));
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT, OTHER])));
        let spent = withdraw(agent(HOME), 0).unwrap().actual_weight;
        assert_eq!(spent, Some(<() as WeightInfo>::withdraw(2)));
    });
}

#[test]
fn a_suspended_hospital_leaves_nothing_open() {
    run(|| {
        for byte in 1..3 {
            assert_ok!(announce(agent(HOME), visits(byte, &[PATIENT])));
        }
        LiteBlocks::on_hospital_inactive(AWAY);
        assert_eq!((stage(0), stage(1)), (Stage::Announced, Stage::Announced));

        LiteBlocks::on_hospital_inactive(HOME);
        assert_eq!((stage(0), stage(1)), (Stage::Withdrawn, Stage::Withdrawn));
        assert!(!Pending::<Test>::contains_key(HOME));
        assert_eq!(OpenBallots::get(), []);
        System::assert_last_event(Event::Withdrawn { id: AnnouncementId(1) }.into());
    });
}

#[test]
fn a_withdrawn_body_can_be_announced_again() {
    run(|| {
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        assert_ok!(withdraw(agent(HOME), 0));
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        assert_eq!((stage(0), stage(1)), (Stage::Withdrawn, Stage::Announced));
    });
}

#[test]
fn unsigned_and_root_origins_are_refused() {
    run(|| {
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        for origin in [RawOrigin::None, RawOrigin::Root] {
            assert_noop!(withdraw(origin.into(), 0).map_err(|failed| failed.error), BadOrigin);
        }
    });
}

#[test]
fn only_the_announcers_agent_withdraws() {
    run(|| {
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        let nobody = RawOrigin::Signed([77; 32].into()).into();
        let refused = [(nobody, Error::<Test>::NotAgent), (agent(AWAY), Error::NotAnnouncer)];
        for (origin, error) in refused {
            assert_noop!(withdraw(origin, 0).map_err(|failed| failed.error), error);
        }
    });
}

#[test]
fn an_unknown_announcement_cannot_be_withdrawn() {
    run(|| {
        assert_noop!(
            withdraw(agent(HOME), 0).map_err(|failed| failed.error),
            Error::<Test>::UnknownAnnouncement
        );
    });
}

#[test]
fn an_announcement_with_a_closed_ballot_cannot_be_withdrawn() {
    let outcomes = [BallotOutcome::Approved, BallotOutcome::Rejected, BallotOutcome::Expired];
    for outcome in outcomes {
        run(|| {
            assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
            close(AnnouncementId(0), outcome);
            assert_noop!(
                withdraw(agent(HOME), 0).map_err(|failed| failed.error),
                Error::<Test>::AlreadyClosed
            );
        });
    }
    run(|| {
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        assert_ok!(withdraw(agent(HOME), 0));
        assert_noop!(
            withdraw(agent(HOME), 0).map_err(|failed| failed.error),
            Error::<Test>::AlreadyClosed
        );
    });
}

#[test]
fn a_ballot_that_cannot_be_withdrawn_leaves_the_announcement_open() {
    run(|| {
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        OpenBallots::set(Vec::new());
        assert_noop!(withdraw(agent(HOME), 0).map_err(|failed| failed.error), BALLOT_CLOSED);
        assert_eq!(stage(0), Stage::Announced);
    });
}
