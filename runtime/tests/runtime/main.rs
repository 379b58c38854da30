//! The composed runtime, without a node: the preset `local`, blocks as an author makes them, and
//! transactions that are really signed.

#![allow(clippy::unwrap_used)]

mod bodies;
mod caller;
mod chain;
mod commit;
mod council;
mod equivocation;
mod genesis;
mod limits;
mod metadata;
mod releases;
mod sessions;
