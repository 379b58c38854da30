//! The patient shares two sections with one researcher for research, who reads these and no others.

use epione_client::chain::{Call, calls::sharing};
use epione_primitives::{
    access::Purpose,
    limits::DAY_MILLIS,
    release::{ReleasedRecord, SectionSet},
    sharing::{Consent, KindSet, RecordedPeriod, SlotId, Term},
};
use sp_core::bounded::BoundedVec;

use super::{FIRST, Scene, Story, broken, check, reading};
use crate::{
    commands::{
        audit::who_looked::{WhoLookedArgs, who_looked},
        records,
    },
    demo::{
        input::Original,
        report::{RetrievedFile, Shared},
    },
    failure::Failure,
    identity,
    wording::{counted, numbers},
};

/// The diagnosis and the report of the first visit.
const SHARED: SectionSet = SectionSet(0b1010);

impl Story {
    /// Needs A's sample policies, which let researchers read the texts of shared sections.
    pub(super) async fn share(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter(
            "The patient shares two sections with a researcher, who reads these and no others",
        );
        let Scene { context, cast, .. } = scene;
        let request = |folder: &str| records::GetArgs {
            purpose: Some(records::Purpose::Research),
            ..reading::request(scene, &cast.researcher, folder)
        };
        let before = records::get(&request("researcher-before"), context).await;
        self.refused(&cast.researcher, before)?;

        let slot = SlotId(0);
        let consent = Consent {
            audience: BoundedVec::truncate_from(vec![Term::User(cast.researcher.id)]),
            purposes: BoundedVec::truncate_from(vec![Purpose::Research]),
            kinds: KindSet::default(),
            recorded: RecordedPeriod::default(),
            until: context.chain().await?.finalized().await?.time().await? + DAY_MILLIS,
        };
        let sections = [ReleasedRecord { pointer: FIRST, sections: SHARED }];
        for call in [sharing::give(slot, &consent, 0), sharing::place(slot, &sections)] {
            as_patient(scene, &call).await?;
        }
        let placements = context.chain().await?.finalized().await?.placements(&[FIRST]).await?;
        let placed: Vec<_> = placements.iter().flatten().map(|it| (it.slot, it.sections)).collect();
        check(placed == [(slot, SHARED)], "the chain says which sections are shared")?;
        self.line(format!(
            "record {FIRST}: sections {} are in slot {slot}, which is for the researcher and for research, for a day",
            numbers(SHARED)
        ));

        let retrieved = records::get(&request("researcher"), context).await?;
        let files = granted(&retrieved, originals)?;
        let number = counted(files.len(), "file", "files");
        self.line(format!("researcher: {number}, every byte as it was submitted"));
        self.report.retrieved_files.extend(files);
        let list = WhoLookedArgs {
            patient: Some(cast.patient.id),
            signer: None,
            limit: None,
            refused: false,
        };
        let looks = who_looked(&list, context).await?;
        let look = looks.looks.iter().find(|look| look.occasion.requester == cast.researcher.id);
        let look = look.ok_or_else(|| broken("the researcher's reading has a receipt"))?;
        let granted = look.records.iter().map(|record| record.sections).collect::<Vec<_>>();
        check(granted == [SHARED], "the receipt names the shared sections only")?;

        as_patient(scene, &sharing::withdraw(slot)).await?;
        let again = records::get(&request("researcher-after"), context).await;
        self.refused(&cast.researcher, again)?;
        self.line("the consent is withdrawn; the researcher keeps the files");
        self.report.shared = Some(Shared { record: FIRST, sections: SHARED, slot });
        Ok(())
    }
}

/// Sends a call with the patient's account. Returns when it is final.
async fn as_patient(scene: Scene<'_>, call: &Call) -> Result<(), Failure> {
    let Scene { context, cast, .. } = scene;
    let account = identity::account(&context.keys(&cast.patient.keys)?);
    context.chain().await?.submit(call, &account).await?;
    Ok(())
}

/// The files of the shared sections, compared with what was submitted. No other section may be granted.
fn granted(
    retrieved: &records::Retrieved,
    originals: &[Original],
) -> Result<Vec<RetrievedFile>, Failure> {
    let record = retrieved.records.first().ok_or_else(|| broken("a record was read"))?;
    check(record.sections.len() == originals.len(), "the record has every section")?;
    let mut files = Vec::new();
    for ((section, original), index) in record.sections.iter().zip(originals).zip(0..) {
        check(
            section.file.is_some() == SHARED.contains(index),
            "exactly the shared sections were granted",
        )?;
        let Some(file) = &section.file else { continue };
        let claim = format!("{} is byte for byte what was submitted", original.name);
        check(file.sha256 == original.sha256, &claim)?;
        files.push(RetrievedFile {
            name: format!("researcher: {}", original.name),
            sha256_in: original.sha256.clone(),
            sha256_out: file.sha256.clone(),
        });
    }
    Ok(files)
}
