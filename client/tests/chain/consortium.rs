//! The consortium key of a real chain. It has one hospital, which has nobody to share a key with.

use epione_client::chain::calls::consortium_key;
use epione_envelope::sealing_keys::{SealingKeyPair, SealingSuite};
use epione_primitives::limits::{MAX_PHASE_BLOCKS, MIN_PHASE_BLOCKS};

use crate::{account, agent, node::Node, verified::verifying};

#[tokio::test(flavor = "multi_thread")]
async fn one_hospital_makes_no_key_and_the_chain_says_so() {
    let node = Node::shared();
    let trusting = node.connect().await;
    let verified = verifying(&node, &trusting).await;
    let enrolment = SealingKeyPair::generate(SealingSuite::XWing);
    let begin = consortium_key::begin_ceremony(enrolment.public().as_bytes());
    for chain in [&trusting, &verified] {
        let refused = chain.submit(&begin, &agent()).await.unwrap_err();
        let failure = refused.dispatch().unwrap_or_else(|| panic!("{refused}"));
        assert!(failure.is("ConsortiumKey", "TooFewSeats"), "{failure}");
        // The governance renews keys, and takes part in no ceremony.
        let refused = chain.submit(&begin, &account("//Alice")).await.unwrap_err();
        assert!(refused.dispatch().is_none_or(|it| it.error != "TooFewSeats"), "{refused}");

        let state = chain.finalized().await.unwrap();
        let key = state.consortium_key().await.unwrap();
        let phases = MIN_PHASE_BLOCKS..=MAX_PHASE_BLOCKS;
        assert!(phases.contains(&key.schedule.phase), "{:?}", key.schedule);
        assert_eq!(state.consortium_schedule().await.unwrap(), key.schedule);
        assert_eq!((key.current, key.ceremony), (None, None));
        assert_eq!(state.ceremony_state().await.unwrap(), None);
        assert_eq!(state.past_ceremonies().await.unwrap(), []);
    }
}
