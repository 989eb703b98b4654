//! The fields of `resources`, as messages, schemas and the reference page know them.

use std::ops::RangeInclusive;

use crate::grammar::{Field, Form, Notation, Record, ScalarKind, count, joined};
use crate::quantity::{CPUS, MEMORY, positive};
use crate::resources::accelerators::{ACCELERATOR, COUNT};
use crate::resources::autostop::{AUTOSTOP, IDLE};
use crate::resources::disk::{DISK_SIZE, LOCAL_DISK};
use crate::resources::image::{IMAGE, IMAGE_KEY};
use crate::resources::infra::{CLOUDS, INFRA};
use crate::resources::labels::{LABEL_KEY, LABEL_VALUE};
use crate::resources::ports::PORTS;
use crate::resources::recovery::{JOB_RECOVERY, STRATEGIES};

pub(super) const DISK_TIERS: [&str; 5] = ["low", "medium", "high", "ultra", "best"];
pub(super) const NETWORK_TIERS: [&str; 2] = ["standard", "best"];
pub(super) const PRIORITIES: RangeInclusive<i64> = -1000..=1000;

/// The `resources` of a task.
pub static RESOURCES: Record = Record {
    name: "resources",
    fields: &joined::<{ count(ALL_PARTS) }>(ALL_PARTS),
};

/// An entry of `any_of` or `ordered`.
static CANDIDATE: Record = Record {
    name: "candidate",
    fields: &joined::<{ count(CANDIDATE_PARTS) }>(CANDIDATE_PARTS),
};

const ALL_PARTS: &[&[Field]] = &[
    SIZE,
    &[
        Field::new(
            "accelerators",
            ACCELERATORS,
            "GPUs or other accelerators of each node, by name or by memory; of several in a mapping any will do, of several in a list the first that can be had is taken; a part of one is shared by the jobs of the cluster, whose node gets the whole",
        )
        .example("accelerators: A100:8"),
        Field::new("gpus", ACCELERATORS, "Another name of `accelerators`").example("gpus: [H100:1, A100:1]"),
    ],
    BESIDE_SIZE,
    &[
        Field::new(
            "any_of",
            CANDIDATES,
            "Candidates of which any will do: each is the rest of `resources` with its own fields on top, labels put together; those on other clouds are passed over",
        )
        .example("any_of:\n  - {infra: k8s/one, accelerators: H100:8}\n  - {infra: k8s/two, accelerators: A100:8}"),
        Field::new(
            "ordered",
            CANDIDATES,
            "Candidates of which the first that can be had is taken, otherwise as `any_of`",
        )
        .example("ordered:\n  - accelerators: H100:1\n  - accelerators: A100:1\n    memory: 64"),
    ],
    ELSEWHERE,
    INTERNAL,
];

const CANDIDATE_PARTS: &[&[Field]] = &[
    SIZE,
    &[
        Field::new(
            "accelerators",
            ONE_ACCELERATOR,
            "GPUs or other accelerators of each node: one kind, by name or by memory",
        )
        .example("accelerators: A100:8"),
        Field::new("gpus", ONE_ACCELERATOR, "Another name of `accelerators`")
            .example("gpus: A100:8"),
    ],
    BESIDE_SIZE,
    ELSEWHERE,
    &[Field::internal("any_of"), Field::internal("ordered")],
    INTERNAL,
];

const SIZE: &[Field] = &[INFRA_FIELD, CPUS_FIELD, MEMORY_FIELD];

const BESIDE_SIZE: &[Field] = &[
    INSTANCE_TYPE_FIELD,
    IMAGE_FIELD,
    PORTS_FIELD,
    DISK_SIZE_FIELD,
    LABELS_FIELD,
    AUTOSTOP_FIELD,
    USE_SPOT_FIELD,
    NETWORK_TIER_FIELD,
    JOB_RECOVERY_FIELD,
    PRIORITY_FIELD,
    PRIORITY_CLASS_FIELD,
];

/// What is older, or means something on other clouds only.
const ELSEWHERE: &[Field] = &[
    CLOUD_FIELD,
    REGION_FIELD,
    ZONE_FIELD,
    DISK_TIER_FIELD,
    LOCAL_DISK_FIELD,
    EPHEMERAL_STORAGE_FIELD,
    VOLUMES_FIELD,
    ACCELERATOR_ARGS_FIELD,
    MAX_HOURLY_COST_FIELD,
];

