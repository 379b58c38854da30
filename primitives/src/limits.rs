//! The bounds of everything that grows. The chain checks each of them. Workers and clients check earlier, so
//! users see the error before anything is sent.

use crate::{BlockNumber, Nonce};

/// Time between two blocks, in milliseconds.
pub const SLOT_MILLIS: u64 = 3_000;
/// Maximum bytes of a chain block (not of a lite block).
pub const BLOCK_BYTES: u32 = 8 * 1024 * 1024;
/// Maximum number of hospitals on one chain, not counting removed ones.
pub const MAX_HOSPITALS: u32 = 100;
/// Maximum number of periods in which a hospital was active that the chain stores. The oldest are forgotten first.
pub const MAX_ACTIVE_PERIODS: u32 = 32;
/// Maximum bytes of a hospital's name.
pub const MAX_NAME_BYTES: u32 = 64;
/// Maximum bytes of a worker's URL.
pub const MAX_URL_BYTES: u32 = 256;
/// Maximum bytes of a hospital's public sealing key (X-Wing needs 1216).
pub const MAX_SEALING_KEY_BYTES: u32 = 1_280;
/// Maximum bytes of a lite block's body (component A), which is in one extrinsic.
pub const MAX_BODY_BYTES: u32 = 2 * 1024 * 1024;
/// Maximum bytes of a profile body.
pub const MAX_PROFILE_BODY_BYTES: u32 = 16 * 1024;
/// Maximum number of records in one lite block.
pub const MAX_ENTRIES: u32 = 512;
/// Maximum number of segments that one lite block names.
pub const MAX_SEGMENTS: u32 = 16_384;
/// Bytes of a segment. Only the last segment of a sealed object may be shorter.
pub const SEGMENT_BYTES: u32 = 4 * 1024 * 1024;
/// Maximum number of a hospital's announcements with open ballots.
pub const MAX_PENDING_ANNOUNCEMENTS: u32 = 8;
/// Number of chain blocks for which a ballot stays open.
pub const BALLOT_BLOCKS: BlockNumber = 200;
/// Maximum number of ballots with the same deadline: every hospital's pending announcements.
pub const MAX_BALLOTS_PER_BLOCK: u32 = MAX_HOSPITALS * MAX_PENDING_ANNOUNCEMENTS;
/// Number of chain blocks after which the chain removes an announcement that was not committed, and its ballot: 30
/// days.
pub const RETENTION_BLOCKS: BlockNumber = 30 * DAY_BLOCKS;
/// Maximum number of chain blocks between the block at which an author signed a record and the record's announcement:
/// 24 hours. A visit that a hospital acknowledged can wait for that long if the hospital's worker or node is down. The
/// key of an account that was replaced is worthless after that time.
pub const MAX_SIGNING_AGE_BLOCKS: BlockNumber = DAY_BLOCKS;
/// Maximum number of chain blocks between the block at which an author signed a record and the last finalized block
/// when a worker accepts the visit: ten minutes.
pub const MAX_SUBMISSION_AGE_BLOCKS: BlockNumber = 200;
/// Maximum time in milliseconds between a requester's signature and the chain's record of the answer: ten minutes.
pub const MAX_REQUEST_AGE_MILLIS: u64 = 10 * 60 * 1_000;
/// How many milliseconds a requester's clock may be ahead of the chain's: one minute.
pub const MAX_CLOCK_LEAD_MILLIS: u64 = 60 * 1_000;
/// Maximum number of versions of a patient's key at one hospital.
pub const MAX_PATIENT_KEYS: u32 = 255;
/// Maximum number of groups of sections that may only be disclosed together.
pub const MAX_TOGETHER: u32 = 8;
/// Maximum number of registrations of one user that are in force at the same time, each at another hospital.
pub const MAX_REGISTRATIONS_IN_FORCE: u32 = 16;
/// Maximum number of periods in a registration. Each reinstatement and each new registration begins a period. The
/// chain moves the oldest periods to pages when there is no room for another one.
pub const MAX_REGISTRATION_PERIODS: u32 = 32;
/// Number of periods in a page of a registration's earlier periods.
pub const PERIODS_PER_PAGE: u32 = MAX_REGISTRATION_PERIODS / 2;
/// Maximum number of relationships in force between one patient and one professional at one hospital: one of each kind.
/// The number of earlier relationships has no limit.
pub const MAX_RELATIONSHIPS: u32 = 4;
/// Maximum number of policies in one hospital's set.
pub const MAX_POLICIES: u32 = 32;
/// Maximum number of conditions of one policy, which has each kind at most once.
pub const MAX_CONDITIONS: u32 = 16;
/// Maximum length of each list in a policy, such as its roles or actions.
pub const MAX_POLICY_LIST: u32 = 8;
/// Maximum bytes of a policy's summary.
pub const MAX_SUMMARY_BYTES: u32 = 256;
/// Maximum number of hospitals that the policies of one set name together. A decision reads a registration at
/// each of them.
pub const MAX_NAMED_HOSPITALS: u32 = 32;
/// Maximum number of credentials, each an attribute with its issuer, that the policies of one set name together. A
/// decision reads each of them.
pub const MAX_NAMED_CREDENTIALS: u32 = 16;
/// Maximum bytes of an attribute's name.
pub const MAX_ATTRIBUTE_NAME_BYTES: u32 = 32;
/// Maximum number of attributes that the council names.
pub const MAX_ATTRIBUTES: u16 = 1_024;
/// Maximum time in milliseconds for which a hospital issues a credential: 366 days.
pub const MAX_CREDENTIAL_MILLIS: u64 = 366 * DAY_MILLIS;
/// Maximum number of a patient's representatives whose mandates are in force.
pub const MAX_REPRESENTATIVES: u32 = 4;
/// Maximum time in milliseconds for which a patient names a representative: 20 years, so that the mandate of a child's
/// parents can last until the child is of age.
pub const MAX_REPRESENTATION_MILLIS: u64 = 20 * 366 * DAY_MILLIS;
/// Maximum time in milliseconds for which a patient authorizes a hospital to submit without the patient's signature:
/// 366 days.
pub const MAX_AUTHORIZATION_MILLIS: u64 = 366 * DAY_MILLIS;
/// Maximum time in milliseconds for which a patient entrusts the patient keys at a hospital: 20 years, because nobody
/// foresees when the hospital leaves.
pub const MAX_CUSTODY_MILLIS: u64 = 20 * 366 * DAY_MILLIS;
/// Maximum number of patients in one claim of a custodian: a part has a value for each, as for the sections of an
/// opening.
pub const MAX_CLAIMED_PATIENTS: u32 = MAX_OPENED_SECTIONS;
/// For how many chain blocks after a claim the hospitals hand out their parts: ten minutes.
pub const CLAIM_BLOCKS: BlockNumber = OPENING_BLOCKS;
/// Number of chain blocks between the appointment of a custodian and the first claim: a day, in which patients can end
/// what they entrusted, and the council can dismiss the custodian.
pub const CUSTODIAN_BLOCKS: BlockNumber = DAY_BLOCKS;
/// Number of a patient's slots.
pub const MAX_SLOTS: u8 = 16;
/// Maximum number of terms in the audience of a consent: its leaves, and the thresholds over them.
pub const MAX_AUDIENCE_TERMS: u32 = 32;
/// Maximum number of leaves in the audience of a consent.
pub const MAX_AUDIENCE_LEAVES: u32 = 16;
/// Maximum number of thresholds within each other in the audience of a consent.
pub const MAX_AUDIENCE_DEPTH: u32 = 4;
/// Maximum time in milliseconds for which a patient gives a consent: 366 days.
pub const MAX_SHARING_MILLIS: u64 = 366 * DAY_MILLIS;
/// Maximum number of records in one call that places or removes sections: what the quota of a user covers at once.
pub const MAX_PLACED_RECORDS: u32 = 8;
/// Maximum number of hospitals that have a share of the consortium key. Where there are more, the council chooses.
pub const MAX_SEATS: u32 = 31;
/// Maximum number of seats that may fail or be malicious: fewer than a third.
pub const MAX_FAULTY_SEATS: u32 = (MAX_SEATS - 1) / 3;
/// Maximum number of members that open what was sealed to the consortium key.
pub const MAX_THRESHOLD: u32 = MAX_SEATS - MAX_FAULTY_SEATS;
/// Maximum bytes of the sealing key that a seat publishes for one ceremony.
pub const MAX_ENROLMENT_BYTES: u32 = MAX_SEALING_KEY_BYTES;
/// Maximum bytes of a dealer's sealed shares: one of 1,310 bytes for each seat.
pub const MAX_SEALED_SHARES_BYTES: u32 = 1_310 * MAX_SEATS;
/// Number of past ceremonies that the chain stores. The oldest are forgotten first.
pub const MAX_PAST_CEREMONIES: u32 = 64;
/// Minimum number of chain blocks of a phase of a ceremony: a worker needs a few until its call is final.
pub const MIN_PHASE_BLOCKS: BlockNumber = 10;
/// Maximum number of chain blocks of a phase of a ceremony.
pub const MAX_PHASE_BLOCKS: BlockNumber = DAY_BLOCKS;
/// Maximum age of an epoch, in chain blocks, at which its members renew their shares: 366 days.
pub const MAX_REFRESH_BLOCKS: BlockNumber = 366 * DAY_BLOCKS;
/// Minimum number of phases between the begin of a ceremony and a request of new shares, and in the age at which
/// members renew their shares. A ceremony has five phases.
pub const PHASES_BETWEEN_REFRESHES: BlockNumber = 10;
/// Minimum number of phases between two requests of new shares by one hospital, and between the begin of an epoch by
/// which a hospital joined on its own and the next ceremony that it begins because it is no member: a day, with phases
/// of ten minutes.
pub const PHASES_BETWEEN_OWN_REASONS: BlockNumber = 144;
/// Maximum number of hospitals of which the chain stores when they joined on their own: one for each phase of
/// [`PHASES_BETWEEN_OWN_REASONS`], because a phase lies between two ceremonies.
pub const MAX_JOINS: u32 = PHASES_BETWEEN_OWN_REASONS;
/// Maximum bytes of the wraps of one record's sections in a slot: one of 168 bytes for each section.
pub const MAX_WRAPS_BYTES: u32 = 168 * MAX_SECTIONS as u32;
/// Maximum number of sections in one opening, over all of its records.
pub const MAX_OPENED_SECTIONS: u32 = 64;
/// For how many chain blocks after an opening the hospitals hand out their parts: ten minutes.
pub const OPENING_BLOCKS: BlockNumber = 200;
/// Maximum number of decisions in one runtime call.
pub const MAX_DECISIONS: u32 = 8;
/// Maximum number of sections of one record.
pub const MAX_SECTIONS: u16 = 64;
/// Maximum number of records that one grant opens, and its receipt lists.
pub const MAX_RELEASED_RECORDS: u32 = 64;
/// Maximum number of rights in one grant: two kinds of reading, each for two classes of sections.
pub const MAX_RIGHTS: u32 = 4;
/// Maximum number of records that one query names.
pub const MAX_QUERIED_RECORDS: u32 = 16;
/// Maximum bytes of the terms of a query, sealed to the patient.
pub const MAX_SEALED_TERMS_BYTES: u32 = 2_560;
/// Maximum number of pending queries of one requester, to all patients together.
pub const MAX_PENDING_QUERIES_OF_REQUESTER: u32 = 8;
/// Maximum number of pending queries to one patient, of all requesters together.
pub const MAX_PENDING_QUERIES_OF_PATIENT: u32 = 32;
/// Maximum number of pending queries of one requester to one patient.
pub const MAX_PENDING_QUERIES_TO_ONE_PATIENT: u32 = 2;
/// Maximum number of pending queries to one patient for which one hospital's requesters ask.
pub const MAX_PENDING_QUERIES_OF_HOSPITAL: u32 = 8;
/// Maximum number of chain blocks for which a query stays open: 30 days.
pub const MAX_QUERY_BLOCKS: BlockNumber = 30 * DAY_BLOCKS;
/// Maximum time in milliseconds between the acceptance of a query and the last moment at which its grant is handed out:
/// 366 days.
pub const MAX_QUERY_ACCESS_MILLIS: u64 = 366 * DAY_MILLIS;
/// Maximum number of refusals of one requester that a hospital records in a day.
pub const MAX_REFUSALS_PER_DAY: u8 = 8;
/// Maximum number of times that a requester breaks the glass at one hospital in a day; and, apart from that, that a
/// requester has sections opened in emergencies in a day, for all hospitals together.
pub const MAX_EMERGENCIES_PER_DAY: u8 = 3;
/// How long nobody opens sections in an emergency for a requester whose last reviewed emergency was found unjustified,
/// in milliseconds: 30 days.
pub const UNJUSTIFIED_MILLIS: u64 = 30 * DAY_MILLIS;
/// Maximum number of receipts, apart from emergencies, that one hospital records in [`DAY_BLOCKS`], for all requesters
/// together.
pub const MAX_HOSPITAL_RECEIPTS: u32 = 20_000;
/// Maximum number of emergencies that one hospital records in [`DAY_BLOCKS`], together with the openings in emergencies
/// for which its requesters ask. Requesters who are not registered at the hospital cause at most half of them, and
/// those of one other hospital at most a quarter of this half. Openings are at most half of them.
pub const MAX_HOSPITAL_EMERGENCIES: u32 = 200;
/// Maximum number of refusals that one hospital records in [`DAY_BLOCKS`], for all requesters together.
pub const MAX_HOSPITAL_REFUSALS: u32 = 2_000;
/// Number of chain blocks in a window of the quotas of weight: half a minute. An attacker can use a window's budget at
/// once. The longer the window, the more blocks in succession are full.
pub const WEIGHT_WINDOW_BLOCKS: BlockNumber = 10;
/// Maximum bytes of a user's transaction.
pub const MAX_USER_TRANSACTION_BYTES: u32 = 4 * 1024;
/// Maximum bytes of the transaction of an agent or a governance account, unless its call has a body, policies or the
/// code of an upgrade.
pub const MAX_TRANSACTION_BYTES: u32 = 32 * 1024;
/// Maximum bytes of a batch.
pub const MAX_BATCH_BYTES: u32 = 64 * 1024;
/// Above this number of bytes, few transactions of an account wait at the same time.
pub const LARGE_TRANSACTION_BYTES: u32 = 64 * 1024;
/// How much the nonce of a large transaction may exceed the account's nonce: three transactions wait at a time.
pub const MAX_LARGE_NONCE_LEAD: Nonce = 2;
/// Maximum number of calls in a batch.
pub const MAX_BATCH_CALLS: u32 = 64;
/// Maximum number of chain blocks in which a transaction may be included, as its signer sets it.
pub const MAX_LIFETIME_BLOCKS: BlockNumber = 256;
/// Number of chain blocks for which nodes keep a user's transaction.
pub const MAX_USER_LIFETIME_BLOCKS: BlockNumber = 64;
/// How much the nonce of a user's transaction may exceed the account's nonce: one transaction waits at a time.
pub const MAX_USER_NONCE_LEAD: Nonce = 0;
/// How much the nonce of a governance account's transaction may exceed the account's nonce.
pub const MAX_GOVERNANCE_NONCE_LEAD: Nonce = 16;
/// How much the nonce of an agent's transaction may exceed the account's nonce.
pub const MAX_AGENT_NONCE_LEAD: Nonce = 64;
/// A day of chain time, in milliseconds. Days begin at midnight UTC.
pub const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;
/// Number of chain blocks in 24 hours: the window of daily limits.
pub const DAY_BLOCKS: BlockNumber = (DAY_MILLIS / SLOT_MILLIS) as BlockNumber;
/// Number of chain blocks in a session: ten minutes. Validators change at its end.
pub const SESSION_BLOCKS: BlockNumber = 200;
/// Number of chain blocks in which the other hospitals can review an emergency: seven days.
pub const REVIEW_BLOCKS: BlockNumber = (7 * DAY_MILLIS / SLOT_MILLIS) as BlockNumber;
/// Maximum number of chain blocks for which the consent to name a hospital's account, or the next account of a user who
/// lost the keys, is valid: seven days. A motion stays open for three.
pub const MAX_CONSENT_BLOCKS: BlockNumber = (7 * DAY_MILLIS / SLOT_MILLIS) as BlockNumber;
/// Number of chain blocks after its authorization within which an upgrade may take effect: seven days.
pub const UPGRADE_BLOCKS: BlockNumber = 7 * DAY_BLOCKS;
/// Number of chain blocks between the council's decision on another governance account of a hospital and the first
/// block that can complete the replacement: a day, in which the present account can object.
pub const REPLACEMENT_BLOCKS: BlockNumber = DAY_BLOCKS;
/// Number of chain blocks after that delay within which the replacement can be completed: seven days. So a decision that
/// was forgotten has no effect.
pub const REPLACEMENT_COMPLETION_BLOCKS: BlockNumber = 7 * DAY_BLOCKS;
/// Computation of a block in picoseconds: two of three seconds.
pub const BLOCK_PICOSECONDS: u64 = 2_000_000_000_000;
/// Maximum bytes of the call of a motion of the council. An upgrade is authorized by its hash.
pub const MAX_MOTION_BYTES: u32 = 4 * 1024;
/// Maximum computation of the call of a motion, in picoseconds: a fifth of a block's.
pub const MAX_MOTION_PICOSECONDS: u64 = BLOCK_PICOSECONDS / 5;
/// Maximum size of the proof of the call of a motion, in bytes.
pub const MAX_MOTION_PROOF_BYTES: u64 = BLOCK_BYTES as u64;
/// Minimum time between two rotations of one user's keys, in milliseconds.
pub const ROTATION_PAUSE_MILLIS: u64 = 60_000;
/// Number of chain blocks for which new keys that a hospital proposed for a user wait for objections: three days.
pub const RECOVERY_BLOCKS: BlockNumber = 3 * DAY_BLOCKS;
/// Number of chain blocks after [`RECOVERY_BLOCKS`] within which the hospital can complete the recovery: seven days.
pub const RECOVERY_COMPLETION_BLOCKS: BlockNumber = 7 * DAY_BLOCKS;
/// Number of chain blocks after a proposal in which not even the council completes a recovery: a day. If the delay of
/// recoveries is shorter, it applies to the council, too.
pub const RECOVERY_COUNCIL_BLOCKS: BlockNumber = DAY_BLOCKS;
/// How long after it suspended a user's registration a hospital can propose new keys for the user: 30 days.
pub const RECOVERY_AFTER_SUSPENSION_MILLIS: u64 = 30 * DAY_MILLIS;
/// Maximum number of users for whom proposals of new keys by one hospital stand at a time.
pub const MAX_STANDING_RECOVERIES: u32 = 64;
/// Maximum number of entries that one call for receipts, refusals, reviews, members or relationships returns.
pub const MAX_PAGE: u32 = 64;
/// Maximum number of records that one history call returns.
pub const MAX_HISTORY: u32 = 64;

/// The numbers of one page of a list that is numbered from 0, newest first: below `before` and `count`, and at most
/// `limit` and [`MAX_PAGE`].
pub fn page(count: u32, before: Option<u32>, limit: u32) -> impl Iterator<Item = u32> {
    let end = before.map_or(count, |before| before.min(count));
    (0..end).rev().take(limit.min(MAX_PAGE) as usize)
}
