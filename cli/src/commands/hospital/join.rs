//! `epione hospital join`: takes a new hospital from its folder to a validator, in steps that a later run continues.
//!
//! The folder and the chain say which step is next ([`Stage`]), so nothing else is remembered. A founder takes the same
//! steps; the chain has its keys from the beginning.

use std::{fmt, path::PathBuf, time::Duration};

use clap::Args;
use epione_client::{
    Account,
    application::{Application, Consents, Signers},
    chain::{Chain, Seat, Snapshot, calls::session},
    private,
};
use epione_envelope::tls;
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment,
    hospital::{Duty, Hospital, HospitalStatus},
    limits::{DAY_BLOCKS, MAX_CONSENT_BLOCKS},
};
use serde::Serialize;

use super::{
    chain_file,
    folder::{Folder, signed_by},
};
use crate::{
    confirmation::confirm,
    context::{Context, Output},
    failure::Failure,
    identity::{self, KeySource},
    progress,
    wording::word,
};

/// How often the chain is asked whether a step is done.
const PAUSE: Duration = Duration::from_secs(3);
/// A block's time may be this much later than this machine's clock, in milliseconds.
const AHEAD: Moment = 5_000;
/// The newest final block may be this old, in milliseconds.
const OLD: Moment = 120_000;

#[derive(Debug, Args)]
pub struct JoinArgs {
    /// Folder of the hospital, which `epione hospital init` made
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Chain specification from the founders or from a member, for the first run; give its hash with --genesis
    #[arg(long, value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// Key file of the hospital's governance [default: governance.json in DIR]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Folder of epione-node [default: the folder of this program, then PATH]
    #[arg(long, value_name = "DIR", env = "EPIONE_BIN_DIR")]
    pub bin_dir: Option<PathBuf>,
    /// Report how far the hospital is, and end, instead of waiting until it makes blocks
    #[arg(long)]
    pub once: bool,
    /// Sign without asking
    #[arg(long)]
    pub yes: bool,
}

/// How far a hospital is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The folder has the chain; the node can start.
    Installed,
    /// No block after the first one is final yet, as the hospital's node says.
    Starting,
    /// The node does not have all blocks yet.
    Syncing,
    /// The council must admit it.
    Applying,
    /// Admitted, with session keys; its worker has not reported yet that it is ready.
    Unready,
    /// Ready; from the next session on it is among the next validators.
    Ready,
    /// It makes blocks from the next session on.
    Queued,
    /// It makes blocks.
    Seated,
}

impl Stage {
    /// The stage of an admitted hospital with session keys.
    fn of(seat: &Seat) -> Self {
        match seat {
            Seat { unready: true, .. } => Self::Unready,
            Seat { seated: true, .. } => Self::Seated,
            Seat { queued: Some(_), .. } => Self::Queued,
            _ => Self::Ready,
        }
    }

    fn waits_for(self) -> &'static str {
        match self {
            Self::Installed => "start the node and the worker",
            Self::Starting => {
                "no block is final yet: the node looks for the others, and at a founding, the nodes of more than two \
                 thirds of the founders must run"
            }
            Self::Syncing => "the node is fetching blocks; this takes minutes to hours",
            Self::Applying => {
                "hand application.json to a member: its governance proposes the admission (epione council propose \
                 admit --application FILE), and more than half of the hospitals vote for it"
            }
            Self::Unready => {
                "the worker fetches every committed segment, and then reports that it is ready; its log and /readyz \
                 say how far it is"
            }
            Self::Ready => {
                "the next session begins within ten minutes; the hospital is then queued"
            }
            Self::Queued => {
                "the next session begins within ten minutes; the hospital makes blocks from then on"
            }
            Self::Seated => "the hospital makes blocks",
        }
    }
}

