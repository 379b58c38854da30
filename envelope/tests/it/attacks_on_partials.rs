//! A hospital's part of an opening opens for its requester only, as the part of that hospital, opening and epoch.

use codec::{Compact, Encode};
use epione_envelope::{
    FormatError, OpenError,
    dealing::DealingContext,
    opening::{MAX_SEALED_PARTIAL_BYTES, PartialContent, PartialContext, SealedPartial},
    sealing_keys::{SealingKeyPair, SealingSuite, Wrap},
};
use epione_primitives::{
    Hash, HospitalId,
    consortium::{CeremonyId, EpochId},
    limits::MAX_OPENED_SECTIONS,
    opening::OpeningId,
};

use crate::fixture::{HOSPITAL, account, account_id, genesis, sealing_keys};

const EPOCH: EpochId = EpochId(4);
const WRAPS: Hash = Hash::repeat_byte(6);

fn context() -> PartialContext {
    PartialContext {
        genesis: genesis(),
        opening: OpeningId(7),
        hospital: HOSPITAL,
        epoch: EPOCH,
        wraps: WRAPS,
    }
}

fn content() -> PartialContent {
    let (values, mixing) = (vec![[1; 32], [2; 32]], vec![[3; 32], [4; 32]]);
    PartialContent { values, proof: [5; 64], mixing }
}

fn sealed() -> SealedPartial {
    let doctor = sealing_keys("doctor");
    SealedPartial::seal(&context(), &content(), doctor.public(), &account("agent")).unwrap()
}

fn open(sealed: &SealedPartial, context: &PartialContext) -> Result<PartialContent, OpenError> {
    sealed.open(context, &sealing_keys("doctor"), &account_id("agent"))
}

/// A sealed part with any content, in any context.
fn with(context: &impl Encode, plaintext: &[u8]) -> Vec<u8> {
    let doctor = sealing_keys("doctor");
    let wrap = Wrap::seal(doctor.public(), context, plaintext, &account("agent")).unwrap();
    [vec![1], EPOCH.encode(), WRAPS.encode(), wrap.encode()].concat()
}

#[test]
fn the_requester_opens_the_part_that_the_hospital_sealed() {
    let encoded = sealed().encode();
    let sealed = SealedPartial::decode_exactly(&encoded).unwrap();
    assert_eq!((sealed.encode(), sealed.epoch(), sealed.wraps()), (encoded, EPOCH, WRAPS));
    assert!(open(&sealed, &context()).unwrap() == content());
    // A requester may have a sealing key of the other suite.
    let keys = SealingKeyPair::generate(SealingSuite::X25519);
    let sealed = SealedPartial::seal(&context(), &content(), keys.public(), &account("agent"));
    let opened = sealed.unwrap().open(&context(), &keys, &account_id("agent"));
    assert!(opened.unwrap() == content());
}

#[test]
fn a_part_in_another_context_is_refused() {
    let here = context();
    for (what, context) in [
        ("chain", PartialContext { genesis: Hash::zero(), ..here }),
        ("opening", PartialContext { opening: OpeningId(8), ..here }),
        ("hospital", PartialContext { hospital: HospitalId(9), ..here }),
        ("epoch", PartialContext { epoch: EpochId(5), ..here }),
        ("wraps", PartialContext { wraps: Hash::zero(), ..here }),
    ] {
        assert_eq!(open(&sealed(), &context).err(), Some(OpenError), "the {what} is not bound");
    }
}

#[test]
fn the_epoch_that_a_part_states_cannot_be_changed() {
    let mut encoded = sealed().encode();
    encoded[1] ^= 1;
    let moved = SealedPartial::decode_exactly(&encoded).unwrap();
    let stated = PartialContext { epoch: moved.epoch(), ..context() };
    assert_ne!(moved.epoch(), EPOCH);
    assert_eq!(open(&moved, &stated).err(), Some(OpenError));
    assert_eq!(open(&moved, &context()).err(), Some(OpenError));
}

