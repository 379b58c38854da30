//! Shows the main use of Epione as a story, on a new network of four hospitals: a visit that doctor and patient sign is
//! approved, committed and read back; a doctor without relationship is refused; a damaged segment is repaired. A
//! researcher asks the patient, whose phone shows the query; the patient accepts a part, which nobody else collects.
//! The patient shares sections with researchers, and later with insurers for a limited time, without a change of the
//! record. A referral gives access for a limited time; emergency access is shown to the patient and reviewed by the
//! other hospitals; access that the patient revokes ends at the next final block. Keys are replaced, the hospital
//! confirms the new ones, and the records stay readable. An auditor verifies the evidence of the query without a
//! network. Meanwhile the hospitals' workers have made a key, of which each has a share. The council removes a hospital,
//! and the others renew their shares without it. In the end, the hospital of the record is killed, and the two others
//! open a section together that was shared before, for a researcher with the right attribute.
//!
//! Every claim of the story is checked when it is printed. The first claim that is false ends the demo with exit status
//! 1. The results are written to `report.json`.

mod input;
mod program;
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
use epione_devnet::{
    Binaries, Devnet, DevnetError, Layout, Options, Storage, down, write_atomically,
};

use crate::{failure::Failure, interrupt, progress};

use program::Program;
pub use report::DemoReport;
use story::Story;

/// Number of hospitals.
const HOSPITALS: u16 = 4;
/// Each block has a single visit, so the worker need not wait for more.
const PACK_MILLIS: u64 = 500;

/// Shows the main use of Epione on a network of four hospitals, step by step
#[derive(Debug, Parser)]
#[command(name = "epione-demo", version, max_term_width = 100)]
pub struct Args {
    /// Folder of the demo; the files of an earlier demo in it are replaced
    #[arg(long = "out", value_name = "DIR", default_value = "target/demo")]
    pub dir: PathBuf,
    /// Folder of real DICOM files; without them, the project's own phantoms are used
    #[arg(long, value_name = "DIR", default_value = "target/samples")]
    pub samples: PathBuf,
    /// Where the hospitals store segments
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub store: Storage,
    /// Folder of the other programs of this build [default: the folder of this program, then PATH]
    #[arg(long, value_name = "DIR", env = "EPIONE_BIN_DIR")]
    pub bin_dir: Option<PathBuf>,
}

/// Runs the demo; prints the failure, if there is one.
#[tokio::main]
pub async fn run(args: &Args) -> ExitCode {
    match demonstrate(args).await {
        Ok(report) => {
            println!("\nAll checks passed. The report is {}", report.display());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            progress::line(&format!("\n{failure}"));
            ExitCode::FAILURE
        }
    }
}

async fn demonstrate(args: &Args) -> Result<PathBuf, Failure> {
    let mut stop = pin!(interrupt::signalled());
    let network_directory = args.dir.join("devnet");
    let program = Program::find(args.bin_dir.as_deref())?;
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
    story.chapter("Four hospitals start, each with a node and a worker");
    let say = |step: &str| println!("    {step}");
    let mut network = tokio::select! {
        network = Devnet::up(&options, &say) => network?,
        _ = &mut stop => return Err(interruption()),
    };
    let outcome = tokio::select! {
        outcome = story.tell(args, &mut network, &program) => outcome,
        _ = &mut stop => Err(interruption()),
    };
    println!("\nStopping the network");
    let end = network.down();
    let report = outcome?;
    end?;
    let path = args.dir.join("report.json");
    write_atomically(&path, &report.to_json()).map_err(|error| Failure::file(&path, &error))?;
    Ok(path)
}

fn interruption() -> Failure {
    Failure::new("interrupted", "the network is stopped; run the demo again")
}

/// Removes the files and processes of an earlier demo, even of one that was killed.
fn prepare(directory: &Path, network: &Path) -> Result<(), Failure> {
    match down(network) {
        Ok(()) => println!("The network of an earlier demo was still there; it is now stopped."),
        Err(DevnetError::Absent { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    for left in ["report.json", "keys", "input", "read", "phone", "auditor", "operator"] {
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
