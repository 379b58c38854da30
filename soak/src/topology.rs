//! A network of links for a network of hospitals: each worker behind a link of its own to one bridge,
//! and the nodes at the bridge or, too, each behind a link of its own.
//!
//! ```text
//!   hub: 10.77.0.1 ── bridge ──┬── veth ── worker 0: 10.77.1.1
//!   (nodes, unless apart)      ├── veth ── node 0:   10.77.2.1   (apart)
//!                              └── veth ── worker 1: 10.77.1.2 ...
//! ```
//!
//! Only inside namespaces of our own ([`crate::namespaces`]).

use std::{net::Ipv4Addr, process::Command};

use anyhow::{Context, bail, ensure};
use epione_devnet::{Layout, Location, Locations, Service};
use epione_primitives::HospitalId;
use serde_json::Value;

use crate::namespaces;

/// Of the bridge, and of this program.
const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const BRIDGE: &str = "hub";
/// What TCP does about a full link: Linux's default, whatever this machine's.
pub const CONGESTION_CONTROL: &str = "cubic";

/// How wide the workers' links are, each way.
#[derive(Clone, Copy, Debug)]
pub struct Width {
    pub megabits: u32,
}

impl Width {
    pub fn bytes_per_second(self) -> u64 {
        u64::from(self.megabits) * 1_000_000 / 8
    }

    /// tbf lets so much through at once: ten milliseconds' worth, and at least a few packets.
    fn burst(self) -> u64 {
        (self.bytes_per_second() / 100).max(32 * 1024)
    }
}

/// Links that exist until this value is dropped.
pub struct Topology {
    hospitals: u16,
    /// Whether each node has a namespace of its own.
    apart: bool,
}

/// What is cut off from what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cut {
    /// A hospital's worker from its own node.
    WorkerFromNode(HospitalId),
    /// A hospital's worker and node from all others'.
    HospitalFromOthers(HospitalId),
}

impl Topology {
    /// Builds the links; `width` shapes those of the workers in both directions.
    pub fn build(hospitals: u16, width: Option<Width>, apart: bool) -> anyhow::Result<Self> {
        ensure!(namespaces::is_inside(), "links are built in namespaces of our own only");
        ensure!(hospitals <= 200, "so many hospitals have no addresses here: {hospitals}");
        static ONCE: std::sync::Once = std::sync::Once::new();
        let mut mounted = Ok(());
        // `ip netns` keeps its names there; the machine's own are out of sight.
        ONCE.call_once(|| mounted = run("mount -t tmpfs tmpfs /run").map(drop));
        mounted?;
        let topology = Self { hospitals, apart };
        topology.link(width).context("the links cannot be built")?;
        Ok(topology)
    }

    fn link(&self, width: Option<Width>) -> anyhow::Result<()> {
        run("ip link set lo up")?;
        run(&format!("ip link add {BRIDGE} type bridge"))?;
        run(&format!("ip addr add {HUB}/16 dev {BRIDGE}"))?;
        run(&format!("ip link set {BRIDGE} up"))?;
        for (hospital, part) in self.ends() {
            let (name, address) = (name(hospital, part), address(hospital, part));
            run(&format!("ip netns add {name}"))?;
            run(&format!("ip link add {name} type veth peer name eth0 netns {name}"))?;
            run(&format!("ip link set {name} master {BRIDGE} up"))?;
            run(&format!("ip -n {name} link set lo up"))?;
            run(&format!("ip -n {name} addr add {address}/16 dev eth0"))?;
            run(&format!("ip -n {name} link set eth0 up"))?;
            if let (Some(width), Service::Worker) = (width, part) {
                let (rate, burst) = (width.megabits, width.burst());
                let shape = format!("root tbf rate {rate}mbit burst {burst} latency 100ms");
                // Each end shapes what it sends: the link's two directions.
                run(&format!("tc qdisc add dev {name} {shape}"))?;
                run(&format!("tc -n {name} qdisc add dev eth0 {shape}"))?;
                let route = format!("10.77.0.0/16 dev eth0 src {address}");
                run(&format!("ip -n {name} route replace {route} congctl {CONGESTION_CONTROL}"))?;
            }
        }
        Ok(())
    }

    /// Everything behind a link of its own.
    fn ends(&self) -> impl Iterator<Item = (HospitalId, Service)> + use<> {
        let parts =
            if self.apart { &[Service::Worker, Service::Node][..] } else { &[Service::Worker] };
        let parts = parts.to_vec();
        (0..self.hospitals)
            .flat_map(move |id| parts.clone().into_iter().map(move |part| (HospitalId(id), part)))
    }

    /// Where the processes run.
    pub fn layout(&self) -> Layout {
        let place = |hospital, part| match part {
            Service::Node if !self.apart => Location { address: HUB.into(), prefix: Vec::new() },
            _ => {
                Location { address: address(hospital, part).into(), prefix: prefix(hospital, part) }
            }
        };
        let locations = (0..self.hospitals).map(HospitalId).map(|hospital| Locations {
            node: place(hospital, Service::Node),
            worker: place(hospital, Service::Worker),
        });
        Layout { locations: locations.collect(), ..Layout::default() }
    }

