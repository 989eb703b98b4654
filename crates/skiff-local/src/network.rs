//! Bridge, links, routes and addresses, through `ip`.
//!
//! Every operation may be repeated: what is there already is left or replaced.

use std::{fs, path::Path};

use thiserror::Error;

use crate::{
    address::{Cidr, ClusterRange, routed},
    binaries::Binaries,
    cluster::{Cluster, Node},
    command::{CommandError, Invocation},
    file::FileError,
    firewall,
    layout::Layout,
    resolver::{Resolver, server_addresses},
};

/// Largest packet where the host's way out does not say otherwise, in bytes.
const ETHERNET_MTU: u32 = 1500;

/// The network of a cluster could not be made or removed.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// A command failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A kernel setting could not be read or written.
    #[error(transparent)]
    Setting(#[from] FileError),
    /// The host's routes could not be read.
    #[error("cannot read the host's routes")]
    Routes(#[source] serde_json::Error),
}

/// What the host's network says about a new cluster's.
pub(crate) struct Surroundings {
    /// Networks that are in use.
    pub(crate) taken: Vec<Cidr>,
    /// Largest packet on the host's way out, in bytes.
    pub(crate) mtu: u32,
}

/// Looks at the host's routes, but for those of `own_bridge`, and at its name servers.
pub(crate) async fn surroundings(
    binaries: &Binaries,
    own_bridge: &str,
) -> Result<Surroundings, NetworkError> {
    let ip = binaries.path("ip");
    let show = ["-j", "-4", "route", "show", "table", "all"];
    let routes = Invocation::new(ip).args(show).run().await?;
    let links = Invocation::new(ip)
        .args(["-j", "link", "show"])
        .run()
        .await?;
    let mut taken = routed(&routes, own_bridge).map_err(NetworkError::Routes)?;
    let servers = server_addresses(&host_resolv_conf());
    taken.extend(
        servers
            .iter()
            .filter_map(|server| server.to_string().parse::<Cidr>().ok()),
    );
    Ok(Surroundings {
        taken,
        mtu: mtu_of_default_route(&routes, &links),
    })
}

/// From the JSON of `ip -j route show` and `ip -j link show`.
fn mtu_of_default_route(routes: &str, links: &str) -> u32 {
    let list = |json| serde_json::from_str::<Vec<serde_json::Value>>(json).unwrap_or_default();
    let way_out = list(routes)
        .into_iter()
        .find(|route| route["dst"] == "default");
    let link = way_out.and_then(|route| {
        list(links)
            .into_iter()
            .find(|link| link["ifname"] == route["dev"])
    });
    link.and_then(|link| u32::try_from(link["mtu"].as_u64()?).ok())
        .map_or(ETHERNET_MTU, |mtu| mtu.min(ETHERNET_MTU))
}

fn host_resolv_conf() -> String {
    fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
}

/// The name servers for a cluster's nodes and pods.
pub(crate) fn resolver(cluster: &Cluster) -> Resolver {
    let behind = fs::read_to_string("/run/systemd/resolve/resolv.conf").ok();
    let bridge = cluster.record.range.host_address();
    Resolver::decide(
        &host_resolv_conf(),
        behind.as_deref(),
        bridge,
        cluster.record.egress,
    )
}

/// Makes the bridge and the host's routes, which is what keeps others off the cluster's addresses.
pub(crate) async fn make_bridge(
    binaries: &Binaries,
    cluster: &Cluster,
) -> Result<(), NetworkError> {
    let ip = Invocation::new(binaries.path("ip")).args(["-batch", "-"]);
    let exists = interface_exists(&cluster.layout.bridge());
    ip.run_with_text(&host_batch(cluster, exists)).await?;
    Ok(())
}

/// Makes the host's settings and firewall rules.
pub(crate) async fn make_host(
    binaries: &Binaries,
    cluster: &Cluster,
    resolver: &Resolver,
) -> Result<(), NetworkError> {
    if !Path::new("/proc/sys/net/bridge").exists() {
        // Without it a Service does not lead to a pod on the same node. Where modules cannot be
        // loaded, all else still works.
        let _ = Invocation::new("/sbin/modprobe")
            .args(["br_netfilter"])
            .run()
            .await;
    }
    if cluster.record.egress {
        set("/proc/sys/net/ipv4/ip_forward", "1")?;
    }
    if resolver.redirect.is_some() {
        let bridge = cluster.layout.bridge();
        set(
            &format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet"),
            "1",
        )?;
    }
    let rules = firewall::rules(cluster, resolver.redirect);
    firewall::apply(binaries, &rules, &cluster.layout.rule_mark()).await?;
    Ok(())
}

fn set(path: &str, value: &str) -> Result<(), FileError> {
    fs::write(path, value).map_err(FileError::at("write", Path::new(path)))
}

/// The interfaces of this network namespace; `/sys` may show another's.
fn interfaces() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names = table.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

fn interface_exists(name: &str) -> bool {
    interfaces().iter().any(|interface| interface == name)
}

/// The `ip -batch` text for the host's side.
fn host_batch(cluster: &Cluster, bridge_exists: bool) -> String {
    let bridge = cluster.layout.bridge();
    let range = cluster.record.range;
    let mut lines = Vec::new();
    if !bridge_exists {
        lines.push(format!(
            "link add {bridge} address {} type bridge",
            cluster.layout.bridge_hardware_address()
        ));
    }
    lines.push(format!("link set {bridge} mtu {} up", cluster.record.mtu));
    lines.push(format!(
        "addr replace {}/{} dev {bridge}",
        range.host_address(),
        ClusterRange::NODES_PREFIX
    ));
    for node in cluster.nodes() {
        let pods = range.node_pods(node.index);
        lines.push(format!(
            "route replace {pods} via {} dev {bridge}",
            node.address
        ));
    }
    let first = range.node_address(1);
    lines.push(format!(
        "route replace {} via {first} dev {bridge}",
        range.services()
    ));
    lines.join("\n") + "\n"
}

/// Makes a node's link to the bridge and its routes. `sandbox` is the pid that holds its namespaces.
pub(crate) async fn make_node(
    binaries: &Binaries,
    cluster: &Cluster,
    node: &Node,
    sandbox: u32,
) -> Result<(), NetworkError> {
    let ip = || Invocation::new(binaries.path("ip")).args(["-batch", "-"]);
    let exists = interface_exists(&node.files.interface);
    ip().run_with_text(&link_batch(cluster, node, sandbox, exists))
        .await?;
    Invocation::new(binaries.path("nsenter"))
        .args([format!("--net=/proc/{sandbox}/ns/net")])
        .args([binaries.path("ip")])
        .args(["-batch", "-"])
        .run_with_text(&node_batch(cluster, node))
        .await?;
    Invocation::new(binaries.path("nsenter"))
        .args([format!("--net=/proc/{sandbox}/ns/net")])
        .args(["sh", "-c", NODE_SETTINGS])
        .run()
        .await?;
    Ok(())
}

/// Forwarding for pods, no IPv6 (its addresses are not ready at once), and bridged packets shown to
/// the rules of kube-proxy where the kernel has that switch.
const NODE_SETTINGS: &str = r"
echo 1 >/proc/sys/net/ipv4/ip_forward
for setting in ipv6/conf/all/disable_ipv6 ipv6/conf/default/disable_ipv6 \
    bridge/bridge-nf-call-iptables; do
  if [ -e /proc/sys/net/$setting ]; then echo 1 >/proc/sys/net/$setting; fi
done
";

/// Removes a node's link, so that a new one cannot meet what is left of the old.
pub(crate) async fn remove_link(binaries: &Binaries, node: &Node) -> Result<(), NetworkError> {
    delete_interface(binaries.path("ip"), &node.files.interface).await
}

async fn delete_interface(ip: &Path, name: &str) -> Result<(), NetworkError> {
    if interface_exists(name) {
        let deleted = Invocation::new(ip)
            .args(["link", "delete", name])
            .run()
            .await;
        // The kernel removes a link by itself when the node's namespace ends.
        if interface_exists(name) {
            deleted?;
        }
    }
    Ok(())
}

fn link_batch(cluster: &Cluster, node: &Node, sandbox: u32, exists: bool) -> String {
    let (link, bridge) = (&node.files.interface, cluster.layout.bridge());
    let mtu = cluster.record.mtu;
    let mut lines = Vec::new();
    if !exists {
        lines.push(format!(
            "link add {link} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {sandbox}"
        ));
    }
    lines.push(format!("link set {link} master {bridge} up"));
    lines.join("\n") + "\n"
}

/// The `ip -batch` text for a node's side. Only with egress is there a default route.
fn node_batch(cluster: &Cluster, node: &Node) -> String {
    let range = cluster.record.range;
    let host = range.host_address();
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!(
            "addr replace {}/{} dev eth0",
            node.address,
            ClusterRange::NODES_PREFIX
        ),
        "link set eth0 up".to_owned(),
        format!("route replace {} via {host}", range.services()),
    ];
    for other in cluster
        .nodes()
        .iter()
        .filter(|other| other.index != node.index)
    {
        lines.push(format!(
            "route replace {} via {}",
            range.node_pods(other.index),
            other.address
        ));
    }
    if cluster.record.egress {
        lines.push(format!("route replace default via {host}"));
    }
    lines.join("\n") + "\n"
}

