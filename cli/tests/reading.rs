//! Reading on a real network with the program itself: many records, file names of every kind, runs that resume earlier
//! ones, and requests that cannot be served. All steps share one network, because a network takes long to start.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    time::SystemTime,
};

use epione_cli::context::{Common, Context};
use epione_client::{Account, api::GrantRequest, visit::VisitBuilder, worker::WorkerClient};
use epione_envelope::record::SectionKind;
use epione_primitives::{
    HospitalId, RecordPointer, UserId,
    access::Purpose,
    release::{ReleasedRecord, Request, SectionSet},
};
use network::{Network, epione, eventually, stderr};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
/// More than one answer of the node contains, and more than one grant opens.
const RECORDS: usize = 71;
/// More than one page of receipts.
const LOOKS: usize = 47;

#[test]
fn a_reader_misses_no_record_and_failed_requests_leave_no_receipt() {
    let case = Case::begin();
    case.visits(RECORDS);
    every_record_is_listed_and_a_cut_list_says_so(&case);
    every_record_is_read_once_and_not_requested_again(&case);
    files_of_every_name_are_read_back(&case);
    one_bad_record_does_not_stop_the_others(&case);
    decrypted_files_are_accessible_to_their_owner_only(&case);
    a_part_leaves_a_receipt_of_its_section_only(&case);
    a_section_that_is_granted_later_is_read_then(&case);
    no_request_that_cannot_be_served_leaves_a_receipt(&case);
    every_access_is_listed(&case);
}

struct Case {
    network: Network,
    patient: String,
    doctor: String,
    runtime: tokio::runtime::Runtime,
    context: Context,
}

/// Exit status and output of the program.
struct Said {
    status: i32,
    json: Value,
}

impl Case {
    fn begin() -> Self {
        let network = Network::of(1);
        let [patient, doctor] = network.register_related(PATIENT, DOCTOR);
        let common = Common { devnet: Some(network.path()), ..Common::default() };
        let context = Context::new(common).with_devnet().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self { network, patient, doctor, runtime, context }
    }

    fn user(id: &str) -> UserId {
        id.parse().unwrap()
    }

    fn worker(&self) -> WorkerClient {
        let account = Account::development(DOCTOR).unwrap();
        self.runtime.block_on(self.context.worker(HospitalId(0), account)).unwrap()
    }

    /// Submits visits of one short text each, and waits until they are committed.
    fn visits(&self, count: usize) {
        let worker = self.worker();
        self.runtime.block_on(async {
            let chain = self.context.chain().await.unwrap();
            let genesis = chain.genesis_hash();
            let (patient, author) = (Self::user(&self.patient), Self::user(&self.doctor));
            for number in 0..count {
                let visit = VisitBuilder::new(genesis, patient, HospitalId(0), author)
                    .text(SectionKind::Observation, format!("visit {number}"))
                    .build(worker.account(), chain.finalized_head().await.unwrap().into())
                    .await
                    .unwrap();
                worker.submit_visit(&visit, |_| {}).await.unwrap();
            }
        });
        eventually("all visits are committed", || match self.records(&[]).len() {
            found if found == count => Ok(()),
            found => Err(found),
        });
    }

    fn list(&self, more: &[&str]) -> Value {
        self.network.run(&[&["records", "list", "--patient", &self.patient], more].concat())
    }

    fn records(&self, more: &[&str]) -> Vec<Value> {
        self.list(more)["records"].as_array().unwrap().clone()
    }

    /// The pointer of the newest record.
    fn newest(&self) -> String {
        let pointer = &self.records(&["--limit", "1"])[0]["pointer"];
        format!("{}/{}", pointer["height"], pointer["index"])
    }

    fn get<'a>(&'a self, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
        let get = ["records", "get", "--as", DOCTOR, "--patient", &self.patient, "--out"];
        [&get[..], &[out.to_str().unwrap()], more].concat()
    }

    /// The result of a command, also if it failed in part.
    fn says(&self, arguments: &[&str]) -> Said {
        let (status, json) = self.network.outcome(arguments);
        Said { status, json }
    }

    /// The output without --json.
    fn text(&self, arguments: &[&OsStr]) -> String {
        let output = epione().arg("--devnet").arg(self.network.path()).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The patient's receipts, newest first.
    fn receipts(&self) -> Vec<Value> {
        let looked = self.network.run(&["audit", "who-looked", "--patient", &self.patient]);
        looked["looks"].as_array().unwrap().clone()
    }

    fn submit(&self, path: &Path) -> String {
        let submit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait", "--patient"];
        let mut arguments: Vec<&OsStr> = submit.iter().map(OsStr::new).collect();
        arguments.extend([OsStr::new(&self.patient), OsStr::new("--media"), path.as_os_str()]);
        self.text(&arguments)
    }
}

