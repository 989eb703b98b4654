//! What is to be done about all claims and volumes, decided anew from the whole state each time.
//!
//! Pure. Nothing is remembered but what claims have been told, so that no event is written twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};

use super::{
    claim::{self, PROVISIONED_BY, Verdict},
    rights::PROVISIONER,
};

/// What the API server shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    pub(super) claims: Vec<Arc<PersistentVolumeClaim>>,
    pub(super) volumes: Vec<Arc<PersistentVolume>>,
    pub(super) classes: Vec<Arc<StorageClass>>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// The objects are as follows now.
    Seen(Objects),
    /// A volume could not be made for a claim.
    Failed(Arc<PersistentVolumeClaim>, String),
}

/// Something to do. Each may be done again without harm.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// Make the folder, then the volume.
    Provision(Arc<PersistentVolumeClaim>, Box<PersistentVolume>),
    /// Remove the folder, then the volume.
    Reclaim { volume: String, folder: PathBuf },
    /// Write an event that says why a claim has no volume.
    Tell(Arc<PersistentVolumeClaim>, String),
}

/// The decisions, with what they depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volumes {
    /// The folder for each node's volumes, by the node's name.
    nodes: BTreeMap<String, PathBuf>,
    /// What was last told about a claim, by its uid.
    told: BTreeMap<String, String>,
}

impl Volumes {
    pub(super) fn new(nodes: BTreeMap<String, PathBuf>) -> Self {
        let told = BTreeMap::new();
        Self { nodes, told }
    }

    /// Decides.
    pub(super) fn step(mut self, event: Event) -> (Self, Vec<Effect>) {
        let effects = match event {
            Event::Seen(objects) => self.seen(&objects),
            Event::Failed(claim, reason) => self.tell(&claim, reason).into_iter().collect(),
        };
        (self, effects)
    }

    fn seen(&mut self, objects: &Objects) -> Vec<Effect> {
        let uids: BTreeSet<&str> = objects.claims.iter().map(|claim| uid(claim)).collect();
        self.told.retain(|claim, _| uids.contains(claim.as_str()));
        let names = objects
            .volumes
            .iter()
            .filter_map(|volume| volume.metadata.name.as_ref());
        let names: BTreeSet<&String> = names.collect();
        let mut effects: Vec<Effect> = objects
            .volumes
            .iter()
            .filter_map(|volume| self.reclaimed(volume))
            .collect();
        for claim in &objects.claims {
            if claim::volume_name(claim).is_none_or(|name| names.contains(&name)) {
                continue;
            }
            let class = |name: &str| {
                let mut classes = objects.classes.iter();
                let class = classes.find(|class| class.metadata.name.as_deref() == Some(name))?;
                Some(StorageClass::clone(class))
            };
            match claim::judge(claim, class, &self.nodes) {
                Verdict::Leave => {}
                Verdict::Provision(volume) => {
                    effects.push(Effect::Provision(claim.clone(), volume));
                }
                Verdict::Refuse(refusal) => effects.extend(self.tell(claim, refusal.to_string())),
            }
        }
        effects
    }

    /// A volume whose claim is gone and whose content is to go with it. The folder is this
    /// provisioner's own: a volume that names another, whoever wrote it, is not touched.
    fn reclaimed(&self, volume: &PersistentVolume) -> Option<Effect> {
        let annotations = volume.metadata.annotations.as_ref()?;
        let spec = volume.spec.as_ref()?;
        let released = volume.status.as_ref()?.phase.as_deref() == Some("Released");
        let deleted = spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete");
        if !released || !deleted || annotations.get(PROVISIONED_BY)? != PROVISIONER {
            return None;
        }
        let name = volume.metadata.name.clone()?;
        let path = Path::new(&spec.host_path.as_ref()?.path);
        let own = self.nodes.values().map(|folder| folder.join(&name));
        let folder = own.into_iter().find(|folder| folder == path)?;
        name.starts_with("pvc-").then_some(Effect::Reclaim {
            volume: name,
            folder,
        })
    }

    fn tell(&mut self, claim: &Arc<PersistentVolumeClaim>, reason: String) -> Option<Effect> {
        let before = self.told.insert(uid(claim).to_owned(), reason.clone());
        (before.as_ref() != Some(&reason)).then(|| Effect::Tell(claim.clone(), reason))
    }
}

fn uid(claim: &PersistentVolumeClaim) -> &str {
    claim.metadata.uid.as_deref().unwrap_or_default()
}

