//! Benchmarks of the runtime's own code, and of SDK pallets whose own benchmarks require a chain
//! with staking.

pub mod caller;
pub mod session;

impl frame_system_benchmarking::Config for crate::Runtime {}
