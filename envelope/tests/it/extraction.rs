//! The author decides what may be extracted from a record. No disclosure breaks these rules, or shows what the author
//! did not sign.

use codec::Encode;
use epione_envelope::{
    ExtractionError, FormatError, SignatureError,
    keys::PatientKeys,
    record::{
        Description, Disclosure, Draft, Extraction, MAX_SECTIONS, Record, Salt, SectionKind,
        SignedDraft,
    },
};
use epione_primitives::{Hash, release::SectionSet};
use proptest::prelude::*;

use crate::{
    fixture::{NURSE, Stated, account, account_id, draft, genesis, seal_draft, stated, visit},
    oracle,
};

const SECTIONS: u16 = 6;

/// Sections 0 to 5. Every disclosure shows section 0, and none shows section 5. Sections 2, 3 and 4 belong together.
fn rules() -> Extraction {
    let together = vec![SectionSet(0b01_1100)].try_into().unwrap();
    Extraction { mandatory: SectionSet(0b00_0001), never: SectionSet(0b10_0000), together }
}

fn record() -> SignedDraft {
    let one = |number: u16| stated(SectionKind::Symptoms, format!("part {number}").as_bytes());
    let parts: Vec<_> = (0..SECTIONS).map(one).collect();
    let draft = draft(&parts).with_extraction(rules()).unwrap();
    draft.sign(genesis(), &account("doctor"))
}

/// What the hospital announced after this draft was signed.
fn committed(signed: &SignedDraft) -> Record {
    let part = |(number, description): (u16, &Description)| Stated {
        description: description.clone(),
        content: format!("part {number}").into_bytes(),
    };
    let parts: Vec<_> = (0..).zip(&signed.draft.sections).map(part).collect();
    seal_draft(signed.clone(), &parts, &PatientKeys::generate()).0
}

fn parts(draft: &Draft, shown: &[u16]) -> Vec<(u16, Description)> {
    shown.iter().map(|index| (*index, draft.sections[usize::from(*index)].clone())).collect()
}

fn disclose(
    signed: &SignedDraft,
    shown: Vec<(u16, Description)>,
) -> Result<Disclosure, FormatError> {
    let (about, leaves) = (signed.draft.authorship(), signed.draft.leaves());
    Disclosure::new(about, leaves, shown, signed.signature.clone())
}

/// A disclosure as an attacker encodes it, without the library's checks.
fn forged(signed: &SignedDraft, leaves: &[Hash], shown: &[(u16, Description)]) -> Disclosure {
    let mut bytes = vec![2_u8];
    bytes.extend(oracle::authorship(&signed.draft.authorship()));
    leaves.encode_to(&mut bytes);
    bytes.push((shown.len() as u8) << 2);
    for (index, description) in shown {
        bytes.extend(index.to_le_bytes());
        oracle::description(&mut bytes, description);
    }
    signed.signature.encode_to(&mut bytes);
    Disclosure::decode_exactly(&bytes).unwrap()
}

/// What a verifier says about these sections, in a disclosure that an attacker encoded.
fn verified(signed: &SignedDraft, shown: &[u16]) -> Result<usize, SignatureError> {
    let forged = forged(signed, &signed.draft.leaves(), &parts(&signed.draft, shown));
    forged.verify(genesis(), &account_id("doctor")).map(<[_]>::len)
}

#[test]
fn the_allowed_subsets_are_shown_and_verified() {
    let signed = record();
    for shown in [&[0][..], &[0, 1], &[0, 2, 3, 4], &[0, 1, 2, 3, 4]] {
        let parts = parts(&signed.draft, shown);
        let disclosure = disclose(&signed, parts.clone()).unwrap();
        let disclosure = Disclosure::decode_exactly(&disclosure.encode()).unwrap();
        assert_eq!(disclosure, forged(&signed, &signed.draft.leaves(), &parts));
        assert_eq!(disclosure.verify(genesis(), &account_id("doctor")), Ok(&parts[..]));
        assert_eq!(disclosure.authorship().extraction, rules());
    }
}

