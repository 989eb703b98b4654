//! What the configuration says of things that Skiff has not: clouds, a server, workspaces.

use crate::config::notations::ANY_NAME;
use crate::grammar::{Field, Form, Record};

pub(super) const ALONE: &str = "Skiff runs on Kubernetes alone";
pub(super) const NO_CONTROLLER: &str = "Skiff has no controller of that kind yet";
pub(super) const NO_DASHBOARD: &str = "Skiff has no dashboard";
pub(super) const NO_PROVISIONING: &str = "Skiff installs nothing in a pod and needs no SSH";
pub(super) const NO_SERVER: &str = "Skiff has no server";
pub(super) const NO_WORKSPACES: &str = "Skiff has no workspaces";

/// A section that is not looked into.
pub(super) const SECTION: Form = Form::Map {
    keys: &ANY_NAME,
    values: &Form::Any,
};

const WORDS: Form = Form::OneOf(&[Form::Text, Form::List(&Form::Text)]);

static RUN_OPTIONS: Record = Record {
    name: "DockerRunOptions",
    fields: &[Field::new("run_options", WORDS, "Flags of `docker run`")
        .example("run_options: [--shm-size=2g]")],
};

static DISABLE_ECC: Record = Record {
    name: "NvidiaGpus",
    fields: &[Field::new(
        "disable_ecc",
        Form::Bool,
        "Whether memory goes without error correction",
    )
    .example("disable_ecc: true")],
};

pub(super) const DOCKER: Field = Field::new(
    "docker",
    Form::Record(&RUN_OPTIONS),
    "Docker on virtual machines",
)
.example("docker: {run_options: [--shm-size=2g]}")
.ignored(ALONE);

pub(super) const NVIDIA_GPUS: Field = Field::new(
    "nvidia_gpus",
    Form::Record(&DISABLE_ECC),
    "GPUs of virtual machines",
)
.example("nvidia_gpus: {disable_ecc: true}")
.ignored(ALONE);

pub(super) const GCP: Field = Field::new("gcp", SECTION, "Google Cloud")
    .example("gcp: {enable_gvnic: true}")
    .ignored(ALONE);

pub(super) const VAST: Field = Field::new("vast", SECTION, "Vast.ai")
    .example("vast: {datacenter_only: true}")
    .ignored(ALONE);

pub(super) static API_SERVER: Record = Record {
    name: "ApiServer",
    fields: &[
        Field::new("endpoint", Form::Text, "Its address")
            .example("endpoint: \"https://sky.example.com\""),
        Field::new(
            "service_account_token",
            Form::Text,
            "What proves who asks; never shown",
        )
        .example("service_account_token: sky_0123456789"),
        hours(
            "requests_retention_hours",
            "Hours for which requests are kept",
            "requests_retention_hours: 24",
        ),
        hours(
            "logs_retention_hours",
            "Hours for which logs are kept",
            "logs_retention_hours: 24",
        ),
        hours(
            "cluster_event_retention_hours",
            "Hours for which events are kept",
            "cluster_event_retention_hours: 24",
        ),
        hours(
            "cluster_debug_event_retention_hours",
            "Hours for which events for debugging are kept",
            "cluster_debug_event_retention_hours: 24",
        ),
        hours(
            "cluster_terminal_event_retention_hours",
            "Hours for which last events are kept",
            "cluster_terminal_event_retention_hours: 24",
        ),
        hours(
            "launch_attempt_retention_hours",
            "Hours for which attempts to launch are kept",
            "launch_attempt_retention_hours: 24",
        ),
        Field::new("daemon_log_max_bytes", Form::at_least(0), "Bytes of a log")
            .example("daemon_log_max_bytes: 1000000"),
    ],
};

pub(super) static PROVISION: Record = Record {
    name: "Provision",
    fields: &[
        Field::new(
            "ssh_timeout",
            Form::at_least(1),
            "Seconds for the first connection",
        )
        .example("ssh_timeout: 20"),
        Field::new("install_conda", Form::Bool, "Whether conda is installed")
            .example("install_conda: true"),
    ],
};

const fn hours(name: &'static str, about: &'static str, example: &'static str) -> Field {
    Field::new(name, Form::Number { min: i64::MIN }, about).example(example)
}
