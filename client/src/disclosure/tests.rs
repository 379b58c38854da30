//! What a patient, a thief, or somebody on the way could do to a disclosure. The chain is in memory, with real keys,
//! votes and proofs.

mod files;
mod hidden;

use std::time::Duration;

use epione_envelope::{
    ExtractionError, FormatError, SignatureError,
    account::{AccountKey, Signer},
    keys::PatientKeys,
    record::{Draft, Extraction, Frames, NoFrames, Payload, Record, SectionKind},
    record_sealer::RecordSealer,
};
use epione_primitives::{
    HospitalId, RecordId,
    block::{Entry, SignedAt, record_hash},
    profile::{RegistrationStatus, Role},
};
use epione_proofs::{GenesisError, StateError, StorageKey};

use super::{check::decode, *};
use crate::chain::{
    Chain, ProofFault, SigningFault,
    disclosed::{AT, DOCTOR, Growing, PATIENT, Setup, account, committed, pointer},
};

/// Section 0 is mandatory, 1 is never shown, 2 and 3 are shown together.
const TEXTS: [(SectionKind, &str); 5] = [
    (SectionKind::Summary, "well"),
    (SectionKind::IdNumber, "756.1234.5678.97"),
    (SectionKind::Diagnosis, "asthma"),
    (SectionKind::History, "smoked until 2019"),
    (SectionKind::Gender, "female"),
];
const SCAN: &[u8] = b"the bytes of an image";
const MEDIA: u16 = 5;

fn set(sections: &[u16]) -> SectionSet {
    let mut set = SectionSet::default();
    assert!(sections.iter().all(|section| set.insert(*section)));
    set
}

fn rules() -> Extraction {
    let together = vec![set(&[2, 3])].try_into().unwrap();
    Extraction { mandatory: set(&[0]), never: set(&[1]), together }
}

fn sealed(genesis: Hash, signed_at: SignedAt, keys: &PatientKeys) -> Record {
    let text = |(kind, text): &(SectionKind, &str)| {
        Description::of(*kind, "text/plain", "", text.as_bytes()).unwrap()
    };
    let mut sections: Vec<_> = TEXTS.iter().map(text).collect();
    let media = Description::of(SectionKind::Media, "application/dicom", "../scan.dcm", SCAN);
    sections.push(media.unwrap());
    let draft = Draft::new(PATIENT, AT, DOCTOR, signed_at, sections).unwrap();
    let doctor = account("doctor");
    let signed = draft.with_extraction(rules()).unwrap().sign(genesis, &doctor);
    let mut sealer = RecordSealer::new(genesis, signed, &doctor.account(), keys).unwrap();
    for (section, (_, text)) in (0..).zip(TEXTS) {
        sealer.seal_text(section, text.as_bytes()).unwrap();
    }
    let mut media = sealer.start_media(MEDIA).unwrap();
    media.push(SCAN).unwrap();
    sealer.end_media(media).unwrap();
    sealer.finish().unwrap()
}

/// A record of one text, which the author described so.
fn of_one_text(
    genesis: Hash,
    signed_at: SignedAt,
    keys: &PatientKeys,
    described: &Description,
    text: &[u8],
) -> Record {
    let doctor = account("doctor");
    let draft = Draft::new(PATIENT, AT, DOCTOR, signed_at, vec![described.clone()]).unwrap();
    let signed = draft.sign(genesis, &doctor);
    let mut sealer = RecordSealer::new(genesis, signed, &doctor.account(), keys).unwrap();
    sealer.seal_text(0, text).unwrap();
    sealer.finish().unwrap()
}

/// A chain with two records of the patient.
struct Case {
    chain: Chain,
    records: Vec<Record>,
    keys: PatientKeys,
    growing: Growing,
}

impl Case {
    async fn new() -> Self {
        Self::of(Setup::default()).await
    }

    async fn of(setup: Setup) -> Self {
        let keys = PatientKeys::generate();
        let make = |genesis, at| vec![sealed(genesis, at, &keys), sealed(genesis, at, &keys)];
        let (chain, records, growing) = committed(setup, make).await;
        Self { chain, records, keys, growing }
    }

