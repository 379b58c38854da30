//! Records are read: texts from the chain, images from the storage, and nothing for a doctor without relationship.

use std::time::{Duration, Instant};

use epione_client::{
    reader::{self, Intent, OpenContent, Reader, SignedRequest},
    worker::Granted,
};
use epione_envelope::record::SectionKind;
use epione_primitives::access::Purpose;

use super::{A, FIRST, Person, Scene, Story, broken, check};
use crate::{
    commands::records::{self, Retrieved},
    demo::{
        input::Original,
        report::{RetrievedFile, millis},
    },
    failure::Failure,
    identity, samples,
    wording::{counted, moment},
};

impl Story {
    pub(super) async fn text(&mut self, scene: Scene<'_>) -> Result<(), Failure> {
        self.chapter("The family doctor reads the text of a report from the chain");
        let Scene { context, cast, .. } = scene;
        let keys = context.keys(&cast.doctor.keys)?;
        let worker = context.worker(A, identity::account(&keys)).await?;
        let reader = Reader::new(context.chain().await?.clone(), worker, keys.sealing);
        let intent = Intent { purpose: Purpose::Treatment, emergency: None };
        let opened = reader.open(cast.patient.id, &[FIRST], intent).await?;
        let sections = opened.iter().flat_map(|record| &record.sections);
        let report = sections
            .filter(|section| section.kind == Some(SectionKind::Report))
            .find_map(|section| match &section.content {
                OpenContent::Text { text, .. } => Some(text),
                _ => None,
            })
            .ok_or_else(|| broken("the report is text, and was granted"))?;
        let texts = samples::visit_1();
        let original = texts.iter().find(|text| text.kind == SectionKind::Report);
        check(
            original.is_some_and(|original| original.json == report.as_str()),
            "the report is byte for byte what was submitted",
        )?;
        let resource: serde_json::Value = serde_json::from_str(report)
            .map_err(|_| broken("the report is a FHIR resource in JSON"))?;
        let conclusion = resource["conclusion"].as_str().unwrap_or_default();
        self.line(format!("it concludes: {conclusion:?}"));
        self.line("the ciphertext came from the node and the keys from A; no storage was needed");
        Ok(())
    }

    pub(super) async fn images(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter("The same doctor reads the images; the patient also reads everything");
        let Scene { context, cast, .. } = scene;
        let (_, record) = reader::verified(context.chain().await?, FIRST).await?;
        let segments = record.segments().len();
        let number = counted(segments, "segment", "segments");
        self.line(format!("the manifests on the chain name {number} by their hashes"));
        let (granted, span) = grant(scene, &cast.doctor).await?;
        self.report.timings_ms.grant = millis(span);
        let links = &granted.reply.links;
        check(links.len() == segments, "there is a link to every segment")?;
        let until = links.iter().map(|link| link.expires).min().unwrap_or_default();
        self.line(format!(
            "A grants {}, valid until {} at the latest, and only while the permission is in force",
            counted(links.len(), "link", "links"),
            moment(until)
        ));
        let timed = async {
            let begun = Instant::now();
            let files = read(scene, "doctor", &cast.doctor, originals).await?;
            Ok::<_, Failure>((files, begun.elapsed()))
        };
        let ((doctors, span), patients) =
            tokio::try_join!(timed, read(scene, "patient", &cast.patient, originals))?;
        self.report.timings_ms.retrieval = millis(span);
        for (who, files) in [("doctor", doctors), ("patient", patients)] {
            let number = counted(files.len(), "file", "files");
            self.line(format!("{who}: {number}, every byte as it was submitted"));
            self.report.retrieved_files.extend(files);
        }
        self.line(format!(
            "grant and receipt took {} ms; including fetching, verifying and decrypting {} ms",
            self.report.timings_ms.grant, self.report.timings_ms.retrieval
        ));
        Ok(())
    }

    pub(super) async fn stranger(&mut self, scene: Scene<'_>) -> Result<(), Failure> {
        self.chapter("A doctor without a relationship to the patient is refused");
        let stranger = &scene.cast.stranger;
        let outcome = records::get(&request(scene, stranger, "stranger"), scene.context).await;
        self.refused(stranger, outcome)
    }
}

/// Requests access to the first record at A; returns how long that took.
pub(super) async fn grant(
    scene: Scene<'_>,
    reader: &Person,
) -> Result<(Granted, Duration), Failure> {
    let account = identity::account(&scene.context.keys(&reader.keys)?);
    let worker = scene.context.worker(A, account).await?;
    let genesis = scene.context.chain().await?.genesis_hash();
    let intent = Intent { purpose: Purpose::Treatment, emergency: None };
    let patient = scene.cast.patient.id;
    let records = [FIRST.into()];
    let request = SignedRequest::new(genesis, &worker, reader.id, patient, &records, intent)?;
    let begun = Instant::now();
    let granted = worker.grant(&request.to_api()).await?;
    Ok((granted, begun.elapsed()))
}

/// Reads the first record as this reader, and compares every file.
pub(super) async fn read(
    scene: Scene<'_>,
    who: &str,
    reader: &Person,
    originals: &[Original],
) -> Result<Vec<RetrievedFile>, Failure> {
    let retrieved = records::get(&request(scene, reader, who), scene.context).await?;
    compare(who, &retrieved, originals)
}

/// The arguments to read the first record into a folder.
pub(super) fn request(scene: Scene<'_>, reader: &Person, folder: &str) -> records::GetArgs {
    records::GetArgs {
        signer: reader.keys.clone(),
        patient: scene.cast.patient.id,
        pointers: vec![FIRST],
        all: false,
        limit: None,
        opening: None,
        out: scene.args.dir.join("read").join(folder.replace(", ", "-").replace(' ', "-")),
        purpose: None,
        emergency: None,
        own_key: false,
        note: false,
        earlier_keys: Vec::new(),
        from: None,
        part: records::PartArgs::default(),
    }
}

/// Every submitted file must be read back, byte for byte.
pub(super) fn compare(
    who: &str,
    retrieved: &Retrieved,
    originals: &[Original],
) -> Result<Vec<RetrievedFile>, Failure> {
    let record = retrieved.records.first().ok_or_else(|| broken("a record was read"))?;
    check(record.sections.len() == originals.len(), "every section was read back")?;
    let mut compared = Vec::with_capacity(originals.len());
    for (section, original) in record.sections.iter().zip(originals) {
        let Some(file) = &section.file else {
            return Err(broken(&format!("{} was granted", original.name)));
        };
        let same = file.sha256 == original.sha256 && file.bytes == original.bytes;
        check(same, &format!("{} is byte for byte what was submitted", original.name))?;
        compared.push(RetrievedFile {
            name: format!("{who}: {}", original.name),
            sha256_in: original.sha256.clone(),
            sha256_out: file.sha256.clone(),
        });
    }
    Ok(compared)
}
