//! The program `epione`.

use std::process::ExitCode;

fn main() -> ExitCode {
    epione_cli::run()
}
