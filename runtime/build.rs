//! Builds the runtime a second time, to the WebAssembly that goes on chain.

fn main() {
    #[cfg(feature = "std")]
    substrate_wasm_builder::WasmBuilder::build_using_defaults();
}
