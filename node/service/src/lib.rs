//! A hospital's validator node without its runtime: the SDK's service, the RPC methods, the command line.
//!
//! The program `epione-node` adds the runtime. This crate does not depend on `epione-runtime`, so both compile at
//! the same time (ADR 032).
//!
//! Aura authors blocks, GRANDPA finalizes them without a voting rule, and the database is parity-db. Only
//! full sync is allowed: the node must execute every block, because the execution stores the bodies. It
//! keeps every block, and does not serve bodies to the IPFS network.

mod authoring;
pub mod chain_spec;
pub mod cli;
pub mod command;
mod finality;
mod first_block;
pub mod lite_blocks;
mod newest_justification;
mod rpc;
pub mod runtime_api;
pub mod service;