#[test]
fn the_wraps_that_a_part_states_cannot_be_changed() {
    let mut encoded = sealed().encode();
    encoded[5] ^= 1;
    let moved = SealedPartial::decode_exactly(&encoded).unwrap();
    let stated = PartialContext { wraps: moved.wraps(), ..context() };
    assert_ne!(moved.wraps(), WRAPS);
    assert_eq!(open(&moved, &stated).err(), Some(OpenError));
    assert_eq!(open(&moved, &context()).err(), Some(OpenError));
}

#[test]
fn an_intercepted_part_opens_with_no_other_key_and_as_no_other_hospitals() {
    for name in ["hospital", "patient", "other"] {
        let opened = sealed().open(&context(), &sealing_keys(name), &account_id("agent"));
        assert_eq!(opened.err(), Some(OpenError), "{name}");
    }
    let opened = sealed().open(&context(), &sealing_keys("doctor"), &account_id("other"));
    assert_eq!(opened.err(), Some(OpenError));
}

#[test]
fn every_changed_byte_of_a_part_is_refused() {
    let encoded = sealed().encode();
    for position in (0..encoded.len()).filter(|position| position % 17 == 0 || *position > 1120) {
        let mut edited = encoded.clone();
        edited[position] ^= 1;
        let Ok(edited) = SealedPartial::decode_exactly(&edited) else { continue };
        assert_eq!(open(&edited, &context()).err(), Some(OpenError), "byte {position}");
    }
}

#[test]
fn a_wrap_of_another_kind_is_no_part() {
    let plaintext = [0; 192];
    let same = SealedPartial::decode_exactly(&with(&context(), &plaintext)).unwrap();
    assert!(open(&same, &context()).is_ok());
    let (ceremony, dealer, seat) = (CeremonyId(7), HOSPITAL, HospitalId(4));
    let other = DealingContext { genesis: genesis(), ceremony, dealer, seat };
    let other = SealedPartial::decode_exactly(&with(&other, &plaintext)).unwrap();
    assert_eq!(open(&other, &context()).err(), Some(OpenError));
}

#[test]
fn parts_that_are_not_canonical_are_refused() {
    let most = 64 + 64 * MAX_OPENED_SECTIONS as usize;
    let decode = |length: usize| SealedPartial::decode_exactly(&with(&context(), &vec![0; length]));
    for length in [128, 192, most] {
        assert!(decode(length).is_ok(), "{length} bytes");
    }
    for length in [0, 63, 64, 127, 129, 160, most + 64] {
        let refused = decode(length).unwrap_err();
        let is_refused = matches!(&refused, FormatError::Malformed { .. });
        assert!(is_refused, "{length} bytes: {refused}");
        assert!(refused.to_string().contains("another length"), "{length} bytes: {refused}");
    }
    let encoded = sealed().encode();
    let trailing = SealedPartial::decode_exactly(&[&encoded[..], &[0]].concat());
    assert!(matches!(trailing, Err(FormatError::TrailingBytes { extra: 1, .. })), "{trailing:?}");
    let other_suite = SealedPartial::decode_exactly(&[&[2], &encoded[1..]].concat());
    assert!(matches!(other_suite, Err(FormatError::UnknownSuite { suite: 2, .. })));
    let padded =
        SealedPartial::decode_exactly(&[vec![1], vec![0; MAX_SEALED_PARTIAL_BYTES]].concat());
    assert!(matches!(padded, Err(FormatError::TooLarge { .. })), "{padded:?}");
    // A ciphertext that says that it is longer than the input.
    let (head, length) = ([EPOCH.encode(), WRAPS.encode()].concat(), Compact(4_000_u32).encode());
    let lying = [vec![1], head, vec![1], vec![0; 1120], length];
    assert!(SealedPartial::decode_exactly(&lying.concat()).is_err());
}
