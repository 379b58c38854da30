//! Media, from segments on a server to a file. The tests that need a chain are in `client/tests`.

use std::path::PathBuf;

use epione_envelope::{
    account::Signer,
    development,
    frames::Frames,
    keys::PatientKeys,
    record::{Description, Draft},
    record_sealer::RecordSealer,
    segment::object_key,
};
use epione_primitives::block::SignedAt;
use url::Url;

use super::{fetcher::Fetcher, *};
use crate::{
    endpoint::Endpoint,
    signer::Account,
    worker::{WorkerError, loopback},
};

pub(super) const GENESIS: Hash = Hash::repeat_byte(6);
pub(super) const POINTER: RecordPointer = RecordPointer { height: 1, index: 0 };
mod made;
mod offers;
mod parts;
mod resuming;
mod storage;

const MIB: usize = 1024 * 1024;
const TREATMENT: Intent = Intent { purpose: Purpose::Treatment, emergency: None };
/// When links expire.
const ENDS: Moment = 4_000_000_000_000;

/// Sealed media, and their segments.
pub(super) struct Sealed {
    pub(super) record: Record,
    pub(super) keys: PatientKeys,
    segments: HashMap<[u8; 32], Vec<u8>>,
    content: Vec<u8>,
}

/// A record of one text and one media section.
pub(super) fn sealed(length: usize) -> Sealed {
    sealed_content((0..length).map(|i| ((i / 3) ^ (i >> 11)) as u8).collect(), Frames::default())
}

fn sealed_content(content: Vec<u8>, frames: Frames) -> Sealed {
    let doctor = development::keys("//Doctor").unwrap();
    let section = |kind, name, content: &[u8]| {
        Description::of(kind, "application/dicom", name, content).unwrap()
    };
    let mut media = section(SectionKind::Media, "scan.dcm", &content);
    media.frames = frames;
    let sections = vec![section(SectionKind::Report, "", b"all well"), media];
    let (patient, author) = (UserId([1; 32]), UserId([2; 32]));
    let draft = Draft::new(patient, HospitalId(0), author, SignedAt::default(), sections).unwrap();
    let keys = PatientKeys::generate();
    let signed = draft.sign(GENESIS, &doctor);
    let mut sealer = RecordSealer::new(GENESIS, signed, &doctor.account(), &keys).unwrap();
    sealer.seal_text(0, b"all well").unwrap();
    let mut sealing = sealer.start_media(1).unwrap();
    let mut parts = sealing.push(&content).unwrap();
    parts.extend(sealer.end_media(sealing).unwrap());
    let (mut segments, mut current) = (HashMap::new(), Vec::new());
    for part in parts {
        current.extend(part.bytes);
        if let Some(segment) = part.ends {
            segments.insert(segment.hash, std::mem::take(&mut current));
        }
    }
    Sealed { record: sealer.finish().unwrap(), keys, segments, content }
}

impl Sealed {
    async fn serve(&self) -> Url {
        let path = |hash| format!("/{}", object_key(hash));
        let files = self.segments.iter().map(|(hash, bytes)| (path(hash), bytes.clone()));
        loopback::files(files.collect()).await
    }

    fn links(&self, server: &Url, source: Source) -> FetchRight {
        let links = self.record.segments().into_iter().map(|segment| {
            let url = server.join(&object_key(&segment.hash)).unwrap().into();
            let link = SegmentLink { segment: hex::encode(segment.hash), url, expires: ENDS };
            (segment.hash, link)
        });
        FetchRight::Links { links: links.collect(), source }
    }

    fn open(&self, server: &Url, granted: &[u16]) -> OpenRecord {
        self.open_from(self.links(server, Source::Request(TREATMENT)), granted)
    }

