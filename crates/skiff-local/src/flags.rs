//! The command lines of all components, by version.
//!
//! Pure: a function of the cluster, so that the differences between releases are tested without any.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    binaries::Binaries,
    cluster::{Cluster, Node},
    component::Component,
    controller::CONTROLLER_COMMAND,
    pki::Pki,
    settings,
    version::Version,
};

/// The containerd socket inside each node.
pub(crate) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Whether a kubelet spends its first five seconds asking for a Docker that is not there, as those
/// with Docker support built in do.
pub(crate) fn kubelet_looks_for_docker(version: Version) -> bool {
    version < Version::new(1, 24)
}

/// A command line: the executable, then `--name=value` and words.
struct Line(Vec<OsString>);

impl Line {
    fn new(program: &Path) -> Self {
        Self(vec![program.into()])
    }

    fn flag(&mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) {
        let mut word = OsString::from(format!("--{name}="));
        word.push(value);
        self.0.push(word);
    }

    fn flags(&mut self, flags: &[(&str, &str)]) {
        for (name, value) in flags {
            self.flag(name, value);
        }
    }
}

/// The command line of a component, without what brings it into its node.
pub(crate) fn command_line(
    cluster: &Cluster,
    binaries: &Binaries,
    component: Component,
) -> Vec<OsString> {
    let pki = Pki::new(cluster);
    let program = binaries.path(match component {
        Component::Sandbox(_) => return vec!["sleep".into(), "infinity".into()],
        other => other.kind(),
    });
    let mut line = Line::new(program);
    match component {
        Component::Etcd => etcd(&mut line, cluster, &pki),
        Component::ApiServer => api_server(&mut line, cluster, &pki),
        Component::ControllerManager => controller_manager(&mut line, cluster, &pki),
        Component::Scheduler => scheduler(&mut line, cluster),
        Component::Controller => {
            line.0.extend(CONTROLLER_COMMAND.map(OsString::from));
            line.0.push(cluster.layout.root().into());
        }
        Component::Sandbox(_) => {}
        Component::Containerd(node) => {
            line.flag("config", settings::containerd_path(&cluster.node(node)));
        }
        Component::Kubelet(node) => kubelet(&mut line, cluster, &cluster.node(node)),
        Component::Proxy(node) => {
            line.flag("config", settings::proxy_path(&cluster.node(node)));
        }
    }
    line.0
}

/// The file that a component reads its settings from, where it has one that Skiff writes.
pub(crate) fn settings_file(cluster: &Cluster, component: Component) -> Option<PathBuf> {
    match component {
        Component::Containerd(node) => Some(settings::containerd_path(&cluster.node(node))),
        Component::Kubelet(node) => Some(settings::kubelet_path(&cluster.node(node))),
        Component::Proxy(node) => Some(settings::proxy_path(&cluster.node(node))),
        _ => None,
    }
}

fn etcd(line: &mut Line, cluster: &Cluster, pki: &Pki) {
    let clients = etcd_address(cluster);
    // One member has no peers: any free port does.
    let peers = "https://127.0.0.1:0";
    line.flag("data-dir", cluster.layout.etcd());
    line.flags(&[
        ("name", "skiff"),
        ("listen-client-urls", &clients),
        ("advertise-client-urls", &clients),
        ("listen-peer-urls", peers),
        ("initial-advertise-peer-urls", peers),
        ("initial-cluster", &format!("skiff={peers}")),
        ("client-cert-auth", "true"),
        ("peer-client-cert-auth", "true"),
        ("unsafe-no-fsync", "true"),
        ("auto-compaction-retention", "1h"),
        // Its log is kept from the last snapshot on: with agents in it, the usual 100,000 entries are gigabytes.
        ("snapshot-count", "5000"),
        ("log-level", "warn"),
    ]);
    for prefix in ["", "peer-"] {
        line.flag(&format!("{prefix}cert-file"), pki.certificate("etcd"));
        line.flag(&format!("{prefix}key-file"), pki.key("etcd"));
        line.flag(
            &format!("{prefix}trusted-ca-file"),
            pki.certificate("etcd-ca"),
        );
    }
}

fn etcd_address(cluster: &Cluster) -> String {
    let address = cluster.record.range.loopback_address();
    format!("https://{address}:{}", cluster.record.ports.etcd)
}

fn api_server(line: &mut Line, cluster: &Cluster, pki: &Pki) {
    let range = cluster.record.range;
    let host = range.host_address().to_string();
    line.flags(&[
        ("bind-address", &host),
        ("advertise-address", &host),
        ("secure-port", &cluster.record.ports.api.to_string()),
        ("etcd-servers", &etcd_address(cluster)),
        ("service-cluster-ip-range", &range.services().to_string()),
        (
            "service-account-issuer",
            "https://kubernetes.default.svc.cluster.local",
        ),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("allow-privileged", "true"),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("requestheader-allowed-names", "front-proxy"),
        ("requestheader-username-headers", "X-Remote-User"),
        ("requestheader-group-headers", "X-Remote-Group"),
        ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        ("profiling", "false"),
    ]);
    for (flag, name) in [
        ("tls-cert-file", "apiserver"),
        ("client-ca-file", "ca"),
        ("etcd-cafile", "etcd-ca"),
        ("etcd-certfile", "etcd-client"),
        ("kubelet-certificate-authority", "ca"),
        ("kubelet-client-certificate", "apiserver-kubelet-client"),
        ("requestheader-client-ca-file", "front-proxy-ca"),
        ("proxy-client-cert-file", "front-proxy"),
    ] {
        line.flag(flag, pki.certificate(name));
    }
    for (flag, name) in [
        ("tls-private-key-file", "apiserver"),
        ("etcd-keyfile", "etcd-client"),
        ("kubelet-client-key", "apiserver-kubelet-client"),
        ("proxy-client-key-file", "front-proxy"),
        ("service-account-signing-key-file", "service-accounts"),
    ] {
        line.flag(flag, pki.key(name));
    }
    line.flag("service-account-key-file", pki.service_account_public_key());
}

