//! The configuration: layers of files, merged, then looked at for one context.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::faults::{Fault, Faults};
use crate::fields::{self, Field, Fields, Vocabulary};
use crate::kubernetes::{self, DockerMode, ImagePullPolicy, ProvisionTimeout};
use crate::pod_config::PodConfig;
use crate::resources::parse_image;
use crate::source::{Source, Span};
use crate::task::TaskConfig;
use crate::yaml::{self, Value};

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
            task: "mcr.microsoft.com/devcontainers/python:3.2.6-3.12-bookworm".to_owned(),
            task_gpu: "runpod/pytorch:1.0.3-cu1281-torch291-ubuntu2404".to_owned(),
            docker: "docker:29.3.1-dind".to_owned(),
            buildkit: "moby/buildkit:v0.28.0-rootless".to_owned(),
            pause: "registry.k8s.io/pause:3.10.1".to_owned(),
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
    pub enable_docker: DockerMode,
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
    /// An image with a shell that puts the agent in place, for task images that have none.
    pub agent_image: Option<String>,
}

/// Labels and annotations of the user's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomMetadata {
    /// Labels.
    pub labels: IndexMap<String, String>,
    /// Annotations.
    pub annotations: IndexMap<String, String>,
}

/// Nodes that pods may run on: those that any of these names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedNodes {
    /// Labels, all of which a node has.
    pub label_selector: IndexMap<String, String>,
    /// Names.
    pub names: Vec<String>,
    /// Internal addresses.
    pub ips: Vec<String>,
}

/// Something in a file that was understood but changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    span: Span,
    /// One fragment for the user, with file and line.
    pub message: String,
}

/// One file of configuration.
#[derive(Clone, Debug, Default)]
pub struct ConfigLayer {
    kubernetes: Section,
    contexts: IndexMap<String, Section>,
    /// Keys that this version does not act on.
    pub warnings: Vec<Warning>,
}

/// All layers merged.
#[derive(Clone, Debug, Default)]
pub struct Config {
    kubernetes: Section,
    contexts: IndexMap<String, Section>,
}

/// What a `kubernetes` section says; None is what it does not speak of.
#[derive(Clone, Debug, Default)]
struct Section {
    namespace: Option<String>,
    task: Option<String>,
    task_gpu: Option<String>,
    docker: Option<String>,
    buildkit: Option<String>,
    pause: Option<String>,
    image_pull_policy: Option<ImagePullPolicy>,
    enable_docker: Option<DockerMode>,
    provision_timeout: Option<ProvisionTimeout>,
}

const VOCABULARY: Vocabulary = Vocabulary {
    known: &["kubernetes"],
    unsupported: &[
        "active_workspace",
        "admin_policy",
        "allowed_clouds",
        "api_server",
        "auth",
        "aws",
        "azure",
        "cudo",
        "daemons",
        "dashboard",
        "data",
        "db",
        "docker",
        "gcp",
        "hyperbolic",
        "ibm",
        "jobs",
        "lambda",
        "logs",
        "metrics",
        "nebius",
        "nvidia_gpus",
        "oci",
        "primeintellect",
        "provision",
        "rbac",
        "runpod",
        "serve",
        "slurm",
        "ssh",
        "vast",
        "vsphere",
        "workspaces",
    ],
    ignored: &[],
};

const KUBERNETES_VOCABULARY: Vocabulary = Vocabulary {
    known: &[
        "namespace",
        "images",
        "image_pull_policy",
        "enable_docker",
        "provision_timeout",
        "context_configs",
    ],
    unsupported: &[
        "allowed_contexts",
        "allowed_nodes",
        "apt_mirrors",
        "auto_mounts",
        "autoscaler",
        "custom_metadata",
        "dws",
        "high_availability",
        "kueue",
        "max_inline_command_length",
        "networking",
        "pod_config",
        "ports",
        "post_provision_runcmd",
        "pricing",
        "quota",
        "rdma",
        "remote_identity",
        "set_pod_resource_limits",
    ],
    ignored: &[],
};

const IMAGES: Vocabulary = Vocabulary {
    known: &["task", "task_gpu", "docker", "buildkit", "pause"],
    unsupported: &[],
    ignored: &[],
};

