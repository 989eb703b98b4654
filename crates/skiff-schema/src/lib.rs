//! Skiff's task and configuration language: YAML 1.1 with spans, types, validation, overrides.
//!
//! Pure: text in, values or [`Faults`] out. Must not touch the file system, the environment, the
//! clock or the network; whoever calls reads files and passes their text.

mod check;
mod config;
mod docker;
mod document;
mod faults;
mod file;
pub mod grammar;
mod json;
mod kubernetes;
mod masking;
mod mounts;
mod overrides;
mod path;
mod pod_config;
mod quantity;
mod resolved;
mod resources;
mod secrets;
mod service;
mod source;
mod substitute;
mod task;
mod view;
mod volumes;
mod words;
pub mod yaml;

pub use check::Remark;
pub use config::{
    AllowedContexts, AllowedNodes, CONFIG, Config, ConfigEntry, ConfigLayer, CustomMetadata,
    HomeVolume, Images, KubernetesConfig, Origin, TASK_CONFIG, TaskConfig, TaskHook, Warning,
};
pub use docker::{
    Conflict, ConflictKind, DockerAddresses, DockerAmounts, DockerConfig, DockerMode,
    DockerResources, DockerStorage, StorageKind,
};
pub use faults::{Fault, Faults};
pub use file::{FileKind, JOB_GROUP, JobGroup, PIPELINE, TaskFile, TerminationDelay};
pub use kubernetes::{ImagePullPolicy, ProvisionTimeout};
pub use overrides::{ResourceOverrides, TaskOverrides};
pub use path::Path;
pub use pod_config::PodConfig;
pub use resolved::{
    Accelerators, Autostop, Choice, FileMount, ManagedSecret, PortRange, ResolvedResources,
    ResolvedTask, VolumeMount, Workdir,
};
pub use resources::{Infra, RESOURCES};
pub use secrets::Secrets;
pub use source::Span;
pub use task::{DOCKER_LOGIN, TASK, Task};
pub use volumes::file::{ClaimKind, Volume, VolumeKind, VolumeOverrides};
pub use volumes::grammar::VOLUME_FILE;
