//! The calls of formal transactions: what the calls of a block say, and which of them is the wanted one.

use codec::{Compact, Decode};
use epione_primitives::{
    AnnouncementId, BlockNumber, Hash, HospitalId, Moment, UserId,
    access::Purpose,
    block::{AnnouncedEntries, AnnouncedHeader},
    limits::MAX_BATCH_CALLS,
    opening::{Opening, OpeningId},
    query::{QueriedRecords, Query, QueryId, SealedTermsBytes, terms_hash},
    release::{EmergencyReason, Release},
};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::chain::{batch_arguments, numbers_of};

/// A call that proves a part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// The announcement of a body with this hash.
    Announce {
        announcer: HospitalId,
        body: Hash,
    },
    /// A vote for an announcement, for whatever subject.
    Approve(AnnouncementId),
    /// The question that became this query.
    Ask(Box<Query>),
    /// An acceptance of this query, whatever it accepts.
    Accept(QueryId),
    Transfer(QueryId),
    /// The record of exactly this release.
    Release(Box<Release>),
    /// The question that became this opening.
    Open(Box<Opening>),
    HandOut(OpeningId),
}

impl Sought {
    /// Whether a call is a wanted one.
    pub(super) fn is(&self, said: &Said) -> bool {
        match (self, said) {
            (Self::Announce { announcer, body }, Said::Announce(announced)) => {
                (announced.header.announcer, announced.body_hash) == (*announcer, *body)
            }
            (Self::Approve(id), Said::Approve(found, _)) => id == found,
            (Self::Ask(query), Said::Ask(asked)) => asked.became(query),
            (Self::Accept(id), Said::Accept(accepted)) => *id == accepted.query,
            (Self::Transfer(id), Said::Transfer(found)) => id == found,
            (Self::Release(release), Said::Release(found)) => release == found,
            (Self::Open(opening), Said::Open(asked)) => asked.became(opening),
            (Self::HandOut(id), Said::HandOut(found)) => id == found,
            _ => false,
        }
    }
}

/// A call of a formal transaction.
pub(super) enum Said {
    Announce(Box<Announced>),
    /// With the subject that the hospital approves.
    Approve(AnnouncementId, Hash),
    Ask(Box<Asked>),
    Accept(Box<Accepted>),
    Transfer(QueryId),
    Release(Box<Release>),
    Open(Box<AskedToOpen>),
    HandOut(OpeningId),
}

/// What `announce` announces.
pub(super) struct Announced {
    pub(super) header: AnnouncedHeader,
    pub(super) entries: AnnouncedEntries,
    pub(super) body: Vec<u8>,
    body_hash: Hash,
}

/// What `ask` asks for, without the terms.
pub(super) struct Asked {
    hospital: HospitalId,
    patient: UserId,
    patient_key: Hash,
    records: QueriedRecords,
    purpose: Purpose,
    expires: BlockNumber,
    terms: Hash,
}

impl Asked {
    fn became(&self, query: &Query) -> bool {
        let Self { hospital, patient, patient_key, records, purpose, expires, terms } = self;
        (*hospital, *patient, *patient_key) == (query.hospital, query.patient, query.patient_key)
            && *records == query.records
            && *purpose == query.purpose
            && (*expires, *terms) == (query.expires, query.terms)
    }
}

/// What `ask` of an opening asks for.
pub(super) struct AskedToOpen {
    hospital: HospitalId,
    patient: UserId,
    records: QueriedRecords,
    purpose: Purpose,
    emergency: Option<EmergencyReason>,
}

impl AskedToOpen {
    fn became(&self, opening: &Opening) -> bool {
        let Self { hospital, patient, records, purpose, emergency } = self;
        (*hospital, *patient, *purpose) == (opening.hospital, opening.patient, opening.purpose)
            && *records == opening.records
            && *emergency == opening.emergency.map(|emergency| emergency.reason)
    }
}

