//! A patient's records on their way out: found by the index links, granted by a hospital, fetched,
//! verified and decrypted here, with keys that never leave.
//!
//! Nothing is handed on before it was checked: a record against the chain and its author's
//! signature, a text against its leaf, media chunk by chunk and as a whole.

mod error;
mod fetch;
mod media;

pub use error::ReadError;
pub use fetch::verified;
pub use media::SavedMedia;

use std::collections::HashMap;

use epione_envelope::{
    Zeroizing,
    grant::{Expected, GrantedSection},
    keys::ContentKey,
    record::{Description, Payload, Record, Section, SectionKind},
    sealing::SealingKeyPair,
};
use epione_primitives::{
    Hash, HospitalId, Moment, RecordId, RecordPointer, UserId,
    access::{Purpose, SectionClass},
    block::Segment,
};
use serde::Serialize;

use crate::{
    api::{GrantRequest, MAX_GRANT_RECORDS, SegmentLink},
    chain::Chain,
    now,
    worker::WorkerClient,
};

/// Reads records in the name of one user, by the leave of one hospital.
#[derive(Clone)]
pub struct Reader {
    chain: Chain,
    worker: WorkerClient,
    sealing: SealingKeyPair,
}

/// What everybody on the chain may know of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordSummary {
    pub pointer: RecordPointer,
    pub record_id: RecordId,
    pub patient: UserId,
    pub hospital: HospitalId,
    pub author: UserId,
    /// When its block was committed.
    pub time: Moment,
    /// The same patient's record before this one.
    pub previous: Option<RecordPointer>,
    pub sections: Vec<SectionSummary>,
}

/// What everybody on the chain may know of a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SectionSummary {
    pub kind: SectionKind,
    pub class: SectionClass,
    /// Length of its media; none for text.
    pub media_bytes: Option<u64>,
}

/// A record whose author was verified, with the sections that were granted.
#[derive(Clone)]
pub struct OpenRecord {
    pub summary: RecordSummary,
    pub sections: Vec<OpenSection>,
    genesis: Hash,
    purpose: Purpose,
    record: Record,
    keys: HashMap<u16, ContentKey>,
    links: Links,
}

/// A section of an [`OpenRecord`].
#[derive(Clone)]
pub struct OpenSection {
    pub index: usize,
    pub kind: SectionKind,
    pub class: SectionClass,
    pub content: OpenContent,
}

/// What a section holds.
#[derive(Clone)]
pub enum OpenContent {
    Text {
        media_type: String,
        text: Zeroizing<String>,
    },
    /// To be fetched with [`Reader::save_media`].
    Media {
        media_type: String,
        /// Name of the file it came from, without folders; may be empty. Chosen by the author.
        file_name: String,
        bytes: u64,
        blake3: [u8; 32],
    },
    /// The grant has no key for it.
    NotGranted,
}

type Links = HashMap<[u8; 32], SegmentLink>;

impl Reader {
    /// Reads by the leave of `worker`'s hospital. `sealing` is the key to which it seals grants for
    /// the worker client's account.
    pub fn new(chain: Chain, worker: WorkerClient, sealing: SealingKeyPair) -> Self {
        Self { chain, worker, sealing }
    }

