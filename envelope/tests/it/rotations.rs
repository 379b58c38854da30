//! A rotation after a theft: a thief who has an old sealing key and everything on the chain reads what was sealed
//! before the rotation, and nothing sealed after it.

use codec::Encode;
use epione_envelope::{
    FormatError, OpenError,
    keys::{PatientKey, PatientKeys},
    profile::{ProfileBody, ProfileContext, Recipient},
    record::{Record, SectionKind},
    sealing_keys::SealingKeyPair,
};
use epione_primitives::limits::{MAX_PATIENT_KEYS, MAX_PROFILE_BODY_BYTES};

use crate::{
    fixture::{HOSPITAL, PATIENT, account, account_id, genesis, seal_visit, sealing_keys, stated},
    oracle,
};

const NAME: &str = "Zoe";
const TEXT: &[u8] = b"a secret of its time";

fn context() -> ProfileContext {
    ProfileContext { genesis: genesis(), hospital: HOSPITAL, user: PATIENT }
}

fn body(name: &str, keys: &PatientKeys, patient: &str, hospital: &str) -> ProfileBody {
    let (patient, hospital) = (sealing_keys(patient), sealing_keys(hospital));
    let account_id = account_id("patient");
    let user = Recipient { account: &account_id, key: patient.public() };
    let agent = account("agent");
    ProfileBody::for_patient(&context(), name, keys, user, hospital.public(), &agent).unwrap()
}

fn record(keys: &PatientKeys) -> Record {
    seal_visit(&[stated(SectionKind::Diagnosis, TEXT)], keys).0
}

/// What everybody has: the profile bodies of one patient, and a record that was sealed after each of them.
struct Chain {
    bodies: Vec<ProfileBody>,
    records: Vec<Record>,
}

/// The patient rotates, then the hospital, then the patient again.
fn chain() -> Chain {
    let times = [
        ("patient 1", "hospital 1"),
        ("patient 2", "hospital 1"),
        ("patient 2", "hospital 2"),
        ("patient 3", "hospital 2"),
    ];
    let mut keys = PatientKeys::generate();
    let (mut bodies, mut records) = (Vec::new(), Vec::new());
    for (patient, hospital) in times {
        bodies.push(body(NAME, &keys, patient, hospital));
        records.push(record(&keys));
        keys = keys.renewed().unwrap();
    }
    Chain { bodies, records }
}

impl Chain {
    /// Every patient key that these sealing keys open in any body.
    fn stolen(&self, keys: &[SealingKeyPair]) -> Vec<PatientKey> {
        let agent = account_id("agent");
        let mut stolen = Vec::new();
        for (body, key) in
            self.bodies.iter().flat_map(|body| keys.iter().map(move |key| (body, key)))
        {
            let opened = [
                body.patient_keys_for_patient(&context(), key, &agent),
                body.patient_keys_for_hospital(&context(), key, &agent),
            ];
            for keys in opened.into_iter().flatten() {
                stolen.extend(
                    (1..=keys.versions()).map(|version| keys.get(version).unwrap().clone()),
                );
            }
        }
        stolen
    }

    /// Which records these patient keys open, each tried as every version.
    fn read_with(&self, keys: &[PatientKey]) -> Vec<bool> {
        let opens = |record: &Record, key: &PatientKey| {
            let context = record.context(genesis(), 0);
            let wrap = &record.sections()[0].wrap;
            (0..10).filter_map(|version| key.unwrap_key(version, wrap, &context).ok()).any(|key| {
                record.open_text(genesis(), 0, &key).is_ok_and(|(_, text)| text.as_slice() == TEXT)
            })
        };
        self.records.iter().map(|record| keys.iter().any(|key| opens(record, key))).collect()
    }

    /// Which records a thief of these sealing keys reads.
    fn thief_reads(&self, keys: &[&str]) -> Vec<bool> {
        let keys: Vec<_> = keys.iter().map(|name| sealing_keys(name)).collect();
        self.read_with(&self.stolen(&keys))
    }
}

#[test]
fn a_thief_of_an_old_sealing_key_of_the_patient_reads_nothing_sealed_after_the_rotation() {
    let chain = chain();
    assert_eq!(chain.thief_reads(&["patient 1"]), [true, false, false, false]);
    assert_eq!(chain.thief_reads(&["patient 2"]), [true, true, true, false]);
}

#[test]
fn a_thief_of_an_old_sealing_key_of_the_hospital_reads_nothing_sealed_after_the_rotation() {
    let chain = chain();
    assert_eq!(chain.thief_reads(&["hospital 1"]), [true, true, false, false]);
}

