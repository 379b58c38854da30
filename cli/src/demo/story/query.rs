//! A researcher asks the patient for two sections. The patient's phone shows it. The patient accepts one of them, which
//! nobody else collects.

use std::time::{Duration, Instant};

use epione_client::worker::WorkerError;
use epione_primitives::{
    QueryId,
    release::{ReleasedRecord, SectionSet},
};
use serde_json::json;

use super::{B, C, FIRST, Scene, Story, broken, check};
use crate::{
    commands::{
        query::{self, AcceptArgs, AnswerArgs, AskArgs, Asked, CollectArgs, Part},
        records::Purpose,
    },
    context::HospitalRef,
    demo::{
        input::Original,
        program::{Machine, Running},
        report::{RetrievedFile, millis},
    },
    failure::Failure,
    identity::{self, KeySource},
};

/// The diagnosis and the report of the first visit.
const ASKED: SectionSet = SectionSet(0b1010);
/// The report.
const ACCEPTED: SectionSet = SectionSet(0b1000);
const TERMS: &str = "A study of long-term outcomes. We keep the text for one year.";
/// Status of an answer about something that the asker may not know.
const NOT_FOUND: u16 = 404;

impl Story {
    /// Needs no policy: the patient decides alone. C keeps the sealed grant. Returns the number of the query.
    pub(super) async fn query(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<QueryId, Failure> {
        self.chapter(
            "B's researcher asks the patient for two sections; the patient accepts one, through C",
        );
        let Scene { context, cast, .. } = scene;
        let phone = watching(scene).await?;
        let query = self.ask(scene, phone).await?;

        let patient = cast.patient.keys.clone();
        let accept = AcceptArgs {
            query: query.0,
            signer: patient.clone(),
            records: vec![part(ACCEPTED)],
            until: None,
            span: Some(Duration::from_secs(86_400)),
            mailbox: Some(HospitalRef::Id(C)),
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
        self.others_collect(scene, query).await?;

        let collect = |folder| collection(scene, query, &cast.researcher.keys, folder);
        let collected = query::collect(&collect("researcher-query"), context).await?;
        let file = only_accepted(&collected, originals)?;
        self.line(format!("researcher: {}, every byte as it was submitted", file.name));
        self.report.retrieved_files.push(file);
        let transfer = collected.transfer.ok_or_else(|| broken("the chain has the transfer"))?;
        check(transfer.hospital == C, "C handed out what it cannot open")?;

        let withdraw = AnswerArgs { query: query.0, signer: patient };
        let withdrawn = query::withdraw(&withdraw, context).await?;
        self.line(withdrawn.to_string());
        let again = query::collect(&collect("researcher-query-after"), context).await;
        let is_told = again.is_err_and(|failure| failure.error.contains("withdrew the acceptance"));
        check(is_told, "nothing is collected after the withdrawal")?;
        Ok(query)
    }

    /// The researcher asks, and the phone shows it.
    async fn ask(&self, scene: Scene<'_>, mut phone: Running) -> Result<QueryId, Failure> {
        let Scene { context, cast, .. } = scene;
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
        let asking = async {
            let asked = query::ask(&ask, context).await?;
            Ok::<_, Failure>((asked, Instant::now()))
        };
        let showing = async {
            let shown = phone.next_result().await?;
            Ok::<_, Failure>((shown, Instant::now()))
        };
        let ((Asked { query, block, .. }, asked), (shown, seen)) =
            tokio::try_join!(asking, showing)?;
        phone.end().await?;
        let is_right = shown["query"] == json!(query)
            && shown["block"] == json!(block)
            && shown["requester"] == json!(cast.researcher.id);
        check(is_right, "the patient sees the requester")?;
        self.line(format!(
            "the patient's phone, which knows only the patient's keys and B's node, shows query {query} {} ms after \
             the researcher's command ended; its terms are sealed",
            millis(seen.saturating_duration_since(asked))
        ));
        Ok(query)
    }

    /// An acceptance is for one account: the user of another hospital gets nothing, also not from the own hospital's
    /// worker, which keeps the grant.
    async fn others_collect(&mut self, scene: Scene<'_>, query: QueryId) -> Result<(), Failure> {
        let Scene { context, cast, .. } = scene;
        let rival = &cast.rival;
        let collect = collection(scene, query, &rival.keys, "other-researcher");
        let Err(refused) = query::collect(&collect, context).await else {
            return Err(broken("another hospital's researcher collects nothing"));
        };
        let account = identity::account(&context.keys(&rival.keys)?);
        let asked = context.worker(C, account).await?.collect(query).await;
        let is_unknown =
            matches!(&asked, Err(WorkerError::Problem(problem)) if problem.status == NOT_FOUND);
        check(is_unknown, "C's worker does not tell its own researcher of the query of another")?;
        self.line(format!("{} of C: {}", rival.label, refused.error));
        self.report.refuse(rival.label, refused.error);
        Ok(())
    }
}

/// The patient's phone: a process of its own, with the patient's keys, which shows what the patient is asked.
async fn watching(scene: Scene<'_>) -> Result<Running, Failure> {
    let Scene { args, network, program, context, cast } = scene;
    let phone = Machine::new(&args.dir.join("phone"))?;
    let KeySource::File(keys) = &cast.patient.keys else {
        return Err(broken("the patient's keys are in a file"));
    };
    phone.bring("patient.json", keys)?;
    let hospital = network.state().hospital(B).ok_or_else(|| broken("B is up"))?;
    let genesis = format!("{:?}", context.chain().await?.genesis_hash());
    let watch = ["query", "inbox", "--watch", "--as", "patient.json"];
    let chain = ["--node", &hospital.node_url, "--genesis", &genesis];
    let mut running = program.begin(&phone, watch.iter().chain(&chain))?;
    let before = running.next_result().await?;
    check(before["queries"] == json!([]), "nobody has asked the patient yet")?;
    Ok(running)
}

fn collection(scene: Scene<'_>, query: QueryId, signer: &KeySource, folder: &str) -> CollectArgs {
    let out = scene.args.dir.join("read").join(folder);
    CollectArgs { query: query.0, signer: signer.clone(), out }
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
