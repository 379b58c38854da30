//! Measures what the calls of a runtime cost, and writes one file for each pallet. `scripts/weights` builds and runs this
//! program (ADR 017). It is the SDK's command for pallets without the SDK's other commands and without RocksDB.
//!
//! The measured runtime gets the host functions that a node gives it, and those of benchmarks.

use std::process::ExitCode;

use clap::Parser;
use frame_benchmarking_cli::PalletCmd;
use sc_cli::{CliConfiguration, LoggerBuilder};
use sp_runtime::traits::BlakeTwo256;

fn main() -> ExitCode {
    match measure(&PalletCmd::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("epione-weigher: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Without a logger, nobody would see why a benchmark failed: the command logs the reason, and returns only a number.
fn measure(command: &PalletCmd) -> sc_cli::Result<()> {
    LoggerBuilder::new(command.log_filters()?).init()?;
    command.run_with_spec::<BlakeTwo256, ()>(None)
}
