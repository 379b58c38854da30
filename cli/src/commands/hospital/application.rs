//! Files with applications of hospitals.

use std::{fs::File, io::Read, path::Path};

use epione_client::application::{Application, MAX_FILE_BYTES};

use crate::failure::Failure;

/// Reads and verifies an application.
pub fn read(path: &Path) -> Result<Application, Failure> {
    let unreadable = |error: std::io::Error| Failure::file(path, &error);
    let file = File::open(path).map_err(unreadable)?;
    let mut json = Vec::new();
    // One byte more, so that a file that is too long is noticed.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut json).map_err(unreadable)?;
    Application::parse(&json).map_err(|error| {
        Failure::new(
            format!("{}: {error}", path.display()),
            "ask the hospital for its application again; do not change the file",
        )
    })
}
