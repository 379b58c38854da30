//! AES-256-GCM over single chunks, by two libraries with identical output.

use aead_stream::{NewStream, StreamBE32, StreamPrimitive};
use aes_gcm::{Aes256Gcm, KeyInit};

use super::TAG_BYTES;
use crate::{OpenError, SealError};

/// Seals and opens chunk `index` of one object. The nonce is prefix ‖ be32(index) ‖ last.
pub trait ChunkCipher {
    fn new(key: &[u8; 32], nonce_prefix: [u8; 7]) -> Self;

    /// Encrypts in place and returns the tag.
    fn seal(
        &self,
        index: u32,
        last: bool,
        aad: &[u8],
        chunk: &mut [u8],
    ) -> Result<[u8; TAG_BYTES as usize], SealError>;

    /// Decrypts in place. After an error, do not use the bytes in `chunk`.
    fn open(
        &self,
        index: u32,
        last: bool,
        aad: &[u8],
        chunk: &mut [u8],
        tag: &[u8; TAG_BYTES as usize],
    ) -> Result<(), OpenError>;
}

/// The fastest cipher of this platform.
#[cfg(not(target_family = "wasm"))]
pub type DefaultCipher = fast::AwsLcCipher;
/// The fastest cipher of this platform.
#[cfg(target_family = "wasm")]
pub type DefaultCipher = PortableCipher;

#[cfg(not(target_family = "wasm"))]
mod fast {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    use super::{ChunkCipher, OpenError, SealError};

    /// aws-lc: vectorized assembly.
    pub struct AwsLcCipher {
        key: LessSafeKey,
        prefix: [u8; 7],
    }

    impl AwsLcCipher {
        fn nonce(&self, index: u32, last: bool) -> Nonce {
            let mut nonce = [0; 12];
            nonce[..7].copy_from_slice(&self.prefix);
            nonce[7..11].copy_from_slice(&index.to_be_bytes());
            nonce[11] = u8::from(last);
            Nonce::assume_unique_for_key(nonce)
        }
    }

    impl ChunkCipher for AwsLcCipher {
        fn new(key: &[u8; 32], prefix: [u8; 7]) -> Self {
            let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes");
            Self { key: LessSafeKey::new(key), prefix }
        }

        fn seal(
            &self,
            index: u32,
            last: bool,
            aad: &[u8],
            chunk: &mut [u8],
        ) -> Result<[u8; 16], SealError> {
            let tag = self
                .key
                .seal_in_place_separate_tag(self.nonce(index, last), Aad::from(aad), chunk)
                .map_err(|_| SealError::Cipher)?;
            tag.as_ref().try_into().map_err(|_| SealError::Cipher)
        }

        fn open(
            &self,
            index: u32,
            last: bool,
            aad: &[u8],
            chunk: &mut [u8],
            tag: &[u8; 16],
        ) -> Result<(), OpenError> {
            self.key
                .open_in_place_separate_tag(self.nonce(index, last), Aad::from(aad), tag, chunk)
                .map(|_| ())
                .map_err(|_| OpenError)
        }
    }
}

/// RustCrypto, for platforms without aws-lc.
pub struct PortableCipher(StreamBE32<Aes256Gcm>);

impl ChunkCipher for PortableCipher {
    fn new(key: &[u8; 32], prefix: [u8; 7]) -> Self {
        Self(StreamBE32::from_aead(Aes256Gcm::new(key.into()), &prefix.into()))
    }

    fn seal(
        &self,
        index: u32,
        last: bool,
        aad: &[u8],
        chunk: &mut [u8],
    ) -> Result<[u8; 16], SealError> {
        let mut buffer = Vec::with_capacity(chunk.len() + TAG_BYTES as usize);
        buffer.extend_from_slice(chunk);
        self.0.encrypt_in_place(index, last, aad, &mut buffer).map_err(|_| SealError::Cipher)?;
        let (ciphertext, tag) = buffer.split_at(chunk.len());
        chunk.copy_from_slice(ciphertext);
        tag.try_into().map_err(|_| SealError::Cipher)
    }

    fn open(
        &self,
        index: u32,
        last: bool,
        aad: &[u8],
        chunk: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), OpenError> {
        let mut buffer = zeroize::Zeroizing::new([&*chunk, tag].concat());
        self.0.decrypt_in_place(index, last, aad, &mut *buffer).map_err(|_| OpenError)?;
        chunk.copy_from_slice(&buffer);
        Ok(())
    }
}
