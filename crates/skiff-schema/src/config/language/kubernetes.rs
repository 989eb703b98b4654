//! The keys of the `kubernetes` section, for all contexts and for one.

use crate::config::notations::{
    ADDRESS, ANY_NAME, DOCKER, HOST, IDENTITY, LABEL_VALUE, LIMITS, METADATA_KEY, MOUNT_PATH,
    NAMESPACE, TIME,
};
use crate::config::section::{
    BUILDKIT_IMAGE, DOCKER_IMAGE, PAUSE_IMAGE, TASK_GPU_IMAGE, TASK_IMAGE,
};
use crate::grammar::{Field, Form, Record};
use crate::kubernetes::ImagePullPolicy;
use crate::pod_config;
use crate::resources::IMAGE;

use super::NOT_YET;

/// Longer than anybody waits: a hundred years of seconds.
const LONGEST_WAIT: i64 = 100 * 365 * 24 * 60 * 60;

/// The `kubernetes` section.
pub(in crate::config) static KUBERNETES: Record = Record {
    name: "Kubernetes",
    fields: &[
        ALLOWED_CONTEXTS,
        NAMESPACE_FIELD,
        IMAGES_FIELD,
        IMAGE_PULL_POLICY,
        ENABLE_DOCKER,
        PROVISION_TIMEOUT,
        POD_CONFIG,
        CUSTOM_METADATA_FIELD,
        SET_POD_RESOURCE_LIMITS,
        REMOTE_IDENTITY,
        ALLOWED_NODES_FIELD,
        AGENT_FIELD,
        CONTEXT_CONFIGS,
        PORTS,
        AUTOSCALER,
        KUEUE_FIELD,
        QUOTA_FIELD,
        DWS_FIELD,
        RDMA_FIELD,
        AUTO_MOUNTS,
        POST_PROVISION_RUNCMD,
        HIGH_AVAILABILITY_FIELD,
        PRICING_FIELD,
        APT_MIRRORS,
        MAX_INLINE_COMMAND_LENGTH,
        NETWORKING,
    ],
};

/// The same for one context.
static CONTEXT: Record = Record {
    name: "Context",
    fields: &[
        NAMESPACE_FIELD,
        IMAGES_FIELD,
        IMAGE_PULL_POLICY,
        ENABLE_DOCKER,
        PROVISION_TIMEOUT,
        POD_CONFIG,
        CUSTOM_METADATA_FIELD,
        SET_POD_RESOURCE_LIMITS,
        REMOTE_IDENTITY,
        ALLOWED_NODES_FIELD,
        AGENT_FIELD,
        PORTS,
        AUTOSCALER,
        KUEUE_FIELD,
        QUOTA_FIELD,
        DWS_FIELD,
        RDMA_FIELD,
        AUTO_MOUNTS,
        POST_PROVISION_RUNCMD,
        HIGH_AVAILABILITY_FIELD,
        PRICING_FIELD,
        APT_MIRRORS,
        MAX_INLINE_COMMAND_LENGTH,
        NETWORKING,
    ],
};

const DOCKER_FORMS: Form = Form::OneOf(&[Form::Notation(&DOCKER), Form::Record(&DOCKER_RECORD)]);

const IDENTITY_FORMS: Form = Form::OneOf(&[
    Form::Notation(&IDENTITY),
    Form::Map {
        keys: &ANY_NAME,
        values: &Form::Notation(&IDENTITY),
    },
]);

const CONTEXTS: Form = Form::Map {
    keys: &ANY_NAME,
    values: &Form::Record(&CONTEXT),
};

const AUTO_MOUNT_LIST: Form = Form::List(&Form::Record(&AUTO_MOUNT));

const HOSTS: Form = Form::List(&Form::Notation(&HOST));

const ALLOWED_CONTEXTS: Field = Field::new(
    "allowed_contexts",
    Form::OneOf(&[Form::Word(&["all"]), Form::List(&Form::Text)]),
    "The contexts of the kubeconfig that may be used, or `all`",
)
.default("`all`")
.example("allowed_contexts: [dev, prod]");

