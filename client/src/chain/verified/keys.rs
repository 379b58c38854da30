//! Where the pallets store what clients read. The names and hashers are those of `#[pallet::storage]` in each pallet.

use epione_primitives::{
    AccountId, AnnouncementId, BlockNumber, Hash, HospitalId, RecordId, RecordPointer, UserId,
    access::{Parties, RelationshipKind},
    consortium::{CeremonyId, EpochId},
    credential::AttributeId,
    custody::ClaimId,
    opening::OpeningId,
    query::QueryId,
    release::ReviewId,
    sharing::SlotId,
};
use epione_proofs::{FinalizedHead, StorageKey};

fn value(pallet: &str, item: &str) -> StorageKey {
    StorageKey::value(pallet, item)
}

// The SDK's pallets.

pub(crate) fn account(id: &AccountId) -> StorageKey {
    value("System", "Account").blake2_128_concat(id)
}

pub(crate) fn block_hash(number: BlockNumber) -> StorageKey {
    value("System", "BlockHash").twox_64_concat(&number)
}

pub(super) fn current_set() -> StorageKey {
    value("Grandpa", "CurrentSetId")
}

pub(super) fn events() -> StorageKey {
    value("System", "Events")
}

/// The session keys that a hospital has set.
pub(super) fn session_keys(hospital: HospitalId) -> StorageKey {
    value("Session", "NextKeys").twox_64_concat(&hospital)
}

pub(crate) fn now() -> StorageKey {
    FinalizedHead::time_key()
}

/// The validators of the next session with their keys.
pub(super) fn queued_validators() -> StorageKey {
    value("Session", "QueuedKeys")
}

/// The validators of the current session.
pub(super) fn validators() -> StorageKey {
    value("Session", "Validators")
}

// pallet-hospitals

pub(super) fn active_periods(hospital: HospitalId) -> StorageKey {
    value("Hospitals", "ActivePeriods").twox_64_concat(&hospital)
}

pub(crate) fn admitted() -> StorageKey {
    value("Hospitals", "Admitted")
}

pub(super) fn benched() -> StorageKey {
    value("Hospitals", "Benched")
}

pub(crate) fn hospital(id: HospitalId) -> StorageKey {
    value("Hospitals", "Hospitals").twox_64_concat(&id)
}

pub(super) fn hospital_account(account: &AccountId) -> StorageKey {
    value("Hospitals", "Accounts").blake2_128_concat(account)
}

pub(super) fn replacement(hospital: HospitalId) -> StorageKey {
    value("Hospitals", "Replacements").twox_64_concat(&hospital)
}

/// The active hospitals that do not validate until their workers are ready.
pub(super) fn unready() -> StorageKey {
    value("Hospitals", "Unready")
}

// pallet-profiles

pub(super) fn earlier_pages(user: UserId, hospital: HospitalId) -> StorageKey {
    value("Profiles", "EarlierPages").blake2_128_concat(&user).twox_64_concat(&hospital)
}

pub(super) fn earlier_periods(user: UserId, hospital: HospitalId, page: u32) -> StorageKey {
    value("Profiles", "EarlierPeriods")
        .blake2_128_concat(&user)
        .twox_64_concat(&hospital)
        .twox_64_concat(&page)
}

/// The prefix of the users of a hospital.
pub(super) fn members(hospital: HospitalId) -> StorageKey {
    value("Profiles", "Members").twox_64_concat(&hospital)
}

pub(super) fn member(hospital: HospitalId, user: UserId) -> StorageKey {
    members(hospital).blake2_128_concat(&user)
}

pub(crate) fn profile(user: UserId) -> StorageKey {
    value("Profiles", "Profiles").blake2_128_concat(&user)
}

/// The prefix of new keys that are proposed for users.
pub(super) fn recoveries() -> StorageKey {
    value("Profiles", "Recoveries")
}

pub(super) fn recovery(user: UserId) -> StorageKey {
    recoveries().blake2_128_concat(&user)
}

pub(crate) fn registration(hospital: HospitalId, user: UserId) -> StorageKey {
    value("Profiles", "Registrations").blake2_128_concat(&user).twox_64_concat(&hospital)
}

pub(super) fn user_account(account: &AccountId) -> StorageKey {
    value("Profiles", "Accounts").blake2_128_concat(account)
}

// pallet-credentials

