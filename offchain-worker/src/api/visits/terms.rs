//! What the worker must know of a visit to decide about it, and to tell it from another visit.

use epione_envelope::record::SignedDraft;
use epione_primitives::{AccountId, Hash, HospitalId, RecordId, UserId, access::SectionClass};

use crate::{
    api::caller::Caller,
    journal::{self, Command},
};

/// The terms of a visit, as its author signed them.
#[derive(Clone, Debug)]
pub(super) struct VisitTerms {
    pub genesis: Hash,
    pub hospital: HospitalId,
    pub record: RecordId,
    pub patient: UserId,
    pub author: UserId,
    /// The author's account, which signed the visit and sends it.
    pub account: AccountId,
    /// The classes of its sections, each once.
    pub classes: Vec<SectionClass>,
    pub cosigned: bool,
    /// Two uploads with the same fingerprint are the same visit: it covers all that the author signed, and whether
    /// the patient signed too. The signatures themselves may differ.
    pub fingerprint: [u8; 32],
    /// The command of the client. Another visit of the author with the same command is the same visit for a day.
    pub command: Option<Command>,
}

impl VisitTerms {
    pub fn of(caller: &Caller, draft: &SignedDraft, command: Option<Command>) -> Self {
        let cosigned = draft.patient_signature.is_some();
        let (authorship, leaves) = (draft.draft.authorship(), draft.draft.leaves());
        let sections = &draft.draft.sections;
        let mut classes = vec![SectionClass::Private, SectionClass::Shared];
        classes.retain(|class| sections.iter().any(|section| section.class == *class));
        Self {
            genesis: caller.identity.genesis,
            hospital: caller.identity.hospital,
            record: draft.draft.record,
            patient: draft.draft.patient,
            author: draft.draft.author,
            account: caller.request.account.clone(),
            classes,
            cosigned,
            fingerprint: journal::fingerprint(&authorship, &leaves, cosigned),
            command,
        }
    }
}
