//! Visits that were signed and are not acknowledged yet. `visit submit`, run again in the same words over
//! the same files, goes on with the same visit: nothing is submitted twice, and what a worker has of it is
//! not sent again.
//!
//! A visit lies in a file of its own, which only its owner may read: it holds texts and salts. It goes when
//! the worker has acknowledged or refused the visit, or after a day.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use codec::Encode;
use epione_client::{
    api::{MAX_VISIT_JSON_BYTES, VisitRequest},
    submit::Visit,
};
use sha2::{Digest, Sha256};

use crate::context::Context;

const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a visit is kept until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    path: PathBuf,
}

/// What makes a command the same as an earlier one.
#[derive(Encode)]
pub struct Words {
    /// Chain, hospital, author, patient, and whoever else it is about.
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

    /// A file, by its name, length and last change: it is not read.
    pub fn file(&mut self, what: &impl Encode, path: &Path) -> io::Result<()> {
        let (path, metadata) = (fs::canonicalize(path)?, fs::metadata(path)?);
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        let file = (path.as_os_str().as_encoded_bytes(), metadata.len(), changed);
        self.sections.push((what, file).encode());
        Ok(())
    }
}

impl Unfinished {
    /// Where the visit of such a command is kept: in the devnet's directory, or in the user's state
    /// directory. None if there is neither.
    pub fn of(context: &Context, words: &Words) -> Option<Self> {
        Some(Self::within(&directory(context)?, words))
    }

    fn within(directory: &Path, words: &Words) -> Self {
        let digest: [u8; 32] = Sha256::digest(words.encode()).into();
        let name = hex::encode(&digest[..16]);
        Self { path: directory.join(name).with_extension("json") }
    }

    /// The visit that an earlier run signed, if it was not long ago. `files` are those of its media.
    pub fn visit(&self, files: Vec<PathBuf>) -> Option<Visit> {
        self.forget_old_ones();
        let mut json = Vec::new();
        let file = File::open(&self.path).ok()?;
        file.take(MAX_VISIT_JSON_BYTES as u64 + 1).read_to_end(&mut json).ok()?;
        let request: VisitRequest = serde_json::from_slice(&json).ok()?;
        Visit::signed_earlier(request, files)
    }

    /// Keeps a visit; it is on disk when this returns.
    pub fn keep(&self, visit: &Visit) -> io::Result<()> {
        let json = serde_json::to_vec(&visit.request)?;
        let directory = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let staged = self.path.with_extension("new");
        match fs::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
        file.write_all(&json)?;
        file.sync_all()?;
        fs::rename(&staged, &self.path)?;
        File::open(directory)?.sync_all()
    }

    /// Keeps it no longer.
    pub fn forget(&self) {
        // What stays is tidied up by a later run; an empty directory goes as well.
        let _ = fs::remove_file(&self.path);
        if let Some(directory) = self.path.parent() {
            let _ = fs::remove_dir(directory);
        }
    }

    fn forget_old_ones(&self) {
        let Some(entries) = self.path.parent().and_then(|folder| fs::read_dir(folder).ok()) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_ours = matches!(path.extension().and_then(OsStr::to_str), Some("json" | "new"));
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| modified.elapsed().ok());
            if is_ours && age.is_some_and(|age| age > KEPT_FOR) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn directory(context: &Context) -> Option<PathBuf> {
    if let Some(devnet) = &context.common().devnet {
        return Some(devnet.join("visits"));
    }
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")))?;
    Some(state.join("epione/visits"))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::SystemTime};

    use epione_client::{Account, submit::VisitBuilder};
    use epione_envelope::record::SectionKind;
    use epione_primitives::{Hash, HospitalId, UserId, access::SectionClass};

    use super::*;

    async fn visit(path: &Path) -> Visit {
        VisitBuilder::new(Hash::zero(), UserId([1; 32]), HospitalId(0), UserId([2; 32]))
            .text(SectionKind::Report, SectionClass::Private, "all well")
            .file(SectionKind::Media, SectionClass::Private, path)
            .build(&Account::development("//Doctor").unwrap())
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
    async fn a_kept_visit_is_found_by_the_same_words_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let scan = folder.path().join("scan.dcm");
        fs::write(&scan, b"content").unwrap();
        let state = folder.path().join("state/visits");
        let at = |words: &Words| Unfinished::within(&state, words);
        let unfinished = at(&words("all well", &scan));
        assert_eq!(unfinished.visit(vec![scan.clone()]), None);

        let visit = visit(&scan).await;
        unfinished.keep(&visit).unwrap();
        unfinished.keep(&visit).unwrap();
        assert_eq!(at(&words("all well", &scan)).visit(vec![scan.clone()]), Some(visit));
        assert_eq!(at(&words("not well", &scan)).visit(vec![scan.clone()]), None);

        unfinished.forget();
        assert_eq!(unfinished.visit(vec![scan.clone()]), None);
        assert!(!state.exists());
    }

    #[tokio::test]
    async fn a_file_that_changed_makes_another_visit() {
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
    async fn what_is_kept_is_private_and_not_kept_for_long() {
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
        assert_eq!(unfinished.visit(vec![scan]), None);
        assert!(!unfinished.path.exists());
    }
}
