//! The end of the run: the others suspend the hostile hospital, and the user's hospital ends the registration. Then
//! nothing of theirs gets in.

use std::time::Duration;

use anyhow::{Context, ensure};
use epione_client::{
    chain::{Chain, SubmitError},
    signer::Account,
    worker::WorkerClient,
};
use epione_devnet::HospitalState;
use epione_primitives::{RecordPointer, hospital::HospitalStatus, refusal::Refusal};

use super::calls;
use crate::{
    council,
    patience::patiently,
    people::{Practice, TREATMENT},
};

/// How long the pools may take to lose what the attackers sent.
const PATIENCE: Duration = Duration::from_secs(600);

/// Who is expelled, and by whom.
pub struct Expulsion<'a> {
    /// The hospitals that decide.
    pub honest: &'a [HospitalState],
    pub hospital: &'a HospitalState,
    /// A user of the first honest hospital.
    pub user: &'a Practice,
    /// A record that the user read before.
    pub read_before: RecordPointer,
}

impl Expulsion<'_> {
    /// Suspends the hospital by a motion, ends the user's registration, and checks that both are locked out.
    pub async fn run(&self) -> anyhow::Result<()> {
        self.suspend().await.context("the hostile hospital was not suspended")?;
        self.end_registration().await.context("the user's registration was not ended")?;
        self.nothing_gets_in().await
    }

    async fn suspend(&self) -> anyhow::Result<()> {
        council::pass(self.honest, &council::suspend(self.hospital.id)).await?;
        let first = self.honest.first().context("there is no honest hospital")?;
        let state = Chain::connect(&first.node_url).await?.finalized().await?;
        let entry = state.hospital(self.hospital.id).await?.context("the hospital is unknown")?;
        ensure!(entry.status == HospitalStatus::Suspended, "the motion had no effect");
        Ok(())
    }

    async fn end_registration(&self) -> anyhow::Result<()> {
        let home = self.honest.first().context("there is no honest hospital")?;
        let chain = Chain::connect(&home.node_url).await?;
        let governance = Account::development(&home.governance)?;
        let office = WorkerClient::for_hospital(&chain, home.id, governance).await?;
        patiently(PATIENCE, async || Ok(office.end_registration(self.user.doctor).await?)).await
    }

    /// No node accepts a transaction of theirs, and the user's hospital gives no grant.
    async fn nothing_gets_in(&self) -> anyhow::Result<()> {
        let expelled = Refusal::HospitalNotActive;
        let accounts = [
            ("governance account", Account::development(&self.hospital.governance)?, expelled),
            ("agent", Account::development(&self.hospital.agent)?, expelled),
            ("user", self.user.account.clone(), Refusal::NotInForce),
        ];
        for member in self.honest.iter().chain([self.hospital]) {
            let chain = Chain::connect(&member.node_url).await?;
            for (name, account, expected) in &accounts {
                let call = calls::failing(self.user.doctor, self.hospital.id);
                let outcome = chain.submit(&call, account).await;
                let refused =
                    matches!(outcome, Err(SubmitError::Refused(refusal)) if refusal == *expected);
                ensure!(
                    refused,
                    "the node of {} did not refuse the expelled {name}: {outcome:?}",
                    member.name
                );
            }
        }
        let reader = self.user.reader()?;
        let read = reader.open(self.user.patient, &[self.read_before], TREATMENT).await;
        ensure!(read.is_err(), "the user still reads after the end of the registration");
        Ok(())
    }
}
