//! Formal transactions as text: a table of proofs for each, and what is missing or wrong.

use std::fmt;

use epione_client::evidence::{Proof, Transaction, Verdict};

use crate::{
    table,
    wording::{moment, word},
};

/// Shows transactions one after the other.
pub(in crate::commands) struct Transactions<'a>(pub &'a [Transaction]);

impl fmt::Display for Transactions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for transaction in self.0 {
            let Transaction { subject, patient, proofs, note } = transaction;
            let state = match (transaction.is_complete(), transaction.is_sound()) {
                (true, _) => "complete",
                (false, true) => "INCOMPLETE",
                (false, false) => "WRONG",
            };
            writeln!(f, "{subject} of patient {patient}: {state}")?;
            let rows: Vec<_> = proofs.iter().map(row).collect();
            for (line, proof) in table::lines(&rows).into_iter().zip(proofs) {
                writeln!(f, "  {line}")?;
                signature(f, proof)?;
                reason(f, &proof.verdict)?;
            }
            if let Some(note) = note {
                writeln!(f, "  {note}")?;
            }
        }
        Ok(())
    }
}

fn row(proof: &Proof) -> [String; 5] {
    let is = match &proof.verdict {
        Verdict::Proven => "proven",
        Verdict::Missing { .. } => "MISSING",
        Verdict::Wrong { .. } => "WRONG",
    };
    let by = proof.by.as_ref().map_or_else(|| "the chain".into(), ToString::to_string);
    let block = proof.block.map_or_else(String::new, |block| format!("chain block {block}"));
    [word(&proof.step), is.into(), by, block, proof.time.map(moment).unwrap_or_default()]
}

fn signature(f: &mut fmt::Formatter<'_>, proof: &Proof) -> fmt::Result {
    if let Some(hash) = &proof.hash {
        writeln!(f, "      about {hash:?}")?;
    }
    match (&proof.signer, &proof.extrinsic) {
        (Some(signer), Some(extrinsic)) => {
            writeln!(f, "      signed by {signer} in extrinsic {extrinsic:?}")
        }
        (Some(signer), None) => writeln!(f, "      signed by {signer}"),
        _ => Ok(()),
    }
}

fn reason(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    match verdict {
        Verdict::Proven => Ok(()),
        Verdict::Missing { reason } => writeln!(f, "      missing: {reason}"),
        Verdict::Wrong { reason, culprit: None } => writeln!(f, "      wrong: {reason}"),
        Verdict::Wrong { reason, culprit: Some(culprit) } => {
            writeln!(f, "      wrong: {reason}; responsible: {culprit}")
        }
    }
}

#[cfg(test)]
mod tests {
    use epione_client::evidence::{Party, Step, Subject};
    use epione_primitives::{AccountId, Hash, HospitalId, UserId, query::QueryId};

    use super::*;

    fn proof(step: Step, by: Party, verdict: Verdict) -> Proof {
        let signer = Some(AccountId::new([7; 32]));
        let (hash, extrinsic) = (Some(Hash::repeat_byte(8)), Some(Hash::repeat_byte(9)));
        let (by, block, time) = (Some(by), Some(12), Some(1));
        Proof { step, by, hash, block, time, signer, extrinsic, verdict }
    }

    fn shown(proofs: Vec<Proof>) -> String {
        let (subject, patient) = (Subject::Query(QueryId(3)), UserId([1; 32]));
        let transaction = Transaction { subject, patient, proofs, note: Some("afterwards".into()) };
        Transactions(&[transaction]).to_string()
    }

    #[test]
    fn who_signed_what_in_which_block_is_shown() {
        let by = Party::User(UserId([2; 32]));
        let text = shown(vec![proof(Step::Query, by, Verdict::Proven)]);
        assert!(text.starts_with("query 3 of patient 0x0101"), "{text}");
        for said in [": complete\n", "query  proven  user 0x0202", "chain block 12  1970-01-01"] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let (about, extrinsic) = (Hash::repeat_byte(8), Hash::repeat_byte(9));
        assert!(text.contains(&format!("about {about:?}\n")), "{text}");
        assert!(text.contains(&format!("in extrinsic {extrinsic:?}\n  afterwards\n")), "{text}");
    }

    #[test]
    fn what_is_missing_and_who_is_responsible_is_shown() {
        let missing = Verdict::Missing { reason: "no answer".into() };
        let by = || Party::Hospital(HospitalId(1));
        let text = shown(vec![proof(Step::Transfer, by(), missing)]);
        assert!(text.contains(": INCOMPLETE\n") && text.contains("missing: no answer\n"), "{text}");
        for (culprit, said) in
            [(None, "wrong: another grant\n"), (Some(by()), "grant; responsible: hospital 1\n")]
        {
            let wrong = Verdict::Wrong { reason: "another grant".into(), culprit };
            let text = shown(vec![proof(Step::Transfer, by(), wrong)]);
            assert!(text.contains(": WRONG\n") && text.contains(said), "{text}");
        }
    }
}
