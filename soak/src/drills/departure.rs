//! A hospital departs, in good order or because its machines are gone. From then on, a custodian answers for its
//! records.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, ensure};
use epione_client::{api::Relation, signer::Account, worker::WorkerClient};
use epione_primitives::{
    HospitalId, RecordPointer, access::RelationshipKind, hospital::HospitalStatus, profile::Role,
};
use serde_json::Value;

use super::{
    frame::{Drill, RECOVERY},
    seat,
};
use crate::{
    client::Client,
    content, council,
    patience::patiently,
    people::{self, Practice},
    programs::Programs,
    stores,
    visits::board::Acknowledged,
    walk::Walk,
};

const DEPARTING: HospitalId = HospitalId(3);
const CUSTODIAN: HospitalId = HospitalId(1);
const OTHERS: [HospitalId; 3] = [HospitalId(0), CUSTODIAN, HospitalId(2)];
/// Members of the council with and without the hospital.
const MEMBERS: usize = 4;
const REMAINING: usize = 3;
/// Records that are read at the custodian.
const READ: usize = 5;

/// How the hospital departs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It leaves, and serves until the council removes it.
    InGoodOrder,
    /// Its machines are gone, and the council removes it.
    Dead,
}

pub async fn run(
    drill: &mut Drill,
    programs: &Programs,
    folder: &Path,
    way: Way,
) -> anyhow::Result<()> {
    let departure = Departure {
        client: Client::new(programs, drill.network.directory()),
        home: at(drill, DEPARTING)?,
        heir: at(drill, CUSTODIAN)?,
        folder: folder.to_path_buf(),
    };
    departure.entrust(drill).await?;
    drill.step("the doctor of hospital 3 submits no more visits");
    drill.let_go(DEPARTING).await?;
    let records = departure.records(drill).await?;
    departure.all_is_stored(drill).await?;
    let before = departure.read(&departure.home, &records[..1], "before").await?;
    departure.departs(drill, way, &records).await?;
    departure.appoint(drill).await?;
    let begun = Instant::now();
    let after =
        patiently(RECOVERY, async || departure.read(&departure.heir, &records, "after").await)
            .await
            .context("the custodian's doctor does not read the records")?;
    drill.took("after the appointment, until a doctor of the custodian read the records", begun);
    drill.figure("records of the departed hospital that were read", records.len().to_string());
    for receipt in [&before, &after] {
        departure.is_proven(receipt).await?;
    }
    drill
        .step("a doctor of the custodian reads the records; receipts of both hospitals are proven");
    drill.finalizes(OTHERS[0], 20).await?;
    Ok(())
}

fn at(drill: &Drill, hospital: HospitalId) -> anyhow::Result<Practice> {
    let mut practices = drill.practices.iter();
    let practice = practices.find(|practice| practice.hospital == hospital);
    practice.cloned().context("the hospital has no doctor")
}

/// A record of the departing hospital, with what its doctor wrote.
type Record = (RecordPointer, Acknowledged);

struct Departure {
    client: Client,
    /// People of the departing hospital, and of its custodian.
    home: Practice,
    heir: Practice,
    folder: PathBuf,
}

impl Departure {
    /// The patient entrusts the patient keys, and the hospital's worker keeps them under the consortium key.
    async fn entrust(&self, drill: &mut Drill) -> anyhow::Result<()> {
        drill
            .until("waiting until the workers have made a consortium key", RECOVERY, async || {
                let status = self.client.run(&["consortium", "key", "status"]).await?.answer;
                anyhow::Ok((!status["key"].is_null()).then_some(()))
            })
            .await?;
        let (patient, hospital) = (self.home.patient_uri.as_str(), DEPARTING.to_string());
        let words = ["mandate", "entrust", "--as", patient, "--hospital", &hospital];
        let words = [&words[..], &["--for", "1d", "--yes"]].concat();
        // The patient's quota may be used up for half a minute.
        patiently(RECOVERY, async || self.client.run(&words).await).await?;
        let (chain, patient) = (self.home.chain.clone(), self.home.patient);
        drill
            .until("waiting until the patient's keys are kept", RECOVERY, async || {
                let kept = chain.finalized().await?.kept_key(DEPARTING, patient).await?;
                anyhow::Ok(kept.map(drop))
            })
            .await?;
        drill.step("the patient of hospital 3 has entrusted the keys, and they are kept");
        Ok(())
    }

