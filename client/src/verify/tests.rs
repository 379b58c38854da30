use epione_envelope::{
    account::Signer,
    body::{BodyBuilder, Packed},
    development,
    keys::PatientKeys,
    record::{Description, Draft, SectionKind, SignedDraft},
    record_sealer::RecordSealer,
};
use epione_primitives::{
    AnnouncementId, HospitalId, UserId,
    approval::{Approval, RejectReason},
    block::SignedAt,
    limits::MAX_SIGNING_AGE_BLOCKS,
    profile::Role,
};

use super::*;
use crate::{
    Account,
    chain::{Member, SignedCall},
};

const GENESIS: Hash = Hash::repeat_byte(1);
const HOSPITAL: HospitalId = HospitalId(0);
const DOCTOR: UserId = UserId([99; 32]);
const NURSE: UserId = UserId([98; 32]);

fn patient(byte: u8) -> UserId {
    UserId([byte; 32])
}

/// Adds signatures to the author's.
type Sign = fn(SignedDraft) -> SignedDraft;

/// A sealed record of one text and three KiB of media, and the segments of the media.
fn record(of: UserId) -> (Record, Vec<Bytes>) {
    record_of(of, |draft| draft, |signed| signed)
}

/// As [`record`], after changes before and after its author signs.
fn record_of(of: UserId, change: impl Fn(Draft) -> Draft, also_sign: Sign) -> (Record, Vec<Bytes>) {
    let doctor = development::keys("//Doctor").unwrap();
    let media = vec![7; 3_000];
    let sections = vec![
        Description::of(SectionKind::Summary, "text/plain", "", b"all well").unwrap(),
        Description::of(SectionKind::Media, "application/dicom", "", &media).unwrap(),
    ];
    let draft = Draft::new(of, HOSPITAL, DOCTOR, SignedAt::default(), sections).unwrap();
    let signed = also_sign(change(draft).sign(GENESIS, &doctor));
    let keys = PatientKeys::generate();
    let mut sealer = RecordSealer::new(GENESIS, signed, &doctor.account(), &keys).unwrap();
    sealer.seal_text(0, b"all well").unwrap();
    let mut sealing = sealer.start_media(1).unwrap();
    let mut parts = sealing.push(&media).unwrap();
    parts.extend(sealer.end_media(sealing).unwrap());
    let segment: Vec<u8> = parts.into_iter().flat_map(|part| part.bytes).collect();
    (sealer.finish().unwrap(), vec![segment.into()])
}

fn account(uri: &str) -> Account {
    Account::development(uri).unwrap()
}

fn member(uri: &str, role: Role) -> Option<Member> {
    Some(Member { account: account(uri).id(), role })
}

/// Doctor, nurse and patient as the chain knew them when the records were signed.
fn signers() -> Signers {
    Signers {
        author: member("//Doctor", Role::Doctor),
        nurse: member("//Nurse", Role::Nurse),
        patient: member("//Patient", Role::Patient),
    }
}

fn agent(of: HospitalId) -> Account {
    Account::development(["//Alice", "//Bob", "//Charlie", "//Dave"][usize::from(of.0)]).unwrap()
}

/// A hospital's call in a transaction of this chain block.
fn statement(hospital: HospitalId, block: u32) -> Statement {
    let payload = vec![hospital.0 as u8; 100];
    let agent = agent(hospital);
    let (signer, signature) = (agent.id(), agent.sign(&payload));
    let found = vec![SignedCall { signer, signature, payload }];
    Statement { hospital, block, agents: vec![agent.id()], found }
}

/// A committed block of height 2: two records of one patient, who has one in block 1, and one of
/// another.
pub(super) fn block() -> (Evidence, Vec<Bytes>) {
    block_of(record)
}

