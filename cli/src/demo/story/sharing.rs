//! The patient shares two sections, and a researcher reads these and no others.

use epione_primitives::release::SectionSet;

use super::{FIRST, Scene, Story, broken, check, reading};
use crate::{
    commands::{
        audit::who_looked::{WhoLookedArgs, who_looked},
        records::{self, Change, ShareArgs},
    },
    demo::{
        input::Original,
        report::{RetrievedFile, Shared},
    },
    failure::Failure,
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
        self.chapter("The patient shares two sections; a researcher reads these and no others");
        let Scene { context, cast, .. } = scene;
        let request = |folder: &str| records::GetArgs {
            purpose: Some(records::Purpose::Research),
            ..reading::request(scene, &cast.researcher, folder)
        };
        let before = records::get(&request("researcher-before"), context).await;
        self.refused(&cast.researcher, before)?;

        let share = ShareArgs {
            signer: cast.patient.keys.clone(),
            record: FIRST,
            sections: Some(SHARED),
            all_sections: false,
        };
        let shared = records::share(&share, Change::Share, context).await?;
        check(shared.shared == SHARED, "the chain says which sections are shared")?;
        let policies: Vec<_> = shared.policies.iter().map(|it| it.policy.as_str()).collect();
        check(policies == ["research"], "the command says which policy lets others read them")?;
        for line in shared.to_string().lines() {
            self.line(line);
        }

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

        let undone = records::share(&share, Change::Unshare, context).await?;
        check(undone.shared.is_empty(), "the sections are private again")?;
        let again = records::get(&request("researcher-after"), context).await;
        self.refused(&cast.researcher, again)?;
        self.line(format!(
            "sections {} are private again; the researcher keeps the files",
            numbers(SHARED)
        ));
        self.report.shared = Some(Shared {
            record: FIRST,
            sections: SHARED,
            policies: shared.policies.into_iter().map(|it| it.policy).collect(),
        });
        Ok(())
    }
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
