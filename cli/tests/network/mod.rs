//! A network of real processes for one test, started by the program under test. It is taken down when the test ends,
//! also when the test fails.

#![allow(dead_code)]

pub mod lane;
pub mod lie;
pub mod place;
pub mod proxy;
pub mod reading;
pub mod worker;

use std::{
    panic::resume_unwind,
    path::PathBuf,
    process::{Command, Output},
    sync::{Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use epione_devnet::{ProcessRecord, State};
use serde_json::Value;
use tempfile::TempDir;

/// How many hospitals the networks of one test program have together. They wait for blocks most of the time, and four
/// networks of one hospital need no more of a small machine than one network of four.
const HOSPITALS: u16 = 4;

/// Of these, how many are free now.
static FREE: Mutex<u16> = Mutex::new(HOSPITALS);
static RETURNED: Condvar = Condvar::new();

/// Ends only what hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// Repeats `look` until it succeeds. If it never does, panics with what it saw last.
pub fn eventually<S: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> Result<(), S>) {
    let begun = Instant::now();
    while let Err(seen) = look() {
        let waited = begun.elapsed();
        let seconds = waited.as_secs();
        assert!(waited < PATIENCE, "waited {seconds} s in vain until {what}; last seen: {seen:?}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// The right to run a network, for as long as this is kept.
pub struct Turn {
    hospitals: u16,
}

impl Turn {
    /// Waits until the program's other networks leave room for so many hospitals, or for as many as may run at all.
    pub fn of(hospitals: u16) -> Self {
        let hospitals = hospitals.min(HOSPITALS);
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let free = RETURNED.wait_while(free, |free| *free < hospitals);
        *free.unwrap_or_else(PoisonError::into_inner) -= hospitals;
        Self { hospitals }
    }

    /// Waits until the program has no other network.
    pub fn alone() -> Self {
        Self::of(HOSPITALS)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += self.hospitals;
        RETURNED.notify_all();
    }
}

/// The environment variables that the program reads.
const SETTINGS: [&str; 5] =
    ["EPIONE_NODE", "EPIONE_GENESIS", "EPIONE_WORKER", "EPIONE_DEVNET", "EPIONE_PASSWORD_FILE"];

/// The program under test, without the settings in the tester's environment.
pub fn epione() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epione"));
    for setting in SETTINGS {
        command.env_remove(setting);
    }
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The failure that a command printed: its last line, after the lines about what it waited for.
fn failure(arguments: &[&str], output: &Output) -> Value {
    let said = stderr(output);
    serde_json::from_str(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
}

/// A directory for a network, and the network that runs in it.
pub struct Network {
    directory: TempDir,
    /// Kept until this network is taken down.
    _turn: Turn,
}

impl Network {
    /// A directory in which nothing runs yet. No other network of this program runs beside it.
    pub fn place() -> Self {
        Self::within(Turn::alone())
    }

    fn within(turn: Turn) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), _turn: turn }
    }

    /// A network that runs.
    pub fn of(hospitals: u16) -> Self {
        let network = Self::within(Turn::of(hospitals));
        let output = network.up(hospitals).arg("--detach").output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        network
    }

    pub fn up(&self, hospitals: u16) -> Command {
        let mut command = epione();
        command.args(["devnet", "up", "--pack-ms", "200", "--hospitals", &hospitals.to_string()]);
        command.arg("--dir").arg(self.path());
        command
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("net")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn state(&self) -> Option<State> {
        State::read(&self.path()).unwrap()
    }

    /// Every process of the network that is recorded now.
    pub fn processes(&self) -> Vec<ProcessRecord> {
        let Some(state) = self.state() else { return Vec::new() };
        let mut processes = state.nodes();
        processes.extend(state.workers());
        processes.extend(state.supervisor);
        processes
    }

    /// Runs `epione --json` in this network.
    pub fn try_run(&self, arguments: &[&str]) -> Result<Value, Value> {
        let output = self.output(arguments);
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap());
        }
        Err(failure(arguments, &output))
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let mut command = epione();
        command.arg("--json").arg("--devnet").arg(self.path()).args(arguments).output().unwrap()
    }

    /// Runs a printed command in a shell that finds the program under test.
    pub fn run_printed(&self, command: &str) -> Value {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_epione"));
        let mut path = program.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        for setting in SETTINGS {
            shell.env_remove(setting);
        }
        let line = format!("{command} --json");
        let output = shell.args(["-c", &line]).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{line}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> Value {
        self.try_run(arguments).unwrap_or_else(|failure| panic!("{arguments:?}: {failure}"))
    }

    /// The result of a command, whether or not it reports success.
    pub fn finding(&self, arguments: &[&str]) -> Value {
        self.outcome(arguments).1
    }

    /// Exit status and result of a command; its failure if it has no result.
    pub fn outcome(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.output(arguments);
        let said = match output.stdout.is_empty() {
            true => failure(arguments, &output),
            false => serde_json::from_slice(&output.stdout).unwrap(),
        };
        (output.status.code().unwrap(), said)
    }

    /// Registers a user with the development keys of a seed at the first hospital; returns the user id.
    pub fn register(&self, role: &str, seed: &str) -> String {
        self.register_at("0", role, seed)
    }

    pub fn register_at(&self, hospital: &str, role: &str, seed: &str) -> String {
        let name = format!("Synthetic {seed}");
        let who = ["--role", role, "--name", &name, "--keys", seed, "--hospital", hospital];
        let registered = self.run(&[&["user", "register"], &who[..]].concat());
        registered["user"].as_str().unwrap().to_owned()
    }

    /// Registers users at the same time, each by hospital, role and seed, because each waits for a final block; returns
    /// their ids in this order.
    pub fn register_all<const N: usize>(&self, users: [(&str, &str, &str); N]) -> [String; N] {
        thread::scope(|scope| {
            let begun = users.map(|(hospital, role, seed)| {
                scope.spawn(move || self.register_at(hospital, role, seed))
            });
            begun.map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    /// Registers a patient and a doctor at the first hospital, and relates them; returns their ids.
    pub fn register_related(&self, patient: &str, doctor: &str) -> [String; 2] {
        let users = self.register_all([("0", "patient", patient), ("0", "doctor", doctor)]);
        self.relate(&users[0], &users[1]);
        users
    }

    pub fn relate(&self, patient: &str, professional: &str) {
        self.run(&["relate", "--patient", patient, "--professional", professional]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", epione_devnet::tails(&self.path(), 15));
        }
        if self.state().is_some()
            && let Err(error) = epione_devnet::down(&self.path())
        {
            eprintln!("the network of a test was not taken down: {error}");
        }
    }
}