pub(super) fn attribute(attribute: AttributeId) -> StorageKey {
    value("Credentials", "Attributes").twox_64_concat(&attribute)
}

/// The number of attributes.
pub(super) fn attributes() -> StorageKey {
    value("Credentials", "AttributeCount")
}

pub(super) fn credential(key: (UserId, AttributeId, HospitalId)) -> StorageKey {
    confirmed("Credentials", key)
}

/// The prefix of a user's credentials.
pub(super) fn credentials_of(user: UserId) -> StorageKey {
    value("Credentials", "Credentials").blake2_128_concat(&user)
}

pub(super) fn earlier_credential(
    key: (UserId, AttributeId, HospitalId),
    number: u32,
) -> StorageKey {
    confirmed("EarlierCredentials", key).twox_64_concat(&number)
}

/// The number of earlier credentials.
pub(super) fn earlier_credentials(key: (UserId, AttributeId, HospitalId)) -> StorageKey {
    confirmed("EarlierCount", key)
}

fn confirmed(
    item: &str,
    (user, attribute, issuer): (UserId, AttributeId, HospitalId),
) -> StorageKey {
    value("Credentials", item)
        .blake2_128_concat(&user)
        .twox_64_concat(&attribute)
        .twox_64_concat(&issuer)
}

// pallet-role-policies

pub(super) fn earlier_relationship(
    parties: Parties,
    kind: RelationshipKind,
    number: u32,
) -> StorageKey {
    related("EarlierRelationships", parties).twox_64_concat(&(kind, number))
}

pub(super) fn earlier_relationships(parties: Parties, kind: RelationshipKind) -> StorageKey {
    related("EarlierCount", parties).twox_64_concat(&kind)
}

pub(super) fn latest_policies(hospital: HospitalId) -> StorageKey {
    value("RolePolicies", "LatestVersion").twox_64_concat(&hospital)
}

pub(super) fn policy_set(hospital: HospitalId, version: u32) -> StorageKey {
    value("RolePolicies", "PolicySets").twox_64_concat(&hospital).twox_64_concat(&version)
}

pub(super) fn relationships(parties: Parties) -> StorageKey {
    related("Relationships", parties)
}

/// The prefix of a patient's relationships.
pub(super) fn relationships_of(patient: UserId) -> StorageKey {
    value("RolePolicies", "Relationships").blake2_128_concat(&patient)
}

fn related(item: &str, (patient, professional, hospital): Parties) -> StorageKey {
    value("RolePolicies", item)
        .blake2_128_concat(&patient)
        .blake2_128_concat(&professional)
        .twox_64_concat(&hospital)
}

// pallet-lite-blocks, pallet-approvals, pallet-index-links

pub(crate) fn announcement(id: AnnouncementId) -> StorageKey {
    value("LiteBlocks", "Announcements").twox_64_concat(&id)
}

pub(super) fn announcement_of(announcer: HospitalId, body: Hash) -> StorageKey {
    value("LiteBlocks", "AnnouncementOf").twox_64_concat(&announcer).blake2_128_concat(&body)
}

pub(super) fn announcement_with(announcer: HospitalId, record: RecordId) -> StorageKey {
    value("LiteBlocks", "AnnouncementWith").twox_64_concat(&announcer).blake2_128_concat(&record)
}

pub(crate) fn ballot(id: AnnouncementId) -> StorageKey {
    value("Approvals", "Ballots").blake2_128_concat(&id)
}

pub(crate) fn entries(height: u32) -> StorageKey {
    value("LiteBlocks", "Entries").twox_64_concat(&height)
}

pub(crate) fn hashes(height: u32) -> StorageKey {
    value("LiteBlocks", "Hashes").twox_64_concat(&height)
}

pub(crate) fn header(height: u32) -> StorageKey {
    value("LiteBlocks", "Headers").twox_64_concat(&height)
}

pub(super) fn height() -> StorageKey {
    value("LiteBlocks", "Height")
}

pub(crate) fn latest_record(patient: UserId) -> StorageKey {
    value("IndexLinks", "Latest").blake2_128_concat(&patient)
}

pub(super) fn next_announcement() -> StorageKey {
    value("LiteBlocks", "NextId")
}

/// The prefix of the entries of announcements with open ballots.
pub(super) fn pending() -> StorageKey {
    value("LiteBlocks", "PendingEntries")
}

