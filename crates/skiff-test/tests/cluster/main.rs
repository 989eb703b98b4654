//! The end-to-end tests: `skiff` as users start it, on a real cluster, a namespace a test.
//!
//! `cargo xtask test` starts the cluster and runs them. They wait for conditions, never for time.

#![allow(clippy::panic, reason = "a test fails by a panic")]

mod admission;
mod autostop;
mod capacity;
mod check;
mod clock;
mod clusters;
mod containers;
mod death;
mod demo;
mod disk;
mod docker_build;
mod docker_cache;
mod docker_daemon;
mod docker_examples;
mod docker_network;
mod docker_registry;
mod docker_storage;
mod gangs;
mod images;
mod interrupt;
mod jobs;
mod language;
mod links;
mod logs;
mod names;
mod processes;
mod relaunch;
mod rights;
mod server;
mod ssh;
mod stopping;
mod streams;
mod syncs;
mod task;
mod volume_commands;
mod volumes;

/// A file that is no module would be tested by nobody.
#[test]
fn every_file_of_this_folder_is_a_module() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster");
    let modules = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).expect("the folder of this file") {
        let path = entry.expect("it can be read").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        assert!(
            name == "main" || modules.contains(&format!("\nmod {name};\n")),
            "{name}.rs is not a module of main.rs"
        );
    }
}
