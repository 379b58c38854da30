//! A hospital's permission to read: an access grant, and its receipt on the chain.
//!
//! The reader signs the request. The chain decides on access when it records the receipt, which contains the signed
//! request. A grant without a receipt was never allowed: the worker's answer alone is not enough.

mod signed;

pub use signed::SignedRequest;

use std::{
    collections::{BTreeMap, HashMap},
    sync::PoisonError,
    time::Duration,
};

use epione_envelope::{
    grant::{AccessGrant, Expected, GrantError, GrantedSection},
    keys::ContentKey,
    record::Record,
};
use epione_primitives::{
    AccountId, Hash, RecordPointer, UserId,
    release::{Receipt, ReleasedRecord, Request, SectionSet},
};
use futures::StreamExt;

use super::{Access, FetchRight, Intent, Links, ReadError, Reader, Source};
use crate::{
    api::{SegmentLink, WantedRecord},
    chain::Snapshot,
    now,
    waiting::Awaited,
};

/// The worker answers when the receipt is final at its own node. The reader's node may be behind.
pub(super) const RECEIPT_LIMIT: Duration = Duration::from_secs(30);

/// What was granted of several records.
pub(super) struct Permission {
    keys: Vec<(GrantedSection, ContentKey)>,
    links: Links,
    source: Source,
}

impl Permission {
    pub(super) fn new(
        keys: Vec<(GrantedSection, ContentKey)>,
        links: Vec<SegmentLink>,
        source: Source,
    ) -> Self {
        Self { keys, links: by_segment(links), source }
    }

    /// What was granted of this record.
    pub(super) fn of(&self, pointer: RecordPointer, record: &Record) -> Result<Access, ReadError> {
        let mut keys = HashMap::new();
        for (place, key) in self.keys.iter().filter(|(place, _)| place.pointer == pointer) {
            if place.record != record.id() {
                return Err(GrantError::Mismatch { what: "record" }.into());
            }
            keys.insert(place.section, key.clone());
        }
        let segments = record.segments();
        let links = segments.iter().filter_map(|segment| {
            self.links.get(&segment.hash).map(|link| (segment.hash, link.clone()))
        });
        let links = links.collect();
        Ok(Access { keys, right: FetchRight::Links { links, source: self.source } })
    }
}

