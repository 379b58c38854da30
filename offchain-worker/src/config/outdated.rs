//! Keys of earlier versions, whose durations were integers of milliseconds: `stall_timeout_ms = 20000` is now
//! `stall_timeout = "20s"`.

use std::time::Duration;

use toml::{Table, Value};

use super::{
    ConfigError, Limits, Pack, S3Settings, Scrub, StoreConfig, Transfer,
    documented::{Documented, Setting},
    duration,
};

/// The sections that had such keys.
const SECTIONS: [(&str, &[Setting]); 6] = [
    ("store", StoreConfig::SETTINGS),
    ("store.s3", S3Settings::SETTINGS),
    ("pack", Pack::SETTINGS),
    ("transfer", Transfer::SETTINGS),
    ("scrub", Scrub::SETTINGS),
    ("limits", Limits::SETTINGS),
];

/// Returns an error that names the new key if there is an old one.
pub(super) fn check(text: &str) -> Result<(), ConfigError> {
    let table: Table = toml::from_str(text)?;
    for (section, settings) in SECTIONS {
        let found = section.split('.').try_fold(&table, |table, key| table.get(key)?.as_table());
        let outdated = found.into_iter().flatten().find_map(|(key, value)| {
            let new = key.strip_suffix("_ms")?;
            settings.iter().any(|setting| setting.key == new).then_some((key, new, value))
        });
        if let Some((key, new, value)) = outdated {
            return Err(ConfigError::Outdated {
                old: format!("{section}.{key}"),
                new: format!("{section}.{new}"),
                line: format!("{new} = {:?}", written(value)),
            });
        }
    }
    Ok(())
}

/// The value in the new form; an example if the old one is not valid.
fn written(value: &Value) -> String {
    let millis = value.as_integer().and_then(|millis| u64::try_from(millis).ok());
    duration::text(Duration::from_millis(millis.unwrap_or(30_000)))
}
