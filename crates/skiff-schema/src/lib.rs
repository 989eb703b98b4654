//! Skiff's task and configuration language: YAML 1.1 with spans, types, validation, overrides.
//!
//! Pure: text in, values or [`Faults`] out. Must not touch the file system, the environment, the
//! clock or the network; whoever calls reads files and passes their text.

mod config;
mod faults;
mod overrides;
mod resolved;
mod resources;
mod task;

pub use config::{
    Config, ConfigLayer, DockerMode, ImagePullPolicy, Images, KubernetesConfig, ProvisionTimeout,
    Warning,
};
pub use faults::{Fault, Faults};
pub use overrides::TaskOverrides;
pub use resolved::ResolvedTask;
pub use resources::{Cpus, Infra, Memory, Resources};
pub use task::{Task, TaskConfig};
