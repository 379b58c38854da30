//! `epione hospital`: lists the hospitals, changes a hospital's own entry on the chain, and signs consents for
//! accounts.

use std::fmt;

use clap::{Args, Subcommand};
use codec::Encode;
use epione_client::{Endpoint, chain::calls::hospitals};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId,
    hospital::{Duty, Hospital, HospitalStatus},
    limits::{MAX_CONSENT_BLOCKS, MAX_URL_BYTES},
    naming::Naming,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::custodian::{self, Custodian};
use crate::{
    context::{Context, HospitalRef, Output},
    failure::Failure,
    identity::{self, KeySource},
    show, table,
    wording::{legible, word},
    words::argument,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the hospitals: which are active, unready, benched, leaving, suspended or removed, with custodians
    List,
    /// Sets the hospital's sealing key on the chain; its worker must already have the new key
    SetSealingKey(SetSealingKeyArgs),
    /// Sets the address of the hospital's worker, its TLS key, and its storage's origin, on the chain
    SetEndpoint(SetEndpointArgs),
    /// Signs the consent of a key file's account to become an account of a hospital
    Consent(ConsentArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::List => show(&list(context).await?, json),
            Self::SetSealingKey(args) => show(&set_sealing_key(args, context).await?, json),
            Self::SetEndpoint(args) => show(&set_endpoint(args, context).await?, json),
            Self::Consent(args) => show(&consent(args, context).await?, json),
        }
    }
}

/// A hospital, as the chain describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub hospital: HospitalId,
    pub name: String,
    pub status: HospitalStatus,
    /// Whether it is active, but makes no blocks after an offence until the council reinstates it.
    pub benched: bool,
    /// Whether it is active, but does not validate until its worker says that it is ready.
    pub unready: bool,
    pub governance: AccountId,
    pub agent: AccountId,
    pub worker_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_origin: Option<String>,
    /// The custodian of a removed hospital, if the council appointed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custodian: Option<Custodian>,
}

impl Listed {
    fn new(hospital: HospitalId, entry: &Hospital, idle: &Idle) -> Self {
        Self {
            hospital,
            name: legible(&entry.name),
            status: entry.status,
            benched: idle.benched.contains(&hospital),
            unready: idle.unready.contains(&hospital),
            governance: entry.governance.clone(),
            agent: entry.agent.clone(),
            worker_url: legible(&entry.worker_url),
            storage_origin: entry.storage_origin.as_ref().map(|origin| legible(origin)),
            custodian: None,
        }
    }
}

/// The active hospitals that do not validate.
struct Idle {
    benched: Vec<HospitalId>,
    unready: Vec<HospitalId>,
}

/// Every hospital ever admitted, by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HospitalList {
    pub hospitals: Vec<Listed>,
}

impl Output for HospitalList {}

impl fmt::Display for HospitalList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["NUMBER", "NAME", "STATUS", "WORKER"].map(String::from);
        let rows = self.hospitals.iter().map(|listed| {
            let status = match listed {
                Listed { benched: true, .. } => "benched".into(),
                Listed { unready: true, .. } => "unready".into(),
                Listed { status, .. } => word(status),
            };
            [listed.hospital.to_string(), listed.name.clone(), status, listed.worker_url.clone()]
        });
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        write!(f, "{}", table::lines(&rows).join("\n"))?;
        if self.hospitals.iter().any(|listed| listed.benched) {
            write!(
                f,
                "\na benched hospital committed an offence: it makes no blocks until the council \
                 reinstates it (hospitals.reinstate); everything else goes on"
            )?;
        }
        for custodian in self.hospitals.iter().filter_map(|listed| listed.custodian.as_ref()) {
            write!(f, "\n{custodian}")?;
        }
        if self.hospitals.iter().any(|listed| listed.unready) {
            write!(
                f,
                "\nan unready hospital is new, or made no block for ten minutes: it does not validate until its \
                 worker has every committed segment and says that it is ready; everything else goes on"
            )?;
        }
        if self.hospitals.iter().any(|listed| listed.status == HospitalStatus::Leaving) {
            write!(
                f,
                "\na leaving hospital serves its patients and readers until the council removes it, and does nothing \
                 else"
            )?;
        }
        Ok(())
    }
}

