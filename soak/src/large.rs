//! Sends gigabytes through a network of four hospitals: they are submitted, committed, damaged at one hospital,
//! repaired and read back. No worker and no client may have more resident memory than a bound.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use clap::Args;
use epione_client::chain::Chain;
use epione_devnet::{Devnet, HospitalState, Layout, Storage};
use epione_primitives::block::Segment;
use serde::Serialize;

use crate::{
    client::{Client, Ran},
    content, folder,
    machine::Stamp,
    memory,
    people::Practice,
    programs::Programs,
    results::{self, Table, gib, mib},
    stores::{self, Damage},
    walk::Walk,
};

const HOSPITALS: u16 = 4;
/// The most memory that a worker or a client may have resident.
const BOUND: u64 = 256 * 1024 * 1024;
/// Segments that are damaged at the hospital that serves the reader, by each kind of damage.
const DAMAGED: usize = 4;
/// Copies of the media on the disk: the author's, the four hospitals', the reader's, and one in reserve.
const COPIES: u64 = 7;
const POLL: Duration = Duration::from_millis(500);
const GIB: u64 = 1 << 30;

#[derive(Args, Clone, Debug)]
pub struct LargeArgs {
    /// Size of the media, in GiB
    #[arg(long, default_value_t = 6.0)]
    pub gib: f64,
    /// Where the hospitals store segments
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub store: Storage,
    /// Folder to work in; emptied first and at the end
    #[arg(long, value_name = "DIR", default_value = "target/soak/large")]
    pub dir: PathBuf,
}

impl LargeArgs {
    /// The name of the result files.
    fn name(&self) -> &'static str {
        match self.store {
            Storage::Local => "large",
            Storage::S3 => "large-s3",
        }
    }
}

/// The result.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Large {
    hospitals: u16,
    store: &'static str,
    media_bytes: u64,
    sha256: String,
    segments: usize,
    steps: Vec<Step>,
    processes: Vec<Process>,
    bound_bytes: u64,
    damaged_segments: usize,
}

/// How long a step took.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    what: &'static str,
    seconds: f64,
    /// Media bytes divided by that time.
    mib_per_second: f64,
}

/// The largest resident set of one process.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    name: String,
    peak_bytes: u64,
    /// Whether the bound applies to it.
    bounded: bool,
}

impl Process {
    fn exceeds(&self) -> bool {
        self.bounded && self.peak_bytes > BOUND
    }
}

/// Runs it and writes its result.
pub async fn run(
    args: &LargeArgs,
    programs: &Programs,
    results: &Path,
    stamp: &Stamp,
) -> anyhow::Result<()> {
    let bytes = (args.gib * GIB as f64) as u64;
    ensure!(bytes > 0, "--gib must be more than 0");
    folder::prepare(&args.dir)?;
    room(&args.dir, bytes)?;
    let measured = measure(args, programs, bytes).await;
    folder::clear(&args.dir);
    let measured = measured?;
    let path = results::write(results, args.name(), stamp, &measured, &measured.table())?;
    println!("the result is in {}", path.display());
    let too_large: Vec<_> = measured.processes.iter().filter(|it| it.exceeds()).collect();
    if too_large.is_empty() {
        return Ok(());
    }
    let named: Vec<_> =
        too_large.iter().map(|it| format!("{} ({})", it.name, mib(it.peak_bytes))).collect();
    bail!("these processes used more than {} of memory: {}", mib(BOUND), named.join(", "))
}

/// Checks that the disk has enough free space.
fn room(folder: &Path, bytes: u64) -> anyhow::Result<()> {
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = bytes.saturating_mul(COPIES);
    ensure!(
        free >= needed,
        "{} has {} of free space, and the run needs {}: choose another --dir, or a smaller --gib",
        folder.display(),
        gib(free),
        gib(needed)
    );
    Ok(())
}

