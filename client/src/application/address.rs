//! Where a hospital's node listens for other nodes, and the id by which they recognize it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use url::{Host, Url};

/// Bytes of an address, at most.
const MAX_BYTES: usize = 256;
/// The port of a node if nobody chooses another one.
const USUAL_PORT: u16 = 30_333;
/// A peer id is the key itself: an identity hash of 36 bytes, in which an Ed25519 key of 32 bytes follows.
const PEER_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Where other nodes reach a node: a multiaddress with host and TCP port, without the peer id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAddress(String);

/// The text is not the address of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a node's address as /dns/HOST/tcp/PORT, /ip4/ADDRESS/tcp/PORT or /ip6/ADDRESS/tcp/PORT"
)]
pub struct NoNodeAddress;

impl FromStr for NodeAddress {
    type Err = NoNodeAddress;

    fn from_str(text: &str) -> Result<Self, NoNodeAddress> {
        let parts: Vec<&str> = text.split('/').collect();
        let ["", kind, host, "tcp", port] = parts[..] else { return Err(NoNodeAddress) };
        let is_host = match kind {
            "ip4" => host.parse::<Ipv4Addr>().is_ok(),
            "ip6" => host.parse::<Ipv6Addr>().is_ok(),
            "dns" | "dns4" | "dns6" => is_host_name(host),
            _ => false,
        };
        // There is one way to write a port.
        let is_port = port.parse::<u16>().is_ok_and(|n| n > 0 && n.to_string() == port);
        if !is_host || !is_port || text.len() > MAX_BYTES {
            return Err(NoNodeAddress);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl NodeAddress {
    /// The usual port of the machine at which a worker's URL leads; none if the URL has no host.
    pub fn beside(worker: &Url) -> Option<Self> {
        let host = match worker.host()? {
            Host::Domain(name) => format!("/dns/{name}"),
            Host::Ipv4(address) => format!("/ip4/{address}"),
            Host::Ipv6(address) => format!("/ip6/{address}"),
        };
        format!("{host}/tcp/{USUAL_PORT}").parse().ok()
    }

    /// Whether it is an IP address that only a private network or this machine can reach.
    pub fn is_private(&self) -> bool {
        let host = self.0.split('/').nth(2).unwrap_or_default();
        match host.parse() {
            Ok(IpAddr::V4(it)) => it.is_private() || it.is_loopback() || it.is_link_local(),
            Ok(IpAddr::V6(it)) => {
                it.is_loopback() || it.is_unique_local() || it.is_unicast_link_local()
            }
            Err(_) => false,
        }
    }

    /// The address with the id of the only node that is accepted there, as nodes expect it.
    pub fn with_peer(&self, node_key: &[u8; 32]) -> String {
        format!("{self}/p2p/{}", peer_id(node_key))
    }
}

/// The id of the node with this public Ed25519 key.
pub fn peer_id(node_key: &[u8; 32]) -> String {
    base58(&[&PEER_PREFIX[..], node_key].concat())
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (1..=63).contains(&label.len())
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The bytes as a number with 58 digits, of which the alphabet leaves out those that look alike; a zero byte in front
/// stays as a digit.
fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    // The least digit comes first.
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).map(|_| 0);
    let digits = zeros.chain(digits.iter().rev().copied());
    digits.map(|digit| char::from(ALPHABET[digit as usize])).collect()
}

#[cfg(test)]
mod tests {
    use epione_envelope::account::{AccountKey, Scheme};

    use super::*;

    #[test]
    fn a_node_has_the_peer_id_that_its_program_derives() {
        // What `epione-node key inspect-node-key` prints for the secret key 1.
        let mut secret = [0; 32];
        secret[31] = 1;
        let public = AccountKey::from_seed(Scheme::Ed25519, &secret).public();
        assert_eq!(peer_id(&public), "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp");
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in [
            "/dns/node.hospital.example/tcp/30333",
            "/dns4/node/tcp/1",
            "/ip4/192.0.2.7/tcp/30333",
            "/ip6/2001:db8::7/tcp/65535",
        ] {
            assert_eq!(good.parse::<NodeAddress>().unwrap().to_string(), good);
        }
        let long = format!("/dns/{}/tcp/1", vec!["a".repeat(60); 5].join("."));
        for wrong in [
            "",
            "/dns/node.example",
            "/dns/node.example/tcp/0",
            "/dns/node.example/tcp/030333",
            "/dns/node.example/tcp/70000",
            "/dns/node.example/udp/30333",
            "/dns/node example/tcp/30333",
            "/dns/-node/tcp/30333",
            "/dns//tcp/30333",
            "/dns/node\" --rpc-methods=unsafe/tcp/30333",
            "/ip4/node.example/tcp/30333",
            "/ip4/192.0.2.7/tcp/30333/p2p/12D3KooW",
            "/ip6/192.0.2.7/tcp/30333",
            "node.example:30333",
            long.as_str(),
        ] {
            assert_eq!(wrong.parse::<NodeAddress>(), Err(NoNodeAddress), "{wrong}");
        }
    }

    #[test]
    fn without_a_choice_the_node_is_where_the_worker_is() {
        for (worker, node) in [
            ("https://worker.hospital.example:8600", "/dns/worker.hospital.example/tcp/30333"),
            ("https://192.0.2.7", "/ip4/192.0.2.7/tcp/30333"),
            ("https://[2001:db8::7]:1", "/ip6/2001:db8::7/tcp/30333"),
        ] {
            let found = NodeAddress::beside(&Url::parse(worker).unwrap()).unwrap();
            assert_eq!(found.to_string(), node);
        }
    }

    #[test]
    fn addresses_of_private_networks_are_recognized() {
        for private in ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/::1/tcp/1"] {
            assert!(private.parse::<NodeAddress>().unwrap().is_private(), "{private}");
        }
        for public in ["/ip4/192.0.2.7/tcp/1", "/dns/node.example/tcp/1"] {
            assert!(!public.parse::<NodeAddress>().unwrap().is_private(), "{public}");
        }
    }
}
