//! The program `epione`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    epione_cli::run().await
}
