//! An HTTP server on loopback for tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// The requests in order: head and body.
pub(crate) type Log = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Answers each connection with the next of `replies`, and keeps the requests.
pub(crate) async fn server(replies: Vec<Vec<u8>>) -> (Url, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let log = Log::default();
    let kept = log.clone();
    tokio::spawn(async move {
        for reply in replies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_request(&mut stream).await;
            kept.lock().unwrap().push(request);
            stream.write_all(&reply).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (url, log)
}

/// Answers requests for the files of these paths; everything else is not found.
pub(crate) async fn files(files: HashMap<String, Vec<u8>>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (head, _) = read_request(&mut stream).await;
            let found = files.get(head.split(' ').nth(1).unwrap());
            let answer = match found {
                Some(bytes) => reply("200 OK", "", bytes),
                None => reply("404 Not Found", "", b""),
            };
            // The client may close the connection early.
            let _ = stream.write_all(&answer).await;
        }
    });
    url
}

/// Answers requests concurrently. An empty answer closes the connection.
pub(crate) async fn answering<A>(answer: impl Fn(String, Vec<u8>) -> A + Send + 'static) -> Url
where
    A: Future<Output = Vec<u8>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let answer = Arc::new(Mutex::new(answer));
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let (head, body) = read_request(&mut stream).await;
                let answered = { answer.lock().unwrap()(head, body) }.await;
                // The client may close the connection early.
                let _ = stream.write_all(&answered).await;
            });
        }
    });
    url
}

async fn read_request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes.split_off(end);
    while body.len() < length {
        assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0);
    }
    (head, body)
}

pub(crate) fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

pub(crate) fn reply(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
