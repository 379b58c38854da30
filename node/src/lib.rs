//! A hospital's validator node: the SDK's service around Epione's runtime.
//!
//! Blocks by Aura, finality by GRANDPA without a voting rule, the database is parity-db. Every block
//! is executed, since that is what indexes the bodies; so only full sync is allowed.

mod authoring;
pub mod chain_spec;
pub mod cli;
pub mod command;
mod finality;
pub mod lite_blocks;
mod rpc;
pub mod service;
