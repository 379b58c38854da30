//! A hospital that votes for two blocks in one GRANDPA round is benched.

use codec::{Decode, Encode};
use epione_primitives::{Hash, hospital::HospitalStatus};
use epione_runtime::{
    Executive, Historical, Hospitals, Runtime, RuntimeCall, Session, UncheckedExtrinsic,
};
use frame_support::traits::KeyOwnerProofSystem;
use sp_consensus_grandpa::{AuthorityId, EquivocationProof, KEY_TYPE, localized_payload};
use sp_core::{Pair, ed25519};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionSource};

use crate::chain::{B, local};

const ROUND: u64 = 1;
const SET: u64 = 0;

/// Two prevotes in one round, as GRANDPA's types encode them.
fn proof(voter: &ed25519::Pair, targets: [Hash; 2]) -> EquivocationProof<Hash, u32> {
    const PREVOTE: u8 = 0;
    let vote = |target: Hash| {
        let vote = (target, 1_u32);
        let signature = voter.sign(&localized_payload(ROUND, SET, &(PREVOTE, vote)));
        (vote, signature)
    };
    let encoded =
        (SET, PREVOTE, ROUND, voter.public(), vote(targets[0]), vote(targets[1])).encode();
    EquivocationProof::decode(&mut &encoded[..]).unwrap()
}

fn report(targets: [Hash; 2]) -> UncheckedExtrinsic {
    let bob = ed25519::Pair::from_string("//Bob", None).unwrap();
    let key_owner_proof = Historical::prove((KEY_TYPE, AuthorityId::from(bob.public()))).unwrap();
    UncheckedExtrinsic::new_bare(RuntimeCall::Grandpa(
        pallet_grandpa::Call::report_equivocation_unsigned {
            equivocation_proof: Box::new(proof(&bob, targets)),
            key_owner_proof,
        },
    ))
}

#[test]
fn a_proven_equivocation_benches_the_hospital_which_keeps_its_seat() {
    local(|chain| {
        chain.next_block();
        let report = report([Hash::repeat_byte(1), Hash::repeat_byte(2)]);
        Executive::apply_extrinsic(report.clone()).unwrap().unwrap();
        assert_eq!(Hospitals::hospital(B).unwrap().status, HospitalStatus::Active);
        assert!(!Hospitals::may_validate(B));
        let seats = pallet_collective::Members::<Runtime, pallet_collective::Instance1>::get();
        assert_eq!(seats.len(), 4);
        assert_eq!(Session::disabled_validators(), [u32::from(B.0)], "it makes no more blocks");
        assert_eq!(
            Executive::apply_extrinsic(report),
            Err(InvalidTransaction::Stale.into()),
            "reported twice"
        );
    });
}

#[test]
fn two_equal_votes_are_no_equivocation() {
    local(|chain| {
        chain.next_block();
        let report = report([Hash::repeat_byte(1); 2]);
        assert!(Executive::apply_extrinsic(report).unwrap().is_err());
        assert_eq!(Hospitals::hospital(B).unwrap().status, HospitalStatus::Active);
    });
}

#[test]
fn a_report_from_another_node_is_rejected() {
    local(|chain| {
        chain.next_block();
        let report = report([Hash::repeat_byte(1), Hash::repeat_byte(2)]);
        assert_eq!(
            Executive::validate_transaction(TransactionSource::External, report, Hash::zero()),
            Err(InvalidTransaction::Call.into())
        );
    });
}
