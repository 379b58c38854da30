//! The main job told as a story, on a fresh network of four hospitals: a visit that doctor and patient
//! sign is approved, committed and read back; a stranger is refused; a damaged segment harms nobody. A
//! referral opens the records for a while, an emergency does before everybody's eyes, and what the
//! patient takes back is gone at the next final block. Keys change, and the records stay readable.
//!
//! Every claim of the story is checked while it is told. The first that does not hold ends it, with
//! an exit status that says so. What happened is left in `report.json`.

mod input;
mod report;
mod story;
mod watch;

use std::{
    fs, io,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
};

use clap::Parser;

use crate::{
    devnet::{self, Binaries, Devnet, DevnetError, Layout, Options, Storage, write_atomically},
    failure::Failure,
    interrupt,
};

pub use report::Report;
use story::Story;

/// Hospitals of the story.
const HOSPITALS: u16 = 4;
/// One visit is all that a block waits for here.
const PACK_MILLIS: u64 = 500;

/// The main job on a network of four hospitals, told step by step
#[derive(Debug, Parser)]
#[command(name = "epione-demo", version, max_term_width = 100)]
pub struct Args {
    /// Folder of the demo; what an earlier demo left in it is replaced
    #[arg(long = "out", value_name = "DIR", default_value = "target/demo")]
    pub dir: PathBuf,
    /// Folder of real DICOM files; the project's own phantoms are used if it lacks them
    #[arg(long, value_name = "DIR", default_value = "target/samples")]
    pub samples: PathBuf,
    /// Where the hospitals keep segments
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub store: Storage,
    /// Folder of epione-node, epione-worker and epione-s3-server [default: beside this program, then PATH]
    #[arg(long, value_name = "DIR", env = "EPIONE_BIN_DIR")]
    pub bin_dir: Option<PathBuf>,
}

/// Runs the demo; prints what failed, if anything did.
#[tokio::main]
pub async fn run(args: &Args) -> ExitCode {
    match demonstrate(args).await {
        Ok(report) => {
            println!("\nEvery check holds. The report is {}", report.display());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn demonstrate(args: &Args) -> Result<PathBuf, Failure> {
    let mut stop = pin!(interrupt::signalled());
    let network_directory = args.dir.join("devnet");
    prepare(&args.dir, &network_directory)?;
    let options = Options {
        directory: network_directory,
        hospitals: HOSPITALS,
        base_port: None,
        binaries: Binaries::find(args.bin_dir.as_deref())?,
        pack_millis: PACK_MILLIS,
        layout: Layout { storage: args.store, ..Layout::default() },
    };
    let mut story = Story::begin();
    story.chapter("Four hospitals come up, each with a node and a worker");
    let say = |step: &str| println!("    {step}");
    let network = tokio::select! {
        network = Devnet::up(&options, &say) => network?,
        _ = &mut stop => return Err(interruption()),
    };
    let outcome = tokio::select! {
        outcome = story.tell(args, &network) => outcome,
        _ = &mut stop => Err(interruption()),
    };
    println!("\nTaking the network down");
    let end = network.down();
    let report = outcome?;
    end?;
    let path = args.dir.join("report.json");
    write_atomically(&path, &report.to_json()).map_err(|error| Failure::file(&path, &error))?;
    Ok(path)
}

fn interruption() -> Failure {
    Failure::new("interrupted", "run it again; nothing is left behind")
}

/// Removes what an earlier demo left, even one that was killed.
fn prepare(directory: &Path, network: &Path) -> Result<(), Failure> {
    match devnet::down(network) {
        Ok(()) => println!("An earlier demo was not taken down; it is now."),
        Err(DevnetError::Absent { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    for left in ["report.json", "keys", "input", "read"] {
        let path = directory.join(left);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::file(&path, &error));
            }
            _ => {}
        }
    }
    fs::create_dir_all(directory.join("keys"))
        .map_err(|error| Failure::file(&directory.join("keys"), &error))
}
