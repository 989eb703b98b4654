//! The language of a task's own `config`: what it may change of the configuration, and hooks.

use crate::config::notations::HOOK;
use crate::config::task::HOOK_EVENTS;
use crate::grammar::{Field, Form, Record};

use super::docker::ENABLE_DOCKER;
use super::elsewhere::{ALONE, DOCKER, GCP, NO_WORKSPACES, NVIDIA_GPUS, SECTION, VAST};
use super::kubernetes::{
    CUSTOM_METADATA_FIELD, HOME_VOLUME_FIELD, POD_CONFIG, PROVISION_TIMEOUT, REMOTE_IDENTITY,
    SET_POD_RESOURCE_LIMITS,
};
use super::unread::{DWS_FIELD, KUEUE_FIELD, QUOTA_FIELD};

/// What a task's `config` may say: part of the configuration, laid over the files of it.
pub static TASK_CONFIG: Record = Record {
    name: "TaskConfig",
    fields: &[
        Field::new(
            "kubernetes",
            Form::Record(&KUBERNETES),
            "What launching this task on Kubernetes goes by",
        ),
        Field::new(
            "hooks",
            Form::List(&Form::Record(&HOOK_RECORD)),
            "Scripts that run when the cluster ends, at most 32",
        )
        .example("hooks: [{run: ./save-state.sh, events: [preemption]}]"),
        DOCKER,
        NVIDIA_GPUS,
        Field::new(
            "ssh",
            SECTION,
            "Machines that `sky ssh up` joins to a cluster",
        )
        .example("ssh: {provision_timeout: 60}")
        .ignored("Skiff takes contexts of the kubeconfig alone"),
        GCP,
        Field::new("azure", SECTION, "Microsoft Azure")
            .example("azure: {vpc_name: mine}")
            .ignored(ALONE),
        VAST,
        Field::new("slurm", SECTION, "Slurm clusters")
            .example("slurm: {cpu_partition: cpu}")
            .ignored(ALONE),
        Field::new("active_workspace", Form::Text, "The workspace of the task")
            .example("active_workspace: research")
            .ignored(NO_WORKSPACES),
    ],
};

static KUBERNETES: Record = Record {
    name: "TaskKubernetes",
    fields: &[
        ENABLE_DOCKER,
        PROVISION_TIMEOUT,
        POD_CONFIG,
        CUSTOM_METADATA_FIELD,
        SET_POD_RESOURCE_LIMITS,
        HOME_VOLUME_FIELD,
        REMOTE_IDENTITY,
        KUEUE_FIELD,
        QUOTA_FIELD,
        DWS_FIELD,
    ],
};

static HOOK_RECORD: Record = Record {
    name: "Hook",
    fields: &[
        Field::new(
            "run",
            Form::Notation(&HOOK),
            "The script, of at most 16,384 characters",
        )
        .example("run: ./save-state.sh")
        .required(),
        Field::new(
            "events",
            Form::List(&Form::Word(&HOOK_EVENTS)),
            "When it runs: before the cluster is stopped, taken away, or taken down",
        )
        .default("all of them")
        .example("events: [preemption, down]"),
        Field::new("timeout", Form::at_least(1), "Seconds that it may take")
            .default("3600")
            .example("timeout: 300"),
    ],
};
