//! Tests of the composed runtime without a node: with the preset `local`, complete blocks, and signed
//! transactions.

#![allow(clippy::unwrap_used)]

mod bodies;
mod caller;
mod chain;
mod commit;
mod consortium;
mod council;
mod credentials;
mod custodian;
mod custody;
mod endings;
mod equivocation;
mod genesis;
mod hostile;
mod invariants;
mod least;
mod limits;
mod mandates;
mod metadata;
mod motions;
mod openings;
mod possession;
mod proofs;
mod queries;
mod quotas;
mod recovery;
mod releases;
mod sessions;
mod sharing;
mod suspension;
mod upgrade;
