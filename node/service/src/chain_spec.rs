//! Chain specifications: from a preset of the runtime, or from a file.

use std::{fs, path::Path};

use epione_primitives::{
    BlockNumber,
    limits::{
        CUSTODIAN_BLOCKS, DAY_BLOCKS, RECOVERY_BLOCKS, REPLACEMENT_BLOCKS, RETENTION_BLOCKS,
        UPGRADE_BLOCKS,
    },
};
use sc_chain_spec::{ChainType, GenericChainSpec, Properties};
use serde_json::{Value, json};
use sp_io::hashing::twox_128;

pub type ChainSpec = GenericChainSpec;

/// The JSON pointer to the object that contains the runtime in a plain chain specification.
const CODE: &str = "/genesis/runtimeGenesis";
/// The JSON pointer to the state of the first block in a raw chain specification.
const STATE: &str = "/genesis/raw/top";
/// The preset of a development chain: the SDK reads `--dev` as `--chain dev`.
const DEV: &str = "dev";

/// The runtime that the program contains, with its presets.
pub struct EmbeddedRuntime {
    /// The WebAssembly. None if the program was built with SKIP_WASM_BUILD.
    pub code: Option<&'static [u8]>,
    /// Lists the names of the presets.
    pub preset_names: fn() -> Vec<String>,
    /// Returns the genesis of the preset with this name as JSON, if there is one.
    pub preset: fn(&String) -> Option<Vec<u8>>,
}

/// The specification for the value of `--chain`: `dev`, `local`, or a path to a file.
///
/// If a plain file contains no runtime, it gets this node's runtime.
pub fn load(runtime: &EmbeddedRuntime, id: &str) -> Result<ChainSpec, String> {
    match id {
        "" => {
            Err("no chain is given: add --chain local, --chain <path to a specification>, or --dev"
                .into())
        }
        id if (runtime.preset_names)().iter().any(|name| name == id) => {
            preset(runtime, id, code(runtime)?)
        }
        path => from_file(runtime, Path::new(path)),
    }
}

