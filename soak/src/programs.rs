//! Finding the programs of a run.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{anyhow, ensure};
use epione_devnet::{Binaries, Layout, Options};

/// The network's programs, and the client.
#[derive(Clone, Debug)]
pub struct Programs {
    pub binaries: Binaries,
    pub epione: PathBuf,
}

impl Programs {
    /// Looks for them in `folder` if given; otherwise in the folder of this program, then along PATH.
    pub fn find(folder: Option<&Path>) -> anyhow::Result<Self> {
        let binaries = Binaries::find(folder).map_err(|error| {
            anyhow!("{error}: build it (`make build-soak`), or name its folder with --bin-dir")
        })?;
        // Of the same build as the worker.
        let epione = binaries.worker.with_file_name("epione");
        ensure!(epione.is_file(), "{} does not exist: build it (`make build`)", epione.display());
        Ok(Self { binaries, epione })
    }

    /// A network of these programs in a folder of a run's folder, whose workers collect visits for a second.
    pub fn network(&self, run: &Path, hospitals: u16, layout: Layout) -> Options {
        Options {
            directory: run.join("devnet"),
            hospitals,
            base_port: None,
            binaries: self.binaries.clone(),
            pack_millis: 1_000,
            layout,
        }
    }
}

/// Whether a program of the system is along PATH.
pub fn along_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
