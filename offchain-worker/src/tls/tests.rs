//! Handshakes on real sockets: which servers are accepted, and which are not.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

use axum::{Router, routing::get};
use axum_server::tls_rustls::RustlsConfig;
use epione_client::{Endpoint, pin, signer::Account};
use epione_envelope::{account::Scheme, development};
use epione_primitives::{Hash, HospitalId, block::Segment};
use rcgen::PKCS_ECDSA_P256_SHA256;
use rustls::{SupportedProtocolVersion, version::TLS12};

use super::*;
use crate::{
    api::tests::fake::{FakeChain, HOSPITAL},
    keys,
    transfer::{Courier, Peer, PeerFault, Timings},
};

const AUTHORITY: &[u8] = include_bytes!("../api/tests/tls/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("../api/tests/tls/localhost.pem");
const KEY: &[u8] = include_bytes!("../api/tests/tls/localhost.key");

fn config(port: u16, more: &str) -> Config {
    Config::parse(&format!(
        "public_url = \"https://127.0.0.1:{port}\"\ndata_dir = \"d\"\n\
         [keystore]\ndevelopment = \"//Alice\"\n{more}"
    ))
    .unwrap()
}

/// The TLS keys of a development hospital's worker.
fn tls_keys(hospital: &str) -> TlsKeys {
    let mut keystore = config(1, "").keystore;
    keystore.development = Some(hospital.into());
    TlsKeys::new(&keystore, &keys::load(&keystore).unwrap()).unwrap()
}

fn public(hospital: &str) -> [u8; 32] {
    development::tls_key(hospital).unwrap().public()
}

/// A server that responds "here" after a handshake. Its endpoint names Alice's key.
async fn server(config: ServerConfig) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = RustlsConfig::from_config(Arc::new(config));
    let router = Router::new().route("/", get(|| async { "here" }));
    let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    Endpoint::new(format!("https://127.0.0.1:{port}").parse().unwrap(), public("//Alice")).unwrap()
}

async fn worker(tls: &Arc<Tls>) -> Endpoint {
    server(tls.server_config().unwrap()).await
}

/// A server with a certificate that anybody could create.
async fn stranger(
    key: &AccountKey,
    versions: &[&'static SupportedProtocolVersion],
    edit: impl FnOnce(&mut CertificateParams),
) -> Endpoint {
    let seed = [ED25519_PKCS8.as_slice(), key.seed()].concat();
    let pair = KeyPair::try_from(seed.as_slice()).unwrap();
    with_certificate(&pair, versions, edit).await
}

async fn with_certificate(
    pair: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
    edit: impl FnOnce(&mut CertificateParams),
) -> Endpoint {
    let mut parameters = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    edit(&mut parameters);
    let certificate = parameters.self_signed(pair).unwrap();
    let key = PrivatePkcs8KeyDer::from(pair.serialize_der());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key.into());
    server(config.unwrap()).await
}

async fn ask(endpoint: &Endpoint) -> reqwest::Result<String> {
    endpoint.http().build()?.get(endpoint.url().clone()).send().await?.text().await
}

async fn is_talked_to(endpoint: &Endpoint) {
    assert_eq!(ask(endpoint).await.unwrap(), "here");
}

async fn is_refused(endpoint: &Endpoint) {
    let error = ask(endpoint).await.unwrap_err();
    assert!(pin::is_wrong_key(&error), "{error:?}");
}

#[tokio::test]
async fn a_worker_that_proves_the_chain_s_key_is_accepted() {
    let tls = Arc::new(Tls::new(tls_keys("//Alice"), &config(1, "")).unwrap());
    let endpoint = worker(&tls).await;
    is_talked_to(&endpoint).await;
    // Neither the address nor the host name matters.
    let named = endpoint.url().as_str().replace("127.0.0.1", "localhost");
    is_talked_to(&Endpoint::new(named.parse().unwrap(), public("//Alice")).unwrap()).await;
}

#[tokio::test]
async fn another_hospital_s_key_is_rejected() {
    let tls = Arc::new(Tls::new(tls_keys("//Bob"), &config(1, "")).unwrap());
    let endpoint = worker(&tls).await;
    is_refused(&endpoint).await;
    is_talked_to(&Endpoint::new(endpoint.url().clone(), public("//Bob")).unwrap()).await;

    let timings = Timings { connect: LOOK, stall: LOOK };
    let courier = Courier::new(Account::development("//Charlie//agent").unwrap(), timings);
    let peer = Peer { hospital: HospitalId(0), endpoint };
    let segment = Segment { hash: [1; 32], length: 1 };
    let fault = courier.open(Hash::zero(), &peer, &segment, 0).await.err();
    assert_eq!(fault, Some(PeerFault::WrongKey));
}

