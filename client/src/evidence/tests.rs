//! What a hospital, a user, or somebody on the way could do to evidence. The chain is in memory, with real keys, votes,
//! calls and proofs.

use std::collections::BTreeSet;

use epione_envelope::account::Signer;
use epione_primitives::{
    Moment, RecordPointer,
    mandate::Mandate,
    opening::{HandedOut, OpeningId},
    query::QueryId,
};
use epione_proofs::GenesisError;

use super::{check::decode, *};
use crate::chain::{
    Chain, ProofFault,
    disclosed::{AT, PATIENT, account},
    evident::{
        BUILT, GRANT, OPENING, OTHER, PARENT, Play, QUERY, RECORD, REQUESTER, UNANSWERED, played,
    },
};

pub(super) fn chosen(subjects: &[Subject]) -> Scope {
    Scope::chosen(subjects.iter().copied().collect()).unwrap()
}

pub(super) async fn made(chain: &Chain, subjects: &[Subject]) -> Made {
    make(chain, chosen(subjects), &|_, _| {}).await.unwrap()
}

/// The evidence about one subject, and what it shows.
pub(super) async fn shown(play: &Play, subject: Subject) -> Transaction {
    let chain = played(play).await;
    made(&chain, &[subject]).await.verified.transactions.remove(0)
}

pub(super) async fn of_record(play: Play) -> Transaction {
    shown(&play, Subject::Record(RECORD)).await
}

pub(super) async fn of_query(play: Play) -> Transaction {
    shown(&play, Subject::Query(QUERY)).await
}

pub(super) fn proof(transaction: &Transaction, step: Step) -> &Proof {
    transaction.proofs.iter().find(|proof| proof.step == step).unwrap()
}

/// Checks that one proof is missing, and all others are proven.
pub(super) fn only_missing(transaction: &Transaction, step: Step, said: &str) {
    assert!(!transaction.is_complete() && transaction.is_sound(), "{transaction:?}");
    let Verdict::Missing { reason } = &proof(transaction, step).verdict else {
        panic!("{transaction:?}")
    };
    assert!(reason.contains(said), "{reason}");
    others_are_proven(transaction, step);
}

/// Checks that one proof is wrong, who is responsible, and that all others are proven.
pub(super) fn only_wrong(
    transaction: &Transaction,
    step: Step,
    said: &str,
    expected: Option<&Party>,
) {
    assert!(!transaction.is_complete() && !transaction.is_sound(), "{transaction:?}");
    let Verdict::Wrong { reason, culprit } = &proof(transaction, step).verdict else {
        panic!("{transaction:?}")
    };
    assert!(reason.contains(said), "{reason}");
    assert_eq!(culprit.as_ref(), expected, "{reason}");
    others_are_proven(transaction, step);
}

fn others_are_proven(transaction: &Transaction, step: Step) {
    let mut others = transaction.proofs.iter().filter(|proof| proof.step != step);
    assert!(others.all(Proof::is_proven), "{transaction:?}");
}

#[tokio::test]
async fn record_and_query_are_proven_without_a_node_from_the_genesis_hash_alone() {
    let chain = played(&Play::default()).await;
    let genesis = chain.genesis_hash();
    let Made { file, verified } =
        made(&chain, &[Subject::Query(QUERY), Subject::Record(RECORD)]).await;
    drop(chain);
    assert_eq!(verify(&file, genesis).unwrap(), verified);
    assert_eq!(claimed_genesis(&file).unwrap(), genesis);
    let [record, query] = verified.transactions.as_slice() else { panic!("{verified:?}") };
    assert_eq!(record.subject, Subject::Record(RECORD));
    assert_eq!(query.subject, Subject::Query(QUERY));
    for transaction in [record, query] {
        assert!(transaction.is_complete() && transaction.is_sound(), "{transaction:?}");
        assert_eq!((transaction.patient, &transaction.note), (PATIENT, &None));
    }
    let steps = |transaction: &Transaction| -> Vec<_> {
        transaction.proofs.iter().map(|it| (it.step, it.by.clone(), it.signer.clone())).collect()
    };
    let (user, at) = (|id| Some(Party::User(id)), |id| Some(Party::Hospital(id)));
    let by = |name: &str| Some(account(name).account());
    let expected = [
        (Step::Authorization, user(PATIENT), by("patient")),
        (Step::Store, at(AT), by("agent")),
        (Step::Receive, at(OTHER), by("other agent")),
        (Step::Commit, None, None),
    ];
    assert_eq!(steps(record), expected);
    let expected = [
        (Step::Query, user(REQUESTER), by("requester")),
        (Step::Accept, user(PATIENT), by("patient")),
        (Step::Transfer, at(OTHER), by("other agent")),
    ];
    assert_eq!(steps(query), expected);
    for proof in record.proofs.iter().chain(&query.proofs) {
        assert!(proof.hash.is_some() && proof.block.is_some() && proof.time.is_some(), "{proof:?}");
    }
    assert_eq!(proof(query, Step::Transfer).hash, Some(GRANT));
    assert!(verified.proven_at.number > proof(query, Step::Transfer).block.unwrap());
}

