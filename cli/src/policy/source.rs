//! From a file to text.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use epione_primitives::{Moment, access::Policies};

use super::mistake::{Lines, Mistake, Mistakes};
use crate::failure::Failure;

/// Bytes of a policy file, at most. A full set of policies takes about half of it.
pub const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What standard input is called on the command line.
const STDIN: &str = "-";

/// A file that was read, and not compiled yet.
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// Reads a file, or standard input if it is called `-`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = if path.as_os_str() == STDIN {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        let text = text(&name, bytes(path)?)?;
        Ok(Self { name, text })
    }

    /// As [`compile`](super::compile).
    pub fn compile(&self, now: Moment) -> Result<Policies, Mistakes> {
        super::compile(&self.name, &self.text, now)
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = MAX_FILE_BYTES + 1;
    let outcome = if path.as_os_str() == STDIN {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    outcome.map_err(|error| Failure::file(path, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::new(
            format!("{} is longer than {MAX_FILE_BYTES} bytes", path.display()),
            "a policy file is never that long: name another, or shorten its comments",
        ));
    }
    Ok(bytes)
}

fn text(file: &str, bytes: Vec<u8>) -> Result<String, Mistakes> {
    String::from_utf8(bytes).map_err(|error| {
        let legible = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let legible = String::from_utf8_lossy(legible);
        let lines = Lines::of(&legible);
        let mistake = Mistake {
            file: file.into(),
            line: lines.line(legible.len()),
            column: lines.column(legible.len()),
            policy: None,
            field: None,
            problem: "this is not UTF-8".into(),
            advice: "save the file as UTF-8".into(),
        };
        Mistakes { file: file.into(), told: vec![mistake], more: 0 }
    })
}
