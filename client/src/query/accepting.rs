//! The patient's side: what a query asks for, in readable form, and the acceptance.

use std::collections::BTreeMap;

use epione_envelope::{
    Zeroizing,
    grant::GrantedSection,
    keys::ContentKey,
    query::{QueryGrant, QueryTerms, SealedTerms},
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{
    AccountId, Hash, Moment, RecordPointer, UserId,
    hospital::HospitalStatus,
    profile::Role,
    query::{QueriedRecords, Query, QueryId, terms_hash},
    release::{ReleasedRecord, SectionSet},
};

use super::{Queries, QueryError, queries};
use crate::{
    chain::{BlockRef, ChainError, Snapshot, SubmitError},
    now,
    reader::{OpenRecord, QueryFault, ReadError, Reader, VerifiedRecord, account_at},
};

/// A pending query, opened by its patient. The records are verified, and their sections opened as far as the requester
/// asks for them.
#[derive(Clone)]
pub struct Considered {
    pub id: QueryId,
    pub query: Query,
    pub requester: Requester,
    /// The requester's text. The requester chose every character.
    pub terms: Zeroizing<String>,
    pub records: Vec<OpenRecord>,
    /// [`Query::considered`]: the acceptance names it, so that the chain refuses the acceptance of anything else.
    hash: Hash,
    /// The key to which the grant is sealed.
    recipient: SealingPublicKey,
}

/// Who asks, as the chain knows them now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    pub user: UserId,
    pub role: Role,
    pub account: AccountId,
    /// Whether their registration is in force at the hospital for which they ask, and the hospital is active. The chain
    /// refuses an acceptance otherwise.
    pub in_force: bool,
}

impl Queries {
    /// Opens what a pending query asks the reader's user for: the terms, and the asked sections with the patient's own
    /// keys. Signs nothing, and asks no worker.
    pub async fn consider(&self, id: QueryId, reader: &Reader) -> Result<Considered, QueryError> {
        let head = self.chain.finalized_head().await?;
        let state = self.chain.at(head.hash);
        let query = state.query(id).await?.ok_or(QueryFault::Unknown(id))?;
        let user = state.user_of(&reader.worker().account().id()).await?;
        let user = user.ok_or(ReadError::UnknownReader)?;
        if user != query.patient {
            return Err(QueryError::NotPatient { query: id, user });
        }
        if query.answer.is_some() {
            return Err(QueryError::Answered(id));
        }
        if !query.is_pending(head.number.saturating_add(1)) {
            return Err(QueryError::Expired(id));
        }
        let sealed = state.query_terms(id).await?.ok_or(QueryError::Terms(id))?;
        let terms = self.terms(id, &query, &sealed, reader).await?;
        let (profile, recipient) = self.sealing_key(&state, query.requester).await?;
        let requester = Requester {
            user: query.requester,
            role: profile.role,
            account: profile.account,
            in_force: is_in_force(&state, &query).await?,
        };
        let mut wanted = Vec::with_capacity(query.records.len());
        for record in &query.records {
            let found = VerifiedRecord::of(&self.chain, query.patient, record.pointer).await?;
            let sections = record.sections.intersection(found.sections());
            wanted.push((found, sections));
        }
        let opened = reader.open_own_sections(query.patient, wanted).await;
        let records = opened.into_iter().collect::<Result<Vec<_>, ReadError>>()?;
        let hash = query.considered(id, &requester.account, recipient.hash());
        Ok(Considered { id, query, requester, terms, records, hash, recipient })
    }

    /// Opens the terms, which the requester signed with the account of that time, and sealed to the key that the query
    /// names.
    async fn terms(
        &self,
        id: QueryId,
        query: &Query,
        sealed: &[u8],
        reader: &Reader,
    ) -> Result<Zeroizing<String>, QueryError> {
        let own = reader.sealing_keys().find(|keys| keys.public().hash() == query.patient_key);
        let own = own.ok_or(QueryError::EarlierKey(id))?;
        let unreadable = || QueryError::Terms(id);
        if terms_hash(sealed) != query.terms {
            return Err(unreadable());
        }
        let sealed = SealedTerms::decode_exactly(sealed).map_err(|_| unreadable())?;
        let signer = account_at(&self.chain, query.requester, query.block).await?;
        let (genesis, requester, patient) =
            (self.chain.genesis_hash(), query.requester, query.patient);
        sealed.open(genesis, requester, patient, &signer, own).map_err(|_| unreadable())
    }

