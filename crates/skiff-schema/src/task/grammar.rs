//! The language of the task file: its top-level fields.

use crate::config::TASK_CONFIG;
use crate::grammar::{Field, Form, Notation, Record, ScalarKind};
use crate::mounts::{MOUNT, MOUNT_PATH};
use crate::resources::RESOURCES;
use crate::service::{POOL, SERVICE};
use crate::task::names;
use crate::volumes::{VOLUME, VOLUME_PATH};

/// More nodes than any cluster has.
pub(super) const MAX_NODES: i64 = 100_000;

/// A task.
pub static TASK: Record = Record {
    name: "task",
    fields: &[
        Field::new(
            "name",
            Form::Text,
            "Display name: letters and digits, joined by `.`, `_` or `-`",
        )
        .example("name: train"),
        Field::new(
            "num_nodes",
            Form::Integer {
                min: 1,
                max: MAX_NODES,
            },
            "Number of nodes: each is a pod, and `run` runs on all of them at once",
        )
        .default("1")
        .example("num_nodes: 2"),
        Field::new(
            "resources",
            Form::Record(&RESOURCES),
            "What each node has, and where it runs",
        )
        .example("resources: {cpus: 4, memory: 16}"),
        WORKDIR_FIELD,
        Field::new(
            "setup",
            Form::Text,
            "Shell commands that run on every node before `run`, each time that the task is launched",
        )
        .example("setup: pip install -r requirements.txt"),
        Field::new(
            "run",
            Form::Text,
            "Shell commands of the job; without them only the cluster is started",
        )
        .example("run: python train.py"),
        ENVS_FIELD,
        SECRETS_FIELD,
        MANAGED_SECRETS_FIELD,
        FILE_MOUNTS_FIELD,
        VOLUMES_FIELD,
        Field::new(
            "service",
            Form::Record(&SERVICE),
            "Makes the task a service of several replicas behind one address; not beside `pool`",
        )
        .example("service: {readiness_probe: /health, replicas: 2}"),
        Field::new(
            "pool",
            Form::Record(&POOL),
            "Makes the task a pool of workers for managed jobs; not beside `service`",
        )
        .example("pool: {workers: 2}"),
        Field::new(
            "config",
            Form::Record(&TASK_CONFIG),
            "Changes to the [configuration](config.md) for this task alone",
        )
        .example("config: {kubernetes: {provision_timeout: 600}}"),
        Field::new(
            "event_callback",
            Form::Text,
            "Shell commands that run each time that the state of a managed job changes",
        )
        .example("event_callback: echo \"$JOB_STATUS\""),
        Field::new(
            "api_server_access",
            Form::Bool,
            "Whether a managed job gets the address and a token of SkyPilot's API server",
        )
        .default("true")
        .example("api_server_access: false")
        .ignored("there is no API server"),
        Field::new("inputs", SIZES, "Data that the task reads and its size in GB")
            .example("inputs: {s3://my-data: 100}")
            .ignored("no traffic between clouds is to be priced"),
        Field::new("outputs", SIZES, "Data that the task writes and its size in GB")
            .example("outputs: {s3://my-results: 10}")
            .ignored("no traffic between clouds is to be priced"),
        Field::internal("volume_mounts"),
        Field::internal("file_mounts_mapping"),
        Field::internal("_metadata"),
        Field::internal("_user_specified_yaml"),
    ],
};

/// A git repository as the working directory.
static GIT: Record = Record {
    name: "git workdir",
    fields: &[
        Field::new("url", Form::Text, "The address, as for `git clone`")
            .example("url: https://github.com/pytorch/examples.git")
            .required(),
        Field::new("ref", Form::Text, "Branch, tag or commit")
            .default("the default branch")
            .example("ref: main"),
    ],
};

/// What is known of a secret that is kept elsewhere.
static MANAGED_SECRET: Record = Record {
    name: "managed secret",
    fields: &[Field::new(
        "mount_path",
        Form::Text,
        "The file that it becomes; without it, it becomes a variable",
    )
    .example("mount_path: ~/.ssh/deploy_key")],
};

/// Anything that has a name.
static ADDRESS: Notation = Notation {
    what: "an address",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |_| Ok(()),
};

const SIZES: Form = Form::Map {
    keys: &ADDRESS,
    values: &Form::Number { min: 0 },
};

const WORKDIR: Form = Form::OneOf(&[Form::Text, Form::Record(&GIT)]);
const SECRETS: Form = Form::OneOf(&[
    Form::Map {
        keys: &names::SECRET,
        values: &Form::Any,
    },
    Form::List(&Form::Notation(&names::SECRET_REFERENCE)),
]);
const MANAGED_SECRETS: Form = Form::List(&Form::OneOf(&[
    Form::Notation(&names::MANAGED_SECRET),
    Form::Map {
        keys: &names::MANAGED_SECRET,
        values: &Form::Record(&MANAGED_SECRET),
    },
]));

const WORKDIR_FIELD: Field = Field::new(
    "workdir",
    WORKDIR,
    "Local folder that is synced to `~/sky_workdir` of every node, where `setup` and `run` begin; or a git repository that is cloned there",
)
.example("workdir: .");

const ENVS_FIELD: Field = Field::new(
    "envs",
    Form::Map {
        keys: &names::VARIABLE,
        values: &Form::Any,
    },
    "Variables of `setup` and `run`; one without a value must be given by `--env`. In `workdir`, `file_mounts`, `volumes` and `service`, `$NAME` and `${NAME}` stand for their values",
)
.example("envs: {EPOCHS: 10, MODEL: llama}");

const SECRETS_FIELD: Field = Field::new(
    "secrets",
    SECRETS,
    "As `envs`, but nobody gets to see the values: they reach the nodes as a Secret of Kubernetes. One without a value must be given by `--secret`",
)
.example("secrets: {HF_TOKEN: }");

const MANAGED_SECRETS_FIELD: Field = Field::new(
    "managed_secrets",
    MANAGED_SECRETS,
    "Secrets that a server keeps, which Skiff has none of: each must be given by `--secret`",
)
.example("managed_secrets: [personal.HF_TOKEN]");

const FILE_MOUNTS_FIELD: Field = Field::new(
    "file_mounts",
    Form::Map {
        keys: &MOUNT_PATH,
        values: &MOUNT,
    },
    "Files, folders and buckets, by the path on the nodes where they appear",
)
.example("file_mounts: {/data: ./data, ~/.netrc: ~/.netrc}");

const VOLUMES_FIELD: Field = Field::new(
    "volumes",
    Form::Map {
        keys: &VOLUME_PATH,
        values: &VOLUME,
    },
    "Volumes, by the path on the nodes where they appear",
)
.example("volumes: {/mnt/data: my-data}");
