//! Connections on which nothing happens, or too many of them.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use epione_envelope::record::SectionKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

use super::{
    serving::{config, reserve, tls, until},
    world::{Raw, World},
};
use crate::{
    api::{ServeError, serve},
    config::Config,
    descriptors,
};

/// Serves a world's API as in production, on a port of its own.
struct Served {
    port: u16,
    server: JoinHandle<Result<(), ServeError>>,
    _reserved: TcpSocket,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Served {
    async fn over(world: &World, scheme: &str, limits: &str) -> Self {
        let (port, reserved) = reserve();
        let url = format!("{scheme}://127.0.0.1:{port}");
        let config: Config = config(&url, &format!("[limits]\n{limits}"));
        let tls = config.serves_tls().then(|| tls(&config));
        let state = world.state.clone();
        let server = tokio::spawn(async move {
            serve(&config, tls.as_ref(), state, std::future::pending()).await
        });
        until(true, port).await;
        Self { port, server, _reserved: reserved }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap()
    }

    /// Whether a request from this address is answered.
    async fn answers(&self, from: [u8; 4]) -> bool {
        let client = reqwest::Client::builder().local_address(IpAddr::from(from)).no_proxy();
        let url = format!("http://127.0.0.1:{}/healthz", self.port);
        client.build().unwrap().get(url).send().await.is_ok_and(|it| it.status().is_success())
    }
}

/// Waits until it holds, for a minute at most.
async fn soon(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long the worker keeps the connection.
async fn closed_after(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
    // It may end with an error instead.
    let _ = ended.expect("the worker closes the connection");
    begun.elapsed()
}

#[tokio::test]
async fn silent_connections_do_not_stay() {
    let world = World::new().await;
    for scheme in ["http", "https"] {
        let served = Served::over(&world, scheme, "first_request = \"1s\"").await;
        let streams = futures::future::join_all((0..20).map(|_| served.connect())).await;
        for stream in streams {
            // Shorter than the time that the TLS library allows by itself, which is 10 seconds.
            assert!(closed_after(stream).await < Duration::from_secs(8), "{scheme}");
        }
    }
}

#[tokio::test]
async fn pings_do_not_keep_a_connection() {
    let world = World::new().await;
    let served = Served::over(&world, "http", "first_request = \"1s\"").await;
    let (mut reader, mut writer) = served.connect().await.into_split();
    writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    // An empty SETTINGS frame, and the acknowledgment of the worker's.
    writer.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]).await.unwrap();
    let pinging = tokio::spawn(async move {
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        while writer.write_all(&ping).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut answers = Vec::new();
    let read = reader.read_to_end(&mut answers);
    let ended = tokio::time::timeout(Duration::from_secs(60), read).await;
    let _ = ended.expect("the worker closes the connection");
    // It has answered pings: frames of type 6 with the flag of an answer.
    assert!(answers.windows(5).any(|bytes| bytes == [0, 0, 8, 6, 1]), "{answers:?}");
    pinging.abort();
    assert!(world.metrics.connections_idle.get() >= 1);
}

/// The limits of requests, so short that a connection whose response is not read ends soon.
const SHORT: &str = "connection_idle = \"1s\"\nsegment_timeout = \"1s\"\npart_timeout = \"1s\"\n\
                     transaction_timeout = \"1s\"\nrequest_timeout = \"1s\"";

#[tokio::test]
async fn a_client_without_a_window_for_the_response_does_not_stay() {
    let world = World::new().await;
    let served = Served::over(&world, "http", SHORT).await;
    let mut stream = served.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    // A SETTINGS frame that sets INITIAL_WINDOW_SIZE to 0.
    stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await.unwrap();
    // GET /healthz, in a HEADERS frame that ends both the headers and the stream.
    let mut fields = vec![0x82, 0x86, 0x04, 8];
    fields.extend_from_slice(b"/healthz");
    fields.extend_from_slice(&[0x41, 6]);
    fields.extend_from_slice(b"worker");
    let mut frame = vec![0, 0, u8::try_from(fields.len()).unwrap(), 1, 5, 0, 0, 0, 1];
    frame.extend_from_slice(&fields);
    stream.write_all(&frame).await.unwrap();
    closed_after(stream).await;
    assert!(world.metrics.connections_idle.get() >= 1);
}

#[tokio::test]
async fn hundreds_of_connections_from_one_address_do_not_stop_others() {
    descriptors::raise();
    // Each connection needs two descriptors of this process.
    let wanted = descriptors::for_connections(1_400).saturating_sub(200) / 2;
    let allowed = wanted / 2;
    let world = World::new().await;
    let limits = format!("connections_per_address = {allowed}\nfirst_request = \"1min\"");
    let served = Served::over(&world, "http", &limits).await;
    let mut held = Vec::new();
    for _ in 0..wanted {
        // The system may reset a connection that the worker has closed at once.
        held.extend(TcpStream::connect((Ipv4Addr::LOCALHOST, served.port)).await.ok());
    }
    let refused = world.metrics.connections_refused.with_label_values(&["address"]);
    let are_refused = async || refused.get() >= (wanted - allowed) as u64 / 2;
    soon("connections are refused", are_refused).await;
    assert!(world.metrics.connections_open.get() <= allowed as i64 + 1);
    assert!(!served.answers([127, 0, 0, 1]).await);
    // Other addresses of loopback exist on Linux only.
    if cfg!(target_os = "linux") {
        assert!(served.answers([127, 0, 0, 2]).await);
    }
    drop(held);
    soon("closed connections do not count", async || served.answers([127, 0, 0, 1]).await).await;
}

#[tokio::test]
async fn idle_connections_that_take_all_places_make_room_for_newcomers() {
    let world = World::new().await;
    let limits = "connections = 8\nconnections_per_address = 8\nfirst_request = \"1min\"";
    let served = Served::over(&world, "http", limits).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(served.connect().await);
    }
    soon("all connections are taken", async || world.metrics.connections_open.get() >= 8).await;
    assert!(served.answers([127, 0, 0, 1]).await);
    if cfg!(target_os = "linux") {
        assert!(served.answers([127, 0, 0, 2]).await);
    }
    let refused = world.metrics.connections_refused.with_label_values(&["all"]);
    assert_eq!(refused.get(), 0);
}

#[tokio::test]
async fn a_connection_with_an_open_request_is_not_closed() {
    let world = World::new().await;
    let limits = "first_request = \"1s\"\nconnection_idle = \"1s\"";
    let served = Served::over(&world, "http", limits).await;
    let text = world.builder().text(SectionKind::Report, "x".repeat(5_000));
    let visit = text.build(&world.doctor.account(), world.chain.newest()).await.unwrap();
    let raw = Raw::visit(&visit.request);
    let mut head = format!(
        "POST /v1/visits HTTP/1.1\r\nhost: worker\r\ncontent-length: {}\r\n",
        raw.body.len()
    );
    for (name, value) in &raw.signed(&world.doctor) {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut stream = served.connect().await;
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let (beginning, rest) = raw.body.split_at(100);
    stream.write_all(beginning).await.unwrap();
    // Longer than a connection may be idle.
    let closed = tokio::time::timeout(Duration::from_secs(2), stream.read_u8()).await;
    assert!(closed.is_err(), "{closed:?}");
    stream.write_all(rest).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 202");
    // Afterwards it is idle.
    assert!(closed_after(stream).await < Duration::from_secs(20));
}
