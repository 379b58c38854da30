//! Repairs: segments that are lost or damaged here are fetched from other hospitals.

use super::*;

#[tokio::test]
async fn concurrent_repairs_fetch_a_segment_once() {
    let content = content(1);
    let network = Network::new(&[Manner::Absent, Manner::Honest], &content).await;
    let (_journal, repair) = keep(&network, &segments(&content)).await;
    let hash = segment(&content[0]).hash;
    let repairs = (0..5).map(|_| repair.repair(hash));
    for result in futures::future::join_all(repairs).await {
        result.unwrap();
    }
    assert!(network.holds(&content).await);
    assert_eq!(network.asked(1), 1);
}

#[tokio::test]
async fn a_segment_that_no_hospital_says_it_has_is_missing() {
    let content = content(2);
    let network = Network::new(&[Manner::Absent, Manner::Honest], &content).await;
    let (_journal, repair) = keep(&network, &segments(&content)).await;
    let mut named: Vec<_> = segments(&content).iter().map(|segment| segment.hash).collect();
    assert_eq!(repair.missing_elsewhere(named.clone()).await, Vec::<[u8; 32]>::new());
    named.push([7; 32]);
    assert_eq!(repair.missing_elsewhere(named.clone()).await, [[7; 32]]);

    let network = Network::new(&[Manner::Absent], &content).await;
    let (_journal, repair) = keep(&network, &segments(&content)).await;
    assert_eq!(repair.missing_elsewhere(named).await.len(), 3);
}

#[tokio::test]
async fn hospitals_that_do_not_answer_make_room_for_the_next() {
    let content = content(2);
    let mut manners = [Manner::Silent; 9];
    manners[8] = Manner::Honest;
    let network = Network::new(&manners, &content).await;
    let (_journal, repair) = keep(&network, &segments(&content)).await;
    let named: Vec<_> = segments(&content).iter().map(|segment| segment.hash).collect();
    for _ in 0..5 {
        assert_eq!(repair.missing_elsewhere(named.clone()).await, Vec::<[u8; 32]>::new());
    }
}

#[tokio::test]
async fn the_only_hospital_that_has_a_segment_is_asked_however_many_do_not_have_it() {
    let content = content(2);
    let mut manners = [Manner::Absent; 9];
    manners[8] = Manner::Honest;
    let network = Network::new(&manners, &content).await;
    let (_journal, repair) = keep(&network, &segments(&content)).await;
    let named: Vec<_> = segments(&content).iter().map(|segment| segment.hash).collect();
    for _ in 0..5 {
        assert_eq!(repair.missing_elsewhere(named.clone()).await, Vec::<[u8; 32]>::new());
    }
}

#[tokio::test]
async fn a_damaged_segment_is_replaced() {
    let content = content(1);
    let objects = Arc::new(InMemory::new());
    let network = Network::with(Store::over(objects.clone()), &[Manner::Honest], &content).await;
    let (_journal, repair) = keep(&network, &segments(&content)).await;
    let hash = segment(&content[0]).hash;
    let mut damaged = content[0].clone();
    damaged[9] ^= 1;
    let path = object_store::path::Path::from(format!("segments/{}", hex::encode(hash)));
    objects.put(&path, damaged.into()).await.unwrap();
    repair.repair(hash).await.unwrap();
    assert!(network.holds(&content).await);
    // An intact segment is not fetched again.
    repair.repair(hash).await.unwrap();
    assert_eq!(network.asked(0), 1);
}

#[tokio::test]
async fn a_segment_is_repaired_despite_wrong_lengths() {
    let content = content(1);
    let network = Network::new(&[Manner::Honest], &content).await;
    let journal = network.journal.clone();
    for (id, claim) in [(1, lie(&content[0])), (2, segment(&content[0]))] {
        journal.reference(Owner::Announcement(AnnouncementId(id)), &[claim]).await.unwrap();
    }
    let store = network.store.clone();
    let repair = PeerRepair::new(Arc::clone(&network.fetcher), journal.clone(), store);
    let hash = segment(&content[0]).hash;
    repair.repair(hash).await.unwrap();
    assert!(network.holds(&content).await);
    // If only the wrong claim remains, the intact segment stays.
    journal.release(Owner::Announcement(AnnouncementId(2)), 1).await.unwrap();
    repair.repair(hash).await.unwrap();
    assert!(network.holds(&content).await);
}

#[tokio::test]
async fn only_few_stated_lengths_are_tried() {
    let content = content(1);
    let network = Network::new(&[Manner::Honest], &content).await;
    let journal = network.journal.clone();
    let hash = segment(&content[0]).hash;
    for id in 1..=20 {
        let claim = Segment { hash, length: id };
        journal.reference(Owner::Announcement(AnnouncementId(id.into())), &[claim]).await.unwrap();
    }
    let repair = PeerRepair::new(Arc::clone(&network.fetcher), journal, network.store.clone());
    assert!(matches!(repair.repair(hash).await, Err(RepairError::Unavailable)));
    assert_eq!(network.asked(0), 8);
}

#[tokio::test]
async fn unknown_and_lost_segments_are_not_repaired() {
    let content = content(1);
    let network = Network::new(&[Manner::Lies], &content).await;
    let (_journal, repair) = keep(&network, &segments(&content)).await;
    let unknown = repair.repair([7; 32]).await;
    assert!(matches!(unknown, Err(RepairError::UnknownSegment)));
    let unavailable = repair.repair(segment(&content[0]).hash).await;
    assert!(matches!(unavailable, Err(RepairError::Unavailable)));
}