#[tokio::test]
async fn a_query_that_waits_for_an_answer_is_incomplete_and_nobody_is_blamed() {
    let chain = played(&Play::default()).await;
    let made = made(&chain, &[Subject::Query(UNANSWERED)]).await;
    let query = &made.verified.transactions[0];
    assert!(proof(query, Step::Query).is_proven());
    assert!(!query.is_complete() && query.is_sound());
    for (step, said) in
        [(Step::Accept, "can answer before chain block"), (Step::Transfer, "nothing to hand out")]
    {
        let Verdict::Missing { reason } = &proof(query, step).verdict else { panic!("{query:?}") };
        assert!(reason.contains(said), "{reason}");
    }
}

#[tokio::test]
async fn a_withdrawn_acceptance_was_an_acceptance() {
    let query = of_query(Play { is_withdrawn: true, ..Play::default() }).await;
    assert!(query.is_complete(), "{query:?}");
    assert!(query.note.is_some_and(|note| note.contains("withdrew the acceptance")));
}

#[tokio::test]
async fn an_acceptance_of_a_representative_is_proven_with_the_mandate_of_that_time() {
    // The acceptance was given at 10.
    let mandate = Mandate { since: 10, until: Moment::MAX, ended: None };
    let of = async |representation| {
        let (accepter, is_withdrawn) = ("parent", true);
        let play = Play { accepter, by: PARENT, representation, is_withdrawn, ..Play::default() };
        of_query(play).await
    };
    let query = of(Some(mandate)).await;
    assert!(query.is_complete(), "{query:?}");
    assert_eq!(proof(&query, Step::Accept).by, Some(Party::User(PARENT)));
    let note = query.note.unwrap();
    assert!(note.contains("withdrew the acceptance in the name of the patient"), "{note}");
    let others = [
        None,
        Some(Mandate { since: 11, ..mandate }),
        Some(Mandate { until: 10, since: 1, ..mandate }),
    ];
    for other in others {
        only_missing(&of(other).await, Step::Accept, "does not show that the user represented");
    }
}

#[tokio::test]
async fn a_hospital_that_approved_something_else_is_named() {
    let approved = Some(Hash::repeat_byte(9));
    let record = of_record(Play { approved, ..Play::default() }).await;
    only_wrong(&record, Step::Receive, "it approved 0x0909", Some(&Party::Hospital(OTHER)));
}

#[tokio::test]
async fn a_patient_who_signed_another_acceptance_is_named() {
    let accepted = Some(Hash::repeat_byte(9));
    let query = of_query(Play { accepted, ..Play::default() }).await;
    only_wrong(&query, Step::Accept, "something else", Some(&Party::User(PATIENT)));
}

#[tokio::test]
async fn a_hospital_that_handed_out_another_grant_is_named() {
    let transferred = Hash::repeat_byte(9);
    let query = of_query(Play { transferred, ..Play::default() }).await;
    only_wrong(&query, Step::Transfer, "another grant", Some(&Party::Hospital(OTHER)));
}

