//! `epione-soak`: long runs of whole networks.

use std::process::ExitCode;

fn main() -> ExitCode {
    epione_soak::command::run()
}
