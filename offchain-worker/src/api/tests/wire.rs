//! A connection between clients and a worker, which a test can cut.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

/// A connection ends after this many bytes from a client. If the worker ends with it, so do all other connections, and
/// later ones lead to the next worker.
pub struct Cut {
    pub after: u64,
    pub then: Option<Url>,
}

impl Cut {
    pub fn after(bytes: u64) -> Self {
        Self { after: bytes, then: None }
    }
}

/// Connections are cut in the order in which they are opened, each at most once. Later ones are not cut.
pub struct Wire {
    pub url: Url,
    line: Arc<Line>,
}

struct Line {
    target: watch::Sender<SocketAddr>,
    cuts: Mutex<VecDeque<Cut>>,
    carried: AtomicU64,
}

impl Wire {
    pub async fn to(target: &Url, cuts: impl IntoIterator<Item = Cut>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let line = Arc::new(Line {
            target: watch::Sender::new(address(target)),
            cuts: Mutex::new(cuts.into_iter().collect()),
            carried: AtomicU64::new(0),
        });
        let serving = Arc::clone(&line);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).carry(client));
            }
        });
        Self { url, line }
    }

    /// Bytes from clients that were passed on.
    pub fn carried(&self) -> u64 {
        self.line.carried.load(Ordering::Relaxed)
    }

    /// Cuts that have not happened yet.
    pub fn left(&self) -> usize {
        self.line.cuts.lock().unwrap().len()
    }
}

impl Line {
    async fn carry(self: Arc<Self>, client: TcpStream) {
        let cut = self.cuts.lock().unwrap().pop_front();
        let mut ended = self.target.subscribe();
        let target = *ended.borrow_and_update();
        let Ok(worker) = TcpStream::connect(target).await else { return };
        let (mut from, mut back) = client.into_split();
        let (mut answers, mut to) = worker.into_split();
        let answering = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
        let mut left = cut.as_ref().map_or(u64::MAX, |cut| cut.after);
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = tokio::select! {
                read = from.read(&mut buffer[..wanted]) => read,
                _ = ended.changed() => return answering.abort(),
            };
            let Ok(read @ 1..) = read else { break };
            if to.write_all(&buffer[..read]).await.is_err() {
                break;
            }
            left -= read as u64;
            self.carried.fetch_add(read as u64, Ordering::Relaxed);
        }
        if let (0, Some(Cut { then: Some(next), .. })) = (left, &cut) {
            self.target.send_replace(address(next));
        }
        // If one side has closed, the other may still be sending.
        if left > 0 {
            drop(to);
            answering.await.ok();
        } else {
            answering.abort();
        }
    }
}

fn address(url: &Url) -> SocketAddr {
    url.socket_addrs(|| None).unwrap()[0]
}
