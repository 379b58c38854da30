//! The proofs of an opening: the requester asked, so that the chain decided, and hospitals recorded that they hand out
//! their parts.

use epione_primitives::{
    Hash, HospitalId,
    limits::{MAX_SLOTS, OPENING_BLOCKS},
    opening::{HandedOut, Opening, OpeningId},
    sharing::SlotId,
};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use super::{
    calls::Sought,
    check::{Evidence, Signing},
    transaction::{Party, Proof, Step, Subject, Transaction, Verdict},
};
use crate::chain::{ProofFault, keys};

/// Judges the proofs of an opening. Every hospital that was ever admitted is looked up, so that nobody can leave out
/// one that handed out its part.
pub(super) fn transaction(evidence: &Evidence, id: OpeningId) -> Result<Transaction, ProofFault> {
    let opening: Option<Opening> = evidence.chain.newest(&keys::opening(id))?;
    let opening = opening.ok_or(ProofFault::NoOpening(id))?;
    let admitted: Option<u16> = evidence.chain.newest(&keys::admitted())?;
    let hash = BlakeTwo256::hash_of(&opening);
    let mut proofs = vec![ask(evidence, &opening, hash)?];
    for hospital in (0..admitted.unwrap_or_default()).map(HospitalId) {
        let key = keys::handed_out_by(id, hospital);
        if let Some(handed_out) = evidence.chain.newest::<HandedOut>(&key)? {
            proofs.push(hand_out(evidence, (id, &opening, hash), hospital, &handed_out)?);
        }
    }
    let slots = (0..MAX_SLOTS).map(SlotId).filter(|slot| opening.slots.contains(*slot));
    let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
    let note = format!("by the standing consents of slots {}", slots.join(","));
    let (subject, patient) = (Subject::Opening(id), opening.patient);
    Ok(Transaction { subject, patient, proofs, note: Some(note) })
}

fn ask(evidence: &Evidence, opening: &Opening, hash: Hash) -> Result<Proof, ProofFault> {
    let signing = Signing {
        step: Step::Open,
        by: Party::User(opening.requester),
        hash,
        block: opening.block,
        sought: Sought::Open(Box::new(opening.clone())),
        accounts: evidence.accounts(opening.requester, opening.block)?,
    };
    // The sought call is exactly the one that became this opening.
    Ok(evidence.judge(signing, |_| None)?.0)
}

fn hand_out(
    evidence: &Evidence,
    (id, opening, hash): (OpeningId, &Opening, Hash),
    hospital: HospitalId,
    handed_out: &HandedOut,
) -> Result<Proof, ProofFault> {
    let by = Party::Hospital(hospital);
    let signing = Signing {
        step: Step::HandOut,
        by: by.clone(),
        hash,
        block: handed_out.block,
        sought: Sought::HandOut(id),
        accounts: evidence.agents(hospital, handed_out.block)?,
    };
    // The call names the opening, and nothing else.
    let (proof, _) = evidence.judge(signing, |_| None)?;
    let last = opening.block.saturating_add(OPENING_BLOCKS);
    match (opening.block..=last).contains(&handed_out.block) {
        true => Ok(proof),
        false => {
            let reason = "it handed out its part before the opening was decided, or after its end";
            Ok(Proof { verdict: Verdict::wrong(reason, by), ..proof })
        }
    }
}