/// Lists the hospitals.
pub async fn list(context: &Context) -> Result<HospitalList, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let (benched, unready) = (snapshot.benched().await?, snapshot.unready().await?);
    let idle = Idle { benched, unready };
    let known = snapshot.hospitals().await?;
    let custodians = custodian::all(&snapshot).await?;
    let listed = |(id, entry): &(HospitalId, Hospital)| {
        let custodian = custodians.iter().find(|custodian| custodian.departed == *id).cloned();
        Listed { custodian, ..Listed::new(*id, entry, &idle) }
    };
    Ok(HospitalList { hospitals: known.iter().map(listed).collect() })
}

#[derive(Debug, Args)]
pub struct SetSealingKeyArgs {
    /// The worker's new key file, created by `epione keys renew-sealing`; only its public half is read
    #[arg(long, value_name = "NEW")]
    pub keys: KeySource,
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// A sealing key that is set on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealingKeySet {
    pub hospital: HospitalId,
    pub sealing_key_hash: Hash,
    /// The chain block from which on it is valid.
    pub block: BlockNumber,
}

impl Output for SealingKeySet {}

impl fmt::Display for SealingKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "from block {} on, hospital {} has the sealing key {:?}",
            self.block, self.hospital, self.sealing_key_hash
        )?;
        write!(
            f,
            "next: set this key file as the keystore of its worker, and list the previous one \
             under earlier_keystores. Keep the previous one until every profile is sealed to the \
             new key (the metric epione_worker_profiles_to_rewrap counts the remaining profiles): \
             without the key file to which a profile is sealed, nobody can read it. With the new key, \
             each patient gets a fresh patient key: a thief of the previous key file cannot read \
             what is written after that"
        )
    }
}

/// Sets a hospital's sealing key.
pub async fn set_sealing_key(
    args: &SetSealingKeyArgs,
    context: &Context,
) -> Result<SealingKeySet, Failure> {
    let new = args.keys.public()?;
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    let entry = chain.finalized().await?.hospital(hospital).await?;
    if entry.is_some_and(|entry| entry.agent != new.account) {
        return Err(Failure::usage(
            format!("the account of --keys is not the agent of hospital {hospital}"),
            "create the new key file from the key file of the hospital's worker",
        )
        .with_command(context.command(["keys", "renew-sealing", "--help"])));
    }
    let call = hospitals::set_sealing_key(new.sealing.as_bytes());
    let block = chain.submit(&call, &governance).await?.block.number;
    Ok(SealingKeySet { hospital, sealing_key_hash: new.sealing.hash(), block })
}

#[derive(Debug, Args)]
pub struct SetEndpointArgs {
    /// Address of the worker: https://host:port [default: unchanged]
    #[arg(
        long,
        value_name = "URL",
        value_parser = worker_url,
        required_unless_present_any = ["tls_key", "storage_origin"]
    )]
    pub url: Option<Url>,
    /// Public key that `epione-worker tls-key` prints, in 64 hexadecimal digits [default: unchanged]
    #[arg(long, value_name = "HEX", value_parser = tls_key)]
    pub tls_key: Option<TlsKey>,
    /// Origin of the storage to which the worker redirects readers: https://host:port, or none [default: unchanged]
    #[arg(long, value_name = "ORIGIN", value_parser = storage_origin)]
    pub storage_origin: Option<StorageOrigin>,
    /// Key file of the hospital's governance [default: the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Number or name of the hospital [default: the signer's]
    #[arg(long, value_name = "HOSPITAL")]
    pub hospital: Option<HospitalRef>,
}

/// An Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsKey(pub [u8; 32]);

pub(super) fn tls_key(text: &str) -> Result<TlsKey, String> {
    let mut key = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut key)
        .map_err(|error| format!("a key has 64 hexadecimal digits ({error})"))?;
    Ok(TlsKey(key))
}

/// A worker's address, which everybody can read on the chain.
pub(super) fn worker_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("everybody can read it on the chain: leave out name and password".into());
    }
    Ok(url)
}

/// The origin of a hospital's storage, if it has one that readers may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageOrigin(pub Option<String>);

fn storage_origin(text: &str) -> Result<StorageOrigin, String> {
    if text == "none" {
        return Ok(StorageOrigin(None));
    }
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_bare = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_bare {
        return Err("an origin is https://host or https://host:port, without a path".into());
    }
    Ok(StorageOrigin(Some(url.origin().ascii_serialization())))
}

/// An endpoint that is set on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSet {
    pub hospital: HospitalId,
    pub worker_url: String,
    pub tls_key: Hash,
    pub storage_origin: Option<String>,
    /// The chain block from which on it is valid.
    pub block: BlockNumber,
}

