//! Where the two processes of one hospital listen.

use std::net::{IpAddr, SocketAddr};

use crate::{Layout, Locations, ports::Ports};

#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    ports: Ports,
    pub locations: Locations,
    /// Of the hospital's own node, or of the node that its worker shares.
    rpc: SocketAddr,
}

impl Addresses {
    /// Of every hospital; the first `nodes` of them have a node.
    pub fn of(layout: &Layout, ports: &[Ports], nodes: usize) -> Vec<Self> {
        let rpc = |index: usize| SocketAddr::new(layout.of(index).node.address, ports[index].rpc);
        let each = ports.iter().enumerate();
        each.map(|(index, &ports)| Self {
            ports,
            locations: layout.of(index),
            rpc: rpc(index % nodes),
        })
        .collect()
    }

    /// Of the node for its worker and for clients.
    pub fn rpc_port(&self) -> u16 {
        self.ports.rpc
    }

    pub fn node_url(&self) -> String {
        format!("ws://{}", self.rpc)
    }

    /// Whether the node listens where only a network of its own leads, and not on loopback.
    pub fn node_is_elsewhere(&self) -> bool {
        !self.rpc.ip().is_loopback()
    }

    /// Where the node listens for other nodes, as a multiaddress.
    pub fn node_listen(&self) -> String {
        let (kind, address) = match self.locations.node.address {
            IpAddr::V4(address) => ("ip4", address.to_string()),
            IpAddr::V6(address) => ("ip6", address.to_string()),
        };
        format!("/{kind}/{address}/tcp/{}", self.ports.peers)
    }

    pub fn worker_listen(&self) -> SocketAddr {
        SocketAddr::new(self.locations.worker.address, self.ports.worker)
    }

    /// Where the worker serves its operators.
    pub fn operators_listen(&self) -> SocketAddr {
        SocketAddr::new(self.locations.worker.address, self.ports.operators)
    }

    pub fn operators_url(&self) -> String {
        format!("http://{}", self.operators_listen())
    }

    pub fn worker_url(&self) -> String {
        format!("https://{}", self.worker_listen())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;

    #[test]
    fn a_worker_without_a_node_shares_another_hospitals_node() {
        let port = |n| Ports { peers: n, rpc: n + 1, worker: n + 2, operators: n + 3 };
        let ports = [10, 20, 30].map(port);
        let hub = Location { address: "10.77.0.1".parse().unwrap(), prefix: Vec::new() };
        let worker = Location { address: "10.77.1.1".parse().unwrap(), prefix: Vec::new() };
        let layout =
            Layout { locations: vec![Locations { node: hub, worker }], ..Layout::default() };
        let all = Addresses::of(&layout, &ports, 2);
        assert_eq!(all[0].node_listen(), "/ip4/10.77.0.1/tcp/10");
        assert_eq!(all[0].worker_url(), "https://10.77.1.1:12");
        assert_eq!(all[0].operators_url(), "http://10.77.1.1:13");
        assert_eq!(all[1].node_url(), "ws://127.0.0.1:21");
        assert_eq!(all[2].node_url(), "ws://10.77.0.1:11");
        assert!(!all[1].node_is_elsewhere() && all[2].node_is_elsewhere());
        assert_eq!(all[2].worker_url(), "https://127.0.0.1:32");
    }
}
