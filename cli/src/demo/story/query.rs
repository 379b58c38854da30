//! A researcher asks the patient for two sections; the patient accepts one, and the researcher verifies it.

use std::time::Duration;

use epione_primitives::release::{ReleasedRecord, SectionSet};

use super::{B, FIRST, Scene, Story, broken, check};
use crate::{
    commands::{
        query::{self, AcceptArgs, AnswerArgs, AskArgs, CollectArgs, InboxArgs, Part},
        records::Purpose,
    },
    context::HospitalRef,
    demo::{input::Original, report::RetrievedFile},
    failure::Failure,
};

/// The diagnosis and the report of the first visit.
const ASKED: SectionSet = SectionSet(0b1010);
/// The report.
const ACCEPTED: SectionSet = SectionSet(0b1000);
const TERMS: &str = "A study of long-term outcomes. We keep the text for one year.";

impl Story {
    /// Needs no policy: the patient decides alone.
    pub(super) async fn query(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter(
            "The researcher asks the patient for two sections; the patient accepts one, through B",
        );
        let Scene { args, context, cast, .. } = scene;
        let ask = AskArgs {
            signer: cast.researcher.keys.clone(),
            hospital: None,
            patient: cast.patient.id,
            records: vec![part(ASKED)],
            purpose: Purpose::Research,
            terms: Some(TERMS.into()),
            terms_file: None,
            expires: Duration::from_secs(7 * 86_400),
        };
        let asked = query::ask(&ask, context).await?;
        let patient = cast.patient.keys.clone();
        let inbox = InboxArgs {
            signer: patient.clone(),
            patient: None,
            all: false,
            limit: None,
            watch: false,
        };
        let inbox = query::inbox(&inbox, context).await?;
        let newest = inbox.queries.first().map(|it| (it.query, it.requester));
        check(newest == Some((asked.query, cast.researcher.id)), "the patient sees the requester")?;
        self.line(format!("query {} is in the patient's inbox; its terms are sealed", asked.query));

        let accept = AcceptArgs {
            query: asked.query.0,
            signer: patient.clone(),
            records: vec![part(ACCEPTED)],
            until: None,
            span: Some(Duration::from_secs(86_400)),
            mailbox: Some(HospitalRef::Id(B)),
            earlier_keys: Vec::new(),
            yes: true,
        };
        let accepted = query::accept(&accept, context).await?;
        let query::Accepted::Now(signed) = &accepted else {
            return Err(broken("the patient accepts for the first time"));
        };
        check(
            signed.statement.asking.terms.as_deref() == Some(TERMS),
            "the patient reads the researcher's terms",
        )?;
        for line in accepted.to_string().lines() {
            self.line(line);
        }

        let collect = |folder: &str| CollectArgs {
            query: asked.query.0,
            signer: cast.researcher.keys.clone(),
            out: args.dir.join("read").join(folder),
        };
        let collected = query::collect(&collect("researcher-query"), context).await?;
        let file = only_accepted(&collected, originals)?;
        self.line(format!("researcher: {}, every byte as it was submitted", file.name));
        self.report.retrieved_files.push(file);
        let transfer = collected.transfer.ok_or_else(|| broken("the chain has the transfer"))?;
        check(transfer.hospital == B, "B handed out what it cannot open")?;

        let withdraw = AnswerArgs { query: asked.query.0, signer: patient };
        let withdrawn = query::withdraw(&withdraw, context).await?;
        self.line(withdrawn.to_string());
        let again = query::collect(&collect("researcher-query-after"), context).await;
        let is_told = again.is_err_and(|failure| failure.error.contains("withdrew the acceptance"));
        check(is_told, "nothing is collected after the withdrawal")
    }
}

fn part(sections: SectionSet) -> Part {
    Part(ReleasedRecord { pointer: FIRST, sections })
}

/// The file of the accepted section, compared with what was submitted. No other section may be there.
fn only_accepted(
    collected: &query::Collected,
    originals: &[Original],
) -> Result<RetrievedFile, Failure> {
    let record = collected.retrieved.records.first().ok_or_else(|| broken("a record was read"))?;
    let mut found = None;
    for ((section, original), index) in record.sections.iter().zip(originals).zip(0..) {
        let is_there = section.file.is_some() == ACCEPTED.contains(index);
        check(is_there, "exactly the accepted section was collected")?;
        let Some(file) = &section.file else { continue };
        let claim = format!("{} is byte for byte what was submitted", original.name);
        check(file.sha256 == original.sha256, &claim)?;
        found = Some(RetrievedFile {
            name: format!("researcher, by a query: {}", original.name),
            sha256_in: original.sha256.clone(),
            sha256_out: file.sha256.clone(),
        });
    }
    found.ok_or_else(|| broken("the accepted section was collected"))
}
