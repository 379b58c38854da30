//! What an earlier run kept of a record in the folder of `--out`. A note in the record's folder has the description of
//! each file, as the author signed it. With it, and with the record on the chain, every file is verified before access
//! is requested. A folder in any other state is not touched.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, TryLockError},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Component, Path, PathBuf},
};

use epione_client::{
    lite::Saved,
    private,
    reader::{ReadError, VerifiedRecord, is_partial},
};
use epione_envelope::record::{Description, SectionKind};
use epione_primitives::{RecordId, RecordPointer, release::SectionSet};
use serde::{Deserialize, Serialize};

use super::files::{RetrievedFile, prefix, written};
use crate::failure::Failure;

/// File name of the note. The names of sections' files begin with a number.
const NOTE: &str = "record.json";
/// Its name while it is written (`private::replace`).
const STAGED_NOTE: &str = "record.new";
/// Records that are read from one folder, at most.
const MAX_SAVED: usize = 100_000;
/// Largest note in bytes: descriptions of 64 sections, each with its frame index.
const MAX_NOTE_BYTES: u64 = 64 * 1024 * 1024;

/// A record's folder. It gets its final name when all that is granted is in it; until then its name ends with
/// `.partial`. One process at a time writes to it.
#[derive(Debug)]
pub(super) struct Folder {
    pub done: PathBuf,
    pub unfinished: PathBuf,
    note: Note,
    /// The files of the sections that were read, each verified.
    pub files: BTreeMap<u16, RetrievedFile>,
    pub is_done: bool,
    /// The sections in the note that an earlier run left; none without a note.
    noted: Option<BTreeSet<u16>>,
    /// Held from the check before the request until the end of the run.
    lock: Option<fs::File>,
}

/// What is kept of a record in addition to its files. It is as secret as they are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    record_id: RecordId,
    pointer: RecordPointer,
    sections: BTreeMap<u16, Noted>,
    /// Sections that a run with --note read, and whose note is not known to be on the chain.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unnoted: BTreeSet<u16>,
}

/// A section that was read.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    /// Name of its file within the folder.
    file: String,
    description: Description,
}

impl Folder {
    /// The folder of a record, with the files that are already in it. It is an error if something else is in its place.
    pub async fn look(out: &Path, record: &VerifiedRecord) -> Result<Self, Failure> {
        let mut folder = Self::at(out, record.summary.pointer, record.summary.record_id);
        if let Some(note) = folder.read()? {
            folder.noted = Some(note.sections.keys().copied().collect());
            folder.note.unnoted.clone_from(&note.unnoted);
            folder.verify(record, note).await?;
        }
        Ok(folder)
    }

    fn at(out: &Path, pointer: RecordPointer, record_id: RecordId) -> Self {
        let name = format!("{}-{}", pointer.height, pointer.index);
        let (done, unfinished) = (out.join(&name), out.join(format!("{name}.partial")));
        let (sections, unnoted) = Default::default();
        let note = Note { record_id, pointer, sections, unnoted };
        let is_done = fs::symlink_metadata(&done).is_ok();
        let (files, noted, lock) = (BTreeMap::new(), None, None);
        Self { done, unfinished, note, files, is_done, noted, lock }
    }

    /// The path of the folder.
    pub fn here(&self) -> &Path {
        if self.is_done { &self.done } else { &self.unfinished }
    }

    /// The note in the folder; none if there is no folder, or only an empty one.
    fn read(&self) -> Result<Option<Note>, Failure> {
        let here = self.here();
        if fs::symlink_metadata(here).is_err() {
            return Ok(None);
        }
        let (record_id, pointer) = (self.note.record_id, self.note.pointer);
        match read_note(here) {
            Ok(note) if note.record_id == record_id && note.pointer == pointer => Ok(Some(note)),
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && !self.is_done && is_empty(here) =>
            {
                Ok(None)
            }
            Ok(_) | Err(_) => Err(foreign(here)),
        }
    }

    async fn verify(&mut self, record: &VerifiedRecord, note: Note) -> Result<(), Failure> {
        for (section, Noted { file, description }) in note.sections {
            let path = self.here().join(&file);
            let is_name = matches!(
                Path::new(&file).components().collect::<Vec<_>>()[..],
                [Component::Normal(_)]
            );
            if !self.is_done && fs::symlink_metadata(&path).is_err() {
                continue;
            }
            if !is_name || !record.is_in(&path, section, &description).await.unwrap_or(false) {
                return Err(changed(&path, self.here()));
            }
            let there = written(&path, file.clone(), &description.media_type)?;
            self.files.insert(section, there);
            self.note.sections.insert(section, Noted { file, description });
        }
        Ok(())
    }

