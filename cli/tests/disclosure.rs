//! Disclosures on a real network, with the program itself: a patient shows sections of a record, and the recipient
//! verifies them without the network. All steps share one network, because a network takes long to start.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::{Path, PathBuf},
};

use network::{Network, epione, stderr};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
const TEXTS: [(&str, &str); 5] = [
    ("summary", "well"),
    ("id-number", "756.1234.5678.97"),
    ("diagnosis", "asthma"),
    ("history", "smoked until 2019"),
    ("gender", "female"),
];

struct Case {
    network: Network,
    patient: String,
    doctor: String,
    genesis: String,
    image: Vec<u8>,
}

impl Case {
    /// One committed record of five texts and an image, with the rules of the hospital's sample template.
    fn begin() -> Self {
        let network = Network::of(1);
        let [patient, doctor] = network.register_related(PATIENT, DOCTOR);
        let image = epione_cli::samples::images().remove(1).bytes;
        let genesis = format!("{:?}", network.state().unwrap().genesis.unwrap());
        let case = Self { network, patient, doctor, genesis, image };
        case.visit();
        case
    }

    fn visit(&self) {
        let texts = TEXTS.map(|(kind, text)| {
            let path = self.network.write(&format!("{kind}.txt"), text);
            format!("{kind}={}", path.display())
        });
        let image = self.network.write("scan.dcm", &self.image);
        let rules = self.network.write("rules.toml", epione_cli::samples::EXTRACTION_TEMPLATE);
        let mut submit = vec!["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait"];
        texts.iter().for_each(|text| submit.extend(["--text", text.as_str()]));
        submit.extend(["--media", image.to_str().unwrap(), "--patient", &self.patient]);
        submit.extend(["--extraction-template", rules.to_str().unwrap(), "--cosign", PATIENT]);
        let submitted = self.network.run(&submit);
        let rules = json!({ "mandatory": [0], "never": [1], "together": [[2, 3]] });
        assert_eq!(submitted["extraction"], rules, "{submitted}");
    }

    fn try_disclose(&self, who: &str, out: &Path, more: &[&str]) -> Result<Value, Value> {
        let disclose = ["disclose", "--as", who, "--record", "1/0", "--for", "Example Insurance"];
        let out = ["--purpose", "claim 7", "--out", out.to_str().unwrap()];
        self.network.try_run(&[&disclose[..], &out, more].concat())
    }

    /// The exit status of the recipient's program, which knows no network, and what it says.
    fn verify(&self, bundle: &Path, genesis: Option<&str>) -> (i32, Value) {
        self.verify_with(bundle, genesis, &[])
    }

    fn verify_with(&self, bundle: &Path, genesis: Option<&str>, more: &[&str]) -> (i32, Value) {
        let mut command = epione();
        // The recipient's machine has pinned no chain.
        command.env("XDG_CONFIG_HOME", self.network.file("recipient"));
        command.args(["--json", "verify-disclosure"]).arg(bundle);
        command.args(genesis.map(|genesis| format!("--genesis={genesis}"))).args(more);
        let output = command.output().unwrap();
        let said =
            if output.stdout.is_empty() { stderr(&output).into_bytes() } else { output.stdout };
        (output.status.code().unwrap(), serde_json::from_slice(&said).unwrap())
    }

    /// The error with which the recipient's program refuses a disclosure.
    fn refusal(&self, bundle: &Path) -> String {
        let (status, said) = self.verify(bundle, Some(&self.genesis));
        assert_eq!(status, 1, "{said}");
        said["error"].as_str().unwrap().to_owned()
    }
}

fn error(refused: &Value) -> &str {
    refused["error"].as_str().unwrap()
}

#[test]
fn a_recipient_verifies_without_the_network_what_a_patient_discloses() {
    let case = Case::begin();
    what_the_author_forbids_is_not_disclosed(&case);
    only_the_patient_discloses(&case);

    let bundle = case.network.file("bundle");
    let disclosed =
        case.try_disclose(PATIENT, &bundle, &["--sections", "0,2-3,5", "--media"]).unwrap();
    assert_eq!(disclosed["shown"], json!([0, 2, 3, 5]));
    assert_eq!(disclosed["hidden"], json!([1, 4]));
    assert_eq!(disclosed["otherPatients"], json!(0));
    assert_eq!(disclosed["files"], json!(["disclosure.epione", "05-scan.dcm"]));
    let again = case.try_disclose(PATIENT, &bundle, &["--sections", "0"]).unwrap_err();
    assert!(error(&again).contains("already exists"), "{again}");
    let leftover = case.network.file("leftover");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("04-gender.txt"), "female").unwrap();
    let used = case.try_disclose(PATIENT, &leftover, &["--sections", "0"]).unwrap_err();
    assert!(error(&used).contains("already exists"), "{used}");
    without_media_and_after_its_end(&case);
    the_chain_of_a_devnet_brings_a_warning(&case, &bundle);

    // From here on, there is no network.
    let printed = disclosed["verify"].as_str().unwrap().to_owned();
    epione_devnet::down(&case.network.path()).unwrap();
    assert!(!printed.contains(&case.genesis), "the recipient gets the hash from the hospitals");
    let examined = case.network.run_printed(&format!("{printed} --genesis={}", case.genesis));
    the_result_says_who_wrote_what_for_whom(&case, &examined);
    the_same_without_its_age(
        &examined,
        case.verify(&bundle.join("disclosure.epione"), Some(&case.genesis)),
    );
    an_old_proof_is_refused(&case, &bundle);
    another_recipient_refuses_it(&case, &bundle);
    nobody_has_confirmed_the_chain(&case, &bundle);
    what_was_changed_on_the_way_is_refused(&case, &bundle);
    an_end_is_not_mistaken_for_a_flaw(&case);
}

