//! Simulates announcement, dissemination, approval and finality in networks of 30 to 10,000 hospitals: flat as the
//! system is, with custody by k of n, and in regions. Writes what each costs a hospital, and where it ends and why.

mod assumptions;
mod chain;
mod check;
mod design;
mod draw;
mod engine;
mod links;
// The stamp of the results is the one of the long runs. A crate would bring their dependencies, which are the network.
#[path = "../../soak/src/machine.rs"]
mod machine;
mod markdown;
mod plot;
mod random;
mod report;
mod study;
mod swarm;
mod workload;

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Parser;

use crate::{machine::Stamp, study::Study};

/// Simulates networks of hospitals, and writes scale.json, scale.md and plots.
#[derive(Parser, Debug)]
struct Arguments {
    /// Numbers of hospitals, ascending
    #[arg(long, value_delimiter = ',', default_value = "30,100,300,1000,3000,10000",
        value_parser = clap::value_parser!(u32).range(8..=10_000))]
    hospitals: Vec<u32>,
    /// Seed of the visits and the draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder with the results of the long runs, where the results are written
    #[arg(long, value_name = "DIR", default_value = "benchmarks/results")]
    results: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Arguments { hospitals, seed, results } = &arguments;
    let read = |name: &str| {
        let path = results.join(name);
        fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}: run this program in the repository's folder", path.display())
        })
    };
    let checks = check::all(&read("links.json")?, &read("hostile.json")?)?;
    let sizes: Vec<usize> = hospitals.iter().map(|count| *count as usize).collect();
    let list = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let stamp = Stamp::take(format!("epione-simulation --hospitals {list} --seed {seed}"));
    let study = Study::run(&sizes, *seed, checks, &|line| println!("{line}"));
    for path in report::write(results, &stamp, &study)? {
        println!("{}", path.display());
    }
    Ok(())
}
