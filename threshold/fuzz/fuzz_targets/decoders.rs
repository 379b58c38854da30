//! Fuzzes every decoder of the consortium key; the first byte selects one. A decoded value must encode to the same
//! bytes again, and whatever was decoded can be checked and combined without a panic.

#![no_main]

use epione_threshold::{
    Commitments, Index, KnowledgeProof, MixingSecret, Partial, Point, Share, WRAP_LENGTH, Wrap,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((format, bytes)) = input.split_first() else { return };
    match format % 6 {
        0 => point(bytes),
        1 => share(bytes),
        2 => commitments(bytes),
        3 => wrap(bytes),
        4 => partial(bytes),
        _ => proof_and_link(bytes),
    }
});

fn point(bytes: &[u8]) {
    let Ok(bytes) = bytes.try_into() else { return };
    if let Some(point) = Point::decode(bytes) {
        assert_eq!(point.encode(), *bytes);
        assert_ne!(point.encode(), [0; 32]);
    }
}

fn share(bytes: &[u8]) {
    let Ok(bytes) = bytes.try_into() else { return };
    if let Some(share) = Share::decode(bytes) {
        assert_eq!(*share.encode(), *bytes);
        assert_eq!(share.public().is_none(), *bytes == [0; 32]);
    }
}

/// Two bytes of a hospital, a share, and points.
fn commitments(bytes: &[u8]) {
    let Some((hospital, bytes)) = bytes.split_first_chunk() else { return };
    let Some((share, points)) = bytes.split_first_chunk() else { return };
    let (points, []) = points.as_chunks() else { return };
    let Some(commitments) = Commitments::decode(points) else { return };
    assert_eq!(commitments.encode(), points);
    let at = Index::of_hospital(u16::from_le_bytes(*hospital));
    if let Some(share) = Share::decode(share) {
        assert_eq!(commitments.includes(at, &share), commitments.evaluate(at) == share.public());
    }
    assert_eq!(Commitments::sum(std::slice::from_ref(&commitments)).as_ref(), Some(&commitments));
    let one = [(at, commitments)];
    assert_eq!(Commitments::interpolate(&one).as_ref(), Some(&one[0].1));
}

/// A wrap, and the rest as its label.
fn wrap(bytes: &[u8]) {
    let Some((bytes, label)) = bytes.split_first_chunk::<WRAP_LENGTH>() else { return };
    let Some(wrap) = Wrap::decode(bytes) else { return };
    assert_eq!(wrap.encode(), *bytes);
    if let Some(point) = wrap.check(label) {
        assert_eq!(point.encode(), bytes[..32]);
        assert!(wrap.open(label, &[0; 32], &point).is_none());
    }
}

fn partial(bytes: &[u8]) {
    let Some(partial) = Partial::decode(bytes) else { return };
    assert_eq!(*partial.encode(), bytes);
    let values = partial.values();
    // Nobody finds a proof by chance.
    assert!(!partial.check(&values[0], values, b""));
    let combined = Partial::combine(&[(Index::of_hospital(0), &partial)]);
    assert_eq!(combined.as_ref().map(|it| it.as_slice()), Some(values));
}

/// A proof of knowledge of the point that follows it, or a link under the secret that follows it.
fn proof_and_link(bytes: &[u8]) {
    if let Some((proof, rest)) = bytes.split_first_chunk()
        && let Some((point, context)) = rest.split_first_chunk()
        && let Some(point) = Point::decode(point)
    {
        // Nobody finds a proof by chance.
        assert!(!KnowledgeProof(*proof).verify(&point, context));
    }
    if let Some((link, rest)) = bytes.split_first_chunk()
        && let Some((secret, _)) = rest.split_first_chunk()
    {
        let secret = MixingSecret::from_bytes(*secret);
        if let Some(earlier) = secret.follow(link) {
            assert_eq!(secret.link(&earlier), *link);
        }
    }
}
