//! What each party computes and sends when visits are outsourced: the author's and the patient's client, the hospital
//! that seals and announces, and one other hospital that verifies and approves.

use anyhow::{Context, bail, ensure};
use codec::Encode;
use epione_client::{
    api::{ContentUpload, VisitRequest},
    chain::calls::{approvals, lite_blocks},
    visit::{VisitBuilder, signed_draft},
};
use epione_envelope::{
    body::{self, BodyBuilder, Packed},
    record::{Record, SectionKind},
};
use epione_primitives::{AnnouncementId, Hash};
use http::Method;
use serde::Serialize;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use super::{
    effort::{Effort, Work},
    parties::{HOSPITAL, Parties, text},
    wire::{Sent, transaction},
};

/// So many outsourcings of one text each. They arrive while the hospital's worker collects visits, and are one lite
/// block.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outsourcing {
    pub count: u16,
    /// The doctor's client describes and signs the visit, and signs the request to the worker.
    pub author: Effort,
    /// The patient's client signs the same visit.
    pub patient: Effort,
    /// The hospital's worker verifies the request and all signatures, seals the record, packs the lite block, and signs
    /// the announcement.
    pub hospital: Effort,
    /// The worker of one other hospital checks the block and all signatures, and signs its approval.
    pub other_hospital: Effort,
}

#[derive(Default)]
struct Works {
    author: Work,
    patient: Work,
    hospital: Work,
    other_hospital: Work,
}

/// Outsources so many visits, as often as there are repetitions.
pub(super) async fn measure(
    parties: &Parties,
    count: u16,
    repetitions: u16,
) -> anyhow::Result<Outsourcing> {
    let mut runs = Vec::new();
    for _ in 0..repetitions {
        runs.push(once(parties, count).await?);
    }
    let effort = |of: fn(&Works) -> Work| Effort::of(runs.iter().map(of));
    Ok(Outsourcing {
        count,
        author: effort(|works| works.author),
        patient: effort(|works| works.patient),
        hospital: effort(|works| works.hospital),
        other_hospital: effort(|works| works.other_hospital),
    })
}

async fn once(parties: &Parties, count: u16) -> anyhow::Result<Works> {
    let Parties { genesis, agent, .. } = parties;
    let mut works = Works::default();
    let mut block = BodyBuilder::new(HOSPITAL);
    for number in 0..count {
        let sent = submitted(parties, number, &mut works).await?;
        works.hospital.timed(|| {
            let record = sealed(parties, &sent)?;
            block.push(&record)?;
            anyhow::Ok(())
        })?;
    }
    let packed = works.hospital.timed(|| block.finish())?;
    let announced = works.hospital.timed(|| {
        let Packed { header, entries, body } = &packed;
        transaction(&lite_blocks::announce(header, entries, body), &agent.account, *genesis)
    });
    works.hospital.send(announced.len());
    let approved = works.other_hospital.timed(|| approved(parties, &packed))?;
    works.other_hospital.send(approved.len());
    Ok(works)
}

/// A visit that the doctor has signed and sent, and the patient has signed.
async fn submitted(parties: &Parties, number: u16, works: &mut Works) -> anyhow::Result<Sent> {
    let Parties { genesis, doctor, patient, signed_at, .. } = parties;
    let text = text(&format!("outsourcing {number}"))?;
    let begun = std::time::Instant::now();
    let visit = VisitBuilder::new(*genesis, patient.id, HOSPITAL, doctor.id)
        .text(SectionKind::Report, text)
        .build(&doctor.account, *signed_at)
        .await?;
    works.author.add(begun.elapsed());

    let draft = signed_draft(&visit.request)?;
    let cosigned = works.patient.timed(|| draft.cosign(*genesis, &patient.account));
    let signature = cosigned.patient_signature.context("the patient did not sign")?.encode();
    works.patient.send(signature.len());

    let request = VisitRequest { patient_signature: Some(hex::encode(signature)), ..visit.request };
    let sent = works.author.timed(|| {
        let body = serde_json::to_vec(&request)?;
        let path = "/v1/visits".to_owned();
        anyhow::Ok(Sent::new(Method::POST, path, body, &doctor.account, *genesis))
    })?;
    works.author.send(sent.bytes());
    Ok(sent)
}

