//! Makes the pod's builder known to `docker buildx`, beside the builders that the user's own home has.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use skiff_proto::paths;

use crate::layout::Layout;

/// Writes the builder where `BUILDX_CONFIG` leads: no home folder, for jobs may have another one than the agent.
pub(crate) fn register(layout: &Layout, home: &Path) -> io::Result<()> {
    let name = paths::BUILDX_BUILDER;
    let instances = layout.at(paths::BUILDX).join("instances");
    fs::create_dir_all(&instances)?;
    let instance = json!({
        "Name": name,
        "Driver": "remote",
        "Nodes": [{
            "Name": format!("{name}0"),
            "Endpoint": format!("unix://{}", layout.at(paths::BUILDKIT_SOCKET).display()),
            "Platforms": null,
            "Flags": null,
            "DriverOpts": null,
            "Files": null,
        }],
        "Dynamic": false,
    });
    fs::write(instances.join(name), instance.to_string())?;
    link_users_own(&home.join(".docker/buildx/instances"), &instances)
}

/// Builders that the user has made, in the image or on a volume.
fn link_users_own(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(builders) = fs::read_dir(from) else {
        return Ok(());
    };
    for builder in builders {
        let builder = builder?;
        match symlink(builder.path(), to.join(builder.file_name())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::register;
    use crate::layout::Layout;

    #[test]
    fn the_pods_builder_stands_beside_the_users_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = dir.path().join("home");
        let own = home.join(".docker/buildx/instances");
        std::fs::create_dir_all(&own).expect("a folder");
        std::fs::write(own.join("mine"), "{\"Name\":\"mine\"}").expect("written");
        let layout = Layout::new(dir.path().join("skiff"));
        for _ in 0..2 {
            register(&layout, &home).expect("registered");
        }
        let read = |name: &str| {
            let path = dir.path().join("skiff/buildx/instances").join(name);
            std::fs::read_to_string(path).expect("readable")
        };
        let skiff = read("skiff");
        assert!(skiff.contains("\"Driver\":\"remote\""), "{skiff}");
        assert!(skiff.contains("/docker/buildkitd.sock"), "{skiff}");
        assert_eq!(read("mine"), "{\"Name\":\"mine\"}");
    }
}
