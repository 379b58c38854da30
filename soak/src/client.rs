//! Runs `epione` as a process, and measures its memory while it runs.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use epione_devnet::prefixed;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    time::interval,
};

use crate::{memory, people::Practice, programs::Programs};

/// How often its memory is measured: the kernel keeps the maximum, but not beyond the process's end.
const LOOK: Duration = Duration::from_millis(20);

/// How often it is checked whether a command is to be killed.
const AIM: Duration = Duration::from_millis(5);

/// Runs `epione` against one network.
#[derive(Clone, Debug)]
pub struct Client {
    epione: PathBuf,
    devnet: PathBuf,
    prefix: Vec<String>,
}

/// The result of a command.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What it printed, as JSON.
    pub answer: Value,
    /// Its largest resident set, in bytes.
    pub peak: u64,
    pub took: Duration,
}

impl Client {
    /// Runs it against the network in the directory `devnet`.
    pub fn new(programs: &Programs, devnet: &Path) -> Self {
        Self { epione: programs.epione.clone(), devnet: devnet.into(), prefix: Vec::new() }
    }

    /// Starts it by another program ([`prefixed`]).
    #[must_use]
    pub fn started_by(self, prefix: Vec<String>) -> Self {
        Self { prefix, ..self }
    }

    /// Runs one command to its end.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Ran> {
        let begun = Instant::now();
        let mut child = self
            .command(arguments)
            .spawn()
            .with_context(|| format!("cannot start {}", self.epione.display()))?;
        let pid = child.id();
        let mut peak = 0;
        let mut looks = interval(LOOK);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let said = tokio::spawn(async { tokio::join!(read(stdout), read(stderr)) });
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                _ = looks.tick() => peak = peak.max(pid.and_then(memory::peak).unwrap_or_default()),
            }
        };
        let took = begun.elapsed();
        let (stdout, stderr) = said.await?;
        if !status.success() {
            bail!("epione {} failed ({status}): {stderr}", arguments.join(" "));
        }
        let answer = serde_json::from_str(&stdout)
            .with_context(|| format!("epione {} printed no JSON", arguments.join(" ")))?;
        Ok(Ran { answer, peak, took })
    }

    /// Starts a command, and kills it with SIGKILL as soon as `is_time` is true. Returns false if it ended before.
    pub async fn kill_when(
        &self,
        arguments: &[&str],
        mut is_time: impl FnMut() -> bool,
    ) -> anyhow::Result<bool> {
        let mut child = self
            .command(arguments)
            // Nobody reads what it prints.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", self.epione.display()))?;
        let mut looks = interval(AIM);
        loop {
            tokio::select! {
                status = child.wait() => {
                    let status = status?;
                    ensure!(status.success(), "epione {} failed ({status})", arguments.join(" "));
                    return Ok(false);
                }
                _ = looks.tick() => if is_time() {
                    child.kill().await?;
                    return Ok(true);
                },
            }
        }
    }

    /// Submits a visit with a media file, as a doctor for their patient; returns when the worker has acknowledged it.
    pub async fn submit(&self, practice: &Practice, media: &Path) -> anyhow::Result<Ran> {
        let (patient, hospital) = (practice.patient.to_string(), practice.hospital.to_string());
        let (doctor, media) = (practice.uri.as_str(), media.display().to_string());
        let words = ["visit", "submit", "--as", doctor, "--patient", &patient];
        let rest = ["--hospital", &hospital, "--media", &media];
        self.run(&[&words[..], &rest[..]].concat()).await.context("the visit was not acknowledged")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (program, words) = prefixed(&self.prefix, &self.epione);
        let mut command = Command::new(program);
        for setting in [
            "EPIONE_NODE",
            "EPIONE_GENESIS",
            "EPIONE_WORKER",
            "EPIONE_DEVNET",
            "EPIONE_PASSWORD_FILE",
        ] {
            command.env_remove(setting);
        }
        command
            .args(words)
            .arg("--json")
            .arg("--devnet")
            .arg(&self.devnet)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C ends this program, which then ends the command.
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// Reads the output of a command, which is short.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> String {
    const MOST: u64 = 4 * 1024 * 1024;
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // A broken pipe means that the command ended, which its exit status tells.
        let _ = pipe.take(MOST).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
