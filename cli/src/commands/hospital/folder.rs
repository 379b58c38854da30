//! The folder of one hospital, which `epione hospital init` makes and the other commands use.
//!
//! | file | |
//! | --- | --- |
//! | `application.json` | what the hospital hands to the others; not secret |
//! | `governance.json` | the governance's key file; needed for decisions only, and better kept elsewhere |
//! | `agent.json`, `agent.password` | the worker's key file and its password |
//! | `node.key`, `keystore/` | the key by which other nodes know the node, and the session keys |
//! | `node.env`, `peers.env` | the node's flags, for systemd and for a shell |
//! | `worker.toml` | the worker's configuration |
//! | `chain.json` | the chain specification |
//! | `node/`, `worker/` | the databases, if no other place is chosen |

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf, absolute},
};

use epione_client::{
    application::{Application, SessionKeys, SessionPair},
    private,
};
use epione_envelope::{
    Zeroizing,
    account::{AccountKey, Scheme},
    keystore::ActorKeys,
};
use epione_primitives::Hash;
use rustix::process::geteuid;

use super::{application, worker_settings::WorkerSettings};
use crate::{context::Context, failure::Failure, identity::KeySource, invocation::Invocation};

/// Bytes of a file with a node's key, at most.
const MAX_KEY_BYTES: u64 = 256;

