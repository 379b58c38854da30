//! The patient shares two sections by a consent: first with researchers, then with insurers for a short time. Both are
//! calls of the patient alone, and the record stays as it is.

use std::time::Duration;

use epione_primitives::{
    Moment, access,
    block::{BlockHashes, Entry, Header},
    profile::Role,
    release::{ReleasedRecord, SectionSet},
    sharing::SlotId,
};

use super::{FIRST, Person, Scene, Story, broken, check, reading};
use crate::{
    commands::{
        audit::who_looked::{WhoLookedArgs, who_looked},
        block,
        consent::{self, AudienceArgs, GiveArgs, Given, SlotArgs},
        query::Part,
        records::{self, Purpose},
        section,
    },
    context::Context,
    demo::{
        input::Original,
        report::{RetrievedFile, Shared},
    },
    failure::Failure,
    wording::{counted, moment, numbers},
};

/// The diagnosis and the report of the first visit.
const SHARED: SectionSet = SectionSet(0b1010);
const SLOT: SlotId = SlotId(0);
const DAY: Duration = Duration::from_secs(86_400);

impl Story {
    /// Needs A's default policies, which let those read a section with whom the patient shares it.
    pub(super) async fn share(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter(
            "The patient shares two sections with researchers, who read these and no others",
        );
        let Scene { context, cast, .. } = scene;
        let researcher = &cast.researcher;
        let before = look(scene, researcher, Purpose::Research, "researcher-before").await;
        self.refused(researcher, before)?;

        let given = give(scene, Role::Researcher, access::Purpose::Research, DAY).await?;
        self.signed(&given);
        let sections = ReleasedRecord { pointer: FIRST, sections: SHARED };
        let share = section::ShareArgs {
            sections: section::SectionArgs {
                signer: cast.patient.keys.clone(),
                records: vec![Part(sections)],
                slot: SLOT,
            },
            yes: true,
        };
        let shared = section::share(&share, context).await?;
        check(shared.in_force && shared.records == [sections], "the consent shares both sections")?;
        self.line(format!("sections {} of record {FIRST} are in slot {SLOT}", numbers(SHARED)));

        let retrieved = look(scene, researcher, Purpose::Research, "researcher").await?;
        self.reads(researcher, &retrieved, originals)?;
        let list = WhoLookedArgs {
            patient: Some(cast.patient.id),
            signer: None,
            limit: None,
            refused: false,
        };
        let looks = who_looked(&list, context).await?;
        let look = looks.looks.iter().find(|look| look.occasion.requester == researcher.id);
        let look = look.ok_or_else(|| broken("the researcher's reading has a receipt"))?;
        let granted = look.records.iter().map(|record| record.sections).collect::<Vec<_>>();
        check(granted == [SHARED], "the receipt names the shared sections only")?;
        self.report.shared = Some(Shared {
            record: FIRST,
            sections: SHARED,
            slot: SLOT,
            consents: given.sentences.into_iter().take(1).collect(),
        });
        Ok(())
    }

    /// Gives the slot another audience; returns when the insurers' period ends.
    pub(super) async fn insure(
        &mut self,
        scene: Scene<'_>,
        originals: &[Original],
    ) -> Result<Moment, Failure> {
        let lasting = self.lasting();
        self.chapter(&format!(
            "The slot is for insurers now, for {} seconds: one call, and the record is untouched",
            lasting.as_secs()
        ));
        let Scene { context, cast, .. } = scene;
        let (insurer, researcher) = (&cast.insurer, &cast.researcher);
        let before = Committed::of(context).await?;
        let given = give(scene, Role::Insurer, access::Purpose::Payment, lasting).await?;
        self.signed(&given);
        let is_one_call = given.version == 2 && given.placed_sections == 0;
        check(is_one_call, "the new consent of the slot needs no section to be placed again")?;

        let (insurers, researchers) = tokio::join!(
            look(scene, insurer, Purpose::Payment, "insurer"),
            look(scene, researcher, Purpose::Research, "researcher-after")
        );
        self.reads(insurer, &insurers?, originals)?;
        self.refused(researcher, researchers)?;
        let after = Committed::of(context).await?;
        check(before == after, "no byte of the record has changed")?;
        self.line(format!(
            "block {} is as before: lite hash {:?}, {} bytes of body",
            FIRST.height,
            after.hashes.lite,
            after.body.len()
        ));
        if let Some(shared) = &mut self.report.shared {
            shared.consents.extend(given.sentences.into_iter().take(1));
        }
        let consents = context.chain().await?.finalized().await?.consents(cast.patient.id).await?;
        let newest = consents.into_iter().find(|(slot, _)| *slot == SLOT);
        let (_, newest) = newest.ok_or_else(|| broken("the chain has the consent"))?;
        self.line(format!("the insurers' period ends at {}", moment(newest.consent.until)));
        Ok(newest.consent.until)
    }

    /// Whom the sections in the slot are for, as the patient signed it.
    fn signed(&self, given: &Given) {
        given.sentences.iter().take(1).for_each(|sentence| self.line(sentence));
    }

    /// Compares what somebody has read of the shared sections.
    fn reads(
        &mut self,
        who: &Person,
        retrieved: &records::Retrieved,
        originals: &[Original],
    ) -> Result<(), Failure> {
        let files = granted(who, retrieved, originals)?;
        let number = counted(files.len(), "file", "files");
        self.line(format!("{}: {number}, every byte as it was submitted", who.label));
        self.report.retrieved_files.extend(files);
        Ok(())
    }
}

/// Requests the first record at A.
pub(super) async fn look(
    scene: Scene<'_>,
    who: &Person,
    purpose: Purpose,
    folder: &str,
) -> Result<records::Retrieved, Failure> {
    let request =
        records::GetArgs { purpose: Some(purpose), ..reading::request(scene, who, folder) };
    records::get(&request, scene.context).await
}

/// Gives the slot a consent for everybody with a role.
async fn give(
    scene: Scene<'_>,
    role: Role,
    purpose: access::Purpose,
    lasting: Duration,
) -> Result<Given, Failure> {
    let give = GiveArgs {
        signer: scene.cast.patient.keys.clone(),
        audience: AudienceArgs { roles: vec![role], ..AudienceArgs::default() },
        purposes: vec![purpose],
        kinds: Vec::new(),
        recorded_from: None,
        recorded_to: None,
        until: None,
        span: Some(lasting),
        standing: false,
        slot: SlotArgs { slot: Some(SLOT), earlier_keys: Vec::new(), yes: true },
    };
    consent::give(&give, scene.context).await
}

/// Everything that the chain has of the first block.
#[derive(PartialEq, Eq)]
struct Committed {
    header: Header,
    hashes: BlockHashes,
    entries: Vec<Entry>,
    body: Vec<u8>,
}

impl Committed {
    async fn of(context: &Context) -> Result<Self, Failure> {
        let show = block::ShowArgs { height: FIRST.height };
        let block::Block { header, hashes, entries, .. } = block::block(&show, context).await?;
        let body = context.chain().await?.body(header.body_hash).await?;
        let body = body.ok_or_else(|| broken("the node has the body of the first block"))?;
        Ok(Self { header, hashes, entries, body })
    }
}

/// The files of the shared sections, compared with what was submitted. No other section may be granted.
fn granted(
    who: &Person,
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
            name: format!("{}: {}", who.label, original.name),
            sha256_in: original.sha256.clone(),
            sha256_out: file.sha256.clone(),
        });
    }
    Ok(files)
}
