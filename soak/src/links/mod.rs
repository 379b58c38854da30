//! Measures how long a block takes over narrow links, and how much the announcer sends.
//!
//! Each worker is behind a link of the same width, shaped in both directions; nodes are at the bridge, unshaped. The
//! doctor is in the announcer's network: submitting the visit does not use the announcer's link. All times are compared
//! with the time that one link takes for the block's bytes: no announcer can be faster than that.

mod measure;

use std::path::{Path, PathBuf};

use clap::Args;
use epione_devnet::MAX_HOSPITALS;
use serde::Serialize;

use crate::{
    folder,
    machine::Stamp,
    namespaces,
    programs::Programs,
    results::{self, Table, mib},
    topology::{CONGESTION_CONTROL, Width},
};

/// The most time that sixteen hospitals should need, in times of one link.
const GOAL: f64 = 1.5;

#[derive(Args, Clone, Debug)]
pub struct LinksArgs {
    /// Sizes of networks, measured one after the other
    #[arg(long, value_delimiter = ',', default_value = "4,8,16",
        value_parser = clap::value_parser!(u16).range(2..=i64::from(MAX_HOSPITALS)))]
    pub hospitals: Vec<u16>,
    /// Width of each link, in Mbit/s
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub mbit: u32,
    /// Size of the media, in MiB
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=6_144))]
    pub mib: u64,
    /// The most nodes of a network; further workers share these nodes [default: four for each core]
    #[arg(long)]
    pub nodes: Option<u16>,
    /// Folder to work in; emptied first
    #[arg(long, value_name = "DIR", default_value = "target/soak/links")]
    pub dir: PathBuf,
}

impl LinksArgs {
    fn width(&self) -> Width {
        Width { megabits: self.mbit }
    }

    fn nodes(&self) -> u16 {
        self.nodes.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            u16::try_from(4 * cores).unwrap_or(MAX_HOSPITALS)
        })
    }
}

/// The result.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Links {
    megabits_per_second: u32,
    congestion_control: &'static str,
    goal: f64,
    networks: Vec<Block>,
}

/// One block in one network. Times are in seconds, and until a best block has the change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    hospitals: u16,
    nodes: u16,
    pre_seeding: bool,
    block_bytes: u64,
    /// Seconds that one link takes for the block's bytes.
    one_link: f64,
    acknowledged_to_announced: f64,
    announced_to_committed: f64,
    acknowledged_to_committed: f64,
    acknowledged_to_held_by_all: f64,
    /// Everything that the announcer's worker sent over its link, from the acknowledgement until every hospital held
    /// all segments.
    announcer_sent_bytes: u64,
}

impl Block {
    fn in_links(&self, seconds: f64) -> f64 {
        seconds / self.one_link
    }

    fn sent_ratio(&self) -> f64 {
        self.announcer_sent_bytes as f64 / self.block_bytes as f64
    }

    /// How long a hospital waits, in times of one link. Without pre-seeding, the transfer begins with the announcement;
    /// with it, the transfer begins with the visit.
    fn ratio(&self) -> f64 {
        let waited = if self.pre_seeding {
            self.acknowledged_to_committed
        } else {
            self.announced_to_committed
        };
        self.in_links(waited)
    }
}

/// Runs it in separate namespaces, and writes its result.
pub async fn run(
    args: &LinksArgs,
    programs: &Programs,
    results: &Path,
    stamp: &Stamp,
) -> anyhow::Result<()> {
    if !namespaces::is_inside() {
        return Err(namespaces::enter());
    }
    folder::prepare(&args.dir)?;
    let mut networks = Vec::new();
    for &hospitals in &args.hospitals {
        for pre_seeding in [true, false] {
            println!(
                "{hospitals} hospitals, pre-seeding {}",
                if pre_seeding { "on" } else { "off" }
            );
            networks.push(measure::block(args, programs, hospitals, pre_seeding).await?);
            folder::clear(&args.dir);
        }
    }
    let measured = Links {
        megabits_per_second: args.mbit,
        congestion_control: CONGESTION_CONTROL,
        goal: GOAL,
        networks,
    };
    let path = results::write(results, "links", stamp, &measured, &measured.table())?;
    println!("the result is in {}", path.display());
    Ok(())
}

impl Links {
    fn table(&self) -> Table {
        let title = format!("A block over links of {} Mbit/s", self.megabits_per_second);
        let mut table = Table::new(
            &title,
            &[
                "hospitals",
                "nodes",
                "pre-seeding",
                "block",
                "one link",
                "announced to committed",
                "visit to committed",
                "visit to stored by all",
                "sent by the announcer",
            ],
        );
        for block in &self.networks {
            let times = |seconds| format!("{seconds:.1} s ({:.2})", block.in_links(seconds));
            table.row([
                block.hospitals.to_string(),
                block.nodes.to_string(),
                if block.pre_seeding { "on" } else { "off" }.into(),
                mib(block.block_bytes),
                format!("{:.1} s", block.one_link),
                times(block.announced_to_committed),
                times(block.acknowledged_to_committed),
                times(block.acknowledged_to_held_by_all),
                format!("{} ({:.2})", mib(block.announcer_sent_bytes), block.sent_ratio()),
            ]);
        }
        table.note(
            "In parentheses: the time divided by the time that one link needs for the block, and \
             the bytes divided by the block's bytes. A visit's time begins when the worker has \
             acknowledged it.",
        );
        table.note(
            "Committed: in a best block. By then, half of the hospitals other than the announcer have every segment \
             and have approved.",
        );
        table.note(
            "If there are fewer nodes than hospitals, the other workers share these nodes, and only hospitals with a \
             node are validators.",
        );
        table.note(format!("TCP's congestion control: {}.", self.congestion_control));
        for block in &self.networks {
            if f64::from(block.hospitals) >= 16.0 {
                let (ratio, word) =
                    (block.ratio(), if block.ratio() <= GOAL { "met" } else { "missed" });
                let seeding = if block.pre_seeding { "on" } else { "off" };
                table.note(format!(
                    "{} hospitals, pre-seeding {seeding}: {ratio:.2} times one link; the goal of {GOAL} is {word}.",
                    block.hospitals
                ));
            }
        }
        table
    }
}
