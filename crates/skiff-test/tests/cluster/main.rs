//! The end-to-end tests: `skiff` as users start it, on a real cluster, a namespace a test.
//!
//! `cargo xtask test` starts the cluster and runs them. They wait for conditions, never for time.

mod admission;
mod capacity;
mod clusters;
mod death;
mod demo;
mod disk;
mod images;
mod interrupt;
mod jobs;
mod relaunch;
mod rights;
mod server;
mod streams;
mod task;
