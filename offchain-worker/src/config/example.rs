//! The example configuration, generated from the types of the configuration: their keys, comments and defaults.

use std::fmt::Write;

use toml::{Table, Value};

use super::{
    CheckpointConfig, Config, Discovery, Keystore, Limits, Notifications, Pack, S3Settings, Scrub,
    StoreConfig, Tls, Transfer, documented::Documented,
};

const INTRODUCTION: &str = "\
# Configuration of an Epione off-chain worker. `epione-worker example-config` prints this file.
# A key in a comment shows its default, or an example if it has none.
";

/// Values for all keys that have no default.
const SAMPLE: &str = r#"
public_url = "https://worker.hospital.example"
data_dir = "/var/lib/epione"
genesis = "0x5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
tls = { certificate = "/etc/epione/tls.pem", key = "/etc/epione/tls.key" }
[checkpoint]
file = "/etc/epione/checkpoint.json"
sha256 = "0x5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
[keystore]
path = "/etc/epione/agent.json"
password_file = "/etc/epione/agent.password"
development = "//Alice"
[[earlier_keystores]]
path = "/etc/epione/agent-2026.json"
password_file = "/etc/epione/agent-2026.password"
[store]
path = "/srv/epione/store"
[store.s3]
endpoint = "https://s3.hospital.example"
bucket = "epione"
credentials_file = "/etc/epione/s3.toml"
root_certificate = "/etc/epione/s3-ca.pem"
public_endpoint = "https://images.hospital.example"
[notifications]
webhook = "https://portal.hospital.example/epione"
"#;

/// The keys that every configuration must have. They are not commented out.
const REQUIRED: [&str; 4] = ["public_url", "data_dir", "keystore.path", "keystore.password_file"];

/// The example configuration: every key with its comment, and with its default or an example.
pub fn example() -> String {
    let sample: Config = toml::from_str(SAMPLE).expect("the sample has every required key; qed");
    let values = Table::try_from(&sample).expect("a configuration was read from TOML; qed");
    let mut example = Example { text: INTRODUCTION.into(), values };
    example.settings::<Config>("");
    example.section::<Config, Tls>("tls", "# [tls]");
    example.section::<Config, CheckpointConfig>("checkpoint", "# [checkpoint]");
    example.section::<Config, Keystore>("keystore", "[keystore]");
    example.section::<Config, Keystore>("earlier_keystores", "# [[earlier_keystores]]");
    example.section::<Config, StoreConfig>("store", "[store]");
    example.section::<StoreConfig, S3Settings>("store.s3", "# [store.s3]");
    example.section::<Config, Pack>("pack", "[pack]");
    example.section::<Config, Transfer>("transfer", "[transfer]");
    example.section::<Config, Scrub>("scrub", "[scrub]");
    example.section::<Config, Discovery>("discovery", "[discovery]");
    example.section::<Config, Notifications>("notifications", "# [notifications]");
    example.section::<Config, Limits>("limits", "[limits]");
    example.text
}

/// The example while it is written.
struct Example {
    text: String,
    values: Table,
}

impl Example {
    /// Writes a section, with the comment that its key has in the section around it.
    fn section<Around: Documented, Section: Documented>(&mut self, path: &str, header: &str) {
        let key = path.rsplit('.').next().unwrap_or(path);
        self.line("");
        self.comment::<Around>(key);
        self.line(header);
        self.settings::<Section>(path);
    }

    /// Writes the keys of a section that are not sections themselves.
    fn settings<Section: Documented>(&mut self, path: &str) {
        let values = self.at(path);
        for setting in Section::SETTINGS {
            let is_section = |value: &&Value| value.is_table() || value.is_array();
            let Some(value) = values.get(setting.key).filter(|value| !is_section(value)) else {
                continue;
            };
            let (name, mark) = match path {
                "" => (setting.key.to_owned(), "\n"),
                path => (format!("{path}.{}", setting.key), ""),
            };
            self.text.push_str(mark);
            self.comment::<Section>(setting.key);
            let mark = if REQUIRED.contains(&name.as_str()) { "" } else { "# " };
            self.line(&format!("{mark}{} = {value}", setting.key));
        }
    }

    fn comment<Section: Documented>(&mut self, key: &str) {
        let setting = Section::SETTINGS.iter().find(|setting| setting.key == key);
        for about in setting.into_iter().flat_map(|setting| setting.about) {
            self.line(&format!("#{about}"));
        }
    }

    /// The values of a section; of the first, if there may be several.
    fn at(&self, path: &str) -> Table {
        let mut keys = path.split('.').filter(|key| !key.is_empty());
        let found = keys.try_fold(&self.values, |table, key| match table.get(key)? {
            Value::Array(several) => several.first()?.as_table(),
            value => value.as_table(),
        });
        found.cloned().unwrap_or_default()
    }

    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        writeln!(self.text, "{line}").ok();
    }
}