/// A preset's specification, pretty-printed, without its runtime: the content of chain-specs/. The runtime has a
/// megabyte and changes with every build, so it cannot be compared.
pub fn without_code(runtime: &EmbeddedRuntime, id: &str) -> Result<String, String> {
    let mut spec: Value = serde_json::from_str(&preset(runtime, id, &[])?.as_json(false)?)
        .map_err(|error| error.to_string())?;
    if let Some(Value::Object(genesis)) = spec.pointer_mut(CODE) {
        genesis.remove("code");
    }
    serde_json::to_string_pretty(&spec).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn preset(runtime: &EmbeddedRuntime, id: &str, code: &[u8]) -> Result<ChainSpec, String> {
    let (name, kind) = match id {
        DEV => ("Epione development", ChainType::Development),
        _ => ("Epione local", ChainType::Local),
    };
    let patch =
        (runtime.preset)(&id.into()).ok_or_else(|| format!("the runtime has no preset {id}"))?;
    let patch = serde_json::from_slice(&patch).map_err(|error| error.to_string())?;
    let mut properties = Properties::new();
    properties.insert("ss58Format".into(), 42.into());
    Ok(ChainSpec::builder(code, None)
        .with_name(name)
        .with_id(&format!("epione_{id}"))
        .with_protocol_id("epione")
        .with_chain_type(kind)
        .with_properties(properties)
        .with_genesis_config_patch(patch)
        .build())
}

fn from_file(runtime: &EmbeddedRuntime, path: &Path) -> Result<ChainSpec, String> {
    let text = fs::read_to_string(path).map_err(|error| {
        format!("cannot read the chain specification {}: {error}", path.display())
    })?;
    let wrong = |error: String| format!("{} is not a chain specification: {error}", path.display());
    let mut spec: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    check_delays(&spec).map_err(|error| format!("{}: {error}", path.display()))?;
    match spec.pointer_mut(CODE) {
        Some(Value::Object(genesis)) if !genesis.contains_key("code") => {
            genesis.insert("code".into(), json!(format!("0x{}", hex::encode(code(runtime)?))));
            ChainSpec::from_json_bytes(spec.to_string().into_bytes()).map_err(wrong)
        }
        _ => ChainSpec::from_json_bytes(text.into_bytes()).map_err(wrong),
    }
}

/// A delay of the chain that its genesis can set, and that the presets shorten.
struct Delay {
    /// Pallet and item, in the JSON of a genesis.
    name: (&'static str, &'static str),
    /// Pallet and item, in the state.
    stored: (&'static str, &'static str),
    /// What happens after the delay.
    of: &'static str,
    /// The least number of blocks that a live chain accepts. It is the delay of a chain that sets none.
    least: BlockNumber,
    /// The first number of blocks that is too large.
    end: BlockNumber,
}

const DELAYS: [Delay; 4] = [
    Delay {
        name: ("councilRoot", "upgradeDelay"),
        stored: ("CouncilRoot", "UpgradeDelay"),
        of: "upgrades",
        least: DAY_BLOCKS,
        // An authorization is valid for this long: an upgrade would never take effect.
        end: UPGRADE_BLOCKS,
    },
    Delay {
        name: ("profiles", "recoveryDelay"),
        stored: ("Profiles", "RecoveryDelay"),
        of: "new keys of users",
        least: RECOVERY_BLOCKS,
        end: RETENTION_BLOCKS,
    },
    Delay {
        name: ("custody", "delay"),
        stored: ("Custody", "Delay"),
        of: "claims of custodians",
        least: CUSTODIAN_BLOCKS,
        end: RETENTION_BLOCKS,
    },
    Delay {
        name: ("hospitals", "replacementDelay"),
        stored: ("Hospitals", "ReplacementDelay"),
        of: "replacements of governance accounts",
        least: REPLACEMENT_BLOCKS,
        end: RETENTION_BLOCKS,
    },
];

/// Refuses a live chain on which a delay is as short as in the presets, or too long.
fn check_delays(spec: &Value) -> Result<(), String> {
    let kind = spec.get("chainType").and_then(Value::as_str);
    // The SDK takes a specification without a type as live.
    let is_live = kind.is_none_or(|kind| kind == "Live");
    if is_live { DELAYS.iter().try_for_each(|delay| delay.check(spec)) } else { Ok(()) }
}

impl Delay {
    fn check(&self, spec: &Value) -> Result<(), String> {
        let Self { name: (pallet, item), of, least, end, .. } = self;
        let accepted = u64::from(*least)..u64::from(*end);
        match self.set_by(spec) {
            Some(delay) if !accepted.contains(&delay) => Err(format!(
                "{pallet}.{item} is {delay} blocks, but this is a live chain: remove it for a delay of {of} of {least} \
                 blocks, or set it to at least {least} and less than {end} blocks"
            )),
            _ => Ok(()),
        }
    }

    /// The delay in blocks, if the specification sets one.
    fn set_by(&self, spec: &Value) -> Option<u64> {
        let (pallet, item) = self.name;
        ["patch", "config"]
            .into_iter()
            .find_map(|form| spec.pointer(&format!("{CODE}/{form}/{pallet}/{item}")))
            .and_then(Value::as_u64)
            .or_else(|| self.set_by_state(spec.pointer(STATE)?))
    }

    /// The delay in this state, whose keys and values are hexadecimal.
    fn set_by_state(&self, state: &Value) -> Option<u64> {
        let (pallet, item) = self.stored;
        let key = [twox_128(pallet.as_bytes()), twox_128(item.as_bytes())].concat();
        let value = state.get(format!("0x{}", hex::encode(key)))?.as_str()?;
        let bytes = hex::decode(value.strip_prefix("0x")?).ok()?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?).into())
    }
}

fn code(runtime: &EmbeddedRuntime) -> Result<&'static [u8], String> {
    runtime.code.ok_or_else(|| {
        "this node was built without its runtime, because SKIP_WASM_BUILD was set: unset it and build the node again"
            .into()
    })
}
