//! How many bytes a transaction may have.
//!
//! Blocks have space for large transactions, because bodies and upgrades are large. All other calls are short. Without
//! these bounds, one account could fill the bytes of a block with one call that fails.

use codec::MaxEncodedLen;
use epione_primitives::{
    access::Policies,
    block::AnnouncedEntries,
    consortium::CommitmentList,
    limits::{
        MAX_BATCH_BYTES, MAX_BODY_BYTES, MAX_PROFILE_BODY_BYTES, MAX_SEALED_SHARES_BYTES,
        MAX_TRANSACTION_BYTES, MAX_USER_TRANSACTION_BYTES,
    },
};

use crate::{RuntimeCall, caller::Caller};

/// Maximum bytes of a transaction apart from its body, entries, policies or commitments.
const ENVELOPE_BYTES: usize = 4 * 1024;

/// The maximum bytes of a transaction with this call, as encoded for a block.
pub(crate) fn most(caller: Caller, call: &RuntimeCall) -> usize {
    match call {
        _ if caller == Caller::User => MAX_USER_TRANSACTION_BYTES as usize,
        RuntimeCall::Utility(_) => MAX_BATCH_BYTES as usize,
        RuntimeCall::LiteBlocks(pallet_lite_blocks::Call::announce { .. }) => {
            let entries = AnnouncedEntries::max_encoded_len();
            ENVELOPE_BYTES.saturating_add(MAX_BODY_BYTES as usize).saturating_add(entries)
        }
        RuntimeCall::Profiles(
            pallet_profiles::Call::register { .. } | pallet_profiles::Call::update { .. },
        ) => ENVELOPE_BYTES.saturating_add(MAX_PROFILE_BODY_BYTES as usize),
        RuntimeCall::RolePolicies(pallet_role_policies::Call::set_policies { .. }) => {
            ENVELOPE_BYTES.saturating_add(Policies::max_encoded_len())
        }
        RuntimeCall::ConsortiumKey(pallet_consortium_key::Call::deal { .. }) => {
            let commitments = CommitmentList::max_encoded_len();
            let shares = MAX_SEALED_SHARES_BYTES as usize;
            ENVELOPE_BYTES.saturating_add(shares).saturating_add(commitments)
        }
        // The block's own bound, for the code of a runtime.
        RuntimeCall::System(frame_system::Call::apply_authorized_upgrade { .. }) => usize::MAX,
        _ => MAX_TRANSACTION_BYTES as usize,
    }
}
