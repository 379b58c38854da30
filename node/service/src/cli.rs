//! The command line.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use epione_primitives::limits::BLOCK_BYTES;
use sc_cli::{ChainSpec, SubstrateCli};

use crate::chain_spec::{self, EmbeddedRuntime};

/// Default for the kilobytes of transactions that wait for a block. A tenth of it can wait for an
/// earlier nonce, which is enough for a hospital's largest announcements.
const POOL_KBYTES: &str = "262144";
/// Default for the megabytes of an RPC message: twice the largest block as JSON, whose hexadecimal
/// digits double its size.
const RPC_MEGABYTES: &str = "32";

/// Default for the calls in a minute on one RPC connection from another machine. A worker that catches up sends some
/// tens a second.
const RPC_CALLS_PER_MINUTE: &str = "6000";
/// Default for the networks without this limit: this machine.
const RPC_UNLIMITED: [&str; 2] = ["127.0.0.0/8", "::1/128"];

const _: () = assert!(32 * 1024 * 1024 >= 4 * BLOCK_BYTES);

/// The node as a program: its arguments, and the runtime that it contains.
pub struct Cli {
    pub arguments: Arguments,
    pub runtime: EmbeddedRuntime,
}

#[derive(Debug, Parser)]
pub struct Arguments {
    #[command(subcommand)]
    pub subcommand: Option<Action>,

    #[command(flatten)]
    pub run: sc_cli::RunCmd,
}

/// Subcommands, which the node executes instead of running.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)]
pub enum Action {
    /// Generates, inspects and inserts keys.
    #[command(subcommand)]
    Key(sc_cli::KeySubcommand),

    /// Prints a chain specification.
    BuildSpec(sc_cli::BuildSpecCmd),

    /// Writes a chain specification to a file.
    ExportChainSpec(sc_cli::ExportChainSpecCmd),

    /// Writes the chain specifications of the presets, without their runtime, to a folder.
    ExportPresets(ExportPresets),

    /// Prints the hash of a chain's first block, which identifies the chain, without starting a node.
    GenesisHash(GenesisHash),

    /// Prints the best and finalized blocks of the database.
    ChainInfo(sc_cli::ChainInfoCmd),

    /// Re-executes a block.
    CheckBlock(sc_cli::CheckBlockCmd),

    /// Writes blocks to a file.
    ExportBlocks(sc_cli::ExportBlocksCmd),

    /// Imports blocks from a file, and executes them.
    ImportBlocks(sc_cli::ImportBlocksCmd),

    /// Reverts blocks that are not finalized.
    Revert(sc_cli::RevertCmd),

    /// Deletes the database.
    PurgeChain(sc_cli::PurgeChainCmd),
}

#[derive(Debug, Args)]
pub struct ExportPresets {
    /// The folder, which is created if needed. `dev.json` and `local.json` in it are overwritten.
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct GenesisHash {
    /// A path to a chain specification, or the name of a preset.
    #[arg(long, value_name = "CHAIN")]
    pub chain: String,
}

impl Cli {
    /// Parses the program's arguments. Ends the program if they are wrong or ask for help.
    pub fn parse(runtime: EmbeddedRuntime) -> Self {
        let matches = Self::setup_command(Arguments::command()).get_matches();
        let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        Self { arguments, runtime }
    }
}

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Epione node".into()
    }

    fn impl_version() -> String {
        env!("CARGO_PKG_VERSION").into()
    }

    fn description() -> String {
        "A hospital's validator on an Epione chain".into()
    }

    fn author() -> String {
        env!("CARGO_PKG_AUTHORS").into()
    }

    fn support_url() -> String {
        "see README.md of this project".into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn ChainSpec>, String> {
        Ok(Box::new(chain_spec::load(&self.runtime, id)?))
    }

    /// The SDK's arguments, with other defaults: limits for the largest bodies, and a state archive that
    /// lets a worker read the events of any finalized block. RPC connections from other machines have a rate limit.
    fn setup_command(command: Command) -> Command {
        command
            .name("epione-node")
            .version(Self::impl_version())
            .author(Self::author())
            .about(Self::description())
            .propagate_version(true)
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
            .mut_arg("pool_kbytes", |argument| argument.default_value(POOL_KBYTES))
            .mut_arg("rpc_max_request_size", |argument| argument.default_value(RPC_MEGABYTES))
            .mut_arg("rpc_max_response_size", |argument| argument.default_value(RPC_MEGABYTES))
            .mut_arg("rpc_rate_limit", |argument| argument.default_value(RPC_CALLS_PER_MINUTE))
            .mut_arg("rpc_rate_limit_whitelisted_ips", |argument| {
                argument.default_values(RPC_UNLIMITED)
            })
            .mut_arg("state_pruning", |argument| argument.default_value("archive-canonical"))
    }
}
