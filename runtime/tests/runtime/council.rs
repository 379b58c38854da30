//! What more than half of the hospitals can do together.

use codec::Encode;
use epione_primitives::hospital::HospitalStatus;
use epione_runtime::{CouncilRoot, Grandpa, Hospitals, Runtime, RuntimeCall, RuntimeOrigin};
use frame_support::{dispatch::GetDispatchInfo, traits::Hooks};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::chain::{B, apply, local};

/// Passes a motion with three votes of four.
pub fn pass(call: impl Into<RuntimeCall>) {
    let call = call.into();
    let hash = BlakeTwo256::hash_of(&call);
    let length_bound = call.encoded_size() as u32;
    let proposal_weight_bound = call.get_dispatch_info().call_weight;
    let propose =
        pallet_collective::Call::propose { threshold: 3, proposal: Box::new(call), length_bound };
    apply("Alice", RuntimeCall::Council(propose)).unwrap().unwrap();
    for member in ["Alice", "Bob", "Charlie"] {
        let vote = pallet_collective::Call::vote { proposal: hash, index: 0, approve: true };
        apply(member, RuntimeCall::Council(vote)).unwrap().unwrap();
    }
    let close = pallet_collective::Call::close {
        proposal_hash: hash,
        index: 0,
        proposal_weight_bound,
        length_bound,
    };
    apply("Dave", RuntimeCall::Council(close)).unwrap().unwrap();
}

#[test]
fn three_of_four_suspend_a_hospital() {
    local(|_| {
        pass(pallet_hospitals::Call::<Runtime>::suspend { hospital: B });
        assert_eq!(Hospitals::hospital(B).unwrap().status, HospitalStatus::Suspended);
        assert_eq!(
            pallet_collective::Members::<Runtime, pallet_collective::Instance1>::get().len(),
            3
        );
    });
}

#[test]
fn three_of_four_authorize_an_upgrade() {
    local(|_| {
        let code_hash = BlakeTwo256::hash(b"a runtime");
        let authorize = frame_system::Call::authorize_upgrade { code_hash };
        pass(epione_runtime::council_root::Call::dispatch { call: Box::new(authorize.into()) });
        let authorized = epione_runtime::System::authorized_upgrade().unwrap();
        assert_eq!(*authorized.code_hash(), code_hash);

        let another = frame_system::Call::apply_authorized_upgrade { code: b"another".to_vec() };
        assert_eq!(
            apply("Bob", RuntimeCall::System(another)),
            Ok(Err(frame_system::Error::<Runtime>::Unauthorized.into()))
        );
    });
}

#[test]
fn three_of_four_resume_stalled_finality() {
    local(|_| {
        let stalled =
            pallet_grandpa::Call::note_stalled { delay: 10, best_finalized_block_number: 0 };
        pass(epione_runtime::council_root::Call::dispatch { call: Box::new(stalled.into()) });
        assert_eq!(Grandpa::stalled(), Some((10, 0)));
        Grandpa::on_finalize(1);
    });
}

#[test]
fn only_the_council_acts_as_root() {
    local(|_| {
        let remark = frame_system::Call::remark { remark: vec![] };
        for origin in [
            RuntimeOrigin::signed(crate::chain::account(&crate::chain::key("Alice"))),
            RuntimeOrigin::from(pallet_collective::RawOrigin::Member(crate::chain::account(
                &crate::chain::key("Alice"),
            ))),
            RuntimeOrigin::from(pallet_collective::RawOrigin::Members(2, 4)),
        ] {
            assert!(CouncilRoot::dispatch(origin, Box::new(remark.clone().into())).is_err());
        }
    });
}
