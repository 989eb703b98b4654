//! Where the networks of nested containers get their addresses: not where the cluster has its own.
//!
//! The daemon avoids the routes that it sees, but it sees no route to the cluster's Services.

use std::fs;
use std::net::Ipv4Addr;

use skiff_proto::AddressPool;
use thiserror::Error;

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
/// The prefix of each network that is made of those.
const SIZE: u8 = 24;

/// The configured addresses are of no use.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum PoolError {
    /// No network of version 4.
    #[error("the address pool {0} is no network: it is written like 10.213.0.0/16")]
    NoNetwork(String),
    /// The cluster is there.
    #[error(
        "the address pool {pool} contains {address}, which is the cluster's ({what}): nested containers \
         could not reach it"
    )]
    Taken {
        /// The pool.
        pool: String,
        /// What is in it.
        address: Ipv4Addr,
        /// Whose that is.
        what: &'static str,
    },
}

/// What a pod knows of its cluster's addresses.
#[derive(Debug, Default)]
struct Surroundings {
    /// The kernel's routing table.
    routes: String,
    /// `/etc/resolv.conf`.
    resolver: String,
    /// The API server's Service.
    service: String,
    /// The pod's own.
    pod: String,
}

/// The pools to give to the daemon: the configured ones, or one of its own; empty where the daemon's own
/// will do.
pub(super) fn choose(configured: &[AddressPool]) -> Result<Vec<AddressPool>, PoolError> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let surroundings = Surroundings {
        routes: fs::read_to_string("/proc/net/route").unwrap_or_default(),
        resolver: fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        service: variable("KUBERNETES_SERVICE_HOST"),
        pod: variable("SKIFF_POD_IP"),
    };
    for pool in configured {
        surroundings.allow(pool)?;
    }
    if !configured.is_empty() {
        return Ok(configured.to_vec());
    }
    Ok(pool(&surroundings.taken()).into_iter().collect())
}

impl Surroundings {
    /// Addresses that are certainly somebody's.
    fn known(&self) -> impl Iterator<Item = (Ipv4Addr, &'static str)> {
        let servers = self
            .resolver
            .lines()
            .filter_map(|line| line.trim().strip_prefix("nameserver "));
        servers
            .map(|server| (server, "its name server"))
            .chain([
                (self.service.as_str(), "its API server's Service"),
                (self.pod.as_str(), "the pod's own address"),
            ])
            .filter_map(|(host, what)| Some((host.trim().parse().ok()?, what)))
    }

    fn routed(&self) -> impl Iterator<Item = Network> {
        routes(&self.routes)
            .filter(|route| !route.mask.is_unspecified())
            .map(|route| (route.network, u32::from(route.mask).leading_ones()))
    }

    /// What the cluster probably uses. Services and pods are spread over larger networks around the
    /// addresses that are known; how large those are, nothing in a pod tells.
    fn taken(&self) -> Vec<Network> {
        let around = self.known().map(|(address, _)| (address, 16));
        self.routed().chain(around).collect()
    }

    /// Refuses a configured pool where somebody certainly is; what is only probable, its author knows better.
    fn allow(&self, pool: &AddressPool) -> Result<(), PoolError> {
        let network = parse(&pool.base).ok_or_else(|| PoolError::NoNetwork(pool.base.clone()))?;
        let routed = self.routed().map(|network| (network, "a route of the pod"));
        let known = self.known().map(|(address, what)| ((address, 32), what));
        match known
            .chain(routed)
            .find(|(other, _)| overlap(network, *other))
        {
            Some(((address, _), what)) => Err(PoolError::Taken {
                pool: pool.base.clone(),
                address,
                what,
            }),
            None => Ok(()),
        }
    }
}

fn parse(base: &str) -> Option<Network> {
    let (address, prefix) = base.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    Some((address.parse().ok()?, prefix))
}

fn pool(taken: &[Network]) -> Option<AddressPool> {
    let is_free = |network: &Network| !taken.iter().any(|other| overlap(*network, *other));
    if OF_THE_DAEMON.iter().all(is_free) {
        return None;
    }
    let (base, prefix) = CANDIDATES.into_iter().find(is_free)?;
    Some(AddressPool {
        base: format!("{base}/{prefix}"),
        size: SIZE,
    })
}

fn overlap(a: Network, b: Network) -> bool {
    let mask = u32::MAX.checked_shl(32 - a.1.min(b.1)).unwrap_or(0);
    u32::from(a.0) & mask == u32::from(b.0) & mask
}

#[cfg(test)]
mod tests {
    use skiff_proto::AddressPool;

    use super::{PoolError, Surroundings, pool};

    fn chosen(routes: &str, resolver: &str, service: &str, pod: &str) -> Option<String> {
        let surroundings = Surroundings {
            routes: routes.into(),
            resolver: resolver.into(),
            service: service.into(),
            pod: pod.into(),
        };
        pool(&surroundings.taken()).map(|pool| pool.base)
    }

    #[test]
    fn the_daemons_own_pools_do_where_the_cluster_is_elsewhere() {
        let resolver = "nameserver 10.96.0.10\n";
        assert_eq!(chosen("", resolver, "10.96.0.1", "10.244.1.5"), None);
        assert_eq!(chosen("", "search x\n", "", "fd00::7"), None);
    }

    #[test]
    fn another_pool_where_services_or_pods_are_in_the_daemons() {
        let resolver = "nameserver 172.20.0.10\nnameserver fd00::1\n";
        let pool = chosen("", resolver, "172.20.0.1", "");
        assert_eq!(pool.as_deref(), Some("192.168.0.0/16"));
        let pool = chosen("", "", "", "172.31.7.9");
        assert_eq!(pool.as_deref(), Some("192.168.0.0/16"));
    }

    #[test]
    fn a_pool_beside_pods_and_services() {
        let table = "head\neth0\t0000A8C0\t0\t1\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let pool = chosen(table, "", "172.20.0.1", "");
        assert_eq!(pool.as_deref(), Some("10.213.0.0/16"));
    }

    #[test]
    fn a_configured_pool_may_lie_near_the_cluster_but_not_on_it() {
        let surroundings = Surroundings {
            resolver: "nameserver 10.96.0.10\n".into(),
            ..Surroundings::default()
        };
        let allow = |base: &str| {
            surroundings.allow(&AddressPool {
                base: base.into(),
                size: 24,
            })
        };
        assert_eq!(allow("10.96.128.0/17"), Ok(()));
        let refused = allow("10.96.0.0/17").expect_err("refused").to_string();
        assert!(refused.contains("10.96.0.10"), "{refused}");
        assert_eq!(
            allow("10.96.0.0"),
            Err(PoolError::NoNetwork("10.96.0.0".into()))
        );
    }
}
