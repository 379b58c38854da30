//! The chain of a network: the node's preset `local`, with as many founders as the network has hospitals and with the
//! workers' real addresses.

use std::{ffi::OsStr, path::Path, process::Stdio};

use epione_envelope::development;
use epione_primitives::{HospitalId, hospital};
use serde_json::{Value, json};
use sp_core::{Pair, crypto::Ss58Codec, ed25519, sr25519};
use tokio::process::Command;

use crate::{DevnetError, MAX_HOSPITALS};

/// Seeds of the founders' development keys, in order. The preset has the first four founders.
pub const SEEDS: [&str; MAX_HOSPITALS as usize] = [
    "Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie", "One", "Two", "Three", "Four", "Five",
    "Six", "Seven", "Eight", "Nine", "Ten",
];

/// A founder of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founder {
    pub name: String,
    pub seed: &'static str,
}

impl Founder {
    /// Key URI of the governance account.
    pub fn governance(&self) -> String {
        format!("//{}", self.seed)
    }

    /// Key URI of the worker's account.
    pub fn agent(&self) -> String {
        format!("//{}//agent", self.seed)
    }
}

/// The preset of four founders, as the node writes it.
pub async fn preset(node: &Path) -> Result<Value, DevnetError> {
    let written = export(node, &[OsStr::new("local")]).await?;
    serde_json::from_slice(&written)
        .map_err(|error| DevnetError::ChainSpec(format!("it is not JSON: {error}")))
}

/// Rewrites a specification to contain the whole state of the first block. A node that has to build that state
/// compiles the runtime once more for it, at each of its starts.
pub async fn with_state(node: &Path, spec: &Path, to: &Path) -> Result<(), DevnetError> {
    let (spec, to) = (spec.as_os_str(), to.as_os_str());
    export(node, &[spec, OsStr::new("--raw"), OsStr::new("--output"), to]).await.map(drop)
}

