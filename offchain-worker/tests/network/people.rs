//! The users of the tests, and the visits that they write and read.

use std::{fs, path::Path};

use epione_client::{
    api::{RegisterUser, Relation, VisitStage},
    naming,
    reader::{Intent, OpenContent, OpenRecord, Reader},
    signer::Account,
    visit::{Visit, VisitBuilder},
    worker::WorkerError,
};
use epione_envelope::{development, record::SectionKind};
use epione_primitives::{
    AnnouncementId, RecordId, RecordPointer, UserId,
    access::{Purpose, RelationshipKind},
    profile::Role,
};

use super::{Hospital, settles};

pub struct Doctor {
    pub account: Account,
    pub user: UserId,
}

/// A doctor and their patient at one hospital.
pub struct People {
    pub doctor: Doctor,
    pub patient: UserId,
}

pub const SUMMARY: &str = "seen today, nothing new";

/// Registers a development account at a hospital as a new user, whose id follows from its keys.
pub async fn join(hospital: &Hospital, role: Role, uri: &str) -> UserId {
    let keys = development::keys(uri).unwrap();
    let account = Account::development(uri).unwrap();
    let genesis = hospital.chain().await.genesis_hash();
    let user = UserId::of(&account.id(), keys.sealing.public().hash());
    let user = RegisterUser {
        user,
        consent: naming::registration(&account, genesis, hospital.id, user, 0),
        role,
        account: account.id(),
        sealing_key: hex::encode(keys.sealing.public().as_bytes()),
        name: uri.trim_start_matches('/').into(),
    };
    hospital.client(hospital.governance()).await.register(&user).await.unwrap().user
}

/// A reader that has the keys of a development account and asks a hospital for grants.
pub async fn reader(hospital: &Hospital, uri: &str) -> Reader {
    let client = hospital.client(Account::development(uri).unwrap()).await;
    Reader::new(hospital.chain().await, client, development::keys(uri).unwrap().sealing)
}

pub const TREATMENT: Intent = Intent { purpose: Purpose::Treatment, emergency: None };

impl People {
    pub async fn register(hospital: &Hospital) -> Self {
        Self::register_as(hospital, "//Doctor", "//Patient").await
    }

    /// Registers the holders of two development accounts.
    pub async fn register_as(hospital: &Hospital, doctor: &str, patient: &str) -> Self {
        // Each waits for a final block.
        let (professional, patient) = tokio::join!(
            join(hospital, Role::Doctor, doctor),
            join(hospital, Role::Patient, patient)
        );
        let kind = RelationshipKind::FamilyDoctor;
        let office = hospital.client(hospital.governance()).await;
        office.relate(&Relation { patient, professional, kind, expires: None }).await.unwrap();
        let account = Account::development(doctor).unwrap();
        Self { doctor: Doctor { account, user: professional }, patient }
    }

    /// A visit with a text, and with a file unless `media` is empty.
    pub async fn visit(&self, hospital: &Hospital, folder: &Path, media: &[u8]) -> Visit {
        let chain = hospital.chain().await;
        let genesis = chain.genesis_hash();
        let mut visit = VisitBuilder::new(genesis, self.patient, hospital.id, self.doctor.user)
            .text(SectionKind::Summary, SUMMARY);
        if !media.is_empty() {
            let file = folder.join(format!("{}.bin", blake3::hash(media).to_hex()));
            fs::write(&file, media).unwrap();
            visit = visit.file(SectionKind::Media, &file);
        }
        let newest = chain.finalized_head().await.unwrap();
        visit.build(&self.doctor.account, newest.into()).await.unwrap()
    }

    /// Submits a visit until the hospital has acknowledged it.
    pub async fn submit(&self, hospital: &Hospital, visit: &Visit) {
        let client = hospital.client(self.doctor.account.clone()).await;
        settles("the visit is acknowledged", async || {
            client.submit_visit(visit, |_| {}).await.map_err(|error| error.to_string())
        })
        .await;
    }

    pub async fn try_submit(&self, hospital: &Hospital, visit: &Visit) -> Result<(), WorkerError> {
        let client = hospital.client(self.doctor.account.clone()).await;
        client.submit_visit(visit, |_| {}).await.map(drop)
    }

    /// Waits until `wanted` accepts the visit's stage.
    pub async fn reaches<T>(
        &self,
        hospital: &Hospital,
        visit: RecordId,
        what: &str,
        wanted: impl Fn(VisitStage) -> Option<T>,
    ) -> T {
        let client = hospital.client(self.doctor.account.clone()).await;
        settles(what, async || {
            let status = client.visit_status(visit).await.map_err(|error| error.to_string())?;
            wanted(status.stage).ok_or_else(|| format!("{status:?}"))
        })
        .await
    }

    /// Waits until the visit's block is announced; returns the announcement unless the block is committed already.
    pub async fn is_announced(
        &self,
        hospital: &Hospital,
        visit: RecordId,
    ) -> Option<AnnouncementId> {
        self.reaches(hospital, visit, "the visit is announced", |stage| match stage {
            VisitStage::Announced { announcement } => Some(Some(announcement)),
            VisitStage::Committed { .. } => Some(None),
            _ => None,
        })
        .await
    }

    pub async fn is_committed(&self, hospital: &Hospital, visit: RecordId) -> RecordPointer {
        self.reaches(hospital, visit, "the visit is committed", |stage| match stage {
            VisitStage::Committed { pointer } => Some(pointer),
            _ => None,
        })
        .await
    }

    /// Reads a visit back as the doctor: its text and its media.
    pub async fn read(
        &self,
        hospital: &Hospital,
        folder: &Path,
        pointer: RecordPointer,
    ) -> (String, Vec<u8>) {
        let reader = reader(hospital, "//Doctor").await;
        let opened = reader.open(self.patient, &[pointer], TREATMENT).await.unwrap();
        content_of(&reader, &opened[0], folder).await
    }
}

/// A record's text and its media.
pub async fn content_of(reader: &Reader, record: &OpenRecord, folder: &Path) -> (String, Vec<u8>) {
    let pointer = record.summary.pointer;
    let (mut text, mut media) = (String::new(), Vec::new());
    for section in &record.sections {
        match &section.content {
            OpenContent::Text { text: content, .. } => text = content.as_str().to_owned(),
            OpenContent::Media { .. } => {
                let to = folder.join(format!("{}-{}", pointer.height, section.index));
                fs::remove_file(&to).ok();
                reader.save_media(record, section.index, &to, |_| {}).await.unwrap();
                media = fs::read(&to).unwrap();
            }
            OpenContent::NotGranted => panic!("section {} was not granted", section.index),
        }
    }
    (text, media)
}
