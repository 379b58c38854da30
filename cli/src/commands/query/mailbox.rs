//! The hospital whose worker keeps the sealed keys of an acceptance, if the patient names none.

use epione_client::{query::Considered, signer::Account};
use epione_primitives::HospitalId;

use crate::{
    commands::answering::{answering, first_answering},
    context::Context,
    failure::Failure,
    interrupt::this_command,
};

/// The hospitals that may be the mailbox.
#[derive(Debug, PartialEq, Eq)]
struct Candidates {
    /// Those that this program chooses without asking: the hospital of the record, and the other active ones at which
    /// the patient is or was registered. That of the requester is the last one: it is the one most likely to hand out
    /// the keys without a transfer.
    own: Vec<HospitalId>,
    /// The other active ones, which the patient can name: that of the requester first, because the requester reaches
    /// it.
    others: Vec<HospitalId>,
}

impl Candidates {
    fn of(
        usual: HospitalId,
        registered: &[HospitalId],
        active: &[HospitalId],
        requester: HospitalId,
    ) -> Self {
        let is_own = |id: &HospitalId| *id == usual || registered.contains(id);
        let (mut own, mut others): (Vec<_>, Vec<_>) = active.iter().copied().partition(is_own);
        // The sort keeps the order of the others.
        own.sort_by_key(|id| (*id != usual, *id == requester));
        others.sort_by_key(|id| *id != requester);
        Self { own, others }
    }
}

/// The hospital of the first record that the patient accepts, if its worker answers now; otherwise the first one of the
/// patient's other active hospitals whose worker answers. So nothing is signed of which the keys cannot be brought.
pub(super) async fn reachable(
    usual: HospitalId,
    considered: &Considered,
    account: &Account,
    context: &Context,
) -> Result<HospitalId, Failure> {
    if context.common().worker.is_some() {
        // The patient has named the worker, but not its hospital.
        return Ok(usual);
    }
    let state = context.chain().await?.finalized().await?;
    let registrations = state.registrations(considered.query.patient).await?;
    let registered: Vec<_> = registrations.iter().map(|(id, _)| *id).collect();
    let known = state.hospitals().await?;
    let serving = known.iter().filter(|(_, it)| it.status.serves());
    let serving: Vec<_> = serving.map(|(id, _)| *id).collect();
    let Candidates { own, others } =
        Candidates::of(usual, &registered, &serving, considered.query.hospital);
    let answers = async |hospital: HospitalId| {
        answering(hospital, account.clone(), context).await.map(|_| hospital)
    };
    match first_answering(own, answers).await {
        Ok(mailbox) => Ok(mailbox),
        Err(faults) => Err(none(&faults.to_string(), others.first().copied())),
    }
}

/// The failure if none of the patient's hospitals can be the mailbox now.
fn none(faults: &str, other: Option<HospitalId>) -> Failure {
    let error = format!("none of your hospitals can keep the sealed keys now: {faults}");
    match other {
        None => Failure::new(error, "nothing was signed, nothing was sent; try again later"),
        Some(other) => Failure::new(
            error,
            format!(
                "nothing was signed, nothing was sent; try again later, or let another hospital keep the sealed keys, \
                 which it cannot open, such as hospital {other}"
            ),
        )
        .with_command(this_command().with(["--mailbox"]).with([other.to_string()])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u16]) -> Vec<HospitalId> {
        numbers.iter().copied().map(HospitalId).collect()
    }

    #[test]
    fn the_records_hospital_comes_first_and_the_requesters_last() {
        let of = |usual, registered: &[u16], requester| {
            let (usual, requester) = (HospitalId(usual), HospitalId(requester));
            Candidates::of(usual, &ids(registered), &ids(&[0, 1, 2, 3, 4]), requester)
        };
        let expected = Candidates { own: ids(&[3, 2, 1]), others: ids(&[0, 4]) };
        assert_eq!(of(3, &[1, 2, 3], 1), expected);
        let expected = Candidates { own: ids(&[3, 1]), others: ids(&[4, 0, 2]) };
        assert_eq!(of(3, &[1], 4), expected);
        // That of the record is the one that the patient expects, even if it is the requester's.
        assert_eq!(of(3, &[1, 3], 3).own, ids(&[3, 1]));
    }

    #[test]
    fn only_active_hospitals_are_mailboxes() {
        let (active, registered) = (ids(&[1, 2]), ids(&[0, 1]));
        let found = Candidates::of(HospitalId(0), &registered, &active, HospitalId(2));
        assert_eq!(found, Candidates { own: ids(&[1]), others: ids(&[2]) });
    }

    #[test]
    fn a_failure_names_a_hospital_that_the_patient_can_choose() {
        let with = none("no hospital's worker answers (hospital 0: refused)", Some(HospitalId(1)));
        assert!(with.error.contains("hospital 0: refused"), "{with}");
        assert!(with.commands.iter().any(|it| it.ends_with("--mailbox 1")), "{with}");
        assert!(none("no answer", None).commands.is_empty());
    }
}
