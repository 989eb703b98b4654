//! Mounts that a privileged container lacks and the daemon looks for.

use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

/// Completes the mounts as far as the kernel allows it; the daemon runs without them, and says which of
/// its features it then lacks.
pub(super) fn complete() {
    let security = Path::new("/sys/kernel/security");
    let is_empty = |dir: &Path| {
        dir.read_dir()
            .is_ok_and(|mut entries| entries.next().is_none())
    };
    if is_empty(security) {
        let _ = mount("none", security, "securityfs", MountFlags::empty(), None);
    }
    // So that a container's mounts can be shared, as they can on a machine.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    let _ = mount_change("/", shared);
}
