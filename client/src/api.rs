//! JSON shapes of a worker's HTTP API, version 1: the requests of clients and other workers, and the worker's answers.
//!
//! | route | allowed for | request | success |
//! | --- | --- | --- | --- |
//! | `POST /v1/visits` | the record's author | [`VisitRequest`] | 202 [`VisitStatus`]: `queued`, or `uploading` if media follow |
//! | `PUT /v1/visits/{record id}/media/{section}?offset={bytes}` | the record's author | the section's content from this offset on, at most 8 MiB ([`MAX_PART_BYTES`]) | 200 [`VisitStatus`] |
//! | `GET /v1/visits/{record id}` | the author, the patient, governance | | 200 [`VisitStatus`] |
//! | `POST /v1/grants` | any user | [`GrantRequest`] | 200 [`GrantReply`] |
//! | `POST /v1/counts` | any user whose registration is in force | [`CountRequest`] | 200 [`CountReply`] |
//! | `PUT /v1/queries/{query}/grant` | the query's patient | the sealed `QueryGrant` of `epione-envelope`, at most 512 KiB | 204 |
//! | `POST /v1/queries/{query}/collect` | the query's requester | | 200 [`GrantReply`], when the transfer is final |
//! | `POST /v1/partials` | the opening's requester | [`PartialRequest`] | 200 [`PartialReply`], when the chain has the hospital's record that it hands out its part |
//! | `POST /v1/claims/part` | the agent of the claim's custodian | [`ClaimPartRequest`] | 200 [`ClaimPartReply`], when the chain has the hospital's record that it hands out its part |
//! | `GET /v1/queries` | any user | | 200, the caller's queries |
//! | `GET /v1/queries/events` | any user | | 200, a stream of changes of the caller's queries |
//! | `GET /v1/segments/{hash}` | an active hospital's agent, or the holder of a temporary link | may have `Range` | 200 or 206, the bytes |
//! | `GET /v1/segments/{hash}?record={height}/{index}` | the record's patient, if registered at the worker's hospital or the record's | may have `Range` | 200 or 206, the bytes |
//! | `POST /v1/users` | the hospital's governance | [`RegisterUser`] | 200 [`RegisteredUser`] |
//! | `POST /v1/users/suspend`, `/reinstate`, `/end` | the hospital's governance | [`UserRef`] | 204 |
//! | `POST /v1/users/keys` | a user whose registration here is in force | [`RenewedKey`] | 204; 409 `awaiting-confirmation` before the hospital's delay is over |
//! | `POST /v1/users/keys/confirm` | the hospital's governance | [`ConfirmedKey`] | 204 |
//! | `POST /v1/users/recovery/propose` | the hospital's governance | [`ProposedKeys`] | 204 |
//! | `POST /v1/users/recovery/complete`, `/object` | the hospital's governance | [`UserRef`] | 204 |
//! | `POST /v1/relations` | the hospital's governance | [`Relation`] | 204 |
//! | `POST /v1/relations/close` | the hospital's governance | [`Relation`] without expiry | 204 |
//! | `POST /v1/reach` | an active hospital's agent | | 200, whether the worker reaches the caller's at its address on the chain |
//! | `GET /v1/info` | anyone | | 200 [`WorkerInfo`] |
//! | `GET /healthz` | anyone | | |
//!
//! This client sends no `GET /v1/queries` and no `GET /v1/queries/events`: they are for programs without a node. It
//! reads a user's queries from the chain by proofs ([`Queries`](crate::query::Queries)), because a worker could leave
//! out some.
//!
//! Every request is signed ([`crate::request`]), except those marked "anyone" and temporary links. Every error is a
//! [`Problem`] (RFC 9457).

mod counts;

pub use counts::{CountReply, CountRequest, InvalidMonth, MAX_MODALITY_BYTES, Month};

use codec::{DecodeAll, Encode};
use epione_envelope::{frames::Frames, signature::Extraction};
use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, Moment, RecordId, RecordPointer, Signature,
    UserId,
    access::{Denial, Purpose, RelationshipKind},
    block::SignedAt,
    custody::ClaimId,
    limits::MAX_RELEASED_RECORDS,
    opening::OpeningId,
    profile::Role,
    release::{EmergencyReason, ReleasedRecord, Request, SectionSet},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Largest total length of a visit's texts, in bytes of UTF-8.