    fn genesis(&self) -> Hash {
        self.chain.genesis_hash()
    }

    /// The descriptions of sections of a record.
    fn described(&self, record: usize, sections: &[u16]) -> Vec<(u16, Description)> {
        let record = &self.records[record];
        let describe = |section: u16| {
            let key = record.content_key(self.genesis(), section, &self.keys).unwrap();
            record.describe(self.genesis(), section, &key).unwrap()
        };
        sections.iter().map(|section| (*section, describe(*section))).collect()
    }

    fn shown(&self, sections: &[u16], included: bool) -> Vec<Shown> {
        self.shown_of(0, sections, included)
    }

    fn shown_of(&self, record: usize, sections: &[u16], included: bool) -> Vec<Shown> {
        let (index, record) = (record, &self.records[record]);
        let show = |(section, description): (u16, Description)| {
            let content = match &record.sections()[usize::from(section)].payload {
                Payload::Media { .. } => Content::Media { included },
                Payload::Text(_) => {
                    let key = record.content_key(self.genesis(), section, &self.keys).unwrap();
                    Content::Text(record.open_text(self.genesis(), section, &key).unwrap().1)
                }
            };
            Shown { section, description, content }
        };
        self.described(index, sections).into_iter().map(show).collect()
    }

    async fn try_make(
        &self,
        sections: &[u16],
        by: &AccountKey,
    ) -> Result<Vec<u8>, DisclosureError> {
        let shown = self.shown(sections, true);
        let (chain, record) = (&self.chain, &self.records[0]);
        let made = make(chain, pointer(0), record, shown, attribution(), by, &|_, _| {}).await?;
        Ok(made.file)
    }

    async fn make(&self, sections: &[u16]) -> Vec<u8> {
        self.try_make(sections, &account("patient")).await.unwrap()
    }

    fn verify(&self, file: &[u8]) -> Result<Verified, Refused> {
        verify(file, self.genesis())
    }

    fn refused(&self, file: &[u8]) -> Refused {
        match self.verify(file) {
            Err(refused) => refused,
            Ok(_) => panic!("it verifies"),
        }
    }

    /// The flaw of a file that the patient changed, and signed again.
    fn flaw(&self, file: &[u8], change: impl FnOnce(&mut Bundle)) -> Flaw {
        let refused = self.refused(&forged(file, "patient", change));
        assert_eq!(refused.culprit, Some(Culprit::Patient(PATIENT)), "{refused}");
        refused.flaw
    }

    /// A disclosure as an attacker encodes it, without the library's checks.
    fn raw(&self, shown: &[(u16, Description)]) -> Vec<u8> {
        let record = &self.records[0];
        let leaves = record.leaves();
        (2_u8, record.authorship(), leaves, shown, record.signature()).encode()
    }
}

fn attribution() -> Attribution {
    Attribution::new("Example Insurance", "claim 7", Some(9_000)).unwrap()
}

/// The changed file, signed by somebody.
fn forged(file: &[u8], by: &str, change: impl FnOnce(&mut Bundle)) -> Vec<u8> {
    let (mut bundle, ..) = decode(file).unwrap_or_else(|flaw| panic!("{flaw}"));
    change(&mut bundle);
    let mut file = bundle.to_sign();
    account(by).sign(&message(bundle.genesis, &file)).encode_to(&mut file);
    file
}

