//! `epione-node`: a hospital's validator.

use std::process::ExitCode;

fn main() -> ExitCode {
    match epione_node::command::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("epione-node: {error}");
            ExitCode::FAILURE
        }
    }
}