impl ConfigLayer {
    /// Reads one configuration file's text; `file_name` is for messages only.
    pub fn read(file_name: &str, text: &str) -> Result<Self, Faults> {
        let source = || Source::new(file_name, yaml::counted(text));
        let mut faults = Vec::new();
        let Some(documents) = yaml::read(text, &mut faults) else {
            return Err(Faults::of(&source(), faults));
        };
        let mut layer = Self::default();
        let mut full = documents
            .iter()
            .filter(|document| document.value != Value::Null);
        if let Some(document) = full.next() {
            match &document.value {
                Value::Mapping(entries) => {
                    let reading = Reading {
                        source: source(),
                        layer: &mut layer,
                    };
                    reading.read(Fields::top(entries), &mut faults);
                }
                other => {
                    let kind = other.kind();
                    let message = format!("a configuration must be a mapping, and this is {kind}");
                    faults.push(Fault::new(message).at(document.span, ""));
                }
            }
        }
        if let Some(second) = full.next() {
            let fault = Fault::new("a configuration must be one document");
            faults.push(fault.at(second.span, "the second one"));
        }
        layer.warnings.sort_by_key(|warning| warning.span);
        if faults.is_empty() {
            Ok(layer)
        } else {
            Err(Faults::of(&source(), faults))
        }
    }

    /// Reads a configuration file's bytes, which may be no UTF-8 at all.
    pub fn read_bytes(file_name: &str, bytes: &[u8]) -> Result<Self, Faults> {
        let text = yaml::decode(bytes).map_err(|fault| Faults::alone(file_name, fault))?;
        Self::read(file_name, text)
    }
}

/// A file while it is read.
struct Reading<'a> {
    source: Source,
    layer: &'a mut ConfigLayer,
}

impl Reading<'_> {
    fn read(mut self, mut fields: Fields<'_>, faults: &mut Vec<Fault>) {
        if let Some(field) = fields.take("kubernetes") {
            self.read_kubernetes(field, faults);
        }
        self.finish(fields, &VOCABULARY, faults);
    }

    fn read_kubernetes(&mut self, field: Field<'_>, faults: &mut Vec<Fault>) {
        let Some(mut fields) = Fields::open("kubernetes", field, faults) else {
            return;
        };
        let contexts = fields.take("context_configs");
        self.layer.kubernetes = Section::read(&mut fields, faults);
        self.finish(fields, &KUBERNETES_VOCABULARY, faults);
        let path = "kubernetes.context_configs";
        let contexts = contexts.and_then(|field| Fields::open(path, field, faults));
        for (key, field) in contexts.into_iter().flat_map(Fields::rest) {
            let context = key.value.to_python_string();
            let path = format!("{path}.{context}");
            let Some(mut fields) = Fields::open(&path, field, faults) else {
                continue;
            };
            let section = Section::read(&mut fields, faults);
            self.layer.contexts.insert(context, section);
            self.finish(fields, &KUBERNETES_VOCABULARY, faults);
        }
    }

    /// Unknown keys are faults; keys of `SkyPilot` that change nothing yet are warnings.
    fn finish(&mut self, fields: Fields<'_>, vocabulary: &Vocabulary, faults: &mut Vec<Fault>) {
        let path = fields.path("");
        for (key, _) in fields.rest() {
            let name = key.value.to_python_string();
            if vocabulary.unsupported.contains(&name.as_str()) {
                let (line, _) = self.source.position(key.span.start);
                let file = self.source.name();
                let message =
                    format!("{file}:{line}: this version of Skiff does not act on `{path}{name}`");
                self.layer.warnings.push(Warning {
                    span: key.span,
                    message,
                });
            } else {
                faults.push(fields::unknown(&path, &name, key.span, vocabulary));
            }
        }
    }
}