impl Output for EndpointSet {}

impl fmt::Display for EndpointSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "from block {} on, the worker of hospital {} has the address {} and the TLS key {:?}",
            self.block, self.hospital, self.worker_url, self.tls_key
        )?;
        match &self.storage_origin {
            Some(origin) => writeln!(f, "the worker may redirect readers to {origin}")?,
            None => writeln!(f, "the worker serves all segments itself")?,
        }
        write!(
            f,
            "the worker uses this TLS key within seconds if its keystore contains it: check that \
             the metric epione_worker_tls_key_matches is 1"
        )
    }
}

/// Sets the address of a hospital's worker, its TLS key, and its storage's origin.
pub async fn set_endpoint(
    args: &SetEndpointArgs,
    context: &Context,
) -> Result<EndpointSet, Failure> {
    let (hospital, governance) =
        context.own_governance(args.signer.as_ref(), args.hospital.as_ref()).await?;
    let chain = context.chain().await?;
    let entry = chain.finalized().await?.hospital(hospital).await?;
    let entry = entry.ok_or_else(|| {
        Failure::new(format!("the chain has no hospital {hospital}"), "choose another hospital")
    })?;
    let key = args.tls_key.map_or(entry.tls_key, |key| key.0);
    let wrong = |error: epione_client::EndpointError| {
        Failure::usage(
            error.to_string(),
            "give an address that clients and other hospitals can reach: --url https://...",
        )
    };
    let endpoint = match &args.url {
        Some(url) => Endpoint::new(url.clone(), key),
        None => Endpoint::of(&entry).and_then(|before| Endpoint::new(before.url().clone(), key)),
    };
    let endpoint = endpoint.map_err(wrong)?;
    let worker_url = endpoint.url().as_str().trim_end_matches('/').to_owned();
    let storage_origin = match &args.storage_origin {
        Some(StorageOrigin(origin)) => origin.clone(),
        None => entry.storage_origin.map(|origin| String::from_utf8_lossy(&origin).into_owned()),
    };
    let longest = storage_origin.as_ref().map_or(0, String::len).max(worker_url.len());
    if longest > MAX_URL_BYTES as usize {
        return Err(Failure::usage(
            format!("the URL or origin is longer than {MAX_URL_BYTES} bytes"),
            "give a shorter one",
        ));
    }
    let call = hospitals::set_endpoint(&worker_url, endpoint.tls_key(), storage_origin.as_deref());
    let block = chain.submit(&call, &governance).await?.block.number;
    let tls_key = Hash::from(*endpoint.tls_key());
    Ok(EndpointSet { hospital, worker_url, tls_key, storage_origin, block })
}

#[derive(Debug, Args)]
pub struct ConsentArgs {
    /// The key file
    #[arg(long = "as", value_name = "FILE")]
    pub signer: KeySource,
    /// Number of the hospital; a hospital that applies for admission gets the next number of the chain
    #[arg(long, value_name = "NUMBER")]
    pub hospital: u16,
    /// The account's duty
    #[arg(long, value_parser = argument::<Duty>())]
    pub duty: Duty,
}

/// A named account, as `hospitals.admit` and `hospitals.rotateAccounts` need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountConsent {
    pub hospital: HospitalId,
    pub duty: Duty,
    pub account: AccountId,
    /// The last chain block in which the consent is valid.
    pub until: BlockNumber,
    /// SCALE of a `MultiSignature`, in hexadecimal.
    pub consent: String,
}

impl Output for AccountConsent {}

impl fmt::Display for AccountConsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "account {}", self.account)?;
        writeln!(f, "until   {}", self.until)?;
        write!(f, "consent 0x{}", self.consent)
    }
}

