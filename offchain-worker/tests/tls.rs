//! A hospital's TLS key on the chain changes while its worker runs.

#![allow(clippy::unwrap_used)]

mod network;

use std::time::Duration;

use epione_client::{
    Endpoint,
    chain::Chain,
    worker::{WorkerClient, WorkerError},
};
use network::{Hospital, Network, Tuning, eventually, settles};

async fn greeted(chain: &Chain, hospital: &Hospital) -> Result<(), WorkerError> {
    let client = WorkerClient::for_hospital(chain, hospital.id, hospital.governance()).await?;
    client.info().await.map(drop)
}

/// Waits until the worker proves the key that the chain names.
async fn is_greeted(chain: &Chain, hospital: &Hospital) {
    settles("the worker proves the key on the chain", async || {
        greeted(chain, hospital).await.map_err(|error| error.to_string())
    })
    .await;
}

/// Waits until the metric has this value, read from a worker that proves the key.
async fn tls_key_comes_to_match(hospital: &Hospital, endpoint: &Endpoint, wanted: bool) {
    settles("the worker knows whether its key is the chain's", async || {
        let matches = tls_key_matches(hospital, endpoint).await;
        if matches == Some(wanted) { Ok(()) } else { Err(matches) }
    })
    .await;
}

/// What the worker reports to its operators; none if it does not prove the endpoint's key.
async fn tls_key_matches(hospital: &Hospital, endpoint: &Endpoint) -> Option<bool> {
    let http = endpoint.http().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    http.get(endpoint.url().join("healthz").unwrap()).send().await.ok()?;
    Some(hospital.metric("epione_worker_tls_key_matches").await == 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_follows_its_tls_key_on_the_chain() {
    let network = Network::start(1, Tuning::default()).await;
    let hospital = &network.hospitals[0];
    let chain = hospital.chain().await;
    let first = hospital.endpoint();
    assert_eq!(hospital.printed_tls_key(0), *first.tls_key());
    is_greeted(&chain, hospital).await;

    let next = Endpoint::new(first.url().clone(), hospital.printed_tls_key(1)).unwrap();
    hospital.name_tls_key(next.tls_key()).await;
    is_greeted(&chain, hospital).await;
    tls_key_comes_to_match(hospital, &next, true).await;
    assert_eq!(tls_key_matches(hospital, &first).await, None);

    hospital.name_tls_key(&[9; 32]).await;
    settles("the client sees another key than the chain names", async || {
        match greeted(&chain, hospital).await {
            Err(WorkerError::WrongKey { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(()) => panic!("the client accepted a worker with another key than the chain names"),
        }
    })
    .await;
    tls_key_comes_to_match(hospital, &next, false).await;
    eventually("the worker's log says how to correct it", async || {
        let command = "epione hospital set-endpoint --url https://127.0.0.1";
        hospital.worker.log().contains(command).then_some(())
    })
    .await;

    hospital.name_tls_key(first.tls_key()).await;
    is_greeted(&chain, hospital).await;
}
