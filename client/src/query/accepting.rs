//! The patient's side: what a query asks for, in readable form, and the acceptance.
//!
//! A representative does the same in the patient's name, but has no key of the patient: the terms stay sealed to the
//! patient, and the content keys come from a hospital, which grants them by its policies and records a receipt.

use std::collections::BTreeMap;

use epione_envelope::{
    Zeroizing,
    grant::GrantedSection,
    keys::ContentKey,
    query::{QueryGrant, QueryTerms, SealedTerms},
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::Purpose,
    profile::Role,
    query::{QueriedRecords, Query, QueryId, terms_hash},
    release::{ReleasedRecord, SectionSet},
};

use super::{
    Queries, QueryError, UnsentGrants,
    checking::{check_answers, check_end, check_mandate, check_pending, is_in_force, serves},
    queries,
};
use crate::{
    chain::{BlockRef, SubmitError},
    now,
    reader::{Intent, OpenRecord, QueryFault, ReadError, Reader, VerifiedRecord, account_at},
    worker::WorkerClient,
};

/// A pending query, opened by its patient or a representative. The records are verified, and their sections opened as
/// far as the requester asks for them.
#[derive(Clone)]
pub struct Considered {
    pub id: QueryId,
    pub query: Query,
    pub requester: Requester,
    /// Who looks at it: the patient, or a representative.
    pub by: UserId,
    /// The requester's text, if the patient looks. The requester chose every character.
    pub terms: Option<Zeroizing<String>>,
    pub records: Vec<OpenRecord>,
    /// The asked records that do not open. They cannot be accepted.
    pub unopened: Vec<Unopened>,
    /// [`Query::considered`]: the acceptance names it, so that the chain refuses the acceptance of anything else.
    hash: Hash,
    /// The key to which the grant is sealed.
    recipient: SealingPublicKey,
    /// When the mandate ends by which a representative looks at it.
    mandate_ends: Option<Moment>,
}

/// For what a representative reads before answering. The receipt has it.
const AS_REPRESENTATIVE: Intent = Intent { purpose: Purpose::PatientRequest, emergency: None };

/// A record that does not open, or that is not what its author signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unopened {
    pub pointer: RecordPointer,
    pub reason: String,
}

impl Unopened {
    /// An error of the node is not one of the record: then nothing is known about it.
    fn by(pointer: RecordPointer, error: ReadError) -> Result<Self, ReadError> {
        match error {
            ReadError::Chain(error) => Err(error.into()),
            error => Ok(Self { pointer, reason: error.to_string() }),
        }
    }
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
    ///
    /// A representative requests access to the asked sections from the hospital of the reader's worker: the chain has a
    /// receipt then. Records of other hospitals do not open.
    pub async fn consider(&self, id: QueryId, reader: &Reader) -> Result<Considered, QueryError> {
        let head = self.chain.finalized_head().await?;
        let state = self.chain.at(head.hash);
        let query = state.query(id).await?.ok_or(QueryFault::Unknown(id))?;
        let user = state.user_of(&reader.worker().account().id()).await?;
        let user = user.ok_or(ReadError::UnknownReader)?;
        let mandate_ends = check_answers(&state, id, &query, user).await?;
        check_pending(id, &query, head)?;
        let terms = if user == query.patient {
            let sealed = state.query_terms(id).await?.ok_or(QueryError::Terms(id))?;
            Some(self.terms(id, &query, &sealed, reader).await?)
        } else {
            None
        };
        let (profile, recipient) = self.sealing_key(&state, query.requester).await?;
        let requester = Requester {
            user: query.requester,
            role: profile.role,
            account: profile.account,
            in_force: is_in_force(&state, &query).await?,
        };
        let (records, unopened) = self.opened(&query, user, reader).await?;
        let (by, hash) = (user, query.considered(id, &requester.account, recipient.hash()));
        Ok(Considered {
            id,
            query,
            requester,
            by,
            terms,
            records,
            unopened,
            hash,
            recipient,
            mandate_ends,
        })
    }

