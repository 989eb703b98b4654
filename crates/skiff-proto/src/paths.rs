//! Where things lie in a Skiff pod. The compiler mounts them, the agent uses them.

/// The `emptyDir` that every container of the pod shares.
pub const ROOT: &str = "/skiff";
/// Where the agent's parts are projected, in name order.
pub const PARTS: &str = "/skiff/parts";
/// Where each container assembles its own executable: `/skiff/bin/<container>`.
pub const BIN: &str = "/skiff/bin";
/// The agent's unix socket.
pub const AGENT_SOCKET: &str = "/skiff/run/agent.sock";
/// Its existence tells the sidecars that the agent has left on purpose and that they should end.
pub const LEAVE_MARKER: &str = "/skiff/run/leave";
/// Job records, one folder a job.
pub const JOBS: &str = "/skiff/jobs";
/// What `~/sky_workdir` links to.
pub const WORKDIR: &str = "/skiff/sky_workdir";
/// What `~/sky_logs` links to.
pub const LOGS: &str = "/skiff/sky_logs";
/// What `~/sky_templates` links to: helper scripts that task files call.
pub const TEMPLATES: &str = "/skiff/sky_templates";
/// The home folder of a user who has no writable one.
pub const HOME: &str = "/skiff/home";
/// The Docker daemon's unix socket.
pub const DOCKER_SOCKET: &str = "/skiff/docker/docker.sock";
/// The socket of a builder without privileges.
pub const BUILDKIT_SOCKET: &str = "/skiff/docker/buildkitd.sock";
/// The builder's own folder: its configuration, and its socket until it answers.
pub const BUILDER: &str = "/skiff/builder";
/// Where `docker buildx` keeps its builders, with the pod's own among them.
pub const BUILDX: &str = "/skiff/buildx";
/// The name of the pod's own builder.
pub const BUILDX_BUILDER: &str = "skiff";
/// The daemon's log, kept by the sidecar wrapper.
pub const DOCKER_LOG: &str = "/skiff/docker/daemon.log";
/// What the wrapper found and chose, as JSON.
pub const DOCKER_REPORT: &str = "/skiff/docker/report.json";
/// The daemon's own data.
pub const DOCKER_DATA: &str = "/var/lib/docker";
/// The data of a builder without privileges.
pub const BUILDKIT_DATA: &str = "/home/user/.local/share/buildkit";
/// The block device that a daemon's data lies on, where the pod has one for it.
pub const DOCKER_DEVICE: &str = "/dev/skiff-docker";
/// Command-line tools that the Docker sidecar copied, first on the task's `PATH`.
pub const TOOLS_BIN: &str = "/skiff/tools/bin";
/// Docker CLI plugins that the Docker sidecar copied.
pub const CLI_PLUGINS: &str = "/skiff/tools/cli-plugins";
/// The group that owns the Docker socket, given to every container of the pod.
pub const DOCKER_GROUP: u32 = 48_879;
/// The folder of the cluster's key.
pub const KEYS: &str = "/skiff/keys";
/// The cluster's key, in the task container alone: see [`crate::ClusterKey`].
pub const CLUSTER_KEY: &str = "/skiff/keys/cluster.key";
/// The agent's SSH server, for `skiff-agent ssh`.
pub const SSH_SOCKET: &str = "/skiff/run/ssh.sock";
/// Where the agents of workers listen for their head, on the pod's own address.
pub const LINK_PORT: u16 = 46_580;
/// The cluster's hooks and their variables, in the task container alone: [`crate::Hooks`] as JSON.
pub const HOOKS: &str = "/skiff/keys/hooks.json";
/// When the cluster ends by itself, as the agent keeps it.
pub const AUTOSTOP: &str = "/skiff/autostop.json";
/// Where a container says why it ended.
pub const TERMINATION_MESSAGE: &str = "/dev/termination-log";
/// Logins of registries, in the task container alone: one file a Secret that the pod's images are pulled with, as Docker writes them.
pub const REGISTRIES: &str = "/skiff/registries";
/// What the agent keeps of syncs: what it brought, and what has arrived of those that broke off.
pub const SYNC: &str = "/skiff/sync";
/// Where trees lie that users name a place for, one folder each.
pub const MOUNTS: &str = "/skiff/mounts";
