//! `epione genesis`: a new chain, which its founders make independently and compare.

mod assemble;
mod hash;

use clap::Subcommand;

pub(super) use assemble::is_chain_id;
pub use assemble::{AssembleArgs, Assembled, assemble};
pub use hash::{HashArgs, Hashes, hashes};

use crate::{context::Context, failure::Failure, show};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes the specification of a new chain from the applications of its founders
    ///
    /// Every founder runs this with the same applications and the same release, and compares the two hashes with the
    /// others, by telephone or on paper. The order of the applications does not matter. No file is edited by hand.
    Assemble(AssembleArgs),
    /// Shows the hashes of a chain specification, to compare them with those of other hospitals
    Hash(HashArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Assemble(args) => show(&assemble(args).await?, json),
            Self::Hash(args) => show(&hashes(args).await?, json),
        }
    }
}