    fn open_from(&self, right: FetchRight, granted: &[u16]) -> OpenRecord {
        let keys = granted.iter().map(|section| {
            (*section, self.record.content_key(GENESIS, *section, &self.keys).unwrap())
        });
        let section = |section: &Section| SectionSummary {
            slots: Vec::new(),
            media_bytes: (!section.segments().is_empty()).then_some(self.content.len() as u64),
        };
        let summary = RecordSummary {
            pointer: POINTER,
            record_id: self.record.id(),
            patient: self.record.patient(),
            hospital: self.record.hospital(),
            author: self.record.author(),
            nurse: None,
            cosigned: false,
            signed_at: self.record.signed_at(),
            time: 1,
            previous: None,
            sections: self.record.sections().iter().map(section).collect(),
        };
        let access = Access { keys: keys.collect(), right };
        OpenRecord::new(GENESIS, summary, self.record.clone(), access).unwrap()
    }
}

fn worker(server: &Url) -> WorkerClient {
    worker_of(server, HospitalId(0))
}

pub(super) fn worker_of(server: &Url, hospital: HospitalId) -> WorkerClient {
    let account = Account::development("//Patient").unwrap();
    let endpoint = Endpoint::new(server.clone(), [0; 32]).unwrap();
    WorkerClient::new(&endpoint, hospital, GENESIS, account).unwrap()
}

async fn save(
    server: &Url,
    record: &OpenRecord,
    section: usize,
    folder: &tempfile::TempDir,
) -> (Result<SavedMedia, ReadError>, PathBuf) {
    let worker = worker(server);
    let to = folder.path().join("saved.dcm");
    let saved = match Fetcher::new(&worker, None, record, section, &|_| {}) {
        Ok(fetcher) => fetcher.save(&to).await,
        Err(error) => Err(error),
    };
    (saved, to)
}

fn names(folder: &tempfile::TempDir) -> usize {
    std::fs::read_dir(folder.path()).unwrap().count()
}

#[tokio::test]
async fn media_are_read_back_byte_for_byte() {
    // One segment; content that ends with a segment, its tags in the next; three segments.
    for length in [1, 3 * MIB + 7, 4 * MIB, 9 * MIB + 1] {
        let sealed = sealed(length);
        let server = sealed.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let record = sealed.open(&server, &[0, 1]);
        let (saved, to) = save(&server, &record, 1, &folder).await;
        let saved = saved.unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), sealed.content, "{length}");
        assert_eq!(saved.bytes, length as u64);
        assert_eq!(saved.blake3, *blake3::hash(&sealed.content).as_bytes());
        assert_eq!(names(&folder), 1);
    }
}

#[tokio::test]
async fn the_patients_own_media_come_from_any_worker_by_their_record() {
    let sealed = sealed(5 * MIB);
    let path = |hash| format!("/v1/segments/{}?record=1/0", hex::encode(hash));
    let files = sealed.segments.iter().map(|(hash, bytes)| (path(hash), bytes.clone()));
    let server = loopback::files(files.collect()).await;
    let folder = tempfile::tempdir().unwrap();
    let record = sealed.open_from(FetchRight::Own, &[0, 1]);
    let (saved, to) = save(&server, &record, 1, &folder).await;
    assert_eq!(saved.unwrap().bytes, sealed.content.len() as u64);
    assert!(std::fs::read(to).unwrap() == sealed.content);
}

#[test]
fn links_that_expire_soon_are_renewed_but_never_by_breaking_the_glass_again() {
    let sealed = sealed(10);
    let server = Url::parse("http://127.0.0.1:1").unwrap();
    let segments = sealed.record.segments();
    let emergency =
        Intent { purpose: Purpose::Emergency, emergency: Some(EmergencyReason::LifeThreatening) };
    let renewal = |source, now| sealed.links(&server, source).renewal(POINTER, &segments, now);
    let (treatment, emergency) = (Source::Request(TREATMENT), Source::Request(emergency));
    let query = Source::Query(QueryId(7));
    for source in [treatment, emergency, query] {
        assert_eq!(renewal(source, ENDS - 10_000).unwrap(), None);
    }
    for late in [ENDS - 1_000, ENDS, ENDS + 1] {
        assert_eq!(renewal(treatment, late).unwrap(), Some(treatment));
        assert_eq!(renewal(query, late).unwrap(), Some(query));
        let ended = renewal(emergency, late).unwrap_err();
        assert!(matches!(ended, ReadError::LinksEnded { pointer: POINTER }), "{ended}");
        assert_eq!(FetchRight::Own.renewal(POINTER, &segments, late).unwrap(), None);
    }
}

