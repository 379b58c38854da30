//! Finds a hospital whose worker answers now.

use std::{fmt, time::Duration};

use epione_client::{signer::Account, worker::WorkerClient};
use epione_primitives::HospitalId;

use crate::{context::Context, failure::Failure};

/// How long a worker may take to answer during a search for any worker.
const PATIENCE: Duration = Duration::from_secs(5);
/// Faults that the error of a fruitless search names.
const MAX_FAULTS: usize = 3;

/// Why no worker of several hospitals answers.
#[derive(Debug)]
pub(super) struct Faults(Vec<(HospitalId, String)>);

/// In English: "no hospital's worker answers (hospital 2: connection refused)".
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.0.iter().take(MAX_FAULTS);
        let faults: Vec<_> =
            faults.map(|(hospital, fault)| format!("hospital {hospital}: {fault}")).collect();
        write!(f, "no hospital's worker answers ({})", faults.join("; "))
    }
}

/// The worker of this hospital, if it answers now.
pub(super) async fn answering(
    hospital: HospitalId,
    account: Account,
    context: &Context,
) -> Result<WorkerClient, Failure> {
    let worker = context.worker(hospital, account).await?;
    let unusable = |why: String| Failure::new(why, "choose another hospital");
    match tokio::time::timeout(PATIENCE, worker.info()).await {
        Ok(Ok(info)) if info.hospital == hospital => Ok(worker),
        Ok(Ok(info)) => {
            Err(unusable(format!("its worker says that it is hospital {}'s", info.hospital)))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(unusable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// What the first of these hospitals gives. One that gives nothing does not end the search, whatever the reason: an
/// address that cannot be used, another key, or silence.
pub(super) async fn first_answering<T>(
    hospitals: impl IntoIterator<Item = HospitalId>,
    attempt: impl AsyncFn(HospitalId) -> Result<T, Failure>,
) -> Result<T, Faults> {
    let mut faults = Vec::new();
    for hospital in hospitals {
        match attempt(hospital).await {
            Ok(found) => return Ok(found),
            Err(fault) => faults.push((hospital, fault.error)),
        }
    }
    Err(Faults(faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSPITALS: [HospitalId; 4] = [HospitalId(3), HospitalId(0), HospitalId(1), HospitalId(2)];

    #[tokio::test]
    async fn one_hospitals_unusable_worker_does_not_end_the_search_for_another() {
        let found = first_answering(HOSPITALS, async |hospital| match hospital.0 {
            1 => Ok("worker 1"),
            3 => Err(Failure::usage("its address is plain http", "correct it")),
            _ => Err(Failure::new("no answer", "wait")),
        });
        assert_eq!(found.await.unwrap(), "worker 1");
    }

    #[tokio::test]
    async fn if_no_worker_answers_the_error_says_why_for_the_first_ones() {
        let attempt = async |_: HospitalId| Err::<(), _>(Failure::new("refused", "wait"));
        let faults = first_answering(HOSPITALS, attempt).await.unwrap_err().to_string();
        assert!(faults.contains("hospital 3: refused; hospital 0: refused"), "{faults}");
        assert!(!faults.contains("hospital 2"), "{faults}");
    }
}
