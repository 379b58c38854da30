//! A hospital, a patient, a doctor, and their visit.

use epione_envelope::{
    account::{AccountKey, Scheme, Signer},
    keys::{ContentKey, PatientKeys, SectionContext},
    object::{ChunkCipher, ObjectContext, ObjectSealer, Parameters, Part},
    record::{Description, Draft, Record, SectionKind, SignedDraft},
    record_sealer::RecordSealer,
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{AccountId, Hash, HospitalId, RecordId, UserId, block::SignedAt};

pub const HOSPITAL: HospitalId = HospitalId(3);
pub const PATIENT: UserId = UserId([0x11; 32]);
pub const DOCTOR: UserId = UserId([0x22; 32]);
pub const NURSE: UserId = UserId([0x44; 32]);
pub const FHIR: &str = "application/fhir+json";
pub const VISIT: &str = include_str!("visit.fhir.json");

pub fn genesis() -> Hash {
    Hash::repeat_byte(0x99)
}

/// The chain block that the fixture's drafts name.
pub fn signed_at() -> SignedAt {
    SignedAt { number: 0x0102_0304, hash: Hash::repeat_byte(0x77) }
}

pub fn account(name: &str) -> AccountKey {
    AccountKey::from_seed(Scheme::Sr25519, blake3::hash(name.as_bytes()).as_bytes())
}

pub fn account_id(name: &str) -> AccountId {
    account(name).account()
}

pub fn sealing_keys(name: &str) -> SealingKeyPair {
    SealingKeyPair::from_seed(SealingSuite::XWing, blake3::hash(name.as_bytes()).as_bytes())
}

pub fn section_context() -> SectionContext {
    let record = RecordId([0x33; 16]);
    SectionContext { genesis: genesis(), hospital: HOSPITAL, patient: PATIENT, record, section: 1 }
}

pub fn media_context() -> ObjectContext {
    ObjectContext { section: section_context(), part: Part::Media, version: 1 }
}

/// Every context that differs from `section_context` in one field.
pub fn other_contexts() -> Vec<(&'static str, SectionContext)> {
    let here = section_context();
    vec![
        ("chain", SectionContext { genesis: Hash::repeat_byte(0x98), ..here }),
        ("hospital", SectionContext { hospital: HospitalId(4), ..here }),
        ("patient", SectionContext { patient: UserId([0x12; 32]), ..here }),
        ("record", SectionContext { record: RecordId([0x34; 16]), ..here }),
        ("section", SectionContext { section: 2, ..here }),
    ]
}

/// Content that compresses badly and whose chunks all differ.
pub fn content(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(b"content").finalize_xof().fill(&mut bytes);
    bytes
}

/// Seals with chunks of 4 KiB.
pub fn seal<C: ChunkCipher>(
    key: &ContentKey,
    context: &ObjectContext,
    plaintext: &[u8],
) -> (Parameters, Vec<u8>) {
    let length = plaintext.len() as u64;
    let mut sealer = ObjectSealer::<C>::with_cipher(key, context, length, 4096).unwrap();
    let mut sealed = sealer.push(plaintext).unwrap();
    let (parameters, rest) = sealer.finish().unwrap();
    sealed.extend(rest);
    (parameters, sealed)
}

/// A section with the content that it describes.
pub struct Stated {
    pub description: Description,
    pub content: Vec<u8>,
}

pub fn stated(kind: SectionKind, content: &[u8]) -> Stated {
    let (media_type, name) =
        if kind == SectionKind::Media { ("application/dicom", "scan.dcm") } else { (FHIR, "") };
    let description = Description::of(kind, media_type, name, content).unwrap();
    Stated { description, content: content.to_vec() }
}

/// Two texts and one media section.
pub fn visit() -> Vec<Stated> {
    vec![
        stated(SectionKind::Summary, VISIT.as_bytes()),
        stated(SectionKind::Diagnosis, b"{\"resourceType\":\"Condition\"}"),
        stated(SectionKind::Media, &content(100_000)),
    ]
}

pub fn draft(visit: &[Stated]) -> Draft {
    let sections = visit.iter().map(|stated| stated.description.clone()).collect();
    Draft::new(PATIENT, HOSPITAL, DOCTOR, signed_at(), sections).unwrap()
}

pub fn signed(visit: &[Stated]) -> SignedDraft {
    draft(visit).sign(genesis(), &account("doctor"))
}

/// As [`signed`], and cosigned by the patient.
pub fn cosigned(visit: &[Stated]) -> SignedDraft {
    signed(visit).cosign(genesis(), &account("patient"))
}

/// As [`cosigned`], and signed by the nurse whom the draft names.
pub fn nursed(visit: &[Stated]) -> SignedDraft {
    draft(visit)
        .with_nurse(NURSE)
        .sign(genesis(), &account("doctor"))
        .cosign(genesis(), &account("patient"))
        .sign_as_nurse(genesis(), &account("nurse"))
}

/// Seals a visit. Returns the record and the sealed bytes of all its media.
pub fn seal_visit(visit: &[Stated], keys: &PatientKeys) -> (Record, Vec<u8>) {
    seal_draft(signed(visit), visit, keys)
}

pub fn seal_draft(signed: SignedDraft, visit: &[Stated], keys: &PatientKeys) -> (Record, Vec<u8>) {
    let doctor = account_id("doctor");
    let mut sealer = RecordSealer::new(genesis(), signed, &doctor, keys).unwrap();
    let mut stored = Vec::new();
    for (section, stated) in (0..).zip(visit) {
        if stated.description.kind == SectionKind::Media {
            let mut media = sealer.start_media(section).unwrap();
            let mut parts = media.push(&stated.content).unwrap();
            parts.extend(sealer.end_media(media).unwrap());
            stored.extend(parts.into_iter().flat_map(|part| part.bytes));
        } else {
            sealer.seal_text(section, &stated.content).unwrap();
        }
    }
    (sealer.finish().unwrap(), stored)
}
