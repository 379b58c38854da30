//! Which ports of 127.0.0.1 a network gets.

use std::net::{Ipv4Addr, TcpListener};

use super::DevnetError;

/// Below the range from which Linux takes ports for outgoing connections, so that none of those gets
/// in between.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

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

/// Ports for so many hospitals: in a row from `base`, or wherever some are free. They stay reserved
/// until the listeners returned beside them are dropped, just before the processes start.
pub fn choose(
    hospitals: u16,
    base: Option<u16>,
) -> Result<(Vec<Ports>, Vec<TcpListener>), DevnetError> {
    let wanted = hospitals.saturating_mul(EACH);
    let (ports, listeners) = free(wanted, base)?;
    let ports = ports
        .chunks_exact(usize::from(EACH))
        .map(|three| Ports { peers: three[0], rpc: three[1], worker: three[2] })
        .collect();
    Ok((ports, listeners))
}

/// One more, after the row of so many hospitals' ports or wherever one is free.
pub fn one_more(hospitals: u16, base: Option<u16>) -> Result<(u16, TcpListener), DevnetError> {
    let after = |base: u16| {
        base.checked_add(hospitals.saturating_mul(EACH)).ok_or(DevnetError::BasePort { base })
    };
    let (ports, listeners) = free(1, base.map(after).transpose()?)?;
    ports.into_iter().zip(listeners).next().ok_or(DevnetError::NoPorts { wanted: 1 })
}

fn free(wanted: u16, base: Option<u16>) -> Result<(Vec<u16>, Vec<TcpListener>), DevnetError> {
    let row = wanted.saturating_sub(1);
    let wanted = usize::from(wanted);
    let mut listeners = Vec::with_capacity(wanted);
    let mut ports = Vec::with_capacity(wanted);
    let candidates: Box<dyn Iterator<Item = u16>> = match base {
        Some(base) => {
            let last = base.checked_add(row);
            last.ok_or(DevnetError::BasePort { base })?;
            Box::new(base..)
        }
        None => {
            let width = RANGE.end - RANGE.start;
            let start = (std::process::id() % u32::from(width)) as u16;
            Box::new((0..width).map(move |step| {
                RANGE.start + (u32::from(start) + u32::from(step)).rem_euclid(width.into()) as u16
            }))
        }
    };
    for port in candidates.take(usize::from(RANGE.end - RANGE.start)) {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => {
                listeners.push(listener);
                ports.push(port);
            }
            Err(source) if base.is_some() => return Err(DevnetError::PortTaken { port, source }),
            Err(_) => {}
        }
        if ports.len() == wanted {
            return Ok((ports, listeners));
        }
    }
    Err(DevnetError::NoPorts { wanted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_ports_are_passed_over() {
        let (first, held) = choose(4, None).unwrap();
        let (second, _) = choose(4, None).unwrap();
        assert!(first.iter().all(|ports| !second.contains(ports)));
        drop(held);
    }

    #[test]
    fn a_taken_port_after_the_base_is_named() {
        let (ports, _held) = choose(1, None).unwrap();
        let refusal = choose(1, Some(ports[0].peers)).unwrap_err();
        assert!(refusal.to_string().contains(&ports[0].peers.to_string()), "{refusal}");
    }

    #[test]
    fn one_more_port_is_after_the_row() {
        let (ports, held) = choose(2, None).unwrap();
        drop(held);
        // Whoever else takes it in between makes this no proof, but never a failure.
        if let Ok((port, _held)) = one_more(2, Some(ports[0].peers)) {
            assert_eq!(port, ports[0].peers + 6);
        }
        let (ports, _held) = choose(1, None).unwrap();
        let (port, _) = one_more(1, None).unwrap();
        assert!(![ports[0].peers, ports[0].rpc, ports[0].worker].contains(&port));
    }

    #[test]
    fn a_base_too_near_the_last_port_is_refused() {
        assert!(matches!(choose(4, Some(65_530)), Err(DevnetError::BasePort { .. })));
    }
}
