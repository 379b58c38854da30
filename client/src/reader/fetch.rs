//! Fetches records, and checks them against the chain and their authors.

use epione_envelope::record::{Payload, Record};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, RecordPointer, UserId, access::SectionClass,
    block::record_hash, limits::MAX_SIGNING_AGE_BLOCKS, release::SectionSet, rpc::RecordReply,
};

use super::{ReadError, RecordSummary, SectionSummary};
use crate::chain::{Chain, ChainError, Snapshot};

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
/// names, signed it with the accounts that were theirs at the block that the record names. The summary says whether the
/// patient signed it, too.
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
    let signed = signed_state(chain, &record, pointer, announcement.announced_at).await?;
    let cosigned = check_signatures(&signed, chain.genesis_hash(), &record, pointer).await?;
    let shared = state.shared(&[pointer]).await?.first().copied().unwrap_or_default();
    Ok((RecordSummary { cosigned, ..summary(&reply, &record, header.time, shared) }, record))
}

/// The state after the block at which the author signed. It is an error if that is not a block of this chain, or if the
/// record was announced before it or too long after it.
async fn signed_state(
    chain: &Chain,
    record: &Record,
    pointer: RecordPointer,
    announced_at: BlockNumber,
) -> Result<Snapshot, ReadError> {
    let signed_at = record.signed_at();
    let age = announced_at.checked_sub(signed_at.number);
    let is_of_the_day = age.is_some_and(|age| age <= MAX_SIGNING_AGE_BLOCKS);
    if is_of_the_day && chain.is_final(signed_at).await? {
        return Ok(chain.at(signed_at.hash));
    }
    Err(ReadError::SignedAt { pointer, signed_at: signed_at.number, announced_at })
}

/// Verifies the signatures of author and nurse; returns whether the patient's is valid, too.
async fn check_signatures(
    state: &Snapshot,
    genesis: Hash,
    record: &Record,
    pointer: RecordPointer,
) -> Result<bool, ReadError> {
    let author = record.author();
    let account = account_of(state, author).await?;
    if account.is_none_or(|account| record.verify(genesis, &account).is_err()) {
        return Err(ReadError::Author { pointer, author });
    }
    if let Some(nurse) = record.nurse() {
        let account = account_of(state, nurse).await?;
        if account.is_none_or(|account| record.verify_nurse(genesis, &account).is_err()) {
            return Err(ReadError::Nurse { pointer, nurse });
        }
    }
    if record.patient_signature().is_none() {
        return Ok(false);
    }
    let account = account_of(state, record.patient()).await?;
    Ok(account.is_some_and(|account| record.verify_cosignature(genesis, &account).is_ok()))
}

async fn account_of(state: &Snapshot, user: UserId) -> Result<Option<AccountId>, ChainError> {
    Ok(state.profile(user).await?.map(|profile| profile.account))
}

/// A record as the node sent it, without verification of its signatures.
pub(super) async fn summarised(
    chain: &Chain,
    reply: &RecordReply,
    shared: SectionSet,
) -> Result<RecordSummary, ReadError> {
    let pointer = reply.pointer;
    let header = chain.lite_header(pointer.height).await?;
    let header = header.ok_or(ReadError::UnknownRecord(pointer))?.header;
    Ok(summary(reply, &decode(reply)?, header.time, shared))
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

fn summary(reply: &RecordReply, record: &Record, time: u64, shared: SectionSet) -> RecordSummary {
    let sections = (0..).zip(record.sections()).map(|(index, section)| SectionSummary {
        class: if shared.contains(index) { SectionClass::Shared } else { SectionClass::Private },
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