#[tokio::test]
async fn a_man_in_the_middle_is_rejected() {
    let own = AccountKey::generate(Scheme::Ed25519);
    is_refused(&stranger(&own, &[&TLS13], |_| {}).await).await;
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    is_refused(&with_certificate(&pair, &[&TLS13], |_| {}).await).await;
}

/// The certificate is public: everybody can present it. Only the holder of the key can sign the handshake.
#[tokio::test]
async fn a_certificate_without_its_key_is_rejected() {
    let provider = aws_lc_rs::default_provider();
    let url = "https://127.0.0.1".parse().unwrap();
    let copied = own_certificate(&tls_keys("//Alice").generation(0), &url, &provider).unwrap();
    let other = own_certificate(&AccountKey::generate(Scheme::Ed25519), &url, &provider).unwrap();
    let mixed = Arc::new(CertifiedKey::new(copied.cert.clone(), other.key.clone()));
    let tls = Tls::new(tls_keys("//Alice"), &config(1, "")).unwrap();
    tls.shown.key.write().unwrap().1 = mixed;
    is_refused(&worker(&Arc::new(tls)).await).await;
}

#[tokio::test]
async fn names_and_dates_in_a_certificate_are_ignored() {
    let key = development::tls_key("//Alice").unwrap();
    let over = |parameters: &mut CertificateParams| {
        parameters.not_before = date_time_ymd(1990, 1, 1);
        parameters.not_after = date_time_ymd(1991, 1, 1);
    };
    let to_come = |parameters: &mut CertificateParams| {
        parameters.not_before = date_time_ymd(2990, 1, 1);
        parameters.not_after = date_time_ymd(2991, 1, 1);
    };
    let elsewhere = |parameters: &mut CertificateParams| {
        parameters.subject_alt_names =
            vec![SanType::DnsName("elsewhere.example".try_into().unwrap())];
    };
    is_talked_to(&stranger(&key, &[&TLS13], over).await).await;
    is_talked_to(&stranger(&key, &[&TLS13], to_come).await).await;
    is_talked_to(&stranger(&key, &[&TLS13], elsewhere).await).await;
}

#[tokio::test]
async fn tls_1_2_is_rejected_on_both_sides() {
    let key = development::tls_key("//Alice").unwrap();
    is_refused(&stranger(&key, &[&TLS12], |_| {}).await).await;

    let tls = Arc::new(Tls::new(tls_keys("//Alice"), &config(1, "")).unwrap());
    let url = worker(&tls).await.url().clone();
    let careless = || reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    careless().build().unwrap().get(url.clone()).send().await.unwrap();
    let old = careless().tls_version_max(reqwest::tls::Version::TLS_1_2).build().unwrap();
    assert!(old.get(url).send().await.is_err());
}

#[tokio::test]
async fn plain_http_is_rejected_where_a_key_is_required() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", get(|| async { "here" }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let endpoint = Endpoint::new(url.parse().unwrap(), public("//Alice")).unwrap();
    assert!(ask(&endpoint).await.is_err());
}

/// The files of `[tls]` in a folder, with these contents.
fn files(folder: &Path, certificate: &[u8], key: &[u8]) -> (PathBuf, PathBuf, String) {
    let (pem, private) = (folder.join("tls.pem"), folder.join("tls.key"));
    std::fs::write(&pem, certificate).unwrap();
    std::fs::write(&private, key).unwrap();
    let table = format!("[tls]\ncertificate = {pem:?}\nkey = {private:?}");
    (pem, private, table)
}

#[tokio::test]
async fn browsers_get_the_authority_s_certificate_and_hospitals_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _, table) = files(folder.path(), CERTIFICATE, KEY);
    let tls = Arc::new(Tls::new(tls_keys("//Alice"), &config(1, &table)).unwrap());
    let endpoint = worker(&tls).await;
    is_talked_to(&endpoint).await;

    let authority = reqwest::Certificate::from_pem(AUTHORITY).unwrap();
    let browser = reqwest::Client::builder().tls_certs_only([authority.clone()]).build().unwrap();
    let answer = browser.get(endpoint.url().clone()).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "here");

    // Without the files, only the chain vouches for the worker.
    let tls = Arc::new(Tls::new(tls_keys("//Alice"), &config(1, "")).unwrap());
    let endpoint = worker(&tls).await;
    let browser = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    assert!(browser.get(endpoint.url().clone()).send().await.is_err());
}