    /// A patient's records, newest first, from the latest or from before `before`. Needs no grant.
    pub async fn list(
        &self,
        patient: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<RecordSummary>, ReadError> {
        list(&self.chain, patient, before, limit).await
    }

    /// Asks for access to a patient's records, and opens what is granted of them. In the order
    /// asked for.
    pub async fn open(
        &self,
        patient: UserId,
        pointers: &[RecordPointer],
        purpose: Purpose,
    ) -> Result<Vec<OpenRecord>, ReadError> {
        let mut opened = Vec::with_capacity(pointers.len());
        for pointers in pointers.chunks(MAX_GRANT_RECORDS) {
            let (keys, links) = self.access(patient, pointers, purpose).await?;
            for pointer in pointers {
                let (summary, record) = fetch::verified(&self.chain, *pointer).await?;
                if summary.patient != patient {
                    return Err(ReadError::OtherPatient { pointer: *pointer, patient });
                }
                let keys = keys.of(*pointer, record.id());
                let links = links_of(&record, &links);
                let genesis = self.chain.genesis_hash();
                let access = Access { genesis, purpose, keys, links };
                opened.push(OpenRecord::new(summary, record, access)?);
            }
        }
        Ok(opened)
    }

    async fn access(
        &self,
        patient: UserId,
        records: &[RecordPointer],
        purpose: Purpose,
    ) -> Result<(Keys, Links), ReadError> {
        let hospital = self.worker.hospital();
        let entry = self.chain.finalized().await?.hospital(hospital).await?;
        let agent = entry.ok_or(ReadError::UnknownHospital(hospital))?.agent;
        let request = GrantRequest { patient, records: records.to_vec(), purpose };
        let granted = self.worker.grant(&request).await?;
        let expected = Expected {
            genesis: self.chain.genesis_hash(),
            hospital,
            agent: &agent,
            audience: &self.worker.account().id(),
            patient,
            nonce: granted.nonce,
            now: now(),
        };
        let opened = granted.grant.open(&expected, &self.sealing)?;
        Ok((Keys(opened), by_segment(granted.reply.links)))
    }
}

/// What was granted of one record.
struct Access {
    genesis: Hash,
    purpose: Purpose,
    keys: HashMap<u16, ContentKey>,
    links: Links,
}

impl OpenRecord {
    fn new(summary: RecordSummary, record: Record, access: Access) -> Result<Self, ReadError> {
        let Access { genesis, purpose, keys, links } = access;
        let sections = Vec::new();
        let mut opened = Self { summary, sections, genesis, purpose, record, keys, links };
        let open = |(index, section): (usize, &Section)| {
            let (kind, class) = (section.kind, section.class);
            let content = opened.content(index, &section.payload)?;
            Ok(OpenSection { index, kind, class, content })
        };
        let sections = opened.record.sections().iter().enumerate().map(open);
        opened.sections = sections.collect::<Result<_, ReadError>>()?;
        Ok(opened)
    }

    fn content(&self, section: usize, payload: &Payload) -> Result<OpenContent, ReadError> {
        let (genesis, pointer) = (self.genesis, self.summary.pointer);
        // A record has no more sections than fit.
        let index = section as u16;
        let Some(key) = self.keys.get(&index) else { return Ok(OpenContent::NotGranted) };
        let failed = |source| ReadError::Open { pointer, section, source };
        Ok(match payload {
            Payload::Text(_) => {
                let (description, content) =
                    self.record.open_text(genesis, index, key).map_err(failed)?;
                let text = String::from_utf8(content.to_vec())
                    .map_err(|_| ReadError::NotText { pointer, section })?;
                OpenContent::Text { media_type: description.media_type, text: text.into() }
            }
            Payload::Media { .. } => {
                let Description { media_type, file_name, content_length, content_root, .. } =
                    self.record.describe(genesis, index, key).map_err(failed)?;
                let (bytes, blake3) = (content_length, content_root);
                OpenContent::Media { media_type, file_name, bytes, blake3 }
            }
        })
    }
}

/// The content keys of a grant.
struct Keys(Vec<(GrantedSection, ContentKey)>);

impl Keys {
    fn of(&self, pointer: RecordPointer, record: RecordId) -> HashMap<u16, ContentKey> {
        let of_record =
            self.0.iter().filter(|(place, _)| (place.pointer, place.record) == (pointer, record));
        of_record.map(|(place, key)| (place.section, key.clone())).collect()
    }
}

fn by_segment(links: Vec<SegmentLink>) -> Links {
    let named = links.into_iter().filter_map(|link| {
        let mut segment = [0; 32];
        hex::decode_to_slice(&link.segment, &mut segment).ok()?;
        Some((segment, link))
    });
    named.collect()
}

fn links_of(record: &Record, links: &Links) -> Links {
    let segments = record.segments();
    let named = segments.iter().filter_map(|segment: &Segment| {
        links.get(&segment.hash).map(|link| (segment.hash, link.clone()))
    });
    named.collect()
}

/// A patient's records as everybody on the chain may see them, newest first.
pub async fn list(
    chain: &Chain,
    patient: UserId,
    before: Option<RecordPointer>,
    limit: u32,
) -> Result<Vec<RecordSummary>, ReadError> {
    let mut summaries: Vec<RecordSummary> = Vec::new();
    let mut before = before;
    while (summaries.len() as u64) < u64::from(limit) {
        let left = limit - u32::try_from(summaries.len()).unwrap_or(limit);
        let page = chain.lite_history(patient, before, left).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.pointer);
        for reply in page {
            summaries.push(fetch::summarised(chain, &reply).await?);
        }
    }
    Ok(summaries)
}

impl std::fmt::Debug for OpenRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenRecord").field("summary", &self.summary).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