/// The arguments of `accept`.
#[derive(PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) query: QueryId,
    pub(super) considered: Hash,
    pub(super) records: QueriedRecords,
    pub(super) grant: Hash,
    pub(super) until: Moment,
    pub(super) mailbox: HospitalId,
}

#[derive(Clone, Copy)]
enum Kind {
    Announce,
    Approve,
    Ask,
    Accept,
    Transfer,
    Release,
    Open,
    HandOut,
}

impl Kind {
    const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::Announce, "LiteBlocks", "announce"),
        (Self::Approve, "Approvals", "approve"),
        (Self::Ask, "Queries", "ask"),
        (Self::Accept, "Queries", "accept"),
        (Self::Transfer, "Queries", "transfer"),
        (Self::Release, "Releases", "record"),
        (Self::Open, "Openings", "ask"),
        (Self::HandOut, "Openings", "hand_out"),
    ];

    /// None for a call of no formal transaction.
    fn of(call: &[u8]) -> Option<Self> {
        let numbers = call.first_chunk::<2>()?;
        let is = |pallet: &str, name: &str| numbers_of(pallet, name).as_ref() == Some(numbers);
        Self::ALL.into_iter().find(|&(_, pallet, name)| is(pallet, name)).map(|(kind, ..)| kind)
    }
}

impl Said {
    /// Reads the first of several encoded calls. None if this version cannot read it.
    fn read(calls: &mut &[u8]) -> Option<Self> {
        let all = *calls;
        let kind = Kind::of(all)?;
        *calls = all.get(2..)?;
        Some(match kind {
            Kind::Announce => {
                let (header, entries, body) = next::<(_, _, Vec<u8>)>(calls)?;
                let body_hash = BlakeTwo256::hash(&body);
                Self::Announce(Box::new(Announced { header, entries, body, body_hash }))
            }
            Kind::Approve => {
                let (announcement, subject) = next(calls)?;
                Self::Approve(announcement, subject)
            }
            Kind::Ask => {
                let (hospital, patient, patient_key, records, purpose, expires, terms) =
                    next::<(_, _, _, _, _, _, SealedTermsBytes)>(calls)?;
                let terms = terms_hash(&terms);
                let asked =
                    Asked { hospital, patient, patient_key, records, purpose, expires, terms };
                Self::Ask(Box::new(asked))
            }
            Kind::Accept => {
                let (query, considered, records, grant, until, mailbox) = next(calls)?;
                let accepted = Accepted { query, considered, records, grant, until, mailbox };
                Self::Accept(Box::new(accepted))
            }
            Kind::Transfer => Self::Transfer(next(calls)?),
            Kind::Release => Self::Release(Box::new(next(calls)?)),
            Kind::Open => {
                let (hospital, patient, records, purpose, emergency) = next(calls)?;
                let asked = AskedToOpen { hospital, patient, records, purpose, emergency };
                Self::Open(Box::new(asked))
            }
            Kind::HandOut => Self::HandOut(next(calls)?),
        })
    }
}

fn next<T: Decode>(rest: &mut &[u8]) -> Option<T> {
    T::decode(rest).ok()
}

/// The calls of formal transactions in an extrinsic: its call, or those of its batch.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) said: Vec<Said>,
    /// Whether the extrinsic has no other calls of formal transactions.
    pub(super) are_all: bool,
}

impl Calls {
    pub(super) fn read(call: &[u8]) -> Self {
        let (mut rest, number) = match batch_arguments(call) {
            Some(mut arguments) => match Compact::<u32>::decode(&mut arguments) {
                Ok(Compact(number)) if number <= MAX_BATCH_CALLS => (arguments, number),
                _ => return Self::default(),
            },
            None if Kind::of(call).is_none() => return Self { said: Vec::new(), are_all: true },
            None => (call, 1),
        };
        let mut said = Vec::new();
        for _ in 0..number {
            // Where another call of a batch ends is not known.
            let Some(next) = Said::read(&mut rest) else { return Self { said, are_all: false } };
            said.push(next);
        }
        if rest.is_empty() { Self { said, are_all: true } } else { Self::default() }
    }

