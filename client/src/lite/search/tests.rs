use std::sync::Mutex;

use codec::Encode;
use epione_envelope::{
    account::Signer, development, profile::Recipient, record::Draft, record_sealer::RecordSealer,
};
use epione_primitives::{
    block::{AnnouncedEntry, Announcement, Header, SignedAt, Stage},
    profile::{Registration, RegistrationStatus},
    rpc::RecordReply,
};
use serde_json::{Value, json};
use sp_core::{Blake2Hasher, Bytes, Hasher as _};
use tempfile::TempDir;

use super::*;
use crate::{
    chain::{LiteBlock, fake::FakeNode},
    lite::{
        Source, fetch, keep_profiles,
        made::{BEGUN, DAY, Maker},
    },
};

const GENESIS: Hash = Hash::repeat_byte(6);
const HOSPITAL: HospitalId = HospitalId(0);
const PATIENT: UserId = UserId([1; 32]);
const STUDY: &str = r#"{"resourceType":"ImagingStudy","modality":[{"code":"MR"}]}"#;

/// A file with three records of the patient, and one of another patient.
struct World {
    _folder: TempDir,
    store: Store,
    records: Vec<Record>,
    sealing: SealingKeyPair,
    keys: PatientKeys,
}

fn section(
    kind: SectionKind,
    media_type: &str,
    name: &str,
    content: &str,
) -> (Description, String) {
    let described = Description::of(kind, media_type, name, content.as_bytes()).unwrap();
    (described, content.to_owned())
}

/// A sealed record. Sections of kind media are sealed as media, all others as texts.
fn record(patient: UserId, sections: &[(Description, String)], keys: &PatientKeys) -> Record {
    let doctor = development::keys("//Doctor").unwrap();
    let described = sections.iter().map(|(description, _)| description.clone()).collect();
    let author = UserId([2; 32]);
    let draft = Draft::new(patient, HOSPITAL, author, SignedAt::default(), described).unwrap();
    let signed = draft.sign(GENESIS, &doctor);
    let mut sealer = RecordSealer::new(GENESIS, signed, &doctor.account(), keys).unwrap();
    for (index, (description, content)) in (0..).zip(sections) {
        if description.kind == SectionKind::Media {
            let mut sealing = sealer.start_media(index).unwrap();
            sealing.push(content.as_bytes()).unwrap();
            sealer.end_media(sealing).unwrap();
        } else {
            sealer.seal_text(index, content.as_bytes()).unwrap();
        }
    }
    sealer.finish().unwrap()
}

const CONTEXT: ProfileContext =
    ProfileContext { genesis: GENESIS, hospital: HOSPITAL, user: PATIENT };

fn profile(keys: &PatientKeys, sealing: &SealingKeyPair) -> ProfileBody {
    let agent = development::keys("//Alice//agent").unwrap();
    let account = development::keys("//Patient").unwrap().account();
    let user = Recipient { account: &account, key: sealing.public() };
    ProfileBody::for_patient(&CONTEXT, "Zoë", keys, user, agent.sealing.public(), &agent).unwrap()
}

/// A profile whose newest key the hospital withholds from the patient.
fn withheld(keys: &PatientKeys, sealing: &SealingKeyPair) -> ProfileBody {
    let agent = development::keys("//Alice//agent").unwrap();
    let account = development::keys("//Patient").unwrap().account();
    let user = Recipient { account: &account, key: sealing.public() };
    ProfileBody::withheld(&CONTEXT, "Zoë", keys, user, agent.sealing.public(), &agent).unwrap()
}

