//! Arguments and words of `epione council`.

use clap::Parser;
use epione_client::{
    application::{Application, Consents, SessionPair, Signers, Statement},
    chain::{BlockRef, Motion},
    council::Proposal,
    signer::Account,
};
use epione_envelope::{
    account::{AccountKey, Scheme},
    keystore::ActorKeys,
    sealing_keys::SealingSuite,
    tls,
};
use epione_primitives::{
    AccountId, HospitalId, UserId,
    consortium::{Schedule, Seats},
    hospital::{Duty, Hospital, HospitalStatus, Replacement},
    naming::{NamedAccount, Naming},
    quota::Limits,
};
use serde_json::json;

use super::{sentence::Sentence, state::Council, *};
use crate::{commands::hospital::AccountConsent, context::Common, identity};

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn parse(words: &[&str]) -> Result<Command, clap::Error> {
    let line = ["council"].iter().chain(words).copied();
    Line::try_parse_from(line).map(|line| line.command)
}

const HASH: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

#[test]
fn only_lists_change_nothing() {
    for (words, reads) in [
        (&["list"][..], true),
        (&["list", "--era-from", "best"], true),
        (&["show", "3"], true),
        (&["show", HASH], true),
        (&["vote", "3", "--approve"], false),
        (&["vote", HASH, "--reject", "--as", "governance.json", "--yes"], false),
        (&["close", "3", "--hospital", "Alice"], false),
        (&["apply-upgrade", "runtime.wasm"], false),
        (&["complete-replacement", "3", "--as", "governance.json"], false),
        (&["object-to-replacement", "--yes"], false),
        (&["propose", "suspend", "1", "--as", "governance.json", "--yes"], false),
        (&["propose", "--as", "governance.json", "suspend", "1"], false),
        (&["propose", "reinstate", "Bob", "--era-from", "best"], false),
        (&["propose", "custodian", "appoint", "--departed", "3", "--custodian", "1"], false),
        (&["propose", "consortium-key", "seat", "0", "1", "2"], false),
        (&["propose", "consortium-key", "seat", "--all"], false),
        (&["propose", "consortium-key", "schedule", "--phase", "20", "--refresh", "900"], false),
        (&["propose", "upgrade", "--hash", HASH], false),
        (&["propose", "set-quotas", "--set", "records.account.bytes=1"], false),
        (&["propose", "note-stalled", "--delay", "40", "--block", "700"], false),
        (&["propose", "kill", "3"], false),
    ] {
        assert_eq!(parse(words).unwrap().is_reading(), reads, "{words:?}");
    }
    for wrong in [
        &[][..],
        &["vote", "3"],
        &["vote", "3", "--approve", "--reject"],
        &["vote", "three", "--approve"],
        &["show", "0x11"],
        &["close"],
        &["complete-replacement"],
        &["object-to-replacement", "3"],
        &["list", "--era-from", "worst"],
        &["propose"],
        &["propose", "suspend"],
        &["propose", "consortium-key", "seat"],
        &["propose", "consortium-key", "seat", "1", "--all"],
        &["propose", "upgrade"],
        &["propose", "upgrade", "--hash", HASH, "--code", "runtime.wasm"],
        &["propose", "name-attribute", "Cardiology"],
        &["propose", "set-quotas"],
        &["propose", "set-quotas", "--set", "records.account.bytes"],
        &["propose", "admit"],
        &["propose", "admit", "--name", "St. Mary"],
        &["propose", "admit", "--name", "St. Mary", "--application", "application.json"],
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn an_application_is_enough_to_admit_a_hospital() {
    let words = ["propose", "admit", "--application", "application.json"];
    let Ok(Command::Propose(args)) = parse(&words) else { panic!("{words:?}") };
    let What::Admit(admit) = &args.what else { panic!("{:?}", args.what) };
    assert_eq!(admit.application, Some("application.json".into()));
    assert!(admit.described.name.is_none() && admit.described.sealing_key.is_none());
}

#[test]
fn options_of_the_signer_count_wherever_they_are() {
    for words in [
        &["propose", "suspend", "1", "--as", "g.json", "--era-from", "best", "--yes"][..],
        &["propose", "--as", "g.json", "--era-from", "best", "--yes", "suspend", "1"],
    ] {
        let Ok(Command::Propose(args)) = parse(words) else { panic!("{words:?}") };
        assert_eq!(args.signing.signer, Some(KeySource::File("g.json".into())), "{words:?}");
        assert!(args.signing.era.era_from == EraFrom::Best && args.signing.yes, "{words:?}");
    }
}

#[test]
fn blocks_that_are_not_final_need_a_node_that_the_user_trusts() {
    let best = Era { era_from: EraFrom::Best };
    let refused = best.birth(&Context::new(Common::default())).unwrap_err();
    assert!(refused.help.contains("--trust-node"), "{refused}");
    let trusting = Context::new(Common { trust_node: true, ..Common::default() });
    assert_eq!(best.birth(&trusting).unwrap(), Birth::Best);
    let usual = Era::default().birth(&Context::new(Common::default()));
    assert_eq!(usual.unwrap(), Birth::Finalized);
}

#[test]
fn the_next_command_is_of_the_same_member_and_era() {
    let context = Context::new(Common { trust_node: true, ..Common::default() });
    let signing = Signing {
        signer: Some(KeySource::File("my keys.json".into())),
        own: Some(HospitalRef::Id(HospitalId(2))),
        era: Era { era_from: EraFrom::Best },
        yes: true,
    };
    assert_eq!(
        signing.next(&["council", "close", "3"], &context).to_string(),
        "epione council close 3 --trust-node --era-from best --as 'my keys.json' --hospital 2"
    );
    let context = Context::new(Common::default());
    let shown = Era::default().show(3, &context).to_string();
    assert_eq!(shown, "epione council show 3");
}

/// The account of a development key.
fn account(seed: &str) -> Account {
    identity::account(&identity::development_keys(seed).unwrap())
}

/// Four hospitals in the council of block 100, and a motion with these votes.
fn council(proposal: &Proposal, ayes: &[&str], nays: &[&str]) -> Council {
    let seeds = ["//Alice", "//Bob", "//Charlie", "//Dave"];
    let hospital = |seed: &str| Hospital {
        name: seed.trim_start_matches('/').as_bytes().to_vec().try_into().unwrap(),
        governance: account(seed).id(),
        agent: account(&format!("{seed}//agent")).id(),
        worker_url: Default::default(),
        sealing_key: Default::default(),
        tls_key: [0; 32],
        storage_origin: None,
        status: HospitalStatus::Active,
    };
    let ids = |seeds: &[&str]| seeds.iter().map(|seed| account(seed).id()).collect::<Vec<_>>();
    let motion = Motion {
        hash: Hash::repeat_byte(9),
        number: 3,
        threshold: 3,
        ayes: ids(ayes),
        nays: ids(nays),
        end: 140,
        proposer: Some((account("//Alice").id(), HospitalId(0))),
        call: proposal.encode(),
    };
    Council {
        at: BlockRef { hash: Hash::zero(), number: 100 },
        now: 0,
        genesis: Hash::repeat_byte(1),
        members: ids(&seeds),
        motions: vec![motion],
        hospitals: (0..).map(HospitalId).zip(seeds.map(hospital)).collect(),
        limits: Limits::USUAL,
    }
}

const SUSPEND: Proposal = Proposal::Suspend { hospital: HospitalId(1) };

#[test]
fn a_motion_says_what_it_does_who_voted_and_what_is_missing() {
    let council = council(&SUSPEND, &["//Alice"], &["//Dave"]);
    let shown = Shown::of(&council.motions[0], &council);
    let said = shown.to_string();
    for part in [
        "motion 3, proposed by hospital 0 (Alice): suspend hospital 1 (Bob)",
        "for: Alice (0); against: Dave (3); no vote yet: Bob (1), Charlie (2)",
        "1 of 3 votes that it needs, of 4 members; 2 votes for it missing; it is open until block 140",
        "40 blocks, about 2 minutes",
        "its accounts are refused",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(json["call"]["call"], "suspend");
    assert_eq!(json["call"]["arguments"]["hospital"], 1);
    assert_eq!((&json["standing"], &json["missing"]), (&json!("open"), &json!(2)));
    assert_eq!(json["encoded"], "0x06010100");
    assert_eq!(json["endsAt"], 40 * 3_000);
    assert!(json.get("proposedBy").is_none());
}

#[test]
fn a_motion_that_can_be_closed_says_so() {
    let all = ["//Alice", "//Bob", "//Charlie"];
    let approved = council(&SUSPEND, &all, &[]);
    let said = Shown::of(&approved.motions[0], &approved).to_string();
    assert!(said.contains("it can be closed, which dispatches its call"), "{said}");
    let rejected = council(&SUSPEND, &[], &all);
    let said = Shown::of(&rejected.motions[0], &rejected).to_string();
    assert!(said.contains("cannot get enough votes"), "{said}");
}

#[test]
fn the_name_of_a_hospital_does_not_go_on_with_the_sentence() {
    let mut council = council(&Proposal::Remove { hospital: HospitalId(3) }, &["//Dave"], &[]);
    let name = b"Eve), Alice (0), hospital 2 (Charlie".to_vec();
    council.hospitals[3].1.name = name.try_into().unwrap();
    let shown = Shown::of(&council.motions[0], &council);
    let said = shown.to_string();
    for part in [
        "remove hospital 3 (\"Eve), Alice (0), hospital 2 (Charlie\") FOR EVER",
        "for: \"Eve), Alice (0), hospital 2 (Charlie\" (3); against",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // A program reads the name as it is.
    assert_eq!(shown.ayes[0].name.as_deref(), Some("Eve), Alice (0), hospital 2 (Charlie"));
    council.hospitals[3].1.name = "Hôpital St. Mary".as_bytes().to_vec().try_into().unwrap();
    assert_eq!(council.hospital(HospitalId(3)), "hospital 3 (Hôpital St. Mary)");
}

#[test]
fn the_account_of_a_former_member_is_shown_as_it_is() {
    let mut council = council(&SUSPEND, &["//Alice"], &[]);
    let former = AccountId::new([7; 32]);
    council.motions[0].ayes.push(former.clone());
    let said = Shown::of(&council.motions[0], &council).to_string();
    assert!(said.contains(&format!("for: Alice (0), {former};")), "{said}");
}

#[test]
fn a_call_that_is_not_known_is_shown_as_bytes() {
    let mut council = council(&SUSPEND, &[], &[]);
    council.motions[0].call = vec![16, 0, 99, 1, 2];
    let shown = Shown::of(&council.motions[0], &council);
    let said = shown.to_string();
    assert!(said.contains("a call that this version of epione does not know"), "{said}");
    assert!(said.ends_with("call: 0x1000630102"), "{said}");
    assert_eq!((shown.needed, shown.call), (3, None));
}

/// Each proposal, and what a member must read before the vote.
#[test]
fn each_proposal_is_said_in_words() {
    let seats = Seats::truncate_from(vec![HospitalId(0), HospitalId(2)]);
    let mut quotas = Limits::USUAL;
    quotas.votes.hospital.bytes = 7;
    let hash = Hash::repeat_byte(0x22);
    let governance = Box::new(named(HospitalId(1), Duty::Governance));
    let replace = Proposal::ReplaceGovernance { hospital: HospitalId(1), governance };
    let appoint = Proposal::AppointCustodian { departed: HospitalId(3), custodian: HospitalId(1) };
    let recovery = |decision| Proposal::CompleteRecovery { user: UserId([5; 32]), decision };
    let upgrade = |checks| Proposal::AuthorizeUpgrade { code_hash: hash, checks };
    let council = council(&SUSPEND, &[], &[]);
    for (proposal, parts) in [
        (SUSPEND, &["suspend hospital 1 (Bob)"][..]),
        (Proposal::Reinstate { hospital: HospitalId(1) }, &["reinstate hospital 1 (Bob)"]),
        (Proposal::Remove { hospital: HospitalId(1) }, &["hospital 1 (Bob)", "FOR EVER"]),
        (Proposal::Remove { hospital: HospitalId(9) }, &["hospital 9, which does not exist"]),
        (replace, &["hospital 1 (Bob)", "its holder consents", "can object"]),
        (
            Proposal::Kill { motion: Hash::repeat_byte(9) },
            &["end motion 3", "it would suspend hospital 1 (Bob), and does not"],
        ),
        (Proposal::Disapprove { motion: hash }, &["0x2222", "which is not live"]),
        (Proposal::Schedule(Schedule { phase: 20, refresh: 900 }), &["20 blocks", "900 blocks"]),
        (Proposal::Seat { committee: None }, &["every active hospital"]),
        (Proposal::Seat { committee: Some(seats) }, &["2 hospitals", "(Alice)", "(Charlie)"]),
        (Proposal::Renew, &["CANNOT BE OPENED"]),
        (appoint, &["hospital 1 (Bob) as custodian of hospital 3 (Dave)"]),
        (Proposal::DismissCustodian { departed: HospitalId(3) }, &["custodian of hospital 3"]),
        (
            Proposal::NameAttribute { name: b"genetics".to_vec().try_into().unwrap() },
            &["\"genetics\""],
        ),
        (recovery(Some(hash)), &["0x0505", "decision: 0x2222"]),
        (recovery(None), &["NO DECISION"]),
        (Proposal::SetLimits(Box::new(quotas)), &["votes.hospital.bytes: 67108864 -> 7"]),
        (Proposal::SetLimits(Box::new(Limits::USUAL)), &["nothing is different"]),
        (upgrade(true), &["0x2222", "compare the hash"]),
        (upgrade(false), &["WITHOUT CHECKS"]),
        (Proposal::NoteStalled { delay: 40, best_finalized: 700 }, &["40 blocks", "700"]),
        (Proposal::Remark { text: b"hel\x1blo".to_vec() }, &["hel\u{fffd}lo"]),
    ] {
        let said = Sentence::of(&proposal, &council).lines();
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn the_governance_of_the_newest_block_signs_and_no_other_account() {
    let mut council = council(&SUSPEND, &[], &[]);
    let next = account("//Dave//next").id();
    let former = std::mem::replace(&mut council.hospitals[3].1.governance, next.clone());
    let dave = HospitalId(3);
    assert_eq!(council.governed_by(&next, None), Ok(dave));
    assert_eq!(council.governed_by(&next, Some(dave)), Ok(dave));
    for (wrong, wanted, why) in [
        (&former, None, "not the account of a hospital"),
        (&account("//Mallory").id(), None, "not the account of a hospital"),
        (&account("//Dave//agent").id(), None, "not the governance of hospital 3"),
        (&next, Some(HospitalId(1)), "not the governance of hospital 1"),
    ] {
        let refused = council.governed_by(wrong, wanted).unwrap_err();
        assert!(refused.error.contains(why), "{why}: {refused}");
    }
}

#[test]
fn the_only_member_reads_that_a_proposal_takes_effect_at_once() {
    let council = council(&SUSPEND, &[], &[]);
    let said = Sentence::of(&SUSPEND, &council);
    let alone = proposing::statement("hospital 0 (Alice)", &said, 1, 1);
    assert!(alone.contains("AT ONCE") && alone.contains("suspend hospital 1 (Bob)"), "{alone}");
    let among = proposing::statement("hospital 0 (Alice)", &said, 3, 4);
    assert!(
        among.contains("3 votes for it, of 4 members") && !among.contains("AT ONCE"),
        "{among}"
    );
}

/// Otherwise a member would complete a replacement by an account that nobody has shown.
#[test]
fn who_completes_a_replacement_reads_both_accounts() {
    let council = council(&SUSPEND, &[], &[]);
    let governance = AccountId::new([7; 32]);
    let decided = Replacement { governance: governance.clone(), from: 90 };
    let said = replacement::completing(&council, HospitalId(0), HospitalId(1), &decided);
    for part in [
        format!("hospital 1 (Bob) gets the governance account {governance}"),
        format!("present governance account {} loses", account("//Bob").id()),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
}

/// A consent to become an account of a hospital, for the council of these tests.
fn consent(hospital: HospitalId, duty: Duty, until: u32) -> AccountConsent {
    let account = account("//Eve");
    let naming = Naming::Hospital { hospital, duty, until };
    let signature = epione_client::naming::sign(&account, Hash::repeat_byte(1), naming);
    let consent = hex::encode(codec::Encode::encode(&signature));
    AccountConsent { hospital, duty, account: account.id(), until, consent }
}

fn named(hospital: HospitalId, duty: Duty) -> NamedAccount {
    let AccountConsent { account, until, consent, .. } = consent(hospital, duty, 400);
    let consent = hex::decode(consent).unwrap();
    let consent = codec::DecodeAll::decode_all(&mut &consent[..]).unwrap();
    NamedAccount { account, until, consent }
}

#[test]
fn only_a_consent_that_the_chain_will_accept_is_proposed() {
    let council = council(&SUSPEND, &[], &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("consent.json");
    let read = |consent: &AccountConsent| {
        std::fs::write(&file, serde_json::to_string(consent).unwrap()).unwrap();
        consents::read(&file, HospitalId(4), Duty::Agent, &council)
    };
    let good = consent(HospitalId(4), Duty::Agent, 400);
    let named = read(&good).unwrap();
    assert_eq!((&named.account, named.until), (&good.account, 400));
    assert_eq!(hex::encode(codec::Encode::encode(&named.consent)), good.consent);
    let forged = AccountConsent { account: AccountId::new([7; 32]), ..good.clone() };
    for (wrong, why) in [
        (consent(HospitalId(5), Duty::Agent, 400), "hospital 5"),
        (consent(HospitalId(4), Duty::Governance, 400), "governance of hospital 4"),
        (consent(HospitalId(4), Duty::Agent, 99), "until block 99"),
        (forged, "did not sign"),
        (AccountConsent { consent: "00".into(), ..good.clone() }, "cannot be read"),
        (AccountConsent { until: 401, ..good }, "did not sign"),
    ] {
        let refused = read(&wrong).unwrap_err();
        assert!(refused.error.contains(why), "{why}: {refused}");
    }
    std::fs::write(&file, "no consent").unwrap();
    consents::read(&file, HospitalId(4), Duty::Agent, &council).unwrap_err();
}

/// The application of a new hospital, with the consents that its governance and its agent give.
fn application(consents: impl FnOnce([&Account; 2]) -> Option<Consents>) -> Application {
    let [governance, worker] =
        [(); 2].map(|()| ActorKeys::generate(Scheme::Sr25519, SealingSuite::X25519));
    let (tls, node) = (tls::key(&worker.account, 0), AccountKey::generate(Scheme::Ed25519));
    let session = SessionPair::generate();
    let (governance, agent) = (Account::from(&governance), Account::from(&worker));
    let statement = Statement {
        name: "North".into(),
        governance: governance.id(),
        agent: agent.id(),
        worker_url: "https://north.example".into(),
        sealing_key: worker.sealing.public().as_bytes().to_vec(),
        tls_key: tls.public().into(),
        node_key: node.public().into(),
        node_address: "/dns/north.example/tcp/30333".into(),
        session: session.public(),
        session_proof: session.prove(&governance.id()),
        consents: consents([&governance, &agent]),
    };
    let signers = Signers { governance: &governance, agent: &agent, tls: &tls, node: &node };
    Application::sign(statement, &signers).unwrap()
}

#[test]
fn only_an_application_that_the_chain_will_accept_is_proposed() {
    let council = council(&SUSPEND, &[], &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("application.json");
    let words = ["propose", "admit", "--application", file.to_str().unwrap()];
    let Ok(Command::Propose(args)) = parse(&words) else { panic!("{words:?}") };
    let What::Admit(admit) = &args.what else { panic!("{words:?}") };
    let admission = |json: String| {
        std::fs::write(&file, json).unwrap();
        choosing::admission(admit, &council)
    };
    let signed = |genesis, hospital, until| {
        application(|[governance, agent]| {
            Some(Consents::sign(genesis, hospital, until, governance, agent))
        })
    };

    let good = signed(council.genesis, HospitalId(4), 400);
    let (statement, admitted) = (good.statement(), admission(good.to_json()).unwrap());
    assert_eq!(Some((admitted.governance, admitted.agent)), good.admitted_accounts());
    assert_eq!(admitted.name.as_slice(), statement.name.as_bytes());
    assert_eq!(admitted.worker_url.as_slice(), statement.worker_url.as_bytes());
    assert_eq!(admitted.sealing_key.as_slice(), statement.sealing_key.as_slice());
    assert_eq!(admitted.tls_key, statement.tls_key.0);

    for (wrong, why) in [
        (application(|_| None), "have not consented"),
        (signed(Hash::repeat_byte(2), HospitalId(4), 400), "another chain"),
        (signed(council.genesis, HospitalId(5), 400), "hospital 5, and the next one is hospital 4"),
        (signed(council.genesis, HospitalId(4), 99), "until block 99"),
    ] {
        let refused = admission(wrong.to_json()).unwrap_err();
        assert!(refused.error.contains(why), "{why}: {refused}");
        assert!(refused.help.contains("epione hospital join"), "{refused}");
    }
    let changed = admission(good.to_json().replace("North", "South")).unwrap_err();
    assert!(changed.error.contains("signature"), "{changed}");
}
