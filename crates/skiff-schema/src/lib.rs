//! Skiff's task and configuration language: YAML 1.1 with spans, types, validation, overrides.
//!
//! Pure: text in, values or [`Faults`] out. Must not touch the file system, the environment, the
//! clock or the network; whoever calls reads files and passes their text.

mod config;
mod faults;
mod fields;
mod kubernetes;
mod overrides;
mod quantity;
mod resolved;
mod resources;
mod source;
mod task;
pub mod yaml;

pub use config::{Config, ConfigLayer, Images, KubernetesConfig, Warning};
pub use faults::{Fault, Faults};
pub use kubernetes::{DockerMode, ImagePullPolicy, ProvisionTimeout};
pub use overrides::TaskOverrides;
pub use quantity::{Cpus, Memory};
pub use resolved::ResolvedTask;
pub use resources::{Infra, Resources};
pub use source::Span;
pub use task::{Task, TaskConfig};
