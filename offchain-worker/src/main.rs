//! `epione-worker`: the off-chain worker of a hospital.

use std::process::ExitCode;

fn main() -> ExitCode {
    epione_worker::command::run()
}
