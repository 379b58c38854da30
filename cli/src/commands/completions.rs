//! `epione completions`: scripts with which a shell completes this program's arguments.

use std::fmt;

use clap::{Args, CommandFactory, ValueEnum};
use serde::Serialize;

use crate::{Cli, context::Output, failure::Failure};

/// The supported shells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// source <(epione completions bash)
    Bash,
    /// epione completions zsh > _epione, in a folder of your fpath
    Zsh,
    /// epione completions fish > ~/.config/fish/completions/epione.fish
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell for which to print the script
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The completion script of a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Completions {
    pub script: String,
}

impl Output for Completions {}

impl fmt::Display for Completions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.script)
    }
}

/// Writes the script.
pub fn completions(args: &CompletionsArgs) -> Result<Completions, Failure> {
    let mut script = Vec::new();
    let shell = clap_complete::Shell::from(args.shell);
    clap_complete::generate(shell, &mut Cli::command(), "epione", &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| Failure::new(error.to_string(), "this is a bug: report it"))?;
    Ok(Completions { script })
}
