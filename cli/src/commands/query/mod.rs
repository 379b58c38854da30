//! `epione query`: a requester asks a patient for sections of records, and the patient answers.

mod accept;
mod answer;
mod ask;
mod collect;
mod list;
mod mailbox;
pub(in crate::commands) mod part;
mod show;
mod statement;

pub(in crate::commands) use accept::time;
pub use accept::{AcceptArgs, Accepted, AcceptedBefore, NewlyAccepted, accept};
pub use answer::{AnswerArgs, Answered, refuse, withdraw};
pub(in crate::commands) use ask::asking_hospital;
pub use ask::{AskArgs, Asked, ask};
pub use collect::{CollectArgs, Collected, collect};
pub(in crate::commands) use list::described;
pub use list::{InboxArgs, Listing, SentArgs, inbox, sent};
pub use part::Part;
pub use show::{Described, ShowArgs, Shown};
pub use statement::Statement;

use clap::Subcommand;
use epione_client::{
    query::QueryError,
    reader::{QueryFault, ReadError},
};
use epione_primitives::QueryId;

use crate::{context::Context, failure::Failure, identity::KeySource, show as print};

/// What to do about an end that the chain does not permit.
pub(crate) const OTHER_END: &str =
    "choose another end with --until or --for; nothing was signed, nothing was sent";

/// The failure of a command about a query, with complete commands for this user.
fn explained(
    error: QueryError,
    query: QueryId,
    signer: Option<&KeySource>,
    context: &Context,
) -> Failure {
    let list = |verb| {
        let list = context.command(["query", verb]);
        match signer {
            Some(signer) => list.with(["--as"]).with([signer]),
            None => list.with(["--help"]),
        }
    };
    let show = || context.command(["query", "show"]).with([query.to_string()]);
    let is_refused = |error: &QueryError, names: &[&str]| match error {
        QueryError::Submit(error) => error
            .dispatch()
            .is_some_and(|failure| names.iter().any(|name| failure.is("Queries", name))),
        _ => false,
    };
    match error {
        QueryError::Read(ReadError::Query(
            QueryFault::Unknown(_) | QueryFault::NotRequester { .. },
        ))
        | QueryError::NotPatient { .. } => {
            Failure::from(error).with_command(list("inbox")).with_command(list("sent"))
        }
        QueryError::Answered { .. } | QueryError::Expired(_) => {
            Failure::from(error).with_command(show())
        }
        error if is_refused(&error, &["NotParty", "NotPatient"]) => {
            Failure::from(error).with_command(list("inbox")).with_command(list("sent"))
        }
        error if is_refused(&error, &["NotPending", "NotAccepted", "Expired"]) => {
            Failure::from(error).with_command(show())
        }
        error => error.into(),
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Asks a patient for sections of their records
    ///
    /// The chain shows everybody that you ask this patient, for which records and for what purpose. Your terms are
    /// sealed to the patient. The patient decides alone: no hospital's policies and no hospital's consent are needed.
    Ask(AskArgs),
    /// Lists the queries that wait for your answer, as a patient, newest first
    Inbox(InboxArgs),
    /// Lists what you asked, newest first
    Sent(SentArgs),
    /// Shows a query and its answer; to its patient also the terms, and what the sections are
    ///
    /// To a representative of the patient, it shows what the sections are, after the hospital of the records has
    /// granted access to them: the patient sees the receipt.
    Show(ShowArgs),
    /// Accepts a query: the requester can read the sections that you name, until the time that you name
    ///
    /// Your client seals the keys of exactly these sections to the requester, and leaves them at a hospital, whose
    /// worker cannot read them, when the chain has your acceptance. What you sign is shown first. If the command is
    /// interrupted, run it again. You can withdraw it later; what the requester has read by
    /// then, they may keep.
    ///
    /// A representative of the patient accepts in the patient's name. The client then requests the keys from the
    /// hospital of the records, and the patient sees the receipt. The requester's terms stay sealed to the patient.
    Accept(AcceptArgs),
    /// Refuses a query
    Refuse(AnswerArgs),
    /// Takes back your query before the answer, or ends your acceptance of somebody's query
    ///
    /// After a query expired without an answer, both sides can withdraw it. Then the chain stores its sealed terms no
    /// longer.
    Withdraw(AnswerArgs),
    /// Collects what the patient accepted to show: verifies, decrypts and saves it
    Collect(CollectArgs),
}

impl Command {
    /// The help that is printed when a signal ends the command. `again` is the same command.
    pub(super) fn when_interrupted(&self, again: &str) -> String {
        match self {
            Self::Inbox(args) if args.watch => format!("to watch again, run: {again}"),
            Self::Inbox(_) | Self::Sent(_) | Self::Show(_) => {
                format!("nothing was changed; to try again, run: {again}")
            }
            Self::Collect(args) => {
                let out = args.out.display();
                format!("the data read so far is saved in {out}; to resume, run: {again}")
            }
            Self::Ask(_) => {
                "the chain may still execute the call, if it was sent already: list your queries before you ask again \
                 (epione query sent --help)"
                    .into()
            }
            Self::Accept(_) | Self::Refuse(_) | Self::Withdraw(_) => format!(
                "the chain may still execute a call that was already sent, but never twice; to make sure that it is \
                 executed, run: {again}"
            ),
        }
    }

    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Ask(args) => print(&ask(args, context).await?, json),
            Self::Inbox(args) => list::run_inbox(args, context).await,
            Self::Sent(args) => print(&sent(args, context).await?, json),
            Self::Show(args) => show::run(args, context).await,
            Self::Accept(args) => print(&accept(args, context).await?, json),
            Self::Refuse(args) => print(&refuse(args, context).await?, json),
            Self::Withdraw(args) => print(&withdraw(args, context).await?, json),
            Self::Collect(args) => print(&collect(args, context).await?, json),
        }
    }
}