#[tokio::test]
async fn a_signature_of_the_patient_that_somebody_else_made_is_blamed_on_the_announcer() {
    let record = of_record(Play { cosigned_by: Some("thief"), ..Play::default() }).await;
    let announcer = Party::Hospital(AT);
    only_wrong(&record, Step::Authorization, "did not make", Some(&announcer));
    let record = of_record(Play { cosigned_by: None, ..Play::default() }).await;
    only_missing(&record, Step::Authorization, "the patient did not sign the record,");
}

#[tokio::test]
async fn a_standing_authorization_stands_for_the_signature_of_the_patient_while_it_is_in_force() {
    let mandate = Mandate { since: 1, until: Moment::MAX, ended: None };
    let of = async |cosigned_by, mandate| {
        of_record(Play { cosigned_by, authorization: Some(mandate), ..Play::default() }).await
    };
    let record = of(None, mandate).await;
    assert!(record.is_complete(), "{record:?}");
    assert_eq!(proof(&record, Step::StandingAuthorization).by, Some(Party::User(PATIENT)));
    // The own signature says more.
    let record = of(Some("patient"), mandate).await;
    assert_eq!(record.proofs[0].step, Step::Authorization);
    // It stands for no signature that somebody else made.
    let record = of(Some("thief"), mandate).await;
    only_wrong(&record, Step::Authorization, "did not make", Some(&Party::Hospital(AT)));
    for over in [
        Mandate { ended: Some(2), ..mandate },
        Mandate { until: 2, ..mandate },
        Mandate { since: Moment::MAX, ..mandate },
    ] {
        only_missing(&of(None, over).await, Step::Authorization, "no authorization in force then");
    }
}

#[tokio::test]
async fn a_call_that_another_account_signed_proves_nothing_and_accuses_nobody() {
    let other = "thief";
    let record = of_record(Play { approver: other, ..Play::default() }).await;
    only_missing(&record, Step::Receive, "no such call of it in chain block");
    let record = of_record(Play { announcer: other, ..Play::default() }).await;
    let Verdict::Missing { reason } = &proof(&record, Step::Store).verdict else {
        panic!("{record:?}")
    };
    assert!(reason.contains("no such call of it"), "{reason}");
    // The record is in the announcement.
    assert!(!proof(&record, Step::Authorization).is_proven());
    for (play, step) in [
        (Play { asker: other, ..Play::default() }, Step::Query),
        (Play { accepter: other, ..Play::default() }, Step::Accept),
        // The account that the patient has later.
        (Play { accepter: "new patient", ..Play::default() }, Step::Accept),
        (Play { mailbox: other, ..Play::default() }, Step::Transfer),
    ] {
        only_missing(&of_query(play).await, step, "no such call of it");
    }
}

#[tokio::test]
async fn a_look_is_proven_by_the_requesters_signature_and_the_hospitals_record() {
    const LOOK: Subject = Subject::Look { patient: PATIENT, number: 0 };
    let look = shown(&Play::default(), LOOK).await;
    assert!(look.is_complete(), "{look:?}");
    let (request, release) = (proof(&look, Step::Request), proof(&look, Step::Release));
    assert_eq!(request.by, Some(Party::User(REQUESTER)));
    assert_eq!(request.signer, Some(account("requester").account()));
    assert_eq!((&release.by, release.hash), (&Some(Party::Hospital(AT)), Some(GRANT)));
    assert!(look.note.is_some_and(|note| note.contains("version 2") && note.contains("studies")));
    // A hospital that records a request which the requester did not sign.
    let look = shown(&Play { requester: "thief", ..Play::default() }, LOOK).await;
    only_wrong(&look, Step::Request, "did not sign the request", Some(&Party::Hospital(AT)));
    let look = shown(&Play { releaser: "thief", ..Play::default() }, LOOK).await;
    only_missing(&look, Step::Release, "no such call of it");
}

fn opened() -> Play {
    Play { is_opened: true, ..Play::default() }
}

