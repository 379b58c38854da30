//! Stores bodies in the node's database, under their hashes.

use epione_primitives::ports::{BODY_NOT_AT_TAIL, Bodies, HashedBody};
use frame_support::ensure;
use sp_runtime::DispatchResult;

use crate::System;

/// Stores the tail of the extrinsic that is being applied.
///
/// The node stores the requested number of the extrinsic's last bytes without checking the hash, so this
/// compares the bytes first. The node stores one body for each extrinsic, so
/// [`CheckCaller`](crate::caller::CheckCaller) rejects batches with bodies.
pub struct ExtrinsicTail;

impl Bodies for ExtrinsicTail {
    fn keep(body: HashedBody<'_>) -> DispatchResult {
        let index = System::extrinsic_index().ok_or(BODY_NOT_AT_TAIL)?;
        ensure!(System::extrinsic_data(index).ends_with(body.bytes()), BODY_NOT_AT_TAIL);
        let size = u32::try_from(body.bytes().len()).map_err(|_| BODY_NOT_AT_TAIL)?;
        sp_io::transaction_index::index(index, size, body.hash().0);
        Ok(())
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(body: &[u8]) {
        frame_support::storage::unhashed::put(
            sp_core::storage::well_known_keys::EXTRINSIC_INDEX,
            &0_u32,
        );
        System::note_extrinsic(body.to_vec());
    }
}
