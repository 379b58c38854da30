//! The socket that the API is served on.

use std::{net::TcpListener, time::Duration};

use epione_client::worker::WorkerClient;
use tokio::sync::oneshot;
use url::Url;

use super::{
    fake::{HOSPITAL, genesis},
    world::{Form, Raw, World, noise},
};
use crate::{
    api::{ServeError, serve},
    config::Config,
};

const AUTHORITY: &[u8] = include_bytes!("tls/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/localhost.pem");
const KEY: &[u8] = include_bytes!("tls/localhost.key");

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn config(port: u16, more: &str) -> Config {
    Config::parse(&format!(
        "public_url = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\ndata_dir = \"d\"\n\
         [keystore]\ndevelopment = \"//Alice\"\n{more}"
    ))
    .unwrap()
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

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let world = World::new().await;
    let port = world.base.port().unwrap();
    let refused = serve(&config(port, ""), world.state.clone(), std::future::pending()).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }));
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn with_a_certificate_the_api_speaks_tls_and_nothing_else() {
    let world = World::new().await;
    let (certificate, key) = (world.file("tls.pem", CERTIFICATE), world.file("tls.key", KEY));
    let port = free_port();
    let tls = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}");
    let (config, state) = (config(port, &tls), world.state.clone());
    let server = tokio::spawn(async move { serve(&config, state, std::future::pending()).await });
    until_up(port).await;
    let url = Url::parse(&format!("https://127.0.0.1:{port}")).unwrap();
    let account = world.doctor.account();
    let client =
        WorkerClient::with_root_certificate(&url, HOSPITAL, genesis(), account.clone(), AUTHORITY);
    assert_eq!(client.unwrap().info().await.unwrap().hospital, HOSPITAL);
    let plain = Url::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let client = WorkerClient::new(&plain, HOSPITAL, genesis(), account).unwrap();
    assert!(client.info().await.is_err());
    server.abort();
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let world = World::new().await;
    let broken = world.file("broken.pem", b"no certificate");
    let missing = world.folder.path().join("missing.key");
    let tls = format!("[tls]\ncertificate = {broken:?}\nkey = {missing:?}");
    let refused =
        serve(&config(free_port(), &tls), world.state.clone(), std::future::pending()).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, ServeError::Tls { .. }));
    assert!(error.to_string().contains("missing.key"), "{error}");
}

#[tokio::test]
async fn what_is_under_way_is_finished_before_the_worker_stops() {
    let world = World::new().await;
    let port = free_port();
    let (stop, stopped) = oneshot::channel::<()>();
    let (config, state) = (config(port, ""), world.state.clone());
    let server = tokio::spawn(async move {
        serve(&config, state, async {
            stopped.await.ok();
        })
        .await
    });
    until_up(port).await;
    let visit = world.visit(500_000).await;
    let raw = Raw::upload(Form::visit(&visit.request).part("media-1", &noise(500_000)).end());
    let rest = raw.body.slice(250_000..);
    let pieces = futures::stream::unfold(Some(raw.body.slice(..250_000)), move |piece| {
        let rest = rest.clone();
        async move {
            let piece = piece?;
            if piece.len() == 250_000 {
                return Some((Ok::<_, std::io::Error>(piece), Some(rest)));
            }
            tokio::time::sleep(Duration::from_millis(600)).await;
            Some((Ok(piece), None))
        }
    });
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
