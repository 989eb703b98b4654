//! Makes the pod's builder known to `docker buildx`, for every user of the container, beside the builders that the
//! user's own home has.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use skiff_proto::paths;

use super::folder::set_mode;
use crate::layout::Layout;

/// Writes the builder where `BUILDX_CONFIG` leads.
pub(crate) fn register(layout: &Layout, home: &Path) -> io::Result<()> {
    let folder = layout.at(paths::BUILDX);
    let name = paths::BUILDX_BUILDER;
    let node = format!("{name}0");
    // Whoever comes first would make these for himself alone.
    let refs = format!("refs/{name}/{node}");
    let refs_of_builder = format!("refs/{name}");
    for below in [
        "",
        "instances",
        "activity",
        "defaults",
        "refs",
        &refs_of_builder,
        &refs,
        "refs/__group__",
    ] {
        let folder = folder.join(below);
        fs::create_dir_all(&folder)?;
        set_mode(&folder, 0o777)?;
    }
    let lock = folder.join(".lock");
    fs::write(&lock, b"")?;
    set_mode(&lock, 0o666)?;
    let instance = json!({
        "Name": name,
        "Driver": "remote",
        "Nodes": [{
            "Name": node,
            "Endpoint": format!("unix://{}", layout.at(paths::BUILDKIT_SOCKET).display()),
            "Platforms": null,
            "Flags": null,
            "DriverOpts": null,
            "Files": null,
        }],
        "Dynamic": false,
    });
    let instances = folder.join("instances");
    let own = instances.join(name);
    fs::write(&own, instance.to_string())?;
    set_mode(&own, 0o644)?;
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
