//! Reserving ports of 127.0.0.1 for processes that start late, end, and start again.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
};

use tokio::net::TcpSocket;

use crate::DevnetError;

/// A port that the system gives to no other program while this value lives: neither to a program that requests any free
/// port, nor to an outgoing connection. A process that is given its number may listen there, as often as needed.
pub struct Reserved(TcpSocket);

impl Reserved {
    /// Reserves this port; any free port if it is 0.
    fn at(port: u16) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // The socket is bound and does not listen: a server that sets the same option can still listen at the port.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
        Ok(Self(socket))
    }

    fn port(&self) -> io::Result<u16> {
        Ok(self.0.local_addr()?.port())
    }
}

/// The ports of one hospital.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Of the node, for other nodes.
    pub peers: u16,
    /// Of the node, for its worker and for clients.
    pub rpc: u16,
    /// Of the worker.
    pub worker: u16,
    /// Of the worker, for its operators.
    pub operators: u16,
}

/// Ports per hospital.
const EACH: u16 = 4;

/// Reserves ports for so many hospitals: in a row from `base`, or any free ports. Each is reserved until its returned
/// reservation is dropped.
pub fn choose(
    hospitals: u16,
    base: Option<u16>,
) -> Result<(Vec<Ports>, Vec<Reserved>), DevnetError> {
    let (ports, reserved) = free(hospitals.saturating_mul(EACH), base)?;
    let ports = ports
        .chunks_exact(usize::from(EACH))
        .map(|four| Ports { peers: four[0], rpc: four[1], worker: four[2], operators: four[3] })
        .collect();
    Ok((ports, reserved))
}

/// Reserves one more port: the one after the row of so many hospitals' ports, or any free one.
pub fn one_more(hospitals: u16, base: Option<u16>) -> Result<(u16, Reserved), DevnetError> {
    let after = |base: u16| {
        base.checked_add(hospitals.saturating_mul(EACH)).ok_or(DevnetError::BasePort { base })
    };
    one(base.map(after).transpose()?)
}

fn free(wanted: u16, base: Option<u16>) -> Result<(Vec<u16>, Vec<Reserved>), DevnetError> {
    if let Some(base) = base {
        base.checked_add(wanted.saturating_sub(1)).ok_or(DevnetError::BasePort { base })?;
    }
    (0..wanted).map(|step| one(base.map(|base| base + step))).collect()
}

/// Reserves this port, or any free one.
fn one(port: Option<u16>) -> Result<(u16, Reserved), DevnetError> {
    let reserve = || {
        if let Some(port) = port {
            // Fails if a program listens there; a reservation alone does not always fail.
            drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?);
        }
        let reserved = Reserved::at(port.unwrap_or(0))?;
        Ok((reserved.port()?, reserved))
    };
    reserve().map_err(|source| match port {
        Some(port) => DevnetError::PortTaken { port, source },
        None => DevnetError::NoPorts { source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_given_to_no_other_program_and_can_be_listened_at_repeatedly() {
        let (first, reserved) = choose(4, None).unwrap();
        let (second, _others) = choose(4, None).unwrap();
        assert!(first.iter().all(|ports| !second.contains(ports)));
        let port = first[0].worker;
        for _ in 0..2 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
            let others: Vec<_> = (0..100).map(|_| Reserved::at(0).unwrap()).collect();
            assert!(others.iter().all(|it| it.port().unwrap() != port));
            let client = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            assert_ne!(client.local_addr().unwrap().port(), first[1].worker);
            drop(listener);
        }
        drop(reserved);
    }

    #[test]
    fn a_taken_port_after_the_base_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refusal = choose(1, Some(port)).err().unwrap();
        assert!(refusal.to_string().contains(&port.to_string()), "{refusal}");
    }

    #[test]
    fn one_more_port_is_after_the_row() {
        let (ports, reserved) = choose(2, None).unwrap();
        drop(reserved);
        // If another program takes the port in between, this test proves nothing, but does not fail.
        if let Ok((port, _reserved)) = one_more(2, Some(ports[0].peers)) {
            assert_eq!(port, ports[0].peers + 8);
        }
        let (ports, _reserved) = choose(1, None).unwrap();
        let (port, _) = one_more(1, None).unwrap();
        assert!(
            ![ports[0].peers, ports[0].rpc, ports[0].worker, ports[0].operators].contains(&port)
        );
    }

    #[test]
    fn a_base_too_near_the_last_port_is_refused() {
        assert!(matches!(choose(4, Some(65_530)).err(), Some(DevnetError::BasePort { .. })));
    }
}
