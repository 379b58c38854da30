//! Keystore files: one actor's private keys, encrypted under a password by scrypt and AES-256-GCM.
//!
//! A file is JSON. The public keys are readable without the password, and authenticated with it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use codec::{Decode, Encode};
use epione_primitives::{AccountId, Signature};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    account::{AccountKey, Scheme, Signer},
    random,
    sealing_keys::{SealingKeyPair, SealingPublicKey, SealingSuite},
};

/// Maximum bytes of a keystore file.
const MAX_FILE_BYTES: u64 = 16 * 1024;
/// Maximum bytes of memory for opening a file.
const MAX_SCRYPT_BYTES: u64 = 1 << 30;
const FORMAT: &str = "epione-keystore";
const SUITE: u8 = 1;

/// One actor's keys. The account key signs; content is sealed to the sealing key.
#[derive(Clone)]
pub struct ActorKeys {
    pub account: AccountKey,
    pub sealing: SealingKeyPair,
}

impl ActorKeys {
    pub fn generate(scheme: Scheme, suite: SealingSuite) -> Self {
        Self { account: AccountKey::generate(scheme), sealing: SealingKeyPair::generate(suite) }
    }

    /// The same account with a new sealing key. Keep the old keys too: nothing else opens what was sealed
    /// to them.
    pub fn with_new_sealing_key(&self, suite: SealingSuite) -> ActorKeys {
        Self { account: self.account.clone(), sealing: SealingKeyPair::generate(suite) }
    }

    pub fn public(&self) -> PublicKeys {
        PublicKeys {
            scheme: self.account.scheme(),
            account: self.account.account(),
            sealing: self.sealing.public().clone(),
        }
    }
}

impl Signer for ActorKeys {
    fn account(&self) -> AccountId {
        self.account.account()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        self.account.sign(message)
    }
}

/// The public half of an actor's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys {
    pub scheme: Scheme,
    pub account: AccountId,
    pub sealing: SealingPublicKey,
}

/// What each guess of a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// 128 MiB of memory and under a second for each guess: for passwords that people choose.
    Interactive,
    /// 4 MiB of memory and some milliseconds for each guess: for tests, and for random passwords.
    Fast,
}

/// A keystore file cannot be used.
#[derive(Debug, Error)]
pub enum KeystoreError {
    #[error("{}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{} exists already and is not overwritten; choose another name", .path.display())]
    Exists { path: PathBuf },
    #[error("{} is not a keystore file that this version can read: {reason}", .path.display())]
    Format { path: PathBuf, reason: String },
    #[error("{} cannot be opened: the password is wrong or the file is damaged", .path.display())]
    Refused { path: PathBuf },
    /// Who can read the file can guess its password; who can change it can replace the keys.
    #[error(
        "{} can be read or changed by other accounts of this machine: run chmod 600 on it", .path.display()
    )]
    Exposed { path: PathBuf },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scrypt {
    log_n: u8,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeystoreFile {
    format: String,
    suite: u8,
    scheme: Scheme,
    account: AccountId,
    /// Suite byte and key, in hexadecimal digits.
    sealing_key: String,
    scrypt: Scrypt,
    salt: String,
    nonce: String,
    sealed: String,
}

/// The private half, which is encrypted.
#[derive(Encode, Decode)]
struct Seeds {
    account: [u8; 32],
    sealing: [u8; 32],
}

impl Drop for Seeds {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.account);
        zeroize::Zeroize::zeroize(&mut self.sealing);
    }
}

/// Writes a new file that only its owner may read. The file is written completely or not at all.
pub fn save(
    keys: &ActorKeys,
    path: &Path,
    password: &str,
    cost: Cost,
) -> Result<(), KeystoreError> {
    let json = to_json(keys, password, cost)
        .map_err(|reason| KeystoreError::Format { path: path.into(), reason })?;
    write_new(path, &json).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeystoreError::Exists { path: path.into() },
        _ => KeystoreError::Io { path: path.into(), error },
    })
}

/// Opens a file that only its owner may read.
pub fn load(path: &Path, password: &str) -> Result<ActorKeys, KeystoreError> {
    Locked::read(path)?.open(password)
}

/// Opens a file that other accounts of this machine may read, too. Only if the caller knows which these are.
pub fn load_shared(path: &Path, password: &str) -> Result<ActorKeys, KeystoreError> {
    Locked::read_shared(path)?.open(password)
}

/// The content of a file, before its password is known. The file is read once, so that it may be a pipe.
pub struct Locked {
    path: PathBuf,
    file: KeystoreFile,
    public: PublicKeys,
}

impl Locked {
    /// Reads a file that only its owner may read, or a pipe.
    pub fn read(path: &Path) -> Result<Self, KeystoreError> {
        let opened = open_file(path)?;
        match is_exposed(&opened) {
            Ok(false) => Self::of(path, opened),
            Ok(true) => Err(KeystoreError::Exposed { path: path.into() }),
            Err(error) => Err(KeystoreError::Io { path: path.into(), error }),
        }
    }

    /// Reads a file, whoever may read it.
    pub fn read_shared(path: &Path) -> Result<Self, KeystoreError> {
        Self::of(path, open_file(path)?)
    }

    fn of(path: &Path, opened: File) -> Result<Self, KeystoreError> {
        let (file, public) = read(path, opened)?;
        Ok(Self { path: path.into(), file, public })
    }

    pub fn open(self, password: &str) -> Result<ActorKeys, KeystoreError> {
        let Self { path, file, public } = self;
        open(&file, &public, password).ok_or(KeystoreError::Refused { path })
    }
}

/// Reads the public keys of a file, whoever may read it. Only [`load`] authenticates them.
pub fn read_public(path: &Path) -> Result<PublicKeys, KeystoreError> {
    Ok(read(path, open_file(path)?)?.1)
}