pub(super) fn pending_entries(id: AnnouncementId) -> StorageKey {
    pending().twox_64_concat(&id)
}

// pallet-releases

pub(super) fn answer(request: Hash) -> StorageKey {
    value("Releases", "ByRequest").blake2_128_concat(&request)
}

pub(super) fn by_grant(grant: Hash) -> StorageKey {
    value("Releases", "ByGrant").blake2_128_concat(&grant)
}

pub(super) fn emergencies(patient: UserId) -> StorageKey {
    value("Releases", "EmergencyCount").blake2_128_concat(&patient)
}

pub(super) fn emergency(patient: UserId, number: u32) -> StorageKey {
    value("Releases", "Emergencies").blake2_128_concat(&patient).twox_64_concat(&number)
}

pub(super) fn next_review() -> StorageKey {
    value("Releases", "NextReview")
}

/// The removed hospitals whose records a grant of their custodian releases.
pub(super) fn of_departed(grant: Hash) -> StorageKey {
    value("Releases", "OfDeparted").blake2_128_concat(&grant)
}

pub(super) fn own_read(patient: UserId, number: u32) -> StorageKey {
    value("Releases", "OwnReads").blake2_128_concat(&patient).twox_64_concat(&number)
}

pub(super) fn own_reads(patient: UserId) -> StorageKey {
    value("Releases", "OwnReadCount").blake2_128_concat(&patient)
}

pub(crate) fn receipt(patient: UserId, number: u32) -> StorageKey {
    value("Releases", "Receipts").blake2_128_concat(&patient).twox_64_concat(&number)
}

pub(crate) fn receipts(patient: UserId) -> StorageKey {
    value("Releases", "ReceiptCount").blake2_128_concat(&patient)
}

pub(super) fn refusal(patient: UserId, number: u32) -> StorageKey {
    value("Releases", "Refusals").blake2_128_concat(&patient).twox_64_concat(&number)
}

pub(super) fn refusals(patient: UserId) -> StorageKey {
    value("Releases", "RefusalCount").blake2_128_concat(&patient)
}

pub(super) fn review(id: ReviewId) -> StorageKey {
    value("Releases", "Reviews").twox_64_concat(&id)
}

pub(super) fn tally(hospital: HospitalId, requester: UserId) -> StorageKey {
    value("Releases", "Tallies").twox_64_concat(&hospital).blake2_128_concat(&requester)
}

// pallet-sharing

pub(super) fn consent(patient: UserId, slot: SlotId) -> StorageKey {
    value("Sharing", "Consents").blake2_128_concat(&patient).twox_64_concat(&slot)
}

pub(super) fn earlier_consent(patient: UserId, slot: SlotId, version: u32) -> StorageKey {
    value("Sharing", "EarlierConsents")
        .blake2_128_concat(&patient)
        .twox_64_concat(&slot)
        .twox_64_concat(&version)
}

pub(super) fn placed_in(patient: UserId, slot: SlotId, record: RecordPointer) -> StorageKey {
    placed_in_slot(patient, slot).twox_64_concat(&record)
}

/// The prefix of the placements in a patient's slot.
pub(super) fn placed_in_slot(patient: UserId, slot: SlotId) -> StorageKey {
    value("Sharing", "PlacedIn").blake2_128_concat(&patient).twox_64_concat(&slot)
}

pub(super) fn placements(record: RecordPointer) -> StorageKey {
    value("Sharing", "Placed").twox_64_concat(&record)
}

pub(super) fn slot_height(patient: UserId, slot: SlotId) -> StorageKey {
    value("Sharing", "SlotHeights").blake2_128_concat(&patient).twox_64_concat(&slot)
}

pub(super) fn shared_change(height: u64) -> StorageKey {
    value("Sharing", "Changes").twox_64_concat(&height)
}

pub(super) fn shared_head() -> StorageKey {
    value("Sharing", "Head")
}

// pallet-mandates

pub(crate) fn authorization(patient: UserId, hospital: HospitalId) -> StorageKey {
    value("Mandates", "Authorizations").blake2_128_concat(&patient).twox_64_concat(&hospital)
}

pub(super) fn earlier_authorization(
    patient: UserId,
    hospital: HospitalId,
    number: u32,
) -> StorageKey {
    value("Mandates", "EarlierAuthorizations")
        .blake2_128_concat(&patient)
        .twox_64_concat(&hospital)
        .twox_64_concat(&number)
}

