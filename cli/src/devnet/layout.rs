//! Where the processes of a network run, when that is not simply this machine's loopback address:
//! measurements give hospitals network namespaces and links of their own.

use std::net::{IpAddr, Ipv4Addr};

use super::Storage;

/// What differs from a network on loopback. The default is that nothing does.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Of every hospital, in order; those that are not listed are on loopback.
    pub places: Vec<Places>,
    /// How many hospitals have a node and are validators; all, if absent. The workers of the others
    /// use these nodes in turn.
    pub nodes: Option<u16>,
    /// Settings of every worker, as in its configuration file. They come before the network's own
    /// choices, but not before those that hold it together: addresses, keys and folders.
    pub worker_settings: toml::Table,
    /// Where the workers keep segments. An S3 server is on loopback, in the namespace of whoever starts
    /// the network.
    pub storage: Storage,
}

/// Where the two processes of one hospital run.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub node: Place,
    pub worker: Place,
}

/// Where one process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// It listens there, and the others reach it there. Whoever can reach an address other than
    /// loopback can use this network's well-known keys: it must lead nowhere else.
    pub address: IpAddr,
    /// Program and arguments that start it, such as `nsenter --net=FILE`. Must replace itself by what
    /// it starts: signals go to the process that was started.
    pub prefix: Vec<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), prefix: Vec::new() }
    }
}

impl Layout {
    /// Where the processes of a hospital run.
    pub(super) fn of(&self, hospital: usize) -> Places {
        self.places.get(hospital).cloned().unwrap_or_default()
    }

    /// How many of so many hospitals have a node; at least one.
    pub(super) fn nodes_of(&self, hospitals: u16) -> usize {
        usize::from(self.nodes.unwrap_or(hospitals).clamp(1, hospitals))
    }
}

/// Puts `settings` into `table`, tables within tables. What `table` has in `fixed`, by its dotted
/// name, stays.
pub(super) fn put(table: &mut toml::Table, settings: &toml::Table, fixed: &[&str]) {
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
    fn settings_are_put_beside_what_holds_the_network_together() {
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
}
