//! Access to sealed records: by a hospital's grant, or with the patient's own key.

use std::time::Duration;

use epione_client::{
    reader::{OpenRecord, ReadError, Reader, VerifiedRecord},
    signer::Account,
    worker::WorkerClient,
};
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{HospitalId, UserId, hospital::HospitalStatus, release::SectionSet};

use super::{GetArgs, Receipt, receipts};
use crate::{context::Context, failure::Failure, identity, progress};

/// How long a worker may take to answer during a search for any worker.
const PATIENCE: Duration = Duration::from_secs(5);
/// Faults that the error of a fruitless search names.
const MAX_FAULTS: usize = 3;
const OTHER_WORKER: &str =
    "try again later, or choose a worker with --from HOSPITAL or --worker URL";

/// The reader, and how the reader opens records.
pub(in crate::commands) struct Access<'a> {
    args: &'a GetArgs,
    context: &'a Context,
    keys: ActorKeys,
    user: UserId,
}

/// Records in the order in which they were requested, each with its own result, and the reader that fetches their
/// media.
type Opened = (Reader, Vec<Result<OpenRecord, ReadError>>);

impl<'a> Access<'a> {
    /// Opens the keys, and looks up their user.
    pub async fn of(args: &'a GetArgs, context: &'a Context) -> Result<Self, Failure> {
        let keys = context.keys(&args.signer)?;
        let user = context.user_of(&identity::account(&keys)).await?;
        if args.own_key && user != args.patient {
            return Err(Failure::usage(
                "--own-key opens only the records of the key's owner",
                "leave it out, to request access from the records' hospital",
            ));
        }
        Ok(Self { args, context, keys, user })
    }

    /// Opens these sections of records of one hospital: at most as many records as one grant covers.
    pub async fn open(
        &self,
        hospital: HospitalId,
        records: Vec<(VerifiedRecord, SectionSet)>,
    ) -> Result<Opened, Failure> {
        let patient = self.args.patient;
        if self.args.own_key {
            let reader = self.own_key_reader(hospital).await?;
            let spinner = progress::waiting(self.context, "opening with the patient's own key");
            let opened = reader.open_own_sections(patient, records).await;
            spinner.finish_and_clear();
            return Ok((reader, opened));
        }
        let reader = self.granted_reader(hospital).await?;
        let spinner = progress::waiting(self.context, "requesting access");
        let opened = reader.open_sections(patient, records, self.args.intent(self.user)).await;
        spinner.finish_and_clear();
        Ok((reader, opened?))
    }

    /// The receipts of the grants that this reader accepted. Opening with the patient's own key leaves none.
    pub async fn receipts(&self, reader: &Reader) -> Result<Vec<Receipt>, Failure> {
        receipts::of_grants(self.args.patient, reader.grants(), self.context).await
    }

    /// Reads by a grant of the records' hospital, or of the one that --from names.
    async fn granted_reader(&self, hospital: HospitalId) -> Result<Reader, Failure> {
        let hospital = match &self.args.from {
            Some(named) => self.context.hospital(named).await?,
            None => hospital,
        };
        let worker = self.context.worker(hospital, self.account()).await?;
        self.reader(worker).await
    }

    /// Reads with the patient's own key, from the worker of the hospital that --from names, or of any hospital.
    async fn own_key_reader(&self, hospital: HospitalId) -> Result<Reader, Failure> {
        let worker = match &self.args.from {
            Some(named) => {
                let hospital = self.context.hospital(named).await?;
                self.context.worker(hospital, self.account()).await?
            }
            None => self.any_worker(hospital).await?,
        };
        let earlier = self.args.earlier_keys.iter();
        let earlier = earlier.map(|source| Ok(self.context.keys(source)?.sealing));
        let earlier = earlier.collect::<Result<Vec<_>, Failure>>()?;
        Ok(self.reader(worker).await?.with_earlier_sealing_keys(earlier))
    }

    async fn reader(&self, worker: WorkerClient) -> Result<Reader, Failure> {
        let chain = self.context.chain().await?.clone();
        Ok(Reader::new(chain, worker, self.keys.sealing.clone()))
    }

    /// The reader's account.
    pub(super) fn account(&self) -> Account {
        identity::account(&self.keys)
    }

    /// The first worker that answers: of the records' own hospital, then of the other active ones.
    async fn any_worker(&self, own: HospitalId) -> Result<WorkerClient, Failure> {
        let known = self.context.chain().await?.finalized().await?.hospitals().await?;
        let active = known.iter().filter(|(_, it)| it.status == HospitalStatus::Active);
        let others = active.map(|(id, _)| *id).filter(|id| *id != own);
        let hospitals = std::iter::once(own).chain(others);
        first_answering(hospitals, async |hospital| self.answering(hospital).await).await
    }

    /// The worker of this hospital, if it answers now.
    async fn answering(&self, hospital: HospitalId) -> Result<WorkerClient, Failure> {
        let worker = self.context.worker(hospital, self.account()).await?;
        let unusable = |why: String| Failure::new(why, OTHER_WORKER);
        match tokio::time::timeout(PATIENCE, worker.info()).await {
            Ok(Ok(info)) if info.hospital == hospital => Ok(worker),
            Ok(Ok(info)) => {
                Err(unusable(format!("its worker says that it is hospital {}'s", info.hospital)))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(unusable(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

/// What the first of these hospitals gives. One that gives nothing does not end the search, whatever the reason: an
/// address that cannot be used, another key, or silence.
async fn first_answering<T>(
    hospitals: impl IntoIterator<Item = HospitalId>,
    attempt: impl AsyncFn(HospitalId) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut faults = Vec::new();
    for hospital in hospitals {
        match attempt(hospital).await {
            Ok(found) => return Ok(found),
            Err(fault) => faults.push(format!("hospital {hospital}: {}", fault.error)),
        }
    }
    faults.truncate(MAX_FAULTS);
    let error = format!("no hospital's worker answers ({})", faults.join("; "));
    Err(Failure::new(error, OTHER_WORKER))
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
        let failure = first_answering(HOSPITALS, attempt).await.unwrap_err();
        assert!(failure.error.contains("hospital 3: refused; hospital 0: refused"), "{failure}");
        assert!(!failure.error.contains("hospital 2"), "{failure}");
        assert!(failure.help.contains("try again later"), "{failure}");
    }
}
