//! What goes into each image. A change here builds the image again.

use anyhow::Result;
use serde_json::{Value, json};

use super::archive;

/// The images, by the last part of their names.
pub(super) const NAMES: [&str; 3] = ["base", "docker", "pause"];

/// The pause image's program.
pub(super) const PAUSE_SOURCE: &str = include_str!("pause.c");

/// Raised when the way of building changes and not the lists below.
const FORMAT: u32 = 1;

/// What a task expects: SkyPilot's own images bring these, so task files rely on them.
const BASE: [&str; 22] = [
    "bash",
    "busybox-static",
    "ca-certificates",
    "curl",
    "gcc",
    "git",
    "less",
    "libc6-dev",
    "make",
    "netcat-openbsd",
    "openssh-client",
    "patch",
    "pciutils",
    "procps",
    "python3",
    "python3-pip",
    "python3-venv",
    "rsync",
    "sudo",
    "unzip",
    "wget",
    "xz-utils",
];

/// The daemon, its tools, and what prepares its storage and network.
const DOCKER: [&str; 6] = [
    "ca-certificates",
    "docker.io",
    "e2fsprogs",
    "iptables",
    "mount",
    "util-linux",
];

/// Docker's client parts, which have packages of their own from Debian 13 on.
const DOCKER_CURRENT: [&str; 3] = ["docker-buildx", "docker-cli", "docker-compose"];

/// Large files that no image needs: the LTO dump tool, containerd's client, old shims.
const UNWANTED: [&str; 5] = [
    "usr/bin/*-lto-dump-*",
    "usr/bin/lto-dump*",
    "usr/bin/ctr",
    "usr/bin/containerd-shim",
    "usr/bin/containerd-shim-runc-v1",
];

/// One image.
pub(super) struct Recipe {
    pub(super) content: Content,
    /// The image configuration: environment, entrypoint, command.
    pub(super) config: Value,
}

/// What the image's one layer consists of.
pub(super) enum Content {
    /// Debian packages.
    Packages {
        /// How much beside them: `minbase` has apt, `essential` has not.
        variant: &'static str,
        names: Vec<&'static str>,
        unwanted: Vec<&'static str>,
    },
    /// The static pause program alone.
    Pause,
}

impl Recipe {
    /// The recipe of an image; `current` means Debian 13 or later.
    pub(super) fn of(name: &str, current: bool) -> Self {
        match name {
            "base" => Self {
                content: Content::Packages {
                    variant: "minbase",
                    names: BASE.to_vec(),
                    unwanted: UNWANTED.to_vec(),
                },
                config: json!({"Env": environment(), "Cmd": ["bash"]}),
            },
            "docker" => {
                let mut names = DOCKER.to_vec();
                names.extend(if current { &DOCKER_CURRENT[..] } else { &[] });
                Self {
                    content: Content::Packages {
                        variant: "essential",
                        names,
                        unwanted: UNWANTED.to_vec(),
                    },
                    config: json!({"Env": environment(), "Cmd": ["dockerd"]}),
                }
            }
            _ => Self {
                content: Content::Pause,
                config: json!({"Env": environment(), "Entrypoint": ["/pause"]}),
            },
        }
    }
}

/// A digest of all that decides what the image contains, except the packages' versions.
pub(super) fn fingerprint(name: &str) -> Result<String> {
    let recipe = Recipe::of(name, true);
    let content = match &recipe.content {
        Content::Packages {
            variant,
            names,
            unwanted,
        } => json!([variant, names, unwanted]),
        Content::Pause => json!(PAUSE_SOURCE),
    };
    let text = json!([FORMAT, recipe.config, content]).to_string();
    archive::digest_of_bytes(text.as_bytes())
}

fn environment() -> [&'static str; 2] {
    [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG=C.UTF-8",
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_has_a_fingerprint_of_its_own() -> Result<()> {
        let mut prints = NAMES
            .iter()
            .map(|name| fingerprint(name))
            .collect::<Result<Vec<_>>>()?;
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), NAMES.len());
        Ok(())
    }

    #[test]
    fn an_older_debian_has_no_separate_docker_client() {
        let Content::Packages { names, .. } = Recipe::of("docker", false).content else {
            panic!("the docker image is made of packages");
        };
        assert!(!names.contains(&"docker-cli"));
    }
}