async fn measure(args: &LargeArgs, programs: &Programs, bytes: u64) -> anyhow::Result<Large> {
    let media = args.dir.join("media.bin");
    println!("writing {} of media", gib(bytes));
    let sha256 = content::write(&media, "epione soak large", bytes)?;
    let layout = Layout { storage: args.store, ..Layout::default() };
    let options = programs.network(&args.dir, HOSPITALS, layout);
    let network = Devnet::up(&options, &|step| println!("{step}")).await?;
    let mut measuring = Measuring {
        network: &network,
        client: Client::new(programs, network.directory()),
        store: args.store,
        bytes,
        steps: Vec::new(),
        processes: Vec::new(),
    };
    let measured = measuring.all(&media, &args.dir.join("read"), sha256).await;
    let ended = network.down();
    let measured = measured?;
    ended?;
    Ok(measured)
}

struct Measuring<'a> {
    network: &'a Devnet,
    client: Client,
    store: Storage,
    bytes: u64,
    steps: Vec<Step>,
    processes: Vec<Process>,
}

impl Measuring<'_> {
    async fn all(&mut self, media: &Path, out: &Path, sha256: String) -> anyhow::Result<Large> {
        let first = &self.network.state().hospitals[0];
        let practice = Practice::open(self.network.state(), first).await?;
        self.submit(&practice, media).await?;
        let acknowledged = Instant::now();
        let chain = practice.chain.clone();
        let segments = self.committed(&chain, acknowledged).await?;
        self.held_everywhere(&segments, acknowledged).await?;
        let damaged = damage(&first.store, &segments)?;
        println!("destroyed {damaged} segments at {}; reading repairs them", first.name);
        let read = self.read(&practice, out).await?;
        ensure!(
            content::sha256_of(&read)? == sha256,
            "the bytes that were read differ from those submitted"
        );
        println!("the bytes that were read are those submitted");
        self.whole(&segments)?;
        self.measure_processes();
        Ok(Large {
            hospitals: HOSPITALS,
            store: match self.store {
                Storage::Local => "folders",
                Storage::S3 => "an S3 server",
            },
            media_bytes: self.bytes,
            sha256,
            segments: segments.len(),
            steps: std::mem::take(&mut self.steps),
            processes: std::mem::take(&mut self.processes),
            bound_bytes: BOUND,
            damaged_segments: damaged,
        })
    }

    fn step(&mut self, what: &'static str, took: Duration) {
        let seconds = took.as_secs_f64();
        let mib_per_second = self.bytes as f64 / f64::from(1 << 20) / seconds;
        println!("{what}: {seconds:.1} s, {mib_per_second:.1} MiB/s");
        self.steps.push(Step { what, seconds, mib_per_second });
    }

    /// The longest that one step may take, on a slow disk.
    fn patience(&self) -> Duration {
        Duration::from_secs(600 + self.bytes / (4 * 1024 * 1024))
    }

    async fn submit(&mut self, practice: &Practice, media: &Path) -> anyhow::Result<()> {
        let Ran { peak, took, .. } = self.client.submit(practice, media).await?;
        self.step("submitted and acknowledged", took);
        let name = "client: visit submit".into();
        self.processes.push(Process { name, peak_bytes: peak, bounded: true });
        Ok(())
    }

    async fn committed(&mut self, chain: &Chain, begun: Instant) -> anyhow::Result<Vec<Segment>> {
        let mut walk = Walk::default();
        while walk.height == 0 {
            ensure!(begun.elapsed() < self.patience(), "the visit was not committed in time");
            tokio::time::sleep(POLL).await;
            walk.go_on(chain).await?;
        }
        self.step("acknowledged to committed", begun.elapsed());
        Ok(walk.segments)
    }

    async fn held_everywhere(
        &mut self,
        segments: &[Segment],
        begun: Instant,
    ) -> anyhow::Result<()> {
        let has_all =
            |hospital: &HospitalState| segments.iter().all(|it| stores::has(&hospital.store, it));
        while !self.network.state().hospitals.iter().all(has_all) {
            ensure!(
                begun.elapsed() < self.patience(),
                "not every hospital received every segment in time"
            );
            tokio::time::sleep(POLL).await;
        }
        self.step("acknowledged to stored by every hospital", begun.elapsed());
        Ok(())
    }

    async fn read(&mut self, practice: &Practice, out: &Path) -> anyhow::Result<PathBuf> {
        let (patient, folder) = (practice.patient.to_string(), out.display().to_string());
        let arguments = [
            "records",
            "get",
            "--as",
            &practice.uri,
            "--patient",
            &patient,
            "--all",
            "--out",
            &folder,
        ];
        let Ran { answer, peak, took } = self.client.run(&arguments).await?;
        self.step("read back, with repairs", took);
        let name = "client: records get".into();
        self.processes.push(Process { name, peak_bytes: peak, bounded: true });
        let record = &answer["records"][0];
        let (directory, sections) = (&record["directory"], &record["sections"]);
        let file = sections
            .as_array()
            .and_then(|all| all.iter().find_map(|it| it["file"]["name"].as_str()));
        match (directory.as_str(), file) {
            (Some(directory), Some(file)) => Ok(Path::new(directory).join(file)),
            _ => bail!("the client's output does not name the file with the media: {answer}"),
        }
    }

    /// Verifies every copy of every segment.
    fn whole(&self, segments: &[Segment]) -> anyhow::Result<()> {
        for hospital in &self.network.state().hospitals {
            let missing = stores::missing(&hospital.store, segments).len();
            ensure!(missing == 0, "{missing} segments are missing or damaged at {}", hospital.name);
        }
        println!("every hospital has every segment, undamaged");
        Ok(())
    }

    fn measure_processes(&mut self) {
        for hospital in &self.network.state().hospitals {
            for (kind, process, bounded) in
                [("worker", &hospital.worker, true), ("node", &hospital.node, false)]
            {
                let peak = process.as_ref().and_then(|process| memory::peak(process.pid));
                let name = format!("{kind} of {}", hospital.name);
                // A process that has ended has no peak any more: count that as exceeding the bound.
                let peak_bytes = peak.unwrap_or(u64::MAX);
                self.processes.push(Process { name, peak_bytes, bounded });
            }
        }
    }
}

