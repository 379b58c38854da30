//! Symmetric keys. Every section of a record has its own content key. A patient key wraps the
//! content keys of that patient's records at one hospital.
//!
//! Patient keys have versions. Each rotation of the patient's or the hospital's sealing key adds a fresh one, and later
//! records are sealed under it. So a thief of an old sealing key cannot read these records. Earlier versions stay for
//! reading what was sealed under them. The version is part of the context of each wrap.

use std::fmt;

use aes_kw::{KeyInit, KwAes256};
use codec::{Decode, Encode};
use epione_primitives::{Hash, HospitalId, RecordId, UserId, limits::MAX_PATIENT_KEYS};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{FormatError, OpenError, random};

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
    /// A key (SEK) of a patient at a hospital. It decrypts all records that were sealed there under its version.
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

/// The context of an earlier patient key under the newest one. The wrapped key is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub(crate) struct EarlierKeyContext {
    pub(crate) genesis: Hash,
    pub(crate) hospital: HospitalId,
    pub(crate) patient: UserId,
    /// The version of the key that wraps.
    pub(crate) newest: u32,
    /// The version of the wrapped key.
    pub(crate) version: u32,
}

/// A key under a patient key: AES-256 key wrap (RFC 3394), 40 bytes. The wrapped key is a content key, or an earlier
/// version of the patient key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WrappedKey([u8; 40]);

impl PatientKey {
    /// Wraps a content key. `version` is the version of this patient key. The content key unwraps with this version in
    /// this context only.
    pub fn wrap(&self, version: u32, key: &ContentKey, context: &SectionContext) -> WrappedKey {
        wrapped(&self.content_key_wrapping(version, context), key.as_bytes())
    }

    pub fn unwrap_key(
        &self,
        version: u32,
        wrapped: &WrappedKey,
        context: &SectionContext,
    ) -> Result<ContentKey, OpenError> {
        unwrapped(&self.content_key_wrapping(version, context), wrapped).map(ContentKey)
    }

    /// Wraps an earlier version of the patient key under this version.
    pub(crate) fn wrap_earlier(&self, key: &Self, context: &EarlierKeyContext) -> WrappedKey {
        wrapped(&self.earlier_key_wrapping(context), key.as_bytes())
    }

    pub(crate) fn unwrap_earlier(
        &self,
        wrapped: &WrappedKey,
        context: &EarlierKeyContext,
    ) -> Result<Self, OpenError> {
        unwrapped(&self.earlier_key_wrapping(context), wrapped).map(Self)
    }

    /// The key that seals the names in profiles.
    pub(crate) fn name_key(&self) -> ContentKey {
        ContentKey(self.derive(&[b"epione/name-key"]))
    }

    fn content_key_wrapping(&self, version: u32, context: &SectionContext) -> KwAes256 {
        let key = self.derive(&[b"epione/wrapping-key", &(context, version).encode()]);
        KwAes256::new((&*key).into())
    }

    fn earlier_key_wrapping(&self, context: &EarlierKeyContext) -> KwAes256 {
        let key = self.derive(&[b"epione/earlier-key", &context.encode()]);
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

fn wrapped(with: &KwAes256, key: &[u8; 32]) -> WrappedKey {
    let mut wrapped = [0; 40];
    with.wrap_key(key, &mut wrapped).expect("32 bytes are four blocks, and wrap to 40");
    WrappedKey(wrapped)
}

fn unwrapped(with: &KwAes256, wrapped: &WrappedKey) -> Result<Zeroizing<[u8; 32]>, OpenError> {
    let mut key = Zeroizing::new([0; 32]);
    with.unwrap_key(&wrapped.0, key.as_mut_slice()).map_err(|_| OpenError)?;
    Ok(key)
}

/// A patient's keys at one hospital: versions 1 to n, where n is at most [`MAX_PATIENT_KEYS`]. Each rotation of the
/// patient's or the hospital's sealing key adds one.
#[derive(Clone)]
pub struct PatientKeys {
    /// Versions 1 to n - 1.
    earlier: Vec<PatientKey>,
    /// Version n.
    newest: PatientKey,
}

impl PatientKeys {
    /// The keys of a new patient: version 1 only.
    pub fn generate() -> Self {
        Self { earlier: Vec::new(), newest: PatientKey::generate() }
    }

    /// Versions 1 to n, in this order. Fails without keys, and with more than [`MAX_PATIENT_KEYS`].
    pub fn from_keys(mut keys: Vec<PatientKey>) -> Result<Self, OpenError> {
        let newest = keys.pop().ok_or(OpenError)?;
        if keys.len() >= MAX_PATIENT_KEYS as usize {
            return Err(OpenError);
        }
        Ok(Self { earlier: keys, newest })
    }

    /// The newest version and its key. Everything new is sealed under it.
    pub fn newest(&self) -> (u32, &PatientKey) {
        (self.versions(), &self.newest)
    }

    /// The key of a version, from 1.
    pub fn get(&self, version: u32) -> Option<&PatientKey> {
        if version == self.versions() {
            return Some(&self.newest);
        }
        self.earlier.get(version.checked_sub(1)? as usize)
    }

    /// The number of versions, which is the newest version.
    pub fn versions(&self) -> u32 {
        self.earlier.len() as u32 + 1
    }

    /// The same keys and a fresh one, for a rotation.
    pub fn renewed(&self) -> Result<Self, FormatError> {
        let (actual, limit) = (u64::from(self.versions()) + 1, u64::from(MAX_PATIENT_KEYS));
        if actual > limit {
            let what = "the number of a patient's keys";
            return Err(FormatError::TooLarge { what, actual, limit });
        }
        // Never reallocates, so no copy of a key stays in freed memory.
        let mut earlier = Vec::with_capacity(self.earlier.len() + 1);
        earlier.extend_from_slice(&self.earlier);
        earlier.push(self.newest.clone());
        Ok(Self { earlier, newest: PatientKey::generate() })
    }

    /// All versions but the newest, ascending.
    pub(crate) fn earlier(&self) -> &[PatientKey] {
        &self.earlier
    }
}

impl fmt::Debug for PatientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatientKeys({} versions, secret)", self.versions())
    }
}