pub const MAX_VISIT_TEXT_BYTES: usize = 2 * 1024 * 1024;
/// Largest [`VisitRequest`] in bytes of JSON. JSON may write a character with up to three times its bytes (six instead
/// of two, such as `\u00f6`); the rest is for salts, names and frame indexes.
pub const MAX_VISIT_JSON_BYTES: usize = 3 * MAX_VISIT_TEXT_BYTES + 2 * 1024 * 1024;
/// Largest part of media in one request, in bytes.
pub const MAX_PART_BYTES: usize = 8 * 1024 * 1024;
/// Largest other JSON request, in bytes.
pub const MAX_JSON_BYTES: usize = 64 * 1024;
/// Largest number of records that one grant may cover.
pub const MAX_GRANT_RECORDS: usize = MAX_RELEASED_RECORDS as usize;

/// A visit as its author signed it. The worker seals it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VisitRequest {
    #[schema(value_type = String)]
    pub record_id: RecordId,
    #[schema(value_type = String)]
    pub patient: UserId,
    #[schema(value_type = u16)]
    pub hospital: HospitalId,
    #[schema(value_type = String)]
    pub author: UserId,
    /// The nurse of the visit, if one also signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub nurse: Option<UserId>,
    /// The chain block at which the visit was signed: a finalized block, at most ten minutes old when the worker gets
    /// the visit. The worker judges accounts and rights of the signers by the state after this block.
    #[schema(value_type = SigningBlock)]
    pub signed_at: SignedAt,
    /// Which sections every disclosure shows (`mandatory`), which none shows (`never`), and which are shown together or
    /// not at all (`together`). Absent: every choice of sections may be disclosed.
    #[serde(default, skip_serializing_if = "Extraction::is_default")]
    #[schema(value_type = Option<Object>)]
    pub extraction: Extraction,
    pub sections: Vec<SectionUpload>,
    /// The author's signature over the sections: SCALE of a `MultiSignature`, in hexadecimal.
    pub author_signature: String,
    /// The patient's signature over the same sections, if the patient also signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_signature: Option<String>,
    /// The nurse's signature over the same sections; present if and only if `nurse` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nurse_signature: Option<String>,
    /// 16 bytes in hexadecimal that are the same for every attempt to submit the same visit. If the worker acknowledged
    /// a visit of the same author with these bytes within a day, it answers with the status of that visit, which may
    /// have another record id; or with 409, if that visit has other content. Absent: the visit is new, unless its
    /// record id is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// One section of a visit, unsealed, for the author's own hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SectionUpload {
    /// Name of the `SectionKind` as `epione-envelope` writes it.
    pub kind: String,
    /// 32 random bytes in hexadecimal, so that the section's leaf cannot be guessed.
    pub salt: String,
    /// IANA media type, such as `application/fhir+json` or `application/dicom`.
    pub media_type: String,
    /// File name to restore on retrieval; for media only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub content: ContentUpload,
}

/// The content of a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum ContentUpload {
    /// The text itself.
    Text(String),
    /// Announces media. They follow in parts, section by section, each from its beginning to its end.
    Media {
        /// Its length in bytes.
        bytes: u64,
        /// Its BLAKE3, in hexadecimal; the content root that the author signed.
        blake3: String,
        /// The position of the frames of a DICOM image: `{"native": {first, bits, count, stated}}`, or
        /// `{"encapsulated": {first, lengths, stated}}`, with offsets and lengths in bytes of the content; or
        /// `{"none": reason}`, if no single frame can be read. Absent if it is not DICOM. Signed with the rest.
        #[serde(default, skip_serializing_if = "Frames::is_default")]
        #[schema(value_type = Option<Object>)]
        frames: Frames,
    },
}

/// The status of a visit. A queued visit is committed without further requests: after a rejection or an expiry it is
/// queued again, unless its author signed it too long ago. A visit whose media are incomplete is not acknowledged: the
/// worker discards it if the client does not send them, or if the worker restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VisitStatus {
    #[schema(value_type = String)]
    pub record_id: RecordId,
    pub stage: VisitStage,
    /// When the worker acknowledged it (Unix time in milliseconds); absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub queued_at: Option<Moment>,
    /// When it reached this stage.
    #[schema(value_type = u64)]
    pub since: Moment,
    /// While it is `uploading`: how much of each media section has arrived, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<MediaProgress>,
    /// Why the last announcement of this visit failed, if one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

/// How much of a media section the worker has. It accepts the sections in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaProgress {
    /// Index of the section.
    pub section: u16,
    /// The offset of its next part.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VisitStage {
    /// Media are incomplete.
    Uploading,
    /// Stored durably at the hospital, waiting to be packed.
    Queued,
    /// In a lite block that is being sent to the chain.
    Packed,
    /// Announced in a finalized chain block; the other hospitals verify it.
    Announced {
        #[schema(value_type = u64)]
        announcement: AnnouncementId,
    },
    /// Committed in a finalized chain block.
    Committed {
        #[schema(value_type = Pointer)]
        pointer: RecordPointer,
    },
    /// It was not announced in time after it was signed, and never will be: its author must submit it again.
    Outdated,
}

