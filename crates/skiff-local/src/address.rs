//! The addresses of a cluster: one /16 that no route of the host and no other cluster overlaps.
//!
//! Pure: the taken ranges are an argument.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

/// A text is not an IPv4 network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an IPv4 network such as 10.0.0.0/16")]
pub struct CidrError(String);

impl Cidr {
    const fn new(a: u8, b: u8, c: u8, prefix: u8) -> Self {
        Self {
            address: Ipv4Addr::new(a, b, c, 0),
            prefix,
        }
    }

    /// Whether an address belongs to the network.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        let host = Self {
            address,
            prefix: 32,
        };
        self.overlaps(host)
    }

    /// Whether an address belongs to both networks.
    pub fn overlaps(self, other: Self) -> bool {
        let bits = u32::from(self.prefix.min(other.prefix));
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        u32::from(self.address) & mask == u32::from(other.address) & mask
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `10.0.0.0/16`, or an address alone as a network of one.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let wrong = || CidrError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, prefix.parse().map_err(|_| wrong())?),
            None => (text, 32),
        };
        if prefix > 32 {
            return Err(wrong());
        }
        Ok(Self {
            address: address.parse().map_err(|_| wrong())?,
            prefix,
        })
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The /16 of one cluster and how it is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterRange(Cidr);

impl ClusterRange {
    /// The most nodes that a range has room for.
    pub const MAX_NODES: u8 = 64;

    fn network(self, third: u8, prefix: u8) -> Cidr {
        let [a, b, ..] = self.0.address.octets();
        Cidr::new(a, b, third, prefix)
    }

    fn host(self, third: u8, fourth: u8) -> Ipv4Addr {
        let [a, b, ..] = self.0.address.octets();
        Ipv4Addr::new(a, b, third, fourth)
    }

    /// Everything.
    pub fn all(self) -> Cidr {
        self.0
    }

    /// The host's address on the bridge, where the API server listens.
    pub fn host_address(self) -> Ipv4Addr {
        self.host(0, 1)
    }

    /// The cluster's own address on the host's loopback, as no other range has it.
    pub fn loopback_address(self) -> Ipv4Addr {
        let [a, b, ..] = self.0.address.octets();
        Ipv4Addr::new(127, b, a, 1)
    }

    /// A node's address. Nodes count from 1.
    pub fn node_address(self, node: u8) -> Ipv4Addr {
        self.host(0, 10 + node)
    }

    /// Length of the prefix that the bridge and the nodes share.
    pub const NODES_PREFIX: u8 = 24;

    /// The addresses of Services.
    pub fn services(self) -> Cidr {
        self.network(64, 20)
    }

    /// The address of the Service `kubernetes`.
    pub fn api_service(self) -> Ipv4Addr {
        self.host(64, 1)
    }

    /// The address of the Service that answers for names, where every Kubernetes has it.
    pub fn dns_service(self) -> Ipv4Addr {
        self.host(64, 10)
    }

    /// The addresses of all pods.
    pub fn pods(self) -> Cidr {
        self.network(128, 17)
    }

    /// The addresses of one node's pods.
    pub fn node_pods(self, node: u8) -> Cidr {
        self.network(128 + node, 24)
    }

    /// The first range in a fixed order that overlaps nothing in `taken`.
    ///
    /// The middle of 10/8 first; then 172.16/12, for hosts that route all of 10/8; then the two
    /// networks that are set aside for benchmarks.
    pub fn choose(taken: &[Cidr]) -> Option<Self> {
        let ten = (200..=249).map(|second| Cidr::new(10, second, 0, 16));
        let private = (24..=31).map(|second| Cidr::new(172, second, 0, 16));
        let benchmark = (18..=19).map(|second| Cidr::new(198, second, 0, 16));
        ten.chain(private)
            .chain(benchmark)
            .find(|range| !taken.iter().any(|other| other.overlaps(*range)))
            .map(Self)
    }
}

/// The IPv4 destinations in the JSON of `ip -j -4 route show table all`, without default routes and
/// those of one device.
pub(crate) fn routed(routes: &str, without: &str) -> Result<Vec<Cidr>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Route {
        dst: String,
        dev: Option<String>,
    }
    let routes: Vec<Route> = serde_json::from_str(routes)?;
    let routes = routes
        .iter()
        .filter(|route| route.dev.as_deref() != Some(without));
    let networks = routes.filter_map(|route| route.dst.parse().ok());
    Ok(networks
        .filter(|network: &Cidr| network.prefix != 0)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(texts: &[&str]) -> Vec<Cidr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn chosen(texts: &[&str]) -> Option<String> {
        ClusterRange::choose(&taken(texts)).map(|range| range.all().to_string())
    }

    #[test]
    fn the_first_free_range_is_chosen() {
        assert_eq!(chosen(&[]).unwrap(), "10.200.0.0/16");
        assert_eq!(
            chosen(&["10.200.3.0/24", "192.168.0.0/16"]).unwrap(),
            "10.201.0.0/16"
        );
        assert_eq!(
            chosen(&["10.200.0.0/16", "10.201.7.7"]).unwrap(),
            "10.202.0.0/16"
        );
    }

    #[test]
    fn a_host_that_routes_private_networks_still_finds_one() {
        assert_eq!(chosen(&["10.0.0.0/8"]).unwrap(), "172.24.0.0/16");
        assert_eq!(
            chosen(&["10.0.0.0/8", "172.16.0.0/12"]).unwrap(),
            "198.18.0.0/16"
        );
        assert_eq!(chosen(&["0.0.0.0/0"]), None);
    }

    #[test]
    fn the_parts_of_a_range_do_not_overlap() {
        let range = ClusterRange::choose(&[]).unwrap();
        let nodes: Cidr = "10.200.0.0/24".parse().unwrap();
        assert!(!range.services().overlaps(range.pods()));
        assert!(!range.services().overlaps(nodes) && !range.pods().overlaps(nodes));
        for node in 1..=ClusterRange::MAX_NODES {
            assert!(range.pods().overlaps(range.node_pods(node)));
            assert!(node == 1 || !range.node_pods(node).overlaps(range.node_pods(node - 1)));
        }
        assert!(range.services().contains(range.dns_service()));
        assert!(!range.services().contains(range.host_address()));
        assert_eq!(range.node_address(2).to_string(), "10.200.0.12");
        assert_eq!(range.loopback_address().to_string(), "127.200.10.1");
    }

    #[test]
    fn routes_are_read_from_the_tool() {
        let json = r#"[{"dst":"default","gateway":"192.0.2.1"},{"dst":"192.0.2.0/24"},
            {"type":"local","dst":"127.0.0.1"},{"type":"unicast","dst":"0.0.0.0/0"},
            {"dst":"10.200.0.0/24","dev":"own"}]"#;
        assert_eq!(
            routed(json, "own").unwrap(),
            taken(&["192.0.2.0/24", "127.0.0.1"])
        );
    }

    #[test]
    fn wrong_networks_are_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "fe80::/64"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
