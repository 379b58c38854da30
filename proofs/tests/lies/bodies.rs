//! Bytes that are not the body of a lite block.

use epione_primitives::{AnnouncementId, Hash, HospitalId, block};
use epione_proofs::{BodyError, verify_body};
use sp_core::{Blake2Hasher, Hasher};

use crate::chain::flips;

const BODY: &[u8] = b"the sealed texts of two visits";

fn header() -> block::Header {
    block::Header {
        height: 1,
        previous_lite: Hash::zero(),
        previous_cloud: Hash::zero(),
        announcer: HospitalId(0),
        announcement: AnnouncementId(0),
        time: 0,
        records: 2,
        body_hash: Blake2Hasher::hash(BODY),
        body_bytes: BODY.len() as u32,
        segments: block::Segments::default(),
    }
}

#[test]
fn the_body_that_the_header_names_is_accepted() {
    assert_eq!(verify_body(&header(), BODY), Ok(()));
}

#[test]
fn no_byte_of_a_body_can_be_changed() {
    for (at, changed) in flips(BODY) {
        let refused = verify_body(&header(), &changed);
        assert!(matches!(refused, Err(BodyError::OtherHash { .. })), "byte {at} was changed");
    }
}

#[test]
fn a_truncated_or_longer_body_is_refused() {
    let expected = header().body_bytes;
    for found in [0, BODY.len() - 1] {
        let refused = verify_body(&header(), &BODY[..found]);
        assert_eq!(refused, Err(BodyError::OtherLength { expected, found }));
    }
    let longer = [BODY, &[0]].concat();
    let refused = verify_body(&header(), &longer);
    assert_eq!(refused, Err(BodyError::OtherLength { expected, found: longer.len() }));
}
