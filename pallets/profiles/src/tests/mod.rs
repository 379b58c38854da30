mod directory;
mod end_registration;
mod hostile_recovery;
mod in_force;
mod invariants;
mod recovery;
mod register;
mod reinstate;
mod rotate_keys;
mod suspend;
mod update;

use epione_primitives::HospitalId;
use frame_support::{assert_noop, dispatch::DispatchResult};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, mock::*};

/// Checks that only agents of active hospitals can make a call that otherwise succeeds.
fn only_agents(call: impl Fn(RuntimeOrigin) -> DispatchResult) {
    assert_noop!(call(RuntimeOrigin::root()), BadOrigin);
    assert_noop!(call(RuntimeOrigin::none()), BadOrigin);
    let governance = epione_mocks::governance_account(A.0);
    for signer in [governance, account(1), account(99)] {
        assert_noop!(call(RuntimeOrigin::signed(signer)), Error::<Test>::NotAgent);
    }
    Hospitals::suspend(RuntimeOrigin::root(), A).unwrap();
    assert_noop!(call(by(A)), Error::<Test>::NotAgent);
    Hospitals::reinstate(RuntimeOrigin::root(), A).unwrap();
    assert_eq!(call(by(A)), Ok(()));
}

/// Checks that a hospital at which Alice was never registered cannot make a call about her.
fn only_where_registered(call: impl Fn(RuntimeOrigin) -> DispatchResult) {
    assert_noop!(call(by(HospitalId(2))), Error::<Test>::NotRegistered);
}