/// Both have exit status 1. A flaw has no result; an end has one, and a line on standard error.
fn an_end_is_not_mistaken_for_a_flaw(case: &Case) {
    let mut command = epione();
    command.arg("verify-disclosure").arg(case.network.file("short"));
    let output = command.args(["--genesis", &case.genesis]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    assert!(said.contains("warning: all is proven, but the patient permitted"), "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("\nOVER: "));
}

fn what_the_author_forbids_is_not_disclosed(case: &Case) {
    let out = case.network.file("forbidden");
    for (sections, said) in [
        ("2-3", "requires that every disclosure shows section 0"),
        ("0-1", "forbids that a disclosure shows section 1"),
        ("0,2", "sections 2, 3 only together"),
        ("0,9", "has no section 9"),
    ] {
        let refused = case.try_disclose(PATIENT, &out, &["--sections", sections]).unwrap_err();
        assert!(error(&refused).contains(said), "{refused}");
    }
    assert!(!out.exists());
}

fn only_the_patient_discloses(case: &Case) {
    let out = case.network.file("foreign");
    let refused = case.try_disclose(DOCTOR, &out, &["--sections", "0"]).unwrap_err();
    assert!(error(&refused).contains("not a patient"), "{refused}");
    case.network.register("patient", "//Other");
    let refused = case.try_disclose("//Other", &out, &["--sections", "0"]).unwrap_err();
    assert!(error(&refused).contains("no record 1/0"), "{refused}");
    assert!(!out.exists());
}

fn without_media_and_after_its_end(case: &Case) {
    let bundle = case.network.file("short");
    let short = ["--sections", "0,5", "--expires", "1s"];
    let disclosed = case.try_disclose(PATIENT, &bundle, &short).unwrap();
    assert_eq!(disclosed["files"], json!(["disclosure.epione"]));
    network::eventually("the time of the disclosure is over", || {
        let (status, examined) = case.verify(&bundle, Some(&case.genesis));
        assert_eq!(status == 1, examined["over"] == json!(true), "{examined}");
        let media = &examined["sections"][1];
        assert_eq!((&media["index"], &media["file"]), (&json!(5), &Value::Null));
        if status == 1 { Ok(()) } else { Err(examined) }
    });
}

fn the_result_says_who_wrote_what_for_whom(case: &Case, examined: &Value) {
    assert_eq!(examined["genesis"], json!(case.genesis));
    assert_eq!(examined["genesisFrom"], "option");
    assert_eq!(examined["record"], json!({ "height": 1, "index": 0 }));
    assert_eq!(
        (&examined["patient"], &examined["author"]),
        (&json!(case.patient), &json!(case.doctor))
    );
    assert_eq!(examined["authorRole"], "doctor");
    assert_eq!(examined["cosigned"], json!(true));
    assert_eq!(examined["disclosedBy"], json!(case.patient));
    assert_eq!(examined["recipient"], "Example Insurance");
    assert_eq!(examined["recipientChecked"], json!(false));
    assert_eq!(examined["purpose"], "claim 7");
    assert_eq!((&examined["over"], &examined["hidden"]), (&json!(false), &json!(2)));
    let sections = examined["sections"].as_array().unwrap();
    let texts: Vec<_> = sections.iter().filter_map(|section| section["text"].as_str()).collect();
    assert_eq!(texts, ["well", "asthma", "smoked until 2019"]);
    let media = &sections[3];
    assert_eq!((&media["kind"], &media["file"]), (&json!("media"), &json!("05-scan.dcm")));
    assert_eq!(media["segments"].as_array().unwrap().len(), 1);
    let copy = case.network.file("bundle").join("05-scan.dcm");
    assert_eq!(fs::read(copy).unwrap(), case.image);
    let all = examined.to_string();
    assert!(!all.contains("female") && !all.contains("756.1234"), "{all}");
}

/// Time passes between two runs.
fn the_same_without_its_age(examined: &Value, (status, again): (i32, Value)) {
    let ageless = |examined: &Value| {
        let mut fields = examined.as_object().unwrap().clone();
        assert!(fields.remove("provenSecondsAgo").unwrap().is_u64());
        fields
    };
    assert_eq!((status, ageless(&again)), (0, ageless(examined)));
}

fn an_old_proof_is_refused(case: &Case, bundle: &Path) {
    let genesis = Some(case.genesis.as_str());
    network::eventually("the proof is older than a second", || {
        let (status, said) = case.verify_with(bundle, genesis, &["--max-age", "1s"]);
        let refused = status == 1 && error(&said).contains("--max-age permits 1s");
        if refused { Ok(()) } else { Err(said) }
    });
    assert_eq!(case.verify_with(bundle, genesis, &["--max-age", "1d"]).0, 0);
}

fn another_recipient_refuses_it(case: &Case, bundle: &Path) {
    let verify = |recipient| case.verify_with(bundle, Some(&case.genesis), &["--for", recipient]);
    let (status, examined) = verify("Example Insurance");
    assert_eq!((status, &examined["recipientChecked"]), (0, &json!(true)), "{examined}");
    let (status, refused) = verify("Example");
    assert_eq!(status, 1, "{refused}");
    assert!(error(&refused).contains("made it for \"Example Insurance\""), "{refused}");
}

fn nobody_has_confirmed_the_chain(case: &Case, bundle: &Path) {
    let (status, asked) = case.verify(bundle, None);
    assert_eq!(status, 2, "{asked}");
    assert!(error(&asked).contains(&case.genesis), "{asked}");
    assert!(asked["help"].as_str().unwrap().contains("the hospitals publish"), "{asked}");
    a_pin_counts_only_for_the_node_that_the_recipient_names(case, bundle);
    let other = format!("0x{}", "07".repeat(32));
    let (status, refused) = case.verify(bundle, Some(&other));
    assert_eq!(status, 1);
    assert!(error(&refused).contains("about the chain"), "{refused}");
}

/// A pin of the default node is no choice of a chain.
fn a_pin_counts_only_for_the_node_that_the_recipient_names(case: &Case, bundle: &Path) {
    for node in ["ws://127.0.0.1:9944", "wss://node.hospital.example"] {
        let mut pin = epione();
        pin.env("XDG_CONFIG_HOME", case.network.file("recipient"));
        let pinned = pin.args(["chain", "pin", &case.genesis, "--node", node]).output().unwrap();
        assert!(pinned.status.success(), "{}", stderr(&pinned));
    }
    assert_eq!(case.verify(bundle, None).0, 2);
    let named = ["--node", "wss://node.hospital.example"];
    let (status, examined) = case.verify_with(bundle, None, &named);
    assert_eq!(status, 0, "{examined}");
    let from = json!({ "pin": "wss://node.hospital.example/" });
    assert_eq!(examined["genesisFrom"], from, "{examined}");
}

fn the_chain_of_a_devnet_brings_a_warning(case: &Case, bundle: &Path) {
    let mut command = epione();
    command.arg("--devnet").arg(case.network.path());
    let output = command.arg("verify-disclosure").arg(bundle).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: the chain is that of --devnet"), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("{} (--devnet", case.genesis)), "{text}");
}

/// Files that are changed or left out on the way from the patient to the recipient.
fn what_was_changed_on_the_way_is_refused(case: &Case, bundle: &Path) {
    let copy = |name: &str| -> PathBuf {
        let folder = case.network.file(name);
        fs::create_dir(&folder).unwrap();
        for file in fs::read_dir(bundle).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
        folder
    };
    let replaced = |name: &str, from: &[u8], to: &[u8]| {
        let folder = copy(name);
        let file = folder.join("disclosure.epione");
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + from.len()].copy_from_slice(to);
        fs::write(&file, bytes).unwrap();
        case.refusal(&folder)
    };
    for (name, from, to) in [
        ("recipient-changed", &b"Example Insurance"[..], &b"Another Insurance"[..]),
        ("text-changed", b"asthma", b"angina"),
    ] {
        let refused = replaced(name, from, to);
        assert!(refused.contains("does not have the signature of patient"), "{refused}");
    }
    let folder = copy("cut");
    let file = folder.join("disclosure.epione");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(case.refusal(&folder).contains("damaged"));
    fs::write(&file, "a letter").unwrap();
    assert!(case.refusal(&folder).contains("this is not a disclosure"));

    let folder = copy("more-files");
    fs::write(folder.join("06-letter.txt"), "not signed").unwrap();
    assert!(case.refusal(&folder).contains("06-letter.txt is not part of the disclosure"));
    assert_eq!(case.verify(&folder.join("disclosure.epione"), Some(&case.genesis)).0, 0);

    let folder = copy("image-changed");
    let image = folder.join("05-scan.dcm");
    let mut bytes = fs::read(&image).unwrap();
    bytes[200] ^= 1;
    fs::write(&image, bytes).unwrap();
    assert!(case.refusal(&folder).contains("not the content of section 5"));
    fs::remove_file(&image).unwrap();
    assert!(case.refusal(&folder).contains("05-scan.dcm cannot be read"));
}
