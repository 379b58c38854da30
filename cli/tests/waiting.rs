//! What a command prints while it waits, and when it is interrupted, on networks with stopped processes.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use epione_client::{
    chain::Chain,
    reader::{self, ReadError},
};
use epione_devnet::{HospitalState, ProcessRecord};
use epione_envelope::segment::object_key;
use epione_primitives::RecordPointer;
use network::{Network, epione};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const DOCTOR: &str = "//Doctor";
const PATIENT: &str = "//Patient";
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };

/// A patient and a doctor who treats them at the first hospital, and a committed record with this file.
fn with_record(network: &Network, media: &[u8]) -> String {
    let [patient, _] = network.register_related(PATIENT, DOCTOR);
    let path = network.write("scan.bin", media);
    let visit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--patient", &patient];
    let submitted =
        network.run(&[&visit[..], &["--media", path.to_str().unwrap(), "--wait"]].concat());
    assert_eq!(submitted["stage"]["committed"]["pointer"], json!(FIRST), "{submitted}");
    patient
}

/// A command that runs, and the lines that it writes to standard error, without a terminal.
struct Running {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Running {
    fn start(network: &Network, arguments: &[&str]) -> Self {
        let mut command = epione();
        command.arg("--devnet").arg(network.path()).args(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Ends with the process, or with the test.
            errors.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Waits for a line that contains all of these words.
    fn says(&mut self, words: &[&str]) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("not said: {words:?}; but {:#?}", self.said));
            self.said.push(line.clone());
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// All lines until it ends, and its exit status.
    fn ends(mut self) -> (Vec<String>, Option<i32>) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end; it said {:#?}", self.said);
            std::thread::sleep(Duration::from_millis(50));
        };
        self.said.extend(self.lines.iter());
        (std::mem::take(&mut self.said), status.code())
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has already ended if the test passed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes that are stopped, and continue when this is dropped.
struct Stopped(Vec<ProcessRecord>);

impl Stopped {
    fn new(processes: impl IntoIterator<Item = Option<ProcessRecord>>) -> Self {
        let processes: Vec<_> = processes.into_iter().map(Option::unwrap).collect();
        let stopped = Self(processes);
        stopped.send(Signal::STOP);
        stopped
    }

    fn send(&self, signal: Signal) {
        for process in self.0.iter().filter(|process| process.is_running()) {
            kill_process(Pid::from_raw(process.pid as i32).unwrap(), signal).unwrap();
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.send(Signal::CONT);
    }
}

fn hospitals(network: &Network) -> Vec<HospitalState> {
    network.state().unwrap().hospitals
}

#[test]
fn with_two_of_four_hospitals_stopped_a_read_says_what_it_waits_for_and_why() {
    let network = Network::of(4);
    let patient = with_record(&network, &[7; 100_000]);
    let out = network.file("out");
    let read = |who: &'static str, more: &[&'static str]| {
        let get = ["records", "get", "--as", who, "--patient", &patient, "--all", "--out"];
        Running::start(&network, &[&get[..], &[out.to_str().unwrap()], more].concat())
    };

    // Two workers do not answer.
    let away = Stopped::new(hospitals(&network)[..2].iter().map(|it| it.worker.clone()));
    let mut granted = read(DOCTOR, &[]);
    granted.says(&["waiting", "hospital 0", "since 20"]);
    let (said, status) = granted.ends();
    assert_eq!(status, Some(1), "{said:#?}");
    assert!(said.iter().filter(|line| line.contains("waiting")).count() <= 3, "{said:#?}");

    let (said, status) = read(DOCTOR, &["--json"]).ends();
    assert_eq!(status, Some(1));
    let printed: Vec<Value> = said.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(printed[0]["waiting"]["hospital"], json!(0), "{printed:?}");
    assert!(printed[0]["waiting"]["seconds"].as_u64().unwrap() >= 2, "{printed:?}");
    assert!(printed.last().unwrap()["error"].is_string(), "{printed:?}");

    let mut own = read(PATIENT, &["--own-key"]);
    own.says(&["waiting", "hospital 0"]);
    own.says(&["waiting", "hospital 1"]);
    let (said, status) = own.ends();
    assert_eq!(status, Some(0), "a third hospital serves it: {said:#?}");
    drop(away);
    fs::remove_dir_all(&out).unwrap();

    // Two nodes are stopped: no block becomes final, and no receipt.
    let nodes = hospitals(&network)[2..].iter().map(|it| it.node.clone()).collect::<Vec<_>>();
    let _away = Stopped::new(nodes);
    let mut granted = read(DOCTOR, &[]);
    granted.says(&["waiting", "hospital 0", "receipt", "no block was finalized"]);
    granted.interrupt();
    let (said, status) = granted.ends();
    assert_eq!(status, Some(130), "{said:#?}");
    let help = said.last().unwrap();
    assert!(help.contains("saved in") && help.contains("run: epione --devnet"), "{help}");
}

/// The file in which the worker of the only hospital stores a segment of the first record.
fn stored(network: &Network, segment: usize) -> PathBuf {
    let hospital = hospitals(network).remove(0);
    let segments = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let chain = Chain::connect(&hospital.node_url).await.unwrap();
        let (_, record) = reader::verified(&chain, FIRST).await?;
        Ok::<_, ReadError>(record.segments())
    });
    hospital.store.join(object_key(&segments.unwrap()[segment].hash))
}

/// Whether a file in a record's folder has at least this many bytes.
fn has_read(folder: &Path, bytes: u64) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let mut files = entries.flatten().filter_map(|entry| entry.metadata().ok());
    files.any(|file| file.len() >= bytes)
}

