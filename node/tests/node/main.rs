//! Tests of a real node, started as a process and used over its RPC port.

#![allow(clippy::unwrap_used)]

mod arguments;
mod chain_specs;
mod finality;
mod kept_bodies;
mod lite_blocks;
mod pool;
mod process;
mod rpc;
mod runtime_api;
mod start;
mod transactions;
