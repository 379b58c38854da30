//! `epione hospital list`.

use std::fmt;

use epione_primitives::{
    AccountId, HospitalId,
    hospital::{Hospital, HospitalStatus},
};
use serde::Serialize;

use crate::{
    commands::custodian::{self, Custodian},
    context::{Context, Output},
    failure::Failure,
    table,
    wording::{legible, word},
};

/// A hospital, as the chain describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    pub hospital: HospitalId,
    pub name: String,
    pub status: HospitalStatus,
    /// Whether it is active, but makes no blocks after an offence until the council reinstates it.
    pub benched: bool,
    /// Whether it is active, but does not validate until its worker says that it is ready.
    pub unready: bool,
    pub governance: AccountId,
    pub agent: AccountId,
    pub worker_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_origin: Option<String>,
    /// The custodian of a removed hospital, if the council appointed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custodian: Option<Custodian>,
}

impl Listed {
    fn new(hospital: HospitalId, entry: &Hospital, idle: &Idle) -> Self {
        Self {
            hospital,
            name: legible(&entry.name),
            status: entry.status,
            benched: idle.benched.contains(&hospital),
            unready: idle.unready.contains(&hospital),
            governance: entry.governance.clone(),
            agent: entry.agent.clone(),
            worker_url: legible(&entry.worker_url),
            storage_origin: entry.storage_origin.as_ref().map(|origin| legible(origin)),
            custodian: None,
        }
    }
}

/// The active hospitals that do not validate.
struct Idle {
    benched: Vec<HospitalId>,
    unready: Vec<HospitalId>,
}

/// Every hospital ever admitted, by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HospitalList {
    pub hospitals: Vec<Listed>,
}

impl Output for HospitalList {}

impl fmt::Display for HospitalList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["NUMBER", "NAME", "STATUS", "WORKER"].map(String::from);
        let rows = self.hospitals.iter().map(|listed| {
            let status = match listed {
                Listed { benched: true, .. } => "benched".into(),
                Listed { unready: true, .. } => "unready".into(),
                Listed { status, .. } => word(status),
            };
            [listed.hospital.to_string(), listed.name.clone(), status, listed.worker_url.clone()]
        });
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        write!(f, "{}", table::lines(&rows).join("\n"))?;
        if self.hospitals.iter().any(|listed| listed.benched) {
            write!(
                f,
                "\na benched hospital committed an offence: it makes no blocks until the council \
                 reinstates it (epione council propose reinstate NUMBER); everything else goes on"
            )?;
        }
        for custodian in self.hospitals.iter().filter_map(|listed| listed.custodian.as_ref()) {
            write!(f, "\n{custodian}")?;
        }
        if self.hospitals.iter().any(|listed| listed.unready) {
            write!(
                f,
                "\nan unready hospital is new, or made no block for ten minutes: it does not validate until its \
                 worker has every committed segment and says that it is ready; everything else goes on"
            )?;
        }
        if self.hospitals.iter().any(|listed| listed.status == HospitalStatus::Leaving) {
            write!(
                f,
                "\na leaving hospital serves its patients and readers until the council removes it (epione council \
                 propose remove NUMBER), and does nothing else"
            )?;
        }
        Ok(())
    }
}

/// Lists the hospitals.
pub async fn list(context: &Context) -> Result<HospitalList, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let (benched, unready) = (snapshot.benched().await?, snapshot.unready().await?);
    let idle = Idle { benched, unready };
    let known = snapshot.hospitals().await?;
    let custodians = custodian::all(&snapshot).await?;
    let listed = |(id, entry): &(HospitalId, Hospital)| {
        let custodian = custodians.iter().find(|custodian| custodian.departed == *id).cloned();
        Listed { custodian, ..Listed::new(*id, entry, &idle) }
    };
    Ok(HospitalList { hospitals: known.iter().map(listed).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hospital_that_does_not_validate_is_not_only_listed_as_active() {
        let entry = |status| Hospital {
            name: b"St. Mary".to_vec().try_into().unwrap(),
            governance: AccountId::new([1; 32]),
            agent: AccountId::new([2; 32]),
            worker_url: b"https://worker.example".to_vec().try_into().unwrap(),
            sealing_key: Default::default(),
            tls_key: [0; 32],
            storage_origin: None,
            status,
        };
        let idle = Idle { benched: vec![HospitalId(1)], unready: vec![HospitalId(3)] };
        let listed = |id: u16, status| Listed::new(HospitalId(id), &entry(status), &idle);
        let hospitals = vec![
            listed(0, HospitalStatus::Active),
            listed(1, HospitalStatus::Active),
            listed(2, HospitalStatus::Suspended),
            listed(3, HospitalStatus::Active),
            listed(4, HospitalStatus::Leaving),
        ];
        let list = HospitalList { hospitals };
        let text = list.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].contains("active") && !lines[1].contains("benched"), "{text}");
        assert!(lines[2].contains("benched") && !lines[2].contains("active"), "{text}");
        assert!(lines[3].contains("suspended"), "{text}");
        assert!(lines[4].contains("unready") && !lines[4].contains("active"), "{text}");
        assert!(lines[5].contains("leaving"), "{text}");
        assert!(lines[6].contains("epione council propose reinstate"), "{text}");
        assert!(lines[7].contains("says that it is ready"), "{text}");
        assert!(lines[8].contains("until the council removes it"), "{text}");
        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(json["hospitals"][1]["status"], "active");
        assert_eq!(json["hospitals"][1]["benched"], true);
        assert_eq!(json["hospitals"][0]["benched"], false);
        assert_eq!(json["hospitals"][3]["unready"], true);
        assert_eq!(json["hospitals"][1]["unready"], false);
        assert_eq!(json["hospitals"][4]["status"], "leaving");
        assert!(json["hospitals"][0].get("custodian").is_none());
    }

    #[test]
    fn the_custodian_of_a_removed_hospital_is_listed() {
        let custodian = Custodian {
            departed: HospitalId(0),
            custodian: HospitalId(1),
            from: 70,
            answers: false,
        };
        let removed = Listed {
            hospital: HospitalId(0),
            name: "St. Mary".into(),
            status: HospitalStatus::Removed,
            benched: false,
            unready: false,
            governance: AccountId::new([1; 32]),
            agent: AccountId::new([2; 32]),
            worker_url: "https://worker.example".into(),
            storage_origin: None,
            custodian: Some(custodian),
        };
        let list = HospitalList { hospitals: vec![removed] };
        let text = list.to_string();
        assert!(text.contains("\nhospital 0 was removed: hospital 1 is its custodian"), "{text}");
        assert!(text.ends_with("from chain block 70 on, while it is active"), "{text}");
        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(json["hospitals"][0]["custodian"]["custodian"], 1);
        assert_eq!(json["hospitals"][0]["custodian"]["answers"], false);
    }
}
