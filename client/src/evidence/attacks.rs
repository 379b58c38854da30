//! What the maker of a file could do: leave out, repeat or enlarge; and what other versions of the chain or of this
//! program make of honest parties. Nobody may be accused by it.

use codec::{Compact, Encode};
use epione_primitives::{
    HospitalId, Moment, RecordPointer,
    approval::{Ballot, RejectReason},
    block::{Announcement, BlockHashes, SignedAt, Stage},
    mandate::Mandate,
    query::{QueryId, Transfer},
};

use super::{
    check::decode,
    made::{Limits, make_within},
    tests::{chosen, made, of_query, of_record, only_missing, only_wrong, proof, shown},
    *,
};
use crate::chain::{
    disclosed::{AT, DOCTOR, PATIENT},
    evident::{BUILT, OTHER, Play, QUERY, RECORD, REQUESTER, UNANSWERED, played},
};

const WRONG: Hash = Hash::repeat_byte(9);
const LOOK: Subject = Subject::Look { patient: PATIENT, number: 0 };

#[tokio::test]
async fn no_record_query_or_look_of_a_patient_can_be_left_out() {
    let chain = played(&Play::default()).await;
    let genesis = chain.genesis_hash();
    let Made { file, verified } = make(&chain, Scope::Patient(PATIENT), &|_, _| {}).await.unwrap();
    assert_eq!(verified.all_of, Some(PATIENT));
    let subjects: Vec<_> = verified.transactions.iter().map(|it| it.subject).collect();
    let all = [Subject::Record(RECORD), Subject::Query(QUERY), Subject::Query(UNANSWERED), LOOK];
    assert_eq!(subjects, all);
    // A file about chosen ones does not become one about all, nor one about another patient.
    let part = made(&chain, &[Subject::Query(QUERY)]).await;
    assert_eq!(part.verified.all_of, None);
    for (file, patient) in [(&part.file, PATIENT), (&file, REQUESTER)] {
        let mut bundle = decode(file).unwrap();
        bundle.scope = Scope::Patient(patient);
        let refused = verify(&bundle.to_file(), genesis).unwrap_err();
        assert!(matches!(refused, Flaw::Unproven(_) | Flaw::Malformed(_)), "{refused}");
    }
}

#[tokio::test]
async fn a_party_that_signed_a_wrong_call_and_the_right_one_is_not_accused() {
    let play = Play { approved_before: vec![WRONG], ..Play::default() };
    let chain = played(&play).await;
    let genesis = chain.genesis_hash();
    let Made { file, verified } = made(&chain, &[Subject::Record(RECORD)]).await;
    assert!(verified.transactions[0].is_complete(), "{verified:?}");
    let whole = decode(&file).unwrap();
    for left_out in 0..whole.sent.len() {
        let mut bundle = whole.clone();
        bundle.sent.remove(left_out);
        let found = verify(&bundle.to_file(), genesis).unwrap();
        assert!(found.transactions[0].is_sound(), "{left_out}: {found:?}");
    }
    // Without the right one, the wrong one accuses nobody.
    let mut bundle = whole.clone();
    bundle.sent.pop();
    let record = verify(&bundle.to_file(), genesis).unwrap().transactions.remove(0);
    only_missing(&record, Step::Receive, "perhaps nobody is at fault");
    // A party that signed only wrong ones is accused.
    let play = Play { approved: Some(WRONG), ..play };
    only_wrong(&of_record(play).await, Step::Receive, "0x0909", Some(&Party::Hospital(OTHER)));
}

#[tokio::test]
async fn a_right_call_in_another_block_is_no_proof() {
    let record = of_record(Play { voted_later: 1, ..Play::default() }).await;
    only_missing(&record, Step::Receive, "no such call of it");
}

#[tokio::test]
async fn a_hospital_that_announced_other_entries_is_named() {
    let record = of_record(Play { announced: Some(WRONG), ..Play::default() }).await;
    let Verdict::Wrong { reason, culprit } = &proof(&record, Step::Store).verdict else {
        panic!("{record:?}")
    };
    assert!(reason.contains("other entries"), "{reason}");
    assert_eq!(culprit, &Some(Party::Hospital(AT)));
    assert!(matches!(proof(&record, Step::Authorization).verdict, Verdict::Missing { .. }));
}

#[tokio::test]
async fn a_call_in_a_batch_is_a_proof() {
    let record = of_record(Play { is_batched: true, ..Play::default() }).await;
    assert!(record.is_complete(), "{record:?}");
    let wrong = Play { is_batched: true, approved: Some(WRONG), ..Play::default() };
    only_wrong(&of_record(wrong).await, Step::Receive, "0x0909", Some(&Party::Hospital(OTHER)));
}

