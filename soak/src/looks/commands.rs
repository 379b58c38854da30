//! Readings as users start them: each is a process of `epione`.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use epione_primitives::{RecordPointer, limits::SLOT_MILLIS};
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

use super::{Way, visits::SECTIONS};
use crate::{
    client::{Client, Ran},
    people::Practice,
    times::Times,
};

/// A command's times in both ways.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Compared {
    pub command: &'static str,
    pub verified: Summary,
    pub believed: Summary,
    /// Of the medians.
    pub ratio: f64,
}

/// In seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Summary {
    pub least: f64,
    pub median: f64,
    pub p90: f64,
    pub most: f64,
}

impl Summary {
    pub fn of(times: Vec<Duration>) -> Self {
        let times = Times::of(times);
        let [least, median, p90, most] = [1, 50, 90, 100].map(|percent| times.percentile(percent));
        Self { least, median, p90, most }
    }
}

impl Compared {
    pub fn of(command: &'static str, verified: Vec<Duration>, believed: Vec<Duration>) -> Self {
        let (verified, believed) = (Summary::of(verified), Summary::of(believed));
        let ratio = verified.median / believed.median.max(0.001);
        Self { command, verified, believed, ratio }
    }
}

/// A command that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A doctor's first reading of a record.
    Look(RecordPointer),
    /// A patient's reading of all own records by the own key.
    OwnKey,
    List,
    ShowBlock,
}

impl Command {
    pub const WITHOUT_RECEIPT: [Self; 3] = [Self::OwnKey, Self::List, Self::ShowBlock];

    fn name(self) -> &'static str {
        match self {
            Self::Look(_) => "epione records get",
            Self::OwnKey => "epione records get --own-key",
            Self::List => "epione records list",
            Self::ShowBlock => "epione block show",
        }
    }
}

pub(super) struct Measuring<'a> {
    client: &'a Client,
    /// Where the client keeps the last verified block.
    heads: PathBuf,
    /// Where records are read to.
    out: PathBuf,
    count: u16,
}

impl<'a> Measuring<'a> {
    /// Measures each command `count` times in each way. `folder` is that of the run.
    pub fn new(client: &'a Client, folder: &Path, count: u16) -> Self {
        let (heads, out) = (folder.join("devnet/data/heads"), folder.join("read"));
        Self { client, heads, out, count }
    }

    /// Measures a doctor's first readings of these records: the first two only prepare. Both looks of a pair begin
    /// after the same pause, and each pair after another one: so looks begin at all times of a slot, and not when the
    /// receipt of the previous look became final.
    pub async fn whole_looks(
        &self,
        practice: &Practice,
        records: &[RecordPointer],
    ) -> anyhow::Result<Compared> {
        let (mut verified, mut believed) = (Vec::new(), Vec::new());
        let mut records = records.iter();
        let mut next = || records.next().context("there are not enough records to read");
        // The numbers of the receipts, which are the patient's.
        let mut receipts = BTreeSet::new();
        for way in Way::both(0) {
            receipts.insert(self.look(*next()?, way, practice).await?.0);
        }
        for number in 0..self.count {
            let pause = pause(number, self.count);
            for way in Way::both(number) {
                let record = *next()?;
                sleep(pause).await;
                let (receipt, took) = self.look(record, way, practice).await?;
                let is_new = receipts.insert(receipt);
                ensure!(is_new, "the look at {record} got an earlier grant, by receipt {receipt}");
                match way {
                    Way::Verified => verified.push(took),
                    Way::Believed => believed.push(took),
                }
            }
        }
        Ok(said(Compared::of("epione records get", verified, believed)))
    }

    /// A doctor's reading of a record: the number of the receipt, and how long it took.
    async fn look(
        &self,
        record: RecordPointer,
        way: Way,
        practice: &Practice,
    ) -> anyhow::Result<(u64, Duration)> {
        let Ran { answer, took, .. } = self.run(Command::Look(record), way, practice).await?;
        Ok((receipt(&answer)?, took))
    }

    /// Measures a command that continues from the last verified block.
    pub async fn usual(&self, command: Command, practice: &Practice) -> anyhow::Result<Compared> {
        self.run(command, Way::Verified, practice).await?;
        self.compared(command, practice, || Ok(())).await
    }

    /// Measures a command that verifies from the chain's first block on.
    pub async fn first_use(
        &self,
        command: Command,
        practice: &Practice,
    ) -> anyhow::Result<Compared> {
        self.compared(command, practice, || {
            // Otherwise the file is elsewhere, and nothing would be verified anew.
            ensure!(self.heads.exists(), "the client keeps no last verified block here");
            removed(&self.heads)
        })
        .await
    }

    /// Measures a command in both ways, which take turns. `prepare` precedes each run that verifies.
    async fn compared(
        &self,
        command: Command,
        practice: &Practice,
        prepare: impl Fn() -> anyhow::Result<()>,
    ) -> anyhow::Result<Compared> {
        let (mut verified, mut believed) = (Vec::new(), Vec::new());
        for number in 0..self.count {
            for way in Way::both(number) {
                if way == Way::Verified {
                    prepare()?;
                }
                let took = self.run(command, way, practice).await?.took;
                match way {
                    Way::Verified => verified.push(took),
                    Way::Believed => believed.push(took),
                }
            }
        }
        Ok(said(Compared::of(command.name(), verified, believed)))
    }

