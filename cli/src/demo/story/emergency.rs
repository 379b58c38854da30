//! Emergency access: a doctor reads without a relationship, the patient sees it, and the other hospitals review it.

use std::fs;

use epione_policies::language::sentence;
use epione_primitives::release::{EmergencyReason, ReviewStatus};

use super::{A, B, C, Scene, Story, broken, check, letter, reading};
use crate::{
    commands::{
        audit::{
            reviews::{self, JudgeArgs, ReviewsArgs},
            who_looked::{WhoLookedArgs, who_looked},
        },
        policy, records,
    },
    context::HospitalRef,
    demo::{
        input::Original,
        report::{Emergency, Receipt, Refusal},
    },
    failure::Failure,
    samples,
    wording::word,
};

impl Story {
    pub(super) async fn emergency(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter(
            "An emergency: A's policies let another doctor break the glass; patient and hospitals see it",
        );
        self.allow_breaking_glass(scene).await?;
        let Scene { context, cast, .. } = scene;
        let request = records::GetArgs {
            emergency: Some(records::Emergency::UnableToConsent),
            ..reading::request(scene, &cast.stranger, "emergency")
        };
        let retrieved = records::get(&request, context).await?;
        let files = reading::compare("second-doctor, in an emergency", &retrieved, originals)?;
        for receipt in &retrieved.receipts {
            self.line(receipt.to_string());
        }
        self.report.retrieved_files.extend(files);

        let looks = WhoLookedArgs {
            patient: None,
            signer: Some(cast.patient.keys.clone()),
            limit: None,
            refused: false,
        };
        let looks = who_looked(&looks, context).await?;
        let first = looks.looks.first().ok_or_else(|| broken("the patient sees who looked"))?;
        check(first.occasion.requester == cast.stranger.id, "the emergency is listed first")?;
        check(first.emergency == Some(EmergencyReason::UnableToConsent), "with the reason given")?;
        let review =
            first.review.as_ref().ok_or_else(|| broken("an emergency is reviewed"))?.review;
        self.line("the patient's own list begins with:");
        for line in looks.to_string().lines().take(4) {
            self.line(format!("  {line}"));
        }
        self.judge(scene, review.0).await
    }

    /// A's governance sets the sample policies, which allow breaking the glass.
    async fn allow_breaking_glass(&mut self, scene: Scene<'_>) -> Result<(), Failure> {
        let folder = scene.args.dir.join("input");
        let file = folder.join("hospital.toml");
        fs::write(&file, samples::HOSPITAL_POLICIES)
            .map_err(|error| Failure::file(&file, &error))?;
        let set = policy::SetArgs { file, signer: None, hospital: Some(HospitalRef::Id(A)) };
        let changed = policy::set(&set, scene.context).await?;
        check(!changed.same, "A has other policies now")?;
        self.line("A's governance: epione policy set samples/policies/hospital.toml");
        self.line(format!(
            "version {} of A's policies, which allows breaking the glass, is in force",
            changed.version
        ));
        Ok(())
    }

    /// B and C judge it, which is more than half of the other three hospitals.
    async fn judge(&mut self, scene: Scene<'_>, review: u32) -> Result<(), Failure> {
        let verdict = |hospital| JudgeArgs {
            review,
            justified: true,
            unjustified: false,
            signer: None,
            hospital: Some(HospitalRef::Id(hospital)),
        };
        let (b, c) = (verdict(B), verdict(C));
        let judged =
            tokio::try_join!(reviews::judge(&b, scene.context), reviews::judge(&c, scene.context))?;
        for judged in [judged.0, judged.1] {
            self.line(format!("{} judges it justified", letter(judged.by)));
        }
        let all =
            reviews::reviews(&ReviewsArgs { open: false, limit: None }, scene.context).await?;
        let closed = all.reviews.iter().find(|found| found.review.0 == review);
        let closed = closed.ok_or_else(|| broken("the review is listed"))?;
        check(
            matches!(closed.status, ReviewStatus::Closed { justified: true, .. }),
            "the other hospitals closed the review",
        )?;
        self.line(closed.to_string());
        let receipt = closed.receipt.ok_or_else(|| broken("the review is about a receipt"))?;
        self.report.emergencies.push(Emergency {
            review: closed.review.0,
            receipt,
            who: scene.cast.label(closed.requester).into(),
            reason: word(&closed.reason),
            judged_by: closed.verdicts.iter().map(|verdict| verdict.hospital).collect(),
            justified: true,
        });
        Ok(())
    }

    /// Every access and every refusal is recorded.
    pub(super) async fn look_back(&mut self, scene: Scene<'_>) -> Result<(), Failure> {
        self.chapter("The chain's record of every access and refusal, which the patient can read");
        let Scene { context, cast, .. } = scene;
        let list = WhoLookedArgs {
            patient: Some(cast.patient.id),
            signer: None,
            limit: None,
            refused: true,
        };
        let list = who_looked(&list, context).await?;
        for look in &list.looks {
            self.report.receipts.push(Receipt {
                number: look.receipt,
                who: cast.label(look.occasion.requester).into(),
                hospital: look.occasion.hospital,
                purpose: word(&look.occasion.purpose),
                policies: look.policies.clone(),
                version: look.version,
                block: look.occasion.block,
            });
        }
        for refused in list.refused.iter().flatten() {
            let unmet: Vec<_> = refused.denials.iter().flat_map(sentence::denial).collect();
            self.report.refusals.push(Refusal {
                number: refused.refusal,
                who: cast.label(refused.occasion.requester).into(),
                hospital: refused.occasion.hospital,
                block: refused.occasion.block,
                reason: unmet.join("; "),
            });
        }
        self.list_accesses();
        let refused = |who: &str, hospital| {
            let mut refusals = self.report.refusals.iter();
            refusals.any(|refusal| refusal.who == who && refusal.hospital == hospital)
        };
        // The chain records no refusal of B, which has no records of the patient.
        for who in ["second-doctor", "specialist", "doctor", "researcher", "insurer"] {
            let claim = format!("the refusal of the {who} is on the chain");
            check(refused(who, A), &claim)?;
        }
        Ok(())
    }

    fn list_accesses(&self) {
        for receipt in &self.report.receipts {
            self.line(format!(
                "receipt {:>2}, block {:>3}: {:<13} {:<15} by {:?} (version {})",
                receipt.number,
                receipt.block,
                receipt.who,
                receipt.purpose,
                receipt.policies.join(", "),
                receipt.version
            ));
        }
        for refusal in &self.report.refusals {
            self.line(format!(
                "refusal {:>2}, block {:>3}: {} at {}",
                refusal.number,
                refusal.block,
                refusal.who,
                letter(refusal.hospital)
            ));
        }
    }
}
