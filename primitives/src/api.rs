//! Runtime APIs. Nodes, workers and clients read the chain through them, one call for each question.

use alloc::vec::Vec;

use crate::{
    AccountId, AnnouncementId, Hash, HospitalId, Moment, RecordId, RecordPointer, UserId,
    access::{
        AccessRequest, Decision, Parties, PolicySet, Purpose, Relationship, RelationshipKind,
    },
    approval::Ballot,
    block::{AnnouncedEntry, Announcement, BlockHashes, Entry, Header},
    credential::{AttributeId, AttributeName, Credential},
    hospital::{Duty, Hospital, Replacement},
    mandate::Mandate,
    opening::{HandedOut, Opening, OpeningId, Wrapped},
    profile::{Profile, Recovery, Registration},
    query::{Query, QueryId, SealedTermsBytes, Transfer},
    release::{OwnRead, Receipt, RefusedAccess, Review, ReviewId, SectionSet, Tally},
    sharing::{ConsentVersion, Placements, SharedChange, SlotId, SlotSet},
};

sp_api::decl_runtime_apis! {
    /// Reads pallet-hospitals.
    pub trait HospitalsApi {
        /// Every hospital ever admitted, ascending by id.
        fn hospitals() -> Vec<(HospitalId, Hospital)>;
        fn hospital(id: HospitalId) -> Option<Hospital>;
        /// The hospital that an account belongs to, whatever the hospital's status, and the account's duty.
        fn hospital_of(account: AccountId) -> Option<(HospitalId, Duty)>;
        /// The active hospitals that do not validate since an offence, ascending.
        fn benched() -> Vec<HospitalId>;
        /// The active hospitals that do not validate until their workers say that they are ready, ascending.
        fn unready() -> Vec<HospitalId>;
        /// The governance account with which the council replaces that of a hospital, if it decided so.
        fn replacement(hospital: HospitalId) -> Option<Replacement>;
    }

    /// Reads pallet-profiles.
    pub trait ProfilesApi {
        fn user_of(account: AccountId) -> Option<UserId>;
        fn profile(user: UserId) -> Option<Profile>;
        fn registration(hospital: HospitalId, user: UserId) -> Option<Registration>;
        /// The hospitals at which a user is or was registered, ascending by id.
        fn registrations(user: UserId) -> Vec<(HospitalId, Registration)>;
        /// The users who are or were registered at a hospital, in the order of the chain's storage, after
        /// `after`: at most `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE).
        fn members(
            hospital: HospitalId,
            after: Option<UserId>,
            limit: u32,
        ) -> Vec<(UserId, Registration)>;
        /// The keys that a hospital proposed last for a user who has lost the present ones, unless they became the
        /// user's. They may have lapsed.
        fn recovery(user: UserId) -> Option<Recovery>;
        /// The proposed keys of all users, in the order of the chain's storage, after `after`: at most `limit` and
        /// [`MAX_PAGE`](crate::limits::MAX_PAGE).
        fn recoveries(after: Option<UserId>, limit: u32) -> Vec<(UserId, Recovery)>;
    }

    /// Reads pallet-role-policies.
    pub trait RolePoliciesApi {
        /// Decides by the relationships, registrations and policies in force at `at`, or now if absent.
        fn decide(request: AccessRequest, at: Option<Moment>) -> Decision;
        /// Decides requests now, in their order. Requests after the first
        /// [`MAX_DECISIONS`](crate::limits::MAX_DECISIONS) are ignored.
        fn decide_each(requests: Vec<AccessRequest>) -> Vec<Decision>;
        /// The newest relationship of each kind of a patient, with its professional, in the order of the chain's
        /// storage: of at most `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE) pairs of professional and hospital
        /// after `after`.
        fn relationships(
            patient: UserId,
            after: Option<(UserId, HospitalId)>,
            limit: u32,
        ) -> Vec<(UserId, Relationship)>;
        /// The relationships of one kind before the newest one, with their numbers, newest first. The list begins
        /// before `before`, or with the last if absent, and has at most `limit` and
        /// [`MAX_PAGE`](crate::limits::MAX_PAGE) entries.
        fn earlier_relationships(
            parties: Parties,
            kind: RelationshipKind,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, Relationship)>;
        /// A version of a hospital's policies, or the newest if absent. Version 0 is the default set. None
        /// if there is no such version.
        fn policies(hospital: HospitalId, version: Option<u32>) -> Option<(u32, PolicySet)>;
    }

    /// Reads pallet-releases. Lists are newest first. They begin before `before`, or with the newest
    /// entry if absent, and have at most `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE) entries.
    pub trait ReleasesApi {
        /// The receipt of a grant, by the grant's hash.
        fn receipt(grant: Hash) -> Option<Receipt>;
        /// The grant that answered a request, by the request's hash ([`Request::hash`](crate::release::Request::hash)).
        fn answer(request: Hash) -> Option<Hash>;
        /// Whether a grant is recorded, and the policies still allow its requester the same.
        fn is_in_force(grant: Hash) -> bool;
        /// A patient's receipts, with their numbers.
        fn receipts(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, Receipt)>;
        /// A patient's emergencies, with their numbers and reviews.
        fn emergencies(
            patient: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, ReviewId, Review)>;
        /// Refusals of access to a patient's records, with their numbers.
        fn refusals(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, RefusedAccess)>;
        /// What a patient noted of own readings by the own key, with their numbers.
        fn own_reads(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, OwnRead)>;
        /// The reviews of all hospitals' emergencies.
        fn reviews(before: Option<ReviewId>, limit: u32) -> Vec<(ReviewId, Review)>;
        /// A requester's refusals and emergencies at a hospital today.
        fn tally(hospital: HospitalId, requester: UserId) -> Tally;
    }

    /// Reads pallet-sharing.
    pub trait SharingApi {
        /// In which slots of their patients the sections of records are: of the first
        /// [`MAX_RELEASED_RECORDS`](crate::limits::MAX_RELEASED_RECORDS) of these records, in their order.
        fn placements(pointers: Vec<RecordPointer>) -> Vec<Placements>;
        /// The slots of a patient whose consents share with a requester for a purpose now. None in an emergency.
        fn admitting(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet;
        /// The slots of a patient whose standing consents share with a requester for a purpose now, also in an
        /// emergency.
        fn standing(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet;
        /// The newest version of the consent of each of a patient's slots, in force or not, ascending by slot.
        fn consents(patient: UserId) -> Vec<(SlotId, ConsentVersion)>;
        /// The versions of a slot's consent before the newest, newest first. The list begins before version `before`,
        /// or with the last if absent, and has at most `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE) entries.
        fn earlier_consents(
            patient: UserId,
            slot: SlotId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<ConsentVersion>;
        /// The records with sections in a slot, in the order of the chain's storage, after `after`: at most `limit` and
        /// [`MAX_PAGE`](crate::limits::MAX_PAGE).
        fn placed_in(
            patient: UserId,
            slot: SlotId,
            after: Option<RecordPointer>,
            limit: u32,
        ) -> Vec<(RecordPointer, SectionSet)>;
        /// The height of the newest change of a slot of a patient; 0 before the first. A patient who gives the slot a
        /// consent names it.
        fn slot_height(patient: UserId, slot: SlotId) -> u64;
        /// The height of the newest change of what patients share, and its hash; 0 and zero before the first.
        fn shared_head() -> (u64, Hash);
        /// Changes of what patients share, ascending from a height: at most `limit` and
        /// [`MAX_PAGE`](crate::limits::MAX_PAGE).
        fn shared_changes(from: u64, limit: u32) -> Vec<SharedChange>;
    }

    /// Reads pallet-credentials.
    pub trait CredentialsApi {
        /// The attributes that the council named, ascending, from `from` on: at most `limit` and
        /// [`MAX_PAGE`](crate::limits::MAX_PAGE).
        fn attributes(from: AttributeId, limit: u32) -> Vec<(AttributeId, AttributeName)>;
        /// The newest credential of a user for each attribute and issuer, in force or not, in the order of the chain's
        /// storage, after `after`: at most `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE).
        fn credentials(
            user: UserId,
            after: Option<(AttributeId, HospitalId)>,
            limit: u32,
        ) -> Vec<(AttributeId, HospitalId, Credential)>;
    }

    /// Reads pallet-mandates.
    pub trait MandatesApi {
        /// The newest mandate of each of a patient's representatives, in force or not, in the order of the chain's
        /// storage, after `after`: at most `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE).
        fn representatives(
            patient: UserId,
            after: Option<UserId>,
            limit: u32,
        ) -> Vec<(UserId, Mandate)>;
        /// The newest mandate of each hospital that a patient authorized to submit, in force or not, ascending.
        fn authorizations(patient: UserId) -> Vec<(HospitalId, Mandate)>;
        /// The mandate by which the user represents the patient now.
        fn representation(user: UserId, patient: UserId) -> Option<Mandate>;
    }

    /// Reads pallet-queries. Lists are newest first. They begin before `before`, or with the newest entry if absent,
    /// and have at most `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE) entries.
    pub trait QueriesApi {
        fn query(id: QueryId) -> Option<Query>;
        /// The sealed terms of a query, while it waits for an answer.
        fn terms(id: QueryId) -> Option<SealedTermsBytes>;
        /// What the mailbox recorded when it handed out the grant of a query.
        fn transfer(id: QueryId) -> Option<Transfer>;
        /// The queries to a patient, with their numbers among the patient's queries.
        fn patient_queries(
            patient: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, QueryId, Query)>;
        /// The queries of a requester, with their numbers among the requester's queries.
        fn requester_queries(
            requester: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, QueryId, Query)>;
    }

    /// Reads pallet-openings. Lists of openings are newest first. They begin before `before`, or with the newest entry
    /// if absent, and have at most `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE) entries.
    pub trait OpeningsApi {
        fn opening(id: OpeningId) -> Option<Opening>;
        /// The openings of a patient's sections, with their numbers among these.
        fn openings_of_patient(
            patient: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, OpeningId, Opening)>;
        /// The openings of a requester, with their numbers among the requester's openings.
        fn openings_of_requester(
            requester: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, OpeningId, Opening)>;
        /// What the hospitals recorded that handed out their parts of an opening, ascending by hospital.
        fn handed_out(id: OpeningId) -> Vec<(HospitalId, HandedOut)>;
        /// The wraps of a record's sections, one entry for each slot, ascending. Some may be of sections that are not
        /// in the slot any more, or under an earlier key.
        fn wraps(pointer: RecordPointer) -> Vec<(SlotId, Wrapped)>;
    }

    /// Reads pallet-lite-blocks and pallet-index-links.
    pub trait LiteBlocksApi {
        /// Height of the newest committed block; 0 before the first.
        fn height() -> u32;
        fn header(height: u32) -> Option<(Header, BlockHashes)>;
        fn entries(height: u32) -> Vec<Entry>;
        fn announcement(id: AnnouncementId) -> Option<(Announcement, Vec<AnnouncedEntry>)>;
        /// The announcements with open ballots, ascending by id.
        fn open_announcements() -> Vec<AnnouncementId>;
        /// The id of the next announcement. A smaller id without an announcement had one that was removed.
        fn next_announcement() -> AnnouncementId;
        /// This hospital's announcement of this body, unless it was rejected, expired or withdrawn.
        fn announcement_of(announcer: HospitalId, body_hash: Hash) -> Option<AnnouncementId>;
        /// The open or committed announcement that contains this hospital's record.
        fn announcement_with(announcer: HospitalId, record: RecordId) -> Option<AnnouncementId>;
        /// A patient's records, newest first. The list begins before `before`, or with the latest record
        /// if absent, and has at most `limit` and [`MAX_HISTORY`](crate::limits::MAX_HISTORY) entries.
        fn history(
            patient: UserId,
            before: Option<RecordPointer>,
            limit: u32,
        ) -> Vec<(RecordPointer, Entry, Hash)>;
        /// The entry of a committed record, and the hash of the body that contains it.
        fn record(pointer: RecordPointer) -> Option<(Entry, Hash)>;
    }

    /// Reads pallet-approvals.
    pub trait ApprovalsApi {
        fn ballot(id: AnnouncementId) -> Option<Ballot>;
    }
}