fn every_record_is_listed_and_a_cut_list_says_so(case: &Case) {
    let all = case.list(&[]);
    assert_eq!(all["records"].as_array().unwrap().len(), RECORDS);
    assert_eq!(all["more"], json!(false));
    for (limit, shown, more) in [("10", 10, true), ("70", 70, true), ("71", 71, false)] {
        let cut = case.list(&["--limit", limit]);
        assert_eq!(cut["records"].as_array().unwrap().len(), shown, "{limit}");
        assert_eq!(cut["more"], json!(more), "{limit}");
    }
    let list = ["records", "list", "--patient", &case.patient, "--limit", "3"];
    let text = case.text(&list.map(OsStr::new));
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("leave out --limit"), "{text}");

    let (out, looks) = (case.network.file("none"), case.receipts().len());
    for none in [
        case.says(&["records", "list", "--patient", &case.patient, "--limit", "0"]),
        case.says(&["audit", "who-looked", "--patient", &case.patient, "--limit", "0"]),
        case.says(&["audit", "reviews", "--limit", "0"]),
        case.says(&case.get(&out, &["--all", "--limit", "0"])),
    ] {
        assert_eq!(none.status, 2, "{}", none.json);
        assert!(none.json["error"].as_str().unwrap().contains("--limit"), "{}", none.json);
    }
    assert!(!out.exists());
    assert_eq!(case.receipts().len(), looks);
}

fn every_record_is_read_once_and_not_requested_again(case: &Case) {
    let out = case.network.file("all");
    let first = case.network.run(&case.get(&out, &["--all", "--limit", "5"]));
    assert_eq!((first["records"].as_array().unwrap().len(), &first["more"]), (5, &json!(true)));
    assert_eq!(case.receipts().len(), 1);

    // The rest, by two grants: one grant covers 64 records at most.
    let all = case.network.run(&case.get(&out, &["--all"]));
    let records = all["records"].as_array().unwrap();
    assert_eq!((records.len(), &all["more"], &all["failed"]), (RECORDS, &json!(false), &json!([])));
    let there = records.iter().filter(|record| record["alreadyThere"] == json!(true));
    assert_eq!(there.count(), 5);
    let mut texts: Vec<_> = records.iter().map(text_of).collect();
    texts.sort_unstable();
    let mut visits: Vec<_> = (0..RECORDS).map(|number| format!("visit {number}")).collect();
    visits.sort_unstable();
    assert_eq!(texts, visits);
    assert_eq!(all["receipts"].as_array().unwrap().len(), 2);
    let receipts = case.receipts();
    let released = |look: &Value| look["records"].as_array().unwrap().len();
    assert_eq!(receipts.iter().map(released).collect::<Vec<_>>(), [2, 64, 5]);

    let again = case.network.run(&case.get(&out, &["--all"]));
    let records = again["records"].as_array().unwrap();
    assert!(records.iter().all(|record| record["alreadyThere"] == json!(true)));
    assert_eq!((records.len(), &again["receipts"]), (RECORDS, &json!([])));
    let text = case.get(&out, &["--all"]);
    let text = case.text(&text.into_iter().map(OsStr::new).collect::<Vec<_>>());
    assert!(text.ends_with("already in the folder: 71\n"), "{text}");
    assert_eq!(case.receipts().len(), 3);
}

fn text_of(record: &Value) -> String {
    let name = record["sections"][0]["file"]["name"].as_str().unwrap();
    fs::read_to_string(Path::new(record["directory"].as_str().unwrap()).join(name)).unwrap()
}

