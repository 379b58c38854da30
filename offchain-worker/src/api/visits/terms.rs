//! What the worker must know of a visit to decide about it, and to tell it from another visit.

use epione_envelope::record::SignedDraft;
use epione_primitives::{AccountId, Hash, HospitalId, RecordId, UserId, block::SignedAt};

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
    /// The block by whose state the signatures are judged.
    pub signed_at: SignedAt,
    /// The author's account that sends the visit. It may be newer than the one that signed it.
    pub sender: AccountId,
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
        Self {
            genesis: caller.identity.genesis,
            hospital: caller.identity.hospital,
            record: draft.draft.record,
            patient: draft.draft.patient,
            author: draft.draft.author,
            signed_at: draft.draft.signed_at,
            sender: caller.request.account.clone(),
            cosigned,
            fingerprint: journal::fingerprint(&authorship, &leaves, cosigned),
            command,
        }
    }
}
