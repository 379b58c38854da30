//! What a transaction costs its signer and its hospital.

use codec::Encode;
use frame_support::dispatch::DispatchInfo;
use pallet_quotas::Cost;

use crate::{Runtime, RuntimeCall, caller::batched};

/// Bytes of state that a registration leaves: profile, registration, account, indexes.
const REGISTRATION_BYTES: u64 = 2 * 1024;
/// Bytes of state that an announcement and its ballot leave, without its records.
const ANNOUNCEMENT_BYTES: u64 = 1024;
/// Bytes of state that each record of an announcement leaves: its entry, and the announcement by its id.
const RECORD_BYTES: u64 = 256;
/// Bytes of state that a query leaves, without its terms: the query itself, and its places in the lists of requester
/// and patient.
const QUERY_BYTES: u64 = 1024;
/// Bytes of state that an opening leaves: the opening itself, and its places in the lists of requester and patient.
const OPENING_BYTES: u64 = 1024;
/// Bytes of state that the review of an opening in an emergency leaves: the review with as many verdicts as there can
/// be hospitals, its place in the patient's list, and the requester's tally.
const REVIEW_BYTES: u64 = 1024;
/// Bytes of state that a placement leaves: in the list of its record, in the index of its slot, as a change, and as the
/// memory that a hospital made it. Twice as much as that is: the placement also pays for the change that removes it, so
/// that no patient lacks the bytes to end what others may read.
const PLACEMENT_BYTES: u64 = 2 * 320;
/// Bytes of state that a consent leaves, without the consent itself: its version, its change, and later the change that
/// withdraws it.
const GIVEN_BYTES: u64 = 1024;
/// Bytes of the user's objection to new keys, for which the proposal pays: the transaction, and the entry with the end
/// of the hospital's wait.
const OBJECTION_BYTES: u64 = 512;
/// Bytes of state that a ceremony leaves: the epoch that it makes. Everything else about it is removed later. Who
/// requests new shares pays, too: another hospital begins the ceremony that makes them.
const EPOCH_BYTES: u64 = 1024;
/// Bytes of state that any other call with a new entry leaves.
const ENTRY_BYTES: u64 = 512;

/// What is debited for a transaction: its declared weight plus the weight of an extrinsic that does nothing, and its
/// bytes plus the bytes that it leaves in the state forever.
pub(crate) fn of(call: &RuntimeCall, info: &DispatchInfo, length: usize) -> Cost {
    let weights = <Runtime as frame_system::Config>::BlockWeights::get();
    let base = weights.get(info.class).base_extrinsic;
    Cost {
        ref_time: info.total_weight().saturating_add(base).ref_time(),
        bytes: (length as u64).saturating_add(left_in_state(call)),
    }
}

fn left_in_state(call: &RuntimeCall) -> u64 {
    match batched(call) {
        Some(calls) => calls.iter().map(left_by).fold(0, u64::saturating_add),
        None => left_by(call),
    }
}

/// The bytes that a call leaves in the state, if it succeeds. A call that is not listed leaves nothing, or replaces
/// what was there, or ends what its beginning has paid for. A proposal of new keys pays for the user's objection, too.
fn left_by(call: &RuntimeCall) -> u64 {
    use pallet_custody::Call as Custody;
    use pallet_mandates::Call as Mandate;
    use pallet_openings::Call as Opening;
    use pallet_profiles::Call as Profile;
    use pallet_queries::Call as Query;
    use pallet_releases::Call as Release;
    use pallet_role_policies::Call as Policy;
    use pallet_sharing::Call as Share;
    match call {
        RuntimeCall::LiteBlocks(pallet_lite_blocks::Call::announce { entries, .. }) => {
            let records = RECORD_BYTES.saturating_mul(entries.len() as u64);
            ANNOUNCEMENT_BYTES.saturating_add(records)
        }
        RuntimeCall::Profiles(Profile::register { .. }) => REGISTRATION_BYTES,
        RuntimeCall::Profiles(Profile::propose_recovery { .. }) => {
            ENTRY_BYTES.saturating_add(OBJECTION_BYTES)
        }
        RuntimeCall::Releases(Release::note { records }) => {
            ENTRY_BYTES.saturating_add(records.encoded_size() as u64)
        }
        // Nobody is obliged to answer, so the terms may stay for good.
        RuntimeCall::Queries(Query::ask { terms, .. }) => {
            QUERY_BYTES.saturating_add(terms.len() as u64)
        }
        RuntimeCall::Openings(Opening::ask { emergency: None, .. }) => OPENING_BYTES,
        RuntimeCall::Openings(Opening::ask { emergency: Some(_), .. }) => {
            OPENING_BYTES.saturating_add(REVIEW_BYTES)
        }
        // No hospital answers for the call that ends it.
        RuntimeCall::Mandates(Mandate::entrust { .. }) => {
            ENTRY_BYTES.saturating_add(OBJECTION_BYTES)
        }
        RuntimeCall::Custody(Custody::claim { patients, .. }) => {
            ENTRY_BYTES.saturating_add(patients.encoded_size() as u64)
        }
        RuntimeCall::RolePolicies(Policy::set_policies { policies }) => {
            policies.encoded_size() as u64
        }
        // The former version stays. The change that withdraws the consent is paid for, too.
        RuntimeCall::Sharing(Share::give { consent, .. }) => {
            GIVEN_BYTES.saturating_add(consent.encoded_size() as u64)
        }
        RuntimeCall::Sharing(Share::place { records, .. } | Share::place_by_kind { records, .. }) => {
            PLACEMENT_BYTES.saturating_mul(records.len() as u64)
        }
        RuntimeCall::ConsortiumKey(
            pallet_consortium_key::Call::begin { .. } | pallet_consortium_key::Call::refresh { .. },
        ) => EPOCH_BYTES,
        RuntimeCall::Profiles(
            Profile::update { .. }
            | Profile::reinstate { .. }
            | Profile::rotate_keys { .. }
            | Profile::complete_recovery { .. },
        )
        | RuntimeCall::RolePolicies(Policy::relate { .. })
        | RuntimeCall::Credentials(pallet_credentials::Call::issue { .. })
        | RuntimeCall::Releases(Release::record { .. } | Release::refuse { .. })
        | RuntimeCall::Mandates(Mandate::appoint { .. } | Mandate::authorize { .. })
        // Later wraps of the same patient's key replace this one.
        | RuntimeCall::Custody(Custody::keep { .. } | Custody::hand_out { .. })
        | RuntimeCall::Queries(Query::accept { .. } | Query::transfer { .. })
        // The wraps of a record in a slot stay for good, and later ones replace them.
        | RuntimeCall::Openings(Opening::wrap { .. } | Opening::hand_out { .. })
        // Accounts that were rotated out keep their references, and motions their places.
        | RuntimeCall::Hospitals(
            pallet_hospitals::Call::rotate_accounts { .. }
            | pallet_hospitals::Call::complete_replacement { .. },
        )
        | RuntimeCall::Council(pallet_collective::Call::propose { .. }) => ENTRY_BYTES,
        _ => 0,
    }
}
