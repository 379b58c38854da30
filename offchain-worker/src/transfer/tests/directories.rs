//! Storage on a disk: what is fetched counts at once, and files of others count after the worker has read them.

use super::*;

#[tokio::test]
async fn what_is_fetched_onto_a_disk_counts_without_a_read() {
    let content = content(3);
    let (backend, _, _) = Faulty::with_room(u64::MAX);
    let store = Store::over(backend.clone());
    let network = Network::with(store, &[Manner::Honest], &content).await;
    let wanted = segments(&content);
    network.fetcher.fetch(&wanted, None).await.unwrap();
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap().len(), 0);
    assert_eq!(backend.reads(), 0);
    assert!(network.holds(&content).await);
}

#[tokio::test]
async fn a_file_that_was_put_into_the_directory_counts_only_after_it_was_read() {
    let (folder, content) = (tempfile::tempdir().unwrap(), content(2));
    let store = Store::local(folder.path()).unwrap();
    let network = Network::with(store, &[Manner::Honest], &content).await;
    let wanted = segments(&content);
    let hashes: Vec<_> = wanted.iter().map(|segment| segment.hash).collect();
    // The second has the right name and length, and other bytes.
    let files = [content[0].clone(), vec![0xee; content[1].len()]];
    for (hash, bytes) in hashes.iter().zip(files) {
        std::fs::write(folder.path().join("segments").join(hex::encode(hash)), bytes).unwrap();
    }
    assert_eq!(network.journal.not_verified(hashes.clone()).await.unwrap(), hashes);
    assert_eq!(network.fetcher.missing(&wanted, None).await.unwrap(), wanted[1..]);
    assert_eq!(network.journal.not_verified(hashes.clone()).await.unwrap(), hashes[1..]);
    network.fetcher.fetch(&wanted, None).await.unwrap();
    assert!(network.holds(&content).await);
    assert_eq!(network.asked(0), 1);
}
