//! Sealing keys, and wraps sealed to them: HPKE (RFC 9180) with HKDF-SHA256 and AES-256-GCM, over
//! X-Wing (X25519 with ML-KEM-768, because a ledger outlives key exchanges) or over X25519 alone.
//!
//! HPKE in base mode does not authenticate the sealer, so the sealer signs every [`Wrap`] with its account key.
//! Sealing keys never sign.

use std::fmt;

use codec::{Compact, Decode, Encode, Error, Input, Output};
use epione_primitives::{AccountId, Hash, HospitalId, RecordId, Signature, UserId};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::AesGcm256,
    kdf::HkdfSha256,
    kem::{X25519HkdfSha256, XWing},
};
use serde::{Deserialize, Serialize};
use sp_core::{Blake2Hasher, Hasher as _};
use zeroize::Zeroizing;

use crate::{
    FormatError, OpenError, SealError,
    account::{self, Signer},
    random, suite,
};

/// Maximum bytes of plaintext in one wrap.
pub const MAX_WRAPPED_BYTES: usize = 256 * 1024;
/// Bytes that AES-256-GCM adds.
const TAG_BYTES: usize = 16;

/// The algorithms of a sealing key. Its byte is the first byte of a key and of a wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealingSuite {
    /// Byte 1.
    #[default]
    XWing,
    /// Byte 2.
    X25519,
}

impl SealingSuite {
    pub fn byte(self) -> u8 {
        match self {
            Self::XWing => 1,
            Self::X25519 => 2,
        }
    }

    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::XWing, Self::X25519].into_iter().find(|suite| suite.byte() == byte)
    }

    fn public_key_bytes(self) -> usize {
        match self {
            Self::XWing => 1216,
            Self::X25519 => 32,
        }
    }

    fn encapsulated_bytes(self) -> usize {
        match self {
            Self::XWing => 1120,
            Self::X25519 => 32,
        }
    }
}

/// A public sealing key: the suite byte, then the key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingPublicKey {
    suite: SealingSuite,
    /// Starts with the suite byte. The rest is a valid key of the suite.
    bytes: Vec<u8>,
}

impl SealingPublicKey {
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let what = "the sealing key";
        let malformed = |reason: &str| FormatError::Malformed { what, reason: reason.into() };
        let (&first, key) = bytes.split_first().ok_or_else(|| malformed("it is empty"))?;
        let suite = SealingSuite::from_byte(first)
            .ok_or(FormatError::UnknownSuite { what, suite: first })?;
        let expected = suite.public_key_bytes();
        if key.len() != expected {
            return Err(malformed(&format!("it is {} bytes long, not {expected}", key.len())));
        }
        let parsed = match suite {
            SealingSuite::XWing => <XWing as Kem>::PublicKey::from_bytes(key).map(|_| ()),
            SealingSuite::X25519 => {
                <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(key).map(|_| ())
            }
        };
        parsed.map_err(|_| malformed("it is not a valid key of its suite"))?;
        Ok(Self { suite, bytes: bytes.to_vec() })
    }

    pub fn suite(&self) -> SealingSuite {
        self.suite
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Blake2-256 of the key's bytes. The chain stores this hash.
    pub fn hash(&self) -> Hash {
        Blake2Hasher::hash(&self.bytes)
    }

    fn key(&self) -> &[u8] {
        &self.bytes[1..]
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({:?}, {:?})", self.suite, self.hash())
    }
}

impl Encode for SealingPublicKey {
    fn encode_to<O: Output + ?Sized>(&self, output: &mut O) {
        output.write(&self.bytes);
    }
}

impl Decode for SealingPublicKey {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let first = input.read_byte()?;
        let suite = SealingSuite::from_byte(first)
            .ok_or("this version does not support the sealing suite")?;
        let key = suite::read_bytes(input, suite.public_key_bytes())?;
        Self::from_bytes(&[&[first], key.as_slice()].concat())
            .map_err(|_| "not a valid sealing key".into())
    }
}

/// A sealing key pair, derived from a seed.
#[derive(Clone)]
pub struct SealingKeyPair {
    seed: Zeroizing<[u8; 32]>,
    public: SealingPublicKey,
}

impl SealingKeyPair {
    pub fn generate(suite: SealingSuite) -> Self {
        Self::from_seed(suite, &Zeroizing::new(random::bytes()))
    }

    /// Derives the pair from the seed by HPKE's DeriveKeyPair.
    pub fn from_seed(suite: SealingSuite, seed: &[u8; 32]) -> Self {
        let key = match suite {
            SealingSuite::XWing => XWing::derive_keypair(seed).1.to_bytes().to_vec(),
            SealingSuite::X25519 => X25519HkdfSha256::derive_keypair(seed).1.to_bytes().to_vec(),
        };
        let bytes = [&[suite.byte()], key.as_slice()].concat();
        Self { seed: Zeroizing::new(*seed), public: SealingPublicKey { suite, bytes } }
    }

    pub fn public(&self) -> &SealingPublicKey {
        &self.public
    }

    pub fn suite(&self) -> SealingSuite {
        self.public.suite
    }

    /// The secret seed.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
}

impl fmt::Debug for SealingKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKeyPair(secret, {:?})", self.public)
    }
}

/// What a wrap contains. It is bound to the wrap, so one kind of wrap cannot be passed off as another.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub enum WrapSubject {
    /// The patient key of the user, of this version.
    #[codec(index = 0)]
    PatientKey { version: u32 },
    /// The user's name.
    #[codec(index = 1)]
    Name,
    /// The content key of one section of the user's record.
    #[codec(index = 2)]
    ContentKey { record: RecordId, section: u16 },
    /// The content keys of an access grant, given the hash of its terms and sections.
    #[codec(index = 3)]
    Grant { terms: Hash },
}

