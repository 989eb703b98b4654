//! What Skiff's tests share: the program under test in surroundings of its own, a namespace of a real
//! cluster for each test, and stand-ins for what a cluster does not show on demand.
//!
//! For tests only: no crate may depend on it except as a dev-dependency.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by a panic and tells what it saw"
)]
#![allow(
    clippy::return_self_not_must_use,
    reason = "a check may be the last word on a result"
)]

pub mod archive;
pub mod bare;
pub mod buildkit;
pub mod dump;
pub mod fake_api;
pub mod host;
pub mod kubernetes;
pub mod namespace;
pub mod program;
pub mod proxy;
pub mod webhook;

pub use kubernetes::Kubernetes;
pub use namespace::Namespace;
pub use program::{Finished, Program, Running};
