//! What still works while hostile members send what they like.

use codec::Encode;
use epione_primitives::{HospitalId, block::Stage, hospital::HospitalStatus, refusal::Refusal};
use epione_runtime::{Hospitals, LiteBlocks, Runtime, RuntimeCall, governance::more_than_half};
use frame_support::dispatch::GetDispatchInfo;
use pallet_collective::Instance1;
use sp_runtime::{
    traits::{BlakeTwo256, Hash as _},
    transaction_validity::{InvalidTransaction, TransactionValidityError},
};

use super::{
    calls, end_block,
    steps::{HOSTILE, Step, submit},
};
use crate::chain::{A, Chain, PATIENT, account, apply, key};

/// The hospital of the hostile members.
pub const HOSTILE_HOSPITAL: HospitalId = HospitalId(3);
/// Blocks within which a visit commits.
const SOON: u32 = 6;
/// The oracle's bodies consist of this byte or a greater one, the others' bodies of smaller ones.
pub const ORACLE_BYTE: u8 = 100;

/// Hospital A announces a visit while these transactions are sent in every block, and B and C approve it. It must
/// commit soon.
pub fn visit_commits(chain: &mut Chain, number: u8, meanwhile: &[Step]) {
    let byte = ORACLE_BYTE + number;
    for _ in 0..SOON {
        meanwhile.iter().for_each(submit);
        if calls::announced(A, &[*PATIENT], byte).is_none() {
            // If this block is full, the next block has space.
            let _ = apply("Alice//agent", calls::visit(A, &[*PATIENT], byte));
        }
        if let Some(id) = calls::announced(A, &[*PATIENT], byte) {
            for agent in ["Bob//agent", "Charlie//agent"] {
                let _ = apply(agent, calls::approve(id));
            }
        }
        end_block(chain);
        let committed = calls::announced(A, &[*PATIENT], byte)
            .and_then(LiteBlocks::announcement)
            .is_some_and(|(announcement, _)| matches!(announcement.stage, Stage::Committed { .. }));
        if committed {
            return;
        }
    }
    panic!("an honest hospital's visit did not commit within {SOON} blocks");
}

/// The honest majority of the council suspends or reinstates the hostile hospital.
pub fn council_sets_status(suspends: bool) {
    let hospital = HOSTILE_HOSPITAL;
    let status = || Hospitals::hospital(hospital).unwrap().status;
    // A hospital that left by itself is reinstated after its suspension only.
    if status() == HospitalStatus::Leaving || (suspends && status() == HospitalStatus::Active) {
        pass(pallet_hospitals::Call::<Runtime>::suspend { hospital }.into());
    }
    if !suspends && status() == HospitalStatus::Suspended {
        pass(pallet_hospitals::Call::<Runtime>::reinstate { hospital }.into());
    }
    let wanted = if suspends { HospitalStatus::Suspended } else { HospitalStatus::Active };
    assert_eq!(status(), wanted, "three of four hospitals could not decide about the fourth");
}

/// Neither silence nor a departure of one hospital takes a seat or a vote from the honest ones.
pub fn honest_hospitals_keep_their_seats() {
    let seats = pallet_collective::Members::<Runtime, Instance1>::get();
    for seed in ["Alice", "Bob", "Charlie"] {
        assert!(seats.contains(&account(&key(seed))), "{seed} lost the seat in the council");
    }
}

/// The council suspends the hostile hospital, and then no transaction of its accounts gets in.
pub fn hostile_hospital_is_expelled(chain: &mut Chain) {
    council_sets_status(true);
    end_block(chain);
    for seed in HOSTILE {
        let owner = Hospitals::hospital_of(account(&key(seed)));
        if owner.is_some_and(|(hospital, _)| hospital == HOSTILE_HOSPITAL) {
            assert_eq!(
                apply(seed, calls::visit(HOSTILE_HOSPITAL, &[*PATIENT], 1)),
                Err(TransactionValidityError::Invalid(InvalidTransaction::Custom(
                    Refusal::HospitalNotActive.code()
                ))),
                "{seed}"
            );
        }
    }
}

/// The hostile hospital can be benched, because it has its own key. It cannot sign for the others.
pub fn no_honest_hospital_is_benched() {
    assert!(Hospitals::benched().iter().all(|hospital| *hospital == HOSTILE_HOSPITAL));
}

/// At the beginning of a session, the validators of the next session are active hospitals.
pub fn next_validators_are_active() {
    let active = pallet_hospitals::Active::<Runtime>::get();
    for (hospital, _) in pallet_session::QueuedKeys::<Runtime>::get() {
        assert!(active.contains(&hospital), "hospital {hospital} would validate");
    }
}

/// The honest members propose a call, vote for it and close the motion. A hostile member may have proposed the same
/// call, so the proposal may fail.
fn pass(call: RuntimeCall) {
    let hash = BlakeTwo256::hash_of(&call);
    let length_bound = call.encoded_size() as u32;
    let proposal_weight_bound = call.get_dispatch_info().call_weight;
    let proposal = Box::new(call);
    let members = pallet_collective::Members::<Runtime, Instance1>::get();
    let threshold = more_than_half(members.len() as u32);
    let propose = pallet_collective::Call::propose { threshold, proposal, length_bound };
    let _ = apply("Alice", RuntimeCall::Council(propose));
    let index = calls::motion_index(hash);
    for member in ["Alice", "Bob", "Charlie"] {
        let vote = pallet_collective::Call::vote { proposal: hash, index, approve: true };
        let _ = apply(member, RuntimeCall::Council(vote));
    }
    let close = pallet_collective::Call::close {
        proposal_hash: hash,
        index,
        proposal_weight_bound,
        length_bound,
    };
    let _ = apply("Alice", RuntimeCall::Council(close));
}
