//! Four hospitals that approve each other's lite blocks, also when some are away or faulty.

#![allow(clippy::unwrap_used)]

mod network;

use std::sync::Arc;

use epione_client::chain::{Chain, ChainEvent, SubmitError, calls::lite_blocks};
use epione_primitives::{
    AnnouncementId, HospitalId,
    approval::{Ballot, RejectReason},
    block::{Segment, Stage, record_hash},
    ports::HashedBody,
};
use network::{
    Network, Tuning, eventually,
    forger::{Forged, Forger, Manner},
    people::People,
};

fn media(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index as u8).wrapping_mul(29).wrapping_add(seed)).collect()
}

async fn ballot(chain: &Chain, id: AnnouncementId) -> Ballot {
    chain.finalized().await.unwrap().ballot(id).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_hospital_catches_up() {
    let mut network = Network::start(4, Tuning::default()).await;
    let folder = network.folder.path().to_owned();
    let people = People::register(&network.hospitals[0]).await;

    // All hospitals run: the block is committed, and all have its segments.
    let visit = people.visit(&network.hospitals[0], &folder, &media(1, 20 * 1024 * 1024)).await;
    people.submit(&network.hospitals[0], &visit).await;
    people.is_committed(&network.hospitals[0], visit.record_id()).await;
    let segments = network.segments().await;
    assert_eq!(segments.len(), 6);
    for hospital in &network.hospitals {
        hospital.comes_to_hold(&segments).await;
    }

    // One is killed while it fetches, another is away all the time.
    network.hospitals[3].worker.kill();
    let visit = people.visit(&network.hospitals[0], &folder, &media(2, 60 * 1024 * 1024)).await;
    people.submit(&network.hospitals[0], &visit).await;
    people.is_announced(&network.hospitals[0], visit.record_id()).await;
    network.hospitals[2].worker.kill();
    network.hospitals[2].worker.start();
    people.is_committed(&network.hospitals[0], visit.record_id()).await;
    network.hospitals[3].worker.start();
    let segments = network.segments().await;
    for hospital in &network.hospitals {
        hospital.comes_to_hold(&segments).await;
    }

    // One has lost everything except its keys, and recovers all of it.
    network.hospitals[1].worker.kill();
    network.hospitals[1].lose_everything();
    network.hospitals[1].worker.start();
    network.hospitals[1].comes_to_hold(&segments).await;

    // A damaged segment is repaired from others before it is served to a reader.
    let (pointer, bytes) =
        (network.committed().await[&visit.record_id()][0], media(2, 60 * 1024 * 1024));
    std::fs::write(network.hospitals[0].stored(&segments[8]), b"short").unwrap();
    std::fs::remove_file(network.hospitals[0].stored(&segments[9])).unwrap();
    let (_, read) = people.read(&network.hospitals[0], &folder, pointer).await;
    assert!(read == bytes, "other bytes came back");
    network.hospitals[0].comes_to_hold(&segments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcer_killed_while_the_ballot_is_open_commits_once() {
    let mut network = Network::start(4, Tuning::default()).await;
    let folder = network.folder.path().to_owned();
    let people = People::register(&network.hospitals[0]).await;
    for hospital in &mut network.hospitals[1..] {
        hospital.worker.kill();
    }
    let visit = people.visit(&network.hospitals[0], &folder, &media(1, 1_000)).await;
    people.submit(&network.hospitals[0], &visit).await;
    let announced = people.is_announced(&network.hospitals[0], visit.record_id()).await.unwrap();
    network.hospitals[0].worker.kill();
    network.hospitals[0].worker.start();
    network.hospitals[0].worker_is_ready().await;
    // Nothing is announced again while the ballot is open.
    let chain = network.hospitals[0].chain().await;
    let ready_at = chain.finalized_head().await.unwrap().number;
    network.hospitals[0].finalizes(ready_at + 4).await;
    let open = chain.finalized().await.unwrap().open_announcements().await.unwrap();
    assert_eq!(open, [announced]);
    for hospital in &mut network.hospitals[1..] {
        hospital.worker.start();
    }
    people.is_committed(&network.hospitals[0], visit.record_id()).await;
    let committed = network.committed().await;
    assert_eq!(committed.values().map(Vec::len).collect::<Vec<_>>(), [1]);
}

/// Announces a block in Bob's name, while the test replaces Bob's worker.
async fn announce(network: &Network, forged: &Forged) -> AnnouncementId {
    let bob = &network.hospitals[1];
    let call = lite_blocks::announce(&forged.header, &forged.entries, &forged.body);
    let included = bob.chain().await.submit(&call, &bob.agent()).await.unwrap();
    let announced = included.events.into_iter().find_map(|event| match event {
        ChainEvent::Announced { id, .. } => Some(id),
        _ => None,
    });
    announced.unwrap()
}

async fn rejected(network: &Network, id: AnnouncementId, reason: RejectReason) {
    assert_eq!(network.hospitals[0].ballot_ends(id).await, Stage::Rejected);
    let chain = network.hospitals[0].chain().await;
    let ballot = ballot(&chain, id).await;
    assert!(ballot.rejections.iter().all(|(_, given)| *given == reason), "{ballot:?}");
    assert_eq!(ballot.approvals.len(), 0);
}

async fn is_let_go(network: &Network, segments: &[Segment]) {
    eventually("the segments of a rejected block are gone", async || {
        let gone =
            |index: usize| !segments.iter().any(|s| network.hospitals[index].stored(s).exists());
        [0, 2, 3].into_iter().all(gone).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_block_is_rejected_with_the_reason() {
    // The fetch of segments that no hospital has ends soon after the announcement.
    let tuning = Tuning { reject_margin_blocks: 194, ..Tuning::default() };
    let mut network = Network::start(4, tuning).await;
    let people = People::register(&network.hospitals[1]).await;
    network.hospitals[1].worker.kill();
    let forger = Forger::new(&network.hospitals[1], &people).await;

    let mut other_bytes = forger.forge(&media(9, 1_000));
    other_bytes.entries[0].hash.0[0] ^= 1;
    let id = announce(&network, &other_bytes).await;
    rejected(&network, id, RejectReason::MalformedBody).await;

    let mut nonsense = forger.forge(&media(1, 1_000));
    nonsense.body[20] ^= 0xff;
    nonsense.entries[0].hash = record_hash(&nonsense.body);
    let id = announce(&network, &nonsense).await;
    let mut reasons = Vec::new();
    let chain = network.hospitals[0].chain().await;
    assert_eq!(network.hospitals[0].ballot_ends(id).await, Stage::Rejected);
    // A flipped bit may invalidate the record's format or its author's signature.
    reasons.extend(ballot(&chain, id).await.rejections.iter().map(|(_, reason)| *reason));
    assert!(
        reasons.iter().all(|reason| {
            matches!(reason, RejectReason::MalformedBody | RejectReason::InvalidAuthor)
        }),
        "{reasons:?}"
    );

    let mut other_root = forger.forge(&media(2, 1_000));
    other_root.header.segments.root.0[0] ^= 1;
    let id = announce(&network, &other_root).await;
    rejected(&network, id, RejectReason::SegmentsMismatch).await;

    let id = announce(&network, &forger.forge_as_nobody(&media(3, 1_000))).await;
    rejected(&network, id, RejectReason::InvalidAuthor).await;

    for forged in [
        forger.forge_cosigned_by_nobody(&media(6, 1_000)),
        forger.forge_nursed_by_nobody(&media(7, 1_000)),
        forger.forge_on_another_fork(&media(8, 1_000)),
    ] {
        let id = announce(&network, &forged).await;
        rejected(&network, id, RejectReason::InvalidAuthor).await;
    }

    // Wrong bytes for the right names, from the announcer, which alone claims to have the segments.
    let forged = forger.forge(&media(4, 17 * 1024 * 1024));
    let server = network.hospitals[1].impersonate(&forged, |_| Manner::Garbage).await;
    let id = announce(&network, &forged).await;
    rejected(&network, id, RejectReason::SegmentMissing).await;
    // The ballot ends with the second rejection. A slow hospital may not have sent a request by then.
    let mut wrong = 0;
    for index in [0, 2, 3] {
        let name = "epione_worker_peer_fetches_total{result=\"wrong-bytes\"}";
        wrong += network.hospitals[index].metric(name).await;
    }
    assert!(wrong > 0);
    let segments: Vec<_> = forged.segments.iter().map(|(segment, _)| *segment).collect();
    is_let_go(&network, &segments).await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_a_faulty_announcer_come_from_others() {
    let mut network = Network::start(4, Tuning::default()).await;
    let people = People::register(&network.hospitals[1]).await;
    network.hospitals[1].worker.kill();
    let forger = Forger::new(&network.hospitals[1], &people).await;
    let forged = forger.forge(&media(5, 17 * 1024 * 1024));
    // Dave receives the right bytes, Alice wrong ones, and Charlie only half of them.
    let agents: Arc<[_]> = network.hospitals.iter().map(|hospital| hospital.agent().id()).collect();
    let server = network.hospitals[1]
        .impersonate(&forged, move |asking| match asking {
            asking if *asking == agents[3] => Manner::Honest,
            asking if *asking == agents[0] => Manner::Garbage,
            _ => Manner::Stall,
        })
        .await;
    let id = announce(&network, &forged).await;
    let chain = network.hospitals[0].chain().await;
    assert_eq!(network.hospitals[0].ballot_ends(id).await, Stage::Committed { height: 1 });
    let segments: Vec<_> = forged.segments.iter().map(|(segment, _)| *segment).collect();
    for index in [0, 2, 3] {
        network.hospitals[index].comes_to_hold(&segments).await;
    }
    let voted = ballot(&chain, id).await;
    assert!(voted.approvals.iter().all(|approval| approval.hospital != HospitalId(1)));
    let body_hash = HashedBody::new(&forged.body).hash();
    assert_eq!(voted.subject, forged.header.subject(&forged.entries, body_hash));
    drop(server);

    // The hospital cannot have the same record committed again.
    let bob = &network.hospitals[1];
    let replay = forger.replay(&forged, &media(7, 1_000));
    let call = lite_blocks::announce(&replay.header, &replay.entries, &replay.body);
    match bob.chain().await.submit(&call, &bob.agent()).await {
        Err(SubmitError::Dispatch(failure)) => {
            assert!(failure.is("LiteBlocks", "RepeatedRecord"), "{failure}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a record was announced twice"),
    }

    // A block that states a shorter length is rejected, and the stored segment is not affected.
    let lie = forger.forge(&media(6, 1_000)).misnamed(segments[0].hash);
    let id = announce(&network, &lie).await;
    rejected(&network, id, RejectReason::SegmentsMismatch).await;
    for index in [0, 2, 3] {
        network.hospitals[index].comes_to_hold(&segments).await;
    }
}
