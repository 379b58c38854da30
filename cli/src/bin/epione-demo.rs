//! The program `epione-demo`, which `make demo` runs.

use std::process::ExitCode;

use clap::Parser;
use epione_cli::demo;

fn main() -> ExitCode {
    demo::run(&demo::Args::parse())
}
