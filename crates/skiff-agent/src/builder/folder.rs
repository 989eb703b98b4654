//! Folders that containers of different users share.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use skiff_proto::paths;

use crate::layout::Layout;

/// Sets the mode of what is ours.
pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Makes a folder that everybody may write to, but not take each other's files out of.
pub(crate) fn open_to_all(folder: &Path) -> io::Result<()> {
    make(folder, |fresh| set_mode(fresh, 0o1777))
}

/// Makes the folder of the sockets: for the group that all containers of the pod are in.
pub(crate) fn of_sockets(layout: &Layout) -> io::Result<()> {
    let socket = layout.at(paths::DOCKER_SOCKET);
    let folder = socket.parent().unwrap_or(Path::new("/"));
    make(folder, give_to_group)
}

/// Opens what is ours to the group of the sockets. Outside of a pod nobody is in that group: there only the owner
/// gets in.
pub(crate) fn give_to_group(path: &Path) -> io::Result<()> {
    match chown(path, None, Some(paths::DOCKER_GROUP)) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    let is_folder = path.is_dir();
    set_mode(path, if is_folder { 0o2770 } else { 0o660 })
}

/// Makes a folder unless it is there. It appears with its rights: somebody else may wait for it.
fn make(folder: &Path, prepare: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let role = std::env::args().nth(1).unwrap_or_default();
    let fresh = parent.join(format!(
        ".{name}.{}-{:x}",
        role.trim_start_matches('-'),
        std::process::id()
    ));
    let _ = fs::remove_dir(&fresh);
    fs::create_dir(&fresh)?;
    prepare(&fresh)?;
    let moved = renameat_with(CWD, &fresh, CWD, folder, RenameFlags::NOREPLACE);
    if let Err(error) = moved {
        fs::remove_dir(&fresh)?;
        if !folder.is_dir() {
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::open_to_all;

    #[test]
    fn whoever_comes_second_leaves_the_folder_as_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("a/b");
        for _ in 0..2 {
            open_to_all(&folder).expect("made");
            std::fs::write(folder.join("file"), b"x").expect("written");
        }
        let mode = folder.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o1777);
        let beside = dir.path().join("a").read_dir().expect("readable").count();
        assert_eq!(beside, 1, "nothing is left beside it");
    }
}
