//! `enable_docker`: a word, or a mapping. Reads it, finds what does not go together, lays one over another.

use crate::check::{self, Findings};
use crate::docker::{
    DockerAddresses, DockerAmounts, DockerConfig, DockerResources, DockerStorage, StorageKind,
};
use crate::faults::Fault;
use crate::path::Path;
use crate::resources::disk_size;
use crate::view::View;
use crate::yaml::{Entry, Node, Value};

use super::docker_notations::{bits, bytes, docker_mode, milli_cpu, network, sidecar_image};
use super::language::ENABLE_DOCKER;
use super::layer::Rank;
use super::section::{nodes, texts};

/// The section.
const KUBERNETES: &str = "kubernetes";
/// Those of contexts in it.
const CONTEXTS: &str = "context_configs";
/// The field of the section.
const FIELD: &str = "enable_docker";
/// What says which Docker it is: Skiff's and `SkyPilot`'s name, and one that some versions of `SkyPilot` have.
const MODES: [&str; 2] = ["mode", "enabled"];

/// Reads a section that was checked.
pub(super) fn read(section: View<'_>) -> DockerConfig {
    let Some(node) = section.get(FIELD) else {
        return DockerConfig::default();
    };
    let fields = View::of(node);
    let word = section
        .scalar(FIELD)
        .or_else(|| MODES.into_iter().find_map(|name| fields.scalar(name)));
    DockerConfig {
        mode: word
            .and_then(|word| docker_mode(&word).ok())
            .unwrap_or_default(),
        cache_volume: fields.text("cache_volume").map(str::to_owned),
        storage: storage(fields),
        resources: DockerResources {
            requests: amounts(fields.view("resources").view("requests")),
            limits: amounts(fields.view("resources").view("limits")),
        },
        image: fields
            .text("image")
            .and_then(|image| sidecar_image(image).ok())
            .map(str::to_owned),
        registry_mirrors: texts(fields, "registry_mirrors"),
        insecure_registries: texts(fields, "insecure_registries"),
        address_pools: nodes(fields, "address_pools")
            .filter_map(addresses)
            .collect(),
        mtu: fields
            .integer("mtu")
            .and_then(|mtu| u32::try_from(mtu).ok()),
        allow_slow_storage: fields.boolean("allow_slow_storage").unwrap_or_default(),
        expose_tcp: fields.boolean("expose_tcp").unwrap_or_default(),
    }
}

fn storage(fields: View<'_>) -> DockerStorage {
    let within = fields.view("storage");
    let word = fields.text("storage").or_else(|| within.text("kind"));
    let word = word.map(str::to_ascii_lowercase);
    let kind = match word.as_deref() {
        Some("memory") => StorageKind::Memory,
        Some("loop") => StorageKind::Loop,
        Some("block") => StorageKind::Block,
        _ => StorageKind::Auto,
    };
    let size = within.scalar("size");
    DockerStorage {
        kind,
        bytes: size.and_then(|size| disk_size(&size).ok()),
    }
}

fn amounts(fields: View<'_>) -> DockerAmounts {
    let of_bytes = |name: &str| bytes(&fields.scalar(name)?).ok();
    DockerAmounts {
        milli_cpu: fields.scalar("cpu").and_then(|cpu| milli_cpu(&cpu).ok()),
        memory_bytes: of_bytes("memory"),
        disk_bytes: of_bytes("ephemeral-storage"),
    }
}

fn addresses(node: &Node) -> Option<DockerAddresses> {
    let fields = View::of(node);
    Some(DockerAddresses {
        base: fields.text("base")?.to_owned(),
        size: u8::try_from(fields.integer("size")?).ok()?,
    })
}

/// Finds what does not go together in a layer: for all contexts, and for each.
pub(super) fn check_layer(tree: &Node, rank: Rank, faults: &mut Vec<Fault>) {
    let section = View::of(tree).view(KUBERNETES);
    let path = Path::TOP.key(KUBERNETES);
    check(section, &path, rank, faults);
    let contexts = path.key(CONTEXTS);
    for entry in section.view(CONTEXTS).entries() {
        let name = entry.key.value.to_python_string();
        check(View::of(&entry.value), &contexts.key(&name), rank, faults);
    }
}

