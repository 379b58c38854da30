//! Assembles a node: client, pool, network, consensus, RPC.

use std::sync::Arc;

use epione_primitives::OpaqueBlock as Block;
use sc_consensus_aura::ImportQueueParams;
use sc_executor::WasmExecutor;
use sc_network::{
    Litep2pNetworkBackend, NetworkBackend, NetworkWorker,
    config::{FullNetworkConfiguration, NetworkBackendType, SyncMode},
};
use sc_service::{
    BlocksPruning, Configuration, PartialComponents, SpawnTasksParams, TaskManager,
    error::Error as ServiceError,
};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sp_consensus_aura::sr25519::AuthorityPair as AuraPair;
use sp_runtime::traits::Block as BlockT;

use crate::{authoring::Author, finality::Voter, rpc, runtime_api::RuntimeApi};

pub type FullClient =
    sc_service::TFullClient<Block, RuntimeApi, WasmExecutor<sp_io::SubstrateHostFunctions>>;
pub type FullBackend = sc_service::TFullBackend<Block>;
pub type SelectChain = sc_consensus::LongestChain<FullBackend, Block>;
pub type Pool = sc_transaction_pool::TransactionPoolHandle<Block, FullClient>;
pub type GrandpaImport =
    sc_consensus_grandpa::GrandpaBlockImport<FullBackend, Block, FullClient, SelectChain>;
pub type GrandpaLink = sc_consensus_grandpa::LinkHalf<Block, FullClient, SelectChain>;

/// The components of a node, for running and for subcommands.
pub type Components = PartialComponents<
    FullClient,
    FullBackend,
    SelectChain,
    sc_consensus::DefaultImportQueue<Block>,
    Pool,
    (GrandpaImport, GrandpaLink, Option<Telemetry>),
>;

/// Maximum number of blocks after which GRANDPA stores a justification.
pub const JUSTIFICATION_PERIOD: u32 = 512;

/// Opens the database, and creates the components that subcommands need too.
///
/// Fails if the node would delete the bodies of old blocks: record bodies are stored with them, and no other node can
/// be asked for a body that every node has deleted.
pub fn components(config: &Configuration) -> Result<Components, ServiceError> {
    keeps_bodies(config.blocks_pruning)?;
    let telemetry = telemetry(config)?;
    let executor = sc_service::new_wasm_executor::<sp_io::SubstrateHostFunctions>(&config.executor);
    let (client, backend, keystore_container, task_manager) =
        sc_service::new_full_parts::<Block, RuntimeApi, _>(
            config,
            telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
            executor,
            Vec::new(),
        )
        .map_err(|error| in_use(config, error))?;
    let client = Arc::new(client);
    let telemetry = telemetry.map(|(worker, telemetry)| {
        task_manager.spawn_handle().spawn("telemetry", None, worker.run());
        telemetry
    });
    let select_chain = sc_consensus::LongestChain::new(backend.clone());
    let transaction_pool = Arc::new(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );
    let (grandpa_import, grandpa_link) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &client,
        select_chain.clone(),
        telemetry.as_ref().map(Telemetry::handle),
    )?;
    let import_queue =
        import_queue(config, &client, &grandpa_import, &task_manager, telemetry.as_ref())?;
    Ok(PartialComponents {
        client,
        backend,
        task_manager,
        import_queue,
        keystore_container,
        select_chain,
        transaction_pool,
        other: (grandpa_import, grandpa_link, telemetry),
    })
}

/// Refuses every pruning of blocks that deletes finalized ones.
fn keeps_bodies(pruning: BlocksPruning) -> Result<(), ServiceError> {
    if pruning.is_archive() {
        return Ok(());
    }
    Err(ServiceError::Other(
        "this node must keep every block, because the record bodies are stored with the blocks: start it without \
         --blocks-pruning, or with --blocks-pruning archive-canonical"
            .into(),
    ))
}

/// Reports to the endpoints that the operator configured. By default there are none.
fn telemetry(
    config: &Configuration,
) -> Result<Option<(TelemetryWorker, Telemetry)>, sc_telemetry::Error> {
    let Some(endpoints) = config.telemetry_endpoints.clone().filter(|list| !list.is_empty()) else {
        return Ok(None);
    };
    let worker = TelemetryWorker::new(16)?;
    let telemetry = worker.handle().new_telemetry(endpoints);
    Ok(Some((worker, telemetry)))
}

/// Explains the error if another node uses the database. The SDK reports this case only as text.
fn in_use(config: &Configuration, error: ServiceError) -> ServiceError {
    if !error.to_string().contains("Database file is in use") {
        return error;
    }
    ServiceError::Other(format!(
        "the data in {} is in use by another node: stop that node, or set another folder for this one with \
         --base-path",
        config.base_path.path().display()
    ))
}

