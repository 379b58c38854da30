//! Commands of this program that are printed for the user. They are complete, so that they run as they are printed,
//! except that the user adds the password of an address.

use std::{borrow::Cow, ffi::OsStr, fmt, os::unix::ffi::OsStrExt};

use epione_client::endpoint::without_userinfo;

use crate::wording::controls;

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
            self.0 += &quoted(&printable(word.as_ref()));
        }
        self
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word that may be printed: without the password of an address.
fn printable(word: &OsStr) -> Cow<'_, OsStr> {
    match word.to_str() {
        Some(text) if text.contains("://") && text.contains('@') => {
            Cow::Owned(without_userinfo(text).into())
        }
        _ => Cow::Borrowed(word),
    }
}

/// A word, quoted for a shell if needed.
pub fn quoted(word: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match word.to_str() {
        Some(word) if !word.is_empty() && word.chars().all(plain) => word.into(),
        Some(word) if !word.contains(controls) => format!("'{}'", word.replace('\'', r"'\''")),
        _ => escaped(word.as_bytes()),
    }
}

/// A word that is not legible text, quoted as bash, zsh and POSIX.1-2024 read it.
fn escaped(word: &[u8]) -> String {
    let mut escaped = String::from("$'");
    let hex = |escaped: &mut String, bytes: &[u8]| {
        bytes.iter().for_each(|byte| *escaped += &format!(r"\x{byte:02x}"));
    };
    for chunk in word.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => escaped.extend(['\\', c]),
                '\n' => escaped += r"\n",
                c if controls(c) => hex(&mut escaped, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => escaped.push(c),
            }
        }
        hex(&mut escaped, chunk.invalid());
    }
    escaped + "'"
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_the_quoted_words_back() {
        let words = ["visit", "a b", "it's", "$HOME", "", "//Doctor", "x;y", "ä", "*"];
        let printed = Invocation::new(words).to_string();
        let shell = format!("epione() {{ printf '%s|' \"$@\"; }}; {printed}");
        let output = Command::new("sh").args(["-c", &shell]).output().unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        assert_eq!(read, words.join("|") + "|");
        assert!(printed.starts_with("epione visit 'a b'"), "{printed}");
    }

    #[test]
    fn the_password_of_an_address_is_not_printed() {
        let words = [
            "--node=ws://ada:secret@node.example",
            "wss://ada:secret@node.example",
            "ada@hospital.example",
            "//Doctor",
        ];
        let printed = Invocation::new(words).to_string();
        let expected = "--node=ws://node.example wss://node.example/ ada@hospital.example //Doctor";
        assert_eq!(printed, format!("epione {expected}"));
    }

    #[test]
    fn a_word_that_is_not_legible_is_printed_in_escapes_and_read_back() {
        let words: [&[u8]; 4] = [
            b"out\xff\xfe",
            "it's\\a\nb".as_bytes(),
            "\u{202e}gpj.exe\x1b[31m".as_bytes(),
            b"\x7f1",
        ];
        let printed = Invocation::new(words.map(OsStr::from_bytes)).to_string();
        assert!(printed.starts_with(r"epione $'out\xff\xfe' $'it\'s\\a\nb' "), "{printed}");
        assert!(!printed.contains(controls), "{printed:?}");
        let shell = format!("epione() {{ printf '%s|' \"$@\"; }}; {printed}");
        let output = Command::new("bash").args(["-c", &shell]).output().unwrap();
        assert_eq!(output.stdout, [&words.join(&b"|"[..])[..], b"|"].concat());
    }
}
