//! The commands, one a file.

pub mod audit;
pub mod block;
pub mod completions;
pub mod devnet;
pub mod hospital;
pub mod keys;
pub mod name;
pub mod policy;
pub mod records;
pub mod relation;
pub mod user;
pub mod visit;

use clap::Subcommand;

use crate::{context::Context, failure::Failure, interrupt::this_command, show};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes and shows key files
    #[command(subcommand)]
    Keys(keys::Command),
    /// Registers patients, doctors, nurses, researchers and auditors; lists them; rotates keys
    #[command(subcommand)]
    User(user::Command),
    /// Keeps names of your own for users and hospitals, instead of their ids and numbers
    #[command(subcommand)]
    Name(name::Command),
    /// Relates a professional to a patient at a hospital
    Relate(relation::RelateArgs),
    /// Ends such a relationship
    Unrelate(relation::UnrelateArgs),
    /// Submits visits and shows how far they have come
    #[command(subcommand)]
    Visit(visit::Command),
    /// Lists and reads a patient's records
    #[command(subcommand)]
    Records(records::Command),
    /// Shows who looked at a patient's records, and reviews of emergencies
    #[command(subcommand)]
    Audit(audit::Command),
    /// Checks, sets and shows who may do what, and explains decisions
    #[command(subcommand)]
    Policy(policy::Command),
    /// Changes what the chain says of a hospital
    #[command(subcommand)]
    Hospital(hospital::Command),
    /// Shows and verifies committed blocks
    #[command(subcommand)]
    Block(block::Command),
    /// Runs a whole network on this machine, to try and to test
    #[command(subcommand)]
    Devnet(devnet::Command),
    /// Writes what a shell needs to complete these words
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// What to say when a signal ends the command before it is done; none if it says so itself, or ends so
    /// soon that there is nothing to say.
    pub(crate) fn when_interrupted(&self) -> Option<String> {
        let again = this_command();
        let reads = || Some(format!("nothing was changed; to look again, run: {again}"));
        let changes = || {
            Some(format!(
                "what was sent by then may still take effect; the chain does nothing twice, so to be sure, \
                 run the same command again: {again}"
            ))
        };
        match self {
            Self::Keys(_)
            | Self::Name(_)
            | Self::Completions(_)
            | Self::Devnet(devnet::Command::Up(_))
            | Self::Visit(visit::Command::Submit(_)) => None,
            Self::Records(records::Command::Get(args)) => Some(args.when_interrupted(&again)),
            Self::Devnet(devnet::Command::Down(_)) => {
                Some(format!("some of the network may still run; to end it, run: {again}"))
            }
            Self::User(user::Command::Consent(_))
            | Self::Visit(visit::Command::Status(_))
            | Self::Records(records::Command::List(_))
            | Self::Audit(audit::Command::WhoLooked(_) | audit::Command::Reviews(_))
            | Self::Policy(
                policy::Command::Check(_) | policy::Command::Show(_) | policy::Command::Explain(_),
            )
            | Self::Block(_)
            | Self::Devnet(devnet::Command::Status(_)) => reads(),
            Self::User(_)
            | Self::Relate(_)
            | Self::Unrelate(_)
            | Self::Audit(audit::Command::Judge(_))
            | Self::Policy(policy::Command::Set(_))
            | Self::Hospital(_) => changes(),
        }
    }

    /// Does it, prints the result; tells whether all that was looked at is as it should be.
    pub(crate) async fn run(self, context: Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Keys(command) => command.run(&context),
            Self::Devnet(command) => command.run(&context).await,
            Self::Completions(args) => show(&completions::completions(&args)?, json),
            Self::Name(command) => command.run(&context.with_devnet()?).await,
            Self::User(command) => command.run(&context.with_devnet()?).await,
            Self::Relate(args) => {
                show(&relation::relate(&args, &context.with_devnet()?).await?, json)
            }
            Self::Unrelate(args) => {
                show(&relation::unrelate(&args, &context.with_devnet()?).await?, json)
            }
            Self::Visit(command) => command.run(&context.with_devnet()?).await,
            Self::Records(command) => command.run(&context.with_devnet()?).await,
            Self::Audit(command) => command.run(&context.with_devnet()?).await,
            Self::Policy(command) => command.run(context).await,
            Self::Hospital(command) => command.run(&context.with_devnet()?).await,
            Self::Block(command) => command.run(&context.with_devnet()?).await,
        }
    }
}
