//! What makes Docker's tools find the daemon and their plugins in any task image: links, where the image
//! allows them and has nothing of its own.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use skiff_proto::paths;

use crate::docker_login;
use crate::environment::Variables;
use crate::layout::Layout;

/// Where programs look for the daemon that do not read `DOCKER_HOST`.
const USUAL_SOCKET: &str = "/var/run/docker.sock";

/// Where the client looks for plugins that are every user's.
const OF_ALL_USERS: &str = "/usr/local/lib/docker/cli-plugins";

/// Makes the links. One that cannot be made is no fault: `DOCKER_HOST` and `PATH` say the same.
pub(crate) fn make(layout: &Layout, home: &Path) {
    if *layout == Layout::default() {
        let _ = link(&layout.at(paths::DOCKER_SOCKET), Path::new(USUAL_SOCKET));
        let _ = link_plugins(&layout.at(paths::CLI_PLUGINS), Path::new(OF_ALL_USERS));
    }
    // For sessions that come before the first job.
    let mut variables: Variables = std::env::vars_os().collect();
    variables.insert("HOME".into(), home.into());
    docker_login::prepare(layout, &variables);
    let config = std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty());
    let config = config.map_or_else(|| home.join(".docker"), PathBuf::from);
    let _ = link_plugins(&layout.at(paths::CLI_PLUGINS), &config.join("cli-plugins"));
}

fn link_plugins(from: &Path, to: &Path) -> io::Result<()> {
    let plugins = fs::read_dir(from)?;
    fs::create_dir_all(to)?;
    for plugin in plugins {
        let plugin = plugin?;
        link(&plugin.path(), &to.join(plugin.file_name()))?;
    }
    Ok(())
}

/// Makes a link unless there is something already.
fn link(target: &Path, link: &Path) -> io::Result<()> {
    match symlink(target, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::link_plugins;

    #[test]
    fn plugins_are_linked_beside_the_users_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for folder in [&from, &to] {
            std::fs::create_dir(folder).expect("a folder");
        }
        for file in [
            "from/docker-buildx",
            "from/docker-compose",
            "to/docker-buildx",
        ] {
            std::fs::write(dir.path().join(file), file).expect("a file");
        }
        link_plugins(&from, &to).expect("linked");
        let read = |name: &str| std::fs::read_to_string(to.join(name)).expect("readable");
        assert_eq!(read("docker-buildx"), "to/docker-buildx");
        assert_eq!(read("docker-compose"), "from/docker-compose");
    }
}
