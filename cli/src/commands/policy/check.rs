use std::{fmt, path::PathBuf};

use clap::Args;
use epione_policies::language::{self, PolicyType, sentence};
use epione_primitives::access::Policy;
use serde::Serialize;

use super::source::PolicyFile;
use crate::{context::Output, failure::Failure};

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

/// A policy in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gloss {
    pub name: String,
    #[serde(rename = "type")]
    pub policy_type: PolicyType,
    /// What it says, in one sentence.
    pub gloss: String,
}

impl From<&Policy> for Gloss {
    fn from(policy: &Policy) -> Self {
        Self {
            name: sentence::name(policy),
            policy_type: sentence::policy_type(policy),
            gloss: sentence::policy(policy),
        }
    }
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
    let policies = PolicyFile::read(&args.file)?.compile(language::now())?;
    Ok(Checked { file: args.file.clone(), policies: policies.iter().map(Gloss::from).collect() })
}
