//! Fetches records, and checks them against the chain and their authors.

use epione_envelope::record::{Payload, Record};
use epione_primitives::{RecordPointer, rpc::RecordReply};

use super::{ReadError, RecordSummary, SectionSummary};
use crate::chain::Chain;

/// A sealed record, once the chain agrees with it and its author signed it: with an account that
/// was theirs when it was announced. Whether the patient did so too, its summary tells.
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
    let author = record.author();
    let accounts = chain.accounts_at(author, announcement.announced_at).await?;
    let genesis = chain.genesis_hash();
    if !accounts.iter().any(|account| record.verify(genesis, account).is_ok()) {
        return Err(ReadError::Author { pointer, author });
    }
    let cosigned = record.patient_signature().is_some() && {
        let accounts = chain.accounts_at(record.patient(), announcement.announced_at).await?;
        accounts.iter().any(|account| record.verify_cosignature(genesis, account).is_ok())
    };
    Ok((RecordSummary { cosigned, ..summary(&reply, &record, header.time) }, record))
}

/// A record as the node tells it, its signatures not yet verified.
pub(super) async fn summarised(
    chain: &Chain,
    reply: &RecordReply,
) -> Result<RecordSummary, ReadError> {
    let pointer = reply.pointer;
    let header = chain.lite_header(pointer.height).await?;
    let header = header.ok_or(ReadError::UnknownRecord(pointer))?.header;
    Ok(summary(reply, &decode(reply)?, header.time))
}

fn decode(reply: &RecordReply) -> Result<Record, ReadError> {
    let pointer = reply.pointer;
    let record = Record::decode_exactly(&reply.text)
        .map_err(|source| ReadError::Format { pointer, source })?;
    let what = if record.patient() != reply.entry.patient {
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

fn summary(reply: &RecordReply, record: &Record, time: u64) -> RecordSummary {
    let sections = record.sections().iter().map(|section| SectionSummary {
        kind: section.kind,
        class: section.class,
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
        cosigned: record.patient_signature().is_some(),
        time,
        previous: reply.entry.previous,
        sections: sections.collect(),
    }
}
