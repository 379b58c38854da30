//! What every command needs: the node, the workers, the keys, and the common options.

mod recovery;
mod trust;

pub use trust::{GenesisFrom, genesis_hash};

use std::{
    ffi::OsStr,
    fmt,
    io::{self, IsTerminal},
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use clap::Args;
use epione_client::{
    Endpoint, EndpointError,
    chain::{Chain, ChainError, TRUSTING_GIVES_UP, Trust},
    endpoint::{storage_origin, without_userinfo},
    signer::Account,
    waiting::{Awaited, Waits},
    worker::WorkerClient,
};
use epione_devnet::{DevnetError, State};
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{AccountId, Hash, HospitalId, UserId, hospital::Duty};
use serde::Serialize;
use tokio::sync::OnceCell;
use url::Url;

use crate::{
    failure::Failure,
    identity::{self, KeySource},
    interrupt::Interruption,
    invocation::Invocation,
    names::{AddressBook, Bearer},
    progress,
    similar::did_you_mean,
    wording::legible,
};

/// The node if none is given.
const DEFAULT_NODE: &str = "ws://127.0.0.1:9944";

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// Node to use, as wss://HOST:PORT, or as ws://HOST:PORT on this machine [default: the devnet's, or
    /// ws://127.0.0.1:9944]
    #[arg(long, global = true, value_name = "URL", env = "EPIONE_NODE", hide_env_values = true)]
    pub node: Option<String>,

    /// Worker to use [default: the one that the chain names for the hospital]. It must prove the hospital's TLS key
    #[arg(long, global = true, value_name = "URL", env = "EPIONE_WORKER", hide_env_values = true)]
    pub worker: Option<Url>,

    /// Directory of a local network (devnet); the command uses its node, workers and development keys
    #[arg(long, global = true, value_name = "DIR", env = "EPIONE_DEVNET")]
    pub devnet: Option<PathBuf>,

    /// Hash of the chain's first block, as the hospitals publish it: answers of the node are believed if they are
    /// proven from it [default: the devnet's, or the one that `epione chain pin` stored for the node]
    #[arg(long, global = true, value_name = "HASH", env = "EPIONE_GENESIS", value_parser = genesis_hash)]
    pub genesis: Option<Hash>,

    /// Believe the node without proof: it can then hide records and looks, and name another worker as a hospital's.
    /// Only for a node that you run yourself
    #[arg(long, global = true)]
    pub trust_node: bool,

    /// File whose first line is the password of the key file
    #[arg(long, global = true, value_name = "FILE", env = "EPIONE_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,

    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Common {
    /// Adds this run's options for node, chain, worker, devnet and password file, unless the environment has the same
    /// values, which the next run will use, too. The user adds the passwords of addresses: they are not printed.
    fn complete(&self, command: Invocation) -> Invocation {
        let worker = self.worker.as_ref().map(|url| url.as_str());
        let genesis = self.genesis.map(|hash| format!("{hash:?}"));
        let options: [(&str, &str, Option<&OsStr>); 5] = [
            ("--devnet", "EPIONE_DEVNET", self.devnet.as_ref().map(|path| path.as_ref())),
            ("--node", "EPIONE_NODE", self.node.as_ref().map(OsStr::new)),
            ("--genesis", "EPIONE_GENESIS", genesis.as_deref().map(OsStr::new)),
            ("--worker", "EPIONE_WORKER", worker.map(OsStr::new)),
            (
                "--password-file",
                "EPIONE_PASSWORD_FILE",
                self.password_file.as_ref().map(|path| path.as_ref()),
            ),
        ];
        let command = command.with(self.trust_node.then_some("--trust-node"));
        options.into_iter().fold(command, |command, (option, variable, value)| match value {
            Some(value) if std::env::var_os(variable).as_deref() != Some(value) => {
                command.with([OsStr::new(option), value])
            }
            _ => command,
        })
    }
}

/// A hospital as the command line names it: by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HospitalRef {
    Id(HospitalId),
    Name(String),
}

