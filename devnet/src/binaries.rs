//! Finding the programs of a network.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::DevnetError;

/// The programs that a network runs. Only a network that stores segments on S3 needs the S3 server.
#[derive(Clone, Debug)]
pub struct Binaries {
    pub node: PathBuf,
    pub worker: PathBuf,
    pub s3_server: Option<PathBuf>,
}

impl Binaries {
    /// Looks for them in `directory` if given; otherwise in the folder of this program, then along PATH.
    pub fn find(directory: Option<&Path>) -> Result<Self, DevnetError> {
        let folders = folders(directory);
        Ok(Self {
            node: find("epione-node", &folders)?,
            worker: find("epione-worker", &folders)?,
            s3_server: find("epione-s3-server", &folders).ok(),
        })
    }

    /// Looks for the worker alone, in the same places: the machine of a hospital's worker may have no node.
    pub fn find_worker(directory: Option<&Path>) -> Result<PathBuf, DevnetError> {
        find("epione-worker", &folders(directory))
    }
}

/// Where programs are looked for.
fn folders(directory: Option<&Path>) -> Vec<PathBuf> {
    match directory {
        Some(directory) => vec![directory.to_path_buf()],
        None => around_us().into_iter().chain(along_path()).collect(),
    }
}

fn find(name: &'static str, folders: &[PathBuf]) -> Result<PathBuf, DevnetError> {
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or(DevnetError::NoProgram { name })
}

/// The folder of this program, and the folder above it: cargo puts a test one folder below the programs.
fn around_us() -> Vec<PathBuf> {
    let Ok(program) = env::current_exe() else { return Vec::new() };
    program.ancestors().skip(1).take(2).map(Path::to_path_buf).collect()
}

fn along_path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}
