//! Fetches records, and checks them against the chain and their authors.

use epione_envelope::record::{Payload, Record};
use epione_primitives::{HospitalId, RecordPointer, UserId, rpc::RecordReply};

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

/// A sealed record, after it was checked that the chain agrees with it, and that its author signed it with an account
/// that was theirs when it was announced. The summary says whether the patient signed it, too.
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

/// A record as the node sent it, without verification of its signatures.
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

#[cfg(test)]
mod tests {
    use codec::{Decode, Encode};
    use epione_primitives::{
        AnnouncementId, Hash,
        block::{BlockHashes, Entry, Header, Range},
    };
    use serde_json::{Value, json};
    use sp_core::Bytes;

    use super::*;
    use crate::{
        chain::fake::FakeNode,
        reader::{list, tests::sealed},
    };

    const PATIENT: UserId = UserId([1; 32]);
    const HOSPITAL: HospitalId = HospitalId(0);
    /// One in each block. The node sends them in pages of ten.
    const RECORDS: u32 = 71;

    fn entry() -> Entry {
        let range = |length| Range { offset: 0, length };
        Entry { patient: PATIENT, text: range(9), media: range(0), previous: None }
    }

    fn header(height: u32) -> Header {
        Header {
            height,
            previous_lite: Hash::zero(),
            previous_cloud: Hash::zero(),
            announcer: HOSPITAL,
            announcement: AnnouncementId(0),
            time: 1,
            records: 1,
            body_hash: Hash::zero(),
            body_bytes: 9,
            segments: Default::default(),
        }
    }

    /// A node that has all of the patient's records.
    fn node() -> FakeNode {
        node_with(None)
    }

    /// As [`node`], but the record at the height `damaged` is not one.
    fn node_with(damaged: Option<u32>) -> FakeNode {
        let record = sealed(10).record;
        let text = Bytes(record.encode());
        let whole = Entry {
            text: Range { offset: 0, length: text.0.len() as u32 },
            media: Range { offset: 0, length: record.segments().len() as u32 },
            ..entry()
        };
        FakeNode::new(move |method, params| match method {
            "LiteBlocksApi_record" => {
                let pointer: RecordPointer = argument(params);
                let exists = pointer.height <= RECORDS && pointer.index == 0;
                scale(exists.then(|| (entry(), Hash::zero())))
            }
            "LiteBlocksApi_header" => {
                scale(Some((header(argument(params)), BlockHashes::default())))
            }
            "liteBlocks_header" => {
                let height = params[0].as_u64().unwrap() as u32;
                json!({ "header": header(height), "hashes": BlockHashes::default() })
            }
            "liteBlocks_history" => {
                let before =
                    params[1]["height"].as_u64().map_or(RECORDS + 1, |height| height as u32);
                let page = (1..before).rev().take(10).map(|height| RecordReply {
                    pointer: RecordPointer { height, index: 0 },
                    entry: whole.clone(),
                    text: if damaged == Some(height) { Bytes(vec![0xff; 9]) } else { text.clone() },
                });
                json!(page.collect::<Vec<_>>())
            }
            other => panic!("{other} is not served"),
        })
    }

    /// The argument of a call of the runtime.
    fn argument<T: Decode>(params: &[Value]) -> T {
        let Bytes(bytes) = serde_json::from_value(params[1].clone()).unwrap();
        T::decode(&mut bytes.as_slice()).unwrap()
    }

    fn scale(answer: impl Encode) -> Value {
        json!(Bytes(answer.encode()))
    }

    #[tokio::test]
    async fn the_hospital_of_a_record_is_found_without_reading_the_other_records() {
        let node = node();
        let state = node.connect().await.at(Hash::zero());
        let first = RecordPointer { height: 1, index: 0 };
        assert_eq!(hospital_of(&state, PATIENT, first).await.unwrap(), Some(HOSPITAL));
        assert_eq!(node.requests(), ["LiteBlocksApi_record", "LiteBlocksApi_header"]);
    }

    #[tokio::test]
    async fn one_record_that_cannot_be_decoded_does_not_hide_the_others() {
        let chain = node_with(Some(7)).connect().await;
        let listed = list(&chain, PATIENT, None, u32::MAX).await.unwrap();
        let heights: Vec<u32> = listed.iter().map(|(pointer, _)| pointer.height).collect();
        assert_eq!(heights, (1..=RECORDS).rev().collect::<Vec<_>>());
        for (pointer, summary) in listed {
            match summary {
                Ok(summary) => assert_eq!((summary.pointer, pointer.height == 7), (pointer, false)),
                Err(error) => {
                    assert!(matches!(error, ReadError::Format { .. }), "{error}");
                    assert_eq!(pointer.height, 7);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_record_that_the_patient_does_not_have_has_no_hospital() {
        let node = node();
        let state = node.connect().await.at(Hash::zero());
        let first = RecordPointer { height: 1, index: 0 };
        let other = UserId([9; 32]);
        assert_eq!(hospital_of(&state, other, first).await.unwrap(), None);
        for (height, index) in [(RECORDS + 1, 0), (1, 1)] {
            let absent = RecordPointer { height, index };
            assert_eq!(hospital_of(&state, PATIENT, absent).await.unwrap(), None);
        }
    }
}
