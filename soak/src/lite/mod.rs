//! A peer copies a chain of ten thousand lite blocks, verifies and searches the copy, copies again, and continues a
//! copy that was killed half-way.
//!
//! | module | |
//! | --- | --- |
//! | [`history`] | generates the lite blocks, in the state of the chain's first block |
//! | [`specification`] | the file with this state, from which nodes start |
//! | [`nodes`] | a network of four hospitals' nodes |
//! | [`patient`] | a patient whose records the hospitals commit on the network |
//! | [`copies`] | compares two copies |

pub mod copies;
pub mod history;
pub mod nodes;
pub mod patient;
pub mod specification;

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use epione_client::chain::Chain;
use epione_devnet::Layout;
use epione_primitives::{
    Moment, UserId,
    limits::{MAX_ENTRIES, SLOT_MILLIS},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    client::{Client, Ran},
    folder,
    machine::Stamp,
    memory,
    programs::Programs,
    results::{self, Table, mib},
};
use history::History;
use nodes::Nodes;
use patient::{PATIENT, SECTIONS, Treatment};

const HOSPITALS: u16 = 4;
/// Generated patients of each hospital.
const PATIENTS: u16 = 16;
/// How often a copy is begun, to be killed before it is complete.
const ATTEMPTS: u32 = 5;

#[derive(Args, Clone, Debug)]
pub struct LiteArgs {
    /// Lite blocks that are generated
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub blocks: u32,
    /// Records of each generated lite block
    #[arg(
        long,
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_ENTRIES))
    )]
    pub records: u16,
    /// Records of the patient who copies the chain; they are announced and approved on the network
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pub own_records: u16,
    /// Longest time that the first copy may take, in seconds
    #[arg(long, default_value_t = 60.0)]
    pub max_seconds: f64,
    /// Folder to work in; emptied first and at the end
    #[arg(long, value_name = "DIR", default_value = "target/soak/lite")]
    pub dir: PathBuf,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lite {
    hospitals: u16,
    generated: Generated,
    /// Lite blocks and records that were committed on the network.
    own_blocks: u32,
    own_records: u16,
    steps: Vec<Step>,
    /// Bytes of the file of the first copy.
    file_bytes: u64,
    killed: Killed,
    /// Largest resident set of the node that answered.
    node_peak_bytes: u64,
    max_seconds: f64,
}

/// The lite blocks in the state of the first block.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Generated {
    blocks: u32,
    records: u64,
    seconds: f64,
    /// Of the state, without the runtime's code.
    state_entries: usize,
    state_bytes: usize,
}

/// A command.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    what: &'static str,
    seconds: f64,
    peak_bytes: u64,
}

/// What a copy contained after it was killed.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Killed {
    blocks: u64,
    sealed_records: u64,
}

/// Runs it, writes its result, and checks the limit.
pub async fn run(
    args: &LiteArgs,
    programs: &Programs,
    results: &Path,
    stamp: &Stamp,
) -> anyhow::Result<()> {
    ensure!(args.max_seconds > 0.0, "--max-seconds must be more than 0");
    folder::prepare(&args.dir)?;
    let measured = measure(args, programs).await.with_context(|| {
        format!("the logs of all processes are in {}/devnet/logs", args.dir.display())
    });
    folder::clear(&args.dir);
    let measured = measured?;
    let path = results::write(results, "lite", stamp, &measured, &measured.table())?;
    println!("the result is in {}", path.display());
    measured.check()
}

async fn measure(args: &LiteArgs, programs: &Programs) -> anyhow::Result<Lite> {
    let LiteArgs { blocks, records, own_records, max_seconds, .. } = *args;
    let options = programs.network(&args.dir, HOSPITALS, Layout::default());
    // The network's first block is later than the newest generated one.
    let newest = now().saturating_sub(SLOT_MILLIS);
    let nodes =
        Nodes::start(&options, History { blocks, records, patients: PATIENTS, newest }).await?;
    let nodes::Generated { size, took } = nodes.generated;
    let generated = Generated {
        blocks,
        records: u64::from(blocks) * u64::from(records),
        seconds: took.as_secs_f64(),
        state_entries: size.entries,
        state_bytes: size.bytes,
    };
    let first = nodes.state.hospitals.first().context("the network has no hospital")?;
    let chain = Chain::connect(&first.node_url).await?;
    let height = chain.finalized().await?.height().await?;
    ensure!(height == blocks, "the network begins with {height} lite blocks, not {blocks}");
    println!("committing {own_records} records of a patient");
    let (patient, own_blocks) = {
        let treatment = Treatment::begin(&chain, &nodes.agents).await?;
        (treatment.patient, treatment.commit(own_records.into()).await?)
    };
    let mut measuring = Measuring {
        client: Client::new(programs, &nodes.directory),
        folder: args.dir.clone(),
        patient,
        height: u64::from(blocks) + u64::from(own_blocks),
        own_records: own_records.into(),
        steps: Vec::new(),
    };
    let (file_bytes, killed) = measuring.all().await?;
    let peak = first.node.as_ref().and_then(|node| memory::peak(node.pid));
    let node_peak_bytes = peak.context("the node has ended")?;
    let steps = measuring.steps;
    nodes.down()?;
    Ok(Lite {
        hospitals: HOSPITALS,
        generated,
        own_blocks,
        own_records,
        steps,
        file_bytes,
        killed,
        node_peak_bytes,
        max_seconds,
    })
}

