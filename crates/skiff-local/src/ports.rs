//! Ports of the control plane that nothing else uses.
//!
//! The choice is pure; whether a port is free is an argument.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
};

use crate::record::Ports;

/// Below the range that the kernel hands out to clients, so that they stay free across reboots.
const LOOPBACK: std::ops::Range<u16> = 21_000..29_000;
/// The API server's usual port and those after it.
const API: std::ops::Range<u16> = 6_443..6_543;

/// Chooses ports that are free now and that no other cluster has recorded.
pub(crate) fn choose(others: &[Ports], free: impl Fn(u16) -> bool) -> Option<Ports> {
    let recorded: BTreeSet<u16> = others
        .iter()
        .flat_map(|ports| [ports.etcd, ports.controller_manager, ports.scheduler])
        .collect();
    let mut loopback = LOOPBACK.filter(|port| !recorded.contains(port) && free(*port));
    Some(Ports {
        // Clusters have addresses of their own, so only a listener on every address is in the way.
        api: API.into_iter().find(|port| free(*port))?,
        etcd: loopback.next()?,
        controller_manager: loopback.next()?,
        scheduler: loopback.next()?,
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
    fn taken_and_recorded_ports_are_avoided() {
        let first = choose(&[], |_| true).unwrap();
        assert_eq!(
            (first.api, first.etcd, first.scheduler),
            (6443, 21_000, 21_002)
        );
        let second = choose(&[first], |port| port != 6443 && port != 21_003).unwrap();
        assert_eq!(
            (second.api, second.etcd, second.scheduler),
            (6444, 21_004, 21_006)
        );
        assert_eq!(choose(&[], |_| false), None);
    }

    #[test]
    fn a_listener_takes_its_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(Ipv4Addr::LOCALHOST, port));
    }
}