    /// Accepts a query with these sections until a moment: seals their keys to the requester, leaves the grant at the
    /// reader's worker, which is the mailbox, and signs the acceptance. Returns the final block that has it. Signs
    /// nothing if the requester has changed the account or the sealing key since the query was considered; the chain
    /// refuses the acceptance if that happens later.
    pub async fn accept(
        &self,
        considered: &Considered,
        accepted: &QueriedRecords,
        until: Moment,
        reader: &Reader,
    ) -> Result<BlockRef, QueryError> {
        let Considered { id, query, requester, recipient, hash, .. } = considered;
        self.check_unchanged(considered).await?;
        let patient = reader.worker().account();
        let keys = considered.keys(accepted)?;
        let terms = QueryTerms {
            genesis: self.chain.genesis_hash(),
            query: *id,
            patient: query.patient,
            requester: query.requester,
            audience: requester.account.clone(),
            purpose: query.purpose,
            issued: now(),
            until,
        };
        let grant = QueryGrant::seal(terms, &keys, recipient, patient)?;
        reader.worker().keep_query_grant(*id, &grant).await?;
        let mailbox = reader.worker().hospital();
        let call = queries::accept(*id, *hash, accepted, grant.hash(), until, mailbox);
        match self.chain.submit(&call, patient).await {
            Err(SubmitError::Dispatch(failure)) if failure.is("Queries", "RequesterChanged") => {
                Err(QueryError::RequesterChanged(*id))
            }
            submitted => Ok(submitted?.block),
        }
    }

    /// Checks that the chain would still compute the same hash of what the patient considered.
    async fn check_unchanged(&self, considered: &Considered) -> Result<(), QueryError> {
        let id = considered.id;
        let state = self.chain.finalized().await?;
        let query = state.query(id).await?.ok_or(QueryFault::Unknown(id))?;
        let profile = state.profile(query.requester).await?;
        let profile = profile.ok_or(QueryError::UnknownUser(query.requester))?;
        let current = query.considered(id, &profile.account, profile.sealing_key_hash);
        if current == considered.hash { Ok(()) } else { Err(QueryError::RequesterChanged(id)) }
    }
}

/// Whether the requester may ask for the hospital that the query names.
async fn is_in_force(state: &Snapshot, query: &Query) -> Result<bool, ChainError> {
    let hospital = state.hospital(query.hospital).await?;
    let registration = state.registration(query.hospital, query.requester).await?;
    let time = state.time().await?;
    let is_active = hospital.is_some_and(|it| it.status == HospitalStatus::Active);
    Ok(is_active && registration.is_some_and(|it| it.in_force(time)))
}

impl std::fmt::Debug for Considered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Considered").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Considered {
    /// The sections to accept: those that are named, or all that are asked for and exist. It is an error to name others.
    pub fn choose(&self, named: &[ReleasedRecord]) -> Result<QueriedRecords, QueryError> {
        let asked: Vec<_> = self.records.iter().map(asked).collect();
        chosen(self.id, &asked, named)
    }

    /// The content keys of these sections.
    fn keys(
        &self,
        accepted: &[ReleasedRecord],
    ) -> Result<Vec<(GrantedSection, ContentKey)>, QueryError> {
        let mut keys = Vec::new();
        for ReleasedRecord { pointer, sections } in accepted {
            let not_asked =
                |sections| QueryError::NotAsked { query: self.id, pointer: *pointer, sections };
            let of_pointer = |record: &&OpenRecord| record.summary.pointer == *pointer;
            let record = self.records.iter().find(of_pointer).ok_or(not_asked(*sections))?;
            for section in sections.iter() {
                let key = record.content_key(section).ok_or_else(|| {
                    let mut missing = SectionSet::default();
                    missing.insert(section);
                    not_asked(missing)
                })?;
                let record = record.summary.record_id;
                let place = GrantedSection { pointer: *pointer, record, section };
                keys.push((place, key.clone()));
            }
        }
        Ok(keys)
    }
}

