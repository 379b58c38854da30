//! The committed test vectors, `vectors/*.json`. Both the library and the second implementation must open them, and
//! deterministic output must stay the same. `docs/formats.md` describes the formats.
//!
//! To rewrite them after a change of a format (which needs a new suite, once there are chains in use):
//! `EPIONE_WRITE_VECTORS=1 cargo test -p epione-envelope --release vectors`. With the name of one test instead of
//! `vectors`, only the file of that test is written. `vectors/README.md` lists the files that are the same each time.
//! The others contain fresh randomness.

use std::{fs, path::PathBuf, str::FromStr};

use codec::{Decode, Encode};
use epione_envelope::{
    account::{AccountKey, Scheme, Signer, verify},
    frames::{Frames, NoFrames},
    keys::{ContentKey, PatientKey, PatientKeys, SectionContext},
    keystore::{self, ActorKeys, Cost},
    object::{ObjectContext, Part, SealedObject},
    profile::{ProfileBody, ProfileContext, Recipient},
    record::{
        Description, Disclosure, Draft, Extraction, Payload, Record, Salt, SectionKind, SignedDraft,
    },
    sealing_keys::{SealingKeyPair, SealingSuite, Wrap, WrapContext, WrapSubject},
};
use epione_primitives::{AccountId, Hash, HospitalId, RecordId, Signature, release::SectionSet};
use serde_json::{Value, json};

use crate::{
    fixture::{
        DOCTOR, FHIR, HOSPITAL, NURSE, PATIENT, Stated, VISIT, account_id, content, genesis,
        nursed, seal_draft, section_context, signed_at,
    },
    oracle,
};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

/// The committed vector. Written first if `EPIONE_WRITE_VECTORS` is set.
pub fn vector(name: &str, make: impl FnOnce() -> Value) -> Value {
    if writing() {
        fs::create_dir_all(path("")).unwrap();
        fs::write(path(name), format!("{:#}\n", make())).unwrap();
    }
    serde_json::from_str(&fs::read_to_string(path(name)).unwrap()).unwrap()
}

fn writing() -> bool {
    std::env::var_os("EPIONE_WRITE_VECTORS").is_some()
}

pub fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

pub fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

pub fn parsed<T: FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn context_json(context: &SectionContext) -> Value {
    json!({
        "genesis": hex::encode(context.genesis),
        "hospital": context.hospital,
        "patient": context.patient,
        "record": context.record,
        "section": context.section,
    })
}

fn context(value: &Value) -> SectionContext {
    SectionContext {
        genesis: Hash::from(array::<32>(&value["genesis"])),
        hospital: HospitalId(number(&value["hospital"]) as u16),
        patient: parsed(&value["patient"]),
        record: parsed(&value["record"]),
        section: number(&value["section"]) as u16,
    }
}

#[test]
fn sealed_objects() {
    let make = || {
        let one = |length: usize| {
            let (key, part, version) = ([0x41; 32], Part::Media, 1);
            let section = section_context();
            let (object_id, salt) = ([0x42; 16], [0x43; 32]);
            let header = oracle::Header { object_id, chunk_bits: 12, length: length as u64, salt };
            let context = ObjectContext { section, part, version };
            let plaintext = content(length);
            let (parameters, sealed) = oracle::seal(&key, &context, &header, &plaintext);
            json!({
                "content_key": hex::encode(key), "context": context_json(&section),
                "part": part as u8, "version": version,
                "object_id": hex::encode(object_id), "salt": hex::encode(salt),
                "chunk_size": 4096, "plaintext": hex::encode(plaintext),
                "parameters": hex::encode(parameters), "sealed": hex::encode(sealed),
            })
        };
        [0, 1, 4096, 4097, 9000].map(one).into()
    };
    for vector in vector("sealed-object.json", make).as_array().unwrap() {
        let key: [u8; 32] = array(&vector["content_key"]);
        let section = context(&vector["context"]);
        let context = ObjectContext { section, part: Part::Media, version: 1 };
        let plaintext = bytes(&vector["plaintext"]);
        let (parameters, sealed) = (bytes(&vector["parameters"]), bytes(&vector["sealed"]));

        let object = SealedObject::decode_exactly(&[&parameters[..], &sealed].concat()).unwrap();
        let opened = object.open(&ContentKey::from_bytes(key), &context).unwrap();
        assert_eq!(*opened, plaintext);
        assert_eq!(object.parameters().object_id(), &array(&vector["object_id"]));

        let header = oracle::Header {
            object_id: array(&vector["object_id"]),
            chunk_bits: number(&vector["chunk_size"]).trailing_zeros() as u8,
            length: plaintext.len() as u64,
            salt: array(&vector["salt"]),
        };
        assert_eq!(oracle::seal(&key, &context, &header, &plaintext), (parameters, sealed));
    }
}