impl Reader {
    /// Requests access to records of one patient by a signed request, and accepts the grant when the chain's receipt
    /// agrees with both. Requests nothing if the reader's key could not open the grant.
    pub(super) async fn ask(
        &self,
        patient: UserId,
        records: &[WantedRecord],
        intent: Intent,
    ) -> Result<Permission, ReadError> {
        let hospital = self.worker.hospital();
        let state = self.chain.finalized().await?;
        let entry = state.hospital(hospital).await?;
        let agent = entry.ok_or(ReadError::UnknownHospital(hospital))?.agent;
        let requester = self.requester(&state).await?;
        let genesis = self.chain.genesis_hash();
        let asked = SignedRequest::new(genesis, &self.worker, requester, patient, records, intent)?;
        let granted = self.worker.grant(&asked.to_api()).await?;
        let account = self.worker.account().id();
        let expected = Expected {
            genesis,
            hospital,
            agent: &agent,
            audience: &account,
            patient,
            // Of this request, or of the earlier one that the worker answers again.
            nonce: granted.grant.terms().nonce,
            now: now(),
        };
        let keys = granted.grant.open(&expected, &self.sealing)?;
        let is_extra = |place: &GrantedSection| !asked.wants(place.pointer, place.section);
        if let Some((place, _)) = keys.iter().find(|(place, _)| is_extra(place)) {
            let GrantedSection { pointer, section, .. } = *place;
            return Err(ReadError::NotAskedFor { pointer, section });
        }
        self.check_receipt(&granted.grant, &asked.request).await?;
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).push(granted.grant.hash());
        Ok(Permission::new(keys, granted.reply.links, Source::Request(intent)))
    }

    /// The reader's user. It is an error if the chain names another sealing key of theirs than the reader has: the
    /// worker would seal the grant to that one.
    pub(super) async fn requester(&self, state: &Snapshot) -> Result<UserId, ReadError> {
        let user = state.user_of(&self.worker.account().id()).await?;
        let user = user.ok_or(ReadError::UnknownReader)?;
        let profile = state.profile(user).await?;
        match profile {
            Some(profile) if profile.sealing_key_hash != self.sealing.public().hash() => {
                Err(ReadError::StaleSealingKey { user })
            }
            _ => Ok(user),
        }
    }

    async fn check_receipt(&self, grant: &AccessGrant, asked: &Request) -> Result<(), ReadError> {
        let hash = grant.hash();
        let _waiting = self.chain.waits().begin(Awaited::Receipt, None);
        let receipt = tokio::time::timeout(RECEIPT_LIMIT, self.receipt(hash))
            .await
            .unwrap_or(Err(ReadError::NoReceipt { grant: hash, after: RECEIPT_LIMIT }))?;
        let signer = self.worker.account().id();
        match disagreement(&receipt, grant, asked, (self.chain.genesis_hash(), &signer)) {
            Some(what) => Err(ReadError::Receipt { grant: hash, what }),
            None => Ok(()),
        }
    }

    /// The receipt of a grant. Waits for the final block that records it.
    async fn receipt(&self, grant: Hash) -> Result<Receipt, ReadError> {
        let head = self.chain.finalized_head().await?;
        let mut blocks = self.chain.finalized_stream(head.number);
        loop {
            let Some(block) = blocks.next().await else {
                return Err(ReadError::NoReceipt { grant, after: RECEIPT_LIMIT });
            };
            let state = self.chain.at(block?.hash);
            if let Some(receipt) = state.receipt(grant).await? {
                return Ok(receipt);
            }
        }
    }
}

/// The first part of a receipt that differs from the grant, or from the request.
///
/// A worker that has an unexpired grant for an equal request returns that one again. Its receipt contains the earlier
/// request, which differs in its time and nonce only, and which the same account signed.
fn disagreement(
    receipt: &Receipt,
    grant: &AccessGrant,
    asked: &Request,
    (genesis, signer): (Hash, &AccountId),
) -> Option<&'static str> {
    let (release, terms) = (&receipt.release, grant.terms());
    let (request, signature) = (&release.request, &release.signature);
    let one = |a, b, c| a == b && b == c;
    let agreements = [
        ("grant", release.grant == grant.hash()),
        ("requester", one(request.requester, asked.requester, terms.requester)),
        ("patient", one(request.patient, asked.patient, terms.patient)),
        (
            "hospital",
            receipt.hospital == terms.hospital
                && request.hospital == terms.hospital
                && asked.hospital == terms.hospital,
        ),
        (
            "purpose",
            (request.purpose, request.emergency) == (asked.purpose, asked.emergency)
                && terms.purpose == asked.purpose,
        ),
        ("request", request.records == asked.records),
        ("signature", request.is_signed_by(genesis, signer, signature)),
        ("sections", Some(released(&release.records)) == opened(grant.sections())),
    ];
    agreements.into_iter().find(|(_, agrees)| !agrees).map(|(what, _)| what)
}

pub(super) type Sections = BTreeMap<RecordPointer, SectionSet>;

pub(super) fn released(records: &[ReleasedRecord]) -> Sections {
    records.iter().map(|record| (record.pointer, record.sections)).collect()
}

/// None if a grant names a section number that no record can have.
pub(super) fn opened(granted: &[GrantedSection]) -> Option<Sections> {
    let mut sections = Sections::new();
    for place in granted {
        if !sections.entry(place.pointer).or_default().insert(place.section) {
            return None;
        }
    }
    Some(sections)
}

pub(super) fn by_segment(links: Vec<SegmentLink>) -> Links {
    let named = links.into_iter().filter_map(|link| {
        let mut segment = [0; 32];
        hex::decode_to_slice(&link.segment, &mut segment).ok()?;
        Some((segment, link))
    });
    named.collect()
}

#[cfg(test)]
mod tests;
