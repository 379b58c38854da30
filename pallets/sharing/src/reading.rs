//! Reading the classes of sections: for other pallets through the port, for nodes and clients through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{RecordPointer, limits::MAX_RELEASED_RECORDS, ports, release::SectionSet};

use crate::{Config, Pallet, Shared};

impl<T: Config> Pallet<T> {
    /// The sections that their patients share, of the first [`MAX_RELEASED_RECORDS`] of these records, in their order.
    /// A record that does not exist has none.
    pub fn shared(pointers: Vec<RecordPointer>) -> Vec<SectionSet> {
        pointers.into_iter().take(MAX_RELEASED_RECORDS as usize).map(Shared::<T>::get).collect()
    }
}

impl<T: Config> ports::Sharing for Pallet<T> {
    fn shared(pointer: RecordPointer) -> SectionSet {
        Shared::<T>::get(pointer)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(pointer: RecordPointer, sections: SectionSet) {
        Shared::<T>::insert(pointer, sections);
    }
}