#[tokio::test]
async fn a_disclosure_is_verified_without_a_node_from_the_genesis_hash_alone() {
    let case = Case::new().await;
    let file = case.make(&[3, 0, 2, 5]).await;
    let Case { chain, records, .. } = case;
    let genesis = chain.genesis_hash();
    drop(chain);
    let verified = verify(&file, genesis).unwrap();
    assert_eq!((verified.genesis, verified.pointer), (genesis, pointer(0)));
    assert_eq!((verified.record_id, verified.patient), (records[0].id(), PATIENT));
    assert_eq!((verified.author, verified.author_role), (DOCTOR, Role::Doctor));
    assert_eq!((verified.hospital, verified.hospital_name.as_slice()), (AT, &b"Alice"[..]));
    assert_eq!(verified.signed_at, records[0].signed_at());
    assert_eq!(verified.committed_time, 7);
    assert!(verified.signed_time > 0 && verified.proven_time >= verified.signed_time);
    assert!(verified.proven_at.number > verified.signed_at.number);
    assert_eq!((verified.nurse, verified.cosigned, verified.hidden), (None, false, 2));
    let made_for = &verified.attribution;
    assert_eq!((made_for.recipient(), made_for.purpose()), ("Example Insurance", "claim 7"));
    assert!(made_for.is_over(9_000) && !made_for.is_over(8_999));

    let sections: Vec<_> = verified.shown.iter().map(|shown| shown.section).collect();
    assert_eq!(sections, [0, 2, 3, 5]);
    for shown in &verified.shown {
        match &shown.content {
            ShownContent::Text(text) => {
                assert_eq!(text, TEXTS[usize::from(shown.section)].1);
            }
            ShownContent::Media { segments, included } => {
                assert_eq!((segments.len(), *included), (1, true));
            }
        }
    }
}

#[tokio::test]
async fn a_choice_of_sections_that_the_author_forbids_is_neither_disclosed_nor_verified() {
    let case = Case::new().await;
    let file = case.make(&[0]).await;
    let mandatory = ExtractionError::Mandatory { section: 0 };
    let never = ExtractionError::Never { section: 1 };
    let together = ExtractionError::Together { group: set(&[2, 3]) };
    for (sections, rule) in [
        (&[2, 3][..], mandatory),
        (&[], mandatory),
        (&[0, 1], never),
        (&[0, 2], together),
        (&[0, 3, 4], together),
    ] {
        let made = case.try_make(sections, &account("patient")).await;
        let Err(DisclosureError::Format(FormatError::Extraction(found))) = made else {
            panic!("{sections:?}")
        };
        assert_eq!(found, rule);
        let described = case.described(0, sections);
        let flaw = case.flaw(&file, |bundle| bundle.disclosure = case.raw(&described));
        let Flaw::Disclosure(SignatureError::Extraction(found)) = flaw else { panic!("{flaw}") };
        assert_eq!(found, rule);
    }
}

#[tokio::test]
async fn sections_of_another_record_and_sections_in_another_place_are_refused() {
    let case = Case::new().await;
    let file = case.make(&[0]).await;
    let at = |section, of: &[(u16, Description)]| (section, of[0].1.clone());
    let (first, gender) = (case.described(0, &[0]), case.described(0, &[4]));
    let spliced = case.described(1, &[4]);
    for shown in [
        vec![at(0, &first), at(4, &spliced)],
        vec![at(4, &gender), at(0, &first)],
        vec![at(0, &first), at(0, &first)],
        vec![at(0, &gender), at(4, &first)],
        vec![at(0, &first), at(64, &gender)],
    ] {
        let flaw = case.flaw(&file, |bundle| bundle.disclosure = case.raw(&shown));
        assert!(matches!(flaw, Flaw::Disclosure(SignatureError::Leaf { .. })), "{flaw}");
    }
    // The whole disclosure of the other record.
    let other = &case.records[1];
    let (leaves, shown) = (other.leaves(), case.described(1, &[0]));
    let moved = (2_u8, other.authorship(), leaves, shown, other.signature()).encode();
    let flaw = case.flaw(&file, |bundle| bundle.disclosure = moved);
    assert!(matches!(flaw, Flaw::Disclosure(SignatureError::OtherRecord)), "{flaw}");
}

