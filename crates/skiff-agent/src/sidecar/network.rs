//! The pod's network as the daemon must know it.

use std::fs;
use std::net::Ipv4Addr;

/// The largest packet of the pod's own network in bytes, where it is known: larger ones from nested
/// containers would vanish.
pub(super) fn mtu() -> Option<u32> {
    let interface = default_interface(&fs::read_to_string("/proc/net/route").unwrap_or_default());
    let of = |name: &str| -> Option<u32> {
        fs::read_to_string(format!("/sys/class/net/{name}/mtu"))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    interface.and_then(|name| of(&name)).or_else(|| of("eth0"))
}

/// The interface of the default route, from the kernel's routing table.
fn default_interface(table: &str) -> Option<String> {
    routes(table)
        .find(|route| route.mask.is_unspecified())
        .map(|route| route.interface)
}

/// One line of the kernel's routing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    interface: String,
    /// The network's first address.
    pub(super) network: Ipv4Addr,
    /// Its mask.
    pub(super) mask: Ipv4Addr,
}

/// The routes of a table as `/proc/net/route` shows it.
pub(super) fn routes(table: &str) -> impl Iterator<Item = Route> {
    table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let address = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::swap_bytes);
        Some(Route {
            interface: (*fields.first()?).to_owned(),
            network: Ipv4Addr::from(address(fields.get(1)?)?),
            mask: Ipv4Addr::from(address(fields.get(7)?)?),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{default_interface, routes};

    const TABLE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
net1\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
ens5\t00000000\t0101F40A\t0003\t0\t0\t0\t00000000\t0\t0\t0
";

    #[test]
    fn finds_the_interface_of_the_default_route() {
        assert_eq!(default_interface(TABLE).as_deref(), Some("ens5"));
        assert_eq!(default_interface(""), None);
    }

    #[test]
    fn reads_networks_and_masks() {
        let first = routes(TABLE).next().expect("a route");
        assert_eq!(first.network, Ipv4Addr::new(192, 168, 0, 0));
        assert_eq!(first.mask, Ipv4Addr::new(255, 255, 255, 0));
    }
}