const INTERNAL: &[Field] = &[
    Field::internal("hooks"),
    Field::internal("_docker_login_config"),
    Field::internal("_docker_username_for_runpod"),
    Field::internal("_is_image_managed"),
    Field::internal("_requires_fuse"),
    Field::internal("_cluster_config_overrides"),
    Field::internal("_no_missing_accel_warnings"),
];

const CANDIDATES: Form = Form::List(&Form::Record(&CANDIDATE));

const ACCELERATOR_COUNTS: Form = Form::Map {
    keys: &ACCELERATOR,
    values: &Form::Notation(&COUNT),
};

const ONE_ACCELERATOR: Form = Form::OneOf(&[Form::Notation(&ACCELERATOR), ACCELERATOR_COUNTS]);

const ACCELERATORS: Form = Form::OneOf(&[
    Form::Notation(&ACCELERATOR),
    ACCELERATOR_COUNTS,
    Form::List(&Form::Notation(&ACCELERATOR)),
]);

const IMAGES: Form = Form::OneOf(&[
    Form::Notation(&IMAGE),
    Form::Map {
        keys: &IMAGE_KEY,
        values: &Form::Notation(&IMAGE),
    },
]);

const PORT_LISTS: Form =
    Form::OneOf(&[Form::Notation(&PORTS), Form::List(&Form::Notation(&PORTS))]);

const LABEL_MAP: Form = Form::Map {
    keys: &LABEL_KEY,
    values: &Form::Notation(&LABEL_VALUE),
};

const AUTOSTOP_FORMS: Form =
    Form::OneOf(&[Form::Bool, Form::Notation(&IDLE), Form::Record(&AUTOSTOP)]);

const RECOVERY_FORMS: Form = Form::OneOf(&[Form::Word(&STRATEGIES), Form::Record(&JOB_RECOVERY)]);

const INFRA_FIELD: Field = Field::new(
    "infra",
    Form::Notation(&INFRA),
    "Where to run: `k8s`, `k8s/<context>` for a context of the kubeconfig, `ssh/<pool>` for the context `ssh-<pool>`",
)
.default("wherever the configuration or the kubeconfig says")
.example("infra: k8s/my-cluster");

const CPUS_FIELD: Field = Field::new(
    "cpus",
    Form::Notation(&CPUS),
    "CPUs of each node; a pod gets exactly so many, also with `+`",
)
.default("2, or 4 for each accelerator")
.example("cpus: 4+");

const MEMORY_FIELD: Field = Field::new(
    "memory",
    Form::Notation(&MEMORY),
    "Memory of each node in GB of 1000³ bytes, or with a unit; `4x` is 4 GB for each CPU; a pod gets exactly so much, also with `+`",
)
.default("1 GB for each CPU, or 4 GB beside accelerators")
.example("memory: 16GB");

const INSTANCE_TYPE_FIELD: Field = Field::new(
    "instance_type",
    Form::Text,
    "CPUs, memory and accelerators in one word, as SkyPilot names the pods that it makes",
)
.example("instance_type: 4CPU--16GB--A100:1");

const IMAGE_FIELD: Field = Field::new(
    "image_id",
    IMAGES,
    "The container image, with `docker:` before it or without, or one for each context",
)
.default("the image of the configuration")
.example("image_id: docker:python:3.12");

const PORTS_FIELD: Field = Field::new(
    "ports",
    PORT_LISTS,
    "Ports of the head node to open: one, a range, several with commas, or a list of these",
)
.example("ports: [8080, 9000-9010]");

const DISK_SIZE_FIELD: Field = Field::new(
    "disk_size",
    Form::Notation(&DISK_SIZE),
    "Disk of each node in GB of 1000³ bytes, or with a unit; it is asked of the node as ephemeral storage unless it is 256",
)
.default("256")
.example("disk_size: 512GB");

const LABELS_FIELD: Field = Field::new(
    "labels",
    LABEL_MAP,
    "Labels of the pods, by the rules of Kubernetes",
)
.example("labels:\n  example.com/team: research");

const AUTOSTOP_FIELD: Field = Field::new(
    "autostop",
    AUTOSTOP_FORMS,
    "When a cluster without work takes itself down: minutes, a time such as `2h`, or a mapping",
)
.default("never")
.example("autostop:\n  idle_minutes: 10\n  down: true");

