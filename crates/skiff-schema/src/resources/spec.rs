//! What one level of `resources` says: the base, or one of its candidates. Must not fill in
//! defaults.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::PortRange;
use crate::faults::Fault;
use crate::path::Path;
use crate::quantity::{Cpus, Memory};
use crate::resources::accelerators::AcceleratorChoice;
use crate::resources::autostop::AutostopSetting;
use crate::resources::image::Image;
use crate::resources::infra::Place;
use crate::resources::written::Written;
use crate::resources::{disk, labels, ports, recovery};
use crate::source::Span;
use crate::view::View;
use crate::yaml::{Node, Value};

/// The fields that were written on one level.
#[derive(Clone, Debug, Default)]
pub(super) struct Spec {
    pub(super) infra: Option<Written<Place>>,
    pub(super) cloud: Option<Written<String>>,
    pub(super) region: Option<Written<String>>,
    pub(super) zone: Option<Written<String>>,
    pub(super) instance_type: Option<Written<String>>,
    pub(super) cpus: Option<Written<Cpus>>,
    pub(super) memory: Option<Written<Memory>>,
    pub(super) accelerators: Option<Written<AcceleratorChoice>>,
    pub(super) image: Option<Written<Image>>,
    pub(super) disk_bytes: Option<u64>,
    pub(super) ports: Option<Vec<PortRange>>,
    pub(super) labels: IndexMap<String, String>,
    pub(super) use_spot: Option<bool>,
    pub(super) autostop: Option<AutostopSetting>,
    /// Further fields; null takes back what a lower level says.
    pub(super) others: IndexMap<&'static str, Json>,
}

/// The fields of a mapping, with their names in messages.
struct Level<'a> {
    fields: View<'a>,
    path: &'a Path<'a>,
}

impl<'a> Level<'a> {
    /// What a parser makes of a field; a malformed one has been told of.
    fn read<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&'a Node, &Path<'_>) -> Option<T>,
    ) -> Option<Written<T>> {
        let node = self.fields.get(name)?;
        let path = self.path.key(name);
        let value = parse(node, &path)?;
        Some(Written::in_file(value, path, node.span))
    }

    /// What a parser makes of a field that is a scalar.
    fn scalar<T, E>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Written<T>> {
        self.read(name, |node, _| match &node.value {
            Value::Int(_) | Value::Float(_) | Value::String(_) => {
                parse(&node.value.to_python_string()).ok()
            }
            _ => None,
        })
    }

    fn text(&self, name: &str) -> Option<Written<String>> {
        let node = self.fields.get(name)?;
        let text = self.fields.text(name)?.to_owned();
        Some(Written::in_file(text, self.path.key(name), node.span))
    }

    fn word(&self, name: &str) -> Option<Json> {
        Some(self.fields.text(name)?.to_lowercase().into())
    }
}

impl Spec {
    /// Reads a mapping that was checked.
    pub(super) fn read(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) -> Self {
        let fields = View::of(node);
        let level = Level { fields, path };
        refuse_hooks(fields, path, faults);
        let labels = level.read("labels", |node, path| {
            Some(labels::read(node, path, faults))
        });
        Self {
            infra: level.scalar("infra", Place::parse),
            cloud: level.text("cloud"),
            region: level.text("region"),
            zone: level.text("zone"),
            instance_type: level.text("instance_type"),
            cpus: level.scalar("cpus", Cpus::parse),
            memory: level.scalar("memory", Memory::parse),
            accelerators: read_accelerators(&level, faults),
            image: level.read("image_id", |node, path| Image::read(node, path, faults)),
            disk_bytes: level.scalar("disk_size", disk::size).map(|size| size.value),
            ports: fields.get("ports").map(ports::read),
            labels: labels.map(|labels| labels.value).unwrap_or_default(),
            use_spot: fields.boolean("use_spot"),
            autostop: fields.get("autostop").and_then(AutostopSetting::read),
            others: read_others(&level),
        }
    }