/// Removes every interface and rule of a cluster, known or not.
pub(crate) async fn remove(
    ip: &Path,
    iptables: &Path,
    layout: &Layout,
) -> Result<(), NetworkError> {
    let bridge = layout.bridge();
    let links = layout.node(0).interface;
    let links = links.trim_end_matches('0');
    for name in interfaces() {
        if name == bridge || name.starts_with(links) {
            delete_interface(ip, &name).await?;
        }
    }
    firewall::remove(iptables, &layout.rule_mark()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::example;

    fn cluster(egress: bool) -> Cluster {
        let layout = Layout::new("/s".as_ref(), &"local".parse().unwrap());
        let mut record = example();
        record.egress = egress;
        Cluster { layout, record }
    }

    #[test]
    fn the_host_reaches_pods_and_services_over_the_bridge() {
        let cluster = cluster(true);
        let text = host_batch(&cluster, false);
        let bridge = cluster.layout.bridge();
        assert!(text.starts_with(&format!("link add {bridge} address 02:5f:00:")));
        assert!(text.contains(&format!("addr replace 10.200.0.1/24 dev {bridge}\n")));
        assert!(text.contains("route replace 10.200.130.0/24 via 10.200.0.12"));
        assert!(text.contains("route replace 10.200.64.0/20 via 10.200.0.11"));
        assert!(!host_batch(&cluster, true).contains("link add"));
    }

    #[test]
    fn nodes_reach_each_others_pods() {
        let cluster = cluster(true);
        let text = node_batch(&cluster, &cluster.node(1));
        assert!(text.contains("route replace 10.200.130.0/24 via 10.200.0.12\n"));
        assert!(!text.contains("10.200.129.0"));
        assert!(text.contains("route replace default via 10.200.0.1\n"));
    }

    #[test]
    fn without_egress_no_node_has_a_default_route() {
        let cluster = cluster(false);
        assert!(!node_batch(&cluster, &cluster.node(1)).contains("default"));
    }

    #[test]
    fn packets_are_no_larger_than_the_way_out_takes() {
        assert_eq!(mtu_of_default_route("[]", "[]"), ETHERNET_MTU);
        let route = r#"[{"dst":"default","dev":"eth0"}]"#;
        let links = |mtu| format!(r#"[{{"ifname":"eth0","mtu":{mtu}}}]"#);
        assert_eq!(mtu_of_default_route(route, "[]"), ETHERNET_MTU);
        assert_eq!(mtu_of_default_route(route, &links(1400)), 1400);
        assert_eq!(mtu_of_default_route(route, &links(9000)), ETHERNET_MTU);
    }
}