#[tokio::test]
async fn a_damaged_or_missing_segment_leaves_no_file_of_that_name() {
    let whole = sealed(5 * MIB);
    for (index, segment) in whole.record.segments().iter().enumerate() {
        for damage in [true, false] {
            let mut sealed = Sealed { segments: whole.segments.clone(), ..sealed_like(&whole) };
            if damage {
                sealed.segments.get_mut(&segment.hash).unwrap()[9] ^= 1;
            } else {
                sealed.segments.remove(&segment.hash);
            }
            let server = sealed.serve().await;
            let folder = tempfile::tempdir().unwrap();
            let (saved, to) = save(&server, &sealed.open(&server, &[1]), 1, &folder).await;
            let error = saved.unwrap_err();
            let ReadError::Segment { segment: named, source } = error else { panic!("{error}") };
            assert_eq!(named, segment.hash, "{index}");
            assert_eq!(damage, matches!(source, WorkerError::WrongBytes { .. }), "{source}");
            assert!(!to.exists());
            // What came before it is kept, and the next run resumes there.
            assert_eq!(names(&folder), usize::from(index == 1 && damage));
            let server = whole.serve().await;
            let (saved, to) = save(&server, &whole.open(&server, &[1]), 1, &folder).await;
            saved.unwrap();
            assert!(std::fs::read(to).unwrap() == whole.content);
            assert_eq!(names(&folder), 1);
        }
    }
}

fn sealed_like(whole: &Sealed) -> Sealed {
    Sealed {
        record: whole.record.clone(),
        keys: whole.keys.clone(),
        segments: HashMap::new(),
        content: Vec::new(),
    }
}

#[tokio::test]
async fn a_file_that_exists_is_never_replaced() {
    let sealed = sealed(10);
    let server = sealed.serve().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("saved.dcm"), b"older").unwrap();
    let (saved, to) = save(&server, &sealed.open(&server, &[1]), 1, &folder).await;
    assert!(matches!(saved, Err(ReadError::Exists(_))));
    assert_eq!(std::fs::read(to).unwrap(), b"older");
}

#[tokio::test]
async fn only_what_was_granted_opens() {
    let sealed = sealed(10);
    let server = sealed.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let record = sealed.open(&server, &[0]);
    let OpenContent::Text { text, .. } = &record.sections[0].content else { panic!() };
    assert_eq!(text.as_str(), "all well");
    assert!(matches!(record.sections[1].content, OpenContent::NotGranted));
    // The kind of a section is sealed with its content.
    let kinds: Vec<_> = record.sections.iter().map(|section| section.kind).collect();
    assert_eq!(kinds, [Some(SectionKind::Report), None]);

    let refused = save(&server, &record, 1, &folder).await.0.unwrap_err();
    assert!(matches!(refused, ReadError::NotGranted { section: 1, .. }), "{refused}");
    for section in [0, 2] {
        let refused = save(&server, &record, section, &folder).await.0.unwrap_err();
        assert!(matches!(refused, ReadError::NotMedia { .. }), "{refused}");
    }
}

#[test]
fn a_content_key_of_another_section_opens_nothing() {
    let sealed = sealed(10);
    let other = sealed.record.content_key(GENESIS, 1, &sealed.keys).unwrap();
    let server = Url::parse("http://127.0.0.1:1").unwrap();
    let good = sealed.open(&server, &[]);
    let access = Access { keys: HashMap::from([(0, other)]), right: FetchRight::Own };
    let refused =
        OpenRecord::new(GENESIS, good.summary, sealed.record.clone(), access).unwrap_err();
    assert!(matches!(refused, ReadError::Open { section: 0, .. }), "{refused}");
}
