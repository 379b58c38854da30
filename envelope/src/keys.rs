//! Symmetric keys. Every section of a record has its own content key. A patient key wraps the
//! content keys of that patient's records at one hospital.

use aes_kw::{KeyInit, KwAes256};
use codec::{Decode, Encode};
use epione_primitives::{Hash, HospitalId, RecordId, UserId};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{OpenError, random};

macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<[u8; 32]>);

        impl $name {
            /// A fresh key.
            pub fn generate() -> Self {
                Self(Zeroizing::new(random::bytes()))
            }

            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Zeroizing::new(bytes))
            }

            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            pub(crate) fn from_slice(bytes: &[u8]) -> Result<Self, OpenError> {
                bytes.try_into().map(Self::from_bytes).map_err(|_| OpenError)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    };
}

secret_key! {
    /// The key (SEK) of a patient at a hospital. It decrypts all of that patient's records there.
    PatientKey
}

secret_key! {
    /// The key of one section of one record. Each sealed object derives its own keys from it.
    ContentKey
}

/// The context of a section. Everything sealed for a section is bound to it, and opens in no other context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct SectionContext {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub hospital: HospitalId,
    pub patient: UserId,
    pub record: RecordId,
    /// The section's position in the record, from 0.
    pub section: u16,
}

/// A content key under a patient key: AES-256 key wrap (RFC 3394), 40 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WrappedKey([u8; 40]);

impl PatientKey {
    /// Wraps a content key. It unwraps in this context only.
    pub fn wrap(&self, key: &ContentKey, context: &SectionContext) -> WrappedKey {
        let mut wrapped = [0; 40];
        self.wrapping_key(context)
            .wrap_key(key.as_bytes(), &mut wrapped)
            .expect("32 bytes are four blocks, and wrap to 40");
        WrappedKey(wrapped)
    }

    pub fn unwrap_key(
        &self,
        wrapped: &WrappedKey,
        context: &SectionContext,
    ) -> Result<ContentKey, OpenError> {
        let mut key = Zeroizing::new([0; 32]);
        self.wrapping_key(context)
            .unwrap_key(&wrapped.0, key.as_mut_slice())
            .map_err(|_| OpenError)?;
        Ok(ContentKey(key))
    }

    /// The key that seals the names in profiles.
    pub(crate) fn name_key(&self) -> ContentKey {
        ContentKey(self.derive(&[b"epione/name-key"]))
    }

    fn wrapping_key(&self, context: &SectionContext) -> KwAes256 {
        let key = self.derive(&[b"epione/wrapping-key", &context.encode()]);
        KwAes256::new((&*key).into())
    }

    fn derive(&self, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.as_bytes())
            .expand_multi_info(info, key.as_mut_slice())
            .expect("32 bytes are less than HKDF-SHA256's 8160");
        key
    }
}