#[tokio::test]
async fn an_opening_is_proven_by_the_requesters_call_and_those_of_the_hospitals() {
    const OPENED: Subject = Subject::Opening(OPENING);
    let opening = shown(&opened(), OPENED).await;
    assert!(opening.is_complete() && opening.patient == PATIENT, "{opening:?}");
    let (open, hand_out) = (proof(&opening, Step::Open), proof(&opening, Step::HandOut));
    assert_eq!(open.by, Some(Party::User(REQUESTER)));
    assert_eq!(open.signer, Some(account("requester").account()));
    assert_eq!(hand_out.by, Some(Party::Hospital(OTHER)));
    assert_eq!((opening.proofs.len(), open.hash), (2, hand_out.hash));
    assert_eq!(opening.note.as_deref(), Some("by the standing consents of slots 0,2"));

    for (play, step) in [
        (Play { opener: "thief", ..opened() }, Step::Open),
        (Play { hander: "thief", ..opened() }, Step::HandOut),
    ] {
        only_missing(&shown(&play, OPENED).await, step, "no such call of it");
    }
    let late = |handed_out: &mut HandedOut| handed_out.block -= 2;
    let opening = shown(&Play { parted: late, ..opened() }, OPENED).await;
    let proof = proof(&opening, Step::HandOut);
    assert!(matches!(proof.verdict, Verdict::Wrong { .. }), "{proof:?}");
}

#[tokio::test]
async fn all_of_a_patient_includes_what_the_hospitals_opened() {
    let chain = played(&opened()).await;
    let Made { verified, .. } = make(&chain, Scope::Patient(PATIENT), &|_, _| {}).await.unwrap();
    let subjects: Vec<_> = verified.transactions.iter().map(|it| it.subject).collect();
    assert!(subjects.contains(&Subject::Opening(OPENING)), "{subjects:?}");
    assert_eq!(subjects.len(), 5);
    let refused = make(&chain, chosen(&[Subject::Opening(OpeningId(1))]), &|_, _| {}).await;
    assert!(matches!(refused, Err(EvidenceError::Unknown(Subject::Opening(_)))));
}

