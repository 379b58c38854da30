//! What evidence is about.

use std::collections::BTreeSet;

use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_primitives::{RecordPointer, UserId, block::Entry, opening::OpeningId, query::QueryId};
use sp_core::{ConstU32, bounded::BoundedVec};

use super::{EvidenceError, Flaw, MAX_SUBJECTS, transaction::Subject};
use crate::chain::{ProofFault, ProvenChain, Proving, Wanted, keys};

/// What evidence is about.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub enum Scope {
    /// Records, queries, looks and openings that the maker chose, ascending, each once.
    Chosen(BoundedVec<Subject, ConstU32<MAX_SUBJECTS>>),
    /// All records, queries, looks and openings of a patient until the final block. The file does not list them: the
    /// state has how many there are, and a link from each record to the one before it. So nobody can leave one out.
    Patient(UserId),
}

impl Scope {
    /// These records, queries, looks and openings.
    pub fn chosen(subjects: BTreeSet<Subject>) -> Result<Self, EvidenceError> {
        let number = subjects.len();
        if number == 0 {
            return Err(EvidenceError::Nothing);
        }
        let subjects: Vec<_> = subjects.into_iter().collect();
        let many = |_| EvidenceError::TooMany { subjects: number };
        Ok(Self::Chosen(BoundedVec::try_from(subjects).map_err(many)?))
    }

    pub(super) fn is_ordered(&self) -> bool {
        match self {
            Self::Chosen(subjects) => {
                !subjects.is_empty() && subjects.is_sorted_by(|former, latter| former < latter)
            }
            Self::Patient(_) => true,
        }
    }

    /// What a proven chain has of it.
    pub(super) fn subjects(&self, chain: &ProvenChain) -> Result<BTreeSet<Subject>, Flaw> {
        let patient = match self {
            Self::Chosen(subjects) => return Ok(subjects.iter().copied().collect()),
            Self::Patient(patient) => *patient,
        };
        let mut found = BTreeSet::new();
        let mut next: Option<RecordPointer> = chain.newest(&keys::latest_record(patient))?;
        while let Some(pointer) = next {
            let entries: Option<Vec<Entry>> = chain.newest(&keys::entries(pointer.height))?;
            next = linked(entries, pointer).ok_or(ProofFault::NoRecord(pointer))?;
            add(&mut found, Subject::Record(pointer)).map_err(too_many)?;
        }
        let queries: Option<u32> = chain.newest(&keys::patient_queries(patient))?;
        for number in 0..queries.unwrap_or_default() {
            let id: Option<QueryId> = chain.newest(&keys::patient_query(patient, number))?;
            let id = id.ok_or(ProofFault::Absent("query that the count of queries includes"))?;
            add(&mut found, Subject::Query(id)).map_err(too_many)?;
        }
        let receipts: Option<u32> = chain.newest(&keys::receipts(patient))?;
        for number in 0..receipts.unwrap_or_default() {
            add(&mut found, Subject::Look { patient, number }).map_err(too_many)?;
        }
        let openings: Option<u32> = chain.newest(&keys::patient_openings(patient))?;
        for number in 0..openings.unwrap_or_default() {
            let id: Option<OpeningId> = chain.newest(&keys::patient_opening(patient, number))?;
            let id = id.ok_or(ProofFault::Absent("opening that the count of openings includes"))?;
            add(&mut found, Subject::Opening(id)).map_err(too_many)?;
        }
        match found.is_empty() {
            true => Err(Flaw::Malformed(
                "its patient has neither records, queries, looks nor openings".into(),
            )),
            false => Ok(found),
        }
    }

    /// What a node's chain has of it. The values that prove it are added to the wanted ones.
    pub(super) async fn claimed(
        &self,
        proving: &Proving<'_>,
        wanted: &mut Wanted,
    ) -> Result<BTreeSet<Subject>, EvidenceError> {
        let patient = match self {
            Self::Chosen(subjects) => return Ok(subjects.iter().copied().collect()),
            Self::Patient(patient) => *patient,
        };
        let (mut found, head) = (BTreeSet::new(), proving.head());
        let key = keys::latest_record(patient);
        wanted.add(head, [key.clone()]);
        let mut next: Option<RecordPointer> = proving.value(key).await?;
        while let Some(pointer) = next {
            let key = keys::entries(pointer.height);
            wanted.add(head, [key.clone()]);
            let subject = Subject::Record(pointer);
            let entries: Option<Vec<Entry>> = proving.value(key).await?;
            next = linked(entries, pointer).ok_or(EvidenceError::Unknown(subject))?;
            add(&mut found, subject)?;
        }
        let key = keys::patient_queries(patient);
        wanted.add(head, [key.clone()]);
        let queries: Option<u32> = proving.value(key).await?;
        for number in 0..queries.unwrap_or_default() {
            let key = keys::patient_query(patient, number);
            wanted.add(head, [key.clone()]);
            let id: Option<QueryId> = proving.value(key).await?;
            let absent = ProofFault::Absent("query that the count of queries includes");
            let id = id.ok_or(Flaw::Unproven(absent))?;
            add(&mut found, Subject::Query(id))?;
        }
        let key = keys::receipts(patient);
        wanted.add(head, [key.clone()]);
        let receipts: Option<u32> = proving.value(key).await?;
        for number in 0..receipts.unwrap_or_default() {
            add(&mut found, Subject::Look { patient, number })?;
        }
        let key = keys::patient_openings(patient);
        wanted.add(head, [key.clone()]);
        let openings: Option<u32> = proving.value(key).await?;
        for number in 0..openings.unwrap_or_default() {
            let key = keys::patient_opening(patient, number);
            wanted.add(head, [key.clone()]);
            let id: Option<OpeningId> = proving.value(key).await?;
            let absent = ProofFault::Absent("opening that the count of openings includes");
            let id = id.ok_or(Flaw::Unproven(absent))?;
            add(&mut found, Subject::Opening(id))?;
        }
        if found.is_empty() { Err(EvidenceError::Nothing) } else { Ok(found) }
    }
}

/// The same patient's record before this one, which comes earlier in the chain. None if there is no such record.
fn linked(entries: Option<Vec<Entry>>, pointer: RecordPointer) -> Option<Option<RecordPointer>> {
    let entry = entries?.into_iter().nth(usize::from(pointer.index))?;
    let is_earlier = entry.previous.is_none_or(|previous| previous < pointer);
    is_earlier.then_some(entry.previous)
}

fn add(found: &mut BTreeSet<Subject>, subject: Subject) -> Result<(), EvidenceError> {
    found.insert(subject);
    let subjects = found.len();
    if subjects > MAX_SUBJECTS as usize {
        return Err(EvidenceError::TooMany { subjects });
    }
    Ok(())
}

fn too_many(error: EvidenceError) -> Flaw {
    Flaw::Malformed(error.to_string())
}