    pub(super) fn have(&self, sought: &Sought) -> bool {
        self.said.iter().any(|said| sought.is(said))
    }
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::{
        AccountId,
        release::{ReviewId, ReviewedEmergency},
        sharing::SlotSet,
    };

    use super::*;
    use crate::chain::calls::{approvals, lite_blocks, openings, queries};

    fn encoded(call: &crate::chain::Call) -> Vec<u8> {
        [&numbers_of(call.pallet, call.name).unwrap()[..], &call.arguments].concat()
    }

    fn batch(calls: &[Vec<u8>]) -> Vec<u8> {
        (15_u8, 2_u8, Compact(calls.len() as u32))
            .encode()
            .into_iter()
            .chain(calls.concat())
            .collect()
    }

    #[test]
    fn each_call_of_a_batch_is_read_and_what_follows_an_unknown_one_is_not() {
        let subject = Hash::repeat_byte(3);
        let approve = |id| encoded(&approvals::approve(AnnouncementId(id), subject));
        let transfer = encoded(&queries::transfer(QueryId(7)));
        let sought = [Sought::Approve(AnnouncementId(1)), Sought::Transfer(QueryId(7))];
        let calls = Calls::read(&batch(&[approve(1), approve(2), transfer.clone()]));
        assert!(calls.are_all && sought.iter().all(|it| calls.have(it)));
        assert!(!calls.have(&Sought::Approve(AnnouncementId(3))));
        // Another call, whose bytes contain a wanted one.
        let withdraw = encoded(&lite_blocks::withdraw(AnnouncementId(1)));
        let calls = Calls::read(&batch(&[approve(1), withdraw, transfer.clone()]));
        assert!(!calls.are_all && calls.have(&sought[0]) && !calls.have(&sought[1]));
        let many = Calls::read(&batch(&vec![transfer.clone(); MAX_BATCH_CALLS as usize + 1]));
        assert!(!many.are_all && many.said.is_empty());
        let within = Calls::read(&batch(&[batch(&[transfer])]));
        assert!(!within.are_all && within.said.is_empty());
    }

    #[test]
    fn a_question_became_only_an_opening_with_the_same_reason_of_an_emergency() {
        let (hospital, patient, purpose) = (HospitalId(1), UserId([1; 32]), Purpose::Emergency);
        let records = QueriedRecords::default();
        let ask = |reason| encoded(&openings::ask(hospital, patient, &records, purpose, reason));
        let opened = |reason: Option<EmergencyReason>| {
            let review = ReviewId(4);
            Sought::Open(Box::new(Opening {
                requester: UserId([2; 32]),
                hospital,
                patient,
                records: records.clone(),
                purpose,
                emergency: reason.map(|reason| ReviewedEmergency { reason, review }),
                slots: SlotSet(1),
                audience: AccountId::new([3; 32]),
                sealing_key: Hash::zero(),
                block: 5,
                at: 6,
            }))
        };
        let (reason, other) = (EmergencyReason::LifeThreatening, EmergencyReason::PublicHealth);
        let asked = Calls::read(&ask(Some(reason)));
        assert!(asked.are_all && asked.have(&opened(Some(reason))));
        assert!(!asked.have(&opened(Some(other))) && !asked.have(&opened(None)));
        assert!(!Calls::read(&ask(None)).have(&opened(Some(reason))));
    }

    #[test]
    fn a_call_that_cannot_be_read_to_its_end_says_nothing() {
        let transfer = encoded(&queries::transfer(QueryId(7)));
        for unread in [[&transfer[..], &[0]].concat(), transfer[..4].to_vec()] {
            let calls = Calls::read(&unread);
            assert!(!calls.are_all && calls.said.is_empty());
        }
        assert!(Calls::read(&transfer).have(&Sought::Transfer(QueryId(7))));
        // Not a call of a formal transaction.
        let other = Calls::read(&encoded(&lite_blocks::withdraw(AnnouncementId(1))));
        assert!(other.are_all && other.said.is_empty());
    }
}