#[test]
fn wrapped_content_keys() {
    let make = || {
        let (patient_key, version, key) = ([0x51; 32], 2, [0x52; 32]);
        let section = section_context();
        let wrapped = oracle::wrap(&patient_key, version, &key, &section);
        json!({
            "patient_key": hex::encode(patient_key), "key_version": version,
            "content_key": hex::encode(key),
            "context": context_json(&section), "wrapped": hex::encode(wrapped),
        })
    };
    let vector = vector("wrapped-key.json", make);
    let (patient_key, key) = (array(&vector["patient_key"]), array(&vector["content_key"]));
    let version = number(&vector["key_version"]) as u32;
    let (context, wrapped) = (context(&vector["context"]), bytes(&vector["wrapped"]));
    let by_library =
        PatientKey::from_bytes(patient_key).wrap(version, &ContentKey::from_bytes(key), &context);
    assert_eq!(by_library.encode(), wrapped);
    assert_eq!(oracle::unwrap(&patient_key, version, &wrapped, &context).unwrap(), key);
}

pub fn agent() -> AccountKey {
    AccountKey::from_seed(Scheme::Ed25519, &[0x61; 32])
}

fn suite(value: &Value) -> SealingSuite {
    SealingSuite::from_byte(number(value) as u8).unwrap()
}

#[test]
fn wraps() {
    let make = || {
        let one = |suite: SealingSuite| {
            let keys = SealingKeyPair::from_seed(suite, &[0x62; 32]);
            let context = wrap_context();
            let wrap = Wrap::seal(keys.public(), &context, b"patient key", &agent()).unwrap();
            json!({
                "suite": suite.byte(), "context": hex::encode(context.encode()),
                "recipient_seed": hex::encode([0x62; 32]),
                "recipient_key": hex::encode(keys.public().as_bytes()),
                "sealer": hex::encode(agent().public()), "plaintext": "patient key",
                "wrap": hex::encode(wrap.encode()),
            })
        };
        [SealingSuite::XWing, SealingSuite::X25519].map(one).into()
    };
    for vector in vector("wrap.json", make).as_array().unwrap() {
        let suite = suite(&vector["suite"]);
        assert_eq!(bytes(&vector["context"]), wrap_context().encode());
        let keys = SealingKeyPair::from_seed(suite, &array(&vector["recipient_seed"]));
        assert_eq!(keys.public().as_bytes(), bytes(&vector["recipient_key"]));
        let sealer = AccountId::new(array(&vector["sealer"]));
        let encoded = bytes(&vector["wrap"]);
        let wrap = Wrap::decode(&mut encoded.as_slice()).unwrap();
        assert_eq!(wrap.encode(), encoded);
        let opened = wrap.open(&keys, &wrap_context(), &sealer).unwrap();
        let plaintext = vector["plaintext"].as_str().unwrap().as_bytes();
        assert_eq!(*opened, plaintext);
        let by_oracle = oracle::open_wrap(&keys, &wrap_context().encode(), &sealer, &encoded);
        assert_eq!(by_oracle.unwrap(), plaintext);
    }
}

fn wrap_context() -> WrapContext {
    WrapContext {
        genesis: genesis(),
        hospital: HOSPITAL,
        user: PATIENT,
        subject: WrapSubject::PatientKey { version: 2 },
        recipient: AccountId::new([0x63; 32]),
    }
}

