//! Reads a patient's records: finds them by the index links, opens them with a hospital's permission or with the
//! patient's own keys, fetches, verifies and decrypts them. Keys never leave this process.
//!
//! Nothing is passed on before it is verified: a grant against the signed request and its receipt on the chain, a
//! record against the chain and the signatures of its author and nurse, a text against its leaf, media chunk by chunk
//! and, if all of them are read, as a whole.
//!
//! ```no_run
//! use epione_client::{
//!     chain::Chain,
//!     reader::{Intent, OpenContent, Reader},
//!     worker::WorkerClient,
//! };
//! use epione_envelope::keystore::ActorKeys;
//! use epione_primitives::{HospitalId, UserId, access::Purpose};
//!
//! async fn read(keys: ActorKeys, patient: UserId) -> Result<(), Box<dyn std::error::Error>> {
//!     let chain = Chain::connect("ws://127.0.0.1:9944").await?;
//!     let worker = WorkerClient::for_hospital(&chain, HospitalId(0), (&keys).into()).await?;
//!     let reader = Reader::new(chain, worker, keys.sealing);
//!     let newest: Vec<_> = reader.list(patient, None, 1).await?.iter().map(|(pointer, _)| *pointer).collect();
//!     let intent = Intent { purpose: Purpose::Treatment, emergency: None };
//!     for record in reader.open(patient, &newest, intent).await? {
//!         for section in &record.sections {
//!             match &section.content {
//!                 OpenContent::Text { text, .. } => println!("{}", text.as_str()),
//!                 OpenContent::Media { .. } => {
//!                     let file = format!("section-{}", section.index);
//!                     reader.save_media(&record, section.index, file.as_ref(), |_| {}).await?;
//!                 }
//!                 OpenContent::NotGranted => println!("section {} was not granted", section.index),
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! ```

mod content;
mod error;
mod fetch;
mod fetcher;
mod media;
mod own;
mod part;
mod partial;
mod permission;
mod queried;
mod saved;
mod standing;
mod verified;

pub use error::ReadError;
pub use fetch::{hospital_of, verified};
pub use media::SavedMedia;
pub use part::Part;
pub use partial::is_partial;
pub use permission::SignedRequest;
pub use queried::QueryFault;
pub(crate) use queried::{accepted, account_at};
pub use saved::{save_text, saved};
pub use standing::{OpenedTogether, OpeningFault, PartFault, PartFaults};
pub use verified::VerifiedRecord;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use epione_envelope::{
    Zeroizing,
    frames::Frames,
    keys::{ContentKey, PatientKeys},
    record::{Description, Payload, Record, Section, SectionKind},
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{
    Hash, HospitalId, Moment, RecordId, RecordPointer, UserId,
    access::Purpose,
    block::SignedAt,
    query::QueryId,
    release::{EmergencyReason, SectionSet},
    rpc::RecordReply,
    sharing::SlotId,
};
use serde::Serialize;

use crate::{
    api::{MAX_GRANT_RECORDS, SegmentLink, WantedRecord},
    chain::Chain,
    worker::WorkerClient,
};
use permission::Permission;
use standing::Offers;

/// Reads records for one user: with the permission of one hospital, or as the patient whom the records are about.
#[derive(Clone)]
pub struct Reader {
    chain: Chain,
    worker: WorkerClient,
    sealing: SealingKeyPair,
    earlier: Vec<SealingKeyPair>,
    /// The accepted grants. Clones share the list.
    grants: Arc<Mutex<Vec<Hash>>>,
}

/// Why a user requests access. The receipt records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    pub purpose: Purpose,
    /// If given, the glass is broken: the purpose must be emergency, and the other hospitals review it.
    pub emergency: Option<EmergencyReason>,
}

/// What the chain shows of a record to everyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordSummary {
    pub pointer: RecordPointer,
    pub record_id: RecordId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub author: UserId,
    /// The nurse who signed it, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nurse: Option<UserId>,
    /// Whether the patient signed it, too. In a verified record, with the account that was theirs at `signed_at`; in a
    /// list, according to the record, without verification.
    pub cosigned: bool,
    /// The chain block at which its author signed it, according to the record.
    pub signed_at: SignedAt,
    /// The time at which its block was committed.
    pub time: Moment,
    /// The previous record of the same patient.
    pub previous: Option<RecordPointer>,
    pub sections: Vec<SectionSummary>,
}

/// What the chain shows of a section to everyone. What kind of section it is, is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SectionSummary {
    /// The slots of the patient that contain it, ascending. The slot's consent says with whom it is shared.
    pub slots: Vec<SlotId>,
    /// Length of its media in bytes; none for text.
    pub media_bytes: Option<u64>,
}

/// A record whose signatures are verified, with the sections for which there are keys.
#[derive(Clone)]
pub struct OpenRecord {
    pub summary: RecordSummary,
    pub sections: Vec<OpenSection>,
    genesis: Hash,
    record: Record,
    access: Access,
}

/// A section of an [`OpenRecord`].
#[derive(Clone)]
pub struct OpenSection {
    pub index: usize,
    /// None if the section is not open.
    pub kind: Option<SectionKind>,
    /// The slots of the patient that contain it, ascending.
    pub slots: Vec<SlotId>,
    pub content: OpenContent,
}

/// The content of a section.
#[derive(Clone)]
pub enum OpenContent {
    Text {
        media_type: String,
        text: Zeroizing<String>,
    },
    /// Fetch it with [`Reader::save_media`], or a part of it with [`Reader::read_range`] and [`Reader::read_frame`].
    Media {
        media_type: String,
        /// Name of the author's file, without folders; may be empty. The author chose it: it is not safe to use as it
        /// is.
        file_name: String,
        bytes: u64,
        blake3: [u8; 32],
        /// The frames that can be read one by one, or why there are none.
        frames: Frames,
    },
    /// There is no key for it: it was not requested, or not granted.
    NotGranted,
}

/// The keys to sections of one record, and how to fetch its segments.
#[derive(Clone)]
struct Access {
    keys: HashMap<u16, ContentKey>,
    right: FetchRight,
}

/// The right by which segments are fetched.
#[derive(Clone)]
enum FetchRight {
    /// A permission: temporary links, and how to get new ones.
    Links { links: Links, source: Source },
    /// Temporary links of several hospitals, which gave their parts of an opening.
    Offers(Offers),
    /// The reader is the patient whom the record is about.
    Own,
}

/// Where a permission comes from, and new links when the present ones expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A hospital, which was requested with this intent.
    Request(Intent),
    /// The patient, who accepted this query.
    Query(QueryId),
}

type Links = HashMap<[u8; 32], SegmentLink>;

impl Reader {
    /// Reads through `worker`. `sealing` is the key to which hospitals seal what is for the worker client's account.
    pub fn new(chain: Chain, worker: WorkerClient, sealing: SealingKeyPair) -> Self {
        Self { chain, worker, sealing, earlier: Vec::new(), grants: Arc::default() }
    }

    /// The grants that this reader and its clones accepted, oldest first. Each has a receipt on the chain. Long media
    /// need several, because the links of a grant expire.
    pub fn grants(&self) -> Vec<Hash> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The worker through which this reader reads.
    pub fn worker(&self) -> &WorkerClient {
        &self.worker
    }

    /// The reader's sealing keys: the present one, then earlier ones.
    pub(crate) fn sealing_keys(&self) -> impl Iterator<Item = &SealingKeyPair> {
        std::iter::once(&self.sealing).chain(&self.earlier)
    }

    /// Adds sealing keys that the patient had before. At some hospitals the patient keys may still be sealed to one of
    /// them. Only [`Reader::open_own`] and [`Reader::open_own_sections`] try them.
    #[must_use]
    pub fn with_earlier_sealing_keys(mut self, keys: Vec<SealingKeyPair>) -> Self {
        self.earlier = keys;
        self
    }

    /// A patient's records before `before`, or all, newest first. Needs no grant.
    pub async fn list(
        &self,
        patient: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<Listed>, ReadError> {
        list(&self.chain, patient, before, limit).await
    }

    /// Requests access to all sections of a patient's records from the worker's hospital, and opens what is granted, in
    /// the order of the request. A grant is accepted only with its receipt on the chain, for which this waits half a
    /// minute at most. Access is requested only if every record is the patient's, and signed by its author.
    pub async fn open(
        &self,
        patient: UserId,
        pointers: &[RecordPointer],
        intent: Intent,
    ) -> Result<Vec<OpenRecord>, ReadError> {
        let mut rest = self.whole(patient, pointers).await?;
        let mut opened = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(MAX_GRANT_RECORDS));
            for record in self.open_sections(patient, rest, intent).await? {
                opened.push(record?);
            }
            rest = later;
        }
        Ok(opened)
    }

    /// Requests access to some sections of at most [`MAX_GRANT_RECORDS`] records together, and opens what is granted,
    /// in the order of the request. A record that does not open has an error of its own, and so has a record of which
    /// nothing was granted. There is one receipt, which names the granted sections, and none that was not requested.
    pub async fn open_sections(
        &self,
        patient: UserId,
        records: Vec<(VerifiedRecord, SectionSet)>,
        intent: Intent,
    ) -> Result<Vec<Result<OpenRecord, ReadError>>, ReadError> {
        let wanted = records.iter().map(|(record, sections)| WantedRecord {
            pointer: record.summary.pointer,
            sections: Some(*sections),
        });
        let permission = self.ask(patient, &wanted.collect::<Vec<_>>(), intent).await?;
        Ok(self.open_by(&permission, records.into_iter().map(|(record, _)| record)))
    }

    /// Opens records with the keys of a permission.
    fn open_by(
        &self,
        permission: &Permission,
        records: impl Iterator<Item = VerifiedRecord>,
    ) -> Vec<Result<OpenRecord, ReadError>> {
        let opened = records.map(|VerifiedRecord { summary, record }| {
            let pointer = summary.pointer;
            let access = permission.of(pointer, &record)?;
            if access.keys.is_empty() {
                return Err(ReadError::NothingGranted { pointer });
            }
            OpenRecord::new(self.chain.genesis_hash(), summary, record, access)
        });
        opened.collect()
    }

    /// Opens all sections of a patient's records with the patient's own keys, which are on the chain, sealed to the
    /// patient; in the order of the request. No permission is needed. Media come from the worker of any hospital, on
    /// requests that the patient's account signs.
    pub async fn open_own(
        &self,
        patient: UserId,
        pointers: &[RecordPointer],
    ) -> Result<Vec<OpenRecord>, ReadError> {
        let records = self.whole(patient, pointers).await?;
        self.open_own_sections(patient, records).await.into_iter().collect()
    }

    /// Opens some sections of the patient's records with the patient's own keys, in the order of the request. A record
    /// that does not open has an error of its own.
    pub async fn open_own_sections(
        &self,
        patient: UserId,
        records: Vec<(VerifiedRecord, SectionSet)>,
    ) -> Vec<Result<OpenRecord, ReadError>> {
        let mut patient_keys = HashMap::new();
        let mut opened = Vec::with_capacity(records.len());
        for (record, sections) in records {
            opened.push(self.open_with(patient, record, sections, &mut patient_keys).await);
        }
        opened
    }

    async fn open_with(
        &self,
        patient: UserId,
        VerifiedRecord { summary, record }: VerifiedRecord,
        sections: SectionSet,
        patient_keys: &mut HashMap<HospitalId, PatientKeys>,
    ) -> Result<OpenRecord, ReadError> {
        let (genesis, pointer) = (self.chain.genesis_hash(), summary.pointer);
        let hospital = summary.hospital;
        let newest = match patient_keys.get(&hospital) {
            Some(known) => Ok(known.clone()),
            None => self.patient_keys(patient, hospital).await,
        };
        if let Ok(newest) = &newest {
            patient_keys.insert(hospital, newest.clone());
        }
        let opened =
            newest.and_then(|newest| own::content_keys(genesis, pointer, &record, &newest));
        let mut keys = match opened {
            Err(error) if own::may_be_earlier(&error) => {
                let earlier = self.patient_keys_before(patient, hospital, pointer).await;
                let earlier = earlier
                    .and_then(|earlier| own::content_keys(genesis, pointer, &record, &earlier));
                // What is wrong with the newest profile says more than that an earlier one does not help.
                earlier.map_err(|_| error)?
            }
            opened => opened?,
        };
        keys.retain(|section, _| sections.contains(*section));
        OpenRecord::new(genesis, summary, record, Access { keys, right: FetchRight::Own })
    }

    async fn whole(
        &self,
        patient: UserId,
        pointers: &[RecordPointer],
    ) -> Result<Vec<(VerifiedRecord, SectionSet)>, ReadError> {
        let mut records = Vec::with_capacity(pointers.len());
        for pointer in pointers {
            let record = VerifiedRecord::of(&self.chain, patient, *pointer).await?;
            let sections = record.sections();
            records.push((record, sections));
        }
        Ok(records)
    }
}

impl OpenRecord {
    fn new(
        genesis: Hash,
        summary: RecordSummary,
        record: Record,
        access: Access,
    ) -> Result<Self, ReadError> {
        let mut opened = Self { summary, sections: Vec::new(), genesis, record, access };
        let sections = opened.record.sections().iter().enumerate();
        let open = |(index, section)| opened.section(index, section);
        opened.sections = sections.map(open).collect::<Result<_, ReadError>>()?;
        Ok(opened)
    }

    /// The sealed record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    fn section(&self, index: usize, section: &Section) -> Result<OpenSection, ReadError> {
        let summary = self.summary.sections.get(index);
        let slots = summary.map_or_else(Vec::new, |summary| summary.slots.clone());
        // A record has at most 64 sections.
        let opened = match self.access.keys.get(&(index as u16)) {
            Some(key) => Some(self.content(index, &section.payload, key)?),
            None => None,
        };
        let (kind, content) = match opened {
            Some((kind, content)) => (Some(kind), content),
            None => (None, OpenContent::NotGranted),
        };
        Ok(OpenSection { index, kind, slots, content })
    }

    /// The content key of a section, if the section is open.
    pub(crate) fn content_key(&self, section: u16) -> Option<&ContentKey> {
        self.access.keys.get(&section)
    }

    fn content(
        &self,
        section: usize,
        payload: &Payload,
        key: &ContentKey,
    ) -> Result<(SectionKind, OpenContent), ReadError> {
        let (genesis, pointer) = (self.genesis, self.summary.pointer);
        // A record has at most 64 sections.
        let index = section as u16;
        let failed = |source| ReadError::Open { pointer, section, source };
        Ok(match payload {
            Payload::Text(_) => {
                let (description, content) =
                    self.record.open_text(genesis, index, key).map_err(failed)?;
                let text = String::from_utf8(content.to_vec())
                    .map_err(|_| ReadError::NotText { pointer, section })?;
                let media_type = description.media_type;
                (description.kind, OpenContent::Text { media_type, text: text.into() })
            }
            Payload::Media { .. } => {
                let Description {
                    kind,
                    media_type,
                    file_name,
                    content_length,
                    content_root,
                    frames,
                    ..
                } = self.record.describe(genesis, index, key).map_err(failed)?;
                let (bytes, blake3) = (content_length, content_root);
                (kind, OpenContent::Media { media_type, file_name, bytes, blake3, frames })
            }
        })
    }
}

/// A record of a list: where it is, and its summary or why it cannot be read.
pub type Listed = (RecordPointer, Result<RecordSummary, ReadError>);

/// A patient's records before `before`, or all, as the chain shows them to everyone: newest first, at most `limit`.
/// Repeats the request to the node until the list is complete, or until a page does not continue the previous one. A
/// record that cannot be read, as one in a later format,
/// has an error of its own; the error of the list is about the node.
pub async fn list(
    chain: &Chain,
    patient: UserId,
    before: Option<RecordPointer>,
    limit: u32,
) -> Result<Vec<Listed>, ReadError> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut before = before;
    let state = chain.finalized().await?;
    while (listed.len() as u64) < u64::from(limit) {
        let left = limit - u32::try_from(listed.len()).unwrap_or(limit);
        let mut page = chain.lite_history(patient, before, left).await?;
        page.truncate(left as usize);
        check_order(before, &page)?;
        let Some(last) = page.last() else { break };
        before = Some(last.pointer);
        let pointers: Vec<_> = page.iter().map(|reply| reply.pointer).collect();
        let placements = state.placements(&pointers).await?;
        for (reply, placements) in page.into_iter().zip(placements) {
            match fetch::summarised(chain, &reply, &placements).await {
                Err(ReadError::Chain(error)) => return Err(error.into()),
                summary => listed.push((reply.pointer, summary)),
            }
        }
    }
    Ok(listed)
}

/// Checks that each record is older than the one before it. So a node that repeats a page does not keep the client in a
/// loop.
fn check_order(before: Option<RecordPointer>, page: &[RecordReply]) -> Result<(), ReadError> {
    let mut before = before;
    for RecordReply { pointer, .. } in page {
        if before.is_some_and(|before| *pointer >= before) {
            let what = "the order of the patient's records";
            return Err(ReadError::Inconsistent { pointer: *pointer, what });
        }
        before = Some(*pointer);
    }
    Ok(())
}

impl std::fmt::Debug for OpenRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenRecord").field("summary", &self.summary).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