/// Requests the keys and links to read records of one patient. The requester signs the same as a
/// [`Request`] to the worker's hospital, which the chain verifies again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantRequest {
    #[schema(value_type = String)]
    pub patient: UserId,
    /// At most 64 ([`MAX_GRANT_RECORDS`]).
    pub records: Vec<WantedRecord>,
    /// `treatment`, `patient-request`, `research`, `audit`, `emergency`, `payment` or `public-health`.
    #[schema(value_type = String)]
    pub purpose: Purpose,
    /// For purpose `emergency` (break the glass): `life-threatening`, `unable-to-consent`,
    /// `care-team-unreachable` or `public-health`. The patient and the other hospitals see the emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub emergency: Option<EmergencyReason>,
    /// When the requester signed (Unix time in milliseconds).
    #[schema(value_type = u64)]
    pub at: Moment,
    /// 16 random bytes, in hexadecimal.
    pub nonce: String,
    /// The requester's signature over the [`Request`]: SCALE of a `MultiSignature`, in hexadecimal.
    pub signature: String,
}

/// Why a [`GrantRequest`] is not a request that its requester can have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantRequestError {
    #[error("a request is for at most {MAX_GRANT_RECORDS} records, not {0}: send several requests")]
    TooManyRecords(usize),
    #[error("the request's nonce must be 16 bytes in hexadecimal")]
    Nonce,
    #[error("the request's signature must be a SCALE-encoded signature in hexadecimal")]
    Signature,
}

impl GrantRequest {
    /// The JSON of a request, with its requester's signature over [`Request::signed_bytes`].
    pub fn signed(request: &Request, signature: &Signature) -> Self {
        Self {
            patient: request.patient,
            records: request.records.iter().copied().map(Into::into).collect(),
            purpose: request.purpose,
            emergency: request.emergency,
            at: request.at,
            nonce: hex::encode(request.nonce),
            signature: hex::encode(signature.encode()),
        }
    }

    /// What the requester signed for this hospital, and the signature. Verifies neither the signature nor the limits
    /// that the chain checks.
    pub fn to_request(
        &self,
        requester: UserId,
        hospital: HospitalId,
    ) -> Result<(Request, Signature), GrantRequestError> {
        let records: Vec<_> = self.records.iter().copied().map(ReleasedRecord::from).collect();
        let records = records
            .try_into()
            .map_err(|_| GrantRequestError::TooManyRecords(self.records.len()))?;
        let mut nonce = [0; 16];
        hex::decode_to_slice(&self.nonce, &mut nonce).map_err(|_| GrantRequestError::Nonce)?;
        let signature = hex::decode(&self.signature)
            .ok()
            .and_then(|bytes| Signature::decode_all(&mut bytes.as_slice()).ok())
            .ok_or(GrantRequestError::Signature)?;
        let Self { patient, purpose, emergency, at, .. } = *self;
        let request =
            Request { requester, patient, hospital, records, purpose, emergency, at, nonce };
        Ok((request, signature))
    }
}

/// A record and its requested sections. The worker grants no other sections; the receipt names the granted ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WantedRecord {
    #[schema(value_type = Pointer)]
    pub pointer: RecordPointer,
    /// Indices of the requested sections, counted from 0; at least one. Absent: all sections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<u16>>)]
    pub sections: Option<SectionSet>,
}

impl WantedRecord {
    /// Whether this section is requested.
    pub fn wants(&self, section: u16) -> bool {
        self.sections.is_none_or(|sections| sections.contains(section))
    }
}

/// Requests all sections of a record.
impl From<RecordPointer> for WantedRecord {
    fn from(pointer: RecordPointer) -> Self {
        Self { pointer, sections: None }
    }
}

impl From<ReleasedRecord> for WantedRecord {
    fn from(ReleasedRecord { pointer, sections }: ReleasedRecord) -> Self {
        Self { pointer, sections: Some(sections).filter(|it| *it != SectionSet::ALL) }
    }
}

/// The record and its sections in what the requester signs.
impl From<WantedRecord> for ReleasedRecord {
    fn from(WantedRecord { pointer, sections }: WantedRecord) -> Self {
        Self { pointer, sections: sections.unwrap_or(SectionSet::ALL) }
    }
}

/// The keys and links to read what was granted. When this answer arrives, the receipt is on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantReply {
    /// SCALE of the sealed access grant (`epione-envelope`), in Base64.
    pub grant: String,
    /// One link for each segment of the granted records.
    pub links: Vec<SegmentLink>,
}

