//! Commands of this program that are printed for the user. They are complete, so that they run as they are printed.

use std::{ffi::OsStr, fmt};

/// A command, with quotes where a shell needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation(String);

impl Invocation {
    /// `epione` with these arguments.
    pub fn new<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Self {
        Self("epione".into()).with(words)
    }

    /// Adds arguments.
    #[must_use]
    pub fn with<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        for word in words {
            self.0.push(' ');
            self.0 += &quoted(&word.as_ref().to_string_lossy());
        }
        self
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word, quoted for a POSIX shell if needed.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_the_quoted_words_back() {
        let words = ["visit", "a b", "it's", "$HOME", "", "//Doctor", "x;y", "ä\n", "*"];
        let printed = Invocation::new(words).to_string();
        let shell = format!("epione() {{ printf '%s|' \"$@\"; }}; {printed}");
        let output = Command::new("sh").args(["-c", &shell]).output().unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        assert_eq!(read, words.join("|") + "|");
        assert!(printed.starts_with("epione visit 'a b'"), "{printed}");
    }
}
