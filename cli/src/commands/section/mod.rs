//! `epione section`: which sections are in a patient's slots, and the log of what all patients share.

mod history;
mod list;
mod share;

pub use history::{ChangeShown, HistoryArgs, Log, history};
pub use list::{ListArgs, Listing, list};
pub use share::{SectionArgs, ShareArgs, Shared, share, unshare};

use clap::Subcommand;

use crate::{context::Context, failure::Failure, show as print};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Places sections of your records in a slot: the consent of the slot shares them
    ///
    /// No record changes, and no key. If a consent of the slot is in force, the command first shows who may read the
    /// sections then, and asks you to confirm. If no consent of the slot is in force, nobody may read the sections by
    /// it; the next consent of the slot shares them.
    Share(ShareArgs),
    /// Takes sections of your records out of a slot, from the next finalized block on. What somebody has read, they may
    /// keep
    Unshare(SectionArgs),
    /// Lists all sections in a slot
    List(ListArgs),
    /// Lists the changes of what patients share, after it has verified that none is missing
    ///
    /// Each change names the hash of the one before it, and the chain's state names the last. So the command notices a
    /// node that leaves out, alters or adds a change.
    History(HistoryArgs),
}

impl Command {
    /// The help that is printed when a signal ends the command. `again` is the same command.
    pub(super) fn when_interrupted(&self, again: &str) -> String {
        match self {
            Self::List(_) | Self::History(_) => {
                format!("nothing was changed; to try again, run: {again}")
            }
            Self::Share(_) | Self::Unshare(_) => format!(
                "the chain may still execute a call that was already sent; to go on with what is missing, run: {again}"
            ),
        }
    }

    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Share(args) => print(&share(args, context).await?, json),
            Self::Unshare(args) => print(&unshare(args, context).await?, json),
            Self::List(args) => print(&list(args, context).await?, json),
            Self::History(args) => print(&history(args, context).await?, json),
        }
    }
}