/// The record of a request, as the hospital's worker accepts and seals it.
fn sealed(parties: &Parties, sent: &Sent) -> anyhow::Result<Record> {
    let Parties { genesis, doctor, patient, patient_keys, .. } = parties;
    let body = sent.authenticated(&doctor.account, *genesis)?;
    let request: VisitRequest = serde_json::from_slice(body)?;
    let draft = signed_draft(&request)?;
    draft.verify_cosignature(*genesis, &patient.account.id())?;
    let mut texts = Vec::new();
    for section in request.sections {
        match section.content {
            ContentUpload::Text(text) => texts.push(text),
            ContentUpload::Media { .. } => bail!("the visit has media"),
        }
    }
    parties.sealed(draft, &texts, patient_keys)
}

/// The approval of a block by another hospital, which has the transaction of the announcement from its node.
fn approved(parties: &Parties, packed: &Packed) -> anyhow::Result<Vec<u8>> {
    let Parties { genesis, doctor, patient, other, .. } = parties;
    let Packed { header, entries, body } = packed;
    let checked = body::check(header, entries, body)?;
    for record in &checked.records {
        record.verify(*genesis, &doctor.account.id())?;
        record.verify_cosignature(*genesis, &patient.account.id())?;
    }
    ensure!(checked.segments.is_empty(), "texts have no segments");
    let body_hash: Hash = BlakeTwo256::hash(body);
    let subject = header.subject(entries, body_hash);
    Ok(transaction(&approvals::approve(AnnouncementId(0), subject), &other.account, *genesis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::parties::TEXT_BYTES;

    #[tokio::test]
    async fn every_party_computes_and_sends_and_only_announcements_grow_with_the_block() {
        let parties = Parties::new().unwrap();
        let one = measure(&parties, 1, 2).await.unwrap();
        let three = measure(&parties, 3, 1).await.unwrap();
        for Outsourcing { author, patient, hospital, other_hospital, .. } in [&one, &three] {
            for effort in [author, patient, hospital, other_hospital] {
                assert!(effort.millis > 0.0 && effort.bytes > 0, "{one:?} {three:?}");
            }
        }
        assert!(one.author.bytes > TEXT_BYTES);
        assert_eq!(one.patient.bytes, 65);
        assert_eq!(three.patient.bytes, 3 * one.patient.bytes);
        assert!(three.hospital.bytes > 2 * one.hospital.bytes);
        assert_eq!(three.other_hospital.bytes, one.other_hospital.bytes);
    }

    #[tokio::test]
    async fn a_visit_that_the_patient_did_not_sign_is_not_sealed() {
        let parties = Parties::new().unwrap();
        let Parties { genesis, doctor, patient, signed_at, .. } = &parties;
        let visit = VisitBuilder::new(*genesis, patient.id, HOSPITAL, doctor.id)
            .text(SectionKind::Report, "a report")
            .build(&doctor.account, *signed_at)
            .await
            .unwrap();
        let body = serde_json::to_vec(&visit.request).unwrap();
        let path = "/v1/visits".to_owned();
        let sent = Sent::new(Method::POST, path, body, &doctor.account, *genesis);
        assert!(sealed(&parties, &sent).is_err());
    }

    #[tokio::test]
    async fn a_block_with_a_changed_byte_is_not_approved() {
        let (parties, mut works) = (Parties::new().unwrap(), Works::default());
        let sent = submitted(&parties, 0, &mut works).await.unwrap();
        let mut block = BodyBuilder::new(HOSPITAL);
        block.push(&sealed(&parties, &sent).unwrap()).unwrap();
        let mut packed = block.finish().unwrap();
        assert!(approved(&parties, &packed).is_ok());
        *packed.body.last_mut().unwrap() ^= 1;
        assert!(approved(&parties, &packed).is_err());
    }
}