#[test]
fn a_disclosure_that_breaks_a_rule_is_neither_made_nor_accepted() {
    let signed = record();
    let mandatory = ExtractionError::Mandatory { section: 0 };
    let never = ExtractionError::Never { section: 5 };
    let together = ExtractionError::Together { group: SectionSet(0b01_1100) };
    let broken: [(&[u16], ExtractionError); 8] = [
        (&[], mandatory),
        (&[1], mandatory),
        (&[2, 3, 4], mandatory),
        (&[0, 5], never),
        (&[0, 1, 2, 3, 4, 5], never),
        (&[0, 2], together),
        (&[0, 3, 4], together),
        (&[0, 1, 2, 4], together),
    ];
    for (shown, error) in broken {
        let made = disclose(&signed, parts(&signed.draft, shown));
        assert_eq!(made, Err(FormatError::Extraction(error)), "{shown:?}");
        let accepted = verified(&signed, shown);
        assert_eq!(accepted, Err(SignatureError::Extraction(error)), "{shown:?}");
    }
    assert!(together.to_string().contains("sections 2, 3, 4 only together"));
}

#[test]
fn rules_that_were_loosened_after_signing_are_refused() {
    let mut signed = record();
    for loosened in [
        Extraction::default(),
        Extraction { mandatory: SectionSet(0), ..rules() },
        Extraction { never: SectionSet(0), ..rules() },
        Extraction { together: Default::default(), ..rules() },
    ] {
        signed.draft.extraction = loosened;
        assert_eq!(verified(&signed, &[0]), Err(SignatureError::Invalid));
    }
}

#[test]
fn a_disclosure_of_a_record_that_was_never_committed_is_refused() {
    let (signed, doctor) = (record(), account("doctor"));
    let committed = committed(&signed);
    let shown = parts(&signed.draft, &[0, 1]);
    let disclosure = disclose(&signed, shown.clone()).unwrap();
    assert_eq!(disclosure.verify_against(&committed), Ok(&shown[..]));

    // The thief of the author's replaced key signs a record that names the block of the committed one.
    let stolen = record();
    // The author signs two contents under one id, and one of them is committed.
    let twice = Draft { record: signed.draft.record, ..record().draft };
    // The author names a nurse who did not sign, and signs less strict rules.
    let nursed = signed.draft.clone().with_nurse(NURSE);
    let loosened = Draft { extraction: Extraction::default(), ..signed.draft.clone() };
    let others = [twice, nursed, loosened].map(|draft| draft.sign(genesis(), &doctor));
    for other in others.iter().chain([&stolen]) {
        let disclosure = disclose(other, parts(&other.draft, &[0])).unwrap();
        assert!(disclosure.verify(genesis(), &account_id("doctor")).is_ok());
        assert_eq!(disclosure.verify_against(&committed), Err(SignatureError::OtherRecord));
    }
    // The signature of another record.
    let moved = SignedDraft { signature: stolen.signature.clone(), ..signed };
    let moved = disclose(&moved, parts(&moved.draft, &[0])).unwrap();
    assert_eq!(moved.verify_against(&committed), Err(SignatureError::OtherRecord));
}

#[test]
fn a_disclosure_of_a_committed_record_shows_only_what_its_author_signed_and_allows() {
    let signed = record();
    let (committed, leaves) = (committed(&signed), signed.draft.leaves());
    let against = |shown: Vec<(u16, Description)>| {
        forged(&signed, &leaves, &shown).verify_against(&committed).map(<[_]>::len)
    };
    assert_eq!(against(parts(&signed.draft, &[0, 2, 3, 4])), Ok(4));
    let mandatory = ExtractionError::Mandatory { section: 0 };
    assert_eq!(against(parts(&signed.draft, &[1])), Err(SignatureError::Extraction(mandatory)));
    let never = ExtractionError::Never { section: 5 };
    assert_eq!(against(parts(&signed.draft, &[0, 5])), Err(SignatureError::Extraction(never)));
    let mut changed = parts(&signed.draft, &[0, 1]);
    changed[1].1.content_root[0] ^= 1;
    assert_eq!(against(changed), Err(SignatureError::Leaf { section: 1 }));
}

