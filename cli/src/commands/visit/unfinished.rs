//! Keeps submitted visits until the user was shown that they are committed. A rerun of `visit submit` with the same
//! arguments and content resumes the same visit: nothing is submitted twice, and what the worker already has is not
//! sent again.
//!
//! Each visit has its own file, which only its owner may read. Until the worker acknowledges the visit, the file
//! contains all that its author signed, including texts and salts; from then on the worker has that, and the file
//! contains only the visit's id and a summary. The file is removed when the user was shown that the visit is committed,
//! when the worker rejects the visit, or after a day. For a day, the worker itself recognizes the same command.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use codec::Encode;
use epione_client::{
    api::{MAX_VISIT_JSON_BYTES, VisitRequest},
    private,
    visit::Visit,
};
use epione_envelope::signature::Extraction;
use epione_primitives::{RecordId, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::SectionLine;
use crate::{
    context::Context,
    home::{self, Kind},
};

const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Largest file in bytes: a visit in the form in which it is sent, and one more word.
const MAX_FILE_BYTES: u64 = MAX_VISIT_JSON_BYTES as u64 + 64;

/// The file of a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    path: PathBuf,
}

/// What an earlier run achieved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// It signed this visit. The worker may have it.
    Signed(Box<Visit>),
    /// The worker acknowledged this visit.
    Acknowledged(Acknowledged),
}

/// What is kept of an acknowledged visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acknowledged {
    pub record_id: RecordId,
    pub cosigned: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nurse: Option<UserId>,
    #[serde(default, skip_serializing_if = "Extraction::is_default")]
    pub extraction: Extraction,
    pub sections: Vec<SectionLine>,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kept {
    Signed(VisitRequest),
    Acknowledged(Acknowledged),
}

/// What two runs have in common if they submit the same visit.
#[derive(Encode)]
pub struct Words {
    /// Chain, hospital, signers and patient, and which sections may be disclosed.
    about: Vec<u8>,
    sections: Vec<Vec<u8>>,
}

impl Words {
    pub fn about(whom: &impl Encode) -> Self {
        Self { about: whom.encode(), sections: Vec::new() }
    }

    pub fn text(&mut self, what: &impl Encode, text: &str) {
        self.sections.push((what, text).encode());
    }

    /// Content from a pipe, which has no name by which a rerun could recognize it.
    pub fn content(&mut self, what: &impl Encode, bytes: u64, sha256: &[u8; 32]) {
        self.sections.push((what, bytes, sha256).encode());
    }

    /// A file, by its path, length and time of modification. Does not read it.
    pub fn file(&mut self, what: &impl Encode, path: &Path) -> io::Result<()> {
        let (path, metadata) = (fs::canonicalize(path)?, fs::metadata(path)?);
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        let file = (path.as_os_str().as_encoded_bytes(), metadata.len(), changed);
        self.sections.push((what, file).encode());
        Ok(())
    }
}

impl Words {
    /// The bytes by which the worker recognizes the visit. They are keyed by the author's secret, so that nobody can
    /// test with them which text the visit contains.
    pub fn command(&self, seed: &[u8; 32]) -> [u8; 16] {
        let keyed = Sha256::new_with_prefix("epione: command of visit submit").chain_update(seed);
        let digest: [u8; 32] = keyed.chain_update(self.encode()).finalize().into();
        let mut command = [0; 16];
        command.copy_from_slice(&digest[..16]);
        command
    }
}

impl Unfinished {
    /// The file for the visit of this command; none if this machine has no folder for it.
    pub fn of(context: &Context, words: &Words) -> Option<Self> {
        Some(Self::within(&directory(context)?, words))
    }

    fn within(directory: &Path, words: &Words) -> Self {
        let digest: [u8; 32] = Sha256::digest(words.encode()).into();
        let name = hex::encode(&digest[..16]);
        Self { path: directory.join(name).with_extension("json") }
    }

