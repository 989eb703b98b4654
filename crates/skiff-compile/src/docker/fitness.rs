//! Which storage can hold the data of Docker and of builders.

/// Words of provisioners whose storage no daemon can work on, and why.
const UNFIT: [(&[&str], &str); 4] = [
    (
        &["nfs", "efs", "filestore"],
        "it is NFS, on which neither overlay file systems nor owners of files work",
    ),
    (
        &["cephfs", "glusterfs", "lustre", "fsx", "juicefs"],
        "it is a file system over the network, on which no overlay file system can be",
    ),
    (
        &["azurefile", "smb", "cifs"],
        "it is SMB, on which neither overlay file systems nor owners of files work",
    ),
    (
        &["s3", "gcsfuse", "blobfuse"],
        "it is a bucket, on which no overlay file system can be",
    ),
];

/// Why the storage of a provisioner cannot hold a cache of Docker; None: nothing is known against it.
pub fn unfit_for_docker(provisioner: &str) -> Option<&'static str> {
    let name = provisioner.to_ascii_lowercase();
    let name = name
        .replace("file.csi.azure.com", "azurefile")
        .replace("azure-file", "azurefile");
    let mut words = name.split(|char: char| !char.is_ascii_alphanumeric());
    words.find_map(|word| {
        let is_it = |known: &&str| *known == word || (*known == "nfs" && word.contains("nfs"));
        let why = UNFIT.iter().find(|(words, _)| words.iter().any(is_it));
        why.map(|(_, why)| *why)
    })
}

/// Why a provisioner makes no block devices; None: nothing is known against it.
pub(super) fn makes_no_disks(provisioner: &str) -> Option<&'static str> {
    const FOLDERS: [&str; 4] = ["host-path", "hostpath", "local-path", "minikube-hostpath"];
    if unfit_for_docker(provisioner).is_some() {
        return Some("its storage is shared files");
    }
    let (_, name) = provisioner.rsplit_once('/')?;
    FOLDERS
        .contains(&name)
        .then_some("it makes folders of a node")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_shared_files_are_no_disks() {
        for folder in [
            "skiff.dev/host-path",
            "rancher.io/local-path",
            "k8s.io/minikube-hostpath",
            "nfs.csi.k8s.io",
        ] {
            assert!(makes_no_disks(folder).is_some(), "{folder}");
        }
        for disk in [
            "ebs.csi.aws.com",
            "kubernetes.io/gce-pd",
            "topolvm.io",
            "hostpath.csi.k8s.io",
        ] {
            assert_eq!(makes_no_disks(disk), None, "{disk}");
        }
    }

    #[test]
    fn storage_over_the_network_is_known_and_disks_are_not_blamed() {
        for unfit in [
            "efs.csi.aws.com",
            "filestore.csi.storage.gke.io",
            "rook-ceph.cephfs.csi.ceph.com",
            "file.csi.azure.com",
            "kubernetes.io/azure-file",
            "smb.csi.k8s.io",
            "nfs.csi.k8s.io",
            "openebs.io/nfsrwx",
            "cluster.local/nfs-subdir-external-provisioner",
            "fsx.csi.aws.com",
        ] {
            assert!(unfit_for_docker(unfit).is_some(), "{unfit}");
        }
        for fit in [
            "ebs.csi.aws.com",
            "pd.csi.storage.gke.io",
            "disk.csi.azure.com",
            "rook-ceph.rbd.csi.ceph.com",
            "rancher.io/local-path",
            "skiff.dev/host-path",
        ] {
            assert_eq!(unfit_for_docker(fit), None, "{fit}");
        }
    }
}
