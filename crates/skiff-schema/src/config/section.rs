//! The `kubernetes` section as values.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::docker::DockerConfig;
use crate::kubernetes::{ImagePullPolicy, ProvisionTimeout};
use crate::pod_config::PodConfig;
use crate::resources::{disk_size, parse_image};
use crate::view::View;
use crate::yaml::{Node, Value};

use super::docker_notations::sidecar_image;
use super::pattern::fits;
use super::{docker, notations};

pub(super) const TASK_IMAGE: &str = "mcr.microsoft.com/devcontainers/python:3.2.6-3.12-bookworm";
pub(super) const TASK_GPU_IMAGE: &str = "runpod/pytorch:1.0.3-cu1281-torch291-ubuntu2404";
pub(super) const DOCKER_IMAGE: &str = "docker:29.3.1-dind";
pub(super) const BUILDKIT_IMAGE: &str = "moby/buildkit:v0.28.0-rootless";
pub(super) const PAUSE_IMAGE: &str = "registry.k8s.io/pause:3.10.1";

/// The images that Skiff itself chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// Of CPU tasks that name none: Debian with `python3`, `git`, `curl`, `rsync` and `gcc`.
    pub task: String,
    /// Of GPU tasks that name none: the same with CUDA and `PyTorch`.
    pub task_gpu: String,
    /// Of the Docker sidecar.
    pub docker: String,
    /// Of the `BuildKit` sidecar.
    pub buildkit: String,
    /// Of pods that only hold something.
    pub pause: String,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            task: TASK_IMAGE.to_owned(),
            task_gpu: TASK_GPU_IMAGE.to_owned(),
            docker: DOCKER_IMAGE.to_owned(),
            buildkit: BUILDKIT_IMAGE.to_owned(),
            pause: PAUSE_IMAGE.to_owned(),
        }
    }
}

/// The `kubernetes` section as it stands for one context.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KubernetesConfig {
    /// The namespace; None is the kubeconfig's.
    pub namespace: Option<String>,
    /// Images by role.
    pub images: Images,
    /// None is `IfNotPresent`.
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Docker for the task.
    pub docker: DockerConfig,
    /// None leaves it to the engine.
    pub provision_timeout: Option<ProvisionTimeout>,
    /// What the user changes of the pods.
    pub pod_config: PodConfig,
    /// Labels and annotations of everything that is created.
    pub custom_metadata: CustomMetadata,
    /// Limits of CPU and memory as thousandths of what is requested; None sets none.
    pub limits_milli: Option<u64>,
    /// The service account whose token the pods get; None: no token.
    pub service_account: Option<String>,
    /// The nodes that pods may run on; None: all.
    pub allowed_nodes: Option<AllowedNodes>,
    /// The volumes that the nodes' homes are on; None: they go with the pods.
    pub home_volume: Option<HomeVolume>,
    /// An image with a shell that puts the agent in place, for task images that have none.
    pub agent_image: Option<String>,
}

/// The volume of each node's home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeVolume {
    /// Its size.
    pub bytes: u64,
    /// Its storage class; None is the cluster's default.
    pub storage_class: Option<String>,
    /// Where the image's user is at home; None: at `/root`.
    pub mount_path: Option<String>,
}

/// Labels and annotations of the user's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomMetadata {
    /// Labels.
    pub labels: IndexMap<String, String>,
    /// Annotations.
    pub annotations: IndexMap<String, String>,
}

/// Nodes that pods may run on: those that any entry of any of these names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedNodes {
    /// Labels, of which a node has at least one.
    pub label_selector: IndexMap<String, String>,
    /// Names.
    pub names: Vec<String>,
    /// Addresses.
    pub ips: Vec<String>,
}

