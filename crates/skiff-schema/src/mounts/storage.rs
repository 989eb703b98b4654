//! Buckets as they are written in `file_mounts`.

use serde_json::{Map, Value as Json, json};

use crate::faults::Fault;
use crate::grammar::{Field, Form, Notation, Problem, Record, ScalarKind};
use crate::json;
use crate::path::Path;
use crate::view::View;
use crate::words;
use crate::yaml::{Node, Value};

/// Addresses of buckets begin with these.
pub(super) const SCHEMES: [&str; 10] = [
    "s3", "gs", "https", "r2", "cos", "oci", "nebius", "cw", "vastdata", "hf",
];
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

/// Where a bucket's data come from.
enum Origin<'a> {
    /// Nowhere: it begins empty, or exists under its name.
    Nothing,
    /// From here.
    Local,
    /// It exists at this address.
    Remote { scheme: &'a str, rest: &'a str },
}

/// Reads a bucket that has the right form; None with a fault.
pub(super) fn read(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) -> Json {
    let fields = View::of(node);
    let rules = Rules { fields, path };
    let before = faults.len();
    if let Some(origin) = rules.origin(faults) {
        rules.check_name(&origin, node, faults);
        rules.check_mode(&origin, faults);
    }
    if fields
        .text("store")
        .is_some_and(|store| store.eq_ignore_ascii_case("VOLUME"))
    {
        let message = format!("`{path}.store`: Kubernetes has no disks of Google Cloud");
        let help = "use `volumes` for a disk";
        faults.push(rules.at("store", Fault::new(message).help(help)));
    }
    if faults.len() > before {
        return Json::Null;
    }
    rules.to_json()
}

struct Rules<'a> {
    fields: View<'a>,
    path: &'a Path<'a>,
}

impl<'a> Rules<'a> {
    fn at(&self, field: &str, fault: Fault) -> Fault {
        match self.fields.key_span(field) {
            Some(span) => fault.at(span, ""),
            None => fault,
        }
    }

    fn mode(&self) -> String {
        self.fields.text("mode").unwrap_or("MOUNT").to_uppercase()
    }

