//! The ends of logs, for errors and for the reports of failed tests.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// The last lines of a log; empty if it cannot be read.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The last lines of each log of the network in a directory, below the log's path.
pub fn tails(directory: &Path, lines: usize) -> String {
    let Ok(entries) = fs::read_dir(folder(directory)) else { return String::new() };
    let mut logs: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    logs.sort();
    logs.iter().fold(String::new(), |mut text, log| {
        let _ = writeln!(text, "== {}\n{}", log.display(), tail(log, lines));
        text
    })
}

/// Where the logs of a network are.
pub(crate) fn folder(directory: &Path) -> PathBuf {
    directory.join("logs")
}

/// The last line of a log that mentions an error, or else the last line; shortened.
pub(crate) fn last_line(log: &Path) -> String {
    const TAIL: u64 = 4096;
    const LONGEST: usize = 300;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = || text.lines().rev().filter(|line| !line.trim().is_empty());
    let line = lines().find(|line| line.to_ascii_lowercase().contains("error"));
    let line = line.or_else(|| lines().next()).unwrap_or("nothing");
    line.trim().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_preferred_to_the_line_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("a.log");
        assert_eq!(last_line(&log), "nothing");
        fs::write(&log, "starting\nError: port taken\nbye\n\n").unwrap();
        assert_eq!(last_line(&log), "Error: port taken");
        fs::write(&log, "starting\nbye\n").unwrap();
        assert_eq!(last_line(&log), "bye");
    }

    #[test]
    fn the_end_of_each_log_is_shown_below_its_path() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(tails(directory.path(), 2), "");
        let logs = folder(directory.path());
        fs::create_dir(&logs).unwrap();
        fs::write(logs.join("b.log"), "1\n2\n3\n").unwrap();
        fs::write(logs.join("a.log"), "one").unwrap();
        let (a, b) = (logs.join("a.log"), logs.join("b.log"));
        let expected = format!("== {}\none\n== {}\n2\n3\n", a.display(), b.display());
        assert_eq!(tails(directory.path(), 2), expected);
    }
}
