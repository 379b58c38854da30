//! The calls of Epione's members, as SCALE. Each call has a constructor, whose arguments are the call's arguments in
//! the pallet's order.
//!
//! Nothing is checked here. The runtime checks the arguments, and its answer comes back as a
//! [`SubmitError`](super::SubmitError).

pub mod council;

use codec::Encode;

/// A call, ready to be signed.
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

/// Calls about lite blocks, by the announcing hospital's agent.
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

/// Votes, by the agent of any other active hospital. `subject` is the hash of what the hospital verified
/// ([`AnnouncedHeader::subject`](epione_primitives::block::AnnouncedHeader::subject)).
pub mod approvals {
    use epione_primitives::{AnnouncementId, Hash, approval::RejectReason};

    use super::Call;

    pub fn approve(announcement: AnnouncementId, subject: Hash) -> Call {
        Call::new("Approvals", "approve", (announcement, subject))
    }

    pub fn reject(announcement: AnnouncementId, subject: Hash, reason: RejectReason) -> Call {
        Call::new("Approvals", "reject", (announcement, subject, reason))
    }
}

/// Calls about users, by the hospital's agent; only [`rotate_keys`](profiles::rotate_keys) is by the user, and
/// [`object`](profiles::object) by either.
pub mod profiles {
    use epione_primitives::{
        AccountId, Hash, Signature, UserId, naming::NamedAccount, profile::Role,
    };

    use super::Call;

    /// A user whom a hospital registers.
    #[derive(Clone, Debug)]
    pub struct Registrant<'a> {
        pub user: UserId,
        pub role: Role,
        pub account: &'a AccountId,
        /// Blake2-256 of the user's public sealing key.
        pub sealing_key_hash: Hash,
        /// The account's signature over the `NamingConsent` to this registration.
        pub consent: &'a Signature,
    }

    pub fn register(registrant: &Registrant<'_>, body: &[u8]) -> Call {
        let Registrant { user, role, account, sealing_key_hash, consent } = registrant;
        Call::new("Profiles", "register", (user, role, account, sealing_key_hash, consent, body))
    }

    /// `previous` is the hash of the body that the new one was made from, and replaces.
    pub fn update(user: UserId, previous: Hash, body: &[u8]) -> Call {
        Call::new("Profiles", "update", (user, previous, body))
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

    /// Replaces the signer's account, whose successor signs the `NamingConsent`; or the hash of the sealing key; or
    /// both.
    pub fn rotate_keys(
        account: Option<(&AccountId, &Signature)>,
        sealing_key_hash: Option<Hash>,
    ) -> Call {
        Call::new("Profiles", "rotate_keys", (account, sealing_key_hash))
    }

    /// Proposes new keys for a user who lost the present ones. The new account signs the `NamingConsent`.
    pub fn propose_recovery(user: UserId, next: &NamedAccount, sealing_key_hash: Hash) -> Call {
        Call::new("Profiles", "propose_recovery", (user, next, sealing_key_hash))
    }

    /// By the user, or by the agent of a hospital of the user.
    pub fn object(user: UserId) -> Call {
        Call::new("Profiles", "object", user)
    }

    /// Only the council has to name the recovery about which it decided: Blake2-256 of it.
    pub fn complete_recovery(user: UserId, decision: Option<Hash>) -> Call {
        Call::new("Profiles", "complete_recovery", (user, decision))
    }
}

/// Calls about relationships and policies.
pub mod role_policies {
    use epione_primitives::{
        HospitalId, Moment, UserId,
        access::{Policies, RelationshipKind},
    };

    use super::Call;

    /// By the hospital's agent, by the patient, or by a user whom the hospital's policies allow to relate or, for
    /// referrals, to refer.
    pub fn relate(
        patient: UserId,
        professional: UserId,
        hospital: HospitalId,
        kind: RelationshipKind,
        expires: Option<Moment>,
    ) -> Call {
        Call::new("RolePolicies", "relate", (patient, professional, hospital, kind, expires))
    }

    /// By anyone who may [`relate`], or by the professional.
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

/// Calls about consents, and about the sections that they share.
pub mod sharing {
    use epione_primitives::{
        UserId,
        release::ReleasedRecord,
        sharing::{Consent, SlotId},
    };

    use super::Call;

    /// By the patient: gives the slot its next version of a consent. `seen` is the height of the slot's newest change
    /// that the patient has seen.
    pub fn give(slot: SlotId, consent: &Consent, seen: u64) -> Call {
        Call::new("Sharing", "give", (slot, consent, seen))
    }