/// As [`block`], of records that this makes.
fn block_of(record: impl Fn(UserId) -> (Record, Vec<Bytes>)) -> (Evidence, Vec<Bytes>) {
    let mut builder = BodyBuilder::new(HOSPITAL);
    let mut media = Vec::new();
    for of in [patient(1), patient(2), patient(1)] {
        let (record, segments) = record(of);
        builder.push(&record).unwrap();
        media.extend(segments);
    }
    let Packed { header: announced, entries, body } = builder.finish().unwrap();
    let earlier = RecordPointer { height: 1, index: 0 };
    let within = RecordPointer { height: 2, index: 0 };
    let announced_entries = entries.to_vec();
    let entries: Vec<Entry> = announced_entries
        .iter()
        .zip([Some(earlier), None, Some(within)])
        .map(|(entry, previous)| Entry {
            record: entry.record,
            hash: entry.hash,
            patient: entry.patient,
            text: entry.text,
            media: entry.media,
            previous,
        })
        .collect();
    let before = BlockHashes { lite: Hash::repeat_byte(2), cloud: Hash::repeat_byte(3) };
    let header = Header {
        height: 2,
        previous_lite: before.lite,
        previous_cloud: before.cloud,
        announcer: HOSPITAL,
        announcement: AnnouncementId(5),
        time: 1,
        records: 3,
        body_hash: BlakeTwo256::hash(&body),
        body_bytes: body.len() as u32,
        segments: announced.segments,
    };
    let lite = header.lite_hash(&entries);
    let approvals = [(HospitalId(3), 8), (HospitalId(1), 9)];
    let evidence = Evidence {
        genesis: GENESIS,
        height: 2,
        hashes: BlockHashes { lite, cloud: cloud_hash(lite, header.segments.root) },
        previous: Some(before),
        earlier: BTreeMap::from([(earlier, Entry { previous: None, ..entries[0].clone() })]),
        announcement: Some(Announcement {
            announcer: HOSPITAL,
            body_hash: header.body_hash,
            body_bytes: header.body_bytes,
            records: 3,
            segments: header.segments,
            announced_at: 7,
            stage: Stage::Committed { height: 2 },
        }),
        signers: vec![Some(signers()); 3],
        statements: Statements {
            announced: Some(statement(HOSPITAL, 7)),
            approved: approvals.map(|(hospital, block)| statement(hospital, block)).to_vec(),
        },
        ballot: Some(Ballot {
            subject: announced.subject(&announced_entries, header.body_hash),
            opener: HOSPITAL,
            electorate: (0..4).map(HospitalId).collect::<Vec<_>>().try_into().unwrap(),
            approvals: approvals
                .map(|(hospital, block)| Approval { hospital, block })
                .to_vec()
                .try_into()
                .unwrap(),
            rejections: vec![(HospitalId(2), RejectReason::SegmentMissing)].try_into().unwrap(),
            deadline: 207,
            outcome: Some(BallotOutcome::Approved),
        }),
        body: Some(body),
        header,
        entries,
    };
    (evidence, media)
}

fn failures(evidence: &Evidence) -> Vec<String> {
    let report = check(evidence);
    report.checks.into_iter().filter(|check| !check.passed).map(|check| check.name).collect()
}

#[test]
fn a_committed_block_passes_every_check() {
    let (evidence, _) = block();
    let report = check(&evidence);
    assert!(report.passed(), "{report:#?}");
    assert!(report.checks.len() >= 12);
}

#[test]
fn a_first_block_has_no_previous_block() {
    let (mut evidence, _) = block();
    evidence.height = 1;
    evidence.header.height = 1;
    evidence.previous = None;
    let failed = failures(&evidence);
    assert!(failed.contains(&"previous lite hash".into()), "{failed:?}");

    evidence.header.previous_lite = Hash::zero();
    evidence.header.previous_cloud = Hash::zero();
    let failed = failures(&evidence);
    assert!(!failed.contains(&"previous lite hash".into()), "{failed:?}");
}

#[test]
fn each_alteration_fails_its_own_check() {
    type Tamper = fn(&mut Evidence);
    let cases: [(&str, Tamper); 19] = [
        ("height", |it| it.header.height = 3),
        ("record count", |it| it.header.records = 2),
        ("lite hash", |it| it.header.time += 1),
        ("lite hash", |it| it.entries[1].patient = patient(3)),
        ("cloud hash", |it| it.hashes.cloud = Hash::zero()),
        ("previous lite hash", |it| it.header.previous_lite = Hash::zero()),
        ("previous cloud hash", |it| it.header.previous_cloud = Hash::zero()),
        ("previous block", |it| it.previous = None),
        ("previous records", |it| it.entries[2].previous = None),
        ("previous records", |it| it.earlier.clear()),
        ("previous records", |it| {
            it.entries[1].previous = Some(RecordPointer { height: 1, index: 0 });
        }),
        ("body hash", |it| it.body.as_mut().unwrap()[10] ^= 1),
        ("body hash", |it| it.body = None),
        ("records", |it| it.entries[1].hash = Hash::zero()),
        ("segments", |it| it.header.segments.root = Hash::zero()),
        ("announcement", |it| it.announcement.as_mut().unwrap().body_hash = Hash::zero()),
        ("ballot's subject", |it| it.ballot.as_mut().unwrap().subject = Hash::zero()),
        ("ballot's subject", |it| it.entries[1].text.offset += 1),
        ("announcement's stage", |it| it.announcement.as_mut().unwrap().stage = Stage::Rejected),
    ];
    for (expected, tamper) in cases {
        let (mut evidence, _) = block();
        tamper(&mut evidence);
        let failed = failures(&evidence);
        assert!(failed.contains(&expected.into()), "{expected}: {failed:?}");
    }
}

