//! Executes the command line.

use std::fs;

use epione_primitives::OpaqueBlock as Block;
use sc_cli::{Result, SubstrateCli};

use crate::{
    chain_spec::{self, EmbeddedRuntime},
    cli::{Action, Cli, ExportPresets, GenesisHash},
    first_block,
    service::{self, Components},
};

/// Parses the program's arguments, and runs until the subcommand is done or the node receives a signal.
pub fn run(runtime: EmbeddedRuntime) -> Result<()> {
    let cli = Cli::parse(runtime);
    match &cli.arguments.subcommand {
        None => cli
            .create_runner(&cli.arguments.run)?
            .run_node_until_exit(|config| async move { service::start(config) })
            .map_err(sc_cli::Error::Service),
        Some(action) => act(&cli, action),
    }
}

fn act(cli: &Cli, action: &Action) -> Result<()> {
    match action {
        Action::Key(command) => command.run(cli),
        Action::BuildSpec(command) => cli
            .create_runner(command)?
            .sync_run(|config| command.run(config.chain_spec, config.network)),
        Action::ExportChainSpec(command) => command.run(cli.load_spec(&command.chain)?),
        Action::ExportPresets(command) => export_presets(&cli.runtime, command),
        Action::GenesisHash(command) => print_genesis_hash(&cli.runtime, command),
        Action::ChainInfo(command) => {
            cli.create_runner(command)?.sync_run(|config| command.run::<Block>(&config))
        }
        Action::PurgeChain(command) => {
            cli.create_runner(command)?.sync_run(|config| command.run(config.database))
        }
        Action::CheckBlock(command) => cli.create_runner(command)?.async_run(|config| {
            let Components { client, import_queue, task_manager, .. } =
                service::components(&config)?;
            Ok((command.run(client, import_queue), task_manager))
        }),
        Action::ExportBlocks(command) => cli.create_runner(command)?.async_run(|config| {
            let Components { client, task_manager, .. } = service::components(&config)?;
            Ok((command.run(client, config.database), task_manager))
        }),
        Action::ImportBlocks(command) => cli.create_runner(command)?.async_run(|config| {
            let Components { client, import_queue, task_manager, .. } =
                service::components(&config)?;
            Ok((command.run(client, import_queue), task_manager))
        }),
        Action::Revert(command) => cli.create_runner(command)?.async_run(|config| {
            let Components { client, backend, task_manager, .. } = service::components(&config)?;
            let grandpa = Box::new(|client, _, blocks| {
                sc_consensus_grandpa::revert(client, blocks)?;
                Ok(())
            });
            Ok((command.run(client, backend, Some(grandpa)), task_manager))
        }),
    }
}

fn export_presets(runtime: &EmbeddedRuntime, command: &ExportPresets) -> Result<()> {
    fs::create_dir_all(&command.folder)?;
    for id in (runtime.preset_names)() {
        let path = command.folder.join(format!("{id}.json"));
        fs::write(&path, chain_spec::without_code(runtime, &id)?)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn print_genesis_hash(runtime: &EmbeddedRuntime, command: &GenesisHash) -> Result<()> {
    let spec = chain_spec::load(runtime, &command.chain)?;
    println!("{:?}", first_block::hash(&spec)?);
    Ok(())
}