/// Copies, verifies and searches.
struct Measuring {
    client: Client,
    folder: PathBuf,
    patient: UserId,
    /// Height of the chain of lite blocks.
    height: u64,
    own_records: u64,
    steps: Vec<Step>,
}

impl Measuring {
    /// Returns the bytes of a whole copy, and what a killed one contained.
    async fn all(&mut self) -> anyhow::Result<(u64, Killed)> {
        let whole = self.folder.join("whole.sqlite");
        self.copied("first copy", &whole, self.height, self.own_records).await?;
        let verified = self.step("verification", &["verify"], &whole).await?;
        expect(&verified, "height", self.height)?;
        expect(&verified, "sealedRecords", self.own_records)?;
        ensure!(verified["passed"] == true, "the copy is wrong: {verified}");
        let search = ["search", "--as", PATIENT];
        let found = self.step("search of all own records", &search, &whole).await?;
        let sections = found["sections"].as_array().map(Vec::len);
        let expected = self.own_records * SECTIONS;
        ensure!(
            sections.is_some_and(|count| count as u64 == expected),
            "the search found {sections:?} sections, not {expected}"
        );
        let status = self.step("status", &["status"], &whole).await?;
        self.is_complete(&status)?;
        self.copied("second copy, nothing new", &whole, 0, 0).await?;

        let (cut, killed) = self.killed().await?;
        println!(
            "a copy was killed when it had {} lite blocks and {} sealed records",
            killed.blocks, killed.sealed_records
        );
        let (blocks, records) =
            (self.height - killed.blocks, self.own_records - killed.sealed_records);
        self.copied("rest of the killed copy", &cut, blocks, records).await?;
        self.is_complete(&self.client.run(&words(&["status"], &file(&cut))).await?.answer)?;
        copies::same(&whole, &cut, self.patient).context("the killed copy has another content")?;
        println!("the killed copy was continued, and has the same content");
        let bytes = status["bytes"].as_u64().context("the status has no size")?;
        Ok((bytes, killed))
    }

    /// Runs `epione lite` about a file.
    async fn step(
        &mut self,
        what: &'static str,
        command: &[&str],
        path: &Path,
    ) -> anyhow::Result<Value> {
        let Ran { answer, peak, took } =
            self.client.run(&words(command, &file(path))).await.context(what)?;
        let seconds = took.as_secs_f64();
        println!("{what}: {seconds:.2} s, {} of memory", mib(peak));
        self.steps.push(Step { what, seconds, peak_bytes: peak });
        Ok(answer)
    }

    /// Copies what a file lacks: this number of blocks and of sealed records.
    async fn copied(
        &mut self,
        what: &'static str,
        path: &Path,
        blocks: u64,
        records: u64,
    ) -> anyhow::Result<()> {
        let copied = self.step(what, &["sync", "--as", PATIENT], path).await?;
        expect(&copied, "added", blocks)?;
        expect(&copied, "records", records)?;
        expect(&copied, "height", self.height)?;
        ensure!(copied["proven"] == true, "nothing was proven of the copy: {copied}");
        Ok(())
    }

    fn is_complete(&self, status: &Value) -> anyhow::Result<()> {
        expect(status, "height", self.height)?;
        expect(status, "sealedRecords", self.own_records)?;
        ensure!(status["complete"] == true, "the copy is incomplete: {status}");
        Ok(())
    }

