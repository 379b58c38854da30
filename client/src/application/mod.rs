//! What a hospital hands to the others when it founds a chain with them, or joins one: who it is, where its node and its
//! worker are, and proofs that it has the keys that it names. One file, which needs no secrecy.
//!
//! An [`Application`] is checked when it is made and when it is read: code that has one relies on it.

mod address;
mod development;
mod founding;
mod session;
#[cfg(test)]
mod tests;

use codec::{DecodeAll, Encode};
use epione_envelope::{
    account::{self, AccountKey, Signer},
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Signature,
    hospital::{Duty, Founder},
    limits::{MAX_NAME_BYTES, MAX_URL_BYTES},
    naming::{NamedAccount, Naming, NamingConsent},
    text::controls,
};
use serde::{Deserialize, Serialize};
use url::Url;

pub use address::{NoNodeAddress, NodeAddress, peer_id};
pub use founding::{Chainspec, FoundingError, MAX_ATTRIBUTES, founders};
pub use session::{SessionKeys, SessionPair};

use self::development::PublicKnowledge;
use crate::{Account, Endpoint, naming};

const FORMAT: &str = "epione-application";
const VERSION: u8 = 1;
/// Bytes of a file, at most. A sealing key has 2.4 kB in hexadecimal.
pub const MAX_FILE_BYTES: u64 = 16 * 1024;
/// No other message that these keys sign begins like this.
const PREFIX: [u8; 20] = *b"epione/application/1";

/// What a hospital says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    pub name: String,
    pub governance: AccountId,
    pub agent: AccountId,
    pub worker_url: String,
    /// A suite byte and the key.
    #[serde(with = "sp_core::bytes")]
    pub sealing_key: Vec<u8>,
    /// Ed25519, of the worker.
    pub tls_key: Hash,
    /// Ed25519, of the node.
    pub node_key: Hash,
    /// A [`NodeAddress`].
    pub node_address: String,
    pub session: SessionKeys,
    /// That the governance account has the session keys, as `session.set_keys` requires.
    #[serde(with = "sp_core::bytes")]
    pub session_proof: Vec<u8>,
    /// Absent from a founder, whose chain does not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consents: Option<Consents>,
}

/// The consents of both accounts to belong to a hospital of an existing chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Consents {
    pub genesis: Hash,
    /// The number that the chain gives to the next hospital.
    pub hospital: HospitalId,
    /// The last chain block in which the consents are valid.
    pub until: BlockNumber,
    /// SCALE of the signature.
    #[serde(with = "sp_core::bytes")]
    pub governance: Vec<u8>,
    /// SCALE of the signature.
    #[serde(with = "sp_core::bytes")]
    pub agent: Vec<u8>,
}

impl Consents {
    /// Signs both consents.
    pub fn sign(
        genesis: Hash,
        hospital: HospitalId,
        until: BlockNumber,
        governance: &Account,
        agent: &Account,
    ) -> Self {
        let signed = |account: &Account, duty| {
            naming::sign(account, genesis, Naming::Hospital { hospital, duty, until }).encode()
        };
        let [governance, agent] =
            [signed(governance, Duty::Governance), signed(agent, Duty::Agent)];
        Self { genesis, hospital, until, governance, agent }
    }

    fn named(&self, duty: Duty, account: &AccountId) -> Result<NamedAccount, ApplicationError> {
        let Self { genesis, hospital, until, .. } = *self;
        let (bytes, of) = match duty {
            Duty::Governance => (&self.governance, "governance"),
            Duty::Agent => (&self.agent, "agent"),
        };
        let consent = Signature::decode_all(&mut bytes.as_slice());
        let consent = consent.map_err(|_| ApplicationError::Consent(of))?;
        let naming = Naming::Hospital { hospital, duty, until };
        if !NamingConsent::new(genesis, naming).is_signed_by(account, &consent) {
            return Err(ApplicationError::Consent(of));
        }
        Ok(NamedAccount { account: account.clone(), until, consent })
    }
}

/// The signatures over a [`Statement`], each as SCALE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Signatures {
    #[serde(with = "sp_core::bytes")]
    governance: Vec<u8>,
    #[serde(with = "sp_core::bytes")]
    agent: Vec<u8>,
    #[serde(with = "sp_core::bytes")]
    tls_key: Vec<u8>,
    #[serde(with = "sp_core::bytes")]
    node_key: Vec<u8>,
}