    /// The asked records, opened with the patient's own keys or by a hospital's grant to the representative, and those
    /// that do not open.
    async fn opened(
        &self,
        query: &Query,
        user: UserId,
        reader: &Reader,
    ) -> Result<(Vec<OpenRecord>, Vec<Unopened>), ReadError> {
        let (mut pointers, mut wanted, mut unopened) = (Vec::new(), Vec::new(), Vec::new());
        let (is_patient, here) = (user == query.patient, reader.worker().hospital());
        for ReleasedRecord { pointer, sections } in &query.records {
            match VerifiedRecord::of(&self.chain, query.patient, *pointer).await {
                Ok(found) if !is_patient && found.summary.hospital != here => {
                    let reason = format!(
                        "hospital {} has its keys, and a representative opens the records of one hospital at a time",
                        found.summary.hospital
                    );
                    unopened.push(Unopened { pointer: *pointer, reason });
                }
                Ok(found) => {
                    let sections = sections.intersection(found.sections());
                    pointers.push(*pointer);
                    wanted.push((found, sections));
                }
                Err(error) => unopened.push(Unopened::by(*pointer, error)?),
            }
        }
        let mut records = Vec::with_capacity(wanted.len());
        let opened = if is_patient {
            reader.open_own_sections(query.patient, wanted).await
        } else if wanted.is_empty() {
            Vec::new()
        } else {
            reader.open_sections(query.patient, wanted, AS_REPRESENTATIVE).await?
        };
        for (pointer, opened) in pointers.into_iter().zip(opened) {
            match opened {
                Ok(record) => records.push(record),
                Err(error) => unopened.push(Unopened::by(pointer, error)?),
            }
        }
        Ok((records, unopened))
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

    /// Accepts a query with these sections until a moment: seals their keys to the requester, signs the acceptance, and
    /// leaves the sealed grant at the reader's worker, which is the mailbox, when the acceptance is final. Returns the
    /// final block that has it.
    ///
    /// Until the mailbox has the grant, it is among the unsent ones, so that [`Queries::bring`] can resume. Signs and
    /// sends nothing if final state shows that the chain would refuse the acceptance.
    pub async fn accept(
        &self,
        considered: &Considered,
        accepted: &QueriedRecords,
        until: Moment,
        reader: &Reader,
        unsent: &UnsentGrants,
    ) -> Result<BlockRef, QueryError> {
        let Considered { id, query, requester, recipient, hash, .. } = considered;
        let worker = reader.worker();
        let (signer, mailbox) = (worker.account(), worker.hospital());
        self.check_acceptable(considered, until, mailbox).await?;
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
        let grant = QueryGrant::seal(terms, &keys, recipient, signer)?;
        unsent.keep(&grant).map_err(QueryError::Unkept)?;
        let call = queries::accept(*id, *hash, accepted, grant.hash(), until, mailbox);
        let block = match self.chain.submit(&call, signer).await {
            Ok(submitted) => submitted.block,
            Err(error) => {
                if has_no_effect(&error) {
                    // A file that stays is of no use to anybody, and no reason to hide the error.
                    let _ = unsent.forget(*id, grant.hash());
                }
                return Err(match error {
                    SubmitError::Dispatch(failure) if failure.is("Queries", "RequesterChanged") => {
                        QueryError::RequesterChanged(*id)
                    }
                    error => error.into(),
                });
            }
        };
        self.bring(&grant, worker, unsent).await?;
        Ok(block)
    }

    /// Leaves the sealed grant of an accepted query at its mailbox, and removes it from the unsent ones. The mailbox
    /// may have it already.
    pub async fn bring(
        &self,
        grant: &QueryGrant,
        mailbox: &WorkerClient,
        unsent: &UnsentGrants,
    ) -> Result<(), QueryError> {
        let query = grant.terms().query;
        mailbox.keep_query_grant(query, grant).await.map_err(|error| QueryError::NotBrought {
            query,
            mailbox: mailbox.hospital(),
            error: Box::new(error),
        })?;
        // If a file stays, the next attempt brings the same grant again.
        let _ = unsent.forget_all(query);
        Ok(())
    }

    /// Checks in one final state what the chain will check: the query waits for an answer and is what the patient
    /// considered, the requester's registration is in force, the mailbox is active, and the end is within the limits.
    async fn check_acceptable(
        &self,
        considered: &Considered,
        until: Moment,
        mailbox: HospitalId,
    ) -> Result<(), QueryError> {
        let id = considered.id;
        let head = self.chain.finalized_head().await?;
        let state = self.chain.at(head.hash);
        let query = state.query(id).await?.ok_or(QueryFault::Unknown(id))?;
        let mandate_ends = check_answers(&state, id, &query, considered.by).await?;
        check_pending(id, &query, head)?;
        let profile = state.profile(query.requester).await?;
        let profile = profile.ok_or(QueryError::UnknownUser(query.requester))?;
        let current = query.considered(id, &profile.account, profile.sealing_key_hash);
        if current != considered.hash {
            return Err(QueryError::RequesterChanged(id));
        }
        if !is_in_force(&state, &query).await? {
            return Err(QueryError::NotInForce { query: id, hospital: query.hospital });
        }
        if !serves(&state, mailbox).await? {
            return Err(QueryError::InactiveMailbox(mailbox));
        }
        // The acceptance will be in a later block than the final one, which is some seconds old.
        check_end(until, now().max(state.time().await?))?;
        check_mandate(until, mandate_ends)
    }
}

/// Whether the call of this error has no effect, and cannot have one later.
fn has_no_effect(error: &SubmitError) -> bool {
    match error {
        SubmitError::Dispatch(_) | SubmitError::Refused(_) | SubmitError::UnknownCall { .. } => {
            true
        }
        SubmitError::Invalid(_) | SubmitError::TimedOut { .. } | SubmitError::Chain(_) => false,
    }
}

impl std::fmt::Debug for Considered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Considered").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Considered {
    /// Checks that an acceptance may end at a moment, as far as that depends on who gives it.
    pub fn check_mandate(&self, until: Moment) -> Result<(), QueryError> {
        check_mandate(until, self.mandate_ends)
    }

