//! The story itself, chapter by chapter.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use epione_client::{
    api::{GrantRequest, VisitStage},
    verify,
};
use epione_envelope::segment::{self, object_key};
use epione_primitives::{
    HospitalId, RecordPointer, UserId,
    access::{Condition, Denial, Purpose},
    block::Segment,
};

use super::{
    Args,
    input::{self, Images, Original, Visit},
    report::{CommittedBlock, Hospital, RefusedRequest, Report, RetrievedFile, Timings, millis},
    watch::{self, Moments},
};
use crate::{
    commands::{
        block::{self, Verified},
        keys,
        records::{self, Retrieved},
        relation::{self, Kind},
        user::{self, Role},
        visit::{self, Submitted},
    },
    context::{Common, Context, HospitalRef},
    devnet::Devnet,
    failure::{Failure, reasons},
    identity::{self, KeySource},
};

/// The hospital that the story is about.
const A: HospitalId = HospitalId(0);

/// The teller: prints, times and checks.
pub struct Story {
    begun: Instant,
    chapter: u32,
    report: Report,
}

/// Somebody with a key file of their own.
struct Person {
    id: UserId,
    keys: KeySource,
}

/// Those who appear.
struct Cast {
    patient: Person,
    doctor: Person,
    stranger: Person,
}

impl Story {
    pub fn begin() -> Self {
        Self { begun: Instant::now(), chapter: 0, report: Report::default() }
    }

