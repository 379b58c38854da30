//! The header of a sealed object: its stored parameters, its context, and the keys derived from them.

use codec::{Compact, Decode, Encode, Error, Input, Output};
use epione_primitives::limits::SEGMENT_BYTES;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{CHUNK_BYTES, ChunkCipher, Layout, MAX_SEALED_BYTES};
use crate::{
    FormatError, OpenError,
    keys::{ContentKey, SectionContext},
    random,
    suite::Suite,
};

/// Accepted chunk sizes: powers of two from 4 KiB to the size of a segment.
const CHUNK_SIZE_BITS: std::ops::RangeInclusive<u8> = 12..=SEGMENT_BYTES.ilog2() as u8;

/// The part of a section in an object. The object is bound to it, so one part cannot be passed off as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub enum Part {
    /// A text section: description and compressed content, padded.
    #[codec(index = 0)]
    Text,
    /// The description of a media section, padded.
    #[codec(index = 1)]
    Description,
    /// The content of a media section.
    #[codec(index = 2)]
    Media,
    /// A patient's name in a profile; record and section are zero.
    #[codec(index = 3)]
    Name,
}

/// The context of an object. The object's header binds it, but does not store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectContext {
    pub section: SectionContext,
    pub part: Part,
    /// The version of the section.
    pub version: u32,
}

impl ObjectContext {
    /// Records and profile bodies are written once, so their objects have version 1.
    pub(crate) fn new(section: SectionContext, part: Part) -> Self {
        Self { section, part, version: 1 }
    }
}

/// The stored part of a sealed object's header: suite, object id, chunk size (its binary logarithm, one
/// byte), plaintext length (compact), salt, commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    object_id: [u8; 16],
    layout: Layout,
    salt: [u8; 32],
    commitment: [u8; 32],
}

/// What is derived from the parameters and the content key.
pub(super) struct Derived<C> {
    pub(super) cipher: C,
    pub(super) aad: [u8; 32],
}

impl Parameters {
    /// Parameters of a new object, with a fresh id and salt.
    pub(super) fn generate(
        key: &ContentKey,
        context: &ObjectContext,
        plaintext_length: u64,
        chunk_size: u32,
    ) -> Result<Self, FormatError> {
        let layout = Self::accepted(chunk_size)
            .and_then(|_| Layout::new(chunk_size, plaintext_length))
            .ok_or(FormatError::TooLarge {
                what: "the content to seal",
                actual: plaintext_length,
                limit: MAX_SEALED_BYTES - MAX_SEALED_BYTES / u64::from(CHUNK_BYTES) * 16,
            })?;
        let (object_id, salt) = (random::bytes(), random::bytes());
        let mut parameters = Self { object_id, layout, salt, commitment: [0; 32] };
        parameters.commitment = parameters.commit(key, context);
        Ok(parameters)
    }

    pub fn object_id(&self) -> &[u8; 16] {
        &self.object_id
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Checks by the commitment that key and context are the object's own, and derives the cipher of its chunks.
    pub(super) fn derive<C: ChunkCipher>(
        &self,
        key: &ContentKey,
        context: &ObjectContext,
    ) -> Result<Derived<C>, OpenError> {
        let commitment = self.commit(key, context);
        if !bool::from(commitment.ct_eq(&self.commitment)) {
            return Err(OpenError);
        }
        let core = self.header_core(context);
        let chunk_key: Zeroizing<[u8; 32]> = self.expand(key, b"epione/object/key", &core);
        let prefix: Zeroizing<[u8; 7]> = self.expand(key, b"epione/object/nonce", &core);
        let aad = Sha256::new().chain_update(&core).chain_update(self.commitment).finalize().into();
        Ok(Derived { cipher: C::new(&chunk_key, *prefix), aad })
    }

    fn commit(&self, key: &ContentKey, context: &ObjectContext) -> [u8; 32] {
        *self.expand(key, b"epione/object/commitment", &self.header_core(context))
    }

    fn expand<const N: usize>(
        &self,
        key: &ContentKey,
        label: &[u8],
        core: &[u8],
    ) -> Zeroizing<[u8; N]> {
        let mut output = Zeroizing::new([0; N]);
        Hkdf::<Sha256>::new(Some(&self.salt), key.as_bytes())
            .expand_multi_info(&[label, core], output.as_mut_slice())
            .expect("32 bytes are less than HKDF-SHA256's 8160");
        output
    }

    /// The header without its commitment.
    fn header_core(&self, context: &ObjectContext) -> Vec<u8> {
        (
            b"epione/object",
            Suite::<1>,
            &self.object_id,
            &context.section,
            context.part,
            context.version,
            self.layout.chunk_size(),
            self.layout.plaintext_length(),
            &self.salt,
        )
            .encode()
    }

    fn accepted(chunk_size: u32) -> Option<u8> {
        let bits = chunk_size.is_power_of_two().then(|| chunk_size.trailing_zeros() as u8)?;
        CHUNK_SIZE_BITS.contains(&bits).then_some(bits)
    }
}

impl Encode for Parameters {
    fn encode_to<O: Output + ?Sized>(&self, output: &mut O) {
        let bits = self.layout.chunk_size().trailing_zeros() as u8;
        let length = Compact(self.layout.plaintext_length());
        (Suite::<1>, &self.object_id, bits, length, &self.salt, &self.commitment).encode_to(output);
    }
}

impl Decode for Parameters {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let (_, object_id, bits, Compact(length), salt, commitment) =
            <(Suite<1>, [u8; 16], u8, Compact<u64>, [u8; 32], [u8; 32])>::decode(input)?;
        if !CHUNK_SIZE_BITS.contains(&bits) {
            return Err("the chunk size is not supported".into());
        }
        let layout = Layout::new(1 << bits, length).ok_or("the sealed object is too long")?;
        Ok(Self { object_id, layout, salt, commitment })
    }
}
