//! Changes of quotas: which numbers of `quotas.set_limits` are different.

use std::str::FromStr;

use epione_primitives::quota::Limits;
use serde_json::Value;

use crate::{failure::Failure, similar::did_you_mean};

/// One number, as `records.account.bytes=4294967296`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaChange {
    /// Lane, holder and resource, separated by dots.
    name: String,
    /// Bytes, or picoseconds of computation.
    value: u64,
}

impl FromStr for QuotaChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once('=').ok_or("write it as records.account.bytes=4294967296")?;
        let value = value.parse().map_err(|_| format!("{value:?} is not a whole number"))?;
        Ok(Self { name: name.into(), value })
    }
}

/// The quotas with these numbers in place of the present ones.
pub(super) fn changed(present: &Limits, changes: &[QuotaChange]) -> Result<Limits, Failure> {
    let mut all = value(present);
    for QuotaChange { name, value: new } in changes {
        let place = all.pointer_mut(&format!("/{}", name.replace('.', "/")));
        match place {
            Some(place) if place.is_u64() => *place = (*new).into(),
            _ => {
                let names: Vec<String> =
                    numbers(&value(present)).into_iter().map(|(name, _)| name).collect();
                let meant = did_you_mean(name, names.iter().map(String::as_str));
                return Err(Failure::usage(
                    format!("there is no quota {name}{meant}"),
                    format!("choose one of {}", names.join(", ")),
                ));
            }
        }
    }
    serde_json::from_value(all).map_err(|error| {
        Failure::new(format!("the quotas cannot be read: {error}"), "this is a bug: report it")
    })
}

/// What is different, one line for each number.
pub(super) fn changes(present: &Limits, next: &Limits) -> Vec<String> {
    let (before, after) = (numbers(&value(present)), numbers(&value(next)));
    let both = before.into_iter().zip(after);
    let different = both.filter(|((_, before), (_, after))| before != after);
    different.map(|((name, before), (_, after))| format!("{name}: {before} -> {after}")).collect()
}

fn value(limits: &Limits) -> Value {
    serde_json::to_value(limits).unwrap_or(Value::Null)
}

/// Each number with its name.
fn numbers(value: &Value) -> Vec<(String, u64)> {
    let Value::Object(members) = value else { return Vec::new() };
    let mut found = Vec::new();
    for (name, value) in members {
        match value.as_u64() {
            Some(number) => found.push((name.clone(), number)),
            None => {
                let within = numbers(value).into_iter();
                found.extend(within.map(|(rest, number)| (format!("{name}.{rest}"), number)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_changed_and_the_others_stay() {
        let change: QuotaChange = "records.account.bytes=4294967296".parse().unwrap();
        let changed = changed(&Limits::USUAL, &[change]).unwrap();
        assert_eq!(changed.records.account.bytes, 4_294_967_296);
        assert_eq!(
            changes(&Limits::USUAL, &changed),
            ["records.account.bytes: 536870912 -> 4294967296"]
        );
        assert_eq!(numbers(&value(&changed)).len(), 28);
        assert!(changes(&changed, &changed).is_empty());
    }

    #[test]
    fn a_number_that_does_not_exist_is_refused() {
        for wrong in ["records.account", "records", "record.account.bytes", "records.account.gas"] {
            let change = format!("{wrong}=1").parse().unwrap();
            let refused = changed(&Limits::USUAL, &[change]).unwrap_err();
            assert!(refused.help.contains("records.account.bytes"), "{refused}");
        }
        for wrong in ["records.account.bytes", "records.account.bytes=-1", "a=b", "a=1.5"] {
            assert!(wrong.parse::<QuotaChange>().is_err(), "{wrong}");
        }
    }
}
