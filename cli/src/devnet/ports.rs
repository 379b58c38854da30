//! Which ports of 127.0.0.1 a network gets.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
};

use tokio::net::TcpSocket;

use super::DevnetError;

/// A port that the system gives to no other program while this lives: neither to one that asks for any free
/// port nor to an outgoing connection. So a process of the network may start late, end, and start again.
pub struct Reserved(TcpSocket);

impl Reserved {
    /// Any free port, if it is 0.
    fn at(port: u16) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Bound and not listening, it stands in nobody's way who sets the same option, as servers do.
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
    /// The node's, for other nodes.
    pub peers: u16,
    /// The node's, for its worker and clients.
    pub rpc: u16,
    /// The worker's.
    pub worker: u16,
}

/// Ports per hospital.
const EACH: u16 = 3;

/// Ports for so many hospitals: in a row from `base`, or wherever some are free. They stay theirs until the
/// reservations returned beside them are dropped.
pub fn choose(
    hospitals: u16,
    base: Option<u16>,
) -> Result<(Vec<Ports>, Vec<Reserved>), DevnetError> {
    let (ports, reserved) = free(hospitals.saturating_mul(EACH), base)?;
    let ports = ports
        .chunks_exact(usize::from(EACH))
        .map(|three| Ports { peers: three[0], rpc: three[1], worker: three[2] })
        .collect();
    Ok((ports, reserved))
}

/// One more, after the row of so many hospitals' ports or wherever one is free.
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

/// This port, or any free one.
fn one(port: Option<u16>) -> Result<(u16, Reserved), DevnetError> {
    let reserve = || {
        if let Some(port) = port {
            // Where somebody listens, this fails; a reservation may not.
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
    fn reserved_ports_are_given_to_nobody_else_and_may_be_listened_at_again_and_again() {
        let (first, reserved) = choose(4, None).unwrap();
        let (second, _others) = choose(4, None).unwrap();
        assert!(first.iter().all(|ports| !second.contains(ports)));
        let port = first[0].worker;
        for _ in 0..2 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
            let asked: Vec<_> = (0..100).map(|_| Reserved::at(0).unwrap()).collect();
            assert!(asked.iter().all(|it| it.port().unwrap() != port));
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
        // Whoever else takes it in between makes this no proof, but never a failure.
        if let Ok((port, _reserved)) = one_more(2, Some(ports[0].peers)) {
            assert_eq!(port, ports[0].peers + 6);
        }
        let (ports, _reserved) = choose(1, None).unwrap();
        let (port, _) = one_more(1, None).unwrap();
        assert!(![ports[0].peers, ports[0].rpc, ports[0].worker].contains(&port));
    }

    #[test]
    fn a_base_too_near_the_last_port_is_refused() {
        assert!(matches!(choose(4, Some(65_530)).err(), Some(DevnetError::BasePort { .. })));
    }
}
