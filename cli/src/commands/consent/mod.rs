//! `epione consent`: whom a patient lets read the sections in a slot, for what, and until when.

mod audience;
mod choosing;
mod exchange;
mod give;
mod giving;
mod list;
mod shown;
mod whose;
mod withdraw;

pub use audience::{AttributeAt, AudienceArgs};
pub use exchange::{ExportArgs, Format, ImportArgs, Resource, export, import};
pub(in crate::commands) use give::slot;
pub use give::{GiveArgs, SlotArgs, give};
pub use giving::{Given, Skipped};
pub use list::{Consents, HistoryArgs, ListArgs, OneConsent, ShowArgs, history, list, show};
pub use shown::{Shown, Status};
pub(in crate::commands) use shown::{amount, changing, in_slot, names};
pub use whose::Whose;
pub use withdraw::{WithdrawArgs, Withdrawn, withdraw};

use clap::Subcommand;

use crate::{context::Context, failure::Failure, show as print};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists a patient's consents: the newest of each slot
    List(ListArgs),
    /// Shows the consent of a slot, and how much is in the slot
    Show(ShowArgs),
    /// Lets those whom you name read the sections in a slot, for the purposes and until the time that you name
    ///
    /// Every --user is one alternative. The hospitals, roles and attributes together are one more: all of them must
    /// hold, unless you add --any-of or --at-least. With --kind, the command opens your records with your own key, and
    /// places the sections of these kinds. What you sign is shown first. If the command is interrupted, run it again:
    /// it goes on with what is missing. To change who may read everything in a slot, give the slot a new consent.
    Give(Box<GiveArgs>),
    /// Ends the consent of a slot before its time. What somebody has read, they may keep
    Withdraw(WithdrawArgs),
    /// Lists the versions of a slot's consent, newest first
    History(HistoryArgs),
    /// Prints the consent of a slot as a resource of HL7 FHIR R4
    Export(ExportArgs),
    /// Gives the consent that a resource of HL7 FHIR R4 describes
    Import(ImportArgs),
}

impl Command {
    /// The help that is printed when a signal ends the command. `again` is the same command.
    pub(super) fn when_interrupted(&self, again: &str) -> String {
        match self {
            Self::List(_) | Self::Show(_) | Self::History(_) | Self::Export(_) => {
                format!("nothing was changed; to try again, run: {again}")
            }
            Self::Give(_) | Self::Import(_) | Self::Withdraw(_) => format!(
                "the chain may still execute a call that was already sent; to go on with what is missing, run: {again}"
            ),
        }
    }

    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::List(args) => print(&list(args, context).await?, json),
            Self::Show(args) => print(&show(args, context).await?, json),
            Self::Give(args) => print(&give(args, context).await?, json),
            Self::Withdraw(args) => print(&withdraw(args, context).await?, json),
            Self::History(args) => print(&history(args, context).await?, json),
            Self::Export(args) => print(&export(args, context).await?, json),
            Self::Import(args) => print(&import(args, context).await?, json),
        }
    }
}
