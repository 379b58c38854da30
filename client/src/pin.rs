//! TLS with a server that proves a given key. The chain names the Ed25519 key of a hospital's worker. TLS sends that
//! key in a certificate, of which nothing else is read: neither its names nor its dates nor its signature.

use std::{error::Error, io, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError,
    PeerIncompatible, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, alg_id},
    server::ParsedCertificate,
    sign::public_key_to_spki,
    version::TLS13,
};

/// Accepts only the server that has the private half of this key.
#[derive(Debug)]
struct Pinned {
    key: SubjectPublicKeyInfoDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The server proves another key.
#[derive(Debug, thiserror::Error)]
#[error("the server proves a TLS key that differs from the hospital's key on the chain")]
struct OtherKey;

/// TLS 1.3 with the server that has an Ed25519 key. HTTP/1.1 only: each large transfer has its own connection, so that
/// none waits for another. Sessions are not resumed: the server proves the key on every connection.
pub(crate) fn client_config(key: [u8; 32]) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let key = public_key_to_spki(&alg_id::ED25519, key);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("aws-lc-rs has cipher suites and key exchanges of TLS 1.3; qed")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { key, algorithms }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    config
}

/// Whether a request failed because the server could not prove the key.
pub fn is_wrong_key(error: &reqwest::Error) -> bool {
    tls_error(error).is_some_and(cannot_prove)
}

/// The TLS error in a chain of causes.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(error) = error.downcast_ref() {
        return Some(error);
    }
    // The source of an io::Error is the source of the error that it wraps, not that error itself.
    match error.downcast_ref::<io::Error>() {
        Some(error) => tls_error(error.get_ref()?),
        None => tls_error(error.source()?),
    }
}

/// Whether the server has another key, no Ed25519 key, or no TLS 1.3.
fn cannot_prove(error: &rustls::Error) -> bool {
    use AlertDescription::{HandshakeFailure, ProtocolVersion};
    use rustls::Error::{AlertReceived, InvalidCertificate, PeerIncompatible};
    matches!(
        error,
        InvalidCertificate(_)
            | PeerIncompatible(_)
            | AlertReceived(HandshakeFailure | ProtocolVersion)
    )
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if ParsedCertificate::try_from(end_entity)?.subject_public_key_info() == self.key {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::Other(OtherError(Arc::new(OtherKey))).into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
