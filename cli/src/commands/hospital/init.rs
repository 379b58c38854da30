//! `epione hospital init`: makes the keys and the settings of a new hospital, and its application.

use std::{
    fmt::{self, Write as _},
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf, absolute},
};

use clap::Args;
use epione_client::{
    Account,
    application::{Application, NodeAddress, SessionPair, Signers, Statement},
    private,
};
use epione_envelope::{
    Zeroizing,
    account::{AccountKey, Scheme},
    keystore::{self, ActorKeys, Cost},
    sealing_keys::SealingSuite,
    tls,
};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::{
    endpoint::worker_url,
    folder::Folder,
    worker_settings::{Bucket, Keystore, NewSettings, Store},
};
use crate::{
    context::{Context, Output},
    failure::Failure,
    identity,
};

/// Characters of the name that a node tells its peers, at most.
const NODE_NAME: usize = 32;

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder for the hospital's keys and settings; it must be empty, or not exist yet
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Name of the hospital, as everybody will see it on the chain
    #[arg(long)]
    pub name: String,
    /// Address at which clients and other hospitals reach the worker: https://HOST:PORT
    #[arg(long, value_name = "URL", value_parser = worker_url)]
    pub worker_url: Url,
    /// Address at which other nodes reach this hospital's node: /dns/HOST/tcp/PORT [default: port 30333 of the worker's
    /// host]
    #[arg(long, value_name = "MULTIADDR")]
    pub node_address: Option<NodeAddress>,
    /// Address at which the worker listens; a proxy may pass TLS on to it
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8600")]
    pub listen: SocketAddr,
    /// Address at which the worker serves metrics and readiness to the hospital's operators
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8601")]
    pub operators_listen: SocketAddr,
    /// Address at which the node listens for other nodes
    #[arg(long, value_name = "MULTIADDR", default_value = "/ip4/0.0.0.0/tcp/30333")]
    pub node_listen: NodeAddress,
    /// Port of 127.0.0.1 at which the node answers its worker and this program
    #[arg(long, value_name = "PORT", default_value_t = 9944)]
    pub rpc_port: u16,
    /// Port of 127.0.0.1 at which the node serves its metrics
    #[arg(long, value_name = "PORT", default_value_t = 9615)]
    pub node_metrics_port: u16,
    #[command(flatten)]
    pub storage: StorageArgs,
}

/// Where the worker stores segments.
#[derive(Debug, Args)]
pub struct StorageArgs {
    /// Directory in which the worker stores segments [default: worker/store in DIR]
    #[arg(long, value_name = "DIR", conflicts_with = "s3_endpoint")]
    pub storage: Option<PathBuf>,
    /// URL of an S3-compatible storage, in which the worker stores segments instead
    #[arg(long, value_name = "URL", requires = "s3_bucket")]
    pub s3_endpoint: Option<Url>,
    /// Bucket of this hospital; no other hospital may use it
    #[arg(long, value_name = "BUCKET", requires = "s3_endpoint")]
    pub s3_bucket: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "REGION", requires = "s3_endpoint")]
    pub s3_region: Option<String>,
    /// TOML file with access_key_id and secret_access_key
    #[arg(long, value_name = "FILE", requires = "s3_endpoint")]
    pub s3_credentials: Option<PathBuf>,
}

impl StorageArgs {
    fn store(&self, folder: &Folder) -> Result<Store, Failure> {
        let whole = |path: &Path| absolute(path).map_err(|error| Failure::file(path, &error));
        if let (Some(endpoint), Some(bucket)) = (&self.s3_endpoint, &self.s3_bucket) {
            return Ok(Store::S3(Bucket {
                endpoint: endpoint.clone(),
                bucket: bucket.clone(),
                region: self.s3_region.clone(),
                credentials_file: self.s3_credentials.as_deref().map(whole).transpose()?,
            }));
        }
        let usual = folder.file("worker/store");
        self.storage.as_deref().map_or(Ok(usual), whole).map(Store::Path)
    }
}

/// A new hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Initialized {
    pub dir: PathBuf,
    /// The file to hand to the others, and its content.
    pub file: PathBuf,
    pub application: Value,
    /// Where other nodes reach the hospital's node, with the node's id.
    pub peer: String,
    /// The command with which the hospital joins, once it has the chain.
    pub next: String,
}

