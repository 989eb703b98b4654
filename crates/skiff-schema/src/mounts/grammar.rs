//! The language of buckets in `file_mounts`.

use crate::grammar::{Field, Form, Notation, Problem, Record, ScalarKind};

const STORES: &[&str] = &[
    "S3",
    "GCS",
    "AZURE",
    "R2",
    "IBM",
    "OCI",
    "NEBIUS",
    "COREWEAVE",
    "VASTDATA",
    "HF",
    "VOLUME",
];
const MODES: &[&str] = &["MOUNT", "COPY", "MOUNT_CACHED"];
const TYPES: &[&str] = &[
    "MODEL_CHECKPOINT_RO",
    "MODEL_CHECKPOINT_RW",
    "DATASET_RO",
    "DATASET_RW",
];

/// A bucket.
pub(super) static STORAGE: Record = Record {
    name: "storage",
    fields: &[
        Field::new(
            "name",
            Form::Text,
            "The bucket's name: of a new one, or of one that was made by a task before",
        )
        .example("name: my-bucket"),
        Field::new(
            "source",
            Form::OneOf(&[Form::Text, Form::List(&Form::Text)]),
            "Local folder, or list of files and folders, that is uploaded; or the address of a bucket that exists",
        )
        .example("source: s3://my-bucket"),
        Field::new("store", Form::Word(STORES), "Whose bucket it is")
            .default("the first cloud that can be used")
            .example("store: s3"),
        Field::new(
            "mode",
            Form::Word(MODES),
            "How it appears: mounted, copied before the job, or mounted with a cache that writes back later",
        )
        .default("MOUNT")
        .example("mode: MOUNT_CACHED"),
        Field::new(
            "type",
            Form::Word(TYPES),
            "What it holds, which chooses the settings of the cache; with `mode: MOUNT_CACHED` alone",
        )
        .example("type: DATASET_RO"),
        Field::new(
            "persistent",
            Form::Bool,
            "Whether the bucket outlives the cluster",
        )
        .default("true")
        .example("persistent: false"),
        Field::new("config", Form::Record(&CONFIG), "Settings of the mount"),
        Field::internal("_is_sky_managed"),
        Field::internal("_bucket_sub_path"),
        Field::internal("_force_delete"),
    ],
};

static CONFIG: Record = Record {
    name: "storage config",
    fields: &[
        Field::new(
            "mount",
            Form::Record(&PLAIN_MOUNT),
            "Settings of `mode: MOUNT`",
        ),
        Field::new(
            "mount_cached",
            Form::Record(&CACHED_MOUNT),
            "Settings of `mode: MOUNT_CACHED`, as `rclone mount` has them",
        ),
        google_disk("disk_size", "disk_size: 10"),
        google_disk("disk_tier", "disk_tier: best"),
        google_disk("storage_type", "storage_type: network"),
        google_disk("attach_mode", "attach_mode: read_only"),
    ],
};

/// A field of disks that only Google's virtual machines have.
const fn google_disk(name: &'static str, example: &'static str) -> Field {
    Field::new(name, Form::Scalar, "A disk of Google Cloud")
        .example(example)
        .ignored("pods have no disks of Google Cloud")
}

static PLAIN_MOUNT: Record = Record {
    name: "mount",
    fields: &[
        READ_ONLY,
        Field::new(
            "hf_mount_args",
            Form::List(&Form::Text),
            "Further flags for mounting from Hugging Face",
        )
        .example("hf_mount_args: [--cache-size, 10G]"),
    ],
};

static CACHED_MOUNT: Record = Record {
    name: "cached mount",
    fields: &[
        Field::new(
            "transfers",
            Form::at_least(1),
            "How many files are transferred at once",
        )
        .example("transfers: 8"),
        size(
            "buffer_size",
            "Memory for each transfer",
            "buffer_size: 64M",
        ),
        size(
            "vfs_cache_max_size",
            "The cache on disk, at most",
            "vfs_cache_max_size: 20G",
        ),
        duration(
            "vfs_cache_max_age",
            "How long files stay in the cache",
            "vfs_cache_max_age: 1h",
        ),
        size(
            "vfs_read_ahead",
            "How much is read beyond what was asked for",
            "vfs_read_ahead: 128M",
        ),
        size(
            "vfs_read_chunk_size",
            "How much is read at once",
            "vfs_read_chunk_size: 32M",
        ),
        Field::new(
            "vfs_read_chunk_streams",
            Form::at_least(0),
            "How many parts of a file are read at once",
        )
        .example("vfs_read_chunk_streams: 16"),
        duration(
            "vfs_write_back",
            "How long to wait before writing back",
            "vfs_write_back: 5s",
        ),
        READ_ONLY,
    ],
};

const READ_ONLY: Field = Field::new("read_only", Form::Bool, "Whether nothing may be written")
    .default("false")
    .example("read_only: true");

const fn size(name: &'static str, about: &'static str, example: &'static str) -> Field {
    Field::new(name, Form::Notation(&SIZE), about).example(example)
}

const fn duration(name: &'static str, about: &'static str, example: &'static str) -> Field {
    Field::new(name, Form::Notation(&DURATION), about).example(example)
}

/// A size as rclone writes it.
static SIZE: Notation = Notation {
    what: "a size such as 64M",
    kinds: &[ScalarKind::Text],
    pattern: "^[0-9]+[bkmgtpBKMGTP]?$",
    check: |text| {
        let number = text.strip_suffix(|unit: char| "bkmgtpBKMGTP".contains(unit));
        let number = number.unwrap_or(text);
        let is_size = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let wrong = || Problem::new(format!("`{text}` is not a size"), "write `64M` or `10G`");
        is_size.then_some(()).ok_or_else(wrong)
    },
};

/// A duration as rclone writes it.
static DURATION: Notation = Notation {
    what: "a duration such as 5s",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |text| {
        let wrong = || Problem::new(format!("`{text}` is not a duration"), "write `5s`, `1h30m`");
        is_duration(text).then_some(()).ok_or_else(wrong)
    },
};

/// A number, or numbers each with a unit: `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    let mut parts = 0;
    while !rest.is_empty() {
        let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let is_number = |char: char| char.is_ascii_digit() || char == '.';
        let end = unsigned
            .find(|char| !is_number(char))
            .unwrap_or(unsigned.len());
        let (number, after) = unsigned.split_at(end);
        let (_, fraction) = number.split_once('.').unwrap_or(("", number));
        if fraction.is_empty() || fraction.contains('.') {
            return false;
        }
        if after.is_empty() {
            return parts == 0;
        }
        let unit = after.strip_prefix("ms");
        let Some(next) = unit.or_else(|| after.strip_prefix(['s', 'm', 'h', 'd', 'w', 'M', 'y']))
        else {
            return false;
        };
        rest = next;
        parts += 1;
    }
    parts > 0
}