/// The fixture's visit with fixed salts and a fixed record.
fn visit() -> Vec<Stated> {
    let one = |salt: u8, kind, media_type: &str, content: Vec<u8>| {
        let mut description = Description::of(kind, media_type, "", &content).unwrap();
        description.salt = Salt::from_bytes([salt; 32]);
        Stated { description, content }
    };
    let with_frames = |mut stated: Stated, frames| {
        stated.description.frames = frames;
        stated
    };
    let media = |salt, length| one(salt, SectionKind::Media, "application/dicom", content(length));
    let native = Frames::Native { first: 1000, bits: 4000, count: 8, stated: 9 };
    let lengths = vec![60, 9, 20_000];
    let encapsulated = Frames::Encapsulated { first: 500, lengths, stated: 3 };
    vec![
        one(1, SectionKind::Summary, FHIR, VISIT.into()),
        one(2, SectionKind::Diagnosis, FHIR, b"{}".to_vec()),
        with_frames(media(3, 5000), native),
        with_frames(media(4, 21_000), encapsulated),
        with_frames(media(5, 300), Frames::None(NoFrames::Video)),
        one(6, SectionKind::Gender, "text/plain", b"female".to_vec()),
        one(7, SectionKind::BirthDate, "text/plain", b"1980-02-29".to_vec()),
    ]
}

/// A draft with a nurse. Its disclosures show section 0 always, section 6 never, and sections 2 and 3 together.
fn fixed_draft() -> Draft {
    let together = vec![SectionSet(0b000_1100)].try_into().unwrap();
    Draft {
        record: RecordId([0x71; 16]),
        patient: PATIENT,
        hospital: HOSPITAL,
        author: DOCTOR,
        nurse: Some(NURSE),
        signed_at: signed_at(),
        extraction: Extraction {
            mandatory: SectionSet(0b000_0001),
            never: SectionSet(0b100_0000),
            together,
        },
        sections: visit().into_iter().map(|stated| stated.description).collect(),
    }
}

/// Author, patient and nurse of the fixed draft. Ed25519 is deterministic, so they create the same signatures again.
pub fn signers() -> [AccountKey; 3] {
    [0x72, 0x73, 0x74].map(|seed| AccountKey::from_seed(Scheme::Ed25519, &[seed; 32]))
}

fn fixed_signed_draft() -> SignedDraft {
    let [author, patient, nurse] = signers();
    let signed = fixed_draft().sign(genesis(), &author);
    signed.cosign(genesis(), &patient).sign_as_nurse(genesis(), &nurse)
}

