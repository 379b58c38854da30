//! Each implementation opens what the other seals, and the same input gives the same bytes.

use codec::Encode;
use epione_envelope::{
    keys::{ContentKey, PatientKey},
    object::{DefaultCipher, ObjectOpener, Part, PortableCipher, SealedObject},
};
use proptest::prelude::*;

use crate::{
    fixture::{content, media_context, seal, section_context},
    oracle,
};

/// Lengths around the chunk size of 4 KiB.
const LENGTHS: [usize; 9] = [0, 1, 15, 4095, 4096, 4097, 8192, 12_288, 20_000];

#[test]
fn the_second_implementation_opens_objects_of_the_library() {
    let key = ContentKey::generate();
    for length in LENGTHS {
        let plaintext = content(length);
        let (parameters, sealed) = seal::<DefaultCipher>(&key, &media_context(), &plaintext);
        let opened = oracle::open(key.as_bytes(), &media_context(), &parameters.encode(), &sealed);
        assert_eq!(opened, Some(plaintext));
    }
}

#[test]
fn the_library_opens_objects_of_the_second_implementation() {
    let key = ContentKey::generate();
    for length in LENGTHS {
        let plaintext = content(length);
        let header = oracle::Header {
            object_id: [7; 16],
            chunk_bits: 12,
            length: length as u64,
            salt: [8; 32],
        };
        let context = media_context();
        let (parameters, sealed) = oracle::seal(key.as_bytes(), &context, &header, &plaintext);
        let object = SealedObject::decode_exactly(&[parameters, sealed].concat()).unwrap();
        assert_eq!(*object.open(&key, &context).unwrap(), plaintext);
    }
}

#[test]
fn the_portable_and_the_fast_cipher_open_each_others_objects() {
    let (key, context) = (ContentKey::generate(), media_context());
    for length in LENGTHS {
        let plaintext = content(length);
        let (parameters, sealed) = seal::<PortableCipher>(&key, &context, &plaintext);
        let fast = ObjectOpener::new(&key, &context, &parameters).unwrap();
        assert_eq!(*fast.open_whole(&sealed).unwrap(), plaintext);

        let (parameters, sealed) = seal::<DefaultCipher>(&key, &context, &plaintext);
        let portable =
            ObjectOpener::<PortableCipher>::with_cipher(&key, &context, &parameters).unwrap();
        assert_eq!(*portable.open_whole(&sealed).unwrap(), plaintext);
    }
}

#[test]
fn content_keys_wrap_to_the_same_bytes_in_both() {
    let (patient_key, key) = (PatientKey::generate(), ContentKey::generate());
    let context = section_context();
    for version in [1, 2, 255] {
        let wrapped = patient_key.wrap(version, &key, &context).encode();
        assert_eq!(
            wrapped,
            oracle::wrap(patient_key.as_bytes(), version, key.as_bytes(), &context)
        );
        let unwrapped = oracle::unwrap(patient_key.as_bytes(), version, &wrapped, &context);
        assert_eq!(unwrapped.as_deref(), Some(key.as_bytes().as_slice()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_second_implementation_opens_any_content(
        plaintext in prop::collection::vec(any::<u8>(), 0..20_000),
        key: [u8; 32],
        version: u32,
    ) {
        let key = ContentKey::from_bytes(key);
        let mut context = media_context();
        (context.version, context.part) = (version, Part::Text);
        let (parameters, sealed) = seal::<DefaultCipher>(&key, &context, &plaintext);
        let opened = oracle::open(key.as_bytes(), &context, &parameters.encode(), &sealed);
        prop_assert_eq!(opened, Some(plaintext));
    }

    #[test]
    fn any_split_of_the_content_seals_the_same_content(
        plaintext in prop::collection::vec(any::<u8>(), 0..20_000),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        use epione_envelope::object::ObjectSealer;
        let (key, context) = (ContentKey::generate(), media_context());
        let length = plaintext.len() as u64;
        let mut sealer =
            ObjectSealer::<DefaultCipher>::with_cipher(&key, &context, length, 4096).unwrap();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(plaintext.len() + 1)).collect();
        cuts.extend([0, plaintext.len()]);
        cuts.sort_unstable();
        let mut sealed = Vec::new();
        for cut in cuts.windows(2) {
            sealed.extend(sealer.push(&plaintext[cut[0]..cut[1]]).unwrap());
        }
        let (parameters, rest) = sealer.finish().unwrap();
        sealed.extend(rest);
        let opener = ObjectOpener::new(&key, &context, &parameters).unwrap();
        let opened = opener.open_whole(&sealed).unwrap();
        prop_assert_eq!(&*opened, &plaintext);
    }
}
