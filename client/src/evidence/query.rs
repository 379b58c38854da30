//! The proofs of a query: the requester asked, the patient or a representative accepted, and a hospital recorded that
//! it hands out the sealed grant.

use epione_primitives::{
    UserId,
    mandate::Mandate,
    query::{Acceptance, Answer, Query, QueryId, Transfer},
};

use super::{
    calls::{Accepted, Said, Sought},
    check::{Evidence, Signing},
    transaction::{Party, Proof, Step, Subject, Transaction, Verdict},
};
use crate::{
    chain::{ProofFault, keys},
    query::answer_in_words,
};

/// Judges the proofs of a query.
pub(super) fn transaction(evidence: &Evidence, id: QueryId) -> Result<Transaction, ProofFault> {
    let query: Option<Query> = evidence.chain.newest(&keys::query(id))?;
    let query = query.ok_or(ProofFault::NoQuery(id))?;
    let transfer: Option<Transfer> = evidence.chain.newest(&keys::transfer(id))?;
    let accepted = accepted(&query);
    let proofs = vec![
        ask(evidence, &query)?,
        accept(evidence, (id, &query), accepted)?,
        hand_over(evidence, id, accepted, transfer.as_ref())?,
    ];
    let note = match &query.answer {
        Some(Answer::Withdrawn { acceptance: Some(_), .. }) => answer_in_words(&query)
            .map(|withdrawn| format!("{withdrawn}; nothing is handed out since then")),
        _ => None,
    };
    Ok(Transaction { subject: Subject::Query(id), patient: query.patient, proofs, note })
}

/// What the patient accepted, also if they withdrew it later.
pub(super) fn accepted(query: &Query) -> Option<&Acceptance> {
    match &query.answer {
        Some(Answer::Accepted(acceptance)) => Some(acceptance),
        Some(Answer::Withdrawn { acceptance, .. }) => acceptance.as_ref(),
        Some(Answer::Refused { .. }) | None => None,
    }
}

fn ask(evidence: &Evidence, query: &Query) -> Result<Proof, ProofFault> {
    let signing = Signing {
        step: Step::Query,
        by: Party::User(query.requester),
        hash: query.terms,
        block: query.block,
        sought: Sought::Ask(Box::new(query.clone())),
        accounts: evidence.accounts(query.requester, query.block)?,
    };
    // The sought call is exactly the one that became this query.
    Ok(evidence.judge(signing, |_| None)?.0)
}

fn accept(
    evidence: &Evidence,
    (id, query): (QueryId, &Query),
    accepted: Option<&Acceptance>,
) -> Result<Proof, ProofFault> {
    let patient = Party::User(query.patient);
    let Some(acceptance) = accepted else {
        let reason = unanswered(query, evidence);
        return Ok(Proof::new(Step::Accept, patient, Verdict::missing(reason)));
    };
    let Acceptance { by, records, grant, until, audience, sealing_key, mailbox, block, .. } =
        acceptance;
    let considered = query.considered(id, audience, *sealing_key);
    let expected = Accepted {
        query: id,
        considered,
        records: records.clone(),
        grant: *grant,
        until: *until,
        mailbox: *mailbox,
    };
    let signing = Signing {
        step: Step::Accept,
        by: Party::User(*by),
        hash: *grant,
        block: *block,
        sought: Sought::Accept(id),
        accounts: evidence.accounts(*by, *block)?,
    };
    let amiss = |said: &Said| match said {
        Said::Accept(accepted) if **accepted == expected => None,
        _ => Some("it accepted something else than what the chain has".into()),
    };
    let (proof, _) = evidence.judge(signing, amiss)?;
    if proof.is_proven() && !may_accept(evidence, query.patient, acceptance)? {
        let reason = "the evidence does not show that the user represented the patient then";
        return Ok(Proof { verdict: Verdict::missing(reason), ..proof });
    }
    Ok(proof)
}

/// Whether the patient accepted, or somebody who represented the patient at the time of the block. A representation
/// that ended in this block may have been in force when the representative accepted: the chain decided that.
fn may_accept(
    evidence: &Evidence,
    patient: UserId,
    acceptance: &Acceptance,
) -> Result<bool, ProofFault> {
    let Acceptance { by, block, at, .. } = *acceptance;
    if by == patient {
        return Ok(true);
    }
    let mandate: Option<Mandate> =
        evidence.chain.after(block, &keys::representative(patient, by))?;
    Ok(mandate.is_some_and(|mandate| {
        let ended_then =
            Mandate { ended: None, ..mandate }.in_force(at) && mandate.ended == Some(at);
        mandate.in_force(at) || ended_then
    }))
}

/// Why a query has no acceptance.
fn unanswered(query: &Query, evidence: &Evidence) -> String {
    match &query.answer {
        Some(_) => answer_in_words(query).unwrap_or_default(),
        None if query.is_pending(evidence.chain.head.number) => {
            format!("the patient can answer before chain block {}", query.expires)
        }
        None => format!("it expired in chain block {} without an answer", query.expires),
    }
}

fn hand_over(
    evidence: &Evidence,
    id: QueryId,
    accepted: Option<&Acceptance>,
    transfer: Option<&Transfer>,
) -> Result<Proof, ProofFault> {
    let Some(transfer) = transfer else {
        let reason = match accepted {
            Some(_) => "no hospital has recorded that it handed out the keys",
            None => "without an acceptance, there is nothing to hand out",
        };
        let mailbox = accepted.map(|acceptance| Party::Hospital(acceptance.mailbox));
        return Ok(Proof::new(Step::Transfer, mailbox, Verdict::missing(reason)));
    };
    let Transfer { hospital, grant, block, .. } = *transfer;
    let by = Party::Hospital(hospital);
    let signing = Signing {
        step: Step::Transfer,
        by: by.clone(),
        hash: grant,
        block,
        sought: Sought::Transfer(id),
        accounts: evidence.agents(hospital, block)?,
    };
    // The call names the query, and nothing else.
    let (proof, _) = evidence.judge(signing, |_| None)?;
    match check_transfer(accepted, transfer) {
        Err(reason) => Ok(Proof { verdict: Verdict::wrong(reason, by), ..proof }),
        Ok(()) => Ok(proof),
    }
}

/// A transfer hands out what was accepted, by the hospital that the patient chose, afterwards.
fn check_transfer(accepted: Option<&Acceptance>, transfer: &Transfer) -> Result<(), &'static str> {
    let accepted = accepted.ok_or("it handed out what the patient did not accept")?;
    if transfer.hospital != accepted.mailbox {
        return Err("it is not the hospital that the patient chose");
    }
    if transfer.grant != accepted.grant {
        return Err("it handed out another grant than the patient sealed");
    }
    if transfer.block < accepted.block || transfer.at >= accepted.until {
        return Err("it handed out the grant before the acceptance, or after its end");
    }
    Ok(())
}