const CONTEXT_CONFIGS: Field = Field::new(
    "context_configs",
    CONTEXTS,
    "The same keys for one context, laid over those for all",
)
.example("context_configs:\n  prod:\n    namespace: research");

const NAMESPACE_FIELD: Field = Field::new(
    "namespace",
    Form::Notation(&NAMESPACE),
    "Where everything is created",
)
.default("the kubeconfig's, else `default`")
.example("namespace: research");

const IMAGES_FIELD: Field = Field::new(
    "images",
    Form::Record(&IMAGES),
    "The images that Skiff itself chooses; of Skiff, not of SkyPilot",
);

static IMAGES: Record = Record {
    name: "Images",
    fields: &[
        Field::new("task", Form::Notation(&IMAGE), "Of tasks that name none")
            .default(TASK_IMAGE)
            .example("task: registry.example.com/base:1"),
        Field::new(
            "task_gpu",
            Form::Notation(&IMAGE),
            "Of tasks with GPUs that name none",
        )
        .default(TASK_GPU_IMAGE)
        .example("task_gpu: registry.example.com/cuda:12"),
        Field::new(
            "docker",
            Form::Notation(&IMAGE),
            "Of the Docker sidecar, which also brings the command-line tools",
        )
        .default(DOCKER_IMAGE)
        .example("docker: registry.example.com/dind:29"),
        Field::new(
            "buildkit",
            Form::Notation(&IMAGE),
            "Of the BuildKit sidecar",
        )
        .default(BUILDKIT_IMAGE)
        .example("buildkit: registry.example.com/buildkit:1"),
        Field::new(
            "pause",
            Form::Notation(&IMAGE),
            "Of pods that only hold something",
        )
        .default(PAUSE_IMAGE)
        .example("pause: registry.example.com/pause:3"),
    ],
};

const IMAGE_PULL_POLICY: Field = Field::new(
    "image_pull_policy",
    Form::Word(&[
        ImagePullPolicy::Always.as_str(),
        ImagePullPolicy::IfNotPresent.as_str(),
        ImagePullPolicy::Never.as_str(),
    ]),
    "When a node pulls an image; of Skiff, not of SkyPilot",
)
.default("`IfNotPresent`")
.example("image_pull_policy: Always");

pub(super) const ENABLE_DOCKER: Field = Field::new(
    "enable_docker",
    DOCKER_FORMS,
    "Docker for tasks: `true` or `ALL` is a daemon of the task's own, `BUILD` builds images only",
)
.default("`false`")
.example("enable_docker: true");

static DOCKER_RECORD: Record = Record {
    name: "EnableDocker",
    fields: &[
        Field::new("mode", Form::Notation(&DOCKER), "`ALL` or `BUILD`")
            .example("mode: ALL")
            .required(),
        Field::new(
            "cache_volume",
            Form::Text,
            "A volume that keeps images and build caches",
        )
        .default("none: they end with the pod")
        .example("cache_volume: docker-cache"),
    ],
};

pub(super) const PROVISION_TIMEOUT: Field = Field::new(
    "provision_timeout",
    Form::Integer {
        min: i64::MIN,
        max: LONGEST_WAIT,
    },
    "Seconds that pods may wait for a node; a negative number waits for ever",
)
.default("10, and 15 minutes where an autoscaler adds a node")
.example("provision_timeout: 600");

pub(super) const POD_CONFIG: Field = Field::new(
    "pod_config",
    Form::Kubernetes(&pod_config::POD_CONFIG),
    "What is changed of the pods, as a fragment of a pod: `metadata` and `spec`; the task's container is `ray-node`",
)
.example("pod_config:\n  spec:\n    runtimeClassName: nvidia");

pub(super) const CUSTOM_METADATA_FIELD: Field = Field::new(
    "custom_metadata",
    Form::Kubernetes(&pod_config::CUSTOM_METADATA),
    "Labels and annotations of everything that is created",
)
.example("custom_metadata:\n  labels: {team: research}");

