//! What a node may try on a client that verifies: every lie is refused, and what is true is accepted.

#![allow(clippy::unwrap_used)]

mod authorities;
mod bodies;
mod chain;
mod justifications;
mod lists;
mod state;
mod time;
