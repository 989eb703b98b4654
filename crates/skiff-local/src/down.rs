//! `down`: stop and remove everything of a cluster and nothing else.
//!
//! Needs no record: processes are found by cgroup, interfaces and rules by the names that follow from
//! the state folder. So it works in the middle of an `up`, after a reboot, and twice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::mount::{UnmountFlags, unmount};
use thiserror::Error;

use crate::{
    binaries::{Binaries, MissingBinaries},
    cgroup::{CgroupError, Hierarchies},
    cluster::Cluster,
    component::Component,
    event::{Event, Events},
    file::{self, FileError},
    images::Store,
    kubeconfig::{self, KubeconfigError},
    layout::Layout,
    lock::Lock,
    machine::{self, Machine},
    name::ClusterName,
    network::{self, NetworkError},
    process::{self, ProcessError},
    record::ClusterRecord,
    sandbox,
};

/// What `down` did with one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReport {
    /// There was nothing of it.
    NotThere,
    /// It is gone; the images of its nodes are kept for the next `up`.
    Stopped {
        /// Whether images are kept.
        images_kept: bool,
    },
}

/// `down` failed.
#[derive(Debug, Error)]
pub enum DownError {
    /// The user is not root.
    #[error("removing a local cluster needs root")]
    NotRoot,
    /// `ip` or `iptables` are missing.
    #[error(transparent)]
    Missing(#[from] MissingBinaries),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Cgroups could not be emptied or removed.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A process could not be stopped.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The network could not be removed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The context could not be removed.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// Something is still mounted.
    #[error("cannot unmount {}", path.display())]
    Unmount {
        /// The mount point.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl DownError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run it as root or with sudo".to_owned()),
            Self::Missing(missing) => Some(missing.remedy().to_string()),
            Self::Kubeconfig(error) => error.hint(),
            Self::Cgroup(CgroupError::Unkillable(_)) => {
                Some("they wait inside the kernel; `down` again when they have ended".to_owned())
            }
            _ => None,
        }
    }
}

/// Takes a cluster down. With `purge`, the images of its nodes go too.
pub async fn down(
    machine: &Machine,
    name: &ClusterName,
    purge: bool,
    events: Events<'_>,
) -> Result<DownReport, DownError> {
    if !machine::is_root() {
        return Err(DownError::NotRoot);
    }
    let layout = machine.layout(name);
    if !machine.clusters().exists() {
        return Ok(DownReport::NotThere);
    }
    let waiting = || events(Event::WaitingForOther { name: name.clone() });
    let _lock = Lock::acquire(layout.lock(), waiting).await?;
    let hierarchies = Hierarchies::read()?;
    let cached = layout.root().exists() && !layout.record().exists() && is_cache_only(&layout);
    let nothing = !layout.root().exists() || (cached && !purge);
    if nothing && !hierarchies.has(&layout.cgroup()) {
        return Ok(DownReport::NotThere);
    }
    events(Event::Stopping { name: name.clone() });
    // A record that cannot be read is worth less than getting rid of the cluster.
    let record = ClusterRecord::read(&layout).ok().flatten();
    remove_context(machine, &layout, record.as_ref()).await?;
    stop(machine, &layout, record, &hierarchies).await?;
    let (ip, iptables) = (tool(machine, "ip")?, tool(machine, "iptables")?);
    network::remove(&ip, &iptables, &layout).await?;
    hierarchies.remove(&layout.cgroup()).await?;
    unmount_below(layout.root())?;
    remove_files(&layout, purge)?;
    Ok(DownReport::Stopped {
        images_kept: layout.root().exists(),
    })
}

/// Whether a state folder holds nothing but kept images.
fn is_cache_only(layout: &Layout) -> bool {
    let names = |folder: &Path| -> Vec<std::ffi::OsString> {
        fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.file_name())
            .collect()
    };
    names(layout.root()).iter().all(|name| name == "nodes")
        && names(&layout.nodes()).iter().all(|node| {
            let kept = ["containerd", "images.json"];
            names(&layout.nodes().join(node))
                .iter()
                .all(|name| kept.iter().any(|k| name == k))
        })
}

fn tool(machine: &Machine, name: &'static str) -> Result<PathBuf, MissingBinaries> {
    Binaries::find_tool(machine, name)
}

async fn remove_context(
    machine: &Machine,
    layout: &Layout,
    record: Option<&ClusterRecord>,
) -> Result<(), KubeconfigError> {
    let path = record.map_or(machine.kubeconfig(), |record| &record.kubeconfig);
    let server = record.map(|record| {
        Cluster {
            layout: layout.clone(),
            record: record.clone(),
        }
        .server()
    });
    let previous = record.and_then(|record| record.previous_context.as_deref());
    let name = layout.name().context();
    kubeconfig::remove_from(path, &name, server.as_deref(), previous)
        .await
        .map(drop)
}