#[test]
fn all_old_sealing_keys_together_read_nothing_sealed_after_the_last_rotation() {
    let chain = chain();
    let old = chain.thief_reads(&["patient 1", "patient 2", "hospital 1"]);
    assert_eq!(old, [true, true, true, false]);
    assert_eq!(chain.thief_reads(&["other"]), [false; 4]);
    assert_eq!(chain.read_with(&[PatientKey::generate()]), [false; 4]);
}

#[test]
fn what_is_sealed_while_a_rotation_waits_opens_for_neither_the_retired_nor_the_waiting_key() {
    let first = PatientKeys::generate();
    let fresh = first.renewed().unwrap();
    let (retired, hospital) = (sealing_keys("patient 1"), sealing_keys("hospital 1"));
    let (account_id, agent) = (account_id("patient"), account("agent"));
    let user = Recipient { account: &account_id, key: retired.public() };
    let hospital = hospital.public();
    let withheld = ProfileBody::withheld(&context(), NAME, &fresh, user, hospital, &agent).unwrap();
    let mut chain = Chain {
        bodies: vec![body(NAME, &first, "patient 1", "hospital 1"), withheld],
        records: vec![record(&first), record(&fresh)],
    };
    assert_eq!(chain.thief_reads(&["patient 1", "patient 2"]), [true, false]);
    assert_eq!(chain.thief_reads(&["hospital 1"]), [true, true]);
    // Confirmed: no key of the patient has opened the fresh version, so it stays.
    chain.bodies.push(body(NAME, &fresh, "patient 2", "hospital 1"));
    assert_eq!(chain.thief_reads(&["patient 1"]), [true, false]);
    assert_eq!(chain.thief_reads(&["patient 2"]), [true, true]);
}

#[test]
fn an_old_patient_key_opens_neither_the_name_nor_the_keys_of_a_later_body() {
    let chain = chain();
    let stolen = chain.stolen(&["patient 1", "patient 2", "hospital 1"].map(sealing_keys));
    let newest = chain.bodies.last().unwrap();
    for key in stolen {
        // As if the stolen key was the newest version.
        let keys = PatientKeys::from_keys(vec![key; 4]).unwrap();
        assert_eq!(newest.name_with_patient_keys(&context(), &keys), Err(OpenError));
    }
    for name in ["patient 1", "patient 2", "hospital 1"] {
        let keys = sealing_keys(name);
        let agent = account_id("agent");
        assert!(newest.patient_keys_for_patient(&context(), &keys, &agent).is_err());
        assert!(newest.patient_keys_for_hospital(&context(), &keys, &agent).is_err());
        assert!(newest.name_for_hospital(&context(), &keys, &agent).is_err());
    }
}

#[test]
fn patient_and_hospital_read_everything_after_all_rotations() {
    let chain = chain();
    assert_eq!(chain.thief_reads(&["patient 3"]), [true; 4]);
    let (newest, agent) = (chain.bodies.last().unwrap(), account_id("agent"));
    let owner = newest.patient_keys_for_patient(&context(), &sealing_keys("patient 3"), &agent);
    let hospital =
        newest.patient_keys_for_hospital(&context(), &sealing_keys("hospital 2"), &agent);
    for keys in [owner.unwrap(), hospital.unwrap()] {
        assert_eq!(keys.versions(), 4);
        for (version, record) in (1..).zip(&chain.records) {
            assert_eq!(record.key_version(), version);
            let key = record.content_key(genesis(), 0, &keys).unwrap();
            assert_eq!(record.open_text(genesis(), 0, &key).unwrap().1.as_slice(), TEXT);
        }
        assert_eq!(newest.name_with_patient_keys(&context(), &keys).unwrap(), NAME);
        // An earlier body opens with all keys, too.
        assert_eq!(chain.bodies[0].name_with_patient_keys(&context(), &keys).unwrap(), NAME);
    }
}

#[test]
fn the_second_implementation_opens_all_versions_and_the_name() {
    let keys = PatientKeys::generate().renewed().unwrap().renewed().unwrap();
    let encoded = body(NAME, &keys, "patient 1", "hospital 1").encode();
    let place = oracle::Place {
        genesis: genesis(),
        hospital: HOSPITAL,
        user: PATIENT,
        keys: sealing_keys("hospital 1"),
    };
    let (opened, name) = oracle::open_profile(&encoded, &place).unwrap();
    let expected: Vec<_> = (1..=3).map(|version| *keys.get(version).unwrap().as_bytes()).collect();
    assert_eq!((opened, name.as_slice()), (expected, NAME.as_bytes()));
}

