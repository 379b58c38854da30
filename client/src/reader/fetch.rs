//! Fetches records, and checks them against the chain and their authors.

use epione_envelope::record::{Payload, Record};
use epione_primitives::{
    BlockNumber, HospitalId, RecordPointer, UserId, block::record_hash, rpc::RecordReply,
    sharing::Placement,
};

use super::{ReadError, RecordSummary, SectionSummary};
use crate::chain::{Chain, ChainError, Cosignature, PastUsers, Snapshot, judge};

/// The hospital at which a patient's record was written. None if the patient has no such record. Reads the record's
/// entry and the header of its block, and no other record.
pub async fn hospital_of(
    state: &Snapshot,
    patient: UserId,
    pointer: RecordPointer,
) -> Result<Option<HospitalId>, ChainError> {
    match state.record(pointer).await? {
        Some((entry, _)) if entry.patient == patient => {
            Ok(state.header(pointer.height).await?.map(|(header, _)| header.announcer))
        }
        _ => Ok(None),
    }
}

/// A sealed record, after it was checked that the chain agrees with it, and that its author, and the nurse whom it
/// names, signed it with the accounts that were theirs at the block that the record names. Their roles and
/// registrations, and the patient's registration, are judged at this block. The summary says whether the patient signed
/// the record, too.
pub async fn verified(
    chain: &Chain,
    pointer: RecordPointer,
) -> Result<(RecordSummary, Record), ReadError> {
    let unknown = ReadError::UnknownRecord(pointer);
    let reply = chain.lite_record(pointer).await?.ok_or(unknown)?;
    let inconsistent = |what| ReadError::Inconsistent { pointer, what };
    let state = chain.finalized().await?;
    let (entry, _) = state.record(pointer).await?.ok_or(ReadError::UnknownRecord(pointer))?;
    if reply.pointer != pointer || reply.entry != entry {
        return Err(inconsistent("its entry"));
    }
    let (header, _) =
        state.header(pointer.height).await?.ok_or(inconsistent("its block's header"))?;
    let (announcement, _) =
        state.announcement(header.announcement).await?.ok_or(inconsistent("its announcement"))?;

    let record = decode(&reply)?;
    if record.hospital() != header.announcer {
        return Err(inconsistent("its hospital"));
    }
    let cosigned = is_cosigned(chain, &record, pointer, announcement.announced_at).await?;
    let placements = state.placements(&[pointer]).await?.pop().unwrap_or_default();
    let summary = summary(&reply, &record, header.time, &placements);
    Ok((RecordSummary { cosigned, ..summary }, record))
}

/// Whether the patient signed the record, too. It is an error if author or nurse did not, or were not permitted to.
async fn is_cosigned(
    chain: &Chain,
    record: &Record,
    pointer: RecordPointer,
    announced_at: BlockNumber,
) -> Result<bool, ReadError> {
    let signers = PastUsers::of(chain).signers(record.authorship()).await?;
    let cosignature = judge(record, chain.genesis_hash(), announced_at, signers.as_ref())
        .map_err(|fault| ReadError::Signers { pointer, fault })?;
    Ok(cosignature == Cosignature::Valid)
}

/// A record as the node sent it, without verification of its signatures.
pub(super) async fn summarised(
    chain: &Chain,
    reply: &RecordReply,
    placements: &[Placement],
) -> Result<RecordSummary, ReadError> {
    let pointer = reply.pointer;
    let header = chain.lite_header(pointer.height).await?;
    let header = header.ok_or(ReadError::UnknownRecord(pointer))?.header;
    Ok(summary(reply, &decode(reply)?, header.time, placements))
}

fn decode(reply: &RecordReply) -> Result<Record, ReadError> {
    let pointer = reply.pointer;
    if record_hash(&reply.text) != reply.entry.hash {
        return Err(ReadError::Inconsistent { pointer, what: "its bytes" });
    }
    let record = Record::decode_exactly(&reply.text)
        .map_err(|source| ReadError::Format { pointer, source })?;
    let what = if record.id() != reply.entry.record {
        "its id"
    } else if record.patient() != reply.entry.patient {
        "its patient"
    } else if reply.text.len() as u64 != u64::from(reply.entry.text.length) {
        "its length"
    } else if record.segments().len() as u64 != u64::from(reply.entry.media.length) {
        "its segments"
    } else {
        return Ok(record);
    };
    Err(ReadError::Inconsistent { pointer, what })
}

fn summary(
    reply: &RecordReply,
    record: &Record,
    time: u64,
    placements: &[Placement],
) -> RecordSummary {
    let slots = |section| {
        let containing = placements.iter().filter(|placement| placement.sections.contains(section));
        containing.map(|placement| placement.slot).collect()
    };
    let sections = (0..).zip(record.sections()).map(|(index, section)| SectionSummary {
        slots: slots(index),
        media_bytes: match &section.payload {
            Payload::Text(_) => None,
            Payload::Media { manifest, .. } => Some(manifest.layout().plaintext_length()),
        },
    });
    RecordSummary {
        pointer: reply.pointer,
        record_id: record.id(),
        patient: record.patient(),
        hospital: record.hospital(),
        author: record.author(),
        nurse: record.nurse(),
        cosigned: record.patient_signature().is_some(),
        signed_at: record.signed_at(),
        time,
        previous: reply.entry.previous,
        sections: sections.collect(),
    }
}

#[cfg(test)]
mod tests;
