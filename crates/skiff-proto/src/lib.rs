//! The language between the Skiff CLI and its agent: frames, messages, protocol version, exit codes.
//!
//! Pure data. Must not do IO: readers and writers turn bytes into frames with [`Decoder`] and
//! [`Frame::encode`], and move the bytes themselves.

mod docker;
mod ending;
mod exit;
mod frame;
mod job;
mod keys;
mod message;
mod owner;
pub mod paths;
mod stage;
pub mod tree;

pub use docker::{AddressPool, DOCKER_SETTINGS, DiskUse, DockerFacts, DockerSettings, Storage};
pub use ending::{Autostop, Ending, Farewell, Hook, HookEvent, Hooks, Left, WaitFor};
pub use exit::ExitStatus;
pub use frame::{Decoder, Frame, FrameError, MAX_FRAME};
pub use job::{JobId, JobRecord, JobSpec, JobStatus, RESTARTED, STOPPED, SecretVariables};
pub use keys::ClusterKey;
pub use message::{
    DockerState, Fault, FaultKind, Hello, LogFile, LogPart, LogSource, Request, Response,
};
pub use owner::OwnerAccess;
pub use stage::{StageEnd, StageKind, StageOrder, node_name};

/// Version of the protocol that this build speaks. A peer may be one apart, never more.
pub const PROTOCOL_VERSION: u16 = 1;
