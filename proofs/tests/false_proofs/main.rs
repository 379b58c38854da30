//! What a node may try on a client that verifies: every lie is refused, and what is true is accepted.

#![allow(clippy::unwrap_used)]

mod authorities;
mod chain;
mod checkpoints;
mod extrinsics;
mod justifications;
mod maps;
mod state;
mod time;
mod vectors;
