//! Storage for caches: the volume that the configuration names, and the classes that there are.

use k8s_openapi::api::storage::v1::StorageClass;
use skiff_compile::unfit_for_docker;
use skiff_kube::Cluster;
use skiff_schema::KubernetesConfig;

use super::{Finding, Verdict, told};
use crate::volumes::{VolumeLookup, find_volume};

const CHECK: &str = "cache storage";

/// Whether there is storage that can hold a cache.
pub(super) async fn caches(cluster: &Cluster, config: &KubernetesConfig) -> Finding {
    if let Some(name) = &config.docker.cache_volume {
        return of_volume(cluster, name).await;
    }
    let classes = match cluster.storage_classes().await {
        Ok(classes) => classes,
        Err(error) if error.is_forbidden() => {
            return Finding::new(CHECK, Verdict::Unknown, "you may not read storage classes");
        }
        Err(error) => return Finding::new(CHECK, Verdict::Unknown, told(&error)),
    };
    of_classes(&classes)
}

fn of_classes(classes: &[StorageClass]) -> Finding {
    let name = |class: &StorageClass| class.metadata.name.clone().unwrap_or_default();
    let (unfit, fit): (Vec<&StorageClass>, Vec<&StorageClass>) = classes
        .iter()
        .partition(|class| unfit_for_docker(&class.provisioner).is_some());
    let names = |classes: &[&StorageClass]| {
        let names = classes
            .iter()
            .map(|class| format!("{} ({})", name(class), class.provisioner));
        names.collect::<Vec<_>>().join(", ")
    };
    let besides = match unfit.as_slice() {
        [] => String::new(),
        unfit => format!("; not for caches, being over the network: {}", names(unfit)),
    };
    if fit.is_empty() {
        let reason = format!("no storage class can hold a cache{besides}");
        return Finding::new(CHECK, Verdict::Warning, reason)
            .fix("Docker works without `cache_volume`; for a cache that stays use one in a registry (`--cache-to`)");
    }
    Finding::new(
        CHECK,
        Verdict::Ok,
        format!("for `cache_volume`: {}{besides}", names(&fit)),
    )
}

async fn of_volume(cluster: &Cluster, name: &str) -> Finding {
    match find_volume(cluster, name).await {
        Err(error) => Finding::new(CHECK, Verdict::Unknown, told(&error)),
        Ok(VolumeLookup::Unknown) => {
            let reason =
                format!("you may not read claims, so nothing is known of the volume `{name}`");
            Finding::new(CHECK, Verdict::Unknown, reason)
        }
        Ok(VolumeLookup::Missing) => {
            let reason = format!("`cache_volume` names the volume `{name}`, and there is none");
            Finding::new(CHECK, Verdict::No, reason).fix(
                "`skiff volumes apply` makes it; `skiff volumes ls` lists those that there are",
            )
        }
        Ok(VolumeLookup::Found(claim)) => match claim.provisioner.as_deref() {
            None => Finding::new(
                CHECK,
                Verdict::Unknown,
                format!("nobody says what serves the volume `{name}`"),
            ),
            Some(provisioner) => match unfit_for_docker(provisioner) {
                Some(why) => Finding::new(
                    CHECK,
                    Verdict::No,
                    format!("the volume `{name}` is served by {provisioner}: {why}"),
                )
                .fix(
                    "use a volume on disks, such as a class of EBS, Persistent Disk or Azure Disk",
                ),
                None => Finding::new(
                    CHECK,
                    Verdict::Ok,
                    format!("the volume `{name}` is served by {provisioner}"),
                ),
            },
        },
    }
}
