//! Ports of the control plane that nothing else uses.
//!
//! Clusters have addresses of their own, on the bridge and on loopback, so only a listener on every
//! address is in the way. The choice is pure; whether a port is free is an argument.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use crate::record::Ports;

/// How many ports after the usual one are tried.
const TRIES: u16 = 500;

/// Chooses each component's usual port or the next that is free.
pub(crate) fn choose(free: impl Fn(u16) -> bool) -> Option<Ports> {
    let mut chosen: Vec<u16> = Vec::new();
    let mut next = |usual: u16| {
        let mut candidates = usual..usual + TRIES;
        let port = candidates.find(|port| !chosen.contains(port) && free(*port))?;
        chosen.push(port);
        Some(port)
    };
    Some(Ports {
        api: next(6_443)?,
        etcd: next(2_379)?,
        controller_manager: next(10_257)?,
        scheduler: next(10_259)?,
    })
}

/// Whether a process could listen there now.
pub(crate) fn is_free(address: Ipv4Addr, port: u16) -> bool {
    TcpListener::bind(SocketAddrV4::new(address, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ports_are_chosen_where_they_are_free() {
        let ports = choose(|_| true).unwrap();
        assert_eq!((ports.api, ports.etcd), (6_443, 2_379));
        assert_eq!(
            (ports.controller_manager, ports.scheduler),
            (10_257, 10_259)
        );
        assert_eq!(choose(|_| false), None);
    }

    #[test]
    fn no_port_is_chosen_twice() {
        let ports = choose(|port| port != 6_443 && !(10_257..10_259).contains(&port)).unwrap();
        assert_eq!(ports.api, 6_444);
        assert_eq!(
            (ports.controller_manager, ports.scheduler),
            (10_259, 10_260)
        );
    }

    #[test]
    fn a_listener_takes_its_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(Ipv4Addr::LOCALHOST, port));
    }
}
