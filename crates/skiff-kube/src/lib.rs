//! Skiff's way to a Kubernetes API server: contexts, facts, objects, watches, diagnosis, streams.
//!
//! It knows pods, Secrets and events; it must not know tasks, clusters of Skiff's own, or terminals.

mod access;
mod context;
mod diagnosis;
mod error;
mod exec;
mod facts;
mod objects;
mod patience;
mod pod_state;
mod runtime_class;
mod storage;
mod turn;
mod watch;

pub use context::{Cluster, ContextError, Selection};
pub use diagnosis::Diagnosis;
pub use error::{ApiCause, ApiError};
pub use exec::{ExecEnd, ExecStream};
pub use facts::{quantity_bytes, quantity_thousandths};
pub use objects::Kind;
pub use pod_state::{PodState, Waiting, last_restart, observe};
pub use turn::Turn;
pub use watch::{PodNews, PodUpdate};
