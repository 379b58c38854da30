//! Visits are submitted: signed, approved by other hospitals, committed.

use std::time::Instant;

use epione_client::{api::VisitStage, reader};
use epione_primitives::RecordPointer;

use super::{A, FIRST, Scene, Story, broken, check, letter};
use crate::{
    commands::{
        block, records,
        visit::{self, Submitted},
    },
    context::HospitalRef,
    demo::{
        input::{self, Images, Original, Visit},
        report::{CommittedBlock, Timings, millis},
        watch::{self, Moments},
    },
    failure::Failure,
    identity::KeySource,
};

/// Who signs a visit in addition to its author.
struct Signers {
    cosign: Option<KeySource>,
    nurse: Option<KeySource>,
}

impl Story {
    pub(super) async fn checkup(&mut self, scene: Scene<'_>) -> Result<Vec<Original>, Failure> {
        self.chapter(
            "A checkup at A: four texts and three DICOM files, signed by doctor and patient",
        );
        let args = scene.args;
        let (visit, images) = input::first_visit(&args.dir.join("input"), &args.samples)?;
        if images == Images::Generated {
            self.line("there are no real DICOM files: the project's own phantoms are used");
        }
        let originals = visit.originals.clone();
        for original in &originals {
            self.line(format!("{:<26} {:>8} bytes", original.name, original.bytes));
        }
        let patient = Signers { cosign: Some(scene.cast.patient.keys.clone()), nurse: None };
        let (begun, moments) = self.commit(scene, visit, patient, FIRST.height).await?;
        self.report.timings_ms = Timings {
            submit_to_announced: millis(moments.announced - begun),
            announced_to_committed: millis(moments.committed - moments.announced),
            committed_to_finalized: millis(moments.finalized - moments.committed),
            ..Timings::default()
        };
        self.signatures(scene).await?;
        Ok(originals)
    }

    /// Both signatures are in the sealed record, and can be verified by anyone.
    async fn signatures(&self, scene: Scene<'_>) -> Result<(), Failure> {
        let chain = scene.context.chain().await?;
        // Fails for a record that its author did not sign.
        let (summary, _) = reader::verified(chain, FIRST).await?;
        check(summary.author == scene.cast.doctor.id, "the doctor is the author")?;
        check(summary.cosigned, "the patient also signed")?;
        self.line("the sealed record has both signatures, and both are valid");
        Ok(())
    }

    /// Submits a visit and follows it until block `height` commits it.
    async fn commit(
        &mut self,
        scene: Scene<'_>,
        visit: Visit,
        also: Signers,
        height: u32,
    ) -> Result<(Instant, Moments), Failure> {
        let Scene { context, cast, .. } = scene;
        let begun = Instant::now();
        let submit = visit::SubmitArgs {
            signer: cast.doctor.keys.clone(),
            patient: cast.patient.id,
            hospital: HospitalRef::Id(A),
            texts: visit.texts,
            media: visit.media,
            cosign: also.cosign,
            nurse: also.nurse,
            mandatory: None,
            never: None,
            together: Vec::new(),
            extraction_template: None,
            again: false,
            wait: visit::WaitArgs::default(),
        };
        let chain = context.chain().await?;
        let (submitted, moments) =
            tokio::try_join!(visit::submit(&submit, context), watch::block(chain, height))?;
        self.line(format!("A has acknowledged visit {}", submitted.status.record_id));
        self.line(format!(
            "announced after {} ms, committed {} ms later, finalized {} ms after that",
            millis(moments.announced - begun),
            millis(moments.committed - moments.announced),
            millis(moments.finalized - moments.committed),
        ));
        self.committed(scene, &submitted, height).await?;
        Ok((begun, moments))
    }

    /// Checks that chain and worker agree on what was committed.
    async fn committed(
        &mut self,
        scene: Scene<'_>,
        submitted: &Submitted,
        height: u32,
    ) -> Result<(), Failure> {
        let Scene { context, cast, .. } = scene;
        let block = block::block(&block::ShowArgs { height }, context).await?;
        let ballot = block.ballot.as_ref().ok_or_else(|| broken("the block has a ballot"))?;
        let asked = ballot.electorate.len() as u32;
        let needed = epione_primitives::approval::approvals_needed(asked) as usize;
        check(ballot.approvals.len() >= needed, "enough hospitals approved")?;
        check(ballot.rejections.is_empty(), "no hospital rejected")?;
        let mut approvals: Vec<_> =
            ballot.approvals.iter().map(|approval| approval.hospital).collect();
        approvals.sort_unstable();
        let letters: Vec<_> = approvals.iter().map(|id| letter(*id).to_string()).collect();
        self.line(format!(
            "block {height} is committed: approved by {} ({needed} approvals were needed)",
            letters.join(", ")
        ));
        self.line(format!("lite hash {:?}", block.hashes.lite));
        self.report.committed_blocks.push(CommittedBlock {
            height,
            lite_hash: block.hashes.lite,
            cloud_hash: block.hashes.cloud,
            approvals,
        });
        let status = visit::status(
            &visit::StatusArgs {
                id: submitted.status.record_id,
                signer: cast.doctor.keys.clone(),
                hospital: HospitalRef::Id(A),
                wait: visit::WaitArgs { wait: true, timeout: 60 },
            },
            context,
        )
        .await?;
        let expected = VisitStage::Committed { pointer: RecordPointer { height, index: 0 } };
        check(status.0.stage == expected, "A's worker knows where the visit was committed")
    }

    pub(super) async fn second_visit(&mut self, scene: Scene<'_>) -> Result<(), Failure> {
        self.chapter("A second visit, which a nurse signs too, links back to the first");
        let visit = input::second_visit(&scene.args.dir.join("input"))?;
        let nurse = Signers { cosign: None, nurse: Some(scene.cast.nurse.keys.clone()) };
        self.commit(scene, visit, nurse, 2).await?;
        let list = records::ListArgs { patient: scene.cast.patient.id, limit: None };
        let listing = records::list(&list, scene.context).await?;
        let links: Vec<_> =
            listing.records.iter().map(|record| (record.pointer, record.previous)).collect();
        let second = RecordPointer { height: 2, index: 0 };
        // Fails for a record that its nurse did not sign.
        let (summary, _) = reader::verified(scene.context.chain().await?, second).await?;
        check(summary.nurse == Some(scene.cast.nurse.id), "the nurse signed the second visit")?;
        self.line("the sealed record has the signatures of doctor and nurse, and both are valid");
        check(
            links == [(second, Some(FIRST)), (FIRST, None)],
            "2/0 links to 1/0, which is the first",
        )?;
        self.line(format!("{second} -> {FIRST} -> no earlier record"));
        Ok(())
    }
}
