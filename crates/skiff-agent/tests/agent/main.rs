//! The agent as its clients see it: an ordinary process with its own root folder, spoken to in frames
//! through `skiff-agent connect`.

#![expect(clippy::panic, reason = "a test's own helpers fail as tests do")]

mod builder;
mod cancelling;
mod connections;
mod docker;
mod hooks;
mod idling;
mod jobs;
mod links;
mod logs;
mod memory;
mod mounts;
mod nodes;
mod owner;
mod recovery;
mod round_trips;
mod slots;
mod ssh;
mod support;
mod syncs;
mod templates;
mod tree;
