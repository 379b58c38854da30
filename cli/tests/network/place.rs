//! Folders of hospitals that are made by commands, and the program under test in them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{epione, stderr};

/// Of every governance key file.
pub const PASSWORD: &str = "four words of mine";

/// A folder for hospitals, in which the program keeps its own files, too.
pub struct Place {
    directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("password"), PASSWORD).unwrap();
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn output(&self, arguments: &[&str]) -> Output {
        let mut command = epione();
        command
            .arg("--json")
            .arg("--password-file")
            .arg(self.path("password"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"));
        command.args(arguments).output().unwrap()
    }

    pub fn try_run(&self, arguments: &[&str]) -> Result<Value, Value> {
        let output = self.output(arguments);
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap());
        }
        let said = stderr(&output);
        let last = said.lines().last().unwrap_or_default();
        Err(serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}")))
    }

    pub fn run(&self, arguments: &[&str]) -> Value {
        self.try_run(arguments).unwrap_or_else(|failure| panic!("{arguments:?}: {failure}"))
    }

    pub fn refusal(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).unwrap_err().to_string()
    }

    /// A new hospital, of which nothing runs.
    pub fn init(&self, name: &str, url: &str, more: &[&str]) -> Value {
        let dir = self.text(name);
        let words = ["hospital", "init", "--dir", &dir, "--name", name, "--worker-url", url];
        self.run(&[&words[..], more].concat())
    }

    pub fn assemble(&self, out: &str, applications: &[String]) -> Result<Value, Value> {
        let out = self.text(out);
        let words = ["genesis", "assemble", "--out", &out];
        let files: Vec<_> = applications.iter().map(String::as_str).collect();
        self.try_run(&[&words[..], &files].concat())
    }

    pub fn application(&self, name: &str) -> String {
        self.text(&format!("{name}/application.json"))
    }
}

/// The flags in a file of settings, as systemd and a shell read them.
pub fn flags(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let quoted = line.split_once("=\"").unwrap().1.strip_suffix('"').unwrap();
    quoted.split(' ').map(str::to_owned).collect()
}
