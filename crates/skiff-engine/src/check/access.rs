//! What the user may do, and what the namespace admits.

use std::collections::BTreeMap;

use futures::future::join_all;
use skiff_compile::{ClusterFacts, Version};
use skiff_kube::{ApiError, Cluster};
use skiff_schema::KubernetesConfig;

use super::{Finding, Verdict, told};

/// What every launch does.
const NEEDED: [(&str, &[&str]); 3] = [
    ("pods", &["create", "get", "list", "watch", "delete"]),
    ("pods/exec", &["create", "get"]),
    ("secrets", &["create", "get", "list", "patch", "delete"]),
];
/// What tells why something does not start.
const HELPFUL: [(&str, &[&str]); 1] = [("events", &["list", "watch"])];
/// What caches on volumes need.
const FOR_VOLUMES: [(&str, &[&str]); 1] = [("persistentvolumeclaims", &["get", "list"])];
/// Pod Security is in every API server from here on.
const POD_SECURITY: Version = Version::v1(23);
/// The namespace's label that says what pods it admits.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Whether the user may do what launches with Docker do.
pub(super) async fn rights(cluster: &Cluster, config: &KubernetesConfig) -> Finding {
    let mut needed = NEEDED.to_vec();
    if config.docker.cache_volume.is_some() {
        needed.extend(FOR_VOLUMES);
    }
    let (lacking, missed) = futures::join!(lacking(cluster, &needed), lacking(cluster, &HELPFUL));
    let names = needed.iter().map(|(resource, _)| *resource);
    let names: Vec<&str> = names.collect();
    match (lacking, missed) {
        (Err(error), _) | (_, Err(error)) => Finding::new("rights", Verdict::Unknown, told(&error)),
        (Ok(lacking), _) if !lacking.is_empty() => {
            let reason = format!("you may not {}", lacking.join(", "));
            Finding::new("rights", Verdict::No, reason).fix(
                "ask the cluster's administrator for all verbs on pods, pods/exec, services and secrets in this namespace",
            )
        }
        (Ok(_), Ok(missed)) if !missed.is_empty() => {
            let reason = format!("you may not {}", missed.join(", "));
            Finding::new("rights", Verdict::Warning, reason)
                .fix("without events nobody can say why a pod does not start: ask for get, list and watch on them")
        }
        (Ok(_), Ok(_)) => Finding::new(
            "rights",
            Verdict::Ok,
            format!("all that launches need: {}", names.join(", ")),
        ),
    }
}

/// What of some rights the user has not: `create pods`.
async fn lacking(
    cluster: &Cluster,
    rights: &[(&'static str, &'static [&'static str])],
) -> Result<Vec<String>, ApiError> {
    let each = rights
        .iter()
        .flat_map(|(resource, verbs)| verbs.iter().map(|verb| (*resource, *verb)));
    let asked = join_all(each.map(async |(resource, verb)| {
        let may = cluster.may(verb, resource).await?;
        Ok((!may).then(|| format!("{verb} {resource}")))
    }));
    let lacking: Result<Vec<Option<String>>, ApiError> = asked.await.into_iter().collect();
    Ok(lacking?.into_iter().flatten().collect())
}

/// What the labels of the namespace say of pods. The dry run says what holds; this says who decides it.
pub(super) fn pod_security(
    cluster: &Cluster,
    facts: &ClusterFacts,
    labels: Result<BTreeMap<String, String>, ApiError>,
) -> Finding {
    let finding = |verdict, reason: String| Finding::new("namespace", verdict, reason);
    let namespace = &cluster.namespace;
    if facts.server < POD_SECURITY {
        let reason = format!("Kubernetes {} has no Pod Security by labels", facts.server);
        return finding(Verdict::Ok, reason);
    }
    match labels {
        Err(error) if error.is_forbidden() => {
            let reason = format!("you may not read the labels of namespace {namespace}");
            finding(Verdict::Unknown, reason)
        }
        Err(error) => finding(Verdict::Unknown, told(&error)),
        Ok(labels) => match labels.get(ENFORCE).map(String::as_str) {
            Some(level @ ("baseline" | "restricted")) => {
                let reason = format!(
                    "Pod Security enforces `{level}` in {namespace}, which forbids privileged containers and unconfined profiles"
                );
                // Users, namespaces and runtime classes may be exempt: the dry run decides.
                finding(Verdict::Warning, reason).fix(format!(
                    "the administrator can allow both modes: `kubectl label namespace {namespace} {ENFORCE}=privileged --overwrite`"
                ))
            }
            Some(level) => finding(
                Verdict::Ok,
                format!("Pod Security enforces `{level}` in {namespace}"),
            ),
            None => {
                let reason =
                    format!("no label of {namespace} limits pods; the cluster's own default holds");
                finding(Verdict::Ok, reason)
            }
        },
    }
}