/// Finds what does not go together in the `config` of a task.
pub(super) fn check_task(config: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) {
    let section = View::of(config).view(KUBERNETES);
    check(section, &path.key(KUBERNETES), Rank::File, faults);
}

fn check(section: View<'_>, path: &Path<'_>, rank: Rank, faults: &mut Vec<Fault>) {
    let Some(node) = section.get(FIELD) else {
        return;
    };
    let path = path.key(FIELD);
    let fields = View::of(node);
    let mut own = Findings::default();
    check::check(&ENABLE_DOCKER.form, node, &path, &mut own);
    // What is wrong by itself has been told, and is not looked at together.
    if !matches!(node.value, Value::Mapping(_)) || !own.faults.is_empty() {
        return;
    }
    match MODES.map(|name| fields.get(name)) {
        // A flag may add one thing to what the files say.
        [None, None] if rank == Rank::Flag => {}
        [None, None] => {
            let fault = Fault::new(format!("`{path}` has no `mode`")).at(node.span, "");
            faults.push(fault.help("write `mode: ALL`"));
        }
        [Some(_), Some(enabled)] => {
            let message = format!("`{path}` has both `mode` and `enabled`, which mean the same");
            let fault = Fault::new(message).at(enabled.span, "");
            faults.push(fault.help("keep `mode`"));
        }
        [Some(_), None] | [None, Some(_)] => {}
    }
    for pool in nodes(fields, "address_pools") {
        check_pool(pool, &path, faults);
    }
    for conflict in read(section).conflicts() {
        let place = fields.get(conflict.field).unwrap_or(node);
        let message = format!("`{}`: {}", path.key(conflict.field), conflict.message);
        faults.push(Fault::new(message).at(place.span, "").help(conflict.help));
    }
}

/// Whether the networks of a pool fit in it, and have room for a gateway and a container.
fn check_pool(pool: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) {
    let fields = View::of(pool);
    let written = fields.text("base").and_then(network);
    let (Some((base, prefix)), Some(size)) = (written, fields.integer("size")) else {
        return;
    };
    let longest = bits(base) - 2;
    if (i64::from(prefix)..=i64::from(longest)).contains(&size) {
        return;
    }
    let path = path.key("address_pools");
    let message = if size < i64::from(prefix) {
        format!(
            "`{path}`: networks with {size} bits of prefix are larger than the pool, which has {prefix}"
        )
    } else {
        format!("`{path}`: networks with {size} bits of prefix have no room for a container")
    };
    let help = format!("write a `size` from {prefix} to {longest}");
    let place = fields.get("size").unwrap_or(pool);
    faults.push(Fault::new(message).at(place.span, "").help(help));
}

/// Lays one over another. A word changes the mode of a mapping below it and nothing else; lists are replaced.
pub(super) fn merge(lower: Node, upper: Node, plain: impl Fn(Node, Node) -> Node) -> Node {
    if !matches!(
        (&lower.value, &upper.value),
        (Value::Mapping(_), _) | (_, Value::Mapping(_))
    ) {
        return upper;
    }
    let (mut lower, upper) = (with_mode(lower), with_mode(upper));
    let says_mode = MODES
        .into_iter()
        .any(|name| View::of(&upper).get(name).is_some());
    if let (Value::Mapping(below), true) = (&mut lower.value, says_mode) {
        below.retain(|entry| {
            !matches!(&entry.key.value, Value::String(key) if MODES.contains(&key.as_str()))
        });
    }
    plain(lower, upper)
}

/// A word as the mapping that says no more.
fn with_mode(node: Node) -> Node {
    if matches!(node.value, Value::Mapping(_)) {
        return node;
    }
    let [mode, _] = MODES;
    let span = node.span;
    let key = Node {
        value: Value::String(mode.to_owned()),
        span,
    };
    Node {
        value: Value::Mapping(vec![Entry { key, value: node }]),
        span,
    }
}
