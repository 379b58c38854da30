//! An auditor verifies the proofs of a query, without a network and without a key.

use epione_client::evidence::Party;
use epione_primitives::{Hash, QueryId};
use serde_json::json;

use super::{Cast, Scene, Story, broken, check, letter};
use crate::{
    commands::audit::proof_chain::{ProofChainArgs, proof_chain},
    demo::{program::Machine, report::Evidence},
    failure::Failure,
    wording::word,
};

const FILE: &str = "evidence.epione";

impl Story {
    pub(super) async fn evidence(
        &mut self,
        scene: Scene<'_>,
        query: QueryId,
    ) -> Result<(), Failure> {
        self.chapter("An auditor verifies the evidence of the query, without any network");
        let Scene { args, program, context, cast, .. } = scene;
        let auditor = Machine::new(&args.dir.join("auditor"))?;
        let collect = ProofChainArgs {
            record: None,
            query: Some(query.0),
            opening: None,
            patient: None,
            receipt: None,
            out: Some(auditor.file(FILE)),
        };
        let made = proof_chain(&collect, context).await?;
        check(made.complete, "question, acceptance and transfer are proven")?;
        for proof in made.transactions.iter().flat_map(|transaction| &transaction.proofs) {
            let block = proof.block.map_or_else(String::new, |block| format!(", block {block}"));
            self.line(format!("{}: {}{block}", word(&proof.step), party(&proof.by, cast)));
        }
        let written = made.evidence.ok_or_else(|| broken("the evidence is in a file"))?;
        self.line(format!("{FILE}: {} bytes", written.bytes));

        // The auditor has the hash from the hospitals.
        let genesis = context.chain().await?.genesis_hash();
        let number = query.to_string();
        let verify = async |genesis: Hash| {
            let genesis = format!("{genesis:?}");
            let arguments = ["verify-evidence", FILE, "--query", &number, "--genesis", &genesis];
            program.run(&auditor, arguments).await
        };
        let (verified, examined) = verify(genesis).await?;
        let is_complete = examined["complete"] == true && examined["genesisFrom"] == "option";
        check(verified && is_complete, "the auditor verifies the evidence from the first block")?;
        let same = examined["transactions"] == json!(made.transactions);
        check(same, "the auditor sees the same as who has a node")?;
        let (verified, _) = verify(Hash::repeat_byte(7)).await?;
        check(!verified, "the evidence proves nothing about another chain")?;
        self.line(format!("the auditor verified it from the chain's first block {genesis:?}"));
        self.line("for the first block of another chain, the same file is refused");
        self.report.evidence =
            Some(Evidence { query, bytes: written.bytes, proven_at: made.proven_at.number });
        Ok(())
    }
}

fn party(by: &Option<Party>, cast: &Cast) -> String {
    match by {
        Some(Party::User(user)) => cast.label(*user).into(),
        Some(Party::Hospital(hospital)) => letter(*hospital).into(),
        Some(account @ Party::Account(_)) => account.to_string(),
        None => "the chain".into(),
    }
}
