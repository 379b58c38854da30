//! A share of the consortium key opens only for its seat, of its dealer, in its ceremony, on its chain.

use codec::{Compact, Encode};
use epione_envelope::{
    FormatError, OpenError,
    account::Signer,
    dealing::{DealingContext, SealedShares, SharePart},
    sealing_keys::{SealingKeyPair, SealingSuite, Wrap},
};
use epione_primitives::{
    Hash, HospitalId,
    consortium::CeremonyId,
    limits::{MAX_SEALED_SHARES_BYTES, MAX_SEATS},
};

use crate::fixture::{account, account_id, genesis, sealing_keys};

const CEREMONY: CeremonyId = CeremonyId(7);
const DEALER: HospitalId = HospitalId(1);
const SEAT: HospitalId = HospitalId(2);
const OTHER: HospitalId = HospitalId(5);

fn keys(seat: HospitalId) -> SealingKeyPair {
    sealing_keys(&format!("seat {seat}"))
}

/// Each seat gets a share of its own, and the same part.
fn given(seat: HospitalId) -> SharePart {
    let share = [u8::try_from(seat.0).unwrap(); 32];
    SharePart { share, part: [0xaa; 32], earlier: Some([0xbb; 32]) }
}

fn sealed() -> SealedShares {
    let seats = [DEALER, SEAT, OTHER].map(|seat| (seat, keys(seat).public().clone()));
    SealedShares::seal(&seats, genesis(), CEREMONY, DEALER, given, &account("dealer")).unwrap()
}

fn context(seat: HospitalId) -> DealingContext {
    DealingContext { genesis: genesis(), ceremony: CEREMONY, dealer: DEALER, seat }
}

/// The encoded wrap of one seat.
fn wrap(context: &DealingContext, plaintext: &[u8]) -> Vec<u8> {
    let keys = keys(context.seat);
    Wrap::seal(keys.public(), context, plaintext, &account("dealer")).unwrap().encode()
}

/// Sealed shares with these wraps, whatever they contain.
fn with(wraps: &[(HospitalId, Vec<u8>)]) -> Vec<u8> {
    let count = Compact(u32::try_from(wraps.len()).unwrap()).encode();
    let wraps = wraps.iter().map(|(seat, wrap)| [&seat.encode()[..], wrap].concat());
    [vec![1], count].into_iter().chain(wraps).collect::<Vec<_>>().concat()
}

fn content() -> Vec<u8> {
    vec![3; 64]
}

#[test]
fn each_seat_opens_its_own_share() {
    let encoded = sealed().encode();
    let sealed = SealedShares::decode_exactly(&encoded).unwrap();
    assert_eq!(sealed.encode(), encoded);
    assert_eq!(sealed.seats().collect::<Vec<_>>(), [DEALER, SEAT, OTHER]);
    for seat in [DEALER, SEAT, OTHER] {
        let opened = sealed.open(&context(seat), &keys(seat), &account_id("dealer")).unwrap();
        let SharePart { share, part, earlier } = &given(seat);
        assert_eq!((&opened.share, &opened.part, &opened.earlier), (share, part, earlier));
    }
}

#[test]
fn a_share_in_another_context_is_refused() {
    let here = context(SEAT);
    let elsewhere = [
        ("chain", DealingContext { genesis: Hash::zero(), ..here }),
        ("ceremony", DealingContext { ceremony: CeremonyId(8), ..here }),
        ("dealer", DealingContext { dealer: OTHER, ..here }),
        ("seat", DealingContext { seat: OTHER, ..here }),
        ("seat without a share", DealingContext { seat: HospitalId(9), ..here }),
    ];
    for (what, context) in elsewhere {
        let opened = sealed().open(&context, &keys(SEAT), &account_id("dealer"));
        assert_eq!(opened.err(), Some(OpenError), "the {what} is not bound");
    }
}

#[test]
fn a_share_opens_with_no_other_key_and_for_no_other_dealers_account() {
    let agent = account_id("dealer");
    // A key of an earlier ceremony, the key of another seat, and the hospital's key of other formats.
    for name in ["seat 2 earlier", "seat 5", "hospital"] {
        let opened = sealed().open(&context(SEAT), &sealing_keys(name), &agent);
        assert_eq!(opened.err(), Some(OpenError), "{name}");
    }
    let opened = sealed().open(&context(SEAT), &keys(SEAT), &account_id("other"));
    assert_eq!(opened.err(), Some(OpenError));
}