#[tokio::test]
async fn a_record_that_the_chain_does_not_have_in_this_place_is_refused() {
    let case = Case::new().await;
    let file = case.make(&[0]).await;
    let other = case.records[1].encode();
    let flaw = case.flaw(&file, |bundle| bundle.record = other);
    assert!(matches!(flaw, Flaw::OtherRecord { .. }), "{flaw}");
    let flaw = case.flaw(&file, |bundle| bundle.pointer = pointer(1));
    assert!(matches!(flaw, Flaw::OtherRecord { .. }), "{flaw}");
    let beyond = forged(&file, "patient", |bundle| bundle.pointer = pointer(2));
    let refused = case.refused(&beyond);
    assert!(matches!(refused.flaw, Flaw::Unproven(ProofFault::NoRecord(_))), "{refused}");
    let nowhere = RecordPointer { height: 9, index: 0 };
    let nowhere = forged(&file, "patient", |bundle| bundle.pointer = nowhere);
    assert!(matches!(case.refused(&nowhere).flaw, Flaw::Unproven(_)));
}

#[tokio::test]
async fn other_content_under_a_true_description_is_refused_and_its_signer_is_named() {
    let case = Case::new().await;
    let file = case.make(&[0, 4]).await;
    for other in ["male", "Female", "female ", ""] {
        let flaw = case.flaw(&file, |bundle| bundle.texts[1].1 = other.into());
        assert!(matches!(flaw, Flaw::Text { section: 4 }), "{flaw}");
    }
    // A text without a description, a description without a text, and texts in another order.
    let flaw = case.flaw(&file, |bundle| bundle.texts.push((3, b"smoked until 2019".to_vec())));
    assert!(matches!(flaw, Flaw::Unexpected { section: 3 }), "{flaw}");
    let flaw = case.flaw(&file, |bundle| bundle.media = set(&[MEDIA]));
    assert!(matches!(flaw, Flaw::Unexpected { section: MEDIA }), "{flaw}");
    let flaw = case.flaw(&file, |bundle| {
        bundle.texts.pop();
    });
    assert!(matches!(flaw, Flaw::NoText { section: 4 }), "{flaw}");
    let flaw = case.flaw(&file, |bundle| bundle.texts.reverse());
    assert!(matches!(flaw, Flaw::NoText { section: 0 }), "{flaw}");
}

#[tokio::test]
async fn what_the_patient_did_not_sign_is_refused_and_nobody_is_named() {
    let case = Case::new().await;
    let file = case.make(&[0, 4]).await;
    let change = |change: fn(&mut Bundle)| {
        let (mut bundle, _, signature) = decode(&file).unwrap_or_else(|flaw| panic!("{flaw}"));
        change(&mut bundle);
        let mut file = bundle.to_sign();
        signature.encode_to(&mut file);
        file
    };
    let recipient = |bundle: &mut Bundle| bundle.attribution.recipient = "Employer".into();
    for changed in [
        change(recipient),
        change(|bundle| bundle.attribution.purpose = "job interview".into()),
        change(|bundle| bundle.attribution.until = None),
        change(|bundle| bundle.texts[0].1 = b"ill".to_vec()),
        // A thief, the author, and the hospital are not the patient.
        forged(&file, "thief", recipient),
        forged(&file, "doctor", |_| {}),
        forged(&file, "agent", |_| {}),
    ] {
        let refused = case.refused(&changed);
        assert!(matches!(refused.flaw, Flaw::NotSigned(PATIENT)), "{refused}");
        assert_eq!(refused.culprit, None);
    }
    for by in ["doctor", "thief"] {
        let made = case.try_make(&[0], &account(by)).await;
        let Err(DisclosureError::Refused(refused)) = made else { panic!("{by}") };
        assert!(matches!(refused.flaw, Flaw::NotSigned(PATIENT)), "{refused}");
    }
    // A patient who wants to hide for whom it is.
    let flaw = case.flaw(&file, |bundle| bundle.attribution.recipient = " ".into());
    assert!(matches!(flaw, Flaw::Attribution(AttributionError::Empty { .. })), "{flaw}");
}