#[test]
fn a_section_of_another_record_is_not_accepted_in_a_disclosure() {
    let (one, other) = (record(), record());
    let mut shown = parts(&one.draft, &[0, 1]);
    shown[1] = parts(&other.draft, &[1]).remove(0);
    let doctor = account_id("doctor");
    let leaves = one.draft.leaves();
    let spliced = forged(&one, &leaves, &shown).verify(genesis(), &doctor).map(<[_]>::len);
    assert_eq!(spliced, Err(SignatureError::Leaf { section: 1 }));

    // With the leaf of the other record, too.
    let mut leaves = leaves;
    leaves[1] = other.draft.leaves()[1];
    let spliced = forged(&one, &leaves, &shown).verify(genesis(), &doctor).map(<[_]>::len);
    assert_eq!(spliced, Err(SignatureError::Invalid));

    // Under the signature of the other record.
    let mut moved = one.clone();
    moved.signature = other.signature.clone();
    assert_eq!(verified(&moved, &[0]), Err(SignatureError::Invalid));
}

#[test]
fn reordered_repeated_and_moved_sections_are_not_accepted() {
    let signed = record();
    let doctor = account_id("doctor");
    let part = |index: u16, of: usize| (index, signed.draft.sections[of].clone());
    for shown in [
        vec![part(1, 1), part(0, 0)],
        vec![part(0, 0), part(0, 0)],
        vec![part(0, 1), part(1, 0)],
        vec![part(0, 0), part(6, 1)],
        vec![part(0, 0), part(u16::MAX, 1)],
    ] {
        let disclosure = forged(&signed, &signed.draft.leaves(), &shown);
        let refused = disclosure.verify(genesis(), &doctor).map(<[_]>::len);
        assert!(matches!(refused, Err(SignatureError::Leaf { .. })), "{refused:?}");
    }
    let mut leaves = signed.draft.leaves();
    leaves.swap(0, 1);
    let shown = vec![part(0, 1), part(1, 0)];
    let refused = forged(&signed, &leaves, &shown).verify(genesis(), &doctor).map(<[_]>::len);
    assert_eq!(refused, Err(SignatureError::Invalid));
    leaves = signed.draft.leaves();
    leaves.pop();
    let fewer = forged(&signed, &leaves, &[part(0, 0)]);
    let refused = fewer.verify(genesis(), &doctor).map(<[_]>::len);
    assert_eq!(refused, Err(SignatureError::Invalid));
}

#[test]
fn other_content_under_a_true_description_is_recognized() {
    let signed = record();
    let disclosure = disclose(&signed, parts(&signed.draft, &[0])).unwrap();
    let shown = disclosure.verify(genesis(), &account_id("doctor")).unwrap();
    let content_is = |content: &[u8]| {
        let mut check = shown[0].1.check();
        check.update(content);
        check.finish().is_ok()
    };
    assert!(content_is(b"part 0"));
    for other in [&b"part 1"[..], b"part 0 ", b"part ", b""] {
        assert!(!content_is(other));
    }
    // A description that fits other content is not the signed one.
    let (index, described) = &shown[0];
    let other = Description::of(described.kind, &described.media_type, "", b"part 1").unwrap();
    let other = Description { salt: described.salt.clone(), ..other };
    let forged = forged(&signed, &signed.draft.leaves(), &[(*index, other)]);
    let refused = forged.verify(genesis(), &account_id("doctor")).map(<[_]>::len);
    assert_eq!(refused, Err(SignatureError::Leaf { section: 0 }));
}

