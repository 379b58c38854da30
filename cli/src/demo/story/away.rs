//! A researcher opens a shared section while the hospital of the record and the patient are away: the other hospitals
//! open it together. A researcher without the attribute that the consent requires is refused, and so is the first one
//! after the attribute is revoked.

use std::time::Duration;

use epione_devnet::{Devnet, Service};
use epione_primitives::{
    HospitalId, access,
    opening::OpeningId,
    profile::Role,
    release::{ReleasedRecord, SectionSet},
    sharing::SlotId,
};

use super::{A, B, Cast, FIRST, Person, Story, broken, check};
use crate::{
    commands::{
        consent::{self, AttributeAt, AudienceArgs, GiveArgs, SlotArgs},
        credential::{self, AttributeRef},
        opening::{self, AskArgs},
        query::Part,
        records::{self, PartArgs},
        section,
    },
    context::{Common, Context, HospitalRef},
    demo::{Args, input::Original, report::RetrievedFile},
    failure::Failure,
};

/// Another slot than the one of the earlier consents.
const SLOT: SlotId = SlotId(1);
/// The report of the first visit.
const REPORT: u16 = 3;
const ATTRIBUTE: &str = "cardiology";
const DAY: Duration = Duration::from_secs(86_400);
/// Pause between two looks at the chain.
const POLL: Duration = Duration::from_millis(500);
/// Long enough that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(600);

impl Story {
    /// The patient has new keys by now. Kills A's node and worker: no chapter after this one may need them.
    pub(super) async fn away(
        &mut self,
        (args, context, cast): (&Args, &Context, &Cast),
        patient: &Person,
        network: &mut Devnet,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter(
            "A researcher opens a shared section while its hospital and the patient are away",
        );
        let (given, confirmed) = tokio::join!(give(patient, context), confirm(cast, context));
        let (given, _) = (given?, confirmed?);
        given.sentences.iter().take(1).for_each(|sentence| self.line(sentence));
        let share = section::ShareArgs {
            sections: section::SectionArgs {
                signer: patient.keys.clone(),
                records: vec![shared()],
                slot: SLOT,
            },
            yes: true,
        };
        section::share(&share, context).await?;
        wrapped(context).await?;
        self.line(
            "A's worker has wrapped the section's key: any three of the four hospitals open it",
        );

        let at_b = network.state().hospital(B).ok_or_else(|| broken("B is up"))?;
        let node = Some(at_b.node_url.clone());
        let elsewhere = Context::new(Common { node, ..context.common().clone() }).with_devnet()?;
        for service in [Service::Worker, Service::Node] {
            network.kill(A, service)?;
        }
        self.line("A's node and worker are killed, and the patient's keys are not used any more");

        let rival = opening::ask(&asking(cast, &cast.rival), &elsewhere).await;
        self.not_admitted(&cast.rival, rival)?;
        let asked = opening::ask(&asking(cast, &cast.researcher), &elsewhere).await?;
        let opened = records::get_opened(&reading(args, cast, asked.opening), &elsewhere).await?;
        let others: Vec<_> = (B.0..4).map(HospitalId).collect();
        check(opened.hospitals == others, "the three other hospitals opened the section")?;
        let file = only_shared(&opened.retrieved, originals)?;
        self.line(format!(
            "{}: hospitals {} opened {} together, every byte as it was submitted",
            cast.researcher.label,
            others.iter().map(HospitalId::to_string).collect::<Vec<_>>().join(", "),
            file.name
        ));
        self.report.retrieved_files.push(file);
        let show = opening::ShowArgs { opening: asked.opening.0 };
        let shown = opening::show(&show, &elsewhere).await?;
        check(shown.handed_out.len() == 3, "the patient can see who handed out a part")?;

        let revoked = credential::revoke(&credential(cast)?, &elsewhere).await?;
        self.line(format!("B revokes the attribute, chain block {}", revoked.block));
        let again = opening::ask(&asking(cast, &cast.researcher), &elsewhere).await;
        self.not_admitted(&cast.researcher, again)
    }

