//! The socket on which the API is served.

use std::{io, sync::Arc, time::Duration};

use epione_client::{
    Endpoint,
    worker::{WorkerClient, WorkerError},
};
use epione_envelope::{development, record::SectionKind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
};
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

/// A port that is reserved while the socket exists. A bound socket that does not listen does not prevent servers, which
/// set the same option, from listening.
pub fn reserve() -> (u16, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    (socket.local_addr().unwrap().port(), socket)
}

pub fn config(url: &str, more: &str) -> Config {
    let listen = url.split("//").nth(1).unwrap();
    let operators = match more.contains("operators_listen") {
        true => "",
        false => "operators_listen = \"127.0.0.1:0\"",
    };
    Config::parse(&format!(
        "public_url = {url:?}\nlisten = {listen:?}\ndata_dir = \"d\"\n{operators}\n{more}\n\
         [keystore]\ndevelopment = \"//Alice\""
    ))
    .unwrap()
}

pub fn tls(config: &Config) -> Arc<Tls> {
    let keys = keys::load(&config.keystore).unwrap();
    Arc::new(Tls::new(TlsKeys::new(&config.keystore, &keys).unwrap(), config).unwrap())
}

/// Waits until the port is listened on, or is not any more.
pub async fn until(listens: bool, port: u16) {
    for _ in 0..6_000 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() == listens {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("whether port {port} is listened on should become {listens}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_buffers_little_of_a_response() {
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    };
    assert_eq!(socket2::SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), UNSENT);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let world = World::new().await;
    let port = world.base.port().unwrap();
    let (free, _reserved) = reserve();
    for (config, taken) in [
        (config(&format!("http://127.0.0.1:{port}"), ""), port),
        (
            config(
                &format!("http://127.0.0.1:{free}"),
                &format!("operators_listen = \"127.0.0.1:{port}\""),
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
async fn workers_prove_keys_and_callers_sign() {
    let world = World::new().await;
    let (port, _reserved) = reserve();
    let config = config(&format!("https://127.0.0.1:{port}"), "");
    let (tls, state) = (tls(&config), world.state.clone());
    let server =
        tokio::spawn(
            async move { serve(&config, Some(&tls), state, std::future::pending()).await },
        );
    until(true, port).await;
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

    // The TLS key identifies the worker. A signature identifies the caller, as without TLS.
    let http = Endpoint::new(url("https"), key).unwrap().http().build().unwrap();
    let segment = format!("https://127.0.0.1:{port}/v1/segments/{}", "ab".repeat(32));
    assert_eq!(http.get(segment).send().await.unwrap().status().as_u16(), 401);
    server.abort();
}

#[tokio::test]
async fn operators_have_a_listener_of_their_own() {
    let world = World::new().await;
    let ((port, _reserved), (operators, _too)) = (reserve(), reserve());
    let config = config(
        &format!("https://127.0.0.1:{port}"),
        &format!("operators_listen = \"127.0.0.1:{operators}\""),
    );
    let (tls, state) = (tls(&config), world.state.clone());
    let server =
        tokio::spawn(
            async move { serve(&config, Some(&tls), state, std::future::pending()).await },
        );
    until(true, operators).await;
    until(true, port).await;
    let get = async |path: &str| {
        reqwest::get(format!("http://127.0.0.1:{operators}/{path}")).await.unwrap()
    };
    let text = get("metrics").await.text().await.unwrap();
    assert!(text.contains("epione_worker_tls_key_matches 1"), "{text}");
    assert_eq!(get("readyz").await.status().as_u16(), 200);
    assert_eq!(get("v1/info").await.status().as_u16(), 404);
    // Strangers learn neither how busy the hospital is nor what it lacks.
    let key = development::tls_key("//Alice").unwrap().public();
    let url = Url::parse(&format!("https://127.0.0.1:{port}")).unwrap();
    let public = Endpoint::new(url.clone(), key).unwrap().http().build().unwrap();
    for path in ["metrics", "readyz"] {
        let answer = public.get(url.join(path).unwrap()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{path}");
    }
    server.abort();
}

#[tokio::test]
async fn requests_in_progress_finish_before_the_worker_stops() {
    let world = World::new().await;
    let (port, _reserved) = reserve();
    let (stop, stopped) = oneshot::channel::<()>();
    let config = config(&format!("http://127.0.0.1:{port}"), "");
    let state = world.state.clone();
    let server = tokio::spawn(async move {
        serve(&config, None, state, async {
            stopped.await.ok();
        })
        .await
    });
    until(true, port).await;
    let visit = world
        .builder()
        .text(SectionKind::Report, "x".repeat(500_000))
        .build(&world.doctor.account(), world.chain.newest())
        .await
        .unwrap();
    let raw = Raw::visit(&visit.request);
    let (beginning, rest) = raw.body.split_at(250_000);
    let mut upload = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let length = raw.body.len();
    let mut head = format!(
        "POST /v1/visits HTTP/1.1\r\nhost: worker\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-length: {length}\r\n"
    );
    for (name, value) in &raw.signed(&world.doctor) {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    upload.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    // With this response the worker says that it waits for the body.
    let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut told = [0; 25];
    upload.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, expected);
    upload.write_all(beginning).await.unwrap();
    stop.send(()).unwrap();
    until(false, port).await;
    upload.write_all(rest).await.unwrap();
    let mut answer = String::new();
    upload.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    server.await.unwrap().unwrap();
}
