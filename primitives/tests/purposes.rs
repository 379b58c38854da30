//! The purposes: requests, grants and consents that are signed already contain their codec indices.

use codec::Encode;
use epione_primitives::{Word, access::Purpose};

#[test]
fn a_purpose_keeps_its_index_and_its_word() {
    let written: Vec<_> =
        Purpose::ALL.iter().map(|purpose| (purpose.encode(), purpose.spelled())).collect();
    let expected = [
        "treatment",
        "patient-request",
        "research",
        "audit",
        "emergency",
        "payment",
        "public-health",
    ];
    let expected: Vec<_> =
        (0_u8..).zip(expected).map(|(index, word)| (vec![index], word)).collect();
    assert_eq!(written, expected);
    for (purpose, (_, word)) in Purpose::ALL.iter().zip(&expected) {
        assert_eq!(Purpose::read(word), Some(*purpose));
        assert_eq!(serde_json::to_value(purpose).ok(), Some((*word).into()));
    }
}