pub(super) fn earlier_authorizations(patient: UserId, hospital: HospitalId) -> StorageKey {
    value("Mandates", "EarlierAuthorizationCount")
        .blake2_128_concat(&patient)
        .twox_64_concat(&hospital)
}

pub(super) fn earlier_representation(patient: UserId, user: UserId, number: u32) -> StorageKey {
    value("Mandates", "EarlierRepresentations")
        .blake2_128_concat(&patient)
        .blake2_128_concat(&user)
        .twox_64_concat(&number)
}

pub(super) fn earlier_representations(patient: UserId, user: UserId) -> StorageKey {
    value("Mandates", "EarlierRepresentationCount")
        .blake2_128_concat(&patient)
        .blake2_128_concat(&user)
}

/// The prefix of a patient's representatives.
pub(super) fn representatives(patient: UserId) -> StorageKey {
    value("Mandates", "Representatives").blake2_128_concat(&patient)
}

pub(crate) fn representative(patient: UserId, user: UserId) -> StorageKey {
    representatives(patient).blake2_128_concat(&user)
}

// pallet-queries

pub(crate) fn patient_queries(patient: UserId) -> StorageKey {
    value("Queries", "PatientQueryCount").blake2_128_concat(&patient)
}

pub(crate) fn patient_query(patient: UserId, number: u32) -> StorageKey {
    value("Queries", "PatientQueries").blake2_128_concat(&patient).twox_64_concat(&number)
}

pub(super) fn pending_of_patient(patient: UserId) -> StorageKey {
    value("Queries", "PendingOfPatient").blake2_128_concat(&patient)
}

pub(crate) fn query(id: QueryId) -> StorageKey {
    value("Queries", "Queries").twox_64_concat(&id)
}

pub(super) fn query_terms(id: QueryId) -> StorageKey {
    value("Queries", "Terms").twox_64_concat(&id)
}

pub(super) fn requester_queries(requester: UserId) -> StorageKey {
    value("Queries", "RequesterQueryCount").blake2_128_concat(&requester)
}

pub(super) fn requester_query(requester: UserId, number: u32) -> StorageKey {
    value("Queries", "RequesterQueries").blake2_128_concat(&requester).twox_64_concat(&number)
}

pub(crate) fn transfer(id: QueryId) -> StorageKey {
    value("Queries", "Transfers").twox_64_concat(&id)
}

// pallet-consortium-key

pub(super) fn answers_of(ceremony: CeremonyId, dealer: u8) -> StorageKey {
    value("ConsortiumKey", "AnswersOf").twox_64_concat(&ceremony).twox_64_concat(&dealer)
}

pub(super) fn ceremony() -> StorageKey {
    value("ConsortiumKey", "Ceremony")
}

pub(super) fn committee() -> StorageKey {
    value("ConsortiumKey", "Committee")
}

pub(super) fn confirmations() -> StorageKey {
    value("ConsortiumKey", "Confirmed")
}

pub(super) fn consortium_schedule() -> StorageKey {
    value("ConsortiumKey", "Schedule")
}

pub(super) fn current_epoch() -> StorageKey {
    value("ConsortiumKey", "Current")
}

pub(super) fn dealing(ceremony: CeremonyId, dealer: u8) -> StorageKey {
    value("ConsortiumKey", "Dealings").twox_64_concat(&ceremony).twox_64_concat(&dealer)
}

pub(super) fn enrolment(ceremony: CeremonyId, seat: u8) -> StorageKey {
    value("ConsortiumKey", "Enrolments").twox_64_concat(&ceremony).twox_64_concat(&seat)
}

pub(super) fn epoch(id: EpochId) -> StorageKey {
    value("ConsortiumKey", "Epochs").twox_64_concat(&id)
}

pub(super) fn joined() -> StorageKey {
    value("ConsortiumKey", "Joined")
}

pub(super) fn kept_ceremony() -> StorageKey {
    value("ConsortiumKey", "Kept")
}

pub(super) fn last_begun() -> StorageKey {
    value("ConsortiumKey", "LastBegun")
}

pub(super) fn last_ended() -> StorageKey {
    value("ConsortiumKey", "LastEnded")
}