    /// The kind of a section of which there is a file.
    pub fn kind(&self, section: u16) -> Option<SectionKind> {
        self.note.sections.get(&section).map(|noted| noted.description.kind)
    }

    /// The sections that are not read yet.
    pub fn missing(&self, record: &VerifiedRecord) -> SectionSet {
        let mut missing = SectionSet::default();
        for section in record.sections().iter().filter(|it| !self.files.contains_key(it)) {
            missing.insert(section);
        }
        missing
    }

    /// The sections will be noted on the chain. The folder says so until they are, from the time on at which it is
    /// prepared.
    pub fn will_note(&mut self, sections: SectionSet) {
        self.note.unnoted.extend(sections.iter());
    }

    /// The sections that are here, and are to be noted on the chain.
    pub fn unnoted(&self) -> SectionSet {
        let mut unnoted = SectionSet::default();
        for section in self.note.unnoted.iter().filter(|it| self.files.contains_key(it)) {
            unnoted.insert(*section);
        }
        unnoted
    }

    /// Makes the folder and locks it, and checks that files of the missing sections can be written in it.
    pub fn prepare(&mut self, missing: SectionSet) -> Result<(), Failure> {
        if !self.is_done {
            private::folder(&self.unfinished)
                .map_err(|error| Failure::file(&self.unfinished, &error))?;
        } else if fs::symlink_metadata(&self.unfinished).is_ok() {
            return Err(foreign(&self.unfinished));
        }
        let lock = self.try_lock()?;
        let is_current = self.is_current(&lock);
        self.lock = Some(lock);
        if !is_current {
            return Err(busy(self.here()));
        }
        self.check_names(missing)?;
        self.write_note().map_err(|error| Failure::file(self.here(), &error))
    }

    fn try_lock(&self) -> Result<fs::File, Failure> {
        let here = self.here();
        let file = fs::File::open(here).map_err(|error| Failure::file(here, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(busy(here)),
            Err(TryLockError::Error(error)) => Err(Failure::file(here, &error)),
        }
    }

    /// Whether the folder is still as it was before it was locked: another process may have written to it, or may have
    /// given it its final name.
    fn is_current(&self, lock: &fs::File) -> bool {
        let is_same = lock.metadata().is_ok_and(|open| {
            fs::symlink_metadata(self.here())
                .is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino()))
        });
        let noted = self
            .read()
            .map(|note| note.map(|note| note.sections.into_keys().collect::<BTreeSet<_>>()));
        is_same
            && fs::symlink_metadata(&self.done).is_ok() == self.is_done
            && noted.is_ok_and(|noted| noted == self.noted)
    }

    /// Checks that no file has the name of a missing section's file. Only the beginning of that name is known: the rest
    /// is sealed.
    fn check_names(&self, missing: SectionSet) -> Result<(), Failure> {
        let here = self.here();
        for entry in fs::read_dir(here).map_err(|error| Failure::file(here, &error))? {
            let path = entry.map_err(|error| Failure::file(here, &error))?.path();
            let name = path.file_name().unwrap_or_default().as_bytes();
            let begins = |section: u16| name.starts_with(prefix(section.into()).as_bytes());
            if missing.iter().any(begins) && !is_partial(&path) {
                return Err(in_the_way(&path));
            }
        }
        Ok(())
    }

    /// Notes a section's file before it is written: a process that is killed later leaves no file that is not noted.
    pub fn expect(
        &mut self,
        section: u16,
        file: &str,
        description: Description,
    ) -> Result<(), Failure> {
        self.note.sections.insert(section, Noted { file: file.into(), description });
        self.write_note().map_err(|error| Failure::file(self.here(), &error))
    }

    /// Adds the file of a section, which was noted.
    pub fn keep(&mut self, section: u16, file: RetrievedFile) {
        self.files.insert(section, file);
    }

    fn write_note(&self) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(&self.note)?;
        private::replace(&self.here().join(NOTE), &json)
    }

    /// Replaces the final name by the other one, so that more sections can be written.
    pub fn reopen(&mut self) -> Result<(), Failure> {
        if self.is_done {
            fs::rename(&self.done, &self.unfinished)
                .map_err(|error| Failure::file(&self.unfinished, &error))?;
            self.is_done = false;
        }
        Ok(())
    }

    /// Gives the folder its final name.
    pub fn finish(&mut self) -> Result<(), Failure> {
        fs::rename(&self.unfinished, &self.done)
            .map_err(|error| Failure::file(&self.done, &error))?;
        self.is_done = true;
        Ok(())
    }

    /// Removes the folder if it is empty. Returns whether there is one from which to resume.
    pub fn abandon(&self) -> bool {
        if self.is_done {
            return true;
        }
        if self.lock.is_none() {
            // It belongs to another process.
            return false;
        }
        if self.files.is_empty() && fs::read_dir(&self.unfinished).is_ok_and(|all| all.count() == 1)
        {
            // Only the note is in it, unless another process removed that.
            let _ = fs::remove_file(self.unfinished.join(NOTE));
        }
        // Removed only if it is empty.
        let _ = fs::remove_dir(&self.unfinished);
        self.unfinished.exists()
    }
}