    fn origin(&self, faults: &mut Vec<Fault>) -> Option<Origin<'a>> {
        let path = self.path.key("source");
        match &self.fields.get("source").map(|node| &node.value) {
            None => Some(Origin::Nothing),
            Some(Value::Sequence(items)) => {
                self.check_list(items, faults);
                Some(Origin::Local)
            }
            Some(Value::String(source)) => match super::split_address(source) {
                Some((scheme, rest)) if SCHEMES.contains(&scheme) => {
                    Some(Origin::Remote { scheme, rest })
                }
                Some((scheme, _)) => {
                    let fault =
                        Fault::new(format!("`{path}`: `{scheme}://` is no place of buckets"));
                    let help = format!(
                        "write a local folder, or an address with one of {}",
                        words::one_of(&SCHEMES)
                    );
                    faults.push(self.at("source", fault.help(help)));
                    None
                }
                None => {
                    self.check_local(source, faults);
                    Some(Origin::Local)
                }
            },
            Some(_) => None,
        }
    }

    fn check_local(&self, source: &str, faults: &mut Vec<Fault>) {
        let path = self.path.key("source");
        if source.ends_with('/') {
            let fault = Fault::new(format!("`{path}`: a path must not end with `/`"));
            faults.push(self.at("source", fault.help("remove the slash")));
        } else if source.is_empty() {
            let fault = Fault::new(format!("`{path}` is empty"));
            faults.push(self.at("source", fault));
        }
    }

    fn check_list(&self, items: &[Node], faults: &mut Vec<Fault>) {
        let path = self.path.key("source");
        if items.is_empty() {
            let fault = Fault::new(format!("`{path}` is an empty list"));
            faults.push(self.at("source", fault.help("name a file or a folder")));
        }
        let mut names = Vec::new();
        for item in items {
            let Value::String(source) = &item.value else {
                continue;
            };
            self.check_local(source, faults);
            let name = source.rsplit('/').next().unwrap_or(source);
            if names.contains(&name) {
                let message =
                    format!("`{path}` has several files or folders that are called `{name}`");
                faults.push(Fault::new(message).at(item.span, "again here"));
            }
            names.push(name);
        }
    }

    fn check_name(&self, origin: &Origin<'_>, node: &Node, faults: &mut Vec<Fault>) {
        let path = self.path;
        let name = self.fields.text("name").filter(|name| !name.is_empty());
        match (origin, name) {
            (Origin::Remote { .. }, Some(_)) => {
                let fault = Fault::new(format!(
                    "`{path}` has both a `name` and the address of a bucket"
                ));
                faults.push(self.at("name", fault.help("remove `name`: the address holds it")));
            }
            (Origin::Local, None) => {
                let fault = Fault::new(format!("`{path}` has no `name`"));
                let help = "name the bucket to which the local files go";
                faults.push(fault.at(node.span, "").help(help));
            }
            (Origin::Nothing, None) => {
                let fault = Fault::new(format!("`{path}` has neither a `name` nor a `source`"));
                let help = "write `source: s3://<bucket>` for a bucket that exists, or `name: <bucket>` for a new one";
                faults.push(fault.at(node.span, "").help(help));
            }
            (_, Some(name)) => {
                if let Some((scheme, bucket)) = name.split_once("://")
                    && SCHEMES.contains(&scheme.to_lowercase().as_str())
                {
                    let fault = Fault::new(format!("`{path}.name` holds an address"));
                    let help = format!("write `source: {name}`, or `name: {bucket}` and a `store`");
                    faults.push(self.at("name", fault.help(help)));
                }
            }
            (Origin::Remote { .. }, None) => {}
        }
        if matches!(origin, Origin::Nothing) && name.is_some() && self.mode() == "COPY" {
            let fault = Fault::new(format!("`{path}` has no `source` to copy from"));
            faults.push(self.at("mode", fault.help("write a `source`, or another `mode`")));
        }
    }

    fn check_mode(&self, origin: &Origin<'_>, faults: &mut Vec<Fault>) {
        let (path, mode) = (self.path, self.mode());
        if let Origin::Remote { scheme, rest } = origin
            && mode != "COPY"
            && !is_whole_bucket(scheme, rest)
        {
            let message = format!("`{path}.source`: a folder of a bucket cannot be mounted");
            let help = "write the bucket alone, or `mode: COPY`";
            faults.push(self.at("source", Fault::new(message).help(help)));
        }
        let config = self.fields.view("config");
        let settings = [
            (self.fields, "type", "type", "MOUNT_CACHED"),
            (
                config,
                "mount_cached",
                "config.mount_cached",
                "MOUNT_CACHED",
            ),
            (config, "mount", "config.mount", "MOUNT"),
        ];
        for (fields, name, shown, needed) in settings {
            if fields.get(name).is_some() && mode != needed {
                let message =
                    format!("`{path}.{shown}` is for `mode: {needed}`, and this is {mode}");
                let fault = Fault::new(message).help("remove it, or change `mode`");
                let span = fields.key_span(name);
                faults.push(span.map_or(fault.clone(), |span| fault.at(span, "")));
            }
        }
    }

    /// The bucket with its defaults, words in upper case.
    fn to_json(&self) -> Json {
        let mut storage = Map::new();
        let upper = |name: &str| self.fields.text(name).map(str::to_uppercase);
        let as_written = |name: &str| self.fields.get(name).map(json::of_node);
        let persistent = self.fields.boolean("persistent").unwrap_or(true);
        let fields = [
            ("name", as_written("name")),
            ("source", as_written("source")),
            ("store", upper("store").map(Json::from)),
            ("mode", Some(json!(self.mode()))),
            ("type", upper("type").map(Json::from)),
            ("persistent", Some(json!(persistent))),
            ("config", as_written("config")),
        ];
        for (name, value) in fields {
            storage.extend(value.map(|value| (name.to_owned(), value)));
        }
        Json::Object(storage)
    }
}

/// Whether an address names a bucket and nothing within it.
fn is_whole_bucket(scheme: &str, rest: &str) -> bool {
    let (_, folder) = rest.split_once('/').unwrap_or((rest, ""));
    match scheme {
        "https" | "hf" => true,
        // Of `cos` the region comes first.
        "cos" => {
            let bucket = folder.trim_end().trim_end_matches('/');
            !bucket.is_empty() && !bucket.contains('/')
        }
        _ => folder.trim_matches('/').is_empty(),
    }
}
