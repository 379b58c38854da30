use std::{fmt, path::PathBuf};

use clap::Args;
use serde::Serialize;

use crate::{
    context::Output,
    failure::Failure,
    policy::{self, Source, gloss::Gloss},
};

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Policy file (TOML); - for standard input
    pub file: PathBuf,
}

/// A file without mistakes, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    pub file: PathBuf,
    pub policies: Vec<Gloss>,
}

impl Output for Checked {}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.policies.len();
        let noun = if number == 1 { "policy" } else { "policies" };
        writeln!(f, "{}: {number} {noun}, no mistakes", self.file.display())?;
        for policy in &self.policies {
            writeln!(f, "  {}: {}", policy.name, policy.gloss)?;
        }
        Ok(())
    }
}

/// Compiles a file by this machine's clock.
pub fn check(args: &CheckArgs) -> Result<Checked, Failure> {
    let policies = Source::read(&args.file)?.compile(policy::now())?;
    Ok(Checked { file: args.file.clone(), policies: policies.iter().map(Gloss::from).collect() })
}