impl Output for Initialized {}

impl fmt::Display for Initialized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dir, statement) = (self.dir.display(), &self.application["statement"]);
        let said = |field: &str| statement[field].as_str().unwrap_or_default().to_owned();
        writeln!(f, "{} has keys and settings in {dir}", said("name"))?;
        writeln!(f, "governance  {}", said("governance"))?;
        writeln!(f, "agent       {}", said("agent"))?;
        writeln!(f, "worker      {}", said("workerUrl"))?;
        writeln!(f, "node        {}", self.peer)?;
        writeln!(
            f,
            "keep {dir}/governance.json on a machine that others cannot reach, and copies of {dir}/agent.json and \
             {dir}/agent.password where they cannot burn with this one"
        )?;
        writeln!(
            f,
            "next: hand {} to the others; it is not secret. You get a chain.json and its hash from them. Compare the \
             hash by telephone or on paper; then run:",
            self.file.display()
        )?;
        write!(f, "  {}", self.next)
    }
}

/// Makes a hospital.
pub fn init(args: &InitArgs, context: &Context) -> Result<Initialized, Failure> {
    let folder = Folder::at(&args.dir)?;
    folder.must_be_own()?;
    must_be_empty(folder.path())?;
    let keys = Keys::generate();
    // Signed first: what another hospital would refuse leaves no file.
    let application = keys.apply(args)?;
    let password = identity::new_password(context.common().password_file.as_deref())?;
    private::folder(folder.path()).map_err(|error| Failure::file(folder.path(), &error))?;
    let staged = tempfile::Builder::new()
        .prefix(".init-")
        .tempdir_in(folder.path())
        .map_err(|error| Failure::file(folder.path(), &error))?;
    let within = Folder::at(staged.path())?;
    keys.write(&within, &password)?;
    let put = |path: PathBuf, text: &str| {
        private::replace(&path, text.as_bytes()).map_err(|error| Failure::file(&path, &error))
    };
    put(within.node_settings(), &node_settings(args, &folder))?;
    put(within.worker_config(), &worker_settings(args, &folder)?.to_text()?)?;
    put(within.application_file(), &application.to_json())?;
    move_all(&within, &folder)?;
    let json = serde_json::from_str(&application.to_json());
    let json = json.map_err(|error| Failure::new(error.to_string(), "this is a bug: report it"))?;
    Ok(Initialized {
        dir: folder.path().into(),
        file: folder.application_file(),
        application: json,
        peer: application.peer(),
        next: folder.command("join").with(["--chain", "chain.json"]).to_string(),
    })
}

/// The keys of a new hospital.
struct Keys {
    governance: ActorKeys,
    agent: ActorKeys,
    node: AccountKey,
    session: SessionPair,
}

impl Keys {
    fn generate() -> Self {
        let actor = || ActorKeys::generate(Scheme::Sr25519, SealingSuite::XWing);
        Self {
            governance: actor(),
            agent: actor(),
            node: AccountKey::generate(Scheme::Ed25519),
            session: SessionPair::generate(),
        }
    }

    fn apply(&self, args: &InitArgs) -> Result<Application, Failure> {
        let (governance, agent) = (Account::from(&self.governance), Account::from(&self.agent));
        let tls = tls::key(&self.agent.account, 0);
        let address = args.node_address.clone().or_else(|| NodeAddress::beside(&args.worker_url));
        let address = address.ok_or_else(|| {
            Failure::usage(
                "the worker's URL has no host from which the node's address follows",
                "give the address with --node-address /dns/HOST/tcp/PORT",
            )
        })?;
        let statement = Statement {
            name: args.name.clone(),
            agent: agent.id(),
            worker_url: public_url(&args.worker_url),
            sealing_key: self.agent.sealing.public().as_bytes().to_vec(),
            tls_key: tls.public().into(),
            node_key: self.node.public().into(),
            node_address: address.to_string(),
            session: self.session.public(),
            session_proof: self.session.prove(&governance.id()),
            governance: governance.id(),
            consents: None,
        };
        let signers =
            Signers { governance: &governance, agent: &agent, tls: &tls, node: &self.node };
        Application::sign(statement, &signers).map_err(|error| {
            Failure::usage(
                format!("no other hospital would accept this application: {error}"),
                "correct --name, --worker-url or --node-address",
            )
        })
    }

