//! Compares the times of commands that verify what the node says with those of commands that believe it
//! (`--trust-node`), on a network of four hospitals. Each command is a process, as users start it.
//!
//! Commands that verify and commands that believe take turns, so that both meet the same network. Each command is
//! measured in two states: usually, the file of the last verified block exists; at the first use, it does not, and the
//! command verifies from the chain's first block on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use epione_devnet::{Devnet, Layout};
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    client::Client,
    folder,
    machine::Stamp,
    people::Practice,
    programs::Programs,
    results::{self, Table},
    times::Times,
};

const HOSPITALS: u16 = 4;
/// The texts of the visit, by the kind of their section.
const TEXTS: [(&str, &[u8]); 4] = [
    ("summary", include_bytes!("../../samples/visit-1/encounter.json")),
    ("diagnosis", include_bytes!("../../samples/visit-1/condition.json")),
    ("report", include_bytes!("../../samples/visit-1/diagnostic-report.json")),
    ("prescription", include_bytes!("../../samples/visit-1/medication-request.json")),
];
/// The image of the visit.
const IMAGE: &[u8] = include_bytes!("../../samples/phantom-ct.dcm");
/// Sections of the visit.
const SECTIONS: usize = TEXTS.len() + 1;
/// How long a node may need to finalize the block of the visit after the worker has reported it as committed.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(500);

#[derive(Args, Clone, Debug)]
pub struct LooksArgs {
    /// How often each command runs, in each of both ways and in each of both states
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub count: u16,
    /// Maximum ratio of the medians, verified to believed; the first use is only reported
    #[arg(long, default_value_t = 1.3)]
    pub max_ratio: f64,
    /// Folder to work in; emptied first and at the end
    #[arg(long, value_name = "DIR", default_value = "target/soak/looks")]
    pub dir: PathBuf,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Looks {
    hospitals: u16,
    count: u16,
    /// With the file of the last verified block.
    usual: Vec<Compared>,
    /// Without it.
    first_use: Vec<Compared>,
    max_ratio: f64,
}

/// A command's times in both ways.
#[derive(Clone, Debug, Serialize)]
struct Compared {
    command: &'static str,
    verified: Summary,
    believed: Summary,
    /// Of the medians.
    ratio: f64,
}

/// In seconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Summary {
    median: f64,
    p90: f64,
}

impl Summary {
    fn of(times: Vec<Duration>) -> Self {
        let times = Times::of(times);
        Self { median: times.percentile(50), p90: times.percentile(90) }
    }
}

impl Compared {
    fn of(command: &'static str, verified: Vec<Duration>, believed: Vec<Duration>) -> Self {
        let (verified, believed) = (Summary::of(verified), Summary::of(believed));
        let ratio = verified.median / believed.median.max(0.001);
        Self { command, verified, believed, ratio }
    }
}

/// Whether a command verifies what its node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Verified,
    Believed,
}

/// A command that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    List,
    Get,
    ShowBlock,
}

impl Look {
    const ALL: [Self; 3] = [Self::List, Self::Get, Self::ShowBlock];

    fn command(self) -> &'static str {
        match self {
            Self::List => "epione records list",
            Self::Get => "epione records get",
            Self::ShowBlock => "epione block show",
        }
    }
}

/// Runs it, writes its result, and checks the limit.
pub async fn run(
    args: &LooksArgs,
    programs: &Programs,
    results: &Path,
    stamp: &Stamp,
) -> anyhow::Result<()> {
    ensure!(args.max_ratio > 0.0, "--max-ratio must be more than 0");
    folder::prepare(&args.dir)?;
    let measured = measure(args, programs).await.with_context(|| {
        format!("the logs of all processes are in {}/devnet/logs", args.dir.display())
    });
    folder::clear(&args.dir);
    let measured = measured?;
    let path = results::write(results, "looks", stamp, &measured, &measured.table())?;
    println!("the result is in {}", path.display());
    measured.check()
}

