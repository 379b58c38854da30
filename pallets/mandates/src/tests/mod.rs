//! Each file is about one kind of mandate, or about what holds between calls.

mod authorizing;
mod entrusting;
mod invariants;
mod representing;

use epione_mocks::{agent_account, governance_account};
use epione_primitives::AccountId;
use frame_support::{
    assert_noop,
    dispatch::GetDispatchInfo as _,
    traits::{GetStorageVersion as _, StorageVersion},
};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Call, WeightInfo as _, mock::*};

/// Accounts of hospitals, and one that nobody has.
fn accounts_of_no_user() -> [AccountId; 3] {
    [agent_account(HOME.0), governance_account(HOME.0), AccountId::new([9; 32])]
}

fn calls() -> [Call<Test>; 6] {
    [
        Call::appoint { representative: MOTHER, until: UNTIL },
        Call::dismiss { patient: CHILD, representative: MOTHER },
        Call::authorize { hospital: HOME, until: UNTIL },
        Call::revoke { hospital: HOME },
        Call::entrust { hospital: HOME, until: UNTIL },
        Call::end_custody { hospital: HOME },
    ]
}

#[test]
fn every_call_needs_a_signature() {
    run(|| {
        for call in calls() {
            for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
                assert_noop!(dispatch(call.clone(), origin), BadOrigin);
            }
        }
        assert_eq!(Mandates::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn each_call_pays_its_own_weight() {
    run(|| {
        let paid = calls().map(|call| RuntimeCall::from(call).get_dispatch_info().call_weight);
        let weights = [
            <()>::appoint(),
            <()>::dismiss(),
            <()>::authorize(),
            <()>::revoke(),
            <()>::entrust(),
            <()>::end_custody(),
        ];
        assert_eq!(paid, weights);
    });
}
