//! An attacker who has a sealed object's bytes, but not its key, can only damage it.

use codec::{Compact, Decode, Encode};
use epione_envelope::{
    OpenError,
    keys::ContentKey,
    object::{
        ChunkCipher, DefaultCipher, ObjectContext, ObjectOpener, Parameters, Part, PortableCipher,
    },
};

use crate::fixture::{content, media_context, other_contexts, seal};

const CHUNK: usize = 4096;
const CHUNKS: usize = 4;

struct Victim {
    key: ContentKey,
    parameters: Parameters,
    chunks: Vec<Vec<u8>>,
    tags: Vec<Vec<u8>>,
}

fn victim(key: &ContentKey) -> Victim {
    let plaintext = content(CHUNK * CHUNKS);
    let (parameters, sealed) = seal::<DefaultCipher>(key, &media_context(), &plaintext);
    let (ciphertext, tags) = sealed.split_at(plaintext.len());
    let pieces = |bytes: &[u8], size| bytes.chunks(size).map(<[u8]>::to_vec).collect();
    Victim {
        key: key.clone(),
        parameters,
        chunks: pieces(ciphertext, CHUNK),
        tags: pieces(tags, 16),
    }
}

impl Victim {
    fn new() -> Self {
        victim(&ContentKey::generate())
    }

    fn open(&self) -> Result<(), OpenError> {
        let sealed = [self.chunks.concat(), self.tags.concat()].concat();
        ObjectOpener::new(&self.key, &media_context(), &self.parameters)?
            .open_whole(&sealed)
            .map(|_| ())
    }

    /// Claims another length in the stored parameters.
    fn claim_length(&mut self, length: usize) {
        let encoded = self.parameters.encode();
        let old = Compact(self.parameters.layout().plaintext_length()).encode().len();
        let new = Compact(length as u64).encode();
        let edited = [&encoded[..18], &new, &encoded[18 + old..]].concat();
        self.parameters = Parameters::decode(&mut edited.as_slice()).unwrap();
    }
}

#[test]
fn the_untouched_object_opens() {
    assert_eq!(Victim::new().open(), Ok(()));
}

#[test]
fn swapped_chunks_are_refused() {
    let mut victim = Victim::new();
    victim.chunks.swap(1, 2);
    assert_eq!(victim.open(), Err(OpenError));
    victim.tags.swap(1, 2);
    assert_eq!(victim.open(), Err(OpenError));
}

#[test]
fn a_repeated_chunk_is_refused() {
    let mut victim = Victim::new();
    victim.chunks[2] = victim.chunks[1].clone();
    victim.tags[2] = victim.tags[1].clone();
    assert_eq!(victim.open(), Err(OpenError));
}

#[test]
fn an_inserted_chunk_is_refused() {
    let mut victim = Victim::new();
    victim.chunks.insert(2, victim.chunks[1].clone());
    victim.tags.insert(2, victim.tags[1].clone());
    assert_eq!(victim.open(), Err(OpenError));
    victim.claim_length(CHUNK * (CHUNKS + 1));
    assert_eq!(victim.open(), Err(OpenError));
}

#[test]
fn a_dropped_chunk_is_refused() {
    let mut victim = Victim::new();
    victim.chunks.remove(1);
    victim.tags.remove(1);
    assert_eq!(victim.open(), Err(OpenError));
    victim.claim_length(CHUNK * (CHUNKS - 1));
    assert_eq!(victim.open(), Err(OpenError));
}

#[test]
fn a_truncated_object_is_refused() {
    let mut victim = Victim::new();
    victim.chunks.pop();
    victim.tags.pop();
    assert_eq!(victim.open(), Err(OpenError));
    victim.claim_length(CHUNK * (CHUNKS - 1));
    assert_eq!(victim.open(), Err(OpenError));
}

#[test]
fn trailing_bytes_are_refused() {
    let mut victim = Victim::new();
    victim.tags.push(vec![0]);
    assert_eq!(victim.open(), Err(OpenError));
}