async fn measure(args: &LooksArgs, programs: &Programs) -> anyhow::Result<Looks> {
    let options = programs.network(&args.dir, HOSPITALS, Layout::default());
    let network = Devnet::up(&options, &|step| println!("{step}")).await?;
    let first = network.state().hospitals.first().context("the network has no hospital")?;
    let practice = Practice::open(network.state(), first).await?;
    let measuring = Measuring {
        client: Client::new(programs, network.directory()),
        heads: network.directory().join("data/heads"),
        out: args.dir.join("read"),
        doctor: practice.uri.clone(),
        patient: practice.patient.to_string(),
        hospital: practice.hospital.to_string(),
        count: args.count,
    };
    measuring.submit(&args.dir).await?;
    let (mut usual, mut first_use) = (Vec::new(), Vec::new());
    for look in Look::ALL {
        usual.push(measuring.usual(look).await?);
        first_use.push(measuring.first_use(look).await?);
    }
    network.down()?;
    let (hospitals, count, max_ratio) = (HOSPITALS, args.count, args.max_ratio);
    Ok(Looks { hospitals, count, usual, first_use, max_ratio })
}

struct Measuring {
    client: Client,
    /// Where the client keeps the last verified block.
    heads: PathBuf,
    /// Where records are read to.
    out: PathBuf,
    doctor: String,
    patient: String,
    hospital: String,
    count: u16,
}

