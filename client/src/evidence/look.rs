//! The proofs of a look that policies allowed: the requester signed the request, and the hospital recorded what it
//! released.

use epione_primitives::{UserId, release::Receipt, text::legible};

use super::{
    calls::Sought,
    check::{Evidence, Signing},
    transaction::{Party, Proof, Step, Subject, Transaction, Verdict},
};
use crate::chain::{ProofFault, keys};

/// Judges the proofs of the look with this number among a patient's receipts.
pub(super) fn transaction(
    evidence: &Evidence,
    patient: UserId,
    number: u32,
) -> Result<Transaction, ProofFault> {
    let receipt: Option<Receipt> = evidence.chain.newest(&keys::receipt(patient, number))?;
    let receipt = receipt.ok_or(ProofFault::NoReceipt { patient, number })?;
    let proofs = vec![request(evidence, &receipt)?, release(evidence, &receipt)?];
    let Receipt { hospital, version, policies, .. } = &receipt;
    let mut named: Vec<_> = policies.iter().map(|policy| legible(policy)).collect();
    named.dedup();
    let named = named.join(", ");
    let note =
        format!("allowed by version {version} of the policies of hospital {hospital}: {named}");
    let subject = Subject::Look { patient, number };
    Ok(Transaction { subject, patient, proofs, note: Some(note) })
}

/// The requester's signature of the request, which the receipt contains.
fn request(evidence: &Evidence, receipt: &Receipt) -> Result<Proof, ProofFault> {
    let (request, signature) = (&receipt.release.request, &receipt.release.signature);
    let accounts = evidence.accounts(request.requester, receipt.block)?;
    let mut signers = accounts.into_iter();
    let signer = signers.find(|account| request.is_signed_by(evidence.genesis, account, signature));
    let verdict = match signer {
        Some(_) => Verdict::Proven,
        None => Verdict::wrong(
            "the requester's account did not sign the request that the hospital recorded",
            Party::Hospital(receipt.hospital),
        ),
    };
    Ok(Proof {
        hash: Some(request.hash()),
        time: Some(request.at),
        signer,
        ..Proof::new(Step::Request, Party::User(request.requester), verdict)
    })
}

/// The receipt, which the hospital's agent recorded.
fn release(evidence: &Evidence, receipt: &Receipt) -> Result<Proof, ProofFault> {
    let signing = Signing {
        step: Step::Release,
        by: Party::Hospital(receipt.hospital),
        hash: receipt.release.grant,
        block: receipt.block,
        sought: Sought::Release(Box::new(receipt.release.clone())),
        accounts: evidence.agents(receipt.hospital, receipt.block)?,
    };
    // The sought call is exactly the one that became this receipt.
    Ok(evidence.judge(signing, |_| None)?.0)
}