#[test]
fn a_short_hidden_section_cannot_be_guessed_without_its_salt() {
    let answers: [&[u8]; 3] = [b"female", b"male", b"other"];
    let parts = [stated(SectionKind::Name, b"Zoe"), stated(SectionKind::Gender, answers[0])];
    let signed = draft(&parts).sign(genesis(), &account("doctor"));
    let disclosure = disclose(&signed, self::parts(&signed.draft, &[0])).unwrap();
    let bytes = disclosure.encode();
    let hidden = &signed.draft.sections[1];
    assert!(!bytes.windows(32).any(|window| window == hidden.salt.as_bytes()));

    // The attacker knows everything about the hidden section but its salt. The shown section's salt does not help.
    let leaf = signed.draft.leaves()[1];
    let guess = |content: &[u8], salt: Salt| {
        let guess = Description::of(SectionKind::Gender, &hidden.media_type, "", content).unwrap();
        Description { salt, ..guess }.leaf(&signed.draft.record, 1, 2)
    };
    assert_eq!(guess(answers[0], hidden.salt.clone()), leaf);
    let shown = signed.draft.sections[0].salt.clone();
    for content in answers {
        for salt in [Salt::from_bytes([0; 32]), shown.clone(), Salt::generate()] {
            assert_ne!(guess(content, salt), leaf);
        }
    }
}

#[test]
fn contradicting_rules_are_refused() {
    let rules = |mandatory, never, groups: &[u64]| Extraction {
        mandatory: SectionSet(mandatory),
        never: SectionSet(never),
        together: groups.iter().copied().map(SectionSet).collect::<Vec<_>>().try_into().unwrap(),
    };
    for allowed in [
        Extraction::default(),
        rules(0b111, 0, &[]),
        rules(0, 0b111, &[]),
        rules(0b001, 0b100, &[0b011]),
        rules(0, 0b001, &[0b011]),
        rules(0b001, 0, &[0b011, 0b110]),
    ] {
        assert_eq!(allowed.validate(3), Ok(()), "{allowed:?}");
        assert!(draft(&visit()).with_extraction(allowed).is_ok());
    }
    for refused in [
        rules(0b001, 0b001, &[]),
        rules(0b001, 0b010, &[0b011]),
        // Section 0 requires 1, which requires 2.
        rules(0b001, 0b100, &[0b110, 0b011]),
        rules(0, 0, &[0b001]),
        rules(0, 0, &[0]),
        rules(0b1000, 0, &[]),
        rules(0, 0b1000, &[]),
        rules(0, 0, &[0b1001]),
    ] {
        assert!(refused.validate(3).is_err(), "{refused:?}");
        assert!(draft(&visit()).with_extraction(refused.clone()).is_err());
        let mut draft = draft(&visit());
        draft.extraction = refused;
        assert!(draft.validate().is_err());
    }
    let last = rules(1 << 63, 1 << 62, &[]);
    assert_eq!(last.validate(MAX_SECTIONS), Ok(()));
    assert!(last.validate(MAX_SECTIONS - 1).is_err());
}

#[test]
fn the_default_allows_every_subset() {
    assert!(Extraction::default().is_default() && !rules().is_default());
    for shown in [SectionSet(0), SectionSet(5), SectionSet::ALL] {
        assert_eq!(Extraction::default().check(shown), Ok(()));
    }
}

proptest! {
    #[test]
    fn rules_are_valid_if_and_only_if_some_disclosure_satisfies_them(
        mandatory in 0..32_u64,
        never in 0..32_u64,
        groups in prop::collection::vec(0..32_u64, 0..5),
    ) {
        let together: Vec<_> = groups
            .into_iter()
            .map(SectionSet)
            .filter(|group| group.iter().count() > 1)
            .collect();
        let (mandatory, never) = (SectionSet(mandatory), SectionSet(never));
        let rules = Extraction { mandatory, never, together: together.try_into().unwrap() };
        let possible = (0..32).any(|shown| rules.check(SectionSet(shown)).is_ok());
        prop_assert_eq!(rules.validate(5).is_ok(), possible);
    }

    #[test]
    fn the_check_allows_what_the_rules_say(
        mandatory in 0..32_u64,
        never in 0..32_u64,
        group in 0..32_u64,
        shown in 0..32_u64,
    ) {
        let together = vec![SectionSet(group)].try_into().unwrap();
        let rules =
            Extraction { mandatory: SectionSet(mandatory), never: SectionSet(never), together };
        let allowed = mandatory & shown == mandatory
            && never & shown == 0
            && (group & shown == 0 || group & shown == group);
        prop_assert_eq!(rules.check(SectionSet(shown)).is_ok(), allowed);
    }
}
