//! What known lines of the Docker daemon mean, and what to do about them.

use crate::known::{self, Known};

/// The first that fits counts.
const KNOWN: &[Known] = &[
    Known {
        pieces: &["domain controllers", "it is in an invalid state"],
        meaning: "a control group that has processes cannot have containers below; the sidecar's image must leave \
                  `dockerd` to Skiff and start nothing beside it",
    },
    Known {
        pieces: &["can't initialize iptables table"],
        meaning: IPTABLES,
    },
    Known {
        pieces: &["TABLE_ADD failed"],
        meaning: IPTABLES,
    },
    Known {
        pieces: &["iptables", "exit status 4"],
        meaning: IPTABLES,
    },
    Known {
        pieces: &["overlay", "invalid argument"],
        meaning: "the file system of Docker's data cannot hold an overlay's layers; give it a local disk, or \
                  `enable_docker.storage: loop` or `memory`",
    },
    Known {
        pieces: &["client version", "is too old"],
        meaning: "the client speaks an API that this daemon no longer does: Docker 29 wants 1.44 or later; use a newer \
                  client (unset DOCKER_API_VERSION), or an older daemon with `enable_docker.image`",
    },
    Known {
        pieces: &["non-overlapping IPv4 address pool"],
        meaning: "there are no addresses left for another network; remove some with `docker network prune`, or \
                  give more with `enable_docker.address_pools`",
    },
    Known {
        pieces: &["no space left on device"],
        meaning: "the disk of Docker's data is full; `docker system prune -a` frees what is not used",
    },
    Known {
        pieces: &["toomanyrequests"],
        meaning: "Docker Hub allows only so many pulls without a login; give one with SKYPILOT_DOCKER_USERNAME, _PASSWORD \
                  and _SERVER, or a mirror with `enable_docker.registry_mirrors`",
    },
    Known {
        pieces: &["server gave HTTP response to HTTPS client"],
        meaning: "the registry has no TLS; name it in `enable_docker.insecure_registries`",
    },
    Known {
        pieces: &["no basic auth credentials"],
        meaning: LOGIN,
    },
    Known {
        pieces: &["pull access denied"],
        meaning: LOGIN,
    },
    Known {
        pieces: &["join session keyring", "disk quota exceeded"],
        meaning: "the node's quota of keyrings is used up by earlier containers; launch again on another node, or \
                  have `kernel.keys.maxkeys` raised",
    },
];

const IPTABLES: &str = "the image's iptables does not fit the node's kernel; set `DOCKER_IPTABLES_LEGACY=1` in the sidecar's \
                        environment, or have the kernel's modules for nftables loaded on the node";
const LOGIN: &str = "the registry wants a login; give one with SKYPILOT_DOCKER_USERNAME, _PASSWORD and _SERVER in \
                     `secrets:`, or run `docker login`";

/// What the last known line in a text means. A note or a warning is none: the daemon tries the one way after the other,
/// and writes of each that fails.
pub(crate) fn explain(text: &str) -> Option<&'static Known> {
    let is_fault = |line: &&str| {
        ![" level=info ", " level=warning "]
            .iter()
            .any(|level| line.contains(level))
    };
    let mut lines = text.lines().rev().filter(is_fault);
    lines.find_map(|line| known::find(KNOWN, line))
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn lines_of_daemons_are_known() {
        for (line, word) in [
            (
                r#"level=error msg="Handler for POST /v1.45/containers/x/start returned error: failed to create task for container: OCI runtime create failed: cannot enter cgroupv2 \"/sys/fs/cgroup/docker\" with domain controllers -- it is in an invalid state: unknown""#,
                "control group",
            ),
            (
                "failed to start daemon: Error initializing network controller: iptables v1.8.9 (legacy): can't initialize iptables table `nat': Table does not exist (do you need to insmod?)",
                "iptables",
            ),
            (
                "iptables v1.8.10 (nf_tables): TABLE_ADD failed (Not supported): table nat",
                "iptables",
            ),
            (
                "Error initializing network controller: iptables failed: iptables -t nat -N DOCKER: (exit status 4)",
                "iptables",
            ),
            (
                r#"level=error msg="failed to mount overlay: invalid argument" storage-driver=overlay2"#,
                "storage: loop",
            ),
            (
                r#"level=error msg="Handler for GET /v1.24/info returned error: client version 1.24 is too old. Minimum supported API version is 1.44""#,
                "older daemon",
            ),
            (
                "Error response from daemon: could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
                "address_pools",
            ),
            (
                "Get \"https://10.0.0.5:5000/v2/\": http: server gave HTTP response to HTTPS client",
                "insecure_registries",
            ),
            (
                "unable to join session keyring: unable to create session key: disk quota exceeded",
                "keyrings",
            ),
        ] {
            let known = explain(line).unwrap_or_else(|| panic!("not known: {line}"));
            assert!(known.meaning.contains(word), "{line}: {}", known.meaning);
        }
    }

    #[test]
    fn the_last_known_line_counts_and_others_do_not() {
        let text = "write /x: no space left on device\npull access denied for a/b\nDaemon shutdown complete\n";
        let known = explain(text).expect("a known line");
        assert!(known.meaning.contains("login"), "{}", known.meaning);
        let tried = "time=\"1\" level=info msg=\"Attempting next endpoint: http: server gave HTTP response to HTTPS client\"";
        assert_eq!(explain(tried), None);
    }
}