/// Records in a record's folder that sections are noted on the chain now.
pub(super) fn are_noted(folder: &Path, sections: SectionSet) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::file(folder, &error);
    let lock = fs::File::open(folder).map_err(failed)?;
    lock.try_lock().map_err(|_| busy(folder))?;
    let mut note = read_note(folder).map_err(failed)?;
    note.unnoted.retain(|section| !sections.contains(*section));
    let json = serde_json::to_vec_pretty(&note).map_err(|error| failed(error.into()))?;
    private::replace(&folder.join(NOTE), &json).map_err(failed)
}

/// The records that runs of the command saved in a folder, with the descriptions of their sections. Other folders in it
/// are left out.
pub(in crate::commands) fn saved_in(out: &Path) -> Result<Vec<Saved>, Failure> {
    let mut saved = Vec::new();
    for entry in fs::read_dir(out).map_err(|error| Failure::file(out, &error))? {
        let folder = entry.map_err(|error| Failure::file(out, &error))?.path();
        let Note { record_id, pointer, sections, .. } = match read_note(&folder) {
            Ok(note) => note,
            Err(error) if is_other(error.kind()) => continue,
            Err(error) => {
                return Err(Failure::new(
                    format!(
                        "the note of the record in {} cannot be read: {error}",
                        folder.display()
                    ),
                    "move this folder away, and read the record again",
                ));
            }
        };
        if saved.len() == MAX_SAVED {
            return Err(Failure::new(
                format!("{} has more than {MAX_SAVED} records", out.display()),
                "give smaller folders",
            ));
        }
        let sections = sections.into_iter().map(|(section, noted)| (section, noted.description));
        saved.push(Saved { pointer, record: record_id, sections: sections.collect() });
    }
    Ok(saved)
}

/// Whether this error says that there is no note.
fn is_other(error: io::ErrorKind) -> bool {
    matches!(error, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_note(folder: &Path) -> io::Result<Note> {
    let path = folder.join(NOTE);
    if fs::symlink_metadata(folder)?.is_symlink() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let metadata = fs::symlink_metadata(&path)?;
    if !metadata.is_file() || metadata.len() > MAX_NOTE_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(serde_json::from_slice(&fs::read(&path)?)?)
}

/// Whether nothing is in a folder, except a note that a killed process did not finish.
fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == STAGED_NOTE))
    })
}

fn busy(folder: &Path) -> Failure {
    ReadError::Busy(folder.into()).into()
}

fn in_the_way(file: &Path) -> Failure {
    Failure::new(
        format!("{} exists, but epione did not write it for this record", file.display()),
        "move it away, then rerun the command: nothing is overwritten, and no access was requested",
    )
}

fn foreign(folder: &Path) -> Failure {
    Failure::new(
        format!("{} exists, but epione did not create it for this record", folder.display()),
        "move it away, or choose another --out: nothing is overwritten",
    )
}

