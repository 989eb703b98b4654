//! containerd's configuration, in the form of its major version.

use std::{fmt::Write, path::PathBuf};

use crate::{cluster::Node, flags::CONTAINERD_SOCKET, version::Version};

/// The oldest containerd whose options have the new names.
const NEW_NAMES: Version = Version::new(2, 0);
/// The oldest containerd that takes several plugin folders.
const PLUGIN_FOLDERS: Version = Version::new(2, 1);

/// containerd and what it runs on.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    /// containerd's version.
    pub(crate) version: Version,
    /// The image of the process that holds a pod's namespaces.
    pub(crate) pause_image: String,
    /// runc.
    pub(crate) runc: PathBuf,
    /// The folder of the network plugins.
    pub(crate) plugins: PathBuf,
    /// The snapshotter that the state folder's filesystem can carry.
    pub(crate) snapshotter: &'static str,
    /// Whether this process may lower `oom_score_adj`.
    pub(crate) lower_oom_score: bool,
}

/// A TOML string. JSON's escapes are among TOML's.
fn quoted(text: &impl ToString) -> String {
    serde_json::Value::from(text.to_string()).to_string()
}

/// The whole file.
pub(crate) fn text(node: &Node, runtime: &Runtime) -> String {
    let new = runtime.version >= NEW_NAMES;
    let mut text = format!(
        r#"version = {form}
root = {root}
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{CONTAINERD_SOCKET}"

"#,
        form = if new { 3 } else { 2 },
        root = quoted(&node.files.containerd().display()),
    );
    if new {
        new_names(&mut text, node, runtime);
    } else {
        old_names(&mut text, node, runtime);
    }
    text
}

fn old_names(text: &mut String, node: &Node, runtime: &Runtime) {
    let cri = r#"plugins."io.containerd.grpc.v1.cri""#;
    let _ = write!(
        text,
        r#"[{cri}]
sandbox_image = {pause}
restrict_oom_score_adj = {restrict}
tolerate_missing_hugetlb_controller = true

[{cri}.cni]
bin_dir = {plugins}
conf_dir = {networks}
max_conf_num = 1

[{cri}.registry]
config_path = "/etc/containerd/certs.d"

[{cri}.containerd]
snapshotter = "{snapshotter}"
default_runtime_name = "runc"

"#,
        pause = quoted(&runtime.pause_image),
        restrict = !runtime.lower_oom_score,
        plugins = quoted(&runtime.plugins.display()),
        networks = quoted(&node.files.cni_settings().display()),
        snapshotter = runtime.snapshotter,
    );
    runc(text, cri, runtime);
}

fn new_names(text: &mut String, node: &Node, runtime: &Runtime) {
    let (images, cri) = (
        r#"plugins."io.containerd.cri.v1.images""#,
        r#"plugins."io.containerd.cri.v1.runtime""#,
    );
    let plugins = quoted(&runtime.plugins.display());
    let plugins = if runtime.version >= PLUGIN_FOLDERS {
        format!("bin_dirs = [{plugins}]")
    } else {
        format!("bin_dir = {plugins}")
    };
    let _ = write!(
        text,
        r#"[{images}]
snapshotter = "{snapshotter}"

[{images}.pinned_images]
sandbox = {pause}

[{images}.registry]
config_path = "/etc/containerd/certs.d"

[{cri}]
restrict_oom_score_adj = {restrict}
tolerate_missing_hugetlb_controller = true

[{cri}.cni]
{plugins}
conf_dir = {networks}
max_conf_num = 1

[{cri}.containerd]
default_runtime_name = "runc"

"#,
        snapshotter = runtime.snapshotter,
        pause = quoted(&runtime.pause_image),
        restrict = !runtime.lower_oom_score,
        networks = quoted(&node.files.cni_settings().display()),
    );
    runc(text, cri, runtime);
}

fn runc(text: &mut String, cri: &str, runtime: &Runtime) {
    let _ = write!(
        text,
        r#"[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = {runc}
"#,
        runc = quoted(&runtime.runc.display()),
    );
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::settings::tests::cluster;

    pub(crate) fn runtime(version: Version) -> Runtime {
        Runtime {
            version,
            pause_image: "skiff/pause:0.1.0".to_owned(),
            runc: "/usr/sbin/runc".into(),
            plugins: "/usr/lib/cni".into(),
            snapshotter: "overlayfs",
            lower_oom_score: false,
        }
    }

    fn text_for(version: Version) -> String {
        text(&cluster().node(1), &runtime(version))
    }

    #[test]
    fn version_1_has_the_old_names() {
        let text = text_for(Version::new(1, 6));
        assert!(text.starts_with("version = 2\nroot = \"/s/local/nodes/1/containerd\"\n"));
        assert!(text.contains("sandbox_image = \"skiff/pause:0.1.0\"\n"));
        assert!(text.contains("restrict_oom_score_adj = true\n"));
        assert!(text.contains("bin_dir = \"/usr/lib/cni\"\n"));
        assert!(!text.contains("cri.v1"));
    }

    #[test]
    fn version_2_has_the_new_names() {
        let text = text_for(Version::new(2, 1));
        assert!(text.starts_with("version = 3\n"));
        assert!(text.contains("sandbox = \"skiff/pause:0.1.0\"\n"));
        assert!(text.contains("bin_dirs = [\"/usr/lib/cni\"]\n"));
        assert!(!text.contains("grpc.v1.cri"));
        assert!(text_for(Version::new(2, 0)).contains("bin_dir = \"/usr/lib/cni\"\n"));
    }
}