    fn write(&self, folder: &Folder, password: &str) -> Result<(), Failure> {
        let governance = folder.file("governance.json");
        keystore::save(&self.governance, &governance, password, Cost::Interactive)?;
        let agent = Keystore {
            path: folder.file("agent.json"),
            password_file: folder.file("agent.password"),
        };
        save_worker_keys(&self.agent, &agent)?;
        let digits = Zeroizing::new(hex::encode(self.node.seed()));
        let node = folder.node_key();
        private::replace(&node, digits.as_bytes()).map_err(|error| Failure::file(&node, &error))?;
        folder.add_session_keys(&self.session)
    }
}

/// Writes a worker's key file, with a random password in a file beside it: a worker starts without a person.
pub(super) fn save_worker_keys(keys: &ActorKeys, files: &Keystore) -> Result<(), Failure> {
    let mut random = Zeroizing::new([0_u8; 32]);
    getrandom::fill(random.as_mut_slice()).map_err(|error| {
        Failure::new(
            format!("the system gives no random bytes: {error}"),
            "try again after the machine has started completely",
        )
    })?;
    let password = Zeroizing::new(hex::encode(random.as_slice()));
    let path = &files.password_file;
    private::replace(path, password.as_bytes()).map_err(|error| Failure::file(path, &error))?;
    Ok(keystore::save(keys, &files.path, &password, Cost::Fast)?)
}

fn must_be_empty(path: &Path) -> Result<(), Failure> {
    let mut entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Failure::file(path, &error))?,
    };
    if entries.next().is_none() {
        return Ok(());
    }
    Err(Failure::usage(
        format!("{} is not empty, and keys are never overwritten", path.display()),
        "choose another folder: --dir DIR. If an earlier run ended early, it left no application.json: then delete \
         everything in the folder, and hidden files, too",
    ))
}

/// Moves the files of one folder into another one. The application comes last: with it, the folder is complete.
fn move_all(from: &Folder, to: &Folder) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::file(from.path(), &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(from.path()).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort_by_key(|name| name == "application.json");
    for name in names {
        let target = to.path().join(&name);
        fs::rename(from.path().join(&name), &target)
            .map_err(|error| Failure::file(&target, &error))?;
    }
    // The others may use the application from now on: the keys must outlast a power failure.
    File::open(to.path())
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Failure::file(to.path(), &error))
}

fn public_url(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn worker_settings(args: &InitArgs, folder: &Folder) -> Result<NewSettings, Failure> {
    Ok(NewSettings {
        node_url: format!("ws://127.0.0.1:{}", args.rpc_port),
        listen: args.listen,
        public_url: public_url(&args.worker_url),
        operators_listen: args.operators_listen,
        data_dir: folder.file("worker"),
        keystore: Keystore {
            path: folder.file("agent.json"),
            password_file: folder.file("agent.password"),
        },
        store: args.storage.store(folder)?,
    })
}

/// The node's flags, in a form that systemd and a shell read.
fn node_settings(args: &InitArgs, folder: &Folder) -> String {
    let own = args.node_address.clone().or_else(|| NodeAddress::beside(&args.worker_url));
    let mut flags = vec![
        "--validator".to_owned(),
        format!("--name={}", node_name(&args.name)),
        format!("--chain={}", folder.chain().display()),
        format!("--base-path={}", folder.file("node").display()),
        format!("--keystore-path={}", folder.keystore().display()),
        format!("--node-key-file={}", folder.node_key().display()),
        format!("--listen-addr={}", args.node_listen),
        format!("--rpc-port={}", args.rpc_port),
        // Nothing here needs an unsafe method: keys are files, and peers are flags.
        "--rpc-methods=safe".to_owned(),
        format!("--prometheus-port={}", args.node_metrics_port),
        "--no-mdns".to_owned(),
        "--no-telemetry".to_owned(),
    ];
    if let Some(own) = own {
        flags.push(format!("--public-addr={own}"));
        if own.is_private() {
            flags.push("--allow-private-ip".to_owned());
        }
    }
    let mut text = String::from(
        "# Flags of the hospital's node, for epione-node.service. To start the node by hand:\n",
    );
    let dir = folder.path().display();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "#   . {dir}/node.env; . {dir}/peers.env; exec epione-node $EPIONE_NODE_FLAGS $EPIONE_NODE_PEERS"
    );
    let _ = writeln!(text, "EPIONE_NODE_FLAGS=\"{}\"", flags.join(" "));
    text
}

