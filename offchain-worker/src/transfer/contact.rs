//! Whether a hospital's worker answers at the address that the chain names for it, and proves its TLS key.

use std::{
    net::SocketAddr,
    time::{Duration, UNIX_EPOCH},
};

use epione_client::api::WorkerInfo;
use epione_primitives::{Hash, Moment};
use futures::{StreamExt, stream::FuturesUnordered};
use http::{StatusCode, header::DATE};
use tokio::{net::lookup_host, time::timeout};
use url::Host;

use super::{
    Courier, Peer, PeerFault,
    asking::answer,
    download::{extended, fault},
    wire::{MAX_ANSWER_BYTES, ReachReply},
};
use crate::millis;

/// For a request in which the other worker connects back, which it does not do for long.
const REACH_LIMIT: Duration = Duration::from_secs(15);
/// Addresses of one name that are tried, at most.
const ADDRESSES: usize = 4;

/// A worker that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub info: WorkerInfo,
    /// The worker's clock, in whole seconds, if its response says it.
    pub date: Option<Moment>,
}

/// Asks a hospital's worker who it is, without a signature, over a new connection.
pub async fn contact(genesis: Hash, peer: &Peer, limit: Duration) -> Result<Contact, PeerFault> {
    contact_over(peer.endpoint.http(), genesis, peer, limit).await
}

/// Whether a hospital's worker answers, for a hospital that chose its address to find out something else.
///
/// Each address of its name is tried by itself, all at the same time. One after another, the hospital would see at its
/// own server how long the attempt at an address before took, which may be within this hospital's network.
pub async fn is_there(genesis: Hash, peer: &Peer, limit: Duration) -> bool {
    let url = peer.endpoint.url();
    let Some(Host::Domain(name)) = url.host() else {
        return contact(genesis, peer, limit).await.is_ok();
    };
    match lookup_host((name, url.port_or_known_default().unwrap_or_default())).await {
        Ok(found) => {
            let addresses = found.take(ADDRESSES).collect();
            is_at_any(genesis, peer, name, addresses, limit).await
        }
        Err(_) => false,
    }
}

async fn is_at_any(
    genesis: Hash,
    peer: &Peer,
    name: &str,
    addresses: Vec<SocketAddr>,
    limit: Duration,
) -> bool {
    let mut attempts = FuturesUnordered::new();
    for address in addresses {
        let client = peer.endpoint.http().resolve(name, address);
        attempts.push(contact_over(client, genesis, peer, limit));
    }
    while let Some(answer) = attempts.next().await {
        if answer.is_ok() {
            return true;
        }
    }
    false
}

async fn contact_over(
    client: reqwest::ClientBuilder,
    genesis: Hash,
    peer: &Peer,
    limit: Duration,
) -> Result<Contact, PeerFault> {
    let url = extended(peer.endpoint.url(), &["info"])
        .ok_or_else(|| PeerFault::Unreachable("its URL cannot be extended".into()))?;
    let client = client
        .timeout(limit)
        .no_proxy()
        .build()
        .map_err(|error| PeerFault::Unreachable(format!("TLS cannot be set up: {error}")))?;
    let response = client.get(url).send().await.map_err(|error| fault(&error))?;
    let date = response.headers().get(DATE).and_then(|date| moment_of(date.to_str().ok()?));
    if !response.status().is_success() {
        return Err(PeerFault::Refused(response.status().as_u16()));
    }
    let info = body(response).await?;
    let info: WorkerInfo = serde_json::from_slice(&info).map_err(|_| PeerFault::Nonsense)?;
    if (info.hospital, info.genesis) != (peer.hospital, genesis) {
        return Err(PeerFault::OtherWorker);
    }
    Ok(Contact { info, date })
}

/// The body of a response, which is short.
async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, PeerFault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(PeerFault::Nonsense);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The moment that a `Date` header names: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn moment_of(text: &str) -> Option<Moment> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.split_once(", ")?.1.strip_suffix(" GMT")?;
    let mut parts = rest.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let stated = humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()?;
    Some(stated.duration_since(UNIX_EPOCH).map_or(0, millis))
}

impl Courier {
    /// Whether a hospital's worker can connect to this hospital's worker, at the address that the chain names.
    pub async fn reach(&self, genesis: Hash, peer: &Peer) -> Result<bool, PeerFault> {
        let request = self.request(genesis, peer, &http::Method::POST, &["reach"], Vec::new())?;
        let asking = timeout(REACH_LIMIT, answer(request));
        let (status, reply) = asking.await.unwrap_or(Err(PeerFault::Stalled))?;
        match status {
            StatusCode::OK => serde_json::from_slice::<ReachReply>(&reply)
                .map(|reply| reply.reached)
                .map_err(|_| PeerFault::Nonsense),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Err(PeerFault::Busy),
            other => Err(PeerFault::Refused(other.as_u16())),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, routing::get};
    use epione_client::Endpoint;
    use epione_primitives::HospitalId;
    use tokio::net::TcpListener;
    use url::Url;

    use super::*;

    #[tokio::test]
    async fn an_address_of_a_name_that_says_nothing_does_not_delay_the_others() {
        let (genesis, hospital) = (Hash::repeat_byte(1), HospitalId(1));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let info = WorkerInfo { hospital, genesis, version: "1".into() };
        let router = Router::new().route("/v1/info", get(move || async move { Json(info) }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        // Accepts connections, and says nothing.
        let silent = TcpListener::bind(("127.0.0.2", here.port())).await.unwrap();
        let there = silent.local_addr().unwrap();

        let url = Url::parse(&format!("http://localhost:{}", here.port())).unwrap();
        let peer = Peer { hospital, endpoint: Endpoint::new(url, [0; 32]).unwrap() };
        let look = async |addresses: Vec<SocketAddr>, limit: Duration| {
            is_at_any(genesis, &peer, "localhost", addresses, limit).await
        };
        // One that waited for the silent address first would wait forever.
        for addresses in [vec![there, here], vec![here, there]] {
            let looked =
                timeout(Duration::from_secs(60), look(addresses, Duration::from_secs(3_600))).await;
            assert!(looked.unwrap());
        }
        assert!(!look(vec![there], Duration::from_millis(200)).await);
        assert!(!look(Vec::new(), Duration::from_secs(60)).await);
    }

    #[test]
    fn a_date_header_is_read_and_other_text_is_not() {
        assert_eq!(moment_of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(moment_of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Non 1994 08:49:37 GMT",
            "Sun, 36 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 GMT",
        ] {
            assert_eq!(moment_of(text), None, "{text}");
        }
    }
}
