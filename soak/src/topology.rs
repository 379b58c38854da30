//! The links between the hospitals: each worker has its own link to one bridge. The nodes are at the bridge, or each
//! has its own link, too.
//!
//! ```text
//!   hub: 10.77.0.1 ── bridge ──┬── veth ── worker 0: 10.77.1.1
//!   (nodes, unless apart)      ├── veth ── node 0:   10.77.2.1   (apart)
//!                              └── veth ── worker 1: 10.77.1.2 ...
//! ```
//!
//! Links are built only inside separate namespaces ([`crate::namespaces`]).

use std::{net::Ipv4Addr, process::Command};

use anyhow::{Context, bail, ensure};
use epione_devnet::{Layout, Location, Locations, Service};
use epione_primitives::HospitalId;
use serde_json::Value;

use crate::namespaces;

/// The address of the bridge and of this program.
const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const BRIDGE: &str = "hub";
/// TCP's congestion control on the shaped links: Linux's default, whatever this machine uses.
pub const CONGESTION_CONTROL: &str = "cubic";

/// The bandwidth of the workers' links, in each direction.
#[derive(Clone, Copy, Debug)]
pub struct Width {
    pub megabits: u32,
}

impl Width {
    pub fn bytes_per_second(self) -> u64 {
        u64::from(self.megabits) * 1_000_000 / 8
    }

    /// How much tbf lets through in one go: ten milliseconds' worth, and at least a few packets.
    fn burst(self) -> u64 {
        (self.bytes_per_second() / 100).max(32 * 1024)
    }
}

/// Links that exist until this value is dropped.
pub struct Topology {
    hospitals: u16,
    /// Whether each node has its own namespace.
    apart: bool,
}

/// A connection that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cut {
    /// Between a hospital's worker and its own node.
    WorkerFromNode(HospitalId),
    /// Between a hospital's worker and node and those of all other hospitals.
    HospitalFromOthers(HospitalId),
}

impl Topology {
    /// Builds the links; `width` shapes those of the workers in both directions.
    pub fn build(hospitals: u16, width: Option<Width>, apart: bool) -> anyhow::Result<Self> {
        ensure!(namespaces::is_inside(), "links are built only in separate namespaces");
        ensure!(hospitals <= 200, "there are no addresses for {hospitals} hospitals, only for 200");
        static ONCE: std::sync::Once = std::sync::Once::new();
        let mut mounted = Ok(());
        // `ip netns` keeps its names there. The mount hides the machine's own.
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
        for (hospital, service) in self.ends() {
            let (name, address) = (name(hospital, service), address(hospital, service));
            run(&format!("ip netns add {name}"))?;
            run(&format!("ip link add {name} type veth peer name eth0 netns {name}"))?;
            run(&format!("ip link set {name} master {BRIDGE} up"))?;
            run(&format!("ip -n {name} link set lo up"))?;
            run(&format!("ip -n {name} addr add {address}/16 dev eth0"))?;
            run(&format!("ip -n {name} link set eth0 up"))?;
            if let (Some(width), Service::Worker) = (width, service) {
                let (rate, burst) = (width.megabits, width.burst());
                let shape = format!("root tbf rate {rate}mbit burst {burst} latency 100ms");
                // Each end shapes what it sends; together they shape both directions of the link.
                run(&format!("tc qdisc add dev {name} {shape}"))?;
                run(&format!("tc -n {name} qdisc add dev eth0 {shape}"))?;
                let route = format!("10.77.0.0/16 dev eth0 src {address}");
                run(&format!("ip -n {name} route replace {route} congctl {CONGESTION_CONTROL}"))?;
            }
        }
        Ok(())
    }

    /// Every process that has its own link.
    fn ends(&self) -> impl Iterator<Item = (HospitalId, Service)> + use<> {
        let services: &'static [Service] =
            if self.apart { &[Service::Worker, Service::Node] } else { &[Service::Worker] };
        (0..self.hospitals)
            .flat_map(move |id| services.iter().map(move |service| (HospitalId(id), *service)))
    }

    /// Where the processes of the network run.
    pub fn layout(&self) -> Layout {
        let location = |hospital, service| match service {
            Service::Node if !self.apart => Location { address: HUB.into(), prefix: Vec::new() },
            _ => Location {
                address: address(hospital, service).into(),
                prefix: prefix(hospital, service),
            },
        };
        let locations = (0..self.hospitals).map(HospitalId).map(|hospital| Locations {
            node: location(hospital, Service::Node),
            worker: location(hospital, Service::Worker),
        });
        Layout { locations: locations.collect(), ..Layout::default() }
    }

    /// Bytes that a hospital's worker has sent over its link, including packet headers.
    pub fn sent(&self, hospital: HospitalId) -> anyhow::Result<u64> {
        let name = name(hospital, Service::Worker);
        let links: Value = serde_json::from_str(&run(&format!("ip -s -j link show dev {name}"))?)?;
        // What the hub's end received.
        links[0]["stats64"]["rx"]["bytes"]
            .as_u64()
            .context("the output of ip has no count of bytes")
    }

    /// Cuts a connection: packets over it are dropped, open connections fall silent, and new ones fail.
    pub fn cut(&self, cut: Cut) -> anyhow::Result<()> {
        block(&self.routes(cut))
    }

    /// Restores a connection.
    pub fn mend(&self, cut: Cut) -> anyhow::Result<()> {
        unblock(&self.routes(cut))
    }

    /// Cuts the workers and nodes of some hospitals off from those of others. No hospital may be on both sides.
    pub fn separate(&self, one: &[HospitalId], others: &[HospitalId]) -> anyhow::Result<()> {
        block(&self.between(one, others))
    }

