//! Messages of `RootlessKit`, `BuildKit` and its runtime that mean something else than they say, with cause and fix.

use crate::known::{self, Known};

const APP_ARMOR: &str = "AppArmor forbids its container mounts, although the pod asks for no profile; exempt the \
                         container `buildkit` from the policy that sets one";
const NO_NEW_RIGHTS: &str = "newuidmap may not map users: `allowPrivilegeEscalation: false` or a profile of AppArmor \
                             was put into the pod; exempt the container `buildkit` from that policy";
const UBUNTU: &str = "the node's AppArmor keeps user namespaces from ordinary users \
                      (kernel.apparmor_restrict_unprivileged_userns is 1, as in Ubuntu 24.04); its administrator can \
                      set that to 0, or give the node a runtime with user namespaces for pods (Kubernetes 1.33)";
const NO_NAMESPACES: &str = "the node allows no user namespaces; its administrator can: `sysctl -w \
                             user.max_user_namespaces=63359`";

/// The first that fits counts.
const ALL: &[Known] = &[
    Known {
        pieces: &["failed to Lchown"],
        meaning: "the builder's data lies on a file system that does not keep the owners of files (NFS, SMB); it needs \
                  a volume on a local disk, or none",
    },
    Known {
        pieces: &["failed to share mount point: /", "permission denied"],
        meaning: APP_ARMOR,
    },
    Known {
        pieces: &["apparmor_restrict_unprivileged_userns"],
        meaning: UBUNTU,
    },
    Known {
        pieces: &["fork/exec /proc/self/exe: permission denied"],
        meaning: UBUNTU,
    },
    Known {
        pieces: &["newuidmap", "Could not set caps"],
        meaning: NO_NEW_RIGHTS,
    },
    Known {
        pieces: &["newuidmap", "peration not permitted"],
        meaning: NO_NEW_RIGHTS,
    },
    Known {
        pieces: &["max_user_namespaces needs to be set to non-zero"],
        meaning: NO_NAMESPACES,
    },
    Known {
        pieces: &["fork/exec /proc/self/exe: no space left on device"],
        meaning: NO_NAMESPACES,
    },
    Known {
        pieces: &["fork/exec /proc/self/exe: operation not permitted"],
        meaning: "a profile of seccomp keeps user namespaces from its container, although the pod asks for none; exempt \
                  the container `buildkit` from the policy that sets one",
    },
    Known {
        pieces: &["mount proc", "peration not permitted"],
        meaning: "the runtime hides parts of /proc, so build steps cannot have one of their own; launch again, so that \
                  the builder finds out anew what it may do",
    },
    Known {
        pieces: &["rbind ro", "peration not permitted"],
        meaning: "the builder's data lies on a volume of the image, which this node mounts without devices; it needs the \
                  volume that Skiff puts there",
    },
    Known {
        pieces: &["session key", "disk quota exceeded"],
        meaning: "the node has no keys left for the builder's user; its administrator can raise them (`sysctl -w \
                  kernel.keys.maxkeys=2000`), and the pods that hold most of them are the oldest",
    },
    Known {
        pieces: &["mount_setattr", "nvalid argument"],
        meaning: "a volume of the pod cannot show the pod's own users, as NFS cannot; `pod_config: {spec: {hostUsers: \
                  true}}` gives it the node's",
    },
    Known {
        pieces: &["overlay", "nvalid argument"],
        meaning: "the builder's data lies where layers cannot: it needs a volume on a local disk",
    },
    Known {
        pieces: &["o subuid ranges found"],
        meaning: "/etc/subuid of the image has no entry for its user; take a rootless image of BuildKit as \
                  `kubernetes.images.buildkit`",
    },
    Known {
        pieces: &["buildkitd.lock"],
        meaning: "another builder uses the same data; end that one, or take another volume",
    },
    Known {
        pieces: &["exit code: 137"],
        meaning: "the kernel killed a build step for want of memory: raise the limit of the container `buildkit`, or \
                  build less at once",
    },
    Known {
        pieces: &["no space left on device"],
        meaning: "the disk of the builder's data is full; `docker buildx prune` makes room",
    },
];

/// What a log tells, where it holds a message that is known.
pub(super) fn explain(log: &str) -> Option<&'static str> {
    known::find(ALL, log).map(|known| known.meaning)
}

#[cfg(test)]
mod tests {
    use super::explain;

    /// Messages as users have met them, and what their explanation must name.
    const REAL: &[(&str, &str)] = &[
        (
            "error: failed to solve: failed to Lchown \"/home/user/.local/share/buildkit/x/etc/shadow\" for UID 0, GID 42: \
             lchown /etc/shadow: operation not permitted",
            "NFS",
        ),
        (
            "[rootlesskit:child ] error: failed to share mount point: /: permission denied",
            "AppArmor",
        ),
        (
            "[rootlesskit:parent] error: failed to setup UID/GID map: newuidmap 14 [0 1000 1 1 100000 65536] failed: \
             newuidmap: Could not set caps\n: exit status 1",
            "allowPrivilegeEscalation",
        ),
        (
            "newuidmap: write to uid_map failed: Operation not permitted",
            "allowPrivilegeEscalation",
        ),
        (
            "runc run failed: unable to start container process: error during container init: error mounting \"proc\" to \
             rootfs at \"/proc\": mount proc:/proc (via /proc/self/fd/6), flags: 0xe: operation not permitted",
            "/proc",
        ),
        (
            "[rootlesskit:parent] error: failed to start the child: fork/exec /proc/self/exe: permission denied",
            "apparmor_restrict_unprivileged_userns",
        ),
        (
            "This error might have happened because /proc/sys/kernel/apparmor_restrict_unprivileged_userns is set to 1",
            "Ubuntu 24.04",
        ),
        (
            "level=warning msg=\"/proc/sys/user/max_user_namespaces needs to be set to non-zero.\"",
            "user.max_user_namespaces=63359",
        ),
        (
            "[rootlesskit:parent] error: failed to start the child: fork/exec /proc/self/exe: no space left on device",
            "user.max_user_namespaces=63359",
        ),
        (
            "failed to mount /home/user/.local/tmp/buildkit-mount1: [{Type:bind Source:/a Options:[rbind ro]}]: operation \
             not permitted",
            "volume that Skiff puts there",
        ),
        (
            "runc run failed: unable to join session keyring: unable to create session key: disk quota exceeded",
            "kernel.keys.maxkeys",
        ),
        (
            "process \"/bin/sh -c make\" did not complete successfully: exit code: 137",
            "memory",
        ),
        (
            "failed to create shim task: mount_setattr /var/lib/kubelet/pods/x: Invalid argument",
            "hostUsers",
        ),
    ];

    #[test]
    fn d01_to_d07_real_messages_are_explained() {
        for (message, named) in REAL {
            let meaning = explain(message).unwrap_or_default();
            assert!(meaning.contains(named), "{message}\n=> {meaning}");
        }
        assert_eq!(explain("running server on /run/x.sock"), None);
    }
}