#[test]
fn a_record_whose_key_version_was_swapped_does_not_open() {
    let one = PatientKeys::generate();
    let two = one.renewed().unwrap();
    // The same key as both versions: the version itself is bound, not only the key.
    let same = PatientKeys::from_keys(vec![two.newest().1.clone(); 2]).unwrap();
    let old = PatientKeys::from_keys(vec![one.newest().1.clone(); 2]).unwrap();
    for (record, from, to) in [(record(&two), 2_u32, 1_u32), (record(&one), 1, 2)] {
        let encoded = record.encode();
        let at = 1 + 16 + 32 + 2 + 32 + 1 + 36 + 17;
        assert_eq!(encoded[at..at + 4], from.to_le_bytes());
        let mut edited = encoded.clone();
        edited[at..at + 4].copy_from_slice(&to.to_le_bytes());
        let edited = Record::decode_exactly(&edited).unwrap();
        assert!(record.content_key(genesis(), 0, &two).is_ok());
        for keys in [&one, &two, &same, &old] {
            assert_eq!(edited.content_key(genesis(), 0, keys).err(), Some(OpenError));
        }
    }
}

#[test]
fn a_record_of_a_later_version_does_not_open_with_the_keys_of_an_earlier_body() {
    let one = PatientKeys::generate();
    let record = record(&one.renewed().unwrap());
    assert_eq!(record.content_key(genesis(), 0, &one).err(), Some(OpenError));
}

#[test]
fn earlier_keys_that_were_exchanged_in_a_body_are_refused() {
    let keys = PatientKeys::generate().renewed().unwrap().renewed().unwrap();
    let (hospital, agent) = (sealing_keys("hospital 1"), account_id("agent"));
    let encoded = body(NAME, &keys, "patient 1", "hospital 1").encode();
    // The sealed name is last: parameters with a length of one byte, ciphertext and tag.
    let name = 1 + 16 + 1 + 1 + 32 + 32 + NAME.len() + 16;
    let at = encoded.len() - name - 2 * 40;
    assert_eq!(encoded[at - 1], 2 << 2);
    let opens = |encoded: &[u8]| {
        let body = ProfileBody::decode_exactly(encoded).unwrap();
        body.patient_keys_for_hospital(&context(), &hospital, &agent).is_ok()
    };
    assert!(opens(&encoded));
    let (first, second) = (&encoded[at..at + 40], &encoded[at + 40..at + 80]);
    let swapped = [&encoded[..at], second, first, &encoded[at + 80..]].concat();
    let repeated = [&encoded[..at], first, first, &encoded[at + 80..]].concat();
    assert!(!opens(&swapped) && !opens(&repeated));
    let mut damaged = encoded.clone();
    damaged[at] ^= 1;
    assert!(!opens(&damaged));
}

#[test]
fn the_number_of_versions_is_bounded_and_all_of_them_fit_into_a_body() {
    let mut keys = PatientKeys::generate();
    for version in 2..=MAX_PATIENT_KEYS {
        let renewed = keys.renewed().unwrap();
        assert_eq!(renewed.newest().0, version);
        assert_eq!(renewed.get(version - 1).unwrap().as_bytes(), keys.newest().1.as_bytes());
        assert_ne!(renewed.newest().1.as_bytes(), keys.newest().1.as_bytes());
        keys = renewed;
    }
    assert!(matches!(keys.renewed(), Err(FormatError::TooLarge { limit: 255, .. })));
    assert!(keys.get(0).is_none() && keys.get(MAX_PATIENT_KEYS + 1).is_none());

    let body = body(&"x".repeat(255), &keys, "patient 1", "hospital 1").encode();
    assert!(body.len() <= MAX_PROFILE_BODY_BYTES as usize, "{} bytes", body.len());
    let body = ProfileBody::decode_exactly(&body).unwrap();
    let (own, agent) = (sealing_keys("patient 1"), account_id("agent"));
    let opened = body.patient_keys_for_patient(&context(), &own, &agent).unwrap();
    assert_eq!(opened.versions(), MAX_PATIENT_KEYS);
    assert_eq!(opened.get(77).unwrap().as_bytes(), keys.get(77).unwrap().as_bytes());
}

#[test]
fn no_keys_and_too_many_keys_are_refused() {
    let key = PatientKey::generate();
    let keys = |count: u32| PatientKeys::from_keys(vec![key.clone(); count as usize]);
    assert_eq!(keys(0).err(), Some(OpenError));
    assert_eq!(keys(1).unwrap().versions(), 1);
    assert_eq!(keys(MAX_PATIENT_KEYS).unwrap().versions(), MAX_PATIENT_KEYS);
    assert_eq!(keys(MAX_PATIENT_KEYS + 1).err(), Some(OpenError));
}
