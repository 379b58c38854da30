//! Bodies stored in memory.

use std::collections::BTreeMap;

use epione_primitives::ports::{self, BODY_NOT_AT_TAIL, HashedBody};
use frame_support::{
    dispatch::DispatchResult,
    parameter_types,
    storage::{transactional::TRANSACTION_LEVEL_KEY, unhashed},
};

/// Everything that the chain stores.
pub type State = BTreeMap<Vec<u8>, Vec<u8>>;

parameter_types! {
    /// Whether the extrinsic being applied ends with its body.
    pub static BodyAtTail: bool = true;
    /// The stored bodies, in order, each with the state at that moment.
    pub static Kept: Vec<(Vec<u8>, State)> = Vec::new();
}

pub(crate) fn forget() {
    BodyAtTail::set(true);
    Kept::set(Vec::new());
}

/// The state, without the mark that a call is being dispatched.
pub fn state() -> State {
    core::iter::successors(sp_io::storage::next_key(&[]), |key| sp_io::storage::next_key(key))
        .filter(|key| key != TRANSACTION_LEVEL_KEY)
        .filter_map(|key| unhashed::get_raw(&key).map(|value| (key, value)))
        .collect()
}

/// Stands in for the runtime, which stores bodies in the node.
pub struct Bodies;

impl ports::Bodies for Bodies {
    fn keep(body: HashedBody<'_>) -> DispatchResult {
        if !BodyAtTail::get() {
            return Err(BODY_NOT_AT_TAIL);
        }
        Kept::mutate(|kept| kept.push((body.bytes().to_vec(), state())));
        Ok(())
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(_: &[u8]) {
        BodyAtTail::set(true);
    }
}