impl Cost {
    fn parameters(self) -> Scrypt {
        let log_n = match self {
            Self::Interactive => 17,
            Self::Fast => 12,
        };
        Scrypt { log_n, r: 8, p: 1 }
    }
}

impl Scrypt {
    /// Rejects parameters outside the bounds of a keystore, before they cost memory or time.
    fn parameters(self) -> Result<scrypt::Params, String> {
        let Self { log_n, r, p } = self;
        let accepted = (10..=20).contains(&log_n)
            && (1..=16).contains(&r)
            && (1..=4).contains(&p)
            && (128 * u64::from(r)) << log_n <= MAX_SCRYPT_BYTES;
        if !accepted {
            return Err("its scrypt parameters are out of bounds".into());
        }
        scrypt::Params::new(log_n, r, p).map_err(|error| error.to_string())
    }

    fn cipher(self, password: &str, salt: &[u8; 32]) -> Result<Aes256Gcm, String> {
        let mut key = Zeroizing::new([0; 32]);
        scrypt::scrypt(password.as_bytes(), salt, &self.parameters()?, key.as_mut_slice())
            .map_err(|error| error.to_string())?;
        Ok(Aes256Gcm::new((&*key).into()))
    }

    fn bound(self, public: &PublicKeys, salt: &[u8; 32]) -> Vec<u8> {
        let Self { log_n, r, p } = self;
        let PublicKeys { scheme, account, sealing } = public;
        (b"epione/keystore", SUITE, scheme, account, sealing, (log_n, r, p), salt).encode()
    }
}

fn to_json(keys: &ActorKeys, password: &str, cost: Cost) -> Result<Vec<u8>, String> {
    let public = keys.public();
    let scrypt = cost.parameters();
    let (salt, nonce): ([u8; 32], [u8; 12]) = (random::bytes(), random::bytes());
    let seeds = Seeds { account: *keys.account.seed(), sealing: *keys.sealing.seed() };
    let msg = Zeroizing::new(seeds.encode());
    let aad = scrypt.bound(&public, &salt);
    let sealed = scrypt
        .cipher(password, &salt)?
        .encrypt(&nonce.into(), Payload { msg: &msg, aad: &aad })
        .map_err(|_| "the keys cannot be encrypted".to_owned())?;
    let file = KeystoreFile {
        format: FORMAT.into(),
        suite: SUITE,
        scheme: public.scheme,
        account: public.account,
        sealing_key: hex::encode(public.sealing.as_bytes()),
        scrypt,
        salt: hex::encode(salt),
        nonce: hex::encode(nonce),
        sealed: hex::encode(sealed),
    };
    let mut json = serde_json::to_vec_pretty(&file).map_err(|error| error.to_string())?;
    json.push(b'\n');
    Ok(json)
}

fn open_file(path: &Path) -> Result<File, KeystoreError> {
    File::open(path).map_err(|error| KeystoreError::Io { path: path.into(), error })
}

/// Whether accounts other than its owner may read or change an open file. A pipe keeps nothing, so its mode does not
/// count.
#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o066 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

fn read(path: &Path, opened: File) -> Result<(KeystoreFile, PublicKeys), KeystoreError> {
    let mut bytes = Vec::new();
    opened
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| KeystoreError::Io { path: path.into(), error })?;
    parse(&bytes).map_err(|reason| KeystoreError::Format { path: path.into(), reason })
}

fn parse(bytes: &[u8]) -> Result<(KeystoreFile, PublicKeys), String> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is longer than {MAX_FILE_BYTES} bytes"));
    }
    let file: KeystoreFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if file.format != FORMAT {
        return Err("it has another format".into());
    }
    if file.suite != SUITE {
        return Err(format!(
            "it uses suite {}, which this version does not support; update the software",
            file.suite
        ));
    }
    file.scrypt.parameters()?;
    let key = hex::decode(&file.sealing_key).map_err(|_| "its sealing key is not hexadecimal")?;
    let sealing = SealingPublicKey::from_bytes(&key).map_err(|error| error.to_string())?;
    let public = PublicKeys { scheme: file.scheme, account: file.account.clone(), sealing };
    Ok((file, public))
}

fn open(file: &KeystoreFile, public: &PublicKeys, password: &str) -> Option<ActorKeys> {
    let (mut salt, mut nonce) = ([0; 32], [0; 12]);
    hex::decode_to_slice(&file.salt, &mut salt).ok()?;
    hex::decode_to_slice(&file.nonce, &mut nonce).ok()?;
    let sealed = hex::decode(&file.sealed).ok()?;
    let aad = file.scrypt.bound(public, &salt);
    let opened = file
        .scrypt
        .cipher(password, &salt)
        .ok()?
        .decrypt(&nonce.into(), Payload { msg: &sealed, aad: &aad })
        .map(Zeroizing::new)
        .ok()?;
    let mut rest = opened.as_slice();
    let seeds = Seeds::decode(&mut rest).ok()?;
    let keys = ActorKeys {
        account: AccountKey::from_seed(public.scheme, &seeds.account),
        sealing: SealingKeyPair::from_seed(public.sealing.suite(), &seeds.sealing),
    };
    (rest.is_empty() && keys.public() == *public).then_some(keys)
}

/// Writes to a temporary file in the same folder, then links it to the path, which fails if the path exists.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", hex::encode(random::bytes::<4>())));
    let staged = path.with_file_name(name);
    let written = write_private(&staged, bytes).and_then(|()| fs::hard_link(&staged, path));
    let removed = fs::remove_file(&staged);
    written.and(removed)?;
    sync_folder(path)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the new name durable across a power failure.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if cfg!(unix) { File::open(folder.unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}
