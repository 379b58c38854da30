//! A link in front of a worker, which a test makes narrow: a proxy that passes few bytes a second. TLS passes through
//! it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
    time::sleep,
};

/// The most bytes that pass at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// How often a narrow link passes bytes, in a second.
const PIECES: u64 = 20;
const WIDE: u64 = u64::MAX;

/// Accepts no more connections when dropped.
pub struct Link {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    /// In each direction of each connection.
    bytes_per_second: AtomicU64,
    carried: AtomicU64,
}

impl Link {
    /// A wide link to the worker with this address.
    pub async fn to(worker: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { bytes_per_second: AtomicU64::new(WIDE), carried: AtomicU64::new(0) };
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, worker, Arc::clone(&shared)));
            }
        });
        Self { address, state, accepting }
    }

    /// The worker's address for those who use the link.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// From now on, each connection passes this many bytes a second in each direction.
    pub fn narrow(&self, bytes_per_second: u64) {
        self.state.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Bytes that have passed in both directions.
    pub fn carried(&self) -> u64 {
        self.state.carried.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Fails if the connection breaks, which its two sides notice themselves.
async fn carry(client: TcpStream, worker: SocketAddr, state: Arc<State>) -> io::Result<()> {
    let worker = TcpStream::connect(worker).await?;
    let (from_client, to_client) = client.into_split();
    let (from_worker, to_worker) = worker.into_split();
    let (requests, responses) =
        tokio::join!(pass(from_client, to_worker, &state), pass(from_worker, to_client, &state));
    requests.and(responses)
}

/// Passes bytes until the sender ends the direction; the receiver sees the end, too.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let rate = state.bytes_per_second.load(Ordering::Relaxed);
        let piece = (rate / PIECES).clamp(1, PIECE_BYTES as u64) as usize;
        let read = from.read(&mut buffer[..piece]).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        state.carried.fetch_add(read as u64, Ordering::Relaxed);
        if rate != WIDE {
            sleep(Duration::from_secs_f64(read as f64 / rate as f64)).await;
        }
    }
}
