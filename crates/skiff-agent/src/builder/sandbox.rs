//! What the pod lets an unprivileged builder do, read from the kernel's own files: what is sure to fail is refused
//! with its cause before anything is started.

use std::fs;
use std::io;
use std::path::Path;

use thiserror::Error;

/// Profiles of `AppArmor` that runtimes give to containers, all of which forbid mounts.
const USUAL_PROFILES: [&str; 4] = [
    "cri-containerd.apparmor.d",
    "docker-default",
    "crio-default",
    "containers-default",
];
/// How many users an image may have.
const USERS: u64 = 65_536;
/// The user of the builder's image.
pub(super) const USER: u32 = 1000;

/// The pod does not let the builder work.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The kernel makes no user namespaces at all.
    #[error(
        "the node allows no user namespaces (user.max_user_namespaces is 0); its administrator can: `sysctl -w \
         user.max_user_namespaces=63359`"
    )]
    NoNamespaces,
    /// The kernel makes none for ordinary users.
    #[error(
        "the node allows user namespaces to root alone (kernel.unprivileged_userns_clone is 0); its administrator \
         can allow them: `sysctl -w kernel.unprivileged_userns_clone=1`"
    )]
    RootAlone,
    /// The container may not gain rights.
    #[error(
        "the container may not gain rights (`allowPrivilegeEscalation: false` was put into the pod), and newuidmap \
         needs them to map users; exempt the container `buildkit` from that policy"
    )]
    NoNewRights,
    /// `AppArmor` forbids mounts.
    #[error(
        "AppArmor's profile {0} forbids the builder its mounts, although the pod asks for none; exempt the container \
         `buildkit` from the policy that sets it"
    )]
    AppArmor(String),
    /// The image gives its user no others.
    #[error(
        "/etc/subuid of the image gives its user {found} others, and images need {USERS}; take a rootless image of \
         BuildKit as `kubernetes.images.buildkit`"
    )]
    Users {
        /// How many there are.
        found: u64,
    },
    /// The users of the pod cannot be passed on.
    #[error("cannot write {0}: {1}")]
    Give(&'static str, String),
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sandbox {
    uid: u32,
    /// How many users the pod has for itself; None: it has the node's.
    own_users: Option<u64>,
    no_new_rights: bool,
    app_armor: Option<String>,
    max_user_namespaces: Option<u64>,
    clone_for_users: Option<u64>,
    /// How many more users the image gives its user.
    more_users: u64,
}

impl Sandbox {
    /// Looks below this folder, which is the container's root but in tests.
    pub(super) fn of(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).ok();
        let number = |path: &str| text(path)?.trim().parse().ok();
        let uid = rustix::process::geteuid().as_raw();
        Self {
            uid,
            own_users: own_users(&text("proc/self/uid_map").unwrap_or_default()),
            no_new_rights: text("proc/self/status")
                .is_some_and(|status| has_no_new_rights(&status)),
            app_armor: text("proc/self/attr/current").and_then(|profile| enforced(&profile)),
            max_user_namespaces: number("proc/sys/user/max_user_namespaces"),
            clone_for_users: number("proc/sys/kernel/unprivileged_userns_clone"),
            more_users: more_users(
                &text("etc/subuid").unwrap_or_default(),
                &text("etc/passwd").unwrap_or_default(),
                if uid == 0 { USER } else { uid },
            ),
        }
    }

    /// Whether it is sure that no builder can work here.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.max_user_namespaces == Some(0) {
            return Err(Refusal::NoNamespaces);
        }
        if self.clone_for_users == Some(0) && self.uid != 0 {
            return Err(Refusal::RootAlone);
        }
        if self.no_new_rights && !self.is_own_root() {
            return Err(Refusal::NoNewRights);
        }
        if let Some(profile) = &self.app_armor {
            return Err(Refusal::AppArmor(profile.clone()));
        }
        if !self.is_own_root() && self.more_users < USERS {
            let found = self.more_users;
            return Err(Refusal::Users { found });
        }
        Ok(())
    }

    /// Whether the builder starts as somebody else than the wrapper: as root of a node that was asked for users of the
    /// pod's own and has not given them.
    pub(super) fn must_leave_root(&self) -> bool {
        self.uid == 0 && self.own_users.is_none()
    }

    /// Writes into the container's lists of users that root may have all others of the pod, where these are its own.
    pub(super) fn give_users(&self) -> Result<(), Refusal> {
        let Some(count) = self.own_users.filter(|_| self.is_own_root()) else {
            return Ok(());
        };
        for file in ["/etc/subuid", "/etc/subgid"] {
            let given = fs::read_to_string(file).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(String::new()),
                _ => Err(error),
            });
            given
                .and_then(|text| fs::write(file, with_all_for_root(&text, count)))
                .map_err(|error| Refusal::Give(file, error.to_string()))?;
        }
        Ok(())
    }

    /// Whose users the builder has, for the report.
    pub(super) fn users_text(&self) -> String {
        match self.own_users {
            Some(count) => format!("root of the pod's own {count} users"),
            None => "an ordinary user of the node".to_owned(),
        }
    }

    fn is_own_root(&self) -> bool {
        self.uid == 0 && self.own_users.is_some()
    }
}

