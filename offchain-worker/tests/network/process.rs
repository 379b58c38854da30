//! A program under test: killed, never asked to end, and never left behind.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::program;

pub struct Process {
    program: &'static str,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    pub fn new(program: &'static str, arguments: Vec<String>, log: &Path) -> Self {
        Self { program, arguments, log: log.into(), child: None }
    }

    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.program);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = Command::new(program(self.program))
            .args(&self.arguments)
            .env("RUST_LOG", "info,epione_worker=debug,epione_worker::api=info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        // Whoever does not understand its arguments says so at once.
        std::thread::sleep(Duration::from_millis(300));
        let ended = self.child.insert(child).try_wait().unwrap();
        assert!(ended.is_none(), "{} ended: {}", self.program, self.log());
    }

    /// As `kill -9` does, and power cuts.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks it to end, as an operator does; returns whether it said that all was well.
    pub fn stop(&mut self) -> bool {
        let Some(mut child) = self.child.take() else { return false };
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait().unwrap().success()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            eprintln!("---- {} ({})\n{tail}", self.program, self.log.display());
        }
    }
}