impl Measuring {
    /// Submits the visit, and waits until the node has finalized its lite block, the first one.
    async fn submit(&self, folder: &Path) -> anyhow::Result<()> {
        println!("submitting a visit of {} texts and an image", TEXTS.len());
        let mut words: Vec<String> = ["visit", "submit", "--as", &self.doctor, "--patient"]
            .into_iter()
            .chain([&*self.patient, "--hospital", &self.hospital, "--again", "--wait"])
            .map(String::from)
            .collect();
        for (kind, content) in TEXTS {
            let path = written(folder, &format!("{kind}.json"), content)?;
            words.extend(["--text".into(), format!("{kind}={}", path.display())]);
        }
        let image = written(folder, "phantom-ct.dcm", IMAGE)?;
        words.extend(["--media".into(), image.display().to_string()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.client.run(&words).await?;
        let begun = Instant::now();
        while let Err(error) = self.look(Look::ShowBlock, Way::Believed).await {
            ensure!(begun.elapsed() < PATIENCE, "the visit has no final lite block: {error:#}");
            sleep(RETRY).await;
        }
        Ok(())
    }

    /// Measures a command that continues from the last verified block.
    async fn usual(&self, look: Look) -> anyhow::Result<Compared> {
        self.look(look, Way::Verified).await?;
        self.compared(look, || Ok(())).await
    }

    /// Measures a command that verifies from the chain's first block on.
    async fn first_use(&self, look: Look) -> anyhow::Result<Compared> {
        self.compared(look, || {
            // Otherwise the file is elsewhere, and nothing would be verified anew.
            ensure!(self.heads.exists(), "the client keeps no last verified block here");
            removed(&self.heads)
        })
        .await
    }

    /// Measures a command in both ways, which take turns. `prepare` precedes each run that verifies.
    async fn compared(
        &self,
        look: Look,
        prepare: impl Fn() -> anyhow::Result<()>,
    ) -> anyhow::Result<Compared> {
        let (mut verified, mut believed) = (Vec::new(), Vec::new());
        for number in 0..self.count {
            let mut ways = [Way::Verified, Way::Believed];
            // So that neither is always the second one.
            ways.rotate_left(usize::from(number % 2));
            for way in ways {
                if way == Way::Verified {
                    prepare()?;
                }
                let took = self.look(look, way).await?;
                match way {
                    Way::Verified => verified.push(took),
                    Way::Believed => believed.push(took),
                }
            }
        }
        let compared = Compared::of(look.command(), verified, believed);
        let Compared { command, verified, believed, ratio } = &compared;
        let (verified, believed) = (verified.median, believed.median);
        println!("{command}: {verified:.2} s verified, {believed:.2} s believed, ratio {ratio:.2}");
        Ok(compared)
    }

    /// Runs a command once, and checks its output. Returns how long it took.
    async fn look(&self, look: Look, way: Way) -> anyhow::Result<Duration> {
        let out = self.out.display().to_string();
        let patient = self.patient.as_str();
        let mut words = match look {
            Look::List => vec!["records", "list", "--patient", patient],
            Look::Get => {
                // What was read before would not be read again.
                removed(&self.out)?;
                vec![
                    "records",
                    "get",
                    "--as",
                    &self.doctor,
                    "--patient",
                    patient,
                    "--all",
                    "--out",
                    &out,
                ]
            }
            Look::ShowBlock => vec!["block", "show", "1"],
        };
        if way == Way::Believed {
            words.push("--trust-node");
        }
        let ran = self.client.run(&words).await?;
        check(look, &ran.answer)?;
        Ok(ran.took)
    }
}

/// Checks that a command shows the whole visit.
fn check(look: Look, answer: &Value) -> anyhow::Result<()> {
    let length = |value: &Value| value.as_array().map_or(0, Vec::len);
    let sections = &answer["records"][0]["sections"];
    let is_whole = match look {
        Look::List => length(sections) == SECTIONS,
        Look::Get => {
            let files = sections.as_array().into_iter().flatten();
            files.filter(|section| section["file"].is_object()).count() == SECTIONS
        }
        Look::ShowBlock => length(&answer["entries"]) == 1,
    };
    ensure!(is_whole, "{} did not show the whole visit: {answer}", look.command());
    Ok(())
}

fn written(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Removes a folder, if there is one.
fn removed(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

impl Looks {
    fn check(&self) -> anyhow::Result<()> {
        for Compared { command, ratio, .. } in &self.usual {
            ensure!(
                *ratio <= self.max_ratio,
                "the median of {command} was {ratio:.2} times that with --trust-node, which is more than {}",
                self.max_ratio
            );
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let head = [
            "command",
            "state",
            "verified, median",
            "p90",
            "--trust-node, median",
            "p90",
            "ratio of medians",
        ];
        let mut table = Table::new("What it costs not to believe the node", &head);
        for (state, all) in [("usual", &self.usual), ("first use", &self.first_use)] {
            for Compared { command, verified, believed, ratio } in all {
                let seconds = |time: f64| format!("{time:.2} s");
                table.row([
                    (*command).to_owned(),
                    state.to_owned(),
                    seconds(verified.median),
                    seconds(verified.p90),
                    seconds(believed.median),
                    seconds(believed.p90),
                    format!("{ratio:.2}"),
                ]);
            }
        }
        table.note(format!(
            "Whole processes, {} in each way and state, which took turns. {} hospitals with nodes and workers ran on \
             this machine. The visit has {} texts and an image of {} bytes.",
            self.count,
            self.hospitals,
            TEXTS.len(),
            IMAGE.len()
        ));
        table.note(
            "Usual: the file of the last verified block exists. First use: it does not, and the command verifies from \
             the chain's first block on.",
        );
        let most = self.max_ratio;
        table.note(match self.check() {
            Ok(()) => format!("In the usual state, every ratio stayed within the limit of {most}."),
            Err(error) => format!("**Limit exceeded: {error}.**"),
        });
        table
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compared(verified: &[u64], believed: &[u64]) -> Compared {
        let times = |millis: &[u64]| millis.iter().copied().map(Duration::from_millis).collect();
        Compared::of("epione records get", times(verified), times(believed))
    }

    #[test]
    fn medians_are_compared_and_not_the_slowest_runs() {
        let compared = compared(&[120, 130, 9_000], &[7_000, 100, 90]);
        assert!((compared.ratio - 1.3).abs() < 1e-9, "{compared:?}");
        assert_eq!((compared.verified.p90, compared.believed.p90), (9.0, 7.0));
    }

    #[test]
    fn only_the_usual_state_has_a_limit() {
        let (slow, quick) = (compared(&[200], &[100]), compared(&[110], &[100]));
        let looks = |usual: &Compared, first_use: &Compared| Looks {
            hospitals: HOSPITALS,
            count: 1,
            usual: vec![quick.clone(), usual.clone()],
            first_use: vec![first_use.clone()],
            max_ratio: 1.3,
        };
        assert!(looks(&quick, &slow).check().is_ok());
        let error = looks(&slow, &quick).check().unwrap_err().to_string();
        assert!(error.contains("records get was 2.00 times"), "{error}");
    }

    #[test]
    fn a_look_that_does_not_show_the_whole_visit_is_an_error() {
        let section = json!({ "file": { "name": "x" } });
        let read = |sections: Vec<Value>| json!({ "records": [{ "sections": sections }] });
        let whole = read(vec![section.clone(); SECTIONS]);
        assert!(check(Look::Get, &whole).is_ok() && check(Look::List, &whole).is_ok());
        let short = read(vec![section.clone(); SECTIONS - 1]);
        assert!(check(Look::Get, &short).is_err() && check(Look::List, &short).is_err());
        let mut partly = vec![section; SECTIONS - 1];
        partly.push(json!({ "index": 4 }));
        assert!(check(Look::Get, &read(partly)).is_err());
        assert!(check(Look::Get, &json!({ "records": [] })).is_err());
        assert!(check(Look::ShowBlock, &json!({ "entries": [1] })).is_ok());
        assert!(check(Look::ShowBlock, &json!({})).is_err());
    }
}
