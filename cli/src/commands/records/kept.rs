//! What an earlier run kept of a record in the folder of `--out`. A note in the record's folder has the description of
//! each file, as the author signed it. With it, and with the record on the chain, every file is verified before access
//! is requested. A folder in any other state is not touched.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
};

use epione_client::{private, reader::VerifiedRecord};
use epione_envelope::record::Description;
use epione_primitives::{RecordId, RecordPointer, release::SectionSet};
use serde::{Deserialize, Serialize};

use super::files::{RetrievedFile, written};
use crate::failure::Failure;

/// File name of the note. The names of sections' files begin with a number.
const NOTE: &str = "record.json";
/// Largest note in bytes: descriptions of 64 sections, each with its frame index.
const MAX_NOTE_BYTES: u64 = 64 * 1024 * 1024;

/// A record's folder. It gets its final name when it is complete; until then its name ends with `.partial`.
#[derive(Debug)]
pub(super) struct Folder {
    pub done: PathBuf,
    pub unfinished: PathBuf,
    note: Note,
    /// The files of the sections that were read, each verified.
    pub files: BTreeMap<u16, RetrievedFile>,
    pub is_done: bool,
}

/// What is kept of a record in addition to its files. It is as secret as they are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    record_id: RecordId,
    pointer: RecordPointer,
    sections: BTreeMap<u16, Noted>,
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
        let pointer = record.summary.pointer;
        let name = format!("{}-{}", pointer.height, pointer.index);
        let (done, unfinished) = (out.join(&name), out.join(format!("{name}.partial")));
        let record_id = record.summary.record_id;
        let note = Note { record_id, pointer, sections: BTreeMap::new() };
        let is_done = fs::symlink_metadata(&done).is_ok();
        let mut folder = Self { done, unfinished, note, files: BTreeMap::new(), is_done };
        let here = folder.here().to_owned();
        if fs::symlink_metadata(&here).is_err() {
            return Ok(folder);
        }
        match read_note(&here) {
            Ok(note) if note.record_id == record_id && note.pointer == pointer => {
                folder.verify(record, note).await?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_done => {}
            Ok(_) | Err(_) => return Err(foreign(&here)),
        }
        Ok(folder)
    }

    /// The path of the folder.
    pub fn here(&self) -> &Path {
        if self.is_done { &self.done } else { &self.unfinished }
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

    /// The sections that are not read yet.
    pub fn missing(&self, record: &VerifiedRecord) -> SectionSet {
        let mut missing = SectionSet::default();
        for section in record.sections().iter().filter(|it| !self.files.contains_key(it)) {
            missing.insert(section);
        }
        missing
    }

    /// Makes the folder, and checks that files can be written in it.
    pub fn prepare(&self) -> Result<(), Failure> {
        let folder = &self.unfinished;
        private::folder(folder)
            .and_then(|()| self.write_note())
            .map_err(|error| Failure::file(folder, &error))
    }

    /// Adds a written section to the note.
    pub fn keep(
        &mut self,
        section: u16,
        file: RetrievedFile,
        description: Description,
    ) -> Result<(), Failure> {
        self.note.sections.insert(section, Noted { file: file.name.clone(), description });
        self.files.insert(section, file);
        self.write_note().map_err(|error| Failure::file(&self.unfinished, &error))
    }

    fn write_note(&self) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(&self.note)?;
        private::replace(&self.unfinished.join(NOTE), &json)
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

fn foreign(folder: &Path) -> Failure {
    Failure::new(
        format!(
            "{} exists, but is not a folder that epione made for this record",
            folder.display()
        ),
        "move it away, or choose another --out: nothing is overwritten",
    )
}

fn changed(file: &Path, folder: &Path) -> Failure {
    Failure::new(
        format!("{} is missing, or is not what its author signed", file.display()),
        format!("move {} away, then rerun the command: nothing is overwritten", folder.display()),
    )
}