    /// Begins a copy, and kills it when it has half of the blocks. A copy of few blocks may be complete before; then
    /// another one is begun, and killed earlier.
    async fn killed(&self) -> anyhow::Result<(PathBuf, Killed)> {
        for attempt in 1..=ATTEMPTS {
            let path = self.folder.join(format!("killed-{attempt}.sqlite"));
            let enough = self.height >> attempt;
            let is_time = || u64::from(copies::height(&path)) >= enough.max(1);
            let sync = ["sync", "--as", PATIENT];
            if !self.client.kill_when(&words(&sync, &file(&path)), is_time).await? {
                continue;
            }
            let status = self.client.run(&words(&["status"], &file(&path))).await?.answer;
            let count = |field: &str| status[field].as_u64().context("the status has no counts");
            let (blocks, sealed_records) = (count("height")?, count("sealedRecords")?);
            if blocks < self.height || sealed_records < self.own_records {
                return Ok((path, Killed { blocks, sealed_records }));
            }
        }
        bail!("each of {ATTEMPTS} copies was complete before it was killed: use more --blocks")
    }
}

/// The arguments of `epione lite` about a file.
fn words<'a>(command: &[&'a str], file: &'a str) -> Vec<&'a str> {
    [&["lite"][..], command, &["--file", file]].concat()
}

fn file(path: &Path) -> String {
    path.display().to_string()
}

/// Checks a number in a command's output.
fn expect(answer: &Value, field: &str, expected: u64) -> anyhow::Result<()> {
    let found = &answer[field];
    ensure!(found.as_u64() == Some(expected), "{field} is {found}, not {expected}: {answer}");
    Ok(())
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment::try_from(since.as_millis()).unwrap_or(Moment::MAX)
}

impl Lite {
    /// Seconds of the first copy.
    fn first_copy(&self) -> f64 {
        self.steps.first().map_or(0.0, |step| step.seconds)
    }

    fn is_slow(&self) -> bool {
        self.first_copy() > self.max_seconds
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            !self.is_slow(),
            "the first copy took {:.1} s, which is more than {} s",
            self.first_copy(),
            self.max_seconds
        );
        Ok(())
    }

    fn table(&self) -> Table {
        let Generated { blocks, records, seconds, state_entries, state_bytes } = &self.generated;
        let title = format!("A peer's copy of {blocks} lite blocks");
        let mut table = Table::new(&title, &["command", "time", "peak resident"]);
        for Step { what, seconds, peak_bytes } in &self.steps {
            table.row([(*what).to_owned(), format!("{seconds:.2} s"), mib(*peak_bytes)]);
        }
        table.note(format!(
            "Generated: {blocks} lite blocks with {records} records. The runtime's pallets wrote them into the state \
             of the chain's first block in {seconds:.1} s ({state_entries} entries, {}), and their invariants were \
             checked. There are no signed transactions and no bodies of these blocks, and no record has media.",
            mib(*state_bytes as u64)
        ));
        table.note(format!(
            "On the network: {} records of one patient in {} lite blocks, sealed, announced and approved by signed \
             transactions. The patient copied their sealed bytes, too. Nodes of {} hospitals ran on this machine, and \
             no workers.",
            self.own_records, self.own_blocks, self.hospitals
        ));
        table.note(format!(
            "The file of the whole copy has {}. The node that answered had at most {} resident.",
            mib(self.file_bytes),
            mib(self.node_peak_bytes)
        ));
        table.note(format!(
            "Another copy was killed (SIGKILL) when it had {} lite blocks and {} sealed records. After the rest was \
             copied, both files had the same blocks, ballots, sealed records and sealed profiles.",
            self.killed.blocks, self.killed.sealed_records
        ));
        let limit = self.max_seconds;
        table.note(if self.is_slow() {
            format!("**The first copy took longer than the limit of {limit} s.**")
        } else {
            format!("The first copy stayed within the limit of {limit} s.")
        });
        table
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn measured(seconds: f64) -> Lite {
        let step = |what, seconds| Step { what, seconds, peak_bytes: 1 };
        Lite {
            hospitals: HOSPITALS,
            generated: Generated {
                blocks: 9,
                records: 18,
                seconds: 1.0,
                state_entries: 99,
                state_bytes: 999,
            },
            own_blocks: 1,
            own_records: 3,
            steps: vec![step("first copy", seconds), step("verification", 100.0)],
            file_bytes: 5,
            killed: Killed { blocks: 4, sealed_records: 0 },
            node_peak_bytes: 6,
            max_seconds: 60.0,
        }
    }

    #[test]
    fn only_the_first_copy_is_compared_with_the_limit() {
        assert!(measured(60.0).check().is_ok());
        let error = measured(60.5).check().unwrap_err().to_string();
        assert!(error.contains("took 60.5 s") && error.contains("more than 60 s"), "{error}");
    }

    #[test]
    fn another_number_than_expected_is_an_error() {
        let answer = json!({ "added": 3, "records": "3" });
        assert!(expect(&answer, "added", 3).is_ok());
        for (field, expected) in [("added", 4), ("records", 3), ("height", 0)] {
            assert!(expect(&answer, field, expected).is_err(), "{field}");
        }
    }
}