const SIGNATURES: [&str; 3] =
    ["signatures of record 2/0", "signatures of record 2/1", "signatures of record 2/2"];

#[test]
fn a_record_without_a_permitted_signer_fails_its_own_check() {
    type Tamper = fn(&mut Option<Signers>);
    let cases: [(Tamper, &str); 5] = [
        (|it| it.as_mut().unwrap().author = None, "was not a doctor or nurse"),
        (
            |it| it.as_mut().unwrap().author = member("//Doctor", Role::Researcher),
            "was not a doctor or nurse",
        ),
        // Another account than the one with which it was signed.
        (|it| it.as_mut().unwrap().author = member("//Nurse", Role::Doctor), "did not sign it"),
        (|it| it.as_mut().unwrap().patient = None, "registration of its patient"),
        // The block that it names is of a fork.
        (|it| *it = None, "the chain has no such block"),
    ];
    for (tamper, said) in cases {
        let (mut evidence, _) = block();
        tamper(&mut evidence.signers[1]);
        assert_eq!(failures(&evidence), [SIGNATURES[1]], "{said}");
        let found = check(&evidence).check(SIGNATURES[1]).unwrap().found.clone().unwrap();
        assert!(found.contains(said), "{found}");
    }
    let (mut evidence, _) = block();
    evidence.signers.clear();
    assert_eq!(failures(&evidence), SIGNATURES);
}

#[test]
fn a_signature_that_the_patient_did_not_make_fails_its_own_check() {
    let cosigned = |also_sign: Sign| block_of(|of| record_of(of, |draft| draft, also_sign)).0;
    let by_patient: Sign = |it| it.cosign(GENESIS, &account("//Patient"));
    let by_forger: Sign = |it| it.cosign(GENESIS, &account("//Forger"));
    assert!(check(&cosigned(by_patient)).passed());
    assert_eq!(failures(&cosigned(by_forger)), SIGNATURES);
}

#[test]
fn a_signature_that_the_nurse_did_not_make_fails_its_own_check() {
    let nursed = |also_sign: Sign| {
        block_of(|of| record_of(of, |draft| draft.with_nurse(NURSE), also_sign)).0
    };
    let by_nurse: Sign = |it| it.sign_as_nurse(GENESIS, &account("//Nurse"));
    let by_forger: Sign = |it| it.sign_as_nurse(GENESIS, &account("//Forger"));
    assert!(check(&nursed(by_nurse)).passed());
    assert_eq!(failures(&nursed(by_forger)), SIGNATURES);
    for nurse in [None, member("//Nurse", Role::Doctor)] {
        let mut evidence = nursed(by_nurse);
        evidence.signers[0].as_mut().unwrap().nurse = nurse;
        assert_eq!(failures(&evidence), [SIGNATURES[0]]);
    }
}

#[test]
fn records_that_were_announced_before_or_long_after_they_were_signed_fail_their_checks() {
    let signed_at = SignedAt { number: 8, ..SignedAt::default() };
    let record = |of| record_of(of, |draft| Draft { signed_at, ..draft }, |signed| signed);
    let (evidence, _) = block_of(record);
    assert_eq!(failures(&evidence), SIGNATURES);

    for (age, in_time) in [(MAX_SIGNING_AGE_BLOCKS, true), (MAX_SIGNING_AGE_BLOCKS + 1, false)] {
        let (mut evidence, _) = block();
        evidence.announcement.as_mut().unwrap().announced_at = age;
        assert_eq!(failures(&evidence).is_empty(), in_time, "{age}");
    }
}

#[test]
fn a_ballot_that_should_not_have_passed_fails_the_check() {
    type Tamper = fn(&mut Ballot);
    let cases: [Tamper; 5] = [
        |ballot| ballot.approvals.truncate(1),
        |ballot| ballot.approvals[1] = ballot.approvals[0],
        |ballot| ballot.approvals[1].hospital = ballot.opener,
        |ballot| ballot.approvals[1].hospital = HospitalId(9),
        |ballot| ballot.outcome = Some(BallotOutcome::Expired),
    ];
    for tamper in cases {
        let (mut evidence, _) = block();
        tamper(evidence.ballot.as_mut().unwrap());
        assert_eq!(failures(&evidence)[0], "approvals");
    }
}

