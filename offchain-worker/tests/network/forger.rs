//! A malicious hospital: it announces invalid blocks, and serves wrong bytes or none.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use axum_server::tls_rustls::RustlsConfig;
use bytes::Bytes;
use epione_client::{request, signer::Account};
use epione_envelope::{
    body::{BodyBuilder, Packed, summary},
    description::Description,
    keys::PatientKeys,
    record::{Record, SectionKind},
    record_sealer::RecordSealer,
    segment::SegmentPart,
    signature::{Draft, SignedDraft},
};
use epione_primitives::{
    AccountId, Hash, HospitalId, UserId,
    block::{AnnouncedEntries, AnnouncedHeader, Segment, SignedAt, record_hash},
};
use epione_worker::{
    config::Config,
    keys::{self, TlsKeys},
    tls::Tls,
};
use futures::{StreamExt, stream};
use tokio::task::JoinHandle;

use super::{Hospital, people::People};

/// Makes lite blocks as if it were a hospital.
pub struct Forger {
    genesis: Hash,
    hospital: HospitalId,
    doctor: Account,
    author: UserId,
    patient: UserId,
    /// A finalized block.
    signed_at: SignedAt,
}

/// A lite block with its record and its segments.
pub struct Forged {
    pub record: Record,
    pub header: AnnouncedHeader,
    pub entries: AnnouncedEntries,
    pub body: Vec<u8>,
    pub segments: Vec<(Segment, Vec<u8>)>,
}

impl Forged {
    /// Gives the first segment the hash of other bytes.
    pub fn misnamed(mut self, hash: [u8; 32]) -> Self {
        let first = &mut self.segments[0].0;
        let at = self.body.windows(32).position(|bytes| bytes == first.hash).unwrap();
        self.body[at..at + 32].copy_from_slice(&hash);
        first.hash = hash;
        let segments: Vec<_> = self.segments.iter().map(|(segment, _)| *segment).collect();
        self.header.segments = summary(&segments);
        // The body contains one record.
        self.entries[0].hash = record_hash(&self.body);
        self
    }
}

impl Forger {
    pub async fn new(hospital: &Hospital, people: &People) -> Self {
        let chain = hospital.chain().await;
        Self {
            genesis: chain.genesis_hash(),
            hospital: hospital.id,
            doctor: people.doctor.account.clone(),
            author: people.doctor.user,
            patient: people.patient,
            signed_at: chain.finalized_head().await.unwrap().into(),
        }
    }

    /// A valid block.
    pub fn forge(&self, media: &[u8]) -> Forged {
        self.seal(self.draft(media).sign(self.genesis, &self.doctor), &self.doctor, media)
    }

    /// A block whose record another account signed as if it were the author.
    pub fn forge_as_nobody(&self, media: &[u8]) -> Forged {
        self.seal(self.draft(media).sign(self.genesis, &nobody()), &nobody(), media)
    }

    /// A block whose record another account signed as if it were the patient.
    pub fn forge_cosigned_by_nobody(&self, media: &[u8]) -> Forged {
        let signed = self.draft(media).sign(self.genesis, &self.doctor);
        self.seal(signed.cosign(self.genesis, &nobody()), &self.doctor, media)
    }

    /// A block whose record another account signed as if it were a nurse.
    pub fn forge_nursed_by_nobody(&self, media: &[u8]) -> Forged {
        let draft = self.draft(media).with_nurse(UserId([7; 32]));
        let signed = draft.sign(self.genesis, &self.doctor);
        self.seal(signed.sign_as_nurse(self.genesis, &nobody()), &self.doctor, media)
    }

    /// A block whose record was signed at a block that no chain has.
    pub fn forge_on_another_fork(&self, media: &[u8]) -> Forged {
        let signed_at = SignedAt { hash: Hash::repeat_byte(0xf0), ..self.signed_at };
        let draft = Draft { signed_at, ..self.draft(media) };
        self.seal(draft.sign(self.genesis, &self.doctor), &self.doctor, media)
    }

    /// A valid block, except that it also has the record of an earlier one.
    pub fn replay(&self, earlier: &Forged, media: &[u8]) -> Forged {
        let new = self.forge(media);
        let Packed { header, entries, body } = self.pack(&[&earlier.record, &new.record]);
        let segments = earlier.segments.iter().chain(&new.segments).cloned().collect();
        Forged { record: new.record, header, entries, body, segments }
    }

