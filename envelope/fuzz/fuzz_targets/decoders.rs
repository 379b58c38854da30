//! Fuzzes every decoder of the sealed formats; the first byte selects one. A decoded value must encode to the
//! same bytes again.

#![no_main]

use codec::{Decode, DecodeAll, Encode};
use epione_envelope::{
    FormatError, body,
    dealing::SealedShares,
    frames::Frames,
    grant::AccessGrant,
    object::SealedObject,
    opening::SealedPartial,
    profile::ProfileBody,
    query::{QueryGrant, SealedTerms},
    record::{Disclosure, Record, SignedDraft},
    sealing_keys::{SealingPublicKey, Wrap},
};
use epione_primitives::block::{AnnouncedEntries, AnnouncedHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((format, bytes)) = input.split_first() else { return };
    match format % 14 {
        0 => canonical(bytes, Record::decode_exactly(bytes)),
        1 => canonical(bytes, SealedObject::decode_exactly(bytes)),
        2 => canonical(bytes, Disclosure::decode_exactly(bytes)),
        3 => canonical(bytes, ProfileBody::decode_exactly(bytes)),
        4 => canonical(bytes, AccessGrant::decode_exactly(bytes)),
        5 => canonical(bytes, SealingPublicKey::from_bytes(bytes)),
        6 => drop(Wrap::decode(&mut &bytes[..])),
        7 => drop(SignedDraft::from_json(bytes)),
        8 => frames(bytes),
        9 => canonical(bytes, QueryGrant::decode_exactly(bytes)),
        10 => canonical(bytes, SealedTerms::decode_exactly(bytes)),
        11 => canonical(bytes, SealedShares::decode_exactly(bytes)),
        12 => canonical(bytes, SealedPartial::decode_exactly(bytes)),
        _ => announced_body(bytes),
    }
});

fn canonical(bytes: &[u8], decoded: Result<impl Encode, FormatError>) {
    if let Ok(decoded) = decoded {
        assert_eq!(decoded.encode(), bytes);
    }
}

fn frames(bytes: &[u8]) {
    let Ok(index) = Frames::decode_all(&mut &bytes[..]) else { return };
    assert_eq!(index.encode(), bytes);
    let content = bytes.len() as u64;
    if index.validate(content).is_ok() {
        let last = index.extent(index.count());
        assert!(index.count() == 0 || last.is_ok_and(|last| last.bytes.end <= content));
    }
}

fn announced_body(mut bytes: &[u8]) {
    let announced = <(AnnouncedHeader, AnnouncedEntries)>::decode(&mut bytes);
    if let Ok((header, entries)) = announced {
        drop(body::check(&header, &entries, bytes));
    }
}