#[test]
fn an_altered_missing_or_foreign_vote_fails_its_own_check() {
    type Tamper = fn(&mut Statement);
    let cases: [(Tamper, &str); 7] = [
        (|vote| vote.found.clear(), "does not contain it"),
        (|vote| vote.found[0].payload[0] ^= 1, "did not make"),
        (|vote| vote.found[0].signature = agent(HOSPITAL).sign(b"another call"), "did not make"),
        // Signed by another hospital's agent, also in the agent's name.
        (|vote| vote.found = statement(HospitalId(2), 9).found, "but the hospital's agent was"),
        (
            |vote| {
                let payload = &vote.found[0].payload;
                vote.found[0].signature = agent(HospitalId(2)).sign(payload);
            },
            "did not make",
        ),
        // By an account that was the agent at another time.
        (|vote| vote.agents = vec![agent(HospitalId(2)).id()], "but the hospital's agent was"),
        (|vote| vote.agents.clear(), "there was no hospital 1"),
    ];
    for (tamper, said) in cases {
        let (mut evidence, _) = block();
        tamper(&mut evidence.statements.approved[1]);
        assert_eq!(failures(&evidence), ["signature of hospital 1"]);
        let report = check(&evidence);
        let found = report.check("signature of hospital 1").unwrap().found.clone().unwrap();
        assert!(found.contains(said), "{found}");
    }
}

#[test]
fn a_vote_that_is_only_in_the_ballot_fails_its_own_check() {
    let (mut evidence, _) = block();
    evidence.statements.approved.remove(0);
    assert_eq!(failures(&evidence), ["signature of hospital 3"]);
    // A vote in another chain block than the ballot names is not the vote.
    let (mut evidence, _) = block();
    evidence.statements.approved[0].block += 1;
    assert_eq!(failures(&evidence), ["signature of hospital 3"]);
}

#[test]
fn among_transactions_with_the_same_call_the_agent_s_own_one_counts() {
    let (mut evidence, _) = block();
    let foreign = statement(HospitalId(2), 9).found;
    let votes = &mut evidence.statements.approved[1].found;
    votes.splice(0..0, foreign);
    assert_eq!(votes.len(), 2);
    assert!(check(&evidence).passed());
}

#[test]
fn a_vote_in_the_block_in_which_the_hospital_rotates_its_accounts_counts() {
    let other = agent(HospitalId(2)).id();
    for agents in [[agent(HospitalId(1)).id(), other.clone()], [other, agent(HospitalId(1)).id()]] {
        let (mut evidence, _) = block();
        evidence.statements.approved[1].agents = agents.to_vec();
        assert!(check(&evidence).passed());
        // An account that is neither the agent before nor after the block.
        evidence.statements.approved[1].found = statement(HospitalId(3), 9).found;
        assert_eq!(failures(&evidence), ["signature of hospital 1"]);
    }
}

#[test]
fn an_announcement_that_the_hospital_did_not_sign_fails_its_own_check() {
    let (mut evidence, _) = block();
    evidence.statements.announced.as_mut().unwrap().found = statement(HospitalId(1), 7).found;
    assert_eq!(failures(&evidence), ["announcer's signature"]);
    evidence.statements.announced = None;
    assert_eq!(failures(&evidence), ["announcer's signature"]);
}

#[test]
fn a_failed_check_has_the_expected_and_the_found_value() {
    let (mut evidence, _) = block();
    evidence.header.records = 9;
    let report = check(&evidence);
    let failed = report.check("record count").unwrap();
    assert_eq!((failed.expected.as_deref(), failed.found.as_deref()), (Some("3"), Some("9")));
    let json = serde_json::to_string(report.check("previous records").unwrap()).unwrap();
    assert_eq!(json, r#"{"name":"previous records","passed":true}"#);
}

#[tokio::test]
async fn every_segment_is_fetched_and_its_bytes_are_checked() {
    let (evidence, mut media) = block();
    let wanted = segments(&evidence).unwrap();
    assert_eq!(wanted.len(), 3);
    media[1] = Bytes::from_static(b"something else");

    let mut report = Verification { height: 2, checks: Vec::new() };
    let mut at = media.into_iter();
    check_segments(&mut report, &wanted, |_| {
        let next = at.next();
        async move { next.ok_or("gone") }
    })
    .await;

    let passed: Vec<bool> = report.checks.iter().map(|check| check.passed).collect();
    assert_eq!(passed, [true, false, true]);
}

#[test]
fn without_a_body_there_is_no_list_of_segments() {
    let (mut evidence, _) = block();
    evidence.body = None;
    assert!(matches!(segments(&evidence), Err(VerifyError::NoBody)));
}
