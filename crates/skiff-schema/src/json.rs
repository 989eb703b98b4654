//! A resolved task as JSON, for people and programs that look at it: no secret is in it.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use crate::quantity::GIGABYTE;
use crate::resolved::{Choice, FileMount, VolumeMount, Workdir};
use crate::resources::DEFAULT_DISK_BYTES;
use crate::yaml::{Node, Value};
use crate::{ResolvedResources, ResolvedTask};

impl ResolvedTask {
    /// The task as JSON, its fields in the order in which the language has them.
    pub fn to_json(&self) -> Json {
        let mut json = Map::new();
        let mut put = |name: &str, value: Json| {
            let value = self.secrets.shown(name).cloned().unwrap_or(value);
            json.insert(name.to_owned(), value);
        };
        put("name", json!(self.name));
        put("num_nodes", json!(self.num_nodes));
        put("envs", json!(self.envs));
        put("secrets", self.secrets.names().collect());
        put(
            "resources",
            self.resources
                .iter()
                .map(ResolvedResources::to_json)
                .collect(),
        );
        put("file_mounts", by_path(&self.file_mounts, file_mount));
        put("volumes", by_path(&self.volumes, volume));
        put("workdir", json!(self.workdir.as_ref().map(workdir)));
        put("setup", json!(self.setup));
        put("run", json!(self.run));
        put("service", json!(self.service));
        put("pool", json!(self.pool));
        put("config", json!(self.config));
        for (name, value) in &self.others {
            put(name, value.clone());
        }
        Json::Object(json)
    }
}

impl ResolvedResources {
    /// One candidate as JSON: sizes in GB, ports as text.
    pub(crate) fn to_json(&self) -> Json {
        let infra = self.infra.as_ref().map(ToString::to_string);
        let accelerators = self.accelerators.as_ref().map(
            |accelerators| json!({ &accelerators.name: decimal(accelerators.milli_count, 1000) }),
        );
        let autostop = self.autostop.as_ref().map(|autostop| {
            json!({
                "idle_minutes": autostop.idle_minutes,
                "down": autostop.down,
                "wait_for": autostop.wait_for,
            })
        });
        let disk = self.disk_bytes.unwrap_or(DEFAULT_DISK_BYTES);
        let ports: Vec<String> = self.ports.iter().map(ToString::to_string).collect();
        let mut json = json!({
            "infra": infra,
            "cpus": decimal(self.milli_cpu, 1000),
            "memory": decimal(self.memory_bytes, GIGABYTE),
            "accelerators": accelerators,
            "image_id": self.image,
            "ports": ports,
            "disk_size": decimal(disk, GIGABYTE),
            "use_spot": self.use_spot,
            "labels": self.labels,
            "autostop": autostop,
            "any_of": self.choice == Choice::AnyOf,
            "ordered": self.choice == Choice::Ordered,
        });
        if let Json::Object(fields) = &mut json {
            let others = self.others.iter();
            fields.extend(others.map(|(name, value)| (name.clone(), value.clone())));
        }
        json
    }
}

/// A tree of YAML as JSON: keys as Python's `str()` writes them, and so what JSON has no number for.
pub(crate) fn of_node(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(integer) => integer
            .to_i64()
            .map_or_else(|| json!(integer.to_string()), Json::from),
        Value::Float(float) if float.is_finite() => json!(float),
        Value::Sequence(items) => items.iter().map(of_node).collect(),
        Value::Mapping(entries) => Json::Object(
            entries
                .iter()
                .map(|entry| (entry.key.value.to_python_string(), of_node(&entry.value)))
                .collect(),
        ),
        other => json!(other.to_python_string()),
    }
}

/// A number in its unit: whole where it is whole.
#[allow(
    clippy::cast_precision_loss,
    reason = "what is shown may round; what is asked of the cluster does not"
)]
fn decimal(amount: u64, unit: u64) -> Json {
    if amount.is_multiple_of(unit) {
        json!(amount / unit)
    } else {
        json!(amount as f64 / unit as f64)
    }
}

fn by_path<T>(mounts: &IndexMap<String, T>, shown: fn(&T) -> Json) -> Json {
    let shown = mounts
        .iter()
        .map(|(path, mount)| (path.clone(), shown(mount)));
    Json::Object(shown.collect())
}

fn file_mount(mount: &FileMount) -> Json {
    match mount {
        FileMount::Local(source) | FileMount::Cloud(source) => json!(source),
        FileMount::Storage(storage) => storage.clone(),
    }
}

fn volume(volume: &VolumeMount) -> Json {
    match volume {
        VolumeMount::Named {
            name,
            sub_path: None,
        } => json!(name),
        VolumeMount::Named { name, sub_path } => json!({ "name": name, "sub_path": sub_path }),
        VolumeMount::Ephemeral(volume) => volume.clone(),
    }
}

fn workdir(workdir: &Workdir) -> Json {
    match workdir {
        Workdir::Folder(path) => json!(path),
        Workdir::Git {
            url,
            reference: None,
        } => json!({ "url": url }),
        Workdir::Git { url, reference } => json!({ "url": url, "ref": reference }),
    }
}