/// The keys that sign an application.
pub struct Signers<'a> {
    pub governance: &'a Account,
    pub agent: &'a Account,
    pub tls: &'a AccountKey,
    pub node: &'a AccountKey,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplicationFile {
    format: String,
    version: u8,
    statement: Statement,
    signatures: Signatures,
}

/// An application whose every signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    statement: Statement,
    signatures: Signatures,
    address: NodeAddress,
}

/// Why a file is not an application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationError {
    #[error("it has more than {MAX_FILE_BYTES} bytes")]
    TooLong,
    #[error("it is not an application: {0}")]
    Malformed(String),
    #[error(
        "it is an application of version {0}, and this program reads version {VERSION}: use the same release"
    )]
    Version(u8),
    #[error(
        "its name is empty, longer than {MAX_NAME_BYTES} bytes, or has spaces at its ends or characters that control \
         a terminal"
    )]
    Name,
    #[error("its worker's address cannot be used: {0}")]
    WorkerUrl(String),
    #[error("its sealing key cannot be used: {0}")]
    SealingKey(String),
    #[error("its node's address cannot be used: {0}")]
    NodeAddress(#[from] NoNodeAddress),
    #[error("{0} and {1} have the same key, and each must have its own")]
    SameKey(&'static str, &'static str),
    #[error(
        "{0} is a public development key, which everybody has: the hospital must make keys of its own (epione hospital \
         init)"
    )]
    PublicKey(&'static str),
    #[error("its session keys are not proven to belong to its governance account")]
    SessionProof,
    #[error("the signature of its {0} is wrong: the file was changed, or somebody else made it")]
    Signature(&'static str),
    #[error(
        "the consent of its {0} account is wrong: the file was changed, or somebody else made it"
    )]
    Consent(&'static str),
}

impl Application {
    /// Signs a statement. Fails if another hospital would refuse it.
    pub fn sign(statement: Statement, signers: &Signers<'_>) -> Result<Self, ApplicationError> {
        let message = message(&statement);
        let signatures = Signatures {
            governance: signers.governance.sign(&message).encode(),
            agent: signers.agent.sign(&message).encode(),
            tls_key: signers.tls.sign(&message).encode(),
            node_key: signers.node.sign(&message).encode(),
        };
        Self::checked(statement, signatures)
    }

    /// Reads and verifies a file.
    pub fn parse(json: &[u8]) -> Result<Self, ApplicationError> {
        if u64::try_from(json.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
            return Err(ApplicationError::TooLong);
        }
        let malformed = |error: serde_json::Error| ApplicationError::Malformed(error.to_string());
        let file: ApplicationFile = serde_json::from_slice(json).map_err(malformed)?;
        if file.format != FORMAT {
            return Err(ApplicationError::Malformed(format!("its format is not {FORMAT}")));
        }
        if file.version != VERSION {
            return Err(ApplicationError::Version(file.version));
        }
        Self::checked(file.statement, file.signatures)
    }

    fn checked(statement: Statement, signatures: Signatures) -> Result<Self, ApplicationError> {
        check_name(&statement.name)?;
        check_worker(&statement)?;
        SealingPublicKey::from_bytes(&statement.sealing_key)
            .map_err(|error| ApplicationError::SealingKey(error.to_string()))?;
        let address: NodeAddress = statement.node_address.parse()?;
        check_distinct(&statement)?;
        if !statement.session.are_proven_by(&statement.session_proof, &statement.governance) {
            return Err(ApplicationError::SessionProof);
        }
        check_signatures(&statement, &signatures)?;
        check_secrecy(&statement)?;
        let application = Self { statement, signatures, address };
        application.named_accounts()?;
        Ok(application)
    }

    /// The content of the file.
    pub fn to_json(&self) -> String {
        let file = ApplicationFile {
            format: FORMAT.into(),
            version: VERSION,
            statement: self.statement.clone(),
            signatures: self.signatures.clone(),
        };
        let json = serde_json::to_string_pretty(&file);
        json.expect("the keys of all maps are names of fields, so that it is JSON; qed") + "\n"
    }

    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Where other nodes reach the hospital's node, with the id of the only node that they accept there.
    pub fn peer(&self) -> String {
        self.address.with_peer(&self.statement.node_key.0)
    }

    pub fn node_address(&self) -> &NodeAddress {
        &self.address
    }

    /// What `hospitals.admit` needs of the accounts; none if the application is a founder's.
    pub fn admitted_accounts(&self) -> Option<(NamedAccount, NamedAccount)> {
        // Checked when the application was made.
        self.named_accounts().ok().flatten()
    }