/// How far a hospital is, and what this run did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    pub stage: Stage,
    pub genesis: Hash,
    /// The hospital's number; before it is admitted, the number to which its accounts consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hospital: Option<HospitalId>,
    /// The file for the council, while the hospital applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<PathBuf>,
    /// The last chain block in which the consents are valid, while the hospital applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<BlockNumber>,
    /// What this run changed.
    pub done: Vec<String>,
    /// What the chain has that differs from the hospital's application.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<&'static str>,
    /// The command that continues; absent when nothing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Joined {
    fn new(stage: Stage, genesis: Hash, folder: &Folder, signer: Option<&KeySource>) -> Self {
        let again = signed_by(folder.command("join"), signer);
        let next = (stage != Stage::Seated).then(|| again.to_string());
        let (done, differs) = (Vec::new(), Vec::new());
        let (hospital, application, until) = (None, None, None);
        Self { stage, genesis, hospital, application, until, done, differs, next }
    }
}

impl Output for Joined {}

impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.done.iter().try_for_each(|done| writeln!(f, "{done}"))?;
        match self.hospital {
            Some(hospital) if self.stage == Stage::Applying => {
                writeln!(f, "the hospital applies for number {hospital}")?;
            }
            Some(hospital) => writeln!(f, "hospital {hospital}: {}", word(&self.stage))?,
            None => writeln!(f, "{}", word(&self.stage))?,
        }
        if let Some(file) = &self.application {
            writeln!(f, "application for the council: {}", file.display())?;
        }
        if let Some(until) = self.until {
            writeln!(
                f,
                "the consents of its accounts are valid until block {until}, unless the council admits another \
                 hospital first"
            )?;
        }
        for what in &self.differs {
            writeln!(
                f,
                "the chain has another {what} than the application: if you did not change it, find out who did"
            )?;
        }
        write!(f, "{}", self.stage.waits_for())?;
        match (&self.next, self.stage) {
            (Some(next), Stage::Installed) => write!(
                f,
                "\nnext, as root: systemctl enable --now epione-node epione-worker\nwhen the node runs:\n  {next}"
            ),
            (Some(next), _) => write!(f, "\nto continue:\n  {next}"),
            (None, _) => Ok(()),
        }
    }
}

/// Goes on with joining, as far as it can.
pub async fn join(args: &JoinArgs, context: Context) -> Result<Joined, Failure> {
    let folder = Folder::open(&args.dir)?;
    let expected = context.common().genesis;
    let (chain, bin_dir) = (args.chain.as_deref(), args.bin_dir.as_deref());
    let installed = chain_file::install(&folder, chain, expected, bin_dir).await?;
    let genesis = installed.genesis;
    if installed.now {
        let mut joined = Joined::new(Stage::Installed, genesis, &folder, args.signer.as_ref());
        joined.done.push(format!("{} is the chain of this hospital", folder.chain().display()));
        return Ok(joined);
    }
    if installed.again {
        progress::warn(
            &context,
            &format!(
                "{} was missing, and has the founders' nodes again: add those of hospitals that joined later \
                 (epione hospital peers add --help), and restart the node",
                folder.peers().display()
            ),
        );
    }
    let context = folder.aim(context)?;
    let run = Run { args, folder, context, genesis };
    run.advance().await
}

/// A run after the chain is installed.
struct Run<'a> {
    args: &'a JoinArgs,
    folder: Folder,
    context: Context,
    genesis: Hash,
}