pub(super) const SET_POD_RESOURCE_LIMITS: Field = Field::new(
    "set_pod_resource_limits",
    Form::Notation(&LIMITS),
    "Limits of CPU and memory: `true` for as much as is requested, or a multiple of it from 1 on",
)
.default("`false`")
.example("set_pod_resource_limits: 1.5");

pub(super) const REMOTE_IDENTITY: Field = Field::new(
    "remote_identity",
    IDENTITY_FORMS,
    "The service account whose token pods get; `SERVICE_ACCOUNT`, `LOCAL_CREDENTIALS` and `NO_UPLOAD` give none. A mapping has patterns of contexts such as `prod-*`, of which the first that fits counts",
)
.default("no token")
.example("remote_identity: trainer");

const ALLOWED_NODES_FIELD: Field = Field::new(
    "allowed_nodes",
    Form::Record(&ALLOWED_NODES),
    "The nodes that pods may run on: those that any entry here names",
);

static ALLOWED_NODES: Record = Record {
    name: "AllowedNodes",
    fields: &[
        Field::new(
            "label_selector",
            Form::Map {
                keys: &METADATA_KEY,
                values: &Form::Notation(&LABEL_VALUE),
            },
            "Labels, of which a node has at least one",
        )
        .example("label_selector: {pool: research}"),
        Field::new("names", Form::List(&Form::Text), "Names of nodes").example("names: [node-1]"),
        Field::new(
            "ips",
            Form::List(&Form::Notation(&ADDRESS)),
            "Addresses of nodes",
        )
        .example("ips: [10.0.0.7]"),
    ],
};

const AGENT_FIELD: Field = Field::new(
    "agent",
    Form::Record(&AGENT),
    "How Skiff's agent comes into the pods; of Skiff, not of SkyPilot",
);

static AGENT: Record = Record {
    name: "Agent",
    fields: &[
        Field::new(
            "image",
            Form::Notation(&IMAGE),
            "An image with a shell that puts the agent in place, for images of tasks that have no shell",
        )
        .default("none: the task's own shell does it")
        .example("image: busybox:1.37"),
    ],
};

const PORTS: Field = Field::new(
    "ports",
    Form::Word(&["loadbalancer", "ingress", "podip"]),
    "How ports are opened",
)
.example("ports: ingress")
.ignored(NOT_YET);

const AUTOSCALER: Field = Field::new(
    "autoscaler",
    Form::Word(&["gke", "karpenter", "coreweave", "nebius", "generic"]),
    "What adds nodes to the cluster",
)
.example("autoscaler: karpenter")
.ignored(NOT_YET);

pub(super) const KUEUE_FIELD: Field =
    Field::new("kueue", Form::Record(&KUEUE), "A queue of Kueue").ignored(NOT_YET);

static KUEUE: Record = Record {
    name: "Kueue",
    fields: &[
        Field::new("local_queue_name", Form::Text, "The queue")
            .example("local_queue_name: research"),
        Field::new(
            "admission_timeout",
            Form::Integer {
                min: i64::MIN,
                max: LONGEST_WAIT,
            },
            "Seconds until the queue lets a task in; -1 waits for ever",
        )
        .default("86400")
        .example("admission_timeout: 3600"),
    ],
};

pub(super) const QUOTA_FIELD: Field = Field::new(
    "quota",
    Form::Map {
        keys: &ANY_NAME,
        values: &Form::Any,
    },
    "The queue under another name",
)
.example("quota: {queue: research}")
.ignored(NOT_YET);

pub(super) const DWS_FIELD: Field = Field::new(
    "dws",
    Form::Record(&DWS),
    "Google's scheduler for whole groups of nodes",
)
.ignored(NOT_YET);

