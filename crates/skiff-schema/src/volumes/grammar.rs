//! The language of a volume's file.

use crate::config::notations::{NAMESPACE, is_object_name};
use crate::grammar::{Field, Form, Notation, Problem, Record, ScalarKind};
use crate::resources::infra::INFRA;
use crate::resources::labels::{LABEL_KEY, LABEL_VALUE};
use crate::volumes::{ACCESS_MODES, VOLUME_SIZE};
use crate::words;

/// How many nodes may use a volume at once where nobody says it.
pub(super) const DEFAULT_MODE: &str = "ReadWriteOnce";
/// The longest name of a volume: it is the value of a label too.
const LONGEST_NAME: usize = 63;
/// A claim for a persistent volume.
const CLAIM: &str = "k8s-pvc";
/// A folder of each node.
const FOLDER: &str = "k8s-hostpath";
/// The kinds that there are.
const KINDS: [&str; 1] = [CLAIM];
/// Why fields of another kind change nothing.
const OF_FOLDERS: &str = "it is for `type: k8s-hostpath`, which Skiff does not have yet";
/// Parts of letters, digits and `-`, with points between them.
const NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A volume that outlives clusters.
pub static VOLUME_FILE: Record = Record {
    name: "volume file",
    fields: &[
        Field::new(
            "name",
            Form::Notation(&NAME),
            "What tasks and `cache_volume` call it: at most 63 lower-case letters, digits, `-` and `.`",
        )
        .example("name: my-data")
        .required(),
        Field::new(
            "type",
            Form::Notation(&KIND),
            "The kind of volume: `k8s-pvc`, a claim for a persistent volume",
        )
        .example("type: k8s-pvc")
        .required(),
        Field::new(
            "infra",
            Form::Notation(&INFRA),
            "Where it is: `k8s`, or `k8s/<context>` for a context of the kubeconfig",
        )
        .default("the kubeconfig's current context")
        .example("infra: k8s"),
        Field::new(
            "size",
            Form::Notation(&VOLUME_SIZE),
            "How much it holds, in gigabytes or with a unit; needed unless `use_existing` is true",
        )
        .example("size: 50Gi"),
        Field::new(
            "use_existing",
            Form::Bool,
            "Takes a claim that is there already, by this name or by the label `skypilot-name` with this value; it stays when the volume is deleted",
        )
        .default("false")
        .example("use_existing: true"),
        Field::new(
            "labels",
            Form::Map {
                keys: &LABEL_KEY,
                values: &Form::Notation(&LABEL_VALUE),
            },
            "Labels of the claim",
        )
        .example("labels: {team: vision}"),
        Field::new("config", Form::Record(&SETTINGS), "Settings of the claim"),
    ],
};

static SETTINGS: Record = Record {
    name: "volume settings",
    fields: &[
        Field::new(
            "storage_class_name",
            Form::Notation(&CLASS),
            "The storage class that makes it; `\"\"` for storage that somebody has made by hand",
        )
        .default("the cluster's default")
        .example("storage_class_name: standard-rwo"),
        Field::new(
            "access_mode",
            Form::Word(ACCESS_MODES),
            "How many nodes may use it at once",
        )
        .default(DEFAULT_MODE)
        .example("access_mode: ReadWriteMany"),
        Field::new(
            "namespace",
            Form::Notation(&NAMESPACE),
            "The namespace of the claim",
        )
        .default("the context's")
        .example("namespace: ml"),
        Field::new("host_path", Form::Text, "The folder of each node")
            .example("host_path: /mnt/data")
            .ignored(OF_FOLDERS),
        Field::new(
            "cleanup_on_deletion",
            Form::Bool,
            "Whether the folders are emptied when the volume is deleted",
        )
        .example("cleanup_on_deletion: true")
        .ignored(OF_FOLDERS),
    ],
};

pub(super) static NAME: Notation = Notation {
    what: "the name of a volume",
    kinds: &[ScalarKind::Text],
    pattern: NAME_PATTERN,
    check: |text| {
        if text.len() <= LONGEST_NAME && is_object_name(text) {
            return Ok(());
        }
        let message = format!("`{text}` cannot be the name of a volume");
        let help = "use at most 63 lower-case letters, digits, `-` and `.`, a letter or digit at the start and at the end";
        Err(Problem::new(message, help))
    },
};

static CLASS: Notation = Notation {
    what: "the name of a storage class",
    kinds: &[ScalarKind::Text],
    pattern: r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$",
    check: |text| {
        if text.is_empty() || is_object_name(text) {
            return Ok(());
        }
        let message = format!("`{text}` is not the name of a storage class");
        Err(Problem::new(
            message,
            "`kubectl get storageclass` lists them",
        ))
    },
};

pub(super) static KIND: Notation = Notation {
    what: "a kind of volume",
    kinds: &[ScalarKind::Text],
    pattern: "^[kK]8[sS]-[pP][vV][cC]$",
    check: |text| {
        if text.eq_ignore_ascii_case(CLAIM) {
            return Ok(());
        }
        if text.eq_ignore_ascii_case(FOLDER) {
            let message = format!("volumes of the kind `{FOLDER}` are not there yet");
            let help = "write k8s-pvc; `kubernetes.pod_config` with a hostPath mounts a folder of the nodes";
            return Err(Problem::new(message, help));
        }
        let message = format!("`{text}` is no kind of volume");
        let help = match words::similar(text, KINDS.into_iter()) {
            Some(like) => format!("did you mean `{like}`?"),
            None => format!("write {}", words::one_of(&KINDS)),
        };
        Err(Problem::new(message, help))
    },
};