#[test]
fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key, table) = files(folder.path(), CERTIFICATE, KEY);
    let tls = Tls::new(tls_keys("//Alice"), &config(1, &table)).unwrap();
    let shown = || tls.shown.files.read().unwrap().as_ref().unwrap().cert.clone();
    let first = shown();

    std::fs::write(&certificate, b"-----BEGIN CERT").unwrap();
    tls.reload();
    assert_eq!(shown(), first);
    std::fs::remove_file(&key).unwrap();
    tls.reload();
    assert_eq!(shown(), first);

    std::fs::write(&certificate, [CERTIFICATE, AUTHORITY].concat()).unwrap();
    std::fs::write(&key, KEY).unwrap();
    tls.reload();
    assert_eq!(shown().len(), first.len() + 1);
}

#[test]
fn an_unusable_certificate_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key, table) = files(folder.path(), b"no certificate", KEY);
    let refusal = || Tls::new(tls_keys("//Alice"), &config(1, &table)).unwrap_err().to_string();
    assert!(refusal().contains("tls.pem"), "{}", refusal());
    std::fs::write(&certificate, vec![b'-'; 2_000_000]).unwrap();
    assert!(refusal().contains("longer"), "{}", refusal());
    std::fs::write(&certificate, AUTHORITY).unwrap();
    assert!(refusal().contains("does not match the key"), "{}", refusal());
    std::fs::remove_file(&key).unwrap();
    assert!(refusal().contains("tls.key"), "{}", refusal());
}

#[test]
fn the_certificate_of_a_key_is_always_the_same() {
    let make = || Tls::new(tls_keys("//Alice"), &config(1, "")).unwrap().shown().1.cert.clone();
    assert_eq!(make(), make());
}

/// A chain whose own hospital has this key and URL.
fn chain(tls_key: [u8; 32], url: &str) -> FakeChain {
    let chain = FakeChain::default();
    let [agent, governance] =
        ["//Alice//agent", "//Alice"].map(|uri| development::keys(uri).unwrap());
    chain.add_hospital(HOSPITAL, &agent, &governance);
    name(&chain, tls_key, url);
    chain
}

fn name(chain: &FakeChain, tls_key: [u8; 32], url: &str) {
    let mut facts = chain.facts();
    let entry = facts.hospitals.get_mut(&HOSPITAL).unwrap();
    entry.tls_key = tls_key;
    entry.worker_url = url.as_bytes().to_vec().try_into().unwrap();
}

#[tokio::test]
async fn the_worker_follows_the_key_that_the_chain_names() {
    let keys = tls_keys("//Alice");
    let next = keys.generation(1).public();
    let tls = Arc::new(Tls::new(keys, &config(1, "")).unwrap());
    let metrics = Metrics::new().unwrap();
    let chain = chain(public("//Alice"), "https://127.0.0.1:1");
    let before = worker(&tls).await;
    let after = Endpoint::new(before.url().clone(), next).unwrap();
    let mut complained = None;

    tls.follow(&chain, &metrics, &mut complained).await.unwrap();
    is_talked_to(&before).await;
    is_refused(&after).await;

    name(&chain, next, "https://127.0.0.1:1");
    tls.follow(&chain, &metrics, &mut complained).await.unwrap();
    is_refused(&before).await;
    is_talked_to(&after).await;
    assert_eq!((metrics.tls_key_matches.get(), complained), (1, None));
}

#[tokio::test]
async fn a_wrong_key_or_url_on_the_chain_is_reported() {
    let tls = Tls::new(tls_keys("//Alice"), &config(1, "")).unwrap();
    let metrics = Metrics::new().unwrap();
    let chain = chain(public("//Bob"), "https://127.0.0.1:1");
    let mut complained = None;
    tls.follow(&chain, &metrics, &mut complained).await.unwrap();
    assert_eq!(metrics.tls_key_matches.get(), 0);
    assert!(complained.is_some());
    // The worker still proves the previous key: the entry may be corrected.
    assert_eq!(tls.shown().0, public("//Alice"));

    name(&chain, public("//Alice"), "https://127.0.0.1:2");
    tls.follow(&chain, &metrics, &mut complained).await.unwrap();
    assert!(complained.is_some());
    assert_eq!(metrics.tls_key_matches.get(), 1);

    name(&chain, public("//Alice"), "https://127.0.0.1:1");
    tls.follow(&chain, &metrics, &mut complained).await.unwrap();
    assert!(complained.is_none());
}

#[test]
fn the_report_names_the_command_that_corrects_it() {
    let tls = Tls::new(tls_keys("//Alice"), &config(1, "")).unwrap();
    let chain = chain(public("//Bob"), "https://127.0.0.1:1");
    let entry = chain.facts().hospitals[&HOSPITAL].clone();
    let complaint = tls.complaint(&NamedKey::Foreign, &entry).unwrap();
    let key = hex::encode(public("//Alice"));
    let mend = format!("epione hospital set-endpoint --url https://127.0.0.1:1/ --tls-key {key}");
    assert!(complaint.ends_with(&mend), "{complaint}");
}