#[tokio::test]
async fn calls_of_other_versions_accuse_nobody() {
    // Of the call's bytes, another version means something else.
    let play =
        Play { transaction_version: BUILT.1 + 1, said: (BUILT.0, BUILT.1 + 1), ..Play::default() };
    let query = of_query(play).await;
    assert!(query.is_sound() && !query.is_complete(), "{query:?}");
    for proof in &query.proofs {
        let Verdict::Missing { reason } = &proof.verdict else { panic!("{query:?}") };
        assert!(reason.contains("another version"), "{reason}");
    }
    // What a later runtime did with calls of the same form is known by the state only.
    let later =
        || Play { spec_version: BUILT.0 + 1, said: (BUILT.0 + 1, BUILT.1), ..Play::default() };
    assert!(of_query(later()).await.is_complete());
    let query = of_query(Play { accepted: Some(WRONG), ..later() }).await;
    only_missing(&query, Step::Accept, "another version");
}

#[tokio::test]
async fn each_disagreement_of_the_committed_block_is_wrong() {
    type Change = fn(&mut Ballot, &mut Announcement, &mut BlockHashes);
    let changes: [(Change, &str); 7] = [
        (|ballot, _, _| ballot.outcome = None, "the ballot ended with"),
        (|ballot, _, _| ballot.opener = OTHER, "opened by"),
        (|ballot, _, _| ballot.electorate = vec![AT].try_into().unwrap(), "not allowed"),
        (|ballot, _, _| ballot.subject = WRONG, "the ballot is about"),
        (|_, it, _| it.body_bytes += 1, "something else than what was announced"),
        (|_, it, _| it.stage = Stage::Committed { height: 9 }, "something else"),
        (|_, _, hashes| hashes.cloud = WRONG, "hashes of the lite block"),
    ];
    for (change, said) in changes {
        let record = of_record(Play { change, ..Play::default() }).await;
        only_wrong(&record, Step::Commit, said, None);
    }
}

#[tokio::test]
async fn each_disagreement_of_a_transfer_with_the_acceptance_is_blamed_on_its_hospital() {
    type Handed = fn(&mut Transfer);
    let changes: [(Handed, &str); 2] = [
        (|transfer| transfer.at = Moment::MAX, "after its end"),
        (|transfer| transfer.grant = WRONG, "another grant"),
    ];
    for (handed, said) in changes {
        let query = of_query(Play { handed, ..Play::default() }).await;
        only_wrong(&query, Step::Transfer, said, Some(&Party::Hospital(OTHER)));
    }
    let query = of_query(Play { handed: |it| it.hospital = AT, ..Play::default() }).await;
    let Verdict::Wrong { reason, culprit } = &proof(&query, Step::Transfer).verdict else {
        panic!("{query:?}")
    };
    assert!(reason.contains("not the hospital that the patient chose"), "{reason}");
    assert_eq!(culprit, &Some(Party::Hospital(AT)));
}

#[tokio::test]
async fn a_representative_accepts_while_the_patient_lets_them() {
    let mandate = Mandate { since: 1, until: 20, ended: None };
    let of = async |mandate, accepted_at| {
        let (by, accepter, representation) = (DOCTOR, "doctor", Some(mandate));
        of_query(Play { by, accepter, representation, accepted_at, ..Play::default() }).await
    };
    assert!(of(mandate, 10).await.is_complete());
    // The representation ended in the block of the acceptance: the chain decided which of them came first.
    assert!(of(Mandate { ended: Some(10), ..mandate }, 10).await.is_complete());
    for over in [
        Mandate { ended: Some(9), ..mandate },
        Mandate { until: 10, ..mandate },
        Mandate { since: 11, ..mandate },
        Mandate { since: 11, ended: Some(10), ..mandate },
    ] {
        only_missing(&of(over, 10).await, Step::Accept, "does not show that the user represented");
    }
    // Another account than that of the representative: the call is missing, whoever represents the patient.
    let (by, accepter, representation) = (DOCTOR, "thief", Some(mandate));
    let play = Play { by, accepter, representation, ..Play::default() };
    only_missing(&of_query(play).await, Step::Accept, "no such call");
}

