//! A patient with sealed records, which the nodes can serve: the hospitals announce and approve them on the network, as
//! their workers would.

use anyhow::{Context, ensure};
use codec::Encode;
use epione_client::{
    Account,
    chain::{
        Chain, ChainEvent,
        calls::{
            approvals, lite_blocks,
            profiles::{self, Registrant},
        },
    },
    naming,
};
use epione_envelope::{
    account::Signer,
    body::{BodyBuilder, Packed},
    development,
    keys::PatientKeys,
    keystore::ActorKeys,
    profile::{ProfileBody, ProfileContext, Recipient},
    record::{Description, Draft, Record, SectionKind},
    record_sealer::RecordSealer,
};
use epione_primitives::{
    AnnouncementId, Hash, HospitalId, UserId, approval::approvals_needed, block::SignedAt,
    naming::Naming, profile::Role,
};
use futures::future::try_join_all;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

/// Development keys of the patient.
pub const PATIENT: &str = "//Patient";
/// Development keys of the author of all records.
const DOCTOR: &str = "//Doctor";
/// The hospital of both: the network's first one, which has the development keys `//Alice`.
const HOSPITAL: HospitalId = HospitalId(0);
const HOSPITAL_KEYS: &str = "//Alice";
/// The texts of each record.
const TEXTS: [(SectionKind, &str); 2] = [
    (SectionKind::Diagnosis, "Fracture of the left wrist, without displacement."),
    (SectionKind::Prescription, "Ibuprofen 400 mg, three times a day for a week. Rest, and ice."),
];
/// Sections of each record.
pub const SECTIONS: u64 = TEXTS.len() as u64;
/// Records of a lite block.
const PER_BLOCK: usize = 10;

/// The patient, the doctor, and the agents of all hospitals.
pub struct Treatment<'a> {
    chain: &'a Chain,
    agents: &'a [Account],
    pub patient: UserId,
    doctor: UserId,
    doctors_keys: ActorKeys,
    patient_keys: PatientKeys,
}

impl<'a> Treatment<'a> {
    /// Registers patient and doctor at the first hospital.
    pub async fn begin(chain: &'a Chain, agents: &'a [Account]) -> anyhow::Result<Self> {
        let treatment = Self {
            chain,
            agents,
            patient: user(PATIENT)?,
            doctor: user(DOCTOR)?,
            doctors_keys: development::keys(DOCTOR)?,
            patient_keys: PatientKeys::generate(),
        };
        treatment.register(Role::Patient, PATIENT, treatment.patient).await?;
        treatment.register(Role::Doctor, DOCTOR, treatment.doctor).await?;
        Ok(treatment)
    }

    /// Commits this number of records. Returns the number of lite blocks.
    pub async fn commit(&self, records: usize) -> anyhow::Result<u32> {
        let mut blocks = 0;
        let mut left = records;
        while left > 0 {
            let of_block = left.min(PER_BLOCK);
            self.commit_block(of_block).await?;
            left -= of_block;
            blocks += 1;
        }
        Ok(blocks)
    }

    fn agent(&self) -> anyhow::Result<&Account> {
        self.agents.first().context("the network has no hospital")
    }

    async fn register(&self, role: Role, uri: &str, user: UserId) -> anyhow::Result<()> {
        let (account, sealing) = (Account::development(uri)?, development::sealing_key(uri));
        let (agent, genesis) = (self.agent()?, self.chain.genesis_hash());
        let hospital_key = development::sealing_key(HOSPITAL_KEYS);
        let context = ProfileContext { genesis, hospital: HOSPITAL, user };
        let id = account.id();
        let recipient = Recipient { account: &id, key: sealing.public() };
        let (name, key) = (uri.trim_start_matches('/'), hospital_key.public());
        let body = match role {
            Role::Patient => {
                let keys = &self.patient_keys;
                ProfileBody::for_patient(&context, name, keys, recipient, key, agent)?
            }
            _ => ProfileBody::for_professional(&context, name, recipient, key, agent)?,
        };
        let naming = Naming::Registration { hospital: HOSPITAL, user, version: 0 };
        let registrant = Registrant {
            user,
            role,
            account: &id,
            sealing_key_hash: sealing.public().hash(),
            consent: &naming::sign(&account, genesis, naming),
        };
        let call = profiles::register(&registrant, &body.encode());
        self.chain
            .submit(&call, agent)
            .await
            .with_context(|| format!("{uri} was not registered"))?;
        Ok(())
    }

    async fn commit_block(&self, records: usize) -> anyhow::Result<()> {
        let signed_at = self.chain.finalized_head().await?.into();
        let mut builder = BodyBuilder::new(HOSPITAL);
        for _ in 0..records {
            builder.push(&self.record(signed_at)?)?;
        }
        let Packed { header, entries, body } = builder.finish()?;
        let subject = header.subject(&entries, BlakeTwo256::hash(&body));
        let announce = lite_blocks::announce(&header, &entries, &body);
        let included = self.chain.submit(&announce, self.agent()?).await?;
        let announced = included.events.iter().find_map(|event| match event {
            ChainEvent::Announced { id, .. } => Some(*id),
            _ => None,
        });
        let id = announced.context("the announcement has no event")?;
        self.approve(id, subject).await
    }

    /// Lets as many of the other hospitals approve as are needed.
    async fn approve(&self, id: AnnouncementId, subject: Hash) -> anyhow::Result<()> {
        let needed = approvals_needed(u32::try_from(self.agents.len())?);
        let call = approvals::approve(id, subject);
        let voters = self.agents.iter().skip(1).take(needed as usize);
        let votes = try_join_all(voters.map(|agent| self.chain.submit(&call, agent))).await?;
        let committed = votes
            .iter()
            .flat_map(|vote| &vote.events)
            .any(|event| matches!(event, ChainEvent::Committed { id: of, .. } if *of == id));
        ensure!(committed, "{needed} approvals did not commit the announcement {id:?}");
        Ok(())
    }

    fn record(&self, signed_at: SignedAt) -> anyhow::Result<Record> {
        let described = TEXTS
            .iter()
            .map(|(kind, text)| Description::of(*kind, "text/plain", "", text.as_bytes()));
        let described: Vec<Description> = described.collect::<Result<_, _>>()?;
        let genesis = self.chain.genesis_hash();
        let draft = Draft::new(self.patient, HOSPITAL, self.doctor, signed_at, described)?;
        let signed = draft.sign(genesis, &self.doctors_keys);
        let account = self.doctors_keys.account();
        let mut sealer = RecordSealer::new(genesis, signed, &account, &self.patient_keys)?;
        for (section, (_, text)) in (0..).zip(TEXTS) {
            sealer.seal_text(section, text.as_bytes())?;
        }
        Ok(sealer.finish()?)
    }
}

/// The user with the development keys of a URI.
fn user(uri: &str) -> anyhow::Result<UserId> {
    let account = Account::development(uri)?;
    Ok(UserId::of(&account.id(), development::sealing_key(uri).public().hash()))
}