#[tokio::test]
async fn a_replaced_key_of_the_patient_discloses_only_by_an_old_state_whose_age_is_shown() {
    let case = Case::new().await;
    let file = case.make(&[0]).await;
    let before = case.verify(&file).unwrap();
    case.growing.replace_account_of_patient();
    // By the newest state, the replaced key is anybody's.
    let Err(DisclosureError::Refused(refused)) = case.try_make(&[0], &account("patient")).await
    else {
        panic!("it was made")
    };
    assert!(matches!(refused.flaw, Flaw::NotSigned(PATIENT)), "{refused}");
    let now = case.try_make(&[0], &account("new patient")).await.unwrap();
    let now = case.verify(&now).unwrap();
    assert!(now.proven_at.number > before.proven_at.number);
    // A thief of the replaced key keeps the old block, and cannot give it another time.
    let stolen = forged(&file, "patient", |bundle| bundle.attribution.recipient = "Thief".into());
    let stolen = case.verify(&stolen).unwrap();
    assert_eq!((stolen.proven_at, stolen.proven_time), (before.proven_at, before.proven_time));
    let month = Duration::from_secs(30 * 86_400);
    let later = stolen.proven_time + month.as_millis() as u64;
    assert_eq!((stolen.age(later), stolen.age(later + 1) > month), (month, true));
    assert_eq!(stolen.age(stolen.proven_time - 1), Duration::ZERO);
}

#[tokio::test]
async fn a_disclosure_of_another_chain_is_refused() {
    let case = Case::new().await;
    let file = case.make(&[0]).await;
    let expected = Hash::repeat_byte(9);
    let refused = verify(&file, expected).err().unwrap();
    assert!(matches!(refused.flaw, Flaw::OtherChain { .. }), "{refused}");

    // A chain that the attacker made, under the name of the true one.
    let made_up = Case::of(Setup { voters: 20..24, ..Setup::default() }).await;
    let other = made_up.make(&[0]).await;
    let genesis = case.genesis();
    let refused = case.refused(&forged(&other, "patient", |bundle| bundle.genesis = genesis));
    let Flaw::Unproven(ProofFault::Genesis(GenesisError::OtherChain { .. })) = refused.flaw else {
        panic!("{refused}")
    };
    // Its proof is of other records, so the attacker cannot take the true one either.
    let (bundle, ..) = decode(&file).unwrap_or_else(|flaw| panic!("{flaw}"));
    let refused = case.refused(&forged(&other, "patient", |forged| {
        (forged.genesis, forged.proof) = (genesis, bundle.proof);
    }));
    assert!(matches!(refused.flaw, Flaw::OtherRecord { .. }), "{refused}");
}

#[tokio::test]
async fn a_record_whose_author_was_not_permitted_to_sign_is_blamed_on_its_hospital() {
    let doctor = RegistrationStatus::Suspended;
    let case = Case::of(Setup { doctor, ..Setup::default() }).await;
    let made = case.try_make(&[0], &account("patient")).await;
    let Err(DisclosureError::Refused(refused)) = made else { panic!("it was made") };
    assert!(matches!(refused.flaw, Flaw::Signers(SigningFault::Author(DOCTOR))), "{refused}");
    assert_eq!(refused.culprit, Some(Culprit::Hospital(AT)));
}

#[tokio::test]
async fn a_record_that_is_not_what_its_hospital_announced_is_blamed_on_this_hospital() {
    let by_hospital = |refused: Refused, at: HospitalId, expected: &str| {
        assert!(
            matches!(refused.flaw, Flaw::Announced { what, .. } if what == expected),
            "{refused}"
        );
        assert_eq!(refused.culprit, Some(Culprit::Hospital(at)));
    };
    let change = |entry: &mut Entry, _: &[u8]| entry.record = RecordId([9; 16]);
    let case = Case::of(Setup { change, ..Setup::default() }).await;
    let second = case.records[1].encode();
    let file = forged(&case.make(&[0]).await, "patient", |bundle| {
        (bundle.pointer, bundle.record) = (pointer(1), second);
    });
    by_hospital(case.refused(&file), AT, "id");

    // The chain shows it to the doctor as a record of the doctor.
    let change = |entry: &mut Entry, _: &[u8]| entry.patient = DOCTOR;
    let case = Case::of(Setup { change, ..Setup::default() }).await;
    let (chain, record, by) = (&case.chain, &case.records[1], account("new doctor"));
    let made = make(
        chain,
        pointer(1),
        record,
        case.shown_of(1, &[0], true),
        attribution(),
        &by,
        &|_, _| {},
    )
    .await;
    let Err(DisclosureError::Refused(refused)) = made else { panic!("it was made") };
    by_hospital(refused, AT, "patient");

    let announcer = HospitalId(7);
    let case = Case::of(Setup { announcer, ..Setup::default() }).await;
    let made = case.try_make(&[0], &account("patient")).await;
    let Err(DisclosureError::Refused(refused)) = made else { panic!("it was made") };
    by_hospital(refused, announcer, "hospital");
}