/// Flags of the two controllers that talk to the API server and serve their own metrics.
fn controller(line: &mut Line, cluster: &Cluster, name: &str, port: u16) {
    let kubeconfig = settings::kubeconfig_path(cluster, name);
    for flag in [
        "kubeconfig",
        "authentication-kubeconfig",
        "authorization-kubeconfig",
    ] {
        line.flag(flag, &kubeconfig);
    }
    let loopback = cluster.record.range.loopback_address().to_string();
    line.flags(&[
        ("bind-address", &loopback),
        ("secure-port", &port.to_string()),
        ("leader-elect", "false"),
    ]);
    // Until 1.22 both also served plain HTTP to everyone unless told not to; 1.24 lost the flag.
    if cluster.version() < Version::new(1, 23) {
        line.flag("port", "0");
    }
}

fn controller_manager(line: &mut Line, cluster: &Cluster, pki: &Pki) {
    controller(
        line,
        cluster,
        "controller-manager",
        cluster.record.ports.controller_manager,
    );
    line.flags(&[
        ("use-service-account-credentials", "true"),
        // Its usual restraint costs four seconds until a new node may take pods.
        ("kube-api-qps", "200"),
        ("kube-api-burst", "400"),
        ("allocate-node-cidrs", "false"),
        ("cluster-name", &cluster.layout.name().context()),
    ]);
    line.flag(
        "service-account-private-key-file",
        pki.key("service-accounts"),
    );
    line.flag("root-ca-file", pki.certificate("ca"));
    line.flag("client-ca-file", pki.certificate("ca"));
    line.flag("cluster-signing-cert-file", pki.certificate("ca"));
    line.flag("cluster-signing-key-file", pki.key("ca"));
    line.flag(
        "requestheader-client-ca-file",
        pki.certificate("front-proxy-ca"),
    );
}

fn scheduler(line: &mut Line, cluster: &Cluster) {
    controller(line, cluster, "scheduler", cluster.record.ports.scheduler);
}

fn kubelet(line: &mut Line, cluster: &Cluster, node: &Node) {
    let version = cluster.version();
    line.flag("config", settings::kubelet_path(node));
    line.flag(
        "kubeconfig",
        settings::node_kubeconfig_path(node, "kubelet"),
    );
    line.flag("hostname-override", &node.files.name);
    line.flag("node-ip", node.address.to_string());
    // Docker was the default until 1.23; from 1.27 the flag is gone and the endpoint a setting.
    if version < Version::new(1, 24) {
        line.flag("container-runtime", "remote");
    }
    if version < Version::new(1, 27) {
        line.flag(
            "container-runtime-endpoint",
            format!("unix://{CONTAINERD_SOCKET}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::Layout, record::example};

    fn cluster(version: &str) -> Cluster {
        let layout = Layout::new("/s".as_ref(), &"local".parse().unwrap());
        let mut record = example();
        version.clone_into(&mut record.kubernetes);
        Cluster { layout, record }
    }

    fn text(build: impl FnOnce(&mut Line)) -> String {
        let mut line = Line::new(Path::new("program"));
        build(&mut line);
        line.0
            .join(std::ffi::OsStr::new("\n"))
            .into_string()
            .unwrap()
    }

    fn kubelet_text(version: &str) -> String {
        let cluster = cluster(version);
        text(|line| kubelet(line, &cluster, &cluster.node(1)))
    }

    #[test]
    fn the_runtime_is_named_as_each_release_wants() {
        let endpoint = "--container-runtime-endpoint=unix:///run/containerd/containerd.sock";
        assert!(kubelet_text("v1.20.2").contains("--container-runtime=remote"));
        assert!(kubelet_text("v1.20.2").contains(endpoint));
        assert!(!kubelet_text("v1.24.0").contains("--container-runtime=remote"));
        assert!(kubelet_text("v1.26.9").contains(endpoint));
        assert!(!kubelet_text("v1.27.0").contains("--container-runtime"));
    }

    #[test]
    fn plain_http_is_off_where_it_could_be_on() {
        let scheduler_text = |version| text(|line| scheduler(line, &cluster(version)));
        assert!(scheduler_text("v1.22.9").ends_with("--port=0"));
        assert!(!scheduler_text("v1.23.0").contains("--port="));
    }

    #[test]
    fn nothing_listens_on_every_address() {
        let cluster = cluster("v1.30.0");
        let pki = Pki::new(&cluster);
        let all = [
            text(|line| etcd(line, &cluster, &pki)),
            text(|line| api_server(line, &cluster, &pki)),
            text(|line| controller_manager(line, &cluster, &pki)),
            text(|line| scheduler(line, &cluster)),
        ]
        .join("\n");
        assert!(!all.contains("0.0.0.0"));
        assert!(all.contains("--bind-address=10.200.0.1\n"));
        assert!(all.contains("--listen-client-urls=https://127.200.10.1:2379\n"));
        assert_eq!(all.matches("--bind-address=127.200.10.1\n").count(), 2);
    }
}
