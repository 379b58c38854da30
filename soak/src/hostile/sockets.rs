//! Connections that send nothing, or very slowly, to make a worker keep them open.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::tally::Tally;

const SILENT: &str = "silent connection to a worker";
const SLOW: &str = "slow connection to a worker";
/// The pause between two bytes, and before another connection.
const PAUSE: Duration = Duration::from_secs(1);
/// The beginning of a TLS handshake: a record of 512 bytes with a ClientHello of 508.
const HANDSHAKE: [u8; 9] = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc];

/// Connects and sends nothing; when the worker closes the connection, connects again. Forever.
pub async fn silent(address: String, tally: Arc<Tally>) {
    loop {
        if let Some(mut stream) = open(&address, SILENT, &tally).await {
            // Whatever the worker sends or does, it ends this connection.
            let _ = stream.read_u8().await;
            tally.count(SILENT, "closed by the worker");
        }
        sleep(PAUSE).await;
    }
}

/// Connects and sends a byte of a TLS handshake in a second. Forever.
pub async fn slow(address: String, tally: Arc<Tally>) {
    loop {
        if let Some(mut stream) = open(&address, SLOW, &tally).await {
            for byte in HANDSHAKE.iter().chain(std::iter::repeat(&0)) {
                if stream.write_all(&[*byte]).await.is_err() || was_closed(&mut stream).await {
                    break;
                }
            }
            tally.count(SLOW, "closed by the worker");
        }
        sleep(PAUSE).await;
    }
}

/// Waits for the pause between two bytes. Returns whether the worker closed the connection or answered.
async fn was_closed(stream: &mut TcpStream) -> bool {
    timeout(PAUSE, stream.read_u8()).await.is_ok()
}

async fn open(address: &str, attack: &'static str, tally: &Tally) -> Option<TcpStream> {
    match TcpStream::connect(address).await {
        Ok(stream) => {
            tally.count(attack, "opened");
            Some(stream)
        }
        Err(error) => {
            tally.count(attack, &format!("refused: {}", error.kind()));
            None
        }
    }
}
