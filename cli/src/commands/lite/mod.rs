//! `epione lite`: the chain of lite blocks in a file of one's own, to verify, list and search without a node.

mod search;
mod status;
mod sync;
mod verify;

pub use search::{Listing, SearchArgs};
pub use status::Shown;
pub use sync::{Copied, SyncArgs};
pub use verify::{Verified, VerifyArgs};

use std::{
    fmt::Display,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use epione_client::{lite::LiteError, private};

use crate::{
    context::Context,
    failure::Failure,
    home::{self, Kind},
    progress::Step,
    show,
};

/// Name of the file if none is given.
const NAME: &str = "lite.sqlite";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copies the lite blocks that the file lacks from any node, and checks each before it is stored
    ///
    /// The file contains the header, the entries, the links and the approvals of every lite block. With --as, it also
    /// contains the patient's own sealed records, and with --saved the sealed records that earlier reads opened. All
    /// of that stays encrypted. If the command ends early, rerun it: it continues.
    Sync(SyncArgs),
    /// Verifies every lite block in the file again, and compares the newest one with the chain
    Verify(VerifyArgs),
    /// Lists and searches the sections that you may read, without a node
    ///
    /// The descriptions of sections are opened with your key, or taken from the folders in which `epione records get`
    /// saved them. Nothing is stored.
    Search(SearchArgs),
    /// Shows up to which block the file is complete, its size and its age
    Status(FileArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Sync(args) => show(&sync::copied(args, context).await?, json),
            Self::Verify(args) => show(&verify::verified(args, context).await?, json),
            Self::Search(args) => show(&search::listing(args, context).await?, json),
            Self::Status(args) => show(&status::shown(args, context)?, json),
        }
    }
}

#[derive(Args, Clone, Debug)]
pub struct FileArgs {
    /// The file with the lite blocks [default: lite.sqlite in the data of the devnet, or in ~/.local/state/epione]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl FileArgs {
    fn path(&self, context: &Context) -> Result<PathBuf, Failure> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let folder = match &context.common().devnet {
            Some(devnet) => Some(devnet.join("data")),
            None => home::folder(Kind::State),
        };
        let folder = folder.ok_or_else(|| {
            Failure::usage("there is no home folder for the file", "give a file with --file FILE")
        })?;
        Ok(folder.join(NAME))
    }

    /// The path, after its folder was made if it is the usual one and there is none yet.
    fn prepared(&self, context: &Context) -> Result<PathBuf, Failure> {
        let path = self.path(context)?;
        let Some(folder) = path.parent().filter(|_| self.file.is_none()) else { return Ok(path) };
        if !folder.exists() {
            private::folder(folder).map_err(|error| Failure::file(folder, &error))?;
        }
        Ok(path)
    }
}

/// A step whose words say how far it has come. They do not change more often than people can read.
struct Counter {
    step: Step,
    changed: Instant,
}

impl Counter {
    /// Time between two changes of the words.
    const EVERY: Duration = Duration::from_secs(3);

    fn new(step: Step) -> Self {
        Self { step, changed: Instant::now() }
    }

    fn reached(&mut self, what: &str, done: impl Display, all: impl Display) {
        if self.changed.elapsed() >= Self::EVERY {
            self.step.becomes(format!("{what} {done} of {all}"));
            self.changed = Instant::now();
        }
    }

    fn end(&self) {
        self.step.finish_and_clear();
    }
}

/// Runs work that blocks in a thread of its own, so that waits are shown meanwhile.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LiteError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Failure::new(error.to_string(), "this is a bug: report it")),
    }
}