    fn named_accounts(&self) -> Result<Option<(NamedAccount, NamedAccount)>, ApplicationError> {
        let Some(consents) = &self.statement.consents else { return Ok(None) };
        let governance = consents.named(Duty::Governance, &self.statement.governance)?;
        let agent = consents.named(Duty::Agent, &self.statement.agent)?;
        Ok(Some((governance, agent)))
    }

    /// The hospital in the genesis of a chain.
    pub fn founder(&self) -> Founder {
        let Statement { name, governance, agent, worker_url, sealing_key, tls_key, .. } =
            self.statement.clone();
        Founder {
            name: name.into_bytes(),
            governance,
            agent,
            worker_url: worker_url.into_bytes(),
            sealing_key,
            tls_key: tls_key.0,
            storage_origin: None,
        }
    }
}

impl Statement {
    /// Every key except the sealing key, with what it is for.
    fn keys(&self) -> [(&'static str, [u8; 32]); 6] {
        let account = |id: &AccountId| <[u8; 32]>::from(id.clone());
        [
            ("the governance account", account(&self.governance)),
            ("the agent account", account(&self.agent)),
            ("the worker's TLS key", self.tls_key.0),
            ("the node's key", self.node_key.0),
            ("the session key aura", self.session.aura.0),
            ("the session key grandpa", self.session.grandpa.0),
        ]
    }
}

fn message(statement: &Statement) -> Vec<u8> {
    (PREFIX, statement).encode()
}

fn check_name(name: &str) -> Result<(), ApplicationError> {
    let is_good = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES as usize
        && name.trim() == name
        && !name.contains(controls);
    if is_good { Ok(()) } else { Err(ApplicationError::Name) }
}

fn check_worker(statement: &Statement) -> Result<(), ApplicationError> {
    let (text, wrong) = (&statement.worker_url, ApplicationError::WorkerUrl);
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("everybody can read it: leave out name and password".into()));
    }
    let endpoint = Endpoint::new(url, statement.tls_key.0);
    let endpoint = endpoint.map_err(|error| wrong(error.to_string()))?;
    // Two ways to write one address would hide that two hospitals have the same.
    let usual = endpoint.url().as_str().trim_end_matches('/');
    if usual != text || text.len() > MAX_URL_BYTES as usize {
        return Err(wrong(format!("write it as {usual}, with at most {MAX_URL_BYTES} bytes")));
    }
    Ok(())
}

fn check_distinct(statement: &Statement) -> Result<(), ApplicationError> {
    let keys = statement.keys();
    for (index, (one, key)) in keys.iter().enumerate() {
        if let Some((other, _)) = keys[..index].iter().find(|(_, earlier)| earlier == key) {
            return Err(ApplicationError::SameKey(other, one));
        }
    }
    Ok(())
}

fn check_signatures(
    statement: &Statement,
    signatures: &Signatures,
) -> Result<(), ApplicationError> {
    let message = message(statement);
    let key = |key: &Hash| AccountId::new(key.0);
    let signed = [
        ("governance account", true, &signatures.governance, statement.governance.clone()),
        ("agent account", true, &signatures.agent, statement.agent.clone()),
        ("worker's TLS key", false, &signatures.tls_key, key(&statement.tls_key)),
        ("node's key", false, &signatures.node_key, key(&statement.node_key)),
    ];
    for (of, is_account, bytes, signer) in signed {
        let signature = Signature::decode_all(&mut bytes.as_slice());
        let is_valid = signature.is_ok_and(|it| {
            // TLS and nodes use Ed25519 only: another scheme would prove a key that neither can use.
            (is_account || matches!(it, Signature::Ed25519(_)))
                && account::verify(&it, &message, &signer)
        });
        if !is_valid {
            return Err(ApplicationError::Signature(of));
        }
    }
    Ok(())
}

/// Whoever joins with a key that everybody has lets everybody act as the hospital, at a founding and later.
fn check_secrecy(statement: &Statement) -> Result<(), ApplicationError> {
    let public = PublicKnowledge::get();
    if let Some((what, _)) = statement.keys().into_iter().find(|(_, key)| public.has(key)) {
        return Err(ApplicationError::PublicKey(what));
    }
    if public.has_sealing_key(&statement.sealing_key) {
        return Err(ApplicationError::PublicKey("the sealing key"));
    }
    Ok(())
}