    /// What an earlier run kept, if it was not too long ago. `files` are those of the visit's media.
    pub fn earlier(&self, files: Vec<PathBuf>) -> Option<Earlier> {
        forget_old_ones(self.path.parent()?);
        match read(&self.path)? {
            Kept::Signed(request) => {
                Visit::signed_earlier(request, files).map(Box::new).map(Earlier::Signed)
            }
            Kept::Acknowledged(acknowledged) => Some(Earlier::Acknowledged(acknowledged)),
        }
    }

    /// Keeps a signed visit. It is on the disk when this returns.
    pub fn keep(&self, visit: &Visit) -> io::Result<()> {
        self.write(&Kept::Signed(visit.request.clone()))
    }

    /// Replaces the signed visit by what is kept after the worker acknowledged it.
    pub fn acknowledged(&self, visit: Acknowledged) -> io::Result<()> {
        self.write(&Kept::Acknowledged(visit))
    }

    fn write(&self, kept: &Kept) -> io::Result<()> {
        private::folder(self.path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        private::replace(&self.path, &serde_json::to_vec(kept)?)
    }

    /// Removes the file.
    pub fn forget(&self) {
        forget(&self.path);
    }
}

/// Removes the file of an acknowledged visit, whose user was shown that it is committed.
pub fn forget_committed(context: &Context, record: RecordId) {
    let files = directory(context).and_then(|folder| fs::read_dir(folder).ok());
    for path in files.into_iter().flatten().flatten().map(|entry| entry.path()) {
        if matches!(read(&path), Some(Kept::Acknowledged(visit)) if visit.record_id == record) {
            forget(&path);
        }
    }
}

/// The folder of the files: the devnet's, or the user's own; none if there is neither.
fn directory(context: &Context) -> Option<PathBuf> {
    match &context.common().devnet {
        Some(devnet) => Some(devnet.join("visits")),
        None => Some(home::folder(Kind::State)?.join("visits")),
    }
}

/// None if the file cannot be read, or is from another version of this program.
fn read(path: &Path) -> Option<Kept> {
    let mut json = Vec::new();
    File::open(path).ok()?.take(MAX_FILE_BYTES).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

fn forget(path: &Path) {
    // If this fails, a later run removes the file. An empty folder is removed, too.
    let _ = fs::remove_file(path);
    if let Some(directory) = path.parent() {
        let _ = fs::remove_dir(directory);
    }
}

fn forget_old_ones(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ours = matches!(path.extension().and_then(OsStr::to_str), Some("json" | "new"));
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| modified.elapsed().ok());
        if is_ours && age.is_some_and(|age| age > KEPT_FOR) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::SystemTime};

    use epione_client::{Account, visit::VisitBuilder};
    use epione_envelope::record::SectionKind;
    use epione_primitives::{Hash, HospitalId, block::SignedAt};

    use super::*;
    use crate::context::Common;

    async fn visit(path: &Path) -> Visit {
        VisitBuilder::new(Hash::zero(), UserId([1; 32]), HospitalId(0), UserId([2; 32]))
            .text(SectionKind::Report, "all well")
            .file(SectionKind::Media, path)
            .build(&Account::development("//Doctor").unwrap(), SignedAt::default())
            .await
            .unwrap()
    }

    fn words(text: &str, path: &Path) -> Words {
        let mut words = Words::about(&(1_u8, 2_u8));
        words.text(&"report", text);
        words.file(&"media", path).unwrap();
        words
    }

    #[tokio::test]
    async fn a_kept_visit_is_found_by_the_same_command_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let scan = folder.path().join("scan.dcm");
        fs::write(&scan, b"content").unwrap();
        let state = folder.path().join("state/visits");
        let at = |words: &Words| Unfinished::within(&state, words);
        let unfinished = at(&words("all well", &scan));
        assert_eq!(unfinished.earlier(vec![scan.clone()]), None);

        let visit = visit(&scan).await;
        unfinished.keep(&visit).unwrap();
        unfinished.keep(&visit).unwrap();
        let signed = Some(Earlier::Signed(Box::new(visit)));
        assert_eq!(at(&words("all well", &scan)).earlier(vec![scan.clone()]), signed);
        assert_eq!(at(&words("not well", &scan)).earlier(vec![scan.clone()]), None);