#[test]
fn an_interrupted_read_prints_the_command_that_resumes_it() {
    let network = Network::of(1);
    let media: Vec<u8> = (0..10_000_000_u32).map(|n| (n.wrapping_mul(n) >> 9) as u8).collect();
    let patient = with_record(&network, &media);
    // The patient waits for the second segment, until the file is back. A grant would be refused: nobody can deliver
    // it.
    let second = stored(&network, 1);
    let hidden = second.with_extension("hidden");
    fs::rename(&second, &hidden).unwrap();
    let out = network.file("what was read");
    let arguments =
        ["records", "get", "--as", PATIENT, "--own-key", "--patient", &patient, "--all"];
    let mut reading =
        Running::start(&network, &[&arguments[..], &["--out", out.to_str().unwrap()]].concat());
    let until = Instant::now() + PATIENCE;
    while !has_read(&out.join("1-0.partial"), 4 * 1024 * 1024) {
        assert!(Instant::now() < until, "the first segment was not read");
        std::thread::sleep(Duration::from_millis(5));
    }
    let away = Stopped::new([hospitals(&network).remove(0).worker]);
    reading.says(&["waiting", "hospital 0", "segment"]);
    reading.interrupt();
    let (said, status) = reading.ends();
    drop(away);
    assert_eq!(status, Some(130), "{said:#?}");
    let help = said.last().unwrap();
    assert!(help.contains("the data read so far is saved in"), "{help}");
    assert!(has_read(&out.join("1-0.partial"), 4 * 1024 * 1024), "it is kept");

    fs::rename(&hidden, &second).unwrap();
    let (_, command) = help.split_once("run: ").unwrap();
    in_a_shell(command);
    let files = fs::read_dir(out.join("1-0")).unwrap().map(|entry| entry.unwrap().path());
    let (notes, files): (Vec<_>, Vec<_>) = files.partition(|path| path.ends_with("record.json"));
    assert_eq!((notes.len(), files.len()), (1, 1));
    assert!(fs::read(&files[0]).unwrap() == media);

    an_interrupted_upload_prints_the_command_that_resumes_it(&network, &patient);
}

/// The result of a printed command.
fn in_a_shell(command: &str) -> String {
    let shell = format!("epione() {{ \"{}\" \"$@\"; }}; {command}", env!("CARGO_BIN_EXE_epione"));
    let output = Command::new("sh").args(["-c", &shell]).output().unwrap();
    assert!(output.status.success(), "{}", network::stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn an_interrupted_upload_prints_the_command_that_resumes_it(network: &Network, patient: &str) {
    let note = network.write("note.txt", b"all well");
    let text = format!("report={}", note.display());
    let visit = ["visit", "submit", "--as", DOCTOR, "--hospital", "0", "--patient", patient];
    let away = Stopped::new([hospitals(network).remove(0).worker]);
    let mut submitting =
        Running::start(network, &[&visit[..], &["--text", &text, "--again"]].concat());
    submitting.says(&["waiting", "hospital 0"]);
    submitting.interrupt();
    let (said, status) = submitting.ends();
    drop(away);
    assert_eq!(status, Some(130), "{said:#?}");
    let command = said.last().unwrap().trim();
    assert!(command.starts_with("epione ") && !command.contains("--again"), "{said:#?}");
    let submitted = in_a_shell(command);
    assert!(submitted.contains("the visit of an earlier run"), "{submitted}");
}
