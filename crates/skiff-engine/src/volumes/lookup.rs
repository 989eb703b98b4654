//! What a volume's name means: its claim, and what is known of it.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use skiff_compile::labels;
use skiff_kube::{ApiError, Cluster};

/// Annotations of a claim that say who provides its volume; the second is that of Kubernetes before 1.23.
const PROVISIONER: [&str; 2] = [
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
];

/// What was found of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeLookup {
    /// It is there.
    Found(VolumeClaim),
    /// There is none of this name: `skiff volumes apply` makes one.
    Missing,
    /// The user may not look: the claim is taken to have the volume's own name.
    Unknown,
}

/// The claim that a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeClaim {
    /// Its name in the namespace.
    pub claim: String,
    /// How many nodes may use it at once: `ReadWriteOnce`…
    pub access_modes: Vec<String>,
    /// Whether it is a file system; else a block device.
    pub is_filesystem: bool,
    /// What has become of it.
    pub phase: Phase,
    /// Its storage class; None: the cluster had no default when it was made, or it has none on purpose.
    pub storage_class: Option<String>,
    /// Who provides its storage: `ebs.csi.aws.com`; None: unknown.
    pub provisioner: Option<String>,
}

/// What has become of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No volume is bound to it, perhaps because no pod has used it yet.
    Pending,
    /// It has a volume.
    Bound,
    /// Its volume is gone.
    Lost,
    /// It is being deleted.
    Deleting,
}

/// Finds what a volume's name means in the namespace. What may not be read is unknown, not an error.
pub async fn find_volume(cluster: &Cluster, name: &str) -> Result<VolumeLookup, ApiError> {
    if !is_label(name) {
        return Ok(VolumeLookup::Missing);
    }
    let own = format!("{}={name}", labels::VOLUME);
    let claims = match cluster.list::<PersistentVolumeClaim>(&own).await {
        Ok(claims) => claims,
        Err(error) if error.is_forbidden() => return Ok(VolumeLookup::Unknown),
        Err(error) => return Err(error),
    };
    match claims.first() {
        Some(claim) => Ok(VolumeLookup::Found(describe(cluster, claim).await)),
        None => Ok(VolumeLookup::Missing),
    }
}

/// Whether a text can be the value of a label: no other one is asked for, since it might mean something to a selector.
fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=63).contains(&text.len()) && text.bytes().all(is_plain)
}

async fn describe(cluster: &Cluster, claim: &PersistentVolumeClaim) -> VolumeClaim {
    let spec = claim.spec.clone().unwrap_or_default();
    VolumeClaim {
        claim: claim.metadata.name.clone().unwrap_or_default(),
        is_filesystem: spec.volume_mode.as_deref() != Some("Block"),
        phase: Phase::of(claim),
        provisioner: provisioner(cluster, claim).await,
        access_modes: spec.access_modes.unwrap_or_default(),
        storage_class: spec.storage_class_name.filter(|name| !name.is_empty()),
    }
}

impl Phase {
    /// What the claim says.
    pub(super) fn of(claim: &PersistentVolumeClaim) -> Self {
        if claim.metadata.deletion_timestamp.is_some() {
            return Self::Deleting;
        }
        let phase = claim.status.as_ref().and_then(|it| it.phase.as_deref());
        match phase {
            Some("Bound") => Self::Bound,
            Some("Lost") => Self::Lost,
            _ => Self::Pending,
        }
    }
}

/// Who provides a claim's storage: as the claim itself says once it has a volume, else as its class or its volume does.
async fn provisioner(cluster: &Cluster, claim: &PersistentVolumeClaim) -> Option<String> {
    let annotations = claim.metadata.annotations.as_ref();
    let written = PROVISIONER.iter().find_map(|key| annotations?.get(*key));
    if let Some(written) = written {
        return Some(written.clone());
    }
    let spec = claim.spec.as_ref()?;
    let volume = spec.volume_name.as_deref().filter(|name| !name.is_empty());
    if let Some(volume) = volume {
        let volume = cluster.persistent_volume(volume).await.ok().flatten()?;
        return driver(&volume);
    }
    let class = spec.storage_class_name.as_deref();
    let class = class.filter(|name| !name.is_empty())?;
    let class = cluster.storage_class(class).await.ok().flatten()?;
    Some(class.provisioner)
}

/// Who serves a volume that somebody made by hand.
fn driver(volume: &PersistentVolume) -> Option<String> {
    let spec = volume.spec.as_ref()?;
    if let Some(csi) = &spec.csi {
        return Some(csi.driver.clone());
    }
    let in_tree = [
        (spec.nfs.is_some(), "kubernetes.io/nfs"),
        (spec.cephfs.is_some(), "kubernetes.io/cephfs"),
        (spec.azure_file.is_some(), "kubernetes.io/azure-file"),
        (spec.glusterfs.is_some(), "kubernetes.io/glusterfs"),
        (spec.host_path.is_some(), "kubernetes.io/host-path"),
        (spec.local.is_some(), "kubernetes.io/local-volume"),
    ];
    let named = in_tree.iter().find(|(is_it, _)| *is_it);
    named.map(|(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn volume(spec: &Value) -> PersistentVolume {
        serde_json::from_value(json!({ "spec": spec })).expect("a volume")
    }

    #[test]
    fn volumes_made_by_hand_tell_who_serves_them() {
        let csi = json!({ "csi": { "driver": "efs.csi.aws.com", "volumeHandle": "fs-1" } });
        assert_eq!(driver(&volume(&csi)).as_deref(), Some("efs.csi.aws.com"));
        let nfs = json!({ "nfs": { "server": "10.0.0.1", "path": "/export" } });
        assert_eq!(driver(&volume(&nfs)).as_deref(), Some("kubernetes.io/nfs"));
        assert_eq!(driver(&volume(&json!({}))), None);
    }

    #[test]
    fn a_claim_that_is_being_deleted_is_no_more_there_to_use() {
        let claim = serde_json::from_value(json!({
            "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" },
            "status": { "phase": "Bound" },
        }));
        assert_eq!(Phase::of(&claim.expect("a claim")), Phase::Deleting);
    }
}
