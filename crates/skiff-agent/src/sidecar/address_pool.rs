//! Where the networks of nested containers get their addresses: not where the cluster has its own.
//!
//! The daemon avoids the routes that it sees, but it sees no route to the cluster's Services.

use std::fs;
use std::net::Ipv4Addr;

use super::network::routes;

/// A network by its first address and the length of its prefix.
type Network = (Ipv4Addr, u32);

/// What the daemon takes by itself.
const OF_THE_DAEMON: [Network; 2] = [
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];
/// What it is given where one of those is the cluster's: the first that is not.
const CANDIDATES: [Network; 5] = [
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(10, 213, 0, 0), 16),
    (Ipv4Addr::new(100, 126, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 16),
];

/// The pool to give to the daemon, as its option takes it; None where its own will do.
pub(super) fn choose() -> Option<String> {
    let table = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let service = std::env::var("KUBERNETES_SERVICE_HOST").unwrap_or_default();
    pool(&taken(&table, &resolver, &service))
}

/// What the cluster is known to use.
fn taken(table: &str, resolver: &str, service: &str) -> Vec<Network> {
    let routed = routes(table)
        .filter(|route| !route.mask.is_unspecified())
        .map(|route| (route.network, u32::from(route.mask).leading_ones()));
    let servers = resolver
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver "));
    let hosts = servers
        .chain([service])
        .filter_map(|host| host.trim().parse().ok());
    // Services are spread over a larger network around the addresses that are known; how large it is,
    // nothing in a pod tells.
    routed.chain(hosts.map(|host| (host, 16))).collect()
}

fn pool(taken: &[Network]) -> Option<String> {
    let is_free = |network: &Network| !taken.iter().any(|other| overlap(*network, *other));
    if OF_THE_DAEMON.iter().all(is_free) {
        return None;
    }
    let (base, prefix) = CANDIDATES.into_iter().find(is_free)?;
    Some(format!("base={base}/{prefix},size=24"))
}

fn overlap(a: Network, b: Network) -> bool {
    let mask = u32::MAX.checked_shl(32 - a.1.min(b.1)).unwrap_or(0);
    u32::from(a.0) & mask == u32::from(b.0) & mask
}

#[cfg(test)]
mod tests {
    use super::{pool, taken};

    #[test]
    fn the_daemons_own_pools_do_where_the_cluster_is_elsewhere() {
        assert_eq!(
            pool(&taken("", "nameserver 10.96.0.10\n", "10.96.0.1")),
            None
        );
        assert_eq!(pool(&taken("", "search x\n", "")), None);
    }

    #[test]
    fn another_pool_where_services_are_in_the_daemons() {
        let taken = taken(
            "",
            "nameserver 172.20.0.10\nnameserver fd00::1\n",
            "172.20.0.1",
        );
        assert_eq!(pool(&taken).as_deref(), Some("base=192.168.0.0/16,size=24"));
    }

    #[test]
    fn a_pool_beside_pods_and_services() {
        let table = "head\neth0\t0000A8C0\t0\t1\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let taken = taken(table, "", "172.20.0.1");
        assert_eq!(pool(&taken).as_deref(), Some("base=10.213.0.0/16,size=24"));
    }
}