/// Requests the hospital's part of an opening, by which the requester opens sections together with the parts of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartialRequest {
    #[schema(value_type = u32)]
    pub opening: OpeningId,
}

/// A hospital's part of an opening. When this answer arrives, the chain has the hospital's record that it hands it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartialReply {
    /// SCALE of the sealed part (`SealedPartial` of `epione-envelope`), in Base64.
    pub partial: String,
    /// One link for each segment of the media among the opened sections.
    pub links: Vec<SegmentLink>,
}

/// Requests the hospital's part of a claim, by which a custodian opens patient keys together with the parts of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimPartRequest {
    #[schema(value_type = u32)]
    pub claim: ClaimId,
}

/// A hospital's part of a claim. When this answer arrives, the chain has the hospital's record that it hands it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimPartReply {
    /// SCALE of the sealed part (`SealedClaimPart` of `epione-envelope`), in Base64.
    pub part: String,
}

/// A temporary link to a segment. Anybody who has the link may fetch these bytes until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentLink {
    /// BLAKE3 of the segment, in hexadecimal.
    pub segment: String,
    pub url: String,
    #[schema(value_type = u64)]
    pub expires: Moment,
}

/// Registers a user at the worker's hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterUser {
    /// The user's id. That of a new user follows from the account and the sealing key (`UserId::of`).
    #[schema(value_type = String)]
    pub user: UserId,
    /// The account's signature over `epione_primitives::naming::NamingConsent`: SCALE of a `MultiSignature`, in
    /// hexadecimal.
    pub consent: String,
    /// A role, such as `doctor`, `public-authority` or `allied-professional`.
    #[schema(value_type = String)]
    pub role: Role,
    #[schema(value_type = String)]
    pub account: AccountId,
    /// Public sealing key, suite byte first, in hexadecimal.
    pub sealing_key: String,
    /// The person's name; sealed before it leaves the hospital.
    pub name: String,
}

/// Answer to [`RegisterUser`], sent when the registration is finalized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredUser {
    #[schema(value_type = String)]
    pub user: UserId,
    #[schema(value_type = u16)]
    pub hospital: HospitalId,
    #[schema(value_type = String)]
    pub body_hash: Hash,
}

/// The user whose registration at the worker's hospital is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserRef {
    #[schema(value_type = String)]
    pub user: UserId,
}

/// The signer's new sealing key, whose hash must be on the chain: the hospital seals the profile to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenewedKey {
    /// Public sealing key, suite byte first, in hexadecimal.
    pub sealing_key: String,
}

/// A user's new sealing key, of which the hospital's governance knows that it is the user's: the hospital seals the
/// profile to it without waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmedKey {
    #[schema(value_type = String)]
    pub user: UserId,
    /// Public sealing key, suite byte first, in hexadecimal. Its hash must be on the chain.
    pub sealing_key: String,
}

/// New keys for a user who lost the present ones, which the hospital's governance proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProposedKeys {
    #[schema(value_type = String)]
    pub user: UserId,
    /// The new account.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// The new public sealing key, suite byte first, in hexadecimal.
    pub sealing_key: String,
    /// The last chain block in which the consent is valid: at most seven days ahead.
    pub until: u32,
    /// The new account's signature over the consent to this recovery: SCALE in hexadecimal.
    pub consent: String,
}

/// Relates a professional to a patient at the worker's hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Relation {
    #[schema(value_type = String)]
    pub patient: UserId,
    #[schema(value_type = String)]
    pub professional: UserId,
    /// `family-doctor`, `treating`, `referral` or `care-team`.
    #[schema(value_type = String)]
    pub kind: RelationshipKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub expires: Option<Moment>,
}

/// The worker that answers at this address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerInfo {
    #[schema(value_type = u16)]
    pub hospital: HospitalId,
    /// Hash of the chain's first block.
    #[schema(value_type = String)]
    pub genesis: Hash,
    pub version: String,
}

/// An error, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:epione:problem:<kind>`, for programs.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// What happened and what to do, for people. Never contains internals, keys or health data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// For refusals by policy; sent to registered users only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub denial: Option<Denial>,
}

/// The schema of [`RecordPointer`]: the position of a committed record.
#[derive(ToSchema)]
#[schema(as = RecordPointer)]
pub struct Pointer {
    /// Height of the lite block, from 1.
    pub height: u32,
    /// Position of the record's entry in that block, from 0.
    pub index: u16,
}

/// The schema of [`SignedAt`]: the chain block at which a visit was signed.
#[derive(ToSchema)]
#[schema(as = SignedAt)]
pub struct SigningBlock {
    pub number: u32,
    /// `0x` and 64 hexadecimal digits.
    pub hash: String,
}

#[cfg(test)]
mod tests;