fn files_of_every_name_are_read_back(case: &Case) {
    let long = "胸".repeat(80) + ".dcm";
    let devious = "note\n\u{202e}gpj.exe";
    let names: [(&[u8], String); 4] = [
        (long.as_bytes(), format!("00-{}.dcm", "胸".repeat(58))),
        ("हिन्दी रिपोर्ट.pdf".as_bytes(), "00-हिन्दी रिपोर्ट.pdf".into()),
        (devious.as_bytes(), "00-note__gpj.exe".into()),
        (b"\xe9chographie.mp4", "00-_chographie.mp4".into()),
    ];
    for (number, (name, restored)) in names.into_iter().enumerate() {
        let content = format!("content {number}");
        let path = case.network.file("x").with_file_name(OsStr::from_bytes(name));
        fs::write(&path, &content).unwrap();
        let said = case.submit(&path);
        assert!(said.contains(&epione_cli::wording::legible(name)), "{said:?}");
        assert!(!said.contains('\u{202e}') && !said.contains("\ngpj"), "{said:?}");

        let out = case.network.file("all");
        let read = case.network.run(&case.get(&out, &["--all"]));
        let new: Vec<_> = read["records"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|record| record["alreadyThere"] == json!(false))
            .collect();
        let [new] = new[..] else { panic!("{new:?}") };
        assert_eq!(new["sections"][0]["file"]["name"], json!(restored));
        assert_eq!(text_of(new), content);
        // Only the new one was requested.
        let released = &case.receipts()[0]["records"];
        assert_eq!(released[0]["pointer"], new["pointer"]);
        assert_eq!(released.as_array().unwrap().len(), 1);
    }
    let unreadable = ["visit", "status", "--json"].map(OsStr::new);
    let output = epione().args(unreadable).arg(OsStr::from_bytes(b"\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    serde_json::from_slice::<Value>(&output.stderr).unwrap();
}

fn one_bad_record_does_not_stop_the_others(case: &Case) {
    let out = case.network.file("all");
    let records = case.records(&[]);
    let folder = |record: &Value| {
        let pointer = &record["pointer"];
        format!("{}-{}", pointer["height"], pointer["index"])
    };
    let (changed, blocked, gone) =
        (folder(&records[9]), folder(&records[20]), folder(&records[30]));
    let file = |folder: &str| out.join(folder).join("00-observation.txt");
    fs::write(file(&changed), "something else").unwrap();
    fs::remove_dir_all(out.join(&blocked)).unwrap();
    fs::write(out.join(format!("{blocked}.partial")), "in the way").unwrap();
    fs::remove_dir_all(out.join(&gone)).unwrap();

    let before = case.receipts().len();
    let said = case.says(&case.get(&out, &["--all"]));
    assert_eq!(said.status, 1, "{}", said.json);
    let failed = said.json["failed"].as_array().unwrap();
    let error = |place: &str| {
        let of = |failed: &&Value| failed["error"].as_str().unwrap().contains(place);
        let failed = failed.iter().find(of).unwrap_or_else(|| panic!("{place}: {failed:?}"));
        failed["error"].as_str().unwrap().to_owned()
    };
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(error(&format!("/{changed}/")).contains("differs from the file"));
    assert!(error(&format!("/{blocked}.partial")).contains("exists"));
    assert_eq!(said.json["records"].as_array().unwrap().len(), records.len() - 2);
    let looks = case.receipts();
    assert_eq!(looks.len(), before + 1);
    let released = looks[0]["records"].as_array().unwrap();
    assert_eq!(released.len(), 1);
    assert_eq!(released[0]["pointer"], records[30]["pointer"]);
    assert!(file(&gone).exists());
    assert_eq!(fs::read_to_string(file(&changed)).unwrap(), "something else");

    let unknown = case.says(&case.get(&out, &["--pointer", "1/0", "--pointer", "999999/0"]));
    assert_eq!(unknown.status, 1);
    assert_eq!(unknown.json["failed"][0]["pointer"]["height"], json!(999_999));
    assert_eq!(unknown.json["records"].as_array().unwrap().len(), 1);
}

fn decrypted_files_are_accessible_to_their_owner_only(case: &Case) {
    let mut seen = 0;
    let mut folders = vec![case.network.file("all")];
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() != Some(OsStr::new("partial")) {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > RECORDS, "{seen}");
}

/// Submits a visit of a text, a cine of eight frames and another text.
fn cine(case: &Case) -> String {
    let image = epione_cli::samples::images().remove(2);
    let image = case.network.write("cine.dcm", &image.bytes);
    let text = case.network.write("note.txt", "blood pressure 162/98");
    let texts = ["observation", "report"].map(|kind| format!("{kind}={}", text.display()));
    let submit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--wait", "--patient"];
    let sections = ["--text", &texts[0], "--text", &texts[1], "--media", image.to_str().unwrap()];
    case.network.run(&[&submit[..], &[&case.patient], &sections].concat());
    case.newest()
}

fn a_part_leaves_a_receipt_of_its_section_only(case: &Case) {
    let record = cine(case);
    let out = case.network.file("parts");
    for part in [["--frame", "3"], ["--range", "100-135"]] {
        let more = [&["--pointer", &record][..], &part].concat();
        let read = case.network.run(&case.get(&out, &more));
        assert_eq!(read["receipts"].as_array().unwrap().len(), 1, "{read}");
        let released = &case.receipts()[0]["records"];
        assert_eq!(released.as_array().unwrap().len(), 1);
        assert_eq!(released[0]["sections"], json!([2]), "{part:?}");
    }
    // The number of frames is sealed: it is known only when the section is open, for which there is a receipt.
    let before = case.receipts().len();
    let beyond = case.says(&case.get(&out, &["--pointer", &record, "--frame", "99"]));
    assert!(beyond.json["error"].as_str().unwrap().contains("frames 1 to 8"), "{}", beyond.json);
    // The worker hands the unexpired grant out again, which leaves no further receipt.
    let looks = case.receipts();
    assert_eq!(looks.len(), before);
    assert_eq!(looks[0]["records"][0]["sections"], json!([2]));
    // With the patient's own key there is no receipt.
    let own = ["records", "get", "--own-key", "--as", PATIENT, "--patient", &case.patient];
    let part = ["--pointer", &record, "--frame", "99", "--out", out.to_str().unwrap()];
    assert_eq!(case.says(&[&own[..], &part].concat()).status, 1);
    assert_eq!(case.receipts().len(), before);
}

fn a_section_that_is_granted_later_is_read_then(case: &Case) {
    let record = case.newest();
    let set = |name: &str, policies: &str| {
        let path = case.network.write(name, policies);
        case.network.run(&["policy", "set", path.to_str().unwrap()]);
    };
    let usual = case.network.run(&["policy", "show"])["toml"].as_str().unwrap().to_owned();
    let sample =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/policies/2-recognised-doctor.toml");
    let texts = fs::read_to_string(sample).unwrap().replace("\"read-media\", ", "");
    set("texts.toml", &texts);
    let out = case.network.file("later");
    let get = case.get(&out, &["--pointer", &record]);
    let files = |read: &Value| {
        let sections = read["records"][0]["sections"].as_array().unwrap();
        sections.iter().map(|section| section.get("file").is_some()).collect::<Vec<_>>()
    };
    assert_eq!(files(&case.network.run(&get)), [true, true, false]);
    let before = case.receipts().len();
    let refused = case.network.run(&get);
    assert_eq!(files(&refused), [true, true, false]);
    assert_eq!(refused["records"][0]["alreadyThere"], json!(true));
    assert_eq!(case.receipts().len(), before);

    set("usual.toml", &usual);
    let later = case.network.run(&get);
    assert_eq!(files(&later), [true; 3]);
    assert_eq!(later["records"][0]["alreadyThere"], json!(false));
    // By the grant of the parts that were read before, if it has not expired.
    let looks = case.receipts().len();
    assert!(looks == before || looks == before + 1, "{looks} after {before}");
    assert_eq!(case.network.run(&get)["records"][0]["alreadyThere"], json!(true));
    assert_eq!(case.receipts().len(), looks);
}

fn no_request_that_cannot_be_served_leaves_a_receipt(case: &Case) {
    let record = case.newest();
    let foreign = case.network.file("foreign");
    let theirs = foreign.join(format!("{}.partial", record.replace('/', "-")));
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("02-cine.dcm"), "junk").unwrap();
    let (out, parts) = (case.network.file("nothing"), case.network.file("parts"));
    let in_the_way = case.network.write("in-the-way", "a file").join("out");
    let password = case.network.write("password", "only for a test\n");
    let renewed = case.network.file("renewed.json");
    let renew = ["keys", "renew-sealing", DOCTOR, "--out", renewed.to_str().unwrap()];
    let password = ["--password-file", password.to_str().unwrap()];
    case.network.run(&[&renew[..], &password].concat());
    let stale = ["records", "get", "--as", renewed.to_str().unwrap(), "--patient", &case.patient];
    let stale = [&stale[..], &["--all", "--out", out.to_str().unwrap()], &password].concat();

    let part = |more: &[&'static str]| -> Vec<String> {
        let more = [&["--pointer", &record][..], more].concat();
        case.get(&out, &more).into_iter().map(String::from).collect()
    };
    let words = |arguments: Vec<&str>| arguments.into_iter().map(String::from).collect::<Vec<_>>();
    let failing = [
        (part(&["--frame", "0"]), "no frame 0"),
        (part(&["--frame", "-1"]), "-1"),
        (part(&["--frame", "1", "--section", "0"]), "no media section 0"),
        (part(&["--frame", "1", "--section", "7"]), "no media section 7"),
        (part(&["--range", "0-99999999"]), "are not all in section 2"),
        (part(&["--range", "99999999-"]), "are not all in section 2"),
        (part(&["--range", "9-8"]), "FIRST-LAST"),
        (part(&["--section", "2"]), "--section can be used only with"),
        (words(case.get(&parts, &["--pointer", &record, "--frame", "3"])), "already exists"),
        (words(case.get(&in_the_way, &["--pointer", &record, "--frame", "3"])), "in-the-way"),
        (words(case.get(&in_the_way, &["--all"])), "in-the-way"),
        (words(case.get(in_the_way.parent().unwrap(), &["--all"])), "in-the-way"),
        (words(case.get(&out, &["--pointer", "999999/0"])), "no record 999999/0"),
        (words(case.get(&out, &["--pointer", "999999/0", "--frame", "1"])), "no record 999999/0"),
        (words(case.get(&out, &["--pointer", "1/0", "--frame", "1"])), "has no media"),
        (words(stale), "another sealing key"),
        (words(case.get(&foreign, &["--pointer", &record])), "did not create it"),
        (words(case.get(&foreign, &["--pointer", &record, "--limit", "3"])), "--limit"),
    ];
    let before = case.receipts();
    for (arguments, error) in failing {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let said = case.says(&arguments);
        assert_ne!(said.status, 0, "{arguments:?}: {}", said.json);
        let printed = said.json.to_string();
        assert!(printed.contains(error), "{arguments:?}: {printed}");
        assert_eq!(case.receipts().len(), before.len(), "{arguments:?} left a receipt");
    }
    assert!(!out.exists());
}

fn every_access_is_listed(case: &Case) {
    let lacking = LOOKS - case.receipts().len();
    let pointers: Vec<RecordPointer> = case
        .records(&[])
        .iter()
        .map(|record| serde_json::from_value(record["pointer"].clone()).unwrap())
        .collect();
    // Equal requests would be answered with one grant, which has one receipt. No earlier request was for three records.
    let worker = case.worker();
    let chain = case.runtime.block_on(case.context.chain()).unwrap();
    let request = |three: &[RecordPointer]| {
        let mut records: Vec<_> = three
            .iter()
            .map(|pointer| ReleasedRecord { pointer: *pointer, sections: SectionSet::ALL })
            .collect();
        records.sort_unstable_by_key(|record| record.pointer);
        let mut nonce = [0; 16];
        nonce[..4].copy_from_slice(&records[0].pointer.height.to_le_bytes());
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let request = Request {
            requester: Case::user(&case.doctor),
            patient: Case::user(&case.patient),
            hospital: HospitalId(0),
            records: records.try_into().unwrap(),
            purpose: Purpose::Treatment,
            emergency: None,
            at: now.try_into().unwrap(),
            nonce,
        };
        let bytes = request.signed_bytes(chain.genesis_hash());
        GrantRequest::signed(&request, &worker.account().sign(&bytes))
    };
    case.runtime.block_on(async {
        let looks: Vec<_> = pointers
            .windows(3)
            .take(lacking)
            .map(|three| {
                let (worker, request) = (worker.clone(), request(three));
                tokio::spawn(async move { worker.grant(&request).await.map(drop) })
            })
            .collect();
        for look in looks {
            look.await.unwrap().unwrap();
        }
    });
    let looked = ["audit", "who-looked", "--patient", &case.patient];
    let all = case.network.run(&looked);
    assert_eq!((all["looks"].as_array().unwrap().len(), &all["more"]), (LOOKS, &json!(false)));
    let cut = case.network.run(&[&looked[..], &["--limit", "46"]].concat());
    assert_eq!((cut["looks"].as_array().unwrap().len(), &cut["more"]), (46, &json!(true)));
    let text = case.text(
        &[&looked[..], &["--limit", "2"]].concat().into_iter().map(OsStr::new).collect::<Vec<_>>(),
    );
    assert!(text.contains("leave out --limit"), "{text}");
}