impl FromStr for HospitalRef {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.parse() {
            Ok(number) => Self::Id(HospitalId(number)),
            Err(_) => Self::Name(text.into()),
        })
    }
}

impl fmt::Display for HospitalRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// The result of a command: printed with `Display` for people, and as JSON for programs.
pub trait Output: Serialize + fmt::Display {
    /// Whether the result is good. Otherwise the exit status is 1.
    fn passed(&self) -> bool {
        true
    }
}

/// The common options, and what was opened and connected with them.
pub struct Context {
    common: Common,
    devnet: Option<State>,
    chain: Arc<OnceCell<Chain>>,
    waits: Waits,
    interruption: Interruption,
    /// The opened keys, so that each password is requested once.
    opened: Mutex<Vec<(KeySource, ActorKeys)>>,
    /// Whether the user was told that somebody proposed new keys for them.
    warned_of_recovery: AtomicBool,
}

impl Context {
    pub fn new(common: Common) -> Self {
        let (chain, waits, opened) = (Arc::default(), Waits::default(), Mutex::default());
        let (interruption, warned_of_recovery) = (Interruption::default(), AtomicBool::default());
        Self { common, devnet: None, chain, waits, interruption, opened, warned_of_recovery }
    }

    /// Reads the file of the devnet that --devnet names, unless it was read before.
    pub fn with_devnet(mut self) -> Result<Self, Failure> {
        if self.devnet.is_some() {
            return Ok(self);
        }
        let Some(directory) = &self.common.devnet else { return Ok(self) };
        let state = State::read(directory)?
            .ok_or_else(|| Failure::from(DevnetError::Absent { directory: directory.clone() }))?;
        self.devnet = Some(state);
        Ok(self)
    }

    pub fn common(&self) -> &Common {
        &self.common
    }

    pub fn devnet(&self) -> Option<&State> {
        self.devnet.as_ref()
    }

    /// Whether progress is shown: to people, on a terminal.
    pub fn shows_progress(&self) -> bool {
        !self.common.json && io::stderr().is_terminal()
    }

    /// The waits of the command.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// What a signal makes of the command.
    pub fn interruption(&self) -> &Interruption {
        &self.interruption
    }

    /// The cell of the connection that [`Context::chain`] makes.
    pub(crate) fn chain_cell(&self) -> Arc<OnceCell<Chain>> {
        Arc::clone(&self.chain)
    }

    /// The same run, about a chain and a node that a file names, unless the user named another node.
    ///
    /// Fails if the user named another chain, or a devnet.
    pub fn aimed_at(mut self, node: &str, genesis: Hash) -> Result<Self, Failure> {
        if self.common.devnet.is_some() {
            return Err(Failure::usage(
                "the folder of a hospital and a devnet are two different chains",
                "leave out --devnet and EPIONE_DEVNET, or --dir",
            ));
        }
        if let Some(given) = self.common.genesis.filter(|given| *given != genesis) {
            return Err(Failure::usage(
                format!("the first block of the folder's chain is {genesis:?}, not {given:?}"),
                "find out which of the two is right, and correct --genesis, EPIONE_GENESIS or --dir",
            ));
        }
        self.common.genesis = Some(genesis);
        self.common.node.get_or_insert_with(|| node.to_owned());
        Ok(self)
    }

    /// The connection to the node, made at the first call. What the node says is verified, unless the user trusts it.
    pub async fn chain(&self) -> Result<&Chain, Failure> {
        self.chain.get_or_try_init(|| self.connect()).await
    }

    /// The address of the node.
    pub fn node_url(&self) -> &str {
        self.node().url()
    }