/// The asked sections of a record that exist: those that the patient has opened.
fn asked(record: &OpenRecord) -> ReleasedRecord {
    let mut sections = SectionSet::default();
    for (index, _) in (0..).zip(&record.sections) {
        if record.content_key(index).is_some() {
            sections.insert(index);
        }
    }
    ReleasedRecord { pointer: record.summary.pointer, sections }
}

/// The named ones of the asked sections, or all if none are named; ascending. A record that is named twice is accepted
/// once, with the sections of both.
fn chosen(
    query: QueryId,
    asked: &[ReleasedRecord],
    named: &[ReleasedRecord],
) -> Result<QueriedRecords, QueryError> {
    let mut chosen: BTreeMap<RecordPointer, SectionSet> = BTreeMap::new();
    let named = if named.is_empty() { asked } else { named };
    for ReleasedRecord { pointer, sections } in named.iter().copied() {
        let record = asked.iter().find(|record| record.pointer == pointer);
        let asked = record.ok_or(QueryError::NotAsked { query, pointer, sections })?.sections;
        let sections = if sections == SectionSet::ALL { asked } else { sections };
        let others = sections.without(asked);
        if !others.is_empty() {
            return Err(QueryError::NotAsked { query, pointer, sections: others });
        }
        let all = chosen.entry(pointer).or_default();
        *all = all.union(sections);
    }
    chosen.retain(|_, sections| !sections.is_empty());
    if chosen.is_empty() {
        return Err(QueryError::Nothing);
    }
    let records: Vec<_> = chosen
        .into_iter()
        .map(|(pointer, sections)| ReleasedRecord { pointer, sections })
        .collect();
    // They are among those that the requester asks for, of which there are no more than this list can have.
    records.try_into().map_err(|_| QueryError::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: QueryId = QueryId(7);

    fn record(height: u32, sections: u64) -> ReleasedRecord {
        let pointer = RecordPointer { height, index: 0 };
        ReleasedRecord { pointer, sections: SectionSet(sections) }
    }

    #[test]
    fn all_that_is_asked_is_accepted_if_nothing_is_named() {
        let asked = [record(1, 0b101), record(2, 0b1)];
        assert_eq!(chosen(QUERY, &asked, &[]).unwrap()[..], asked);
        // A record of which nothing that is asked exists cannot be accepted.
        let none = [record(1, 0), record(2, 0b1)];
        assert_eq!(chosen(QUERY, &none, &[]).unwrap()[..], none[1..]);
        assert!(matches!(chosen(QUERY, &none[..1], &[]), Err(QueryError::Nothing)));
    }

    #[test]
    fn what_is_named_is_accepted_in_the_chains_order_and_once() {
        let asked = [record(1, 0b101), record(2, 0b11)];
        let named = [record(2, 0b1), record(1, 0b100), record(2, 0b10)];
        let expected = [record(1, 0b100), record(2, 0b11)];
        assert_eq!(chosen(QUERY, &asked, &named).unwrap()[..], expected);
        let whole = [ReleasedRecord { sections: SectionSet::ALL, ..record(1, 0) }];
        assert_eq!(chosen(QUERY, &asked, &whole).unwrap()[..], asked[..1]);
    }

    #[test]
    fn nothing_is_accepted_that_the_requester_did_not_ask_for() {
        let asked = [record(1, 0b101)];
        for (named, other) in
            [(record(1, 0b11), 0b10), (record(2, 0b1), 0b1), (record(1, 1 << 63), 1 << 63)]
        {
            let refused = chosen(QUERY, &asked, &[record(1, 0b1), named]).unwrap_err();
            let told = matches!(&refused, QueryError::NotAsked { pointer, sections, .. }
                if *pointer == named.pointer && *sections == SectionSet(other));
            assert!(told, "{refused}");
        }
        assert!(matches!(chosen(QUERY, &asked, &[record(1, 0)]), Err(QueryError::Nothing)));
    }
}
