//! Ceremonies of the consortium key: the worker's part, with its real journals, and the real pallet, without nodes.

#![allow(clippy::unwrap_used)]

mod attacks;
mod chain;
mod epochs;
mod faults;
mod forger;
mod hospitals;
mod sizes;
