//! Which name servers pods are given.
//!
//! Pure: the texts of the host's files are arguments.

use std::net::{IpAddr, Ipv4Addr};

/// What a node's `/etc/resolv.conf` says, and what must be set up so that it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolver {
    /// The file's text.
    pub(crate) text: String,
    /// A name server on the host's loopback that the bridge's address must lead to.
    pub(crate) redirect: Option<Ipv4Addr>,
}

impl Resolver {
    /// Decides from the host's `resolv.conf` and, where systemd-resolved runs, its list of servers.
    ///
    /// Servers on loopback cannot be reached from a pod. Those behind systemd-resolved are used in
    /// their place; where there are none, the bridge's address stands for the one on loopback.
    pub(crate) fn decide(host: &str, behind: Option<&str>, bridge: Ipv4Addr, egress: bool) -> Self {
        if !egress {
            let text = "# This cluster has no way out, and so no name server.\n".to_owned();
            return Self {
                text,
                redirect: None,
            };
        }
        for source in [Some(host), behind].into_iter().flatten() {
            let servers = servers(source).filter(|server| !server.is_loopback());
            let lines: Vec<String> = servers
                .map(|server| format!("nameserver {server}"))
                .collect();
            if !lines.is_empty() {
                return Self {
                    text: file(&lines, host),
                    redirect: None,
                };
            }
        }
        let redirect = servers(host).find_map(|server| match server {
            IpAddr::V4(server) => Some(server),
            IpAddr::V6(_) => None,
        });
        match redirect {
            Some(_) => Self {
                text: file(&[format!("nameserver {bridge}")], host),
                redirect,
            },
            None => Self {
                text: file(&[], host),
                redirect: None,
            },
        }
    }
}

/// The IPv4 servers of a resolv.conf, then those on IPv6 loopback; pods have no other IPv6.
pub(crate) fn servers(text: &str) -> impl Iterator<Item = IpAddr> {
    let named = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = named.filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok());
    addresses.filter(|address| address.is_ipv4() || address.is_loopback())
}

/// A resolv.conf with these servers and the host's search list and options.
fn file(servers: &[String], host: &str) -> String {
    let kept = host.lines().map(str::trim).filter(|line| {
        ["search ", "domain ", "options "]
            .iter()
            .any(|keyword| line.starts_with(keyword))
    });
    servers
        .iter()
        .map(String::as_str)
        .chain(kept)
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The name servers that a resolv.conf names, for keeping the cluster's addresses off them.
pub(crate) fn server_addresses(text: &str) -> Vec<Ipv4Addr> {
    let v4 = |address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    servers(text).filter_map(v4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);

    #[test]
    fn servers_outside_are_used_as_they_are() {
        let host = "search corp.example\nnameserver 192.0.2.53\nnameserver ::1\noptions edns0\n";
        let found = Resolver::decide(host, None, BRIDGE, true);
        assert_eq!(
            found.text,
            "nameserver 192.0.2.53\nsearch corp.example\noptions edns0\n"
        );
        assert_eq!(found.redirect, None);
    }

    #[test]
    fn servers_behind_the_local_stub_replace_it() {
        let behind = "nameserver 192.0.2.1\nnameserver fe80::1\n";
        let found = Resolver::decide("nameserver 127.0.0.53\n", Some(behind), BRIDGE, true);
        assert_eq!(found.text, "nameserver 192.0.2.1\n");
    }

    #[test]
    fn a_server_on_loopback_alone_is_reached_by_the_bridge() {
        let found = Resolver::decide("nameserver 127.0.0.1\n", Some(""), BRIDGE, true);
        assert_eq!(found.text, "nameserver 10.200.0.1\n");
        assert_eq!(found.redirect, Some(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn without_egress_there_is_no_server() {
        let found = Resolver::decide("nameserver 192.0.2.53\n", None, BRIDGE, false);
        assert!(!found.text.contains("nameserver ") && found.redirect.is_none());
    }

    #[test]
    fn an_empty_file_stays_empty() {
        let found = Resolver::decide("", None, BRIDGE, true);
        assert_eq!(
            found,
            Resolver {
                text: String::new(),
                redirect: None
            }
        );
    }
}
