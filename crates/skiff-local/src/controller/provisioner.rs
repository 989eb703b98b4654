//! Does what [`super::volumes`] decides: folders on the disk, volumes and events in Kubernetes.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, path::PathBuf};

use futures::future::join4;
use k8s_openapi::{
    api::{
        core::v1::{
            Event as KubernetesEvent, EventSource, PersistentVolume, PersistentVolumeClaim,
        },
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, PostParams},
};
use std::time::Duration;
use tokio::{sync::Notify, task::spawn_blocking, time::timeout};

use super::{
    Log, NAME,
    mirror::Mirror,
    volumes::{Effect, Event, Objects, Volumes, forgotten},
};
use crate::{
    cluster::Cluster,
    file::{self, FileError},
};

/// Everybody may write, whatever user a container runs as; the parents are closed to others.
const MODE: u32 = 0o777;
/// Pause before what failed is tried again, unless something changes before.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Provides volumes for ever.
pub(super) async fn run(cluster: &Cluster, client: Client, log: Log<'_>) {
    let changed = Notify::new();
    let (claims, watch_claims) =
        Mirror::<PersistentVolumeClaim>::new(Api::all(client.clone()), &changed, log);
    let (volumes, watch_volumes) =
        Mirror::<PersistentVolume>::new(Api::all(client.clone()), &changed, log);
    let (classes, watch_classes) =
        Mirror::<StorageClass>::new(Api::all(client.clone()), &changed, log);
    let provisioner = Provisioner { client, log };
    let nodes: BTreeMap<String, PathBuf> = cluster
        .nodes()
        .into_iter()
        .map(|node| (node.files.name.clone(), node.files.volumes()))
        .collect();
    let work = async {
        let see = async || Objects {
            claims: claims.objects().await,
            volumes: volumes.objects().await,
            classes: classes.objects().await,
        };
        provisioner.tidy(nodes.values(), &see().await);
        let mut state = Volumes::new(nodes);
        loop {
            let failed;
            (state, failed) = provisioner.handle(state, Event::Seen(see().await)).await;
            if failed {
                let _ = timeout(TRY_AGAIN, changed.notified()).await;
            } else {
                changed.notified().await;
            }
        }
    };
    let _: ((), (), (), ()) = join4(work, watch_claims, watch_volumes, watch_classes).await;
}

struct Provisioner<'a> {
    client: Client,
    log: Log<'a>,
}

/// Something that was to be done could not be done.
#[derive(Debug, thiserror::Error)]
enum EffectError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
}

impl Provisioner<'_> {
    /// Removes what a provisioner left behind that was killed between a folder and its volume: such a
    /// folder is empty. One that is not belongs to a volume that was to be kept.
    fn tidy<'n>(&self, nodes: impl Iterator<Item = &'n PathBuf>, objects: &Objects) {
        let entries = nodes.flat_map(|node| fs::read_dir(node).into_iter().flatten().flatten());
        let folders = entries.map(|entry| entry.path()).collect();
        for folder in forgotten(folders, objects) {
            if let Err(error) = file::remove_if_empty(&folder) {
                (self.log)(&told(&error));
            }
        }
    }

    /// Takes a step and does what follows from it. True where something failed.
    async fn handle(&self, state: Volumes, event: Event) -> (Volumes, bool) {
        let (mut state, effects) = state.step(event);
        let mut failed = false;
        for effect in effects {
            let Err(error) = self.carry_out(&effect).await else {
                continue;
            };
            failed = true;
            let reason = told(&error);
            (self.log)(&reason);
            if let Effect::Provision(claim, _) = effect {
                let more;
                (state, more) = state.step(Event::Failed(claim, reason));
                for effect in more {
                    if let Err(error) = self.carry_out(&effect).await {
                        (self.log)(&told(&error));
                    }
                }
            }
        }
        (state, failed)
    }

    async fn carry_out(&self, effect: &Effect) -> Result<(), EffectError> {
        match effect {
            Effect::Provision(claim, volume) => self.provision(claim, volume).await,
            Effect::Reclaim { volume, folder } => self.reclaim(volume, folder.clone()).await,
            Effect::Tell(claim, reason) => {
                self.event(claim, "Warning", "ProvisioningFailed", reason)
                    .await
            }
        }
    }

    async fn provision(
        &self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
    ) -> Result<(), EffectError> {
        let source = volume
            .spec
            .as_ref()
            .and_then(|spec| spec.host_path.as_ref());
        let folder = Path::new(source.map_or("/", |source| &source.path));
        make_open_folder(folder)?;
        let api = Api::<PersistentVolume>::all(self.client.clone());
        match api.create(&PostParams::default(), volume).await {
            Ok(_) => {}
            // The mirror had not heard of it yet.
            Err(kube::Error::Api(status)) if status.is_already_exists() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let name = volume.name_any();
        (self.log)(&format!("made {} for {}", folder.display(), title(claim)));
        let said = format!("made volume {name}");
        self.event(claim, "Normal", "ProvisioningSucceeded", &said)
            .await
    }

    async fn reclaim(&self, volume: &str, folder: PathBuf) -> Result<(), EffectError> {
        let name = folder.display().to_string();
        // Large trees take long, and others wait for their volumes on the same thread.
        let removed = spawn_blocking(move || file::remove(&folder)).await;
        removed.unwrap_or(Ok(()))?;
        let api = Api::<PersistentVolume>::all(self.client.clone());
        match api.delete(volume, &DeleteParams::default()).await {
            Ok(_) => (self.log)(&format!("removed {name}")),
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Writes an event about a claim. That one cannot be written changes nothing else.
    async fn event(
        &self,
        claim: &PersistentVolumeClaim,
        kind: &str,
        reason: &str,
        message: &str,
    ) -> Result<(), EffectError> {
        let now = Time(Timestamp::now());
        let namespace = claim.namespace().unwrap_or_default();
        let event = KubernetesEvent {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}.", claim.name_any())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: claim.object_ref(&()),
            type_: Some(kind.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            source: Some(EventSource {
                component: Some(NAME.to_owned()),
                host: None,
            }),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..KubernetesEvent::default()
        };
        let api = Api::<KubernetesEvent>::namespaced(self.client.clone(), &namespace);
        api.create(&PostParams::default(), &event).await?;
        Ok(())
    }
}

fn make_open_folder(folder: &Path) -> Result<(), FileError> {
    file::make_folder(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(MODE))
        .map_err(FileError::at("open to all", folder))
}

fn title(claim: &PersistentVolumeClaim) -> String {
    format!(
        "{}/{}",
        claim.namespace().unwrap_or_default(),
        claim.name_any()
    )
}

/// An error with what caused it, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_open_to_every_user_and_its_parents_are_not() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("volumes/pvc-1");
        make_open_folder(&folder).unwrap();
        make_open_folder(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode(&folder), mode(folder.parent().unwrap())),
            (0o777, 0o700)
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_with_its_cause() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("volumes"), "a file").unwrap();
        let error = make_open_folder(&home.path().join("volumes/pvc-1")).unwrap_err();
        let text = told(&error);
        assert!(
            text.starts_with("cannot make folder") && text.ends_with("(os error 20)"),
            "{text}"
        );
    }
}
