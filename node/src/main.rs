//! `epione-node`: a hospital's validator. This program joins the node and its runtime, which compile separately.

use std::process::ExitCode;

use epione_node_service::chain_spec::EmbeddedRuntime;
use epione_runtime::{WASM_BINARY, genesis};

fn main() -> ExitCode {
    let runtime = EmbeddedRuntime {
        code: WASM_BINARY,
        preset_names: genesis::names,
        preset: genesis::preset,
    };
    match epione_node_service::command::run(runtime) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("epione-node: {error}");
            ExitCode::FAILURE
        }
    }
}