    /// Some of the hospital's records, from its first visits.
    async fn records(&self, drill: &Drill) -> anyhow::Result<Vec<Record>> {
        let mut walk = Walk::default();
        walk.go_on(&self.heir.chain).await?;
        let acknowledged = drill.board.acknowledged();
        let own = acknowledged.into_iter().filter(|visit| visit.hospital == DEPARTING);
        let mut records = Vec::new();
        for visit in own.take(READ) {
            let pointers = walk.records.get(&visit.record).context("a visit is not committed")?;
            let pointer = *pointers.first().context("a visit is not committed")?;
            records.push((pointer, visit));
        }
        ensure!(!records.is_empty(), "hospital 3 has acknowledged no visit");
        Ok(records)
    }

    /// Until every other hospital has every segment, the departing one is needed.
    async fn all_is_stored(&self, drill: &mut Drill) -> anyhow::Result<()> {
        let mut walk = Walk::default();
        walk.go_on(&self.heir.chain).await?;
        let others = drill.hospitals(&OTHERS)?;
        drill
            .until("waiting until the others have every segment", RECOVERY, async || {
                let have = |store: &Path| walk.segments.iter().all(|it| stores::has(store, it));
                anyhow::Ok(others.iter().all(|other| have(&other.store)).then_some(()))
            })
            .await
    }

    async fn departs(&self, drill: &mut Drill, way: Way, records: &[Record]) -> anyhow::Result<()> {
        let begun = Instant::now();
        let members = match way {
            Way::InGoodOrder => {
                seat::leave(&drill.hospital(DEPARTING)?.clone()).await?;
                drill.step("hospital 3 leaves: it serves, and takes part in nothing else");
                self.is(HospitalStatus::Leaving).await?;
                patiently(RECOVERY, async || self.read(&self.home, records, "leaving").await)
                    .await
                    .context("the hospital that leaves does not serve its doctor")?;
                drill.step("its doctor still reads there");
                REMAINING
            }
            Way::Dead => {
                drill.kill(DEPARTING)?;
                drill.watch.forget(DEPARTING).await;
                drill.step("the machines of hospital 3 are gone");
                MEMBERS
            }
        };
        let voters = drill.hospitals(&OTHERS[..council::more_than_half(members)])?;
        council::pass(&voters, &council::remove(DEPARTING)).await?;
        self.is(HospitalStatus::Removed).await?;
        if way == Way::InGoodOrder {
            drill.watch.forget(DEPARTING).await;
            drill.kill(DEPARTING)?;
        }
        drill.took("until the council had removed the hospital", begun);
        drill.step("the council has removed hospital 3, and its machines are gone");
        Ok(())
    }

    async fn is(&self, expected: HospitalStatus) -> anyhow::Result<()> {
        patiently(RECOVERY, async || {
            let entry = self.heir.chain.finalized().await?.hospital(DEPARTING).await?;
            let status = entry.context("the chain does not know the hospital")?.status;
            ensure!(status == expected, "hospital 3 is {status:?}, not {expected:?}");
            Ok(())
        })
        .await
    }

