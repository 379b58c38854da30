//! The calls that Epione's members make, as SCALE. One constructor for each; arguments are those of
//! the pallet's call, in its order.
//!
//! Nothing checks them here: the runtime does, and its answer comes back as a
//! [`SubmitError`](super::SubmitError).

use codec::Encode;

/// A call that is ready to be signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// Name of the pallet in the runtime.
    pub pallet: &'static str,
    pub name: &'static str,
    /// SCALE of the arguments, one after the other.
    pub arguments: Vec<u8>,
}

impl Call {
    pub fn new(pallet: &'static str, name: &'static str, arguments: impl Encode) -> Self {
        Self { pallet, name, arguments: arguments.encode() }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{} ({} bytes)", self.pallet, self.name, self.arguments.len())
    }
}

/// Lite blocks. By the announcing hospital's agent.
pub mod lite_blocks {
    use epione_primitives::{
        AnnouncementId,
        block::{AnnouncedEntries, AnnouncedHeader},
    };

    use super::Call;

    pub fn announce(header: &AnnouncedHeader, entries: &AnnouncedEntries, body: &[u8]) -> Call {
        Call::new("LiteBlocks", "announce", (header, entries, body))
    }

    pub fn withdraw(announcement: AnnouncementId) -> Call {
        Call::new("LiteBlocks", "withdraw", announcement)
    }
}

/// Ballots. By the agent of any other active hospital.
pub mod approvals {
    use epione_primitives::{AnnouncementId, approval::RejectReason};

    use super::Call;

    pub fn approve(announcement: AnnouncementId) -> Call {
        Call::new("Approvals", "approve", announcement)
    }

    pub fn reject(announcement: AnnouncementId, reason: RejectReason) -> Call {
        Call::new("Approvals", "reject", (announcement, reason))
    }
}

/// Users. By the hospital's agent, but [`rotate_keys`](profiles::rotate_keys), which is the user's
/// own.
pub mod profiles {
    use epione_primitives::{AccountId, Hash, Signature, UserId, profile::Role};

    use super::Call;

    /// A user as a hospital registers them.
    #[derive(Clone, Debug)]
    pub struct Registrant<'a> {
        pub user: UserId,
        pub role: Role,
        pub account: &'a AccountId,
        /// Blake2-256 of the user's public sealing key.
        pub sealing_key_hash: Hash,
        /// By the user's account over `Consent`, if another hospital registered the user before.
        pub consent: Option<&'a Signature>,
    }

    pub fn register(registrant: &Registrant<'_>, body: &[u8]) -> Call {
        let Registrant { user, role, account, sealing_key_hash, consent } = registrant;
        Call::new("Profiles", "register", (user, role, account, sealing_key_hash, consent, body))
    }

    pub fn update(user: UserId, body: &[u8]) -> Call {
        Call::new("Profiles", "update", (user, body))
    }

    pub fn suspend(user: UserId) -> Call {
        Call::new("Profiles", "suspend", user)
    }

    pub fn reinstate(user: UserId) -> Call {
        Call::new("Profiles", "reinstate", user)
    }

    pub fn end_registration(user: UserId) -> Call {
        Call::new("Profiles", "end_registration", user)
    }

    /// The signer's next account, with its signature over `Possession`, and next sealing key's
    /// hash.
    pub fn rotate_keys(
        account: Option<(&AccountId, &Signature)>,
        sealing_key_hash: Option<Hash>,
    ) -> Call {
        Call::new("Profiles", "rotate_keys", (account, sealing_key_hash))
    }
}

/// Relationships and policies.
pub mod role_policies {
    use epione_primitives::{
        HospitalId, Moment, UserId,
        access::{Policies, RelationshipKind},
    };

    use super::Call;

    /// By the hospital's agent, by the patient, or by a user whom the hospital's policies allow to
    /// relate or, for referrals, to refer.
    pub fn relate(
        patient: UserId,
        professional: UserId,
        hospital: HospitalId,
        kind: RelationshipKind,
        expires: Option<Moment>,
    ) -> Call {
        Call::new("RolePolicies", "relate", (patient, professional, hospital, kind, expires))
    }

    /// As [`relate`], and by the professional.
    pub fn unrelate(
        patient: UserId,
        professional: UserId,
        hospital: HospitalId,
        kind: RelationshipKind,
    ) -> Call {
        Call::new("RolePolicies", "unrelate", (patient, professional, hospital, kind))
    }

    /// By the hospital's governance.
    pub fn set_policies(policies: &Policies) -> Call {
        Call::new("RolePolicies", "set_policies", policies)
    }
}

/// Receipts of what hospitals release, and their reviews.
pub mod releases {
    use epione_primitives::{
        UserId,
        access::Purpose,
        release::{Release, ReviewId},
    };

    use super::Call;

    /// By the agent of the hospital whose records they are.
    pub fn record(release: &Release) -> Call {
        Call::new("Releases", "record", release)
    }

    /// By the agent of the hospital whose records were asked for.
    pub fn refuse(requester: UserId, patient: UserId, purpose: Purpose, emergency: bool) -> Call {
        Call::new("Releases", "refuse", (requester, patient, purpose, emergency))
    }

    /// By the governance of another active hospital.
    pub fn judge(review: ReviewId, justified: bool) -> Call {
        Call::new("Releases", "judge", (review, justified))
    }
}

/// Hospitals. By the hospital's governance.
pub mod hospitals {
    use epione_primitives::AccountId;

    use super::Call;

    pub fn rotate_accounts(governance: Option<&AccountId>, agent: Option<&AccountId>) -> Call {
        Call::new("Hospitals", "rotate_accounts", (governance, agent))
    }

    pub fn set_endpoint(worker_url: &str, tls_key: &[u8; 32]) -> Call {
        Call::new("Hospitals", "set_endpoint", (worker_url, tls_key))
    }

    /// Suite byte, then the key.
    pub fn set_sealing_key(sealing_key: &[u8]) -> Call {
        Call::new("Hospitals", "set_sealing_key", sealing_key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use epione_primitives::block::{AnnouncedEntries, AnnouncedHeader, Segments};

    use super::*;

    #[test]
    fn a_body_is_the_tail_of_its_call() {
        let header =
            AnnouncedHeader { announcer: Default::default(), segments: Segments::default() };
        let body = vec![7; 70_000];
        let call = lite_blocks::announce(&header, &AnnouncedEntries::default(), &body);
        assert!(call.arguments.ends_with(&body));
        assert_eq!(call.arguments, (header, AnnouncedEntries::default(), body).encode());
    }

    #[test]
    fn a_call_shows_its_size_and_not_its_bytes() {
        let call = profiles::update(epione_primitives::UserId([1; 32]), b"sealed");
        assert_eq!(format!("{call:?}"), "Profiles.update (39 bytes)");
    }
}
