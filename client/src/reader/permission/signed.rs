//! A request for access with the requester's signature. The worker passes it to the chain, and the chain records it
//! with the answer: so no hospital can record an access that nobody requested.

use std::collections::BTreeMap;

use epione_primitives::{
    Hash, RecordPointer, Signature, UserId,
    release::{ReleasedRecord, Request, SectionSet},
};

use crate::{
    api::{GrantRequest, WantedRecord},
    now,
    reader::{Intent, ReadError},
    worker::WorkerClient,
};

/// A request for access to records at one hospital, signed by the requester's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    pub request: Request,
    pub signature: Signature,
}

impl SignedRequest {
    /// Signs a new request for records at the worker's hospital, with the worker client's account. `requester` is the
    /// user of that account. A record that is named twice is requested once, with the sections of both.
    pub fn new(
        genesis: Hash,
        worker: &WorkerClient,
        requester: UserId,
        patient: UserId,
        records: &[WantedRecord],
        intent: Intent,
    ) -> Result<Self, ReadError> {
        let mut wanted: BTreeMap<RecordPointer, SectionSet> = BTreeMap::new();
        for record in records {
            let ReleasedRecord { pointer, sections } = (*record).into();
            let all = wanted.entry(pointer).or_default();
            *all = all.union(sections);
        }
        if wanted.is_empty() || wanted.values().any(|sections| sections.is_empty()) {
            return Err(ReadError::NotRequestable("name a record, and a section of each record"));
        }
        let records: Vec<_> = wanted
            .into_iter()
            .map(|(pointer, sections)| ReleasedRecord { pointer, sections })
            .collect();
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).expect("the operating system has randomness");
        let request = Request {
            requester,
            patient,
            hospital: worker.hospital(),
            records: records
                .try_into()
                .map_err(|_| ReadError::NotRequestable("too many records for one request"))?,
            purpose: intent.purpose,
            emergency: intent.emergency,
            at: now(),
            nonce,
        };
        let signature = worker.account().sign(&request.signed_bytes(genesis));
        Ok(Self { request, signature })
    }

    /// The same as the worker's API carries it. The worker knows its hospital, and the requester by their account.
    pub fn to_api(&self) -> GrantRequest {
        GrantRequest::signed(&self.request, &self.signature)
    }

    /// Whether a section is requested.
    pub fn wants(&self, pointer: RecordPointer, section: u16) -> bool {
        let mut records = self.request.records.iter();
        records.any(|record| record.pointer == pointer && record.sections.contains(section))
    }
}
