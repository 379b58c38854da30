//! A real S3 server behind a proxy that lies: no vote and no repair counts bytes that this worker did not read.

use super::*;
use crate::{
    config::S3Settings,
    journal,
    store::{
        proxy::{Fault, Proxy},
        server::Server,
    },
};

/// A hospital whose storage is behind a proxy.
async fn behind(server: &Server, manner: Manner, content: &[Vec<u8>]) -> (Proxy, Network) {
    let proxy = Proxy::before(server).await;
    let store = Store::s3(&proxy.settings(server)).unwrap();
    let network = Network::with(store, &[manner], content).await;
    (proxy, network)
}

#[tokio::test]
async fn a_head_that_lies_wins_no_vote_for_absent_bytes() {
    let (server, content) = (Server::start(), content(1));
    let (proxy, network) = behind(&server, Manner::Absent, &content).await;
    proxy.set(Fault::LyingHead(segment(&content[0]).length));
    let wanted = segments(&content);
    // The worker approves a block if nothing is missing.
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 1);
    let failed = network.fetcher.fetch(&wanted, None).await;
    assert!(matches!(failed, Err(FetchError::Unavailable { .. })), "{failed:?}");
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_head_that_lies_is_not_counted_as_a_repair() {
    let (server, content) = (Server::start(), content(1));
    let (proxy, network) = behind(&server, Manner::Absent, &content).await;
    proxy.set(Fault::LyingHead(segment(&content[0]).length));
    let (_journal, repair) = keep(&network, &segments(&content)).await;
    let repaired = repair.repair(segment(&content[0]).hash).await;
    assert!(matches!(repaired, Err(RepairError::Unavailable)), "{repaired:?}");
}

#[tokio::test]
async fn a_write_that_the_storage_lost_wins_no_vote() {
    let (server, content) = (Server::start(), content(1));
    let (proxy, network) = behind(&server, Manner::Honest, &content).await;
    proxy.set(Fault::LostWrites);
    let wanted = segments(&content);
    let failed = network.fetcher.fetch(&wanted, None).await;
    assert!(matches!(failed, Err(FetchError::Store(StoreError::NotKept))), "{failed:?}");
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 1);
    let (_journal, repair) = keep(&network, &wanted).await;
    let repaired = repair.repair(wanted[0].hash).await;
    assert!(matches!(repaired, Err(RepairError::Store(StoreError::NotKept))), "{repaired:?}");
    proxy.heal();
    network.fetcher.fetch(&wanted, None).await.unwrap();
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_segment_that_vanished_is_forgotten_when_a_read_fails() {
    let (server, content) = (Server::start(), content(1));
    let (_proxy, network) = behind(&server, Manner::Honest, &content).await;
    let wanted = segments(&content);
    network.fetcher.fetch(&wanted, None).await.unwrap();
    let hash = wanted[0].hash;
    assert_eq!(network.journal.verified_length(hash).await.unwrap(), Some(wanted[0].length));
    std::fs::remove_file(server.objects().join("segments").join(hex::encode(hash))).unwrap();
    journal::read_back(&network.journal, &network.store, &hash).await.unwrap_err();
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_segment_that_the_storage_lost_after_it_was_verified_wins_no_vote() {
    let (server, content) = (Server::start(), content(2));
    let (proxy, network) = behind(&server, Manner::Honest, &content).await;
    let wanted = segments(&content);
    network.fetcher.fetch(&wanted, None).await.unwrap();
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 0);
    let lost = wanted[0].hash;
    std::fs::remove_file(server.objects().join("segments").join(hex::encode(lost))).unwrap();
    // While the storage fails, what was read back before counts.
    proxy.set(Fault::SlowDown);
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 0);
    proxy.heal();
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 1);
    assert_eq!(network.journal.verified_length(lost).await.unwrap(), None);
    // That the storage says it is back proves nothing.
    proxy.set(Fault::LyingHead(wanted[0].length));
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_archived_object_is_fetched_from_another_hospital_and_written_again() {
    let (server, content) = (Server::start(), content(1));
    let (proxy, network) = behind(&server, Manner::Honest, &content).await;
    let wanted = segments(&content);
    network.fetcher.fetch(&wanted, None).await.unwrap();
    let (_journal, repair) = keep(&network, &wanted).await;
    proxy.set(Fault::Archived(Some(wanted[0].hash)));
    repair.repair(wanted[0].hash).await.unwrap();
    assert!(network.holds(&content).await);
    assert_eq!(network.asked(0), 2);
}

#[tokio::test]
async fn a_reader_gets_bytes_of_another_hospital_while_the_storage_cuts_every_answer() {
    let (server, content) = (Server::start(), content(1));
    let (proxy, network) = behind(&server, Manner::Honest, &content).await;
    let wanted = segments(&content);
    let (_journal, repair) = keep(&network, &wanted).await;
    proxy.set(Fault::CutBodies);
    repair.repair(wanted[0].hash).await.unwrap_err();
    let bytes = repair.obtain(wanted[0].hash).await.unwrap();
    assert_eq!(bytes, content[0]);
    assert_eq!(network.journal.verified_length(wanted[0].hash).await.unwrap(), None);
}

#[tokio::test]
async fn a_reader_does_not_wait_for_places_that_a_stalled_storage_holds() {
    let (server, content) = (Server::start(), content(6));
    let proxy = Proxy::before(&server).await;
    let deadline = Duration::from_secs(120);
    let store = Store::s3(&S3Settings { deadline, ..proxy.settings(&server) }).unwrap();
    let network = Network::with(store.clone(), &[Manner::Honest], &content).await;
    for bytes in &content {
        let source = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes.clone()))]);
        store.put(&segment(bytes), source).await.unwrap();
    }
    proxy.set(Fault::StalledReads);
    let (fetcher, wanted) = (Arc::clone(&network.fetcher), segments(&content));
    let voting = tokio::spawn(async move { fetcher.missing(&wanted, None).await });
    // Its reads hold every place that they may have.
    let are_held = async {
        while network.fetcher.has_slot(None) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(NEVER, are_held).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(network.fetcher.obtain(segment(&content[0])).await.unwrap(), content[0]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    voting.abort();
}

#[tokio::test]
async fn readers_of_one_segment_share_a_download_that_does_not_count_as_stored() {
    let content = content(1);
    let network = Network::new(&[Manner::Honest], &content).await;
    let wanted = segment(&content[0]);
    let readers = (0..8).map(|_| network.fetcher.obtain(wanted));
    for bytes in futures::future::join_all(readers).await {
        assert_eq!(bytes.unwrap(), content[0]);
    }
    assert_eq!((network.asked(0), network.metrics.segments_stored.get()), (1, 0));
}
