//! A hospital's validator node: the SDK's service around Epione's runtime.
//!
//! Aura authors blocks, GRANDPA finalizes them without a voting rule, and the database is parity-db. Only
//! full sync is allowed: the node must execute every block, because the execution stores the bodies. It
//! keeps every block, and does not serve bodies to the IPFS network.

mod authoring;
pub mod chain_spec;
pub mod cli;
pub mod command;
mod finality;
pub mod lite_blocks;
mod rpc;
pub mod service;
