//! Runtime APIs: how nodes, workers and clients read the chain in one call.

use alloc::vec::Vec;

use crate::{
    AccountId, AnnouncementId, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::{AccessRequest, Decision, PolicySet, Relationship},
    approval::Ballot,
    block::{AnnouncedEntry, Announcement, BlockHashes, Entry, Header},
    hospital::{Duty, Hospital},
    profile::{Profile, Registration},
    release::{Receipt, RefusedAccess, Review, ReviewId, Tally},
};

sp_api::decl_runtime_apis! {
    /// Reads pallet-hospitals.
    pub trait HospitalsApi {
        /// Every hospital ever admitted, ascending.
        fn hospitals() -> Vec<(HospitalId, Hospital)>;
        fn hospital(id: HospitalId) -> Option<Hospital>;
        /// The hospital that an account belongs to, whatever its status, and what the account is for.
        fn hospital_of(account: AccountId) -> Option<(HospitalId, Duty)>;
    }

    /// Reads pallet-profiles.
    pub trait ProfilesApi {
        fn user_of(account: AccountId) -> Option<UserId>;
        fn profile(user: UserId) -> Option<Profile>;
        fn registration(hospital: HospitalId, user: UserId) -> Option<Registration>;
        /// The hospitals at which a user was ever registered, ascending.
        fn registrations(user: UserId) -> Vec<(HospitalId, Registration)>;
        /// Who is, or was, registered at a hospital, in an order of the chain's own, after `after`: at
        /// most `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE).
        fn members(
            hospital: HospitalId,
            after: Option<UserId>,
            limit: u32,
        ) -> Vec<(UserId, Registration)>;
    }

    /// Reads pallet-role-policies.
    pub trait RolePoliciesApi {
        /// Decides by the relationships, registrations and policies in force at `at`: now, if absent.
        fn decide(request: AccessRequest, at: Option<Moment>) -> Decision;
        /// Decides each of at most [`MAX_DECISIONS`](crate::limits::MAX_DECISIONS) requests now, in
        /// their order; any further ones are left out.
        fn decide_each(requests: Vec<AccessRequest>) -> Vec<Decision>;
        /// Every relationship of a patient, closed ones included, with its professional.
        fn relationships(patient: UserId) -> Vec<(UserId, Relationship)>;
        /// A version of a hospital's policies, 0 being the default set; the newest, if absent. None if
        /// there is no such version.
        fn policies(hospital: HospitalId, version: Option<u32>) -> Option<(u32, PolicySet)>;
    }

    /// Reads pallet-releases. Lists are newest first, from the last or from before `before`: at most
    /// `limit` and [`MAX_PAGE`](crate::limits::MAX_PAGE).
    pub trait ReleasesApi {
        /// The receipt of a grant by the grant's hash.
        fn receipt(grant: Hash) -> Option<Receipt>;
        /// Whether a grant is recorded and its requester would be allowed the same again now.
        fn is_in_force(grant: Hash) -> bool;
        /// A patient's receipts, by their numbers.
        fn receipts(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, Receipt)>;
        /// Emergencies of a patient, by their numbers, with their reviews.
        fn emergencies(
            patient: UserId,
            before: Option<u32>,
            limit: u32,
        ) -> Vec<(u32, ReviewId, Review)>;
        /// Refusals of access to a patient's records, by their numbers.
        fn refusals(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, RefusedAccess)>;
        /// Every hospital's emergencies.
        fn reviews(before: Option<ReviewId>, limit: u32) -> Vec<(ReviewId, Review)>;
        /// What a requester has caused at a hospital today.
        fn tally(hospital: HospitalId, requester: UserId) -> Tally;
    }

    /// Reads pallet-lite-blocks and pallet-index-links.
    pub trait LiteBlocksApi {
        /// Height of the newest committed block; 0 before the first.
        fn height() -> u32;
        fn header(height: u32) -> Option<(Header, BlockHashes)>;
        fn entries(height: u32) -> Vec<Entry>;
        fn announcement(id: AnnouncementId) -> Option<(Announcement, Vec<AnnouncedEntry>)>;
        /// The announcements whose ballots are open, ascending.
        fn open_announcements() -> Vec<AnnouncementId>;
        /// The announcement that carries this body, unless it was rejected, expired or withdrawn.
        fn announcement_of(body_hash: Hash) -> Option<AnnouncementId>;
        /// A patient's records, newest first, from the latest or from before `before`: at most
        /// `limit` and [`MAX_HISTORY`](crate::limits::MAX_HISTORY).
        fn history(
            patient: UserId,
            before: Option<RecordPointer>,
            limit: u32,
        ) -> Vec<(RecordPointer, Entry, Hash)>;
        /// One committed record's entry, and the hash of the body that holds it.
        fn record(pointer: RecordPointer) -> Option<(Entry, Hash)>;
    }

    /// Reads pallet-approvals.
    pub trait ApprovalsApi {
        fn ballot(id: AnnouncementId) -> Option<Ballot>;
    }
}
