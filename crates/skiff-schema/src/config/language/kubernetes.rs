//! The keys of the `kubernetes` section, for all contexts and for one, and those that Skiff acts on.

use crate::config::docker_notations::SIDECAR_IMAGE;
use crate::config::notations::{
    ABSOLUTE_PATH, ADDRESS, ANY_NAME, CLASS, IDENTITY, LIMITS, NAMESPACE,
};
use crate::config::section::{
    BUILDKIT_IMAGE, DOCKER_IMAGE, PAUSE_IMAGE, TASK_GPU_IMAGE, TASK_IMAGE,
};
use crate::grammar::{Field, Form, Record, count, joined};
use crate::kubernetes::ImagePullPolicy;
use crate::pod_config;
use crate::resources::{DISK_SIZE, IMAGE, LABEL_VALUE, METADATA_KEY};

use super::docker::ENABLE_DOCKER;
use super::unread::{
    APT_MIRRORS, AUTO_MOUNTS, AUTOSCALER, DWS_FIELD, HIGH_AVAILABILITY_FIELD, KUEUE_FIELD,
    MAX_INLINE_COMMAND_LENGTH, NETWORKING, PORTS, POST_PROVISION_RUNCMD, PRICING_FIELD,
    QUOTA_FIELD, RDMA_FIELD,
};

/// Longer than anybody waits: a hundred years of seconds.
pub(super) const LONGEST_WAIT: i64 = 100 * 365 * 24 * 60 * 60;

/// The `kubernetes` section.
pub(in crate::config) static KUBERNETES: Record = Record {
    name: "Kubernetes",
    fields: &joined::<{ count(ALL_PARTS) }>(ALL_PARTS),
};

/// The same for one context.
static CONTEXT: Record = Record {
    name: "Context",
    fields: &joined::<{ count(CONTEXT_PARTS) }>(CONTEXT_PARTS),
};

const ALL_PARTS: &[&[Field]] = &[&[ALLOWED_CONTEXTS], ACTING, &[CONTEXT_CONFIGS], UNREAD];

const CONTEXT_PARTS: &[&[Field]] = &[ACTING, UNREAD];

/// What Skiff acts on.
const ACTING: &[Field] = &[
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
    HOME_VOLUME_FIELD,
    AGENT_FIELD,
];

/// What it does not act on.
const UNREAD: &[Field] = &[
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
];

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
            Form::Notation(&SIDECAR_IMAGE),
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

pub(super) const PROVISION_TIMEOUT: Field = Field::new(
    "provision_timeout",
    Form::Integer {
        min: i64::MIN,
        max: LONGEST_WAIT,
    },
    "Seconds that pods may wait for a node; a negative number waits for ever",
)
.default("10, 3 minutes while volumes are being made, and 15 where an autoscaler adds a node")
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

pub(super) const HOME_VOLUME_FIELD: Field = Field::new(
    "home_volume",
    Form::Record(&HOME_VOLUME),
    "A volume for the home of each node, with which `skiff stop` can give back all but the disk; it goes with `skiff down`; of Skiff, not of SkyPilot",
);

static HOME_VOLUME: Record = Record {
    name: "HomeVolume",
    fields: &[
        Field::new(
            "size",
            Form::Notation(&DISK_SIZE),
            "Its size: gigabytes, or a number with a unit",
        )
        .example("size: 50")
        .required(),
        Field::new("storage_class", Form::Notation(&CLASS), "Its storage class")
            .default("the cluster's default class")
            .example("storage_class: standard"),
        Field::new(
            "mount_path",
            Form::Notation(&ABSOLUTE_PATH),
            "The home folder of the image's user, whose content is copied there once",
        )
        .default("`/root`, where that is the home of the image's user")
        .example("mount_path: /home/vscode"),
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
