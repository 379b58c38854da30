//! Which transactions come first when blocks are full.
//!
//! A transaction's priority depends only on its lane. It does not depend on the dispatch class of its call, so
//! the operational calls of the council have the same priority as its other calls.

use epione_primitives::limits::{MAX_LIFETIME_BLOCKS, MAX_USER_LIFETIME_BLOCKS};
use pallet_quotas::Lane;
use sp_runtime::transaction_validity::{
    TransactionLongevity, TransactionPriority, ValidTransaction,
};

use crate::{
    RuntimeCall,
    caller::{Caller, batched},
};

/// The lane of a call. A batch is in the lane of votes only if it contains votes and nothing else. `ends_access` is
/// whether the call succeeds in ending access to records: a call that cannot succeed gains no priority.
///
/// The calls with which workers take part in ceremonies of the consortium key are in the lane of records.
///
/// To issue a credential is in the lane of records, also in a batch: a hospital could otherwise give somebody access to
/// records before a patient's withdrawal is in a block. To revoke one ends access, and stays in the lane of governance.
pub(crate) fn lane(caller: Caller, call: &RuntimeCall, ends_access: bool) -> Lane {
    match caller {
        Caller::Governance if issues(call) => Lane::Record,
        Caller::Governance => Lane::Governance,
        Caller::User if ends_access => Lane::Ending,
        Caller::User if asks_in_emergency(call) => Lane::Emergency,
        Caller::User if is_rotation(call) => Lane::Rotation,
        Caller::User => Lane::User,
        Caller::Agent => {
            let votes = match batched(call) {
                Some(calls) => !calls.is_empty() && calls.iter().all(is_vote),
                None => is_vote(call),
            };
            if votes { Lane::Vote } else { Lane::Record }
        }
    }
}

/// Whether the call asks for an opening in an emergency. Only a doctor makes it.
pub(crate) fn asks_in_emergency(call: &RuntimeCall) -> bool {
    use pallet_openings::Call as Opening;
    matches!(call, RuntimeCall::Openings(Opening::ask { emergency: Some(_), .. }))
}

fn is_rotation(call: &RuntimeCall) -> bool {
    matches!(call, RuntimeCall::Profiles(pallet_profiles::Call::rotate_keys { .. }))
}

/// Whether the call, or one of its batch, issues a credential.
fn issues(call: &RuntimeCall) -> bool {
    match batched(call) {
        Some(calls) => calls.iter().any(is_issuing),
        None => is_issuing(call),
    }
}

fn is_issuing(call: &RuntimeCall) -> bool {
    matches!(call, RuntimeCall::Credentials(pallet_credentials::Call::issue { .. }))
}

fn is_vote(call: &RuntimeCall) -> bool {
    matches!(
        call,
        RuntimeCall::Approvals(
            pallet_approvals::Call::approve { .. } | pallet_approvals::Call::reject { .. }
        )
    )
}

/// The priority of a lane, and for how long nodes keep its transactions. Both are the same for all transactions of the
/// lane, so the pool takes them in the order in which they arrived.
pub(crate) fn validity(lane: Lane) -> ValidTransaction {
    let longevity = match lane {
        Lane::User | Lane::Emergency | Lane::Rotation | Lane::Ending => MAX_USER_LIFETIME_BLOCKS,
        Lane::Record | Lane::Vote | Lane::Governance => MAX_LIFETIME_BLOCKS,
    };
    ValidTransaction {
        priority: priority(lane),
        longevity: TransactionLongevity::from(longevity),
        ..ValidTransaction::default()
    }
}

/// The priority of a lane's transactions in the pool. Other extensions add nothing to it. What ends access comes before
/// an agent's calls: a hospital could overtake a patient's withdrawal with its transfer otherwise. It also comes before
/// a doctor's question in an emergency, for the same reason.
pub const fn priority(lane: Lane) -> TransactionPriority {
    match lane {
        Lane::User => 100,
        Lane::Record => 200,
        Lane::Emergency => 250,
        Lane::Rotation | Lane::Ending => 300,
        Lane::Vote => 400,
        Lane::Governance => 500,
    }
}
