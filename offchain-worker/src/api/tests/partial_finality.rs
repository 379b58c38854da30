//! Parts of openings by final blocks of a node that is not behind: without them, the worker hands out nothing.

use std::time::Duration;

use super::partials::Opened;
use crate::config::Limits;

/// More reads than the worker needs to hand out its part.
const MANY: u32 = 200;

#[tokio::test]
async fn nothing_is_handed_out_before_the_chain_has_recorded_it() {
    let limits = Limits { transaction_timeout: Duration::from_millis(400), ..Limits::default() };
    let opened = Opened::within(limits).await;
    opened.world.chain.facts().stalled = true;
    opened.assert_refused(504, "timed-out", "the record is not final").await;
    opened.world.chain.facts().stalled = false;
    // The call is final, but the node does not show its block yet.
    opened.world.chain.facts().afterwards =
        Some(Box::new(|facts| facts.openings.handed_out.clear()));
    assert_eq!(opened.ask().await.refusal(), (503, "node".into()));
    assert_eq!(opened.world.metrics.partials.get(), 0);
    assert_eq!(opened.ask().await.status, 200);
}

#[tokio::test]
async fn nothing_is_handed_out_while_the_node_is_behind() {
    let opened = Opened::new().await;
    opened.world.chain.facts().away = true;
    opened.assert_refused(503, "node", "before the decision").await;
    opened.world.chain.facts().away = false;
    // It fell behind what the worker has seen after the chain recorded the hand-out.
    opened.world.chain.facts().afterwards = Some(Box::new(|facts| facts.away = true));
    assert_eq!(opened.ask().await.refusal(), (503, "node".into()));
    assert_eq!((opened.hand_outs(), opened.world.metrics.partials.get()), (1, 0));
    opened.world.chain.facts().away = false;
    assert_eq!(opened.ask().await.status, 200);
    assert_eq!(opened.hand_outs(), 1);
}

/// A node that is behind the newest block that the worker has seen counts as away. Here it is, from each of the
/// worker's reads on: before the chain has recorded the part, and afterwards.
#[tokio::test]
async fn a_node_that_is_behind_or_away_hands_out_no_part_at_whichever_step() {
    let limits = Limits { grants_per_minute: 3 * MANY, ..Limits::default() };
    for is_recorded in [false, true] {
        let opened = Opened::within(limits.clone()).await;
        let (chain, metrics) = (&opened.world.chain, &opened.world.metrics);
        if is_recorded {
            assert_eq!(opened.ask().await.status, 200);
        }
        let handed_out = metrics.partials.get();
        let mut refused = 0;
        while refused < MANY {
            if !is_recorded {
                chain.facts().openings.handed_out.clear();
            }
            chain.facts().leaves_after = Some(refused);
            let reply = opened.ask().await;
            {
                let mut facts = chain.facts();
                (facts.away, facts.leaves_after) = (false, None);
            }
            if reply.status == 200 {
                break;
            }
            assert_eq!(reply.status, 503, "read {refused}: {reply:?}");
            assert_eq!(metrics.partials.get(), handed_out, "read {refused}");
            refused += 1;
        }
        // The caller, the opening, the decision, the wraps and the record are read at least.
        assert!((5..MANY).contains(&refused), "{refused}");
        assert_eq!(metrics.partials.get(), handed_out + 1);
    }
}
