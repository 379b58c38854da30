//! The mixing secret, which every member has and which goes into every wrap: an attacker who breaks the curve, but was
//! never a member, opens nothing. It changes in each epoch, and the earlier one is encrypted under the later one.

use alloc::vec::Vec;
use core::fmt;

use aes_kw::{KeyInit, KwAes256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{MAX_MEMBERS, hash, kdf};

/// 32 secret bytes. Comparing takes constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MixingSecret([u8; 32]);

impl MixingSecret {
    /// From the parts of the dealers (32 random bytes each) with their hospitals' numbers, ascending. None if there is
    /// no part, if there are more than [`MAX_MEMBERS`], or if the hospitals do not ascend.
    pub fn combine(parts: &[(u16, [u8; 32])]) -> Option<Self> {
        let ascend = parts.is_sorted_by(|(one, _), (next, _)| one < next);
        if parts.is_empty() || parts.len() > MAX_MEMBERS || !ascend {
            return None;
        }
        let hospitals: Vec<_> = parts.iter().map(|(hospital, _)| hospital.to_le_bytes()).collect();
        let hashed: Vec<&[u8]> = hospitals
            .iter()
            .zip(parts)
            .flat_map(|(hospital, (_, part))| [hospital.as_slice(), part.as_slice()])
            .collect();
        Some(Self(hash::bytes("mixing", &hashed)))
    }

    /// The mixing secret with these bytes, as [`encode`](Self::encode) returned them.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, to be kept in secret.
    pub fn encode(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// What the members confirm in public.
    pub fn hash(&self) -> [u8; 32] {
        hash::bytes("mixing-hash", &[&self.0])
    }

    /// What a dealer publishes of its part.
    pub fn part_hash(part: &[u8; 32]) -> [u8; 32] {
        hash::bytes("mixing-part", &[part])
    }

    /// The earlier epoch's mixing secret, encrypted under this one (AES-KW, RFC 3394).
    pub fn link(&self, earlier: &Self) -> [u8; 40] {
        let mut link = [0; 40];
        self.link_key().wrap_key(&earlier.0, &mut link).expect("32 bytes wrap to 40");
        link
    }

    /// The earlier epoch's mixing secret. None if the link was made with another one than this.
    pub fn follow(&self, link: &[u8; 40]) -> Option<Self> {
        let mut earlier = Self([0; 32]);
        self.link_key().unwrap_key(link, &mut earlier.0).ok()?;
        Some(earlier)
    }

    /// What goes into the wraps with this label.
    pub(crate) fn with_label(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        kdf::derive(&self.0, &[b"epione/ctk/v1/mu", label])
    }

    fn link_key(&self) -> KwAes256 {
        let key = kdf::derive(&self.0, &[b"epione/ctk/v1/link"]);
        KwAes256::new((&*key).into())
    }
}

impl PartialEq for MixingSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for MixingSecret {}

impl fmt::Debug for MixingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MixingSecret(..)")
    }
}