#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at a path, which may not exist yet. The files of settings contain the path, so it must be one that
    /// neither a shell nor systemd reads in another way.
    pub fn at(path: &Path) -> Result<Self, Failure> {
        let path = absolute(path).map_err(|error| Failure::file(path, &error))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.+@".contains(c);
        if path.to_str().is_some_and(|text| text.chars().all(plain)) {
            return Ok(Self(path));
        }
        Err(Failure::usage(
            format!("{} has characters that the node's settings cannot contain", path.display()),
            "choose a path of letters, digits and / - _ . + @, without spaces: --dir DIR",
        ))
    }

    /// A folder that `epione hospital init` made.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let folder = Self::at(path)?;
        folder.must_be_own()?;
        if folder.application_file().is_file() {
            return Ok(folder);
        }
        Err(Failure::usage(
            format!("{} is not the folder of a hospital", folder.0.display()),
            "give the folder that `hospital init` made: --dir DIR",
        )
        .with_command(Invocation::new(["hospital", "init", "--help"])))
    }

    /// Checks that an existing folder belongs to the account that runs this program. Files that root writes here are
    /// root's, so node and worker, which run as the folder's account, could not read them at their next start.
    pub fn must_be_own(&self) -> Result<(), Failure> {
        match fs::metadata(&self.0) {
            Ok(found) => belongs(&self.0, found.uid(), geteuid().as_raw()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::file(&self.0, &error)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn application_file(&self) -> PathBuf {
        self.file("application.json")
    }

    pub fn application(&self) -> Result<Application, Failure> {
        application::read(&self.application_file())
    }

    pub fn chain(&self) -> PathBuf {
        self.file("chain.json")
    }

    pub fn node_key(&self) -> PathBuf {
        self.file("node.key")
    }

    pub fn keystore(&self) -> PathBuf {
        self.file("keystore")
    }

    pub fn node_settings(&self) -> PathBuf {
        self.file("node.env")
    }

    pub fn peers(&self) -> PathBuf {
        self.file("peers.env")
    }

    pub fn worker_config(&self) -> PathBuf {
        self.file("worker.toml")
    }

    /// Key file of the governance: the given one, or the folder's. None if it is kept elsewhere and not given.
    pub fn governance(&self, given: Option<&KeySource>) -> Option<KeySource> {
        let own = self.file("governance.json");
        given.cloned().or_else(|| own.exists().then_some(KeySource::File(own)))
    }

    /// The same, for a command that signs with it.
    pub fn signer(&self, given: Option<&KeySource>) -> Result<KeySource, Failure> {
        self.governance(given).ok_or_else(|| {
            Failure::usage(
                format!("{} does not exist", self.file("governance.json").display()),
                "give the key file of the hospital's governance, wherever it is kept: --as FILE",
            )
        })
    }

    pub fn worker_settings(&self) -> Result<WorkerSettings, Failure> {
        WorkerSettings::read(&self.worker_config())
    }

    /// The private key by which other nodes know the node.
    pub fn open_node_key(&self) -> Result<AccountKey, Failure> {
        let path = self.node_key();
        let unreadable = |error: io::Error| Failure::file(&path, &error);
        if fs::metadata(&path).map_err(unreadable)?.len() > MAX_KEY_BYTES {
            return Err(unreadable(io::Error::other("it is too long for a key")));
        }
        let digits = Zeroizing::new(fs::read_to_string(&path).map_err(unreadable)?);
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits.trim(), seed.as_mut_slice())
            .map_err(|_| unreadable(io::Error::other("it does not have 64 hexadecimal digits")))?;
        Ok(AccountKey::from_seed(Scheme::Ed25519, &seed))
    }

    /// The keys of the worker: agent and sealing key.
    pub fn open_worker_keys(&self) -> Result<ActorKeys, Failure> {
        let keystore = self.worker_settings()?.keystore()?;
        KeySource::File(keystore.path).open(Some(keystore.password_file.as_path()))
    }

    /// Adds session keys to the node's keystore. The node reads the folder whenever it signs: it needs no restart.
    pub fn add_session_keys(&self, pair: &SessionPair) -> Result<(), Failure> {
        let keystore = self.keystore();
        private::folder(&keystore).map_err(|error| Failure::file(&keystore, &error))?;
        for (name, secret) in pair.files() {
            let path = keystore.join(name);
            private::replace(&path, secret.as_bytes())
                .map_err(|error| Failure::file(&path, &error))?;
        }
        Ok(())
    }

    /// Whether the node has the private halves of these session keys.
    pub fn has_session_keys(&self, keys: &SessionKeys) -> bool {
        keys.file_names().iter().all(|name| self.keystore().join(name).is_file())
    }

    /// The hash of the first block of the hospital's chain, once the folder has the chain.
    pub fn genesis(&self) -> Result<Hash, Failure> {
        let genesis = self.worker_settings()?.genesis()?;
        genesis.ok_or_else(|| {
            Failure::new(
                format!("{} has no chain yet", self.0.display()),
                "get chain.json and its hash from the founders or from a member, and join with it",
            )
            .with_command(self.command("join"))
        })
    }

    /// The run's context, for the hospital's own node and chain unless the user named others.
    pub fn aim(&self, context: Context) -> Result<Context, Failure> {
        let node = self.worker_settings()?.node_url()?;
        context.aimed_at(&node, self.genesis()?)
    }

    /// A command for this folder.
    pub fn command(&self, verb: &str) -> Invocation {
        Invocation::new(["hospital", verb, "--dir"]).with([&self.0])
    }

    /// A command that replaces these keys of the folder's hospital, for the same signer.
    pub fn rotation(&self, which: &str, signer: Option<&KeySource>) -> Invocation {
        signed_by(Invocation::new(["hospital", "rotate", which, "--dir"]).with([&self.0]), signer)
    }

    /// The first name of this form that no file has: `agent-2.json` after `agent.json`.
    pub fn unused(&self, stem: &str, extension: &str) -> PathBuf {
        let numbered = (2_u32..).map(|n| self.file(&format!("{stem}-{n}.{extension}")));
        let first = [self.file(&format!("{stem}.{extension}"))];
        let mut names = first.into_iter().chain(numbered).filter(|path| !path.exists());
        names.next().unwrap_or_else(|| self.file(&format!("{stem}-next.{extension}")))
    }
}

/// A command with the key file that the user gave to this one, too.
pub fn signed_by(command: Invocation, signer: Option<&KeySource>) -> Invocation {
    match signer {
        Some(signer) => command.with(["--as"]).with([signer]),
        None => command,
    }
}

fn belongs(folder: &Path, owner: u32, user: u32) -> Result<(), Failure> {
    if owner == user {
        return Ok(());
    }
    Err(Failure::usage(
        format!(
            "{} belongs to the account with the number {owner}, and this program runs as {user}: node and worker could \
             not read the files that it writes there",
            folder.display()
        ),
        format!("run the same command as the account of the folder: sudo -u '#{owner}' epione ..."),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_has_the_same_signer() {
        let folder = Folder::at(Path::new("/srv/h")).unwrap();
        let usb = KeySource::File("/media/usb/governance.json".into());
        let next = folder.rotation("tls", Some(&usb)).to_string();
        let own = "epione hospital rotate tls --dir /srv/h";
        assert_eq!(next, format!("{own} --as /media/usb/governance.json"));
        assert_eq!(folder.rotation("tls", None).to_string(), own);
    }

    #[test]
    fn a_governance_that_is_kept_elsewhere_must_be_given_to_sign() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path()).unwrap();
        assert_eq!(folder.governance(None), None);
        let refused = folder.signer(None).unwrap_err();
        assert!(refused.help.contains("--as FILE"), "{refused}");
        let usb = KeySource::File("/media/usb/governance.json".into());
        assert_eq!(folder.signer(Some(&usb)).unwrap(), usb);
        fs::write(folder.file("governance.json"), "{}").unwrap();
        assert_eq!(folder.signer(None).unwrap(), KeySource::File(folder.file("governance.json")));
    }

    #[test]
    fn only_the_account_of_a_folder_changes_it() {
        let folder = Path::new("/var/lib/epione");
        belongs(folder, 998, 998).unwrap();
        for user in [0, 1000] {
            let refused = belongs(folder, 998, user).unwrap_err();
            assert!(refused.help.contains("sudo -u '#998'"), "{refused}");
        }
    }
}
