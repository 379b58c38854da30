//! The files of the hospitals' stores, as seen from outside the workers.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use epione_primitives::block::Segment;

/// The file of a segment in a store.
pub fn path(store: &Path, segment: &Segment) -> PathBuf {
    store.join("segments").join(hex::encode(segment.hash))
}

/// Whether a store has a segment, by its name and length: a worker gives a file its final name only when it has
/// verified the bytes.
pub fn has(store: &Path, segment: &Segment) -> bool {
    fs::metadata(path(store, segment))
        .is_ok_and(|metadata| metadata.len() == u64::from(segment.length))
}

/// Whether a store has exactly the bytes of a segment.
pub fn is_whole(store: &Path, segment: &Segment) -> bool {
    let hash = || -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path(store, segment))?)?;
        Ok(hasher.finalize())
    };
    has(store, segment) && hash().is_ok_and(|hash| *hash.as_bytes() == segment.hash)
}

/// The segments that are missing or damaged in a store.
pub fn missing(store: &Path, segments: &[Segment]) -> Vec<Segment> {
    segments.iter().filter(|segment| !is_whole(store, segment)).copied().collect()
}

/// Names and lengths of everything in a store.
pub fn listed(store: &Path) -> anyhow::Result<Vec<Segment>> {
    let folder = store.join("segments");
    let attempt = || -> io::Result<Vec<Segment>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let mut hash = [0; 32];
            if hex::decode_to_slice(entry.file_name().to_string_lossy().as_ref(), &mut hash).is_ok()
            {
                // Segments are short.
                let length = u32::try_from(entry.metadata()?.len()).unwrap_or(u32::MAX);
                segments.push(Segment { hash, length });
            }
        }
        Ok(segments)
    };
    match attempt() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.with_context(|| format!("cannot list {}", folder.display())),
    }
}

/// A way to destroy a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    Deleted,
    BitFlipped,
}

/// Destroys a store's copy of a segment, as a failing disk would.
pub fn destroy(store: &Path, segment: &Segment, damage: Damage) -> anyhow::Result<()> {
    let path = path(store, segment);
    let attempt = || match damage {
        Damage::Deleted => fs::remove_file(&path),
        Damage::BitFlipped => {
            let mut bytes = fs::read(&path)?;
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
            fs::write(&path, bytes)
        }
    };
    attempt().with_context(|| format!("cannot damage {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path();
        assert_eq!(listed(store).unwrap(), []);
        fs::create_dir(store.join("segments")).unwrap();
        let segments: Vec<_> = [b"one", b"two"]
            .map(|bytes| Segment { hash: *blake3::hash(bytes).as_bytes(), length: 3 })
            .to_vec();
        for (segment, bytes) in segments.iter().zip([b"one", b"two"]) {
            fs::write(path(store, segment), bytes).unwrap();
        }
        assert_eq!(missing(store, &segments), []);
        assert_eq!(listed(store).unwrap().len(), 2);
        destroy(store, &segments[0], Damage::BitFlipped).unwrap();
        assert!(has(store, &segments[0]) && !is_whole(store, &segments[0]));
        destroy(store, &segments[1], Damage::Deleted).unwrap();
        assert_eq!(missing(store, &segments), segments);
    }
}
