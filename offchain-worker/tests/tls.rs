//! A hospital's TLS key on chain, changed while its worker runs.

#![allow(clippy::unwrap_used)]

mod network;

use std::time::Duration;

use epione_client::{
    Endpoint,
    chain::Chain,
    worker::{WorkerClient, WorkerError},
};
use network::{Hospital, Network, Tuning, eventually};

async fn greeted(chain: &Chain, hospital: &Hospital) -> Result<(), WorkerError> {
    let client = WorkerClient::for_hospital(chain, hospital.id, hospital.governance()).await?;
    client.info().await.map(drop)
}

/// The gauge, asked of whoever proves a key.
async fn tls_key_matches(endpoint: &Endpoint) -> Option<bool> {
    let http = endpoint.http().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    let answer = http.get(endpoint.url().join("metrics").unwrap()).send().await.ok()?;
    let text = answer.text().await.ok()?;
    let value =
        text.lines().find_map(|line| line.strip_prefix("epione_worker_tls_key_matches "))?;
    Some(value == "1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_proves_whichever_of_its_keys_the_chain_names_and_says_when_it_has_none() {
    let network = Network::start(1, Tuning::default()).await;
    let hospital = &network.hospitals[0];
    let chain = hospital.chain().await;
    let first = hospital.endpoint();
    assert_eq!(hospital.printed_tls_key(0), *first.tls_key());
    greeted(&chain, hospital).await.unwrap();

    let next = Endpoint::new(first.url().clone(), hospital.printed_tls_key(1)).unwrap();
    hospital.name_tls_key(next.tls_key()).await;
    eventually("the next key is proved", async || greeted(&chain, hospital).await.ok()).await;
    assert_eq!(tls_key_matches(&next).await, Some(true));
    assert_eq!(tls_key_matches(&first).await, None);

    hospital.name_tls_key(&[9; 32]).await;
    let refused = greeted(&chain, hospital).await.unwrap_err();
    assert!(matches!(refused, WorkerError::WrongKey { .. }), "{refused}");
    eventually("the worker knows that it is not known", async || {
        (!tls_key_matches(&next).await?).then_some(())
    })
    .await;
    assert!(hospital.worker.log().contains("epione hospital set-endpoint --url https://127.0.0.1"));

    hospital.name_tls_key(first.tls_key()).await;
    eventually("the first key is proved again", async || greeted(&chain, hospital).await.ok())
        .await;
}
