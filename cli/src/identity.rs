//! The keys that a command uses.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use epione_client::signer::Account;
use epione_envelope::{
    Zeroizing,
    account::Signer,
    development,
    keystore::{self, ActorKeys, Locked, PublicKeys},
};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::SignalKind;

use crate::{failure::Failure, wording::legible};

/// The source of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A key file.
    File(PathBuf),
    /// A development key, such as `//Alice`, which is public.
    Development(String),
}

impl FromStr for KeySource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix("//") {
            Some(_) => Self::Development(text.into()),
            None => Self::File(text.into()),
        })
    }
}

impl AsRef<OsStr> for KeySource {
    fn as_ref(&self) -> &OsStr {
        match self {
            Self::File(path) => path.as_os_str(),
            Self::Development(uri) => OsStr::new(uri),
        }
    }
}

impl KeySource {
    /// Both private keys. A key file needs its password.
    pub fn open(&self, password_file: Option<&Path>) -> Result<ActorKeys, Failure> {
        match self {
            Self::Development(uri) => development_keys(uri),
            Self::File(path) => {
                // Read first, so that no password is requested for a missing file.
                let locked = Locked::read(path)?;
                let prompt = format!("Password of {}: ", path.display());
                let password = password(password_file, &prompt)?;
                Ok(locked.open(&password)?)
            }
        }
    }

    /// Account and public sealing key; needs no password.
    pub fn public(&self) -> Result<PublicKeys, Failure> {
        match self {
            Self::Development(uri) => {
                let keys = development_keys(uri)?;
                Ok(PublicKeys {
                    scheme: keys.account.scheme(),
                    account: keys.account.account(),
                    sealing: keys.sealing.public().clone(),
                })
            }
            Self::File(path) => Ok(keystore::read_public(path)?),
        }
    }
}

/// The account that signs with these keys.
pub fn account(keys: &ActorKeys) -> Account {
    Account::from(keys)
}

/// The development keys of a URI.
pub fn development_keys(uri: &str) -> Result<ActorKeys, Failure> {
    development::keys(uri).map_err(|error| {
        Failure::usage(
            format!("{uri} is not a development key: {error}"),
            "write it as //Name or //Name//part",
        )
    })
}

/// Longest password file, in bytes.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// The first line of the file, or the user's answer to the prompt.
pub fn password(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = file {
        return password_from(path);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "a password is needed, but there is no terminal for a prompt",
            "write it to a file, and give that with --password-file or EPIONE_PASSWORD_FILE",
        ));
    }
    let password = prompted(prompt).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => {
            Failure::new("interrupted", "try again").ended_by(SignalKind::interrupt())
        }
        _ => Failure::new(error.to_string(), "use --password-file"),
    })?;
    Ok(Zeroizing::new(password))
}

/// The terminal during a prompt, and its settings before: the prompt turns off its echo and its signals.
static PROMPTING: Mutex<Option<(File, Termios)>> = Mutex::new(None);

fn prompted(prompt: &str) -> io::Result<String> {
    let terminal = File::open("/dev/tty").ok();
    let before = terminal.and_then(|terminal| {
        let settings = tcgetattr(&terminal).ok()?;
        Some((terminal, settings))
    });
    *PROMPTING.lock().unwrap_or_else(PoisonError::into_inner) = before;
    let password = rpassword::prompt_password(legible(prompt.as_bytes()));
    *PROMPTING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    password
}

/// Undoes what a prompt changed, because this process ends before the prompt does.
pub fn restore_terminal() {
    let prompting = PROMPTING.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((terminal, settings)) = prompting {
        // If the terminal is closed, there is nothing to restore.
        let _ = tcsetattr(&terminal, OptionalActions::Now, &settings);
    }
}

fn password_from(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let length = fs::metadata(path).map_err(|error| Failure::file(path, &error))?.len();
    if length > MAX_PASSWORD_BYTES {
        return Err(Failure::usage(
            format!("{} is too long for a password file ({length} bytes)", path.display()),
            "the first line of the file is the password",
        ));
    }
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let text = Zeroizing::new(text);
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::usage(
            format!("the first line of {} is empty", path.display()),
            "write the password in that line",
        ));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// A new password, typed twice.
pub fn new_password(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let first = password(file, "New password: ")?;
    if file.is_none() && *first != *password(None, "Repeat the new password: ")? {
        return Err(Failure::new("the two passwords differ", "try again"));
    }
    if first.is_empty() {
        return Err(Failure::usage("the password is empty", "choose a password of several words"));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_slashes_mean_a_development_key() {
        assert_eq!("//Alice".parse(), Ok(KeySource::Development("//Alice".into())));
        assert_eq!("/home/x.json".parse(), Ok(KeySource::File("/home/x.json".into())));
    }

    #[test]
    fn a_key_file_may_be_a_pipe() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let (file, pipe, password) = (path("doctor.json"), path("pipe"), path("password"));
        let keys = development_keys("//Doctor").unwrap();
        keystore::save(&keys, &file, "four words of mine", keystore::Cost::Fast).unwrap();
        fs::write(&password, "four words of mine\n").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let json = fs::read(&file).unwrap();
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, json)
        });
        let opened = KeySource::File(pipe).open(Some(&password)).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(opened.account.account(), keys.account.account());
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused_with_what_to_do() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("doctor.json");
        let keys = development_keys("//Doctor").unwrap();
        keystore::save(&keys, &file, "four words of mine", keystore::Cost::Fast).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        // Refused before a password is requested.
        let refused = KeySource::File(file.clone()).open(None).err().unwrap();
        assert!(refused.error.contains("chmod 600") && refused.help.contains("<("), "{refused}");
        KeySource::File(file).public().unwrap();
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        fs::write(&path, "four words of mine\n\n").unwrap();
        assert_eq!(*password(Some(&path), "").unwrap(), "four words of mine");
        fs::write(&path, "\n").unwrap();
        assert!(password(Some(&path), "").is_err());
    }
}
