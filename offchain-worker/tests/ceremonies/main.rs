//! Ceremonies of the consortium key: the worker's part, with its real journals, and the real pallet, without nodes.

#![allow(clippy::unwrap_used)]
// `construct_runtime!` looks for a feature `std`, which this crate does not have.
#![allow(unexpected_cfgs)]

mod attacks;
mod chain;
mod epochs;
mod faults;
mod forger;
mod harvest;
mod hospitals;
mod sizes;
