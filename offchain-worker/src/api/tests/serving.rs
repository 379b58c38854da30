//! The socket that the API is served on.

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use epione_client::{
    Endpoint,
    worker::{WorkerClient, WorkerError},
};
use epione_envelope::{development, record::SectionKind};
use epione_primitives::access::SectionClass;
use tokio::sync::oneshot;
use url::Url;

use super::{
    fake::{HOSPITAL, genesis},
    world::{Raw, World},
};
use crate::{
    api::{
        ServeError, serve,
        serve::{UNSENT, listen},
    },
    config::Config,
    keys::{self, TlsKeys},
    tls::Tls,
};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn config(url: &str, more: &str) -> Config {
    let listen = url.split("//").nth(1).unwrap();
    Config::parse(&format!(
        "public_url = {url:?}\nlisten = {listen:?}\ndata_dir = \"d\"\n{more}\n\
         [keystore]\ndevelopment = \"//Alice\""
    ))
    .unwrap()
}

fn tls(config: &Config) -> Arc<Tls> {
    let keys = keys::load(&config.keystore).unwrap();
    Arc::new(Tls::new(TlsKeys::new(&config.keystore, &keys).unwrap(), config).unwrap())
}

async fn until_up(port: u16) {
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody listens");
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_keeps_little_of_an_answer() {
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    };
    assert_eq!(socket2::SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), UNSENT);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let world = World::new().await;
    let port = world.base.port().unwrap();
    for (config, taken) in [
        (config(&format!("http://127.0.0.1:{port}"), ""), port),
        (
            config(
                &format!("http://127.0.0.1:{}", free_port()),
                &format!("metrics_listen = \"127.0.0.1:{port}\""),
            ),
            port,
        ),
    ] {
        let refused = serve(&config, None, world.state.clone(), std::future::pending()).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, ServeError::Listen { .. }));
        assert!(error.to_string().contains(&format!("127.0.0.1:{taken}")), "{error}");
    }
}

#[tokio::test]
async fn a_worker_is_known_by_its_key_and_its_callers_by_their_signatures() {
    let world = World::new().await;
    let port = free_port();
    let config = config(&format!("https://127.0.0.1:{port}"), "");
    let (tls, state) = (tls(&config), world.state.clone());
    let server =
        tokio::spawn(
            async move { serve(&config, Some(&tls), state, std::future::pending()).await },
        );
    until_up(port).await;
    let url = |scheme: &str| Url::parse(&format!("{scheme}://127.0.0.1:{port}")).unwrap();
    let client = |scheme: &str, key| {
        let endpoint = Endpoint::new(url(scheme), key).unwrap();
        WorkerClient::new(&endpoint, HOSPITAL, genesis(), world.doctor.account()).unwrap()
    };
    let key = development::tls_key("//Alice").unwrap().public();
    assert_eq!(client("https", key).info().await.unwrap().hospital, HOSPITAL);
    assert!(client("http", key).info().await.is_err());
    let impostor = client("https", development::tls_key("//Bob").unwrap().public()).info().await;
    assert!(matches!(impostor, Err(WorkerError::WrongKey { .. })), "{impostor:?}");

    // The key says who answers; who asks is said by a signature, as without TLS.
    let http = Endpoint::new(url("https"), key).unwrap().http().build().unwrap();
    let segment = format!("https://127.0.0.1:{port}/v1/segments/{}", "ab".repeat(32));
    assert_eq!(http.get(segment).send().await.unwrap().status().as_u16(), 401);
    server.abort();
}

#[tokio::test]
async fn counters_are_served_in_plain_on_an_address_of_their_own_and_nothing_else_is() {
    let world = World::new().await;
    let (port, metrics) = (free_port(), free_port());
    let config = config(
        &format!("https://127.0.0.1:{port}"),
        &format!("metrics_listen = \"127.0.0.1:{metrics}\""),
    );
    let (tls, state) = (tls(&config), world.state.clone());
    let server =
        tokio::spawn(
            async move { serve(&config, Some(&tls), state, std::future::pending()).await },
        );
    until_up(metrics).await;
    let get = async |path: &str| {
        reqwest::get(format!("http://127.0.0.1:{metrics}/{path}")).await.unwrap()
    };
    let text = get("metrics").await.text().await.unwrap();
    assert!(text.contains("epione_worker_tls_key_matches 1"), "{text}");
    assert_eq!(get("v1/info").await.status().as_u16(), 404);
    server.abort();
}

#[tokio::test]
async fn what_is_under_way_is_finished_before_the_worker_stops() {
    let world = World::new().await;
    let port = free_port();
    let (stop, stopped) = oneshot::channel::<()>();
    let config = config(&format!("http://127.0.0.1:{port}"), "");
    let state = world.state.clone();
    let server = tokio::spawn(async move {
        serve(&config, None, state, async {
            stopped.await.ok();
        })
        .await
    });
    until_up(port).await;
    let visit = world
        .builder()
        .text(SectionKind::Report, SectionClass::Private, "x".repeat(500_000))
        .build(&world.doctor.account())
        .await
        .unwrap();
    let mut raw = Raw::visit(&visit.request);
    raw.headers.insert("content-length", raw.body.len().into());
    let (beginning, rest) = (raw.body.slice(..250_000), raw.body.slice(250_000..));
    let later = futures::stream::once(async move {
        tokio::time::sleep(Duration::from_millis(600)).await;
        Ok::<_, std::io::Error>(rest)
    });
    let pieces = futures::StreamExt::chain(futures::stream::iter([Ok(beginning)]), later);
    let upload = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{port}/v1/visits"))
        .headers(raw.signed(&world.doctor))
        .body(reqwest::Body::wrap_stream(pieces))
        .send();
    let upload = tokio::spawn(upload);
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.send(()).unwrap();
    assert_eq!(upload.await.unwrap().unwrap().status().as_u16(), 202);
    server.await.unwrap().unwrap();
}
