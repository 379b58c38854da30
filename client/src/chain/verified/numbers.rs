//! The numbers that this client knows of the chain's runtime. The node's metadata has them, too, and is not proven. A
//! test of the runtime includes this file, and compares it with the true metadata.

/// Pallet, name, and the numbers of both in the runtime.
pub(super) type Numbered = (&'static str, &'static str, [u8; 2]);

/// The versions of the runtime and of its transactions.
pub(super) const SPEC_VERSION: u32 = 1;
pub(super) const TRANSACTION_VERSION: u32 = 1;

/// The calls that members sign.
pub(super) const CALLS: [Numbered; 46] = [
    ("Hospitals", "rotate_accounts", [6, 4]),
    ("Hospitals", "set_endpoint", [6, 5]),
    ("Hospitals", "set_sealing_key", [6, 6]),
    ("Profiles", "register", [10, 0]),
    ("Profiles", "update", [10, 1]),
    ("Profiles", "suspend", [10, 2]),
    ("Profiles", "reinstate", [10, 3]),
    ("Profiles", "end_registration", [10, 4]),
    ("Profiles", "rotate_keys", [10, 5]),
    ("Profiles", "propose_recovery", [10, 6]),
    ("Profiles", "object", [10, 7]),
    ("Profiles", "complete_recovery", [10, 8]),
    ("RolePolicies", "relate", [11, 0]),
    ("RolePolicies", "unrelate", [11, 1]),
    ("RolePolicies", "set_policies", [11, 2]),
    ("LiteBlocks", "announce", [12, 0]),
    ("LiteBlocks", "withdraw", [12, 1]),
    ("Approvals", "approve", [13, 0]),
    ("Approvals", "reject", [13, 1]),
    ("Releases", "record", [17, 0]),
    ("Releases", "refuse", [17, 1]),
    ("Releases", "judge", [17, 2]),
    ("Releases", "note", [17, 3]),
    ("Sharing", "give", [19, 0]),
    ("Sharing", "withdraw", [19, 1]),
    ("Sharing", "place", [19, 2]),
    ("Sharing", "remove", [19, 3]),
    ("Sharing", "place_by_kind", [19, 4]),
    ("Queries", "ask", [20, 0]),
    ("Queries", "accept", [20, 1]),
    ("Queries", "refuse", [20, 2]),
    ("Queries", "withdraw", [20, 3]),
    ("Queries", "transfer", [20, 4]),
    ("Credentials", "issue", [21, 1]),
    ("Credentials", "revoke", [21, 2]),
    ("Mandates", "appoint", [22, 0]),
    ("Mandates", "dismiss", [22, 1]),
    ("Mandates", "authorize", [22, 2]),
    ("Mandates", "revoke", [22, 3]),
    ("ConsortiumKey", "begin", [23, 0]),
    ("ConsortiumKey", "enrol", [23, 1]),
    ("ConsortiumKey", "deal", [23, 2]),
    ("ConsortiumKey", "judge", [23, 3]),
    ("ConsortiumKey", "answer", [23, 4]),
    ("ConsortiumKey", "confirm", [23, 5]),
    ("ConsortiumKey", "refresh", [23, 6]),
];

/// The events on which clients and workers act, and the two outcomes of a transaction.
pub(super) const EVENTS: [Numbered; 24] = [
    ("System", "ExtrinsicSuccess", [0, 0]),
    ("System", "ExtrinsicFailed", [0, 1]),
    ("Hospitals", "AccountsRotated", [6, 4]),
    ("Profiles", "Registered", [10, 0]),
    ("Profiles", "Updated", [10, 1]),
    ("Profiles", "KeysRotated", [10, 5]),
    ("RolePolicies", "Related", [11, 0]),
    ("RolePolicies", "Unrelated", [11, 1]),
    ("RolePolicies", "PoliciesSet", [11, 2]),
    ("LiteBlocks", "Announced", [12, 0]),
    ("LiteBlocks", "Committed", [12, 1]),
    ("LiteBlocks", "Rejected", [12, 2]),
    ("LiteBlocks", "Expired", [12, 3]),
    ("LiteBlocks", "Withdrawn", [12, 4]),
    ("Approvals", "Opened", [13, 0]),
    ("Approvals", "Approved", [13, 1]),
    ("Approvals", "Rejected", [13, 2]),
    ("Approvals", "Closed", [13, 3]),
    ("Sharing", "Changed", [19, 0]),
    ("Queries", "Asked", [20, 0]),
    ("Queries", "Accepted", [20, 1]),
    ("Queries", "Refused", [20, 2]),
    ("Queries", "Withdrawn", [20, 3]),
    ("Queries", "Transferred", [20, 4]),
];
