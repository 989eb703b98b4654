//! A node's namespaces: network and mounts of its own, held by one sleeping process.
//!
//! Nothing is bound into the host: when the node's last process ends, its namespaces and every mount
//! in them are gone by themselves.

use std::{ffi::OsString, path::PathBuf};

use crate::{
    binaries::Binaries, cluster::Node, component::Component, flags::CONTAINERD_SOCKET,
    layout::Layout, process,
};

/// Gives the node private folders where the components' paths are fixed, then goes on.
///
/// Arguments: the node's resolv.conf, pairs of folder and path, `--`, and what to become. Mounts of
/// the host still come in; none goes out. `/run` is empty, as on a node that has just booted. Each
/// folder is a peer group of its own, or every mount below it would show twice.
const PREPARE: &str = r#"
set -e
resolv=$1
shift
mount --make-rshared /
while [ "$1" != -- ]; do
  mkdir -p "$2"
  mount --bind "$1" "$2"
  mount --make-private "$2"
  mount --make-shared "$2"
  shift 2
done
shift
target=$(readlink -m /etc/resolv.conf)
mount -t tmpfs -o mode=0755 tmpfs /run
if [ ! -L /var/run ]; then mount --bind /run /var/run; fi
case $target in /run/*) mkdir -p "${target%/*}"; : >"$target" ;; esac
if [ -e "$target" ]; then mount --bind "$resolv" "$target"; fi
exec "$@"
"#;

/// The words that come before the sandbox's own command line.
pub(crate) fn make(binaries: &Binaries, node: &Node) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec![
        binaries.path("unshare").into(),
        "--net".into(),
        "--mount".into(),
        "--propagation=slave".into(),
        "sh".into(),
        "-c".into(),
        PREPARE.into(),
        "skiff".into(),
        node.files.resolv_conf().into(),
    ];
    for (folder, path) in node.files.private_folders() {
        words.extend([folder.into_os_string(), path.into()]);
    }
    words.push("--".into());
    words
}

/// The words that bring a command line into the namespaces that `pid` holds.
pub(crate) fn enter(binaries: &Binaries, pid: u32) -> Vec<OsString> {
    let namespace = |kind: &str, name: &str| format!("--{kind}=/proc/{pid}/ns/{name}").into();
    vec![
        binaries.path("nsenter").into(),
        namespace("net", "net"),
        namespace("mount", "mnt"),
    ]
}

/// The process that holds a node's namespaces, if it runs.
pub(crate) fn pid(layout: &Layout, node: u8) -> Option<u32> {
    let record = Component::Sandbox(node).process_record(layout);
    process::running(&record).map(|process| process.pid)
}

/// The node's containerd socket as the host sees it.
pub(crate) fn containerd_socket(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root{CONTAINERD_SOCKET}"))
}
