//! The command line as users and scripts meet it: exit code, standard output and standard error at
//! once, in surroundings of the test's own. No test here needs a cluster.

mod check;
mod config;
mod contexts;
mod docker_config;
mod help;
mod launching;
mod reference;
mod render;
mod sandbox;
mod server;
mod task;
mod tasks;
mod usage;
mod volumes;

/// A file that is no module would be tested by nobody.
#[test]
fn every_file_of_this_folder_is_a_module() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli");
    let modules = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).expect("the folder of this file") {
        let path = entry.expect("it can be read").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let is_module = path.extension().is_some_and(|ending| ending == "rs") && name != "main";
        assert!(
            !is_module || modules.contains(&format!("\nmod {name};\n")),
            "{name}.rs is not a module of main.rs"
        );
    }
}
