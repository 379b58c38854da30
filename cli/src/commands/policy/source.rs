//! Reads policy files.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use epione_policies::language::{self, Mistakes};
use epione_primitives::{Moment, access::Policies};

use crate::failure::Failure;

/// Bytes of a policy file, at most. A full set of policies takes about half of it.
pub const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What standard input is called on the command line.
const STDIN: &str = "-";

/// A file that was read, and not compiled yet.
pub struct PolicyFile {
    name: String,
    text: String,
}

impl PolicyFile {
    /// Reads a file, or standard input if it is called `-`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = if path.as_os_str() == STDIN {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        let text = language::decode(&name, bytes(path)?)?;
        Ok(Self { name, text })
    }

    /// As [`language::compile`].
    pub fn compile(&self, now: Moment) -> Result<Policies, Mistakes> {
        language::compile(&self.name, &self.text, now)
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
