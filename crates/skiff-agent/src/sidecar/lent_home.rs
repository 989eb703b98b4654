//! The links of the task's home folder at the same paths in the sidecar, so that `docker run -v
//! ~/sky_workdir:/x` means the same folder to the daemon.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use skiff_proto::paths;

use crate::layout::Layout;

/// Where the agent says what the task's home folder is.
fn note(layout: &Layout) -> PathBuf {
    layout.run_dir().join("home")
}

/// Tells the sidecar the task's home folder.
pub(crate) fn tell(layout: &Layout, home: &Path) -> io::Result<()> {
    let fresh = layout.run_dir().join("home.tmp");
    fs::write(&fresh, home.as_os_str().as_bytes())?;
    fs::rename(fresh, note(layout))
}

/// Makes the links once the agent has told. That one cannot be made leaves a path that means nothing to
/// the daemon, as all paths of the task's own image do.
pub(super) fn lend(layout: &Layout) {
    let Ok(home) = fs::read(note(layout)) else {
        return;
    };
    let home = Path::new(std::ffi::OsStr::from_bytes(&home));
    if home.is_absolute() && fs::create_dir_all(home).is_ok() {
        for (name, target) in [("sky_workdir", paths::WORKDIR), ("sky_logs", paths::LOGS)] {
            let _ = symlink(layout.at(target), home.join(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{lend, tell};
    use crate::layout::Layout;

    #[test]
    fn the_sidecar_gets_the_links_that_the_task_has() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(dir.path().join("skiff"));
        std::fs::create_dir_all(layout.run_dir()).expect("a folder");
        lend(&layout);
        let home = dir.path().join("home/ann");
        tell(&layout, &home).expect("told");
        lend(&layout);
        lend(&layout);
        let link = std::fs::read_link(home.join("sky_workdir")).expect("a link");
        assert_eq!(link, dir.path().join("skiff/sky_workdir"));
    }
}
