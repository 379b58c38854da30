//! The story, chapter by chapter.

mod away;
mod blocks;
mod cast;
mod consortium;
mod emergency;
mod evidence;
mod keys;
mod leaving;
mod query;
mod reading;
mod referral;
mod revocation;
mod sharing;
mod standing;
mod visits;

use std::{fs, time::Instant};

use epione_devnet::{Devnet, Storage};
use epione_policies::language::sentence;
use epione_primitives::{
    HospitalId, RecordPointer,
    access::{Condition, Denial},
};

use super::{
    Args,
    program::Program,
    report::{DemoReport, Hospital},
};
use crate::{
    context::{Common, Context},
    failure::Failure,
};
use cast::{Cast, Person};

/// The main hospital of the story, and the three others.
const A: HospitalId = HospitalId(0);
const B: HospitalId = HospitalId(1);
const C: HospitalId = HospitalId(2);
const D: HospitalId = HospitalId(3);
/// The record of the first visit.
const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };

/// Prints, times and checks the story.
pub struct Story {
    begun: Instant,
    chapter: u32,
    report: DemoReport,
}

/// The parameters of every chapter.
#[derive(Clone, Copy)]
struct Scene<'a> {
    args: &'a Args,
    network: &'a Devnet,
    program: &'a Program,
    context: &'a Context,
    cast: &'a Cast,
}

impl Story {
    pub fn begin() -> Self {
        Self { begun: Instant::now(), chapter: 0, report: DemoReport::default() }
    }

    pub fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        println!("\n[{:>6.1} s] {}. {title}", self.begun.elapsed().as_secs_f64(), self.chapter);
    }

    fn line(&self, text: impl AsRef<str>) {
        println!("    {}", text.as_ref());
    }

    /// The chapters after the start of the network.
    ///
    /// A user's quotas fill again each half minute. They cover five withdrawals, two rotations of keys, and four other
    /// calls, of which `unrelate` needs as much as two. So the end of the relationship is chapters apart from the
    /// consents.
    pub async fn tell(
        mut self,
        args: &Args,
        network: &mut Devnet,
        program: &Program,
    ) -> Result<DemoReport, Failure> {
        let context = self.open(args, network)?;
        let cast = self.register(args, &context).await?;
        let scene = Scene { args, network: &*network, program, context: &context, cast: &cast };
        let first = self.checkup(scene).await?;
        self.text(scene).await?;
        self.images(scene, &first).await?;
        self.stranger(scene).await?;
        let query = self.query(scene, &first).await?;
        self.second_visit(scene).await?;
        self.verify(scene).await?;
        self.damage(scene, &first).await?;
        self.share(scene, &first).await?;
        let insurance = self.insure(scene, &first).await?;
        let referral = self.refer(scene, &first).await?;
        self.emergency(scene, &first).await?;
        self.revoke(scene).await?;
        let rotated = self.rotate(scene, &first).await?;
        self.own_key(scene, &rotated, &first).await?;
        self.evidence(scene, query).await?;
        self.consortium_key(scene).await?;
        self.periods_end(scene, [referral, insurance]).await?;
        self.look_back(scene).await?;
        let prepared = self.leave(scene, &rotated).await?;
        self.away((args, &context, &cast), &prepared, network, &first).await?;
        Ok(self.report)
    }

    /// Prints the network, and writes the password file of the demo's keys.
    fn open(&mut self, args: &Args, network: &Devnet) -> Result<Context, Failure> {
        for hospital in &network.state().hospitals {
            self.line(format!(
                "{}: node {}, worker {}",
                letter(hospital.id),
                hospital.node_url,
                hospital.worker_url
            ));
            self.report.hospitals.push(Hospital {
                id: hospital.id,
                name: hospital.name.clone(),
                node_url: hospital.node_url.clone(),
                worker_url: hospital.worker_url.clone(),
            });
        }
        if args.store == Storage::S3 {
            self.line("their segments are in buckets on an S3 server, one for each hospital");
        }
        let password_file = args.dir.join("keys").join("password");
        fs::write(&password_file, "only for the demo\n")
            .map_err(|error| Failure::file(&password_file, &error))?;
        Context::new(Common {
            devnet: Some(network.directory().to_path_buf()),
            password_file: Some(password_file),
            ..Common::default()
        })
        .with_devnet()
    }

    /// Prints a refusal, which must be because of a missing relationship or registration, or because sections are not
    /// shared.
    fn refused<T>(&mut self, who: &Person, outcome: Result<T, Failure>) -> Result<(), Failure> {
        let failure = match outcome {
            Err(failure) => failure,
            Ok(_) => return Err(broken(&format!("the {} is refused", who.label))),
        };
        let Some(denial) = &failure.denial else { return Err(failure) };
        check(names_what_is_missing(denial), "the refusal names what is missing")?;
        let reasons = sentence::denial(denial);
        self.line(format!("{} is refused:", who.label));
        for reason in &reasons {
            self.line(format!("  {reason}"));
        }
        self.report.refuse(who.label, reasons.join("; "));
        Ok(())
    }
}

fn names_what_is_missing(denial: &Denial) -> bool {
    let names = |condition: &Condition| {
        matches!(
            condition,
            Condition::Related(_) | Condition::PatientRegistered | Condition::SectionShared
        )
    };
    matches!(denial, Denial::Failed(policies) if policies.iter().any(|failed| {
        failed.conditions.iter().any(names)
    }))
}

fn letter(hospital: HospitalId) -> char {
    u8::try_from(hospital.0).ok().filter(|id| *id < 26).map_or('?', |id| char::from(b'A' + id))
}

fn check(holds: bool, claim: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(broken(claim)) }
}

fn broken(claim: &str) -> Failure {
    Failure::new(
        format!("a check of the demo failed: {claim}"),
        "read the logs of nodes and workers in the demo's devnet/logs",
    )
}