/// How many users a map gives, where it is not the node's own, which is one line with all of them.
fn own_users(map: &str) -> Option<u64> {
    let line: Vec<u64> = map
        .lines()
        .next()?
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    match line.as_slice() {
        [0, 0, _] | [] => None,
        [_, _, count] => Some(*count),
        _ => None,
    }
}

fn has_no_new_rights(status: &str) -> bool {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix("NoNewPrivs:"));
    value.is_some_and(|value| value.trim() == "1")
}

/// The profile, where it is one that a runtime gives to containers and the kernel enforces.
fn enforced(profile: &str) -> Option<String> {
    let name = profile
        .trim_end_matches(['\n', '\0'])
        .strip_suffix(" (enforce)")?;
    let mut usual = USUAL_PROFILES.iter();
    usual
        .any(|usual| name.starts_with(usual))
        .then(|| name.to_owned())
}

/// How many users the first entry for this one gives, by number or by name.
fn more_users(subuid: &str, passwd: &str, uid: u32) -> u64 {
    let number = uid.to_string();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    });
    let counts = subuid.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let whose = fields.next()?;
        let count = fields.nth(1)?.trim().parse().ok()?;
        (whose == number || Some(whose) == name).then_some(count)
    });
    counts.max().unwrap_or(0)
}

/// The list with one entry for root: everybody but itself.
fn with_all_for_root(list: &str, count: u64) -> String {
    let others = list
        .lines()
        .filter(|line| !line.starts_with("root:") && !line.starts_with("0:"));
    let own = format!("root:1:{}", count.saturating_sub(1));
    let mut lines: Vec<&str> = others.collect();
    lines.push(&own);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Refusal, Sandbox, enforced, own_users, with_all_for_root};

    fn fine() -> Sandbox {
        Sandbox {
            uid: 1000,
            more_users: 65_536,
            max_user_namespaces: Some(63_359),
            ..Sandbox::default()
        }
    }

    #[test]
    fn d01_what_forbids_the_builder_its_work_is_named() {
        assert_eq!(fine().check(), Ok(()));
        let refused = |change: fn(&mut Sandbox)| {
            let mut sandbox = fine();
            change(&mut sandbox);
            sandbox.check().expect_err("refused").to_string()
        };
        let text = refused(|sandbox| sandbox.no_new_rights = true);
        assert!(text.contains("allowPrivilegeEscalation"), "{text}");
        let text = refused(|sandbox| sandbox.app_armor = Some("docker-default".into()));
        assert!(text.contains("profile docker-default forbids"), "{text}");
        let text = refused(|sandbox| sandbox.more_users = 0);
        assert!(text.contains("images need 65536"), "{text}");
    }

    #[test]
    fn d03_a_node_without_user_namespaces_is_named_with_the_setting() {
        let mut sandbox = fine();
        sandbox.max_user_namespaces = Some(0);
        assert_eq!(sandbox.check(), Err(Refusal::NoNamespaces));
        let text = Refusal::NoNamespaces.to_string();
        assert!(
            text.contains("sysctl -w user.max_user_namespaces=63359"),
            "{text}"
        );
        let mut sandbox = fine();
        sandbox.clone_for_users = Some(0);
        assert_eq!(sandbox.check(), Err(Refusal::RootAlone));
    }

    #[test]
    fn d11_the_users_of_a_pod_are_told_from_the_nodes() {
        assert_eq!(own_users("         0          0 4294967295\n"), None);
        assert_eq!(own_users("0 131072 65536\n"), Some(65_536));
        assert_eq!(own_users(""), None);
        let list = with_all_for_root("user:100000:65536\nroot:1000:5\n", 65_536);
        assert_eq!(list, "user:100000:65536\nroot:1:65535\n");
        let ignored = Sandbox { uid: 0, ..fine() };
        assert!(ignored.must_leave_root());
        let own = Sandbox {
            uid: 0,
            own_users: Some(65_536),
            more_users: 0,
            no_new_rights: true,
            ..fine()
        };
        assert!(!own.must_leave_root());
        assert_eq!(own.check(), Ok(()));
    }

    #[test]
    fn the_kernels_files_are_read() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
            std::fs::write(path, text).expect("written");
        };
        write("proc/self/uid_map", "0 0 4294967295\n");
        write(
            "proc/self/status",
            "Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t0\n",
        );
        write(
            "proc/self/attr/current",
            "cri-containerd.apparmor.d (enforce)\n",
        );
        write("proc/sys/user/max_user_namespaces", "0\n");
        write("etc/subuid", "user:100000:65536\n");
        let uid = rustix::process::geteuid().as_raw();
        let wanted = if uid == 0 { 1000 } else { uid };
        write(
            "etc/passwd",
            &format!("user:x:{wanted}:{wanted}::/home/user:/bin/sh\n"),
        );
        let found = Sandbox::of(root.path());
        let expected = Sandbox {
            uid,
            own_users: None,
            no_new_rights: true,
            app_armor: Some("cri-containerd.apparmor.d".into()),
            max_user_namespaces: Some(0),
            clone_for_users: None,
            more_users: 65_536,
        };
        assert_eq!(found, expected);
        assert_eq!(enforced("unconfined\n"), None);
        assert_eq!(enforced("cri-containerd.apparmor.d (complain)"), None);
    }
}
