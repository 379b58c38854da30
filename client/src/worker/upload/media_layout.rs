//! The media of a visit as one sequence of bytes, and the parts in which they are sent.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{
    api::VisitStatus,
    visit::{MediaFile, Visit},
    worker::WorkerError,
};

/// Bytes of a part, except the last one of a section; half of what a worker accepts.
pub(super) const PART_BYTES: u64 = 4 * 1024 * 1024;

/// All media of a visit, one after the other.
pub(super) struct MediaLayout {
    media: Vec<Media>,
    total: u64,
}

struct Media {
    section: usize,
    path: PathBuf,
    /// Its position in the sequence.
    start: u64,
    bytes: u64,
}

/// A part of an upload.
#[derive(Clone, Copy)]
pub(super) struct UploadPart<'a> {
    pub section: usize,
    /// Its position in the section.
    pub offset: u64,
    bytes: u64,
    path: &'a Path,
}

impl MediaLayout {
    /// Checks that the files still have the lengths that were signed. Nothing is sent before that.
    pub(super) async fn of(visit: &Visit) -> Result<Self, WorkerError> {
        let (mut media, mut total) = (Vec::with_capacity(visit.media.len()), 0);
        for MediaFile { section, path, bytes, .. } in &visit.media {
            let source = |source| WorkerError::File { path: path.clone(), source };
            if tokio::fs::metadata(path).await.map_err(source)?.len() != *bytes {
                return Err(WorkerError::FileChanged { path: path.clone() });
            }
            media.push(Media {
                section: *section,
                path: path.clone(),
                start: total,
                bytes: *bytes,
            });
            total += bytes;
        }
        Ok(Self { media, total })
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// How many bytes of the media the worker has, according to its answer.
    pub(super) fn arrived(&self, status: &VisitStatus) -> u64 {
        let offsets = status.media.iter().map(|media| media.offset);
        offsets.fold(0, u64::saturating_add).min(self.total)
    }

    /// The part at a position of the sequence; none at its end.
    pub(super) fn part(&self, at: u64) -> Option<UploadPart<'_>> {
        let media = self.media.iter().find(|media| at < media.start + media.bytes)?;
        let offset = at - media.start;
        let bytes = PART_BYTES.min(media.bytes - offset);
        Some(UploadPart { section: media.section, offset, bytes, path: &media.path })
    }
}

impl UploadPart<'_> {
    pub(super) async fn read(&self) -> Result<Bytes, WorkerError> {
        let (path, offset, bytes) = (self.path.to_owned(), self.offset, self.bytes);
        let reading = move || {
            read(&path, offset, bytes).map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => WorkerError::FileChanged { path },
                _ => WorkerError::File { path, source },
            })
        };
        match tokio::task::spawn_blocking(reading).await {
            Ok(content) => content,
            Err(stopped) => Err(WorkerError::File {
                path: self.path.to_owned(),
                source: io::Error::other(stopped),
            }),
        }
    }
}

fn read(path: &Path, offset: u64, bytes: u64) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    // At most PART_BYTES.
    let mut content = vec![0; bytes as usize];
    file.read_exact(&mut content)?;
    Ok(content.into())
}