    /// Prints the refusal of an opening, which must name the attribute.
    fn not_admitted(
        &mut self,
        who: &Person,
        outcome: Result<opening::Asked, Failure>,
    ) -> Result<(), Failure> {
        let Err(failure) = outcome else {
            return Err(broken(&format!("the {} is refused", who.label)));
        };
        if !failure.error.contains(ATTRIBUTE) {
            return Err(failure);
        }
        self.line(format!("{} is refused:", who.label));
        self.line(format!("  {}", failure.error));
        self.report.refuse(who.label, failure.error);
        Ok(())
    }
}

fn shared() -> Part {
    Part(ReleasedRecord { pointer: FIRST, sections: SectionSet(1 << REPORT) })
}

/// A standing consent for researchers with an attribute that B confirms.
async fn give(patient: &Person, context: &Context) -> Result<consent::Given, Failure> {
    let attribute = format!("{ATTRIBUTE}@{B}").parse::<AttributeAt>();
    let attribute = attribute.map_err(|error| broken(&error))?;
    let give = GiveArgs {
        signer: patient.keys.clone(),
        audience: AudienceArgs {
            roles: vec![Role::Researcher],
            attributes: vec![attribute],
            ..AudienceArgs::default()
        },
        purposes: vec![access::Purpose::Research],
        kinds: Vec::new(),
        recorded_from: None,
        recorded_to: None,
        until: None,
        span: Some(DAY),
        standing: true,
        slot: SlotArgs { slot: Some(SLOT), earlier_keys: Vec::new(), yes: true },
    };
    consent::give(&give, context).await
}

/// B confirms the attribute of its researcher.
async fn confirm(cast: &Cast, context: &Context) -> Result<credential::Changed, Failure> {
    let issue =
        credential::IssueArgs { credential: credential(cast)?, until: None, span: Some(DAY) };
    credential::issue(&issue, context).await
}

/// The researcher's credential of B.
fn credential(cast: &Cast) -> Result<credential::RevokeArgs, Failure> {
    let attribute = ATTRIBUTE.parse::<AttributeRef>().map_err(|error| broken(&error))?;
    Ok(credential::RevokeArgs {
        user: cast.researcher.id,
        attribute,
        signer: None,
        hospital: Some(HospitalRef::Id(B)),
    })
}

/// Waits until A's worker has wrapped the section.
async fn wrapped(context: &Context) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let waiting = async {
        loop {
            let wraps = chain.finalized().await?.wraps(FIRST).await?;
            let is_there =
                wraps.iter().any(|(slot, it)| *slot == SLOT && it.sections.contains(REPORT));
            if is_there {
                return Ok::<_, Failure>(());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.map_err(|_| broken("A's worker wraps the shared section"))?
}

fn asking(cast: &Cast, who: &Person) -> AskArgs {
    AskArgs {
        signer: who.keys.clone(),
        hospital: None,
        patient: cast.patient.id,
        records: vec![shared()],
        purpose: access::Purpose::Research,
        reason: None,
    }
}

fn reading(args: &Args, cast: &Cast, opening: OpeningId) -> records::GetArgs {
    records::GetArgs {
        signer: cast.researcher.keys.clone(),
        patient: cast.patient.id,
        pointers: Vec::new(),
        all: false,
        limit: None,
        opening: Some(opening.0),
        out: args.dir.join("read").join("opened-together"),
        purpose: None,
        emergency: None,
        own_key: false,
        note: false,
        earlier_keys: Vec::new(),
        from: None,
        part: PartArgs::default(),
    }
}

/// The file of the shared section, compared with what was submitted. No other section may be there.
fn only_shared(
    retrieved: &records::Retrieved,
    originals: &[Original],
) -> Result<RetrievedFile, Failure> {
    let record = retrieved.records.first().ok_or_else(|| broken("a record was read"))?;
    check(record.record.pointer == FIRST, "it is the first record")?;
    let mut found = None;
    for ((section, original), index) in record.sections.iter().zip(originals).zip(0..) {
        check(
            section.file.is_some() == (index == REPORT),
            "exactly the shared section was opened",
        )?;
        let Some(file) = &section.file else { continue };
        let claim = format!("{} is byte for byte what was submitted", original.name);
        check(file.sha256 == original.sha256, &claim)?;
        found = Some(RetrievedFile {
            name: format!("researcher, by an opening: {}", original.name),
            sha256_in: original.sha256.clone(),
            sha256_out: file.sha256.clone(),
        });
    }
    found.ok_or_else(|| broken("the shared section was opened"))
}