    fn draft(&self, media: &[u8]) -> Draft {
        let (kind, media_type) = (SectionKind::Media, "application/octet-stream");
        let sections = vec![Description::of(kind, media_type, "scan", media).unwrap()];
        Draft::new(self.patient, self.hospital, self.author, self.signed_at, sections).unwrap()
    }

    fn seal(&self, signed: SignedDraft, signer: &Account, media: &[u8]) -> Forged {
        let keys = PatientKeys::generate();
        let mut sealer = RecordSealer::new(self.genesis, signed, &signer.id(), &keys).unwrap();
        let mut media_sealer = sealer.start_media(0).unwrap();
        let mut parts = Vec::new();
        for chunk in media.chunks(1024 * 1024) {
            parts.extend(media_sealer.push(chunk).unwrap());
        }
        parts.extend(sealer.end_media(media_sealer).unwrap());
        let record = sealer.finish().unwrap();
        let Packed { header, entries, body } = self.pack(&[&record]);
        Forged { record, header, entries, body, segments: joined(parts) }
    }

    fn pack(&self, records: &[&Record]) -> Packed {
        let mut builder = BodyBuilder::new(self.hospital);
        for record in records {
            builder.push(record).unwrap();
        }
        builder.finish().unwrap()
    }
}

fn nobody() -> Account {
    Account::development("//Nobody").unwrap()
}

fn joined(parts: Vec<SegmentPart>) -> Vec<(Segment, Vec<u8>)> {
    let (mut segments, mut bytes) = (Vec::new(), Vec::new());
    for part in parts {
        bytes.extend(part.bytes);
        if let Some(segment) = part.ends {
            segments.push((segment, std::mem::take(&mut bytes)));
        }
    }
    segments
}

/// How to answer a request for a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Honest,
    Garbage,
    /// Half of the segment, then nothing more.
    Stall,
}

/// Stops serving when dropped.
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Hospital {
    /// Serves segments in place of the hospital's worker and with its keys. `manner` chooses how to answer each
    /// account.
    pub async fn impersonate(
        &self,
        forged: &Forged,
        manner: impl Fn(&AccountId) -> Manner + Send + Sync + 'static,
    ) -> Server {
        let segments: Arc<[_]> = forged.segments.clone().into();
        let manner = Arc::new(manner);
        let route = get(move |Path(hash): Path<String>, headers: HeaderMap| {
            let (segments, manner) = (Arc::clone(&segments), Arc::clone(&manner));
            async move { answer(&segments, &hash, manner(&account_of(&headers))) }
        });
        let router = Router::new().route("/v1/segments/{hash}", route);
        let config = Config::read(&self.home().join("worker.toml")).unwrap();
        let keys = keys::load(&config.keystore).unwrap();
        let tls = Tls::new(TlsKeys::new(&config.keystore, &keys).unwrap(), &config).unwrap();
        let tls = Arc::new(Arc::new(tls).server_config().unwrap());
        let listener = std::net::TcpListener::bind(config.listen).unwrap();
        listener.set_nonblocking(true).unwrap();
        let tls = RustlsConfig::from_config(tls);
        let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
        let served = server.serve(router.into_make_service());
        Server(tokio::spawn(async move { served.await.unwrap() }))
    }
}

fn account_of(headers: &HeaderMap) -> AccountId {
    let account = headers.get(request::ACCOUNT).and_then(|value| value.to_str().ok()).unwrap();
    let mut bytes = [0; 32];
    hex::decode_to_slice(account, &mut bytes).unwrap();
    AccountId::new(bytes)
}

fn answer(segments: &[(Segment, Vec<u8>)], hash: &str, manner: Manner) -> Response {
    let found = segments.iter().find(|(segment, _)| hex::encode(segment.hash) == hash);
    let Some((_, bytes)) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match manner {
        Manner::Honest => bytes.clone().into_response(),
        Manner::Garbage => vec![0xee; bytes.len()].into_response(),
        Manner::Stall => {
            let half = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
            let sent = stream::iter([Ok::<_, std::io::Error>(half)]).chain(stream::pending());
            Body::from_stream(sent).into_response()
        }
    }
}
