//! The programs of a run, which are those of this build.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::bail;
use epione_devnet::Binaries;

/// Node, worker and client.
#[derive(Clone, Debug)]
pub struct Programs {
    pub binaries: Binaries,
    pub epione: PathBuf,
}

impl Programs {
    /// In `folder` if given; otherwise beside this program, then along PATH.
    pub fn find(folder: Option<&Path>) -> anyhow::Result<Self> {
        let binaries = Binaries::find(folder).map_err(|error| {
            anyhow::anyhow!(
                "{error}: build it (`make build-soak`), or name its folder with --bin-dir"
            )
        })?;
        let beside = binaries.worker.parent().map(|folder| folder.join("epione"));
        match beside.filter(|path| path.is_file()) {
            Some(epione) => Ok(Self { binaries, epione }),
            None => bail!("epione is not beside epione-worker: build it (`make build`)"),
        }
    }
}

/// Whether a program of the system can be started.
pub fn along_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
