//! The verifier of `epione-proofs` as a WebAssembly module, so that a browser can verify what a node says.
//!
//! The module imports nothing. `verifier.mjs` shows how JavaScript calls it. Each call gets the state that it needs,
//! and the module keeps none: a client stores the authorities between runs, and gives them back.
//!
//! On other targets there are only the [`calls`], so that the workspace compiles and lints them.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod calls;

#[cfg(target_family = "wasm")]
#[macro_use]
mod abi;

#[cfg(target_family = "wasm")]
exported! {
    verify_genesis => calls::verify_genesis,
    follow => calls::follow,
    verify_head => calls::verify_head,
    storage_key => calls::storage_key,
    read_state => calls::read_state,
}
