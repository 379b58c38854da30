use epione_primitives::AccountId;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Budget, CurrentLimits, Error, Event, Exhausted, Limits, Share, mock::*};

#[test]
fn the_default_is_in_force_until_the_council_sets_limits() {
    run(|| {
        assert_eq!(CurrentLimits::<Test>::get(), DefaultLimits::get());
        let users = Share { account: Budget { ref_time: 50, bytes: 1_000 }, ..SHARE };
        let limits = Limits { users, ..same(SHARE) };
        assert_ok!(Quotas::set_limits(RuntimeOrigin::root(), limits));
        System::assert_last_event(Event::LimitsSet { limits }.into());
        assert_eq!(Quotas::check(&debit(1, A, 51, 1)), Err(Exhausted::Account));
        assert_eq!(Quotas::check(&debit(1, A, 50, 1)), Ok(()));
    });
}

#[test]
fn lower_limits_count_what_was_used_before() {
    run(|| {
        Quotas::debit(&debit(1, A, 50, 1));
        assert_ok!(Quotas::set_limits(RuntimeOrigin::root(), LeastLimits::get()));
        assert_eq!(Quotas::check(&debit(1, A, 1, 1)), Err(Exhausted::Account));
    });
}

#[test]
fn no_lane_can_be_starved() {
    run(|| {
        let enough = LeastLimits::get();
        assert_ok!(Quotas::set_limits(RuntimeOrigin::root(), enough));
        let none = Budget { ref_time: 0, bytes: 1_000 };
        let low = Budget { ref_time: 100, bytes: 99 };
        for starved in [
            Share { account: none, ..SHARE },
            Share { account: low, ..SHARE },
            Share { hospital: none, ..SHARE },
            Share { hospital: low, ..SHARE },
        ] {
            for limits in [
                Limits { users: starved, ..enough },
                Limits { emergencies: starved, ..enough },
                Limits { rotations: starved, ..enough },
                Limits { endings: starved, ..enough },
                Limits { records: starved, ..enough },
                Limits { votes: starved, ..enough },
                Limits { governance: starved, ..enough },
            ] {
                let set = Quotas::set_limits(RuntimeOrigin::root(), limits);
                assert_noop!(set, Error::<Test>::LimitTooLow);
            }
        }
    });
}

#[test]
fn only_root_sets_limits() {
    run(|| {
        let account = AccountId::new([1; 32]);
        for origin in [RuntimeOrigin::none(), RuntimeOrigin::signed(account)] {
            assert_noop!(Quotas::set_limits(origin, same(SHARE)), BadOrigin);
        }
    });
}
