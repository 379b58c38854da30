//! Files to submit: incompressible bytes, the same for the same seed, generated while they are written or compared.

use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    path::Path,
};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// Bytes that are read or written in one go.
const PIECE: usize = 1024 * 1024;

/// The bytes of one seed.
pub struct Content {
    stream: blake3::OutputReader,
    left: u64,
}

impl Content {
    pub fn new(seed: &str, bytes: u64) -> Self {
        let stream = blake3::Hasher::new().update(seed.as_bytes()).finalize_xof();
        Self { stream, left: bytes }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..wanted];
        self.stream.fill(buffer);
        self.left -= wanted as u64;
        Ok(wanted)
    }
}

/// Writes the bytes of a seed to a file; returns their SHA-256 in hexadecimal.
pub fn write(path: &Path, seed: &str, bytes: u64) -> anyhow::Result<String> {
    let attempt = || -> io::Result<String> {
        let mut file = File::create(path)?;
        let digest = each_piece(Content::new(seed, bytes), |piece| file.write_all(piece))?;
        // Flushing them later would disturb the measurement.
        file.sync_all()?;
        Ok(digest)
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}

/// SHA-256 of a file, in hexadecimal.
pub fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let attempt = || each_piece(File::open(path)?, |_| Ok(()));
    attempt().with_context(|| format!("cannot read {}", path.display()))
}

/// Whether a file contains exactly the bytes of a seed.
pub fn is_in(path: &Path, seed: &str, bytes: u64) -> anyhow::Result<bool> {
    let attempt = || -> io::Result<bool> {
        let mut file = BufReader::new(File::open(path)?);
        if file.get_ref().metadata()?.len() != bytes {
            return Ok(false);
        }
        let mut expected = Content::new(seed, bytes);
        let (mut ours, mut theirs) = (vec![0; PIECE], vec![0; PIECE]);
        loop {
            let length = expected.read(&mut ours)?;
            if length == 0 {
                return Ok(true);
            }
            file.read_exact(&mut theirs[..length])?;
            if ours[..length] != theirs[..length] {
                return Ok(false);
            }
        }
    };
    attempt().with_context(|| format!("cannot read {}", path.display()))
}

fn each_piece(
    mut source: impl Read,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; PIECE];
    loop {
        let length = source.read(&mut buffer)?;
        if length == 0 {
            return Ok(hex::encode(digest.finalize()));
        }
        digest.update(&buffer[..length]);
        take(&buffer[..length])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_bytes_and_another_seed_gives_other_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let bytes = 3 * PIECE as u64 + 17;
        let digest = write(&one, "a", bytes).unwrap();
        assert_eq!(digest, write(&two, "a", bytes).unwrap());
        assert_eq!(digest, sha256_of(&one).unwrap());
        assert!(is_in(&one, "a", bytes).unwrap());
        assert!(!is_in(&one, "b", bytes).unwrap());
        assert!(!is_in(&one, "a", bytes - 1).unwrap());
    }

    #[test]
    fn one_wrong_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, "a", 2_000_000).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1_500_000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(!is_in(&path, "a", 2_000_000).unwrap());
    }
}