pub(super) fn past_ceremonies() -> StorageKey {
    value("ConsortiumKey", "Past")
}

pub(super) fn refresh_requested() -> StorageKey {
    value("ConsortiumKey", "RefreshRequested")
}

pub(super) fn renewal_decided() -> StorageKey {
    value("ConsortiumKey", "RenewalDecided")
}

// pallet-openings

/// The prefix of what hospitals recorded when they handed out their parts of an opening.
pub(super) fn handed_out(id: OpeningId) -> StorageKey {
    value("Openings", "HandedOutBy").twox_64_concat(&id)
}

pub(crate) fn handed_out_by(id: OpeningId, hospital: HospitalId) -> StorageKey {
    handed_out(id).twox_64_concat(&hospital)
}

pub(crate) fn opening(id: OpeningId) -> StorageKey {
    value("Openings", "Openings").twox_64_concat(&id)
}

pub(crate) fn patient_opening(patient: UserId, number: u32) -> StorageKey {
    value("Openings", "PatientOpenings").blake2_128_concat(&patient).twox_64_concat(&number)
}

/// The number of openings of a patient's records.
pub(crate) fn patient_openings(patient: UserId) -> StorageKey {
    value("Openings", "PatientOpeningCount").blake2_128_concat(&patient)
}

pub(super) fn requester_opening(requester: UserId, number: u32) -> StorageKey {
    value("Openings", "RequesterOpenings").blake2_128_concat(&requester).twox_64_concat(&number)
}

/// The number of openings for a requester.
pub(super) fn requester_openings(requester: UserId) -> StorageKey {
    value("Openings", "RequesterOpeningCount").blake2_128_concat(&requester)
}

pub(super) fn wraps(record: RecordPointer, slot: SlotId) -> StorageKey {
    value("Openings", "Wraps").twox_64_concat(&record).twox_64_concat(&slot)
}

// pallet-custody, and what patients entrust (pallet-mandates)

pub(super) fn appointment(departed: HospitalId) -> StorageKey {
    value("Custody", "Appointments").twox_64_concat(&departed)
}

pub(super) fn claim(id: ClaimId) -> StorageKey {
    value("Custody", "Claims").twox_64_concat(&id)
}

pub(super) fn claim_part(id: ClaimId, hospital: HospitalId) -> StorageKey {
    value("Custody", "HandedOutBy").twox_64_concat(&id).twox_64_concat(&hospital)
}

/// The number of all claims.
pub(super) fn claims() -> StorageKey {
    value("Custody", "ClaimCount")
}

/// The delay between appointments and claims, if it is not the usual one.
pub(super) fn custodian_delay() -> StorageKey {
    value("Custody", "Delay")
}

/// The prefix of what patients entrust at a hospital.
pub(super) fn entrusted(hospital: HospitalId) -> StorageKey {
    value("Mandates", "Custodies").twox_64_concat(&hospital)
}

pub(super) fn entrusted_by(hospital: HospitalId, patient: UserId) -> StorageKey {
    entrusted(hospital).blake2_128_concat(&patient)
}

pub(super) fn kept_key(hospital: HospitalId, patient: UserId) -> StorageKey {
    value("Custody", "KeptKeys").twox_64_concat(&hospital).blake2_128_concat(&patient)
}

// The council, and what it decides.

pub(super) fn authorized_at() -> StorageKey {
    value("CouncilRoot", "AuthorizedAt")
}

pub(super) fn authorized_upgrade() -> StorageKey {
    value("System", "AuthorizedUpgrade")
}

pub(super) fn council_members() -> StorageKey {
    value("Council", "Members")
}

/// The call of a motion.
pub(super) fn motion_call(motion: Hash) -> StorageKey {
    value("Council", "ProposalOf").identity(&motion)
}

pub(super) fn motion_proposer(motion: Hash) -> StorageKey {
    value("Council", "CostOf").identity(&motion)
}

pub(super) fn motion_votes(motion: Hash) -> StorageKey {
    value("Council", "Voting").identity(&motion)
}

/// The hashes of the live motions.
pub(super) fn motions() -> StorageKey {
    value("Council", "Proposals")
}

pub(super) fn quota_limits() -> StorageKey {
    value("Quotas", "CurrentLimits")
}

pub(super) fn upgrade_delay() -> StorageKey {
    value("CouncilRoot", "UpgradeDelay")
}
