//! The proofs of a record: its patient authorized it, its hospital stored it, the other hospitals received and approved
//! it, and the chain committed it.

use epione_envelope::record::Record;
use epione_primitives::{
    Hash, HospitalId, RecordPointer,
    approval::{Approval, Ballot},
    block::{
        AnnouncedEntry, AnnouncedHeader, Announcement, BlockHashes, Entry, Header, Stage,
        cloud_hash, record_hash,
    },
    mandate::Mandate,
};
use epione_proofs::StateError;

use super::{
    calls::{Announced, Said, Sought},
    check::{Evidence, Signing},
    transaction::{Party, Proof, Step, Subject, Transaction, Verdict},
};
use crate::{
    chain::{Cosignature, ProofFault, Signers, SigningFault, is_in_time, judge, keys},
    verify::approved,
};

/// What the state after the final block has of a record.
struct Facts {
    pointer: RecordPointer,
    header: Header,
    entries: Vec<Entry>,
    entry: Entry,
    announcement: Announcement,
    ballot: Option<Ballot>,
    hashes: Option<BlockHashes>,
}

/// Judges the proofs of a record.
pub(super) fn transaction(
    evidence: &Evidence,
    pointer: RecordPointer,
) -> Result<Transaction, ProofFault> {
    let facts = Facts::read(evidence, pointer)?;
    let (store, announced) = facts.store(evidence)?;
    let mut proofs = vec![facts.authorization(evidence, announced)?, store];
    for approval in facts.ballot.iter().flat_map(|ballot| &ballot.approvals) {
        proofs.push(facts.receive(evidence, approval)?);
    }
    proofs.push(facts.commit());
    let note = facts.ballot.as_ref().and_then(other_votes);
    let patient = facts.entry.patient;
    Ok(Transaction { subject: Subject::Record(pointer), patient, proofs, note })
}

impl Facts {
    fn read(evidence: &Evidence, pointer: RecordPointer) -> Result<Self, ProofFault> {
        let (chain, height) = (&evidence.chain, pointer.height);
        let unknown = || ProofFault::NoRecord(pointer);
        let header: Header = chain.newest(&keys::header(height))?.ok_or_else(unknown)?;
        let entries: Vec<Entry> = chain.newest(&keys::entries(height))?.unwrap_or_default();
        let entry = entries.get(usize::from(pointer.index)).cloned().ok_or_else(unknown)?;
        let announcement: Option<Announcement> =
            chain.newest(&keys::announcement(header.announcement))?;
        let announcement = announcement.ok_or(ProofFault::Absent("announcement of the record"))?;
        let ballot = chain.newest(&keys::ballot(header.announcement))?;
        let hashes = chain.newest(&keys::hashes(height))?;
        Ok(Self { pointer, header, entries, entry, announcement, ballot, hashes })
    }

    fn announcer(&self) -> Party {
        Party::Hospital(self.header.announcer)
    }

    /// The block as its hospital announced it.
    fn announced(&self) -> (AnnouncedHeader, Vec<AnnouncedEntry>) {
        let Header { announcer, segments, .. } = self.header;
        let entries = self.entries.iter().cloned().map(AnnouncedEntry::from).collect();
        (AnnouncedHeader { announcer, segments }, entries)
    }

    /// What the hospitals approved if they approved this block.
    fn subject(&self) -> Hash {
        let (header, entries) = self.announced();
        header.subject(&entries, self.header.body_hash)
    }

