//! `epione hospital list`.

use std::fmt;

use epione_primitives::{
    AccountId, HospitalId,
    hospital::{Hospital, HospitalStatus},
};
use serde::Serialize;

use crate::{
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
    pub governance: AccountId,
    pub agent: AccountId,
    pub worker_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_origin: Option<String>,
}

impl Listed {
    fn new(hospital: HospitalId, entry: &Hospital, benched: &[HospitalId]) -> Self {
        Self {
            hospital,
            name: legible(&entry.name),
            status: entry.status,
            benched: benched.contains(&hospital),
            governance: entry.governance.clone(),
            agent: entry.agent.clone(),
            worker_url: legible(&entry.worker_url),
            storage_origin: entry.storage_origin.as_ref().map(|origin| legible(origin)),
        }
    }
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
            let status = if listed.benched { "benched".into() } else { word(&listed.status) };
            [listed.hospital.to_string(), listed.name.clone(), status, listed.worker_url.clone()]
        });
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        write!(f, "{}", table::lines(&rows).join("\n"))?;
        if self.hospitals.iter().any(|listed| listed.benched) {
            write!(
                f,
                "\na benched hospital committed an offence: it makes no blocks until the council \
                 reinstates it (hospitals.reinstate); everything else goes on"
            )?;
        }
        Ok(())
    }
}

/// Lists the hospitals.
pub async fn list(context: &Context) -> Result<HospitalList, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let benched = snapshot.benched().await?;
    let known = snapshot.hospitals().await?;
    let hospitals = known.iter().map(|(id, entry)| Listed::new(*id, entry, &benched)).collect();
    Ok(HospitalList { hospitals })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benched_hospital_is_listed_as_benched_and_not_only_as_active() {
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
        let benched = [HospitalId(1)];
        let listed = |id: u16, status| Listed::new(HospitalId(id), &entry(status), &benched);
        let hospitals = vec![
            listed(0, HospitalStatus::Active),
            listed(1, HospitalStatus::Active),
            listed(2, HospitalStatus::Suspended),
        ];
        let list = HospitalList { hospitals };
        let text = list.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].contains("active") && !lines[1].contains("benched"), "{text}");
        assert!(lines[2].contains("benched") && !lines[2].contains("active"), "{text}");
        assert!(lines[3].contains("suspended"), "{text}");
        assert!(lines[4].contains("hospitals.reinstate"), "{text}");
        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(json["hospitals"][1]["status"], "active");
        assert_eq!(json["hospitals"][1]["benched"], true);
        assert_eq!(json["hospitals"][0]["benched"], false);
    }
}
