//! `epione opening`: sections that the hospitals open together for a requester, while the patient and the hospital of
//! the record are away.

mod ask;
mod list;

pub use ask::{AskArgs, Asked, ask};
pub(in crate::commands) use list::described;
pub use list::{Described, HandedOutPart, ListArgs, Listing, ShowArgs, list, show};

use clap::Subcommand;

use crate::{context::Context, failure::Failure, show as print};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Asks the hospitals to open sections that a patient shares by a standing consent
    ///
    /// The chain decides at once, and shows everybody that you asked for these records of this patient, and for what
    /// purpose. Then the hospitals hand out their parts for ten minutes, sealed to your sealing key: read the records
    /// with the command that is printed. If no consent includes you, the command says what each one requires.
    Ask(AskArgs),
    /// Lists what the hospitals opened of a patient's records, or for you, newest first
    List(ListArgs),
    /// Shows an opening, and which hospitals handed out their parts
    Show(ShowArgs),
}

impl Command {
    /// The help that is printed when a signal ends the command. `again` is the same command.
    pub(super) fn when_interrupted(&self, again: &str) -> String {
        match self {
            Self::List(_) | Self::Show(_) => {
                format!("nothing was changed; to try again, run: {again}")
            }
            Self::Ask(_) => {
                "the chain may still execute the call, if it was sent already: list your openings before you ask again \
                 (epione opening list --help)"
                    .into()
            }
        }
    }

    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Ask(args) => print(&ask(args, context).await?, json),
            Self::List(args) => print(&list(args, context).await?, json),
            Self::Show(args) => print(&show(args, context).await?, json),
        }
    }
}
