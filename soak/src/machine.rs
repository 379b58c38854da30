//! Where a result comes from: the machine, the date, the commit, and the command that repeats it.

use std::{fs, path::Path, process::Command, time::SystemTime};

use serde::Serialize;

/// A part of every result.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stamp {
    pub processor: String,
    pub cores: usize,
    pub memory_bytes: u64,
    pub kernel: String,
    /// UTC.
    pub date: String,
    /// Followed by `, changed` if the working tree differed from it.
    pub commit: String,
    pub command: String,
}

impl Stamp {
    /// Reads it from this machine; `command` repeats the run.
    pub fn take(command: String) -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kibibytes: u64 = field(&memory, "MemTotal")
            .and_then(|value| value.trim_end_matches("kB").trim().parse().ok())
            .unwrap_or_default();
        Self {
            processor: field(&cpu, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kibibytes * 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| "unknown".into(), |release| release.trim().to_owned()),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            commit: commit(),
            command,
        }
    }
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The commit of the folder that this program was built in, if that is still a git repository.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".into() };
    // Results do not change what is measured.
    let changed = git(&["status", "--porcelain", "--", ":/", ":(top,exclude)benchmarks/results"]);
    match changed {
        Some(changed) if !changed.is_empty() => format!("{commit}, changed"),
        _ => commit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_describes_the_machine() {
        let stamp = Stamp::take("epione-soak large".into());
        assert!(stamp.cores > 0 && stamp.memory_bytes > 1 << 20, "{stamp:?}");
        assert!(!stamp.processor.is_empty() && !stamp.kernel.is_empty(), "{stamp:?}");
    }

    #[test]
    fn of_several_processors_the_first_is_named() {
        assert_eq!(field("model name\t: A: B\nmodel name : C", "model name"), Some("A: B"));
        assert_eq!(field("", "model name"), None);
    }
}
