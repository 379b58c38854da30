//! A researcher opens a shared section while the hospital of the record and the patient are away: the other hospitals
//! open it together, also after another hospital left. A researcher without the attribute that the consent requires is
//! refused, and so is the first one after the attribute is revoked.

use epione_devnet::{Devnet, Service};
use epione_primitives::{HospitalId, access, opening::OpeningId};

use super::{
    A, B, C, Cast, FIRST, Person, Story, broken, check,
    leaving::Prepared,
    standing::{self, ATTRIBUTE, REPORT, shared},
};
use crate::{
    commands::{
        consortium::status,
        credential,
        opening::{self, AskArgs},
        records::{self, PartArgs},
    },
    context::{Common, Context},
    demo::{Args, input::Original, report::RetrievedFile},
    failure::Failure,
};

impl Story {
    /// Kills A's node and worker: no chapter after this one may need them.
    pub(super) async fn away(
        &mut self,
        (args, context, cast): (&Args, &Context, &Cast),
        prepared: &Prepared,
        network: &mut Devnet,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter(
            "A researcher opens a section shared before, while its hospital and the patient are away",
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
        let others = [B, C];
        check(opened.hospitals == others, "the two other hospitals opened the section")?;
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
        let handed_out: Vec<_> =
            shown.handed_out.iter().map(|part| (part.hospital, part.epoch)).collect();
        let Prepared { wrap, key } = prepared;
        check(
            handed_out == others.map(|hospital| (hospital, key.epoch)),
            "the patient can see who handed out a part, and of which epoch",
        )?;
        let is_same = standing::wrap(&elsewhere).await?.as_ref() == Some(wrap);
        check(is_same && wrap.epoch < key.epoch, "nobody has wrapped the section again")?;
        let now = status(&elsewhere).await?.key.ok_or_else(|| broken("there is a key"))?;
        let is_same =
            (now.key, now.epoch, &now.public_key) == (key.key, key.epoch, &key.public_key);
        check(is_same, "the key and its epoch have not changed")?;
        self.line(format!(
            "the wrap is still that of epoch {}, before D left; the parts are of epoch {} of the same key",
            wrap.epoch, key.epoch
        ));

        let revoked = credential::revoke(&standing::of_researcher(cast)?, &elsewhere).await?;
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