    /// The council appoints a custodian. The patient registers there, where a doctor treats them.
    async fn appoint(&self, drill: &mut Drill) -> anyhow::Result<()> {
        let voters = drill.hospitals(&OTHERS[..council::two_thirds(REMAINING)])?;
        council::pass(&voters, &council::appoint(DEPARTING, CUSTODIAN)).await?;
        drill.step("the council has appointed hospital 1 as the custodian");
        let governance = Account::development(&drill.hospital(CUSTODIAN)?.governance)?;
        let chain = &self.heir.chain;
        let office = WorkerClient::for_hospital(chain, CUSTODIAN, governance).await?;
        let uri = &self.home.patient_uri;
        let patient = people::join(&office, chain, CUSTODIAN, Role::Patient, uri).await?;
        ensure!(patient == self.home.patient, "the patient has another id at the custodian");
        let kind = RelationshipKind::FamilyDoctor;
        let professional = self.heir.doctor;
        office.relate(&Relation { patient, professional, kind, expires: None }).await?;
        Ok(())
    }

    /// Reads records as the doctor of a practice, and compares them with what was written. Returns a receipt's number.
    async fn read(&self, by: &Practice, records: &[Record], name: &str) -> anyhow::Result<String> {
        let mut receipt = Value::Null;
        for (pointer, visit) in records {
            let out = self.folder.join(format!("{name}-{}-{}", pointer.height, pointer.index));
            // An attempt that failed can have left it.
            let _ = fs::remove_dir_all(&out);
            let (patient, out_text) = (self.home.patient.to_string(), out.display().to_string());
            let pointer_text = format!("{}/{}", pointer.height, pointer.index);
            let words = ["records", "get", "--as", &by.uri, "--patient", &patient];
            let rest = ["--pointer", &pointer_text, "--out", &out_text];
            let read = self.client.run(&[&words[..], &rest[..]].concat()).await?.answer;
            receipt = read["receipts"][0]["receipt"].clone();
            ensure!(!receipt.is_null(), "a look without a receipt: {read}");
            is_in(&out.join(format!("{}-{}", pointer.height, pointer.index)), visit)?;
        }
        Ok(receipt.to_string())
    }

    /// Every step of a look is proven: who decided by which policies, and who signed.
    async fn is_proven(&self, receipt: &str) -> anyhow::Result<()> {
        let patient = self.home.patient.to_string();
        let words = ["audit", "proof-chain", "--patient", &patient, "--receipt", receipt];
        let made = self.client.run(&words).await?.answer;
        let proofs = made["transactions"][0]["proofs"].as_array();
        let proofs = proofs.context("the receipt has no proofs")?;
        ensure!(!proofs.is_empty(), "the receipt has no proofs: {made}");
        for step in proofs {
            ensure!(step["verdict"]["is"] == "proven", "receipt {receipt}: {made}");
        }
        Ok(())
    }
}

/// Checks that a folder contains the text and the media of a visit.
fn is_in(folder: &Path, visit: &Acknowledged) -> anyhow::Result<()> {
    let listed = fs::read_dir(folder);
    let listed = listed.with_context(|| format!("cannot list {}", folder.display()))?;
    let (mut text, mut media) = (false, visit.bytes == 0);
    for entry in listed {
        let path = entry?.path();
        text |= fs::metadata(&path)?.len() == visit.text.len() as u64
            && fs::read(&path)? == visit.text.as_bytes();
        media = media || content::is_in(&path, &visit.seed, visit.bytes)?;
    }
    ensure!(text && media, "{} does not contain what the doctor wrote", folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use epione_primitives::RecordId;

    use super::*;

    #[test]
    fn a_folder_without_the_text_or_the_media_of_a_visit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let visit = Acknowledged {
            record: RecordId([1; 16]),
            hospital: DEPARTING,
            text: "a note".into(),
            seed: "seed".into(),
            bytes: 700,
        };
        assert!(is_in(folder.path(), &visit).is_err());
        fs::write(folder.path().join("text"), "a note").unwrap();
        assert!(is_in(folder.path(), &visit).is_err());
        content::write(&folder.path().join("media"), "another seed", 700).unwrap();
        assert!(is_in(folder.path(), &visit).is_err());
        content::write(&folder.path().join("media"), "seed", 700).unwrap();
        is_in(folder.path(), &visit).unwrap();
    }
}