static DWS: Record = Record {
    name: "Dws",
    fields: &[
        Field::new("enabled", Form::Bool, "Whether it is used")
            .default("`false`")
            .example("enabled: true"),
        Field::new(
            "max_run_duration",
            Form::Notation(&TIME),
            "How long a task may run: minutes, or a number of `m`, `h`, `d` or `w`",
        )
        .example("max_run_duration: 12h"),
    ],
};

const RDMA_FIELD: Field =
    Field::new("rdma", Form::Record(&RDMA), "Fast networks between nodes").ignored(NOT_YET);

static RDMA: Record = Record {
    name: "Rdma",
    fields: &[
        Field::new(
            "mode",
            Form::Word(&["sriov"]),
            "How pods get at the network",
        )
        .example("mode: sriov"),
        Field::new("resource", Form::Text, "The resource that a pod asks for")
            .example("resource: nvidia.com/rdma-vf"),
        Field::new("networks", Form::Text, "The networks that a pod joins")
            .example("networks: sriov-net"),
    ],
};

const AUTO_MOUNTS: Field = Field::new(
    "auto_mounts",
    AUTO_MOUNT_LIST,
    "Volumes that every pod gets",
)
.example("auto_mounts: [{volume_name: data, mount_paths: [/data]}]")
.ignored(NOT_YET);

static AUTO_MOUNT: Record = Record {
    name: "AutoMount",
    fields: &[
        Field::new("volume_name", Form::Text, "The volume")
            .example("volume_name: data")
            .required(),
        Field::new(
            "mount_paths",
            Form::List(&Form::Notation(&MOUNT_PATH)),
            "Where it appears",
        )
        .example("mount_paths: [/data]")
        .required(),
        Field::new(
            "scope",
            Form::Word(&["personal", "workspace", "global"]),
            "Whose pods get it",
        )
        .default("`global`")
        .example("scope: personal"),
    ],
};

const POST_PROVISION_RUNCMD: Field = Field::new(
    "post_provision_runcmd",
    Form::List(&Form::Text),
    "Commands that a pod runs first",
)
.example("post_provision_runcmd: [mkdir -p /scratch]")
.ignored(NOT_YET);

const HIGH_AVAILABILITY_FIELD: Field = Field::new(
    "high_availability",
    Form::Record(&HIGH_AVAILABILITY),
    "Disks of controllers",
)
.ignored("Skiff has no controller that needs a disk");

static HIGH_AVAILABILITY: Record = Record {
    name: "HighAvailability",
    fields: &[
        Field::new("storage_class_name", Form::Text, "The class of the disks")
            .example("storage_class_name: fast"),
    ],
};

const PRICING_FIELD: Field = Field::new(
    "pricing",
    Form::Record(&PRICING),
    "What an hour costs, in dollars",
)
.ignored("Skiff compares no prices");

static PRICING: Record = Record {
    name: "Pricing",
    fields: &[
        Field::new("cpu", PRICE, "Of a CPU").example("cpu: 0.04"),
        Field::new("memory", PRICE, "Of a gigabyte of memory").example("memory: 0.005"),
        Field::new(
            "accelerators",
            Form::Map {
                keys: &ANY_NAME,
                values: &PRICE,
            },
            "Of accelerators by name",
        )
        .example("accelerators: {A100: 3.5}"),
    ],
};

const PRICE: Form = Form::Number { min: 0 };

const APT_MIRRORS: Field = Field::new("apt_mirrors", HOSTS, "Where packages come from")
    .example("apt_mirrors: [mirror.example.com]")
    .ignored("Skiff installs no packages in pods");

const MAX_INLINE_COMMAND_LENGTH: Field = Field::new(
    "max_inline_command_length",
    Form::at_least(1024),
    "The longest command that is sent with a request",
)
.example("max_inline_command_length: 8192")
.ignored("Skiff sends no command with a request");

const NETWORKING: Field = Field::new(
    "networking",
    Form::Word(&["nodeport", "portforward"]),
    "How SSH comes into a pod",
)
.example("networking: portforward")
.ignored("SkyPilot ignores it too");
