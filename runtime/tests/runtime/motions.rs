//! What clients believe that the council can decide: the calls of motions, without metadata.

#[path = "../../../client/src/council/proposal.rs"]
mod proposal;

use codec::{Decode, Encode};
use epione_primitives::{
    Hash, HospitalId, UserId,
    consortium::{Schedule, Seats},
    hospital::Duty,
    limits::{MAX_MOTION_BYTES, MAX_MOTION_PICOSECONDS, MAX_MOTION_PROOF_BYTES},
    quota::Limits,
};
use epione_runtime::{
    RuntimeCall,
    configs::BLOCK_WEIGHT,
    council_root,
    governance::{CallsAsRoot, MAX_PROPOSAL_BYTES, MAX_PROPOSAL_WEIGHT},
};
use frame_support::{
    dispatch::GetDispatchInfo,
    traits::{Contains, GetCallMetadata},
    weights::Weight,
};
use proposal::{Admission, Proposal, needed};

use crate::{
    caller::refused,
    chain::{A, B, PATIENT, local},
    council::proposal as motion,
    possession::named,
};

const HASH: Hash = Hash::repeat_byte(7);

/// One of each variant.
fn proposals() -> Vec<Proposal> {
    let admission = Admission {
        name: b"St. Mary".to_vec().try_into().unwrap(),
        governance: named("Eve", HospitalId(4), Duty::Governance),
        agent: named("Eve//agent", HospitalId(4), Duty::Agent),
        worker_url: b"https://worker.example".to_vec().try_into().unwrap(),
        sealing_key: vec![1; 1_217].try_into().unwrap(),
        tls_key: [2; 32],
    };
    let governance = Box::new(named("Eve", B, Duty::Governance));
    vec![
        Proposal::Admit(Box::new(admission)),
        Proposal::Suspend { hospital: B },
        Proposal::Reinstate { hospital: B },
        Proposal::Remove { hospital: B },
        Proposal::ReplaceGovernance { hospital: B, governance },
        Proposal::Disapprove { motion: HASH },
        Proposal::Kill { motion: HASH },
        Proposal::Schedule(Schedule::default()),
        Proposal::Seat { committee: None },
        Proposal::Seat { committee: Some(Seats::truncate_from(vec![A, B])) },
        Proposal::Renew,
        Proposal::AppointCustodian { departed: B, custodian: A },
        Proposal::DismissCustodian { departed: B },
        Proposal::NameAttribute { name: b"genetics".to_vec().try_into().unwrap() },
        Proposal::CompleteRecovery { user: *PATIENT, decision: Some(HASH) },
        Proposal::CompleteRecovery { user: UserId([1; 32]), decision: None },
        Proposal::SetLimits(Box::new(Limits::USUAL)),
        Proposal::AuthorizeUpgrade { code_hash: HASH, checks: true },
        Proposal::AuthorizeUpgrade { code_hash: HASH, checks: false },
        Proposal::NoteStalled { delay: 40, best_finalized: 700 },
        Proposal::Remark { text: b"hello".to_vec() },
    ]
}

/// The call that the runtime reads, and what it dispatches in the end.
fn read(proposal: &Proposal) -> (RuntimeCall, RuntimeCall) {
    let bytes = proposal.encode();
    let call = RuntimeCall::decode(&mut &bytes[..]).unwrap();
    assert_eq!(call.encode(), bytes, "{proposal:?}");
    let inner = match &call {
        RuntimeCall::CouncilRoot(council_root::Call::dispatch { call }) => (**call).clone(),
        call => call.clone(),
    };
    (call, inner)
}

#[test]
fn a_proposal_of_a_client_is_the_call_that_it_names() {
    local(|_| {
        for proposal in proposals() {
            let (call, inner) = read(&proposal);
            let (pallet, name) = proposal.names();
            let metadata = inner.get_call_metadata();
            let found = metadata.pallet_name.to_lowercase();
            assert_eq!(found, pallet.replace('_', ""), "{proposal:?}");
            assert_eq!(metadata.function_name, name, "{proposal:?}");
            assert_eq!(matches!(call, RuntimeCall::CouncilRoot(_)), proposal.needs_root());
            assert_eq!(Proposal::decode(&call.encode()), Some(proposal));
        }
    });
}

#[test]
fn the_runtime_accepts_each_proposal_of_a_client_as_a_motion() {
    let mut count = 0;
    local(|_| count = proposals().len());
    for number in 0..count {
        // A hospital has two live motions at most.
        local(|_| {
            let proposal = proposals().swap_remove(number);
            let (call, inner) = read(&proposal);
            assert_eq!(proposal.needs_root(), CallsAsRoot::contains(&inner), "{proposal:?}");
            let weight = call.get_dispatch_info().call_weight;
            assert!(weight.all_lte(MAX_PROPOSAL_WEIGHT), "{proposal:?}: {weight:?}");
            let threshold = needed(&proposal.encode(), 4);
            assert_eq!(refused("Alice", motion(threshold, call)), None, "{proposal:?}");
        });
    }
}

#[test]
fn a_client_declares_what_the_runtime_accepts_at_most() {
    let declared = Weight::from_parts(MAX_MOTION_PICOSECONDS, MAX_MOTION_PROOF_BYTES);
    assert_eq!(declared, MAX_PROPOSAL_WEIGHT);
    assert_eq!(MAX_MOTION_PICOSECONDS, BLOCK_WEIGHT.ref_time() / 5);
    assert_eq!(MAX_MOTION_BYTES as usize, MAX_PROPOSAL_BYTES);
}