#[test]
fn a_share_that_was_moved_to_another_seat_opens_for_neither() {
    let (its, other) = (wrap(&context(SEAT), &content()), wrap(&context(OTHER), &content()));
    let agent = account_id("dealer");
    let honest = with(&[(SEAT, its.clone()), (OTHER, other.clone())]);
    let honest = SealedShares::decode_exactly(&honest).unwrap();
    assert!(honest.open(&context(SEAT), &keys(SEAT), &agent).is_ok());
    let moved = SealedShares::decode_exactly(&with(&[(SEAT, other), (OTHER, its)])).unwrap();
    for seat in [SEAT, OTHER] {
        let opened = moved.open(&context(seat), &keys(seat), &agent);
        assert_eq!(opened.err(), Some(OpenError), "seat {seat}");
    }
    // Nor does another dealer pass off what this one sealed.
    let copied = moved.open(
        &DealingContext { dealer: OTHER, ..context(SEAT) },
        &keys(SEAT),
        &account("other").account(),
    );
    assert_eq!(copied.err(), Some(OpenError));
}

#[test]
fn every_changed_byte_of_a_share_is_refused() {
    let encoded = with(&[(SEAT, wrap(&context(SEAT), &content()))]);
    for position in (0..encoded.len()).filter(|position| position % 17 == 0 || *position > 1120) {
        let mut edited = encoded.clone();
        edited[position] ^= 1;
        let Ok(edited) = SealedShares::decode_exactly(&edited) else { continue };
        let opened = edited.open(&context(SEAT), &keys(SEAT), &account_id("dealer"));
        assert_eq!(opened.err(), Some(OpenError), "byte {position}");
    }
}

#[test]
fn sealed_shares_that_are_not_canonical_are_refused() {
    let of = |seat| (seat, wrap(&context(seat), &content()));
    let decode = |wraps: &[(HospitalId, Vec<u8>)]| SealedShares::decode_exactly(&with(wraps));
    assert!(decode(&[of(SEAT), of(OTHER)]).is_ok());
    for (wraps, reason) in [
        (vec![], "no share is sealed"),
        (vec![of(OTHER), of(SEAT)], "do not ascend"),
        (vec![of(SEAT), of(SEAT)], "do not ascend"),
        (vec![(SEAT, wrap(&context(SEAT), &[3; 63]))], "another length"),
        (vec![(SEAT, wrap(&context(SEAT), &[3; 65]))], "another length"),
        (vec![(SEAT, wrap(&context(SEAT), &[3; 95]))], "another length"),
        (vec![(SEAT, wrap(&context(SEAT), &[3; 97]))], "another length"),
        (vec![of(SEAT), (OTHER, wrap(&context(OTHER), &[3; 96]))], "different lengths"),
        (vec![(SEAT, wrap(&context(SEAT), &[]))], "another length"),
    ] {
        let refused = decode(&wraps).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
    let weaker = SealingKeyPair::generate(SealingSuite::X25519);
    let weaker = Wrap::seal(weaker.public(), &context(SEAT), &content(), &account("dealer"));
    let refused = decode(&[(SEAT, weaker.unwrap().encode())]).unwrap_err().to_string();
    assert!(refused.contains("X-Wing"), "{refused}");

    let encoded = sealed().encode();
    let trailing = SealedShares::decode_exactly(&[&encoded[..], &[0]].concat());
    assert!(matches!(trailing, Err(FormatError::TrailingBytes { extra: 1, .. })), "{trailing:?}");
    let other_suite = SealedShares::decode_exactly(&[&[2], &encoded[1..]].concat());
    assert!(matches!(other_suite, Err(FormatError::UnknownSuite { suite: 2, .. })));
}

#[test]
fn more_sealed_shares_than_seats_and_more_bytes_than_the_limit_are_refused() {
    let one = wrap(&context(SEAT), &content());
    let of = |count: u16| {
        let wraps: Vec<_> = (0..count).map(|seat| (HospitalId(seat), one.clone())).collect();
        SealedShares::decode_exactly(&with(&wraps))
    };
    let most = u16::try_from(MAX_SEATS).unwrap();
    assert!(of(most).is_ok());
    let refused = of(most + 1).unwrap_err();
    assert!(
        matches!(refused, FormatError::TooLarge { .. } | FormatError::Malformed { .. }),
        "{refused}"
    );
    let padded = [vec![1], vec![0; MAX_SEALED_SHARES_BYTES as usize]].concat();
    let refused = SealedShares::decode_exactly(&padded).unwrap_err();
    assert!(matches!(refused, FormatError::TooLarge { .. }), "{refused}");
}
