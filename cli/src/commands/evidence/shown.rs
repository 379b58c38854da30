//! Formal transactions as text: a table of proofs for each, and what is missing or wrong.

use std::fmt;

use epione_client::evidence::{Proof, Subject, Transaction, Verdict};
use epione_primitives::UserId;

use crate::{
    table,
    wording::{counted, moment, word},
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

/// Says how many transactions these are, and whether there may be others.
pub(in crate::commands) struct About<'a> {
    pub transactions: &'a [Transaction],
    pub all_of: Option<UserId>,
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [mut records, mut queries, mut looks, mut openings] = [0_usize; 4];
        for transaction in self.transactions {
            *match transaction.subject {
                Subject::Record(_) => &mut records,
                Subject::Query(_) => &mut queries,
                Subject::Look { .. } => &mut looks,
                Subject::Opening(_) => &mut openings,
            } += 1;
        }
        let records = counted(records, "record", "records");
        let queries = counted(queries, "query", "queries");
        let looks = counted(looks, "look", "looks");
        match openings {
            0 => write!(f, "about {records}, {queries} and {looks}: ")?,
            openings => {
                let openings = counted(openings, "opening", "openings");
                write!(f, "about {records}, {queries}, {looks} and {openings}: ")?;
            }
        }
        match self.all_of {
            Some(patient) => write!(f, "all of patient {patient} until then"),
            None => f.write_str("chosen by whoever asked for the evidence; others may exist"),
        }
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
    use epione_client::evidence::{Party, Step};
    use epione_primitives::{AccountId, Hash, HospitalId, opening::OpeningId, query::QueryId};

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
    fn how_many_transactions_these_are_and_whether_others_may_exist_is_shown() {
        let patient = UserId([1; 32]);
        let of = |subject| Transaction { subject, patient, proofs: Vec::new(), note: None };
        let look = |number| of(Subject::Look { patient, number });
        let transactions = [of(Subject::Query(QueryId(3))), look(0), look(1)];
        let about = |all_of| About { transactions: &transactions, all_of }.to_string();
        assert_eq!(
            about(None),
            "about 0 records, 1 query and 2 looks: chosen by whoever asked for the evidence; others may exist"
        );
        let all = about(Some(patient));
        assert!(all.contains(&format!("2 looks: all of patient {patient}")), "{all}");
        let opened = [of(Subject::Opening(OpeningId(7)))];
        let said = About { transactions: &opened, all_of: None }.to_string();
        assert!(said.starts_with("about 0 records, 0 queries, 0 looks and 1 opening: "), "{said}");
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
