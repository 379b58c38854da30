//! A program of a network: what it prints goes to a log, and it is killed when the value is dropped.

use std::{
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{DevnetError, ProcessRecord, logs, prefixed};

/// A program with its arguments; at most one process of it runs at a time.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    prefix: Vec<String>,
    environment: Vec<(String, String)>,
    in_own_group: bool,
    /// Whether it has run before; then its log is continued.
    ran: bool,
    child: Option<Child>,
}

impl Process {
    /// A process that does not run yet.
    pub fn new(
        name: impl Into<String>,
        program: &Path,
        arguments: Vec<String>,
        log: &Path,
    ) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments,
            log: log.into(),
            prefix: Vec::new(),
            environment: Vec::new(),
            in_own_group: false,
            ran: false,
            child: None,
        }
    }

    /// Starts it by another program ([`prefixed`]).
    #[must_use]
    pub fn started_by(mut self, prefix: &[String]) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets an environment variable of it.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Gives it a process group of its own: a Ctrl-C on the terminal does not reach it.
    #[must_use]
    pub fn in_own_group(mut self) -> Self {
        self.in_own_group = true;
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Starts it; does nothing if it runs. Does not wait until it is ready.
    pub fn start(&mut self) -> Result<ProcessRecord, DevnetError> {
        let pid = match self.running() {
            Some(pid) => pid,
            None => {
                let child = self.spawn()?;
                self.ran = true;
                self.child.insert(child).id()
            }
        };
        ProcessRecord::of(pid).map_err(|error| self.unexpected_end(error.to_string()))
    }

    fn running(&mut self) -> Option<u32> {
        let child = self.child.as_mut()?;
        matches!(child.try_wait(), Ok(None)).then(|| child.id())
    }

    fn spawn(&self) -> Result<Child, DevnetError> {
        let failed = |source| DevnetError::File { path: self.log.clone(), source };
        let mut options = File::options();
        options.create(true).write(true).append(self.ran).truncate(!self.ran);
        let log = options.open(&self.log).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        let (program, words) = prefixed(&self.prefix, &self.program);
        let mut command = Command::new(program);
        command
            .args(words)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // The log is a file.
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        if self.in_own_group {
            command.process_group(0);
        }
        command
            .spawn()
            .map_err(|source| DevnetError::Start { program: self.program.clone(), source })
    }

    /// Kills it, as `kill -9` and power cuts do, and waits until it has ended.
    pub fn kill(&mut self) -> Result<(), DevnetError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let killed = child.kill().and_then(|()| child.wait());
        killed.map(drop).map_err(|_| DevnetError::Survivors(vec![child.id()]))
    }

    /// Sends it SIGTERM, as an operator does, and waits until it has ended. Returns how it ended; `None` if it did
    /// not run.
    pub fn stop(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        kill_process(Pid::from_child(child), Signal::TERM)?;
        let status = child.wait()?;
        self.child = None;
        Ok(Some(status))
    }

    /// How it ended, if it ended since it was started. Returned once.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        Some(status)
    }

    /// Whether it was started, and neither [`Self::ended`] nor a call of this process has seen its end.
    pub(crate) fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// The error of a process that should run and does not.
    pub(crate) fn unexpected_end(&self, status: String) -> DevnetError {
        DevnetError::Ended {
            process: self.name.clone(),
            status,
            log: self.log.clone(),
            last_line: logs::last_line(&self.log),
        }
    }

    /// Lets it run on without this value.
    pub(crate) fn detach(&mut self) {
        self.child = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // If the kernel does not let us end it, nobody is there to be told.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shell(directory: &Path, script: &str) -> Process {
        let arguments = vec!["-c".into(), script.into()];
        Process::new("shell", Path::new("/bin/sh"), arguments, &directory.join("shell.log"))
    }

    #[test]
    fn the_log_goes_on_when_a_process_is_started_again() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("shell.log"), "of an earlier network\n").unwrap();
        let script = "echo $WORD; exec sleep 60";
        let mut process = shell(directory.path(), script).with_variable("WORD", "begun");
        for times in 1..=2 {
            let record = process.start().unwrap();
            assert_eq!(process.start().unwrap(), record, "it runs already");
            let expected = "begun\n".repeat(times);
            while fs::read_to_string(process.log()).unwrap() != expected {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            process.kill().unwrap();
            assert!(!record.is_running());
        }
    }

    #[test]
    fn a_process_ends_with_its_value() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = shell(directory.path(), "exec sleep 60");
        let record = process.start().unwrap();
        drop(process);
        assert!(!record.is_running());
    }

    #[test]
    fn an_end_is_reported_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = shell(directory.path(), "exec sleep 60");
        assert_eq!(process.stop().unwrap(), None);
        process.start().unwrap();
        assert_eq!(process.ended(), None);
        assert!(!process.stop().unwrap().unwrap().success(), "sleep ends by the signal");
        assert_eq!(process.ended(), None);
        let mut process = shell(directory.path(), "sleep 0.1; exit 3");
        process.start().unwrap();
        let status = loop {
            if let Some(status) = process.ended() {
                break status;
            }
        };
        assert_eq!((status.code(), process.ended()), (Some(3), None));
    }
}
