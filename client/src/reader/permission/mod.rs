//! A hospital's permission to read: an access grant, and its receipt on the chain.
//!
//! The chain decides on access when it records the receipt. A grant without a receipt was never allowed: the worker's
//! answer alone is not enough.

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
    Hash, RecordPointer, UserId,
    release::{Receipt, Release, SectionSet},
};
use futures::StreamExt;

use super::{Access, FetchRight, Intent, Links, ReadError, Reader};
use crate::{
    api::{GrantRequest, SegmentLink, WantedRecord},
    chain::Snapshot,
    now,
    waiting::Awaited,
};

/// The worker answers when the receipt is final at its own node. The reader's node may be behind.
const RECEIPT_LIMIT: Duration = Duration::from_secs(30);

/// What was granted of several records.
pub(super) struct Permission {
    keys: Vec<(GrantedSection, ContentKey)>,
    links: Links,
    intent: Intent,
}

impl Permission {
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
        Ok(Access { keys, right: FetchRight::Links { links, intent: self.intent } })
    }
}

impl Reader {
    /// Requests access to records of one patient, and accepts the grant when the chain's receipt agrees with it.
    /// Requests nothing if the reader's key could not open the grant.
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
        self.check_sealing_key(&state).await?;
        let Intent { purpose, emergency } = intent;
        let request = GrantRequest { patient, records: records.to_vec(), purpose, emergency };
        let granted = self.worker.grant(&request).await?;
        let expected = Expected {
            genesis: self.chain.genesis_hash(),
            hospital,
            agent: &agent,
            audience: &self.worker.account().id(),
            patient,
            // Of this request, or of the earlier one that the worker answers again.
            nonce: granted.grant.terms().nonce,
            now: now(),
        };
        let keys = granted.grant.open(&expected, &self.sealing)?;
        let asked_for = |place: &GrantedSection| {
            let same = |wanted: &&WantedRecord| wanted.pointer == place.pointer;
            records.iter().find(same).is_some_and(|wanted| wanted.wants(place.section))
        };
        if let Some((place, _)) = keys.iter().find(|(place, _)| !asked_for(place)) {
            let GrantedSection { pointer, section, .. } = *place;
            return Err(ReadError::NotAskedFor { pointer, section });
        }
        self.check_receipt(&granted.grant, intent).await?;
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).push(granted.grant.hash());
        Ok(Permission { keys, links: by_segment(granted.reply.links), intent })
    }

    /// Checks that the reader has the key that the chain names, to which the worker will seal the grant. If the chain
    /// does not know the reader, the worker will say so.
    async fn check_sealing_key(&self, state: &Snapshot) -> Result<(), ReadError> {
        let Some(user) = state.user_of(&self.worker.account().id()).await? else { return Ok(()) };
        let profile = state.profile(user).await?;
        match profile {
            Some(profile) if profile.sealing_key_hash != self.sealing.public().hash() => {
                Err(ReadError::StaleSealingKey { user })
            }
            _ => Ok(()),
        }
    }

    async fn check_receipt(&self, grant: &AccessGrant, intent: Intent) -> Result<(), ReadError> {
        let hash = grant.hash();
        let _waiting = self.chain.waits().begin(Awaited::Receipt, None);
        let (state, receipt) = tokio::time::timeout(RECEIPT_LIMIT, self.receipt(hash))
            .await
            .unwrap_or(Err(ReadError::NoReceipt { grant: hash, after: RECEIPT_LIMIT }))?;
        let requester = state.user_of(&self.worker.account().id()).await?;
        match disagreement(&receipt, grant, requester, intent) {
            Some(what) => Err(ReadError::Receipt { grant: hash, what }),
            None => Ok(()),
        }
    }

    /// The receipt of a grant, with the finalized state that contains it. Waits for the block that records it.
    async fn receipt(&self, grant: Hash) -> Result<(Snapshot, Receipt), ReadError> {
        let head = self.chain.finalized_head().await?;
        let mut blocks = self.chain.finalized_stream(head.number);
        loop {
            let Some(block) = blocks.next().await else {
                return Err(ReadError::NoReceipt { grant, after: RECEIPT_LIMIT });
            };
            let state = self.chain.at(block?.hash);
            if let Some(receipt) = state.receipt(grant).await? {
                return Ok((state, receipt));
            }
        }
    }
}

/// The first part of a receipt that differs from the grant, or from the request.
fn disagreement(
    receipt: &Receipt,
    grant: &AccessGrant,
    requester: Option<UserId>,
    intent: Intent,
) -> Option<&'static str> {
    let (release, terms) = (&receipt.release, grant.terms());
    let meant = Intent { purpose: release.purpose, emergency: release.emergency };
    let agreements = [
        ("grant", release.grant == grant.hash()),
        ("requester", Some(release.requester) == requester && release.requester == terms.requester),
        ("patient", release.patient == terms.patient),
        ("hospital", receipt.hospital == terms.hospital),
        ("purpose", meant == intent && terms.purpose == intent.purpose),
        ("sections", Some(released(release)) == opened(grant)),
    ];
    agreements.into_iter().find(|(_, agrees)| !agrees).map(|(what, _)| what)
}

type Sections = BTreeMap<RecordPointer, SectionSet>;

fn released(release: &Release) -> Sections {
    release.records.iter().map(|record| (record.pointer, record.sections)).collect()
}

/// None if the grant names a section number that no record can have.
fn opened(grant: &AccessGrant) -> Option<Sections> {
    let mut sections = Sections::new();
    for place in grant.sections() {
        if !sections.entry(place.pointer).or_default().insert(place.section) {
            return None;
        }
    }
    Some(sections)
}

fn by_segment(links: Vec<SegmentLink>) -> Links {
    let named = links.into_iter().filter_map(|link| {
        let mut segment = [0; 32];
        hex::decode_to_slice(&link.segment, &mut segment).ok()?;
        Some((segment, link))
    });
    named.collect()
}

#[cfg(test)]
mod tests;