    /// By the patient.
    pub fn withdraw(slot: SlotId) -> Call {
        Call::new("Sharing", "withdraw", slot)
    }

    /// By the patient: adds sections of the patient's records to the slot.
    pub fn place(slot: SlotId, records: &[ReleasedRecord]) -> Call {
        Call::new("Sharing", "place", (slot, records))
    }

    /// By the patient: takes sections of records out of the slot.
    pub fn remove(slot: SlotId, records: &[ReleasedRecord]) -> Call {
        Call::new("Sharing", "remove", (slot, records))
    }

    /// By the agent of the hospital that announced the records, under this version of the slot's consent.
    pub fn place_by_kind(
        patient: UserId,
        slot: SlotId,
        version: u32,
        records: &[ReleasedRecord],
    ) -> Call {
        Call::new("Sharing", "place_by_kind", (patient, slot, version, records))
    }
}

/// Calls about credentials, by the governance of the hospital that confirms an attribute.
pub mod credentials {
    use epione_primitives::{Moment, UserId, credential::AttributeId};

    use super::Call;

    pub fn issue(user: UserId, attribute: AttributeId, until: Moment) -> Call {
        Call::new("Credentials", "issue", (user, attribute, until))
    }

    pub fn revoke(user: UserId, attribute: AttributeId) -> Call {
        Call::new("Credentials", "revoke", (user, attribute))
    }
}

/// Calls about mandates: what a patient lets others do in the patient's name.
pub mod mandates {
    use epione_primitives::{HospitalId, Moment, UserId};

    use super::Call;

    /// By the patient.
    pub fn appoint(representative: UserId, until: Moment) -> Call {
        Call::new("Mandates", "appoint", (representative, until))
    }

    /// By the patient or the representative.
    pub fn dismiss(patient: UserId, representative: UserId) -> Call {
        Call::new("Mandates", "dismiss", (patient, representative))
    }

    /// By the patient: lets the hospital submit records without the patient's signature.
    pub fn authorize(hospital: HospitalId, until: Moment) -> Call {
        Call::new("Mandates", "authorize", (hospital, until))
    }

    /// By the patient.
    pub fn revoke(hospital: HospitalId) -> Call {
        Call::new("Mandates", "revoke", hospital)
    }

    /// By the patient: entrusts the patient keys at the hospital to the consortium key.
    pub fn entrust(hospital: HospitalId, until: Moment) -> Call {
        Call::new("Mandates", "entrust", (hospital, until))
    }

    /// By the patient.
    pub fn end_custody(hospital: HospitalId) -> Call {
        Call::new("Mandates", "end_custody", hospital)
    }
}

/// Calls about the consortium key. The agent of a hospital with a seat sends those of a ceremony.
pub mod consortium_key {
    use epione_primitives::{
        Hash,
        consortium::{CeremonyId, CeremonyResult, CommitmentList, RevealedShare, SeatSet},
    };

    use super::Call;

    /// Begins a ceremony, in which the hospital enrols with this sealing key, made for the ceremony only.
    pub fn begin_ceremony(sealing_key: &[u8]) -> Call {
        Call::new("ConsortiumKey", "begin", sealing_key)
    }

    /// Enrols the hospital with a sealing key that it made for this ceremony only.
    pub fn enrol(ceremony: CeremonyId, sealing_key: &[u8]) -> Call {
        Call::new("ConsortiumKey", "enrol", (ceremony, sealing_key))
    }

    /// What a dealer publishes.
    #[derive(Clone, Debug)]
    pub struct Dealt<'a> {
        pub commitments: &'a CommitmentList,
        /// Proves that the dealer knows the constant term.
        pub proof: &'a [u8; 64],
        /// The hash of the dealer's part of the mixing secret.
        pub part: Hash,
        /// The encoded `epione_envelope::dealing::SealedShares`.
        pub shares: &'a [u8],
    }

    pub fn deal(ceremony: CeremonyId, dealt: &Dealt<'_>) -> Call {
        let Dealt { commitments, proof, part, shares } = dealt;
        Call::new("ConsortiumKey", "deal", (ceremony, commitments, proof, part, shares))
    }

    /// Says from which dealers the hospital has no valid share. The set may be empty.
    pub fn judge_dealings(ceremony: CeremonyId, complaints: SeatSet) -> Call {
        Call::new("ConsortiumKey", "judge", (ceremony, complaints))
    }

    /// Publishes a share whose seat complained about this dealer. Everybody knows it then.
    pub fn answer_complaint(ceremony: CeremonyId, revealed: &RevealedShare) -> Call {
        Call::new("ConsortiumKey", "answer", (ceremony, revealed))
    }