#[test]
fn section_signatures() {
    let make = || {
        let draft = fixed_draft();
        let (about, leaves) = (draft.authorship(), draft.leaves());
        let [author, patient, nurse] = signers().map(|signer| hex::encode(signer.public()));
        json!({
            "genesis": hex::encode(genesis()), "author_account": author,
            "patient_account": patient, "nurse_account": nurse,
            "authorship": hex::encode(about.encode()),
            "leaves": leaves.iter().map(hex::encode).collect::<Vec<_>>(),
            "signed_bytes": hex::encode(about.signed_bytes(genesis(), &leaves)),
            "cosigned_bytes": hex::encode(about.cosigned_bytes(genesis(), &leaves)),
            "nursed_bytes": hex::encode(about.nursed_bytes(genesis(), &leaves)),
            "signed_draft": fixed_signed_draft(),
        })
    };
    let vector = vector("signature.json", make);
    let genesis = Hash::from(array::<32>(&vector["genesis"]));
    let [author, patient, nurse] = ["author_account", "patient_account", "nurse_account"]
        .map(|name| AccountId::new(array(&vector[name])));
    let json = vector["signed_draft"].to_string();
    let signed = SignedDraft::from_json(json.as_bytes()).unwrap();
    assert_eq!(signed, fixed_signed_draft());
    let leaves: Vec<_> = vector["leaves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|leaf| Hash::from(array::<32>(leaf)))
        .collect();
    assert_eq!(signed.draft.leaves(), leaves);
    assert_eq!(oracle::leaves(&signed.draft), leaves);
    let about = signed.draft.authorship();
    assert_eq!(oracle::authorship(&about), bytes(&vector["authorship"]));
    assert_eq!(about.encode(), bytes(&vector["authorship"]));

    let signed_bytes = bytes(&vector["signed_bytes"]);
    assert_eq!(oracle::signed_bytes(genesis, &about, &leaves), signed_bytes);
    assert_eq!(signed.verify(genesis, &author), Ok(()));
    assert!(verify(&signed.signature, &signed_bytes, &author));

    let cosigned_bytes = bytes(&vector["cosigned_bytes"]);
    assert_eq!(oracle::cosigned_bytes(genesis, &about, &leaves), cosigned_bytes);
    assert_eq!(signed.verify_cosignature(genesis, &patient), Ok(()));
    assert!(verify(signed.patient_signature.as_ref().unwrap(), &cosigned_bytes, &patient));

    let nursed_bytes = bytes(&vector["nursed_bytes"]);
    assert_eq!(oracle::nursed_bytes(genesis, &about, &leaves), nursed_bytes);
    assert_eq!(signed.verify_nurse(genesis, &nurse), Ok(()));
    assert!(verify(signed.nurse_signature.as_ref().unwrap(), &nursed_bytes, &nurse));
}

#[test]
fn disclosures() {
    let make = || {
        let SignedDraft { draft, signature, .. } = fixed_signed_draft();
        let shown = [0_u16, 2, 3].map(|index| (index, draft.sections[usize::from(index)].clone()));
        let (about, leaves) = (draft.authorship(), draft.leaves());
        let disclosure = Disclosure::new(about, leaves, shown.into(), signature).unwrap();
        let contents = [0, 2, 3].map(|index: usize| hex::encode(&visit()[index].content));
        json!({
            "genesis": hex::encode(genesis()),
            "author_account": hex::encode(signers()[0].public()),
            "disclosure": hex::encode(disclosure.encode()),
            "sections": [0, 2, 3], "contents": contents,
        })
    };
    let vector = vector("disclosure.json", make);
    let genesis = Hash::from(array::<32>(&vector["genesis"]));
    let author = AccountId::new(array(&vector["author_account"]));
    let encoded = bytes(&vector["disclosure"]);
    let disclosure = Disclosure::decode_exactly(&encoded).unwrap();
    assert_eq!(disclosure.encode(), encoded);
    let shown = disclosure.verify(genesis, &author).unwrap();
    let indices: Vec<_> = shown.iter().map(|(index, _)| *index).collect();
    assert_eq!(json!(indices), vector["sections"]);

    let mut by_hand = vec![2_u8];
    by_hand.extend(oracle::authorship(disclosure.authorship()));
    oracle::leaves(&fixed_draft()).encode_to(&mut by_hand);
    by_hand.push(3 << 2);
    for ((index, description), content) in shown.iter().zip(vector["contents"].as_array().unwrap())
    {
        let mut check = description.check();
        check.update(&bytes(content));
        assert_eq!(check.finish(), Ok(()));
        by_hand.extend(index.to_le_bytes());
        oracle::description(&mut by_hand, description);
    }
    fixed_signed_draft().signature.encode_to(&mut by_hand);
    assert_eq!(encoded, by_hand);
}

#[test]
fn records() {
    let make = || {
        let visit = visit();
        let keys = patient_keys(&[[0x80; 32], [0x81; 32]]);
        let (record, stored) = seal_draft(nursed(&visit), &visit, &keys);
        json!({
            "genesis": hex::encode(genesis()),
            "author_account": hex::encode(account_id("doctor")),
            "patient_account": hex::encode(account_id("patient")),
            "nurse_account": hex::encode(account_id("nurse")),
            "patient_keys": [hex::encode([0x80; 32]), hex::encode([0x81; 32])],
            "record": hex::encode(record.encode()),
            "contents": visit.iter().map(|stated| hex::encode(&stated.content)).collect::<Vec<_>>(),
            "media": hex::encode(stored),
        })
    };
    let vector = vector("record.json", make);
    let genesis = Hash::from(array::<32>(&vector["genesis"]));
    let encoded = bytes(&vector["record"]);
    let record = Record::decode_exactly(&encoded).unwrap();
    assert_eq!(record.encode(), encoded);
    let author = AccountId::new(array(&vector["author_account"]));
    assert_eq!(record.verify(genesis, &author), Ok(()));
    check_signatures(
        &record,
        genesis,
        &AccountId::new(array(&vector["patient_account"])),
        &AccountId::new(array(&vector["nurse_account"])),
    );
    let keys: Vec<[u8; 32]> =
        vector["patient_keys"].as_array().unwrap().iter().map(array::<32>).collect();
    let version = record.key_version();
    assert_eq!(version as usize, keys.len());
    let media = bytes(&vector["media"]);
    let mut rest = media.as_slice();
    for (index, expected) in (0..).zip(vector["contents"].as_array().unwrap()) {
        let key = record.content_key(genesis, index, &patient_keys(&keys)).unwrap();
        let section = &record.sections()[usize::from(index)];
        let wrapped = section.wrap.encode();
        let context = record.context(genesis, index);
        let by_oracle = oracle::unwrap(&keys[version as usize - 1], version, &wrapped, &context);
        assert_eq!(by_oracle.unwrap(), key.as_bytes());
        check_padded(&record, genesis, index, &key);
        let content = match &section.payload {
            Payload::Text(_) => record.open_text(genesis, index, &key).unwrap().1.to_vec(),
            Payload::Media { manifest, .. } => {
                let opener = record.open_media(genesis, index, &key).unwrap();
                let stored;
                (stored, rest) = rest.split_at(opener.layout().sealed_length() as usize);
                let opened = opener.open_whole(stored).unwrap().to_vec();
                let context = ObjectContext { section: context, part: Part::Media, version: 1 };
                let parameters = manifest.parameters().encode();
                let by_oracle = oracle::open(key.as_bytes(), &context, &parameters, stored);
                assert_eq!(by_oracle.as_ref(), Some(&opened));
                opened
            }
        };
        assert_eq!(content, bytes(expected));
    }
}

/// The second implementation opens the padded object of a section: its text, or the description of its media.
fn check_padded(record: &Record, genesis: Hash, index: u16, key: &ContentKey) {
    let (object, part) = match &record.sections()[usize::from(index)].payload {
        Payload::Text(object) => (object, Part::Text),
        Payload::Media { description, .. } => (description, Part::Description),
    };
    let context = ObjectContext { section: record.context(genesis, index), part, version: 1 };
    let parameters = object.parameters().encode();
    let padded = oracle::open(key.as_bytes(), &context, &parameters, object.bytes()).unwrap();
    let plaintext = oracle::unpad(&padded).unwrap();

    let mut described = Vec::new();
    oracle::description(&mut described, &record.describe(genesis, index, key).unwrap());
    let rest = plaintext.strip_prefix(described.as_slice()).unwrap();
    match part {
        Part::Text => {
            let (_, content) = record.open_text(genesis, index, key).unwrap();
            assert_eq!(zstd::bulk::decompress(rest, content.len()).unwrap(), *content);
        }
        _ => assert!(rest.is_empty()),
    }
}

/// Versions 1 to n.
fn patient_keys(keys: &[[u8; 32]]) -> PatientKeys {
    let keys = keys.iter().copied().map(PatientKey::from_bytes).collect();
    PatientKeys::from_keys(keys).unwrap()
}

/// The record's last 132 bytes are the patient's and the nurse's signatures, each after a byte 1. With a 0 instead of
/// the patient's, the record is not cosigned.
fn check_signatures(record: &Record, genesis: Hash, patient: &AccountId, nurse: &AccountId) {
    assert_eq!(record.verify_cosignature(genesis, patient), Ok(()));
    assert_eq!(record.verify_nurse(genesis, nurse), Ok(()));
    let encoded = record.encode();
    let (before, of_nurse) = encoded.split_at(encoded.len() - 66);
    let (before, of_patient) = before.split_at(before.len() - 66);
    let signature = |bytes: &[u8]| Option::<Signature>::decode(&mut &bytes[..]).unwrap().unwrap();
    let (about, leaves) = (record.authorship(), record.leaves());
    let by_hand = oracle::cosigned_bytes(genesis, about, &leaves);
    assert!(verify(&signature(of_patient), &by_hand, patient));
    let by_hand = oracle::nursed_bytes(genesis, about, &leaves);
    assert!(verify(&signature(of_nurse), &by_hand, nurse));
    let alone = Record::decode_exactly(&[before, &[0], of_nurse].concat()).unwrap();
    assert_eq!(alone.signature(), record.signature());
    assert_eq!(alone.patient_signature(), None);
}

#[test]
fn profiles() {
    let hospital = SealingKeyPair::from_seed(SealingSuite::XWing, &[0xa1; 32]);
    let patient = SealingKeyPair::from_seed(SealingSuite::X25519, &[0xa2; 32]);
    let context = ProfileContext { genesis: genesis(), hospital: HOSPITAL, user: PATIENT };
    let keys = [[0xa4; 32], [0xa5; 32], [0xa6; 32]];
    let make = || {
        let account = AccountId::new([0xa3; 32]);
        let user = Recipient { account: &account, key: patient.public() };
        let sealed = patient_keys(&keys);
        let body =
            ProfileBody::for_patient(&context, "Zoë", &sealed, user, hospital.public(), &agent());
        json!({
            "genesis": hex::encode(genesis()), "hospital": HOSPITAL, "user": PATIENT,
            "agent": hex::encode(agent().public()), "name": "Zoë",
            "hospital_seed": hex::encode(hospital.seed()), "hospital_suite": hospital.suite().byte(),
            "patient_seed": hex::encode(patient.seed()), "patient_suite": patient.suite().byte(),
            "patient_keys": keys.map(hex::encode), "body": hex::encode(body.unwrap().encode()),
        })
    };
    let vector = vector("profile.json", make);
    let encoded = bytes(&vector["body"]);
    let body = ProfileBody::decode_exactly(&encoded).unwrap();
    assert_eq!(body.encode(), encoded);
    let expected: Vec<[u8; 32]> =
        vector["patient_keys"].as_array().unwrap().iter().map(array::<32>).collect();
    let agent = AccountId::new(array(&vector["agent"]));
    for opened in [
        body.patient_keys_for_hospital(&context, &hospital, &agent).unwrap(),
        body.patient_keys_for_patient(&context, &patient, &agent).unwrap(),
    ] {
        assert_eq!(opened.versions() as usize, expected.len());
        for (version, key) in (1..).zip(&expected) {
            assert_eq!(opened.get(version).unwrap().as_bytes(), key);
        }
        assert_eq!(body.name_with_patient_keys(&context, &opened).unwrap(), vector["name"]);
    }
    let place =
        oracle::Place { genesis: genesis(), hospital: HOSPITAL, user: PATIENT, keys: hospital };
    let (opened, name) = oracle::open_profile(&encoded, &place).unwrap();
    assert_eq!(opened, expected);
    assert_eq!(vector["name"].as_str().unwrap().as_bytes(), name);
}

#[test]
fn keystores() {
    let keys = ActorKeys {
        account: AccountKey::from_seed(Scheme::Sr25519, &[0xb1; 32]),
        sealing: SealingKeyPair::from_seed(SealingSuite::XWing, &[0xb2; 32]),
    };
    let path = path("keystore.json");
    if writing() {
        let _ = fs::remove_file(&path);
        keystore::save(&keys, &path, "correct horse battery staple", Cost::Fast).unwrap();
    }
    // Everybody may read the vectors.
    let loaded = keystore::load_shared(&path, "correct horse battery staple").unwrap();
    assert_eq!(loaded.public(), keys.public());
    assert_eq!(keystore::read_public(&path).unwrap(), keys.public());
    assert_eq!(loaded.account(), keys.account());
}