    /// Bytes that have left a hospital's worker by its link, headers of packets included.
    pub fn sent(&self, hospital: HospitalId) -> anyhow::Result<u64> {
        let name = name(hospital, Service::Worker);
        let links: Value = serde_json::from_str(&run(&format!("ip -s -j link show dev {name}"))?)?;
        // What the hub's end received.
        links[0]["stats64"]["rx"]["bytes"].as_u64().context("ip tells no count of bytes")
    }

    /// Cuts. What is sent over a cut vanishes: connections fall silent, new ones fail.
    pub fn cut(&self, cut: Cut) -> anyhow::Result<()> {
        self.routes(cut).iter().try_for_each(|(within, to)| {
            run(&format!("ip -n {within} route add blackhole {to}/32")).map(drop)
        })
    }

    /// Undoes a cut.
    pub fn mend(&self, cut: Cut) -> anyhow::Result<()> {
        self.routes(cut).iter().try_for_each(|(within, to)| {
            run(&format!("ip -n {within} route del blackhole {to}/32")).map(drop)
        })
    }

    /// From which namespaces which addresses are out of reach. One direction is enough to end a
    /// connection; both are taken, so that nothing arrives either.
    fn routes(&self, cut: Cut) -> Vec<(String, Ipv4Addr)> {
        let (node, worker) = (Service::Node, Service::Worker);
        match cut {
            Cut::WorkerFromNode(id) => {
                vec![(name(id, worker), address(id, node)), (name(id, node), address(id, worker))]
            }
            Cut::HospitalFromOthers(id) => {
                let theirs: Vec<_> = self.ends().filter(|(other, _)| *other != id).collect();
                let ours = [worker, node];
                let pairs = ours.iter().flat_map(|mine| theirs.iter().map(move |it| (*mine, *it)));
                pairs
                    .flat_map(|(mine, (other, part))| {
                        [
                            (name(id, mine), address(other, part)),
                            (name(other, part), address(id, mine)),
                        ]
                    })
                    .collect()
            }
        }
    }
}

/// Starts a program behind a hospital's link, as the first words of a command.
pub fn prefix(hospital: HospitalId, part: Service) -> Vec<String> {
    let namespace = format!("--net=/run/netns/{}", name(hospital, part));
    vec!["nsenter".into(), namespace, "--".into()]
}

impl Drop for Topology {
    /// Makes room for the next; when this program ends, the kernel removes everything anyway.
    fn drop(&mut self) {
        for (hospital, part) in self.ends() {
            let name = name(hospital, part);
            // Its other end goes with it, at once, whatever still runs in the namespace.
            let _ = run(&format!("ip link del {name}"));
            let _ = run(&format!("ip netns del {name}"));
        }
        let _ = run(&format!("ip link del {BRIDGE}"));
    }
}

/// Of a namespace, and of the hub's end of its link.
fn name(hospital: HospitalId, part: Service) -> String {
    let part = if part == Service::Node { "node" } else { "worker" };
    format!("{part}{hospital}")
}

fn address(hospital: HospitalId, part: Service) -> Ipv4Addr {
    let group = if part == Service::Node { 2 } else { 1 };
    // At most 200 hospitals.
    Ipv4Addr::new(10, 77, group, (hospital.0 + 1) as u8)
}

/// Runs a command of words without blanks; returns what it printed.
fn run(command: &str) -> anyhow::Result<String> {
    let mut words = command.split_ascii_whitespace();
    let program = words.next().context("no command")?;
    let output = Command::new(program)
        .args(words)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("`{command}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hospital_cut_off_reaches_nobody_and_nobody_it() {
        // Nothing was built, so nothing is removed either.
        let topology = std::mem::ManuallyDrop::new(Topology { hospitals: 3, apart: true });
        let routes = topology.routes(Cut::HospitalFromOthers(HospitalId(1)));
        // Two processes here, four elsewhere, two directions.
        assert_eq!(routes.len(), 16);
        assert!(routes.contains(&("worker1".into(), Ipv4Addr::new(10, 77, 2, 3))));
        assert!(routes.contains(&("node2".into(), Ipv4Addr::new(10, 77, 1, 2))));
        let own = Ipv4Addr::new(10, 77, 2, 2);
        assert!(!routes.contains(&("worker1".into(), own)), "its own node stays in reach");
    }

    #[test]
    fn links_are_not_built_on_the_machines_own_network() {
        assert!(Topology::build(2, None, false).is_err());
    }

    #[test]
    fn a_width_is_counted_in_bytes_as_it_is() {
        assert_eq!(Width { megabits: 20 }.bytes_per_second(), 2_500_000);
        assert_eq!(Width { megabits: 1 }.burst(), 32 * 1024);
    }
}