    pub fn confirm_ceremony(ceremony: CeremonyId, result: &CeremonyResult) -> Call {
        Call::new("ConsortiumKey", "confirm", (ceremony, result))
    }

    /// By the governance of an active hospital: the members renew their shares in the next ceremony.
    pub fn refresh_key() -> Call {
        Call::new("ConsortiumKey", "refresh", ())
    }
}

/// Calls about receipts of what hospitals release, and about reviews.
pub mod releases {
    use epione_primitives::{
        Signature,
        release::{Release, ReleasedRecords, Request, ReviewId},
    };

    use super::Call;

    /// By the agent of the hospital that has the records.
    pub fn record(release: &Release) -> Call {
        Call::new("Releases", "record", release)
    }

    /// By the agent of the hospital that has the requested records. The signature is the requester's.
    pub fn refuse(request: &Request, signature: &Signature) -> Call {
        Call::new("Releases", "refuse", (request, signature))
    }

    /// By the governance of another active hospital.
    pub fn judge(review: ReviewId, justified: bool) -> Call {
        Call::new("Releases", "judge", (review, justified))
    }

    /// By a patient, about own records that they have read by their own key.
    pub fn note(records: &ReleasedRecords) -> Call {
        Call::new("Releases", "note", records)
    }
}

/// Calls about queries: a requester asks a patient, and the patient answers.
pub mod queries {
    use epione_primitives::{
        BlockNumber, Hash, HospitalId, Moment, UserId,
        access::Purpose,
        query::{QueriedRecords, QueryId},
    };

    use super::Call;

    /// By the requester, for a hospital at which their registration is in force. `patient_key` is the hash of the
    /// patient's sealing key, and `terms` are the terms that are sealed to it.
    pub fn ask(
        hospital: HospitalId,
        patient: UserId,
        patient_key: Hash,
        records: &QueriedRecords,
        purpose: Purpose,
        expires: BlockNumber,
        terms: &[u8],
    ) -> Call {
        let asked = (hospital, patient, patient_key, records, purpose, expires, terms);
        Call::new("Queries", "ask", asked)
    }

    /// By the patient. `considered` is [`Query::considered`](epione_primitives::query::Query::considered) of what the
    /// patient was shown, and `grant` the hash of the sealed grant, which the worker of `mailbox` keeps.
    pub fn accept(
        query: QueryId,
        considered: Hash,
        records: &QueriedRecords,
        grant: Hash,
        until: Moment,
        mailbox: HospitalId,
    ) -> Call {
        let accepted = (query, considered, records, grant, until, mailbox);
        Call::new("Queries", "accept", accepted)
    }

    /// By the patient, while the query is pending.
    pub fn refuse(query: QueryId) -> Call {
        Call::new("Queries", "refuse", query)
    }

    /// By the requester while the query is pending; by the patient after the acceptance; by either after the query
    /// expired without an answer.
    pub fn withdraw(query: QueryId) -> Call {
        Call::new("Queries", "withdraw", query)
    }

    /// By the agent of the hospital whose worker keeps the sealed grant.
    pub fn transfer(query: QueryId) -> Call {
        Call::new("Queries", "transfer", query)
    }
}

/// Calls about openings: the hospitals open sections together, while the patient and the record's hospital are away.
pub mod openings {
    use epione_primitives::{
        HospitalId, RecordPointer, UserId,
        access::Purpose,
        opening::OpeningId,
        query::QueriedRecords,
        release::{EmergencyReason, SectionSet},
        sharing::SlotId,
    };

    use super::Call;

    /// By the agent of the hospital that announced the record. `sections` are those of the record that exist and are in
    /// the slot, and `wraps` has one wrap for each, ascending by section.
    pub fn wrap(
        patient: UserId,
        slot: SlotId,
        pointer: RecordPointer,
        sections: SectionSet,
        wraps: &[u8],
    ) -> Call {
        Call::new("Openings", "wrap", (patient, slot, pointer, sections, wraps))
    }

    /// By the requester, for a hospital at which their registration is in force. The chain decides at once: the call
    /// fails if the patient's standing consents do not include the requester for the purpose. In an emergency, and only
    /// then, it has a reason: the requester must be a doctor, and the other hospitals review the opening.
    pub fn ask(
        hospital: HospitalId,
        patient: UserId,
        records: &QueriedRecords,
        purpose: Purpose,
        emergency: Option<EmergencyReason>,
    ) -> Call {
        Call::new("Openings", "ask", (hospital, patient, records, purpose, emergency))
    }

