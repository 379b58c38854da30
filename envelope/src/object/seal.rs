//! Sealing an object, chunk by chunk, with bounded memory.

use zeroize::Zeroizing;

use super::{CHUNK_BYTES, ChunkCipher, DefaultCipher, Layout, ObjectContext, Parameters};
use crate::{SealError, keys::ContentKey};

/// Seals one object from a stream. Buffers at most one chunk, and the tags so far (16 bytes for each chunk).
pub struct ObjectSealer<C = DefaultCipher> {
    parameters: Parameters,
    cipher: C,
    aad: [u8; 32],
    /// Content of the incomplete chunk. Never grows beyond its initial capacity, so no plaintext stays in freed memory.
    pending: Zeroizing<Vec<u8>>,
    next: u32,
    taken: u64,
    tags: Vec<u8>,
}

impl ObjectSealer {
    /// Starts an object of exactly `plaintext_length` bytes, with a fresh id and salt.
    pub fn new(
        key: &ContentKey,
        context: &ObjectContext,
        plaintext_length: u64,
    ) -> Result<Self, SealError> {
        Self::with_cipher(key, context, plaintext_length, CHUNK_BYTES)
    }
}

impl<C: ChunkCipher> ObjectSealer<C> {
    /// [`ObjectSealer::new`] with an explicit cipher and chunk size (a power of two from 4 KiB to 4 MiB).
    pub fn with_cipher(
        key: &ContentKey,
        context: &ObjectContext,
        plaintext_length: u64,
        chunk_size: u32,
    ) -> Result<Self, SealError> {
        let parameters = Parameters::generate(key, context, plaintext_length, chunk_size)?;
        let derived = parameters.derive(key, context).map_err(|_| SealError::Cipher)?;
        let capacity = plaintext_length.min(u64::from(chunk_size)) as usize;
        Ok(Self {
            cipher: derived.cipher,
            aad: derived.aad,
            pending: Zeroizing::new(Vec::with_capacity(capacity)),
            next: 0,
            taken: 0,
            tags: Vec::new(),
            parameters,
        })
    }

    pub fn layout(&self) -> Layout {
        self.parameters.layout()
    }

    /// Accepts the next bytes of the content, and returns the ciphertext of the chunks that they complete.
    pub fn push(&mut self, mut content: &[u8]) -> Result<Vec<u8>, SealError> {
        let declared = self.layout().plaintext_length();
        self.taken = self
            .taken
            .checked_add(content.len() as u64)
            .filter(|taken| *taken <= declared)
            .ok_or(SealError::TooLong { declared })?;
        let mut sealed = Vec::with_capacity(self.pending.len() + content.len());
        while !content.is_empty() {
            let wanted =
                self.layout().chunk_length(self.next).ok_or(SealError::TooLong { declared })?;
            let (now, later) = content.split_at(content.len().min(wanted - self.pending.len()));
            self.pending.extend_from_slice(now);
            content = later;
            if self.pending.len() == wanted {
                self.seal_chunk(&mut sealed)?;
            }
        }
        Ok(sealed)
    }

    /// Ends the object. Returns its parameters and the remaining sealed bytes, which are the tags.
    pub fn finish(mut self) -> Result<(Parameters, Vec<u8>), SealError> {
        let declared = self.layout().plaintext_length();
        if self.taken != declared {
            return Err(SealError::TooShort { declared, given: self.taken });
        }
        let mut rest = Vec::new();
        if declared == 0 {
            self.seal_chunk(&mut rest)?;
        }
        rest.append(&mut self.tags);
        Ok((self.parameters, rest))
    }

    fn seal_chunk(&mut self, sealed: &mut Vec<u8>) -> Result<(), SealError> {
        let last = self.layout().is_last(self.next);
        let tag = self.cipher.seal(self.next, last, &self.aad, &mut self.pending)?;
        self.tags.extend_from_slice(&tag);
        sealed.append(&mut self.pending);
        self.next += 1;
        Ok(())
    }
}
