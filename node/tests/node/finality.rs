//! `finality_newest`: the newest final block, with the votes that prove it to a client that does not believe the node.

use std::time::{Duration, Instant};

use epione_primitives::{Hash, rpc::FinalityReply};
use epione_proofs::{Authorities, FinalizedHead};
use jsonrpsee::{core::client::ClientT, rpc_params};
use sp_core::{Pair, ed25519};

use crate::{
    process::{Node, PATIENCE, development},
    rpc::Rpc,
};

/// The only authority of the development chain, in authority set 0.
fn authorities() -> Authorities {
    let key = ed25519::Pair::from_string("//Alice", None).unwrap().public();
    Authorities::restore(0, 0, vec![(key.into(), 1)]).unwrap()
}

async fn newest(rpc: &Rpc) -> Option<FinalityReply> {
    rpc.client.request("finality_newest", rpc_params![]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_final_block_comes_with_the_votes_that_prove_it() {
    let node = Node::start(development());
    let rpc = Rpc::connect(&node.rpc_url).await;
    let begun = Instant::now();
    let mut proven = 0;
    while proven < 3 {
        assert!(begun.elapsed() < PATIENCE, "block {proven} is the last proven block");
        let (number, _) = rpc.finalized().await;
        // Before the first votes, only the genesis block is final.
        let Some(FinalityReply { header, justification }) = newest(&rpc).await else {
            assert_eq!(number, 0, "block {number} is final, and the node has no votes for it");
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        assert!(header.number >= number, "the votes are older than the newest final block");
        let hash: Hash =
            rpc.client.request("chain_getBlockHash", rpc_params![header.number]).await.unwrap();
        assert_eq!(header.hash(), hash);
        let head = FinalizedHead::verify(&authorities(), header, &justification).unwrap();
        proven = head.number();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
