//! Keys that Skiff writes on objects and selects by. Selectors use only `skiff.dev/*`.

/// Marks everything that Skiff made.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const SKIFF: &str = "skiff";
/// The larger whole: a cluster by its Kubernetes name.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// The cluster's Kubernetes name.
pub const CLUSTER: &str = "skiff.dev/cluster";
/// The pod's number within its cluster; 0 is the head.
pub const RANK: &str = "skiff.dev/rank";
/// `SkyPilot`'s word for what a pod is: `head` or `worker`.
pub const NODE_TYPE: &str = "ray-node-type";
/// The hash of the user's name.
pub const USER: &str = "skiff.dev/user";
/// The build of the agent: on its Secrets, and on the pods that use it.
pub const AGENT: &str = "skiff.dev/agent";
/// Annotation: the cluster's name as the user typed it.
pub const DISPLAY_NAME: &str = "skiff.dev/name";
/// Annotation of the owner while a launch is under way; the value says whose and since when.
pub const LAUNCHING: &str = "skiff.dev/launching";
/// Annotation of a pod: hash of the specification it was created from.
pub const SPEC_HASH: &str = "skiff.dev/spec-hash";
/// Annotation of the owner: when the cluster ends by itself, as JSON.
pub const AUTOSTOP: &str = "skiff.dev/autostop";
/// The volume that a claim is: its name.
pub const VOLUME: &str = "skiff.dev/volume";
/// Annotation of a claim: who made the volume.
pub const USER_NAME: &str = "skiff.dev/user-name";
/// Annotation of a claim that was there before it became a volume, and stays when it is none any more.
pub const EXISTING: &str = "skiff.dev/existing";
/// `SkyPilot`'s label of a claim: the name of the volume that it is.
pub const SKYPILOT_VOLUME: &str = "skypilot-name";
/// Type of the owner Secret.
pub const OWNER_TYPE: &str = "skiff.dev/cluster";
/// Key of the record within the owner Secret.
pub const RECORD_KEY: &str = "record.json";
/// Key of the nodes within the owner Secret: what their pods are made from.
pub const NODES_KEY: &str = "nodes.json";
/// Key of the cluster's key within the owner Secret: 64 hex digits.
pub const CLUSTER_KEY: &str = "cluster.key";
/// Key of the hooks and their variables within the owner Secret, where there are any: JSON.
pub const HOOKS_KEY: &str = "hooks.json";
/// Name of the container that runs the task.
pub const TASK_CONTAINER: &str = "task";
/// Name of the container that runs the Docker daemon.
pub const DOCKER_CONTAINER: &str = "docker";
/// Name of the container that runs the builder.
pub const BUILDKIT_CONTAINER: &str = "buildkit";
/// Name of the container that Docker's tools come from, where there is no daemon.
pub const TOOLS_CONTAINER: &str = "tools";
/// Name of the init container that puts the agent in place for an image without a shell.
pub const AGENT_CONTAINER: &str = "skiff-agent";
/// Name of the init container that fills the volume of a node's home.
pub const HOME_CONTAINER: &str = "skiff-home";
/// Key of the task's secret variables within the owner Secret: a JSON object.
pub const SECRETS_KEY: &str = "secrets.json";