    /// By the agent of a member of the consortium key, before its worker hands out the hospital's part.
    pub fn hand_out(opening: OpeningId) -> Call {
        Call::new("Openings", "hand_out", opening)
    }
}

/// Calls about custody, by the agents of hospitals. The council appoints and dismisses custodians.
pub mod custody {
    use epione_primitives::{
        Hash, HospitalId, UserId,
        custody::{ClaimId, ClaimedPatients},
        opening::WRAP_BYTES,
    };

    use super::Call;

    /// By the agent of the hospital whose patient key is in the wrap. `profile` is the hash of the profile body.
    pub fn keep(patient: UserId, profile: Hash, wrap: &[u8; WRAP_BYTES]) -> Call {
        Call::new("Custody", "keep", (patient, profile, wrap))
    }

    /// By the agent of the custodian of the removed hospital. The patients ascend.
    pub fn claim(departed: HospitalId, patients: &ClaimedPatients) -> Call {
        Call::new("Custody", "claim", (departed, patients))
    }

    /// By the agent of a member of the consortium key, before its worker hands out the hospital's part.
    pub fn hand_out(claim: ClaimId) -> Call {
        Call::new("Custody", "hand_out", claim)
    }
}

/// Calls about a hospital, by its governance.
pub mod hospitals {
    use epione_primitives::{HospitalId, naming::NamedAccount};

    use super::Call;

    pub fn rotate_accounts(
        governance: Option<&NamedAccount>,
        agent: Option<&NamedAccount>,
    ) -> Call {
        Call::new("Hospitals", "rotate_accounts", (governance, agent))
    }

    /// `storage_origin` is the only other origin to which the worker may redirect readers.
    pub fn set_endpoint(
        worker_url: &str,
        tls_key: &[u8; 32],
        storage_origin: Option<&str>,
    ) -> Call {
        Call::new("Hospitals", "set_endpoint", (worker_url, tls_key, storage_origin))
    }

    /// `sealing_key` is the suite byte, then the key.
    pub fn set_sealing_key(sealing_key: &[u8]) -> Call {
        Call::new("Hospitals", "set_sealing_key", sealing_key)
    }

    /// By the hospital's agent.
    pub fn ready() -> Call {
        Call::new("Hospitals", "ready", ())
    }

    pub fn leave() -> Call {
        Call::new("Hospitals", "leave", ())
    }

    /// For the council, which dispatches it as root.
    pub fn replace_governance(hospital: HospitalId, governance: &NamedAccount) -> Call {
        Call::new("Hospitals", "replace_governance", (hospital, governance))
    }

    /// By the governance account of any active hospital.
    pub fn complete_replacement(hospital: HospitalId) -> Call {
        Call::new("Hospitals", "complete_replacement", hospital)
    }

    /// By the present governance account.
    pub fn object_to_replacement() -> Call {
        Call::new("Hospitals", "object_to_replacement", ())
    }
}

/// Calls about validators, by the hospital's governance.
pub mod session {
    use super::Call;
    use crate::application::SessionKeys;

    /// `proof` shows that the signer has both keys ([`SessionPair::prove`](crate::application::SessionPair::prove)).
    pub fn set_keys(keys: &SessionKeys, proof: &[u8]) -> Call {
        Call::new("Session", "set_keys", (keys, proof))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use epione_primitives::block::{AnnouncedEntries, AnnouncedHeader, Segments};

    use super::*;

    #[test]
    fn a_call_ends_with_its_body() {
        let header =
            AnnouncedHeader { announcer: Default::default(), segments: Segments::default() };
        let body = vec![7; 70_000];
        let call = lite_blocks::announce(&header, &AnnouncedEntries::default(), &body);
        assert!(call.arguments.ends_with(&body));
        assert_eq!(call.arguments, (header, AnnouncedEntries::default(), body).encode());
    }

    #[test]
    fn a_motion_contains_its_call_as_it_is() {
        let call = council::propose(3, &[6, 1, 2, 0]);
        assert_eq!(call.arguments, [3_u8 << 2, 6, 1, 2, 0, 4 << 2]);
    }

    #[test]
    fn the_debug_text_of_a_call_has_its_size_and_not_its_bytes() {
        let previous = epione_primitives::Hash::repeat_byte(2);
        let call = profiles::update(epione_primitives::UserId([1; 32]), previous, b"sealed");
        assert_eq!(format!("{call:?}"), "Profiles.update (71 bytes)");
    }
}
