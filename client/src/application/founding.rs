//! A new chain from the applications of its founders. The same applications give the same specification, in whatever
//! order they are given, so that each founder can make it and compare.

use std::collections::BTreeMap;

use epione_primitives::{HospitalId, limits::MAX_HOSPITALS, text::quoted};
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

use super::Application;

/// Attributes that a new chain can begin with.
pub const MAX_ATTRIBUTES: usize = 64;
/// The SDK's number of this chain's kind of addresses.
const SS58_FORMAT: u16 = 42;

/// Why applications do not found a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoundingError {
    #[error("no application is given")]
    Nobody,
    #[error("{0} applications are given, and a chain has at most {MAX_HOSPITALS} hospitals")]
    TooMany(usize),
    #[error(
        "{} and {} have the same {what}: each hospital needs its own",
        quoted(.name.as_bytes()),
        quoted(.other.as_bytes())
    )]
    Duplicate { what: &'static str, name: String, other: String },
    #[error(
        "the application of {} consents to join another chain that exists already: use the one of `epione hospital \
         init`",
        quoted(.0.as_bytes())
    )]
    Joins(String),
}

/// Checks that these hospitals can found a chain together. Returns them in the order of their numbers, which follows
/// from their governance accounts.
pub fn founders(mut applications: Vec<Application>) -> Result<Vec<Application>, FoundingError> {
    if applications.is_empty() {
        return Err(FoundingError::Nobody);
    }
    if applications.len() > MAX_HOSPITALS as usize {
        return Err(FoundingError::TooMany(applications.len()));
    }
    applications.sort_by(|one, other| one.statement.governance.cmp(&other.statement.governance));
    let mut seen = Seen::default();
    for application in &applications {
        let statement = &application.statement;
        let name = &statement.name;
        if statement.consents.is_some() {
            return Err(FoundingError::Joins(name.clone()));
        }
        for (_, key) in statement.keys() {
            seen.note("key", key.to_vec(), name)?;
        }
        seen.note("sealing key", statement.sealing_key.clone(), name)?;
        seen.note("name", as_read(name).into_bytes(), name)?;
        seen.note("worker's address", statement.worker_url.clone().into_bytes(), name)?;
        seen.note("node's address", statement.node_address.to_lowercase().into_bytes(), name)?;
    }
    Ok(applications)
}

/// A name as people read it: without what they do not see, such as case, the number of spaces, and the way in which
/// letters are composed. Letters of other scripts that look alike stay different.
fn as_read(name: &str) -> String {
    let composed: String = name.nfkc().filter(|c| !is_unseen(*c)).collect();
    let words: Vec<_> = composed.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// Joiners, fillers and selectors of variants, which names may contain and nobody sees.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200c}'..='\u{200d}' | '\u{2800}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// What was seen of the founders before, with the name of the first one that has it.
#[derive(Default)]
struct Seen(BTreeMap<(&'static str, Vec<u8>), String>);

impl Seen {
    fn note(
        &mut self,
        what: &'static str,
        value: Vec<u8>,
        name: &str,
    ) -> Result<(), FoundingError> {
        match self.0.insert((what, value), name.to_owned()) {
            Some(other) => Err(FoundingError::Duplicate { what, name: name.to_owned(), other }),
            None => Ok(()),
        }
    }
}

/// What a chain is called, and what it begins with in addition to its hospitals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chainspec {
    pub name: String,
    pub id: String,
    /// Attributes that hospitals can confirm of users. Their numbers follow from this order.
    pub attributes: Vec<String>,
}

impl Chainspec {
    /// The specification of a live chain, without runtime: the node that reads it adds its own. Every delay is the
    /// chain's own one, because none is set.
    pub fn of(&self, founders: &[Application]) -> Value {
        let hospitals: Vec<_> = founders.iter().map(Application::founder).collect();
        let keys: Vec<_> = (0..).map(HospitalId).zip(founders).map(session_keys).collect();
        let nodes: Vec<_> = founders.iter().map(Application::peer).collect();
        json!({
            "name": self.name,
            "id": self.id,
            "chainType": "Live",
            "bootNodes": nodes,
            "telemetryEndpoints": null,
            "protocolId": self.id,
            "properties": { "ss58Format": SS58_FORMAT },
            "codeSubstitutes": {},
            "genesis": { "runtimeGenesis": { "patch": {
                "hospitals": { "founders": hospitals },
                "session": { "keys": keys },
                "credentials": { "attributes": self.attributes },
            } } },
        })
    }
}

/// An entry of the genesis of pallet-session: who set the keys, for which hospital.
fn session_keys((hospital, founder): (HospitalId, &Application)) -> Value {
    let statement = &founder.statement;
    // An account is its public key, so that both have the same text.
    let text = |key: [u8; 32]| json!(epione_primitives::AccountId::new(key));
    let keys = &statement.session;
    json!([
        statement.governance,
        hospital,
        { "aura": text(keys.aura.0), "grandpa": text(keys.grandpa.0) },
    ])
}
