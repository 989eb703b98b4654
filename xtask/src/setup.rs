//! `cargo xtask setup`: the Debian packages that the demo, the tests and the benchmarks need.

use anyhow::Result;

use crate::packages::{self, Package};
use crate::project::Project;
use crate::report;
use crate::{images, kubernetes};

/// What a local cluster runs, besides Kubernetes itself.
const CLUSTER: [Package; 8] = [
    Package::new("etcd-server", "etcd", "the local cluster's store").with_service("etcd"),
    Package::new(
        "containerd",
        "containerd",
        "runs the local cluster's containers",
    )
    .with_service("containerd"),
    Package::new("runc", "runc", "starts one container"),
    Package::new(
        "containernetworking-plugins",
        "/usr/lib/cni/bridge",
        "pod networks",
    ),
    Package::new("iptables", "iptables", "Services and the pods' way out"),
    Package::new("iproute2", "ip", "the nodes' network namespaces"),
    Package::new(
        "conntrack",
        "conntrack",
        "kube-proxy forgets old UDP connections with it",
    ),
    Package::new("util-linux", "nsenter", "enters the nodes' namespaces"),
];

/// What the tests and benchmarks use from outside, or compare Skiff with.
const OUTSIDE: [Package; 5] = [
    Package::new(
        "bindfs",
        "bindfs",
        "a file system that takes no overlays, as Docker meets them under Kata",
    ),
    Package::new(
        "kubernetes-client",
        "kubectl",
        "the client that Skiff is measured against",
    ),
    Package::new("openssh-client", "ssh", "ssh, scp and sftp"),
    Package::new("rsync", "rsync", "copies files over SSH"),
    Package::new(
        "docker-registry",
        "docker-registry",
        "what Docker in pods pulls from and pushes to",
    )
    .with_service("docker-registry"),
];

/// Installs what is missing.
pub(crate) fn run(project: &Project) -> Result<()> {
    let mut wanted = Vec::from(CLUSTER);
    wanted.extend(OUTSIDE);
    if !images::outdated(project)?.is_empty() {
        wanted.extend(images::PACKAGES);
    }
    if kubernetes::installed(project).is_none() && kubernetes::is_buildable_here() {
        wanted.extend(kubernetes::PACKAGES);
    }
    packages::ensure(&wanted)?;
    report::step("setup", "every package that is needed is there");
    Ok(())
}
