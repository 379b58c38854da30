//! What a disclosure tells about the sections that it does not show: nothing, also if there are few to choose from.

use epione_envelope::record::Salt;

use super::*;

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_guess_of_a_short_hidden_section_cannot_be_tested_with_what_a_disclosure_contains() {
    let case = Case::new().await;
    let file = case.make(&[0, 2, 3, 5]).await;
    let record = &case.records[0];
    let (_, hidden) = case.described(0, &[4]).remove(0);
    assert!(!contains(&file, hidden.salt.as_bytes()) && !contains(&file, b"female"));
    assert!(!contains(&file, &hidden.content_root) && !contains(&file, b"756.1234"));
    // The attacker knows the kind, the media type and the possible contents, and takes every 32 bytes for the salt.
    let leaf = record.leaves()[4];
    let guess = |text: &str, salt: Salt| {
        let guess = Description::of(hidden.kind, &hidden.media_type, "", text.as_bytes()).unwrap();
        Description { salt, ..guess }.leaf(&record.id(), 4, 6)
    };
    assert_eq!(guess("female", hidden.salt.clone()), leaf);
    for text in ["female", "male", "other"] {
        for window in file.windows(32) {
            let salt = Salt::from_bytes(window.try_into().unwrap());
            assert_ne!(guess(text, salt), leaf);
        }
    }
}

#[tokio::test]
async fn a_hidden_short_text_is_as_long_as_every_other_one_in_a_disclosure() {
    let case = Case::new().await;
    let file = case.make(&[0, 2, 3, 5]).await;
    let record = &case.records[0];
    assert!(contains(&file, &record.encode()));
    let lengths: Vec<_> = record.sections()[..5].iter().map(Encode::encoded_size).collect();
    assert_eq!(lengths, [lengths[0]; 5]);
}