#[test]
fn a_chunk_of_another_length_is_refused() {
    let victim = Victim::new();
    let opener = ObjectOpener::new(&victim.key, &media_context(), &victim.parameters).unwrap();
    let tag = victim.tags[0].clone().try_into().unwrap();
    assert!(opener.open_chunk(0, &victim.chunks[0], &tag).is_ok());
    assert_eq!(opener.open_chunk(0, &victim.chunks[0][1..], &tag), Err(OpenError));
    assert_eq!(opener.open_chunk(1, &victim.chunks[0], &tag), Err(OpenError));
    assert_eq!(opener.open_chunk(CHUNKS as u32, &victim.chunks[0], &tag), Err(OpenError));
    assert_eq!(opener.open_chunk(u32::MAX, &victim.chunks[0], &tag), Err(OpenError));
}

#[test]
fn a_flipped_last_flag_is_refused() {
    fn flip<C: ChunkCipher>() {
        let cipher = C::new(&[1; 32], [2; 7]);
        let mut chunk = vec![3; 100];
        for last in [true, false] {
            let tag = cipher.seal(5, last, b"aad", &mut chunk).unwrap();
            assert_eq!(cipher.open(5, !last, b"aad", &mut chunk.clone(), &tag), Err(OpenError));
            assert_eq!(cipher.open(5, last, b"aad", &mut chunk, &tag), Ok(()));
        }
    }
    flip::<DefaultCipher>();
    flip::<PortableCipher>();
}

#[test]
fn a_splice_between_objects_is_refused_even_under_one_key() {
    let key = ContentKey::generate();
    let (mut one, two) = (victim(&key), victim(&key));
    one.chunks[1] = two.chunks[1].clone();
    one.tags[1] = two.tags[1].clone();
    assert_eq!(one.open(), Err(OpenError));

    let mut whole = victim(&key);
    whole.chunks = two.chunks;
    whole.tags = two.tags;
    assert_eq!(whole.open(), Err(OpenError));
}

#[test]
fn every_edit_of_the_header_is_refused() {
    let victim = Victim::new();
    let encoded = victim.parameters.encode();
    for position in 0..encoded.len() {
        for bit in 0..8 {
            let mut edited = encoded.clone();
            edited[position] ^= 1 << bit;
            let Ok(parameters) = Parameters::decode(&mut edited.as_slice()) else { continue };
            let opener = ObjectOpener::new(&victim.key, &media_context(), &parameters);
            assert!(opener.is_err(), "bit {bit} of byte {position} is not bound");
        }
    }
}

#[test]
fn every_changed_byte_of_the_ciphertext_or_tags_is_refused() {
    let victim = Victim::new();
    let sealed = [victim.chunks.concat(), victim.tags.concat()].concat();
    let opener = ObjectOpener::new(&victim.key, &media_context(), &victim.parameters).unwrap();
    for position in (0..sealed.len()).step_by(97).chain(CHUNK * CHUNKS..sealed.len()) {
        let mut edited = sealed.clone();
        edited[position] ^= 1;
        assert_eq!(opener.open_whole(&edited).map(|_| ()), Err(OpenError));
    }
}

#[test]
fn an_object_in_another_context_is_refused() {
    let victim = Victim::new();
    let here = media_context();
    let mut elsewhere: Vec<_> = other_contexts()
        .into_iter()
        .map(|(what, section)| (what, ObjectContext { section, ..here }))
        .collect();
    elsewhere.push(("part", ObjectContext { part: Part::Text, ..here }));
    elsewhere.push(("version", ObjectContext { version: 2, ..here }));
    for (what, context) in elsewhere {
        assert!(
            ObjectOpener::new(&victim.key, &context, &victim.parameters).is_err(),
            "the {what} is not bound"
        );
    }
}

#[test]
fn another_key_is_refused_before_anything_is_decrypted() {
    let victim = Victim::new();
    assert!(
        ObjectOpener::new(&ContentKey::generate(), &media_context(), &victim.parameters).is_err()
    );
}