impl Run<'_> {
    async fn advance(&self) -> Result<Joined, Failure> {
        let chain = self.context.chain().await?;
        if chain.health().await?.is_syncing {
            return Ok(self.joined(Stage::Syncing));
        }
        let Some(snapshot) = self.first_final(chain).await? else {
            return Ok(self.joined(Stage::Starting));
        };
        check_clock(snapshot.time().await?, now()?)?;
        let application = self.folder.application()?;
        let governance = self.governance_account(&application)?;
        match snapshot.hospital_of(&governance).await? {
            None => self.apply(&application, &snapshot).await,
            Some((hospital, Duty::Governance)) => {
                self.seat(hospital, &application, &snapshot).await
            }
            Some((hospital, Duty::Agent)) => Err(Failure::usage(
                format!("this is the agent's account of hospital {hospital}, not its governance"),
                "give the key file of the governance with --as FILE",
            )),
        }
    }

    fn joined(&self, stage: Stage) -> Joined {
        Joined::new(stage, self.genesis, &self.folder, self.args.signer.as_ref())
    }

    /// The state after the newest final block. Waits for the first one after the genesis block, which has no time and
    /// proves nothing; with --once, there is none.
    async fn first_final(&self, chain: &Chain) -> Result<Option<Snapshot>, Failure> {
        let waiting = progress::waiting(&self.context, "reading the newest final block");
        loop {
            match chain.finalized_head().await {
                Ok(head) if head.number > 0 => return Ok(Some(chain.at(head.hash))),
                Err(error) if !error.is_nothing_final() => return Err(error.into()),
                _ if self.args.once => return Ok(None),
                _ => waiting.becomes(Stage::Starting.waits_for()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The account that governs the hospital. Its key file may be elsewhere as long as nothing is signed.
    fn governance_account(&self, application: &Application) -> Result<AccountId, Failure> {
        match self.folder.governance(self.args.signer.as_ref()) {
            Some(source) => Ok(source.public()?.account),
            None => Ok(application.statement().governance.clone()),
        }
    }

    fn governance_key(&self) -> Result<Account, Failure> {
        let source = self.folder.signer(self.args.signer.as_ref())?;
        Ok(identity::account(&self.context.keys(&source)?))
    }

    /// Renews the application, unless the present one is valid for long enough.
    async fn apply(&self, application: &Application, at: &Snapshot) -> Result<Joined, Failure> {
        let next = u16::try_from(at.hospitals().await?.len()).map_err(|_| {
            Failure::new("the chain has no number for another hospital", "ask the council")
        })?;
        let (hospital, head) = (HospitalId(next), self.head().await?);
        let mut joined = self.joined(Stage::Applying);
        joined.hospital = Some(hospital);
        joined.application = Some(self.folder.application_file());
        let statement = application.statement();
        let valid = statement.consents.as_ref().filter(|consents| {
            consents.genesis == self.genesis
                && consents.hospital == hospital
                && consents.until > head.saturating_add(DAY_BLOCKS)
        });
        joined.until = Some(match valid {
            Some(consents) => consents.until,
            None => {
                let until = head.saturating_add(MAX_CONSENT_BLOCKS);
                self.renew(application, hospital, until).await?;
                let file = self.folder.application_file();
                joined.done.push(format!("{} has the consents of both accounts", file.display()));
                until
            }
        });
        Ok(joined)
    }

    async fn head(&self) -> Result<BlockNumber, Failure> {
        Ok(self.context.chain().await?.finalized_head().await?.number)
    }

    async fn renew(
        &self,
        application: &Application,
        hospital: HospitalId,
        until: BlockNumber,
    ) -> Result<(), Failure> {
        let mut statement = application.statement().clone();
        let asked = format!(
            "{} consents to become hospital {hospital} of the chain {:?}, until block {until}: with its governance \
             account {} and its agent {}",
            statement.name, self.genesis, statement.governance, statement.agent
        );
        confirm(&self.context, &asked, self.args.yes).await?;
        let governance = self.governance_key()?;
        let keys = self.folder.open_worker_keys()?;
        let (agent, node) = (identity::account(&keys), self.folder.open_node_key()?);
        let tls = tls::key(&keys.account, 0);
        statement.consents =
            Some(Consents::sign(self.genesis, hospital, until, &governance, &agent));
        let signers = Signers { governance: &governance, agent: &agent, tls: &tls, node: &node };
        let renewed = Application::sign(statement, &signers).map_err(|error| {
            Failure::new(
                format!("the keys in the folder are not those of its application: {error}"),
                "give the governance's key file with --as FILE, or begin with a new folder",
            )
        })?;
        let file = self.folder.application_file();
        private::replace(&file, renewed.to_json().as_bytes())
            .map_err(|error| Failure::file(&file, &error))
    }

    /// Sets the session keys if the chain has none, and waits for the seat.
    async fn seat(
        &self,
        hospital: HospitalId,
        application: &Application,
        at: &Snapshot,
    ) -> Result<Joined, Failure> {
        let entry = at.hospital(hospital).await?.ok_or_else(|| {
            Failure::new(format!("the chain has no hospital {hospital}"), "use another node")
        })?;
        if let Some(way_back) = way_back(hospital, entry.status) {
            return Err(Failure::new(
                format!("hospital {hospital} is {}, so it cannot validate", word(&entry.status)),
                way_back,
            ));
        }
        let seat = at.seat(hospital).await?;
        let mut done = Vec::new();
        match &seat.keys {
            None => done.push(self.set_keys(hospital, application).await?),
            Some(keys) if self.folder.has_session_keys(keys) => {}
            Some(_) => {
                return Err(Failure::new(
                    format!(
                        "the chain has session keys of hospital {hospital} that are not in {}: this node cannot make \
                         blocks with them",
                        self.folder.keystore().display()
                    ),
                    "if another node of the hospital has them, stop: two nodes with one set of keys are an offence. \
                     Otherwise set new ones",
                )
                .with_command(self.folder.rotation("session", self.args.signer.as_ref())));
            }
        }
        let stage = self.follow(hospital).await?;
        let mut joined = self.joined(stage);
        joined.hospital = Some(hospital);
        joined.done = done;
        joined.differs = differences(application, &entry);
        Ok(joined)
    }

    async fn set_keys(
        &self,
        hospital: HospitalId,
        application: &Application,
    ) -> Result<String, Failure> {
        let statement = application.statement();
        let keys = &statement.session;
        if !self.folder.has_session_keys(keys) {
            return Err(Failure::new(
                format!(
                    "the session keys of the application are not in {}: the hospital would have a seat and make no \
                     blocks",
                    self.folder.keystore().display()
                ),
                "copy their files there from a backup, or make new session keys",
            )
            .with_command(self.folder.rotation("session", self.args.signer.as_ref())));
        }
        let asked = format!(
            "hospital {hospital} makes blocks with the session keys aura {:?} and grandpa {:?}, as soon as its worker \
             is ready",
            keys.aura, keys.grandpa
        );
        confirm(&self.context, &asked, self.args.yes).await?;
        let governance = self.governance_key()?;
        if governance.id() != statement.governance {
            return Err(Failure::new(
                "the proof of the session keys is for an earlier governance account",
                "make new session keys with the present one",
            )
            .with_command(self.folder.rotation("session", self.args.signer.as_ref())));
        }
        let call = session::set_keys(keys, &statement.session_proof);
        let block = self.context.chain().await?.submit(&call, &governance).await?.block.number;
        Ok(format!("from block {block} on, the chain has the session keys of hospital {hospital}"))
    }

    /// Waits until the hospital makes blocks; with --once, only looks.
    async fn follow(&self, hospital: HospitalId) -> Result<Stage, Failure> {
        let chain = self.context.chain().await?;
        let waiting = progress::waiting(&self.context, "reading the hospital's seat");
        loop {
            let stage = Stage::of(&chain.finalized().await?.seat(hospital).await?);
            if stage == Stage::Seated || self.args.once {
                return Ok(stage);
            }
            waiting.becomes(stage.waits_for());
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// How a hospital becomes active again; none if it is.
fn way_back(hospital: HospitalId, status: HospitalStatus) -> Option<String> {
    Some(match status {
        HospitalStatus::Active => return None,
        HospitalStatus::Suspended => format!(
            "a member of the council can propose to reinstate it: epione council propose reinstate {hospital}"
        ),
        HospitalStatus::Leaving => format!(
            "if it is to stay, the council suspends it and then reinstates it: epione council propose suspend \
             {hospital}"
        ),
        HospitalStatus::Removed => {
            "a removed hospital never becomes active again; make a new one: epione hospital init --help".into()
        }
    })
}

/// What the chain has that the application does not say, whether the hospital changed it or somebody else.
fn differences(application: &Application, entry: &Hospital) -> Vec<&'static str> {
    let said = application.statement();
    let all = [
        ("agent account", said.agent == entry.agent),
        ("worker's address", said.worker_url.as_bytes() == entry.worker_url.as_slice()),
        ("sealing key", said.sealing_key.as_slice() == entry.sealing_key.as_slice()),
        ("TLS key", said.tls_key.0 == entry.tls_key),
    ];
    all.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
}

fn now() -> Result<Moment, Failure> {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = elapsed.map(|elapsed| elapsed.as_millis());
    millis.ok().and_then(|millis| Moment::try_from(millis).ok()).ok_or_else(|| {
        Failure::new(
            "this machine's clock is not set",
            "synchronize it, for example with systemd-timesyncd or chrony",
        )
    })
}

/// Compares this machine's clock with the time of the newest final block. A validator with a wrong clock makes blocks
/// that the others refuse.
fn check_clock(block: Moment, now: Moment) -> Result<(), Failure> {
    if block > now.saturating_add(AHEAD) {
        let seconds = (block - now) / 1_000;
        return Err(Failure::new(
            format!("this machine's clock is {seconds} s behind the time of the chain"),
            "synchronize it, for example with systemd-timesyncd or chrony; then run the command again",
        ));
    }
    let age = now.saturating_sub(block);
    if age > OLD {
        return Err(Failure::new(
            format!("the newest final block is {} s old by this machine's clock", age / 1_000),
            "check the clock, and whether the other hospitals' blocks become final; then run the command again",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use epione_client::application::SessionKeys;

    use super::*;

    #[test]
    fn the_stage_follows_from_the_seat() {
        let keys = SessionKeys { aura: Hash::repeat_byte(1), grandpa: Hash::repeat_byte(2) };
        let admitted = Seat { keys: Some(keys), unready: true, queued: None, seated: false };
        let ready = Seat { unready: false, ..admitted };
        let queued = Seat { queued: Some(keys), ..ready };
        let seated = Seat { seated: true, ..queued };
        let stages = [admitted, ready, queued, seated].map(|seat| Stage::of(&seat));
        assert_eq!(stages, [Stage::Unready, Stage::Ready, Stage::Queued, Stage::Seated]);
        // It was silent: it loses its seat unless its worker reports.
        assert_eq!(Stage::of(&Seat { unready: true, ..seated }), Stage::Unready);
    }

    #[test]
    fn only_a_removed_hospital_has_no_way_back() {
        let back = |status| way_back(HospitalId(4), status);
        assert_eq!(back(HospitalStatus::Active), None);
        assert!(back(HospitalStatus::Suspended).unwrap().ends_with("council propose reinstate 4"));
        assert!(back(HospitalStatus::Leaving).unwrap().ends_with("council propose suspend 4"));
        assert!(!back(HospitalStatus::Removed).unwrap().contains("council"));
    }

    #[test]
    fn a_clock_that_is_off_by_two_minutes_is_noticed() {
        let block = 1_000_000_000;
        for now in [block - AHEAD, block, block + OLD] {
            check_clock(block, now).unwrap();
        }
        let behind = check_clock(block, block - 120_000).unwrap_err();
        assert!(behind.error.contains("120 s behind"), "{behind}");
        let ahead = check_clock(block, block + 121_000).unwrap_err();
        assert!(ahead.error.contains("121 s old"), "{ahead}");
    }
}
