//! A runtime with index links only.

use frame_support::{construct_runtime, derive_impl};
use sp_io::TestExternalities;

use crate as pallet_index_links;

construct_runtime!(
    pub struct Test {
        System: frame_system,
        IndexLinks: pallet_index_links,
    }
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlockU32<Test>;
}

impl pallet_index_links::Config for Test {}

/// Runs `test` on an empty state, then checks the invariants.
pub fn run(test: impl FnOnce()) {
    TestExternalities::default().execute_with(|| {
        test();
        IndexLinks::check_state().unwrap();
    });
}
