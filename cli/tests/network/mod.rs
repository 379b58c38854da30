//! A network of real processes for one test, gone when the test ends, however it ends.

#![allow(dead_code)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use epione_cli::devnet::{self, ProcessRecord, State};
use serde_json::Value;
use tempfile::TempDir;

/// Networks take both cores of a small machine: one at a time in each test program.
static TURN: Mutex<()> = Mutex::new(());

/// Ends only what hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// Looks until it is as wanted; says what was seen instead if it never is.
pub fn eventually<S: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> Result<(), S>) {
    let begun = Instant::now();
    while let Err(seen) = look() {
        let waited = begun.elapsed();
        let seconds = waited.as_secs();
        assert!(waited < PATIENCE, "waited {seconds} s in vain until {what}; seen last: {seen:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the environment may tell the program.
const SETTINGS: [&str; 4] =
    ["EPIONE_NODE", "EPIONE_WORKER", "EPIONE_DEVNET", "EPIONE_PASSWORD_FILE"];

/// The program under test. Nothing of the tester's own settings reaches it.
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

/// The failure that a command printed: after what it waited for, in the last line.
fn failure(arguments: &[&str], output: &Output) -> Value {
    let said = stderr(output);
    serde_json::from_str(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
}

/// A directory for a network, and whatever runs in it.
pub struct Network {
    directory: TempDir,
    /// Takes turns with the networks of other tests.
    _turn: MutexGuard<'static, ()>,
}

impl Network {
    /// A place, with nothing running yet.
    pub fn place() -> Self {
        let turn = turn();
        Self { directory: tempfile::tempdir().unwrap(), _turn: turn }
    }

    /// A network that runs.
    pub fn of(hospitals: u16) -> Self {
        let network = Self::place();
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

    /// Every process of the network as it is recorded now.
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

    /// Runs a command as it was printed, by a shell that finds the program under test.
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

    /// Runs a command that prints what it found also where that is bad news.
    pub fn finding(&self, arguments: &[&str]) -> Value {
        self.outcome(arguments).1
    }

    /// Exit status and result of a command, or its failure if it has no result.
    pub fn outcome(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.output(arguments);
        let said = match output.stdout.is_empty() {
            true => failure(arguments, &output),
            false => serde_json::from_slice(&output.stdout).unwrap(),
        };
        (output.status.code().unwrap(), said)
    }

    /// Registers somebody with the development keys of a seed at the first hospital; returns the user
    /// id.
    pub fn register(&self, role: &str, seed: &str) -> String {
        self.register_at("0", role, seed)
    }

    pub fn register_at(&self, hospital: &str, role: &str, seed: &str) -> String {
        let name = format!("Synthetic {seed}");
        let who = ["--role", role, "--name", &name, "--keys", seed, "--hospital", hospital];
        let registered = self.run(&[&["user", "register"], &who[..]].concat());
        registered["user"].as_str().unwrap().to_owned()
    }

    pub fn relate(&self, patient: &str, professional: &str) {
        self.run(&["relate", "--patient", patient, "--professional", professional]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            show_logs(&self.path());
        }
        if self.state().is_some()
            && let Err(error) = devnet::down(&self.path())
        {
            eprintln!("the network of a test was not taken down: {error}");
        }
    }
}

/// What the processes said last, for whoever looks at the failed test.
fn show_logs(directory: &Path) {
    let Ok(logs) = std::fs::read_dir(directory.join("logs")) else { return };
    for log in logs.flatten() {
        let text = std::fs::read_to_string(log.path()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        eprintln!("== {}", log.path().display());
        for line in &lines[lines.len().saturating_sub(15)..] {
            eprintln!("{line}");
        }
    }
}