    /// Restores what was separated.
    pub fn reunite(&self, one: &[HospitalId], others: &[HospitalId]) -> anyhow::Result<()> {
        unblock(&self.between(one, others))
    }

    /// Every hospital that has links, except these.
    pub fn all_but(&self, some: &[HospitalId]) -> Vec<HospitalId> {
        (0..self.hospitals).map(HospitalId).filter(|id| !some.contains(id)).collect()
    }

    /// The addresses that a cut makes unreachable, each with the namespace that cannot reach it. Blocking one direction
    /// is enough to end a connection; both are blocked, so that nothing arrives either.
    fn routes(&self, cut: Cut) -> Vec<Route> {
        let (node, worker) = (Service::Node, Service::Worker);
        match cut {
            Cut::WorkerFromNode(id) => {
                vec![(name(id, worker), address(id, node)), (name(id, node), address(id, worker))]
            }
            Cut::HospitalFromOthers(id) => self.between(&[id], &self.all_but(&[id])),
        }
    }

    /// As [`Self::routes`], between two sides.
    fn between(&self, one: &[HospitalId], others: &[HospitalId]) -> Vec<Route> {
        let of = |side: &[HospitalId]| -> Vec<_> {
            self.ends().filter(|(hospital, _)| side.contains(hospital)).collect()
        };
        let theirs = of(others);
        let pairs = of(one).into_iter().flat_map(|mine| theirs.iter().map(move |it| (mine, *it)));
        pairs
            .flat_map(|((mine, here), (other, there))| {
                [
                    (name(mine, here), address(other, there)),
                    (name(other, there), address(mine, here)),
                ]
            })
            .collect()
    }
}

/// A namespace, and an address that it cannot reach.
type Route = (String, Ipv4Addr);

fn block(routes: &[Route]) -> anyhow::Result<()> {
    routes.iter().try_for_each(|(within, to)| {
        run(&format!("ip -n {within} route add blackhole {to}/32")).map(drop)
    })
}

fn unblock(routes: &[Route]) -> anyhow::Result<()> {
    routes.iter().try_for_each(|(within, to)| {
        run(&format!("ip -n {within} route del blackhole {to}/32")).map(drop)
    })
}

/// The first words of a command that starts a program behind a hospital's link.
pub fn prefix(hospital: HospitalId, service: Service) -> Vec<String> {
    let namespace = format!("--net=/run/netns/{}", name(hospital, service));
    vec!["nsenter".into(), namespace, "--".into()]
}

impl Drop for Topology {
    /// Makes room for the next topology; when this program ends, the kernel removes everything anyway.
    fn drop(&mut self) {
        for (hospital, service) in self.ends() {
            let name = name(hospital, service);
            // This removes the other end of the link, too, even if a process still runs in the namespace.
            let _ = run(&format!("ip link del {name}"));
            let _ = run(&format!("ip netns del {name}"));
        }
        let _ = run(&format!("ip link del {BRIDGE}"));
    }
}

/// The name of a namespace, and of the hub's end of its link.
fn name(hospital: HospitalId, service: Service) -> String {
    format!("{service}{hospital}")
}

fn address(hospital: HospitalId, service: Service) -> Ipv4Addr {
    let group = if service == Service::Node { 2 } else { 1 };
    // At most 200 hospitals.
    Ipv4Addr::new(10, 77, group, (hospital.0 + 1) as u8)
}

/// Runs a command whose words contain no blanks; returns what it printed.
fn run(command: &str) -> anyhow::Result<String> {
    let mut words = command.split_ascii_whitespace();
    let program = words.next().context("the command is empty")?;
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
    fn a_hospital_that_is_cut_off_and_the_others_cannot_reach_each_other() {
        // Nothing was built, so nothing is removed either.
        let topology = std::mem::ManuallyDrop::new(Topology { hospitals: 3, apart: true });
        let routes = topology.routes(Cut::HospitalFromOthers(HospitalId(1)));
        // Two processes here, four elsewhere, two directions.
        assert_eq!(routes.len(), 16);
        assert!(routes.contains(&("worker1".into(), Ipv4Addr::new(10, 77, 2, 3))));
        assert!(routes.contains(&("node2".into(), Ipv4Addr::new(10, 77, 1, 2))));
        let own = Ipv4Addr::new(10, 77, 2, 2);
        assert!(!routes.contains(&("worker1".into(), own)), "it still reaches its own node");
    }

    #[test]
    fn two_sides_cannot_reach_each_other_and_each_side_reaches_itself() {
        let topology = std::mem::ManuallyDrop::new(Topology { hospitals: 4, apart: true });
        let one = [HospitalId(0), HospitalId(3)];
        let routes = topology.between(&one, &topology.all_but(&one));
        // Four processes on each side, two directions.
        assert_eq!(routes.len(), 32);
        assert!(routes.contains(&("node0".into(), Ipv4Addr::new(10, 77, 2, 2))));
        assert!(routes.contains(&("worker2".into(), Ipv4Addr::new(10, 77, 1, 4))));
        let same_side = ("node0".into(), Ipv4Addr::new(10, 77, 2, 4));
        assert!(!routes.contains(&same_side), "the two still reach each other");
    }

    #[test]
    fn links_are_not_built_in_the_machines_own_network() {
        assert!(Topology::build(2, None, false).is_err());
    }

    #[test]
    fn a_width_is_converted_to_bytes() {
        assert_eq!(Width { megabits: 20 }.bytes_per_second(), 2_500_000);
        assert_eq!(Width { megabits: 1 }.burst(), 32 * 1024);
    }
}
