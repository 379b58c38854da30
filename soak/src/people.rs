//! A patient and a doctor at each hospital, who submit visits and read them.

use std::time::Duration;

use anyhow::Context;
use epione_client::{
    api::{RegisterUser, Relation},
    chain::{Chain, Pinned, Trust},
    naming,
    reader::{Intent, Reader},
    signer::Account,
    worker::WorkerClient,
};
use epione_devnet::{HospitalState, State};
use epione_envelope::development;
use epione_primitives::{
    HospitalId, UserId,
    access::{Purpose, RelationshipKind},
    profile::Role,
};
use futures::future::try_join_all;

/// The purpose for which the doctors of these runs read.
pub const TREATMENT: Intent = Intent { purpose: Purpose::Treatment, emergency: None };

/// How long a node may be behind, after it was killed.
const CATCH_UP: Duration = Duration::from_secs(60);

/// A doctor and their patient.
#[derive(Clone)]
pub struct Practice {
    pub hospital: HospitalId,
    pub patient: UserId,
    pub doctor: UserId,
    pub account: Account,
    /// Development key of the doctor, as in `//Doctor-0`.
    pub uri: String,
    /// Development key of the patient.
    pub patient_uri: String,
    /// Through the hospital's own node.
    pub chain: Chain,
    /// Signs requests as the doctor.
    pub worker: WorkerClient,
}

impl Practice {
    /// Registers both at a hospital of a network, and relates them.
    pub async fn open(network: &State, hospital: &HospitalState) -> anyhow::Result<Self> {
        Self::open_named(network, hospital, "").await
    }

    /// As [`Self::open`], for people whose keys begin with a name, so that a hospital can have several practices.
    pub async fn open_named(
        network: &State,
        hospital: &HospitalState,
        name: &str,
    ) -> anyhow::Result<Self> {
        Self::open_as(network, hospital, name, false).await
    }

    /// As [`Self::open_named`], for people who perhaps believe their node.
    pub async fn open_as(
        network: &State,
        hospital: &HospitalState,
        name: &str,
        trusting: bool,
    ) -> anyhow::Result<Self> {
        let open = async {
            let chain = if trusting {
                // The node may be in another network namespace of this machine.
                Chain::connect_unprotected(&hospital.node_url).await?
            } else {
                verified(network, hospital).await?
            };
            let governance = Account::development(&hospital.governance)?;
            let office = WorkerClient::for_hospital(&chain, hospital.id, governance).await?;
            let doctor_uri = format!("//{name}Doctor-{}", hospital.id);
            let patient_uri = format!("//{name}Patient-{}", hospital.id);
            let (doctor, patient) = tokio::try_join!(
                join(&office, &chain, hospital.id, Role::Doctor, &doctor_uri),
                join(&office, &chain, hospital.id, Role::Patient, &patient_uri)
            )?;
            let kind = RelationshipKind::FamilyDoctor;
            let relation = Relation { patient, professional: doctor, kind, expires: None };
            office.relate(&relation).await?;
            let account = Account::development(&doctor_uri)?;
            let worker = WorkerClient::for_hospital(&chain, hospital.id, account.clone()).await?;
            let id = hospital.id;
            anyhow::Ok(Self {
                hospital: id,
                patient,
                doctor,
                account,
                uri: doctor_uri,
                patient_uri,
                chain,
                worker,
            })
        };
        open.await
            .with_context(|| format!("cannot register a doctor and a patient at {}", hospital.name))
    }

    /// Opens one at each of these hospitals.
    pub async fn open_all(
        network: &State,
        hospitals: &[HospitalState],
    ) -> anyhow::Result<Vec<Self>> {
        try_join_all(hospitals.iter().map(|hospital| Self::open(network, hospital))).await
    }

    /// The same people, who use the worker's address and TLS key that the chain names now.
    pub async fn renewed(&self) -> anyhow::Result<Self> {
        let (hospital, account) = (self.hospital, self.account.clone());
        let worker = WorkerClient::for_hospital(&self.chain, hospital, account).await?;
        Ok(Self { worker, ..self.clone() })
    }

    /// Reads as the doctor, with a grant of the hospital.
    pub fn reader(&self) -> anyhow::Result<Reader> {
        let sealing = development::keys(&self.uri)?.sealing;
        Ok(Reader::new(self.chain.clone(), self.worker.clone(), sealing))
    }
}

/// A connection to a hospital's node, of which only what is proven is believed.
pub async fn verified(network: &State, hospital: &HospitalState) -> anyhow::Result<Chain> {
    let genesis = network.genesis.context("no node of the network has answered")?;
    // The node may be in another network namespace of this machine.
    let chain = Chain::connect_unprotected(&hospital.node_url).await?;
    let pinned = Pinned::new(genesis).with_patience(CATCH_UP);
    Ok(chain.trusting(Trust::Verified(pinned)).await?)
}

/// Registers a user with development keys at a hospital, by its governance (`office`).
pub async fn join(
    office: &WorkerClient,
    chain: &Chain,
    hospital: HospitalId,
    role: Role,
    uri: &str,
) -> anyhow::Result<UserId> {
    let keys = development::keys(uri)?;
    let account = Account::from(&keys);
    let user = UserId::of(&account.id(), keys.sealing.public().hash());
    let user = RegisterUser {
        user,
        consent: naming::registration(&account, chain.genesis_hash(), hospital, user, 0),
        role,
        account: account.id(),
        sealing_key: hex::encode(keys.sealing.public().as_bytes()),
        name: format!("Synthetic {}", uri.trim_start_matches('/')),
    };
    Ok(office.register(&user).await?.user)
}
