//! The commands, one a file.

pub mod block;
pub mod devnet;
pub mod keys;
pub mod records;
pub mod relation;
pub mod user;
pub mod visit;

use clap::Subcommand;

use crate::{context::Context, failure::Failure, show};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes and shows key files
    #[command(subcommand)]
    Keys(keys::Command),
    /// Registers patients, doctors, nurses, researchers and auditors
    #[command(subcommand)]
    User(user::Command),
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
    /// Shows and verifies committed blocks
    #[command(subcommand)]
    Block(block::Command),
    /// Runs a whole network on this machine, to try and to test
    #[command(subcommand)]
    Devnet(devnet::Command),
}

impl Command {
    /// Does it, prints the result; tells whether all that was looked at is as it should be.
    pub(crate) async fn run(self, context: Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Keys(command) => command.run(&context),
            Self::Devnet(command) => command.run(&context).await,
            Self::User(command) => command.run(&context.with_devnet()?).await,
            Self::Relate(args) => {
                show(&relation::relate(&args, &context.with_devnet()?).await?, json)
            }
            Self::Unrelate(args) => {
                show(&relation::unrelate(&args, &context.with_devnet()?).await?, json)
            }
            Self::Visit(command) => command.run(&context.with_devnet()?).await,
            Self::Records(command) => command.run(&context.with_devnet()?).await,
            Self::Block(command) => command.run(&context.with_devnet()?).await,
        }
    }
}
