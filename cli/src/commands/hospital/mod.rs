//! `epione hospital`: founds a hospital, joins it to a chain, changes its entry and its keys, and lets it leave.
//!
//! What belongs to one hospital is in one folder, which `init` makes and the other commands use.

mod application;
mod chain_file;
mod consent;
mod endpoint;
mod folder;
mod init;
mod join;
mod leave;
mod list;
mod peers;
mod ready;
mod rotate;
mod sealing_key;
mod worker_settings;

pub use application::read as read_application;
pub use consent::{AccountConsent, ConsentArgs, consent};
pub use endpoint::{EndpointSet, SetEndpointArgs, StorageOrigin, TlsKey, set_endpoint};
pub(super) use endpoint::{tls_key, worker_url};
pub use init::{InitArgs, Initialized, init};
pub use join::{JoinArgs, Joined, Stage, join};
pub use leave::{LeaveArgs, Left, leave};
pub use list::{HospitalList, Listed, list};
pub use ready::{Ready, ReadyArgs, ready};
pub use sealing_key::{SealingKeySet, SetSealingKeyArgs, set_sealing_key};

use clap::Subcommand;

use crate::{context::Context, failure::Failure, show};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the hospitals: which are active, unready, benched, leaving, suspended or removed, with custodians
    List,
    /// Makes the keys, the settings and the application of a new hospital, in a new folder
    ///
    /// The application is one file for the other hospitals. With those of all founders, `epione genesis assemble` makes
    /// a new chain; a hospital that joins an existing chain hands it to a member.
    Init(Box<InitArgs>),
    /// Takes a new hospital from its folder to a validator; run it again to continue
    ///
    /// The first run installs the chain specification, after you compared its hash. Then start node and worker. The
    /// next runs check the chain and this machine's clock, renew the application for the council, set the session keys
    /// after the admission, and wait until the hospital makes blocks.
    Join(JoinArgs),
    /// Says that the hospital is ready to validate, which its worker says by itself while blocks become final
    Ready(ReadyArgs),
    /// Leaves the chain: the hospital serves its patients until the council removes it
    ///
    /// Wait first until the metric epione_worker_queued_visits is 0, because what is queued later is never announced.
    /// Ask patients first to entrust their keys: the other hospitals soon renew their shares of the consortium key
    /// without a leaving hospital. If three hospitals stay active, finality and ceremonies need all three.
    Leave(LeaveArgs),
    /// Replaces keys of the hospital: session, governance, agent, sealing or tls
    #[command(subcommand)]
    Rotate(rotate::Command),
    /// Lists and sets the nodes with which the hospital's node connects
    #[command(subcommand)]
    Peers(peers::Command),
    /// Sets the hospital's sealing key on the chain; its worker must already have the new key
    SetSealingKey(SetSealingKeyArgs),
    /// Sets the address of the hospital's worker, its TLS key, and its storage's origin, on the chain
    SetEndpoint(SetEndpointArgs),
    /// Signs the consent of a key file's account to become an account of a hospital
    Consent(ConsentArgs),
}

impl Command {
    pub(super) async fn run(&self, context: Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::List => show(&list(&context).await?, json),
            Self::Init(args) => show(&init(args, &context)?, json),
            Self::Join(args) => show(&join(args, context).await?, json),
            Self::Ready(args) => show(&ready(args, &context).await?, json),
            Self::Leave(args) => show(&leave(args, context).await?, json),
            Self::Rotate(command) => command.run(context).await,
            Self::Peers(command) => command.run(&context),
            Self::SetSealingKey(args) => show(&set_sealing_key(args, &context).await?, json),
            Self::SetEndpoint(args) => show(&set_endpoint(args, &context).await?, json),
            Self::Consent(args) => show(&consent(args, &context).await?, json),
        }
    }

    /// Whether the command changes nothing on the chain.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, Self::List | Self::Peers(peers::Command::List(_)))
    }

    /// The help that is printed when a signal ends the command early, if it differs from that of other commands.
    pub(super) fn when_interrupted(&self, again: &str) -> Option<String> {
        match self {
            Self::Init(_) => Some(format!(
                "the folder may be incomplete: delete everything in it, and hidden files, too; then run: {again}"
            )),
            Self::Join(_) => Some(format!("what was done stays; to continue, run: {again}")),
            _ => None,
        }
    }
}