fn world() -> World {
    let sealing = development::keys("//Patient").unwrap().sealing;
    let (keys, other) = (PatientKeys::generate(), PatientKeys::generate());
    let text = "text/plain";
    let first = [
        section(SectionKind::Diagnosis, text, "", "fracture of the left wrist"),
        section(SectionKind::Media, "application/dicom", "CT_wrist.dcm", "pixels"),
    ];
    let second = [section(SectionKind::Prescription, text, "", "rest, and ice")];
    let third = [
        section(SectionKind::Report, "application/fhir+json", "study.json", STUDY),
        section(SectionKind::Media, "application/dicom", "scan.dcm", "more pixels"),
    ];
    let theirs = [section(SectionKind::Diagnosis, text, "", "fracture of another wrist")];
    let records = vec![
        record(PATIENT, &first, &keys),
        record(PATIENT, &second, &keys),
        record(UserId([9; 32]), &theirs, &other),
        record(PATIENT, &third, &keys),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(&folder.path().join("lite.sqlite"), GENESIS).unwrap();
    let mut maker = Maker::default();
    let blocks: Vec<LiteBlock> =
        records.iter().map(|it| maker.commit(&[(it.patient(), it.encode())])).collect();
    let source = Source { number: 9, hash: Hash::zero(), time: 1, height: 4, proven: true };
    store.append(&blocks, &source).unwrap();
    for (height, record) in (1..).zip(&records) {
        store.keep_record(RecordPointer { height, index: 0 }, &record.encode()).unwrap();
    }
    let body = profile(&keys, &sealing).encode();
    store.keep_profile(PATIENT, HOSPITAL, Hash::repeat_byte(4), &body).unwrap();
    World { _folder: folder, store, records, sealing, keys }
}

/// A record of the patient, of one text.
fn note(keys: &PatientKeys) -> Record {
    record(PATIENT, &[section(SectionKind::Report, "text/plain", "", "healed")], keys)
}

impl World {
    /// Commits a further record, at height 5.
    fn add(&mut self, record: &Record) {
        let mut maker = Maker::default();
        for before in &self.records {
            maker.commit(&[(before.patient(), before.encode())]);
        }
        let block = maker.commit(&[(record.patient(), record.encode())]);
        let source = Source { number: 11, hash: Hash::zero(), time: 2, height: 5, proven: true };
        self.store.append(&[block], &source).unwrap();
        self.store.keep_record(RecordPointer { height: 5, index: 0 }, &record.encode()).unwrap();
    }

    fn keep_profile(&mut self, number: u8, body: &ProfileBody) {
        let hash = Hash::repeat_byte(number);
        self.store.keep_profile(PATIENT, HOSPITAL, hash, &body.encode()).unwrap();
    }

    fn search(&self, filter: &Filter) -> Searched {
        let sealing = std::slice::from_ref(&self.sealing);
        let own = OwnKeys { user: PATIENT, sealing };
        search(&self.store, Some(own), Vec::new(), filter).unwrap()
    }

    /// Height and section of what is found.
    fn places(&self, filter: &Filter) -> Vec<(u32, u16)> {
        let found = self.search(filter).found;
        found.iter().map(|found| (found.pointer.height, found.section)).collect()
    }
}

#[test]
fn all_own_records_are_listed_newest_first_and_no_others() {
    let world = world();
    assert_eq!(world.places(&Filter::default()), [(4, 0), (4, 1), (2, 0), (1, 0), (1, 1)]);
    let searched = world.search(&Filter::default());
    assert_eq!(searched.closed, []);
    let scan = &searched.found[4];
    assert_eq!((scan.file_name.as_str(), scan.bytes), ("CT_wrist.dcm", 6));
    assert_eq!((scan.hospital, scan.time), (HOSPITAL, BEGUN + DAY));
}

#[test]
fn sections_are_found_by_kind_date_modality_and_text() {
    let world = world();
    let filter = Filter { kind: Some(SectionKind::Prescription), ..Filter::default() };
    assert_eq!(world.places(&filter), [(2, 0)]);
    let (from, before) = (Some(BEGUN + 2 * DAY), Some(BEGUN + 4 * DAY));
    assert_eq!(world.places(&Filter { from, before, ..Filter::default() }), [(2, 0)]);
    for (text, expected) in
        [("WRIST", vec![(1, 0), (1, 1)]), ("study", vec![(4, 0)]), ("zzz", vec![])]
    {
        let filter = Filter { text: Some(text.into()), ..Filter::default() };
        assert_eq!(world.places(&filter), expected, "{text}");
    }
    // The second scan has no word in its name: the report of the same record says what it is.
    for (modality, expected) in [("ct", vec![(1, 1)]), ("MR", vec![(4, 0), (4, 1)]), ("US", vec![])]
    {
        let filter = Filter { modality: Some(modality.into()), ..Filter::default() };
        assert_eq!(world.places(&filter), expected, "{modality}");
    }
}

#[test]
fn other_keys_find_nothing_and_say_so() {
    let world = world();
    let stranger = development::keys("//Stranger").unwrap().sealing;
    let own = OwnKeys { user: PATIENT, sealing: &[stranger] };
    let searched = search(&world.store, Some(own), Vec::new(), &Filter::default()).unwrap();
    assert_eq!(searched.found, []);
    let reasons: Vec<_> = searched.closed.iter().map(|closed| closed.reason).collect();
    assert_eq!(reasons, [OTHER_RECIPIENT; 3]);
}

#[test]
fn records_from_before_a_rotation_open_with_the_key_of_that_time() {
    let mut world = world();
    let newer = development::keys("//Patient//new").unwrap().sealing;
    let body = profile(&PatientKeys::generate(), &newer).encode();
    world.store.keep_profile(PATIENT, HOSPITAL, Hash::repeat_byte(5), &body).unwrap();
    let sealing = [newer, world.sealing.clone()];
    let own = OwnKeys { user: PATIENT, sealing: &sealing };
    let searched = search(&world.store, Some(own), Vec::new(), &Filter::default()).unwrap();
    assert_eq!((searched.found.len(), searched.closed.len()), (5, 0));
}

#[test]
fn a_record_under_a_newer_key_opens_when_the_newer_profile_is_in_the_file() {
    let mut world = world();
    let renewed = world.keys.renewed().unwrap();
    world.add(&note(&renewed));
    let closed = |world: &World| {
        let closed = world.search(&Filter::default()).closed;
        closed.into_iter().map(|it| (it.pointer.height, it.reason)).collect::<Vec<_>>()
    };
    assert_eq!(closed(&world), [(5, OLD_PROFILE)]);
    let sealing = world.sealing.clone();
    world.keep_profile(5, &withheld(&renewed, &sealing));
    assert_eq!(closed(&world), [(5, WITHHELD)], "older records open with the profile of that time");
    world.keep_profile(6, &profile(&renewed, &sealing));
    assert!(closed(&world).is_empty());
    assert_eq!(world.search(&Filter::default()).found.len(), 6);
}

#[test]
fn a_hospital_whose_profile_is_not_in_the_file_is_told_apart_from_keys_that_do_not_fit() {
    let world = world();
    let sealing = std::slice::from_ref(&world.sealing);
    let own = OwnKeys { user: UserId([9; 32]), sealing };
    let searched = search(&world.store, Some(own), Vec::new(), &Filter::default()).unwrap();
    assert_eq!(searched.found, []);
    assert_eq!((searched.closed.len(), searched.closed[0].reason), (1, NO_PROFILE));
}

#[test]
fn a_record_that_is_added_with_its_key_during_a_search_waits_for_the_next_one() {
    let mut world = world();
    let reader = Store::open(world.store.path()).unwrap();
    let (sealing, renewed) = (world.sealing.clone(), world.keys.renewed().unwrap());
    let own = OwnKeys { user: PATIENT, sealing: std::slice::from_ref(&sealing) };
    let mut left = Some(&mut world);
    // The search reads what was saved after the keys, and before the records.
    let adding = std::iter::from_fn(|| {
        if let Some(world) = left.take() {
            world.keep_profile(5, &profile(&renewed, &sealing));
            world.add(&note(&renewed));
        }
        None::<Saved>
    });
    let searched = search(&reader, Some(own), adding, &Filter::default()).unwrap();
    assert_eq!((searched.found.len(), searched.closed), (5, vec![]));
    let searched = search(&reader, Some(own), Vec::new(), &Filter::default()).unwrap();
    assert_eq!((searched.found.len(), searched.closed), (6, vec![]));
}

#[test]
fn what_several_reads_saved_of_a_record_is_found_together_also_by_its_patient() {
    let world = world();
    let (first, pointer) = (&world.records[0], RecordPointer { height: 1, index: 0 });
    let saved = |section| {
        let key = first.content_key(GENESIS, section, &world.keys).unwrap();
        let described = first.describe(GENESIS, section, &key).unwrap();
        Saved { pointer, record: first.id(), sections: BTreeMap::from([(section, described)]) }
    };
    let both = || vec![saved(0), saved(1)];
    let searched = search(&world.store, None, both(), &Filter::default()).unwrap();
    let places = |searched: &Searched| {
        let found = searched.found.iter();
        found.map(|found| (found.pointer.height, found.section)).collect::<Vec<_>>()
    };
    assert_eq!((places(&searched), searched.closed), (vec![(1, 0), (1, 1)], vec![]));
    // The patient has no key for the record, but has read it.
    let stranger = development::keys("//Stranger").unwrap().sealing;
    let own = OwnKeys { user: PATIENT, sealing: &[stranger] };
    let searched = search(&world.store, Some(own), both(), &Filter::default()).unwrap();
    assert_eq!(places(&searched), [(1, 0), (1, 1)]);
    assert!(searched.closed.iter().all(|closed| closed.pointer != pointer), "{searched:?}");
}

fn hash_of(number: u64) -> Hash {
    Hash::from_low_u64_be(number)
}

/// A node of a chain with this lite block of one record of the patient, which was announced in chain block 7. Until
/// then the patient had the first of these profiles at the hospital, and now has the other one.
fn node(block: &LiteBlock, record: &Record, profiles: [Vec<u8>; 2]) -> FakeNode {
    let (entry, text) = (block.entries[0].clone(), Bytes(record.encode()));
    let record = RecordReply { pointer: RecordPointer { height: 1, index: 0 }, entry, text };
    let Header { announcer, body_hash, body_bytes, records, segments, .. } = block.header;
    let (announced_at, stage) = (7, Stage::Committed { height: 1 });
    let announcement =
        Announcement { announcer, body_hash, body_bytes, records, segments, announced_at, stage };
    let announced = Some((announcement, Vec::<AnnouncedEntry>::new())).encode();
    let [before, present] = [(1, &profiles[0]), (2, &profiles[1])].map(|(version, body)| {
        let (status, periods) = (RegistrationStatus::Active, Default::default());
        Registration { status, periods, version, body_hash: Blake2Hasher::hash(body) }
    });
    // The present one is requested first.
    let bodies = Mutex::new(profiles.to_vec());
    FakeNode::new(move |method, params: &[Value]| match method {
        "chain_getFinalizedHead" => json!(hash_of(19)),
        "chain_getHeader" => json!({ "number": "0x13" }),
        "chain_getBlockHash" => json!(hash_of(params[0].as_u64().unwrap())),
        "liteBlocks_record" => json!(record),
        "LiteBlocksApi_announcement" => json!(Bytes(announced.clone())),
        "ProfilesApi_registrations" => json!(Bytes(vec![(HOSPITAL, present.clone())].encode())),
        "ProfilesApi_registration" => {
            assert_eq!(params[2], json!(hash_of(7)));
            json!(Bytes(Some(before.clone()).encode()))
        }
        "bitswap_v1_get" => json!(Bytes(bodies.lock().unwrap().pop().unwrap())),
        other => panic!("{other} is not served"),
    })
}

#[tokio::test]
async fn a_record_from_before_its_hospital_began_with_new_keys_opens_with_the_profile_of_that_time()
{
    let sealing = development::keys("//Patient").unwrap().sealing;
    let newer = development::keys("//Patient//new").unwrap().sealing;
    let keys = PatientKeys::generate();
    let record = note(&keys);
    let block = Maker::default().commit(&[(PATIENT, record.encode())]);
    let profiles = [profile(&keys, &sealing), profile(&PatientKeys::generate(), &newer)];
    let chain = node(&block, &record, profiles.map(|body| body.encode())).connect().await;

    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::create(&folder.path().join("lite.sqlite"), GENESIS).unwrap();
    let source = Source { number: 9, hash: Hash::zero(), time: 1, height: 1, proven: true };
    store.append(&[block], &source).unwrap();
    let account = development::keys("//Patient").unwrap().account();
    let own = keep_profiles(&chain, &mut store, &account, PATIENT).await.unwrap();
    assert!(own.absent.is_empty());
    for added in [1, 0] {
        let records = store.records_of(PATIENT).unwrap();
        let fetched = fetch(&chain, &mut store, Some(&own), records, |_, _| {}).await.unwrap();
        assert_eq!((fetched.added, fetched.failed.len()), (added, 0));
    }

    let sealing = [newer, sealing];
    let own = OwnKeys { user: PATIENT, sealing: &sealing };
    let searched = search(&store, Some(own), Vec::new(), &Filter::default()).unwrap();
    assert_eq!((searched.found.len(), searched.closed), (1, vec![]));
    // Only the key of that time opens it.
    let own = OwnKeys { user: PATIENT, sealing: &sealing[..1] };
    let searched = search(&store, Some(own), Vec::new(), &Filter::default()).unwrap();
    assert_eq!((searched.found.len(), searched.closed[0].reason), (0, OTHER_RECIPIENT));
}

#[test]
fn saved_descriptions_count_only_if_the_author_signed_them() {
    let world = world();
    let (pointer, record) = (RecordPointer { height: 3, index: 0 }, &world.records[2]);
    let content = b"fracture of another wrist";
    let forged = Description::of(SectionKind::Diagnosis, "text/plain", "", content).unwrap();
    let saved = |pointer, record: &Record, description: Description| Saved {
        pointer,
        record: record.id(),
        sections: BTreeMap::from([(0, description)]),
    };
    let run = |saved| search(&world.store, None, vec![saved], &Filter::default()).unwrap();
    // Equal content, but another salt.
    let searched = run(saved(pointer, record, forged));
    assert_eq!((searched.found.len(), searched.closed[0].reason), (0, UNSIGNED));

    let (first, at) = (&world.records[0], RecordPointer { height: 1, index: 0 });
    let key = first.content_key(GENESIS, 0, &world.keys).unwrap();
    let signed = first.describe(GENESIS, 0, &key).unwrap();
    let searched = run(saved(at, first, signed.clone()));
    assert_eq!((searched.found.len(), searched.closed.len()), (1, 0));
    assert_eq!(searched.found[0].kind, SectionKind::Diagnosis);
    // Of another record.
    let searched = run(saved(pointer, record, signed));
    assert_eq!((searched.found.len(), searched.closed[0].reason), (0, UNSIGNED));
}

#[test]
fn what_is_altered_or_absent_in_the_file_is_named() {
    let mut world = world();
    let other = world.records[1].encode();
    world.store.keep_record(RecordPointer { height: 1, index: 0 }, &other).unwrap();
    let searched = world.search(&Filter::default());
    assert_eq!(searched.found.len(), 3);
    assert_eq!((searched.closed.len(), searched.closed[0].reason), (1, ALTERED));
    let saved = Saved {
        pointer: RecordPointer { height: 9, index: 0 },
        record: RecordId([1; 16]),
        sections: BTreeMap::new(),
    };
    let searched = search(&world.store, None, vec![saved], &Filter::default()).unwrap();
    assert_eq!(searched.closed[0].reason, UNKNOWN);
}

#[test]
fn the_file_contains_no_opened_word() {
    let world = world();
    let path = world.store.path().to_owned();
    assert!(!world.search(&Filter::default()).found.is_empty());
    drop(world.store);
    let bytes = std::fs::read(path).unwrap();
    for word in ["fracture", "CT_wrist", "ImagingStudy", "Zoë", "diagnosis"] {
        let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!found, "{word}");
    }
}
