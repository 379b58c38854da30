//! Benchmarks of what the runtime has of its own, and of SDK pallets whose own benchmarks take a chain
//! with staking for granted.

pub mod caller;
pub mod session;

impl frame_system_benchmarking::Config for crate::Runtime {}