    /// The hospital at which an opened record was written.
    pub fn hospital_of(&self, pointer: RecordPointer) -> Option<HospitalId> {
        let record = self.records.iter().find(|record| record.summary.pointer == pointer);
        record.map(|record| record.summary.hospital)
    }

    /// The sections to accept: those that are named, or all that are asked for and exist. It is an error to name
    /// others, or a record that does not open.
    pub fn choose(&self, named: &[ReleasedRecord]) -> Result<QueriedRecords, QueryError> {
        let is_chosen = |record: &&Unopened| {
            named.is_empty() || named.iter().any(|it| it.pointer == record.pointer)
        };
        if let Some(Unopened { pointer, reason }) = self.unopened.iter().find(is_chosen) {
            return Err(QueryError::NotOpened { pointer: *pointer, reason: reason.clone() });
        }
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

/// The asked sections of a record that exist: those that opened.
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
    use crate::chain::ChainError;

    const QUERY: QueryId = QueryId(7);

    fn record(height: u32, sections: u64) -> ReleasedRecord {
        let pointer = RecordPointer { height, index: 0 };
        ReleasedRecord { pointer, sections: SectionSet(sections) }
    }

    #[test]
    fn a_sealed_grant_is_kept_as_long_as_its_acceptance_may_still_be_included() {
        for may in [
            SubmitError::TimedOut { after: std::time::Duration::from_secs(1) },
            SubmitError::Chain(ChainError::Syncing),
            SubmitError::Invalid("the node lost it".into()),
        ] {
            assert!(!has_no_effect(&may), "{may}");
        }
        let reason = "other arguments".into();
        assert!(has_no_effect(&SubmitError::UnknownCall { call: "accept".into(), reason }));
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
