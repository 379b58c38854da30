//! Access to sealed records: by a hospital's grant, or with the patient's own key.

use epione_client::{
    reader::{OpenRecord, ReadError, Reader, VerifiedRecord},
    signer::Account,
    worker::WorkerClient,
};
use epione_envelope::keystore::ActorKeys;
use epione_primitives::{HospitalId, UserId, release::SectionSet};

use super::{GetArgs, Receipt, receipts};
use crate::{
    commands::{
        answering::{answering, first_answering},
        custodian,
    },
    context::Context,
    failure::Failure,
    identity, progress,
};

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

    /// Opens these sections of records that one hospital wrote: at most as many records as one grant covers.
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

    /// Reads by a grant of the records' hospital, of its custodian if it was removed, or of the one that --from names.
    async fn granted_reader(&self, hospital: HospitalId) -> Result<Reader, Failure> {
        let hospital = match &self.args.from {
            Some(named) => self.context.hospital(named).await?,
            None => custodian::answering_for(hospital, self.context).await?,
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

    /// The first worker that answers: of the records' own hospital, then of the other active and leaving ones. A
    /// hospital that does not serve is asked last: its worker may be gone.
    async fn any_worker(&self, own: HospitalId) -> Result<WorkerClient, Failure> {
        let known = self.context.chain().await?.finalized().await?.hospitals().await?;
        let serving = known.iter().filter(|(_, it)| it.status.serves());
        let mut hospitals: Vec<_> = serving.map(|(id, _)| *id).collect();
        match hospitals.iter().position(|id| *id == own) {
            Some(at) => hospitals[..=at].rotate_right(1),
            None => hospitals.push(own),
        }
        let attempt =
            async |hospital: HospitalId| answering(hospital, self.account(), self.context).await;
        first_answering(hospitals, attempt)
            .await
            .map_err(|faults| Failure::new(faults.to_string(), OTHER_WORKER))
    }
}