    /// This level with another on top of it: its fields win, labels are put together.
    pub(super) fn overlaid(&self, top: &Self) -> Self {
        let mut labels = self.labels.clone();
        labels.extend(top.labels.clone());
        let mut others = self.others.clone();
        others.extend(top.others.clone());
        Self {
            infra: over(self.infra.as_ref(), top.infra.as_ref()),
            cloud: over(self.cloud.as_ref(), top.cloud.as_ref()),
            region: over(self.region.as_ref(), top.region.as_ref()),
            zone: over(self.zone.as_ref(), top.zone.as_ref()),
            instance_type: over(self.instance_type.as_ref(), top.instance_type.as_ref()),
            cpus: over(self.cpus.as_ref(), top.cpus.as_ref()),
            memory: over(self.memory.as_ref(), top.memory.as_ref()),
            accelerators: over(self.accelerators.as_ref(), top.accelerators.as_ref()),
            image: over(self.image.as_ref(), top.image.as_ref()),
            disk_bytes: top.disk_bytes.or(self.disk_bytes),
            ports: over(self.ports.as_ref(), top.ports.as_ref()),
            labels,
            use_spot: top.use_spot.or(self.use_spot),
            autostop: over(self.autostop.as_ref(), top.autostop.as_ref()),
            others,
        }
    }
}

fn over<T: Clone>(base: Option<&T>, top: Option<&T>) -> Option<T> {
    top.or(base).cloned()
}

/// `accelerators`, or `gpus`, its other name.
fn read_accelerators(
    level: &Level<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Written<AcceleratorChoice>> {
    let mut read = |name| {
        level.read(name, |node, path| {
            AcceleratorChoice::read(node, path, faults)
        })
    };
    let (gpus, accelerators) = (read("gpus"), read("accelerators"));
    let is_written = |name| level.fields.get(name).is_some();
    if is_written("gpus") && is_written("accelerators") {
        let gpus = level.path.key("gpus");
        let message = format!("`{gpus}` and `accelerators` are two names of one field");
        faults.push(at_keys(
            Fault::new(message).help("keep one of them"),
            level.fields,
            &["gpus", "accelerators"],
        ));
    }
    accelerators.or(gpus)
}

/// A fault at the places of keys.
pub(super) fn at_keys(fault: Fault, fields: View<'_>, names: &[&str]) -> Fault {
    let spans: Vec<Span> = names
        .iter()
        .filter_map(|name| fields.key_span(name))
        .collect();
    spans
        .into_iter()
        .fold(fault, |fault, span| fault.at(span, ""))
}

fn refuse_hooks(fields: View<'_>, path: &Path<'_>, faults: &mut Vec<Fault>) {
    if fields.get("hooks").is_some() {
        let hooks = path.key("hooks");
        let fault = Fault::new(format!("`{hooks}` is no field of resources"))
            .help("hooks belong to the whole task: write them as `config.hooks`");
        faults.push(at_keys(fault, fields, &["hooks"]));
    }
}

fn read_others(level: &Level<'_>) -> IndexMap<&'static str, Json> {
    let fields = level.fields;
    let local_disk = level.scalar("local_disk", disk::local_disk);
    let cost = level.scalar("max_hourly_cost", str::parse::<serde_json::Number>);
    let class = fields.text("priority_class").map(str::trim);
    let all = [
        ("disk_tier", level.word("disk_tier")),
        ("network_tier", level.word("network_tier")),
        ("local_disk", local_disk.map(|disk| disk.value.into())),
        ("max_hourly_cost", cost.map(|cost| Json::Number(cost.value))),
        (
            "job_recovery",
            fields.get("job_recovery").map(recovery::read),
        ),
        ("priority", fields.integer("priority").map(Json::from)),
        (
            "priority_class",
            class.map(|class| Some(class).filter(|class| !class.is_empty()).into()),
        ),
    ];
    let written = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    written.collect()
}