    /// The announcement, and what it announced if it is proven.
    fn store<'e>(
        &self,
        evidence: &'e Evidence,
    ) -> Result<(Proof, Option<&'e Announced>), ProofFault> {
        let (announcer, body) = (self.header.announcer, self.header.body_hash);
        let block = self.announcement.announced_at;
        let signing = Signing {
            step: Step::Store,
            by: self.announcer(),
            hash: self.subject(),
            block,
            sought: Sought::Announce { announcer, body },
            accounts: evidence.agents(announcer, block)?,
        };
        let (header, entries) = self.announced();
        let amiss = |said: &Said| match said {
            Said::Announce(it) if it.header == header && it.entries.iter().eq(&entries) => None,
            _ => Some("it announced other entries with this body".into()),
        };
        let (proof, found) = evidence.judge(signing, amiss)?;
        let announced = match found {
            Some(Said::Announce(announced)) => Some(&**announced),
            _ => None,
        };
        Ok((proof, announced))
    }

    /// The patient's signature of the record, whose bytes are in the announcement.
    fn authorization(
        &self,
        evidence: &Evidence,
        announced: Option<&Announced>,
    ) -> Result<Proof, ProofFault> {
        let patient = Party::User(self.entry.patient);
        let proof = |verdict| Proof {
            hash: Some(self.entry.hash),
            ..Proof::new(Step::Authorization, patient.clone(), verdict)
        };
        let Some(announced) = announced else {
            let reason = "the record is in the announcement, which is not proven";
            return Ok(proof(Verdict::missing(reason)));
        };
        let record = match self.record(&announced.body) {
            Ok(record) => record,
            Err(verdict) => return Ok(proof(verdict)),
        };
        let signers = match self.signers(evidence, &record) {
            Ok(signers) => signers,
            Err(ProofFault::NotShown { .. } | ProofFault::State(StateError::Withheld { .. })) => {
                let reason = "the evidence does not show the block at which the record was signed";
                return Ok(proof(Verdict::missing(reason)));
            }
            Err(fault) => return Err(fault),
        };
        let verdict = match self.cosignature(evidence, &record, signers.as_ref()) {
            Ok(Cosignature::Valid) => Verdict::Proven,
            Ok(Cosignature::Absent) => return self.standing_authorization(evidence, &record),
            Ok(Cosignature::Invalid) => Verdict::wrong(
                "the patient's account did not make what is in the record as the patient's signature",
                self.announcer(),
            ),
            Err(fault) => Verdict::wrong(
                format!("the signatures of the record do not count: {fault}"),
                self.announcer(),
            ),
        };
        let is_shown = signers.is_some();
        let number = record.signed_at().number;
        let signer = signers.and_then(|signers| signers.patient);
        let is_proven = verdict == Verdict::Proven;
        Ok(Proof {
            block: Some(number),
            // The genesis block has no time.
            time: match is_shown && number > 0 {
                true => Some(evidence.chain.time_of(number)?),
                false => None,
            },
            signer: signer.filter(|_| is_proven).map(|member| member.account),
            ..proof(verdict)
        })
    }

    /// Those who must have signed the record. None if the block that it names is not an earlier one of the day before
    /// the announcement. The proof shows no such block.
    fn signers(&self, evidence: &Evidence, record: &Record) -> Result<Option<Signers>, ProofFault> {
        match is_in_time(record.signed_at().number, self.announcement.announced_at) {
            true => evidence.chain.signers(record.authorship()),
            false => Ok(None),
        }
    }

    fn cosignature(
        &self,
        evidence: &Evidence,
        record: &Record,
        signers: Option<&Signers>,
    ) -> Result<Cosignature, SigningFault> {
        judge(record, evidence.genesis, self.announcement.announced_at, signers)
    }

    /// For a record without the patient's signature: whether the patient had authorized the hospital, by the state
    /// after the block at which the record was signed.
    fn standing_authorization(
        &self,
        evidence: &Evidence,
        record: &Record,
    ) -> Result<Proof, ProofFault> {
        let (patient, block) = (self.entry.patient, record.signed_at().number);
        let key = keys::authorization(patient, self.header.announcer);
        // The genesis block has neither time nor authorizations.
        let (mandate, time) = match block {
            0 => (None, 0),
            block => {
                let mandate: Option<Mandate> = evidence.chain.after(block, &key)?;
                (mandate, evidence.chain.time_of(block)?)
            }
        };
        let by = Party::User(patient);
        let hash = Some(self.entry.hash);
        if mandate.is_none_or(|mandate| !mandate.in_force(time)) {
            let verdict = Verdict::missing(
                "the patient did not sign the record, and the evidence shows no authorization in force then",
            );
            return Ok(Proof { hash, ..Proof::new(Step::Authorization, by, verdict) });
        }
        let proof = Proof::new(Step::StandingAuthorization, by, Verdict::Proven);
        Ok(Proof { hash, block: Some(block), time: Some(time), ..proof })
    }

    /// The record in an announced body.
    fn record(&self, body: &[u8]) -> Result<Record, Verdict> {
        let wrong = |reason: String| Verdict::wrong(reason, self.announcer());
        let range = self.entry.text;
        let start = usize::try_from(range.offset).ok();
        let end = range.end().and_then(|end| usize::try_from(end).ok());
        let bytes = start.zip(end).and_then(|(start, end)| body.get(start..end));
        let bytes = bytes.ok_or_else(|| wrong("the record extends beyond the body".into()))?;
        if record_hash(bytes) != self.entry.hash {
            return Err(wrong(
                "the record has another hash than the one that was announced".into(),
            ));
        }
        // A later version may read it.
        let record = Record::decode_exactly(bytes).map_err(|error| {
            Verdict::missing(format!("this version of epione cannot read the record: {error}"))
        })?;
        let found = (record.id(), record.patient(), record.hospital());
        if found != (self.entry.record, self.entry.patient, self.header.announcer) {
            let what = "id, patient or hospital of the record differs from what was announced";
            return Err(wrong(what.into()));
        }
        Ok(record)
    }

    /// The approval of another hospital.
    fn receive(&self, evidence: &Evidence, approval: &Approval) -> Result<Proof, ProofFault> {
        let Approval { hospital, block } = *approval;
        let (announcement, subject) = (self.header.announcement, self.subject());
        let signing = Signing {
            step: Step::Receive,
            by: Party::Hospital(hospital),
            hash: subject,
            block,
            sought: Sought::Approve(announcement),
            accounts: evidence.agents(hospital, block)?,
        };
        let amiss = |said: &Said| match said {
            Said::Approve(_, found) if *found == subject => None,
            Said::Approve(_, found) => {
                Some(format!("it approved {found:?}, and {subject:?} was announced"))
            }
            _ => Some("it did not approve".into()),
        };
        Ok(evidence.judge(signing, amiss)?.0)
    }

    /// That enough hospitals approved, and that the chain has the block that they approved.
    fn commit(&self) -> Proof {
        let last = self.ballot.as_ref().and_then(|ballot| ballot.approvals.last());
        let block = last.map_or(self.announcement.announced_at, |approval| approval.block);
        let verdict = match self.check_commit() {
            Ok(()) => Verdict::Proven,
            Err(reason) => Verdict::wrong(reason, None),
        };
        Proof {
            hash: Some(self.header.lite_hash(&self.entries)),
            block: Some(block),
            time: Some(self.header.time),
            ..Proof::new(Step::Commit, None, verdict)
        }
    }

    fn check_commit(&self) -> Result<(), String> {
        let ballot = self.ballot.as_ref().ok_or("the chain has no ballot about it")?;
        approved(ballot, self.header.announcer)?;
        if ballot.subject != self.subject() {
            let (found, expected) = (ballot.subject, self.subject());
            return Err(format!("the ballot is about {found:?}, and {expected:?} is committed"));
        }
        let Announcement { announcer, body_hash, body_bytes, segments, stage, .. } =
            self.announcement.clone();
        let Header { height, .. } = self.header;
        let announced = (announcer, body_hash, body_bytes, segments);
        let header = &self.header;
        let committed = (header.announcer, header.body_hash, header.body_bytes, header.segments);
        if announced != committed || stage != (Stage::Committed { height }) {
            return Err("the chain committed something else than what was announced".into());
        }
        let lite = header.lite_hash(&self.entries);
        let expected = BlockHashes { lite, cloud: cloud_hash(lite, header.segments.root) };
        if height != self.pointer.height || self.hashes != Some(expected) {
            return Err("the hashes of the lite block are not those of its content".into());
        }
        Ok(())
    }
}

/// What the hospitals that did not approve did, by the ballot.
fn other_votes(ballot: &Ballot) -> Option<String> {
    if ballot.electorate.len() == 1 {
        return Some("no other hospital was active, so no approval was needed".into());
    }
    let mut said: Vec<_> = ballot
        .rejections
        .iter()
        .map(|(hospital, reason)| format!("hospital {hospital} rejected it ({reason:?})"))
        .collect();
    let voted = |id: &HospitalId| {
        let approved = ballot.approvals.iter().any(|approval| approval.hospital == *id);
        approved || ballot.rejections.iter().any(|(hospital, _)| hospital == id)
    };
    let silent = ballot.electorate.iter().filter(|id| **id != ballot.opener && !voted(id));
    said.extend(silent.map(|hospital| format!("hospital {hospital} did not vote")));
    (!said.is_empty()).then(|| said.join("; "))
}