impl Section {
    fn read(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut section = Self {
            namespace: fields.string("namespace", faults),
            enable_docker: kubernetes::read_docker(fields, faults),
            provision_timeout: kubernetes::read_provision_timeout(fields, faults),
            image_pull_policy: read_pull_policy(fields, faults),
            ..Self::default()
        };
        let path = fields.path("images");
        let images = fields
            .take("images")
            .and_then(|field| Fields::open(&path, field, faults));
        if let Some(mut images) = images {
            let mut image = |name: &str| read_image(&mut images, name, faults);
            section.task = image("task");
            section.task_gpu = image("task_gpu");
            section.docker = image("docker");
            section.buildkit = image("buildkit");
            section.pause = image("pause");
            images.finish(&IMAGES, faults);
        }
        section
    }

    /// Puts another section on top of this one.
    fn overlay(&mut self, upper: Self) {
        fn put<T>(lower: &mut Option<T>, upper: Option<T>) {
            if upper.is_some() {
                *lower = upper;
            }
        }
        put(&mut self.namespace, upper.namespace);
        put(&mut self.task, upper.task);
        put(&mut self.task_gpu, upper.task_gpu);
        put(&mut self.docker, upper.docker);
        put(&mut self.buildkit, upper.buildkit);
        put(&mut self.pause, upper.pause);
        put(&mut self.image_pull_policy, upper.image_pull_policy);
        put(&mut self.enable_docker, upper.enable_docker);
        put(&mut self.provision_timeout, upper.provision_timeout);
    }

    fn complete(self) -> KubernetesConfig {
        let default = Images::default();
        KubernetesConfig {
            namespace: self.namespace,
            images: Images {
                task: self.task.unwrap_or(default.task),
                task_gpu: self.task_gpu.unwrap_or(default.task_gpu),
                docker: self.docker.unwrap_or(default.docker),
                buildkit: self.buildkit.unwrap_or(default.buildkit),
                pause: self.pause.unwrap_or(default.pause),
            },
            image_pull_policy: self.image_pull_policy,
            enable_docker: self.enable_docker.unwrap_or_default(),
            provision_timeout: self.provision_timeout,
            ..KubernetesConfig::default()
        }
    }
}

fn read_image(fields: &mut Fields<'_>, name: &str, faults: &mut Vec<Fault>) -> Option<String> {
    let span = fields.peek(name)?.span();
    let path = fields.path(name);
    let text = fields.string(name, faults)?;
    parse_image(&path, &text)
        .map_err(|fault| faults.push(fault.at(span, "")))
        .ok()
}

fn read_pull_policy(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<ImagePullPolicy> {
    let span = fields.peek("image_pull_policy")?.span();
    let text = fields.string("image_pull_policy", faults)?;
    let policies = [
        ImagePullPolicy::Always,
        ImagePullPolicy::IfNotPresent,
        ImagePullPolicy::Never,
    ];
    let known = policies.into_iter().find(|policy| policy.as_str() == text);
    if known.is_none() {
        let words = policies.map(ImagePullPolicy::as_str);
        let path = fields.path("image_pull_policy");
        let fault = Fault::new(format!("`{path}`: `{text}` is no pull policy")).at(span, "");
        faults.push(fault.help(format!("write {}", fields::one_of(&words))));
    }
    known
}

impl Config {
    /// Merges layers; later ones win.
    pub fn merge(layers: impl IntoIterator<Item = ConfigLayer>) -> Self {
        let mut config = Self::default();
        for layer in layers {
            config.kubernetes.overlay(layer.kubernetes);
            for (context, section) in layer.contexts {
                config.contexts.entry(context).or_default().overlay(section);
            }
        }
        config
    }

    /// What holds for a context: its own `context_configs` over the rest.
    pub fn for_context(&self, context: Option<&str>) -> KubernetesConfig {
        let mut section = self.kubernetes.clone();
        if let Some(own) = context.and_then(|context| self.contexts.get(context)) {
            section.overlay(own.clone());
        }
        section.complete()
    }

    /// The same with what the task's own `config:` changes: what launching must use.
    pub fn for_task(&self, context: Option<&str>, task: &TaskConfig) -> KubernetesConfig {
        let mut config = self.for_context(context);
        config.enable_docker = task.enable_docker.unwrap_or(config.enable_docker);
        config.provision_timeout = task.provision_timeout.or(config.provision_timeout);
        config
    }
}