async fn export(node: &Path, chain: &[&OsStr]) -> Result<Vec<u8>, DevnetError> {
    let output = Command::new(node)
        .args(["export-chain-spec", "--chain"])
        .args(chain)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| DevnetError::Start { program: node.to_path_buf(), source })?;
    if !output.status.success() {
        return Err(DevnetError::NodeCommand {
            command: "export-chain-spec",
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(output.stdout)
}

/// Gives the preset a founder for each URL, whose worker has that URL, and redirects readers to the origin `storage` if
/// there is one. The first `validators` founders have session keys.
pub fn settle(
    spec: &mut Value,
    worker_urls: &[String],
    validators: usize,
    storage: Option<&str>,
) -> Result<Vec<Founder>, DevnetError> {
    let wanted = worker_urls.len();
    let founders = entry(spec, "hospitals", "founders")?;
    let mut listed: Vec<hospital::Founder> =
        serde_json::from_value(founders.take()).map_err(|error| {
            DevnetError::ChainSpec(format!("hospitals.founders cannot be read: {error}"))
        })?;
    listed.truncate(wanted);
    let further = listed.len()..wanted;
    for seed in &SEEDS[further] {
        listed.push(founder(seed)?);
    }
    for (founder, url) in listed.iter_mut().zip(worker_urls) {
        founder.worker_url = url.clone().into_bytes();
        founder.storage_origin = storage.map(Vec::from);
    }
    *founders = json!(listed);
    let keys = entry(spec, "session", "keys")?
        .as_array_mut()
        .ok_or_else(|| DevnetError::ChainSpec("session.keys is not a list".into()))?;
    keys.truncate(validators);
    let listed_keys = keys.len();
    for (index, seed) in SEEDS.iter().enumerate().take(validators).skip(listed_keys) {
        keys.push(session_keys(index, seed)?);
    }
    let settled = listed.into_iter().zip(SEEDS).map(|(founder, seed)| {
        let name = String::from_utf8_lossy(&founder.name).into_owned();
        Founder { name, seed }
    });
    Ok(settled.collect())
}

/// Removes all but the first founders, and their session keys.
pub fn keep_founders(spec: &mut Value, count: usize) -> Result<(), DevnetError> {
    for (pallet, field) in [("hospitals", "founders"), ("session", "keys")] {
        let not_a_list = || DevnetError::ChainSpec(format!("{pallet}.{field} is not a list"));
        entry(spec, pallet, field)?.as_array_mut().ok_or_else(not_a_list)?.truncate(count);
    }
    Ok(())
}

/// Entries of the preset that runtimes before do not know: pallet and field.
const NEW: [(&str, &str); 1] = [("hospitals", "replacementDelay")];

/// Lets the chain begin with another runtime. Returns the runtime that the preset has.
pub fn begin_with(spec: &mut Value, runtime: &[u8]) -> Result<Vec<u8>, DevnetError> {
    let unusable = || DevnetError::ChainSpec("it contains no runtime in hexadecimal".into());
    let code = spec.pointer_mut("/genesis/runtimeGenesis/code").ok_or_else(unusable)?;
    let before = code.as_str().and_then(|digits| hex::decode(digits.strip_prefix("0x")?).ok());
    let before = before.ok_or_else(unusable)?;
    *code = json!(format!("0x{}", hex::encode(runtime)));
    for (pallet, field) in NEW {
        if let Some(Value::Object(entries)) =
            spec.pointer_mut(&format!("/genesis/runtimeGenesis/patch/{pallet}"))
        {
            entries.remove(field);
        }
    }
    Ok(before)
}

/// A founder of the same form as the preset's.
fn founder(seed: &str) -> Result<hospital::Founder, DevnetError> {
    let keys = development::keys(&format!("//{seed}")).map_err(underivable)?;
    let account = |uri: String| {
        sr25519::Pair::from_string(&uri, None)
            .map(|pair| pair.public().into())
            .map_err(|error| underivable(format!("{error:?}")))
    };
    Ok(hospital::Founder {
        name: seed.into(),
        governance: account(format!("//{seed}"))?,
        agent: account(format!("//{seed}//agent"))?,
        worker_url: Vec::new(),
        sealing_key: keys.sealing.public().as_bytes().to_vec(),
        tls_key: development::tls_key(&format!("//{seed}")).map_err(underivable)?.public(),
        storage_origin: None,
    })
}

/// An entry of `session.keys`: governance account, hospital, and the validator's keys.
fn session_keys(index: usize, seed: &str) -> Result<Value, DevnetError> {
    let uri = format!("//{seed}");
    let aura = sr25519::Pair::from_string(&uri, None)
        .map_err(|error| underivable(format!("{error:?}")))?
        .public()
        .to_ss58check();
    let grandpa = ed25519::Pair::from_string(&uri, None)
        .map_err(|error| underivable(format!("{error:?}")))?
        .public()
        .to_ss58check();
    // An account is its public key: both have the same text.
    Ok(json!([aura, HospitalId(index as u16), { "aura": aura, "grandpa": grandpa }]))
}

fn underivable(reason: impl std::fmt::Display) -> DevnetError {
    DevnetError::DevelopmentKey(reason.to_string())
}

fn entry<'a>(spec: &'a mut Value, pallet: &str, field: &str) -> Result<&'a mut Value, DevnetError> {
    spec.pointer_mut(&format!("/genesis/runtimeGenesis/patch/{pallet}/{field}"))
        .ok_or_else(|| DevnetError::ChainSpec(format!("it has no {pallet}.{field}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Value {
        let founders = [founder("Alice").unwrap(), founder("Bob").unwrap()];
        json!({ "genesis": { "runtimeGenesis": { "patch": {
            "hospitals": { "founders": founders },
            "session": { "keys": [["a", 0, {}], ["b", 1, {}]] },
        } } } })
    }

    #[test]
    fn the_first_founders_stay_with_their_keys_and_real_urls() {
        let mut spec = spec();
        let founders = settle(&mut spec, &["https://x".into()], 1, None).unwrap();
        assert_eq!(founders, [Founder { name: "Alice".into(), seed: "Alice" }]);
        let patch = &spec["genesis"]["runtimeGenesis"]["patch"];
        assert_eq!(patch["hospitals"]["founders"].as_array().unwrap().len(), 1);
        assert_eq!(patch["hospitals"]["founders"][0]["workerUrl"], json!("https://x"));
        assert_eq!(patch["session"]["keys"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn further_founders_are_made_like_the_presets() {
        let mut spec = spec();
        let founders =
            settle(&mut spec, &vec!["https://x".to_owned(); 5], 5, Some("http://127.0.0.1:9"))
                .unwrap();
        assert_eq!(founders[4].governance(), "//Eve");
        let patch = &spec["genesis"]["runtimeGenesis"]["patch"];
        let eve: hospital::Founder =
            serde_json::from_value(patch["hospitals"]["founders"][4].clone()).unwrap();
        assert_eq!(eve.worker_url, b"https://x");
        assert_eq!(eve.storage_origin.as_deref(), Some(&b"http://127.0.0.1:9"[..]));
        assert_eq!(eve.tls_key, development::tls_key("//Eve").unwrap().public());
        assert_eq!(patch["session"]["keys"][4][1], json!(4));
        assert_eq!(patch["session"]["keys"][4][0], json!(eve.governance));
    }

    #[test]
    fn founders_beyond_the_validators_have_no_session_keys() {
        let mut spec = spec();
        let founders = settle(&mut spec, &vec!["https://x".to_owned(); 16], 3, None).unwrap();
        assert_eq!(founders.len(), 16);
        let patch = &spec["genesis"]["runtimeGenesis"]["patch"];
        assert_eq!(patch["hospitals"]["founders"].as_array().unwrap().len(), 16);
        assert_eq!(patch["session"]["keys"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn hospitals_that_join_later_are_not_in_the_first_block() {
        let mut spec = spec();
        let all = settle(&mut spec, &vec!["https://x".to_owned(); 5], 5, None).unwrap();
        keep_founders(&mut spec, 4).unwrap();
        assert_eq!(all.len(), 5);
        let patch = &spec["genesis"]["runtimeGenesis"]["patch"];
        assert_eq!(patch["hospitals"]["founders"].as_array().unwrap().len(), 4);
        assert_eq!(patch["session"]["keys"].as_array().unwrap().len(), 4);
        assert!(keep_founders(&mut json!({}), 4).is_err());
    }

    #[test]
    fn a_chain_can_begin_with_the_runtime_before() {
        let mut spec = spec();
        assert!(begin_with(&mut spec, &[1]).is_err(), "there is no runtime to return");
        spec["genesis"]["runtimeGenesis"]["code"] = json!("0x0a0b");
        spec["genesis"]["runtimeGenesis"]["patch"]["hospitals"]["replacementDelay"] = json!(20);
        assert_eq!(begin_with(&mut spec, &[1, 2]).unwrap(), [10, 11]);
        let genesis = &spec["genesis"]["runtimeGenesis"];
        assert_eq!(genesis["code"], json!("0x0102"));
        let hospitals = genesis["patch"]["hospitals"].as_object().unwrap();
        assert_eq!(hospitals.keys().collect::<Vec<_>>(), ["founders"]);
    }

    #[test]
    fn a_preset_of_another_form_is_refused() {
        assert!(matches!(settle(&mut json!({}), &[], 0, None), Err(DevnetError::ChainSpec(_))));
    }
}