/// The context of a wrap. The wrap is bound to it, but does not store it.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct WrapContext {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub hospital: HospitalId,
    /// The user whom the wrap is about.
    pub user: UserId,
    pub subject: WrapSubject,
    /// The account of the recipient.
    pub recipient: AccountId,
}

/// Data sealed to one recipient, and signed by the sealer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrap {
    suite: SealingSuite,
    encapsulated: Vec<u8>,
    ciphertext: Vec<u8>,
    signature: Signature,
}

impl Wrap {
    /// The context is a [`WrapContext`], one of the two contexts in [`query`](crate::query), a
    /// [`DealingContext`](crate::dealing::DealingContext), a [`PartialContext`](crate::opening::PartialContext) or one
    /// of the two contexts in [`custody`](crate::custody). The encodings of all kinds have different lengths, so a wrap
    /// of one kind does not open as another.
    pub fn seal(
        recipient: &SealingPublicKey,
        context: &impl Encode,
        plaintext: &[u8],
        sealer: &impl Signer,
    ) -> Result<Self, SealError> {
        let (actual, limit) = (plaintext.len() as u64, MAX_WRAPPED_BYTES as u64);
        if actual > limit {
            return Err(
                FormatError::TooLarge { what: "the content of a wrap", actual, limit }.into()
            );
        }
        let suite = recipient.suite;
        let info = info(recipient, context, &sealer.account());
        let (encapsulated, ciphertext) = match suite {
            SealingSuite::XWing => seal_with::<XWing>(recipient.key(), &info, plaintext),
            SealingSuite::X25519 => {
                seal_with::<X25519HkdfSha256>(recipient.key(), &info, plaintext)
            }
        }?;
        let signature = sealer.sign(&signed_bytes(suite, &info, &encapsulated, &ciphertext));
        Ok(Self { suite, encapsulated, ciphertext, signature })
    }

    /// Opens the wrap, if `sealer` signed it for this key and this context.
    pub fn open(
        &self,
        keys: &SealingKeyPair,
        context: &impl Encode,
        sealer: &AccountId,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let info = info(&keys.public, context, sealer);
        let Self { suite, encapsulated, ciphertext, signature } = self;
        let signed = signed_bytes(*suite, &info, encapsulated, ciphertext);
        if *suite != keys.suite() || !account::verify(signature, &signed, sealer) {
            return Err(OpenError);
        }
        match suite {
            SealingSuite::XWing => open_with::<XWing>(&keys.seed, encapsulated, &info, ciphertext),
            SealingSuite::X25519 => {
                open_with::<X25519HkdfSha256>(&keys.seed, encapsulated, &info, ciphertext)
            }
        }
    }

    pub fn suite(&self) -> SealingSuite {
        self.suite
    }

    /// Number of bytes of what is sealed; none if the ciphertext is too short to be one.
    pub(crate) fn content_bytes(&self) -> Option<usize> {
        self.ciphertext.len().checked_sub(TAG_BYTES)
    }
}

impl Encode for Wrap {
    fn encode_to<O: Output + ?Sized>(&self, output: &mut O) {
        output.push_byte(self.suite.byte());
        output.write(&self.encapsulated);
        self.ciphertext.encode_to(output);
        self.signature.encode_to(output);
    }
}

impl Decode for Wrap {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let suite = SealingSuite::from_byte(input.read_byte()?)
            .ok_or("this version does not support the sealing suite")?;
        let encapsulated = suite::read_bytes(input, suite.encapsulated_bytes())?;
        let Compact(length) = Compact::<u32>::decode(input)?;
        if length as usize > MAX_WRAPPED_BYTES + TAG_BYTES {
            return Err("the content of a wrap is longer than the limit".into());
        }
        let ciphertext = suite::read_bytes(input, length as usize)?;
        Ok(Self { suite, encapsulated, ciphertext, signature: Signature::decode(input)? })
    }
}

/// HPKE's `info`: everything on which sealer and recipient must agree.
fn info(recipient: &SealingPublicKey, context: &impl Encode, sealer: &AccountId) -> Vec<u8> {
    (b"epione/wrap", recipient.suite.byte(), context, recipient.hash(), sealer).encode()
}

fn signed_bytes(
    suite: SealingSuite,
    info: &[u8],
    encapsulated: &[u8],
    ciphertext: &[u8],
) -> Vec<u8> {
    let hashes = [info, encapsulated, ciphertext].map(Blake2Hasher::hash);
    (b"epione/wrap-signature", suite.byte(), hashes).encode()
}

fn seal_with<K: Kem>(
    key: &[u8],
    info: &[u8],
    plaintext: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), SealError> {
    let key = K::PublicKey::from_bytes(key).map_err(|_| SealError::Cipher)?;
    let mode = OpModeS::<K>::Base;
    let (encapsulated, ciphertext) =
        hpke::single_shot_seal::<AesGcm256, HkdfSha256, K>(&mode, &key, info, plaintext, &[])
            .map_err(|_| SealError::Cipher)?;
    Ok((encapsulated.to_bytes().to_vec(), ciphertext))
}

fn open_with<K: Kem>(
    seed: &[u8; 32],
    encapsulated: &[u8],
    info: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (key, _) = K::derive_keypair(seed);
    let encapsulated = K::EncappedKey::from_bytes(encapsulated).map_err(|_| OpenError)?;
    let mode = OpModeR::<K>::Base;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(
        &mode,
        &key,
        &encapsulated,
        info,
        ciphertext,
        &[],
    )
    .map(Zeroizing::new)
    .map_err(|_| OpenError)
}
