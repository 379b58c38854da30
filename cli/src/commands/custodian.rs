//! The custodians of removed hospitals, which answer for their records.

use std::{collections::BTreeSet, fmt};

use epione_client::chain::Snapshot;
use epione_primitives::{BlockNumber, HospitalId, hospital::HospitalStatus};
use serde::Serialize;

use crate::{context::Context, failure::Failure};

/// The custodian of a removed hospital, as the council decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Custodian {
    /// The removed hospital.
    pub departed: HospitalId,
    pub custodian: HospitalId,
    /// The first chain block in which it answers for the records.
    pub from: BlockNumber,
    /// Whether it answers now: that block is reached, and the custodian is active.
    pub answers: bool,
}

/// In English: "hospital 3 was removed: hospital 1 is its custodian, and answers for its records".
impl fmt::Display for Custodian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { departed, custodian, from, answers } = self;
        write!(f, "hospital {departed} was removed: hospital {custodian} is its custodian, and ")?;
        if *answers {
            write!(f, "answers for its records")
        } else {
            write!(f, "answers for its records from chain block {from} on, while it is active")
        }
    }
}

/// The custodians of all removed hospitals that have one, ascending by removed hospital.
pub(super) async fn all(state: &Snapshot) -> Result<Vec<Custodian>, Failure> {
    let appointments = state.appointments().await?;
    if appointments.is_empty() {
        return Ok(Vec::new());
    }
    let delay = state.custodian_delay().await?;
    let mut custodians = Vec::with_capacity(appointments.len());
    for (departed, appointment) in appointments {
        let custodian = appointment.custodian;
        let from = appointment.since.saturating_add(delay);
        let answers = state.custodian_of(departed).await? == Some(custodian);
        custodians.push(Custodian { departed, custodian, from, answers });
    }
    Ok(custodians)
}

/// The custodians of those of these hospitals that were removed and have one.
pub(super) async fn of(
    hospitals: &BTreeSet<HospitalId>,
    context: &Context,
) -> Result<Vec<Custodian>, Failure> {
    let state = context.chain().await?.finalized().await?;
    let custodians = all(&state).await?.into_iter();
    Ok(custodians.filter(|custodian| hospitals.contains(&custodian.departed)).collect())
}

/// The hospital that answers for the records of a hospital: itself, or its custodian after the council removed it.
pub(super) async fn answering_for(
    hospital: HospitalId,
    context: &Context,
) -> Result<HospitalId, Failure> {
    let state = context.chain().await?.finalized().await?;
    let entry = state.hospital(hospital).await?;
    if entry.is_none_or(|entry| entry.status != HospitalStatus::Removed) {
        return Ok(hospital);
    }
    if let Some(custodian) = state.custodian_of(hospital).await? {
        return Ok(custodian);
    }
    let appointed = all(&state).await?.into_iter().find(|it| it.departed == hospital);
    Err(nobody(hospital, appointed.as_ref()))
}

/// No hospital answers for the records of a removed hospital now.
fn nobody(hospital: HospitalId, appointed: Option<&Custodian>) -> Failure {
    let error = format!("hospital {hospital} was removed, and no hospital answers for its records");
    let own_key = "the patient reads them with --own-key";
    let help = match appointed {
        Some(custodian) => format!("{custodian}; {own_key}"),
        None => format!("two thirds of the council can appoint a custodian; {own_key}"),
    };
    Failure::new(error, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUSTODIAN: Custodian =
        Custodian { departed: HospitalId(3), custodian: HospitalId(1), from: 70, answers: true };

    #[test]
    fn a_custodian_is_described_with_the_block_from_which_on_it_answers() {
        let removed = "hospital 3 was removed: hospital 1 is its custodian, and ";
        assert_eq!(CUSTODIAN.to_string(), format!("{removed}answers for its records"));
        let later = Custodian { answers: false, ..CUSTODIAN };
        assert_eq!(
            later.to_string(),
            format!("{removed}answers for its records from chain block 70 on, while it is active")
        );
    }

    #[test]
    fn without_a_hospital_that_answers_the_patients_own_key_is_named() {
        let later = Custodian { answers: false, ..CUSTODIAN };
        for (appointed, hint) in [(None, "two thirds of the council"), (Some(&later), "block 70")] {
            let failure = nobody(HospitalId(3), appointed);
            assert!(failure.error.contains("hospital 3 was removed"), "{failure}");
            assert!(failure.help.contains(hint), "{failure}");
            assert!(failure.help.contains("--own-key"), "{failure}");
        }
    }
}
