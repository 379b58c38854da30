//! Block authoring by Aura.

use std::sync::Arc;

use epione_primitives::{OpaqueBlock as Block, limits::BLOCK_BYTES};
use sc_consensus_aura::{SlotProportion, StartAuraParams};
use sc_network_sync::SyncingService;
use sc_service::{TaskManager, error::Error as ServiceError};
use sc_telemetry::Telemetry;
use sp_consensus_aura::sr25519::AuthorityPair as AuraPair;
use sp_keystore::KeystorePtr;
use substrate_prometheus_endpoint::Registry;

use crate::service::{FullClient, GrandpaImport, Pool, SelectChain, inherents};

/// The parts that authoring needs.
pub struct Author {
    pub client: Arc<FullClient>,
    pub select_chain: SelectChain,
    pub block_import: GrandpaImport,
    pub pool: Arc<Pool>,
    pub sync: Arc<SyncingService<Block>>,
    pub keystore: KeystorePtr,
    /// Whether to author blocks without peers.
    pub force: bool,
    pub prometheus: Option<Registry>,
}

impl Author {
    /// Starts to author a block in every slot of this node.
    pub fn start(
        self,
        task_manager: &TaskManager,
        telemetry: Option<&Telemetry>,
    ) -> Result<(), ServiceError> {
        let mut proposer_factory = sc_basic_authorship::ProposerFactory::new(
            task_manager.spawn_handle(),
            self.client.clone(),
            self.pool,
            self.prometheus.as_ref(),
            telemetry.map(Telemetry::handle),
        );
        proposer_factory.set_default_block_size_limit(BLOCK_BYTES as usize);
        let slot_duration = sc_consensus_aura::slot_duration(&*self.client)?;
        let aura = sc_consensus_aura::start_aura::<AuraPair, _, _, _, _, _, _, _, _, _, _>(
            StartAuraParams {
                slot_duration,
                client: self.client,
                select_chain: self.select_chain,
                block_import: self.block_import,
                proposer_factory,
                sync_oracle: self.sync.clone(),
                justification_sync_link: self.sync,
                create_inherent_data_providers: move |_, ()| async move { Ok(inherents(slot_duration)) },
                force_authoring: self.force,
                // Authoring continues when finality stalls, because the council needs blocks to fix it.
                backoff_authoring_blocks: None::<()>,
                keystore: self.keystore,
                block_proposal_slot_portion: SlotProportion::new(2f32 / 3f32),
                max_block_proposal_slot_portion: None,
                telemetry: telemetry.map(Telemetry::handle),
                compatibility_mode: Default::default(),
            },
        )?;
        task_manager.spawn_essential_handle().spawn_blocking("aura", Some("block-authoring"), aura);
        Ok(())
    }
}
