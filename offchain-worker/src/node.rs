//! The connection to the hospital's own node, which comes and goes.

use std::time::Duration;

use epione_client::chain::{Chain, ChainError};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use url::Url;

use crate::{metrics::Metrics, tasks::backoff::Backoff};

/// The node while it answers; none while it does not.
pub type NodeHandle = watch::Receiver<Option<Chain>>;

const CONNECT: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
const PROBE: Duration = Duration::from_secs(2);
/// A node that does not answer this long is taken to be away.
const ANSWER: Duration = Duration::from_secs(4);

/// Connects to the node and keeps telling whether it answers, for ever. What happens to the node is
/// not this worker's fault, and never its end.
pub async fn keep_connected(url: Url, metrics: Metrics, node: watch::Sender<Option<Chain>>) {
    let chain = connect(&url).await;
    let mut answered = None;
    loop {
        let answers = matches!(timeout(ANSWER, chain.health()).await, Ok(Ok(_)));
        if answered != Some(answers) {
            answered = Some(answers);
            if answers {
                tracing::info!(%url, "the node answers");
            } else {
                tracing::warn!(%url, "the node does not answer: visits are refused until it does");
            }
            metrics.node_connected.set(answers.into());
            node.send_replace(answers.then(|| chain.clone()));
        }
        sleep(PROBE).await;
    }
}

async fn connect(url: &Url) -> Chain {
    let mut failures = 0;
    loop {
        match Chain::connect(url.as_str()).await {
            Ok(chain) => return chain,
            Err(error) => {
                failures += 1;
                report(&error);
                sleep(CONNECT.after(failures)).await;
            }
        }
    }
}

fn report(error: &ChainError) {
    if error.is_transient() {
        tracing::warn!(%error, "waiting for the node");
    } else {
        tracing::error!(%error, "the node cannot be used; trying again");
    }
}
