//! Processes that outlive the command that started them: recorded so that another command can end them later, and never
//! ends another process by mistake.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// How often it is checked whether a process has ended.
const POLL: Duration = Duration::from_millis(50);
/// How long the kernel may take to end a process after SIGKILL.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// A process as the kernel identified it when it was started. A process id alone is not enough: the kernel reuses it
/// for another process sooner or later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessRecord {
    pub pid: u32,
    /// Clock ticks between the machine's start and the process's (proc(5), `stat`, field 22).
    pub started: u64,
    /// Identifies the start of the machine since which `started` counts.
    pub boot: String,
}

impl ProcessRecord {
    /// Reads from the kernel what identifies a running process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let started = running_since(pid)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the process has ended"))?;
        Ok(Self { pid, started, boot: boot() })
    }

    /// Whether this process still runs: a process with the same id and start time exists, and is not a zombie.
    pub fn is_running(&self) -> bool {
        matches!(running_since(self.pid), Ok(Some(started)) if started == self.started)
            && boot() == self.boot
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid)
            .ok()
            .filter(|pid| *pid > 1)
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a process id"))?;
        if !self.is_running() {
            return Ok(());
        }
        match kill_process(pid, signal) {
            Err(error) if self.is_running() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Ends processes: sends SIGTERM, waits for `grace`, then sends SIGKILL. Returns those that still run.
pub fn end(processes: &[ProcessRecord], grace: Duration) -> Vec<ProcessRecord> {
    for (signal, patience) in [(Signal::TERM, grace), (Signal::KILL, KILL_GRACE)] {
        let running: Vec<_> = processes.iter().filter(|process| process.is_running()).collect();
        for process in &running {
            // If this is not permitted, the process still runs below, and is returned.
            let _ = process.signal(signal);
        }
        let until = Instant::now() + patience;
        while running.iter().any(|process| process.is_running()) && Instant::now() < until {
            std::thread::sleep(POLL);
        }
    }
    processes.iter().filter(|process| process.is_running()).cloned().collect()
}

/// Start time of a process that has not ended; `None` for a zombie.
fn running_since(pid: u32) -> io::Result<Option<u64>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&stat).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "/proc/<pid>/stat has an unknown form")
    })
}

/// The command name, in parentheses, can contain any character: fields are counted from its end.
fn parse_stat(stat: &str) -> Option<Option<u64>> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((!matches!(state, "Z" | "X" | "x")).then_some(started))
}

/// A random id that the kernel chooses when the machine starts; empty if it cannot be read.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn a_stat_line_is_read_past_a_hostile_command_name() {
        let line = "77 (a) R (b)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_stat(line), Some(Some(4242)));
        assert_eq!(parse_stat(&line.replace(" S ", " Z ")), Some(None));
        assert_eq!(parse_stat("77 (a"), None);
    }

    #[test]
    fn a_recorded_process_is_ended() {
        let mut child = sleeper();
        let record = ProcessRecord::of(child.id()).unwrap();
        assert!(record.is_running());
        assert_eq!(end(std::slice::from_ref(&record), Duration::from_secs(5)), []);
        assert!(!record.is_running());
        child.wait().unwrap();
    }

    #[test]
    fn another_process_with_the_recorded_id_is_not_ended() {
        let mut child = sleeper();
        let mut record = ProcessRecord::of(child.id()).unwrap();
        record.started += 1;
        assert!(!record.is_running());
        assert_eq!(end(&[record], Duration::from_millis(100)), []);
        assert!(child.try_wait().unwrap().is_none(), "the other process must still run");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