    fn node(&self) -> Node<'_> {
        let in_devnet = self.devnet.as_ref().and_then(|state| state.hospitals.first());
        match (&self.common.node, in_devnet) {
            (Some(url), _) => Node::Given(url),
            (None, Some(hospital)) => Node::OfDevnet(&hospital.node_url),
            (None, None) => Node::Usual(DEFAULT_NODE),
        }
    }

    async fn connect(&self) -> Result<Chain, Failure> {
        let node = self.node();
        let known = self.known_chain(node.url())?;
        let chain = connect(&self.waits, node).await?;
        let (url, found) = (node.url(), chain.genesis_hash());
        if let Some(known) = known.filter(|known| known.genesis != found) {
            return Err(known.is_another(url, found));
        }
        let trust = match known {
            _ if self.common.trust_node => {
                progress::warn(self, &format!("--trust-node: {TRUSTING_GIVES_UP}"));
                Trust::Node
            }
            Some(known) => Trust::Verified(self.pinned(known.genesis)?),
            None => return Err(trust::unknown_chain(url, found)),
        };
        Ok(chain.trusting(trust).await?)
    }

    /// The user's own names for users and hospitals of the connected node's chain.
    pub async fn address_book(&self) -> Result<AddressBook, Failure> {
        let genesis = self.chain().await?.genesis_hash();
        AddressBook::open(genesis, self.common.devnet.as_deref())
    }

    /// The command with these arguments, and with the options that it needs to reach the same node and worker as this
    /// run.
    ///
    /// This run's options follow these words: the last one must not be an option that expects a value.
    pub fn command<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Invocation {
        self.common.complete(Invocation::new(words))
    }

    /// The id of a hospital on the chain: by its number, by a name of the user's own, or by the hospital's name.
    pub async fn hospital(&self, hospital: &HospitalRef) -> Result<HospitalId, Failure> {
        let own = match hospital {
            HospitalRef::Name(name) => self.address_book().await?.bearer(name),
            HospitalRef::Id(_) => None,
        };
        let hospital = match own {
            Some(Bearer::Hospital(id)) => HospitalRef::Id(id),
            _ => hospital.clone(),
        };
        let known = self.chain().await?.finalized().await?.hospitals().await?;
        let found = known.iter().find(|(id, known)| match &hospital {
            HospitalRef::Id(wanted) => id == wanted,
            HospitalRef::Name(wanted) => known.name.eq_ignore_ascii_case(wanted.as_bytes()),
        });
        found.map(|(id, _)| *id).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|(_, it)| legible(&it.name)).collect();
            let meant = match &hospital {
                HospitalRef::Id(_) => String::new(),
                HospitalRef::Name(name) => did_you_mean(name, names.iter().map(String::as_str)),
            };
            let choices = known.iter().zip(&names).map(|((id, _), name)| format!("{id} ({name})"));
            Failure::new(
                format!("the chain has no hospital {hospital}{meant}"),
                format!("choose one of {}", choices.collect::<Vec<_>>().join(", ")),
            )
        })
    }

    /// A client of a hospital's worker for `account`.
    pub async fn worker(
        &self,
        hospital: HospitalId,
        account: Account,
    ) -> Result<WorkerClient, Failure> {
        let chain = self.chain().await?;
        let known = chain.finalized().await?.hospital(hospital).await?;
        let known = known.ok_or_else(|| {
            Failure::new(format!("the chain has no hospital {hospital}"), "choose another hospital")
        })?;
        let endpoint = match &self.common.worker {
            Some(url) => Endpoint::new(url.clone(), known.tls_key)
                .map(|endpoint| endpoint.redirecting_to(storage_origin(&known)))
                .map_err(|error| {
                    Failure::usage(error.to_string(), "give an https address with --worker URL")
                })?,
            None => Endpoint::of(&known).map_err(unusable)?,
        };
        let worker = WorkerClient::new(&endpoint, hospital, chain.genesis_hash(), account)?;
        Ok(worker.with_waits(self.waits.clone()))
    }

    /// Opens keys; the same ones only once.
    pub fn keys(&self, source: &KeySource) -> Result<ActorKeys, Failure> {
        if let (KeySource::Development(uri), None) = (source, &self.devnet) {
            return Err(Failure::usage(
                format!("{uri} is a development key, which is public"),
                "give a key file, or a devnet with --devnet DIR",
            ));
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, keys)) = opened.iter().find(|(known, _)| known == source) {
            return Ok(keys.clone());
        }
        let keys = source.open(self.common.password_file.as_deref())?;
        opened.push((source.clone(), keys.clone()));
        Ok(keys)
    }

    /// The governance account of a hospital: from `source`, or of the devnet.
    pub async fn governance(
        &self,
        source: Option<&KeySource>,
        hospital: Option<&HospitalRef>,
    ) -> Result<(HospitalId, Account), Failure> {
        let snapshot = self.chain().await?.finalized().await?;
        if let Some(source) = source {
            let account = identity::account(&self.keys(source)?);
            let (own, _) = snapshot.hospital_of(&account.id()).await?.ok_or_else(|| {
                Failure::new(
                    "this is not the account of a hospital",
                    "sign with the key file of the hospital's governance: --as FILE",
                )
            })?;
            let wanted = match hospital {
                Some(hospital) => self.hospital(hospital).await?,
                None => own,
            };
            return Ok((wanted, account));
        }
        let Some(state) = &self.devnet else {
            return Err(Failure::usage(
                "no key file of a hospital's governance is given",
                "give it with --as FILE, or a devnet with --devnet DIR",
            ));
        };
        let id = match hospital {
            Some(hospital) => self.hospital(hospital).await?,
            None => HospitalId(0),
        };
        let hospital = state.hospital(id).ok_or_else(|| {
            Failure::new(format!("the devnet has no hospital {id}"), "choose another --hospital")
        })?;
        let keys = identity::development_keys(&hospital.governance)?;
        Ok((id, identity::account(&keys)))
    }

    /// As [`Context::governance`], but the signer must be the governance of that hospital.
    pub async fn own_governance(
        &self,
        source: Option<&KeySource>,
        hospital: Option<&HospitalRef>,
    ) -> Result<(HospitalId, Account), Failure> {
        let (hospital, account) = self.governance(source, hospital).await?;
        let snapshot = self.chain().await?.finalized().await?;
        match snapshot.hospital_of(&account.id()).await? {
            Some((own, Duty::Governance)) if own == hospital => Ok((hospital, account)),
            _ => Err(Failure::usage(
                format!("this account is not the governance of hospital {hospital}"),
                "sign with the key file of that hospital's governance: --as FILE",
            )),
        }
    }

    /// The user with this account. Warns of new keys that somebody proposed for the user.
    pub async fn user_of(&self, account: &Account) -> Result<UserId, Failure> {
        self.user_with(&account.id()).await
    }

    /// The user with this account; needs no private key.
    pub async fn user_with(&self, account: &AccountId) -> Result<UserId, Failure> {
        let snapshot = self.chain().await?.finalized().await?;
        let user = snapshot.user_of(account).await?.ok_or_else(|| {
            Failure::new(
                "no user is registered with this account",
                "give another key file with --as, or have a hospital register this account",
            )
            .with_command(self.command(["user", "register", "--help"]))
        })?;
        self.warn_of_recovery(user, &snapshot).await?;
        Ok(user)
    }
}

