//! The consortium key, read from honest nodes and from others.

use epione_primitives::{
    AccountId, HospitalId,
    consortium::{
        Answers, Ceremony, CeremonyId, CeremonyResult, Confirmation, Confirmations, Dealing, Epoch,
        EpochId, Failure, KeyId, PastCeremony, Phase, RevealedShare, Schedule, SeatSet, Seats,
    },
};

use super::{
    Doubt, Hash, StateError, connect, doubt, honest, json, keys, network,
    node::{Network, Node},
    pinned,
};
use crate::chain::{Chain, Trust};

const SCHEDULE: Schedule = Schedule { phase: 20, refresh: 1_000 };

fn hospitals(ids: &[u16]) -> Seats {
    Seats::truncate_from(ids.iter().copied().map(HospitalId).collect())
}

fn epoch(id: u32) -> Epoch {
    Epoch {
        id: EpochId(id),
        key: KeyId(0),
        ceremony: CeremonyId(id),
        members: hospitals(&[0, 1, 2]),
        threshold: 2,
        faulty: 0,
        commitments: vec![[5; 32], [6; 32]].try_into().unwrap(),
        mixing: Hash::repeat_byte(7),
        link: (id > 0).then_some([8; 40]),
        since: 3,
        confirmed: SeatSet::first(2),
    }
}

fn ceremony() -> Ceremony {
    let seats = hospitals(&[0, 1, 2, 3]);
    Ceremony::begin(CeremonyId(2), Some(&epoch(1)), seats, hospitals(&[0, 1, 2]), 25)
}

/// The ceremony that made the current epoch.
fn kept() -> Ceremony {
    Ceremony { id: CeremonyId(1), phase: Phase::Activated, ..ceremony() }
}

fn dealing() -> Dealing {
    let commitments = vec![[1; 32], [2; 32], [3; 32]].try_into().unwrap();
    let agent = AccountId::new([3; 32]);
    Dealing { agent, commitments, part: Hash::repeat_byte(4), body: Hash::repeat_byte(5) }
}

fn revealed() -> Answers {
    vec![RevealedShare { seat: 3, share: [1; 32], part: [2; 32] }].try_into().unwrap()
}

fn confirmed() -> Confirmations {
    let result = CeremonyResult { mixing: Hash::repeat_byte(6), link: Some([9; 40]) };
    vec![Confirmation { seat: 2, result }].try_into().unwrap()
}

fn past() -> Vec<PastCeremony> {
    let ended = |id, outcome, block| PastCeremony { id: CeremonyId(id), outcome, block };
    vec![ended(0, Ok(EpochId(0)), 2), ended(1, Err(Failure::TooFewDealers), 3)]
}

/// A network that has made two epochs, and makes new shares again.
fn with_key() -> Network {
    let mut network = network();
    network.put(keys::consortium_schedule(), &SCHEDULE);
    network.put(keys::current_epoch(), &EpochId(1));
    for id in [0, 1] {
        network.put(keys::epoch(EpochId(id)), &epoch(id));
    }
    network.put(keys::ceremony(), &ceremony());
    network.put(keys::kept_ceremony(), &kept());
    network.put(keys::enrolment(CeremonyId(2), 1), &Hash::repeat_byte(1));
    network.put(keys::enrolment(CeremonyId(1), 1), &Hash::repeat_byte(2));
    network.put(keys::dealing(CeremonyId(2), 2), &dealing());
    network.put(keys::answers_of(CeremonyId(2), 0), &revealed());
    network.put(keys::joined(), &vec![(HospitalId(1), 3_u32)]);
    network.put(keys::confirmations(), &confirmed());
    network.put(keys::past_ceremonies(), &past());
    network.put(keys::refresh_requested(), &true);
    network.put(keys::last_begun(), &4_u32);
    network.push();
    network
}

/// Both handles: one verifies, one believes which state a block has.
async fn both(network: Network) -> [Chain; 2] {
    let known = pinned(&network);
    let node = Node::new(network);
    let trusting = node.connect().await.trusting(Trust::Node).await.unwrap();
    [connect(&node, known).await.unwrap(), trusting]
}

