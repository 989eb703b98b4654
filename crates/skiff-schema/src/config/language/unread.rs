//! Keys of the `kubernetes` section that Skiff reads and does not act on.

use crate::config::notations::{ANY_NAME, HOST, MOUNT_PATH, TIME};
use crate::grammar::{Field, Form, Record};

use super::NOT_YET;
use super::kubernetes::LONGEST_WAIT;

const AUTO_MOUNT_LIST: Form = Form::List(&Form::Record(&AUTO_MOUNT));

const HOSTS: Form = Form::List(&Form::Notation(&HOST));

pub(super) const PORTS: Field = Field::new(
    "ports",
    Form::Word(&["loadbalancer", "ingress", "podip"]),
    "How ports are opened",
)
.example("ports: ingress")
.ignored(NOT_YET);

pub(super) const AUTOSCALER: Field = Field::new(
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

pub(super) const RDMA_FIELD: Field =
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

pub(super) const AUTO_MOUNTS: Field = Field::new(
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

pub(super) const POST_PROVISION_RUNCMD: Field = Field::new(
    "post_provision_runcmd",
    Form::List(&Form::Text),
    "Commands that a pod runs first",
)
.example("post_provision_runcmd: [mkdir -p /scratch]")
.ignored(NOT_YET);

pub(super) const HIGH_AVAILABILITY_FIELD: Field = Field::new(
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

pub(super) const PRICING_FIELD: Field = Field::new(
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

pub(super) const APT_MIRRORS: Field = Field::new("apt_mirrors", HOSTS, "Where packages come from")
    .example("apt_mirrors: [mirror.example.com]")
    .ignored("Skiff installs no packages in pods");

pub(super) const MAX_INLINE_COMMAND_LENGTH: Field = Field::new(
    "max_inline_command_length",
    Form::at_least(1024),
    "The longest command that is sent with a request",
)
.example("max_inline_command_length: 8192")
.ignored("Skiff sends no command with a request");

pub(super) const NETWORKING: Field = Field::new(
    "networking",
    Form::Word(&["nodeport", "portforward"]),
    "How SSH comes into a pod",
)
.example("networking: portforward")
.ignored("SkyPilot ignores it too");