/// The node of a command, by who chose it.
#[derive(Clone, Copy)]
enum Node<'a> {
    /// The user, with --node or EPIONE_NODE.
    Given(&'a str),
    /// The file of the devnet that --devnet names.
    OfDevnet(&'a str),
    /// Nobody.
    Usual(&'a str),
}

impl<'a> Node<'a> {
    fn url(self) -> &'a str {
        match self {
            Self::Given(url) | Self::OfDevnet(url) | Self::Usual(url) => url,
        }
    }
}

async fn connect(waits: &Waits, node: Node<'_>) -> Result<Chain, Failure> {
    let url = node.url();
    let waiting = waits.begin(Awaited::Node, None);
    waiting.because(format!("no node has answered at {} yet", without_userinfo(url)));
    let connected = match node {
        // A devnet runs on one machine, if not on loopback then in network namespaces, and everybody has its keys.
        Node::OfDevnet(url) => Chain::connect_unprotected(url).await,
        Node::Given(url) | Node::Usual(url) => Chain::connect(url).await,
    };
    match (connected, node) {
        (Err(ChainError::Unreachable { .. }), Node::Usual(url)) => Err(no_node(url)),
        (connected, _) => Ok(connected?.with_waits(waits.clone())),
    }
}

fn no_node(usual: &str) -> Failure {
    Failure::new(
        format!("no node is given, and no node answers at {usual}"),
        "give a node with --node URL or EPIONE_NODE; or give the directory of a network on this machine with \
         --devnet DIR or EPIONE_DEVNET, and start a network if none runs",
    )
    .with_command(Invocation::new(["devnet", "up", "--detach"]))
}

fn unusable(error: EndpointError) -> Failure {
    Failure::new(
        format!("the worker's address on the chain cannot be used: {error}"),
        "give an address with --worker URL, and ask the hospital's governance to correct the \
         address on the chain",
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_printed_command_has_the_options_of_the_run() {
        let common = Common { devnet: Some("my net".into()), ..Common::default() };
        let printed = common.complete(Invocation::new(["block", "show", "1"])).to_string();
        assert_eq!(printed, "epione block show 1 --devnet 'my net'");
    }

    #[test]
    fn a_printed_command_is_for_the_same_chain() {
        let genesis = Hash::repeat_byte(7);
        let common = Common { genesis: Some(genesis), ..Common::default() };
        let printed = common.complete(Invocation::new(["hospital", "list"])).to_string();
        assert_eq!(printed, format!("epione hospital list --genesis {genesis:?}"));
        let common = Common { trust_node: true, ..Common::default() };
        let printed = common.complete(Invocation::new(["hospital", "list"])).to_string();
        assert_eq!(printed, "epione hospital list --trust-node");
    }

    #[test]
    fn a_folder_names_the_chain_and_the_user_may_name_the_node() {
        let genesis = Hash::repeat_byte(7);
        let aimed = |common| Context::new(common).aimed_at("ws://127.0.0.1:9944", genesis);
        let plain = aimed(Common::default()).unwrap();
        assert_eq!(plain.node_url(), "ws://127.0.0.1:9944");
        assert_eq!(plain.common().genesis, Some(genesis));
        let other = Common { node: Some("ws://127.0.0.1:1".into()), ..Common::default() };
        assert_eq!(aimed(other).unwrap().node_url(), "ws://127.0.0.1:1");
        let wrong = Common { genesis: Some(Hash::repeat_byte(8)), ..Common::default() };
        let refused = aimed(wrong).err().unwrap();
        assert!(refused.error.contains(&format!("{genesis:?}")), "{refused}");
        let devnet = Common { devnet: Some("net".into()), ..Common::default() };
        assert!(aimed(devnet).is_err());
    }

    #[test]
    fn a_printed_command_has_no_password_of_an_address() {
        let common = Common {
            node: Some("wss://ada:secret@node.example".into()),
            worker: Some(Url::parse("https://ada:secret@worker.example").unwrap()),
            ..Common::default()
        };
        let printed = common.complete(Invocation::new(["hospital", "list"])).to_string();
        let addresses = "--node wss://node.example/ --worker https://worker.example/";
        assert_eq!(printed, format!("epione hospital list {addresses}"));
    }

    #[tokio::test]
    async fn without_a_node_the_help_says_how_to_give_one() {
        let (nowhere, begun) = ("ws://127.0.0.1:1", Instant::now());
        let failure = connect(&Waits::default(), Node::Usual(nowhere)).await.unwrap_err();
        for option in ["--node", "EPIONE_NODE", "--devnet", "EPIONE_DEVNET"] {
            assert!(failure.help.contains(option), "{failure}");
        }
        assert_eq!(failure.commands[..], ["epione devnet up --detach"]);
        let named = connect(&Waits::default(), Node::Given(nowhere)).await.unwrap_err();
        assert!(named.commands.is_empty() && named.error.contains(nowhere), "{named}");
        assert!(named.help.contains("--node") && named.help.contains("--devnet"), "{named}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_given_node_on_another_machine_needs_tls() {
        let exposed = Node::Given("ws://192.0.2.1:9944");
        let refused = connect(&Waits::default(), exposed).await.unwrap_err();
        assert!(refused.error.contains("without TLS"), "{refused}");
        assert!(refused.help.contains("wss://") && refused.help.contains("ssh -L"), "{refused}");
    }
}
