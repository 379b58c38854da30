//! The file from which nodes read a chain's first block, with its whole state: a raw chain specification.

use std::{fs, mem, path::Path};

use anyhow::{Context, anyhow, ensure};
use epione_devnet::write_atomically;
use serde_json::Value;

use super::history::{CODE, State};

/// The JSON pointer to the state.
const STATE: &str = "/genesis/raw/top";

/// Replaces the state in a chain specification by what `change` makes of it. Returns the new state's size.
pub fn change(
    path: &Path,
    change: impl FnOnce(State) -> anyhow::Result<State>,
) -> anyhow::Result<Size> {
    let unusable = || format!("{} is not a raw chain specification", path.display());
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut specification: Value = serde_json::from_slice(&text).with_context(unusable)?;
    let top = specification
        .pointer_mut(STATE)
        .and_then(Value::as_object_mut)
        .ok_or_else(|| anyhow!("it has no {STATE}"))
        .with_context(unusable)?;
    let entries = mem::take(top).into_iter();
    let entries = entries.map(|(key, value)| {
        let value = value.as_str().context("a value of the state is not a text")?;
        anyhow::Ok((bytes(&key)?, bytes(value)?))
    });
    let state: State = entries.collect::<Result<_, _>>().with_context(unusable)?;
    ensure!(state.contains_key(CODE), "{}: its state has no runtime", unusable());
    let state = change(state)?;
    *top = state.iter().map(|(key, value)| (text_of(key), Value::String(text_of(value)))).collect();
    write_atomically(path, specification.to_string().as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Size::of(&state))
}

/// The size of a state without the runtime's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub entries: usize,
    /// Of keys and values.
    pub bytes: usize,
}

impl Size {
    fn of(state: &State) -> Self {
        let data = || state.iter().filter(|(key, _)| *key != CODE);
        let bytes = data().map(|(key, value)| key.len() + value.len()).sum();
        Self { entries: data().count(), bytes }
    }
}

fn bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits = text.strip_prefix("0x").context("a key or a value does not begin with 0x")?;
    hex::decode(digits).context("a key or a value is not hexadecimal")
}

fn text_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The file with this state, after `change`; or why it was refused.
    fn changed(
        top: Value,
        by: impl FnOnce(State) -> anyhow::Result<State>,
    ) -> Result<(Size, Value), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.json");
        let specification = json!({ "name": "x", "genesis": { "raw": { "top": top } } });
        fs::write(&path, specification.to_string()).unwrap();
        let size = change(&path, by).map_err(|error| format!("{error:#}"))?;
        Ok((size, serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()))
    }

    /// The key of the code in hexadecimal, as in a specification.
    const CODE_KEY: &str = "0x3a636f6465";

    #[test]
    fn only_the_state_changes() {
        let (size, specification) =
            changed(json!({ CODE_KEY: "0x0001", "0x02": "0x" }), |mut state| {
                assert_eq!(state.get(CODE), Some(&vec![0, 1]));
                assert_eq!(state.get(&[2_u8][..]), Some(&Vec::new()));
                state.insert(vec![3], vec![255, 16]);
                Ok(state)
            })
            .unwrap();
        assert_eq!(size, Size { entries: 2, bytes: 4 });
        let top = json!({ CODE_KEY: "0x0001", "0x02": "0x", "0x03": "0xff10" });
        assert_eq!(specification, json!({ "name": "x", "genesis": { "raw": { "top": top } } }));
    }

    #[test]
    fn a_file_of_another_form_is_refused() {
        let states = [
            json!([]),
            json!({}),
            json!({ CODE_KEY: 1 }),
            json!({ CODE_KEY: "0001" }),
            json!({ CODE_KEY: "0x0g" }),
            json!({ "code": "0x00" }),
        ];
        for state in states {
            let refused = changed(state.clone(), Ok).unwrap_err();
            assert!(refused.contains("not a raw chain specification"), "{state}: {refused}");
        }
    }
}