#[tokio::test]
async fn what_no_reader_accepts_is_not_accepted_in_a_disclosure_and_its_hospital_is_named() {
    type Expected = fn(&Flaw) -> bool;
    let cases: [(&[u8], Frames, Expected); 2] = [
        (b"well", Frames::None(NoFrames::Video), |flaw| {
            matches!(flaw, Flaw::Description { section: 0 })
        }),
        (b"w\xe9ll", Frames::default(), |flaw| matches!(flaw, Flaw::NotText { section: 0 })),
    ];
    for (text, frames, is_expected) in cases {
        let keys = PatientKeys::generate();
        let mut described = Description::of(SectionKind::Report, "text/plain", "", text).unwrap();
        described.frames = frames;
        let seal = |genesis, at| {
            let odd = of_one_text(genesis, at, &keys, &described, text);
            vec![odd, sealed(genesis, at, &keys)]
        };
        let (chain, records, _growing) = committed(Setup::default(), seal).await;
        let content = Content::Text(text.to_vec().into());
        let shown = vec![Shown { section: 0, description: described.clone(), content }];
        let patient = account("patient");
        let made =
            make(&chain, pointer(0), &records[0], shown, attribution(), &patient, &|_, _| {}).await;
        let Err(DisclosureError::Refused(refused)) = made else { panic!("it was made") };
        assert!(is_expected(&refused.flaw), "{refused}");
        assert_eq!(refused.culprit, Some(Culprit::Hospital(AT)));
    }
    // Media have the length of their sealed object.
    let case = Case::new().await;
    let payload = &case.records[0].sections()[usize::from(MEDIA)].payload;
    let (_, mut described) = case.described(0, &[MEDIA]).remove(0);
    payload.check_description(&described).unwrap();
    described.content_length += 1;
    payload.check_description(&described).unwrap_err();
}

/// The bytes of a record, or of a disclosure, in another format.
fn in_format(format: u8, bytes: &[u8]) -> Vec<u8> {
    [&[format][..], &bytes[1..]].concat()
}

#[tokio::test]
async fn nobody_is_blamed_for_a_format_that_this_version_does_not_read() {
    let of_version = |refused: Refused| {
        assert!(matches!(refused.flaw, Flaw::Version(_)) && refused.flaw.is_of_version());
        assert_eq!(refused.culprit, None, "{refused}");
    };
    let change = |entry: &mut Entry, bytes: &[u8]| {
        entry.hash = record_hash(&in_format(9, bytes));
    };
    let case = Case::of(Setup { change, ..Setup::default() }).await;
    let file = case.make(&[0]).await;
    let newer = in_format(9, &case.records[1].encode());
    of_version(case.refused(&forged(&file, "patient", |bundle| {
        (bundle.pointer, bundle.record) = (pointer(1), newer);
    })));
    for format in [1, 9] {
        of_version(case.refused(&forged(&file, "patient", |bundle| {
            bundle.disclosure = in_format(format, &bundle.disclosure);
        })));
    }
    let key = StorageKey::value("Profiles", "Profiles");
    assert!(Flaw::Unproven(StateError::OtherType { key }.into()).is_of_version());
    // Bytes that no version can read.
    let flaw = case.flaw(&file, |bundle| bundle.disclosure.truncate(40));
    assert!(matches!(flaw, Flaw::Sections(_)) && !flaw.is_of_version(), "{flaw}");
}

