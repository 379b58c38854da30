//! The program `epione` of the same build, as persons run it on machines of their own. Such a run knows neither the
//! demo's network nor its options: only its arguments, and the files in its own folder.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use epione_client::private;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::failure::Failure;

/// Long enough that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(600);
/// Where a run that goes on writes its messages.
const MESSAGES: &str = "messages";

/// Where the program is.
#[derive(Clone, Debug)]
pub struct Program(PathBuf);

impl Program {
    /// Looks for it in `directory` if given, then in the folder of this program.
    pub fn find(directory: Option<&Path>) -> Result<Self, Failure> {
        let ours = env::current_exe().ok();
        let beside = ours.as_deref().and_then(Path::parent);
        let found = [directory, beside].into_iter().flatten().map(|folder| folder.join("epione"));
        // Runs have other working folders.
        let found = found.filter(|path| path.is_file()).find_map(|path| path.canonicalize().ok());
        found.map(Self).ok_or_else(|| {
            Failure::new("the program epione was not found", "build it with: make build")
        })
    }

    /// A run in a machine's folder, which is also its home.
    fn on(&self, machine: &Machine) -> Command {
        let mut command = Command::new(&self.0);
        command.env_clear().env("HOME", &machine.0).current_dir(&machine.0);
        command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a command until it ends. Returns whether it succeeded, and its result or its failure.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        machine: &Machine,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<(bool, Value), Failure> {
        let mut command = self.on(machine);
        command.args(arguments).arg("--json").stderr(Stdio::piped());
        let output = timeout(PATIENCE, command.output()).await.map_err(|_| stuck())?;
        let output = output.map_err(|error| Failure::file(&self.0, &error))?;
        let said = match output.stdout.is_empty() {
            // The failure is the last line, after those about what the command waited for.
            true => output.stderr.rsplit(|byte| *byte == b'\n').find(|line| !line.is_empty()),
            false => Some(output.stdout.as_slice()),
        };
        let said = said.and_then(|said| serde_json::from_slice(said).ok());
        let said = said.ok_or_else(|| {
            Failure::new(
                format!("epione ended with {} and without a result", output.status),
                String::from_utf8_lossy(&output.stderr),
            )
        })?;
        Ok((output.status.success(), said))
    }

    /// Begins a command that goes on until it is ended.
    pub fn begin<A: AsRef<OsStr>>(
        &self,
        machine: &Machine,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Running, Failure> {
        let messages = machine.0.join(MESSAGES);
        let file = File::create(&messages).map_err(|error| Failure::file(&messages, &error))?;
        let mut command = self.on(machine);
        let child = command.args(arguments).arg("--json").stderr(Stdio::from(file)).spawn();
        let mut child = child.map_err(|error| Failure::file(&self.0, &error))?;
        let results = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let results = results.ok_or_else(stuck)?;
        Ok(Running { child, results, messages })
    }
}

/// The folder of a machine, with everything that its user has.
#[derive(Clone, Debug)]
pub struct Machine(PathBuf);

impl Machine {
    /// A machine with an empty folder.
    pub fn new(folder: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::file(folder, &error);
        private::folder(folder).map_err(failed)?;
        folder.canonicalize().map(Self).map_err(failed)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Brings a copy of a file.
    pub fn bring(&self, name: &str, from: &Path) -> Result<(), Failure> {
        fs::copy(from, self.file(name)).map_err(|error| Failure::file(from, &error))?;
        Ok(())
    }
}

/// A command that goes on.
pub struct Running {
    child: Child,
    results: Lines<BufReader<ChildStdout>>,
    messages: PathBuf,
}

impl Running {
    /// Waits for the next result.
    pub async fn next_result(&mut self) -> Result<Value, Failure> {
        let mut text = String::new();
        let parsed = async {
            while let Ok(Some(line)) = self.results.next_line().await {
                text.push_str(&line);
                text.push('\n');
                if let Ok(value) = serde_json::from_str(&text) {
                    return Some(value);
                }
            }
            None
        };
        let found = timeout(PATIENCE, parsed).await.map_err(|_| stuck())?;
        found.ok_or_else(|| {
            let messages = self.messages.display();
            Failure::new("a command of the demo ended early", format!("read {messages}"))
        })
    }

    pub async fn end(mut self) -> Result<(), Failure> {
        self.child.kill().await.map_err(|error| Failure::file(&self.messages, &error))
    }
}

fn stuck() -> Failure {
    Failure::new("a command of the demo does not go on", "read the logs in the demo's devnet/logs")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine, and a program that acts like one that prints results. It takes a script for its arguments.
    fn shell() -> (tempfile::TempDir, Machine, Program) {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(&folder.path().join("machine")).unwrap();
        (folder, machine, Program("/bin/sh".into()))
    }

    #[test]
    fn the_program_is_found_in_the_named_folder_first() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("epione");
        fs::write(&program, "").unwrap();
        let found = Program::find(Some(folder.path())).unwrap();
        assert_eq!(found.0, program.canonicalize().unwrap());
    }

    #[tokio::test]
    async fn a_run_has_the_files_of_its_machine_and_no_settings() {
        let (folder, machine, shell) = shell();
        fs::write(folder.path().join("other"), "secret").unwrap();
        machine.bring("key", &folder.path().join("other")).unwrap();
        let script =
            r#"echo "{\"home\": \"$HOME\", \"key\": \"$(cat key)\", \"setting\": \"$CARGO\"}""#;
        let (succeeded, said) = shell.run(&machine, ["-c", script]).await.unwrap();
        let home = machine.0.display().to_string();
        assert_eq!(said, serde_json::json!({ "home": home, "key": "secret", "setting": "" }));
        assert!(succeeded);
    }

    #[tokio::test]
    async fn a_failure_is_the_last_line_of_the_messages() {
        let (_folder, machine, shell) = shell();
        let script = r#"echo waiting >&2; echo '{"error": "no"}' >&2; exit 1"#;
        let (succeeded, said) = shell.run(&machine, ["-c", script]).await.unwrap();
        assert!(!succeeded && said["error"] == "no", "{said}");
        let failure = shell.run(&machine, ["-c", "exit 3"]).await.unwrap_err();
        assert!(failure.error.contains("without a result"), "{failure}");
    }

    #[tokio::test]
    async fn results_of_several_lines_arrive_one_after_the_other() {
        let (_folder, machine, shell) = shell();
        let script = r#"printf '{\n  "a": 1\n}\n{\n  "b": 2\n}\n'"#;
        let mut running = shell.begin(&machine, ["-c", script]).unwrap();
        assert_eq!(running.next_result().await.unwrap()["a"], 1);
        assert_eq!(running.next_result().await.unwrap()["b"], 2);
        let ended = running.next_result().await.unwrap_err();
        assert!(ended.error.contains("ended early") && ended.help.contains(MESSAGES), "{ended}");
        running.end().await.unwrap();
    }
}