/// Stops the kubelets, then the pods, then everything, so that the image stores end up clean.
async fn stop(
    machine: &Machine,
    layout: &Layout,
    record: Option<ClusterRecord>,
    hierarchies: &Hierarchies,
) -> Result<(), DownError> {
    if let Some(record) = record {
        let cluster = Cluster {
            layout: layout.clone(),
            record,
        };
        for component in cluster.components() {
            if !matches!(component, Component::Sandbox(_) | Component::Containerd(_)) {
                process::kill(&component.process_record(layout)).await?;
            }
        }
        if let Ok(binaries) = Binaries::find(machine, &[&cluster.record.kubernetes_folder]) {
            let nodes = cluster.nodes();
            let cleaned = nodes
                .iter()
                .map(|node| clean_store(&binaries, layout, node));
            futures::future::join_all(cleaned).await;
        }
        for component in cluster.components() {
            process::kill(&component.process_record(layout)).await?;
        }
    }
    Ok(hierarchies.kill(&layout.cgroup()).await?)
}

/// Leaves images only. What cannot be removed now, the kubelet of the next cluster removes.
async fn clean_store(binaries: &Binaries, layout: &Layout, node: &crate::cluster::Node) {
    let containerd = Component::Containerd(node.index).process_record(layout);
    let holder = sandbox::pid(layout, node.index);
    if let (Some(holder), Some(_)) = (holder, process::running(&containerd)) {
        let _ = Store::new(binaries, node, holder).forget_containers().await;
    }
}

/// Unmounts what the host still sees below the state folder, the deepest first.
fn unmount_below(folder: &Path) -> Result<(), DownError> {
    let path = Path::new("/proc/self/mountinfo");
    let folder = &fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string(path).map_err(FileError::at("read", path))?;
    for point in mount_points_below(&mounts, folder) {
        unmount(&point, UnmountFlags::DETACH).map_err(|error| DownError::Unmount {
            path: point,
            source: error.into(),
        })?;
    }
    Ok(())
}

fn mount_points_below(mountinfo: &str, folder: &Path) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<PathBuf> = points
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .filter(|point| point.starts_with(folder))
        .collect();
    below.sort();
    below.reverse();
    below
}

/// Removes the state folder, but for the image stores unless they are to go too.
fn remove_files(layout: &Layout, purge: bool) -> Result<(), FileError> {
    if purge {
        file::remove(layout.root())?;
        return Ok(());
    }
    for entry in entries(layout.root()) {
        if entry != layout.nodes() {
            file::remove(&entry)?;
        }
    }
    for node in entries(&layout.nodes()) {
        let kept = [node.join("containerd"), node.join("images.json")];
        for entry in entries(&node) {
            if !kept.contains(&entry) {
                file::remove(&entry)?;
            }
        }
        if !node.join("images.json").exists() {
            file::remove(&node)?;
        }
    }
    if file::remove_if_empty(&layout.nodes())? {
        file::remove_if_empty(layout.root())?;
    }
    Ok(())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout_with_files(folder: &Path) -> Layout {
        let layout = Layout::new(folder, &"local".parse().unwrap());
        for path in [
            "nodes/1/containerd/x",
            "nodes/1/kubelet/pods",
            "nodes/2/containerd",
            "pki",
        ] {
            fs::create_dir_all(layout.root().join(path)).unwrap();
        }
        fs::write(layout.record(), "{}").unwrap();
        fs::write(layout.node(1).ledger(), "{}").unwrap();
        layout
    }

    #[test]
    fn only_stores_that_hold_imported_images_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout_with_files(folder.path());
        assert!(!is_cache_only(&layout));
        remove_files(&layout, false).unwrap();
        assert!(is_cache_only(&layout));
        assert!(layout.root().join("nodes/1/containerd/x").exists());
        assert!(layout.node(1).ledger().exists());
        assert!(!layout.root().join("nodes/1/kubelet").exists());
        assert!(!layout.root().join("nodes/2").exists());
        assert!(!layout.record().exists() && !layout.pki().exists());
    }

    #[test]
    fn a_purge_leaves_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout_with_files(folder.path());
        remove_files(&layout, true).unwrap();
        assert!(!layout.root().exists());
        remove_files(&layout, true).unwrap();
    }

    #[test]
    fn mounts_below_the_folder_come_deepest_first() {
        let text = "1 2 0:1 / /s/local rw - x x\n1 2 0:1 / /s/local/a/b rw - x x\n\
            1 2 0:1 / /s/locally rw - x x\n1 2 0:1 / /s/local/a\\040c rw - x x\n";
        let found = mount_points_below(text, Path::new("/s/local"));
        let found: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(found, ["/s/local/a c", "/s/local/a/b", "/s/local"]);
    }
}
