//! Where the processes of a network run, if not all on this machine's loopback address: measurements give each
//! hospital network namespaces and links of its own.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use crate::Storage;

/// What differs from a network on loopback with default settings; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Of every hospital, in order; hospitals that are not listed are on loopback.
    pub locations: Vec<Locations>,
    /// How many hospitals have a node and are validators; all, if absent. The workers of the other hospitals share
    /// these nodes in turn.
    pub nodes: Option<u16>,
    /// How many hospitals the chain begins with; all, if absent. Nothing of the others is started: the council can
    /// admit them later.
    pub founders: Option<u16>,
    /// Whether only nodes are started: a test then uses the hospitals' agents itself, and no worker does so meanwhile.
    pub without_workers: bool,
    /// A file with the runtime with which the chain begins; the node's own runtime, if absent.
    pub runtime: Option<PathBuf>,
    /// Further arguments of every node.
    pub node_arguments: Vec<String>,
    /// Settings of every worker, as in its configuration file. They override the network's own choices, except those
    /// that hold the network together: addresses, keys and folders.
    pub worker_settings: toml::Table,
    /// Where the workers store segments. An S3 server listens on loopback, in the namespace of the program that
    /// starts the network.
    pub storage: Storage,
}

/// Where the two processes of one hospital run.
#[derive(Clone, Debug, Default)]
pub struct Locations {
    pub node: Location,
    pub worker: Location,
}

/// Where one process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The process listens there, and the others reach it there. Anyone who can reach an address other than loopback
    /// can use this network's well-known keys: no other machine may reach it.
    pub address: IpAddr,
    /// Program and arguments that start the process ([`prefixed`]).
    pub prefix: Vec<String>,
}

impl Default for Location {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), prefix: Vec::new() }
    }
}

impl Layout {
    /// Where the processes of a hospital run.
    pub(crate) fn of(&self, hospital: usize) -> Locations {
        self.locations.get(hospital).cloned().unwrap_or_default()
    }

    /// How many of so many hospitals have a node; at least one.
    pub(crate) fn nodes_of(&self, hospitals: u16) -> usize {
        usize::from(self.nodes.unwrap_or(hospitals).clamp(1, hospitals))
    }

    /// How many of so many hospitals found the chain; at least one.
    pub(crate) fn founders_of(&self, hospitals: u16) -> usize {
        usize::from(self.founders.unwrap_or(hospitals).clamp(1, hospitals))
    }
}

/// The command that starts `program`: directly, or by the words of `prefix`, such as `nsenter --net=FILE`. Returns the
/// program to start and the arguments that precede the program's own.
///
/// The prefix must replace itself by what it starts: signals go to the process that was started.
pub fn prefixed(prefix: &[String], program: &Path) -> (OsString, Vec<OsString>) {
    match prefix.split_first() {
        None => (program.into(), Vec::new()),
        Some((first, rest)) => {
            (first.into(), rest.iter().map(OsString::from).chain([program.into()]).collect())
        }
    }
}

/// Puts `settings` into `table`, tables within tables. A value of `table` whose dotted name is in `fixed` stays.
pub(crate) fn put(table: &mut toml::Table, settings: &toml::Table, fixed: &[&str]) {
    merge(table, settings, fixed, "");
}

fn merge(table: &mut toml::Table, settings: &toml::Table, fixed: &[&str], within: &str) {
    for (key, value) in settings {
        let name = format!("{within}{key}");
        match (table.get_mut(key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(more)) => {
                merge(inner, more, fixed, &format!("{name}."));
            }
            _ if fixed.contains(&name.as_str()) => {}
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_override_all_but_what_holds_the_network_together() {
        let mut table: toml::Table =
            toml::from_str("listen = \"a\"\n[pack]\nmax_age = \"1s\"\n[store]\npath = \"s\"")
                .unwrap();
        let settings = toml::from_str(
            "listen = \"b\"\n[pack]\nmax_age = \"2s\"\nmax_records = 3\n[scrub]\nx = 1\n[store]\npath = \"t\"",
        )
        .unwrap();
        put(&mut table, &settings, &["listen", "store.path"]);
        let expected: toml::Table = toml::from_str(
            "listen = \"a\"\n[pack]\nmax_age = \"2s\"\nmax_records = 3\n[scrub]\nx = 1\n[store]\npath = \"s\"",
        )
        .unwrap();
        assert_eq!(table, expected);
    }

    #[test]
    fn a_network_has_at_least_one_node_and_no_more_than_hospitals() {
        let nodes = |nodes| Layout { nodes, ..Layout::default() }.nodes_of(4);
        assert_eq!((nodes(None), nodes(Some(0)), nodes(Some(2)), nodes(Some(9))), (4, 1, 2, 4));
    }

    #[test]
    fn a_chain_has_at_least_one_founder_and_no_more_than_hospitals() {
        let founders = |founders| Layout { founders, ..Layout::default() }.founders_of(5);
        assert_eq!((founders(None), founders(Some(0)), founders(Some(4))), (5, 1, 4));
    }

    #[test]
    fn a_prefix_comes_before_the_program() {
        let program = Path::new("/bin/node");
        assert_eq!(prefixed(&[], program), ("/bin/node".into(), Vec::new()));
        let prefix = ["nsenter".into(), "--net=a".into()];
        let (first, words) = prefixed(&prefix, program);
        assert_eq!(first, "nsenter");
        assert_eq!(words, ["--net=a", "/bin/node"]);
    }
}