    /// Runs a command once, and checks its output.
    async fn run(&self, command: Command, way: Way, practice: &Practice) -> anyhow::Result<Ran> {
        let (out, patient) = (self.out.display().to_string(), practice.patient.to_string());
        let record = match command {
            Command::Look(pointer) => pointer.to_string(),
            Command::OwnKey | Command::List | Command::ShowBlock => String::new(),
        };
        let (doctor, owner) = (practice.uri.as_str(), practice.patient_uri.as_str());
        let get = ["records", "get", "--patient", patient.as_str(), "--out", out.as_str(), "--as"];
        let mut words = match command {
            Command::Look(_) => [&get[..], &[doctor, "--pointer", record.as_str()]].concat(),
            Command::OwnKey => [&get[..], &[owner, "--own-key", "--all"]].concat(),
            Command::List => vec!["records", "list", "--patient", patient.as_str()],
            Command::ShowBlock => vec!["block", "show", "1"],
        };
        if way == Way::Believed {
            words.push("--trust-node");
        }
        // What was read before would not be read again.
        removed(&self.out)?;
        let ran = self.client.run(&words).await?;
        check(command, &ran.answer)?;
        Ok(ran)
    }
}

/// The pause before both looks of a pair.
fn pause(number: u16, count: u16) -> Duration {
    Duration::from_millis(SLOT_MILLIS) * u32::from(number) / u32::from(count.max(1))
}

/// Prints the medians.
fn said(compared: Compared) -> Compared {
    let Compared { command, verified, believed, ratio } = &compared;
    let (verified, believed) = (verified.median, believed.median);
    println!("{command}: {verified:.2} s verified, {believed:.2} s believed, ratio {ratio:.2}");
    compared
}

/// Checks that a command shows one whole visit.
fn check(command: Command, answer: &Value) -> anyhow::Result<()> {
    let length = |value: &Value| value.as_array().map_or(0, Vec::len);
    let sections = &answer["records"][0]["sections"];
    let is_whole = match command {
        Command::List => length(&answer["records"]) == 1 && length(sections) == SECTIONS,
        Command::Look(_) | Command::OwnKey => {
            let files = sections.as_array().into_iter().flatten();
            length(&answer["records"]) == 1
                && files.filter(|section| section["file"].is_object()).count() == SECTIONS
        }
        Command::ShowBlock => length(&answer["entries"]) == 1,
    };
    ensure!(is_whole, "{} did not show one whole visit: {answer}", command.name());
    Ok(())
}

/// The number of the receipt by which a record was read.
fn receipt(answer: &Value) -> anyhow::Result<u64> {
    let receipts = answer["receipts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [receipt] = receipts else {
        bail!("a look has one receipt, and not {}", receipts.len());
    };
    receipt["receipt"].as_u64().context("the receipt has no number")
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LOOK: Command = Command::Look(RecordPointer { height: 1, index: 0 });

    #[test]
    fn medians_are_compared_and_not_the_slowest_runs() {
        let times = |millis: &[u64]| millis.iter().copied().map(Duration::from_millis).collect();
        let compared =
            Compared::of(LOOK.name(), times(&[120, 130, 9_000]), times(&[7_000, 100, 90]));
        assert!((compared.ratio - 1.3).abs() < 1e-9, "{compared:?}");
        let Compared { verified, believed, .. } = compared;
        assert_eq!((verified.least, verified.p90, verified.most), (0.12, 9.0, 9.0));
        assert_eq!((believed.least, believed.p90, believed.most), (0.09, 7.0, 7.0));
    }

    #[test]
    fn a_reading_that_does_not_show_the_whole_visit_is_an_error() {
        let section = json!({ "file": { "name": "x" } });
        let read = |sections: Vec<Value>| json!({ "records": [{ "sections": sections }] });
        let whole = read(vec![section.clone(); SECTIONS]);
        let short = read(vec![section.clone(); SECTIONS - 1]);
        let mut partly = vec![section; SECTIONS - 1];
        partly.push(json!({ "index": 4 }));
        for get in [LOOK, Command::OwnKey] {
            assert!(check(get, &whole).is_ok() && check(get, &short).is_err());
            assert!(check(get, &read(partly.clone())).is_err());
            assert!(check(get, &json!({ "records": [] })).is_err());
        }
        assert!(check(Command::List, &whole).is_ok() && check(Command::List, &short).is_err());
        assert!(check(Command::ShowBlock, &json!({ "entries": [1] })).is_ok());
        assert!(check(Command::ShowBlock, &json!({})).is_err());
    }

    #[test]
    fn a_look_has_one_receipt() {
        let with = |receipts: Value| json!({ "receipts": receipts });
        assert_eq!(receipt(&with(json!([{ "receipt": 7 }]))).unwrap(), 7);
        for wrong in [json!([]), json!([{ "receipt": 7 }, { "receipt": 8 }]), json!([{}])] {
            assert!(receipt(&with(wrong.clone())).is_err(), "{wrong}");
        }
        assert!(receipt(&json!({})).is_err());
    }

    #[test]
    fn looks_begin_at_all_times_of_a_slot() {
        let slot = Duration::from_millis(SLOT_MILLIS);
        assert_eq!(pause(0, 20), Duration::ZERO);
        assert_eq!(pause(10, 20), slot / 2);
        assert!((0..20).all(|number| pause(number, 20) < slot));
    }
}