/// The folders that no claim and no volume knows: left by a provisioner that was killed in between.
pub(super) fn forgotten(folders: Vec<PathBuf>, objects: &Objects) -> Vec<PathBuf> {
    let volumes = objects
        .volumes
        .iter()
        .filter_map(|volume| volume.metadata.name.clone());
    let claims = objects
        .claims
        .iter()
        .filter_map(|claim| claim::volume_name(claim));
    let known: BTreeSet<String> = volumes.chain(claims).collect();
    let is_known = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with("pvc-") || known.contains(&*name)
    };
    folders
        .into_iter()
        .filter(|folder| !is_known(folder))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::claim::tests::{claim, class, merge, nodes},
        *,
    };

    fn objects(claim_changes: &Value, volumes: &[Value]) -> Objects {
        let volume = |value: &Value| Arc::new(serde_json::from_value(value.clone()).unwrap());
        Objects {
            claims: vec![Arc::new(claim(claim_changes))],
            volumes: volumes.iter().map(volume).collect(),
            classes: vec![Arc::new(class("standard").unwrap())],
        }
    }

    fn released(changes: &Value) -> Value {
        let mut volume = json!({
            "metadata": {"name": "pvc-u-9", "annotations": {PROVISIONED_BY: PROVISIONER}},
            "spec": {
                "persistentVolumeReclaimPolicy": "Delete",
                "hostPath": {"path": "/s/nodes/1/volumes/pvc-u-9"},
            },
            "status": {"phase": "Released"},
        });
        merge(&mut volume, changes);
        volume
    }

    fn effects(objects: Objects) -> Vec<Effect> {
        Volumes::new(nodes()).step(Event::Seen(objects)).1
    }

    #[test]
    fn a_waiting_claim_gets_a_volume_until_there_is_one() {
        let found = effects(objects(&json!({}), &[]));
        assert!(
            matches!(found.as_slice(), [Effect::Provision(_, _)]),
            "{found:?}"
        );
        let made = json!({"metadata": {"name": "pvc-u-1"}});
        assert_eq!(effects(objects(&json!({}), &[made])), []);
    }

    #[test]
    fn a_released_volume_goes_with_its_folder() {
        let bound = json!({"spec": {"volumeName": "x"}});
        let expected = Effect::Reclaim {
            volume: "pvc-u-9".to_owned(),
            folder: "/s/nodes/1/volumes/pvc-u-9".into(),
        };
        assert_eq!(
            effects(objects(&bound, &[released(&json!({}))])),
            [expected]
        );
    }

    #[test]
    fn a_volume_that_is_kept_or_not_its_own_is_not_touched() {
        let bound = json!({"spec": {"volumeName": "x"}});
        for changes in [
            json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}),
            json!({"status": {"phase": "Bound"}}),
            json!({"metadata": {"annotations": {PROVISIONED_BY: "example.com/other"}}}),
            json!({"spec": {"hostPath": {"path": "/etc"}}}),
            json!({"spec": {"hostPath": {"path": "/s/nodes/1/volumes/../../pvc-u-9"}}}),
            json!({"metadata": {"name": ".."}, "spec": {"hostPath": {"path": "/s/nodes/1/volumes/.."}}}),
        ] {
            let found = effects(objects(&bound, &[released(&changes)]));
            assert_eq!(found, [], "{changes}");
        }
    }

    #[test]
    fn a_refusal_is_told_once_until_the_claim_is_another() {
        let block = json!({"spec": {"volumeMode": "Block"}});
        let seen = || Event::Seen(objects(&block, &[]));
        let (volumes, first) = Volumes::new(nodes()).step(seen());
        assert!(
            matches!(first.as_slice(), [Effect::Tell(_, _)]),
            "{first:?}"
        );
        let (volumes, again) = volumes.step(seen());
        assert_eq!(again, []);
        let (volumes, _) = volumes.step(Event::Seen(Objects::default()));
        assert_eq!(volumes, Volumes::new(nodes()));
    }

    #[test]
    fn a_failure_is_told_and_tried_again() {
        let objects = objects(&json!({}), &[]);
        let failed = Event::Failed(objects.claims[0].clone(), "disk full".to_owned());
        let (volumes, told) = Volumes::new(nodes()).step(failed.clone());
        assert!(matches!(told.as_slice(), [Effect::Tell(_, reason)] if reason == "disk full"));
        let (volumes, again) = volumes.step(Event::Seen(objects));
        assert!(matches!(again.as_slice(), [Effect::Provision(_, _)]));
        assert_eq!(volumes.step(failed).1, []);
    }

    #[test]
    fn only_folders_of_nobody_are_forgotten() {
        let objects = objects(&json!({}), &[released(&json!({}))]);
        let folder = |name: &str| PathBuf::from("/s/nodes/1/volumes").join(name);
        let all = ["pvc-u-1", "pvc-u-9", "pvc-u-2", "mine"]
            .map(folder)
            .to_vec();
        assert_eq!(forgotten(all, &objects), [folder("pvc-u-2")]);
    }
}
