//! Each file is about one call, or about what holds between calls.

mod appoint;
mod claim;
mod custodian;
mod hand_out;
mod invariants;
mod keep;

use epione_primitives::custody::{ClaimId, ClaimedPatients};
use frame_support::{
    assert_noop,
    dispatch::{DispatchResultWithPostInfo, GetDispatchInfo as _, Pays},
    traits::{GetStorageVersion as _, StorageVersion},
};
use sp_runtime::{DispatchError::BadOrigin, traits::Dispatchable as _};

use crate::{WeightInfo as _, mock::*};

fn calls() -> [crate::Call<Test>; 5] {
    let of = label(PATIENT);
    let patients = ClaimedPatients::truncate_from(vec![PATIENT, OTHER_PATIENT]);
    [
        publication(PATIENT, of.profile, wrap_of(&of)),
        crate::Call::appoint { departed: DEPARTED, custodian: HEIR },
        crate::Call::dismiss { departed: DEPARTED },
        crate::Call::claim { departed: DEPARTED, patients },
        crate::Call::hand_out { claim: ClaimId(0) },
    ]
}

#[test]
fn the_calls_of_workers_need_a_signature_and_those_of_the_council_root() {
    run(|| {
        claimed();
        let [keep, appoint, dismiss, claim, hand_out] = calls();
        for call in [keep, claim, hand_out] {
            for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
                assert_noop!(dispatch(call.clone(), origin), BadOrigin);
            }
        }
        for call in [appoint, dismiss] {
            for origin in [agent(HEIR), user(PATIENT), RuntimeOrigin::none()] {
                assert_noop!(dispatch(call.clone(), origin), BadOrigin);
            }
        }
        assert_eq!(Custody::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn each_call_pays_its_own_weight() {
    run(|| {
        let paid = calls().map(|call| RuntimeCall::from(call).get_dispatch_info().call_weight);
        let weights =
            [<()>::keep(), <()>::appoint(), <()>::dismiss(), <()>::claim(2), <()>::hand_out(64)];
        assert_eq!(paid, weights);
        let claim = claimed();
        let call: RuntimeCall = crate::Call::<Test>::hand_out { claim }.into();
        let done: DispatchResultWithPostInfo = call.dispatch(agent(HEIR));
        let spent = done.map(|info| (info.actual_weight, info.pays_fee)).unwrap();
        assert_eq!(spent, (Some(<()>::hand_out(2)), Pays::Yes), "the rest is refunded");
    });
}