fn changed(file: &Path, folder: &Path) -> Failure {
    Failure::new(
        format!("{} is missing, or differs from the file that its author signed", file.display()),
        format!("move {} away, then rerun the command: nothing is overwritten", folder.display()),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const POINTER: RecordPointer = RecordPointer { height: 5, index: 0 };

    fn missing(sections: &[u16]) -> SectionSet {
        let mut missing = SectionSet::default();
        assert!(sections.iter().all(|section| missing.insert(*section)));
        missing
    }

    fn folder(out: &Path) -> Folder {
        let mut folder = Folder::at(out, POINTER, RecordId([1; 16]));
        let note = folder.read().unwrap();
        folder.noted = note.map(|note| note.sections.into_keys().collect());
        folder
    }

    #[test]
    fn the_folder_says_what_is_to_be_noted_until_it_is() {
        let out = tempfile::tempdir().unwrap();
        let description = Description::of(SectionKind::Report, "text/plain", "", b"well").unwrap();
        let mut first = folder(out.path());
        first.will_note(missing(&[0, 1]));
        first.prepare(missing(&[0, 1])).unwrap();
        first.expect(0, "00-report.txt", description).unwrap();
        assert!(first.unnoted().is_empty(), "nothing is read yet");
        let (name, media_type) = ("00-report.txt".into(), "text/plain".into());
        first.keep(0, RetrievedFile { name, media_type, bytes: 4, sha256: String::new() });
        assert_eq!(first.unnoted(), missing(&[0]));
        first.finish().unwrap();
        let done = first.done.clone();
        are_noted(&done, missing(&[0])).unwrap_err();
        drop(first);

        let unnoted = || read_note(&done).unwrap().unnoted.into_iter().collect::<Vec<_>>();
        assert_eq!(unnoted(), [0, 1]);
        are_noted(&done, missing(&[0])).unwrap();
        assert_eq!(unnoted(), [1]);
        assert_eq!(read_note(&done).unwrap().sections.len(), 1);
        are_noted(&done, missing(&[1])).unwrap();
        assert!(!fs::read_to_string(done.join(NOTE)).unwrap().contains("unnoted"));
    }

    #[test]
    fn a_folder_that_epione_did_not_make_is_left_alone() {
        let out = tempfile::tempdir().unwrap();
        let unfinished = out.path().join("5-0.partial");
        fs::create_dir(&unfinished).unwrap();
        let empty = Folder::at(out.path(), POINTER, RecordId([1; 16]));
        assert!(empty.read().unwrap().is_none());
        fs::write(unfinished.join("record.new"), "{").unwrap();
        assert!(empty.read().unwrap().is_none());
        fs::write(unfinished.join("thesis.txt"), "").unwrap();
        let foreign = empty.read().unwrap_err();
        assert!(foreign.error.contains("exists"), "{foreign}");
    }

    #[test]
    fn a_file_with_a_missing_sections_name_is_found_before_access_is_requested() {
        let out = tempfile::tempdir().unwrap();
        let mut first = folder(out.path());
        first.prepare(missing(&[0, 1])).unwrap();
        drop(first);
        let unfinished = out.path().join("5-0.partial");
        let own = unfinished.join("01-m5.bin.0123456789abcdef.partial");
        fs::write(&own, "kept").unwrap();
        folder(out.path()).prepare(missing(&[0, 1])).unwrap();
        symlink("nowhere", unfinished.join("00-report.txt")).unwrap();
        let refused = folder(out.path()).prepare(missing(&[0, 1])).unwrap_err();
        assert!(refused.error.contains("00-report.txt"), "{refused}");
        folder(out.path()).prepare(missing(&[1])).unwrap();
        fs::remove_file(&own).unwrap();
        fs::create_dir(&own).unwrap();
        folder(out.path()).prepare(missing(&[1])).unwrap_err();
    }

    #[test]
    fn what_was_saved_is_found_again_and_other_folders_are_left_out() {
        let out = tempfile::tempdir().unwrap();
        let content = b"all well";
        let description = Description::of(SectionKind::Report, "text/plain", "", content).unwrap();
        let mut kept = folder(out.path());
        kept.prepare(missing(&[0])).unwrap();
        kept.expect(0, "00-report.txt", description.clone()).unwrap();
        fs::create_dir(out.path().join("holiday")).unwrap();
        fs::write(out.path().join("letter.txt"), "").unwrap();
        let saved = saved_in(out.path()).unwrap();
        assert_eq!(saved.len(), 1);
        assert_eq!((saved[0].pointer, saved[0].record), (POINTER, RecordId([1; 16])));
        assert_eq!(saved[0].sections, BTreeMap::from([(0, description)]));

        fs::create_dir(out.path().join("6-0")).unwrap();
        fs::write(out.path().join("6-0").join(NOTE), "{").unwrap();
        let unreadable = saved_in(out.path()).unwrap_err();
        assert!(unreadable.error.contains("6-0"), "{unreadable}");
        saved_in(&out.path().join("nowhere")).unwrap_err();
    }

    #[test]
    fn one_process_at_a_time_writes_to_a_folder() {
        let out = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (folder(out.path()), folder(out.path()));
        first.prepare(missing(&[0])).unwrap();
        let busy = second.prepare(missing(&[0])).unwrap_err();
        assert!(busy.error.contains("another process"), "{busy}");
        second.abandon();
        assert!(first.unfinished.join(NOTE).exists());
        // The first is done before the second begins to write.
        first.finish().unwrap();
        drop(first);
        let busy = second.prepare(missing(&[0])).unwrap_err();
        assert!(busy.error.contains("another process"), "{busy}");
        assert!(!second.abandon() && !second.unfinished.exists() && second.done.exists());
    }

    #[test]
    fn a_finished_folder_gets_its_final_name_back() {
        let out = tempfile::tempdir().unwrap();
        let mut first = folder(out.path());
        first.prepare(missing(&[0])).unwrap();
        first.finish().unwrap();
        drop(first);
        let mut later = folder(out.path());
        assert!(later.is_done);
        later.prepare(missing(&[0])).unwrap();
        assert!(later.abandon() && later.done.exists());
        later.reopen().unwrap();
        assert!(!later.done.exists() && later.here() == later.unfinished);
        later.finish().unwrap();
        assert!(later.done.join(NOTE).exists() && !later.unfinished.exists());
    }
}
