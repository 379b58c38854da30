//! A mailbox decides by final blocks of a node that is not behind: without them, it hands out no grant.

use std::{sync::Arc, time::Duration};

use object_store::memory::InMemory;

use super::{
    queries::{accepted_in, collect_own, transfers},
    world::World,
};
use crate::config::Limits;

/// More reads than the worker needs to hand out a grant.
const MANY: u32 = 200;

/// A world in which the patient has accepted the stranger's query, and brought the grant.
async fn accepted(limits: Limits) -> World {
    let objects = Arc::new(InMemory::new());
    let (world, ..) = accepted_in(World::with(objects.clone(), objects, limits).await).await;
    world
}

/// The worker hands out after the final block with the transfer, not after the transaction.
#[tokio::test]
async fn a_transfer_that_does_not_become_final_hands_out_nothing() {
    let timeout = Duration::from_millis(300);
    let world = accepted(Limits { transaction_timeout: timeout, ..Limits::default() }).await;
    world.chain.facts().stalled = true;
    assert_eq!(collect_own(&world).await.refusal(), (504, "timed-out".into()));
    assert_eq!((world.metrics.grants.get(), world.metrics.transfers.get()), (0, 0));
    world.chain.facts().stalled = false;
    assert_eq!(collect_own(&world).await.status, 200);
    assert_eq!(transfers(&world), 1);
}

/// A node that is behind the newest block that the worker has seen counts as away. Here it is, from each of the
/// worker's reads on.
#[tokio::test]
async fn a_mailbox_whose_node_is_behind_or_away_hands_out_nothing_at_whichever_step() {
    let world = accepted(Limits { grants_per_minute: 2 * MANY, ..Limits::default() }).await;
    let mut refused = 0;
    while refused < MANY {
        world.chain.facts().leaves_after = Some(refused);
        let reply = collect_own(&world).await;
        {
            let mut facts = world.chain.facts();
            (facts.away, facts.leaves_after) = (false, None);
        }
        if reply.status == 200 {
            break;
        }
        assert_eq!(reply.status, 503, "read {refused}: {reply:?}");
        assert_eq!(world.metrics.grants.get(), 0, "read {refused}");
        refused += 1;
    }
    // The caller, the query, the acceptance, the record and the transfer are read at least.
    assert!((5..MANY).contains(&refused), "{refused}");
    assert_eq!((world.metrics.grants.get(), transfers(&world)), (1, 1));
}
