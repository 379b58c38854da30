//! `epione doctor`: runs `epione-worker doctor` on the machine of the hospital's worker. The worker's program has the
//! checks, because it has the configuration, the keystores and the storage; this command finds it and passes its own
//! options on.

use std::{path::PathBuf, process::ExitStatus};

use clap::Args;
use epione_devnet::{Binaries, DevnetError};
use tokio::process::Command;

use crate::{context::Context, failure::Failure};

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The worker's configuration file
    #[arg(long, value_name = "FILE", env = "EPIONE_WORKER_CONFIG")]
    pub config: PathBuf,
    /// Folder with the node's session keys (keystore/ in its chain's folder). Only the names of its files are read
    #[arg(long, value_name = "DIR")]
    pub keystore: Option<PathBuf>,
    /// The node's --base-path, to check its disk
    #[arg(long, value_name = "DIR")]
    pub node_data: Option<PathBuf>,
    /// Folder of epione-worker [default: the folder of this program, then PATH]
    #[arg(long, value_name = "DIR", env = "EPIONE_BIN_DIR")]
    pub bin_dir: Option<PathBuf>,
}

/// Runs the worker's program, which prints the report; returns whether it found no problem.
pub async fn doctor(args: &DoctorArgs, context: &Context) -> Result<bool, Failure> {
    let program = Binaries::find_worker(args.bin_dir.as_deref()).map_err(absent)?;
    let common = context.common();
    let mut command = Command::new(&program);
    command.arg("doctor").arg("--config").arg(&args.config).kill_on_drop(true);
    let paths = [("--keystore", &args.keystore), ("--node-data", &args.node_data)];
    for (option, path) in paths {
        if let Some(path) = path {
            command.arg(option).arg(path);
        }
    }
    if let Some(node) = &common.node {
        command.arg("--node").arg(node);
    }
    if let Some(genesis) = common.genesis {
        command.arg("--genesis").arg(format!("{genesis:?}"));
    }
    if common.json {
        command.arg("--json");
    }
    let status = command.status().await.map_err(|error| Failure::file(&program, &error))?;
    passed(status)
}

/// The machine may be another one than the worker's.
fn absent(error: DevnetError) -> Failure {
    Failure::new(
        error.to_string(),
        "run this on the machine of the hospital's worker, or name the folder of epione-worker with --bin-dir",
    )
}

/// The program ends with 0 if there is no problem, and with 1 if there is one, or if it could not begin. Its own text
/// says which.
fn passed(status: ExitStatus) -> Result<bool, Failure> {
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(Failure::new(
            format!("epione-worker did not end as expected ({status})"),
            "use epione and epione-worker of the same version",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_problem_is_no_failure_of_the_command_but_another_program_is() {
        let ended = |code: i32| passed(ExitStatus::from_raw(code << 8));
        assert_eq!(ended(0), Ok(true));
        assert_eq!(ended(1), Ok(false));
        assert!(ended(2).unwrap_err().help.contains("same version"));
        assert!(passed(ExitStatus::from_raw(9)).is_err());
    }
}
