//! The language of the configuration as data: every key, also those that Skiff does not act on.

mod docker;
mod elsewhere;
mod kubernetes;
mod task;
mod unread;

use crate::grammar::{Field, Form, Record};

use self::elsewhere::{
    ALONE, DOCKER, GCP, NO_CONTROLLER, NO_DASHBOARD, NO_PROVISIONING, NO_SERVER, NO_WORKSPACES,
    NVIDIA_GPUS, SECTION, VAST,
};

pub use self::task::TASK_CONFIG;

pub(super) use self::docker::ENABLE_DOCKER;
pub(super) use self::kubernetes::KUBERNETES;

/// Why a key changes nothing that may do so one day.
const NOT_YET: &str = "this version of Skiff does not act on it";

/// The configuration: the files of all layers, and `--config`.
pub static CONFIG: Record = Record {
    name: "Config",
    fields: &[
        Field::new(
            "kubernetes",
            Form::Record(&KUBERNETES),
            "What launching on Kubernetes goes by",
        ),
        DOCKER,
        NVIDIA_GPUS,
        Field::new(
            "ssh",
            SECTION,
            "Machines that `sky ssh up` joins to a cluster",
        )
        .example("ssh: {allowed_node_pools: [desk]}")
        .ignored("Skiff takes contexts of the kubeconfig alone"),
        Field::new("aws", SECTION, "Amazon Web Services")
            .example("aws: {use_internal_ips: true}")
            .ignored(ALONE),
        GCP,
        Field::new("azure", SECTION, "Microsoft Azure")
            .example("azure: {storage_account: mine}")
            .ignored(ALONE),
        Field::new("oci", SECTION, "Oracle Cloud")
            .example("oci: {region_configs: {default: {vcn_subnet: mine}}}")
            .ignored(ALONE),
        Field::new("nebius", SECTION, "Nebius")
            .example("nebius: {use_internal_ips: true}")
            .ignored(ALONE),
        VAST,
        Field::new("slurm", SECTION, "Slurm clusters")
            .example("slurm: {allowed_clusters: all}")
            .ignored(ALONE),
        Field::new(
            "allowed_clouds",
            Form::List(&Form::Text),
            "Clouds that may be used",
        )
        .example("allowed_clouds: [kubernetes]")
        .ignored(ALONE),
        Field::new("jobs", SECTION, "The controller of managed jobs")
            .example("jobs: {bucket: \"s3://mine\"}")
            .ignored(NO_CONTROLLER),
        Field::new("serve", SECTION, "The controller of services")
            .example("serve: {controller: {resources: {cpus: 4}}}")
            .ignored(NO_CONTROLLER),
        Field::new(
            "api_server",
            Form::Record(&elsewhere::API_SERVER),
            "SkyPilot's server",
        )
        .example("api_server: {endpoint: \"https://sky.example.com\"}")
        .ignored(NO_SERVER),
        Field::new("db", Form::Text, "The database of SkyPilot's server")
            .example("db: \"postgresql://db.example.com/sky\"")
            .ignored(NO_SERVER),
        Field::new("rbac", SECTION, "Roles of the users of SkyPilot's server")
            .example("rbac: {default_role: user}")
            .ignored(NO_SERVER),
        Field::new(
            "daemons",
            SECTION,
            "Work that SkyPilot's server does by itself",
        )
        .example("daemons: {server-heartbeat-daemon: {log_level: INFO}}")
        .ignored(NO_SERVER),
        Field::new(
            "metrics",
            SECTION,
            "Where SkyPilot's server finds Prometheus",
        )
        .example("metrics: {prometheus: {namespace: monitoring}}")
        .ignored(NO_SERVER),
        Field::new("plugins", SECTION, "Additions to SkyPilot's server")
            .ignored(NO_SERVER)
            .example("plugins: {}"),
        Field::new("dashboard", SECTION, "Links on SkyPilot's dashboard")
            .example("dashboard: {external_links: []}")
            .ignored(NO_DASHBOARD),
        Field::new(
            "admin_policy",
            Form::Text,
            "What changes or refuses every request",
        )
        .example("admin_policy: \"https://policy.example.com\"")
        .ignored(NOT_YET),
        Field::new(
            "active_workspace",
            Form::Text,
            "The workspace of clusters and jobs",
        )
        .example("active_workspace: research")
        .ignored(NO_WORKSPACES),
        Field::new(
            "workspace",
            Form::Text,
            "The workspace of clusters and jobs",
        )
        .example("workspace: research")
        .ignored(NO_WORKSPACES),
        Field::new("workspaces", SECTION, "Configuration by workspace")
            .example("workspaces: {research: {private: true}}")
            .ignored(NO_WORKSPACES),
        Field::new("workspace_config", SECTION, "Who may read a workspace")
            .example("workspace_config: {read_access: all}")
            .ignored(NO_WORKSPACES),
        Field::new(
            "provision",
            Form::Record(&elsewhere::PROVISION),
            "How SkyPilot prepares a node",
        )
        .example("provision: {ssh_timeout: 20}")
        .ignored(NO_PROVISIONING),
        Field::new("logs", SECTION, "A store of a cloud that logs are sent to")
            .example("logs: {store: gcp}")
            .ignored(NOT_YET),
        Field::new("data", SECTION, "How buckets are mounted")
            .example("data: {mount_cached: {sequential_upload: true}}")
            .ignored("SkyPilot has given it up"),
    ],
};
