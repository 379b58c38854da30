//! The body of a visit's upload, as the same bytes each time it is asked for: first to be digested,
//! then to be sent. Files are read in pieces both times.

use std::{io, path::PathBuf};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::{fs::File, io::AsyncReadExt};
use tokio_util::io::ReaderStream;

use super::WorkerError;
use crate::submit::Visit;

/// Bytes of a file that are held at a time.
const PIECE: usize = 256 * 1024;

/// A `multipart/form-data` body.
#[derive(Clone, Debug)]
pub(super) struct Multipart {
    boundary: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Bytes),
    /// So many bytes of a file, from its beginning.
    File {
        path: PathBuf,
        bytes: u64,
    },
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { bytes, .. } => *bytes,
        }
    }
}

impl Multipart {
    /// Part `visit`, then `media-<section index>` for every media section. `boundary` must not
    /// occur in them: random digits do not.
    pub(super) fn of(visit: &Visit, boundary: [u8; 16]) -> Result<Self, serde_json::Error> {
        let boundary = hex::encode(boundary);
        let json = serde_json::to_vec(&visit.request)?;
        let mut parts =
            vec![head(&boundary, "visit", "application/json"), Part::Bytes(json.into())];
        for media in &visit.media {
            let name = format!("media-{}", media.section);
            parts.push(Part::Bytes(Bytes::from_static(b"\r\n")));
            parts.push(head(&boundary, &name, "application/octet-stream"));
            parts.push(Part::File { path: media.path.clone(), bytes: media.bytes });
        }
        parts.push(Part::Bytes(format!("\r\n--{boundary}--\r\n").into()));
        Ok(Self { boundary, parts })
    }

    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    pub(super) fn length(&self) -> u64 {
        self.parts.iter().map(Part::length).sum()
    }

    pub(super) async fn digest(&self) -> Result<[u8; 32], WorkerError> {
        let digest =
            self.stream().try_fold(blake3::Hasher::new(), |mut hasher, bytes| async move {
                hasher.update(&bytes);
                Ok(hasher)
            });
        Ok(digest.await?.finalize().into())
    }

    /// The bytes. Fails with [`WorkerError::FileChanged`] if a file is shorter than it was.
    pub(super) fn stream(
        &self,
    ) -> impl Stream<Item = Result<Bytes, WorkerError>> + Send + 'static + use<> {
        stream::iter(self.parts.clone()).flat_map(|part| match part {
            Part::Bytes(bytes) => stream::once(async { Ok(bytes) }).boxed(),
            Part::File { path, bytes } => file(path, bytes).boxed(),
        })
    }
}

fn head(boundary: &str, name: &str, content_type: &str) -> Part {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: {content_type}\r\n\r\n"
    );
    Part::Bytes(head.into())
}

fn file(
    path: PathBuf,
    bytes: u64,
) -> impl Stream<Item = Result<Bytes, WorkerError>> + Send + 'static {
    let opened = async move {
        let at = path.clone();
        let fail = move |source: io::Error| WorkerError::File { path: at.clone(), source };
        let file = File::open(&path).await.map_err(fail.clone())?;
        let pieces = ReaderStream::with_capacity(file.take(bytes), PIECE).map_err(fail);
        Ok::<_, WorkerError>(exactly(pieces, bytes, path))
    };
    stream::once(opened).try_flatten()
}

/// Passes bytes on, and fails at the end unless there were so many.
fn exactly(
    pieces: impl Stream<Item = Result<Bytes, WorkerError>> + Send,
    expected: u64,
    path: PathBuf,
) -> impl Stream<Item = Result<Bytes, WorkerError>> + Send {
    let end = stream::once(async { Ok(Bytes::new()) });
    let mut seen = 0;
    pieces.chain(end).map(move |piece| {
        let piece = piece?;
        seen += piece.len() as u64;
        if piece.is_empty() && seen != expected {
            return Err(WorkerError::FileChanged { path: path.clone() });
        }
        Ok(piece)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use epione_primitives::{HospitalId, RecordId, UserId};

    use super::*;
    use crate::{api::VisitRequest, submit::MediaFile};

    fn visit(media: Vec<MediaFile>) -> Visit {
        let request = VisitRequest {
            record_id: RecordId([1; 16]),
            patient: UserId([2; 32]),
            hospital: HospitalId(0),
            author: UserId([3; 32]),
            sections: Vec::new(),
            author_signature: "00".into(),
            patient_signature: None,
        };
        Visit { request, media }
    }

    fn media(section: usize, path: PathBuf, bytes: u64) -> MediaFile {
        MediaFile { section, path, bytes, blake3: [0; 32], media_type: "application/dicom".into() }
    }

    async fn all(multipart: &Multipart) -> Result<Vec<u8>, WorkerError> {
        let pieces: Vec<Bytes> = multipart.stream().try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn the_bytes_are_the_same_each_time_and_as_many_as_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan");
        let content: Vec<u8> = (0..1_000_003_u32).map(|i| i as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let multipart =
            Multipart::of(&visit(vec![media(1, path, content.len() as u64)]), [7; 16]).unwrap();

        let first = all(&multipart).await.unwrap();
        let second = all(&multipart).await.unwrap();

        assert_eq!(first, second);
        assert_eq!(first.len() as u64, multipart.length());
        assert_eq!(multipart.digest().await.unwrap(), *blake3::hash(&first).as_bytes());
    }

    #[tokio::test]
    async fn parts_are_laid_out_as_rfc_7578_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note");
        std::fs::write(&path, b"abc").unwrap();
        let visit = visit(vec![media(4, path, 3)]);
        let multipart = Multipart::of(&visit, [0xab; 16]).unwrap();
        let boundary = "ab".repeat(16);
        let json = serde_json::to_string(&visit.request).unwrap();
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"visit\"\r\nContent-Type: application/json\r\n\r\n{json}\
             \r\n--{boundary}\r\nContent-Disposition: form-data; name=\"media-4\"\r\nContent-Type: application/octet-stream\r\n\r\nabc\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(all(&multipart).await.unwrap()).unwrap(), expected);
        assert_eq!(multipart.content_type(), format!("multipart/form-data; boundary={boundary}"));
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan");
        std::fs::write(&path, b"abc").unwrap();
        let multipart = Multipart::of(&visit(vec![media(0, path, 4)]), [0; 16]).unwrap();
        assert!(matches!(all(&multipart).await, Err(WorkerError::FileChanged { .. })));
    }

    #[tokio::test]
    async fn a_file_that_is_gone_is_named() {
        let path = PathBuf::from("/nonexistent/scan.dcm");
        let multipart = Multipart::of(&visit(vec![media(0, path, 4)]), [0; 16]).unwrap();
        let error = all(&multipart).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/scan.dcm"), "{error}");
    }
}