#[tokio::test]
async fn a_block_without_a_time_is_a_fault_and_not_the_year_1970() {
    let case = Case::of(Setup { dated: false, ..Setup::default() }).await;
    let made = case.try_make(&[0], &account("patient")).await;
    let Err(DisclosureError::Refused(refused)) = made else { panic!("it was made") };
    let Flaw::Unproven(ProofFault::Absent("time")) = refused.flaw else { panic!("{refused}") };
    assert_eq!(refused.culprit, None);
}

#[tokio::test]
async fn a_damaged_file_is_refused_wherever_it_is_damaged() {
    let case = Case::new().await;
    let file = case.make(&[0, 2, 3]).await;
    assert!(case.verify(&file).is_ok());
    for length in (0..file.len()).step_by(61).chain([file.len() - 1]) {
        let flaw = case.refused(&file[..length]).flaw;
        match length < MAGIC.len() {
            true => assert!(matches!(flaw, Flaw::NotDisclosure), "{length}: {flaw}"),
            false => assert!(matches!(flaw, Flaw::Malformed(_)), "{length}: {flaw}"),
        }
    }
    for at in (0..file.len()).step_by(61).chain([file.len() - 1]) {
        let mut changed = file.clone();
        changed[at] ^= 0x80;
        assert!(case.verify(&changed).is_err(), "byte {at}");
    }
    let longer = [&file[..], &[0]].concat();
    assert!(matches!(case.refused(&longer).flaw, Flaw::Malformed(_)));
    let newer = [&MAGIC[..], &[2], &file[MAGIC.len() + 1..]].concat();
    assert!(matches!(case.refused(&newer).flaw, Flaw::Format(2)));
    let oversized = vec![FORMAT; MAX_FILE_BYTES as usize + 1];
    assert!(matches!(case.refused(&oversized).flaw, Flaw::TooLarge));
    // Other files, and a disclosure whose ends of lines a transfer changed.
    let changed = [&b"\x8aEPIONE\r\n"[..], &file[MAGIC.len()..]].concat();
    for other in [b"%PDF-1.7".as_slice(), b"", b"\x01", &file[1..], &changed] {
        assert!(matches!(case.refused(other).flaw, Flaw::NotDisclosure));
        assert!(matches!(claimed_genesis(other).err().unwrap().flaw, Flaw::NotDisclosure));
    }
}

#[tokio::test]
async fn the_patient_learns_how_many_other_patients_the_proof_shows() {
    let change = |entry: &mut Entry, _: &[u8]| entry.patient = DOCTOR;
    for (setup, others) in [(Setup::default(), 0), (Setup { change, ..Setup::default() }, 1)] {
        let case = Case::of(setup).await;
        let file = case.make(&[0]).await;
        assert_eq!(case.verify(&file).unwrap().other_patients, others);
    }
}

#[tokio::test]
async fn the_requested_blocks_on_the_way_back_are_counted() {
    let case = Case::new().await;
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |block: usize, of: usize| seen.lock().unwrap().push((block, of));
    let (record, shown, by) = (&case.records[0], case.shown(&[0], true), account("patient"));
    make(&case.chain, pointer(0), record, shown, attribution(), &by, &progress).await.unwrap();
    let seen = seen.into_inner().unwrap();
    let blocks = seen.len();
    assert!(blocks > 1);
    assert_eq!(seen, (1..=blocks).map(|block| (block, blocks)).collect::<Vec<_>>());
}

#[test]
fn the_words_of_an_attribution_are_bounded_and_legible() {
    let long = "a".repeat(MAX_WORDS_BYTES);
    assert!(Attribution::new(long.clone(), "claim", None).is_ok());
    for wrong in ["", " ", "a\nb", "a\u{202e}b", &format!("{long}a")] {
        assert!(Attribution::new(wrong, "claim", None).is_err(), "{wrong:?}");
        assert!(Attribution::new("Insurance", wrong, None).is_err(), "{wrong:?}");
    }
    assert!(!Attribution::new("Insurance", "claim", None).unwrap().is_over(Moment::MAX));
}