#[tokio::test]
async fn a_record_that_cannot_be_judged_does_not_prevent_evidence() {
    let record = of_record(Play { has_body: false, ..Play::default() }).await;
    only_missing(&record, Step::Authorization, "does not show the block");
    // It names a block that was not final when it was announced.
    let signed_at = Some(SignedAt { number: u32::MAX, hash: Hash::zero() });
    let record = of_record(Play { signed_at, ..Play::default() }).await;
    only_wrong(&record, Step::Authorization, "names block", Some(&Party::Hospital(AT)));
}

#[tokio::test]
async fn hospitals_that_rejected_or_did_not_vote_are_listed() {
    fn change(ballot: &mut Ballot, _: &mut Announcement, _: &mut BlockHashes) {
        let electorate = vec![AT, OTHER, HospitalId(8), HospitalId(9)];
        ballot.electorate = electorate.try_into().unwrap();
        let rejected = (HospitalId(8), RejectReason::InvalidAuthor);
        ballot.rejections = vec![rejected].try_into().unwrap();
    }
    let record = of_record(Play { change, ..Play::default() }).await;
    let note = record.note.unwrap();
    assert!(note.contains("hospital 8 rejected it (InvalidAuthor)"), "{note}");
    assert!(note.contains("hospital 9 did not vote") && !note.contains("hospital 1 "), "{note}");
}

#[tokio::test]
async fn calls_that_are_repeated_or_not_in_order_are_refused() {
    let chain = played(&Play::default()).await;
    let genesis = chain.genesis_hash();
    let file = made(&chain, &[Subject::Query(QUERY)]).await.file;
    let whole = decode(&file).unwrap();
    let mut sent = whole.sent.clone().into_inner();
    sent.reverse();
    let twice = vec![sent[0].clone(), sent[0].clone()];
    for sent in [sent, twice] {
        let bundle = Bundle { sent: sent.try_into().unwrap(), ..whole.clone() };
        let refused = verify(&bundle.to_file(), genesis).unwrap_err();
        assert!(refused.to_string().contains("not in order"), "{refused}");
    }
}

#[tokio::test]
async fn a_file_cannot_take_more_memory_than_its_limit() {
    let chain = played(&Play::default()).await;
    let genesis = chain.genesis_hash();
    let file = made(&chain, &[Subject::Query(QUERY)]).await.file;
    let Bundle { scope, proof, .. } = decode(&file).unwrap();
    // A list of one call, up to the number of its trie nodes.
    let begins = (MAGIC, FORMAT, genesis, scope, proof, Compact(1_u32), 0_u32, 0_u32).encode();
    let ends = (1_u32, 1_u32, Hash::zero()).encode();
    let with = |nodes: Vec<u8>| [&begins[..], &nodes, &ends].concat();
    let empty = |number: usize| {
        let mut nodes = Compact(number as u32).encode();
        nodes.resize(nodes.len() + number, 0);
        nodes
    };
    for nodes in [
        empty(MAX_NODES),
        // As lists in memory, these would take a gigabyte.
        empty(40 * MAX_NODES),
        vec![vec![0_u8; MAX_NODE_BYTES + 1]].encode(),
    ] {
        let refused = verify(&with(nodes), genesis).unwrap_err();
        assert!(matches!(refused, Flaw::Malformed(_)), "{refused}");
    }
}

#[tokio::test]
async fn more_calls_or_bytes_than_a_file_may_have_are_an_error_and_not_left_out() {
    let chain = played(&Play::default()).await;
    let record = || chosen(&[Subject::Record(RECORD)]);
    let limits = Limits { sent: 1, bytes: MAX_FILE_BYTES };
    let refused = make_within(&chain, record(), &|_, _| {}, limits).await.unwrap_err();
    assert!(matches!(refused, EvidenceError::TooManyCalls), "{refused}");
    let limits = Limits { sent: 9, bytes: 1_000 };
    let refused = make_within(&chain, record(), &|_, _| {}, limits).await.unwrap_err();
    assert!(matches!(refused, EvidenceError::TooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn a_subject_that_the_chain_does_not_have_is_refused() {
    let chain = played(&Play::default()).await;
    let genesis = chain.genesis_hash();
    let file = made(&chain, &[LOOK]).await.file;
    for subject in
        [Subject::Query(QueryId(9)), Subject::Record(RecordPointer { height: 9, index: 0 })]
    {
        let mut bundle = decode(&file).unwrap();
        bundle.scope = chosen(&[subject]);
        assert!(matches!(verify(&bundle.to_file(), genesis), Err(Flaw::Unproven(_))));
    }
    assert!(shown(&Play::default(), LOOK).await.is_complete());
}