/// Signs the consent to become an account of a hospital, for as long as the chain accepts.
pub async fn consent(args: &ConsentArgs, context: &Context) -> Result<AccountConsent, Failure> {
    let account = identity::account(&context.keys(&args.signer)?);
    let chain = context.chain().await?;
    let until = chain.finalized_head().await?.number.saturating_add(MAX_CONSENT_BLOCKS);
    let (hospital, duty) = (HospitalId(args.hospital), args.duty);
    let naming = Naming::Hospital { hospital, duty, until };
    let signature = epione_client::naming::sign(&account, chain.genesis_hash(), naming);
    let consent = hex::encode(signature.encode());
    Ok(AccountConsent { hospital, duty, account: account.id(), until, consent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_key_has_64_hexadecimal_digits() {
        let digits = "07".repeat(32);
        for text in [digits.clone(), format!("0x{digits}")] {
            assert_eq!(tls_key(&text), Ok(TlsKey([7; 32])));
        }
        for text in ["", "07", &digits[1..], &format!("{digits}07"), &"zz".repeat(32)] {
            assert!(tls_key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_for_the_chain_has_neither_name_nor_password() {
        worker_url("https://worker.example:8600/epione").unwrap();
        for url in ["https://ada:secret@worker.example", "https://ada@worker.example", "worker"] {
            let refused = worker_url(url).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_hospital_that_does_not_validate_is_not_only_listed_as_active() {
        let entry = |status| Hospital {
            name: b"St. Mary".to_vec().try_into().unwrap(),
            governance: AccountId::new([1; 32]),
            agent: AccountId::new([2; 32]),
            worker_url: b"https://worker.example".to_vec().try_into().unwrap(),
            sealing_key: Default::default(),
            tls_key: [0; 32],
            storage_origin: None,
            status,
        };
        let idle = Idle { benched: vec![HospitalId(1)], unready: vec![HospitalId(3)] };
        let listed = |id: u16, status| Listed::new(HospitalId(id), &entry(status), &idle);
        let hospitals = vec![
            listed(0, HospitalStatus::Active),
            listed(1, HospitalStatus::Active),
            listed(2, HospitalStatus::Suspended),
            listed(3, HospitalStatus::Active),
            listed(4, HospitalStatus::Leaving),
        ];
        let list = HospitalList { hospitals };
        let text = list.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].contains("active") && !lines[1].contains("benched"), "{text}");
        assert!(lines[2].contains("benched") && !lines[2].contains("active"), "{text}");
        assert!(lines[3].contains("suspended"), "{text}");
        assert!(lines[4].contains("unready") && !lines[4].contains("active"), "{text}");
        assert!(lines[5].contains("leaving"), "{text}");
        assert!(lines[6].contains("hospitals.reinstate"), "{text}");
        assert!(lines[7].contains("says that it is ready"), "{text}");
        assert!(lines[8].contains("until the council removes it"), "{text}");
        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(json["hospitals"][1]["status"], "active");
        assert_eq!(json["hospitals"][1]["benched"], true);
        assert_eq!(json["hospitals"][0]["benched"], false);
        assert_eq!(json["hospitals"][3]["unready"], true);
        assert_eq!(json["hospitals"][1]["unready"], false);
        assert_eq!(json["hospitals"][4]["status"], "leaving");
        assert!(json["hospitals"][0].get("custodian").is_none());
    }

    #[test]
    fn the_custodian_of_a_removed_hospital_is_listed() {
        let custodian = Custodian {
            departed: HospitalId(0),
            custodian: HospitalId(1),
            from: 70,
            answers: false,
        };
        let removed = Listed {
            hospital: HospitalId(0),
            name: "St. Mary".into(),
            status: HospitalStatus::Removed,
            benched: false,
            unready: false,
            governance: AccountId::new([1; 32]),
            agent: AccountId::new([2; 32]),
            worker_url: "https://worker.example".into(),
            storage_origin: None,
            custodian: Some(custodian),
        };
        let list = HospitalList { hospitals: vec![removed] };
        let text = list.to_string();
        assert!(text.contains("\nhospital 0 was removed: hospital 1 is its custodian"), "{text}");
        assert!(text.ends_with("from chain block 70 on, while it is active"), "{text}");
        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(json["hospitals"][0]["custodian"]["custodian"], 1);
        assert_eq!(json["hospitals"][0]["custodian"]["answers"], false);
    }

    #[test]
    fn a_storage_origin_is_a_scheme_and_a_host_or_none() {
        assert_eq!(storage_origin("none"), Ok(StorageOrigin(None)));
        for (text, origin) in [
            ("https://S3.example/", "https://s3.example"),
            ("https://s3.example:443", "https://s3.example"),
            ("https://s3.example:9000", "https://s3.example:9000"),
        ] {
            assert_eq!(storage_origin(text), Ok(StorageOrigin(Some(origin.into()))));
        }
        for text in
            ["", "s3.example", "ftp://s3.example", "https://s3.example/bucket", "https://a@b"]
        {
            assert!(storage_origin(text).is_err(), "{text}");
        }
    }
}
