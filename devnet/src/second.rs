//! A second node or worker of a hospital, which its operators start by mistake: a drill shows what happens then.

use std::{fs, io};

use crate::{
    DevnetError, Location, Plan, Process, Service, Site, layout, node_key,
    plan::{NodePlace, create_folder, write},
    ports::{self, Reserved},
};

/// A second process with a hospital's keys, not started.
pub struct Second {
    pub process: Process,
    /// Of a node: where it answers clients. Of a worker: where it answers its operators.
    pub url: String,
    _reserved: Vec<Reserved>,
}

impl Plan {
    /// A second node with the session keys of a hospital. Its database, its addresses and the key by which other nodes
    /// know it are its own.
    pub async fn second_node(
        &self,
        site: &Site,
        location: &Location,
    ) -> Result<Second, DevnetError> {
        let home = site.home().join("second");
        create_folder(&home)?;
        let key = home.join("node.key");
        let label = format!("second {}", site.label());
        node_key::write(&self.binaries().node, &label, &key).await?;
        let ((peers, held), (rpc_port, held_too)) = two_ports()?;
        let address = location.address;
        let kind = if address.is_ipv4() { "ip4" } else { "ip6" };
        let place = NodePlace {
            base: home.join("node"),
            key,
            listen: format!("/{kind}/{address}/tcp/{peers}"),
            rpc_port,
            address,
        };
        let mut arguments = self.node_arguments(site, &place);
        let name = format!("--name=second-{}", site.label());
        arguments.retain(|argument| !argument.starts_with("--name="));
        arguments.push(name);
        arguments.push(format!("--bootnodes={}", site.peer_address()));
        let log = site.log_of_second(Service::Node);
        let name = format!("second-{}", site.process_name(Service::Node));
        let process = Process::new(name, &self.binaries().node, arguments, &log)
            .started_by(&location.prefix)
            .in_own_group();
        let url = format!("ws://{}", std::net::SocketAddr::new(address, rpc_port));
        Ok(Second { process, url, _reserved: vec![held, held_too] })
    }

    /// A second worker of a hospital: a copy of its configuration with other ports and these settings. Nobody is told
    /// its address.
    pub fn second_worker(
        &self,
        site: &Site,
        settings: &toml::Table,
    ) -> Result<Second, DevnetError> {
        let home = site.home().join("second");
        create_folder(&home)?;
        let unusable = |source| DevnetError::File { path: site.worker_config(), source };
        let copied = fs::read_to_string(site.worker_config()).map_err(unusable)?;
        let mut table: toml::Table =
            toml::from_str(&copied).map_err(|error| unusable(io::Error::other(error)))?;
        let ((port, held), (operators, held_too)) = two_ports()?;
        let address = site.addresses().locations.worker.address;
        let at = |port: u16| std::net::SocketAddr::new(address, port).to_string();
        table.insert("listen".into(), at(port).into());
        table.insert("operators_listen".into(), at(operators).into());
        layout::put(&mut table, settings, &[]);
        let text = toml::to_string(&table).map_err(|error| unusable(io::Error::other(error)))?;
        let config = home.join("worker.toml");
        write(&config, text.as_bytes())?;
        let arguments = vec!["run".into(), format!("--config={}", config.display())];
        let log = site.log_of_second(Service::Worker);
        let name = format!("second-{}", site.process_name(Service::Worker));
        let process = Process::new(name, &self.binaries().worker, arguments, &log)
            .started_by(&site.addresses().locations.worker.prefix)
            .in_own_group();
        let url = format!("http://{}", at(operators));
        Ok(Second { process, url, _reserved: vec![held, held_too] })
    }
}

type Port = (u16, Reserved);

fn two_ports() -> Result<(Port, Port), DevnetError> {
    Ok((ports::one_more(0, None)?, ports::one_more(0, None)?))
}
