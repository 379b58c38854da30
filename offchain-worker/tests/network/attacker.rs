//! A stranger who opens connections to a worker and sends nothing on them.

use std::{
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// How long the stranger waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sets up TLS on so many connections, and then sends nothing. Returns those that the worker kept.
pub fn silent_connections(to: SocketAddr, many: usize) -> Vec<TcpStream> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_no_client_auth();
    let config = Arc::new(config);
    (0..many).filter_map(|_| silent_connection(to, Arc::clone(&config))).collect()
}

fn silent_connection(to: SocketAddr, config: Arc<ClientConfig>) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = ClientConnection::new(config, ServerName::from(to.ip())).unwrap();
    tls.complete_io(&mut stream).ok()?;
    Some(stream)
}

/// Whether the worker closes a connection before the stranger's patience ends.
pub fn is_closed(mut stream: TcpStream) -> bool {
    // Before that it may send what belongs to TLS.
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// Accepts every server: the stranger does not care which one it is.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
