mod attributes;
mod invariants;
mod issue;
mod past;
mod revoke;

use frame_support::{
    dispatch::GetDispatchInfo,
    traits::{GetStorageVersion as _, StorageVersion},
};
use frame_system::RawOrigin;

use crate::{Call, WeightInfo, mock::*};

/// Origins that sign for no hospital.
fn not_governance() -> Vec<RuntimeOrigin> {
    let agent = RuntimeOrigin::signed(epione_mocks::agent_account(ISSUER.0));
    vec![agent, user(DOCTOR), user(STRANGER), governance(SUSPENDED)]
}

#[test]
fn the_storage_has_its_first_version() {
    run(|| assert_eq!(Credentials::in_code_storage_version(), StorageVersion::new(1)));
}

#[test]
fn each_call_has_its_own_weight() {
    let calls: [(Call<Test>, _); 3] = [
        (Call::name_attribute { name: name("a") }, <()>::name_attribute()),
        (Call::issue { user: DOCTOR, attribute: CARDIOLOGY, until: 0 }, <()>::issue()),
        (Call::revoke { user: DOCTOR, attribute: CARDIOLOGY }, <()>::revoke()),
    ];
    for (call, weight) in calls {
        assert_eq!(call.get_dispatch_info().call_weight, weight);
    }
}

fn root() -> RuntimeOrigin {
    RawOrigin::Root.into()
}
