//! Finality by GRANDPA: voting for blocks, or only following the votes.

use std::{sync::Arc, time::Duration};

use epione_primitives::{Hash, OpaqueBlock as Block};
use sc_client_api::BlockBackend;
use sc_consensus_grandpa::{
    Config, FinalityProofProvider, GrandpaJustificationStream, GrandpaParams, SharedAuthoritySet,
    SharedVoterState,
};
use sc_network::{
    NetworkBackend, NotificationMetrics, ProtocolName,
    config::{FullNetworkConfiguration, Role},
    service::traits::{NetworkService, NotificationService},
};
use sc_network_sync::SyncingService;
use sc_service::{Configuration, TaskManager, error::Error as ServiceError};
use sc_telemetry::Telemetry;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_keystore::KeystorePtr;
use substrate_prometheus_endpoint::Registry;

use crate::service::{FullBackend, FullClient, GrandpaLink, JUSTIFICATION_PERIOD, Pool};

/// The expected time for a vote to reach all nodes.
const GOSSIP: Duration = Duration::from_millis(333);

/// The parts that GRANDPA needs, created before the network starts.
pub struct Voter {
    enabled: bool,
    role: Role,
    name: String,
    protocol_name: ProtocolName,
    link: GrandpaLink,
    state: SharedVoterState,
    notifications: Box<dyn NotificationService>,
    prometheus: Option<Registry>,
}

/// The sources that the `grandpa_*` RPC methods read.
pub struct GrandpaSources {
    pub authority_set: SharedAuthoritySet<Hash, u32>,
    pub state: SharedVoterState,
    pub justifications: GrandpaJustificationStream<Block>,
    pub proofs: Arc<FinalityProofProvider<FullBackend, Block>>,
}

impl Voter {
    /// Adds GRANDPA's protocol to the network.
    pub fn register<N: NetworkBackend<Block, Hash>>(
        config: &Configuration,
        client: &FullClient,
        link: GrandpaLink,
        net_config: &mut FullNetworkConfiguration<Block, Hash, N>,
        metrics: NotificationMetrics,
    ) -> Result<Self, ServiceError> {
        let genesis = client
            .block_hash(0)?
            .ok_or_else(|| ServiceError::Other("the database contains no genesis block".into()))?;
        let protocol_name =
            sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
        let (protocol, notifications) = sc_consensus_grandpa::grandpa_peers_set_config::<_, N>(
            protocol_name.clone(),
            metrics,
            net_config.peer_store_handle(),
        );
        net_config.add_notification_protocol(protocol);
        Ok(Self {
            enabled: !config.disable_grandpa,
            role: config.role,
            name: config.network.node_name.clone(),
            protocol_name,
            link,
            state: SharedVoterState::empty(),
            notifications,
            prometheus: config.prometheus_registry().cloned(),
        })
    }

    pub fn rpc_sources(&self, backend: &Arc<FullBackend>) -> GrandpaSources {
        let authority_set = self.link.shared_authority_set().clone();
        GrandpaSources {
            proofs: FinalityProofProvider::new_for_service(
                backend.clone(),
                Some(authority_set.clone()),
            ),
            authority_set,
            state: self.state.clone(),
            justifications: self.link.justification_stream(),
        }
    }

    /// Starts to vote with the keys of `keystore`. Without a keystore, only follows the votes.
    pub fn start(
        self,
        network: Arc<dyn NetworkService>,
        sync: Arc<SyncingService<Block>>,
        pool: Arc<Pool>,
        keystore: Option<KeystorePtr>,
        telemetry: Option<&Telemetry>,
        task_manager: &TaskManager,
    ) -> Result<(), ServiceError> {
        if !self.enabled {
            return Ok(());
        }
        let voter = sc_consensus_grandpa::run_grandpa_voter(GrandpaParams {
            config: Config {
                gossip_duration: GOSSIP,
                justification_generation_period: JUSTIFICATION_PERIOD,
                observer_enabled: false,
                local_role: self.role,
                name: Some(self.name),
                keystore,
                telemetry: telemetry.map(Telemetry::handle),
                protocol_name: self.protocol_name,
            },
            link: self.link,
            network,
            sync: Arc::new(sync),
            notification_service: self.notifications,
            // No rule: the node votes for the newest block. A rule that stays two blocks behind costs
            // ten seconds, and has no benefit with one author per slot.
            voting_rule: (),
            prometheus_registry: self.prometheus,
            shared_voter_state: self.state,
            telemetry: telemetry.map(Telemetry::handle),
            offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(pool),
        })?;
        task_manager.spawn_essential_handle().spawn_blocking("grandpa-voter", None, voter);
        Ok(())
    }
}