    pub fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        println!("\n[{:>6.1} s] {}. {title}", self.begun.elapsed().as_secs_f64(), self.chapter);
    }

    fn line(&self, text: impl AsRef<str>) {
        println!("    {}", text.as_ref());
    }

    /// Tells what follows once the network is up.
    pub async fn tell(mut self, args: &Args, network: &Devnet) -> Result<Report, Failure> {
        let context = self.open(args, network)?;
        let cast = self.register(args, &context).await?;
        let first = self.first_visit(args, &context, &cast).await?;
        self.read_back(args, &context, &cast, &first).await?;
        self.refuse(args, &context, &cast).await?;
        self.second_visit(args, &context, &cast).await?;
        self.verify(&context).await?;
        self.damage(args, &context, &cast, &first, network).await?;
        Ok(self.report)
    }

    /// Looks at the network, and writes the password file of the demo's keys.
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

    async fn register(&mut self, args: &Args, context: &Context) -> Result<Cast, Failure> {
        self.chapter(
            "A registers a patient, a doctor and a nurse; a second doctor stays a stranger",
        );
        let patient =
            self.person(args, context, Role::Patient, "patient", "Synthetic Patient One").await?;
        let doctor =
            self.person(args, context, Role::Doctor, "doctor", "Synthetic Doctor One").await?;
        self.person(args, context, Role::Nurse, "nurse", "Synthetic Nurse One").await?;
        let stranger = self
            .person(args, context, Role::Doctor, "second-doctor", "Synthetic Doctor Two")
            .await?;
        let relation = relation::UnrelateArgs {
            patient: patient.id,
            professional: doctor.id,
            kind: Kind::Treating,
            hospital: Some(HospitalRef::Id(A)),
            signer: None,
            as_patient: None,
        };
        let thirty_days = Some(Duration::from_secs(30 * 86_400));
        relation::relate(&relation::RelateArgs { relation, expires: thirty_days }, context).await?;
        self.line("the doctor treats the patient, for 30 days");
        Ok(Cast { patient, doctor, stranger })
    }

    async fn person(
        &self,
        args: &Args,
        context: &Context,
        role: Role,
        file: &str,
        name: &str,
    ) -> Result<Person, Failure> {
        let out = args.dir.join("keys").join(format!("{file}.json"));
        let new =
            keys::NewArgs { out: out.clone(), scheme: keys::Curve::Sr25519, development: None };
        keys::new(&new, context)?;
        let source = KeySource::File(out);
        // Opening takes scrypt its time, which is not that of what follows.
        context.keys(&source)?;
        let registered = user::register(
            &user::RegisterArgs {
                signer: None,
                hospital: Some(HospitalRef::Id(A)),
                role,
                name: name.into(),
                keys: Some(source.clone()),
                account: None,
                sealing_key: None,
                user: None,
                consent: None,
            },
            context,
        )
        .await?;
        self.line(format!("{file:<13} is user {}", registered.user));
        Ok(Person { id: registered.user, keys: source })
    }

    async fn first_visit(
        &mut self,
        args: &Args,
        context: &Context,
        cast: &Cast,
    ) -> Result<Vec<Original>, Failure> {
        self.chapter("The doctor submits a visit: four texts and three DICOM files");
        let (visit, images) = input::first_visit(&args.dir.join("input"), &args.samples)?;
        if images == Images::Generated {
            self.line("no real DICOM files at hand: the project's own phantoms are used");
        }
        let originals = visit.originals.clone();
        for original in &originals {
            self.line(format!("{:<26} {:>8} bytes", original.name, original.bytes));
        }
        let (begun, moments) = self.commit(context, cast, visit, 1).await?;
        self.report.timings_ms = Timings {
            submit_to_announced: millis(moments.announced - begun),
            announced_to_committed: millis(moments.committed - moments.announced),
            committed_to_finalised: millis(moments.finalised - moments.committed),
            ..Timings::default()
        };
        Ok(originals)
    }

    /// Submits a visit and follows it until block `height` commits it.
    async fn commit(
        &mut self,
        context: &Context,
        cast: &Cast,
        visit: Visit,
        height: u32,
    ) -> Result<(Instant, Moments), Failure> {
        let begun = Instant::now();
        let submit = visit::SubmitArgs {
            signer: cast.doctor.keys.clone(),
            patient: cast.patient.id,
            hospital: HospitalRef::Id(A),
            texts: visit.texts,
            media: visit.media,
            wait: visit::WaitArgs::default(),
        };
        let chain = context.chain().await?;
        let (submitted, moments) =
            tokio::try_join!(visit::submit(&submit, context), watch::block(chain, height))?;
        self.line(format!("visit {} is safe at A", submitted.status.record_id));
        self.line(format!(
            "announced after {} ms, committed {} ms later, final {} ms after that",
            millis(moments.announced - begun),
            millis(moments.committed - moments.announced),
            millis(moments.finalised - moments.committed),
        ));
        self.committed(context, cast, &submitted, height).await?;
        Ok((begun, moments))
    }

    /// Checks that chain and worker agree on what was committed.
    async fn committed(
        &mut self,
        context: &Context,
        cast: &Cast,
        submitted: &Submitted,
        height: u32,
    ) -> Result<(), Failure> {
        let block = block::block(&block::ShowArgs { height }, context).await?;
        let ballot = block.ballot.as_ref().ok_or_else(|| broken("the block has a ballot"))?;
        let asked = ballot.electorate.len() as u32;
        let needed = epione_primitives::approval::approvals_needed(asked) as usize;
        check(ballot.approvals.len() >= needed, "enough hospitals approved")?;
        check(ballot.rejections.is_empty(), "no hospital rejected")?;
        let mut approvals = ballot.approvals.to_vec();
        approvals.sort_unstable();
        let letters: Vec<_> = approvals.iter().map(|id| letter(*id).to_string()).collect();
        self.line(format!(
            "block {height} is committed: approved by {} ({needed} were needed beside A)",
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

    async fn read_back(
        &mut self,
        args: &Args,
        context: &Context,
        cast: &Cast,
        originals: &[Original],
    ) -> Result<(), Failure> {
        self.chapter("The doctor reads the visit back; so does the patient, with their own key");
        self.report.timings_ms.grant = self.grant(context, cast).await?;
        let begun = Instant::now();
        self.read(args, context, cast, "doctor", &cast.doctor, originals).await?;
        self.report.timings_ms.retrieval = millis(begun.elapsed());
        self.read(args, context, cast, "patient", &cast.patient, originals).await?;
        self.line(format!(
            "a grant took {} ms; granting, fetching, verifying and decrypting all took {} ms",
            self.report.timings_ms.grant, self.report.timings_ms.retrieval
        ));
        Ok(())
    }

    /// How long A's worker takes to grant access to the first record, in milliseconds.
    async fn grant(&self, context: &Context, cast: &Cast) -> Result<u64, Failure> {
        let account = identity::account(&context.keys(&cast.doctor.keys)?);
        let worker = context.worker(A, account).await?;
        let request = GrantRequest {
            patient: cast.patient.id,
            records: vec![RecordPointer { height: 1, index: 0 }],
            purpose: Purpose::Treatment,
        };
        let begun = Instant::now();
        worker.grant(&request).await?;
        Ok(millis(begun.elapsed()))
    }

    /// Reads the first record as somebody, and compares every file.
    async fn read(
        &mut self,
        args: &Args,
        context: &Context,
        cast: &Cast,
        who: &str,
        reader: &Person,
        originals: &[Original],
    ) -> Result<(), Failure> {
        let request = get(args, cast, reader, who);
        let retrieved = records::get(&request, context).await?;
        let compared = compare(who, &retrieved, originals)?;
        self.line(format!("{who}: {} files, every byte as it was submitted", compared.len()));
        self.report.retrieved_files.extend(compared);
        Ok(())
    }

    async fn refuse(&mut self, args: &Args, context: &Context, cast: &Cast) -> Result<(), Failure> {
        self.chapter("A doctor without a relationship to the patient is refused");
        let request = get(args, cast, &cast.stranger, "stranger");
        let failure = match records::get(&request, context).await {
            Err(failure) => failure,
            Ok(_) => return Err(broken("the stranger is refused")),
        };
        let Some(denial) = &failure.denial else { return Err(failure) };
        check(names_relationship(denial), "the refusal names the missing relationship")?;
        let reason = reasons(denial).join("; ");
        self.line(format!("refused: {reason}"));
        self.report.refused_requests.push(RefusedRequest { who: "second-doctor".into(), reason });
        Ok(())
    }

    async fn second_visit(
        &mut self,
        args: &Args,
        context: &Context,
        cast: &Cast,
    ) -> Result<(), Failure> {
        self.chapter("A second visit links back to the first");
        let visit = input::second_visit(&args.dir.join("input"))?;
        self.commit(context, cast, visit, 2).await?;
        let listing =
            records::list(&records::ListArgs { patient: cast.patient.id, limit: 8 }, context)
                .await?;
        let links: Vec<_> =
            listing.records.iter().map(|record| (record.pointer, record.previous)).collect();
        let first = RecordPointer { height: 1, index: 0 };
        let second = RecordPointer { height: 2, index: 0 };
        check(
            links == [(second, Some(first)), (first, None)],
            "2/0 links to 1/0, which is the first",
        )?;
        self.line(format!("{second} -> {first} -> nothing before it"));
        Ok(())
    }

    async fn verify(&mut self, context: &Context) -> Result<(), Failure> {
        self.chapter(
            "Anybody recomputes the blocks; every hospital shows its copy of the segments",
        );
        for height in [1, 2] {
            let verified = self.verified(context, height, A).await?;
            self.line(format!("block {height} passes all {} checks", verified.checks.len()));
        }
        for hospital in &self.report.hospitals {
            self.verified(context, 1, hospital.id).await?;
        }
        self.line("A, B, C and D hold the same segments");
        Ok(())
    }

    /// Verifies a block, with a hospital's copy of its segments.
    async fn verified(
        &self,
        context: &Context,
        height: u32,
        hospital: HospitalId,
    ) -> Result<Verified, Failure> {
        let hospital = Some(HospitalRef::Id(hospital));
        let verify = block::VerifyArgs { height, segments: true, hospital, signer: None };
        let verified = block::verified(&verify, context).await?;
        if !verified.passed {
            return Err(broken(&verified.to_string()));
        }
        Ok(verified)
    }

    async fn damage(
        &mut self,
        args: &Args,
        context: &Context,
        cast: &Cast,
        originals: &[Original],
        network: &Devnet,
    ) -> Result<(), Failure> {
        self.chapter("A segment in A's store is damaged; nobody reads a wrong byte");
        let (damaged, path) = self.damage_segment(context, network).await?;
        let request = get(args, cast, &cast.doctor, "after-damage");
        match records::get(&request, context).await {
            Ok(retrieved) => {
                let compared = compare("doctor, after the damage", &retrieved, originals)?;
                self.report.retrieved_files.extend(compared);
                let stored = fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
                check(
                    segment::verify(&damaged, &stored).is_ok(),
                    "A's store holds the right bytes again",
                )?;
                self.line(
                    "A's worker noticed, fetched the segment from its peers and served it whole",
                );
            }
            Err(failure) => {
                check(failure.denial.is_none(), "the reader is not refused")?;
                self.line(format!("the reader gets a clear error instead: {}", failure.error));
            }
        }
        Ok(())
    }

    /// Flips a byte in the middle of the first segment of block 1, on A's disk.
    async fn damage_segment(
        &self,
        context: &Context,
        network: &Devnet,
    ) -> Result<(Segment, PathBuf), Failure> {
        let evidence = verify::gather(context.chain().await?, 1).await?;
        let segments = verify::segments(&evidence)?;
        let segment = segments.first().ok_or_else(|| broken("the first block has segments"))?;
        let hospital = network.state().hospital(A).ok_or_else(|| broken("A is up"))?;
        let path = hospital.store.join(object_key(&segment.hash));
        let mut bytes = fs::read(&path).map_err(|error| Failure::file(&path, &error))?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x01;
        fs::write(&path, &bytes).map_err(|error| Failure::file(&path, &error))?;
        self.line(format!("byte {middle} of {} bytes was changed on disk", bytes.len()));
        Ok((*segment, path))
    }
}

fn get(args: &Args, cast: &Cast, reader: &Person, folder: &str) -> records::GetArgs {
    records::GetArgs {
        signer: reader.keys.clone(),
        patient: cast.patient.id,
        pointers: vec![RecordPointer { height: 1, index: 0 }],
        all: false,
        limit: 1,
        out: args.dir.join("read").join(folder),
        purpose: None,
    }
}

/// Every submitted file must have come back, byte for byte.
fn compare(
    who: &str,
    retrieved: &Retrieved,
    originals: &[Original],
) -> Result<Vec<RetrievedFile>, Failure> {
    let record = retrieved.records.first().ok_or_else(|| broken("a record was read"))?;
    check(record.sections.len() == originals.len(), "every section came back")?;
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

fn names_relationship(denial: &Denial) -> bool {
    matches!(denial, Denial::Failed(policies) if policies.iter().any(|failed| {
        failed.conditions.iter().any(|condition| matches!(condition, Condition::Related(_)))
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
        "the logs of nodes and workers are in the demo's devnet/logs",
    )
}
