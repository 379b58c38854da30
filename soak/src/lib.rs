//! Long runs of whole networks on one machine, and what they measure.
//!
//! | run | what is learnt |
//! | --- | --- |
//! | [`large`] | whether gigabytes pass through processes of bounded memory, and come back the same |
//! | [`links`] | how long a block takes over narrow links, for how many hospitals |
//! | [`crashes`] | whether anything acknowledged is ever lost when processes are killed at random |
//!
//! Each writes `<run>.json` and `<run>.md` ([`results`]), with the machine, the date, the commit and the
//! command. The networks are those of `epione devnet`; where links are shaped or cut, everything runs in
//! namespaces of its own ([`namespaces`]), which the kernel removes with the last process.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod client;
pub mod command;
pub mod content;
pub mod crashes;
pub mod dice;
pub mod folder;
pub mod large;
pub mod links;
pub mod machine;
pub mod memory;
pub mod namespaces;
pub mod people;
pub mod programs;
pub mod results;
pub mod stores;
pub mod topology;
pub mod walk;
