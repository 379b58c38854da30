//! The RPC method `finality_newest`: the newest final block, with the votes that prove it.
//!
//! A client that verifies needs the votes for the newest final block. `grandpa_proveFinality` fails in authority set 0,
//! and `grandpa_subscribeJustifications` has no votes before the next block is final. The node stores the newest votes
//! whenever it finalizes a block, so this method answers in one round trip, in every set.

use std::sync::Arc;

use codec::Encode;
use epione_primitives::{OpaqueBlock as Block, rpc::FinalityReply};
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use sc_client_api::AuxStore;
use sc_consensus_grandpa::best_justification;
use sp_blockchain::HeaderBackend;

use crate::rpc::internal;

#[rpc(server)]
pub trait FinalityApi {
    /// The newest block that this node knows to be final, and its justification. Null if the node has seen no votes
    /// yet, as after its first start.
    #[method(name = "finality_newest", blocking)]
    fn newest(&self) -> RpcResult<Option<FinalityReply>>;
}

/// Implements the method with the votes that a client stores.
pub struct NewestJustification<Client> {
    client: Arc<Client>,
}

impl<Client> NewestJustification<Client> {
    pub fn new(client: Arc<Client>) -> Self {
        Self { client }
    }
}

impl<Client> FinalityApiServer for NewestJustification<Client>
where
    Client: AuxStore + HeaderBackend<Block> + Send + Sync + 'static,
{
    fn newest(&self) -> RpcResult<Option<FinalityReply>> {
        let stored = best_justification::<_, Block>(&*self.client).map_err(internal)?;
        let Some(justification) = stored else { return Ok(None) };
        let (_, hash) = justification.target();
        let header = self.client.header(hash).map_err(internal)?;
        let header = header.ok_or_else(|| internal(format!("block {hash:?} is missing")))?;
        Ok(Some(FinalityReply { header, justification: justification.encode().into() }))
    }
}