        unfinished.forget();
        assert_eq!(unfinished.earlier(vec![scan.clone()]), None);
        assert!(!state.exists());
    }

    #[tokio::test]
    async fn no_text_of_an_acknowledged_visit_is_kept_and_nothing_of_a_committed_one() {
        let folder = tempfile::tempdir().unwrap();
        let scan = folder.path().join("scan.dcm");
        fs::write(&scan, b"content").unwrap();
        let devnet = Some(folder.path().to_path_buf());
        let context = Context::new(Common { devnet, ..Common::default() });
        let unfinished = Unfinished::of(&context, &words("all well", &scan)).unwrap();
        let visit = visit(&scan).await;
        unfinished.keep(&visit).unwrap();
        assert!(fs::read_to_string(&unfinished.path).unwrap().contains("all well"));

        let record_id = visit.record_id();
        let acknowledged = Acknowledged {
            record_id,
            cosigned: false,
            nurse: None,
            extraction: Extraction::default(),
            sections: Vec::new(),
        };
        unfinished.acknowledged(acknowledged.clone()).unwrap();
        assert!(!fs::read_to_string(&unfinished.path).unwrap().contains("all well"));
        let earlier = unfinished.earlier(vec![scan.clone()]);
        assert_eq!(earlier, Some(Earlier::Acknowledged(acknowledged)));

        forget_committed(&context, RecordId([0; 16]));
        assert!(unfinished.path.exists());
        forget_committed(&context, record_id);
        assert_eq!(unfinished.earlier(vec![scan]), None);
        assert!(!folder.path().join("visits").exists());
    }

    #[test]
    fn content_from_a_pipe_is_recognized_by_its_digest() {
        let named = |bytes: u64, digest: u8| {
            let mut words = Words::about(&0_u8);
            words.content(&"media", bytes, &[digest; 32]);
            Unfinished::within(Path::new("/"), &words)
        };
        assert_eq!(named(1, 1), named(1, 1));
        assert_ne!(named(1, 1), named(1, 2));
        assert_ne!(named(1, 1), named(2, 1));
    }

    #[test]
    fn a_command_is_recognized_only_with_its_author_s_key() {
        let mut words = Words::about(&0_u8);
        words.text(&"report", "all well");
        assert_eq!(words.command(&[1; 32]), words.command(&[1; 32]));
        assert_ne!(words.command(&[1; 32]), words.command(&[2; 32]));
        let mut other = Words::about(&0_u8);
        other.text(&"report", "not well");
        assert_ne!(words.command(&[1; 32]), other.command(&[1; 32]));
    }

    #[tokio::test]
    async fn a_changed_file_makes_another_visit() {
        let folder = tempfile::tempdir().unwrap();
        let scan = folder.path().join("scan.dcm");
        fs::write(&scan, b"content").unwrap();
        let before = Unfinished::within(folder.path(), &words("all well", &scan));
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(&scan).unwrap().set_modified(later).unwrap();
        assert_ne!(Unfinished::within(folder.path(), &words("all well", &scan)), before);
        words("all well", &scan);
        let mut absent = Words::about(&0_u8);
        assert!(absent.file(&"media", &folder.path().join("absent")).is_err());
    }

    #[tokio::test]
    async fn a_kept_visit_is_private_and_removed_after_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let scan = folder.path().join("scan.dcm");
        fs::write(&scan, b"content").unwrap();
        let state = folder.path().join("visits");
        let unfinished = Unfinished::within(&state, &words("all well", &scan));
        unfinished.keep(&visit(&scan).await).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&unfinished.path), mode(&state)), (0o600, 0o700));

        let long_ago = SystemTime::now() - KEPT_FOR - Duration::from_secs(60);
        File::options().write(true).open(&unfinished.path).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(unfinished.earlier(vec![scan]), None);
        assert!(!unfinished.path.exists());
    }
}
