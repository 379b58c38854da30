//! Each file is about one call, or about what holds between calls.

mod accept;
mod ask;
mod invariants;
mod pending;
mod reading;
mod refuse;
mod represented;
mod transfer;
mod withdraw;

use epione_mocks::{agent_account, governance_account};
use epione_primitives::AccountId;
use frame_support::{
    assert_noop,
    dispatch::GetDispatchInfo as _,
    traits::{GetStorageVersion as _, StorageVersion},
};
use sp_runtime::DispatchError::BadOrigin;

use crate::{WeightInfo as _, mock::*};

/// Accounts of hospitals, and one that nobody has.
fn accounts_of_no_user() -> [AccountId; 3] {
    [agent_account(HOME.0), governance_account(HOME.0), AccountId::new([9; 32])]
}

#[test]
fn every_call_needs_a_signature() {
    run(|| {
        let id = ask();
        let calls = [
            question(),
            acceptance(id),
            crate::Call::refuse { query: id },
            crate::Call::withdraw { query: id },
            crate::Call::transfer { query: id },
        ];
        for call in calls {
            for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
                assert_noop!(dispatch(call.clone(), origin), BadOrigin);
            }
        }
        assert_eq!(Queries::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn each_call_pays_its_own_weight() {
    run(|| {
        let id = ask();
        let paid =
            |call: crate::Call<Test>| RuntimeCall::from(call).get_dispatch_info().call_weight;
        assert_eq!(paid(question()), <()>::ask(2));
        assert_eq!(paid(acceptance(id)), <()>::accept());
        assert_eq!(paid(crate::Call::refuse { query: id }), <()>::refuse());
        assert_eq!(paid(crate::Call::withdraw { query: id }), <()>::withdraw());
        assert_eq!(paid(crate::Call::transfer { query: id }), <()>::transfer());
    });
}