impl KubernetesConfig {
    /// Reads a section that was checked and merged for a context.
    pub(super) fn read(section: &Node, context: Option<&str>) -> Self {
        let fields = View::of(section);
        let metadata = fields.view("custom_metadata");
        Self {
            namespace: fields.text("namespace").map(str::to_owned),
            images: Images::read(fields.view("images")),
            image_pull_policy: fields
                .text("image_pull_policy")
                .and_then(ImagePullPolicy::parse),
            docker: docker::read(fields),
            provision_timeout: fields.integer("provision_timeout").map(provision_timeout),
            pod_config: fields
                .get("pod_config")
                .cloned()
                .map(PodConfig::new)
                .unwrap_or_default(),
            custom_metadata: CustomMetadata {
                labels: texts_by_name(metadata.view("labels")),
                annotations: texts_by_name(metadata.view("annotations")),
            },
            limits_milli: fields
                .scalar("set_pod_resource_limits")
                .and_then(|text| notations::limits(&text).ok()?),
            service_account: fields
                .get("remote_identity")
                .and_then(|node| service_account(node, context)),
            allowed_nodes: AllowedNodes::read(fields.view("allowed_nodes")),
            home_volume: HomeVolume::read(fields.view("home_volume")),
            agent_image: image(fields.view("agent"), "image"),
        }
    }
}

impl HomeVolume {
    fn read(fields: View<'_>) -> Option<Self> {
        let size = fields.scalar("size")?;
        Some(Self {
            bytes: disk_size(&size).ok()?,
            storage_class: fields.text("storage_class").map(str::to_owned),
            mount_path: fields.text("mount_path").map(str::to_owned),
        })
    }
}

impl Images {
    fn read(fields: View<'_>) -> Self {
        let default = Self::default();
        let of = |name: &str, default: String| image(fields, name).unwrap_or(default);
        Self {
            task: of("task", default.task),
            task_gpu: of("task_gpu", default.task_gpu),
            docker: fields
                .text("docker")
                .and_then(|image| sidecar_image(image).ok())
                .map_or(default.docker, str::to_owned),
            buildkit: of("buildkit", default.buildkit),
            pause: of("pause", default.pause),
        }
    }
}

impl AllowedNodes {
    /// What is written; None where that names no node at all.
    fn read(fields: View<'_>) -> Option<Self> {
        let nodes = Self {
            label_selector: texts_by_name(fields.view("label_selector")),
            names: texts(fields, "names"),
            ips: texts(fields, "ips"),
        };
        (nodes != Self::default()).then_some(nodes)
    }
}

fn image(fields: View<'_>, name: &str) -> Option<String> {
    let image = parse_image(fields.text(name)?).ok()?;
    Some(image.to_owned())
}

fn provision_timeout(seconds: i64) -> ProvisionTimeout {
    u64::try_from(seconds).map_or(ProvisionTimeout::Forever, |seconds| {
        ProvisionTimeout::After(Duration::from_secs(seconds))
    })
}

/// The account of the first pattern that fits the context, or of all contexts.
fn service_account(node: &Node, context: Option<&str>) -> Option<String> {
    let name = match &node.value {
        Value::String(name) => name,
        Value::Mapping(entries) => {
            let fits = |pattern: &str| fits(pattern, context.unwrap_or_default());
            let entry = entries
                .iter()
                .find(|entry| fits(&entry.key.value.to_python_string()))?;
            match &entry.value.value {
                Value::String(name) => name,
                _ => return None,
            }
        }
        _ => return None,
    };
    (!notations::is_keyword(name)).then(|| name.clone())
}

/// The items of a list that hold something.
pub(super) fn nodes<'a>(fields: View<'a>, name: &str) -> impl Iterator<Item = &'a Node> {
    let items = match fields.get(name).map(|node| &node.value) {
        Some(Value::Sequence(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter(|item| item.value != Value::Null)
}

pub(super) fn texts(fields: View<'_>, name: &str) -> Vec<String> {
    let written = nodes(fields, name);
    written.map(|item| item.value.to_python_string()).collect()
}

fn texts_by_name(fields: View<'_>) -> IndexMap<String, String> {
    let entries = fields.entries().iter();
    let written = entries.filter(|entry| entry.value.value != Value::Null);
    let texts = written.map(|entry| (&entry.key.value, &entry.value.value));
    texts
        .map(|(name, text)| (name.to_python_string(), text.to_python_string()))
        .collect()
}
