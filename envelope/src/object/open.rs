//! Opening a sealed object, chunk by chunk, in any order.

use zeroize::Zeroizing;

use super::{ChunkCipher, DefaultCipher, Layout, ObjectContext, Parameters, TAG_BYTES};
use crate::{OpenError, keys::ContentKey};

/// Opens the chunks of one object, in any order. Its key and context are known to be the object's own.
pub struct ObjectOpener<C = DefaultCipher> {
    layout: Layout,
    cipher: C,
    aad: [u8; 32],
}

impl ObjectOpener {
    /// Checks the commitment. Decrypts nothing yet.
    pub fn new(
        key: &ContentKey,
        context: &ObjectContext,
        parameters: &Parameters,
    ) -> Result<Self, OpenError> {
        Self::with_cipher(key, context, parameters)
    }
}

impl<C: ChunkCipher> ObjectOpener<C> {
    /// [`ObjectOpener::new`] with an explicit cipher.
    pub fn with_cipher(
        key: &ContentKey,
        context: &ObjectContext,
        parameters: &Parameters,
    ) -> Result<Self, OpenError> {
        let derived = parameters.derive(key, context)?;
        Ok(Self { layout: parameters.layout(), cipher: derived.cipher, aad: derived.aad })
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Opens a chunk, given its whole ciphertext and its tag.
    pub fn open_chunk(
        &self,
        index: u32,
        ciphertext: &[u8],
        tag: &[u8; TAG_BYTES as usize],
    ) -> Result<Vec<u8>, OpenError> {
        let mut chunk = ciphertext.to_vec();
        self.open_chunk_in_place(index, &mut chunk, tag)?;
        Ok(chunk)
    }

    /// [`ObjectOpener::open_chunk`] without a copy. After an error, do not use the bytes in `chunk`.
    pub fn open_chunk_in_place(
        &self,
        index: u32,
        chunk: &mut [u8],
        tag: &[u8; TAG_BYTES as usize],
    ) -> Result<(), OpenError> {
        if self.layout.chunk_length(index) != Some(chunk.len()) {
            return Err(OpenError);
        }
        self.cipher.open(index, self.layout.is_last(index), &self.aad, chunk, tag)
    }

    /// Whether stored plaintext is the plaintext of a chunk with this tag. Sealing the plaintext again must result in
    /// the same tag.
    pub fn is_chunk(&self, index: u32, plaintext: &[u8], tag: &[u8; TAG_BYTES as usize]) -> bool {
        if self.layout.chunk_length(index) != Some(plaintext.len()) {
            return false;
        }
        let mut sealed = plaintext.to_vec();
        let last = self.layout.is_last(index);
        self.cipher.seal(index, last, &self.aad, &mut sealed).is_ok_and(|sealed| sealed == *tag)
    }

    /// Opens a whole object in memory.
    pub fn open_whole(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if sealed.len() as u64 != self.layout.sealed_length() {
            return Err(OpenError);
        }
        let (ciphertext, tags) = sealed.split_at(self.layout.plaintext_length() as usize);
        let mut content = Zeroizing::new(ciphertext.to_vec());
        for (index, tag) in (0..self.layout.chunks()).zip(tags.chunks_exact(TAG_BYTES as usize)) {
            let range = self.layout.chunk(index).ok_or(OpenError)?;
            let chunk = &mut content[range.start as usize..range.end as usize];
            self.open_chunk_in_place(index, chunk, tag.try_into().map_err(|_| OpenError)?)?;
        }
        Ok(content)
    }
}