fn import_queue(
    config: &Configuration,
    client: &Arc<FullClient>,
    grandpa_import: &GrandpaImport,
    task_manager: &TaskManager,
    telemetry: Option<&Telemetry>,
) -> Result<sc_consensus::DefaultImportQueue<Block>, ServiceError> {
    let for_slots = client.clone();
    Ok(sc_consensus_aura::import_queue::<AuraPair, _, _, _, _, _>(ImportQueueParams {
        block_import: grandpa_import.clone(),
        justification_import: Some(Box::new(grandpa_import.clone())),
        client: client.clone(),
        create_inherent_data_providers: move |parent, ()| {
            let client = for_slots.clone();
            async move {
                let slot_duration =
                    sc_consensus_aura::standalone::slot_duration_at(&*client, parent)?;
                Ok(inherents(slot_duration))
            }
        },
        spawner: &task_manager.spawn_essential_handle(),
        registry: config.prometheus_registry(),
        check_for_equivocation: Default::default(),
        telemetry: telemetry.map(Telemetry::handle),
        compatibility_mode: Default::default(),
    })?)
}

/// A block's slot and time.
pub type Inherents =
    (sp_consensus_aura::inherents::InherentDataProvider, sp_timestamp::InherentDataProvider);

/// The current slot and time.
pub fn inherents(slot_duration: sp_consensus_aura::SlotDuration) -> Inherents {
    let timestamp = sp_timestamp::InherentDataProvider::from_system_time();
    let slot = sp_consensus_aura::inherents::InherentDataProvider::from_timestamp_and_slot_duration(
        *timestamp,
        slot_duration,
    );
    (slot, timestamp)
}

/// Starts a node. It runs until the task manager is dropped.
pub fn start(config: Configuration) -> Result<TaskManager, ServiceError> {
    if !matches!(config.network.sync_mode, SyncMode::Full) {
        return Err(ServiceError::Other(
            "this node must execute every block, because the execution stores the record bodies: \
             start it with --sync full"
                .into(),
        ));
    }
    if config.network.ipfs_server {
        return Err(ServiceError::Other(
            "this node does not join the IPFS network, because everybody there could read the record bodies: start it \
             without --ipfs-server. The RPC method bitswap_v1_get works without it"
                .into(),
        ));
    }
    match config.network.network_backend {
        NetworkBackendType::Litep2p => start_on::<Litep2pNetworkBackend>(config),
        NetworkBackendType::Libp2p => {
            start_on::<NetworkWorker<Block, <Block as BlockT>::Hash>>(config)
        }
    }
}

fn start_on<N: NetworkBackend<Block, <Block as BlockT>::Hash>>(
    config: Configuration,
) -> Result<TaskManager, ServiceError> {
    let Components {
        client,
        backend,
        mut task_manager,
        import_queue,
        keystore_container,
        select_chain,
        transaction_pool,
        other: (grandpa_import, grandpa_link, mut telemetry),
    } = components(&config)?;
    let mut net_config = FullNetworkConfiguration::<Block, _, N>::new(
        &config.network,
        config.prometheus_registry().cloned(),
    );
    let metrics = N::register_notification_metrics(config.prometheus_registry());
    let voter = Voter::register(&config, &client, grandpa_link, &mut net_config, metrics.clone())?;
    let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
        sc_service::build_network(sc_service::BuildNetworkParams {
            config: &config,
            net_config,
            client: client.clone(),
            transaction_pool: transaction_pool.clone(),
            spawn_handle: task_manager.spawn_handle(),
            spawn_essential_handle: task_manager.spawn_essential_handle(),
            import_queue,
            block_announce_validator_builder: None,
            warp_sync_config: None,
            block_relay: None,
            metrics,
            gap_sync_body_policy: None,
        })?;
    let is_authority = config.role.is_authority();
    let author = Author {
        client: client.clone(),
        select_chain,
        block_import: grandpa_import,
        pool: transaction_pool.clone(),
        sync: sync_service.clone(),
        keystore: keystore_container.keystore(),
        force: config.force_authoring,
        prometheus: config.prometheus_registry().cloned(),
    };
    let rpc_sources = rpc::Sources {
        client: client.clone(),
        pool: transaction_pool.clone(),
        finality: voter.rpc_sources(&backend),
    };
    sc_service::spawn_tasks(SpawnTasksParams {
        network: network.clone(),
        client,
        keystore: keystore_container.keystore(),
        task_manager: &mut task_manager,
        transaction_pool: transaction_pool.clone(),
        rpc_builder: Box::new(move |executor| rpc::build(&rpc_sources, executor)),
        backend,
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync_service.clone(),
        config,
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;
    if is_authority {
        author.start(&task_manager, telemetry.as_ref())?;
    }
    let keystore = is_authority.then(|| keystore_container.keystore());
    voter.start(
        network,
        sync_service,
        transaction_pool,
        keystore,
        telemetry.as_ref(),
        &task_manager,
    )?;
    Ok(task_manager)
}
