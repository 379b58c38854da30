//! The node's JSON-RPC methods, in addition to the standard methods of every node.

use std::sync::Arc;

use jsonrpsee::{
    RpcModule,
    types::{ErrorObjectOwned, error::INTERNAL_ERROR_CODE},
};
use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
use sc_service::error::Error as ServiceError;
use sp_core::traits::SpawnNamed;
use substrate_frame_rpc_system::{System, SystemApiServer};

use crate::{
    finality::GrandpaSources,
    lite_blocks::{LiteBlocks, LiteBlocksApiServer},
    newest_justification::{FinalityApiServer, NewestJustification},
    service::{FullClient, Pool},
};

/// The sources that the methods read.
pub struct Sources {
    pub client: Arc<FullClient>,
    pub pool: Arc<Pool>,
    pub finality: GrandpaSources,
}

/// Builds all methods. Long-running methods use `executor`.
pub fn build(
    sources: &Sources,
    executor: Arc<dyn SpawnNamed>,
) -> Result<RpcModule<()>, ServiceError> {
    let mut module = RpcModule::new(());
    let finality = &sources.finality;
    let taken =
        |error: jsonrpsee::core::RegisterMethodError| ServiceError::Other(error.to_string());
    module
        .merge(System::new(sources.client.clone(), sources.pool.clone()).into_rpc())
        .map_err(taken)?;
    module
        .merge(
            Grandpa::new(
                executor,
                finality.authority_set.clone(),
                finality.state.clone(),
                finality.justifications.clone(),
                finality.proofs.clone(),
            )
            .into_rpc(),
        )
        .map_err(taken)?;
    module.merge(LiteBlocks::new(sources.client.clone()).into_rpc()).map_err(taken)?;
    module.merge(NewestJustification::new(sources.client.clone()).into_rpc()).map_err(taken)?;
    Ok(module)
}

/// The reply if the node's database cannot be read.
pub fn internal(error: impl std::fmt::Display) -> ErrorObjectOwned {
    let message = format!("the chain could not be read: {error}");
    ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, message, None::<()>)
}