/// Destroys some of a store's segments: deletes the first ones, flips a bit in the last ones.
fn damage(store: &Path, segments: &[Segment]) -> anyhow::Result<usize> {
    let (deleted, rest) = segments.split_at(DAMAGED.min(segments.len() / 2));
    let flipped = &rest[rest.len() - DAMAGED.min(rest.len())..];
    deleted.iter().try_for_each(|segment| stores::destroy(store, segment, Damage::Deleted))?;
    flipped.iter().try_for_each(|segment| stores::destroy(store, segment, Damage::BitFlipped))?;
    Ok(deleted.len() + flipped.len())
}

impl Large {
    fn table(&self) -> Table {
        let size = gib(self.media_bytes);
        let title = format!("{size} of media through four hospitals, on {}", self.store);
        let mut table = Table::new(&title, &["step or process", "time", "rate", "peak resident"]);
        for Step { what, seconds, mib_per_second } in &self.steps {
            let (time, rate) = (format!("{seconds:.1} s"), format!("{mib_per_second:.1} MiB/s"));
            table.row([(*what).to_owned(), time, rate, String::new()]);
        }
        for process in &self.processes {
            let peak = mib(process.peak_bytes);
            table.row([process.name.clone(), String::new(), String::new(), peak]);
        }
        let Self { segments, damaged_segments, sha256, .. } = self;
        table.note(format!(
            "{segments} segments. {damaged_segments} of them were destroyed at the hospital that \
             served the reader and repaired from other hospitals. At the end, every hospital had \
             every segment undamaged."
        ));
        table.note(format!("SHA-256 before and after: `{sha256}`."));
        let bound = mib(self.bound_bytes);
        table.note(if self.processes.iter().any(Process::exceeds) {
            format!("**A worker or a client exceeded the bound of {bound}.**")
        } else {
            format!("Every worker and client stayed within the bound of {bound}.")
        });
        let nodes = || self.processes.iter().filter(|process| !process.bounded);
        if nodes().any(|node| node.peak_bytes > self.bound_bytes) {
            table.note(format!(
                "The bound does not apply to nodes; at least one node had more than {bound}."
            ));
        }
        table
    }
}
