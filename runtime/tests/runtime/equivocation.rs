//! A hospital that votes for two blocks in one GRANDPA round is benched, and reports of it leave little on the chain.

use codec::{Decode, Encode};
use epione_primitives::{Hash, HospitalId, hospital::HospitalStatus};
use epione_runtime::{
    Executive, Historical, Hospitals, Runtime, RuntimeCall, Session, UncheckedExtrinsic,
};
use frame_support::{storage::with_transaction, traits::KeyOwnerProofSystem};
use sp_consensus_grandpa::{AuthorityId, EquivocationProof, KEY_TYPE, localized_payload};
use sp_core::{Pair, ed25519};
use sp_runtime::{
    DispatchError, TransactionOutcome,
    transaction_validity::{InvalidTransaction, TransactionSource, TransactionValidity},
};

use crate::chain::{B, council, local};

const TARGETS: [Hash; 2] = [Hash::repeat_byte(1), Hash::repeat_byte(2)];
const SET: u64 = 0;

/// Two prevotes in one round, as GRANDPA's types encode them. `signer` may be another key than the voter's.
fn proof(
    voter: ed25519::Public,
    signer: &ed25519::Pair,
    set: u64,
    round: u64,
    targets: [Hash; 2],
) -> EquivocationProof<Hash, u32> {
    const PREVOTE: u8 = 0;
    let vote = |target: Hash| {
        let vote = (target, 1_u32);
        let signature = signer.sign(&localized_payload(round, set, &(PREVOTE, vote)));
        (vote, signature)
    };
    let encoded = (set, PREVOTE, round, voter, vote(targets[0]), vote(targets[1])).encode();
    EquivocationProof::decode(&mut &encoded[..]).unwrap()
}

fn voting_key(seed: &str) -> ed25519::Pair {
    ed25519::Pair::from_string(&format!("//{seed}"), None).unwrap()
}

/// A report of two votes in the name of one hospital, which the key of perhaps another one signed. None if the
/// hospital's first key does not vote in this session.
pub fn report_call(
    [voter, signer]: [&str; 2],
    set: u64,
    round: u64,
    targets: [Hash; 2],
) -> Option<RuntimeCall> {
    let voter = voting_key(voter).public();
    let key_owner_proof = Historical::prove((KEY_TYPE, AuthorityId::from(voter)))?;
    let proof = proof(voter, &voting_key(signer), set, round, targets);
    Some(RuntimeCall::Grandpa(pallet_grandpa::Call::report_equivocation_unsigned {
        equivocation_proof: Box::new(proof),
        key_owner_proof,
    }))
}

/// A report of two votes of hospital B, without a signature.
fn report(round: u64, targets: [Hash; 2]) -> UncheckedExtrinsic {
    UncheckedExtrinsic::new_bare(report_call(["Bob", "Bob"], SET, round, targets).unwrap())
}

/// As a node's pool validates a transaction from this source. Changes nothing.
fn pooled(source: TransactionSource, transaction: UncheckedExtrinsic) -> TransactionValidity {
    with_transaction(|| {
        let validity = Executive::validate_transaction(source, transaction, Hash::zero());
        TransactionOutcome::Rollback(Ok::<_, DispatchError>(validity))
    })
    .unwrap()
}

#[test]
fn a_proven_equivocation_benches_the_hospital_which_keeps_its_seat() {
    local(|chain| {
        chain.next_block();
        let report = report(1, TARGETS);
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
        let report = report(1, [Hash::repeat_byte(1); 2]);
        assert!(Executive::apply_extrinsic(report).unwrap().is_err());
        assert_eq!(Hospitals::hospital(B).unwrap().status, HospitalStatus::Active);
    });
}

#[test]
fn a_report_from_another_node_is_rejected() {
    local(|chain| {
        chain.next_block();
        let from = |source| pooled(source, report(1, TARGETS));
        assert!(from(TransactionSource::Local).is_ok(), "only the source is wrong");
        assert_eq!(from(TransactionSource::External), Err(InvalidTransaction::Call.into()));
    });
}

fn stored() -> usize {
    pallet_offences::Reports::<Runtime>::iter_keys().count()
}

/// A report is stored forever, and no quota covers it. A round can be any number.
#[test]
fn reports_in_many_rounds_leave_one_on_the_chain() {
    local(|chain| {
        chain.next_block();
        // The bench is full, so the offender stays a validator.
        pallet_hospitals::Benched::<Runtime>::put(pallet_hospitals::HospitalSet::truncate_from(
            vec![HospitalId(2)],
        ));
        Executive::apply_extrinsic(report(1, TARGETS)).unwrap().unwrap();
        assert!(Hospitals::may_validate(B));
        for round in [2, 3, u64::MAX] {
            let stale = Err(InvalidTransaction::Stale.into());
            assert_eq!(Executive::apply_extrinsic(report(round, TARGETS)), stale);
            assert_eq!(
                pooled(TransactionSource::Local, report(round, TARGETS)),
                Err(InvalidTransaction::Stale.into())
            );
        }
        assert_eq!(stored(), 1);
    });
}

#[test]
fn reports_about_a_hospital_that_does_not_validate_get_into_no_block() {
    local(|chain| {
        chain.next_block();
        Hospitals::suspend(council(), B).unwrap();
        let stale = Err(InvalidTransaction::Stale.into());
        assert_eq!(Executive::apply_extrinsic(report(1, TARGETS)), stale);
        assert_eq!(stored(), 0);
    });
}

#[test]
fn a_report_about_a_session_before_the_reinstatement_is_not_stored() {
    local(|chain| {
        chain.next_block();
        Hospitals::suspend(council(), B).unwrap();
        Hospitals::reinstate(council(), B).unwrap();
        let duplicate = pallet_grandpa::Error::<Runtime>::DuplicateOffenceReport;
        let failed = Executive::apply_extrinsic(report(1, TARGETS)).unwrap();
        assert_eq!(failed, Err(duplicate.into()));
        assert!(Hospitals::may_validate(B));
        assert_eq!(stored(), 0);
    });
}