/// A name that a node accepts: letters, digits and hyphens.
fn node_name(name: &str) -> String {
    let plain =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let plain: String = plain.collect();
    let words: Vec<_> = plain.split('-').filter(|word| !word.is_empty()).collect();
    let short: String = words.join("-").chars().take(NODE_NAME).collect();
    if short.is_empty() { "hospital".into() } else { short }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::Cli;

    fn arguments(more: &[&str]) -> InitArgs {
        let words = ["epione", "hospital", "init", "--dir", "/srv/h", "--name", "St. Mary's"];
        let cli =
            Cli::parse_from([&words[..], &["--worker-url", "https://w.example"], more].concat());
        match cli.command {
            crate::commands::Command::Hospital(super::super::Command::Init(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    /// The flags that systemd and a shell read from a file of settings.
    fn flags(text: &str) -> Vec<&str> {
        let line = text.lines().find_map(|line| line.strip_prefix("EPIONE_NODE_FLAGS=\""));
        line.unwrap().strip_suffix('"').unwrap().split(' ').collect()
    }

    #[test]
    fn the_nodes_flags_permit_no_unsafe_method_and_no_name_breaks_them() {
        let folder = Folder::at(Path::new("/srv/h")).unwrap();
        let text = node_settings(&arguments(&[]), &folder);
        let flags = flags(&text);
        assert!(flags.contains(&"--rpc-methods=safe") && flags.contains(&"--validator"), "{text}");
        assert!(flags.contains(&"--name=st-mary-s"), "{text}");
        assert!(flags.contains(&"--public-addr=/dns/w.example/tcp/30333"), "{text}");
        assert!(flags.iter().all(|flag| flag.starts_with("--")), "{text}");
        assert!(!flags.contains(&"--allow-private-ip"), "{text}");
        for wide in ["--rpc-external", "--unsafe-rpc-external", "--rpc-cors"] {
            assert!(!text.contains(wide), "{text}");
        }
        for (name, expected) in
            [("", "hospital"), ("\"; reboot #", "reboot"), ("Ωμέγα", "hospital")]
        {
            assert_eq!(node_name(name), expected);
        }
        assert_eq!(node_name(&"ab ".repeat(40)).len(), NODE_NAME);
    }

    #[test]
    fn a_node_of_a_private_network_may_connect_with_private_addresses() {
        let folder = Folder::at(Path::new("/srv/h")).unwrap();
        let text = node_settings(&arguments(&["--node-address", "/ip4/10.0.0.7/tcp/1"]), &folder);
        assert!(flags(&text).contains(&"--allow-private-ip"), "{text}");
    }

    #[test]
    fn a_folder_whose_name_the_settings_cannot_contain_is_refused() {
        for path in ["/srv/a b", "/srv/$HOME", "/srv/\"x", "/srv/a%i", "/srv/a;b"] {
            assert!(Folder::at(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn segments_are_in_the_folder_in_a_directory_or_in_a_bucket() {
        let folder = Folder::at(Path::new("/srv/h")).unwrap();
        let store = |more: &[&str]| arguments(more).storage.store(&folder).unwrap();
        assert_eq!(store(&[]), Store::Path("/srv/h/worker/store".into()));
        assert_eq!(store(&["--storage", "/data"]), Store::Path("/data".into()));
        let s3 = store(&["--s3-endpoint", "https://s3.example", "--s3-bucket", "b"]);
        let Store::S3(bucket) = s3 else { panic!("{s3:?}") };
        assert_eq!((bucket.bucket.as_str(), bucket.region), ("b", None));
    }
}