#[tokio::test]
async fn openings_are_read_by_proofs_of_patient_requester_and_hospitals() {
    let chain = played(&opened()).await;
    let state = chain.finalized().await.unwrap();
    let opening = state.opening(OPENING).await.unwrap().unwrap();
    let of_patient = state.openings_of_patient(PATIENT, None, 9).await.unwrap();
    assert_eq!(of_patient, [(0_u32, OPENING, opening.clone())]);
    let of_requester = state.openings_of_requester(REQUESTER, None, 9).await.unwrap();
    assert_eq!(of_requester, [(0_u32, OPENING, opening)]);
    assert!(state.openings_of_patient(REQUESTER, None, 9).await.unwrap().is_empty());
    assert!(state.openings_of_patient(PATIENT, Some(0), 9).await.unwrap().is_empty());
    let handed_out = state.handed_out_by(OPENING, OTHER).await.unwrap().unwrap();
    assert_eq!(state.handed_out(OPENING).await.unwrap(), [(OTHER, handed_out)]);
    assert_eq!(state.handed_out_by(OPENING, AT).await.unwrap(), None);
    assert_eq!(state.opening(OpeningId(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_signature_for_another_runtime_does_not_count_and_accuses_nobody() {
    let query = of_query(Play { spec_version: BUILT.0 + 1, ..Play::default() }).await;
    assert!(query.is_sound());
    for proof in &query.proofs {
        let Verdict::Missing { reason } = &proof.verdict else { panic!("{query:?}") };
        assert!(reason.contains("does not verify"), "{reason}");
    }
}

#[tokio::test]
async fn what_the_chain_does_not_have_is_not_made_into_evidence() {
    let chain = played(&Play::default()).await;
    for subject in [
        Subject::Query(QueryId(9)),
        Subject::Record(RecordPointer { height: 1, index: 1 }),
        Subject::Record(RecordPointer { height: 9, index: 0 }),
        Subject::Look { patient: PATIENT, number: 1 },
    ] {
        let refused = make(&chain, chosen(&[subject]), &|_, _| {}).await.unwrap_err();
        assert!(matches!(refused, EvidenceError::Unknown(it) if it == subject), "{refused}");
    }
    let nothing = Scope::chosen(BTreeSet::new()).unwrap_err();
    assert!(matches!(nothing, EvidenceError::Nothing), "{nothing}");
    let many = (0..=MAX_SUBJECTS).map(|id| Subject::Query(QueryId(id))).collect();
    let refused = Scope::chosen(many).unwrap_err();
    assert!(matches!(refused, EvidenceError::TooMany { .. }), "{refused}");
    let nothing = make(&chain, Scope::Patient(REQUESTER), &|_, _| {}).await.unwrap_err();
    assert!(matches!(nothing, EvidenceError::Nothing), "{nothing}");
}

#[tokio::test]
async fn evidence_of_another_chain_or_about_something_else_is_refused() {
    let chain = played(&Play::default()).await;
    let genesis = chain.genesis_hash();
    let file = made(&chain, &[Subject::Query(QUERY)]).await.file;
    let other = Hash::repeat_byte(7);
    let refused = verify(&file, other).unwrap_err();
    assert!(matches!(refused, Flaw::OtherChain { .. }), "{refused}");

    let changed = |change: fn(&mut Bundle)| {
        let mut bundle = decode(&file).unwrap();
        change(&mut bundle);
        verify(&bundle.to_file(), bundle.genesis)
    };
    let refused = changed(|bundle| bundle.genesis = Hash::repeat_byte(7)).unwrap_err();
    assert!(
        matches!(refused, Flaw::Unproven(ProofFault::Genesis(GenesisError::OtherChain { .. }))),
        "{refused}"
    );
    // The file proves nothing about another query or a record, not even that the chain has it.
    for subject in [Subject::Query(UNANSWERED), Subject::Record(RECORD)] {
        let mut bundle = decode(&file).unwrap();
        bundle.scope = chosen(&[subject]);
        let refused = verify(&bundle.to_file(), genesis).unwrap_err();
        assert!(matches!(refused, Flaw::Unproven(_)), "{refused}");
    }
    for subjects in [vec![], vec![Subject::Query(QUERY); 2]] {
        let mut bundle = decode(&file).unwrap();
        bundle.scope = Scope::Chosen(subjects.try_into().unwrap());
        let refused = verify(&bundle.to_file(), genesis).unwrap_err();
        assert!(matches!(refused, Flaw::Malformed(_)), "{refused}");
    }
}

#[tokio::test]
async fn a_call_that_the_file_leaves_out_is_missing_and_a_call_of_another_block_is_no_proof() {
    let chain = played(&Play::default()).await;
    let file = made(&chain, &[Subject::Query(QUERY)]).await.file;
    let genesis = chain.genesis_hash();
    let whole = decode(&file).unwrap();
    for left_out in 0..whole.sent.len() {
        let mut bundle = whole.clone();
        bundle.sent.remove(left_out);
        let query = verify(&bundle.to_file(), genesis).unwrap().transactions.remove(0);
        assert!(!query.is_complete() && query.is_sound(), "{query:?}");
        let missing = query.proofs.iter().filter(|proof| !proof.is_proven()).count();
        assert_eq!(missing, 1, "{query:?}");
    }
}

#[tokio::test]
async fn a_damaged_file_shows_nothing_that_is_not_true() {
    let chain = played(&Play::default()).await;
    let genesis = chain.genesis_hash();
    let look = Subject::Look { patient: PATIENT, number: 0 };
    let subjects = [Subject::Record(RECORD), Subject::Query(QUERY), look];
    let Made { file, verified } = made(&chain, &subjects).await;
    for length in (0..file.len()).step_by(61).chain([file.len() - 1]) {
        let flaw = verify(&file[..length], genesis).unwrap_err();
        match length < MAGIC.len() {
            true => assert!(matches!(flaw, Flaw::NotEvidence), "{length}: {flaw}"),
            false => assert!(matches!(flaw, Flaw::Malformed(_)), "{length}: {flaw}"),
        }
    }
    for at in (0..file.len()).step_by(61).chain([file.len() - 1]) {
        let mut changed = file.clone();
        changed[at] ^= 0x80;
        // A changed file is refused, or proves less, or says the same.
        let Ok(found) = verify(&changed, genesis) else { continue };
        let pairs = found.transactions.iter().zip(&verified.transactions);
        for (found, truth) in pairs {
            assert_eq!(found.subject, truth.subject, "byte {at}");
            for (found, truth) in found.proofs.iter().zip(&truth.proofs) {
                assert!(found == truth || !found.is_proven(), "byte {at}: {found:?}");
                let accuses = matches!(&found.verdict, Verdict::Wrong { culprit: Some(_), .. });
                assert!(!accuses, "byte {at}: {found:?}");
            }
        }
    }
    let longer = [&file[..], &[0]].concat();
    assert!(matches!(verify(&longer, genesis).unwrap_err(), Flaw::Malformed(_)));
    // Only the genesis hash is read of it.
    assert_eq!(claimed_genesis(&file[..MAGIC.len() + 33]).unwrap(), genesis);
    let newer = [&MAGIC[..], &[2], &file[MAGIC.len() + 1..]].concat();
    assert!(matches!(verify(&newer, genesis).unwrap_err(), Flaw::Format(2)));
    let oversized = vec![FORMAT; MAX_FILE_BYTES as usize + 1];
    assert!(matches!(verify(&oversized, genesis).unwrap_err(), Flaw::TooLarge));
    let changed = [&b"\x8aEVIDNC\r\n"[..], &file[MAGIC.len()..]].concat();
    for other in [b"%PDF-1.7".as_slice(), b"", b"\x8aEPIONE\n\x01", &file[1..], &changed] {
        assert!(matches!(verify(other, genesis).unwrap_err(), Flaw::NotEvidence));
        assert!(matches!(claimed_genesis(other).unwrap_err(), Flaw::NotEvidence));
    }
}

#[tokio::test]
async fn the_requested_blocks_are_counted_and_the_file_is_read_within_its_limit() {
    let chain = played(&Play::default()).await;
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |block: usize, of: usize| seen.lock().unwrap().push((block, of));
    let file = make(&chain, chosen(&[Subject::Record(RECORD)]), &progress).await.unwrap().file;
    let seen = seen.into_inner().unwrap();
    assert!(!seen.is_empty());
    let blocks = seen.len();
    assert_eq!(seen, (1..=blocks).map(|block| (block, blocks)).collect::<Vec<_>>());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence.epione");
    std::fs::write(&path, &file).unwrap();
    assert_eq!(read(&path).unwrap(), file);
    assert!(matches!(read(folder.path()).unwrap_err(), Flaw::NotFile { .. }));
    assert!(matches!(read(&folder.path().join("absent")).unwrap_err(), Flaw::File { .. }));
}

/// Where the vector for other implementations is.
const VECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/evidence.json");

/// Evidence about a record, a query and a look, which every later version must accept.
#[tokio::test]
async fn the_committed_evidence_is_accepted() {
    if std::env::var_os("EPIONE_WRITE_VECTORS").is_some() {
        let chain = played(&Play::default()).await;
        let look = Subject::Look { patient: PATIENT, number: 0 };
        let subjects = [Subject::Record(RECORD), Subject::Query(QUERY), look];
        let Made { file, verified } = made(&chain, &subjects).await;
        let vector = serde_json::json!({
            "genesis": verified.genesis,
            "proven_at": verified.proven_at,
            "transactions": verified.transactions,
            "file": hex::encode(file),
        });
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")).unwrap();
        std::fs::write(VECTOR, format!("{vector:#}\n")).unwrap();
    }
    let vector = std::fs::read_to_string(VECTOR).unwrap();
    let vector: serde_json::Value = serde_json::from_str(&vector).unwrap();
    let genesis: Hash = serde_json::from_value(vector["genesis"].clone()).unwrap();
    let file = hex::decode(vector["file"].as_str().unwrap()).unwrap();
    let verified = verify(&file, genesis).unwrap();
    assert!(verified.transactions.iter().all(Transaction::is_complete), "{verified:?}");
    assert_eq!(serde_json::json!(verified.proven_at), vector["proven_at"]);
    assert_eq!(serde_json::json!(verified.transactions), vector["transactions"]);
    assert_eq!(decode(&file).unwrap().to_file(), file);
}