const USE_SPOT_FIELD: Field = Field::new(
    "use_spot",
    Form::Bool,
    "Whether to run on nodes that may be taken away at any time",
)
.default("false")
.example("use_spot: true");

const NETWORK_TIER_FIELD: Field = Field::new(
    "network_tier",
    Form::Word(&NETWORK_TIERS),
    "`best` asks for the fast network between nodes that the cluster has",
)
.default("standard")
.example("network_tier: best");

const JOB_RECOVERY_FIELD: Field = Field::new(
    "job_recovery",
    RECOVERY_FORMS,
    "How a managed job recovers: a strategy, or a mapping",
)
.default("EAGER_NEXT_REGION")
.example("job_recovery: FAILOVER");

const PRIORITY_FIELD: Field = Field::new(
    "priority",
    Form::Integer {
        min: *PRIORITIES.start(),
        max: *PRIORITIES.end(),
    },
    "Rank of a managed job in the queue: higher ones go first",
)
.default("0")
.example("priority: 100");

const PRIORITY_CLASS_FIELD: Field = Field::new(
    "priority_class",
    Form::Text,
    "Name of a priority class of the queue",
)
.example("priority_class: research-high");

const CLOUD_FIELD: Field = Field::new("cloud", Form::Word(&CLOUDS), "The older form of `infra`")
    .example("cloud: kubernetes");

const REGION_FIELD: Field = Field::new(
    "region",
    Form::Text,
    "The context of the kubeconfig: the older form of `infra: k8s/<context>`",
)
.example("region: my-cluster");

const ZONE_FIELD: Field = Field::new(
    "zone",
    Form::Text,
    "A zone of another cloud: Kubernetes has none, and only candidates on other clouds may name one",
)
.example("zone: us-east-1a");

const DISK_TIER_FIELD: Field = Field::new(
    "disk_tier",
    Form::Word(&DISK_TIERS),
    "How fast a disk of a cloud is",
)
.example("disk_tier: best")
.ignored("how fast a disk is, is the node's or the storage class's affair");

const LOCAL_DISK_FIELD: Field = Field::new(
    "local_disk",
    Form::Notation(&LOCAL_DISK),
    "Which local disk the virtual machine of a cloud has",
)
.example("local_disk: nvme:500+")
.ignored("which local disks there are, is the node's affair");

const EPHEMERAL_STORAGE_FIELD: Field = Field::new(
    "ephemeral_storage",
    Form::Notation(&DISK_SIZE),
    "The older name of `disk_size`",
)
.example("ephemeral_storage: 100GB")
.ignored("deprecated: write `disk_size`");

const VOLUMES_FIELD: Field = Field::new(
    "volumes",
    Form::List(&Form::Any),
    "Disks of Google Cloud for a virtual machine",
)
.example("volumes:\n  - name: my-disk\n    path: /mnt/disk")
.ignored("these are disks of Google Cloud; write volumes of Kubernetes as `volumes` of the task");

const ACCELERATOR_ARGS_FIELD: Field = Field::new(
    "accelerator_args",
    Form::Record(&ACCELERATOR_ARGS),
    "How the TPU of a cloud is set up",
)
.ignored("it sets up TPU virtual machines of Google Cloud");

static ACCELERATOR_ARGS: Record = Record {
    name: "accelerator_args",
    fields: &[
        Field::new("runtime_version", Form::Text, "The software of the TPU")
            .example("runtime_version: tpu-vm-base"),
        Field::new("tpu_name", Form::Text, "The name of the TPU").example("tpu_name: mine"),
        Field::new(
            "tpu_vm",
            Form::Bool,
            "Whether the TPU has a virtual machine of its own",
        )
        .example("tpu_vm: true"),
        Field::new(
            "gcp_queued_resource",
            Form::Bool,
            "Whether the TPU is waited for in a queue",
        )
        .example("gcp_queued_resource: true"),
    ],
};

const MAX_HOURLY_COST_FIELD: Field = Field::new(
    "max_hourly_cost",
    Form::Notation(&COST),
    "The highest price of a virtual machine in dollars an hour",
)
.example("max_hourly_cost: 2.5")
.ignored("pods have no price");

static COST: Notation = Notation {
    what: "a number",
    kinds: &[ScalarKind::Integer, ScalarKind::Float],
    pattern: "",
    check: positive,
};