#[tokio::test]
async fn key_and_ceremony_are_read_by_a_client_that_verifies_and_by_one_that_believes() {
    for chain in both(with_key()).await {
        let state = chain.finalized().await.unwrap();
        let key = state.consortium_key().await.unwrap();
        assert_eq!((key.schedule, key.current), (SCHEDULE, Some(epoch(1))));
        assert_eq!((key.ceremony, key.committee), (Some(ceremony()), None));
        assert!(key.refresh_requested && !key.renewal_decided);
        assert_eq!((key.last_begun, key.last_ended), (Some(4), None));
        assert_eq!((key.kept, key.joined.to_vec()), (Some(kept()), vec![(HospitalId(1), 3)]));

        let whole = state.ceremony_state().await.unwrap().unwrap();
        assert_eq!(whole.ceremony, ceremony());
        assert_eq!(whole.enrolments, [None, Some(Hash::repeat_byte(1)), None, None]);
        assert_eq!(whole.dealings, [None, None, Some(dealing())]);
        assert_eq!(whole.answers, [revealed(), Answers::default(), Answers::default()]);
        assert_eq!(whole.confirmations, confirmed());

        let before = state.kept_ceremony_state().await.unwrap().unwrap();
        assert_eq!(before.ceremony, kept());
        assert_eq!(before.enrolments, [None, Some(Hash::repeat_byte(2)), None, None]);
        assert_eq!((before.dealings, before.confirmations.len()), (vec![None; 3], 0));

        // The same one by one.
        let ceremony = state.ceremony().await.unwrap().unwrap();
        assert_eq!(state.enrolments(&ceremony).await.unwrap(), whole.enrolments);
        assert_eq!(state.dealings(&ceremony).await.unwrap(), whole.dealings);
        assert_eq!(state.answers(&ceremony).await.unwrap(), whole.answers);
        assert_eq!(state.confirmations().await.unwrap(), whole.confirmations);
        assert_eq!(state.consortium_schedule().await.unwrap(), SCHEDULE);
        assert_eq!(state.current_epoch().await.unwrap(), Some(epoch(1)));
        assert_eq!(state.epoch(EpochId(0)).await.unwrap(), Some(epoch(0)));
        assert_eq!(state.epoch(EpochId(2)).await.unwrap(), None);
        let epochs = state.epochs(&[EpochId(1), EpochId(2), EpochId(0)]).await.unwrap();
        assert_eq!(epochs, [Some(epoch(1)), None, Some(epoch(0))]);
        assert_eq!(state.past_ceremonies().await.unwrap(), past());
    }
}

#[tokio::test]
async fn a_chain_without_key_has_neither_epoch_nor_ceremony() {
    let mut network = network();
    network.put(keys::consortium_schedule(), &SCHEDULE);
    network.push();
    for chain in both(network).await {
        let state = chain.finalized().await.unwrap();
        let key = state.consortium_key().await.unwrap();
        assert_eq!((key.current, key.ceremony, key.last_begun), (None, None, None));
        assert_eq!(state.ceremony_state().await.unwrap(), None);
        assert_eq!(state.kept_ceremony_state().await.unwrap(), None);
        assert_eq!(state.current_epoch().await.unwrap(), None);
        assert_eq!(state.past_ceremonies().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_node_that_shows_another_epoch_or_hides_a_complaint_is_refused() {
    let mut other = with_key();
    other.put(keys::epoch(EpochId(1)), &Epoch { commitments: dealing().commitments, ..epoch(1) });
    other.remove(&keys::answers_of(CeremonyId(2), 0));
    other.remove(&keys::ceremony());
    other.push();
    let (node, chain) = honest(with_key()).await;
    chain.finalized_head().await.unwrap();
    let state = chain.finalized().await.unwrap();
    node.lie(move |method, params, mut truth| {
        if method == "state_getReadProof" {
            let key = params[0][0].as_str().unwrap().to_owned();
            let named =
                [keys::epoch(EpochId(1)), keys::answers_of(CeremonyId(2), 0), keys::ceremony()];
            if let Some(key) = named.iter().find(|it| it.to_string() == key) {
                truth["proof"] = other.proof_of_newest(key);
            }
        }
        truth
    });
    let refused = doubt(state.epoch(EpochId(1)).await.unwrap_err());
    assert!(matches!(refused, Doubt::State(_)), "{refused}");
    let refused = doubt(state.ceremony().await.unwrap_err());
    assert!(matches!(refused, Doubt::State(_)), "{refused}");
    let refused = doubt(state.answers(&ceremony()).await.unwrap_err());
    assert!(matches!(refused, Doubt::State(_)), "{refused}");
}

#[tokio::test]
async fn a_value_of_another_type_is_refused_by_a_client_that_believes_too() {
    let mut network = with_key();
    network.put(keys::ceremony(), &json!(1).to_string());
    network.push();
    for chain in both(network).await {
        let state = chain.finalized().await.unwrap();
        for refused in [
            state.ceremony().await.map(drop).unwrap_err(),
            state.ceremony_state().await.map(drop).unwrap_err(),
            state.consortium_key().await.map(drop).unwrap_err(),
        ] {
            let refused = doubt(refused);
            let wrong = matches!(&refused, Doubt::State(StateError::OtherType { .. }));
            assert!(wrong, "{refused}");
        }
    }
}
