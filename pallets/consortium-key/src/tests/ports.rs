//! What other pallets learn about the key.

use epione_primitives::{
    HospitalId,
    consortium::{EpochId, KeyId},
    ports::ConsortiumKey as _,
};
use frame_support::assert_ok;

use crate::{Call, mock::*};

type Key = crate::Pallet<Test>;

/// Which of the first hospitals are members.
fn members_of(count: u16) -> Vec<bool> {
    (0..count).map(|hospital| Key::is_member(HospitalId(hospital))).collect()
}

#[test]
fn members_are_the_hospitals_with_a_share_of_the_current_epoch() {
    run(|| {
        assert_eq!(Key::current(), None);
        assert_eq!(members_of(5), [false; 5]);
        let mut members = Members::default();
        members.hold(0);
        assert_eq!(Key::current(), Some((KeyId(0), EpochId(0))));
        assert_eq!(members_of(5), [true, true, true, true, false]);
        // Who is not active stays a member until the next epoch.
        set_active(HospitalId(3), false);
        assert!(Key::is_member(HospitalId(3)));
        members.hold(0);
        assert_eq!(Key::current(), Some((KeyId(0), EpochId(1))));
        assert_eq!(members_of(5), [true, true, true, false, false]);
    });
}

#[test]
fn a_new_key_has_the_next_number() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        assert_ok!(dispatch(Call::renew {}, RuntimeOrigin::root()));
        assert_eq!(Key::current(), Some((KeyId(0), EpochId(0))), "until the ceremony ends");
        members.hold(0);
        assert_eq!(Key::current(), Some((KeyId(1), EpochId(1))));
    });
}
