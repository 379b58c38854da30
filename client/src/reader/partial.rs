//! A partial file: in the folder of the final one, readable by its owner only, until every byte of it is verified.

use std::{
    ffi::OsStr,
    fs::{self, TryLockError},
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
    time::Instant,
};

use super::ReadError;
use crate::private;

/// Bytes of the final name with which a partial file's name begins. File systems accept names of 255 bytes.
const MAX_STEM_BYTES: usize = 200;

/// How long a partial file may stay locked before it counts as in use. The last write of a canceled read goes on in the
/// background, and keeps its lock until it ends.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Removed when it is dropped, unless a later run can resume from it: also if the read is canceled.
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    to: PathBuf,
    /// Number of bytes at its beginning that are right.
    good: u64,
    /// Whether a later run resumes from it.
    resumes: bool,
}

impl Partial {
    /// The partial file of a sealed object for this name, from an earlier run or new. It is locked: one process at a
    /// time uses it.
    pub(super) async fn resume(to: &Path, object_id: &[u8; 16]) -> Result<Self, ReadError> {
        let path = beside(to, &object_id[..8]);
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(private::FILE)
            .open(&path)
            .map_err(|source| ReadError::File { path: path.clone(), source })?;
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(TryLockError::WouldBlock) => return Err(ReadError::Busy(path)),
                Err(TryLockError::Error(source)) => return Err(ReadError::File { path, source }),
            }
        }
        match is_private(&file, &path) {
            Ok(true) => Ok(Self { file: file.into(), path, to: to.into(), good: 0, resumes: true }),
            Ok(false) => {
                let source = io::Error::new(
                    ErrorKind::PermissionDenied,
                    "it is a link, or other users may read or write it: remove it",
                );
                Err(ReadError::File { path, source })
            }
            Err(source) => Err(ReadError::File { path, source }),
        }
    }

    /// A new partial file, with a name that cannot be guessed.
    pub(super) fn fresh(to: &Path) -> Result<Self, ReadError> {
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).expect("the operating system has randomness");
        let path = beside(to, &suffix);
        let file =
            fs::OpenOptions::new().write(true).create_new(true).mode(private::FILE).open(&path);
        let file = file.map_err(|source| ReadError::File { path: path.clone(), source })?;
        Ok(Self { file: file.into(), path, to: to.into(), good: 0, resumes: false })
    }

    /// Removes the partial file of an earlier run, when the final file exists.
    pub(super) fn forget(to: &Path, object_id: &[u8; 16]) {
        // Usually there is none.
        let _ = fs::remove_file(beside(to, &object_id[..8]));
    }

    pub(super) async fn length(&self) -> Result<u64, ReadError> {
        Ok(self.file.metadata().await.map_err(|source| self.failed(source))?.len())
    }

    /// Reads the bytes after those that are known to be right.
    pub(super) async fn read(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; length];
        match self.file.read_exact(&mut bytes).await {
            Ok(_) => Ok(bytes),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Marks this many more bytes as right.
    pub(super) fn confirm(&mut self, bytes: usize) {
        self.good += bytes as u64;
    }

    /// Cuts off what is not known to be right, and continues there.
    pub(super) async fn cut(&mut self) -> Result<(), ReadError> {
        let cut = async {
            self.file.set_len(self.good).await?;
            self.file.seek(io::SeekFrom::Start(self.good)).await
        };
        match cut.await {
            Ok(_) => Ok(()),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Appends bytes that are right.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        match self.file.write_all(bytes).await {
            Ok(()) => {
                self.confirm(bytes.len());
                Ok(())
            }
            Err(source) => Err(self.failed(source)),
        }
    }

    /// For bytes from which no later run resumes.
    pub(super) fn sink(&mut self) -> &mut File {
        &mut self.file
    }

    /// Keeps the file for a later run, unless it is empty.
    pub(super) async fn keep(mut self) {
        // The last bytes may not be written yet. If that fails, the later run detects it.
        let _ = self.file.flush().await;
    }

    /// Removes the file: no later run can use it.
    pub(super) fn discard(mut self) {
        self.resumes = false;
    }

    /// Gives the file its final name. It is an error if a file of that name exists.
    pub(super) async fn publish(mut self) -> Result<(), ReadError> {
        let published = async {
            // A sync does not report a failed write; a flush does.
            self.file.flush().await?;
            self.file.sync_all().await?;
            // A link, unlike a rename, does not replace a file that was created meanwhile.
            match tokio::fs::hard_link(&self.path, &self.to).await {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    tokio::fs::rename(&self.path, &self.to).await
                }
                linked => linked,
            }
        };
        match published.await {
            Ok(()) => {
                self.resumes = false;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.resumes = false;
                Err(ReadError::Exists(self.to.clone()))
            }
            Err(source) => Err(ReadError::File { path: self.to.clone(), source }),
        }
    }

    fn failed(&self, source: io::Error) -> ReadError {
        ReadError::File { path: self.path.clone(), source }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let is_kept =
            self.resumes && fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > 0);
        if !is_kept {
            // Fails if it was renamed. The file is still locked.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The name of a partial file, short enough for file systems whatever the length of the final name.
fn beside(to: &Path, suffix: &[u8]) -> PathBuf {
    let name = to.file_name().unwrap_or_default().as_bytes();
    let mut name = OsStr::from_bytes(&name[..name.len().min(MAX_STEM_BYTES)]).to_owned();
    name.push(format!(".{}.partial", hex::encode(suffix)));
    to.with_file_name(name)
}

/// Whether a path is a regular file with the name of a partial file.
pub fn is_partial(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let stem = name.strip_suffix(b".partial");
    let suffix = stem.and_then(|stem| stem.rsplit(|byte| *byte == b'.').next());
    suffix.is_some_and(|hex| hex.len() == 16 && hex.iter().all(u8::is_ascii_hexdigit))
        && fs::symlink_metadata(path).is_ok_and(|named| named.is_file())
}

/// Whether an open file is the one of this name, has no other name, and is accessible to its owner only.
fn is_private(file: &fs::File, path: &Path) -> io::Result<bool> {
    let (open, named) = (file.metadata()?, fs::symlink_metadata(path)?);
    Ok(named.is_file()
        && (named.dev(), named.ino()) == (open.dev(), open.ino())
        && open.nlink() == 1
        && open.mode() & 0o077 == 0)
}
