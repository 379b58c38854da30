//! Transactions at the limits fit into a block.

use codec::Encode;
use epione_primitives::{
    block::{AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Range, Segments},
    limits::{BLOCK_BYTES, MAX_BODY_BYTES, MAX_ENTRIES},
};
use epione_runtime::{Runtime, RuntimeCall, configs::NORMAL_SHARE};
use frame_support::dispatch::{DispatchClass, GetDispatchInfo};

use crate::chain::{A, PATIENT, key, local, signed};

#[test]
fn two_of_the_largest_announcements_fit_into_a_block() {
    local(|_| {
        let entry = AnnouncedEntry {
            patient: PATIENT,
            text: Range { offset: MAX_BODY_BYTES, length: MAX_BODY_BYTES },
            media: Range { offset: MAX_BODY_BYTES, length: MAX_BODY_BYTES },
        };
        let call: RuntimeCall = pallet_lite_blocks::Call::announce {
            header: AnnouncedHeader { announcer: A, segments: Segments::default() },
            entries: AnnouncedEntries::try_from(vec![entry; MAX_ENTRIES as usize]).unwrap(),
            body: vec![1; MAX_BODY_BYTES as usize],
        }
        .into();
        let weights = <Runtime as frame_system::Config>::BlockWeights::get();
        let normal = weights.get(DispatchClass::Normal);
        let weight = call.get_dispatch_info().total_weight();
        assert!(weight.all_lte(normal.max_extrinsic.unwrap()), "{weight:?}");
        assert!((weight * 2).all_lte(normal.max_total.unwrap()), "{weight:?}");
        let bytes = signed(&key("Alice//agent"), call).encoded_size();
        assert!(2 * bytes <= (NORMAL_SHARE * BLOCK_BYTES) as usize);
    });
}
